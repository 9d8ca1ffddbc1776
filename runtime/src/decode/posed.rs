//! The one detection of a model that gives keypoints and no box.

use super::candidates::Candidates;
use super::candidates::clip;
use super::outputs::Setup;
use crate::detection::{Detection, Keypoint};
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::Nms;

/// When a keypoint and when the whole counts.
pub(super) struct Limit(f32);

impl Limit {
    pub fn new(setup: &Setup<'_>) -> Self {
        Self(Candidates::new(setup, Nms::Off).floor())
    }

    /// Class 0. Its score is the keypoints' mean score, as MoveNet's examples reckon it; nothing is found where that does
    /// not count. Its box holds the keypoints whose own score counts, or, where they span no area, what was looked at.
    pub fn detection(&self, keypoints: Vec<Keypoint>, geometry: &Geometry) -> Option<Detection> {
        #[allow(clippy::cast_precision_loss)] // a few dozen
        let score = keypoints.iter().map(|point| point.score).sum::<f32>() / keypoints.len().max(1) as f32;
        if score < self.0 {
            return None;
        }
        let [x, y, w, h] = geometry.region;
        #[allow(clippy::cast_precision_loss)] // pixels of a picture or crop
        let region = [x as f32, y as f32, x.saturating_add(w) as f32, y.saturating_add(h) as f32];
        let hull = clip(hull(keypoints.iter().filter(|point| point.score >= self.0)), geometry);
        let bbox = if hull[0] < hull[2] && hull[1] < hull[3] { hull } else { clip(region, geometry) };
        Some(Detection { class: 0, score, bbox, keypoints })
    }
}

fn hull<'a>(points: impl Iterator<Item = &'a Keypoint>) -> [f32; 4] {
    let none = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
    points.fold(none, |[x1, y1, x2, y2], point| {
        [x1.min(point.x), y1.min(point.y), x2.max(point.x), y2.max(point.y)]
    })
}
