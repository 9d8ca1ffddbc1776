//! One model, ready to see: [`prepare`](crate::prepare), [`infer`](crate::infer) and [`decode`](crate::decode) in a row.

use std::path::PathBuf;
use std::time::Duration;

use stopline_depot::manifest::{Manifest, ManifestError};
use stopline_sensors::frame::Frame;

use crate::decode::DecodeError;
use crate::detection::Detection;
use crate::infer::{BackendKind, InferError};

/// Which model, fed and read how, by which engine.
#[derive(Clone, Debug)]
pub struct DetectorOptions {
    /// The ONNX file.
    pub model: PathBuf,
    /// Its manifest; `None`: the ONNX file's name with `.toml`.
    pub manifest: Option<PathBuf>,
    /// The engine.
    pub backend: BackendKind,
    /// libonnxruntime.so for [`BackendKind::Ort`].
    pub library: Option<PathBuf>,
    /// Threads one inference may use; at least 1.
    pub threads: usize,
}

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
    /// The engine cannot use the model.
    #[error(transparent)]
    Infer(#[from] InferError),
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
    /// The model needs a box to look into: [`Detector::detect_in`].
    #[error("{model} looks at one object at a time: give it boxes")]
    NeedsBox {
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
    /// The engine failed, or cannot run the shape.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The outputs cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl DetectError {
    /// Whether only this frame is invalid (the model gave no finite numbers); to be counted, and the next frame tried.
    pub fn invalid_frame(&self) -> bool {
        matches!(self, Self::Decode(DecodeError::NotFinite { .. }))
    }
}

/// How long each stage took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Frame → input tensor.
    pub prepare: Duration,
    /// Input tensor → output tensors.
    pub infer: Duration,
    /// Output tensors → detections.
    pub decode: Duration,
}

impl StageTimes {
    /// All stages together.
    pub fn total(&self) -> Duration {
        self.prepare + self.infer + self.decode
    }
}

/// A loaded model with the scratch memory of one thread.
pub struct Detector {
    manifest: Manifest,
    digest: String,
    warnings: Vec<String>,
}

impl Detector {
    /// Reads model and manifest, checks them against each other, and compiles the model for the manifest's input size.
    ///
    /// # Errors
    /// [`LoadError`] names the file, and the line, key, node or tensor.
    pub fn load(options: &DetectorOptions) -> Result<Self, LoadError> {
        Self::load_with(options, |_| ())
    }

    /// As [`Detector::load`], with thresholds or the like changed by `adjust` between the checks of the manifest and the
    /// choice of the decoder.
    ///
    /// # Errors
    /// As [`Detector::load`].
    pub fn load_with(options: &DetectorOptions, adjust: impl FnOnce(&mut Manifest)) -> Result<Self, LoadError> {
        let _ = adjust;
        let path = options.model.display().to_string();
        let cause = std::io::ErrorKind::Unsupported.into();
        Err(LoadError::Read { path, cause })
    }

    /// The model's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the ONNX file, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What had to be done to make the model run, each a sentence for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Appends what is found in `frame` to `found`.
    ///
    /// # Errors
    /// [`DetectError`]; where [`DetectError::invalid_frame`] says so, only this frame is lost.
    pub fn detect(&mut self, frame: &Frame, found: &mut Vec<Detection>) -> Result<StageTimes, DetectError> {
        let _ = (frame, found);
        Err(DetectError::NeedsBox { model: self.manifest.name.clone() })
    }

    /// Appends what a top-down model finds in the part of `frame` around `bbox` (x1, y1, x2, y2, source pixels), cropped
    /// as `input.crop` of the manifest says.
    ///
    /// # Errors
    /// As [`Detector::detect`], and [`DetectError::BadBox`].
    pub fn detect_in(
        &mut self,
        frame: &Frame,
        bbox: [f32; 4],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let _ = bbox;
        self.detect(frame, found)
    }

    /// Appends what is found in exactly the part `region` of `frame` (x, y, width, height in source pixels; may reach
    /// beyond the picture), stretched over the input.
    ///
    /// # Errors
    /// As [`Detector::detect`], and [`DetectError::BadBox`].
    pub fn detect_region(
        &mut self,
        frame: &Frame,
        region: [i32; 4],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let _ = region;
        self.detect(frame, found)
    }
}
