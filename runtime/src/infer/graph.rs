//! The ONNX file as a graph, before an engine sees it: read it, and give its inputs the shapes they will have.

use prost::Message;
pub(crate) use tract_onnx::pb;

use pb::tensor_shape_proto::{Dimension, dimension};
use pb::type_proto::Value as Type;

use super::{Element, InferError, ModelFile, PlanOptions, TensorSpec};

/// Reads the bytes of an ONNX file. What is allocated is bounded by the file's length: protobuf states no size that its
/// bytes do not fill.
pub(crate) fn read(model: &ModelFile<'_>) -> Result<pb::ModelProto, InferError> {
    let refuse = |problem: String| InferError::NotOnnx { path: model.path.display().to_string(), problem };
    if model.bytes.is_empty() {
        return Err(refuse("the file is empty".into()));
    }
    if model.bytes.starts_with(b"version https://git-lfs") {
        return Err(refuse(
            "it is a Git LFS pointer, not the model; `git lfs pull` fetches the model".into(),
        ));
    }
    let proto = pb::ModelProto::decode(model.bytes).map_err(|error| refuse(error.to_string()))?;
    match &proto.graph {
        None => Err(refuse("it holds no graph".into())),
        Some(graph) if graph.node.is_empty() => Err(refuse("its graph has no nodes".into())),
        Some(graph) if graph.output.is_empty() => Err(refuse("its graph has no outputs".into())),
        Some(_) => Ok(proto),
    }
}

/// The inputs a run must be given, as the file declares them: old files list their weights among the inputs.
pub(crate) fn declared_inputs(graph: &pb::GraphProto) -> impl Iterator<Item = &pb::ValueInfoProto> {
    graph.input.iter().filter(|input| !graph.initializer.iter().any(|weights| weights.name == input.name))
}

/// Type and shape of an input or output as the file declares it; `None` where it is no tensor, has no stated rank, or a
/// type nobody can fill.
pub(crate) fn declared(value: &pb::ValueInfoProto) -> Option<TensorSpec> {
    let Some(Type::TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return None;
    };
    let shape = tensor.shape.as_ref()?.dim.iter().map(size).collect();
    Some(TensorSpec { name: value.name.clone(), element: element(tensor.elem_type)?, shape })
}

/// A stated size; `None` for a symbol, nothing, or the −1 and 0 that some exporters write for "any".
fn size(axis: &Dimension) -> Option<usize> {
    match axis.value {
        Some(dimension::Value::DimValue(size)) if size > 0 => usize::try_from(size).ok(),
        _ => None,
    }
}

fn element(code: i32) -> Option<Element> {
    use pb::tensor_proto::DataType;
    match DataType::try_from(code).ok()? {
        DataType::Float => Some(Element::F32),
        DataType::Float16 => Some(Element::F16),
        DataType::Double => Some(Element::F64),
        DataType::Uint8 => Some(Element::U8),
        DataType::Int8 => Some(Element::I8),
        DataType::Int32 => Some(Element::I32),
        DataType::Int64 => Some(Element::I64),
        DataType::Bool => Some(Element::Bool),
        _ => None,
    }
}

/// Inputs with the concrete shapes that a plan is made for.
pub(super) struct Shaped {
    /// In the graph's order; every size known.
    pub inputs: Vec<TensorSpec>,
    /// Whether a shape differs from what the file declares, so that all other shapes it states are stale.
    pub changed: bool,
}

/// Decides the inputs' shapes: what `options` say, else what the file declares, an open first axis (the batch) being 1.
pub(super) fn shaped(
    model: &ModelFile<'_>,
    proto: &pb::ModelProto,
    options: &PlanOptions,
) -> Result<Shaped, InferError> {
    let graph = proto.graph.as_ref().ok_or_else(|| InferError::NotOnnx {
        path: model.path.display().to_string(),
        problem: "it holds no graph".into(),
    })?;
    let names: Vec<&str> = declared_inputs(graph).map(|input| input.name.as_str()).collect();
    if let Some((name, shape)) = options.input_shapes.iter().find(|(name, _)| !names.contains(&name.as_str()))
    {
        let found = format!("a shape {shape:?} for a name that the graph does not have");
        return Err(InferError::Input { name: name.clone(), expected: format!("one of {names:?}"), found });
    }
    let mut changed = false;
    let mut inputs = Vec::with_capacity(names.len());
    for value in declared_inputs(graph) {
        let wanted =
            options.input_shapes.iter().find(|(name, _)| *name == value.name).map(|(_, shape)| shape);
        let spec = shape_one(model, value, wanted)?;
        changed |= declared(value).is_none_or(|declared| declared != spec);
        inputs.push(spec);
    }
    Ok(Shaped { inputs, changed })
}

fn shape_one(
    model: &ModelFile<'_>,
    value: &pb::ValueInfoProto,
    wanted: Option<&Vec<usize>>,
) -> Result<TensorSpec, InferError> {
    let refuse = |problem: String, advice: &str| InferError::Refused {
        path: model.path.display().to_string(),
        backend: "stopline",
        problem,
        advice: advice.into(),
    };
    let Some(Type::TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        let problem = format!("input {:?} is no tensor", value.name);
        return Err(refuse(problem, "export the model with tensor inputs only"));
    };
    let Some(element) = element(tensor.elem_type) else {
        let problem = format!("input {:?} has ONNX type number {}", value.name, tensor.elem_type);
        return Err(refuse(problem, "export it with f32, f16, u8, i32 or i64 inputs"));
    };
    let declared: Option<Vec<_>> = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(size).collect());
    let shape = match (wanted, declared) {
        (Some(wanted), Some(declared)) if wanted.len() != declared.len() => {
            let declared = TensorSpec { name: String::new(), element, shape: declared };
            let found = format!("{wanted:?} ({} axes)", wanted.len());
            let expected = format!("{declared} ({} axes)", declared.shape.len());
            return Err(InferError::Input { name: value.name.clone(), expected, found });
        }
        (Some(wanted), _) => wanted.iter().copied().map(Some).collect(),
        (None, Some(mut declared)) => {
            if let Some(batch @ None) = declared.first_mut() {
                *batch = Some(1);
            }
            declared
        }
        (None, None) => Vec::new(),
    };
    if let Some(open) = shape.iter().position(Option::is_none) {
        let problem = format!("input {:?} has no stated size at axis {open}", value.name);
        return Err(refuse(problem, "state the input's size in the manifest"));
    }
    Ok(TensorSpec { name: value.name.clone(), element, shape })
}

/// Writes `inputs` into the graph and takes out every shape that hung on the old ones.
pub(super) fn apply(proto: &mut pb::ModelProto, inputs: &[TensorSpec]) {
    let Some(graph) = proto.graph.as_mut() else { return };
    graph.value_info.clear();
    for spec in inputs {
        let Some(value) = graph.input.iter_mut().find(|value| value.name == spec.name) else { continue };
        if let Some(Type::TensorType(tensor)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut()) {
            let dim = spec.shape.iter().map(|size| Dimension {
                denotation: String::new(),
                value: size.and_then(|size| i64::try_from(size).ok()).map(dimension::Value::DimValue),
            });
            tensor.shape = Some(pb::TensorShapeProto { dim: dim.collect() });
        }
    }
    for value in &mut graph.output {
        if let Some(Type::TensorType(tensor)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut()) {
            tensor.shape = None;
        }
    }
}

/// What to try when a graph does not run at shapes other than its own.
pub(super) fn baked_size_advice(proto: &pb::ModelProto) -> String {
    let stated: Vec<String> = proto
        .graph
        .iter()
        .flat_map(|graph| declared_inputs(graph).filter_map(declared))
        .map(|spec| format!("{} {spec}", spec.name))
        .collect();
    format!(
        "the model may have its input size baked in: run it at the size the file states ({}; `rectangle = false` in the \
         manifest), or export it again with open sizes (dynamic axes)",
        stated.join(", ")
    )
}

/// A tensor of f32 of this shape, as inputs and outputs are declared.
pub(super) fn value(name: &str, shape: &[usize]) -> pb::ValueInfoProto {
    let size = |size: &usize| Dimension {
        denotation: String::new(),
        value: i64::try_from(*size).ok().map(dimension::Value::DimValue),
    };
    let shape = Some(pb::TensorShapeProto { dim: shape.iter().map(size).collect() });
    let tensor = pb::type_proto::Tensor { elem_type: pb::tensor_proto::DataType::Float as i32, shape };
    let kind = pb::TypeProto { denotation: String::new(), value: Some(Type::TensorType(tensor)) };
    pb::ValueInfoProto { name: name.to_owned(), r#type: Some(kind), doc_string: String::new() }
}

/// The bytes of an ONNX file that says `proto`.
pub(super) fn write(proto: &pb::ModelProto) -> Vec<u8> {
    proto.encode_to_vec()
}

#[cfg(test)]
mod tests;
