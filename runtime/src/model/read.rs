//! The facts of an ONNX file.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ModelError, ModelInfo, Ultralytics};
use crate::infer::graph::{self, pb};
use crate::infer::{Element, ModelFile, TensorSpec};

pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<ModelInfo, ModelError> {
    let proto = graph::read(&ModelFile { path, bytes })?;
    let metadata: BTreeMap<String, String> =
        proto.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
    let mut info = ModelInfo {
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: bytes.len() as u64,
        ir_version: proto.ir_version,
        opsets: proto.opset_import.iter().map(|set| (set.domain.clone(), set.version)).collect(),
        producer: format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned(),
        ultralytics: Ultralytics::read(&metadata),
        metadata,
        ..ModelInfo::default()
    };
    if let Some(graph) = &proto.graph {
        info.inputs = graph::declared_inputs(graph).map(spec).collect();
        info.outputs = graph.output.iter().map(spec).collect();
        info.made_by = graph.output.iter().map(|output| maker(graph, &output.name)).collect();
        count(graph, &mut info);
    }
    Ok(info)
}

/// What is not stated is open: a rank as an empty shape, a type as `f32`.
fn spec(value: &pb::ValueInfoProto) -> TensorSpec {
    graph::declared(value).unwrap_or_else(|| TensorSpec {
        name: value.name.clone(),
        element: Element::F32,
        shape: Vec::new(),
    })
}

/// The operator behind output `name`, looking through those that only move values.
fn maker(graph: &pb::GraphProto, name: &str) -> String {
    let mut name = name;
    for _ in 0..8 {
        let Some(node) = graph.node.iter().find(|node| node.output.iter().any(|output| output == name))
        else {
            break;
        };
        let moves = matches!(
            node.op_type.as_str(),
            "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" | "Identity" | "Flatten" | "Cast"
        );
        match node.input.first() {
            Some(input) if moves => name = input,
            _ => return node.op_type.clone(),
        }
    }
    String::new()
}

fn count(graph: &pb::GraphProto, info: &mut ModelInfo) {
    let inner = |node: &pb::NodeProto| {
        node.attribute.iter().filter_map(|attribute| attribute.t.clone()).collect::<Vec<_>>()
    };
    for weights in graph.initializer.iter().cloned().chain(graph.node.iter().flat_map(inner)) {
        let values = weights
            .dims
            .iter()
            .try_fold(1u64, |product, size| product.checked_mul(u64::try_from(*size).ok()?));
        info.parameters = info.parameters.saturating_add(values.unwrap_or(0));
        for entry in weights.external_data.iter().filter(|entry| entry.key == "location") {
            if !info.external.contains(&entry.value) {
                info.external.push(entry.value.clone());
            }
        }
    }
    for node in &graph.node {
        *info.operators.entry(node.op_type.clone()).or_default() += 1;
        for inner in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
            count(inner, info);
        }
    }
}
