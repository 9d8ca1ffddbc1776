//! How far an upright object is, and how soon we are there.
//!
//! A box gives its distance in *heights of the object* ([`Sight::heights`]), which falls linearly while we drive at it
//! and hardly feels pitch. What is missing is one constant, the height in metres. Three cues estimate that constant:
//! what such objects measure (the prior), where the foot meets the road, and growth against ego speed. Each comes with its
//! own uncertainty; the mean weighted by inverse variances is used. A nose-dive makes the foot worthless for a while: its
//! weight falls, and the height learned before stays.
//!
//! Time to collision by growth needs no height, no calibration of the pitch and no ego speed (Lee, Perception 1976).

use super::Sight;
use crate::arith::{larger, magnitude, root, smaller};

/// What is known of a kind of object before it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Height of what the box holds, in metres.
    pub height: f32,
    /// Its standard deviation, in metres.
    pub sigma: f32,
    /// Whether the lower edge is a foot on the road.
    pub stands: bool,
    /// Standard deviation of its own speed along our path, in m/s; 0 for what is fixed to the ground.
    pub own_speed: f32,
}

/// How we moved since the frame before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Motion {
    /// Seconds since the frame before.
    pub dt: f32,
    /// Ego speed in m/s, where it is fresh.
    pub speed: Option<f32>,
    /// Its change since the frame before, in m/s; 0 where unknown.
    pub change: f32,
}

/// Seconds over which a foot's range is remembered.
const FOOT_MEMORY: f32 = 0.7;
/// Standard deviation of accelerations nobody tells of, in m/s², and the seconds they last.
const UNKNOWN_ACCELERATION: f32 = 1.0;
const LASTING: f32 = 0.5;
/// Below this speed in m/s growth says nothing of the height.
const SLOWEST: f32 = 2.0;
/// Share of the rate that no smoothing removes: boxes of real detectors are too large or too small for seconds.
const RATE_FLOOR: f32 = 0.04;

/// Follows one object's distance in heights, its rate, and its height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranger {
    prior: Prior,
    heights: f32,
    rate: f32,
    variance: f32,
    covariance: f32,
    rate_variance: f32,
    /// Sums over the foot's estimates of the height: weights, weighted heights, weighted deviations.
    foot: [f32; 3],
    height: f32,
    height_sigma: f32,
}

impl Ranger {
    /// Seen for the first time.
    pub fn new(prior: Prior, sight: &Sight) -> Self {
        let mut ranger = Self {
            prior,
            heights: sight.heights,
            rate: 0.0,
            variance: sight.heights_sigma * sight.heights_sigma,
            covariance: 0.0,
            // 40 m/s either way.
            rate_variance: (40.0 / prior.height) * (40.0 / prior.height),
            foot: [0.0; 3],
            height: prior.height,
            height_sigma: prior.sigma,
        };
        ranger.weigh_foot(sight, 0.0);
        ranger.weigh(&Motion::default());
        ranger
    }

    /// One frame on, with or without a sight of the object.
    pub fn step(&mut self, motion: &Motion, sight: Option<&Sight>) {
        self.predict(motion);
        if let Some(sight) = sight {
            self.update(&sight.after(motion.dt));
            self.weigh_foot(sight, motion.dt);
        }
        self.weigh(motion);
    }

    fn predict(&mut self, motion: &Motion) {
        let dt = motion.dt;
        let unknown = UNKNOWN_ACCELERATION / self.height;
        let density = unknown * unknown * LASTING;
        self.rate -= motion.change / self.height;
        self.heights = larger(0.0, self.heights + self.rate * dt);
        self.variance +=
            dt * (2.0 * self.covariance + dt * self.rate_variance) + density * dt * dt * dt / 3.0;
        self.covariance += dt * self.rate_variance + density * dt * dt / 2.0;
        self.rate_variance += density * dt;
    }

    fn update(&mut self, sight: &Sight) {
        let total = self.variance + sight.heights_sigma * sight.heights_sigma;
        if total <= 0.0 {
            return;
        }
        let (gain, rate_gain) = (self.variance / total, self.covariance / total);
        let innovation = sight.heights - self.heights;
        self.heights = larger(0.0, self.heights + gain * innovation);
        self.rate += rate_gain * innovation;
        self.rate_variance = larger(0.0, self.rate_variance - rate_gain * self.covariance);
        self.covariance *= 1.0 - gain;
        self.variance *= 1.0 - gain;
    }

    /// The foot's error is mostly the pitch's, which stays: the deviation of the mean is the mean of the deviations.
    fn weigh_foot(&mut self, sight: &Sight, dt: f32) {
        let kept = libm::expf(-dt / FOOT_MEMORY);
        self.foot = self.foot.map(|sum| sum * kept);
        let Some(foot) = sight.foot.filter(|foot| self.prior.stands && foot.forwards > 0.5) else { return };
        let height = foot.forwards / sight.heights;
        let sigma = height * foot.sigma / foot.forwards;
        if sigma > 3.0 * self.prior.sigma {
            return;
        }
        let weight = 1.0 / (sigma * sigma + 1e-4);
        self.foot = [self.foot[0] + weight, self.foot[1] + weight * height, self.foot[2] + weight * sigma];
    }

    /// Takes the cues together.
    fn weigh(&mut self, motion: &Motion) {
        let Prior { height, sigma, .. } = self.prior;
        let mut weights = 1.0 / (sigma * sigma);
        let mut sum = height * weights;
        if self.foot[0] > 0.0 {
            let [weight, heights, sigmas] = self.foot;
            let (height, sigma) = (heights / weight, sigmas / weight);
            let weight = 1.0 / (sigma * sigma + 1e-4);
            weights += weight;
            sum += weight * height;
        }
        if let Some((height, sigma)) = self.grown(motion) {
            let weight = 1.0 / (sigma * sigma);
            weights += weight;
            sum += weight * height;
        }
        // Whatever the cues say together, no object is a tenth or five times as high as its kind.
        self.height = crate::arith::within(sum / weights, 0.1 * height, 5.0 * height);
        self.height_sigma = root(1.0 / weights);
    }

    /// The height that growth against ego speed tells, with its deviation; none while it tells nothing.
    pub fn grown(&self, motion: &Motion) -> Option<(f32, f32)> {
        let speed = motion.speed.filter(|speed| *speed >= SLOWEST)?;
        let closing = -self.rate;
        let sigma = self.rate_sigma();
        if closing <= 2.0 * sigma {
            return None;
        }
        let height = speed / closing;
        let own = self.prior.own_speed / speed;
        let share = sigma / closing;
        Some((height, height * root(share * share + own * own)))
    }

    /// Whether growth contradicts that the object, of a height that such objects have, stays where it is: more than
    /// `sigmas` deviations apart. None where there is too little speed to tell.
    pub fn contradicts(&self, motion: &Motion, sigmas: f32) -> Option<bool> {
        let speed = motion.speed.filter(|speed| *speed >= SLOWEST)?;
        let expected = speed / self.prior.height;
        let share = self.prior.sigma / self.prior.height;
        let own = self.prior.own_speed / self.prior.height;
        let rate = self.rate_sigma();
        let allowed = sigmas * root(expected * expected * share * share + own * own + rate * rate);
        Some(magnitude(-self.rate - expected) > allowed)
    }

    fn rate_sigma(&self) -> f32 {
        let floor = RATE_FLOOR * magnitude(self.rate);
        root(self.rate_variance + floor * floor)
    }

    /// Metres from the camera along x.
    pub fn distance(&self) -> f32 {
        self.height * self.heights
    }

    /// Standard deviation of [`Self::distance`].
    pub fn distance_sigma(&self) -> f32 {
        let own = self.height_sigma * self.heights;
        let measured = self.height * root(self.variance);
        root(own * own + measured * measured)
    }

    /// The object's height in metres and its deviation, all cues together.
    pub fn height(&self) -> (f32, f32) {
        (self.height, self.height_sigma)
    }

    /// Closing speed in m/s by growth and its deviation.
    pub fn closing(&self) -> (f32, f32) {
        (-self.rate * self.height, self.rate_sigma() * self.height)
    }

    /// 1 / time to collision by growth alone with what lies `front` metres before the camera, in 1/s, and its
    /// deviation. Not positive: it does not come nearer.
    pub fn looming(&self, front: f32) -> (f32, f32) {
        let left = larger(self.heights - front / self.height, smaller(0.2, self.heights + 1e-3));
        (-self.rate / left, self.rate_sigma() / left)
    }
}
