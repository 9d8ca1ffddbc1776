//! Where the vehicle is going: a corridor along the path that its yaw rate or steering angle draws.

use crate::arith::{from_degrees, magnitude, within};
use crate::bounds::{OutOfBounds, Section};
use crate::ego::Ego;

/// The vehicle, as far as its path and its attitude are concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct PathConfig {
    /// Width over the mirrors, in metres. Default 2.0.
    pub width_m: f32,
    /// Wheelbase in metres. Default 2.7.
    pub wheelbase_m: f32,
    /// Steering wheel angle per road wheel angle. Default 15.
    pub steering_ratio: f32,
    /// Pitch per deceleration, in degrees per m/s²: braking dips the nose. Default 0.25. It only widens what ranges from
    /// the foot are trusted within; it moves no horizon.
    pub dive_deg_per_mps2: f32,
}

impl Default for PathConfig {
    fn default() -> Self {
        Self { width_m: 2.0, wheelbase_m: 2.7, steering_ratio: 15.0, dive_deg_per_mps2: 0.25 }
    }
}

impl PathConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let section = Section("path");
        section.holds("width_m", self.width_m, 0.3, 4.0)?;
        section.holds("wheelbase_m", self.wheelbase_m, 0.5, 10.0)?;
        section.holds("steering_ratio", self.steering_ratio, 1.0, 40.0)?;
        section.holds("dive_deg_per_mps2", self.dive_deg_per_mps2, 0.0, 2.0)
    }

    /// Standard deviation of the pitch, in radians, at this longitudinal acceleration.
    pub(crate) fn dive(&self, acceleration: f32) -> f32 {
        from_degrees(self.dive_deg_per_mps2) * magnitude(acceleration)
    }
}

/// Below this speed, in m/s, yaw rate over speed is noise over nothing.
const SLOWEST: f32 = 2.0;
/// Sharpest curve that a path has, in 1/m: a turning circle of 10 m.
const SHARPEST: f32 = 0.2;

/// Seconds over which the path is smoothed.
const SMOOTHING: f32 = 0.25;

/// The path ahead, as a curvature in 1/m, positive to the left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Path {
    /// 1 / radius.
    pub curvature: f32,
}

impl Path {
    /// From yaw rate and speed; else from the steering angle by the single-track model without slip,
    /// κ = tan(δ / ratio) / wheelbase; else straight.
    pub fn ahead(config: &PathConfig, ego: &Ego) -> Self {
        let yawing = match (ego.yaw_rate.fresh(), ego.speed.fresh()) {
            (Some(rate), Some(speed)) if speed >= SLOWEST => Some(rate / speed),
            _ => None,
        };
        let steering = || {
            let wheel = ego.steering_angle.fresh()? / config.steering_ratio;
            Some(libm::tanf(within(wheel, -1.0, 1.0)) / config.wheelbase_m)
        };
        let curvature = yawing.or_else(steering).unwrap_or(0.0);
        Self { curvature: within(curvature, -SHARPEST, SHARPEST) }
    }

    /// `dt` seconds on towards the `newest` path. A yaw rate's noise of 0.2°/s swings the path by 0.2 m at 40 m, which
    /// would look like somebody who walks across it.
    pub(crate) fn follow(&mut self, newest: Self, dt: f32) {
        self.curvature += dt / (SMOOTHING + dt) * (newest.curvature - self.curvature);
    }

    /// Metres to the left of the path of a point `forwards` and `left` of us.
    pub fn offset(self, forwards: f32, left: f32) -> f32 {
        left - self.left(forwards)
    }

    /// Metres to the left of our middle at which the path lies `forwards` of us.
    pub fn left(self, forwards: f32) -> f32 {
        0.5 * self.curvature * forwards * forwards
    }
}
