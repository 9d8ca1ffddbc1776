//! Whether somebody will be where we are, when we are there.
//!
//! The closest approach over time: the person moves on as seen, we arrive after the time to collision; what counts is
//! how far beside our path the person is *then* — not where he is now, and not whether two stopping distances meet.

use super::PedestrianConfig;
use crate::arith::{larger, magnitude, root, smaller};
use crate::camera::Ranger;

/// Seconds after the front has arrived in which the person may still walk into it: the error of the time.
const PASSING: f32 = 0.2;
/// Deviations beyond which growth overrules the range: the person is not where, or does not stand still as, assumed.
const APART: f32 = 3.0;
/// Deviations by which somebody beside our path must be known to enter it.
const SURE: f32 = 0.75;
/// Spectral density of a person's acceleration, in m²/s³: 1.3 m/s² for a quarter of a second.
const STARTING: f32 = 0.4;
/// Standard deviation of a person's own speed along our path, in m/s.
pub(super) const WALKING: f32 = 1.5;

/// How soon we are there, in 1/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Closing {
    /// 1 / time to collision, by range and growth together.
    pub rate: f32,
    /// Its standard deviation.
    pub sigma: f32,
    /// By growth alone, and its standard deviation.
    pub looming: (f32, f32),
}

impl Closing {
    /// `distance` from the front; `speed` where it is fresh.
    pub fn of(ranger: &Ranger, distance: f32, front: f32, speed: Option<f32>) -> Self {
        let looming = ranger.looming(front);
        let (rate, sigma) = looming;
        let Some(speed) = speed else { return Self { rate, sigma, looming } };
        let distance = larger(0.3, distance);
        let range = speed / distance;
        let share = ranger.distance_sigma() / distance;
        let own = WALKING / larger(speed, 0.5);
        let range_sigma = larger(0.02, magnitude(range) * root(share * share + own * own));
        if magnitude(range - rate) > APART * root(range_sigma * range_sigma + sigma * sigma) {
            return Self { rate, sigma, looming };
        }
        let weights = [1.0 / (range_sigma * range_sigma), 1.0 / larger(1e-6, sigma * sigma)];
        let sum = weights[0] + weights[1];
        Self { rate: (range * weights[0] + rate * weights[1]) / sum, sigma: root(1.0 / sum), looming }
    }

    /// Seconds to collision; none where it does not come nearer within a minute.
    pub fn time(&self) -> Option<f32> {
        (self.rate > 1.0 / 60.0).then(|| 1.0 / self.rate)
    }

    /// Whether growth, as far as it is known, allows that we are there as soon as reckoned.
    pub fn is_borne_out(&self) -> bool {
        let (looming, sigma) = self.looming;
        looming + 2.0 * sigma >= 0.6 * self.rate
    }
}

/// Where a person is beside our middle, and how he moves across the road, in heights of the person: what is learned of
/// the height on the way is no motion. Our own turning is taken out, and our path comes in only when the approach is
/// judged: a bend that begins makes nobody walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Across {
    /// Heights to the left of our middle.
    offset: f32,
    /// Heights per second to the left, over the ground.
    speed: f32,
    variance: f32,
    covariance: f32,
    speed_variance: f32,
}

impl Across {
    /// Seen at `offset` ± `sigma` heights, a person of `height` metres.
    pub fn new(offset: f32, sigma: f32, height: f32) -> Self {
        let walking = WALKING / height;
        Self {
            offset,
            speed: 0.0,
            variance: sigma * sigma,
            covariance: 0.0,
            speed_variance: walking * walking,
        }
    }

    /// `dt` seconds on, for a person of `height` metres, whom our turning moves by `turning` heights per second; persons
    /// start and stop with 2 m/s² for a quarter of a second.
    pub fn predict(&mut self, dt: f32, height: f32, turning: f32) {
        let density = STARTING / (height * height);
        self.offset += (self.speed + turning) * dt;
        self.variance +=
            dt * (2.0 * self.covariance + dt * self.speed_variance) + density * dt * dt * dt / 3.0;
        self.covariance += dt * self.speed_variance + density * dt * dt / 2.0;
        self.speed_variance += density * dt;
    }

    /// Seen at `offset` ± `sigma` heights.
    pub fn update(&mut self, offset: f32, sigma: f32) {
        let total = self.variance + sigma * sigma;
        let (gain, speed_gain) = (self.variance / total, self.covariance / total);
        let innovation = offset - self.offset;
        self.offset += gain * innovation;
        self.speed += speed_gain * innovation;
        self.speed_variance = larger(0.0, self.speed_variance - speed_gain * self.covariance);
        self.covariance *= 1.0 - gain;
        self.variance *= 1.0 - gain;
    }

    /// The same in metres, of a person of `height` metres.
    #[must_use]
    pub fn in_metres(&self, height: f32) -> Self {
        let square = height * height;
        Self {
            offset: self.offset * height,
            speed: self.speed * height,
            variance: self.variance * square,
            covariance: self.covariance * square,
            speed_variance: self.speed_variance * square,
        }
    }

    /// The same beside a path that lies `curve` to the left of our middle there.
    #[must_use]
    pub fn beside(&self, curve: f32) -> Self {
        Self { offset: self.offset - curve, ..*self }
    }

    /// To the left.
    pub fn offset(&self) -> f32 {
        self.offset
    }

    /// How far beside the path the person is while we pass, and the standard deviation of that.
    pub fn approach(&self, time: f32) -> (f32, f32) {
        let (first, last) = (self.offset + self.speed * time, self.offset + self.speed * (time + PASSING));
        let nearest = if first * last <= 0.0 { 0.0 } else { smaller(magnitude(first), magnitude(last)) };
        let variance = self.variance + time * (2.0 * self.covariance + time * self.speed_variance);
        (nearest, root(variance))
    }
}

/// What is to be done about one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Threat {
    /// We pass, and clearly so.
    Clear,
    /// We pass, but not by much.
    Near,
    /// Too close to say nothing, or too early to brake.
    Warn,
    /// Now, or not at all.
    Brake,
}

/// Judges one person; `across` is in metres beside our path. `half` is half of the path's width with half of a person.
pub(super) fn judge(
    across: &Across,
    closing: &Closing,
    speed: Option<f32>,
    half: f32,
    config: &PedestrianConfig,
) -> Threat {
    let Some(time) = closing.time() else { return Threat::Clear };
    let (nearest, sigma) = across.approach(time);
    if nearest > half + config.warn_beside_m + 0.25 {
        return Threat::Clear;
    }
    if nearest > half + config.warn_beside_m {
        return Threat::Near;
    }
    // One who is not yet in our path must be known to enter it; one who is in it must be known to leave it.
    let inside = magnitude(across.offset) <= half;
    let enters = if inside { nearest <= half } else { nearest + SURE * sigma <= half };
    let brake_time = speed.map_or(config.blind_warn_s, |speed| config.brake_time(speed));
    if enters && time <= brake_time && closing.is_borne_out() {
        Threat::Brake
    } else if time <= brake_time + config.warn_ahead_s {
        Threat::Warn
    } else {
        Threat::Near
    }
}
