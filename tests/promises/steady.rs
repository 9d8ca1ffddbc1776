//! How steady the loop is: the time from a frame to the first command that stands on it, with YOLOX-nano and one 720p camera,
//! the loop at real-time priority and a program that takes all it can get on the other core. Prints medians, 99th percentiles
//! and what the machine itself was not given (steal); asserts no time. Beside each, how steady the machine is: a fixed piece of
//! arithmetic that takes as long, as often, with nothing else on that core.

use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::thread::sched_setaffinity;
use stopline_depot::stream::{Message, Messages};
use stopline_sensors::clock::{Clock as _, SystemClock};
use stopline_tests::daemon::{Bench, Line, connect};
use stopline_tests::{count, field_data, fixtures, skip};

use crate::cores::{cores, only};
use crate::daemon::grey_road;

/// 99th percentile over median of frame-to-command.
const BAR: f64 = 1.25;
/// Of the clip.
const FRAMES_PER_S: usize = 30;
/// About what prepare, inference and decode take here.
const LONG: Duration = Duration::from_millis(14);

#[test]
#[ignore = "takes a minute: cargo test --release --test promises -- --ignored --nocapture steady::"]
fn frame_to_command_beside_a_program_that_takes_the_other_core() {
    let Some(data) = field_data() else {
        return skip("no field data: YOLOX-nano").unwrap_or_default();
    };
    let [.., other, own] = cores()[..] else { return skip("one core alone").unwrap_or_default() };
    for (hogged, period) in [(false, 20), (true, 20), (true, 5)] {
        let stop = Arc::new(AtomicBool::new(false));
        let hog = hogged.then(|| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                sched_setaffinity(None, &only(other)).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        let told = measured(&data, own, period);
        let machine = told.is_some().then(|| arithmetic(own));
        stop.store(true, Ordering::Relaxed);
        hog.into_iter().for_each(|hog| hog.join().unwrap());
        let (Some(told), Some([median, most])) = (told, machine) else { return };
        let beside = if hogged { "beside a hog on the other core" } else { "alone" };
        println!("{beside}, commands every {period} ms: {told}");
        let ratio = most / median;
        println!(
            "  the machine itself: arithmetic of {median:.1} ms median, {most:.1} ms p99, ratio {ratio:.2}"
        );
    }
}

/// Median and 99th percentile, in ms, of arithmetic about as long as the loop takes, at the times of frames, on core `own`.
fn arithmetic(own: usize) -> [f64; 2] {
    let body = move || {
        sched_setaffinity(None, &only(own)).unwrap();
        let clock = SystemClock;
        let work = |steps: u64| {
            let begun = clock.monotonic();
            let sum = (0..steps).fold(1u64, |sum, step| {
                std::hint::black_box(sum.wrapping_mul(0x9E37_79B9).wrapping_add(step))
            });
            std::hint::black_box(sum);
            clock.monotonic().since(begun)
        };
        let once = (0..5).map(|_| work(1_000_000)).min().unwrap();
        let steps = LONG.as_nanos() as u64 * 1_000_000 / once.as_nanos().max(1) as u64;
        let took = (0..count("pieces of arithmetic", 3000, 450)).map(|_| {
            let took = work(steps);
            clock.sleep(Duration::from_millis(1000 / FRAMES_PER_S as u64).saturating_sub(took));
            took.as_micros() as u64
        });
        percentiles(took.collect())
    };
    std::thread::spawn(body).join().unwrap()
}

/// One run of the daemon with its threads on core `own`; `None` where there is no real-time permission.
fn measured(data: &std::path::Path, own: usize, period: u32) -> Option<String> {
    let bench = Bench::new();
    bench.write("road.y4m", &grey_road());
    let model = data.join("models/yolox_nano_416.onnx");
    let manifest = fixtures().join("manifests/yolox_nano_416.toml");
    let named = format!("onnx = {model:?}\nmanifest = {manifest:?}");
    let run = format!(
        "command_period_ms = {period}\nrealtime_priority = 50\ncpu = {own}\ninference_cpus = [{own}]"
    );
    let changes: [(&str, &str); 5] = [
        ("realtime_priority = 0", &run),
        ("source = \"approach.y4m\"\ncalibration = \"front.cal.toml\"", "source = \"road.y4m\"\nloop = true"),
        ("name = \"bright\"\nonnx = \"bright.onnx\"", &format!("name = \"nano\"\n{named}")),
        ("armed = true", "armed = false"),
        ("command = true", "command = false"),
    ];
    let frames = count("frames", 3000, 450);
    let mut daemon = bench.start(&changes);
    daemon.wait("a decision", Duration::from_secs(60), |daemon| {
        daemon.newest().filter(|line| !line.json["decision_age_us"].is_null())
    });
    if daemon.said().contains("not real time") {
        return skip("no real-time permission");
    }
    let before = stolen();
    let mut messages = Messages::new(BufReader::new(connect(&bench)));
    let (mut looked, mut picture) = (Vec::new(), Vec::new());
    while looked.len() < frames {
        let message = messages.next(&mut picture).expect("a message").expect("the stream goes on");
        if let Message::Record(record) = message {
            let took = &record.latency_us;
            let captured = record.captured_ns / 1000;
            looked.push((captured, captured + took.capture + took.prepare + took.infer + took.decode));
        }
    }
    let after = stolen();
    let [steal, ticks] = [0, 1].map(|at| after[at] - before[at]);
    looked.sort_unstable();
    looked.dedup();
    let mut commands = Vec::new();
    let mut received = 0;
    for line in daemon.lines() {
        let Some((decided, frame)) = stands_on(&line, &looked) else { continue };
        // The same decision, to within a microsecond of rounding.
        if decided <= received + 2 {
            continue;
        }
        received = decided;
        commands.push(line.at - frame);
    }
    assert!(commands.len() >= frames / 2, "{} commands of {frames} frames", commands.len());
    let ratio = |[median, most]: [f64; 2]| most / median;
    let looks = looked.iter().map(|(captured, found)| found - captured).collect();
    let [command, look] = [commands, looks].map(percentiles);
    let held = if ratio(command) <= BAR { "held" } else { "MISSED" };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Some(format!(
        "frame to command {:.1} ms median, {:.1} ms p99, ratio {:.2} (bar {BAR}: {held}); of it until all is found {:.1}, {:.1}, ratio {:.2}; steal {:.2} % of all cores' time; load {}",
        command[0],
        command[1],
        ratio(command),
        look[0],
        look[1],
        ratio(look),
        steal as f64 / ticks.max(1) as f64 * 100.0,
        load.split(' ').next().unwrap_or_default(),
    ))
}

/// When the decision was handed over that `line` stands on, and when its frame was taken: the newest in which all was found
/// by then. `looked`: when frames were taken, and when all was found in them.
fn stands_on(line: &Line, looked: &[(u64, u64)]) -> Option<(u64, u64)> {
    let decided = line.at.checked_sub(line.json["decision_age_us"].as_u64()?)?;
    let (frame, _) = *looked.iter().rev().find(|(_, found)| *found <= decided)?;
    // Older ones were taken before the stream was read, or their record had no room.
    (decided - frame < 8_000_000 / FRAMES_PER_S as u64).then_some((decided, frame))
}

/// Median and 99th percentile, in ms.
fn percentiles(mut times: Vec<u64>) -> [f64; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| times[(times.len() * percent / 100).min(times.len() - 1)] as f64 / 1e3)
}

/// Ticks of all cores: stolen, and all.
fn stolen() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|one| one.parse().ok()).collect();
    [ticks.get(7).copied().unwrap_or_default(), ticks.iter().sum()]
}
