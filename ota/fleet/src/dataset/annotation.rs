//! Boxes, and who says so: a model's predictions and people's labels are never mixed.
//!
//! Annotation schema 1: `label`; `bbox` as x, y, width, height in pixels of the picture; `occluded` (part of the object is
//! hidden by something else), `truncated` (part of it lies outside the picture), each only where somebody or something knows;
//! size as COCO's `small` (under 32² pixels), `medium` (under 96²), `large`, from the box.

use serde::{Deserialize, Serialize};
use stopline_depot::digest::Digest;
use stopline_depot::record::RecordedDetection;
use stopline_depot::versioned::Versioned;

/// The schema of annotations that this program writes.
pub const SCHEMA: u32 = 1;
/// Annotations of a picture, at most.
pub const MAX_PER_PICTURE: usize = 10_000;
/// Pixels from an edge at which a box counts as cut off by it.
const EDGE: f64 = 1.0;

/// One box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    /// Class name.
    pub label: String,
    /// x, y, width, height in pixels of the picture.
    pub bbox: [f64; 4],
    /// A prediction's score; left out for what a person drew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Hidden in part by something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occluded: Option<bool>,
    /// In part outside the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

impl Annotation {
    /// Square pixels.
    pub fn area(&self) -> f64 {
        cents(self.bbox[2] * self.bbox[3])
    }

    /// COCO's word for its size.
    pub fn size(&self) -> &'static str {
        match self.area() {
            area if area < 32.0 * 32.0 => "small",
            area if area < 96.0 * 96.0 => "medium",
            _ => "large",
        }
    }

    /// Overlap of two boxes: intersection over union.
    pub fn iou(&self, other: &Self) -> f64 {
        let [ax, ay, aw, ah] = self.bbox;
        let [bx, by, bw, bh] = other.bbox;
        let across = (ax + aw).min(bx + bw) - ax.max(bx);
        let down = (ay + ah).min(by + bh) - ay.max(by);
        let both = across.max(0.0) * down.max(0.0);
        let either = aw * ah + bw * bh - both;
        if either > 0.0 { both / either } else { 0.0 }
    }
}

/// What a model found, in pixels of a picture that may be smaller than what the model saw. What lies outside is cut off; what
/// is nothing then is left out.
pub fn predicted(found: &[RecordedDetection], seen: [u32; 2], picture: [u32; 2]) -> Vec<Annotation> {
    let scale = [0, 1].map(|axis| f64::from(picture[axis]) / f64::from(seen[axis].max(1)));
    let of = |found: &RecordedDetection| {
        let [x1, y1, x2, y2] = found.bbox.map(f64::from);
        let bbox = within([x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1]], picture)?;
        let score = Some((f64::from(found.score) * 1e4).round() / 1e4).filter(|score| score.is_finite())?;
        let truncated = Some(touches(bbox, picture));
        Some(Annotation { label: found.label.clone(), bbox, score: Some(score), occluded: None, truncated })
    };
    found.iter().take(MAX_PER_PICTURE).filter_map(of).collect()
}

/// Corners as x, y, width, height within a picture, in hundredths of a pixel.
pub fn within([x1, y1, x2, y2]: [f64; 4], [width, height]: [u32; 2]) -> Option<[f64; 4]> {
    let (x1, x2) = (cents(x1.clamp(0.0, f64::from(width))), cents(x2.clamp(0.0, f64::from(width))));
    let (y1, y2) = (cents(y1.clamp(0.0, f64::from(height))), cents(y2.clamp(0.0, f64::from(height))));
    // What is no number fails here too.
    (x2 > x1 && y2 > y1).then(|| [x1, y1, cents(x2 - x1), cents(y2 - y1)])
}

/// Whether a box ends at the picture's edge.
pub fn touches([x, y, w, h]: [f64; 4], [width, height]: [u32; 2]) -> bool {
    x < EDGE || y < EDGE || x + w > f64::from(width) - EDGE || y + h > f64::from(height) - EDGE
}

/// Hundredths: a hundredth of a pixel is less than any label is worth, and prints shortly.
fn cents(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What people said of a picture, oldest first; the last counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Schema, [`SCHEMA`].
    pub schema: u32,
    /// The captured record.
    pub record: Digest,
    /// Pixels across and down of its picture.
    pub size: [u32; 2],
    /// Each time somebody looked.
    pub revisions: Vec<Revision>,
}

/// One time that somebody looked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Who.
    pub by: String,
    /// When it was merged, RFC 3339.
    pub at: String,
    /// SHA-256 of the file that it came in.
    pub source: Digest,
    /// What is in the picture; nothing at all is an answer too.
    pub annotations: Vec<Annotation>,
}

impl Labels {
    /// What counts.
    pub fn current(&self) -> &[Annotation] {
        self.revisions.last().map_or(&[], |revision| &revision.annotations)
    }
}

impl Versioned for Labels {
    const SCHEMA: u32 = SCHEMA;
    const NAME: &'static str = "labels";
    const LIMIT: usize = 64 << 20;

    fn check(&self) -> Result<(), String> {
        let count =
            self.revisions.iter().map(|revision| revision.annotations.len()).max().unwrap_or_default();
        if self.revisions.is_empty() || count > MAX_PER_PICTURE {
            return Err(format!(
                "revisions: 1 or more of at most {MAX_PER_PICTURE} annotations are expected"
            ));
        }
        Ok(())
    }
}
