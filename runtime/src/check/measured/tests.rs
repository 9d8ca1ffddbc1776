use super::*;

fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measured.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

const EVAL_FILE: &str = r#"{"subject": {"sha256": "aa"}, "categories": [{"name": "Stop-Sign", "operating": {"score": 0.4, "f1": 1},
    "by_input_height": [{"from": 0, "to": 8, "truths": 3, "found": 2, "found_at_threshold": 1}, {"from": 8, "to": null,
    "truths": 9, "found": 9, "found_at_threshold": 8}]}]}"#;

fn sign() -> Vec<String> {
    vec!["stop sign".to_owned()]
}

#[test]
fn recall_of_a_role_is_read_from_what_eval_writes() {
    let (_folder, path) = write(EVAL_FILE);
    let found = recall(&path, &sign(), "aa", ("k", 0.4)).unwrap();
    assert_eq!(found.heights[1], Heights { from: 8.0, to: None, labelled: 9, found: 8 });
    assert_eq!(found.category, "Stop-Sign");
}

#[test]
fn what_proves_nothing_is_told_apart() {
    let (_folder, path) = write(EVAL_FILE);
    assert!(matches!(recall(&path, &sign(), "bb", ("k", 0.4)), Err(MeasureError::OtherModel { .. })));
    assert!(matches!(recall(&path, &sign(), "aa", ("k", 0.5)), Err(MeasureError::LowThreshold { .. })));
    assert!(matches!(
        recall(&path, &["person".to_owned()], "aa", ("k", 0.4)),
        Err(MeasureError::NoCategory { .. })
    ));
    assert!(matches!(timing(&path, "aa"), Err(MeasureError::Format { .. })));
    let (_folder, path) = write(&EVAL_FILE.replace("by_input_height", "by_height"));
    assert!(matches!(recall(&path, &sign(), "aa", ("k", 0.4)), Err(MeasureError::NoHeights { .. })));
    let missing = recall(Path::new("/nowhere.json"), &sign(), "aa", ("k", 0.4));
    assert!(matches!(missing, Err(MeasureError::Read { .. })));
}

#[test]
fn a_measurement_of_no_frames_is_none() {
    let text = r#"{"sha256": "aa", "backend": "kernels", "threads": 1, "width": 1, "height": 1, "frames": 0,
        "stages_us": {"total": {"p99": 5}}}"#;
    let (_folder, path) = write(text);
    assert!(matches!(timing(&path, "aa"), Err(MeasureError::NoFrames { .. })));
    let (_folder, path) = write(&text.replace("\"frames\": 0", "\"frames\": 10"));
    assert!((timing(&path, "aa").unwrap().p99 - 5e-6).abs() < 1e-12);
}
