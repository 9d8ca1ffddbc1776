//! The health file: what the runtime is in, once a second, for everybody who looks at it from outside (`stopline view`,
//! `stopline doctor`, the agent, a person with `cat`).
//!
//! `RUN DIRECTORY/health.json`, one JSON object, put in place by a rename: a reader meets a whole one or none. A reader
//! looks at `schema` first and may meet keys it does not know: within a schema version keys are added, never changed.
//! A file whose `written_wall` is old, or whose process is gone, says only what was.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::drift::Alarm;
use crate::record::{ModelIdentity, WallTime};

/// The schema this code writes.
pub const SCHEMA: u32 = 1;

/// A health file is far smaller.
const MOST_BYTES: u64 = 1 << 20;

/// What the runtime is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Version of this schema; 1.
    pub schema: u32,
    /// The device's name, as configured.
    pub name: String,
    /// Version of the runtime.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When this was written: a label.
    pub written_wall: WallTime,
    /// Milliseconds since the process began.
    pub uptime_ms: u64,
    /// State and cause.
    pub state: StateHealth,
    /// Codes of all causes that are present, those of single cameras included.
    pub faults: Vec<String>,
    /// Whether commands are armed, and why not.
    pub arming: ArmingHealth,
    /// Cameras, in the configuration's order.
    pub cameras: Vec<CameraHealth>,
    /// Models, in the configuration's order.
    pub models: Vec<ModelHealth>,
    /// What the last command was.
    pub command: CommandHealth,
    /// Actuators, in the configuration's order.
    pub actuators: Vec<ActuatorHealth>,
    /// What each stage takes.
    pub stages: Vec<StageHealth>,
    /// What the machine granted and gives.
    pub machine: MachineHealth,
    /// The newest transitions, oldest first; at most [`TRANSITIONS`].
    pub transitions: Vec<TransitionHealth>,
    /// All transitions since the process began.
    pub transitions_total: u64,
    /// What drifted, oldest first; at most [`DRIFTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftHealth>,
    /// What the vehicle says; left out by a camera without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<VehicleHealth>,
    /// What was captured; left out where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureHealth>,
    /// Readers of the stream now, and readers dropped because they did not keep up.
    pub stream: StreamHealth,
}

/// Most transitions in the file.
pub const TRANSITIONS: usize = 32;

/// Most drifts in the file.
pub const DRIFTS: usize = 32;

/// Something is no longer as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftHealth {
    /// Its number, from 1 in each process.
    pub number: u64,
    /// The camera.
    pub camera: String,
    /// The model's name in the configuration.
    pub model: String,
    /// The model's version and digest.
    pub identity: ModelIdentity,
    /// What it is.
    pub alarm: Alarm,
}

/// What the vehicle says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VehicleHealth {
    /// The ignition is on; left out while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignition: Option<bool>,
}

/// Frames captured since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureHealth {
    /// Records in the spool, or evicted at once.
    pub spooled: u64,
    /// Frames taken, by rule.
    pub taken: BTreeMap<String, u64>,
    /// Reports that found no room.
    pub dropped: u64,
    /// Wanted by a rule whose limits were used up.
    pub limited: u64,
    /// Pictures that could not be made unrecognisable, and so were not written.
    pub unredacted: u64,
    /// Records that the spool did not take.
    pub refused: u64,
}

/// State and cause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StateHealth {
    /// `init`, `ready`, `active`, `degraded`, `fail_safe`, and `stopped` in the last file of a process that ended in order.
    pub name: String,
    /// The cause's code, where the state has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Milliseconds in this state.
    pub for_ms: u64,
}

/// Whether commands are armed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmingHealth {
    /// They are.
    pub armed: bool,
    /// What armed, or what is missing.
    pub because: String,
}

/// One camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraHealth {
    /// Its name.
    pub name: String,
    /// `v4l2`, `rtsp`, `clip`, `images`, `pattern`; empty until it is open.
    pub kind: String,
    /// Pixels across and down; zero until it is open.
    pub size: [u32; 2],
    /// Nominal frames per second, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nominal_fps: Option<f32>,
    /// Frames decided on per second, over the last whole second.
    pub decided_fps: f32,
    /// Frames that came.
    pub delivered: u64,
    /// Frames that the device made and nobody got.
    pub dropped: u64,
    /// Frames that a newer one replaced before they were looked at.
    pub replaced: u64,
    /// Frames left out because the machine is throttled or its supply too low, and this camera is not the first.
    #[serde(default)]
    pub shed: u64,
    /// Frames that were not looked at because nothing had moved since one that was (`camera.attention`).
    #[serde(default)]
    pub still: u64,
    /// Frames that were looked at in part (`camera.attention`).
    #[serde(default)]
    pub narrowed: u64,
    /// Times that a model was left out of a frame whose time was spent (`camera.attention`).
    #[serde(default)]
    pub left_out: u64,
    /// Frames that could not be used.
    pub skipped: u64,
    /// Times it was lost.
    pub lost: u64,
    /// Times it came back.
    pub restored: u64,
    /// Frames decided on.
    pub decided: u64,
    /// Frames for which a model gave impossible numbers.
    pub invalid: u64,
    /// Milliseconds since the newest picture was taken; left out before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_ms: Option<u64>,
    /// Milliseconds from the start of the process to the first decision; left out before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_decision_ms: Option<u64>,
    /// Whether it is powered, in the kernel's words (`active`, `suspended`); left out where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// Codes of what is wrong with it.
    pub faults: Vec<String>,
    /// The models that looked at its newest frame.
    pub models: Vec<String>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelHealth {
    /// Its name in the configuration.
    pub name: String,
    /// Which model exactly; left out until it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ModelIdentity>,
    /// Frames it looked at.
    pub frames: u64,
    /// Which bundle it is and how far a new one has come, for a model over the air.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentHealth>,
}

/// A model over the air.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentHealth {
    /// Digest of the bundle that decides; `factory` for the one that came with the device.
    pub bundle: String,
    /// The floor has risen above it.
    #[serde(default)]
    pub below_floor: bool,
    /// The roll-out that goes on or was the last; empty where there was none.
    pub rollout_id: String,
    /// How far it is: `staged`, `tested`, `shadow`, `armed`, `trial`, `good`, `deferred`, `rejected`, `withdrawn`, `reverted`.
    pub phase: String,
    /// The cause's code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// In words: what is waited for, what was wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The last command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommandHealth {
    /// Row of the safe-command table.
    pub row: String,
    /// Whether a receiver may act on it.
    pub valid: bool,
    /// Deceleration asked for, in m/s².
    pub deceleration: f32,
    /// Hold at standstill.
    pub hold: bool,
    /// Commands made since the process began.
    pub made: u64,
    /// Longest time from one to the next, in microseconds.
    pub longest_gap_us: u64,
}

/// One actuator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActuatorHealth {
    /// Its name in the configuration.
    pub name: String,
    /// `can`, `gpio`, `run`, `outbox`, `log`.
    pub kind: String,
    /// What is wrong with it; left out when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What a stage takes, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageHealth {
    /// `wait` (capture to inference), `prepare`, `infer`, `decode`, `decide`, `total` (capture to decision), `act`.
    pub stage: String,
    /// How often it ran.
    pub count: u64,
    /// All of its time together.
    pub sum_us: u64,
    /// The longest so far.
    pub max_us: u64,
    /// How often it took at most 2^i microseconds, for i = 0, 1, …: cumulative, the last is `count`.
    pub within_power_us: Vec<u64>,
}

/// What the machine granted and gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineHealth {
    /// `locked`, `off`, or why memory is not locked.
    pub memory: String,
    /// `fifo`, `off`, or why there is no real-time scheduling.
    pub scheduling: String,
    /// Resident memory, in KiB.
    pub resident_kib: u64,
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitionHealth {
    /// Its number, from 1 in each process; with it a reader tells every transition once.
    pub number: u64,
    /// When: a label.
    pub wall: WallTime,
    /// Milliseconds after the process began.
    pub uptime_ms: u64,
    /// The state before.
    pub from: String,
    /// The state since.
    pub to: String,
    /// Why: the cause that came, or that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The stream's readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHealth {
    /// Connected now.
    pub readers: u32,
    /// Dropped because they did not keep up.
    pub dropped: u64,
}

/// Why a health file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It cannot be read.
    #[error("{path}: cannot read the health file: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// It is no health file.
    #[error("{path}: no health file: {problem}")]
    Malformed {
        /// The file.
        path: String,
        /// What was found.
        problem: String,
    },
    /// A schema that this code does not know.
    #[error(
        "{path}: health file of schema {found}, expected {SCHEMA}; use the same version of both programs"
    )]
    Schema {
        /// The file.
        path: String,
        /// Its schema.
        found: u64,
    },
}

impl Health {
    /// Reads the file `path`, bounded.
    ///
    /// # Errors
    /// [`HealthError`].
    pub fn read(path: &Path) -> Result<Self, HealthError> {
        let name = || path.display().to_string();
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
            .map_err(|cause| HealthError::Read { path: name(), cause })?;
        let malformed =
            |error: serde_json::Error| HealthError::Malformed { path: name(), problem: error.to_string() };
        #[derive(Deserialize)]
        struct Schema {
            schema: u64,
        }
        let Schema { schema } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if schema != u64::from(SCHEMA) {
            return Err(HealthError::Schema { path: name(), found: schema });
        }
        serde_json::from_slice(&bytes).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Health, HealthError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writes");
        Health::read(file.path())
    }

    const LEAST: &str = r#"{"schema":1,"name":"car","version":"0.1.0","pid":7,"written_wall":"2026-02-28T23:59:59.000250Z",
        "uptime_ms":5,"state":{"name":"fail_safe","cause":"camera_lost","for_ms":3},"faults":["camera_lost"],
        "arming":{"armed":false,"because":"arm.armed is false"},"cameras":[],"models":[],
        "command":{"row":"idle","valid":false,"deceleration":0.0,"hold":false,"made":3,"longest_gap_us":20100},
        "actuators":[],"stages":[],"machine":{"memory":"off","scheduling":"off","resident_kib":4000},
        "transitions":[],"transitions_total":0,"stream":{"readers":0,"dropped":0},"later":true}"#;

    #[test]
    fn a_file_of_a_later_version_with_more_keys_is_read() {
        let health = file(LEAST).expect("reads");
        assert_eq!(health.state.cause.as_deref(), Some("camera_lost"));
        let again: Health =
            serde_json::from_str(&serde_json::to_string(&health).expect("writes")).expect("reads");
        assert_eq!(again, health);
    }

    #[test]
    fn another_schema_garbage_and_absence_are_told_apart() {
        let other = file(&LEAST.replacen("\"schema\":1", "\"schema\":2", 1)).expect_err("refused");
        assert!(matches!(other, HealthError::Schema { found: 2, .. }), "{other}");
        assert!(matches!(file("{\"schema\":1}"), Err(HealthError::Malformed { .. })));
        assert!(matches!(file("half {"), Err(HealthError::Malformed { .. })));
        assert!(matches!(Health::read(Path::new("/nowhere/health.json")), Err(HealthError::Read { .. })));
    }
}
