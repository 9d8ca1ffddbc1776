//! How far an upright object is, and how soon we are there.
//!
//! A box gives its distance in *heights of the object* ([`Sight::heights`]), which falls linearly while we drive at it
//! and hardly feels pitch. What is missing is one constant, the height in metres. Three cues estimate that constant:
//! what such objects measure (the prior), where the foot meets the road, and growth against ego speed. Each comes with its
//! own uncertainty. A nose-dive makes the foot worthless for a while: its
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
const RATE_FLOOR: f32 = 0.1;
/// Share of the range by which a foot may be wrong and still say something.
const USELESS: f32 = 0.5;

/// Distance in heights and its rate: a Kalman filter of constant velocity.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    heights: f32,
    rate: f32,
    variance: f32,
    covariance: f32,
    rate_variance: f32,
}

impl Line {
    fn new(sight: &Sight, rate: f32, rate_sigma: f32) -> Self {
        Self {
            heights: sight.heights,
            rate,
            variance: sight.heights_sigma * sight.heights_sigma,
            covariance: 0.0,
            rate_variance: rate_sigma * rate_sigma,
        }
    }

    fn predict(&mut self, motion: &Motion, height: f32) {
        let dt = motion.dt;
        let unknown = UNKNOWN_ACCELERATION / height;
        let density = unknown * unknown * LASTING;
        self.rate -= motion.change / height;
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
}

/// Follows one object's distance in heights, its rate, and its height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranger {
    prior: Prior,
    /// Begins with the rate that ego speed tells: where the object is.
    informed: Line,
    /// Begins with no rate: what growth tells by itself.
    free: Line,
    /// Sums over the foot's estimates of 1 / height: weights, weighted estimates, weighted deviations.
    foot: [f32; 3],
    height: f32,
    height_sigma: f32,
}

impl Ranger {
    /// Seen for the first time, at this ego speed.
    pub fn new(prior: Prior, sight: &Sight, speed: Option<f32>) -> Self {
        let Prior { height, sigma, own_speed, .. } = prior;
        // 40 m/s either way.
        let any = 40.0 / height;
        let informed = speed.map_or((0.0, any), |speed| {
            let share = speed / height * sigma / height;
            (-speed / height, root(share * share + own_speed * own_speed / (height * height)))
        });
        let mut ranger = Self {
            prior,
            informed: Line::new(sight, informed.0, informed.1),
            free: Line::new(sight, 0.0, any),
            foot: [0.0; 3],
            height,
            height_sigma: sigma,
        };
        ranger.weigh_foot(sight, 0.0);
        ranger.weigh(&Motion::default());
        ranger
    }

    /// One frame on, with or without a sight of the object.
    pub fn step(&mut self, motion: &Motion, sight: Option<&Sight>) {
        self.informed.predict(motion, self.height);
        self.free.predict(motion, self.height);
        if let Some(sight) = sight {
            let further = sight.after(motion.dt);
            self.informed.update(&further);
            self.free.update(&further);
            self.weigh_foot(sight, motion.dt);
        }
        self.weigh(motion);
    }

    /// The foot's error is mostly the pitch's, which stays: the deviation of the mean is the mean of the deviations.
    fn weigh_foot(&mut self, sight: &Sight, dt: f32) {
        let kept = libm::expf(-dt / FOOT_MEMORY);
        self.foot = self.foot.map(|sum| sum * kept);
        let Some(foot) = sight.foot.filter(|foot| self.prior.stands && foot.forwards > 0.5) else { return };
        // Where the foot meets the road, the height is foot.forwards / sight.heights.
        let share = foot.sigma / foot.forwards;
        if share > USELESS {
            return;
        }
        let inverse = sight.heights / foot.forwards;
        let sigma = share / self.prior.height;
        let weight = 1.0 / (sigma * sigma + 1e-4);
        self.foot = [self.foot[0] + weight, self.foot[1] + weight * inverse, self.foot[2] + weight * sigma];
    }

    /// Takes the cues together: the mean of 1 / height, weighted by inverse variances. The inverse is what growth measures
    /// linearly; in the height itself, noise that makes the object small would also make it look certain.
    fn weigh(&mut self, motion: &Motion) {
        let Prior { height, sigma, .. } = self.prior;
        let (mut weights, mut sum) = (0.0, 0.0);
        let mut take = |inverse: f32, sigma: f32| {
            let weight = 1.0 / (sigma * sigma + 1e-4);
            weights += weight;
            sum += weight * inverse;
        };
        take(1.0 / height, sigma / (height * height));
        if self.foot[0] > 0.0 {
            let [weight, inverses, sigmas] = self.foot;
            take(inverses / weight, sigmas / weight);
        }
        if let Some((inverse, sigma)) = self.grown(motion) {
            take(inverse, sigma);
        }
        // Whatever the cues say together, no object is a tenth or five times as high as its kind.
        self.height = 1.0 / crate::arith::within(sum / weights, 0.2 / height, 10.0 / height);
        self.height_sigma = self.height * self.height * root(1.0 / weights);
    }

    /// 1 / height as growth against ego speed tells it, with its deviation; none without the speed to tell.
    fn grown(&self, motion: &Motion) -> Option<(f32, f32)> {
        let speed = motion.speed.filter(|speed| *speed >= SLOWEST)?;
        let own = self.prior.own_speed / (speed * self.prior.height);
        let rate = root(self.free.rate_variance) / speed;
        let floor = RATE_FLOOR / self.prior.height;
        Some((-self.free.rate / speed, root(rate * rate + own * own + floor * floor)))
    }

    fn rate_sigma(&self) -> f32 {
        let floor = RATE_FLOOR * magnitude(self.free.rate);
        root(self.free.rate_variance + floor * floor)
    }

    /// Metres from the camera along x.
    pub fn distance(&self) -> f32 {
        self.height * self.informed.heights
    }

    /// Standard deviation of [`Self::distance`].
    pub fn distance_sigma(&self) -> f32 {
        let own = self.height_sigma * self.informed.heights;
        let measured = self.height * root(self.informed.variance);
        root(own * own + measured * measured)
    }

    /// Metres from the camera in heights of the object.
    pub fn heights(&self) -> f32 {
        self.informed.heights
    }

    /// The object's height in metres and its deviation, all cues together.
    pub fn height(&self) -> (f32, f32) {
        (self.height, self.height_sigma)
    }

    /// Closing speed in m/s by growth and its deviation.
    pub fn closing(&self) -> (f32, f32) {
        (-self.free.rate * self.height, self.rate_sigma() * self.height)
    }

    /// 1 / time to collision by growth alone with what lies `front` metres before the camera, in 1/s, and its
    /// deviation. Not positive: it does not come nearer.
    pub fn looming(&self, front: f32) -> (f32, f32) {
        let left = larger(self.free.heights - front / self.height, smaller(0.2, self.free.heights + 1e-3));
        (-self.free.rate / left, self.rate_sigma() / left)
    }
}
