//! The built-in engine: [tract](https://github.com/sonos/tract), pure Rust.
//!
//! tract fails on some graphs that other engines load, mostly in one optimising pass (`ChangeAxes`) or because shapes
//! stated in the file contradict each other. So a model is prepared down a ladder: the first rung that works is used,
//! every rung below the first is told as a warning, and only after the last one is the model refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};
use tract_onnx::model::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::Tensor as TractTensor;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{DimLike, TDim};
use tract_onnx::tract_core::model::TypedSimpleState;
use tract_onnx::tract_core::optim::Optimizer;
use tract_onnx::tract_core::plan::eval;

use super::{
    Backend, Element, InferError, ModelFile, OperatorTime, Output, Plan, PlanOptions, Session, TensorData,
    TensorSpec, check_inputs, graph,
};

const NAME: &str = "tract";

/// The engine.
pub(super) struct Tract;

impl Backend for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, model: &ModelFile<'_>, options: &PlanOptions) -> Result<Arc<dyn Plan>, InferError> {
        let mut proto = graph::read(model)?;
        let shaped = graph::shaped(model, &proto, options)?;
        let advice = shaped.changed.then(|| graph::baked_size_advice(&proto));
        if shaped.changed {
            graph::apply(&mut proto, &shaped.inputs);
        }
        if let Some(provider) = options.providers.first() {
            let problem = format!("it has no execution provider {provider:?}; `--backend ort` may");
            return Err(InferError::Engine { backend: NAME, problem });
        }
        let mut warnings = Vec::new();
        if options.threads > 1 {
            warnings.push(format!(
                "tract runs on one thread, not {}; `--backend ort` uses more",
                options.threads
            ));
        }
        let (runnable, fell) =
            Ladder { model, proto: &proto, inputs: &shaped.inputs }.descend().map_err(|problem| {
                let unknown = unsupported(&proto);
                let (problem, advice) = match (unknown.is_empty(), advice) {
                    (false, _) => (
                        format!("unsupported operator {}", unknown.join(", ")),
                        "try `--backend ort`, or export the model without it".to_owned(),
                    ),
                    (true, Some(baked)) => (problem, baked),
                    (true, None) => (
                        problem,
                        "try `--backend ort`, an export with opset 13 to 18, or onnxsim on the file"
                            .to_owned(),
                    ),
                };
                InferError::Refused { path: model.path.display().to_string(), backend: NAME, problem, advice }
            })?;
        warnings.extend(fell);
        let outputs = output_specs(&proto, &runnable)?;
        Ok(Arc::new(TractPlan { runnable, inputs: shaped.inputs, outputs, warnings }))
    }
}

/// How much of tract's optimising a rung uses, from the best to none. `ChangeAxes` is left out on the first rung: loading
/// takes little more than half as long without it, and most models run as fast (README, Infer, has the figures).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    WithoutChangeAxes,
    All,
    CodegenOnly,
    Nothing,
}

impl Effort {
    const RUNGS: [Self; 4] = [Self::WithoutChangeAxes, Self::All, Self::CodegenOnly, Self::Nothing];

    fn warning(self) -> Option<&'static str> {
        match self {
            Self::WithoutChangeAxes => None,
            Self::All => {
                Some("tract prepared this model only with its ChangeAxes pass: loading takes longer")
            }
            Self::CodegenOnly => Some("tract could not simplify this model: it may run slower"),
            Self::Nothing => {
                Some("tract could not optimise this model: it runs several times slower; try `--backend ort`")
            }
        }
    }
}

/// The tries to make one model run.
struct Ladder<'a> {
    model: &'a ModelFile<'a>,
    proto: &'a ModelProto,
    inputs: &'a [TensorSpec],
}

type Runnable = Arc<TypedSimplePlan>;

impl Ladder<'_> {
    /// The first rung that holds, with a sentence for each step below the top one; else what the first one failed on.
    fn descend(&self) -> Result<(Runnable, Vec<String>), String> {
        let mut first_failure = None;
        let stated = self.proto.graph.as_ref().is_some_and(|graph| !graph.value_info.is_empty());
        for ignore_stated in if stated { &[false, true][..] } else { &[true] } {
            let typed = match guarded(|| self.typed(*ignore_stated)) {
                Ok(typed) => typed,
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                    continue;
                }
            };
            for effort in Effort::RUNGS {
                match guarded(|| optimise(typed.clone(), effort)?.into_runnable()) {
                    Ok(runnable) => {
                        let ignored = (*ignore_stated && stated).then(|| {
                            "tract prepared this model only after ignoring the shapes stated inside the file".to_owned()
                        });
                        let fell = ignored.into_iter().chain(effort.warning().map(str::to_owned)).collect();
                        return Ok((runnable, fell));
                    }
                    Err(failure) => drop(first_failure.get_or_insert(failure)),
                }
            }
        }
        Err(first_failure.unwrap_or_default())
    }

    fn typed(&self, ignore_stated: bool) -> TractResult<TypedModel> {
        let onnx: Onnx = tract_onnx::onnx().with_ignore_value_info(ignore_stated);
        // External weights lie beside the file; tract holds their paths inside that folder.
        let folder = self.model.path.parent().map(|folder| folder.to_string_lossy().into_owned());
        let parsed = onnx.parse(self.proto, folder.as_deref())?;
        if let Some(missing) = parsed.unresolved_inputs.first() {
            return Err(TractError::msg(format!("the graph uses {missing:?}, which nothing produces")));
        }
        let mut model = parsed.model;
        for (at, spec) in self.inputs.iter().enumerate() {
            let shape: Vec<usize> = spec.shape.iter().copied().flatten().collect();
            model.set_input_fact(at, InferenceFact::dt_shape(datum_type(spec.element), shape))?;
        }
        model.into_typed()
    }
}

fn optimise(mut model: TypedModel, effort: Effort) -> TractResult<TypedModel> {
    match effort {
        Effort::All => return model.into_optimized(),
        Effort::WithoutChangeAxes => {
            let mut simplify = Optimizer::declutter();
            simplify.passes.retain(|pass| !format!("{pass:?}").starts_with("ChangeAxes"));
            simplify.optimize(&mut model)?;
            Optimizer::codegen().optimize(&mut model)?;
        }
        Effort::CodegenOnly => Optimizer::codegen().optimize(&mut model)?,
        Effort::Nothing => {}
    }
    Ok(model)
}

/// Runs a step of tract on a foreign graph. It panics on some malformed ones, which must not end the process.
fn guarded<T>(step: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(brief(&format!("{error:#}"))),
        Err(_) => Err("it panicked (message above)".into()),
    }
}

/// One line of at most 500 characters: tract's messages may print whole nodes.
fn brief(message: &str) -> String {
    const MOST: usize = 500;
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Operators of the graph that tract does not have, each with the first node that uses it.
fn unsupported(proto: &ModelProto) -> Vec<String> {
    fn visit(graph: &GraphProto, known: &Onnx, found: &mut Vec<(String, String)>) {
        for node in &graph.node {
            if !known.op_register.0.contains_key(&node.op_type)
                && !found.iter().any(|(op, _)| *op == node.op_type)
            {
                let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
                found.push((node.op_type.clone(), name.cloned().unwrap_or_default()));
            }
            for inner in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
                visit(inner, known, found);
            }
        }
    }
    let mut found = Vec::new();
    if let Some(graph) = &proto.graph {
        visit(graph, &tract_onnx::onnx(), &mut found);
    }
    found.into_iter().map(|(op, node)| format!("{op} (node {node:?})")).collect()
}

fn datum_type(element: Element) -> DatumType {
    match element {
        Element::F32 => DatumType::F32,
        Element::F16 => DatumType::F16,
        Element::F64 => DatumType::F64,
        Element::U8 => DatumType::U8,
        Element::I8 => DatumType::I8,
        Element::I32 => DatumType::I32,
        Element::I64 => DatumType::I64,
        Element::Bool => DatumType::Bool,
    }
}

fn output_specs(proto: &ModelProto, runnable: &Runnable) -> Result<Vec<TensorSpec>, InferError> {
    let model = runnable.model();
    let names = proto.graph.iter().flat_map(|graph| graph.output.iter().map(|output| output.name.clone()));
    names.enumerate().map(|(at, name)| output_spec(model, at, name)).collect()
}

fn output_spec(model: &TypedModel, at: usize, name: String) -> Result<TensorSpec, InferError> {
    let fail = |problem: String| InferError::Engine { backend: NAME, problem };
    let fact = model.output_fact(at).map_err(|error| fail(format!("output {name:?}: {error:#}")))?;
    let element = match fact.datum_type.unquantized() {
        DatumType::F32 => Element::F32,
        DatumType::F16 => Element::F16,
        DatumType::F64 => Element::F64,
        DatumType::U8 => Element::U8,
        DatumType::I8 => Element::I8,
        DatumType::I32 => Element::I32,
        DatumType::I64 | DatumType::TDim => Element::I64,
        DatumType::Bool => Element::Bool,
        other => return Err(fail(format!("output {name:?} has type {other:?}, which is no number"))),
    };
    let shape = fact.shape.iter().map(|size: &TDim| size.to_usize().ok()).collect();
    Ok(TensorSpec { name, element, shape })
}

struct TractPlan {
    runnable: Runnable,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    warnings: Vec<String>,
}

impl Plan for TractPlan {
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
        let state = self.runnable.spawn().map_err(|error| engine(&error))?;
        let outputs =
            self.outputs.iter().map(|spec| Output { name: spec.name.clone(), ..Output::default() }).collect();
        Ok(Box::new(TractSession { inputs: vec![None; self.inputs.len()], plan: self, state, outputs }))
    }
}

fn engine(error: &TractError) -> InferError {
    InferError::Engine { backend: NAME, problem: brief(&format!("{error:#}")) }
}

struct TractSession {
    plan: Arc<TractPlan>,
    state: TypedSimpleState,
    /// Kept from run to run and refilled once tract has let go of them.
    inputs: Vec<Option<Arc<TractTensor>>>,
    outputs: Vec<Output>,
}

impl Session for TractSession {
    fn run(&mut self, inputs: &[super::Tensor]) -> Result<&[Output], InferError> {
        self.go(inputs, |state, values| state.run(values))
    }

    fn run_timed(&mut self, inputs: &[super::Tensor]) -> Result<Vec<OperatorTime>, InferError> {
        let mut times = Vec::new();
        self.go(inputs, |state, values| {
            state.run_plan_with_eval(values, |context, state, node, values| {
                let from = SystemClock.monotonic();
                let found = eval(context, state, node, values)?;
                times.push(operator_time(node, found.first(), SystemClock.monotonic().since(from)));
                Ok::<_, TractError>(found)
            })
        })?;
        Ok(times)
    }
}

fn operator_time(node: &TypedNode, result: Option<&TValue>, time: Duration) -> OperatorTime {
    OperatorTime {
        operator: node.op.name().into_owned(),
        name: node.name.clone(),
        shape: result.map(|result| result.shape().to_vec()).unwrap_or_default(),
        // Its operators know their costs only for shapes of its own graph.
        multiplications: 0,
        time,
    }
}

impl TractSession {
    fn go(
        &mut self,
        inputs: &[super::Tensor],
        run: impl FnOnce(&mut TypedSimpleState, TVec<TValue>) -> TractResult<TVec<TValue>>,
    ) -> Result<&[Output], InferError> {
        check_inputs(&self.plan.inputs, inputs)?;
        let mut values = TVec::with_capacity(inputs.len());
        for (kept, input) in self.inputs.iter_mut().zip(inputs) {
            values.push(TValue::from_const(refill(kept, input)?));
        }
        let state = &mut self.state;
        let found = catch_unwind(AssertUnwindSafe(|| run(state, values)));
        let found = match found {
            Ok(Ok(found)) => found,
            failed => {
                // What an unfinished run left behind must not meet the next frame.
                self.state = self.plan.runnable.spawn().map_err(|error| engine(&error))?;
                return Err(match failed {
                    Ok(Err(error)) => engine(&error),
                    _ => InferError::Engine { backend: NAME, problem: "it panicked (message above)".into() },
                });
            }
        };
        for (output, value) in self.outputs.iter_mut().zip(&found) {
            copy_out(value, output)?;
        }
        Ok(&self.outputs)
    }
}

/// `input` as tract holds it, in the memory of the last run where that is free again.
fn refill(
    kept: &mut Option<Arc<TractTensor>>,
    input: &super::Tensor,
) -> Result<Arc<TractTensor>, InferError> {
    let reused = kept.take().filter(|tensor| tensor.shape() == input.shape).and_then(|mut tensor| {
        overwrite(Arc::get_mut(&mut tensor)?, &input.data).ok()?;
        Some(tensor)
    });
    let tensor = match reused {
        Some(tensor) => tensor,
        None => Arc::new(fill(input).map_err(|error| engine(&error))?),
    };
    *kept = Some(Arc::clone(&tensor));
    Ok(tensor)
}

fn fill(input: &super::Tensor) -> TractResult<TractTensor> {
    match &input.data {
        TensorData::F32(values) => TractTensor::from_shape(&input.shape, values),
        TensorData::F16(values) => TractTensor::from_shape(&input.shape, values),
        TensorData::U8(values) => TractTensor::from_shape(&input.shape, values),
        TensorData::I32(values) => TractTensor::from_shape(&input.shape, values),
        TensorData::I64(values) => TractTensor::from_shape(&input.shape, values),
    }
}

fn overwrite(tensor: &mut TractTensor, data: &TensorData) -> TractResult<()> {
    let mut view = tensor.try_as_plain_ram_mut()?;
    match data {
        TensorData::F32(values) => view.as_slice_mut::<f32>()?.copy_from_slice(values),
        TensorData::F16(values) => view.as_slice_mut::<f16>()?.copy_from_slice(values),
        TensorData::U8(values) => view.as_slice_mut::<u8>()?.copy_from_slice(values),
        TensorData::I32(values) => view.as_slice_mut::<i32>()?.copy_from_slice(values),
        TensorData::I64(values) => view.as_slice_mut::<i64>()?.copy_from_slice(values),
    }
    Ok(())
}

fn copy_out(value: &TractTensor, output: &mut Output) -> Result<(), InferError> {
    output.shape.clear();
    output.shape.extend_from_slice(value.shape());
    output.data.clear();
    let plain = |tensor: &TractTensor, data: &mut Vec<f32>| -> TractResult<()> {
        data.extend_from_slice(tensor.try_as_plain_ram()?.as_slice::<f32>()?);
        Ok(())
    };
    let copied = if value.datum_type() == DatumType::F32 {
        plain(value, &mut output.data)
    } else {
        value.cast_to::<f32>().and_then(|cast| plain(&cast, &mut output.data))
    };
    copied.map_err(|error| engine(&error))
}

#[cfg(test)]
mod tests;
