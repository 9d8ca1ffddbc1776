//! What the commander may do: the configuration's `[command]`.

use crate::arith::larger;
use crate::bounds::{OutOfBounds, Section};
use crate::time::Nanos;

/// Limits of what may be asked of the brake, and when it must stop. The defaults are the documented ones.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct CommandConfig {
    /// Age of a decision, since it reached the commander, from which on it is no command: max(2.5 frame periods,
    /// 100 ms). Default 100 ms, for 25 frames per second and more; 20 to 500 ms.
    pub max_decision_age_ms: f32,
    /// Age of the picture from which on a decision is no command, however new it is. Default 250 ms; 20 to 1000 ms.
    pub max_object_age_ms: f32,
    /// Longest time that a brake in progress stays on its last value when its object cannot be seen. Default 0.5 s;
    /// 0 to 0.5 s.
    pub max_blind_s: f32,
    /// Most deceleration for a sign. Default 4 m/s²; 0.5 to 6 m/s².
    pub max_deceleration: f32,
    /// Most deceleration for a person. Default 9 m/s²; 0.5 to 10 m/s².
    pub max_emergency_deceleration: f32,
    /// Fastest rise for a sign. Default 5 m/s³; 0.5 to 50 m/s³.
    pub max_jerk: f32,
    /// Fastest rise for a person. Default 30 m/s³; 1 to 100 m/s³.
    pub max_emergency_jerk: f32,
    /// How fast a deceleration goes down again, whatever the reason. Default 10 m/s³; 1 to 50 m/s³.
    pub release_jerk: f32,
    /// Longest braking for one object. Default 20 s; 1 to 60 s. Never ends a hold.
    pub max_duration_s: f32,
    /// Speed below which the vehicle stands. Default 0.15 m/s; 0.01 to 1 m/s.
    pub standstill_speed: f32,
    /// Deceleration asked for while holding, for a brake controller that has no hold of its own. Default 2 m/s²;
    /// 0.5 to 5 m/s².
    pub hold_deceleration: f32,
    /// How long a hold may stay unanswered before the parking brake is asked for and it escalates. Default 30 s;
    /// 1 to 600 s.
    pub hold_unanswered_s: f32,
    /// Whether pressing the accelerator ends a hold, besides the release action. Default true.
    pub release_by_accelerator: bool,
    /// Rise of the accelerator since the brake began that is a kick-down, of 0 to 1. Default 0.25; 0.05 to 0.9.
    pub kick_down: f32,
    /// Steering wheel rate that is an evasive manoeuvre. Default 3.5 rad/s (200°/s); 0.5 to 20 rad/s.
    pub steering_rate: f32,
    /// When the autopilot must hand over.
    pub disengage: Disengage,
    /// Lets a brake begin although ego speed is not known. Default false: distances, and whether the vehicle stands,
    /// are guesses then.
    pub brake_without_speed: bool,
    /// Lets a brake begin although accelerator or steering is not known. Default false: the driver could not take
    /// over.
    pub brake_without_driver_signals: bool,
}

/// When the autopilot must hand over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Disengage {
    /// When the driver takes over, or the vehicle stands: it goes on steering while it brakes.
    #[default]
    TakeoverOrStandstill,
    /// When a brake begins.
    BrakeOnset,
    /// Never.
    Never,
}

impl Default for CommandConfig {
    fn default() -> Self {
        Self {
            max_decision_age_ms: 100.0,
            max_object_age_ms: 250.0,
            max_blind_s: 0.5,
            max_deceleration: 4.0,
            max_emergency_deceleration: 9.0,
            max_jerk: 5.0,
            max_emergency_jerk: 30.0,
            release_jerk: 10.0,
            max_duration_s: 20.0,
            standstill_speed: 0.15,
            hold_deceleration: 2.0,
            hold_unanswered_s: 30.0,
            release_by_accelerator: true,
            kick_down: 0.25,
            steering_rate: 3.5,
            disengage: Disengage::default(),
            brake_without_speed: false,
            brake_without_driver_signals: false,
        }
    }
}

impl CommandConfig {
    /// Whether every number is within its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let section = Section("command");
        section.holds("max_decision_age_ms", self.max_decision_age_ms, 20.0, 500.0)?;
        section.holds("max_object_age_ms", self.max_object_age_ms, 20.0, 1000.0)?;
        section.holds("max_blind_s", self.max_blind_s, 0.0, 0.5)?;
        section.holds("max_deceleration", self.max_deceleration, 0.5, 6.0)?;
        section.holds("max_emergency_deceleration", self.max_emergency_deceleration, 0.5, 10.0)?;
        section.holds("max_jerk", self.max_jerk, 0.5, 50.0)?;
        section.holds("max_emergency_jerk", self.max_emergency_jerk, 1.0, 100.0)?;
        section.holds("release_jerk", self.release_jerk, 1.0, 50.0)?;
        section.holds("max_duration_s", self.max_duration_s, 1.0, 60.0)?;
        section.holds("standstill_speed", self.standstill_speed, 0.01, 1.0)?;
        section.holds("hold_deceleration", self.hold_deceleration, 0.5, 5.0)?;
        section.holds("hold_unanswered_s", self.hold_unanswered_s, 1.0, 600.0)?;
        section.holds("kick_down", self.kick_down, 0.05, 0.9)?;
        section.holds("steering_rate", self.steering_rate, 0.5, 20.0)
    }

    /// The same for a camera whose frames are `period` apart: a decision lasts max(2.5 periods, 100 ms), and its picture
    /// at least 150 ms longer, for capture and inference.
    #[must_use]
    pub fn with_frame_period(self, period: Nanos) -> Self {
        let max_decision_age_ms = larger(100.0, period.seconds() * 2500.0);
        let max_object_age_ms = larger(self.max_object_age_ms, max_decision_age_ms + 150.0);
        Self { max_decision_age_ms, max_object_age_ms, ..self }
    }
}

/// `milliseconds` as a duration; what is no number is none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from f32 saturates")]
pub(super) fn milliseconds(milliseconds: f32) -> Nanos {
    Nanos((milliseconds * 1e3) as u64 * 1_000)
}

/// `seconds` as a duration; what is no number is none.
pub(super) fn seconds(seconds: f32) -> Nanos {
    milliseconds(seconds * 1e3)
}
