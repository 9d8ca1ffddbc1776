//! How hard to brake so that the front stands before the line.

use super::StopSignConfig;
use crate::arith::larger;

/// Share beyond the limit at which a brake in progress says that the line is not reached.
pub(super) const TOLERANCE: f32 = 1.3;
/// Time constant of a brake that is already on, in s.
const SETTLED: f32 = 0.15;
/// Metres before the stop point from which on the deceleration rises no more: speed² / distance is noise there.
const LAST: f32 = 0.4;
/// Share of the comfort deceleration that a brake in progress keeps on its last metres, so that it comes to a stand.
const LEAST: f32 = 0.5;
/// Share of it below which, farther away, a brake in progress is no longer needed: somebody else has braked.
const NEEDLESS: f32 = 0.25;

/// Metres that are left to the stop point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    pub distance: f32,
}

impl Room {
    /// Constant deceleration that stops within the room, if the brake begins now: a = v² / 2(d − v·t). The delay t is the
    /// brake's lag and half of the ramp to the comfort deceleration (its distance, to first order).
    pub fn to_begin(self, speed: f32, config: &StopSignConfig) -> f32 {
        let delay = config.brake_lag_s + 0.5 * config.comfort_mps2 / config.jerk_mps3;
        self.needed(speed, delay)
    }

    /// The same for a brake that is on and asks for `now`.
    pub fn to_go_on(self, speed: f32, now: f32, config: &StopSignConfig) -> f32 {
        let need = self.needed(speed, SETTLED);
        if self.distance <= LAST {
            larger(now, LEAST * config.comfort_mps2)
        } else if self.distance <= config.line_m {
            larger(need, LEAST * config.comfort_mps2)
        } else if need < NEEDLESS * config.comfort_mps2 {
            0.0
        } else {
            need
        }
    }

    /// Whether braking would begin within the time that the driver is told ahead.
    pub fn is_soon(self, speed: f32, config: &StopSignConfig) -> bool {
        let later = Self { distance: self.distance - speed * config.warn_ahead_s };
        later.to_begin(speed, config) >= config.comfort_mps2
    }

    fn needed(self, speed: f32, delay: f32) -> f32 {
        let left = self.distance - speed * delay;
        if speed <= 0.0 {
            0.0
        } else if left > 0.05 {
            speed * speed / (2.0 * left)
        } else {
            UNREACHABLE
        }
    }
}

/// More than any brake has.
const UNREACHABLE: f32 = 100.0;
