//! ONNX Runtime, loaded at run time from a `libonnxruntime.so` that the integrator names: the CPU, and the accelerators
//! its build of the library knows (execution providers).
//!
//! A process loads one library, once. The library's calls run on the calling thread and its own pool; nothing here is
//! unsafe, the `ort` crate's safe interface is used throughout.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::{Session as OrtSession, SessionInputValue};
use ort::value::{DynValue, TensorElementType, TensorRef, ValueType};

use super::{
    Backend, Element, InferError, ModelFile, Output, Plan, PlanOptions, Session, Tensor, TensorData, TensorSpec, check_inputs,
    graph,
};

const NAME: &str = "ort";

/// The library this process has loaded.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

fn engine(problem: impl Into<String>) -> InferError {
    InferError::Engine { backend: NAME, problem: problem.into() }
}

fn said<R>(error: &ort::Error<R>) -> InferError {
    engine(error.message())
}

/// The engine.
pub(super) struct OnnxRuntime(Environment);

impl OnnxRuntime {
    /// Loads `library`, or takes it as loaded before.
    pub(super) fn load(library: Option<&Path>) -> Result<Self, InferError> {
        let Some(library) = library else {
            return Err(engine("no library named; give libonnxruntime.so with --ort-library or STOPLINE_ORT_LIBRARY"));
        };
        let shown = library.display();
        let path = library.canonicalize().map_err(|error| engine(format!("{shown}: cannot open the library: {error}")))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some((before, environment)) if *before == path => return Ok(Self(environment.clone())),
            Some((before, _)) => {
                let before = before.display();
                return Err(engine(format!("{shown}: this process has already loaded {before}; it can load only one")));
            }
            None => {}
        }
        let least = ort::MINOR_VERSION;
        let builder = ort::init_from(&path)
            .map_err(|error| engine(format!("{shown}: not a usable ONNX Runtime (1.{least} or newer): {error}")))?;
        let environment = builder.with_name("stopline").with_telemetry(false).build().map_err(|error| said(&error))?;
        environment.set_log_level(LogLevel::Error);
        *loaded = Some((path, environment.clone()));
        Ok(Self(environment))
    }
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, model: &ModelFile<'_>, options: &PlanOptions) -> Result<Arc<dyn Plan>, InferError> {
        let mut proto = graph::read(model)?;
        let shaped = graph::shaped(model, &proto, options)?;
        let advice = if shaped.changed {
            graph::baked_size_advice(&proto)
        } else {
            "try `--backend tract`, or export the model for an older opset".to_owned()
        };
        let names = proto.graph.iter().flat_map(|graph| graph.output.iter().map(|output| output.name.clone())).collect();
        let bytes = if shaped.changed {
            graph::apply(&mut proto, &shaped.inputs);
            graph::write(&proto)
        } else {
            model.bytes.to_vec()
        };
        drop(proto);
        let folder = model.path.parent().map(Path::to_path_buf).unwrap_or_default();
        let recipe = Recipe { environment: self.0.clone(), bytes, folder, options: options.clone() };
        let refuse = |error| match error {
            InferError::Engine { problem, .. } => InferError::Refused {
                path: model.path.display().to_string(),
                backend: NAME,
                problem,
                advice: advice.clone(),
            },
            other => other,
        };
        let mut first = recipe.open().map_err(refuse)?;
        let inputs = in_order(first.inputs(), shaped.inputs)?;
        if shaped.changed {
            // The library finds a size that is baked into the graph only when it runs.
            try_out(&mut first, &inputs).map_err(refuse)?;
        }
        let outputs = output_specs(&first, names)?;
        let warnings = recipe.warnings();
        Ok(Arc::new(OrtPlan { recipe, spare: Mutex::new(Some(first)), inputs, outputs, warnings }))
    }
}

/// The library's order of inputs, with the shapes the plan is made for.
fn in_order(found: &[ort::value::Outlet], mut shaped: Vec<TensorSpec>) -> Result<Vec<TensorSpec>, InferError> {
    let take = |outlet: &ort::value::Outlet| {
        let at = shaped.iter().position(|spec| spec.name == outlet.name());
        at.map(|at| shaped.swap_remove(at)).ok_or_else(|| engine(format!("unknown input {:?}", outlet.name())))
    };
    found.iter().map(take).collect()
}

/// One run on zeros; not for inputs of types that nothing here fills.
fn try_out(session: &mut OrtSession, specs: &[TensorSpec]) -> Result<(), InferError> {
    let zeros = |spec: &TensorSpec| {
        let shape: Vec<usize> = spec.shape.iter().map(|size| size.unwrap_or(1)).collect();
        let count = shape.iter().product();
        let data = match spec.element {
            Element::F32 => TensorData::F32(vec![0.0; count]),
            Element::F16 => TensorData::F16(vec![half::f16::ZERO; count]),
            Element::U8 => TensorData::U8(vec![0; count]),
            Element::I32 => TensorData::I32(vec![0; count]),
            Element::I64 => TensorData::I64(vec![0; count]),
            Element::I8 | Element::Bool | Element::F64 => return None,
        };
        Some(Tensor { shape, data })
    };
    let Some(inputs) = specs.iter().map(zeros).collect::<Option<Vec<_>>>() else { return Ok(()) };
    let values: Vec<SessionInputValue<'_>> = inputs.iter().map(lend).collect::<Result<_, _>>()?;
    session.run(&values[..]).map(drop).map_err(|error| said(&error))
}

fn output_specs(session: &OrtSession, names: Vec<String>) -> Result<Vec<TensorSpec>, InferError> {
    let spec = |(outlet, name): (&ort::value::Outlet, String)| match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = element(*ty).ok_or_else(|| engine(format!("output {name:?} has type {ty:?}, which is no number")))?;
            Ok(TensorSpec { name, element, shape: shape.iter().map(|size| usize::try_from(*size).ok()).collect() })
        }
        other => Err(engine(format!("output {name:?} is {other:?}, no tensor"))),
    };
    session.outputs().iter().zip(names).map(spec).collect()
}

fn element(kind: TensorElementType) -> Option<Element> {
    match kind {
        TensorElementType::Float32 => Some(Element::F32),
        TensorElementType::Float16 => Some(Element::F16),
        TensorElementType::Float64 => Some(Element::F64),
        TensorElementType::Uint8 => Some(Element::U8),
        TensorElementType::Int8 => Some(Element::I8),
        TensorElementType::Int32 => Some(Element::I32),
        TensorElementType::Int64 => Some(Element::I64),
        TensorElementType::Bool => Some(Element::Bool),
        _ => None,
    }
}

/// What a session of the library is made from.
struct Recipe {
    environment: Environment,
    bytes: Vec<u8>,
    /// Where weights outside the file lie.
    folder: PathBuf,
    options: PlanOptions,
}

impl Recipe {
    fn open(&self) -> Result<OrtSession, InferError> {
        const WEIGHTS: &str = "session.model_external_initializers_file_folder_path";
        let builder = OrtSession::builder(&self.environment).map_err(|error| said(&error))?;
        let builder = builder.with_intra_threads(self.options.threads.max(1)).map_err(|error| said(&error))?;
        let builder = builder.with_inter_threads(1).map_err(|error| said(&error))?;
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let builder = builder.with_config_entry(WEIGHTS, folder.to_string_lossy()).map_err(|error| said(&error))?;
        let providers: Vec<_> = self.options.providers.iter().map(|name| provider(name)).collect::<Result<_, _>>()?;
        let mut builder = builder.with_execution_providers(&providers).map_err(|error| said(&error))?;
        builder.commit_from_memory(&self.bytes).map_err(|error| said(&error))
    }

    fn warnings(&self) -> Vec<String> {
        let shown = |name: &String| format!("execution provider {name}: what it cannot run falls back to the CPU");
        self.options.providers.iter().map(shown).collect()
    }
}

/// The execution provider called `name`, in ONNX Runtime's spelling with or without `ExecutionProvider`, in any case.
fn provider(name: &str) -> Result<ExecutionProviderDispatch, InferError> {
    fn made<P: ExecutionProvider + Default + Into<ExecutionProviderDispatch>>(name: &str) -> Result<ExecutionProviderDispatch, InferError> {
        match P::is_available() {
            Ok(true) => Ok(P::default().into().error_on_failure()),
            Ok(false) => Err(engine(format!("this library was built without the execution provider {name:?}"))),
            Err(error) => Err(said(&error)),
        }
    }
    let lower = name.to_ascii_lowercase();
    match lower.strip_suffix("executionprovider").unwrap_or(&lower) {
        "cpu" => made::<ep::CPU>(name),
        "cuda" => made::<ep::CUDA>(name),
        "tensorrt" => made::<ep::TensorRT>(name),
        "openvino" => made::<ep::OpenVINO>(name),
        "xnnpack" => made::<ep::XNNPACK>(name),
        "acl" => made::<ep::ACL>(name),
        "qnn" => made::<ep::QNN>(name),
        "nnapi" => made::<ep::NNAPI>(name),
        "rknpu" => made::<ep::RKNPU>(name),
        "migraphx" => made::<ep::MIGraphX>(name),
        "vitis" | "vitisai" => made::<ep::Vitis>(name),
        "cann" => made::<ep::CANN>(name),
        _ => Err(engine(format!(
            "unknown execution provider {name:?}: expected one of CPU, CUDA, TensorRT, OpenVINO, XNNPACK, ACL, QNN, \
             NNAPI, RKNPU, MIGraphX, VitisAI, CANN"
        ))),
    }
}

/// The library's sessions run one frame at a time, so each of ours gets one of its own.
struct OrtPlan {
    recipe: Recipe,
    /// The one that was opened to check the model, until somebody asks for it.
    spare: Mutex<Option<OrtSession>>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    warnings: Vec<String>,
}

impl Plan for OrtPlan {
    fn backend(&self) -> &'static str {
        NAME
    }

    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>, InferError> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let session = spare.map_or_else(|| self.recipe.open(), Ok)?;
        let outputs = self.outputs.iter().map(|spec| Output { name: spec.name.clone(), ..Output::default() }).collect();
        Ok(Box::new(OwnSession { plan: self, session, outputs }))
    }
}

struct OwnSession {
    plan: Arc<OrtPlan>,
    session: OrtSession,
    outputs: Vec<Output>,
}

impl Session for OwnSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<&[Output], InferError> {
        check_inputs(&self.plan.inputs, inputs)?;
        let values: Vec<SessionInputValue<'_>> = inputs.iter().map(lend).collect::<Result<_, _>>()?;
        let found = self.session.run(&values[..]).map_err(|error| said(&error))?;
        for (output, value) in self.outputs.iter_mut().zip(found.values()) {
            copy_out(&value, output)?;
        }
        Ok(&self.outputs)
    }
}

/// `input` as the library reads it, without a copy.
fn lend(input: &Tensor) -> Result<SessionInputValue<'_>, InferError> {
    let shape = || input.shape.clone();
    let lent = match &input.data {
        TensorData::F32(values) => TensorRef::from_array_view((shape(), &values[..])).map(Into::into),
        TensorData::F16(values) => TensorRef::from_array_view((shape(), &values[..])).map(Into::into),
        TensorData::U8(values) => TensorRef::from_array_view((shape(), &values[..])).map(Into::into),
        TensorData::I32(values) => TensorRef::from_array_view((shape(), &values[..])).map(Into::into),
        TensorData::I64(values) => TensorRef::from_array_view((shape(), &values[..])).map(Into::into),
    };
    lent.map_err(|error| said(&error))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "class numbers and counts fit exactly")]
fn copy_out(value: &DynValue, output: &mut Output) -> Result<(), InferError> {
    macro_rules! copy {
        ($kind:ty, $convert:expr) => {{
            let (shape, values) = value.try_extract_tensor::<$kind>().map_err(|error| said(&error))?;
            output.shape.clear();
            output.shape.extend(shape.iter().map(|size| usize::try_from(*size).unwrap_or_default()));
            output.data.clear();
            output.data.extend(values.iter().map($convert));
        }};
    }
    match value.dtype().tensor_type().and_then(element) {
        Some(Element::F32) => copy!(f32, |v| *v),
        Some(Element::F16) => copy!(half::f16, |v| v.to_f32()),
        Some(Element::F64) => copy!(f64, |v| *v as f32),
        Some(Element::U8) => copy!(u8, |v| f32::from(*v)),
        Some(Element::I8) => copy!(i8, |v| f32::from(*v)),
        Some(Element::I32) => copy!(i32, |v| *v as f32),
        Some(Element::I64) => copy!(i64, |v| *v as f32),
        Some(Element::Bool) => copy!(bool, |v| f32::from(u8::from(*v))),
        None => return Err(engine(format!("output {:?} holds no numbers", output.name))),
    }
    Ok(())
}
