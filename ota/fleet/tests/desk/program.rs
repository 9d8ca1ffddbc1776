//! The program itself, as an operator runs it: a folder, a model that packs, commands as they are written on a page.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder in which commands are run.
pub struct Room {
    pub folder: tempfile::TempDir,
    /// What the environment says beyond the test's own.
    pub environment: Vec<(&'static str, OsString)>,
}

impl Room {
    /// With a model to pack, and a file with a passphrase.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("passphrase"), "correct horse\n").unwrap();
        model(folder.path(), "weights");
        Self { folder, environment: vec![("STOPLINE_PASSPHRASE_FILE", "passphrase".into())] }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command that a line says, not yet started.
    pub fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("stopline-fleet"), "{line}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"));
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.args(words).current_dir(self.folder.path()).envs(environment);
        command
    }

    /// Exit code, output, errors.
    pub fn run(&self, line: &str) -> (i32, String, String) {
        let output = self.command(line).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// The output of one that ends well.
    pub fn well(&self, line: &str) -> String {
        let (code, out, error) = self.run(line);
        println!("$ {line}\n{out}{error}");
        assert_eq!(code, 0, "{line}: {error}");
        out
    }
}

/// Commands of the page's first part.
pub fn first_push() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("OPERATORS.md")).unwrap();
    let first = page.split("\n# Every day").next().unwrap();
    let blocks = first.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

pub fn model(folder: &Path, weights: &str) {
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

/// `stopline-agent` beside this test; where nobody built it, cargo does.
pub fn agent() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap().to_owned();
    let program = profile.join("stopline-agent");
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "stopline-agent", "--target-dir"]).arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    }
    program
}
