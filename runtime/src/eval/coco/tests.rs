use super::*;

fn read(json: &str) -> Result<Dataset, EvalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.json");
    std::fs::write(&path, json).unwrap();
    Dataset::read(&path)
}

fn told(json: &str) -> String {
    read(json).unwrap_err().to_string()
}

const IMAGES: &str = r#"[{"id": 9, "file_name": "b.jpg", "width": 20, "height": 10}, {"id": 4, "file_name": "a.jpg", "height": -1}]"#;
const CATEGORIES: &str = r#"[{"id": 2, "name": "dog"}, {"id": 1, "name": "cat", "supercategory": "animal"}]"#;

fn with(annotations: &str) -> String {
    format!(
        r#"{{"info": {{}}, "images": {IMAGES}, "annotations": {annotations}, "categories": {CATEGORIES}}}"#
    )
}

#[test]
fn pictures_and_categories_stand_by_rising_id() {
    let dataset = read(&with("[]")).unwrap();
    assert_eq!(dataset.images.iter().map(|image| image.id).collect::<Vec<_>>(), [4, 9]);
    assert_eq!(dataset.images[1].size, Some((20, 10)));
    assert_eq!(dataset.images[0].size, None);
    assert_eq!(dataset.categories[0].name, "cat");
}

#[test]
fn what_an_annotation_leaves_out_is_filled_in_and_counted() {
    let dataset = read(&with(
        r#"[{"id": 1, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2]]},
            {"id": 2, "image_id": 9, "category_id": 2, "bbox": [1, 2, 3, 0], "area": 5, "iscrowd": 1},
            {"id": 3, "image_id": 9, "category_id": 2, "bbox": [1, 2, 3, 1], "area": 5, "iscrowd": true},
            {"id": 0, "image_id": 77, "category_id": 2, "bbox": [1, 2, 3, 1], "area": 5, "iscrowd": false},
            {"id": 5, "image_id": 4, "category_id": 77, "bbox": [1, 2, 3, 1], "area": 5, "iscrowd": null}]"#,
    ))
    .unwrap();
    let oddities =
        Oddities { unknown_images: 1, unknown_categories: 1, without_area: 1, empty_boxes: 1, id_zero: 0 };
    assert_eq!(dataset.oddities, oddities);
    assert_eq!(dataset.truths.len(), 3);
    assert_eq!((dataset.truths[0].area, dataset.truths[0].crowd), (12.0, false));
    assert!(dataset.truths[1].crowd && dataset.truths[2].crowd);
}

#[test]
fn a_box_of_three_numbers_is_named_with_its_place() {
    let told = told(&with(
        r#"[{"id": 1, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]}, {"id": 2, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3]}]"#,
    ));
    assert!(
        told.contains("labels.json")
            && told.contains("element 1: invalid length 3")
            && told.contains("line 1"),
        "{told}"
    );
}

#[test]
fn an_id_of_letters_is_refused_with_what_was_found() {
    let told = told(&with(r#"[{"id": 1, "image_id": "000139", "category_id": 1, "bbox": [1, 2, 3, 4]}]"#));
    assert!(told.contains("element 0") && told.contains(r#"string "000139""#), "{told}");
}

#[test]
fn an_id_twice_is_refused_with_both_places() {
    let one = r#"{"id": 5, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]}"#;
    let told = told(&with(&format!("[{one}, {one}]")));
    assert!(told.contains("annotations: element 1") && told.contains("id 5, which element 0 has"), "{told}");
}

#[test]
fn a_file_of_results_in_place_of_annotations_is_told_what_should_stand_there() {
    let told = told(r#"[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]"#);
    assert!(told.contains("COCO instances file"), "{told}");
}

#[test]
fn a_dataset_without_pictures_or_categories_is_refused() {
    assert!(
        told(r#"{"images": [], "annotations": [], "categories": []}"#)
            .contains("images: expected at least one")
    );
    assert!(
        told(&format!(r#"{{"images": {IMAGES}, "annotations": []}}"#)).contains("missing field `categories`")
    );
}

#[test]
fn reducing_renumbers_what_is_left() {
    let dataset = read(&with(
        r#"[{"id": 1, "image_id": 4, "category_id": 1, "bbox": [1, 2, 3, 4]}, {"id": 2, "image_id": 9, "category_id": 2, "bbox": [5, 6, 7, 8]}]"#,
    ))
    .unwrap();
    let found = [0, 1].map(|i| super::super::Found { image: i, category: i, score: 0.5, bbox: [0.0; 4] });
    let (left, kept) = dataset.reduced(&[false, true], &[false, true], &found);
    assert_eq!((left.images.len(), left.categories[0].name.as_str(), left.truths[0].id), (1, "dog", 2));
    assert_eq!((left.truths[0].image, left.truths[0].category), (0, 0));
    assert_eq!(kept, [super::super::Found { image: 0, category: 0, ..found[1].clone() }]);
}
