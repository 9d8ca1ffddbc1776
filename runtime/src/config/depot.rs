//! `[depot]`: where models over the air lie, and how long a new one is watched.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::versioned::check_name;

use super::{Misfit, seen_from};

/// Where models over the air lie, and how long a new one is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depot {
    /// The agent's depot: slots and offers. Read, never written.
    #[serde(default = "depot")]
    pub directory: PathBuf,
    /// The runtime's own state: pointers, verdicts, approvals. The agent must not be able to write it.
    #[serde(default = "state")]
    pub state: PathBuf,
    /// root.json, floor.json, deny.json. Neither runtime nor agent should be able to write it.
    #[serde(default = "trust")]
    pub trust: PathBuf,
    /// The models that came with the device.
    #[serde(default = "factory")]
    pub factory: PathBuf,
    /// This device's hardware variant, as releases name it.
    pub hardware: String,
    /// Hours within which the roll-out's metadata must have been verified when a model is activated; 1 to 720.
    #[serde(default = "day")]
    pub max_activation_age_h: u32,
    /// `[depot.selftest]`: what a new model's self-test may take.
    #[serde(default)]
    pub selftest: TestLimits,
    /// `[depot.shadow]`: how long it looks on.
    #[serde(default)]
    pub shadow: ShadowLimits,
    /// `[depot.trial]`: how long it decides on trial.
    #[serde(default)]
    pub trial: TrialLimits,
}

/// What a new model's self-test may take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestLimits {
    /// Runs that are measured; 1 to 10 000.
    pub runs: u32,
    /// Memory, in MiB; 64 to 65 536.
    pub memory_mib: u64,
    /// Processor time, in seconds; 1 to 3600.
    pub cpu_s: u64,
}

/// How long a new model looks on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowLimits {
    /// Frames; 0: it does not.
    pub frames: u64,
    /// Share of frames in which it may disagree with the active model; 0 to 1.
    pub max_disagreement: f64,
    /// Memory, in MiB; 64 to 65 536.
    pub memory_mib: u64,
    /// Processor time, in seconds; 1 to 86 400.
    pub cpu_s: u64,
}

/// How long a new model decides on trial: until all three are reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrialLimits {
    /// Frames processed; at least 1.
    pub frames: u64,
    /// Hours in which frames were processed.
    pub active_hours: f64,
    /// Times the ignition was switched on; a camera without that signal counts starts of the process.
    pub ignition_cycles: u64,
    /// Processes in a row that may crash before a model counts as one that makes them; 2 to 20.
    pub crash_loop: u32,
}

impl Default for TestLimits {
    fn default() -> Self {
        Self { runs: 50, memory_mib: 1024, cpu_s: 300 }
    }
}

impl Default for ShadowLimits {
    fn default() -> Self {
        Self { frames: 3000, max_disagreement: 0.05, memory_mib: 1024, cpu_s: 7200 }
    }
}

impl Default for TrialLimits {
    fn default() -> Self {
        Self { frames: 30_000, active_hours: 1.0, ignition_cycles: 2, crash_loop: 3 }
    }
}

fn depot() -> PathBuf {
    "/var/lib/stopline-agent/depot".into()
}

fn state() -> PathBuf {
    "/var/lib/stopline/state".into()
}

fn trust() -> PathBuf {
    "/etc/stopline/trust".into()
}

fn factory() -> PathBuf {
    "/usr/share/stopline/factory".into()
}

fn day() -> u32 {
    24
}

impl Depot {
    pub(super) fn resolve(&mut self, folder: &Path) {
        for path in [&mut self.directory, &mut self.state, &mut self.trust, &mut self.factory] {
            seen_from(folder, path);
        }
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        if let Err(problem) = check_name("hardware", &self.hardware) {
            return Err(Misfit::new("depot.hardware", format!("{:?}", self.hardware), problem));
        }
        let memory = 64..=65_536;
        let ranges = [
            ("max_activation_age_h", u64::from(self.max_activation_age_h), 1..=720),
            ("selftest.runs", u64::from(self.selftest.runs), 1..=10_000),
            ("selftest.memory_mib", self.selftest.memory_mib, memory.clone()),
            ("selftest.cpu_s", self.selftest.cpu_s, 1..=3600),
            ("shadow.memory_mib", self.shadow.memory_mib, memory),
            ("shadow.cpu_s", self.shadow.cpu_s, 1..=86_400),
            ("trial.frames", self.trial.frames, 1..=u64::MAX),
            ("trial.crash_loop", u64::from(self.trial.crash_loop), 2..=20),
        ];
        if let Some((key, found, range)) = ranges.into_iter().find(|(_, found, range)| !range.contains(found))
        {
            let expected = format!("{} to {}", range.start(), range.end());
            return Err(Misfit::new(&format!("depot.{key}"), found, expected));
        }
        let share = self.shadow.max_disagreement;
        if !(0.0..=1.0).contains(&share) {
            return Err(Misfit::new("depot.shadow.max_disagreement", share, "0 to 1"));
        }
        let hours = self.trial.active_hours;
        if !(0.0..=1000.0).contains(&hours) {
            return Err(Misfit::new("depot.trial.active_hours", hours, "0 to 1000"));
        }
        Ok(())
    }
}
