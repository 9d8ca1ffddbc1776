//! Input tensor → output tensors, by one of several engines behind one trait.
//!
//! A [`Backend`] turns a model file into a [`Plan`], which is immutable and shared; a plan opens [`Session`]s, one per
//! thread, which hold the scratch memory. All back ends pass the same suite (`tests/`).

#[cfg(feature = "tract")]
pub(crate) mod graph;
#[cfg(feature = "tract")]
mod kernels;
#[cfg(feature = "ort")]
mod ort;
#[cfg(feature = "tract")]
mod tract;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The engine `kind`; ONNX Runtime is loaded from `library`, once per process.
///
/// # Errors
/// [`InferError::Engine`] where the engine is not built in, the library is missing, is not ONNX Runtime or is too old.
pub fn backend(kind: BackendKind, library: Option<&Path>) -> Result<Box<dyn Backend>, InferError> {
    match kind {
        #[cfg(feature = "tract")]
        BackendKind::Kernels => Ok(Box::new(kernels::Kernels::widest())),
        #[cfg(feature = "tract")]
        BackendKind::Tract => Ok(Box::new(tract::Tract)),
        #[cfg(feature = "ort")]
        BackendKind::Ort => {
            ort::OnnxRuntime::load(library).map(|engine| Box::new(engine) as Box<dyn Backend>)
        }
        #[allow(unreachable_patterns, reason = "reached where an engine is left out of the build")]
        left_out => {
            let _ = library;
            let backend = left_out.name();
            let problem = format!("not built in; build with `--features {backend}`");
            Err(InferError::Engine { backend, problem })
        }
    }
}

/// The engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendKind {
    /// Built in, pure Rust: convolutions by kernels of our own, what these do not know by tract.
    #[default]
    Kernels,
    /// Built in, pure Rust: all by tract.
    Tract,
    /// ONNX Runtime, loaded from a library that is named; needs the cargo feature `ort`.
    Ort,
}

impl BackendKind {
    /// `kernels`, `tract`, `ort`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels",
            Self::Tract => "tract",
            Self::Ort => "ort",
        }
    }
}

/// An engine.
pub trait Backend: Send + Sync {
    /// `kernels`, `tract`, `ort`.
    fn name(&self) -> &'static str;

    /// Reads and compiles `model`, the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`InferError`] names the node and the operator, and what to try.
    fn plan(&self, model: &ModelFile<'_>, options: &PlanOptions) -> Result<Arc<dyn Plan>, InferError>;
}

/// The bytes of an ONNX file and where they came from.
#[derive(Clone, Copy)]
pub struct ModelFile<'a> {
    /// For messages, and for engines that look for weights beside the file.
    pub path: &'a Path,
    /// The file.
    pub bytes: &'a [u8],
}

/// How a model is to be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Shapes the inputs will have, by name; overrides what the file says (rectangular input, symbolic batch).
    pub input_shapes: Vec<(String, Vec<usize>)>,
    /// Threads one run may use.
    pub threads: usize,
    /// Execution providers to try before the CPU, strongest wish first (`XNNPACK`, `CUDA`, `TensorRT`, …); ONNX Runtime
    /// only.
    pub providers: Vec<String>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { input_shapes: Vec::new(), threads: 1, providers: Vec::new() }
    }
}

/// A compiled model: immutable, shared between threads.
pub trait Plan: Send + Sync {
    /// The engine that made it.
    fn backend(&self) -> &'static str;

    /// Inputs in the graph's order, shapes concrete.
    fn inputs(&self) -> &[TensorSpec];

    /// Outputs in the graph's order; a dimension that depends on the data is `None`.
    fn outputs(&self) -> &[TensorSpec];

    /// What had to be done to make the model run, each a sentence for the log.
    fn warnings(&self) -> &[String];

    /// Scratch memory for one thread.
    ///
    /// # Errors
    /// [`InferError::Engine`] where the engine cannot allocate it.
    fn session(self: Arc<Self>) -> Result<Box<dyn Session>, InferError>;
}

/// One thread's use of a plan.
pub trait Session: Send {
    /// Runs the model on `inputs`, given in the order of [`Plan::inputs`].
    ///
    /// The outputs live until the next run.
    ///
    /// # Errors
    /// [`InferError::Input`] for a wrong type or shape, [`InferError::Engine`] for what the engine says.
    fn run(&mut self, inputs: &[Tensor]) -> Result<&[Output], InferError>;

    /// Runs the model as [`Session::run`] does and tells what each operator took, in the order in which they ran.
    ///
    /// # Errors
    /// As [`Session::run`]; [`InferError::Engine`] where the engine tells no times.
    fn run_timed(&mut self, inputs: &[Tensor]) -> Result<Vec<OperatorTime>, InferError> {
        let _ = inputs;
        let problem =
            "it tells no time per operator; `--backend kernels` and `--backend tract` do".to_owned();
        Err(InferError::Engine { backend: "this engine", problem })
    }
}

/// What one operator of a run took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorTime {
    /// What it does, in the engine's words: engines join and split the model's operators, each in its own way.
    pub operator: String,
    /// The model's node, or the engine's name for its part.
    pub name: String,
    /// Size of each axis of its first result; empty where only the data tells.
    pub shape: Vec<usize>,
    /// Multiplications that it asks for, each with an addition; 0 where that is no measure of it.
    pub multiplications: u64,
    /// By the clock.
    pub time: Duration,
}

/// Name, type and shape of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the graph.
    pub name: String,
    /// Type of a value.
    pub element: Element,
    /// Size of each axis; `None` where only the data tells.
    pub shape: Vec<Option<usize>>,
}

impl std::fmt::Display for TensorSpec {
    /// `f32 [1, 3, ?, ?]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [", self.element)?;
        for (axis, size) in self.shape.iter().enumerate() {
            let comma = if axis == 0 { "" } else { ", " };
            match size {
                Some(size) => write!(f, "{comma}{size}")?,
                None => write!(f, "{comma}?")?,
            }
        }
        write!(f, "]")
    }
}

/// Type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Truth value.
    Bool,
    /// IEEE 754 double precision.
    F64,
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Bool => "bool",
            Self::F64 => "f64",
        })
    }
}

/// An input tensor, dense, in row-major order. Kept and refilled from frame to frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Size of each axis.
    pub shape: Vec<usize>,
    /// The values.
    pub data: TensorData,
}

/// Values of an input tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// IEEE 754 single precision.
    F32(Vec<f32>),
    /// IEEE 754 half precision.
    F16(Vec<half::f16>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
}

impl TensorData {
    /// Type of the values.
    pub fn element(&self) -> Element {
        match self {
            Self::F32(_) => Element::F32,
            Self::F16(_) => Element::F16,
            Self::U8(_) => Element::U8,
            Self::I32(_) => Element::I32,
            Self::I64(_) => Element::I64,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An output tensor, whatever its type in the graph, as `f32` in row-major order. Class numbers and counts fit exactly.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Output {
    /// Its name in the graph.
    pub name: String,
    /// Size of each axis; the product is the number of values.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
}

/// What can go wrong with a model or a run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The bytes are not an ONNX model.
    #[error("{path}: not a readable ONNX model: {problem}")]
    NotOnnx {
        /// The file.
        path: String,
        /// What was found.
        problem: String,
    },
    /// The engine refuses the graph.
    #[error("{path}: {backend} cannot run this model: {problem}; {advice}")]
    Refused {
        /// The file.
        path: String,
        /// The engine.
        backend: &'static str,
        /// Node, operator and what the engine said.
        problem: String,
        /// What to try.
        advice: String,
    },
    /// An input of the wrong type or shape.
    #[error("input {name:?}: expected {expected}, found {found}")]
    Input {
        /// Its name.
        name: String,
        /// Type and shape the plan wants.
        expected: String,
        /// Type and shape it got.
        found: String,
    },
    /// The engine failed while running, or is not there.
    #[error("{backend}: {problem}")]
    Engine {
        /// The engine.
        backend: &'static str,
        /// What it said.
        problem: String,
    },
}

/// Refuses `inputs` that are not what the plan wants, before an engine sees them.
#[cfg(any(feature = "tract", feature = "ort"))]
fn check_inputs(specs: &[TensorSpec], inputs: &[Tensor]) -> Result<(), InferError> {
    if inputs.len() != specs.len() {
        let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        return Err(InferError::Input {
            name: names.join(", "),
            expected: format!("{} tensors", specs.len()),
            found: inputs.len().to_string(),
        });
    }
    for (spec, input) in specs.iter().zip(inputs) {
        let fits = input.shape.len() == spec.shape.len()
            && input
                .shape
                .iter()
                .zip(&spec.shape)
                .all(|(found, wanted)| wanted.is_none_or(|wanted| wanted == *found))
            && input.data.element() == spec.element;
        if !fits {
            let found = format!("{} {:?}", input.data.element(), input.shape);
            return Err(InferError::Input { name: spec.name.clone(), expected: spec.to_string(), found });
        }
        let values: usize = input.shape.iter().product();
        if input.data.len() != values {
            let expected = format!("{values} values for {:?}", input.shape);
            return Err(InferError::Input {
                name: spec.name.clone(),
                expected,
                found: input.data.len().to_string(),
            });
        }
    }
    Ok(())
}
