//! Output tensors → detections in source pixels.
//!
//! Files in walk order: `outputs` finds the tensors and looks at them as matrices, `scores` and `boxes` read values,
//! one file per family turns them into candidates, `candidates` holds those that count, `nms` suppresses.
//!
//! Every family checks the plan's outputs once, when it is made, as far as their axes are known then, and each run's
//! shapes again. A tensor that is read is first scanned for values that are no numbers: one of them makes the frame
//! invalid. Buffers are kept from frame to frame; only detections with keypoints allocate, one list each.

mod boxes;
mod candidates;
mod classifier;
mod detr;
mod end2end;
mod fastestdet;
mod grid;
mod heatmap;
mod movenet;
mod nanodet;
pub mod nms;
mod outputs;
mod posed;
mod ready;
mod scores;
mod split;
mod ssd;
#[cfg(test)]
mod tests;
mod yolo_pose;
mod yolov5;
mod yolov8;
mod yolox;

use crate::detection::Detection;
use crate::infer::{Output, TensorSpec};
use crate::prepare::geometry::Geometry;
use outputs::Setup;
use stopline_depot::manifest::{Family, Manifest};

/// What is wrong with a model's outputs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The model does not fit its manifest.
    #[error("output {tensor:?}: expected {expected}, found {found}; {advice}")]
    Shape {
        /// Its name, or the part that was looked for.
        tensor: String,
        /// The shape the family and the manifest want.
        expected: String,
        /// The shape, or the outputs, found.
        found: String,
        /// What to change.
        advice: String,
    },
    /// A value that is no number: the frame is invalid.
    #[error("output {tensor:?} holds {value} at {at}: the frame is invalid")]
    NotFinite {
        /// Its name.
        tensor: String,
        /// NaN or an infinity.
        value: f32,
        /// Index of the value; for a value computed from several, of the first of them.
        at: usize,
    },
    /// A score above 1: the manifest takes for a probability what is none, and the frame is invalid.
    #[error("output {tensor:?} gives a score of {value} at {at}, expected 0 to 1; {advice}")]
    Range {
        /// Its name.
        tensor: String,
        /// The score.
        value: f32,
        /// Index of the value.
        at: usize,
        /// What to change.
        advice: String,
    },
}

/// Reads the outputs of one family.
pub trait Decoder: Send {
    /// Appends what is found in `outputs` to `found`, strongest first, suppressed, clipped, in source pixels.
    ///
    /// # Errors
    /// [`DecodeError::NotFinite`] and [`DecodeError::Range`] make the frame invalid, [`DecodeError::Shape`] says that
    /// the tensors are not those of the plan; nothing is appended then.
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError>;
}

/// The decoder for `manifest`, after checking that `outputs` (of the plan) fit it.
///
/// # Errors
/// [`DecodeError::Shape`] names the tensor, the expected and the found shape.
pub fn decoder(manifest: &Manifest, outputs: &[TensorSpec]) -> Result<Box<dyn Decoder>, DecodeError> {
    let setup = Setup { manifest, outputs };
    Ok(match manifest.decoder {
        Family::Yolox => Box::new(yolox::Yolox::new(&setup)?),
        Family::Yolov5 => yolov5::decoder(&setup)?,
        Family::Yolov8 => Box::new(yolov8::Yolov8::new(&setup)?),
        Family::YoloEnd2end => Box::new(end2end::End2end::new(&setup)?),
        Family::Nanodet => nanodet::decoder(&setup)?,
        Family::Fastestdet => Box::new(fastestdet::Fastestdet::new(&setup)?),
        Family::Ssd => ssd::decoder(&setup)?,
        Family::Detr => detr::decoder(&setup)?,
        Family::YoloPose => Box::new(yolo_pose::YoloPose::new(&setup)?),
        Family::Movenet => Box::new(movenet::Movenet::new(&setup)?),
        Family::Heatmap => Box::new(heatmap::Heatmap::new(&setup)?),
        Family::Classifier => Box::new(classifier::Classifier::new(&setup)?),
    })
}
