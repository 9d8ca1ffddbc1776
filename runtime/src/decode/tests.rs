use super::*;
use crate::infer::Element;
use proptest::prelude::*;

mod arbitrary;
mod misfits;

/// A manifest of `decoder` with `labels` labels, a 64×32 input and `keys` as further TOML: top-level ones before
/// `[decode]`, and `[decode]` itself.
fn manifest(task: &str, decoder: &str, labels: usize, keys: &str, decode: &str) -> Manifest {
    let labels: Vec<String> = (0..labels).map(|at| format!("\"c{at}\"")).collect();
    let text = format!(
        "schema = 1\nname = \"m\"\nversion = \"1.0.0\"\ntask = \"{task}\"\ndecoder = \"{decoder}\"\nlabels = [{}]\n{keys}\n\
         [input]\nwidth = 64\nheight = 32\ncolour = \"rgb\"\nresize = {{ mode = \"stretch\" }}\n\
         [decode]\n{decode}\n[thresholds]\nscore = 0.3\n",
        labels.join(", ")
    );
    Manifest::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn detector(decoder: &str, labels: usize, decode: &str) -> Manifest {
    manifest("detect", decoder, labels, "", decode)
}

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.into(), element: Element::F32, shape: shape.iter().copied().map(Some).collect() }
}

fn output(name: &str, shape: &[usize], data: Vec<f32>) -> Output {
    Output { name: name.into(), shape: shape.to_vec(), data }
}

/// A 640×320 picture on the 64×32 input.
fn geometry(manifest: &Manifest) -> Geometry {
    Geometry::fit([640, 320], [64, 32], &manifest.input.resize)
}

fn decode(manifest: &Manifest, outputs: &[Output]) -> Result<Vec<Detection>, DecodeError> {
    let specs: Vec<TensorSpec> = outputs.iter().map(|output| spec(&output.name, &output.shape)).collect();
    let mut found = Vec::new();
    decoder(manifest, &specs)?.decode(outputs, &geometry(manifest), &mut found)?;
    Ok(found)
}

/// One row of YOLOv8 with two classes.
fn row(bbox: [f32; 4], scores: [f32; 2]) -> Output {
    output("output0", &[1, 6, 1], bbox.into_iter().chain(scores).collect())
}

#[test]
fn a_box_is_mapped_to_the_source_and_clipped() {
    let manifest = detector("yolov8", 2, "");
    let found = decode(&manifest, &[row([60.0, 16.0, 20.0, 10.0], [0.1, 0.9])]).unwrap();
    let wanted =
        Detection { class: 1, score: 0.9, bbox: [500.0, 110.0, 640.0, 210.0], keypoints: Vec::new() };
    assert_eq!(found, [wanted]);
}

#[test]
fn a_box_beside_the_picture_or_without_area_is_no_detection() {
    let manifest = detector("yolov8", 2, "");
    for bbox in [[100.0, 16.0, 20.0, 10.0], [30.0, 16.0, 0.0, 10.0], [30.0, 16.0, -4.0, 10.0]] {
        assert_eq!(decode(&manifest, &[row(bbox, [0.1, 0.9])]).unwrap(), []);
    }
}

#[test]
fn a_nan_or_infinity_anywhere_makes_the_frame_invalid_and_adds_nothing() {
    let manifest = detector("yolov8", 2, "");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..6 {
            let mut bad = row([30.0, 16.0, 8.0, 8.0], [0.1, 0.9]);
            bad.data[at] = value;
            let error = decode(&manifest, &[bad]).unwrap_err();
            let DecodeError::NotFinite { tensor, at: found, .. } = error else { panic!("{error}") };
            assert_eq!((tensor.as_str(), found), ("output0", at));
        }
    }
}

#[test]
fn a_box_that_becomes_infinite_makes_the_frame_invalid() {
    let manifest = detector("yolox", 1, "strides = [32]");
    // log(w) of 500 is finite, e^500 is not.
    let cell = vec![0.5, 0.5, 500.0, 0.0, 0.9, 0.9];
    let values = [cell.clone(), cell].concat();
    let error = decode(&manifest, &[output("output", &[1, 2, 6], values)]).unwrap_err();
    assert!(matches!(error, DecodeError::NotFinite { .. }), "{error}");
}

#[test]
fn logits_taken_for_probabilities_are_refused_with_advice() {
    let error = decode(&detector("yolov8", 2, ""), &[row([30.0, 16.0, 8.0, 8.0], [-3.0, 4.5])]).unwrap_err();
    assert!(matches!(error, DecodeError::Range { value: 4.5, at: 5, .. }), "{error}");
    assert!(error.to_string().contains("decode.scores"), "{error}");

    let manifest = manifest("classify", "classifier", 3, "", "");
    let error = decode(&manifest, &[output("logits", &[1, 3], vec![0.6, -0.7, 0.2])]).unwrap_err();
    assert!(error.to_string().contains("decode.scores"), "{error}");
}

#[test]
fn a_rounding_above_one_is_one() {
    let found = decode(&detector("yolov8", 2, ""), &[row([30.0, 16.0, 8.0, 8.0], [0.1, 1.004])]).unwrap();
    assert_eq!(found[0].score, 1.0);
}

#[test]
fn single_classes_may_have_limits_of_their_own() {
    let mut manifest = detector("yolov8", 2, "");
    let outputs = [row([30.0, 16.0, 8.0, 8.0], [0.1, 0.5])];
    assert_eq!(decode(&manifest, &outputs).unwrap().len(), 1);
    manifest.thresholds.per_class.insert("c1".into(), 0.6);
    assert_eq!(decode(&manifest, &outputs).unwrap().len(), 0);
    manifest.thresholds.per_class.insert("c1".into(), 0.5);
    assert_eq!(decode(&manifest, &outputs).unwrap().len(), 1, "a score at the limit counts");
}

#[test]
fn the_grid_follows_the_input_of_the_run() {
    let mut manifest = detector("yolox", 1, "strides = [16]");
    manifest.input.rectangle = true;
    let mut decoder = decoder(&manifest, &[spec("output", &[1, 6, 6])]).unwrap();
    let geometry = Geometry::fit([48, 32], [48, 32], &manifest.input.resize);
    let mut values = vec![0.0; 36];
    values[4 * 6..5 * 6].copy_from_slice(&[0.5, 0.5, 0.0, 0.0, 0.9, 0.9]);
    let mut found = Vec::new();
    decoder.decode(&[output("output", &[1, 6, 6], values)], &geometry, &mut found).unwrap();
    assert_eq!(found[0].bbox, [16.0, 16.0, 32.0, 32.0], "cell 4 of 3×2 lies in the second row");
}

#[test]
fn a_class_number_of_padding_or_background_is_no_detection() {
    let manifest = detector("yolo-end2end", 2, "");
    let rows = vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 9.0, 9.0, 0.9, -1.0];
    assert_eq!(decode(&manifest, &[output("output0", &[1, 2, 6], rows)]).unwrap(), []);
}

#[test]
fn a_keypoint_of_a_crop_may_lie_outside_the_picture() {
    let manifest = manifest("keypoints", "movenet", 1, "keypoints = [\"nose\"]", "");
    let mut decoder = decoder(&manifest, &[spec("output_0", &[1, 1, 1, 3])]).unwrap();
    let geometry = Geometry::region([100, 100], [64, 32], [-50, -20, 100, 40]);
    let mut found = Vec::new();
    decoder
        .decode(&[output("output_0", &[1, 1, 1, 3], vec![0.25, 0.1, 0.8])], &geometry, &mut found)
        .unwrap();
    let point = found[0].keypoints[0];
    assert!((point.x + 40.0).abs() < 1e-3 && (point.y + 10.0).abs() < 1e-3, "{point:?}");
    assert_eq!(
        found[0].bbox,
        [0.0, 0.0, 50.0, 20.0],
        "one keypoint spans no box: what was looked at, within the picture"
    );
}

#[test]
fn an_unsure_posture_is_no_detection() {
    let manifest = manifest("keypoints", "movenet", 1, "keypoints = [\"nose\"]", "");
    let found = decode(&manifest, &[output("output_0", &[1, 1, 1, 3], vec![0.25, 0.1, 0.2])]).unwrap();
    assert_eq!(found, []);
}
