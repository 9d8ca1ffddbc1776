//! Settings of the tracker.

use crate::bounds::{OutOfBounds, Section};

/// How objects are followed. Sizes of boxes and pictures make the noises scale with what is seen, seconds make them
/// independent of the frame rate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct TrackConfig {
    /// Score from which a detection takes part in the first stage. Default 0.4.
    pub high_score: f32,
    /// Score from which it takes part in the second stage. Default 0.1; what the model's own threshold drops never comes.
    pub low_score: f32,
    /// Score from which it begins a track. Default 0.4.
    pub new_score: f32,
    /// Overlap (intersection over union) from which a pair is judged by overlap. Default 0.15.
    pub min_iou: f32,
    /// Gate in standard deviations of the predicted centre, for pairs that hardly overlap. Default 3.
    pub gate_sigmas: f32,
    /// How long a confirmed track goes on without a detection, in ms. Default 1 000.
    pub coast_ms: u32,
    /// How long an unconfirmed one does, in ms. Default 250.
    pub tentative_ms: u32,
    /// After how long a track seen at least twice is confirmed, in ms. Default 100.
    pub confirm_ms: u32,
    /// Acceleration of an object in the picture, in its own heights per s². Default 3.
    pub acceleration: f32,
    /// Acceleration of the whole picture (pitch, bumps), in picture heights per s². Default 0.3.
    pub shake: f32,
}

impl Default for TrackConfig {
    fn default() -> Self {
        Self {
            high_score: 0.4,
            low_score: 0.1,
            new_score: 0.4,
            min_iou: 0.15,
            gate_sigmas: 3.0,
            coast_ms: 1_000,
            tentative_ms: 250,
            confirm_ms: 100,
            acceleration: 3.0,
            shake: 0.3,
        }
    }
}

impl TrackConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let section = Section("track");
        section.holds("high_score", self.high_score, 0.05, 1.0)?;
        section.holds("low_score", self.low_score, 0.01, self.high_score)?;
        section.holds("new_score", self.new_score, self.high_score, 1.0)?;
        section.holds("min_iou", self.min_iou, 0.01, 0.9)?;
        section.holds("gate_sigmas", self.gate_sigmas, 0.5, 6.0)?;
        section.holds_whole("coast_ms", self.coast_ms, 100, 5_000)?;
        section.holds_whole("tentative_ms", self.tentative_ms, 0, self.coast_ms)?;
        section.holds_whole("confirm_ms", self.confirm_ms, 0, 2_000)?;
        section.holds("acceleration", self.acceleration, 0.1, 30.0)?;
        section.holds("shake", self.shake, 0.0, 5.0)
    }
}
