//! What the daemon takes: the time from its start to the first decision, and memory, with YOLOX-nano and one 720p camera.
//! Budgets: 150 ms and 48 MiB. Both are measured and printed; what is above its budget stands so in the README. The test
//! fails where the daemon does not decide, or takes twice the memory that was measured.

use std::time::Duration;

use stopline_tests::daemon::{Bench, Daemon, now};
use stopline_tests::{count, field_data, fixtures, skip};

const SIZE: [usize; 2] = [1280, 720];
const FRAMES: usize = 60;
/// MiB of resident memory that are far above what was ever seen (README).
const MOST_MIB: f64 = 128.0;

#[test]
fn from_start_to_first_decision_and_memory_with_one_720p_camera() {
    let Some(data) = field_data() else {
        return skip("no field data: YOLOX-nano").unwrap_or_default();
    };
    let bench = Bench::new();
    bench.write("road.y4m", &grey_road());
    let model = data.join("models/yolox_nano_416.onnx");
    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let named = format!("onnx = {model:?}\nmanifest = {manifest:?}");
    let changes: [(&str, &str); 4] = [
        ("source = \"approach.y4m\"\ncalibration = \"front.cal.toml\"", "source = \"road.y4m\""),
        ("name = \"bright\"\nonnx = \"bright.onnx\"", &format!("name = \"nano\"\n{named}")),
        ("armed = true", "armed = false"),
        ("command = true", "command = false"),
    ];
    let (mut starts, mut memories) = (Vec::new(), Vec::new());
    for _ in 0..count("starts of the daemon", 20, 5) {
        let _ = std::fs::remove_file(bench.path("commands.jsonl"));
        let began = now().as_nanos() / 1_000;
        let mut daemon = bench.start(&changes);
        let decided = daemon.wait("a decision", Duration::from_secs(60), |daemon| {
            daemon.lines().into_iter().find(|line| !line.json["decision_age_us"].is_null())
        });
        starts.push((decided.at - began) as f64 / 1e3);
        std::thread::sleep(Duration::from_millis(600));
        memories.push(resident(&daemon));
    }
    let [start, memory] = [starts, memories].map(|mut all| {
        all.sort_by(f64::total_cmp);
        (all[0], all[all.len() / 2], all[all.len() - 1])
    });
    println!("start to first decision, ms: {:.0} ({:.0}–{:.0}), budget 150", start.1, start.0, start.2);
    println!("resident memory of `run`, MiB: {:.1} ({:.1}–{:.1}), budget 48", memory.1, memory.0, memory.2);
    assert!(memory.1 < MOST_MIB, "{memory:?}");
}

/// VmRSS in MiB, files included.
fn resident(daemon: &Daemon<'_>) -> f64 {
    let path = format!("/proc/{}/status", daemon.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// Two seconds of a grey road in 720p, as a camera without anything to see would show it.
pub(crate) fn grey_road() -> Vec<u8> {
    let [width, height] = SIZE;
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n").into_bytes();
    for frame in 0..FRAMES {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend((0..width * height).map(|pixel| {
            let grain = (pixel.wrapping_mul(2_654_435_761) ^ frame.wrapping_mul(40_503)) >> 7 & 7;
            u8::try_from(60 + 100 * (pixel / width) / height + grain).unwrap()
        }));
        bytes.resize(bytes.len() + width * height / 2, 128);
    }
    bytes
}
