use super::super::coco::{Category, Image};
use super::*;

fn dataset() -> Dataset {
    let image = |id, file_name: &str| Image { id, file_name: file_name.into(), size: None };
    Dataset {
        path: "labels.json".into(),
        images: vec![image(1, "a/one.jpg"), image(2, "b/one.jpg"), image(3, "b/two.jpg")],
        categories: vec![
            Category { id: 10, name: "stop sign".into() },
            Category { id: 20, name: "person".into() },
        ],
        truths: Vec::new(),
        oddities: Default::default(),
    }
}

fn read(json: &str, maps: &[(String, String)]) -> Result<Results, EvalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("found.json");
    std::fs::write(&path, json).unwrap();
    Results::read(&path, &dataset(), maps)
}

#[test]
fn a_results_file_is_read_by_ids_and_strangers_are_counted() {
    let results = read(
        r#" [{"image_id": 2, "category_id": 20, "bbox": [1, 2, 3, 4], "score": 0.5},
             {"image_id": 9, "category_id": 20, "bbox": [1, 2, 3, 4], "score": 0.5},
             {"image_id": 2, "category_id": 21, "bbox": [1, 2, 3, 4], "score": 0.5}]"#,
        &[],
    )
    .unwrap();
    assert_eq!(results.found, [Found { image: 1, category: 1, score: 0.5, bbox: [1.0, 2.0, 3.0, 4.0] }]);
    assert_eq!((results.unknown_images, results.unknown_categories), (1, 1));
    assert_eq!(results.looked_at, [true; 3]);
}

#[test]
fn what_detect_prints_is_read_by_path_and_label() {
    let results = read(
        r#"{"model": "m.onnx", "images": {
            "/data/b/one.jpg": [{"label": "stop_sign", "class": 11, "score": 0.5, "box": [1, 2, 4, 6]}, {"label": "cat", "class": 15, "score": 0.5, "box": [1, 2, 4, 6]}],
            "two.jpg": [], "C:\\x\\other.jpg": []}}"#,
        &[],
    )
    .unwrap();
    assert_eq!(results.found, [Found { image: 1, category: 0, score: 0.5, bbox: [1.0, 2.0, 3.0, 4.0] }]);
    assert_eq!(results.looked_at, [false, true, true]);
    assert_eq!((results.model.as_deref(), results.unknown_categories), (Some("m.onnx"), 1));
}

#[test]
fn two_pictures_of_one_name_are_not_mixed_up() {
    let told = read(r#"{"images": {"one.jpg": []}}"#, &[]).unwrap_err().to_string();
    assert!(told.contains("none of them"), "{told}");
}

#[test]
fn a_file_for_another_dataset_is_refused() {
    let told = read(r#"[{"image_id": 77, "category_id": 10, "bbox": [1, 2, 3, 4], "score": 0.5}]"#, &[])
        .unwrap_err()
        .to_string();
    assert!(told.contains("all in other pictures") && told.contains("a/one.jpg"), "{told}");
    let told = read(r#"[{"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}]"#, &[])
        .unwrap_err()
        .to_string();
    assert!(told.contains("category_id"), "{told}");
}

#[test]
fn a_detection_without_score_is_named_with_its_place() {
    let told =
        read(r#"[{"image_id": 1, "category_id": 10, "bbox": [1, 2, 3, 4]}]"#, &[]).unwrap_err().to_string();
    assert!(told.contains("element 0: missing field `score`"), "{told}");
    let told = read(r#"{"images": {"one.jpg": [{"label": "x", "score": 1, "box": [1, 2]}]}}"#, &[])
        .unwrap_err()
        .to_string();
    assert!(told.contains("\"one.jpg\": element 0"), "{told}");
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let found = vec![
        Found {
            image: 2,
            category: 0,
            score: f64::from(0.1_f32),
            bbox: [1.5, 2.25, f64::from(3.3_f32), 4.0],
        },
        Found { image: 0, category: 1, score: 1.0, bbox: [0.0; 4] },
    ];
    let mut bytes = Vec::new();
    write_coco(&mut bytes, &dataset(), &found).unwrap();
    assert_eq!(read(std::str::from_utf8(&bytes).unwrap(), &[]).unwrap().found, found);
}
