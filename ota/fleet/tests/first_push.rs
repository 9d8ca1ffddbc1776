//! The operators' page: every command of "First push in ten commands", run as written.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod needs;

use std::path::Path;
use std::process::Command;

use serde_json::json;

/// Commands of the page's first part.
fn commands() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("OPERATORS.md")).unwrap();
    let first = page.split("\n# Every day").next().unwrap();
    let blocks = first.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

fn model(folder: &Path, weights: &str) {
    std::fs::create_dir_all(folder.join("golden")).unwrap();
    std::fs::write(folder.join("golden/a.png"), "a picture").unwrap();
    std::fs::write(folder.join("stop-sign.onnx"), weights).unwrap();
    let manifest = r#"
        schema = 1
        name = "stop-sign"
        version = "1.0.0"
        task = "detect"
        decoder = "yolox"
        labels = ["stop sign"]
        input = { width = 416, height = 416, colour = "bgr", resize = { mode = "letterbox" } }
        [[golden]]
        image = "golden/a.png"
        input_sha256 = "00"
        detections = []
        tolerance = { score = 0.01, iou = 0.9 }
    "#;
    std::fs::write(folder.join("stop-sign.toml"), manifest).unwrap();
}

struct Desk {
    folder: tempfile::TempDir,
    program: std::path::PathBuf,
}

impl Desk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let program = needs::stand_in(folder.path())?;
        std::fs::write(folder.path().join("passphrase"), "correct horse\n").unwrap();
        model(folder.path(), "weights");
        Some(Self { folder, program })
    }

    fn run(&self, line: &str) -> (i32, String, String) {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("stopline-fleet"), "{line}");
        let output = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"))
            .args(words)
            .current_dir(self.folder.path())
            .env("STOPLINE_PROGRAM", &self.program)
            .env("STOPLINE_PASSPHRASE_FILE", "passphrase")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn well(&self, line: &str) -> String {
        let (code, out, error) = self.run(line);
        println!("$ {line}\n{out}{error}");
        assert_eq!(code, 0, "{line}: {error}");
        out
    }
}

#[test]
fn the_first_push_takes_ten_commands_as_written() {
    let Some(desk) = Desk::new() else { return };
    let commands = commands();
    assert_eq!(commands.len(), 10, "{commands:#?}");
    commands.iter().for_each(|line| drop(desk.well(line)));
    desk.well("stopline-fleet verify repository");
    desk.well("stopline-fleet status");
    assert!(desk.well("stopline-fleet rollout status").contains("100 of 10000"));
    assert!(desk.well("stopline-fleet models list").contains("active at 100 bp on board"));
    desk.well("stopline-fleet models show stop-sign");
    assert!(desk.well("stopline-fleet refresh --online online").contains("nothing is due"));
    desk.well("stopline-fleet refresh --online online --now");
    desk.well("stopline-fleet rollout pause stop-sign --online online");
    let json: serde_json::Value =
        serde_json::from_str(&desk.well("stopline-fleet rollout status --json")).unwrap();
    assert_eq!(json["rollouts"][0]["state"], json!("paused"));
    // The gate waits for vehicles.
    desk.well("stopline-fleet rollout advance stop-sign --online online");
    let (code, out, _) = desk.run("stopline-fleet rollout gate stop-sign");
    assert!(code == 5 && out.contains("waits for"), "{code} {out}");
}

#[test]
fn the_same_input_packs_to_the_same_bytes_and_a_broken_model_is_refused() {
    let Some(desk) = Desk::new() else { return };
    let pack = |name: &str| {
        desk.well(&format!("stopline-fleet pack stop-sign.onnx stop-sign.toml -o {name}"));
        std::fs::read(desk.folder.path().join(name)).unwrap()
    };
    assert_eq!(pack("a.slb"), pack("b.slb"));
    model(desk.folder.path(), "broken weights");
    let (code, _, error) = desk.run("stopline-fleet pack stop-sign.onnx stop-sign.toml -o c.slb");
    assert!(code == 3 && error.contains("expected one stop sign"), "{code} {error}");
    assert!(!desk.folder.path().join("c.slb").exists());
    let left: Vec<_> =
        std::fs::read_dir(desk.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tar")), "{left:?}");
    desk.well(
        "stopline-fleet pack stop-sign.onnx stop-sign.toml -o d.slb --pack-a-model-that-may-not-work-at-all",
    );
}

#[test]
fn what_is_refused_says_so_by_its_exit_code() {
    let Some(desk) = Desk::new() else { return };
    assert_eq!(desk.run("stopline-fleet nonsense").0, 2);
    assert_eq!(desk.run("stopline-fleet status").0, 2);
    let (code, help, _) = desk.run("stopline-fleet --help");
    assert!(code == 0 && help.contains("Exit codes"), "{help}");
    desk.well("stopline-fleet key new anna/anna");
    let (code, _, error) = desk.run("stopline-fleet key new anna/second");
    assert!(code == 3 && error.contains("Each holder's key lies alone"), "{error}");
}
