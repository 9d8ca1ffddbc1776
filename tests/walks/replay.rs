//! `stopline replay` on a real clip: records, video and report of one run agree; the report is opened in a browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stopline_depot::record::DecisionRecord;
use stopline_tests::{field_data, fixtures, python, skip, stopline};

const CLIP: &str = "drive/synthetic_stop_approach.mp4";

fn replay(data: &Path, clip: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(stopline())
        .arg("replay")
        .arg(clip)
        .args(["--model", data.join("models/yolox_nano_416.onnx").to_str().expect("UTF-8")])
        .args(["--manifest", fixtures().join("manifests/yolox_nano_416.toml").to_str().expect("UTF-8")])
        .args(arguments)
        .output()
        .expect("stopline starts");
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

fn records(path: &Path) -> Vec<DecisionRecord> {
    let text = std::fs::read_to_string(path).expect("records");
    text.lines().map(|line| serde_json::from_str(line).expect("a record per line")).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn one_run_writes_records_video_and_report_that_agree() {
    let Some(data) = field_data() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| folder.path().join(name);
    let (jsonl, mp4, html) = (path("r.jsonl"), path("v.mp4"), path("r.html"));
    let span = ["--from", "4.8s", "--records", text(&jsonl), "--video", text(&mp4), "--report", text(&html)];
    let output = replay(&data, &data.join("media").join(CLIP), &span);
    assert!(output.status.success());
    let records = records(&jsonl);
    assert_eq!(records.len(), 30, "25 frames a second from 4.8 s to 6 s");
    assert!(
        records
            .windows(2)
            .all(|pair| pair[0].captured_ns < pair[1].captured_ns && pair[0].frame < pair[1].frame)
    );
    assert!(records.iter().all(|record| record.image_size == [960, 540] && record.latency_us.infer > 0));
    assert_eq!((records[0].position_us, records[0].model.digest.len()), (Some(4_800_000), 64));
    let signs = records
        .iter()
        .flat_map(|record| &record.detections)
        .filter(|found| found.label == "stop sign")
        .count();
    assert!(signs >= 20, "{signs} of 30 frames show the stop sign");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("30 frames seen") && said.contains("stop sign") && said.contains("infer"),
        "{said}"
    );
    assert_eq!(frames_in(&mp4).unwrap_or(30), 30);
    look_into(&html, signs);
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 3, "no partial file is left");
}

#[test]
fn an_avi_reads_back_and_every_and_loop_choose_frames() {
    let Some(data) = field_data() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let (jsonl, avi) = (folder.path().join("r.jsonl"), folder.path().join("v.avi"));
    let chosen =
        ["--from", "5.6s", "--loop", "2", "--every", "3", "--records", text(&jsonl), "--video", text(&avi)];
    assert!(replay(&data, &data.join("media").join(CLIP), &chosen).status.success());
    let records = records(&jsonl);
    assert_eq!(records.len(), 7, "every third of twice ten frames");
    let positions: Vec<_> =
        records.iter().map(|record| record.position_us.expect("a recording") / 1000).collect();
    assert_eq!(positions, [5600, 5720, 5840, 5960, 5680, 5800, 5920]);
    assert_eq!(frames_in(&avi).unwrap_or(7), 7);
}

#[test]
fn a_clip_cut_in_half_never_ends_in_silence() {
    let Some(data) = field_data() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let whole = std::fs::read(data.join("media").join(CLIP)).expect("the clip");
    let cut = folder.path().join("cut.mp4");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("writes");
    let jsonl = folder.path().join("r.jsonl");
    let output = replay(&data, &cut, &["--records", text(&jsonl), "--every", "10"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("cut.mp4"), "{told}");
    match output.status.code() {
        // Nothing of it can be read: no records either.
        Some(3) => assert!(!jsonl.exists() || !records(&jsonl).is_empty()),
        Some(0) => assert!(!records(&jsonl).is_empty() && told.contains("skipped")),
        other => panic!("exit code {other:?}"),
    }
}

/// Frames that OpenCV reads from `video`.
fn frames_in(video: &Path) -> Option<usize> {
    let script =
        "import cv2, sys\nclip, n = cv2.VideoCapture(sys.argv[1]), 0\nwhile clip.read()[0]: n += 1\nprint(n)";
    let output = Command::new(python()?).args(["-c", script]).arg(video).output().expect("Python starts");
    let count = String::from_utf8_lossy(&output.stdout).trim().parse();
    Some(count.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    found.into_iter().find(|path| path.exists()).or_else(|| skip("no chromium"))
}

/// Opens the report in a browser: its rows are there after its script ran, and nothing was complained of.
fn look_into(html: &Path, signs: usize) {
    let Some(chromium) = chromium() else { return };
    let profile = tempfile::tempdir().expect("temporary folder");
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", html.display()))
        .output()
        .expect("chromium starts");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaints: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    for expected in [
        "Replay of synthetic_stop_approach.mp4",
        "aria-label=\"stop sign: ",
        "id=\"stages\"",
        "id=\"tip\"",
        "strongest stop sign",
    ] {
        assert!(dom.contains(expected), "{expected} is not in the page");
    }
    assert!(
        dom.contains(&format!("<th scope=\"row\">stop sign</th><td>{signs}</td>")),
        "the table counts {signs} signs"
    );
    for stage in ["capture", "prepare", "infer", "decode", "total"] {
        assert!(dom.contains(&format!("<tr class=\"{stage}\">")), "{stage}");
    }
    assert!(dom.matches("data-tip=").count() > 30, "the script has taken the bars' titles");
}
