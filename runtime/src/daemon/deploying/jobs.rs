//! What takes time, each in a thread of its own. A job that is not wanted any more sees `stop` and ends.

#![allow(clippy::vec_box, reason = "each goes to its own thread, and is swapped there without a copy")]

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use stopline_depot::bundle::Bundle;
use stopline_depot::deployment::DeployCause;
use stopline_depot::digest::Digest;
use stopline_depot::manifest::Manifest;

use crate::config::{Model, ShadowLimits, TestLimits};
use crate::daemon::exchange::{Onlooker, Seated, Shown};
use crate::daemon::models;
use crate::detector::LoadError;
use crate::models::Engine;
use crate::models::deployer::{Failed, ShadowSeen};
use crate::models::limits::Limits;
use crate::models::selftest::{Report, grey};
use crate::models::shadow::channel::sealed;
use crate::models::shadow::covers;
use crate::models::shadow::parent::Shadow;
use crate::models::vault::{Held, Place, Vault};

/// How far a job has come.
pub enum Done {
    /// The bundle was judged.
    Judged(Result<(), Failed>),
    /// The self-test ended.
    Tested(Result<(), Failed>),
    /// The shadow has seen so much.
    Shadow(ShadowSeen),
    /// It need not be shown frames any more; they come here again.
    Frames(Receiver<Shown>),
    /// Loaded, one for each place.
    Loaded(Result<Vec<Box<Seated>>, Failed>),
    /// What decided before a trial that a start has taken up again.
    Before(Result<Vec<Box<Seated>>, Failed>),
}

/// What every job knows.
#[derive(Clone)]
pub struct Job {
    /// Bundles.
    pub vault: Arc<Vault>,
    /// The model's name in releases.
    pub bundle: String,
    /// Its section.
    pub model: Model,
    /// Set when the job is not wanted any more.
    pub stop: Arc<AtomicBool>,
    /// Its number: what an older one tells counts no more.
    pub id: u64,
    /// Where is told how far it has come.
    pub done: Sender<(u64, Done)>,
}

impl Job {
    /// Starts `work` in a thread. One that cannot be started is an end like any other.
    pub fn start(self, work: impl FnOnce(&Self) -> Option<Done> + Send + 'static) {
        let (id, done) = (self.id, self.done.clone());
        let started = std::thread::Builder::new().name("deploy-job".to_owned()).spawn(move || {
            // Behind the thread that watches.
            let _ = rustix::process::nice(5);
            let last = work(&self);
            if let Some(last) = last {
                let _ = self.done.send((self.id, last));
            }
        });
        if let Err(error) = started {
            let failed = || (DeployCause::Surroundings, format!("no thread for it: {error}"));
            // Whichever of them is waited for.
            for end in [Done::Judged(Err(failed())), Done::Tested(Err(failed())), Done::Loaded(Err(failed()))]
            {
                let _ = done.send((id, end));
            }
        }
    }

    fn open(&self, digest: Digest) -> Result<Held, Failed> {
        self.vault.open(&self.bundle, Place::Slot(digest)).map_err(|error| (error.cause(), error.to_string()))
    }

    fn engine(&self) -> Engine {
        let options = self.model.options();
        Engine {
            backend: options.backend,
            library: options.library,
            threads: self.model.threads,
            providers: options.providers,
        }
    }

    /// Whether the bundle may be loaded.
    pub fn judge(&self, digest: Digest) -> Done {
        Done::Judged(self.open(digest).map(drop))
    }

    /// Tests it in a child.
    pub fn test(&self, digest: Digest, limits: &TestLimits) -> Done {
        Done::Tested(self.open(digest).and_then(|held| self.test_held(&held, limits)))
    }

    fn test_held(&self, held: &Held, limits: &TestLimits) -> Result<(), Failed> {
        let taken = Limits {
            memory_mib: Some(limits.memory_mib),
            cpu_s: Some(limits.cpu_s),
            nice: Some(5),
            with_parent: true,
        };
        let run = || -> std::io::Result<Output> {
            Command::new(std::env::current_exe()?)
                .args(["model", "selftest", "-", "--json"])
                .arg(format!("--runs={}", limits.runs))
                .args(self.engine().arguments())
                .args(taken.arguments())
                .stdin(Stdio::from(sealed(&held.bytes)?))
                .output()
        };
        let output = run().map_err(|error| (DeployCause::Surroundings, format!("the self-test: {error}")))?;
        verdict(&output)
    }

    /// Loads it for each place, with its cameras' sizes, and warms it up.
    pub fn load(&self, place: Place, trial: bool, places: &[Vec<[u32; 2]>], watched: &[String]) -> Done {
        Done::Loaded(self.seated(place, trial, places, watched))
    }

    /// Loads what decided before a trial.
    pub fn load_before(&self, place: Place, places: &[Vec<[u32; 2]>], watched: &[String]) -> Done {
        Done::Before(self.seated(place, false, places, watched))
    }

    fn seated(
        &self,
        place: Place,
        trial: bool,
        places: &[Vec<[u32; 2]>],
        watched: &[String],
    ) -> Result<Vec<Box<Seated>>, Failed> {
        let held =
            self.vault.open(&self.bundle, place).map_err(|error| (error.cause(), error.to_string()))?;
        if trial && held.below_floor {
            return Err((DeployCause::Floor, "the security floor has risen above it".into()));
        }
        let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
        let one = |sizes: &Vec<[u32; 2]>| {
            let failed = |error: LoadError| (DeployCause::Load, error.to_string());
            let mut seated = models::of_bundle(&held, &self.model, &watched).map_err(failed)?;
            for size in sizes {
                let frame = grey(*size);
                let warm = (0..2).try_for_each(|_| seated.detector.detect(&frame, &mut Vec::new()).map(drop));
                warm.map_err(|error| (DeployCause::Outputs, error.to_string()))?;
            }
            Ok(Box::new(seated))
        };
        places.iter().map(one).collect()
    }

    /// Lets it look on in a child.
    pub fn shadow(
        &self,
        digest: Digest,
        (active, watched): (Arc<Manifest>, Vec<String>),
        limits: &ShadowLimits,
        (onlooker, frames): (&Onlooker, Receiver<Shown>),
    ) -> Done {
        let seen = match self.shadow_started(digest, (active, watched), limits) {
            Ok(mut shadow) => {
                let stop = || self.stop.load(Ordering::Relaxed);
                let mut counted =
                    |seen: &ShadowSeen| drop(self.done.send((self.id, Done::Shadow(seen.clone()))));
                shadow.look_on(&frames, onlooker, limits.frames, (&stop, &mut counted));
                shadow.seen.clone()
            }
            Err((own, problem)) => ShadowSeen { ended: Some((own, problem)), ..ShadowSeen::default() },
        };
        // Before its end is told: another one may be begun at once, and needs them.
        let _ = self.done.send((self.id, Done::Frames(frames)));
        Done::Shadow(seen)
    }

    fn shadow_started(
        &self,
        digest: Digest,
        (active, watched): (Arc<Manifest>, Vec<String>),
        limits: &ShadowLimits,
    ) -> Result<Shadow, (bool, String)> {
        let held = self.open(digest).map_err(|(_, problem)| (false, problem))?;
        let manifest = Bundle::read(&held.bytes).map_err(|error| (true, error.to_string()))?.manifest;
        let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
        if !covers(&active, &manifest, &watched) {
            return Err((
                true,
                "its roles lack one that the active model has; see `roles` in the manifests".into(),
            ));
        }
        let taken = Limits {
            memory_mib: Some(limits.memory_mib),
            cpu_s: Some(limits.cpu_s),
            nice: Some(5),
            with_parent: true,
        };
        let shadow = Shadow::start(&held.bytes, (manifest, active), &self.engine(), &taken);
        shadow.map_err(|error| (false, format!("the shadow: {error}")))
    }
}

/// What a self-test's end means. One that was killed from outside says nothing of the model.
fn verdict(output: &Output) -> Result<(), Failed> {
    use std::os::unix::process::ExitStatusExt as _;
    if let Ok(report) = serde_json::from_slice::<Report>(&output.stdout) {
        return if report.passed {
            Ok(())
        } else {
            Err((report.cause.unwrap_or(DeployCause::Load), report.problem))
        };
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(400).collect();
    let words = format!("the self-test ended ({}): {said}", output.status);
    let cause = match output.status.signal() {
        Some(libc::SIGKILL | libc::SIGTERM) => DeployCause::Surroundings,
        Some(libc::SIGXCPU) => DeployCause::Latency,
        _ if said.contains("memory allocation") => DeployCause::Memory,
        Some(_) => DeployCause::Crash,
        None => DeployCause::Surroundings,
    };
    Err((cause, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    fn ended(raw: i32, stdout: &str, stderr: &str) -> Option<DeployCause> {
        let output =
            Output { status: ExitStatus::from_raw(raw), stdout: stdout.into(), stderr: stderr.into() };
        verdict(&output).err().map(|(cause, _)| cause)
    }

    #[test]
    fn how_a_self_test_ended_says_whose_fault_it_was() {
        let passed = serde_json::to_string(&Report { passed: true, ..Report::default() }).expect("writes");
        assert_eq!(ended(0, &passed, ""), None);
        let golden = Report { cause: Some(DeployCause::Golden), ..Report::default() };
        assert_eq!(
            ended(13 << 8, &serde_json::to_string(&golden).expect("writes"), ""),
            Some(DeployCause::Golden)
        );
        assert_eq!(ended(libc::SIGKILL, "", ""), Some(DeployCause::Surroundings));
        assert_eq!(ended(libc::SIGXCPU, "", ""), Some(DeployCause::Latency));
        assert_eq!(
            ended(libc::SIGABRT, "", "memory allocation of 64 bytes failed"),
            Some(DeployCause::Memory)
        );
        assert_eq!(ended(libc::SIGSEGV, "{", ""), Some(DeployCause::Crash));
    }
}
