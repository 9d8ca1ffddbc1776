//! `stopline detect` on real pictures: its JSON beside the oracle's, its drawings, single frames, top-down boxes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use stopline_tests::{field_data, fixtures, stopline};

/// Runs `stopline detect` on `inputs` with model `name`, in the folder of the field pictures.
fn detect(data: &Path, name: &str, inputs: &[&str]) -> Output {
    Command::new(stopline())
        .current_dir(data.join("media"))
        .arg("detect")
        .args(["--model", data.join(format!("models/{name}.onnx")).to_str().expect("UTF-8")])
        .args(["--manifest", fixtures().join(format!("manifests/{name}.toml")).to_str().expect("UTF-8")])
        .args(inputs)
        .output()
        .expect("stopline starts")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on stdout")
}

fn oracle(data: &Path, name: &str) -> Value {
    let text = std::fs::read(data.join(format!("oracle/{name}.json"))).expect("the oracle's file");
    serde_json::from_slice(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

#[test]
fn pictures_and_a_clips_frame_give_the_oracles_detections_under_the_names_given() {
    let Some(data) = field_data() else { return };
    let names = ["stop-sign/coco_000000000724.jpg", "drive/synthetic_stop_approach.mp4#frame=149"];
    let found = json(&detect(&data, "yolox_nano_416", &["--json", names[0], names[1]]));
    assert_eq!(found["model"], "yolox_nano_416.onnx");
    let oracle = oracle(&data, "yolox_nano_416");
    for name in names {
        let expected = oracle["images"][name].as_array().expect("the oracle has it");
        let found = found["images"][name].as_array().expect("under its name");
        let best = (&found[0], &expected[0]);
        assert_eq!((&best.0["label"], &best.0["class"]), (&best.1["label"], &best.1["class"]), "{name}");
        let score = |of: &Value| of["score"].as_f64().expect("a score");
        assert!((score(best.0) - score(best.1)).abs() < 0.02, "{name}: {found:?}");
        for (a, b) in numbers(&best.0["box"]).iter().zip(numbers(&best.1["box"])) {
            assert!((a - b).abs() < 2.0, "{name}: {found:?}");
        }
        let keys: Vec<_> = found[0].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["label", "class", "score", "box"]);
    }
}

#[test]
fn one_missing_picture_among_others_is_told_and_the_others_are_done() {
    let Some(data) = field_data() else { return };
    let output =
        detect(&data, "yolox_nano_416", &["--json", "missing.jpg", "stop-sign/coco_000000000724.jpg"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("missing.jpg: cannot open") && told.contains("1 picture could not be read"),
        "{told}"
    );
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["images"].as_object().expect("an object").len(), 1);
}

#[test]
fn a_whole_clip_is_sent_to_replay() {
    let Some(data) = field_data() else { return };
    let output = detect(&data, "yolox_nano_416", &["drive/synthetic_stop_approach.mp4"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("stopline replay") && told.contains("#frame=N"), "{told}");
}

#[test]
fn a_drawing_is_a_picture_of_the_same_size_that_differs_where_the_box_is() {
    let Some(data) = field_data() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let name = "stop-sign/coco_000000000724.jpg";
    let to = folder.path().to_str().expect("UTF-8");
    assert!(detect(&data, "yolox_nano_416", &[name, "--draw", to]).status.success());
    let open = |path: &Path| image::open(path).expect("a picture").to_rgb8();
    let (drawn, plain) =
        (open(&folder.path().join("coco_000000000724.jpg")), open(&data.join("media").join(name)));
    assert_eq!(drawn.dimensions(), plain.dimensions());
    let differs =
        |x, y| drawn.get_pixel(x, y).0.iter().zip(plain.get_pixel(x, y).0).any(|(a, b)| a.abs_diff(b) > 40);
    assert!((100..200).filter(|&y| differs(121, y)).count() > 80, "the box's left side");
    assert!(!differs(20, 400), "far from the box nothing is drawn");
}

#[test]
fn a_top_down_pose_model_looks_where_the_boxes_are() {
    let Some(data) = field_data() else { return };
    let boxes = data.join("oracle/pose_cpm_192.json");
    let name = "pedestrian/humans_2.jpg";
    let arguments = ["--json", name, "--boxes", boxes.to_str().expect("UTF-8")];
    let found = json(&detect(&data, "pose_cpm_192", &arguments));
    let oracle = oracle(&data, "pose_cpm_192");
    let expected = oracle["images"][name].as_array().expect("the oracle has it");
    let found = found["images"][name].as_array().expect("under its name");
    assert_eq!(found.len(), expected.len());
    for entry in expected {
        let same = found.iter().find(|found| found["crop"] == entry["crop"]).expect("the same crop");
        for (a, b) in same["keypoints"]
            .as_array()
            .expect("points")
            .iter()
            .zip(entry["keypoints"].as_array().expect("points"))
        {
            assert_eq!(a["name"], b["name"]);
            if b["score"].as_f64() > Some(0.5) {
                let apart = |axis: &str| (a[axis].as_f64().expect("x") - b[axis].as_f64().expect("x")).abs();
                assert!(apart("x") < 8.0 && apart("y") < 8.0, "{a} {b}");
            }
        }
    }
    let refused = detect(&data, "yolox_nano_416", &arguments);
    assert_eq!(refused.status.code(), Some(2), "a model that sees whole pictures takes no boxes");
}
