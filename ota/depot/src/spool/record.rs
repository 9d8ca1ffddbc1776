//! The side-car of a captured picture: what was decided on it, why it was taken, what was made unrecognisable.

use serde::{Deserialize, Serialize};

use crate::record::DecisionRecord;

/// The schema this code writes. Within it keys are added, never changed; a reader passes over keys it does not know.
pub const RECORD_SCHEMA: u32 = 1;

/// `record.json` of a captured record. It has no place: no position is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// Version of this schema; 1.
    pub schema: u32,
    /// What the frame showed and what was decided on it. Boxes are in pixels of the source picture, `image_size`.
    pub decision: DecisionRecord,
    /// Why it was taken.
    pub reason: Reason,
    /// What was made unrecognisable before it was written.
    pub redaction: Redaction,
    /// The picture beside it.
    pub picture: Picture,
    /// What is known of the camera.
    pub camera: CameraSettings,
}

/// What takes frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Around a decision: a warning, a brake, a fall, and what came before and after.
    Event,
    /// A score close to the threshold.
    NearThreshold,
    /// A track that appeared and vanished quickly.
    Flicker,
    /// The model in shadow saw something else.
    ShadowDisagreement,
    /// The stream is no longer what the model was made for.
    Drift,
    /// One of so many, decided before its content is looked at.
    Random,
    /// The operator asked for such frames.
    Campaign,
    /// A person asked for this moment.
    Bookmark,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Event,
        Self::NearThreshold,
        Self::Flicker,
        Self::ShadowDisagreement,
        Self::Drift,
        Self::Random,
        Self::Campaign,
        Self::Bookmark,
    ];

    /// As it is written.
    pub fn code(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::NearThreshold => "near_threshold",
            Self::Flicker => "flicker",
            Self::ShadowDisagreement => "shadow_disagreement",
            Self::Drift => "drift",
            Self::Random => "random",
            Self::Campaign => "campaign",
            Self::Bookmark => "bookmark",
        }
    }
}

/// Why a frame was taken: the first rule in the configured order that wanted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// What it is about: the same for all frames of one event, one vanished track, one bookmark; unique on this device.
    pub group: String,
    /// The campaign's name, or the person who set the bookmark, or what else the rule has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Milliseconds from the moment that the group is about: negative before it.
    #[serde(default)]
    pub offset_ms: i64,
    /// The number that made the rule want it: the score, or the rate of frames it takes (0 to 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f32>,
}

/// What was made unrecognisable in the picture. Best effort: what the model does not see stays clear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redaction {
    /// How.
    pub method: RedactionMethod,
    /// Detections of persons from this score on count.
    pub from_score: f32,
    /// Their boxes were enlarged by this share.
    pub enlarged: f32,
    /// Persons followed within so many seconds of this frame count too.
    pub tracks_s: f32,
    /// Heads: corners x1, y1, x2, y2 in pixels of the source picture.
    pub heads: Vec<[f32; 4]>,
    /// Configured regions, the same way.
    pub regions: Vec<[f32; 4]>,
}

/// How a region was made unrecognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedactionMethod {
    /// One grey value: nothing of the picture is left there.
    Fill,
}

/// `picture.jpg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels across; smaller than the source's where the rule says so.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

/// What is known of the camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraSettings {
    /// How its frames lie in memory: `yuyv`, `nv12`, `i420`, `grey`, `rgb`, `bgr`, `uyvy`.
    #[serde(default)]
    pub pixel_format: String,
    /// Controls and measures, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// As the driver names it.
    pub name: String,
    /// Its value.
    pub value: f64,
}
