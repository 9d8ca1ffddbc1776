//! Wrong command lines, models and manifests: each ends with its exit code and says what, where and what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use stopline_tests::{field_data, fixtures, python, stopline};

/// Exit code and what was said on stderr.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(stopline()).args(arguments).output().expect("stopline starts");
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let (found, told) = run(arguments);
    assert_eq!(found, code, "{arguments:?}: {told}");
    for word in words {
        assert!(told.contains(word), "{arguments:?}: {word:?} is missing in: {told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("temporary folder") }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The manifest of YOLOX-nano with one text in place of another.
    fn manifest(&self, from: &str, to: &str) -> String {
        let text =
            std::fs::read_to_string(fixtures().join("manifests/yolox_nano_416.toml")).expect("the manifest");
        assert!(text.contains(from), "{from:?} is not in the manifest");
        self.file("model.toml", text.replacen(from, to, 1).as_bytes())
    }
}

fn model(data: &Path) -> String {
    data.join("models/yolox_nano_416.onnx").to_str().expect("UTF-8").to_owned()
}

#[test]
fn without_a_model_the_command_says_what_to_give() {
    for command in ["detect", "replay"] {
        refused(
            &[command, "x.jpg"],
            2,
            &["--model <ONNX>", "ONNX file of your own", "stopline model manifest"],
        );
    }
}

#[test]
fn a_model_that_is_not_there_or_no_onnx_is_a_model_error() {
    let bench = Bench::new();
    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let manifest = manifest.to_str().expect("UTF-8");
    refused(
        &["detect", "--model", "/nowhere/m.onnx", "--manifest", manifest, "x.jpg"],
        4,
        &["/nowhere/m.onnx"],
    );
    for (name, bytes) in
        [("empty.onnx", &b""[..]), ("garbage.onnx", &[0xde; 4096]), ("text.onnx", b"<html>not a model")]
    {
        let garbage = bench.file(name, bytes);
        refused(&["detect", "--model", &garbage, "--manifest", manifest, "x.jpg"], 4, &[name]);
    }
}

#[test]
fn a_model_without_a_manifest_is_guessed_aloud_but_a_named_one_must_be_there() {
    let Some(data) = field_data() else { return };
    let bench = Bench::new();
    let copy = bench.file("m.onnx", &std::fs::read(model(&data)).expect("the model"));
    // The picture is missing too: what is told of the model stands before that.
    refused(
        &["detect", "--model", &copy, "x.jpg"],
        3,
        &["guessed", "Yolox", "stopline model manifest", "x.jpg"],
    );
    let named = ["detect", "--model", &copy, "--manifest", "none.toml", "x.jpg"];
    refused(&named, 4, &["none.toml", "stopline model manifest"]);
}

#[test]
fn an_unknown_manifest_key_is_named_with_its_line() {
    let Some(data) = field_data() else { return };
    let bench = Bench::new();
    let manifest = bench.manifest("[input]", "[input]\nletterbox_colour = 3");
    let words = ["model.toml", "letterbox_colour", "line "];
    refused(&["detect", "--model", &model(&data), "--manifest", &manifest, "x.jpg"], 4, &words);
}

#[test]
fn labels_shorter_than_the_models_classes_are_counted_against_them() {
    let Some(data) = field_data() else { return };
    let bench = Bench::new();
    let text =
        std::fs::read_to_string(fixtures().join("manifests/yolox_nano_416.toml")).expect("the manifest");
    let mut manifest: toml::Table = text.parse().expect("TOML");
    manifest.insert("labels".into(), toml::Value::Array(vec!["person".into(), "bicycle".into()]));
    manifest.remove("roles");
    let manifest = bench.file("short.toml", manifest.to_string().as_bytes());
    refused(
        &["detect", "--model", &model(&data), "--manifest", &manifest, "x.jpg"],
        4,
        &["short.toml", "80", "2"],
    );
}

#[test]
fn missing_and_unreadable_pictures_and_clips_are_input_errors() {
    let Some(data) = field_data() else { return };
    let bench = Bench::new();
    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let base = ["--model", &model(&data), "--manifest", manifest.to_str().expect("UTF-8")].map(str::to_owned);
    let with = |command: &'static str, input: &str, words: &[&str]| {
        let mut arguments = vec![command, input];
        arguments.extend(base.iter().map(String::as_str));
        refused(&arguments, 3, words);
    };
    with("detect", "/nowhere/a.jpg", &["/nowhere/a.jpg: cannot open"]);
    with("replay", "/nowhere/a.mp4", &["/nowhere/a.mp4: cannot open"]);
    with("detect", &bench.file("cut.jpg", &[0xff, 0xd8, 0xff, 0xe0, 0, 16]), &["cut.jpg"]);
    with("detect", &bench.file("noise.png", b"\x89PNG\r\n\x1a\nnoise"), &["noise.png"]);
    with("replay", &bench.file("empty.mp4", b""), &["empty.mp4"]);
    with("replay", "pattern:", &["test pattern", "recording"]);
}

#[test]
fn a_result_that_cannot_be_written_is_told_before_the_work() {
    let Some(data) = field_data() else { return };
    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let clip = data.join("media/drive/synthetic_stop_approach.mp4");
    let (model, manifest, clip) =
        (model(&data), manifest.to_str().expect("UTF-8"), clip.to_str().expect("UTF-8"));
    for option in ["--records", "--report", "--video"] {
        let arguments =
            ["replay", clip, "--model", &model, "--manifest", manifest, option, "/nowhere/out.avi"];
        refused(&arguments, 6, &["/nowhere/out.avi: cannot write", "make the folder first"]);
    }
    let arguments = ["replay", clip, "--model", &model, "--manifest", manifest, "--video", "out.mkv"];
    refused(&arguments, 2, &["out.mkv", ".mp4", ".avi"]);
}

#[test]
fn numbers_and_times_out_of_range_are_usage_errors() {
    let base = ["replay", "clip.mp4", "--model", "m.onnx"];
    for (option, value, word) in [
        ("--score", "1.5", "0 to 1"),
        ("--iou", "NaN", "0 to 1"),
        ("--from", "1:99", "1:30"),
        ("--every", "0", "1.."),
        ("--loop", "0", "1.."),
    ] {
        refused(&[&base[..], &[option, value]].concat(), 2, &[option, word]);
    }
    refused(&[&base[..], &["--from", "5s", "--to", "3s"]].concat(), 2, &["--from", "--to"]);
}

/// Writes models of one node: an operator nobody has, and a picture input of two axes.
const STRANGE_MODELS: &str = r#"
import sys, onnx
from onnx import helper as h, TensorProto as T
def save(name, operator, shape):
    node = h.make_node(operator, ["images"], ["output"], name="strange_node")
    ends = [h.make_tensor_value_info("images", T.FLOAT, shape)], [h.make_tensor_value_info("output", T.FLOAT, None)]
    model = h.make_model(h.make_graph([node], "g", *ends), opset_imports=[h.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, sys.argv[1] + "/" + name)
save("operator.onnx", "NoSuchOperator", [1, 3, 416, 416])
save("rank.onnx", "Relu", [1, 416])
"#;

#[test]
fn an_unsupported_operator_and_a_wrong_input_rank_are_named() {
    let Some(python) = python() else { return };
    let bench = Bench::new();
    let made = Command::new(python)
        .args(["-c", STRANGE_MODELS])
        .arg(bench.folder.path())
        .output()
        .expect("Python starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let manifest = manifest.to_str().expect("UTF-8");
    let path = |name: &str| bench.folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let words = ["NoSuchOperator", "strange_node", "--backend ort"];
    refused(&["detect", "--model", &path("operator.onnx"), "--manifest", manifest, "x.jpg"], 4, &words);
    let words = ["images", "[1, 416]", "4 axes"];
    refused(&["detect", "--model", &path("rank.onnx"), "--manifest", manifest, "x.jpg"], 4, &words);
}
