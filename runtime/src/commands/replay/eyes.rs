//! The models of a replay: one, or all that serve the camera, seen as one list of classes.

use stopline_depot::manifest::Manifest;
use stopline_depot::record::{ModelIdentity, ModelRole};
use stopline_sensors::frame::Frame;

use crate::config::{Light, When};
use crate::detection::Detection;
use crate::detector::{DetectError, Detector, StageTimes};
use crate::observe::Roles;
use crate::pipeline::Origin;

/// One model.
pub struct Looker {
    pub detector: Detector,
    pub roles: Roles,
    pub when: When,
}

/// All models.
pub struct Eyes {
    lookers: Vec<Looker>,
    /// Every model's labels in a row; of one model its own manifest.
    shown: Manifest,
    /// Class number in `shown` at which each model's classes begin.
    first_class: Vec<usize>,
}

/// What was seen in one frame.
#[derive(Default)]
pub struct Looked {
    /// All detections, classes as in the manifest shown.
    pub found: Vec<Detection>,
    /// What each model that looked found, by its place.
    pub by_model: Vec<(usize, Vec<Detection>)>,
    /// What it took.
    pub times: StageTimes,
    /// Why a model gave no numbers.
    pub invalid: Option<String>,
}

impl Eyes {
    /// One or more models.
    pub fn new(lookers: Vec<Looker>) -> Option<Self> {
        let mut shown = lookers.first()?.detector.manifest().clone();
        let mut first_class = vec![0];
        for looker in &lookers[1..] {
            first_class.push(shown.labels.len());
            shown.labels.extend(looker.detector.manifest().labels.iter().cloned());
            if shown.keypoints.is_empty() {
                shown.keypoints.clone_from(&looker.detector.manifest().keypoints);
            }
        }
        Some(Self { lookers, shown, first_class })
    }

    /// Names of all classes.
    pub fn shown(&self) -> &Manifest {
        &self.shown
    }

    /// The first model, which facts and records name.
    pub fn first(&self) -> &Detector {
        &self.lookers[0].detector
    }

    /// Which model, exactly, records name.
    pub fn identity(&self) -> ModelIdentity {
        let manifest = self.first().manifest();
        ModelIdentity {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: self.first().digest().to_owned(),
            role: ModelRole::Active,
        }
    }

    /// The class number in its own model of class `class` as shown.
    pub fn own_class(&self, class: usize) -> usize {
        let before = self.first_class.iter().rev().find(|first| **first <= class);
        class - before.copied().unwrap_or_default()
    }

    /// The parts that the classes of model number `model` play.
    pub fn roles_of(&self, model: usize) -> &Roles {
        &self.lookers[model].roles
    }

    /// Lets every model look at `frame` that serves at this light and speed.
    ///
    /// # Errors
    /// [`DetectError`] that is not of this frame alone.
    pub fn look(
        &mut self,
        frame: &Frame,
        light: Option<Light>,
        speed: Option<f32>,
    ) -> Result<Looked, DetectError> {
        let mut looked = Looked::default();
        for (at, looker) in self.lookers.iter_mut().enumerate() {
            if !looker.when.holds(light, speed) {
                continue;
            }
            let mut found = Vec::new();
            match looker.detector.detect(frame, &mut found) {
                Ok(took) => {
                    looked.times.prepare += took.prepare;
                    looked.times.infer += took.infer;
                    looked.times.decode += took.decode;
                }
                Err(error) if error.invalid_frame() => {
                    found.clear();
                    looked.invalid = Some(error.to_string());
                }
                Err(error) => return Err(error),
            }
            let first = self.first_class[at];
            looked
                .found
                .extend(found.iter().map(|one| Detection { class: one.class + first, ..one.clone() }));
            looked.by_model.push((at, found));
        }
        if looked.invalid.is_some() {
            // A frame is decided on with all its models or not at all.
            looked.found.clear();
            looked.by_model.clear();
        }
        Ok(looked)
    }
}

impl Looked {
    /// The place in `found` of what `origin` names.
    pub fn place(&self, origin: Origin) -> Option<u16> {
        let before: usize =
            self.by_model.iter().take(usize::from(origin.model)).map(|(_, found)| found.len()).sum();
        u16::try_from(before + usize::from(origin.detection)).ok()
    }
}
