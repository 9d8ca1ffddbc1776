//! The hook that is told when the board should be awake for its nightly poll: a program of the integrator's, which sets a
//! clock or tells another controller. Called once for each time, when the ignition is off and nothing is left to do.

use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;

use crate::asked;

/// How long the program may take; then it is ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds by which a time may differ from one that was told and is the same.
const SAME_S: u64 = 60;
/// Calls for one time, at most.
const TRIES: u32 = 3;

/// The hook.
#[derive(Debug)]
pub struct Wake {
    hook: Vec<String>,
    /// The time that was told, or given up.
    told: Option<i64>,
    failures: u32,
}

impl Wake {
    /// A program and its arguments; empty: nobody is told.
    pub fn new(hook: Vec<String>) -> Self {
        Self { hook, told: None, failures: 0 }
    }

    /// The ignition is on: when it is off again the time is told again.
    pub fn forget(&mut self) {
        (self.told, self.failures) = (None, 0);
    }

    /// Tells the time, in seconds since 1970, unless it was told.
    pub fn tell(&mut self, at: i64) {
        let Some((program, arguments)) = self.hook.split_first() else { return };
        if self.told.is_some_and(|told| told.abs_diff(at) <= SAME_S) {
            return;
        }
        let Ok(time) = Timestamp::from_second(at) else { return };
        let mut hook = Command::new(program);
        hook.args(arguments).args([time.to_string(), at.to_string()]);
        match asked::done(hook, PATIENCE) {
            Ok(status) if status.success() => {
                tracing::info!(id = "power.wake.told", "{program} was told to wake this board at {time}");
                (self.told, self.failures) = (Some(at), 0);
            }
            other => {
                let problem = other.map_or_else(|problem| problem, |status| format!("{program}: {status}"));
                tracing::warn!(
                    id = "power.wake.failed",
                    "power.wake_hook: {problem}; this board may sleep at {time}"
                );
                self.failures += 1;
                if self.failures >= TRIES {
                    (self.told, self.failures) = (Some(at), 0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn hook(home: &Path, end: &str) -> Wake {
        let script = format!("echo \"$@\" >> {}/called; {end}", home.display());
        Wake::new(["/bin/sh", "-c", &script, "hook", "--at"].map(str::to_owned).into())
    }

    fn calls(home: &Path) -> Vec<String> {
        let text = fs::read_to_string(home.join("called")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_time_is_told_once_in_words_and_seconds_and_again_after_the_ignition_was_on() {
        let home = tempfile::tempdir().unwrap();
        let mut wake = hook(home.path(), "exit 0");
        for at in [1_795_914_000, 1_795_914_001, 1_795_913_990] {
            wake.tell(at);
        }
        assert_eq!(calls(home.path()), ["--at 2026-11-29T01:00:00Z 1795914000"]);
        wake.tell(1_795_914_000 + 86_400);
        assert_eq!(calls(home.path()).len(), 2, "the next night is another time");
        wake.forget();
        wake.tell(1_795_914_000 + 86_400);
        assert_eq!(calls(home.path()).len(), 3);
    }

    #[test]
    fn one_that_fails_is_tried_again_and_given_up() {
        let home = tempfile::tempdir().unwrap();
        let mut wake = hook(home.path(), "exit 3");
        (0..6).for_each(|_| wake.tell(1_795_914_000));
        assert_eq!(calls(home.path()).len(), 3);
        wake.tell(1_796_000_400);
        assert_eq!(calls(home.path()).len(), 4, "another time is another try");
        Wake::new(vec!["/nowhere/hook".into()]).tell(0);
        Wake::new(Vec::new()).tell(0);
    }
}
