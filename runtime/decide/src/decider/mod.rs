//! From a frame's detections to a [`Decision`], for all cameras of a vehicle or a room.

mod config;
#[cfg(test)]
mod tests;

use heapless::Vec;

use crate::bounds::OutOfBounds;
use crate::camera::Camera;
use crate::decision::{Decision, TrackView};
use crate::ego::Ego;
use crate::observe::Observation;
use crate::time::Nanos;
use crate::track::{Ids, Seen, Track, Tracker};

pub use config::{CameraConfig, DecideConfig, Function, Functions, MAX_CAMERAS};

/// One processed frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameInput<'a> {
    /// The camera, by its number in the configuration.
    pub camera: u8,
    /// The frame's number, as its source counts.
    pub frame: u64,
    /// When the picture was taken.
    pub captured: Nanos,
    /// Width and height of the source picture in pixels.
    pub size: [u32; 2],
    /// What the models saw; what is not sound (see [`Observation::is_sound`]) is left out.
    pub observations: &'a [Observation],
    /// The vehicle's signals, interpolated to `captured`.
    pub ego: Ego,
}

/// One camera's eye.
#[derive(Clone, Debug)]
struct Eye {
    config: CameraConfig,
    camera: Option<Camera>,
    tracker: Tracker,
}

/// Follows objects and decides. Pure: the same frames give the same decisions.
#[derive(Clone, Debug)]
pub struct Decider {
    config: DecideConfig,
    eyes: Vec<Eye, MAX_CAMERAS>,
    ids: Ids,
    decision: Decision,
}

impl Decider {
    /// Checks the configuration and begins without any track.
    ///
    /// # Errors
    /// The first setting out of its bounds.
    pub fn new(config: DecideConfig) -> Result<Self, OutOfBounds> {
        config.check()?;
        let mut eyes = Vec::new();
        for camera in &config.cameras {
            let calibrated = camera.calibration.map(Camera::new).transpose()?;
            let eye = Eye { config: *camera, camera: calibrated, tracker: Tracker::new(config.track) };
            // As many as the configuration has.
            let _ = eyes.push(eye);
        }
        Ok(Self { config, eyes, ids: Ids::default(), decision: Decision::default() })
    }

    /// Takes in one frame. A camera that is not configured gives an empty decision.
    pub fn step(&mut self, input: &FrameInput<'_>) -> &Decision {
        self.decision = Decision {
            camera: input.camera,
            frame: input.frame,
            captured: input.captured,
            ..Decision::default()
        };
        let Some(eye) = self.eyes.get_mut(usize::from(input.camera)) else { return &self.decision };
        #[allow(clippy::cast_precision_loss, reason = "pictures are smaller than 2^24 pixels")]
        let size = input.size.map(|length| length as f32);
        let seen = Seen { captured: input.captured, size, observations: input.observations };
        let window = self.config.track_window();
        for track in eye.tracker.step(&seen, &mut self.ids) {
            let view = TrackView {
                id: track.id(),
                role: track.role(),
                bbox: track.bbox(),
                score: track.median(input.captured, window),
                observation: track.observation(),
            };
            // As many as a tracker has.
            let _ = self.decision.tracks.push(view);
        }
        &self.decision
    }

    /// The decision of the newest step.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The tracks of a camera; none where there is no such camera.
    pub fn tracks(&self, camera: u8) -> &[Track] {
        self.eyes.get(usize::from(camera)).map_or(&[], |eye| eye.tracker.tracks())
    }
}
