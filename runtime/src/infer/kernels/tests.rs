use std::path::Path;

use super::*;
use pb::tensor_proto::DataType;

fn node(operator: &str, inputs: &[&str], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        op_type: operator.into(),
        name: format!("{operator} of {output}"),
        input: inputs.iter().map(|name| (*name).into()).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto { name: name.into(), ints: values.to_vec(), r#type: 7, ..Default::default() }
}

fn floats(name: &str, shape: &[i64], values: Vec<f32>) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        dims: shape.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values,
        ..Default::default()
    }
}

/// A 3 × 3 convolution of `[1, 3, 6, 5]` to four channels, then `nodes`, of which the last makes "y".
fn model(nodes: Vec<pb::NodeProto>, constants: Vec<pb::TensorProto>) -> Vec<u8> {
    let mut convolution = node("Conv", &["x", "w"], "c");
    convolution.attribute = vec![ints("pads", &[1; 4]), ints("kernel_shape", &[3, 3])];
    let weights = (0..108u8).map(|at| f32::from(at % 7) / 7.0 - 0.4).collect();
    let mut initializer = constants;
    initializer.push(floats("w", &[4, 3, 3, 3], weights));
    let mut output = graph::value("y", &[1]);
    output.r#type = Some(pb::TypeProto {
        denotation: String::new(),
        value: Some(pb::type_proto::Value::TensorType(pb::type_proto::Tensor { elem_type: 1, shape: None })),
    });
    let graph = pb::GraphProto {
        node: [vec![convolution], nodes].concat(),
        initializer,
        input: vec![graph::value("x", &[1, 3, 6, 5])],
        output: vec![output],
        ..Default::default()
    };
    let opset_import = vec![pb::OperatorSetIdProto { domain: String::new(), version: 13 }];
    graph::write(&pb::ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() })
}

/// What the kernels, and tract by itself, make of a model; and what the kernels' plan tells.
fn both(bytes: &[u8]) -> (Vec<Output>, Vec<Output>, Arc<dyn Plan>) {
    let file = ModelFile { path: Path::new("m.onnx"), bytes };
    let numbers = (0..90u8).map(|at| f32::from(at % 11) / 5.0 - 1.0).collect();
    let inputs = [Tensor { shape: vec![1, 3, 6, 5], data: TensorData::F32(numbers) }];
    let run = |plan: &Arc<dyn Plan>| {
        let mut session = Arc::clone(plan).session().unwrap();
        session.run(&inputs).unwrap();
        // What the first run left must not be in the second.
        session.run(&inputs).unwrap().to_vec()
    };
    let own = Kernels::widest().plan(&file, &PlanOptions::default()).unwrap();
    let other = tract::Tract.plan(&file, &PlanOptions::default()).unwrap();
    (run(&own), run(&other), own)
}

fn assert_alike(own: &[Output], other: &[Output]) {
    assert_eq!(own.len(), other.len());
    for (own, other) in own.iter().zip(other) {
        assert_eq!((&own.name, &own.shape), (&other.name, &other.shape));
        for (a, b) in own.data.iter().zip(&other.data) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{a} for {b}");
        }
    }
}

#[test]
fn a_gated_convolution_is_one_layer() {
    let bytes = model(vec![node("Sigmoid", &["c"], "s"), node("Mul", &["c", "s"], "y")], Vec::new());
    let (own, other, plan) = both(&bytes);
    assert_eq!(plan.backend(), "kernels");
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    assert_alike(&own, &other);
}

#[test]
fn batch_normalization_goes_into_the_weights() {
    let of = |name: &str, values: [f32; 4]| floats(name, &[4], values.to_vec());
    let constants = vec![
        of("scale", [0.5, 1.5, -1.0, 2.0]),
        of("shift", [0.1, 0.2, 0.3, 0.4]),
        of("mean", [0.0, 1.0, -1.0, 0.5]),
        of("variance", [1.0, 0.25, 4.0, 2.0]),
    ];
    let normal = node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], "n");
    let (own, other, plan) = both(&model(vec![normal, node("Relu", &["n"], "y")], constants));
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    assert_alike(&own, &other);
}

#[test]
fn what_the_kernels_do_not_know_is_left_to_tract_and_told() {
    let bytes = model(
        vec![node("Relu", &["c"], "r"), node("Tanh", &["r"], "t"), node("Add", &["t", "r"], "y")],
        Vec::new(),
    );
    let (own, other, plan) = both(&bytes);
    assert_alike(&own, &other);
    assert_eq!(plan.backend(), "kernels");
    let [told] = plan.warnings() else { panic!("{:?}", plan.warnings()) };
    assert!(told.contains("Tanh") && told.contains("1 of 1 convolutions"), "{told}");
}

#[test]
fn a_model_without_a_convolution_is_tracts() {
    let graph = pb::GraphProto {
        node: vec![node("Relu", &["x"], "y")],
        input: vec![graph::value("x", &[1, 3, 6, 5])],
        output: vec![graph::value("y", &[1, 3, 6, 5])],
        ..Default::default()
    };
    let opset_import = vec![pb::OperatorSetIdProto { domain: String::new(), version: 13 }];
    let proto = pb::ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() };
    let (own, other, plan) = both(&graph::write(&proto));
    assert_alike(&own, &other);
    assert_eq!(plan.backend(), "tract");
    assert_eq!(plan.warnings().len(), 1, "{:?}", plan.warnings());
}

#[test]
fn weights_that_do_not_fit_are_no_layer() {
    for (shape, count) in [(vec![4, 3, 3, 3], 107), (vec![4, 3, 9], 108), (vec![-4, 3, 3, 3], 108)] {
        let graph = pb::GraphProto {
            node: vec![node("Conv", &["x", "w"], "y")],
            initializer: vec![floats("w", &shape, vec![0.0; count])],
            input: vec![graph::value("x", &[1, 3, 6, 5])],
            output: vec![graph::value("y", &[1, 4, 4, 3])],
            ..Default::default()
        };
        let proto = pb::ModelProto { graph: Some(graph), ..Default::default() };
        let inputs =
            [TensorSpec { name: "x".into(), element: Element::F32, shape: [1, 3, 6, 5].map(Some).to_vec() }];
        let lowered = lower(&proto, &inputs).unwrap();
        assert_eq!((lowered.left.len(), lowered.convolutions), (1, (0, 1)), "{shape:?}");
    }
}
