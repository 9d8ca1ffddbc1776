use std::path::Path;

use proptest::prelude::*;

use super::*;

fn value(name: &str, shape: &[Option<i64>]) -> pb::ValueInfoProto {
    let axis = |size: &Option<i64>| Dimension {
        denotation: String::new(),
        value: Some(size.map_or(dimension::Value::DimParam("n".into()), dimension::Value::DimValue)),
    };
    let shape = Some(pb::TensorShapeProto { dim: shape.iter().map(axis).collect() });
    let tensor = pb::type_proto::Tensor { elem_type: 1, shape };
    let kind = pb::TypeProto { denotation: String::new(), value: Some(Type::TensorType(tensor)) };
    pb::ValueInfoProto { name: name.into(), r#type: Some(kind), doc_string: String::new() }
}

fn proto(input: &[Option<i64>]) -> pb::ModelProto {
    let node = pb::NodeProto { op_type: "Relu".into(), input: vec!["x".into()], output: vec!["y".into()], ..Default::default() };
    let weights = pb::TensorProto { name: "w".into(), ..Default::default() };
    let graph = pb::GraphProto {
        node: vec![node],
        initializer: vec![weights],
        input: vec![value("w", &[Some(3)]), value("x", input)],
        output: vec![value("y", input)],
        value_info: vec![value("inside", input)],
        ..Default::default()
    };
    pb::ModelProto { graph: Some(graph), ..Default::default() }
}

fn shape(proto: &pb::ModelProto, wanted: &[(&str, &[usize])]) -> Result<Shaped, InferError> {
    let model = ModelFile { path: Path::new("m.onnx"), bytes: &[] };
    let input_shapes = wanted.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
    shaped(&model, proto, &PlanOptions { input_shapes, ..PlanOptions::default() })
}

#[test]
fn weights_listed_among_the_inputs_are_no_inputs() {
    let inputs = shape(&proto(&[Some(1), Some(3)]), &[]).unwrap();
    assert_eq!(inputs.inputs.len(), 1);
    assert!(!inputs.changed);
}

#[test]
fn an_open_batch_becomes_one_and_counts_as_changed() {
    for open in [None, Some(-1), Some(0)] {
        let shaped = shape(&proto(&[open, Some(3)]), &[]).unwrap();
        assert_eq!(shaped.inputs[0].shape, [Some(1), Some(3)]);
        assert!(shaped.changed);
    }
}

#[test]
fn new_shapes_take_out_all_that_hung_on_the_old_ones() {
    let mut proto = proto(&[Some(1), Some(8)]);
    let shaped = shape(&proto, &[("x", &[1, 4])]).unwrap();
    apply(&mut proto, &shaped.inputs);
    let graph = proto.graph.unwrap();
    assert!(graph.value_info.is_empty());
    assert_eq!(declared(&graph.input[1]).unwrap().shape, [Some(1), Some(4)]);
    assert_eq!(declared(&graph.output[0]), None);
}

#[test]
fn what_baked_size_advice_says_names_the_files_size() {
    let advice = baked_size_advice(&proto(&[Some(1), Some(8)]));
    assert!(advice.contains("x f32 [1, 8]") && advice.contains("rectangle = false"), "{advice}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&ModelFile { path: Path::new("m.onnx"), bytes: &bytes });
    }

    #[test]
    fn a_damaged_model_is_read_or_refused_without_panic(at in 0usize..200, to in any::<u8>()) {
        let mut bytes = proto(&[Some(1), Some(3), None]).encode_to_vec();
        let length = bytes.len();
        bytes[at % length] = to;
        let model = ModelFile { path: Path::new("m.onnx"), bytes: &bytes };
        if let Ok(proto) = read(&model) {
            let _ = shaped(&model, &proto, &PlanOptions::default());
        }
    }
}
