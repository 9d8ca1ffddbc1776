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

fn bytes(name: &str, shape: &[i64], signed: bool, values: &[i32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        dims: shape.to_vec(),
        data_type: if signed { DataType::Int8 } else { DataType::Uint8 } as i32,
        int32_data: values.to_vec(),
        ..Default::default()
    }
}

/// QuantizeLinear and DequantizeLinear of `from`, by scale `s…` and zero point `z…`.
fn on_grid(from: &str, grid: &str) -> [pb::NodeProto; 2] {
    let (scale, zero, q) = (format!("s{grid}"), format!("z{grid}"), format!("{from}_q"));
    [
        node("QuantizeLinear", &[from, &scale, &zero], &q),
        node("DequantizeLinear", &[&q, &scale, &zero], &format!("{from}_d")),
    ]
}

/// "c", the convolution of [`model`], and what comes after it with eight bits: a convolution with a bias and weights of each
/// channel, SiLU, a depthwise convolution, a sum and a join.
fn quantised() -> Vec<u8> {
    let mut dense = node("Conv", &["c_d", "wd", "bd"], "a");
    dense.attribute = vec![ints("pads", &[1; 4]), ints("kernel_shape", &[3, 3])];
    let mut each = node("Conv", &["m_d", "ud"], "e");
    each.attribute = vec![ints("pads", &[1; 4]), ints("kernel_shape", &[3, 3])];
    each.attribute.push(pb::AttributeProto { name: "group".into(), i: 4, r#type: 2, ..Default::default() });
    let mut weights = node("DequantizeLinear", &["w8", "sw", "zw"], "wd");
    weights.attribute =
        vec![pb::AttributeProto { name: "axis".into(), i: 0, r#type: 2, ..Default::default() }];
    let mut bias = node("DequantizeLinear", &["b32", "sb", "zb"], "bd");
    bias.attribute.clone_from(&weights.attribute);
    let mut join = node("Concat", &["t_d", "m_d"], "j");
    join.attribute = vec![pb::AttributeProto { name: "axis".into(), i: 1, r#type: 2, ..Default::default() }];
    let mut nodes = vec![weights, bias, node("DequantizeLinear", &["u8", "su", "zu"], "ud")];
    nodes.extend(on_grid("c", "c"));
    nodes.push(dense);
    nodes.extend(on_grid("a", "a"));
    nodes.push(node("Sigmoid", &["a_d"], "g"));
    nodes.extend(on_grid("g", "g"));
    nodes.push(node("Mul", &["a_d", "g_d"], "m"));
    nodes.extend(on_grid("m", "m"));
    nodes.push(each);
    nodes.push(node("Relu", &["e"], "r"));
    nodes.extend(on_grid("r", "r"));
    nodes.push(node("Add", &["r_d", "c_d"], "t"));
    nodes.extend(on_grid("t", "t"));
    nodes.push(join);
    nodes.extend(on_grid("j", "j"));
    nodes.push(node("Identity", &["j_d"], "y"));
    let spread =
        |count: i32, most: i32| (0..count).map(|at| at * 37 % (2 * most + 1) - most).collect::<Vec<_>>();
    let per_channel = |name: &str, base: f32| {
        floats(name, &[4], (0..4u8).map(|at| base * (1.0 + f32::from(at) / 4.0)).collect())
    };
    let mut constants = vec![
        bytes("w8", &[4, 4, 3, 3], true, &spread(144, 127)),
        bytes("zw", &[4], true, &[0; 4]),
        per_channel("sw", 0.01),
        bytes("u8", &[4, 1, 3, 3], false, &(0..36).map(|at| at * 53 % 256).collect::<Vec<_>>()),
        bytes("zu", &[], false, &[128]),
        floats("su", &[], vec![0.02]),
        pb::TensorProto {
            name: "b32".into(),
            dims: vec![4],
            data_type: DataType::Int32 as i32,
            int32_data: vec![500, -700, 0, 123],
            ..Default::default()
        },
        per_channel("sb", 0.01 * 0.03),
        pb::TensorProto {
            name: "zb".into(),
            dims: vec![4],
            data_type: DataType::Int32 as i32,
            int32_data: vec![0; 4],
            ..Default::default()
        },
    ];
    for (grid, scale, zero) in [
        ("c", 0.03, 121),
        ("a", 0.06, 130),
        ("g", 1.0 / 256.0, 0),
        ("m", 0.05, 20),
        ("r", 0.04, 0),
        ("t", 0.06, 60),
        ("j", 0.07, 55),
    ] {
        constants.push(floats(&format!("s{grid}"), &[], vec![scale]));
        constants.push(bytes(&format!("z{grid}"), &[], false, &[zero]));
    }
    model(nodes, constants)
}

#[test]
fn a_quantised_model_runs_in_whole_numbers_to_its_end() {
    let bytes = quantised();
    let file = ModelFile { path: Path::new("m.onnx"), bytes: &bytes };
    let plan = Kernels::widest().plan(&file, &PlanOptions::default()).unwrap();
    assert_eq!((plan.backend(), plan.warnings()), ("kernels", &[][..]));
    let numbers: Vec<f32> = (0..90u8).map(|at| f32::from(at % 11) / 5.0 - 1.0).collect();
    let inputs = [Tensor { shape: vec![1, 3, 6, 5], data: TensorData::F32(numbers) }];
    let mut session = Arc::clone(&plan).session().unwrap();
    let times = session.run_timed(&inputs).unwrap();
    let kinds: Vec<&str> = times.iter().map(|time| time.operator.as_str()).collect();
    for kind in ["quantize", "int8 conv", "int8 depthwise", "int8 sum"] {
        assert_eq!(kinds.iter().filter(|own| **own == kind).count(), 1, "{kind}: {kinds:?}");
    }
    let found = session.run(&inputs).unwrap().to_vec();
    // tract rounds each product's scale to a fraction of its own: a number may come to lie on the next line of a grid, and
    // what follows from it on the one after that.
    let other = tract::Tract.plan(&file, &PlanOptions::default()).unwrap();
    let expected = other.session().unwrap().run(&inputs).unwrap().to_vec();
    assert_eq!(found[0].shape, [1, 8, 6, 5]);
    let lines: Vec<f32> =
        found[0].data.iter().zip(&expected[0].data).map(|(a, b)| ((a - b) / 0.07).abs().round()).collect();
    let off = lines.iter().filter(|lines| **lines > 0.0).count();
    let worst = lines.iter().copied().fold(0.0, f32::max);
    let distinct: std::collections::HashSet<u32> =
        expected[0].data.iter().map(|value| value.to_bits()).collect();
    println!("{off} of {} numbers lie on another line of the grid, {worst} off at most", lines.len());
    assert!(
        worst <= 2.0 && off * 10 <= lines.len() && distinct.len() > 40,
        "{off} {worst} {}",
        distinct.len()
    );
}

#[test]
fn what_is_quantised_is_not_read_by_others() {
    let mut nodes = on_grid("c", "c").to_vec();
    // A greatest number of bytes: tract's.
    let mut pool = node("MaxPool", &["c_q"], "p");
    pool.attribute = vec![ints("kernel_shape", &[2, 2])];
    nodes.extend([pool, node("DequantizeLinear", &["p", "sc", "zc"], "y")]);
    let bytes = model(nodes, vec![floats("sc", &[], vec![0.03]), bytes("zc", &[], false, &[121])]);
    let file = ModelFile { path: Path::new("m.onnx"), bytes: &bytes };
    match Kernels::widest().plan(&file, &PlanOptions::default()) {
        Ok(plan) => assert_ne!(plan.backend(), "kernels", "{:?}", plan.warnings()),
        Err(InferError::Refused { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// "x" quantised while the model runs, and constants for [`integer`].
fn measured() -> (pb::NodeProto, Vec<pb::TensorProto>) {
    let mut measure = node("DynamicQuantizeLinear", &["x"], "q");
    measure.output = ["q", "step", "zero"].map(String::from).to_vec();
    let shape = pb::TensorProto {
        name: "to".into(),
        dims: vec![4],
        data_type: DataType::Int64 as i32,
        int64_data: vec![1, -1, 1, 1],
        ..Default::default()
    };
    let constants = vec![
        floats("scale", &[], vec![0.03]),
        floats("b", &[3], vec![0.5, -0.25, 0.125]),
        bytes("wz", &[], false, &[119]),
        bytes("sz", &[], true, &[0]),
        bytes("u", &[3, 3, 3, 3], false, &(0..81).map(|at| at * 37 % 256).collect::<Vec<_>>()),
        bytes("each", &[3, 1, 3, 3], true, &(0..27).map(|at| at * 19 % 255 - 127).collect::<Vec<_>>()),
        shape,
    ];
    (measure, constants)
}

/// A ConvInteger of `weights` over "q" and what follows it, as onnxruntime.quantization writes them, to `output`.
fn integer(weights: &str, zero: &str, groups: i64, output: &str) -> Vec<pb::NodeProto> {
    let name = |part: &str| format!("{output} {part}");
    let mut convolution = node("ConvInteger", &["q", weights, "zero", zero], &name("sums"));
    let group = pb::AttributeProto { name: "group".into(), i: groups, r#type: 2, ..Default::default() };
    convolution.attribute = vec![ints("pads", &[1; 4]), ints("kernel_shape", &[3, 3]), group];
    let mut cast = node("Cast", &[&name("sums")], &name("float"));
    cast.attribute = vec![pb::AttributeProto { name: "to".into(), i: 1, r#type: 2, ..Default::default() }];
    vec![
        convolution,
        cast,
        node("Mul", &["step", "scale"], &name("scale")),
        node("Mul", &[&name("float"), &name("scale")], &name("scaled")),
        node("Reshape", &["b", "to"], &name("bias")),
        node("Add", &[&name("scaled"), &name("bias")], output),
    ]
}

#[test]
fn convolutions_quantised_while_they_run_are_layers_and_exact() {
    let (measure, constants) = measured();
    let nodes = [
        vec![measure],
        integer("u", "wz", 1, "first"),
        integer("each", "sz", 3, "second"),
        vec![node("Relu", &["first"], "r"), node("Add", &["r", "second"], "y")],
    ];
    let (own, other, plan) = both(&model(nodes.concat(), constants));
    assert_eq!(plan.backend(), "kernels");
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    assert_eq!(own[0].data, other[0].data);
    assert!(own[0].data.iter().any(|value| *value != 0.0), "{:?}", own[0].data);
}

#[test]
fn numbers_that_another_operator_reads_are_left_to_tract() {
    let (measure, constants) = measured();
    let mut cast = node("Cast", &["q"], "numbers");
    cast.attribute = vec![pb::AttributeProto { name: "to".into(), i: 1, r#type: 2, ..Default::default() }];
    let nodes =
        [vec![measure], integer("u", "wz", 1, "first"), vec![cast, node("Add", &["first", "numbers"], "y")]];
    let (own, other, plan) = both(&model(nodes.concat(), constants));
    assert!(
        plan.warnings().iter().any(|told| told.contains("Cast reads its numbers")),
        "{:?}",
        plan.warnings()
    );
    assert_eq!(own[0].data, other[0].data);
}
