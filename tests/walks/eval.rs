//! A dataset → figures, and a page that shows where the model fails.
//!
//! The labels are pseudo ground truth: boxes that YOLOX-nano found with ONNX Runtime and OpenCV (the reference
//! detections of the field data), not boxes drawn by people. Against them the same model must come out near 1.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use stopline_tests::{field_data, fixtures, stopline};

const MODEL: &str = "yolox_nano_416";

/// The reference detections of still pictures, and their folder.
struct Field {
    root: PathBuf,
    reference: Value,
}

impl Field {
    fn find() -> Option<Self> {
        let root = field_data()?;
        let file = root.join("oracle").join(format!("{MODEL}.json"));
        let mut reference: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        reference["images"].as_object_mut().unwrap().retain(|name, _| !name.contains('#'));
        Some(Self { root, reference })
    }

    fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// A COCO instances file whose labelled boxes are the reference detections.
    fn labels(&self) -> Value {
        let (mut images, mut annotations, mut categories) = (Vec::new(), Vec::new(), Vec::<Value>::new());
        for (name, list) in self.reference["images"].as_object().unwrap() {
            let (width, height) = image::image_dimensions(self.media().join(name)).unwrap();
            images.push(json!({"id": images.len() + 1, "file_name": name, "width": width, "height": height}));
            for one in list.as_array().unwrap() {
                let id = one["class"].as_i64().unwrap() + 1;
                if !categories.iter().any(|known| known["id"] == id) {
                    categories.push(json!({"id": id, "name": one["label"]}));
                }
                let corners: Vec<f64> =
                    one["box"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
                let (width, height) = (corners[2] - corners[0], corners[3] - corners[1]);
                annotations
                    .push(json!({"id": annotations.len() + 1, "image_id": images.len(), "category_id": id,
                    "bbox": [corners[0], corners[1], width, height], "area": width * height, "iscrowd": 0}));
            }
        }
        let info = json!({"description": "pseudo ground truth: boxes of a reference implementation, not labelled by people"});
        json!({"info": info, "images": images, "annotations": annotations, "categories": categories})
    }
}

fn write(path: &Path, value: &Value) {
    std::fs::write(path, value.to_string()).unwrap();
}

fn eval(labels: &Path, media: &Path, rest: &[&str]) -> Output {
    Command::new(stopline()).arg("eval").arg(labels).arg("--images").arg(media).args(rest).output().unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ok(done: &Output) -> String {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout.clone()).unwrap()
}

#[test]
fn a_model_measured_against_its_own_boxes_comes_out_near_one() {
    let Some(field) = Field::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let labels = at("labels.json");
    write(&labels, &field.labels());
    let model = text(&field.root.join("models").join(format!("{MODEL}.onnx")));
    let manifest = text(&fixtures().join("manifests").join(format!("{MODEL}.toml")));
    let (json, page, results) = (text(&at("report.json")), text(&at("page")), text(&at("results.json")));
    let table = ok(&eval(
        &labels,
        &field.media(),
        &[
            "--model",
            &model,
            "--manifest",
            &manifest,
            "--json",
            &json,
            "--html",
            &page,
            "--results",
            &results,
        ],
    ));
    println!("{table}");
    assert!(table.contains("mAP 50–95") && table.contains("person"), "{table}");

    let report = read(&at("report.json"));
    let figure = |name: &str| report["summary"][name].as_f64().unwrap();
    assert!(figure("mAP50") >= 0.99, "mAP50 {}", figure("mAP50"));
    assert!(figure("mAP") >= 0.97, "mAP {}", figure("mAP"));
    assert!(figure("AR100") >= 0.97, "AR100 {}", figure("AR100"));
    assert_eq!(report["pictures"]["missing"], 0);
    assert!(report["subject"]["sha256"].as_str().unwrap().len() == 64);

    // The detections it wrote give the same figures without the model.
    let again = ok(&eval(&labels, &field.media(), &["--detections", &results, "--json"]));
    let again: Value = serde_json::from_str(&again).unwrap();
    for (name, value) in again["summary"].as_object().unwrap() {
        let (now, then) = (value.as_f64().unwrap(), figure(name));
        assert!((now - then).abs() < 1e-9, "{name}: {now} from the results file, {then} from the model");
    }
    check_page(&at("page"), &report);
}

#[test]
fn planted_mistakes_are_counted_by_kind_and_shown() {
    let Some(field) = Field::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (mut labels, found) = (field.labels(), &field.reference);
    plant(&mut labels);
    write(&at("labels.json"), &labels);
    write(&at("found.json"), found);
    let (found, json, page) = (at("found.json"), at("report.json"), at("page"));
    let rest = [
        "--detections",
        found.to_str().unwrap(),
        "--at",
        "0.3",
        "--json",
        json.to_str().unwrap(),
        "--html",
        page.to_str().unwrap(),
    ];
    ok(&eval(&at("labels.json"), &field.media(), &rest));

    let report = read(&at("report.json"));
    let counted = &report["mistakes"];
    assert_eq!(counted["missed_unseen"], 1, "{counted}");
    assert_eq!(counted["missed_taken_for_other"], 1, "{counted}");
    assert_eq!(counted["missed_misplaced"], 1, "{counted}");
    assert_eq!(counted["false_background"], 1, "{counted}");
    assert_eq!(counted["false_confused"], 1, "{counted}");
    assert_eq!(counted["false_misplaced"], 1, "{counted}");
    let page = check_page(&page, &report);
    assert!(page.contains("&lt;b&gt;bus&lt;/b&gt; taken for"), "the confusion is not told");
    assert!(!page.contains("<b>bus</b>"), "a category's name came through as markup");
}

/// Makes the reference detections wrong in five places by changing the labels: one object nobody can find, one of
/// another category, one elsewhere, and one that is not labelled any more.
fn plant(labels: &mut Value) {
    let places: Vec<(i64, f64)> = labels["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["image_id"].as_i64().unwrap(), one["area"].as_f64().unwrap()))
        .collect();
    // Each mistake in a picture of its own with one labelled box, so that no other box explains it.
    let alone: Vec<usize> = (0..places.len())
        .filter(|&i| places.iter().filter(|other| other.0 == places[i].0).count() == 1 && places[i].1 > 400.0)
        .collect();
    assert!(alone.len() >= 3, "too few pictures with one box: {}", alone.len());
    labels["categories"].as_array_mut().unwrap().push(json!({"id": 900, "name": "<b>bus</b>"}));
    let annotations = labels["annotations"].as_array_mut().unwrap();
    annotations[alone[0]]["category_id"] = json!(900);
    let shifted = &mut annotations[alone[1]];
    let by = shifted["bbox"][2].as_f64().unwrap() * 0.6;
    shifted["bbox"][0] = json!(shifted["bbox"][0].as_f64().unwrap() + by);
    let moved = &mut annotations[alone[2]];
    let corner = [moved["bbox"][0].as_f64().unwrap(), moved["bbox"][1].as_f64().unwrap()];
    assert!(corner[0] > 6.0 && corner[1] > 6.0, "the box leaves no room beside it: {corner:?}");
    moved["bbox"] = json!([0, 0, 6, 6]);
    moved["area"] = json!(36);
}

/// Looks through a page: nothing from the network, curves in it, and the pictures it links to are there and readable.
fn check_page(folder: &Path, report: &Value) -> String {
    let page = std::fs::read_to_string(folder.join("index.html")).unwrap();
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "the page asks for something from the network"
    );
    assert!(page.contains("<svg") && page.contains("mAP 50–95"));
    let links: Vec<&str> =
        page.split("href=\"pictures/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mistakes =
        report["mistakes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!(links.is_empty(), mistakes == 0, "{mistakes} mistakes, {} pictures of them", links.len());
    for link in links {
        image::open(folder.join("pictures").join(link)).unwrap();
    }
    page
}
