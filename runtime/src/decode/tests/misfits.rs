//! Models that do not fit their manifest: the message names the tensor, both shapes and what to change.

use super::*;

fn refused(manifest: &Manifest, specs: &[TensorSpec]) -> String {
    match decoder(manifest, specs) {
        Ok(_) => panic!("taken: {specs:?}"),
        Err(error @ DecodeError::Shape { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn labels_shorter_than_classes_are_refused_with_both_numbers() {
    let says_labels = |decoder: &str, shape: &[usize], wanted: &[&str]| {
        let message = refused(&detector(decoder, 3, ""), &[spec("output", shape)]);
        says(&message, &["\"output\""]);
        says(&message, wanted);
    };
    says_labels("yolox", &[1, 42, 85], &["[1, n, 8]", "[1, 42, 85]", "3 labels", "80 classes"]);
    says_labels("yolov5", &[1, 42, 85], &["[1, n, 8]", "[1, 42, 85]", "3 labels", "80 classes"]);
    says_labels("yolov8", &[1, 84, 8400], &["[1, 7, n]", "[1, 84, 8400]", "3 labels", "80 classes"]);
    says_labels("fastestdet", &[1, 85, 2, 4], &["[1, 8, h, w]", "[1, 85, 2, 4]", "3 labels", "80 classes"]);
    says_labels("detr", &[1, 300, 84], &["[1, 300, 84]", "3 labels", "80 classes"]);
    says_labels("nanodet", &[1, 42, 112], &["[1, 42, 112]", "3 labels"]);
}

#[test]
fn labels_shorter_than_classes_are_refused_with_several_outputs() {
    let boxes = spec("boxes", &[1, 100, 4]);
    let message = refused(&detector("ssd", 3, ""), &[boxes.clone(), spec("scores", &[1, 100, 21])]);
    says(&message, &["\"scores\"", "[1, 100, 21]", "3 labels", "21 classes"]);
    let message =
        refused(&detector("detr", 3, ""), &[spec("logits", &[1, 100, 92]), spec("pred_boxes", &[1, 100, 4])]);
    says(&message, &["\"logits\"", "[1, 100, 92]", "3 labels"]);
    let heads = [spec("a", &[1, 32, 80]), spec("b", &[1, 32, 32])];
    says(&refused(&detector("nanodet", 79, ""), &heads), &["79", "[1, 32, 80]"]);
    let heads = [spec("a", &[1, 3, 4, 8, 85]), spec("b", &[1, 3, 2, 4, 85]), spec("c", &[1, 3, 1, 2, 85])];
    says(
        &refused(&detector("yolov5", 3, ""), &heads),
        &["\"a\"", "[1, 3, h, w, 8]", "3 labels", "80 classes"],
    );
}

#[test]
fn a_class_number_without_a_label_is_refused_when_it_is_met() {
    let manifest = detector("yolo-end2end", 2, "");
    let row = vec![1.0, 1.0, 9.0, 9.0, 0.9, 7.0];
    let error = decode(&manifest, &[output("output0", &[1, 1, 6], row)]).unwrap_err();
    says(&error.to_string(), &["\"output0\"", "0 to 1", "found 7", "one label per class"]);
}

#[test]
fn too_few_labels_for_a_classifier_are_refused() {
    let manifest = manifest("classify", "classifier", 3, "", "");
    says(&refused(&manifest, &[spec("probabilities", &[1, 1000])]), &["[1, 3]", "[1, 1000]", "1000 classes"]);
}

#[test]
fn another_number_of_keypoints_is_refused() {
    let names = "keypoints = [\"a\", \"b\"]";
    let model = manifest("keypoints", "movenet", 1, names, "");
    says(
        &refused(&model, &[spec("output_0", &[1, 1, 17, 3])]),
        &["[1, 1, 2, 3]", "[1, 1, 17, 3]", "names 2"],
    );
    let model = manifest("keypoints", "heatmap", 1, names, "");
    says(&refused(&model, &[spec("maps", &[1, 14, 8, 8])]), &["[1, 2, h, w]", "[1, 14, 8, 8]", "names 2"]);
    let model = manifest("pose", "yolo-pose", 1, names, "");
    says(
        &refused(&model, &[spec("output0", &[1, 56, 8400])]),
        &["[1, 11 or 9, n]", "[1, 56, 8400]", "keypoints (2 now)"],
    );
}

#[test]
fn a_number_of_cells_that_the_strides_do_not_give_is_refused() {
    let message = refused(&detector("yolox", 80, ""), &[spec("output", &[1, 3549, 85])]);
    says(&message, &["42 rows", "[8, 16, 32]", "64×32", "3549 rows", "decode.strides"]);
}

#[test]
fn an_output_name_that_the_model_lacks_is_refused_with_those_it_has() {
    let manifest = detector("yolov8", 2, "outputs = { output = \"detections\" }");
    let message = refused(&manifest, &[spec("output0", &[1, 6, 9])]);
    says(&message, &["\"detections\"", "\"output0\" [1, 6, 9]", "decode.outputs.output"]);
}

#[test]
fn a_name_that_the_model_lacks_is_refused_for_every_part() {
    let specs = [spec("labels", &[1, 9]), spec("boxes", &[1, 9, 4]), spec("scores", &[1, 9])];
    for part in ["boxes", "scores", "classes", "count"] {
        let message = refused(&detector("ssd", 2, &format!("outputs = {{ {part} = \"other\" }}")), &specs);
        says(&message, &["\"other\"", &format!("decode.outputs.{part}")]);
    }
    let message =
        refused(&detector("nanodet", 2, "outputs = { output = \"other\" }"), &[spec("o", &[1, 43, 18])]);
    says(&message, &["\"other\"", "decode.outputs.output"]);
}

#[test]
fn several_outputs_of_the_same_shape_ask_for_a_name() {
    let specs = [spec("a", &[1, 6, 9]), spec("b", &[1, 6, 9])];
    says(&refused(&detector("yolov8", 2, ""), &specs), &["several", "decode.outputs.output"]);
    assert!(decoder(&detector("yolov8", 2, "outputs = { output = \"b\" }"), &specs).is_ok());
}

#[test]
fn boxes_in_source_pixels_want_a_stretched_picture() {
    let mut manifest = detector("detr", 2, "");
    manifest.input.resize.mode = stopline_depot::manifest::ResizeMode::Letterbox;
    let specs = [spec("labels", &[1, 9]), spec("boxes", &[1, 9, 4]), spec("scores", &[1, 9])];
    says(&refused(&manifest, &specs), &["Letterbox", "decode.box_range"]);
}

#[test]
fn pixels_where_zero_to_one_is_expected_are_refused_when_they_are_met() {
    let manifest = detector("ssd", 1, "");
    let boxes = output("boxes", &[1, 1, 4], vec![3.0, 4.0, 40.0, 20.0]);
    let error = decode(&manifest, &[boxes, output("scores", &[1, 1, 2], vec![0.1, 0.9])]).unwrap_err();
    says(&error.to_string(), &["\"boxes\"", "from 0 to 1", "found 40", "decode.box_range"]);
}

#[test]
fn no_output_at_all_is_refused_by_every_family() {
    for manifest in arbitrary::manifests() {
        says(&refused(&manifest, &[]), &["check decoder"]);
    }
}

#[test]
fn a_plan_whose_axes_are_not_known_yet_is_taken_and_checked_in_the_run() {
    let manifest = detector("yolov8", 2, "");
    let unknown = TensorSpec { name: "output0".into(), element: Element::F32, shape: vec![None; 3] };
    let mut decoder = decoder(&manifest, &[unknown]).unwrap();
    let wrong = output("output0", &[1, 7, 9], vec![0.0; 63]);
    let error = decoder.decode(&[wrong], &geometry(&manifest), &mut Vec::new()).unwrap_err();
    says(&error.to_string(), &["[1, 6, n]", "[1, 7, 9]"]);
}
