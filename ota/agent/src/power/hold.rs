//! The board stays awake while something is fetched or installed: a delay lock of systemd-logind, held by a child
//! `systemd-inhibit`. It is let go when the work is done, when its time is up, and when this process ends in any way: the
//! child waits for the end of its input, which this process holds.
//!
//! A lock of the kind `delay` is given to a service without a session, holds up root's commands too, and never for longer than
//! logind's own `InhibitDelayMaxSec`.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ignition::Ignition;
use crate::clock::Clock;

/// Between two looks at the ignition and the child.
const ROUND: Duration = Duration::from_millis(500);
/// Bytes of what a child says that are told, at most.
const WORDS: u64 = 1 << 10;

/// Holds the board awake.
#[derive(Debug)]
pub struct Hold {
    ignition: Ignition,
    clock: Arc<dyn Clock>,
    limit: Arc<Mutex<Limit>>,
    /// Whether it was told that nothing can be held.
    told: Arc<AtomicBool>,
    held: Option<Held>,
}

/// A lock and who looks after it.
#[derive(Debug)]
struct Held {
    let_go: Sender<()>,
    keeper: JoinHandle<()>,
}

/// Until when the board may be held, with the ignition off.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    most_ms: u64,
    /// Since when the ignition is off or unknown, and the machine awake.
    since: Option<u64>,
    /// Milliseconds asleep since boot, at the last look.
    slept_ms: u64,
}

impl Limit {
    /// Takes up what is known now. A board that was asleep, as until its nightly poll, has its whole time again.
    fn look(&mut self, ignition: Option<bool>, (now_ms, slept_ms): (u64, u64)) {
        let slept = slept_ms.saturating_sub(self.slept_ms) > 1_000;
        self.slept_ms = slept_ms;
        self.since = match (ignition, self.since) {
            (Some(true), _) => None,
            (_, Some(since)) if !slept => Some(since),
            _ => Some(now_ms),
        };
    }

    /// Whether it may be held.
    fn allows(&self, now_ms: u64) -> bool {
        self.most_ms > 0 && self.since.is_none_or(|since| now_ms.saturating_sub(since) < self.most_ms)
    }
}

impl Hold {
    /// For at most `hold_up_s` seconds with the ignition off; 0: never.
    pub fn new(hold_up_s: u32, ignition: Ignition, clock: Arc<dyn Clock>) -> Self {
        let limit = Limit { most_ms: u64::from(hold_up_s) * 1_000, since: None, slept_ms: clock.slept_ms() };
        Self {
            ignition,
            clock,
            limit: Arc::new(Mutex::new(limit)),
            told: Arc::new(AtomicBool::new(false)),
            held: None,
        }
    }

    /// Takes up when the ignition went off; to be called now and then.
    pub fn look(&mut self, ignition: Option<bool>) {
        let now = (self.clock.since_boot_ms(), self.clock.slept_ms());
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).look(ignition, now);
    }

    /// Holds the board awake for `what`, unless it is held already or its time is up.
    pub fn begin(&mut self, what: &str) {
        if self.held.as_ref().is_some_and(|held| !held.keeper.is_finished()) {
            return;
        }
        self.end();
        let ignition = self.ignition.look();
        if ignition.is_none() {
            // Nobody tells when it went off: each work has its time.
            self.limit.lock().unwrap_or_else(PoisonError::into_inner).since = None;
        }
        self.look(ignition);
        let now = self.clock.since_boot_ms();
        if !self.limit.lock().unwrap_or_else(PoisonError::into_inner).allows(now) {
            return;
        }
        match inhibit(what).and_then(|child| self.keep(child)) {
            Ok(held) => self.held = Some(held),
            Err(error) => refused(&self.told, &error.to_string()),
        }
    }

    /// Lets the board go.
    pub fn end(&mut self) {
        let Some(Held { let_go, keeper }) = self.held.take() else { return };
        drop(let_go);
        // It ends within a round; a panic of its own let the board go too.
        let _ = keeper.join();
    }

    /// A thread of its own: a stalled link must not hold the board longer than it may.
    fn keep(&self, child: Child) -> std::io::Result<Held> {
        let (let_go, gone) = mpsc::channel::<()>();
        let mut lock = Lock(child);
        let (ignition, clock) = (self.ignition.clone(), self.clock.clone());
        let (limit, told) = (self.limit.clone(), self.told.clone());
        let keep = move || {
            tracing::debug!(id = "power.hold", "the board is held awake");
            while gone.recv_timeout(ROUND) == Err(RecvTimeoutError::Timeout) {
                if let Some(problem) = lock.ended() {
                    return refused(&told, &problem);
                }
                let now = clock.since_boot_ms();
                let mut limit = limit.lock().unwrap_or_else(PoisonError::into_inner);
                limit.look(ignition.look(), (now, clock.slept_ms()));
                if !limit.allows(now) {
                    tracing::info!(
                        id = "power.hold.over",
                        seconds = limit.most_ms / 1_000,
                        "the board is let go: power.hold_up_s is up; what goes on now is gone on with later"
                    );
                    return;
                }
            }
        };
        let keeper = std::thread::Builder::new().name("hold".into()).spawn(keep)?;
        Ok(Held { let_go, keeper })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end();
    }
}

/// The child; ended when this is dropped, and by the end of its input when this process is killed.
#[derive(Debug)]
struct Lock(Child);

impl Lock {
    /// What it said when it ended by itself.
    fn ended(&mut self) -> Option<String> {
        let status = match self.0.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let mut words = String::new();
        // Words only: without them the status says it.
        let said = self.0.stderr.take().map(|said| said.take(WORDS).read_to_string(&mut words));
        let words = said.and_then(Result::ok).map_or("", |_| words.trim());
        Some(if words.is_empty() { status } else { format!("{status}: {words}") })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn inhibit(what: &str) -> std::io::Result<Child> {
    Command::new("systemd-inhibit")
        .args(["--what=sleep:shutdown", "--mode=delay", "--who=stopline-agent"])
        .arg(format!("--why={what}"))
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Told once: it does not get better by being told at each download.
fn refused(told: &AtomicBool, problem: &str) {
    if !told.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            id = "power.hold.refused",
            "systemd-inhibit: {problem}; the board may sleep in the middle of a download, which is gone on with later"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(most_ms: u64) -> Limit {
        Limit { most_ms, since: None, slept_ms: 0 }
    }

    #[test]
    fn with_the_ignition_on_there_is_no_limit_and_off_it_counts_from_then() {
        let mut limit = limit(60_000);
        limit.look(Some(true), (1_000_000, 0));
        assert!(limit.allows(9_000_000));
        limit.look(Some(false), (2_000_000, 0));
        limit.look(Some(false), (2_059_000, 0));
        assert!(limit.allows(2_059_999) && !limit.allows(2_060_000));
        // What was known goes on to count where nothing is heard any more: the runtime is off too.
        limit.look(None, (2_080_000, 0));
        assert!(!limit.allows(2_080_000));
        limit.look(Some(true), (3_000_000, 0));
        assert!(limit.allows(3_000_000));
    }

    #[test]
    fn a_board_that_slept_until_its_nightly_poll_has_its_time_again() {
        let mut limit = limit(60_000);
        limit.look(Some(false), (1_000, 0));
        assert!(!limit.allows(61_000));
        limit.look(Some(false), (20_000_000, 19_000_000));
        assert!(limit.allows(20_059_999) && !limit.allows(20_060_000));
        limit.look(Some(false), (20_070_000, 19_000_500));
        assert!(!limit.allows(20_070_000), "half a second is no sleep");
    }

    #[test]
    fn nothing_holds_a_board_that_may_not_be_held() {
        let mut limit = limit(0);
        limit.look(Some(true), (1_000, 0));
        assert!(!limit.allows(1_000));
    }
}
