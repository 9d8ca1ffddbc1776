//! What each kind of message holds. Readers pass over keys that they do not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::outbox::Subject;
use crate::record::WallTime;

/// Who a device is and what it runs: with it the fleet can read everything that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Version of the agent.
    pub agent: String,
    /// Version of the runtime; left out while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The runtime's name for itself; left out while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Hardware variant.
    pub hardware: String,
    /// Operating system, as `/etc/os-release` says it; left out where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Version of the kernel; left out where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// SHA-256 of the agent's configuration file.
    pub configuration: Digest,
    /// Which settings from afar are in force, in words; left out where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// Cameras, by name.
    #[serde(default)]
    pub cameras: Vec<String>,
    /// Models that decide.
    #[serde(default)]
    pub models: Vec<BirthModel>,
    /// When: a label; left out while the clock is not synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_wall: Option<WallTime>,
}

/// A model that decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BirthModel {
    /// Its name in the configuration.
    pub name: String,
    /// The manifest's name; left out until it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The manifest's version; left out until it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of the ONNX file; left out until it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Digest of the bundle, `factory` for the one that came with the device; left out where it is none over the air.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// What a device is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The runtime's: `init`, `ready`, `active`, `degraded`, `fail_safe`, `stopped`; `unknown` where its health file is old,
    /// missing or not read.
    pub runtime: String,
    /// The cause's code, where the state has one; for `unknown` why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Codes of all causes that are present.
    #[serde(default)]
    pub faults: Vec<String>,
    /// Whether commands are armed.
    #[serde(default)]
    pub armed: bool,
    /// Cameras with what is wrong with each; an empty list where nothing is.
    #[serde(default)]
    pub cameras: BTreeMap<String, Vec<String>>,
    /// Models, and how far a new one has come.
    #[serde(default)]
    pub models: Vec<ModelState>,
    /// Alerts that nobody has acknowledged, by id.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// Why records wait, in a word: `network_kind`, `day_budget`, `log_in`, `captive_portal`, …; left out while they go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_waits: Option<String>,
}

/// A model's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelState {
    /// Its name in the configuration.
    pub name: String,
    /// Digest of the bundle that decides, or `factory`.
    pub bundle: String,
    /// The roll-out that goes on or was the last; empty where there was none.
    #[serde(default)]
    pub rollout_id: String,
    /// How far it is.
    #[serde(default)]
    pub phase: String,
    /// The cause's code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Something happened that somebody should know: what the loop put into the outbox, and what became of it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique on the device: what an acknowledgement names.
    pub id: String,
    /// What is new.
    pub change: Change,
    /// What it is about.
    pub subject: Subject,
    /// The device's name, as configured.
    pub name: String,
    /// When the loop said it: a label.
    pub made_wall: WallTime,
    /// Persons down.
    #[serde(default)]
    pub persons_down: u8,
    /// The cause's code, where something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The situation's number, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situation: Option<u32>,
    /// Whether commands were armed.
    #[serde(default)]
    pub armed: bool,
    /// Whether somebody must acknowledge it.
    #[serde(default)]
    pub asks: bool,
    /// How often it was escalated so far.
    #[serde(default)]
    pub step: u32,
    /// Who acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What is new of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It begins, or was said once.
    New,
    /// Nobody answered in time.
    Escalated,
    /// Somebody answered.
    Acknowledged,
    /// It is over.
    Over,
}

/// Figures of a span of time. What the board does not tell is left out, never zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds that it covers; counters are since the start of their process.
    pub span_s: u64,
    /// Seconds since boot.
    pub uptime_s: u64,
    /// Share of all cores' time that was used in the span, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f32>,
    /// Bytes of memory, and of those that could be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Bytes of memory that could be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Resident memory of the runtime, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_resident_bytes: Option<u64>,
    /// Resident memory of the agent, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_resident_bytes: Option<u64>,
    /// The hottest sensor, degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// Whether the processor runs slower than it could for heat or supply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// Room on the file systems that are written to, by what lies there.
    #[serde(default)]
    pub disks: BTreeMap<String, DiskStats>,
    /// Bytes over mobile networks.
    #[serde(default)]
    pub mobile: MobileStats,
    /// Cameras, by name.
    #[serde(default)]
    pub cameras: BTreeMap<String, CameraStats>,
    /// What each stage took in the span.
    #[serde(default)]
    pub latencies: BTreeMap<String, LatencyStats>,
    /// Captured records.
    #[serde(default)]
    pub spool: SpoolStats,
    /// Messages and outcomes.
    #[serde(default)]
    pub messages: WaitingStats,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStats {
    /// Bytes that an unprivileged program may still write.
    pub free_bytes: u64,
    /// Files that may still be made.
    pub free_files: u64,
}

/// Bytes over mobile networks, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobileStats {
    /// In the day that goes on.
    pub day_bytes: u64,
    /// In the billing month that goes on.
    pub month_bytes: u64,
}

/// A camera, since the start of the runtime.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraStats {
    /// Frames decided on per second, over the last whole second.
    pub decided_fps: f32,
    /// Frames decided on.
    pub decided: u64,
    /// Frames that the device made and nobody got, that a newer one replaced, that were shed, and that could not be used.
    pub dropped: u64,
    /// Times it was lost.
    pub lost: u64,
    /// Whether it is powered, in the kernel's words (`active`, `suspended`); left out where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
}

/// What a stage took in the span, microseconds. Percentiles are upper bounds by powers of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyStats {
    /// How often it ran.
    pub count: u64,
    /// Half of them took at most this.
    pub p50_us: u64,
    /// 99 of 100 took at most this.
    pub p99_us: u64,
    /// The longest since the start of the runtime.
    pub max_us: u64,
}

/// Captured records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStats {
    /// Records that wait.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Since the start of the agent: the fleet has them.
    pub delivered: u64,
    /// Since the start of the agent: the fleet does not want them, or cannot read them.
    pub rejected: u64,
    /// Since the start of the agent: too old to be wanted.
    pub expired: u64,
}

/// Messages and outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingStats {
    /// That wait.
    pub waiting: u64,
    /// Since the start of the agent: gone because too many newer ones waited.
    pub dropped: u64,
}
