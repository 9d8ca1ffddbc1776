//! Input tensor → output tensors, by one of several engines behind one trait.
//!
//! A [`Backend`] turns a model file into a [`Plan`], which is immutable and shared; a plan opens [`Session`]s, one per
//! thread, which hold the scratch memory. All back ends pass the same suite (`tests/`).

use std::path::Path;
use std::sync::Arc;

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendKind {
    /// Built in, pure Rust.
    Tract,
    /// ONNX Runtime, loaded from a library that is named; needs the cargo feature `ort`.
    Ort,
}

/// An engine.
pub trait Backend: Send + Sync {
    /// `tract`, `ort`.
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
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { input_shapes: Vec::new(), threads: 1 }
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
