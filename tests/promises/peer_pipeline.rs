//! Stopline beside Python + OpenCV + ONNX Runtime: the same work, in turns, on one core. Prints a table; asserts only that
//! both find the same, never a time.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use stopline_tests::{count, field_data, fixtures, ort_library, python, stopline};

use crate::cores::last;

pub(crate) const CLIP: &str = "drive/udacity_solidWhiteRight.mp4";
const WARM_UP: usize = 20;
const STAGES: [&str; 5] = ["capture", "prepare", "infer", "decode", "total"];
/// Frames whose detections are compared, evenly through the clip's first part.
const LOOKED_AT: [u32; 6] = [0, 15, 40, 80, 120, 160];

#[test]
fn stopline_and_the_peer_find_the_same() {
    let Some(bench) = Bench::new() else { return };
    let peer = bench.peer(1, true);
    let mut compared = 0;
    for backend in ["kernels", "ort"] {
        for number in LOOKED_AT {
            let theirs = peer["images"][number.to_string()].as_array().unwrap();
            let ours = bench.detect(backend, number);
            assert_same(&ours, theirs, &format!("{backend}, frame {number}"));
            compared += theirs.len();
        }
    }
    println!(
        "stopline and the peer: the same {compared} detections in {} frames, by kernels and ort",
        LOOKED_AT.len()
    );
    assert!(compared >= 12, "only {compared} detections: the frames show too little");
}

#[test]
#[ignore = "takes a minute and wants a quiet machine: tests/promises/peer_pipeline/run"]
fn stopline_beside_python_opencv_and_onnx_runtime() {
    let Some(bench) = Bench::new() else { return };
    let frames = count("frames per turn", 200, 60);
    let turns = count("turns", 7, 3);
    let mut rounds: [Vec<Value>; 3] = Default::default();
    for _ in 0..turns {
        rounds[0].push(bench.ours("kernels", frames));
        rounds[1].push(bench.peer(frames, false));
        rounds[2].push(bench.ours("ort", frames));
    }
    println!("\n{}", table(&rounds, turns, frames));
}

/// What a comparison needs.
pub(crate) struct Bench {
    python: PathBuf,
    library: PathBuf,
    model: PathBuf,
    clip: PathBuf,
    manifest: PathBuf,
    pub(crate) core: String,
}

impl Bench {
    pub(crate) fn new() -> Option<Self> {
        let data = field_data()?;
        Some(Self {
            python: python()?,
            library: ort_library()?,
            model: data.join("models/yolox_nano_416.onnx"),
            clip: data.join("media").join(CLIP),
            manifest: fixtures().join("manifests/yolox_nano_416.toml"),
            core: std::env::var("STOPLINE_CORE").unwrap_or_else(|_| last().to_string()),
        })
    }

    /// The peer's measurement of `frames` frames and, if asked, what it finds in [`LOOKED_AT`].
    pub(crate) fn peer(&self, frames: usize, look: bool) -> Value {
        let mut command = Command::new(&self.python);
        command.arg(folder().join("peer.py")).args([&self.model, &self.manifest, &self.clip]);
        command.args([
            "--core",
            &self.core,
            "--frames",
            &frames.to_string(),
            "--warm-up",
            &WARM_UP.to_string(),
        ]);
        if look {
            command.args(["--detections", &LOOKED_AT.map(|number| number.to_string()).join(",")]);
        }
        json(&mut command)
    }

    fn ours(&self, backend: &str, frames: usize) -> Value {
        let mut command = self.stopline("bench", backend);
        command.arg(&self.clip).args(["--json", "--core", &self.core]);
        json(command.args(["--frames", &frames.to_string(), "--warm-up", &WARM_UP.to_string()]))
    }

    fn detect(&self, backend: &str, number: u32) -> Vec<Value> {
        let mut command = self.stopline("detect", backend);
        let found = json(command.arg("--json").arg(format!("{}#frame={number}", self.clip.display())));
        let images = found["images"].as_object().unwrap();
        assert_eq!(images.len(), 1);
        images.values().next().unwrap().as_array().unwrap().clone()
    }

    fn stopline(&self, what: &str, backend: &str) -> Command {
        let mut command = Command::new(stopline());
        command.arg(what).arg("--model").arg(&self.model).arg("--manifest").arg(&self.manifest);
        command.args(["--backend", backend]).env("STOPLINE_ORT_LIBRARY", &self.library);
        command
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/peer_pipeline")
}

pub(crate) fn json(command: &mut Command) -> Value {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The same classes, IoU ≥ 0.95, scores within 0.02; what is within 0.05 of the threshold may be found by one side only.
fn assert_same(ours: &[Value], theirs: &[Value], what: &str) {
    const THRESHOLD: f64 = 0.3;
    for (have, lack, who) in [(ours, theirs, "the peer"), (theirs, ours, "stopline")] {
        for one in have.iter().filter(|one| one["score"].as_f64().unwrap() >= THRESHOLD + 0.05) {
            let same = |other: &&Value| {
                let apart = one["score"].as_f64().unwrap() - other["score"].as_f64().unwrap();
                one["class"] == other["class"] && apart.abs() <= 0.02 && overlap(one, other) >= 0.95
            };
            assert!(lack.iter().any(|other| same(&other)), "{what}: {who} lacks {one}; it has {lack:?}");
        }
    }
}

/// Intersection over union.
fn overlap(one: &Value, other: &Value) -> f64 {
    let corners = |of: &Value| [0, 1, 2, 3].map(|at| of["box"][at].as_f64().unwrap());
    let ([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) = (corners(one), corners(other));
    let shared = (ax2.min(bx2) - ax1.max(bx1)).max(0.0) * (ay2.min(by2) - ay1.max(by1)).max(0.0);
    shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)
}

/// The README's table: medians of the turns' medians, and the turns' smallest and largest median in brackets.
fn table(rounds: &[Vec<Value>; 3], turns: usize, frames: usize) -> String {
    let [kernels, peer, ort] = rounds;
    let mut text = format!(
        "YOLOX-nano at 416×416, {CLIP}, one core, one thread; {turns} turns of {frames} frames each; median ms of the turns'\n\
         medians (smallest–largest). capture is decoding the recording and in no total; the peer's already makes BGR of it.\n\n\
         | stage | stopline, kernels | stopline, ort | Python + OpenCV + ONNX Runtime | kernels ÷ peer | ort ÷ peer |\n\
         |---|---|---|---|---|---|\n"
    );
    let mut row = |name: &str, unit: f64, pick: &dyn Fn(&Value) -> f64| {
        let [a, b, c] = [kernels, ort, peer].map(|rounds| {
            let mut values: Vec<f64> = rounds.iter().map(|round| pick(round) / unit).collect();
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        });
        let show = |(median, least, most): (f64, f64, f64)| format!("{median:.2} ({least:.2}–{most:.2})");
        let (x, y) = (a.0 / c.0, b.0 / c.0);
        text += &format!("| {name} | {} | {} | {} | {x:.2} | {y:.2} |\n", show(a), show(b), show(c));
    };
    for stage in STAGES {
        row(stage, 1e3, &|round| round["stages_us"][stage]["median"].as_f64().unwrap());
    }
    row("p99 of total", 1e3, &|round| round["stages_us"]["total"]["p99"].as_f64().unwrap());
    row("load", 1e3, &|round| round["load_us"].as_f64().unwrap());
    row("peak memory, MiB", 1_048_576.0, &|round| round["peak_memory_bytes"].as_f64().unwrap());
    text
}
