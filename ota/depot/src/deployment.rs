//! The life of a model: three words for three things. What a slot holds; what is known of a bundle, by digest; how far a
//! deployment has come, by roll-out.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::versioned::{Versioned, check_name};

/// How far one deployment has come: Offered → Fetching → Staged → Tested → Shadow → Armed → Trial → Good, and the ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The roll-out names this device.
    Offered,
    /// On its way.
    Fetching,
    /// Whole in a slot, digest read back.
    Staged,
    /// It answered its golden vectors here, in time and memory.
    Tested,
    /// It sees what the active model sees, and acts on nothing.
    Shadow,
    /// It waits for standstill and fresh roll-out metadata.
    Armed,
    /// It decides, watched.
    Trial,
    /// It decides.
    Good,
    /// Not now; tried again.
    Deferred,
    /// Never, for this bundle.
    Rejected,
    /// The roll-out was aborted or superseded.
    Withdrawn,
    /// It was taken back in Trial: Bad.
    Reverted,
}

impl Phase {
    /// Whether `next` may follow. Deferred goes back to where it came from; Rejected, Withdrawn, Reverted and Good end it.
    pub fn may_become(self, next: Self) -> bool {
        use Phase::{
            Armed, Deferred, Fetching, Good, Offered, Rejected, Reverted, Shadow, Staged, Tested, Trial,
            Withdrawn,
        };
        match self {
            Offered => matches!(next, Fetching | Staged | Deferred | Rejected | Withdrawn),
            Fetching => matches!(next, Staged | Deferred | Rejected | Withdrawn),
            Staged => matches!(next, Tested | Deferred | Rejected | Withdrawn),
            Tested => matches!(next, Shadow | Armed | Deferred | Rejected | Withdrawn),
            Shadow => matches!(next, Armed | Deferred | Rejected | Withdrawn),
            Armed => matches!(next, Trial | Deferred | Rejected | Withdrawn),
            // Deferred: taken back for something that the model has no part in, such as heat.
            Trial => matches!(next, Good | Reverted | Withdrawn | Deferred),
            Deferred => !matches!(next, Trial | Good | Reverted),
            Good | Rejected | Withdrawn | Reverted => false,
        }
    }
}

/// Why a deployment waits, ended or was taken back. The code is stable: logs, messages and metrics use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployCause {
    /// Deferred: no network, or not this kind.
    Network,
    /// Deferred: no room for it, or the disk refused.
    Space,
    /// Deferred: too hot.
    Heat,
    /// Deferred: the runtime is older than the bundle asks for.
    MinRuntime,
    /// Deferred: not now, by roll-out or configuration.
    Window,
    /// Deferred: the bundle is not for this hardware.
    Hardware,
    /// Deferred: a format newer than this program.
    Schema,
    /// Deferred: the clock is not synchronised.
    Clock,
    /// Deferred: a fault that the model has no part in, such as a lost camera.
    Surroundings,
    /// Deferred: the battery is too low.
    Power,
    /// Rejected: a signature, threshold or role does not hold.
    Signature,
    /// Rejected: expired metadata.
    Expired,
    /// Rejected: length or digest differ.
    Content,
    /// Rejected: below the security floor.
    Floor,
    /// Rejected: on the deny list.
    Denied,
    /// Rejected: the bundle or its manifest is refused.
    Bundle,
    /// Rejected: its verdict here is Bad.
    KnownBad,
    /// Rejected: it did not load.
    Load,
    /// Rejected: it did not answer its golden vectors.
    Golden,
    /// Rejected or reverted: too slow on this board.
    Latency,
    /// Rejected or reverted: too much memory.
    Memory,
    /// Rejected: in Shadow it disagreed too much with the active one.
    Disagreement,
    /// Reverted: the process ended or was killed.
    Crash,
    /// Reverted: it stopped answering.
    Stalled,
    /// Reverted: impossible outputs.
    Outputs,
    /// Withdrawn: aborted.
    Aborted,
    /// Withdrawn: a newer roll-out took its place.
    Superseded,
}

/// What is known of a bundle, by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum VerdictState {
    /// Nothing.
    Untested,
    /// It passed its self-test on this board.
    Tested,
    /// It has decided long enough.
    Good,
    /// Something in the model itself is wrong.
    Bad {
        /// What.
        cause: DeployCause,
    },
}

/// A verdict, `verdicts/DIGEST.json`; the runtime writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Of `bundle.tar`.
    pub digest: Digest,
    /// What is known.
    pub verdict: VerdictState,
    /// Runtime that found it out; a newer one tries a load failure again.
    pub runtime: semver::Version,
    /// Attempts that ended with a cause that the model has no part in.
    #[serde(default)]
    pub deferred: u32,
}

impl Versioned for Verdict {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "verdict";
    const LIMIT: usize = 4 << 10;
}

/// What the runtime found out once about a bundle and need not judge again: `approvals/DIGEST.json`. Signatures hold for
/// ever; keys that are rotated later change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The model's name.
    pub model: String,
    /// Of `bundle.tar`.
    pub digest: Digest,
    /// Its place in the order of releases: floors are compared with it.
    pub release_seq: u64,
    /// Root under which it was judged.
    pub root_version: u64,
}

impl Versioned for Approval {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "approval";
    const LIMIT: usize = 4 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("model", &self.model)
    }
}

/// What a device says of a deployment, signed with its own key: MQTT or TLS alone proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The device.
    pub device: String,
    /// Its boot; with `seq` it makes a message one of a kind.
    pub boot_id: String,
    /// Rises by one for each message in a boot.
    pub seq: u64,
    /// The roll-out.
    pub rollout_id: String,
    /// Hardware variant.
    pub hardware: String,
    /// The model; models of one device are not compared with each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of `bundle.tar`.
    pub digest: Digest,
    /// How far it came.
    pub phase: Phase,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<DeployCause>,
    /// What was counted since Trial began, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
}

impl Versioned for Outcome {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "outcome";
    const LIMIT: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("rollout_id", &self.rollout_id)?;
        check_name("hardware", &self.hardware)?;
        self.model.as_ref().map_or(Ok(()), |model| check_name("model", model))?;
        check_name("device", &self.device)
    }
}

/// What a model did while it decided: compared per active hour between those who have the new one and those who do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exposure {
    /// Seconds in which frames were processed.
    pub active_s: u64,
    /// Frames processed.
    pub frames: u64,
    /// Times the ignition was switched on.
    pub ignition_cycles: u64,
    /// Times the process ended by itself.
    pub crashes: u64,
    /// Situations confirmed.
    pub events: u64,
    /// Alerts and warnings.
    pub alerts: u64,
    /// Times the driver overrode.
    pub overrides: u64,
    /// Frames in which Shadow and active model disagreed.
    pub disagreements: u64,
    /// Times its input was found to have drifted.
    #[serde(skip_serializing_if = "is_none_of_them")]
    pub drifts: u64,
    /// 99th percentile of frame to decision, microseconds.
    pub latency_p99_us: u64,
}

/// Left out, so that what counted no drift reads as schema 1 was first written.
fn is_none_of_them(count: &u64) -> bool {
    *count == 0
}

impl Exposure {
    /// What was counted before and what was counted since; the latency is the newer one, where there is one.
    #[must_use]
    pub fn and_then(&self, since: &Self) -> Self {
        Self {
            active_s: self.active_s.saturating_add(since.active_s),
            frames: self.frames.saturating_add(since.frames),
            ignition_cycles: self.ignition_cycles.saturating_add(since.ignition_cycles),
            crashes: self.crashes.saturating_add(since.crashes),
            events: self.events.saturating_add(since.events),
            alerts: self.alerts.saturating_add(since.alerts),
            overrides: self.overrides.saturating_add(since.overrides),
            disagreements: self.disagreements.saturating_add(since.disagreements),
            drifts: self.drifts.saturating_add(since.drifts),
            latency_p99_us: if since.frames > 0 { since.latency_p99_us } else { self.latency_p99_us },
        }
    }
}
