//! `stopline-fleet` asks the real runtime which of two real models is better, and publishes by that.
//!
//! The test set is made of the field data's pictures. Its labels are **pseudo ground truth**: boxes that YOLOX-nano found
//! with another program, not boxes drawn by people. So YOLOX-nano comes out near 1 and the others below it, which is all
//! that is needed here; nothing is said of how good the models are.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stopline_depot::manifest::{Golden, GoldenDetection, Manifest, Tolerance};
use stopline_tests::operator::{Desk, selftest};
use stopline_tests::signed::bundle;
use stopline_tests::{field_data, fixtures, stopline};

/// The picture that every version must answer.
const GOLDEN: &str = "pedestrian/coco_000000002006.jpg";
const TEST: &str = "--test-set labels.json --images";

/// A COCO instances file of the pictures, with the boxes that were found in them.
fn labels(root: &Path) -> Value {
    let file = std::fs::read(root.join("oracle/yolox_nano_416.json")).unwrap();
    let found: Value = serde_json::from_slice(&file).unwrap();
    let (mut images, mut annotations, mut categories) = (Vec::new(), Vec::new(), BTreeMap::new());
    let stills = found["images"].as_object().unwrap().iter().filter(|(name, _)| !name.contains('#'));
    for (at, (name, list)) in stills.enumerate() {
        let (width, height) = image::image_dimensions(root.join("media").join(name)).unwrap();
        images.push(json!({"id": at + 1, "file_name": name, "width": width, "height": height}));
        for one in list.as_array().unwrap() {
            let class = one["class"].as_i64().unwrap() + 1;
            categories.insert(class, json!({"id": class, "name": one["label"]}));
            let corners: [f64; 4] = serde_json::from_value(one["box"].clone()).unwrap();
            let [width, height] = [corners[2] - corners[0], corners[3] - corners[1]];
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": at + 1, "category_id": class, "iscrowd": 0,
                "bbox": [corners[0], corners[1], width, height], "area": width * height}));
        }
    }
    let categories: Vec<Value> = categories.into_values().collect();
    json!({"images": images, "annotations": annotations, "categories": categories})
}

/// Packs `model` as `version` of one model, with a golden picture that it answers, and lets two sign it.
fn pack(desk: &Desk, root: &Path, model: &str, version: &str) {
    let onnx = root.join(format!("models/{model}.onnx"));
    let text = std::fs::read_to_string(fixtures().join(format!("manifests/{model}.toml"))).unwrap();
    let mut manifest = Manifest::from_toml(&text).unwrap();
    manifest.name = "coco".into();
    manifest.version = version.parse().unwrap();
    manifest.golden = vec![golden(root, &onnx, &manifest)];
    let name = GOLDEN.rsplit('/').next().unwrap();
    std::fs::create_dir_all(desk.path("golden")).unwrap();
    std::fs::copy(root.join("media").join(GOLDEN), desk.path("golden").join(name)).unwrap();
    std::fs::copy(&onnx, desk.path("model.onnx")).unwrap();
    std::fs::write(desk.path("model.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    desk.fleet("pack model.onnx model.toml --hardware board");
    desk.fleet("sign --key anna/anna.pem");
    desk.fleet("sign --key ben/ben.pem");
}

/// What the model finds in the picture, and the digest of what it is fed for it, both from the runtime.
fn golden(root: &Path, onnx: &Path, manifest: &Manifest) -> Golden {
    let picture = root.join("media").join(GOLDEN);
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("model.toml");
    std::fs::write(&toml, toml::to_string(manifest).unwrap()).unwrap();
    let output = Command::new(stopline())
        .args(["detect", "--json", "--model"])
        .arg(onnx)
        .arg("--manifest")
        .arg(&toml)
        .arg(&picture)
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = said["images"].as_object().unwrap().values().next().unwrap().as_array().unwrap().clone();
    let detection = |one: &Value| GoldenDetection {
        label: one["label"].as_str().unwrap().to_owned(),
        score: one["score"].as_f64().unwrap() as f32,
        bbox: serde_json::from_value(one["box"].clone()).unwrap(),
    };
    let name = format!("golden/{}", GOLDEN.rsplit('/').next().unwrap());
    let golden = Golden {
        image: name.clone(),
        input_sha256: "0".repeat(64),
        detections: found.iter().map(detection).collect(),
        tolerance: Tolerance { score: 0.02, iou: 0.95 },
    };
    let pictures = BTreeMap::from([(name, std::fs::read(picture).unwrap())]);
    let text = toml::to_string(manifest).unwrap();
    let onnx = std::fs::read(onnx).unwrap();
    let bundle = bundle(&onnx, &text, &pictures, |manifest| manifest.golden = vec![golden.clone()]);
    let report = selftest(&bundle, 13);
    let input_sha256 = report["golden"][0]["input_sha256"].as_str().unwrap().to_owned();
    Golden { input_sha256, ..golden }
}

#[test]
fn the_better_of_two_real_models_is_published_and_the_worse_one_and_an_edited_record_are_refused() {
    let Some(root) = field_data() else { return };
    let desk = Desk::new();
    let test = format!("{TEST} {}", root.join("media").display());
    std::fs::write(desk.path("labels.json"), labels(&root).to_string()).unwrap();

    pack(&desk, &root, "fastestdet_352", "1.0.0");
    desk.fleet("publish repository --online online");
    desk.fleet(&format!("evaluate coco-1.0.0.slb {test}"));

    pack(&desk, &root, "yolox_nano_416", "1.1.0");
    let unmeasured = desk.try_fleet(&format!("publish repository --online online {test}"));
    assert!(unmeasured.0 != Some(0) && unmeasured.1.contains("evaluate"), "nobody measured it");
    let measured = desk.fleet(&format!("evaluate coco-1.1.0.slb {test}"));
    assert!(figure(&measured, "summary.mAP50") >= 0.99, "against its own boxes");
    let published = desk.fleet(&format!("publish repository --online online {test}"));
    assert!(published.contains("4 of 34 pictures run again, the same"), "{published}");

    pack(&desk, &root, "nanodet_m_320", "1.2.0");
    let measured = desk.fleet(&format!("evaluate coco-1.2.0.slb {test}"));
    assert!(figure(&measured, "summary.mAP") < 0.9, "another model finds other boxes");
    let (code, said) = desk.try_fleet(&format!("publish repository --online online {test}"));
    assert!(code != Some(0) && said.contains("the challenger is worse"), "{said}");

    // A record that says more than its detections do.
    let records = std::fs::read_dir(desk.path("staging/evaluations")).unwrap().flatten();
    let record = records.map(|entry| entry.path()).find(|path| {
        !path.to_string_lossy().ends_with(".detections.json")
            && std::fs::read_to_string(path).unwrap().contains(&digest_of(&measured))
    });
    let record = record.expect("the challenger's record");
    let mut edited: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    edited["figures"]["summary.mAP"] = 0.999.into();
    std::fs::write(&record, edited.to_string()).unwrap();
    let (code, said) = desk.try_fleet(&format!("publish repository --online online {test}"));
    assert!(code != Some(0) && said.contains("edited: summary.mAP"), "{said}");
}

/// `  summary.mAP50: 0.9934`.
fn figure(said: &str, name: &str) -> f64 {
    let line = said.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{said}"))
}

/// `  record: staging/evaluations/DIGEST.json`.
fn digest_of(said: &str) -> String {
    let path = said.lines().find_map(|line| line.trim().strip_prefix("record: ")).expect("a record");
    Path::new(path).file_stem().unwrap().to_string_lossy().into_owned()
}
