//! Decoders on arbitrary tensors: never a panic, and whatever is found is finite and inside the picture.

use super::*;

/// One manifest of each family and reading.
pub(super) fn manifests() -> Vec<Manifest> {
    let names = "keypoints = [\"a\", \"b\"]";
    let mut all: Vec<Manifest> =
        ["yolox", "yolov5", "yolov8", "yolo-end2end", "nanodet", "fastestdet", "ssd", "detr"]
            .into_iter()
            .map(|decoder| detector(decoder, 2, ""))
            .collect();
    all.push(manifest("pose", "yolo-pose", 1, names, ""));
    all.push(manifest("keypoints", "movenet", 1, names, ""));
    all.push(manifest("keypoints", "heatmap", 1, names, ""));
    all.push(manifest("classify", "classifier", 2, "", "scores = \"sigmoid\""));
    all
}

/// A manifest and shapes that fit it: every reading of every family.
fn readings() -> Vec<(Manifest, Vec<TensorSpec>)> {
    let posed = |decoder: &str, task: &str, shape: &[usize]| {
        (manifest(task, decoder, 1, "keypoints = [\"a\", \"b\"]", ""), vec![spec("output", shape)])
    };
    let of = |decoder: &str, decode: &str, specs: &[(&str, &[usize])]| {
        (
            detector(decoder, 2, decode),
            specs.iter().map(|(name, shape)| spec(name, shape)).collect::<Vec<_>>(),
        )
    };
    vec![
        of("yolox", "strides = [16, 32]", &[("output", &[1, 10, 7])]),
        of("yolox", "box_range = \"unit\"", &[("output", &[1, 10, 7])]),
        of("yolov5", "scores = \"sigmoid\"", &[("output", &[1, 10, 7])]),
        of("yolov5", "", &[("a", &[1, 3, 4, 8, 7]), ("b", &[1, 21, 2, 4]), ("c", &[1, 3, 1, 2, 7])]),
        of("yolov8", "scores = \"sigmoid\"", &[("output", &[1, 6, 10])]),
        of("yolo-end2end", "", &[("output", &[1, 10, 6])]),
        of("yolo-end2end", "", &[("output", &[10, 7])]),
        of(
            "nanodet",
            "strides = [16, 32]",
            &[("a", &[1, 8, 2]), ("b", &[1, 2, 1, 2]), ("c", &[1, 16, 2, 4]), ("d", &[1, 2, 16])],
        ),
        of("nanodet", "strides = [16, 32]\nscores = \"sigmoid\"", &[("output", &[1, 10, 18])]),
        of("nanodet", "", &[("output", &[10, 6]), ("count", &[1])]),
        of("fastestdet", "", &[("output", &[1, 7, 2, 4])]),
        of("ssd", "", &[("boxes", &[1, 10, 4]), ("scores", &[1, 10]), ("classes", &[1, 10]), ("num", &[1])]),
        of("ssd", "", &[("dets", &[1, 10, 5]), ("labels", &[1, 10])]),
        of("ssd", "", &[("output", &[1, 1, 10, 7])]),
        of("ssd", "scores = \"softmax\"", &[("boxes", &[1, 10, 4]), ("scores", &[1, 10, 3])]),
        of("detr", "", &[("logits", &[1, 10, 3]), ("boxes", &[1, 10, 4])]),
        of("detr", "", &[("logits", &[1, 10, 2]), ("boxes", &[1, 10, 4])]),
        of("detr", "", &[("labels", &[1, 10]), ("boxes", &[1, 10, 4]), ("scores", &[1, 10])]),
        of("detr", "", &[("output", &[1, 10, 6])]),
        posed("yolo-pose", "pose", &[1, 11, 10]),
        posed("yolo-pose", "pose", &[1, 10, 12]),
        posed("movenet", "keypoints", &[1, 1, 2, 3]),
        posed("movenet", "keypoints", &[1, 10, 11]),
        posed("heatmap", "keypoints", &[1, 2, 4, 4]),
        posed("heatmap", "keypoints", &[1, 4, 4, 3]),
        (manifest("classify", "classifier", 2, "", "scores = \"softmax\""), vec![spec("output", &[1, 2])]),
    ]
}

#[test]
fn every_reading_is_taken() {
    for (manifest, specs) in readings() {
        if let Err(error) = decoder(&manifest, &specs) {
            panic!("{:?} {specs:?}: {error}", manifest.decoder);
        }
    }
}

/// Any bits, and numbers in the ranges where something is found.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => 0.0f32..1.0,
        4 => -8.0f32..8.0,
        2 => -80.0f32..80.0,
        1 => prop::sample::select(vec![0.0, -0.0, 1e38, -1e38, 3.4e38, 1e-40, 2.0]),
    ]
}

fn geometries() -> impl Strategy<Value = Geometry> {
    (1u32..5000, 1u32..5000, -600i32..600, -600i32..600, 1i32..900, 1i32..900, any::<bool>()).prop_map(
        |(w, h, x, y, rw, rh, crop)| {
            let manifest = detector("yolov8", 2, "");
            match crop {
                true => Geometry::region([w, h], [64, 32], [x, y, rw, rh]),
                false => Geometry::fit([w, h], [64, 32], &manifest.input.resize),
            }
        },
    )
}

fn check(found: &[Detection], manifest: &Manifest, geometry: &Geometry) -> Result<(), TestCaseError> {
    let [w, h] = geometry.source.map(|side| side as f32);
    for detection in found {
        let [x1, y1, x2, y2] = detection.bbox;
        prop_assert!(detection.class < manifest.labels.len());
        prop_assert!((0.0..=1.0).contains(&detection.score), "{detection:?}");
        prop_assert!(0.0 <= x1 && x1 <= x2 && x2 <= w && 0.0 <= y1 && y1 <= y2 && y2 <= h, "{detection:?}");
        prop_assert_eq!(detection.keypoints.len(), manifest.keypoints.len());
        for point in &detection.keypoints {
            prop_assert!(point.x.is_finite() && point.y.is_finite() && (0.0..=1.0).contains(&point.score));
        }
    }
    prop_assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    Ok(())
}

/// The outputs of `specs`, filled from `values` over and over.
fn filled(specs: &[TensorSpec], values: &[f32]) -> Vec<Output> {
    let mut values = values.iter().copied().cycle();
    let fill = |spec: &TensorSpec| {
        let shape: Vec<usize> = spec.shape.iter().map(|axis| axis.unwrap()).collect();
        let data = values.by_ref().take(shape.iter().product()).collect();
        output(&spec.name, &shape, data)
    };
    specs.iter().map(fill).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_finite_and_inside_the_picture(
        values in prop::collection::vec(value(), 210),
        geometry in geometries(),
    ) {
        for (manifest, specs) in readings() {
            let mut decoder = decoder(&manifest, &specs).unwrap();
            let mut found = Vec::new();
            match decoder.decode(&filled(&specs, &values), &geometry, &mut found) {
                Ok(()) => check(&found, &manifest, &geometry)?,
                Err(_) => prop_assert!(found.is_empty()),
            }
        }
    }

    #[test]
    fn one_value_that_is_no_number_makes_every_frame_invalid(
        values in prop::collection::vec(0.0f32..1.0, 210),
        (at, bad) in (0usize..10_000, prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY])),
    ) {
        for (manifest, specs) in readings() {
            let mut outputs = filled(&specs, &values);
            // A count of 0 hides every row; one of 10 none.
            for count in outputs.iter_mut().filter(|output| output.data.len() == 1) {
                count.data[0] = 10.0;
            }
            let reached = at % outputs.len();
            let length = outputs[reached].data.len();
            outputs[reached].data[at % length] = bad;
            let mut found = Vec::new();
            let result = decoder(&manifest, &specs).unwrap().decode(&outputs, &geometry(&manifest), &mut found);
            prop_assert!(matches!(result, Err(DecodeError::NotFinite { .. })), "{:?} {:?}", manifest.decoder, result);
            prop_assert!(found.is_empty());
        }
    }

    #[test]
    fn tensors_of_any_shape_are_read_or_refused(
        shapes in prop::collection::vec((prop::collection::vec(0usize..14, 0..6), any::<bool>()), 0..5),
        known in any::<bool>(),
        values in prop::collection::vec(value(), 1..200),
        short in any::<bool>(),
    ) {
        let names = ["boxes", "scores", "labels", "num", "logits"];
        let specs: Vec<TensorSpec> = shapes.iter().zip(names).map(|((shape, named), name)| {
            let mut spec = spec(if *named { name } else { "x" }, shape);
            if !known {
                spec.shape.iter_mut().for_each(|axis| *axis = None);
            }
            spec
        }).collect();
        let outputs: Vec<Output> = shapes.iter().zip(&specs).map(|((shape, _), spec)| {
            let size = shape.iter().product::<usize>().saturating_sub(usize::from(short));
            output(&spec.name, shape, values.iter().copied().cycle().take(size).collect())
        }).collect();
        for manifest in manifests() {
            let Ok(mut decoder) = decoder(&manifest, &specs) else { continue };
            let mut found = Vec::new();
            let geometry = geometry(&manifest);
            if decoder.decode(&outputs, &geometry, &mut found).is_ok() {
                check(&found, &manifest, &geometry)?;
            }
        }
    }
}
