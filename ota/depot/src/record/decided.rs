//! What was decided on a frame, as the decision record holds it. Codes are those of `stopline-decide`.

use serde::{Deserialize, Serialize};

/// An object that is followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedTrack {
    /// Stable while it is followed; never used again.
    pub id: u32,
    /// `stop_sign`, `person`, `person_down`, or `watched:N`, N counted from 0.
    pub role: String,
    /// Median score over the confirmation window.
    pub score: f32,
    /// Smoothed corners x1, y1, x2, y2 in source pixels.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// Which of the record's detections it was matched to, by place; left out where it was carried on without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<u16>,
}

/// One situation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedSituation {
    /// Stable over its life; never used again.
    pub id: u32,
    /// `stop_sign`, `pedestrian`, `fall`, or `watched:N`.
    pub kind: String,
    /// `suspected`, `confirmed`, `warning`, `braking`, `holding`, `ended`.
    pub phase: String,
    /// The track it is about, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<u32>,
    /// When it was first suspected, on the clock of `captured_ns`.
    pub since_ns: u64,
    /// Metres to the stop line or the person, along our path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f32>,
    /// Seconds to collision or to the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttc_s: Option<f32>,
    /// Median score over the confirmation window.
    pub score: f32,
    /// Whether a stop is possible within the limits.
    pub reachable: bool,
}

/// What the runtime was in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedState {
    /// `init`, `ready`, `active`, `degraded`, `fail_safe`.
    pub name: String,
    /// Why, where there is a cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// One period's command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedCommand {
    /// Row of the safe-command table: `idle`, `warning`, `braking`, `holding`, `overridden`.
    pub row: String,
    /// Whether a receiver may act on it.
    pub valid: bool,
    /// Whether the actuators were armed; where not, it shows what would have been sent.
    pub armed: bool,
    /// m/s², 0 or more.
    pub deceleration: f32,
    /// Hold at standstill.
    pub hold: bool,
    /// The parking brake is asked for.
    pub parking_brake: bool,
    /// `inform` or `warn`, where the driver is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<String>,
    /// The autopilot must hand over.
    pub disengage: bool,
    /// Somebody must be told of a hold.
    pub escalate: bool,
    /// Persons down.
    pub persons_down: u8,
    /// Nobody watches for falls where somebody should.
    pub monitoring_lost: bool,
    /// Age of the picture that it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_age_us: Option<u64>,
    /// Age of the decision that it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_age_us: Option<u64>,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The situation that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situation: Option<u32>,
}

/// The vehicle's signals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedEgo {
    /// m/s, negative in reverse.
    pub speed: RecordedReading<f32>,
    /// rad/s, positive to the left.
    pub yaw_rate: RecordedReading<f32>,
    /// Of the wheel, rad, positive to the left.
    pub steering_angle: RecordedReading<f32>,
    /// Of the wheel, rad/s, positive to the left.
    pub steering_rate: RecordedReading<f32>,
    /// 0 to 1.
    pub accelerator: RecordedReading<f32>,
    /// 0 to 1.
    pub brake_pedal: RecordedReading<f32>,
    /// m/s², positive forwards.
    pub acceleration: RecordedReading<f32>,
    /// Ignition on.
    pub ignition: RecordedReading<bool>,
    /// An autopilot drives.
    pub autopilot: RecordedReading<bool>,
    /// The driver's off switch.
    pub off_switch: RecordedReading<bool>,
    /// The driver's release of a hold.
    pub release: RecordedReading<bool>,
}

/// A signal: its value, or a word that says why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordedReading<T> {
    /// Within its staleness limit, counter and checksum right.
    Fresh(T),
    /// None.
    None(NoReading),
}

/// Why a signal has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoReading {
    /// Received before, not within its limit.
    Stale,
    /// Counter, checksum or value wrong.
    Invalid,
    /// Never received, or not configured.
    #[default]
    Missing,
}

impl<T> Default for RecordedReading<T> {
    fn default() -> Self {
        Self::None(NoReading::Missing)
    }
}
