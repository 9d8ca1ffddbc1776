//! What a model found in a picture.

use serde_json::{Value, json};
use stopline_depot::manifest::Manifest;

use crate::draw::label_of;

/// One detection, in pixels of the source picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Class number, counted from 0; the manifest's `labels` name it.
    pub class: usize,
    /// 0 to 1, finite.
    pub score: f32,
    /// Corners x1, y1, x2, y2, clipped to the picture; finite, x1 ≤ x2, y1 ≤ y2.
    pub bbox: [f32; 4],
    /// Keypoints in the manifest's order; empty where the model gives none.
    pub keypoints: Vec<Keypoint>,
}

/// One keypoint, in pixels of the source picture; may lie outside it where a crop did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
    /// 0 to 1.
    pub score: f32,
}

impl Detection {
    /// `{"label", "class", "score", "box": [x1, y1, x2, y2]}` with `"keypoints"` where there are any; scores rounded to
    /// 0.0001, pixels to 0.01.
    pub fn as_json(&self, manifest: &Manifest) -> Value {
        let mut entry = json!({
            "label": label_of(manifest, self.class),
            "class": self.class,
            "score": rounded(self.score, 1e4),
            "box": self.bbox.map(|side| rounded(side, 1e2)),
        });
        if !self.keypoints.is_empty() {
            let points = self.keypoints.iter().enumerate().map(|(at, point)| {
                let [x, y] = [point.x, point.y].map(|value| rounded(value, 1e2));
                json!({ "name": keypoint_name(manifest, at), "x": x, "y": y, "score": rounded(point.score, 1e4) })
            });
            entry["keypoints"] = points.collect();
        }
        entry
    }
}

/// The name of keypoint number `at`, or its number where the manifest has no name for it.
pub fn keypoint_name(manifest: &Manifest, at: usize) -> String {
    manifest.keypoints.get(at).cloned().unwrap_or_else(|| format!("keypoint {at}"))
}

/// Rounded to so many parts of one.
fn rounded(value: f32, parts: f64) -> f64 {
    (f64::from(value) * parts).round() / parts
}
