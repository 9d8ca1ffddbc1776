//! What a model is and how it wants to be fed and read: `model.toml` by hand, the same keys as JSON in a bundle.
//!
//! A [`Manifest`] exists only checked: [`Manifest::from_toml`] and [`Manifest::from_json`] refuse unknown keys and
//! values that cannot work, and say which key, what was found and what is allowed. One of a newer schema is told apart
//! ([`ManifestError::Newer`]), whatever keys it has.

mod check;
mod decode;
mod input;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use decode::{BoxFormat, Decode, Family, Head, Nms, Thresholds, ValueRange};
pub use input::{
    Anchor, ColourOrder, Crop, Dtype, ExtraInput, ExtraValue, Fill, Filter, Input, Layout, Resize,
    ResizeMode, Rounding,
};

/// The schema this code reads and writes.
pub const SCHEMA: u32 = 1;

/// A checked model manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this schema; 1.
    pub schema: u32,
    /// The model's name: lower-case letters, digits, `-`, `_`, `.`; at most 64.
    pub name: String,
    /// The model's own version.
    pub version: semver::Version,
    /// What the model is for.
    pub task: Task,
    /// How its outputs are read.
    pub decoder: Family,
    /// Class names in class order; for keypoint models the class of what is posed (`["person"]`).
    pub labels: Vec<String>,
    /// Keypoint names in output order; only for tasks with keypoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keypoints: Vec<String>,
    /// What the model is fed.
    pub input: Input,
    /// Details of reading the outputs that differ within a family.
    #[serde(default, skip_serializing_if = "Decode::is_default")]
    pub decode: Decode,
    /// When a detection counts.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Which labels play a part in decisions: role (`stop_sign`, `pedestrian`, `fallen`, …) → labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Vec<String>>,
    /// What the model may cost on the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Oldest runtime that can run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_runtime: Option<semver::Version>,
    /// What the training pictures were like, to notice drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// Pictures with known results, to prove on the board that the model runs there as it did in the lab.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<Golden>,
    /// Where it comes from and what one may do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Boxes with a class and a score.
    Detect,
    /// Boxes, each with keypoints (`yolo-pose`).
    Pose,
    /// Keypoints of one object in the picture or crop (`movenet`, `heatmap`).
    Keypoints,
    /// One score per class for the whole picture.
    Classify,
}

/// What a model may cost on the board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Longest time of prepare, infer and decode together, in milliseconds.
    pub latency_ms: f64,
    /// Most memory, in MiB.
    pub memory_mib: f64,
}

/// What the training pictures were like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Picture sizes, width × height in pixels.
    pub resolutions: Vec<[u32; 2]>,
    /// Mean luma 0–255: mean and standard deviation over the pictures.
    pub brightness: Option<[f64; 2]>,
    /// Share of detections in each of equal score bins from 0 to 1.
    pub score_histogram: Vec<f64>,
    /// Detections per picture, by label.
    pub class_rates: BTreeMap<String, f64>,
}

/// A picture with a known result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Picture file, relative to the manifest.
    pub image: String,
    /// SHA-256 of the prepared input tensor's bytes, hexadecimal.
    pub input_sha256: String,
    /// What must be found.
    pub detections: Vec<GoldenDetection>,
    /// How far results may be off.
    pub tolerance: Tolerance,
}

/// One expected detection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenDetection {
    /// Class name.
    pub label: String,
    /// Score, 0 to 1.
    pub score: f32,
    /// Corners x1, y1, x2, y2 in pixels of the picture.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
}

/// How far a golden result may be off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Largest difference of scores.
    pub score: f32,
    /// Smallest overlap (IoU) of boxes.
    pub iou: f32,
}

/// Where a model comes from and what one may do with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provenance {
    /// SPDX expression, or a name.
    pub licence: Option<String>,
    /// Where it was published.
    pub source: Option<String>,
    /// SHA-256 of the ONNX file, hexadecimal.
    pub sha256: Option<String>,
    /// SHA-256 of the training data's listing, hexadecimal.
    pub data_sha256: Option<String>,
    /// Anything else worth knowing.
    pub note: Option<String>,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, a key that is unknown or missing, or a value of the wrong kind.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Not JSON, a key that is unknown or missing, or a value of the wrong kind.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A newer program wrote it: not an error of the manifest. A deployment waits for a newer runtime.
    #[error("schema: found {found}, expected at most {SCHEMA}. Install a newer program; until then it waits")]
    Newer {
        /// Its schema.
        found: u64,
    },
    /// A value that cannot work.
    #[error("{key}: found {found}, expected {expected}")]
    Value {
        /// Dotted path of the key.
        key: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
}

impl Manifest {
    /// Reads and checks a manifest written as TOML.
    ///
    /// # Errors
    /// [`ManifestError`] names the line or the key, what was found and what is allowed.
    pub fn from_toml(text: &str) -> Result<Self, ManifestError> {
        not_newer(toml::from_str(text).ok())?;
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads and checks a manifest written as JSON.
    ///
    /// # Errors
    /// As [`Manifest::from_toml`].
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        not_newer(serde_json::from_slice(text).ok())?;
        let manifest: Self = serde_json::from_slice(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The class number of `label`.
    pub fn class_of(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|known| known == label)
    }
}

/// All that is asked of a manifest before its other keys: a newer schema may have keys that this program does not know.
#[derive(Deserialize)]
struct Stamp {
    schema: u64,
}

/// What has no schema is left to the whole manifest's own message.
fn not_newer(head: Option<Stamp>) -> Result<(), ManifestError> {
    match head {
        Some(Stamp { schema: found }) if found > u64::from(SCHEMA) => Err(ManifestError::Newer { found }),
        _ => Ok(()),
    }
}
