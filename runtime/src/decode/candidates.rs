//! What counts in a frame: collected with their boxes in source pixels, suppressed, handed out.

use super::DecodeError;
use super::nms::{Candidate, Suppression};
use super::outputs::Setup;
use crate::detection::{Detection, Keypoint};
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::Nms;

/// How far above 1 a probability may come out (quantised graphs, sums of rounded exponentials); it is then 1.
const SLACK: f32 = 0.01;

/// Corners of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// In pixels of the model's input.
    Input([f32; 4]),
    /// In pixels of the source picture.
    Source([f32; 4]),
}

/// From where a candidate was read, for messages.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The output's name.
    pub tensor: &'a str,
    /// Index of the value.
    pub at: usize,
    /// Row of the candidate.
    pub row: usize,
}

/// Candidates of one frame. The list is kept from frame to frame.
pub(super) struct Candidates {
    limits: Vec<f32>,
    floor: f32,
    suppression: Suppression,
    list: Vec<Candidate>,
}

impl Candidates {
    /// By the manifest's thresholds; `usual` is what [`Nms::Auto`] means for the family.
    pub fn new(setup: &Setup<'_>, usual: Nms) -> Self {
        let thresholds = &setup.manifest.thresholds;
        let limit = |label| thresholds.per_class.get(label).copied().unwrap_or(thresholds.score);
        let limits: Vec<f32> = setup.manifest.labels.iter().map(limit).collect();
        Self {
            floor: limits.iter().copied().fold(f32::INFINITY, f32::min),
            limits,
            suppression: Suppression {
                among: if thresholds.nms == Nms::Auto { usual } else { thresholds.nms },
                iou: thresholds.nms_iou,
                most: thresholds.max_detections as usize,
            },
            list: Vec::new(),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.limits.len()
    }

    /// The least score that counts for any class.
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Whether `score` counts for `class`.
    pub fn counts(&self, class: usize, score: f32) -> bool {
        self.limits.get(class).is_some_and(|&limit| score >= limit)
    }

    /// Begins a frame.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Adds a box whose score [counts](Self::counts), unless it has no area within the picture.
    pub fn push(
        &mut self,
        origin: Origin<'_>,
        class: usize,
        score: f32,
        place: Place,
        geometry: &Geometry,
    ) -> Result<(), DecodeError> {
        let score = probability(origin, score)?;
        let (Place::Input(corners) | Place::Source(corners)) = place;
        if let Some(&value) = corners.iter().find(|side| !side.is_finite()) {
            return Err(DecodeError::NotFinite { tensor: origin.tensor.into(), value, at: origin.at });
        }
        let bbox = match place {
            Place::Input(corners) => geometry.box_to_source(corners),
            Place::Source(corners) => clip(corners, geometry),
        };
        if bbox[0] < bbox[2] && bbox[1] < bbox[3] {
            self.list.push(Candidate { score, class, bbox, row: origin.row });
        }
        Ok(())
    }

    /// Suppresses, and appends what is left to `found`.
    pub fn finish(&mut self, found: &mut Vec<Detection>) {
        self.finish_with(found, |_| Vec::new());
    }

    /// As [`Self::finish`], with the keypoints of a row.
    pub fn finish_with(
        &mut self,
        found: &mut Vec<Detection>,
        mut keypoints: impl FnMut(usize) -> Vec<Keypoint>,
    ) {
        self.suppression.apply(&mut self.list);
        found.extend(self.list.iter().map(|candidate| Detection {
            class: candidate.class,
            score: candidate.score,
            bbox: candidate.bbox,
            keypoints: keypoints(candidate.row),
        }));
    }
}

/// `score` as a probability, held to 0 to 1.
pub(super) fn probability(origin: Origin<'_>, score: f32) -> Result<f32, DecodeError> {
    let Origin { tensor, at, .. } = origin;
    if !score.is_finite() {
        return Err(DecodeError::NotFinite { tensor: tensor.into(), value: score, at });
    }
    if score > 1.0 + SLACK {
        let advice =
            "the graph's scores are no probabilities: set decode.scores to \"sigmoid\" or \"softmax\"";
        return Err(DecodeError::Range { tensor: tensor.into(), value: score, at, advice: advice.into() });
    }
    Ok(score.clamp(0.0, 1.0))
}

/// Corners in source pixels, held to the picture.
pub(super) fn clip([x1, y1, x2, y2]: [f32; 4], geometry: &Geometry) -> [f32; 4] {
    // At most 32 768, so exact.
    #[allow(clippy::cast_precision_loss)]
    let [w, h] = geometry.source.map(|side| side as f32);
    [x1.clamp(0.0, w), y1.clamp(0.0, h), x2.clamp(0.0, w), y2.clamp(0.0, h)]
}

/// A point of the input as a keypoint of the source, held to the picture and to the part of it that was looked at.
pub(super) fn keypoint(point: [f32; 2], score: f32, geometry: &Geometry) -> Keypoint {
    let [x, y] = geometry.to_source(point);
    let [left, top, width, height] = geometry.region;
    #[allow(clippy::cast_precision_loss)]
    let hold = |value: f32, start: i32, size: i32, side: u32| {
        value.clamp((start as f32).min(0.0), (start.saturating_add(size) as f32).max(side as f32))
    };
    Keypoint {
        x: hold(x, left, width, geometry.source[0]),
        y: hold(y, top, height, geometry.source[1]),
        score: score.clamp(0.0, 1.0),
    }
}
