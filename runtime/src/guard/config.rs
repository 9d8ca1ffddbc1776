//! `[guard]` of the configuration, and what may differ per camera in `[camera.guard]`.

use serde::{Deserialize, Serialize};
use stopline_decide::time::Nanos;

/// `[guard]`: limits and times. Every key has a default; each is checked against its bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Least time without a frame that is a lost camera; the limit is max(2.5 periods, this). 20 to 2000, default 100.
    pub lost_after_ms: u32,
    /// Time a camera has for its first frame. 500 to 60 000, default 5000.
    pub first_frame_ms: u32,
    /// Identical pictures from a raw sensor: its noise never repeats. 50 to 2000, default 150.
    pub frozen_after_ms: u32,
    /// Identical pictures from a compressed stream whose scene was changing. 500 to 10 000, default 2000.
    pub frozen_compressed_after_ms: u32,
    /// Identical pictures from a compressed stream whose scene stood still before: an encoder codes nothing until its
    /// next key frame, so this must be longer than the longest key frame interval. 2000 to 600 000, default 60 000.
    pub frozen_static_after_ms: u32,
    /// Confirmation of black, saturated, wholly covered and suddenly defocused pictures. 0 to 2000, default 90.
    pub picture_confirm_ms: u32,
    /// Confirmation of what also passes by itself: a partly covered lens, a low sun. 200 to 30 000, default 1500.
    pub partial_confirm_ms: u32,
    /// How long a picture must be good again. 0 to 30 000, default 500.
    pub picture_recover_ms: u32,
    /// Luma (0 to 255, full range) up to which a sample is black. 0 to 64, default 16.
    pub black_luma: u8,
    /// Luma from which a sample is saturated. 200 to 255, default 250.
    pub saturated_luma: u8,
    /// Share of formerly textured cells without any detail that is a covered lens. 0.1 to 1, default 0.45.
    pub covered_share: f32,
    /// Sharpness, as a share of the learned or declared one, below which the lens is out of focus. 0.1 to 0.9,
    /// default 0.5.
    pub defocused_ratio: f32,
    /// Sharpness below which the lens is out of focus whatever was learned. 0 to 0.5, default 0.1.
    pub defocused_floor: f32,
    /// Shift of the background or horizon, as a share of the picture's side, that is a moved camera. 0.015 to 0.2,
    /// default 0.025.
    pub moved_share: f32,
    /// How long a shift must last before a camera in front of a still background counts as moved. 500 to 600 000,
    /// default 5000.
    pub moved_confirm_ms: u32,
    /// Time over which the view of a driving camera is averaged before its horizon is compared. 500 to 600 000,
    /// default 20 000.
    pub horizon_settle_ms: u32,
    /// Least share of the nominal frame rate, where the camera's own `min_rate` does not say. 0.1 to 1, default 0.6.
    pub rate_share: f32,
    /// Confirmation of a low frame rate. 100 to 30 000, default 1000.
    pub rate_confirm_ms: u32,
    /// Capture times further than this ahead of the clock come from the future. 1 to 1000, default 20.
    pub future_ms: u32,
    /// How long capture times must be sound again. 100 to 60 000, default 1000.
    pub clock_recover_ms: u32,
    /// Time without the model's answer to a frame it was given. 20 to 60 000, default 100.
    pub stalled_after_ms: u32,
    /// Capture to decision above which an answer is slow. 10 to 60 000, default 100.
    pub latency_budget_ms: u32,
    /// How long answers must be slow, or fast again. 0 to 60 000, default 1000.
    pub slow_confirm_ms: u32,
    /// How long the model's numbers must be impossible. 0 to 10 000, default 90.
    pub invalid_confirm_ms: u32,
    /// How long an actuator, vehicle signals or the power supply must be well again. 0 to 60 000, default 200.
    pub recover_ms: u32,
    /// Age of the oldest message in the outbox above which nobody is fetching. 1 to 86 400, default 30.
    pub outbox_after_s: u32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            lost_after_ms: 100,
            first_frame_ms: 5000,
            frozen_after_ms: 150,
            frozen_compressed_after_ms: 2000,
            frozen_static_after_ms: 60_000,
            picture_confirm_ms: 90,
            partial_confirm_ms: 1500,
            picture_recover_ms: 500,
            black_luma: 16,
            saturated_luma: 250,
            covered_share: 0.45,
            defocused_ratio: 0.5,
            defocused_floor: 0.1,
            moved_share: 0.025,
            moved_confirm_ms: 5000,
            horizon_settle_ms: 20_000,
            rate_share: 0.6,
            rate_confirm_ms: 1000,
            future_ms: 20,
            clock_recover_ms: 1000,
            stalled_after_ms: 100,
            latency_budget_ms: 100,
            slow_confirm_ms: 1000,
            invalid_confirm_ms: 90,
            recover_ms: 200,
            outbox_after_s: 30,
        }
    }
}

/// What a camera is bolted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// It drives: only its horizon stays where it was.
    #[default]
    Vehicle,
    /// A wall or a pole: its background stays where it was.
    Fixed,
}

/// How the camera's pictures come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Raw for a camera of this machine and the test pattern, compressed for streams and recordings.
    #[default]
    Auto,
    /// Every picture is a new exposure; two are never the same.
    Raw,
    /// Pictures went through an encoder, which may repeat them.
    Compressed,
}

/// `guard` of a `[[camera]]`: what the guard must know of this camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraOverrides {
    /// What the camera is bolted to; default: `fixed` where `fall` is among its functions, else `vehicle`.
    pub placement: Option<Placement>,
    /// How its pictures come.
    pub coding: Coding,
    /// Least frames per second its functions need; default: `rate_share` of the nominal rate.
    pub min_rate: Option<f32>,
    /// Sharpness when well focused, as a reference says it; default: learned.
    pub sharpness: Option<f32>,
    /// Reference views (JSON, one per light: day, infrared) made when the camera was calibrated.
    pub references: Vec<std::path::PathBuf>,
    /// Judge timing only, never what the picture shows: for synthetic scenes.
    pub timing_only: bool,
}

/// A configured value that is outside its bounds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("guard.{key}: found {found}, expected {least} to {most}")]
pub struct GuardConfigError {
    /// The key.
    pub key: &'static str,
    /// What stands there.
    pub found: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
}

impl GuardConfig {
    /// Holds every value to its bounds.
    ///
    /// # Errors
    /// [`GuardConfigError`] names the first key that is outside.
    pub fn check(&self) -> Result<(), GuardConfigError> {
        for (key, found, least, most) in self.bounds() {
            // Written so that what is no number is refused.
            if !(found >= least && found <= most) {
                return Err(GuardConfigError { key, found, least, most });
            }
        }
        Ok(())
    }

    fn bounds(&self) -> [(&'static str, f64, f64, f64); 26] {
        [
            ("lost_after_ms", self.lost_after_ms.into(), 20.0, 2000.0),
            ("first_frame_ms", self.first_frame_ms.into(), 500.0, 60_000.0),
            ("frozen_after_ms", self.frozen_after_ms.into(), 50.0, 2000.0),
            ("frozen_compressed_after_ms", self.frozen_compressed_after_ms.into(), 500.0, 10_000.0),
            ("frozen_static_after_ms", self.frozen_static_after_ms.into(), 2000.0, 600_000.0),
            ("picture_confirm_ms", self.picture_confirm_ms.into(), 0.0, 2000.0),
            ("partial_confirm_ms", self.partial_confirm_ms.into(), 200.0, 30_000.0),
            ("picture_recover_ms", self.picture_recover_ms.into(), 0.0, 30_000.0),
            ("black_luma", self.black_luma.into(), 0.0, 64.0),
            ("saturated_luma", self.saturated_luma.into(), 200.0, 255.0),
            ("covered_share", self.covered_share.into(), 0.1, 1.0),
            ("defocused_ratio", self.defocused_ratio.into(), 0.1, 0.9),
            ("defocused_floor", self.defocused_floor.into(), 0.0, 0.5),
            ("moved_share", self.moved_share.into(), 0.015, 0.2),
            ("moved_confirm_ms", self.moved_confirm_ms.into(), 500.0, 600_000.0),
            ("horizon_settle_ms", self.horizon_settle_ms.into(), 500.0, 600_000.0),
            ("rate_share", self.rate_share.into(), 0.1, 1.0),
            ("rate_confirm_ms", self.rate_confirm_ms.into(), 100.0, 30_000.0),
            ("future_ms", self.future_ms.into(), 1.0, 1000.0),
            ("clock_recover_ms", self.clock_recover_ms.into(), 100.0, 60_000.0),
            ("stalled_after_ms", self.stalled_after_ms.into(), 20.0, 60_000.0),
            ("latency_budget_ms", self.latency_budget_ms.into(), 10.0, 60_000.0),
            ("slow_confirm_ms", self.slow_confirm_ms.into(), 0.0, 60_000.0),
            ("invalid_confirm_ms", self.invalid_confirm_ms.into(), 0.0, 10_000.0),
            ("recover_ms", self.recover_ms.into(), 0.0, 60_000.0),
            ("outbox_after_s", self.outbox_after_s.into(), 1.0, 86_400.0),
        ]
    }
}

/// A configured time.
pub(super) const fn ms(millis: u32) -> Nanos {
    Nanos::from_millis(millis as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds_and_what_is_outside_is_named() {
        GuardConfig::default().check().expect("sound");
        let wrong: GuardConfig = toml::from_str("frozen_after_ms = 10").expect("reads");
        let told = wrong.check().expect_err("refused").to_string();
        assert_eq!(told, "guard.frozen_after_ms: found 10, expected 50 to 2000");
        let nan: GuardConfig = toml::from_str("covered_share = nan").expect("reads");
        assert!(nan.check().expect_err("refused").to_string().contains("covered_share"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<GuardConfig>("frozen_after = 150").is_err());
        assert!(toml::from_str::<CameraOverrides>("place = 'fixed'").is_err());
        let known: CameraOverrides = toml::from_str("placement = 'fixed'\ncoding = 'raw'").expect("reads");
        assert_eq!((known.placement, known.coding), (Some(Placement::Fixed), Coding::Raw));
    }
}
