//! What an ONNX file says of itself, a first manifest made from it, and whether file and manifest agree.
//!
//! In walk order: `read` takes the facts out of the file ([`ModelInfo`]), `ultralytics` the metadata of the most common
//! exporter; `family` tells from outputs and names how the model is read, `usual` how that family is fed, `labels` what
//! its classes are called; `draft` puts that together as a `Manifest` and `write` writes it as TOML with a comment at each
//! guess. `check` holds a manifest against the file.

mod check;
mod draft;
mod family;
mod labels;
#[cfg(feature = "tract")]
mod read;
mod ultralytics;
mod usual;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use crate::infer::{BackendKind, InferError, ModelFile, PlanOptions, TensorSpec, backend};

pub use check::check;
pub(crate) use check::picture;
pub use draft::{Draft, Note, draft, roles as usual_roles};
pub use ultralytics::Ultralytics;

/// What an ONNX file says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelInfo {
    /// The file's name without its ending.
    pub stem: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Version of the ONNX format.
    pub ir_version: i64,
    /// Operator sets: domain (`""` is ONNX's own) and version.
    pub opsets: Vec<(String, i64)>,
    /// Program that wrote it, with its version.
    pub producer: String,
    /// Inputs to be fed; a size not stated is `None`, a rank not stated an empty shape.
    pub inputs: Vec<TensorSpec>,
    /// Outputs; as `inputs`.
    pub outputs: Vec<TensorSpec>,
    /// Operator that makes each output.
    pub made_by: Vec<String>,
    /// Free metadata.
    pub metadata: BTreeMap<String, String>,
    /// What Ultralytics' exporter wrote into the metadata.
    pub ultralytics: Option<Ultralytics>,
    /// How often each operator is used, subgraphs included.
    pub operators: BTreeMap<String, usize>,
    /// Values of all weights.
    pub parameters: u64,
    /// Files beside the model that hold weights.
    pub external: Vec<String>,
    /// Width and height of the picture at which [`work_out_outputs`] worked out open outputs.
    pub tried: Option<[u32; 2]>,
}

/// Why a model cannot be looked into, given a manifest, or used with the one it has.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The bytes are not an ONNX model.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// No family reads these outputs.
    #[error("{model}: {problem}; found outputs {found}; {advice}")]
    Unknown {
        /// The model.
        model: String,
        /// What was looked for.
        problem: String,
        /// Names and shapes of the outputs.
        found: String,
        /// What to do next.
        advice: String,
    },
    /// The ONNX file and the manifest say different things.
    #[error("the ONNX file says {file}, the manifest says {manifest} ({key}); {advice}")]
    Contradiction {
        /// The manifest's key.
        key: String,
        /// What the file says.
        file: String,
        /// What the manifest says.
        manifest: String,
        /// What to do next.
        advice: String,
    },
}

/// Reads what the ONNX file at `path`, whose content is `bytes`, says of itself.
///
/// # Errors
/// [`ModelError::Infer`] where it is no ONNX model.
pub fn read(path: &Path, bytes: &[u8]) -> Result<ModelInfo, ModelError> {
    #[cfg(feature = "tract")]
    return read::read(path, bytes);
    #[cfg(not(feature = "tract"))]
    {
        let _ = (path, bytes);
        let problem = "not built in; ONNX files are read by builds with `--features tract`".to_owned();
        Err(InferError::Engine { backend: "tract", problem }.into())
    }
}

/// Works out outputs whose shapes the file leaves open, by compiling the model at a size it can have. What cannot be
/// worked out stays open.
pub fn work_out_outputs(info: &mut ModelInfo, path: &Path, bytes: &[u8]) {
    if !info.open_outputs() {
        return;
    }
    let Some((name, shape, size)) = draft::likely_picture(info) else { return };
    let options = PlanOptions { input_shapes: vec![(name, shape)], ..PlanOptions::default() };
    let planned = backend(BackendKind::Tract, None)
        .and_then(|engine| engine.plan(&ModelFile { path, bytes }, &options));
    if let Ok(plan) = planned
        && plan.outputs().len() == info.outputs.len()
    {
        info.outputs = plan.outputs().to_vec();
        info.tried = Some(size);
    }
}

impl ModelInfo {
    /// Whether a family's outputs could not be told from these: a rank or size is missing.
    pub fn open_outputs(&self) -> bool {
        self.outputs
            .iter()
            .any(|output| output.shape.is_empty() || output.shape.iter().skip(1).any(Option::is_none))
    }

    /// The input that takes the picture: the first with four axes, else with three.
    pub(crate) fn picture(&self) -> Option<&TensorSpec> {
        let with = |rank| self.inputs.iter().find(|input| input.shape.len() == rank);
        with(4).or_else(|| with(3))
    }
}

/// Names and shapes for a message.
pub(crate) fn listing(specs: &[TensorSpec]) -> String {
    specs.iter().map(|spec| format!("{:?} {spec}", spec.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
