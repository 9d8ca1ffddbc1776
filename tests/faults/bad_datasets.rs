//! Datasets and files of detections that are not what they should be: `stopline eval` says what, where and what to do.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use stopline_tests::stopline;

/// "A picture, recording or dataset cannot be read."
const INPUT: i32 = 3;
/// "The command line is wrong."
const USAGE: i32 = 2;
/// "A result cannot be written."
const OUTPUT: i32 = 6;

fn labels() -> Value {
    json!({
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 40], "area": 800, "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [10, 10, 20, 40], "area": 800, "iscrowd": 0},
        ],
    })
}

fn results() -> Value {
    json!([{"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 40], "score": 0.9}])
}

fn eval(labels: &str, detections: &str, rest: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, found) = (folder.path().join("labels.json"), folder.path().join("found.json"));
    std::fs::write(&dataset, labels).unwrap();
    std::fs::write(&found, detections).unwrap();
    Command::new(stopline())
        .arg("eval")
        .arg(dataset)
        .arg("--detections")
        .arg(found)
        .args(rest)
        .output()
        .unwrap()
}

#[track_caller]
fn refused(done: &Output, exit: i32, says: &[&str]) {
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(exit), "{told}");
    for part in says {
        assert!(told.contains(part), "{part:?} is not in: {told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn annotations_that_are_no_json_are_refused_with_line_and_column() {
    refused(
        &eval("{\"images\": [", "[]", &[]),
        INPUT,
        &["labels.json", "line 1 column", "COCO instances file"],
    );
    refused(&eval("", "[]", &[]), INPUT, &["labels.json", "COCO instances file"]);
    refused(&eval("\u{0}\u{1}", "[]", &[]), INPUT, &["labels.json"]);
}

#[test]
fn a_malformed_annotation_is_named_with_its_place_and_what_was_found() {
    let mut labels = labels();
    labels["annotations"][1]["bbox"] = json!([1, 2, "x", 4]);
    refused(
        &eval(&labels.to_string(), "[]", &[]),
        INPUT,
        &["labels.json", "element 1", "string \"x\"", "line 1"],
    );
    labels["annotations"][1].as_object_mut().unwrap().remove("bbox");
    refused(&eval(&labels.to_string(), "[]", &[]), INPUT, &["element 1", "missing field `bbox`"]);
}

#[test]
fn deeply_nested_annotations_end_with_an_error_and_not_a_crash() {
    let deep = "[".repeat(200_000);
    refused(&eval(&format!("{{\"images\": {deep}"), "[]", &[]), INPUT, &["labels.json"]);
    refused(&eval(&labels().to_string(), &deep, &[]), INPUT, &["found.json"]);
}

#[test]
fn an_annotation_id_twice_is_refused() {
    let mut labels = labels();
    labels["annotations"][1]["id"] = json!(1);
    refused(
        &eval(&labels.to_string(), "[]", &[]),
        INPUT,
        &["annotations: element 1", "id 1, which element 0 has"],
    );
}

#[test]
fn a_dataset_that_is_not_there_is_told_with_its_name() {
    let done = Command::new(stopline())
        .args(["eval", "/nowhere/labels.json", "--detections", "x.json"])
        .output()
        .unwrap();
    refused(&done, INPUT, &["/nowhere/labels.json", "No such file"]);
    let done = Command::new(stopline()).args(["eval", "/", "--detections", "x.json"]).output().unwrap();
    refused(&done, INPUT, &["is a directory"]);
}

#[test]
fn neither_a_model_nor_detections_is_a_wrong_command_line() {
    let done = Command::new(stopline()).args(["eval", "labels.json"]).output().unwrap();
    refused(&done, USAGE, &["--model"]);
    let done = eval(&labels().to_string(), "[]", &["--map", "person"]);
    refused(&done, USAGE, &["label=category"]);
    let done = eval(&labels().to_string(), "[]", &["--score", "7"]);
    refused(&done, USAGE, &["from 0 to 1"]);
}

#[test]
fn labels_and_categories_without_any_in_common_are_told_with_both_lists() {
    let found = json!({"model": "m.onnx", "images": {"a.jpg": [{"label": "giraffe", "class": 0, "score": 0.5, "box": [1, 2, 3, 4]}]}});
    let says = ["no label of the model is a category", "\"giraffe\"", "\"person\"", "--map label=category"];
    refused(&eval(&labels().to_string(), &found.to_string(), &[]), INPUT, &says);
    let done =
        eval(&labels().to_string(), &found.to_string(), &["--map", "giraffe=person", "--skip-missing"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn detections_of_another_dataset_are_refused() {
    let mut found = results();
    found[0]["image_id"] = json!(77);
    refused(
        &eval(&labels().to_string(), &found.to_string(), &[]),
        INPUT,
        &["found.json", "all in other pictures", "a.jpg"],
    );
}

#[test]
fn pictures_nobody_looked_at_are_counted_and_end_with_the_input_exit_code() {
    let found = json!({"model": "m.onnx", "images": {"/x/a.jpg": [{"label": "person", "class": 0, "score": 0.5, "box": [10, 10, 30, 50]}]}});
    let done = eval(&labels().to_string(), &found.to_string(), &["--json"]);
    refused(&done, INPUT, &["1 of 2 pictures were not measured", "b.jpg", "--skip-missing"]);
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["pictures"]["missing"], 1);
    // The figures hold for the picture that was looked at.
    assert_eq!(report["dataset"]["truths"], 1);
    assert_eq!(report["summary"]["mAP"].as_f64().map(|figure| figure.round()), Some(1.0));
    let done = eval(&labels().to_string(), &found.to_string(), &["--skip-missing"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_page_without_the_pictures_says_so_in_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page");
    let done = eval(&labels().to_string(), &results().to_string(), &["--html", page.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = std::fs::read_to_string(page.join("index.html")).unwrap();
    assert!(text.contains("--images DIR"), "the missing pictures are not told");
}

#[test]
fn a_result_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file where the folder should be").unwrap();
    let labels = labels().to_string();
    refused(&eval(&labels, &results().to_string(), &["--html", taken.to_str().unwrap()]), OUTPUT, &["taken"]);
    let nowhere = folder.path().join("none/report.json");
    refused(
        &eval(&labels, &results().to_string(), &["--json", nowhere.to_str().unwrap()]),
        OUTPUT,
        &["report.json"],
    );
    assert!(!Path::new(&nowhere).exists());
}

#[test]
fn a_category_name_with_control_characters_does_not_reach_the_terminal() {
    let mut labels = labels();
    labels["categories"][0]["name"] = json!("\u{1b}[31mperson");
    let done = eval(&labels.to_string(), &results().to_string(), &[]);
    assert!(done.status.success());
    assert!(!done.stdout.contains(&0x1b) && !done.stderr.contains(&0x1b));
}
