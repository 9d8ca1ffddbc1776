//! Values that serde lets through and that cannot work.

use super::{Family, Manifest, ManifestError, SCHEMA, Task};

/// The longest side of a model's input; beyond it a tensor no longer fits a board's memory.
const MAX_INPUT: u32 = 8192;

pub(super) fn refuse(
    key: &str,
    found: impl ToString,
    expected: impl Into<String>,
) -> Result<(), ManifestError> {
    Err(ManifestError::Value { key: key.into(), found: found.to_string(), expected: expected.into() })
}

impl Manifest {
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        self.check_identity()?;
        self.check_labels()?;
        self.check_input()?;
        self.check_decode()?;
        self.check_thresholds()
    }

    fn check_identity(&self) -> Result<(), ManifestError> {
        if self.schema != SCHEMA {
            return refuse("schema", self.schema, format!("{SCHEMA}, the only one this runtime knows"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if self.name.is_empty()
            || self.name.len() > 64
            || !self.name.chars().all(plain)
            || self.name.starts_with('.')
        {
            let expected = "1 to 64 of a-z, 0-9, '-', '_', '.', not starting with '.'";
            return refuse("name", format!("{:?}", self.name), expected);
        }
        let (task, fits): (_, &[Family]) = match self.task {
            Task::Keypoints => ("keypoints", &[Family::Movenet, Family::Heatmap]),
            Task::Pose => ("pose", &[Family::YoloPose]),
            Task::Classify => ("classify", &[Family::Classifier]),
            Task::Detect => ("detect", &Self::DETECTORS),
        };
        if !fits.contains(&self.decoder) {
            return refuse(
                "decoder",
                format!("{:?} with task {task:?}", self.decoder),
                format!("one of {fits:?}"),
            );
        }
        Ok(())
    }

    const DETECTORS: [Family; 8] = [
        Family::Yolox,
        Family::Yolov5,
        Family::Yolov8,
        Family::YoloEnd2end,
        Family::Nanodet,
        Family::Fastestdet,
        Family::Ssd,
        Family::Detr,
    ];

    fn check_labels(&self) -> Result<(), ManifestError> {
        if self.labels.is_empty() {
            return refuse("labels", "none", "one name per class, in class order");
        }
        for (at, label) in self.labels.iter().enumerate() {
            if label.is_empty() {
                return refuse(&format!("labels[{at}]"), "an empty name", "a name");
            }
            if self.labels[..at].contains(label) {
                return refuse(
                    &format!("labels[{at}]"),
                    format!("{label:?} a second time"),
                    "distinct names",
                );
            }
        }
        let posed = matches!(self.task, Task::Pose | Task::Keypoints);
        if posed == self.keypoints.is_empty() {
            let expected = if posed { "keypoint names in output order" } else { "none for this task" };
            return refuse("keypoints", format!("{} names", self.keypoints.len()), expected);
        }
        for (role, labels) in &self.roles {
            if let Some(label) = labels.iter().find(|label| self.class_of(label).is_none()) {
                return refuse(&format!("roles.{role}"), format!("{label:?}"), "a label of this model");
            }
        }
        Ok(())
    }

    fn check_input(&self) -> Result<(), ManifestError> {
        let input = &self.input;
        for (key, side) in [("input.width", input.width), ("input.height", input.height)] {
            if !(1..=MAX_INPUT).contains(&side) {
                return refuse(key, side, format!("1 to {MAX_INPUT} pixels"));
            }
        }
        if !(1..=256).contains(&input.rectangle_stride) {
            return refuse("input.rectangle_stride", input.rectangle_stride, "1 to 256 pixels");
        }
        if !input.scale.is_finite() || input.scale == 0.0 {
            return refuse("input.scale", input.scale, "a finite number other than 0");
        }
        for (at, (mean, std)) in input.mean.iter().zip(input.std).enumerate() {
            if !mean.is_finite() {
                return refuse(&format!("input.mean[{at}]"), mean, "a finite number");
            }
            if !std.is_finite() || std == 0.0 {
                return refuse(&format!("input.std[{at}]"), std, "a finite number other than 0");
            }
        }
        if let Some(crop) = input.crop
            && !(0.1..=10.0).contains(&crop.grow)
        {
            return refuse("input.crop.grow", crop.grow, "0.1 to 10");
        }
        Ok(())
    }

    fn check_thresholds(&self) -> Result<(), ManifestError> {
        let limits = &self.thresholds;
        for (key, value) in [("thresholds.score", limits.score), ("thresholds.nms_iou", limits.nms_iou)] {
            if !(0.0..=1.0).contains(&value) {
                return refuse(key, value, "0 to 1");
            }
        }
        if !(1..=100_000).contains(&limits.max_detections) {
            return refuse("thresholds.max_detections", limits.max_detections, "1 to 100000");
        }
        for (label, score) in &limits.per_class {
            if self.class_of(label).is_none() {
                return refuse("thresholds.per_class", format!("{label:?}"), "a label of this model");
            }
            if !(0.0..=1.0).contains(score) {
                return refuse(&format!("thresholds.per_class.{label}"), score, "0 to 1");
            }
        }
        Ok(())
    }
}
