//! The motion model: per box centre and size one constant-velocity Kalman filter in seconds.
//!
//! ByteTrack and SORT filter (centre, size) with one 8 × 8 covariance, but their motion and noise couple a component
//! with its own velocity only: the covariance stays block-diagonal, so four filters of two states are the same filter.

use crate::arith::larger;

/// One component: its value in pixels, its velocity in pixels per second, and their covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub value: f32,
    pub velocity: f32,
    variance: f32,
    covariance: f32,
    velocity_variance: f32,
}

impl Axis {
    /// Seen once at `value` with standard deviation `sigma`; the velocity unknown within `velocity_sigma`.
    pub fn new(value: f32, sigma: f32, velocity_sigma: f32) -> Self {
        Self {
            value,
            velocity: 0.0,
            variance: sigma * sigma,
            covariance: 0.0,
            velocity_variance: velocity_sigma * velocity_sigma,
        }
    }

    /// `dt` seconds on. `density` is the spectral density of the white acceleration, in px²/s³: its integrals, not a
    /// constant per frame, are what make the filter independent of the frame rate (Bar-Shalom, Li, Kirubarajan:
    /// Estimation with Applications to Tracking and Navigation, §6.2.2).
    pub fn predict(&mut self, dt: f32, density: f32) {
        self.value += self.velocity * dt;
        self.variance +=
            dt * (2.0 * self.covariance + dt * self.velocity_variance) + density * dt * dt * dt / 3.0;
        self.covariance += dt * self.velocity_variance + density * dt * dt / 2.0;
        self.velocity_variance += density * dt;
    }

    /// Seen at `measured` with standard deviation `sigma`.
    pub fn update(&mut self, measured: f32, sigma: f32) {
        let total = self.variance + sigma * sigma;
        if total <= 0.0 {
            return;
        }
        let (gain, velocity_gain) = (self.variance / total, self.covariance / total);
        let innovation = measured - self.value;
        self.value += gain * innovation;
        self.velocity += velocity_gain * innovation;
        self.velocity_variance = larger(0.0, self.velocity_variance - velocity_gain * self.covariance);
        self.covariance *= 1.0 - gain;
        self.variance *= 1.0 - gain;
    }

    /// Variance of the value, in px².
    pub fn variance(&self) -> f32 {
        self.variance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_motion_is_found_whatever_the_frame_rate() {
        for fps in [5.0, 10.0, 30.0, 60.0] {
            let mut axis = Axis::new(100.0, 1.0, 100.0);
            let mut at = 0.0;
            while at < 2.0 {
                axis.predict(1.0 / fps, 400.0);
                at += 1.0 / fps;
                axis.update(100.0 + 40.0 * at, 1.0);
            }
            assert!((axis.velocity - 40.0).abs() < 0.5, "{fps} fps: {}", axis.velocity);
        }
    }

    #[test]
    fn uncertainty_grows_alike_in_one_long_step_and_in_many_short_ones() {
        let (mut long, mut short) = (Axis::new(0.0, 1.0, 5.0), Axis::new(0.0, 1.0, 5.0));
        long.predict(0.5, 30.0);
        for _ in 0..50 {
            short.predict(0.01, 30.0);
        }
        assert!((long.variance() - short.variance()).abs() < 1e-3 * long.variance());
        assert!((long.velocity_variance - short.velocity_variance).abs() < 1e-3 * long.velocity_variance);
    }

    #[test]
    fn a_measurement_without_any_variance_changes_nothing() {
        let mut axis = Axis::new(1.0, 0.0, 0.0);
        axis.update(9.0, 0.0);
        assert_eq!(axis.value, 1.0);
    }
}
