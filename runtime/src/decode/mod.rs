//! Output tensors → detections in source pixels.

use crate::detection::Detection;
use crate::infer::{Output, TensorSpec};
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::Manifest;

/// What is wrong with a model's outputs.
#[derive(Debug, thiserror::Error)]
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
        /// Index of the value.
        at: usize,
    },
}

/// Reads the outputs of one family.
pub trait Decoder: Send {
    /// Appends what is found in `outputs` to `found`, strongest first, suppressed, clipped, in source pixels.
    ///
    /// # Errors
    /// [`DecodeError::NotFinite`] makes the frame invalid; nothing is appended then.
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
    let _ = outputs;
    let _ = manifest;
    Err(DecodeError::Shape {
        tensor: String::new(),
        expected: "a decoder".into(),
        found: "none built in".into(),
        advice: String::new(),
    })
}
