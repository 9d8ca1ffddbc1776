//! One object that is followed.

use super::TrackConfig;
use super::kalman::Axis;
use crate::arith::{larger, magnitude, root};
use crate::confirm::Scores;
use crate::observe::{Keypoints, Observation, Role};
use crate::time::Nanos;

/// Correlation time of accelerations in the picture, in seconds: turns their variance into a spectral density.
const CORRELATION: f32 = 0.1;

/// Which edges of the picture a detection touches: beyond them the object goes on unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// The left one.
    pub left: bool,
    /// The upper one.
    pub top: bool,
    /// The right one.
    pub right: bool,
    /// The lower one.
    pub bottom: bool,
}

impl Edges {
    /// Edges that `bbox` comes closer to than 0.5 % of the picture (at least 2 pixels), or than 6 % of its own side: the
    /// box of a thing that is cut off ends not at the edge but as near to it as detectors are right.
    pub fn touched(bbox: [f32; 4], size: [f32; 2]) -> Self {
        let margin = |i: usize| larger(larger(2.0, 0.005 * size[i]), 0.06 * (bbox[i + 2] - bbox[i]));
        let [x, y] = [margin(0), margin(1)];
        Self {
            left: bbox[0] <= x,
            top: bbox[1] <= y,
            right: bbox[2] >= size[0] - x,
            bottom: bbox[3] >= size[1] - y,
        }
    }

    /// Whether any is touched.
    pub fn any(self) -> bool {
        self.left || self.top || self.right || self.bottom
    }
}

/// One object that is followed. Pixels are those of the source picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    id: u32,
    role: Role,
    /// Centre x, centre y, width, height.
    axes: [Axis; 4],
    born: Nanos,
    observed: Nanos,
    observations: u32,
    confirmed: bool,
    observation: Option<u16>,
    raw: [f32; 4],
    edges: Edges,
    scores: Scores,
    keypoints: Option<(Nanos, Keypoints)>,
}

impl Track {
    pub(super) fn new(id: u32, seen: &Observation, index: u16, now: Nanos, size: [f32; 2]) -> Self {
        let measured = centre_and_size(seen.bbox);
        let [width, height] = [measured[2], measured[3]];
        let axis = |value: f32, length: f32, drift: f32| {
            Axis::new(value, sigma(length, seen.score), 2.0 * length + drift)
        };
        let mut track = Self {
            id,
            role: seen.role,
            axes: [
                axis(measured[0], width, 0.2 * size[1]),
                axis(measured[1], height, 0.2 * size[1]),
                axis(width, width, 1.0),
                axis(height, height, 1.0),
            ],
            born: now,
            observed: now,
            observations: 0,
            confirmed: false,
            observation: None,
            raw: seen.bbox,
            edges: Edges::default(),
            scores: Scores::default(),
            keypoints: None,
        };
        track.note(seen, index, now, size);
        track
    }

    pub(super) fn predict(&mut self, dt: f32, config: &TrackConfig, size: [f32; 2]) {
        self.observation = None;
        let shake = config.shake * size[1];
        let [.., width, height] = self.axes.map(|axis| larger(1.0, axis.value));
        let own = [width + height, width + height, width, height];
        for (place, (axis, length)) in self.axes.iter_mut().zip(own).enumerate() {
            let acceleration = config.acceleration * length + if place < 2 { shake } else { 0.0 };
            axis.predict(dt, acceleration * acceleration * CORRELATION);
        }
        for axis in &mut self.axes[2..] {
            if axis.value < 1.0 {
                axis.value = 1.0;
                axis.velocity = larger(0.0, axis.velocity);
            }
        }
    }

    pub(super) fn observe(
        &mut self,
        seen: &Observation,
        index: u16,
        now: Nanos,
        config: &TrackConfig,
        size: [f32; 2],
    ) {
        let measured = centre_and_size(seen.bbox);
        let [.., width, height] = measured;
        for ((axis, value), length) in self.axes.iter_mut().zip(measured).zip([width, height, width, height])
        {
            axis.update(value, sigma(length, seen.score));
        }
        self.note(seen, index, now, size);
        let old = now.since(self.born) >= Nanos::from_millis(u64::from(config.confirm_ms));
        self.confirmed |= self.observations >= 2 && old;
    }

    fn note(&mut self, seen: &Observation, index: u16, now: Nanos, size: [f32; 2]) {
        self.role = seen.role;
        self.observation = Some(index);
        self.observations = self.observations.saturating_add(1);
        self.observed = now;
        self.raw = seen.bbox;
        self.edges = Edges::touched(seen.bbox, size);
        self.scores.push(now, seen.score);
        if let Some(keypoints) = seen.keypoints.filter(|points| points.are_sound()) {
            self.keypoints = Some((now, keypoints));
        }
    }

    pub(super) fn miss(&mut self, now: Nanos) {
        self.scores.push(now, 0.0);
    }

    /// How long it goes on without a detection.
    pub(super) fn coast(&self, config: &TrackConfig) -> Nanos {
        let limit = if self.confirmed { config.coast_ms } else { config.tentative_ms };
        Nanos::from_millis(u64::from(limit))
    }

    /// Whether the centre has left the picture.
    pub(super) fn is_outside(&self, size: [f32; 2]) -> bool {
        let [x, y, ..] = self.axes.map(|axis| axis.value);
        x < 0.0 || y < 0.0 || x > size[0] || y > size[1]
    }

    /// Distance of the centres as a share of the gate, where it lies within and the sizes are alike.
    pub(super) fn gate(&self, bbox: [f32; 4], config: &TrackConfig) -> Option<f32> {
        let other = centre_and_size(bbox);
        let own = self.axes.map(|axis| axis.value);
        let area = |x: [f32; 4]| larger(1.0, x[2]) * larger(1.0, x[3]);
        let ratio = area(other) / area(own);
        if !(0.2..=5.0).contains(&ratio) {
            return None;
        }
        let share = |place: usize| {
            let reach = config.gate_sigmas * root(self.axes[place].variance()) + 0.5 * own[place + 2];
            magnitude(other[place] - own[place]) / reach
        };
        let (x, y) = (share(0), share(1));
        let distance = root(x * x + y * y);
        (distance <= 1.0).then_some(distance)
    }

    /// Stable while the object is followed; never used again.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The role of the newest detection. A person may change between [`Role::Person`] and [`Role::PersonDown`].
    pub fn role(&self) -> Role {
        self.role
    }

    /// Smoothed corners x1, y1, x2, y2; they may lie outside the picture.
    pub fn bbox(&self) -> [f32; 4] {
        let [x, y, width, height] = self.axes.map(|axis| axis.value);
        [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height]
    }

    /// Velocity of the smoothed centre in pixels per second, right and down.
    pub fn velocity(&self) -> [f32; 2] {
        [self.axes[0].velocity, self.axes[1].velocity]
    }

    /// Change of the smoothed width and height in pixels per second.
    pub fn growth(&self) -> [f32; 2] {
        [self.axes[2].velocity, self.axes[3].velocity]
    }

    /// Corners of the newest detection, as the model gave them.
    pub fn raw(&self) -> [f32; 4] {
        self.raw
    }

    /// Which edges of the picture the newest detection touched.
    pub fn edges(&self) -> Edges {
        self.edges
    }

    /// Index of the detection in the newest frame that it was matched to; none: carried on without one.
    pub fn observation(&self) -> Option<u16> {
        self.observation
    }

    /// When it was first seen.
    pub fn born(&self) -> Nanos {
        self.born
    }

    /// When it was last seen.
    pub fn observed(&self) -> Nanos {
        self.observed
    }

    /// For how long it has been followed.
    pub fn age(&self, now: Nanos) -> Nanos {
        now.since(self.born)
    }

    /// For how long it has not been seen.
    pub fn unseen(&self, now: Nanos) -> Nanos {
        now.since(self.observed)
    }

    /// Seen at least twice and for the configured time.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The newest posture and when it was seen, where the model gives postures.
    pub fn keypoints(&self) -> Option<&(Nanos, Keypoints)> {
        self.keypoints.as_ref()
    }

    /// Median of its scores over the last `window`, 0 for each frame it was missed in.
    pub fn median(&self, now: Nanos, window: Nanos) -> f32 {
        self.scores.median(now, window)
    }
}

/// Standard deviation of a detected centre or side, in pixels: a share of the size that grows as the score falls, and
/// one pixel for the rounding of the model's input.
fn sigma(length: f32, score: f32) -> f32 {
    0.04 * length * (2.0 - score) + 1.0
}

fn centre_and_size(bbox: [f32; 4]) -> [f32; 4] {
    let [x1, y1, x2, y2] = bbox;
    [0.5 * (x1 + x2), 0.5 * (y1 + y2), x2 - x1, y2 - y1]
}

impl Keypoints {
    /// Whether all its numbers are numbers; a posture with others is no posture.
    pub fn are_sound(&self) -> bool {
        let sound = |value: f32| magnitude(value) <= 1e6;
        self.0.iter().all(|point| sound(point.x) && sound(point.y) && (0.0..=1.0).contains(&point.score))
    }
}
