//! `stopline check`: a configuration that passes, and each refusal with its message and exit code.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use stopline_tests::{field_data, fixtures, stopline};

const CONFIG: &str = r#"schema = 1
[[camera]]
name = "front"
source = "pattern:1280x720@30"
calibration = "front.cal.toml"
functions = ["stop_sign", "pedestrian"]
[[model]]
name = "nano"
onnx = "nano.onnx"
manifest = "nano.toml"
[vehicle]
source = "constant"
[vehicle.constant]
speed = 10.0
accelerator = 0.0
steering_angle = 0.0
[[actuator]]
kind = "can"
name = "brake"
interface = "can0"
[check]
stop_sign_kmh = 20
pedestrian_kmh = 20
[check.recall]
nano = "nano.eval.json"
[check.bench]
nano = "nano.bench.json"
"#;

/// A folder with everything `CONFIG` names: a lens of 60 degrees, a model whose recall is measured as `bins` say
/// (heights from, to, labelled, found), 40 ms per frame.
struct Bench {
    folder: tempfile::TempDir,
    sha256: String,
}

type Bin = (f64, Option<f64>, usize, usize);

/// What a good model of this size reaches; not measured.
const GOOD: [Bin; 4] = [
    (0.0, Some(8.0), 80, 4),
    (8.0, Some(12.0), 80, 60),
    (12.0, Some(17.0), 200, 198),
    (17.0, None, 400, 399),
];

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("nano.onnx"), b"the digest is all that is asked of this file").unwrap();
        std::fs::copy(fixtures().join("manifests/yolox_nano_416.toml"), at("nano.toml")).unwrap();
        let made = Command::new(stopline())
            .current_dir(folder.path())
            .args(["calibrate", "parameters", "--picture", "1280x720", "--hfov", "60", "--camera", "front"])
            .args(["--out", "front.cal.toml", "--height", "1.3", "--front", "1.6"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let sha256 = stopline::check::measured::digest(&at("nano.onnx")).unwrap();
        let bench = Self { folder, sha256 };
        bench.recall(&GOOD, 0.40);
        bench.timing(40_000, 1);
        bench
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn recall(&self, bins: &[Bin], score: f64) {
        let bin = |&(from, to, truths, found): &Bin| json!({"from": from, "to": to, "truths": truths, "found": found, "found_at_threshold": found});
        let bins: Vec<Value> = bins.iter().map(bin).collect();
        let category =
            |name: &str| json!({"name": name, "operating": {"score": score}, "by_input_height": bins});
        let file = json!({"subject": {"sha256": self.sha256}, "categories": [category("person"), category("stop sign")]});
        std::fs::write(self.path().join("nano.eval.json"), file.to_string()).unwrap();
    }

    fn timing(&self, p99_us: u64, threads: u64) {
        let file = json!({"sha256": self.sha256, "backend": "kernels", "threads": threads, "width": 1280, "height": 720,
                          "frames": 200, "stages_us": {"total": {"p99": p99_us}}});
        std::fs::write(self.path().join("nano.bench.json"), file.to_string()).unwrap();
    }

    fn check(&self, config: &str, arguments: &[&str]) -> Output {
        std::fs::write(self.path().join("stopline.toml"), config).unwrap();
        Command::new(stopline())
            .current_dir(self.path())
            .args(["check", "--config", "stopline.toml"])
            .args(arguments)
            .output()
            .expect("stopline starts")
    }

    /// Refused with exit code 12 and these words.
    fn refused(&self, config: &str, words: &[&str]) {
        self.ends_with(12, config, words);
    }

    /// Not even read: exit code 7 and these words.
    fn unreadable(&self, config: &str, words: &[&str]) {
        self.ends_with(7, config, words);
    }

    fn ends_with(&self, code: i32, config: &str, words: &[&str]) {
        let output = self.check(config, &[]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(plain.contains(word), "{word:?} is not in:\n{said}");
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn changed(from: &str, to: &str) -> String {
    assert!(CONFIG.contains(from), "{from:?}");
    CONFIG.replacen(from, to, 1)
}

#[test]
fn a_configuration_that_can_do_it_passes_and_shows_its_arithmetic() {
    let bench = Bench::new();
    let output = bench.check(CONFIG, &[]);
    let text = said(&output);
    println!("{text}");
    assert!(output.status.success(), "{text}");
    for words in
        ["recall needed", "recognised", "time lost", "at 20 km/h", "highest speed", "light to command"]
    {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 112), "{text}");
    let output = bench.check(CONFIG, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["verdict"], "warning", "constants and a lens from parameters are warned of");
    let proof = &report["cameras"][0]["functions"][0]["proof"];
    // 360.3 px on the input, as SAFETY's arithmetic has it: (1280 / 2 / tan 30°) × 416 / 1280.
    assert!((proof["focal_on_input"].as_f64().unwrap() - 360.3).abs() < 0.1, "{proof}");
    // Recognised from √(12 × 17) = 14.3 px: 360.3 × 0.75 / 14.3 − 1.6 = 17.3 m.
    assert!((proof["seen"].as_f64().unwrap() - 17.3).abs() < 0.1, "{proof}");
    // v²/2a + v·T + gap = seen.
    let approach = &proof["approach"];
    let number = |value: &Value| value.as_f64().unwrap();
    let brake = &approach["brake"];
    let time = number(&approach["latency"])
        + number(&approach["confirmation"])
        + number(&brake["lag"])
        + number(&brake["deceleration"]) / (2.0 * number(&brake["ramp"]));
    let v = number(&proof["highest_kmh"]) / 3.6;
    let sum = v * time + v * v / (2.0 * number(&brake["deceleration"])) + number(&brake["gap"]);
    assert!((sum - number(&proof["seen"])).abs() < 1e-6, "{sum}");
}

#[test]
fn a_speed_beyond_the_camera_is_refused_and_never_passed() {
    let bench = Bench::new();
    bench.refused(
        &changed("stop_sign_kmh = 20", "stop_sign_kmh = 50"),
        &[
            "50 km/h is not reachable with this camera",
            "times as many input pixels per degree",
            "check.stop_sign_kmh =",
        ],
    );
    // A model that sees only what is near sees nothing in time.
    bench.recall(&[(0.0, Some(56.0), 200, 10), (56.0, None, 200, 120)], 0.40);
    bench.refused(CONFIG, &["not reachable with this camera at any speed", "at no measured height"]);
    // Half a second more before the brake.
    bench.recall(&GOOD, 0.40);
    let slower = CONFIG.replace("[check]", "[stop_sign]\nbrake_lag_s = 1.8\n[check]");
    bench.refused(&slower, &["20 km/h is not reachable with this camera"]);
    bench.refused(
        &changed("[check]\n", "[check]\nappears_s = 0.9\n"),
        &["who appears late is not stopped for", "0.90 s until the collision"],
    );
}

#[test]
fn what_is_not_measured_is_refused_with_what_to_run() {
    let bench = Bench::new();
    bench.refused(
        &changed("[check.recall]\nnano = \"nano.eval.json\"\n", ""),
        &["not proven: no measured recall", "stopline eval LABELS.json", "--at 0.40"],
    );
    bench.refused(
        &changed("[check.bench]\nnano = \"nano.bench.json\"\n", ""),
        &["not known how long a frame takes", "stopline bench --model nano.onnx"],
    );
    bench.refused(
        &changed("calibration = \"front.cal.toml\"\n", ""),
        &["distances need a calibrated camera", "stopline calibrate lens"],
    );
    bench.refused(&changed("stop_sign_kmh = 20\n", ""), &["no speed is asked for"]);
    bench.recall(&GOOD, 0.25);
    bench.refused(CONFIG, &["recall was measured from score 0.25 on", "stopline eval --at 0.40"]);
    bench.recall(&GOOD, 0.40);
    bench.timing(40_000, 4);
    bench.refused(CONFIG, &["measured with kernels on 4 thread(s)"]);
    bench.timing(40_000, 1);
    std::fs::write(bench.path().join("nano.onnx"), b"another model").unwrap();
    bench.refused(CONFIG, &["nano.eval.json: measured with a model of SHA-256", "measure this one"]);
}

#[test]
fn wiring_that_cannot_work_is_named() {
    let bench = Bench::new();
    bench.refused(
        &changed("pattern:1280x720@30", "pattern:640x480@30"),
        &["gives pictures of 640x480, its calibration is for 1280x720"],
    );
    bench.refused(
        &changed("nano.toml", "none.toml"),
        &["none.toml: cannot read the manifest", "stopline model manifest"],
    );
    bench.refused(&changed("speed = 10.0\n", ""), &["no ego speed: no brake would ever begin"]);
    bench.refused(&changed("steering_angle = 0.0\n", ""), &["the driver could not take over"]);
    let slow =
        changed("functions = [\"stop_sign\", \"pedestrian\"]", "functions = [\"fall\"]").replace("@30", "@2");
    bench.refused(&slow, &["fall.min_frame_rate asks for", "nobody would be told of a fall"]);
    let manifest = std::fs::read_to_string(bench.path().join("nano.toml")).unwrap();
    std::fs::write(bench.path().join("nano.toml"), manifest.replace("stop_sign = [\"stop sign\"]\n", ""))
        .unwrap();
    bench.refused(CONFIG, &["no model looks for a sign by day", "[roles]"]);
    std::fs::write(bench.path().join("nano.toml"), manifest).unwrap();
    let dbc = "VERSION \"\"\nNS_ :\nBS_:\nBU_: A\nBO_ 100 Brake: 8 A\n SG_ Request : 0|8@1+ (0.1,0) [0|25] \"\" A\n SG_ Ok : 8|1@1+ (1,0) [0|1] \"\" A\n";
    std::fs::write(bench.path().join("car.dbc"), dbc).unwrap();
    let can = "interface = \"can0\"\ndbc = \"car.dbc\"\nmessage = \"Brake\"\nsignals = { deceleration = \"Reqest\", valid = \"Ok\" }";
    bench.refused(&changed("interface = \"can0\"", can), &["has no signal Reqest", "Request"]);
    bench.unreadable(
        &changed("pedestrian_kmh = 20", "pedestrian_kmh = 900"),
        &["check.pedestrian_kmh: found 900, expected 1 to 150"],
    );
    bench.unreadable(&changed("[check.recall]\nnano", "[check.recall]\nnono"), &["check.recall.nono"]);
}

/// Labels made from the reference detections: they prove that the two commands fit together, nothing about the model.
#[test]
fn what_eval_measures_is_what_check_reads() {
    let Some(data) = field_data() else { return };
    let bench = Bench::new();
    let oracle: Value =
        serde_json::from_slice(&std::fs::read(data.join("oracle/yolox_nano_416.json")).unwrap()).unwrap();
    let images =
        oracle["images"].as_object().unwrap().iter().filter(|(name, _)| name.ends_with(".jpg")).take(6);
    let (mut pictures, mut boxes) = (Vec::new(), Vec::new());
    for (id, (name, found)) in images.enumerate() {
        pictures.push(json!({"id": id + 1, "file_name": name}));
        for one in found
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["label"] == "person" || one["label"] == "stop sign")
        {
            let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|i| one["box"][i].as_f64().unwrap());
            let category = if one["label"] == "person" { 1 } else { 2 };
            boxes.push(json!({"id": boxes.len() + 1, "image_id": id + 1, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1],
                              "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}));
        }
    }
    let count = boxes.len();
    let labels = json!({"images": pictures, "annotations": boxes, "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "stop sign"}]});
    std::fs::write(bench.path().join("labels.json"), labels.to_string()).unwrap();
    let model = data.join("models/yolox_nano_416.onnx");
    let output = Command::new(stopline())
        .current_dir(bench.path())
        .args(["eval", "labels.json", "--at", "0.40", "--json", "nano.eval.json"])
        .arg("--images")
        .arg(data.join("media"))
        .arg("--model")
        .arg(&model)
        .arg("--manifest")
        .arg(fixtures().join("manifests/yolox_nano_416.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let measured: Value =
        serde_json::from_slice(&std::fs::read(bench.path().join("nano.eval.json")).unwrap()).unwrap();
    let truths = |category: &Value| -> u64 {
        category["by_input_height"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bin| bin["truths"].as_u64().unwrap())
            .sum()
    };
    let all: u64 = measured["categories"].as_array().unwrap().iter().map(truths).sum();
    assert_eq!(all, count as u64, "every label has a height on the input");
    std::fs::copy(&model, bench.path().join("nano.onnx")).unwrap();
    let bench_file = json!({"sha256": stopline::check::measured::digest(&model).unwrap(), "backend": "kernels", "threads": 1,
                            "width": 1280, "height": 720, "frames": 200, "stages_us": {"total": {"p99": 40_000}}});
    std::fs::write(bench.path().join("nano.bench.json"), bench_file.to_string()).unwrap();
    let report: Value = serde_json::from_slice(&bench.check(CONFIG, &["--json"]).stdout).expect("JSON");
    let sign = &report["cameras"][0]["functions"][0];
    // Six pictures are far too few to prove anything, and it says so.
    assert_eq!((&sign["verdict"], &sign["proof"]["recognised"]), (&json!("refused"), &Value::Null), "{sign}");
}
