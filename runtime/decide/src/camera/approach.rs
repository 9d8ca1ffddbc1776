//! How far something fixed to the ground is, from its boxes and our own travel.
//!
//! The box says u = distance / height ([`Sight::heights`]); while we travel s, u falls by s / height. So (u, 1 / height)
//! is a linear state with known input, and a Kalman filter over it is the least-squares line through all sightings: its
//! slope is the growth cross-check, its end the distance. Run once with what such objects measure as the prior, and once
//! without any, so that the two can contradict each other.

use super::Sight;
use crate::arith::{larger, magnitude, root, within};

/// Standard deviation of the odometer, per metre.
const ODOMETER: f32 = 0.02;
/// Share by which 1 / height wanders per root of a metre.
const FADING: f32 = 0.012;

/// Deviation of the growth, as a share of what is expected, from which it counts as known.
const KNOWN: f32 = 0.35;
/// Shares of the growth that is expected which agree with it.
const ALIKE: [f32; 2] = [0.62, 1.6];

/// Follows (u, 1 / height) of one object that stands still.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    heights: f32,
    inverse: f32,
    variance: f32,
    covariance: f32,
    inverse_variance: f32,
}

impl Line {
    fn new(sight: &Sight, inverse: f32, sigma: f32) -> Self {
        Self {
            heights: sight.heights,
            inverse,
            variance: sight.heights_sigma * sight.heights_sigma,
            covariance: 0.0,
            inverse_variance: sigma * sigma,
        }
    }

    fn travel(&mut self, moved: f32, unsure: f32) {
        self.heights -= moved * self.inverse;
        let spread = unsure * self.inverse;
        self.variance += moved * (moved * self.inverse_variance - 2.0 * self.covariance) + spread * spread;
        self.covariance -= moved * self.inverse_variance;
        // A detector's boxes are too large by shares that change with size: old sightings fade.
        let drift = FADING * self.inverse;
        self.inverse_variance += drift * drift * magnitude(moved);
    }

    fn update(&mut self, sight: &Sight) {
        // The noise of what was expected to be seen: with that of what was seen, boxes that come out large would
        // count more than those that come out small.
        let share = within(self.heights / sight.heights, 0.5, 2.0);
        let sigma = sight.heights_sigma * share * share;
        let total = self.variance + sigma * sigma;
        if total <= 0.0 {
            return;
        }
        let (gain, inverse_gain) = (self.variance / total, self.covariance / total);
        let innovation = sight.heights - self.heights;
        self.heights += gain * innovation;
        self.inverse += inverse_gain * innovation;
        self.inverse_variance = larger(0.0, self.inverse_variance - inverse_gain * self.covariance);
        self.covariance *= 1.0 - gain;
        self.variance *= 1.0 - gain;
    }
}

/// What growth says of an object that should stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Not yet travelled far enough to tell.
    Unknown,
    /// It grows as something of this height that stands still does.
    Agrees,
    /// It does not: it moves, or is larger or smaller than such objects are.
    Contradicts,
}

/// Distance of one object that should stand still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Approach {
    height: f32,
    sigma: f32,
    with: Line,
    without: Line,
}

impl Approach {
    /// Seen for the first time; such objects are `height` ± `sigma` metres high.
    pub fn new(sight: &Sight, height: f32, sigma: f32) -> Self {
        let inverse = 1.0 / height;
        Self {
            height,
            sigma,
            with: Line::new(sight, inverse, inverse * sigma / height),
            // From a tenth of the height to never coming nearer, and away.
            without: Line::new(sight, inverse, 10.0 * inverse),
        }
    }

    /// We travelled `moved` metres towards it (negative: back), and `unsure` more or less beside the odometer's error.
    pub fn travel(&mut self, moved: f32, unsure: f32) {
        let unsure = unsure + ODOMETER * magnitude(moved);
        self.with.travel(moved, unsure);
        self.without.travel(moved, unsure);
    }

    /// It was seen again.
    pub fn update(&mut self, sight: &Sight) {
        self.with.update(sight);
        self.without.update(sight);
    }

    /// Metres from the camera along x; negative behind it.
    pub fn distance(&self) -> f32 {
        self.with.heights * self.height()
    }

    /// Standard deviation of [`Self::distance`].
    pub fn distance_sigma(&self) -> f32 {
        // d = u / g: first order in both.
        let Line { heights, variance, covariance, inverse_variance, .. } = self.with;
        let height = self.height();
        let by_inverse = -heights * height;
        let sum = variance + by_inverse * (2.0 * covariance + by_inverse * inverse_variance);
        height * root(sum)
    }

    /// Whether it comes nearer at all, as growth alone tells: at least a third as fast as it should.
    pub fn comes_nearer(&self) -> bool {
        self.without.inverse > 1.0 / (3.0 * self.height)
    }

    /// Height in metres, all cues together.
    pub fn height(&self) -> f32 {
        1.0 / within(self.with.inverse, 0.1 / self.height, 10.0 / self.height)
    }

    /// Whether growth agrees, to `sigmas` deviations.
    pub fn growth(&self, sigmas: f32) -> Growth {
        let expected = 1.0 / self.height;
        let prior = expected * self.sigma / self.height;
        let own = self.without.inverse_variance;
        let apart = magnitude(self.without.inverse - expected);
        if apart > sigmas * root(prior * prior + own) {
            Growth::Contradicts
        } else if root(own) > KNOWN * expected
            || !(ALIKE[0]..=ALIKE[1]).contains(&(self.without.inverse / expected))
        {
            Growth::Unknown
        } else {
            Growth::Agrees
        }
    }
}
