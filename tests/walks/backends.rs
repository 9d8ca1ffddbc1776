//! One suite that every engine passes, on models made here.

use std::path::Path;
use std::sync::Arc;

use stopline::infer::{
    Backend, BackendKind, Element, InferError, ModelFile, Output, Plan, PlanOptions, Tensor, TensorData,
    backend,
};
use stopline_tests::onnx::{Attribute, Dim, Kind, Onnx, fixed};
use stopline_tests::ort_library;

/// The engines this build and this machine have.
fn engines() -> Vec<Box<dyn Backend>> {
    let own = [BackendKind::Kernels, BackendKind::Tract].map(|kind| backend(kind, None).unwrap());
    let mut engines = Vec::from(own);
    if cfg!(feature = "ort")
        && let Some(library) = ort_library()
    {
        engines.push(backend(BackendKind::Ort, Some(&library)).unwrap());
    }
    engines
}

fn plan_in(
    engine: &dyn Backend,
    folder: &Path,
    bytes: &[u8],
    shapes: &[(&str, &[usize])],
) -> Result<Arc<dyn Plan>, InferError> {
    let input_shapes = shapes.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
    let path = folder.join("made.onnx");
    engine.plan(&ModelFile { path: &path, bytes }, &PlanOptions { input_shapes, ..PlanOptions::default() })
}

fn plan(
    engine: &dyn Backend,
    bytes: &[u8],
    shapes: &[(&str, &[usize])],
) -> Result<Arc<dyn Plan>, InferError> {
    plan_in(engine, Path::new("."), bytes, shapes)
}

fn f32s(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor { shape: shape.to_vec(), data: TensorData::F32(values) }
}

/// Values that differ from cell to cell, the same every time.
fn varied(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn run(plan: &Arc<dyn Plan>, inputs: &[Tensor]) -> Result<Vec<Output>, InferError> {
    Arc::clone(plan).session()?.run(inputs).map(<[Output]>::to_vec)
}

/// Two 3 × 3 filters over three channels, padded to the same size, and a ReLU.
fn convolution(input: &[Dim], inside: &[Dim], output: &[Dim]) -> Onnx {
    let same = [Attribute::Ints("kernel_shape", vec![3, 3]), Attribute::Ints("pads", vec![1, 1, 1, 1])];
    Onnx::default()
        .input("picture", Kind::F32, input)
        .weights("filters", &[2, 3, 3, 3], &varied(54))
        .node("Conv", &["picture", "filters"], &["raw"], &same)
        .node("Relu", &["raw"], &["map"], &[])
        .stated("raw", Kind::F32, inside)
        .output("map", Kind::F32, output)
}

/// What `convolution` gives, reckoned here.
fn convolved(values: &[f32], height: usize, width: usize) -> Vec<f32> {
    let filters = varied(54);
    let at = |channel: usize, y: usize, x: usize| match (y.checked_sub(1), x.checked_sub(1)) {
        (Some(y), Some(x)) if y < height && x < width => values[(channel * height + y) * width + x],
        _ => 0.0,
    };
    let mut map = Vec::new();
    for filter in 0..2 {
        for y in 0..height {
            for x in 0..width {
                let mut sum = 0.0;
                for (channel, dy, dx) in (0..27).map(|tap| (tap / 9, tap / 3 % 3, tap % 3)) {
                    sum += at(channel, y + dy, x + dx) * filters[(filter * 3 + channel) * 9 + dy * 3 + dx];
                }
                map.push(sum.max(0.0));
            }
        }
    }
    map
}

fn assert_near(engine: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{engine}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{engine}: off by {worst}");
}

#[test]
fn a_convolution_gives_the_values_reckoned_by_hand() {
    let shape = fixed(&[1, 3, 6, 8]);
    let file = convolution(&shape, &fixed(&[1, 2, 6, 8]), &fixed(&[1, 2, 6, 8])).file(&[]);
    let values = varied(3 * 6 * 8);
    for engine in engines() {
        let plan = plan(&*engine, &file, &[]).unwrap();
        assert_eq!(plan.backend(), engine.name());
        assert_eq!(plan.inputs()[0].shape, [1, 3, 6, 8].map(Some));
        assert_eq!((plan.outputs()[0].name.as_str(), plan.outputs()[0].element), ("map", Element::F32));
        assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
        let mut session = Arc::clone(&plan).session().unwrap();
        for round in 0..3 {
            let scaled: Vec<f32> = values.iter().map(|value| value * round as f32).collect();
            let outputs = session.run(&[f32s(&[1, 3, 6, 8], scaled.clone())]).unwrap();
            assert_eq!((outputs[0].name.as_str(), &outputs[0].shape[..]), ("map", &[1, 2, 6, 8][..]));
            assert_near(engine.name(), &outputs[0].data, &convolved(&scaled, 6, 8));
        }
    }
}

#[test]
fn a_rectangle_runs_although_the_file_states_a_square_everywhere() {
    let file = convolution(&fixed(&[1, 3, 8, 8]), &fixed(&[1, 2, 8, 8]), &fixed(&[1, 2, 8, 8])).file(&[]);
    let values = varied(3 * 4 * 8);
    for engine in engines() {
        let plan = plan(&*engine, &file, &[("picture", &[1, 3, 4, 8])]).unwrap();
        assert_eq!(plan.outputs()[0].shape, [1, 2, 4, 8].map(Some), "{}", engine.name());
        let outputs = run(&plan, &[f32s(&[1, 3, 4, 8], values.clone())]).unwrap();
        assert_near(engine.name(), &outputs[0].data, &convolved(&values, 4, 8));
    }
}

#[test]
fn shapes_that_contradict_each_other_inside_the_file_do_not_stop_a_model() {
    let file = convolution(
        &fixed(&[1, 3, 6, 8]),
        &[Dim::Open("n"), Dim::Is(2), Dim::Is(7), Dim::Is(9)],
        &fixed(&[1, 2, 6, 8]),
    )
    .file(&[]);
    let values = varied(3 * 6 * 8);
    let engine = backend(BackendKind::Tract, None).unwrap();
    let plan = plan(&*engine, &file, &[]).unwrap();
    assert!(plan.warnings().iter().any(|warning| warning.contains("shapes stated")), "{:?}", plan.warnings());
    assert_near(
        "tract",
        &run(&plan, &[f32s(&[1, 3, 6, 8], values.clone())]).unwrap()[0].data,
        &convolved(&values, 6, 8),
    );
}

#[test]
fn an_open_batch_is_one_and_open_sides_are_what_the_plan_is_asked_for() {
    let open = [Dim::Open("batch"), Dim::Is(3), Dim::Open("height"), Dim::Open("width")];
    let out = [Dim::Open("batch"), Dim::Is(2), Dim::Open("height"), Dim::Open("width")];
    let file = convolution(&open, &out, &out).file(&[]);
    let values = varied(3 * 5 * 7);
    for engine in engines() {
        let plan_at = plan(&*engine, &file, &[("picture", &[1, 3, 5, 7])]).unwrap();
        assert_eq!(plan_at.outputs()[0].shape, [1, 2, 5, 7].map(Some), "{}", engine.name());
        let outputs = run(&plan_at, &[f32s(&[1, 3, 5, 7], values.clone())]).unwrap();
        assert_near(engine.name(), &outputs[0].data, &convolved(&values, 5, 7));
        let refused = plan(&*engine, &file, &[]).err().unwrap().to_string();
        assert!(refused.contains("\"picture\"") && refused.contains("axis 2"), "{refused}");
    }
}

#[test]
fn a_size_baked_into_the_graph_is_told_and_not_found_out_while_driving() {
    let file = convolution(&fixed(&[1, 3, 8, 8]), &fixed(&[1, 2, 8, 8]), &fixed(&[1, 2, 8, 8]))
        .numbers("shape", &[1, 2, 64])
        .node("Reshape", &["map", "shape"], &["rows"], &[])
        .output("rows", Kind::F32, &fixed(&[1, 2, 64]))
        .file(&[]);
    for engine in engines() {
        plan(&*engine, &file, &[]).unwrap();
        let refused = plan(&*engine, &file, &[("picture", &[1, 3, 4, 8])]).err().unwrap();
        assert!(matches!(refused, InferError::Refused { .. }), "{}: {refused}", engine.name());
        let told = refused.to_string();
        assert!(
            told.contains("baked in") && told.contains("[1, 3, 8, 8]") && told.contains("rectangle"),
            "{told}"
        );
    }
}

#[test]
fn inputs_of_every_type_and_outputs_of_every_type_come_through() {
    let inputs = [
        (Kind::F16, TensorData::F16(vec![half::f16::from_f32(1.5), half::f16::from_f32(-2.0)])),
        (Kind::U8, TensorData::U8(vec![200, 3])),
        (Kind::I32, TensorData::I32(vec![-7, 70_000])),
        (Kind::I64, TensorData::I64(vec![-9, 640])),
    ];
    let outputs = [Kind::F16, Kind::I32, Kind::I64, Kind::F64, Kind::Bool];
    for (kind, data) in inputs {
        let mut model = Onnx::default().input("x", kind, &fixed(&[1, 2])).node(
            "Cast",
            &["x"],
            &["y"],
            &[Attribute::Int("to", 1)],
        );
        model = model.output("y", Kind::F32, &fixed(&[1, 2]));
        let names = ["f16", "i32", "i64", "f64", "bool"];
        for (name, output) in names.iter().zip(outputs) {
            model = model.node("Cast", &["y"], &[name], &[Attribute::Int("to", output as u64)]);
            model = model.output(name, output, &fixed(&[1, 2]));
        }
        let file = model.file(&[]);
        let expected: Vec<f32> = match &data {
            TensorData::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
            TensorData::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
            TensorData::I32(values) => values.iter().map(|value| *value as f32).collect(),
            TensorData::I64(values) => values.iter().map(|value| *value as f32).collect(),
            TensorData::F32(values) => values.clone(),
        };
        for engine in engines() {
            let plan = plan(&*engine, &file, &[]).unwrap();
            let found = run(&plan, &[Tensor { shape: vec![1, 2], data: data.clone() }]).unwrap();
            let elements: Vec<Element> = plan.outputs().iter().map(|output| output.element).collect();
            use Element::{Bool, F16, F32, F64, I32, I64};
            assert_eq!(elements, [F32, F16, I32, I64, F64, Bool]);
            assert_eq!(found[0].data, expected, "{}", engine.name());
            assert_eq!(found[4].data, expected, "{} f64", engine.name());
            assert_eq!(found[5].data, [1.0, 1.0], "{} bool", engine.name());
            let truncated: Vec<f32> = expected.iter().map(|value| value.trunc()).collect();
            assert_eq!((&found[2].data, &found[3].data), (&truncated, &truncated), "{}", engine.name());
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let file = convolution(&fixed(&[1, 3, 6, 8]), &fixed(&[1, 2, 6, 8]), &fixed(&[1, 2, 6, 8])).file(&[]);
    for engine in engines() {
        let plan_fit = plan(&*engine, &file, &[]).unwrap();
        let wrong = [
            vec![f32s(&[3, 6, 8], varied(144))],
            vec![f32s(&[1, 3, 8, 6], varied(144))],
            vec![f32s(&[1, 3, 6, 8], varied(143))],
            vec![Tensor { shape: vec![1, 3, 6, 8], data: TensorData::U8(vec![0; 144]) }],
            vec![],
        ];
        for inputs in wrong {
            let refused = run(&plan_fit, &inputs).err().unwrap();
            assert!(matches!(&refused, InferError::Input { name, .. } if name == "picture"), "{refused}");
        }
        let rank = plan(&*engine, &file, &[("picture", &[3, 6, 8])]).err().unwrap().to_string();
        assert!(rank.contains("4 axes") && rank.contains("3 axes"), "{rank}");
        let name = plan(&*engine, &file, &[("images", &[1, 3, 6, 8])]).err().unwrap().to_string();
        assert!(name.contains("\"images\"") && name.contains("picture"), "{name}");
        // A refused run leaves the session usable.
        let mut session = plan_fit.session().unwrap();
        assert!(session.run(&[]).is_err());
        session.run(&[f32s(&[1, 3, 6, 8], varied(144))]).unwrap();
    }
}

#[test]
fn garbage_is_called_garbage() {
    let file = convolution(&fixed(&[1, 3, 6, 8]), &fixed(&[1, 2, 6, 8]), &fixed(&[1, 2, 6, 8])).file(&[]);
    let text = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec();
    let noise: Vec<u8> = (0..4096u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for engine in engines() {
        for bytes in [&[][..], &text, &noise, &file[..file.len() / 2], b"\x08\x08"] {
            let refused = plan(&*engine, bytes, &[]).err().unwrap();
            assert!(matches!(refused, InferError::NotOnnx { .. }), "{}: {refused}", engine.name());
            assert!(refused.to_string().contains("made.onnx"), "{refused}");
        }
        let lfs = plan(&*engine, &text, &[]).err().unwrap().to_string();
        assert!(lfs.contains("git lfs pull"), "{lfs}");
    }
}

#[test]
fn an_operator_nobody_knows_is_named() {
    let file = Onnx::default()
        .input("x", Kind::F32, &fixed(&[1, 2]))
        .node("WarpDrive", &["x"], &["y"], &[])
        .output("y", Kind::F32, &fixed(&[1, 2]))
        .file(&[]);
    for engine in engines() {
        let refused = plan(&*engine, &file, &[]).err().unwrap();
        assert!(matches!(refused, InferError::Refused { .. }));
        let told = refused.to_string();
        assert!(told.contains("WarpDrive") && told.contains("node_0") && told.contains("try"), "{told}");
    }
}

#[test]
fn sessions_of_one_plan_run_side_by_side() {
    let file = convolution(&fixed(&[1, 3, 6, 8]), &fixed(&[1, 2, 6, 8]), &fixed(&[1, 2, 6, 8])).file(&[]);
    for engine in engines() {
        let plan = plan(&*engine, &file, &[]).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let plan = Arc::clone(&plan);
                scope.spawn(move || {
                    let values: Vec<f32> =
                        varied(144).into_iter().map(|value| value * thread as f32).collect();
                    let mut session = plan.session().unwrap();
                    for _ in 0..50 {
                        let outputs = session.run(&[f32s(&[1, 3, 6, 8], values.clone())]).unwrap();
                        assert_near("side by side", &outputs[0].data, &convolved(&values, 6, 8));
                    }
                });
            }
        });
    }
}

#[test]
fn more_threads_change_no_value() {
    let file =
        convolution(&fixed(&[1, 3, 32, 32]), &fixed(&[1, 2, 32, 32]), &fixed(&[1, 2, 32, 32])).file(&[]);
    let values = varied(3 * 32 * 32);
    for engine in engines() {
        let options = PlanOptions { threads: 2, ..PlanOptions::default() };
        let plan = engine.plan(&ModelFile { path: Path::new("made.onnx"), bytes: &file }, &options).unwrap();
        // The built-in ones run on one thread and say so.
        assert_eq!(plan.warnings().len(), usize::from(engine.name() != "ort"), "{:?}", plan.warnings());
        let outputs = run(&plan, &[f32s(&[1, 3, 32, 32], values.clone())]).unwrap();
        assert_near(engine.name(), &outputs[0].data, &convolved(&values, 32, 32));
    }
}

#[test]
fn weights_beside_the_file_are_read_and_missing_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let add = |file: &str| {
        Onnx::default()
            .input("x", Kind::F32, &fixed(&[1, 3]))
            .weights_in("w", &[1, 3], file)
            .node("Add", &["x", "w"], &["y"], &[])
            .output("y", Kind::F32, &fixed(&[1, 3]))
            .file(&[])
    };
    let raw: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.path().join("weights.bin"), raw).unwrap();
    for engine in engines() {
        let plan = plan_in(&*engine, folder.path(), &add("weights.bin"), &[]).unwrap();
        assert_eq!(run(&plan, &[f32s(&[1, 3], vec![10.0; 3])]).unwrap()[0].data, [11.0, 12.0, 13.0]);
        let missing = plan_in(&*engine, folder.path(), &add("gone.bin"), &[]).err().unwrap().to_string();
        assert!(missing.contains("gone.bin"), "{missing}");
        let outside = plan_in(&*engine, folder.path(), &add("../../etc/passwd"), &[]);
        assert!(outside.is_err(), "{}: weights outside the model's folder were read", engine.name());
    }
}

#[test]
fn a_library_that_is_not_there_is_named() {
    if !cfg!(feature = "ort") {
        return;
    }
    let missing =
        backend(BackendKind::Ort, Some(Path::new("/nowhere/libonnxruntime.so"))).err().unwrap().to_string();
    assert!(missing.contains("/nowhere/libonnxruntime.so"), "{missing}");
    let none = backend(BackendKind::Ort, None).err().unwrap().to_string();
    assert!(none.contains("--ort-library"), "{none}");
}

#[test]
fn execution_providers_are_asked_for_by_name() {
    let file = convolution(&fixed(&[1, 3, 6, 8]), &fixed(&[1, 2, 6, 8]), &fixed(&[1, 2, 6, 8])).file(&[]);
    for engine in engines() {
        let with = |provider: &str| {
            let options = PlanOptions { providers: vec![provider.into()], ..PlanOptions::default() };
            engine.plan(&ModelFile { path: Path::new("made.onnx"), bytes: &file }, &options)
        };
        let unknown = with("Abacus").err().unwrap().to_string();
        assert!(unknown.contains("Abacus"), "{unknown}");
        if engine.name() == "ort" {
            with("CPUExecutionProvider").unwrap();
        }
    }
}
