//! What the situations are worked out from, and what each of them comes to.

use crate::camera::{Camera, Motion, Path};
use crate::decision::{BrakeRequest, Situation, WarnLevel};
use crate::time::Nanos;
use crate::track::{Edges, Track};

/// One frame of one camera, tracked, and how we move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    /// The camera, by its number in the configuration.
    pub camera: u8,
    /// The capture stamp, never earlier than that of a frame before.
    pub now: Nanos,
    /// Width and height of the picture.
    pub size: [f32; 2],
    /// How the camera sees.
    pub eye: &'a Camera,
    /// Whether `eye` is this camera's calibration and not only a guess.
    pub calibrated: bool,
    /// The camera's tracks.
    pub tracks: &'a [Track],
    /// Since this camera's last frame.
    pub motion: Motion,
    /// Where we are going.
    pub path: Path,
    /// How fast we turn, in rad/s to the left.
    pub turning: f32,
    /// Standard deviation of the pitch by braking, in radians.
    pub dive: f32,
    /// Since the last frame of any camera.
    pub travel: Travel,
}

/// How we moved since the last frame of any camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Travel {
    /// Metres forwards; negative backwards.
    pub moved: f32,
    /// Metres that may be missing, where the speed is not fresh.
    pub unsure: f32,
    /// Ego speed in m/s, where it is fresh.
    pub speed: Option<f32>,
}

/// One situation and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub situation: Situation,
    pub brake: Option<BrakeRequest>,
    pub warn: Option<WarnLevel>,
}

/// Standard deviation of one edge of a box, in pixels: a share of its height that detectors are wrong by, and a pixel.
pub(crate) fn box_sigma(height: f32) -> f32 {
    0.02 * height + 0.7
}

/// A track's box when it was last seen, and how it moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Glimpse {
    at: Nanos,
    bbox: [f32; 4],
    velocity: [f32; 2],
    growth: [f32; 2],
    edges: Edges,
}

impl Glimpse {
    pub fn of(track: &Track) -> Self {
        Self {
            at: track.observed(),
            bbox: track.raw(),
            velocity: track.velocity(),
            growth: track.growth(),
            edges: track.edges(),
        }
    }

    /// Whether the object has left the picture since, at the speed it had: seen at an edge, or due to cross one.
    /// Objects beside our path leave faster and faster, hence half as much again.
    pub fn has_left(&self, now: Nanos, size: [f32; 2]) -> bool {
        let since = 1.5 * now.since(self.at).seconds();
        let [x1, y1, x2, y2] = self.bbox;
        let ([right, down], [width, height]) = (self.velocity, self.growth);
        let (wider, higher) = (0.5 * width * since, 0.5 * height * since);
        self.edges.any()
            || x1 + right * since - wider <= 0.0
            || y1 + down * since - higher <= 0.0
            || x2 + right * since + wider >= size[0]
            || y2 + down * since + higher >= size[1]
    }

    /// Whether it went out over the lower edge, or was about to: it lies right before us.
    pub fn is_at_our_feet(&self, now: Nanos, size: [f32; 2]) -> bool {
        let since = 1.5 * now.since(self.at).seconds();
        let lower = self.bbox[3] + (self.velocity[1] + 0.5 * self.growth[1]) * since;
        self.edges.bottom || lower >= size[1]
    }
}
