//! The engine `kernels`: the convolutional part of a model runs in kernels of our own (`stopline-kernels`), and what these
//! do not know in tract, as a model of its own behind them.
//!
//! The layers are made from the ONNX file itself rather than from tract's prepared graph: its operators are few and
//! specified, tract's are an optimiser's and change with it; and preparing is most of tract's loading time.

mod constants;
mod dynamic;
mod fuse;
mod lower;
mod quantized;
mod rearrange;
mod resize;
mod value;

use std::sync::Arc;

use stopline_kernels::{Isa, Memory, Plan as Layers};
use stopline_sensors::clock::{Clock, SystemClock};

use super::graph::pb;
use super::{
    Backend, Element, InferError, ModelFile, OperatorTime, Output, Plan, PlanOptions, Session, Tensor,
    TensorData, TensorSpec, check_inputs, graph, tract,
};
use constants::{Constants, Node, NotCovered};
use lower::{Lowered, lower};

const NAME: &str = "kernels";
/// Inputs that a model may have, and tensors that its layers may write.
const MOST_TENSORS: usize = 16;

/// The engine.
pub(super) struct Kernels(Isa);

impl Kernels {
    /// With the fastest instructions of this processor.
    pub(super) fn widest() -> Self {
        Self(Isa::detect())
    }
}

impl Backend for Kernels {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, model: &ModelFile<'_>, options: &PlanOptions) -> Result<Arc<dyn Plan>, InferError> {
        let mut proto = graph::read(model)?;
        let shaped = graph::shaped(model, &proto, options)?;
        if let Some(provider) = options.providers.first() {
            let problem = format!("it has no execution provider {provider:?}; `--backend ort` may");
            return Err(InferError::Engine { backend: NAME, problem });
        }
        if shaped.changed {
            graph::apply(&mut proto, &shaped.inputs);
        }
        match self.own(model, &proto, shaped.inputs, options) {
            Ok(plan) => Ok(Arc::new(plan)),
            Err(why) => {
                let plan = tract::Tract.plan(model, options)?;
                let told = format!("tract runs this model, not the kernels of our own: {why}");
                let warnings = plan.warnings().iter().cloned().chain([told]).collect();
                Ok(Arc::new(Instead { plan, warnings }))
            }
        }
    }
}

impl Kernels {
    fn own(
        &self,
        model: &ModelFile<'_>,
        proto: &pb::ModelProto,
        inputs: Vec<TensorSpec>,
        options: &PlanOptions,
    ) -> Result<KernelsPlan, NotCovered> {
        let graph = proto.graph.as_ref().ok_or("it holds no graph")?;
        let lowered = lower(proto, &inputs)?;
        if lowered.convolutions.0 == 0 {
            return Err(lowered.why.unwrap_or_else(|| "it has no convolution".into()));
        }
        if lowered.written.len() > MOST_TENSORS || inputs.len() > MOST_TENSORS {
            return Err(format!("more than {MOST_TENSORS} inputs or tensors between kernels and tract"));
        }
        let layers = Layers::compile(&lowered.graph, self.0).map_err(|error| error.to_string())?;
        let tail = tail(model, proto, &lowered, &inputs)?;
        let outputs = graph.output.iter().map(|output| {
            let written = lowered.written.iter().position(|(name, _)| *name == output.name);
            match (written, &tail) {
                (Some(at), _) => {
                    let shape = lowered.written[at].1.iter().copied().map(Some).collect();
                    Ok((
                        TensorSpec { name: output.name.clone(), element: Element::F32, shape },
                        From::Layers(at),
                    ))
                }
                (None, Some(tail)) => {
                    let at = tail.plan.outputs().iter().position(|spec| spec.name == output.name);
                    let at = at.ok_or("an output that nothing makes")?;
                    Ok((tail.plan.outputs()[at].clone(), From::Tail(at)))
                }
                (None, None) => Err("an output that nothing makes"),
            }
        });
        let (outputs, sources) = outputs.collect::<Result<(Vec<_>, Vec<_>), _>>()?;
        let mut warnings = Vec::new();
        if options.threads > 1 {
            warnings.push(format!(
                "the kernels run on one thread, not {}; `--backend ort` uses more",
                options.threads
            ));
        }
        if let Some(tail) = &tail {
            let (own, all) = lowered.convolutions;
            let why = lowered.why.as_deref().unwrap_or_default();
            warnings.push(format!("tract runs the last {} nodes ({own} of {all} convolutions are in the kernels of our own): {why}", lowered.left.len()));
            warnings.extend(tail.plan.warnings().iter().cloned());
        }
        let written = lowered.written.iter().map(|(_, shape)| shape.clone()).collect();
        Ok(KernelsPlan { layers, inputs, outputs, sources, written, tail, warnings })
    }
}

/// What tract runs behind the layers.
struct Tail {
    plan: Arc<dyn Plan>,
    /// Of each of its inputs.
    inputs: Vec<TailInput>,
}

#[derive(Clone, Copy)]
enum TailInput {
    /// An input of the model.
    Given(usize),
    /// A tensor that the layers write.
    Written(usize),
}

/// Where an output comes from.
#[derive(Clone, Copy)]
enum From {
    Layers(usize),
    Tail(usize),
}

/// The nodes that are left as a model of their own; `None` where there are none.
fn tail(
    model: &ModelFile<'_>,
    proto: &pb::ModelProto,
    lowered: &Lowered,
    inputs: &[TensorSpec],
) -> Result<Option<Tail>, NotCovered> {
    let Some(graph) = proto.graph.as_ref().filter(|_| !lowered.left.is_empty()) else { return Ok(None) };
    let left: Vec<&pb::NodeProto> = lowered.left.iter().map(|at| &graph.node[*at]).collect();
    let inner = |node: &&pb::NodeProto| node.attribute.iter().any(|attribute| attribute.g.is_some());
    if left.iter().any(inner) {
        return Err("what is left has graphs within it".into());
    }
    let read: Vec<&str> = left.iter().flat_map(|node| Node(node).inputs()).collect();
    let constants = Constants::of(graph);
    let mut nodes: Vec<pb::NodeProto> =
        graph.node.iter().filter(|node| node.op_type == "Constant").cloned().collect();
    nodes.extend(left.iter().map(|node| (*node).clone()));
    let (mut sources, mut values) = (Vec::new(), Vec::new());
    for (at, (name, shape)) in
        lowered.written.iter().enumerate().filter(|(_, (name, _))| read.contains(&name.as_str()))
    {
        sources.push((name.as_str(), TailInput::Written(at)));
        values.push(graph::value(name, shape));
    }
    for (at, spec) in inputs.iter().enumerate().filter(|(_, spec)| read.contains(&spec.name.as_str())) {
        let Some(value) = graph.input.iter().find(|value| value.name == spec.name) else { continue };
        if sources.iter().all(|(name, _)| *name != spec.name) {
            sources.push((&spec.name, TailInput::Given(at)));
            values.push(value.clone());
        }
    }
    let made = |name: &str| lowered.written.iter().any(|(written, _)| written == name);
    let graph = pb::GraphProto {
        name: graph.name.clone(),
        node: nodes,
        initializer: graph
            .initializer
            .iter()
            .filter(|tensor| read.contains(&tensor.name.as_str()) && constants.has(&tensor.name))
            .cloned()
            .collect(),
        input: values,
        output: graph.output.iter().filter(|output| !made(&output.name)).cloned().collect(),
        ..Default::default()
    };
    if graph.output.is_empty() {
        return Ok(None);
    }
    let rest = pb::ModelProto {
        ir_version: proto.ir_version,
        opset_import: proto.opset_import.clone(),
        graph: Some(graph),
        ..Default::default()
    };
    let bytes = graph::write(&rest);
    let plan = tract::Tract.plan(&ModelFile { path: model.path, bytes: &bytes }, &PlanOptions::default());
    let plan = plan.map_err(|error| error.to_string())?;
    let source = |spec: &TensorSpec| {
        sources
            .iter()
            .find(|(name, _)| *name == spec.name)
            .map(|(_, source)| *source)
            .ok_or("an unknown input")
    };
    let inputs = plan.inputs().iter().map(source).collect::<Result<_, _>>()?;
    Ok(Some(Tail { plan, inputs }))
}

struct KernelsPlan {
    layers: Layers,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    sources: Vec<From>,
    /// Shapes of the tensors that the layers write.
    written: Vec<Vec<usize>>,
    tail: Option<Tail>,
    warnings: Vec<String>,
}

impl Plan for KernelsPlan {
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
        let tail = match &self.tail {
            Some(tail) => {
                let inputs = tail.inputs.iter().zip(tail.plan.inputs()).map(|(_, spec)| {
                    let shape: Vec<usize> = spec.shape.iter().map(|size| size.unwrap_or(1)).collect();
                    Tensor { data: TensorData::F32(vec![0.0; shape.iter().product()]), shape }
                });
                Some((Arc::clone(&tail.plan).session()?, inputs.collect()))
            }
            None => None,
        };
        let output = |spec: &TensorSpec| Output { name: spec.name.clone(), ..Output::default() };
        let outputs = self.outputs.iter().map(output).collect();
        let written = self.written.iter().map(|shape| vec![0.0; shape.iter().product()]).collect();
        Ok(Box::new(KernelsSession { memory: self.layers.memory(), written, outputs, tail, plan: self }))
    }
}

struct KernelsSession {
    plan: Arc<KernelsPlan>,
    memory: Memory,
    /// What the layers write, where it is not lent to an output.
    written: Vec<Vec<f32>>,
    outputs: Vec<Output>,
    tail: Option<(Box<dyn Session>, Vec<Tensor>)>,
}

impl Session for KernelsSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<&[Output], InferError> {
        self.go(inputs, None)?;
        Ok(&self.outputs)
    }

    fn run_timed(&mut self, inputs: &[Tensor]) -> Result<Vec<OperatorTime>, InferError> {
        let mut times = Vec::new();
        self.go(inputs, Some(&mut times))?;
        Ok(times)
    }
}

impl KernelsSession {
    /// One run; what each operator took is added to `times`.
    fn go(&mut self, inputs: &[Tensor], mut times: Option<&mut Vec<OperatorTime>>) -> Result<(), InferError> {
        let plan = Arc::clone(&self.plan);
        check_inputs(&plan.inputs, inputs)?;
        let engine = |problem: String| InferError::Engine { backend: NAME, problem };
        let mut given: [&[f32]; MOST_TENSORS] = [&[]; MOST_TENSORS];
        for (given, input) in given.iter_mut().zip(inputs) {
            if let TensorData::F32(values) = &input.data {
                *given = values;
            }
        }
        self.take_back();
        let mut places: [&mut [f32]; MOST_TENSORS] = std::array::from_fn(|_| Default::default());
        for (place, written) in places.iter_mut().zip(&mut self.written) {
            *place = written;
        }
        let count = plan.written.len();
        let (given, places) = (&given[..inputs.len()], &mut places[..count]);
        match &mut times {
            Some(times) => timed(&plan.layers, &mut self.memory, given, places, times),
            None => plan.layers.run(&mut self.memory, given, places),
        }
        .map_err(|error| engine(error.to_string()))?;
        if let (Some(tail), Some((session, tensors))) = (&plan.tail, &mut self.tail) {
            for (source, tensor) in tail.inputs.iter().zip(tensors.iter_mut()) {
                let TensorData::F32(values) = &mut tensor.data else { continue };
                values.copy_from_slice(match source {
                    TailInput::Given(at) => given[*at],
                    TailInput::Written(at) => &self.written[*at],
                });
            }
            if let Some(times) = times {
                times.extend(session.run_timed(tensors)?);
            }
            let found = session.run(tensors)?;
            for (output, source) in self.outputs.iter_mut().zip(&plan.sources) {
                if let From::Tail(at) = source {
                    let found = found.get(*at).ok_or_else(|| engine(format!("no output {at} from tract")))?;
                    output.shape.clone_from(&found.shape);
                    output.data.clone_from(&found.data);
                }
            }
        }
        self.hand_out();
        Ok(())
    }

    /// The numbers of outputs go back to where the layers write them.
    fn take_back(&mut self) {
        for (output, source) in self.outputs.iter_mut().zip(&self.plan.sources) {
            if let From::Layers(at) = source
                && self.written[*at].is_empty()
            {
                std::mem::swap(&mut output.data, &mut self.written[*at]);
            }
        }
    }

    /// The numbers that the layers wrote become the outputs, without a copy.
    fn hand_out(&mut self) {
        for (output, source) in self.outputs.iter_mut().zip(&self.plan.sources) {
            if let From::Layers(at) = source {
                output.data.clear();
                std::mem::swap(&mut output.data, &mut self.written[*at]);
                output.shape.clone_from(&self.plan.written[*at]);
            }
        }
    }
}

/// Runs `layers`; what each step took is added to `times`.
fn timed(
    layers: &Layers,
    memory: &mut Memory,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    times: &mut Vec<OperatorTime>,
) -> Result<(), stopline_kernels::RunError> {
    let mut steps = layers.steps();
    let mut from = SystemClock.monotonic();
    layers.run_observed(memory, inputs, outputs, &mut |_| {
        let now = SystemClock.monotonic();
        if let Some(step) = steps.next() {
            let [channels, rows, columns] = step.shape;
            times.push(OperatorTime {
                operator: step.kind.to_owned(),
                name: step.layer.to_owned(),
                shape: vec![1, channels, rows, columns],
                multiplications: step.multiplications,
                time: now.since(from),
            });
        }
        from = SystemClock.monotonic();
    })
}

/// A plan of tract's where the kernels have none.
struct Instead {
    plan: Arc<dyn Plan>,
    warnings: Vec<String>,
}

impl Plan for Instead {
    fn backend(&self) -> &'static str {
        self.plan.backend()
    }

    fn inputs(&self) -> &[TensorSpec] {
        self.plan.inputs()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.plan.outputs()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>, InferError> {
        Arc::clone(&self.plan).session()
    }
}

#[cfg(test)]
mod tests;
