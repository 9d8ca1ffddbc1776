//! Why a model cannot be loaded, and why a frame cannot be looked at.

use stopline_depot::manifest::ManifestError;

use crate::decode::DecodeError;
use crate::infer::InferError;
use crate::model::ModelError;
use crate::prepare::PrepareError;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: cannot read: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// There is no manifest.
    #[error("{path}: no manifest; `stopline model manifest {model} -o {path}` writes a first one to check")]
    NoManifest {
        /// Where it was looked for.
        path: String,
        /// The model it is for.
        model: String,
    },
    /// The manifest cannot be used.
    #[error("{path}: {cause}")]
    Manifest {
        /// The manifest.
        path: String,
        /// Line or key, found and expected.
        cause: ManifestError,
    },
    /// The file is too large to be a model.
    #[error("{path}: {bytes} bytes, expected at most {most}")]
    Large {
        /// The file.
        path: String,
        /// What it has.
        bytes: u64,
        /// What it may have.
        most: u64,
    },
    /// A model out of a bundle names weights in another file.
    #[error(
        "{model}: weights lie in another file ({file:?}); a bundle holds one ONNX file with all its weights"
    )]
    External {
        /// The model.
        model: String,
        /// The file it names.
        file: String,
    },
    /// The engine cannot use the model.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Model and manifest contradict each other.
    #[error("{model} does not fit {manifest}: {cause}")]
    Model {
        /// The ONNX file.
        model: String,
        /// The manifest.
        manifest: String,
        /// What either says.
        cause: ModelError,
    },
    /// The manifest's input cannot be prepared for.
    #[error("{manifest}: {cause}")]
    Prepare {
        /// The manifest.
        manifest: String,
        /// What is wrong.
        cause: PrepareError,
    },
    /// An input besides the picture cannot be filled.
    #[error("{manifest}: input.extra {name:?}: {problem}")]
    Extra {
        /// The manifest.
        manifest: String,
        /// The input.
        name: String,
        /// Expected and found.
        problem: String,
    },
    /// The outputs do not fit the manifest.
    #[error("{model} does not fit {manifest}: {cause}")]
    Decode {
        /// The ONNX file.
        model: String,
        /// The manifest.
        manifest: String,
        /// Which tensor, expected and found.
        cause: DecodeError,
    },
}

/// Why a frame gave no detections.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The model is not made for looking into boxes.
    #[error("{model} is not made for single boxes: its manifest has no input.crop")]
    NoCrop {
        /// The model's name.
        model: String,
    },
    /// The box cannot be looked into.
    #[error(
        "box {bbox:?}: expected x1 < x2 and y1 < y2, finite, at least partly inside the {width}x{height} picture"
    )]
    BadBox {
        /// x1, y1, x2, y2 as given.
        bbox: [f32; 4],
        /// Picture, pixels across.
        width: u32,
        /// Picture, pixels down.
        height: u32,
    },
    /// The frame cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The engine failed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The outputs cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl DetectError {
    /// Whether only this frame is invalid (the model gave numbers that cannot be); to be counted, and the next frame tried.
    pub fn invalid_frame(&self) -> bool {
        matches!(self, Self::Decode(DecodeError::NotFinite { .. } | DecodeError::Range { .. }))
    }
}
