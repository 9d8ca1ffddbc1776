//! `stopline replay` that decides, on real clips with a real detector: the same bytes on every run, from pictures and from
//! recorded detections; differences told field by field; and no brake and no fall where there is nothing to brake or fall for.
//!
//! The signal tracks here are **invented**: the clips have none. They say so themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use stopline_depot::record::DecisionRecord;
use stopline_tests::{field_data, fixtures, full, stopline};

struct Room {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Room {
    fn new() -> Option<Self> {
        Some(Self { data: field_data()?, folder: tempfile::tempdir().expect("temporary folder") })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn clip(&self, name: &str) -> PathBuf {
        self.data.join("media").join(name)
    }

    /// A level camera of about 60° across, 1.3 m above the road: invented, like the tracks.
    fn calibration(&self, [width, height]: [u32; 2]) -> PathBuf {
        let path = self.path(&format!("{width}x{height}.toml"));
        let focal = f64::from(width) * 0.87;
        let text = format!(
            "schema = 1\ncamera = \"replay\"\nmade = \"2026-01-01\"\nfrom = \"parameters\"\npicture = [{width}, {height}]\n\
             [lens]\nmodel = \"brown-conrady\"\nfocal = [{focal:.1}, {focal:.1}]\ncentre = [{:.1}, {:.1}]\n\
             distortion = [0.0, 0.0, 0.0, 0.0, 0.0]\n[mount]\nheight_m = 1.3\npitch_deg = 0.0\nroll_deg = 0.0\n\
             yaw_deg = 0.0\npitch_sigma_deg = 0.5\nfront_m = 1.5\nlateral_m = 0.0\n",
            f64::from(width) / 2.0,
            f64::from(height) / 2.0,
        );
        std::fs::write(&path, text).expect("writes");
        path
    }

    /// A drive at one speed, invented.
    fn track(&self, speed: f64, seconds: u32) -> PathBuf {
        let path = self.path(&format!("{speed}.csv"));
        let mut text = String::from(
            "# stopline signal track, schema 1\n# invented: this clip was recorded without signals\n\
             time_us,speed,yaw_rate,steering_rate,accelerator,brake_pedal\n",
        );
        for tick in 0..seconds * 50 {
            let _ = writeln!(text, "{},{speed},0,0,0.1,0", tick * 20_000);
        }
        std::fs::write(&path, text).expect("writes");
        path
    }

    fn replay(&self, model: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(stopline());
        command.arg("replay").args(arguments);
        if !arguments.contains(&"--detections") {
            command.arg("--model").arg(self.data.join(format!("models/{model}.onnx")));
            command.arg("--manifest").arg(fixtures().join(format!("manifests/{model}.toml")));
        }
        let output = command.output().expect("stopline starts");
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        output
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn records(path: &Path) -> Vec<DecisionRecord> {
    let lines = std::fs::read_to_string(path).expect("records");
    lines.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[test]
fn the_same_drive_gives_the_same_bytes_from_pictures_and_from_detections_and_a_difference_is_told() {
    let Some(room) = Room::new() else { return };
    let clip = room.clip("drive/synthetic_stop_approach.mp4");
    let (track, lens) = (room.track(12.4, 10), room.calibration([960, 540]));
    let [first, second, again] = ["first", "second", "again"].map(|name| room.path(&format!("{name}.jsonl")));
    let deciding = ["--signals", text(&track), "--calibration", text(&lens)];
    let run = |records: &Path, more: &[&str]| {
        let mut arguments = vec![text(&clip), "--from", "4.8s", "--records", text(records)];
        arguments.extend(deciding);
        arguments.extend(more);
        room.replay("yolox_nano_416", &arguments)
    };
    assert!(run(&first, &[]).status.success());
    let compared = run(&second, &["--diff", text(&first)]);
    assert!(compared.status.success());
    assert!(String::from_utf8_lossy(&compared.stdout).contains("30 records, no difference"));
    let bytes = std::fs::read(&first).expect("records");
    assert!(bytes == std::fs::read(&second).expect("records"), "two runs differ");
    look_into(&records(&first));

    let functions = ["--functions", "stop_sign,pedestrian"];
    let mut redecide = vec!["--detections", text(&first), "--records", text(&again)];
    redecide.extend(deciding);
    redecide.extend(functions);
    assert!(room.replay("", &redecide).status.success());
    assert!(bytes == std::fs::read(&again).expect("records"), "from recorded detections it differs");

    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let manifest = std::fs::read_to_string(manifest).expect("manifest");
    let other = manifest.replace("stop_sign = [\"stop sign\"]", "stop_sign = [\"traffic light\"]");
    assert!(other != manifest, "the fixture says it in another way");
    std::fs::write(room.path("other.toml"), other).expect("writes");
    let other = room.path("other.toml");
    redecide.extend(["--manifest", text(&other)]);
    assert!(room.replay("", &redecide).status.success());
    let roles = |path: &Path| -> Vec<String> {
        records(path)
            .into_iter()
            .flat_map(|record| record.tracks.unwrap_or_default())
            .map(|track| track.role)
            .collect()
    };
    assert!(roles(&first).contains(&"stop_sign".to_owned()));
    assert!(
        !roles(&again).contains(&"stop_sign".to_owned()),
        "with this manifest the label counts for nothing"
    );

    let changed = room.path("changed.jsonl");
    let one = String::from_utf8(bytes).expect("UTF-8").replacen("\"speed\":12.4", "\"speed\":12.0", 1);
    std::fs::write(&changed, one).expect("writes");
    let told = run(&second, &["--diff", text(&changed)]);
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told.status.code(), Some(11));
    assert!(said.contains("ego.speed: 12.0 → 12.4") && said.contains("by field: ego.speed 1"), "{said}");
    assert!(run(&second, &["--diff", text(&changed), "--tolerance", "speed=0.5"]).status.success());
    assert!(run(&second, &["--diff", text(&changed), "--ignore", "ego"]).status.success());
}

fn look_into(records: &[DecisionRecord]) {
    assert_eq!(records.len(), 30);
    for record in records {
        assert_eq!(record.latency_us.total(), 0, "virtual time has no latency of its own");
        let tracks = record.tracks.as_ref().expect("decided");
        for (track, at) in tracks.iter().filter_map(|track| Some((track, track.detection?))) {
            assert_eq!(record.detections[usize::from(at)].track, Some(track.id));
        }
        assert!(record.state.is_some() && record.command.is_some() && record.ego.is_some());
    }
    let followed =
        records.iter().filter(|record| record.detections.iter().any(|found| found.track.is_some()));
    assert!(followed.count() > 20, "the sign is followed");
    let ages: Vec<_> = records.iter().filter_map(|record| record.command.as_ref()?.object_age_us).collect();
    assert!(ages.iter().all(|age| (50_000..=70_000).contains(age)), "{ages:?}");
}

#[test]
fn a_configuration_decides_as_the_command_line_does_and_the_report_tells_it() {
    let Some(room) = Room::new() else { return };
    let clip = room.clip("drive/synthetic_stop_approach.mp4");
    let (track, lens) = (room.track(12.4, 10), room.calibration([960, 540]));
    let manifest =
        std::fs::read_to_string(fixtures().join("manifests/yolox_nano_416.toml")).expect("manifest");
    std::fs::write(room.path("model.toml"), manifest).expect("writes");
    let config = format!(
        "schema = 1\n[[camera]]\nname = \"front\"\nsource = \"/dev/video0\"\nfunctions = [\"stop_sign\", \"pedestrian\"]\n\
         calibration = {lens:?}\n[[model]]\nname = \"m\"\nonnx = {:?}\nmanifest = \"model.toml\"\n",
        room.data.join("models/yolox_nano_416.onnx"),
    );
    std::fs::write(room.path("stopline.toml"), config).expect("writes");
    let (config, html, jsonl) = (room.path("stopline.toml"), room.path("r.html"), room.path("r.jsonl"));
    let output = Command::new(stopline())
        .args(["replay", text(&clip), "--from", "5.2s", "--config", text(&config), "--signals", text(&track)])
        .args(["--report", text(&html), "--records", text(&jsonl)])
        .output()
        .expect("stopline starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("decided on 20 frames"), "{said}");
    let page = std::fs::read_to_string(&html).expect("report");
    assert!(
        page.contains("id=\"decided\"") && page.contains("this is what would have been sent"),
        "no story in the page"
    );
    assert!(records(&jsonl).iter().all(|record| record.state.is_some()));
}

/// A real clip and what is invented around it.
struct Negative {
    clip: &'static str,
    size: [u32; 2],
    /// Invented speed of a clip from a car, in m/s; `None`: the camera hangs on a wall and looks for falls.
    speed: Option<f64>,
    /// How much of it the gate plays, in seconds.
    gate: &'static str,
}

const NEGATIVES: [Negative; 6] = [
    Negative { clip: "drive/udacity_highway_38f.mp4", size: [1280, 720], speed: Some(25.0), gate: "2s" },
    Negative { clip: "drive/udacity_solidWhiteRight.mp4", size: [960, 540], speed: Some(25.0), gate: "2s" },
    Negative { clip: "drive/parking_car-detection.mp4", size: [768, 432], speed: None, gate: "4s" },
    Negative { clip: "pedestrian/person-bicycle-car.mp4", size: [480, 270], speed: None, gate: "4s" },
    Negative {
        clip: "pedestrian/one-by-one-person-detection.mp4",
        size: [768, 432],
        speed: None,
        gate: "5s",
    },
    Negative { clip: "fall/fall_sequence_1fps.avi", size: [640, 480], speed: None, gate: "6s" },
];

#[test]
fn real_clips_lead_to_no_brake_and_no_fall() {
    let Some(room) = Room::new() else { return };
    let models: &[&str] =
        if full() { &["yolox_nano_416", "nanodet_m_320", "fastestdet_352"] } else { &["yolox_nano_416"] };
    let mut events = Vec::new();
    for model in models {
        for negative in &NEGATIVES {
            events.extend(negative.play(&room, model));
        }
    }
    // Each event that does occur is looked at by eye, and those that are right are named here with what is seen.
    assert!(events.is_empty(), "{}", events.join("\n"));
}

impl Negative {
    /// Brakes, hold, falls and faults that the records tell of.
    fn play(&self, room: &Room, model: &str) -> Vec<String> {
        let jsonl = room.path("negative.jsonl");
        let (clip, lens) = (room.clip(self.clip), room.calibration(self.size));
        let mut arguments = vec![text(&clip), "--records", text(&jsonl)];
        if !full() {
            arguments.extend(["--to", self.gate]);
        }
        let track = room.track(self.speed.unwrap_or(0.0), 200);
        match self.speed {
            Some(_) => arguments.extend(["--signals", text(&track), "--calibration", text(&lens)]),
            None => arguments.extend(["--functions", "fall"]),
        }
        assert!(room.replay(model, &arguments).status.success(), "{}", self.clip);
        let mut told = Vec::new();
        for record in records(&jsonl) {
            let at = record.position_us.unwrap_or_default() as f64 * 1e-6;
            let place = format!("{model}, {}, {at:.2} s (frame {})", self.clip, record.frame);
            for fault in &record.faults {
                told.push(format!("{place}: fault {fault}"));
            }
            for situation in record.situations.iter().flatten() {
                let acts = matches!(situation.phase.as_str(), "braking" | "holding")
                    || (situation.kind == "fall"
                        && matches!(situation.phase.as_str(), "confirmed" | "warning"));
                if acts {
                    told.push(format!("{place}: {} {} {}", situation.kind, situation.id, situation.phase));
                }
            }
            let command = record.command.expect("decided");
            if command.deceleration > 0.0 || command.persons_down > 0 {
                told.push(format!("{place}: {} {} m/s²", command.row, command.deceleration));
            }
        }
        told
    }
}

#[test]
fn events_of_the_synthetic_fall_are_scored_and_this_is_plumbing_not_proof() {
    let Some(room) = Room::new() else { return };
    let (clip, jsonl) = (room.clip("fall/synthetic_fall.mp4"), room.path("r.jsonl"));
    let whole = std::fs::read(clip.with_extension("truth.json")).expect("truth");
    let known: Value = serde_json::from_slice(&whole).expect("JSON");
    let second = |key: &str| known[key].as_f64().expect("a frame") / known["fps"].as_f64().expect("a rate");
    let truth = serde_json::json!({
        "schema": 1, "clip": "synthetic_fall.mp4", "note": "synthetic pictures: a check of the plumbing",
        "events": [{"kind": "fall", "from_s": second("fall_start_frame"), "to_s": 6.0,
                    "visible_from_s": second("on_floor_frame")}],
    });
    std::fs::write(room.path("truth.json"), truth.to_string()).expect("writes");
    let arguments = [text(&clip), "--functions", "fall", "--records", text(&jsonl)];
    assert!(room.replay("yolox_nano_416", &arguments).status.success());
    let output = Command::new(stopline())
        .args(["eval", text(&jsonl), "--events", text(&room.path("truth.json")), "--json"])
        .output()
        .expect("stopline starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdict: Value = serde_json::from_str(&said).expect("JSON");
    let all = verdict["kinds"].as_array().expect("kinds").last().expect("all").clone();
    assert_eq!(all["events"], 1);
    assert!(all["wrong_per_hour_at_most"].as_f64().expect("hours") > 0.0);
    assert!((verdict["hours"].as_f64().expect("hours") * 3600.0 - 5.95).abs() < 0.1);
}
