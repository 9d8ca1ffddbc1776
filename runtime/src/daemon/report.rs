//! A processed frame as the inference thread hands it to the publisher, and the decision record made of it there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use stopline_decide::decision::Decision;
use stopline_decide::ego::Ego;
use stopline_depot::digest::Digest;
use stopline_depot::health::DeploymentHealth;
use stopline_depot::manifest::Manifest;
use stopline_depot::record::{ModelIdentity, RecordedLook, StageLatencies};
use stopline_sensors::frame::{Frame, FrameMeta};

use super::pace::Pace;
use super::slot::Slot;
use crate::detection::Detection;

/// A model of the configuration: known by name at once, as a model once it is loaded.
#[derive(Debug, Default)]
pub struct ModelSeat {
    /// Its name in the configuration.
    pub name: String,
    /// Which model it is.
    pub facts: Slot<Arc<ModelFacts>>,
    /// Frames it looked at.
    pub frames: AtomicU64,
    /// What its newest frames took.
    pub pace: Pace,
    /// The security floor has risen above it.
    pub below_floor: AtomicBool,
    /// How far a new one has come that is to take its place.
    pub rollout: Slot<DeploymentHealth>,
}

/// What one model is, for whoever writes about it.
#[derive(Debug)]
pub struct ModelFacts {
    /// Its name in the configuration.
    pub name: String,
    /// Which model exactly.
    pub identity: ModelIdentity,
    /// Labels and keypoint names.
    pub manifest: Manifest,
    /// The bundle it was taken from, for a model over the air.
    pub bundle: Option<BundleFacts>,
}

/// Which bundle a model was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// SHA-256 of `bundle.tar`.
    pub digest: Digest,
    /// It came with the device.
    pub factory: bool,
}

/// What one model found in one frame.
#[derive(Clone, Debug)]
pub struct Found {
    /// The model.
    pub model: Arc<ModelFacts>,
    /// Its place among the models of the inference thread.
    pub place: usize,
    /// What it found.
    pub detections: Vec<Detection>,
    /// Why nothing can be said of this frame.
    pub invalid: Option<String>,
}

/// What was decided on a frame.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// The vehicle when the picture was taken.
    pub ego: Ego,
    /// For each observation, by its number, which of all models' detections in a row it was.
    pub places: Vec<u16>,
}

/// A processed frame.
#[derive(Debug)]
pub struct FrameReport {
    /// The camera's number.
    pub camera: usize,
    /// Number, times and source.
    pub meta: FrameMeta,
    /// Pixels across and down.
    pub size: [u32; 2],
    /// What each model found that looked at it.
    pub found: Vec<Found>,
    /// How it was looked at, where that was not wholly.
    pub looked: Option<RecordedLook>,
    /// What was decided; `None` where a model's numbers could not be.
    pub decision: Option<Decided>,
    /// What each stage took.
    pub latency: StageLatencies,
    /// The picture itself, where the publisher has asked for one.
    pub picture: Option<Frame>,
}

impl FrameReport {
    /// The same, with this picture instead of its own.
    #[must_use]
    pub fn with_picture(&self, picture: Option<Frame>) -> Self {
        Self {
            camera: self.camera,
            meta: self.meta.clone(),
            size: self.size,
            found: self.found.clone(),
            looked: self.looked,
            decision: self.decision.clone(),
            latency: self.latency,
            picture,
        }
    }
}
