use proptest::prelude::*;

use super::{Family, Fill, Manifest, ManifestError, ResizeMode, Task};

const YOLOX: &str = r#"
schema = 1
name = "yolox-nano"
version = "0.1.1"
task = "detect"
decoder = "yolox"
labels = ["person", "stop sign"]

[input]
width = 416
height = 416
colour = "bgr"
resize = { mode = "letterbox", anchor = "top_left", pad = 114 }

[thresholds]
score = 0.3
per_class = { person = 0.4 }

[roles]
stop_sign = ["stop sign"]
"#;

/// The message that `text` is refused with.
fn refusal(text: &str) -> String {
    match Manifest::from_toml(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_manifest_says_only_what_differs_from_the_usual() {
    let manifest = Manifest::from_toml(YOLOX).unwrap();
    assert_eq!((manifest.decoder, manifest.task), (Family::Yolox, Task::Detect));
    assert_eq!((manifest.input.scale, manifest.input.std), (1.0, [1.0; 3]));
    assert_eq!(manifest.input.resize.mode, ResizeMode::Letterbox);
    assert_eq!(manifest.input.resize.pad, Fill::All(114));
    assert!(!manifest.input.rectangle);
    assert_eq!(manifest.class_of("stop sign"), Some(1));
}

#[test]
fn toml_and_json_say_the_same() {
    let manifest = Manifest::from_toml(YOLOX).unwrap();
    let json = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(Manifest::from_json(&json).unwrap(), manifest);
    let toml = toml::to_string(&manifest).unwrap();
    assert_eq!(Manifest::from_toml(&toml).unwrap(), manifest);
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_line() {
    let message = refusal(&YOLOX.replace("[roles]", "[rolls]"));
    assert!(message.contains("rolls") && message.contains("line 19"), "{message}");
    let message = refusal(&YOLOX.replace("score = 0.3", "scores = 0.3"));
    assert!(message.contains("scores") && message.contains("per_class"), "{message}");
}

#[test]
fn a_value_that_cannot_work_is_refused_with_key_found_and_expected() {
    let cases = [
        ("schema = 1", "schema = 7", "schema: found 7"),
        ("yolox-nano", "../yolox", "name: found \"../yolox\""),
        ("\"stop sign\"]\n\n[input]", "\"person\"]\n\n[input]", "labels[1]: found \"person\" a second time"),
        ("width = 416", "width = 0", "input.width: found 0"),
        ("height = 416", "height = 100000", "input.height: found 100000"),
        ("score = 0.3", "score = 1.5", "thresholds.score: found 1.5"),
        ("score = 0.3", "score = nan", "thresholds.score: found NaN"),
        ("person = 0.4", "people = 0.4", "thresholds.per_class: found \"people\""),
        ("[\"stop sign\"]\n", "[\"yield\"]\n", "roles.stop_sign: found \"yield\""),
        ("colour = \"bgr\"", "colour = \"bgr\"\nstd = [1.0, 0.0, 1.0]", "input.std[1]: found 0"),
        ("task = \"detect\"", "task = \"classify\"", "decoder: found Yolox with task \"classify\""),
    ];
    for (from, to, expected) in cases {
        assert!(YOLOX.contains(from), "{from} is not in the fixture");
        let message = refusal(&YOLOX.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} → {to}: {message}");
    }
}

#[test]
fn keypoints_belong_to_the_tasks_that_have_them() {
    let named = YOLOX.replace("[input]", "keypoints = [\"nose\"]\n[input]");
    assert!(refusal(&named).starts_with("keypoints: found 1 names"));
    let posed = YOLOX.replace("\"detect\"", "\"pose\"").replace("\"yolox\"", "\"yolo-pose\"");
    assert!(refusal(&posed).starts_with("keypoints: found 0 names"));
}

#[test]
fn an_empty_file_misses_its_keys_by_name() {
    assert!(matches!(Manifest::from_toml(""), Err(ManifestError::Toml(_))));
    assert!(refusal("").contains("schema"));
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused(text in ".{0,400}") {
        let _ = Manifest::from_toml(&text);
        let _ = Manifest::from_json(text.as_bytes());
    }

    #[test]
    fn a_damaged_manifest_is_read_or_refused(at in 0..YOLOX.len(), with in proptest::char::any()) {
        let mut damaged = String::from(&YOLOX[..at]);
        damaged.push(with);
        damaged.push_str(&YOLOX[at + 1..]);
        if let Ok(manifest) = Manifest::from_toml(&damaged) {
            prop_assert!(!manifest.labels.is_empty());
            prop_assert!(manifest.thresholds.score.is_finite());
        }
    }
}
