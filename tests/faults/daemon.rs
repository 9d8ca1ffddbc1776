//! The running daemon: what it sends when eyes, model, process or machine fail in the middle of a brake, and what a brake
//! controller makes of it.

use std::io::{BufReader, Read as _};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};
use stopline_decide::cause::Cause;
use stopline_decide::command::Command;
use stopline_decide::e2e::{Protection, Sender};
use stopline_decide::frame::{LENGTH, Payload};
use stopline_decide::receiver::{Brakes, Link, Receiver, ReceiverConfig, Wheels};
use stopline_decide::time::Nanos;
use stopline_depot::stream::{Message, Messages};
use stopline_tests::daemon::{Bench, Daemon, Line, MANIFEST, connect, heavy, rewrite};

const SECOND: Duration = Duration::from_secs(1);
/// Most time from the last picture to the table's command on its way, at 30 frames a second (SAFETY.md).
const LOST_LIMIT_US: u64 = 150_000;
/// `command.max_blind_s`.
const BLIND_US: u64 = 500_000;
/// `command.release_jerk`, in m/s³, with room for a period that came late.
const RELEASE_JERK: f64 = 10.0;
/// `run.command_period_ms`.
const PERIOD_US: u64 = 20_000;
/// Three periods and one step of the receiver.
const TIMEOUT: Nanos = Nanos::from_millis(65);

/// Arms while the car stands.
fn arm(bench: &Bench, daemon: &mut Daemon<'_>) {
    daemon.wait("the start", 30 * SECOND, |daemon| {
        daemon.newest().filter(|line| line.text("cause").is_empty())
    });
    let told = std::process::Command::new(stopline_tests::stopline())
        .args(["arm", "--config"])
        .arg(bench.path("stopline.toml"))
        .output()
        .expect("stopline starts");
    let said = String::from_utf8_lossy(&told.stderr).into_owned() + &String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}");
    assert!(said.contains("armed by command at standstill"), "{said}");
}

#[test]
fn a_camera_lost_in_mid_brake_is_answered_within_150_ms_and_the_brake_runs_out() {
    let bench = Bench::new();
    // A machine that does not let the loop run is told by the loop itself; then nothing is proven, and it is tried again.
    for _ in 0..3 {
        let _ = std::fs::remove_file(bench.path("commands.jsonl"));
        let mut daemon = bench.start(&[]);
        daemon.wait_for_brake(1.0);
        daemon.wait("the end of the brake", 20 * SECOND, |daemon| {
            let line = daemon.newest()?;
            (line.text("cause") == "camera_lost" && line.number("deceleration") <= 0.0 && !line.is("valid"))
                .then_some(())
        });
        let lines = daemon.lines();
        let at = lines.iter().position(|line| line.text("cause") == "camera_lost").expect("was told");
        let seen = lines.iter().filter_map(Line::captured).max().expect("was seen");
        let answered = lines[at].at - seen;
        println!("last picture to the table's command: {} ms", answered / 1000);
        let kept = lines.windows(2).all(|pair| pair[1].at - pair[0].at < 2 * PERIOD_US);
        if answered > LOST_LIMIT_US && !kept {
            println!("the machine did not let the loop run; again");
            continue;
        }
        assert!(answered <= LOST_LIMIT_US, "{answered} us");
        runs_out(&lines[at - 1..]);
        return;
    }
    panic!("the machine never let the loop run; nothing was proven");
}

/// The last value for at most the blind time, then down within the release jerk, then not valid.
fn runs_out(lines: &[Line]) {
    let braking = lines[0].number("deceleration");
    assert!(braking > 0.0, "{:?}", lines[0]);
    for pair in lines.windows(2) {
        let (before, after) = (pair[0].number("deceleration"), pair[1].number("deceleration"));
        #[allow(clippy::cast_precision_loss)]
        let seconds = (pair[1].at - pair[0].at) as f64 / 1e6;
        assert!(after <= before + 1e-3, "rises while blind: {pair:?}");
        assert!(before - after <= RELEASE_JERK * (seconds + 0.005) + 1e-3, "falls too fast: {pair:?}");
        assert!(pair[1].is("valid") || after <= 0.0, "not valid while it runs out: {pair:?}");
    }
    let since = lines[0].at;
    let kept = lines.iter().take_while(|line| line.number("deceleration") >= braking - 1e-3);
    let kept = kept.last().map_or(0, |line| line.at - since);
    assert!(kept <= BLIND_US + 3 * PERIOD_US, "last value kept for {kept} us");
}

/// A brake controller that hears what was logged, as frames. Steps every 5 ms.
struct Controller {
    receiver: Receiver,
    sender: Sender,
    now: Nanos,
}

impl Controller {
    fn new() -> Self {
        let config = ReceiverConfig::default();
        let sender = Sender::new(Protection::default(), LENGTH).expect("protects eight bytes");
        Self { receiver: Receiver::new(config).expect("a receiver"), sender, now: Nanos::default() }
    }

    fn hear(&mut self, line: &Line) -> Brakes {
        let at = Nanos(line.at * 1000);
        if self.now == Nanos::default() {
            self.now = at;
        }
        self.step_until(at);
        let mut frame = payload(line).pack();
        assert!(self.sender.protect(&mut frame));
        self.receiver.receive(at, &frame);
        self.step_until(at.plus(Nanos(1)))
    }

    fn step_until(&mut self, until: Nanos) -> Brakes {
        let wheels = Wheels { speed: 10.0, ..Wheels::default() };
        let mut brakes = self.receiver.step(self.now, &wheels);
        while self.now < until {
            self.now = self.now.plus(Nanos::from_millis(5)).min(until);
            brakes = self.receiver.step(self.now, &wheels);
        }
        brakes
    }

    /// From silence on: timed out in three periods, and the brake runs out within the receiver's own jerk.
    fn times_out(&mut self) {
        let config = ReceiverConfig::default();
        let begun = self.now;
        let braking = self.step_until(begun);
        assert!(braking.link == Link::Alive && braking.requested > 0.5, "{braking:?}");
        let dead = self.step_until(begun.plus(TIMEOUT));
        assert_eq!(dead.link, Link::TimedOut, "{dead:?}");
        let mut before = dead.requested;
        for _ in 0..400 {
            let now = self.now.plus(Nanos::from_millis(5));
            let brakes = self.step_until(now);
            assert!(before - brakes.requested <= config.max_jerk * 0.0051, "falls too fast");
            assert!(brakes.requested <= before, "rises without a sender");
            before = brakes.requested;
        }
        assert!(before <= 0.0 && !self.step_until(self.now).hold, "still braking");
    }
}

/// The command of a line, as it went onto the bus.
fn payload(line: &Line) -> Payload {
    #[allow(clippy::cast_possible_truncation)]
    let command = Command {
        valid: line.is("valid"),
        armed: line.is("armed"),
        deceleration: line.number("deceleration") as f32,
        hold: line.is("hold"),
        cause: Cause::from_code(line.text("cause")),
        ..Command::default()
    };
    Payload::from(&command)
}

/// Lets the controller hear everything that was sent.
fn heard(daemon: &Daemon<'_>) -> Controller {
    let mut controller = Controller::new();
    for line in daemon.lines() {
        controller.hear(&line);
    }
    controller
}

#[test]
fn killed_in_mid_brake_it_sends_nothing_more_and_the_receiver_times_out() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[]);
    arm(&bench, &mut daemon);
    daemon.wait_for_brake(1.0);
    daemon.signal(Signal::KILL);
    daemon.ended(5 * SECOND);
    let lines = daemon.lines().len();
    std::thread::sleep(SECOND / 5);
    assert_eq!(daemon.lines().len(), lines, "something still sends");
    heard(&daemon).times_out();
}

#[test]
fn stopped_in_mid_brake_it_sends_nothing_and_afterwards_nothing_old() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[]);
    arm(&bench, &mut daemon);
    daemon.wait_for_brake(1.0);
    daemon.signal(Signal::STOP);
    std::thread::sleep(SECOND / 10); // what was on its way into the file is there
    let stopped = daemon.lines().len();
    std::thread::sleep(SECOND / 2);
    assert_eq!(daemon.lines().len(), stopped, "a stopped process sends");
    heard(&daemon).times_out();
    daemon.signal(Signal::CONT);
    daemon.wait("going on", 5 * SECOND, |daemon| (daemon.lines().len() > stopped + 5).then_some(()));
    let lines = daemon.lines();
    let (before, after) = (&lines[stopped - 1], &lines[stopped]);
    assert!(after.at - before.at >= 300_000, "sent while stopped: {before:?} {after:?}");
    // One period at most was begun before the stop; from then on none is made up for.
    let burst = lines[stopped..].windows(2).filter(|pair| pair[1].at - pair[0].at < PERIOD_US / 4).count();
    assert!(burst <= 1, "{burst} periods were made up for");
    assert!(daemon.said().contains("periods were not kept"), "{}", daemon.said());
}

#[test]
fn out_of_memory_in_mid_brake_it_sends_nothing_more_and_the_receiver_times_out() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[]);
    arm(&bench, &mut daemon);
    daemon.wait_for_brake(1.0);
    // No further page: the next allocation that needs one fails, and one that fails ends the process.
    let maximum = getrlimit(Resource::Data).maximum;
    let limited = prlimit(Some(daemon.pid()), Resource::Data, Rlimit { current: Some(1 << 20), maximum });
    limited.expect("may be limited");
    // Somebody who looks on: the first picture for the stream needs memory that was never needed before.
    let _reader = connect(&bench);
    let ended = daemon.ended(20 * SECOND);
    assert!(!ended.success(), "{ended:?}");
    let lines = daemon.lines().len();
    std::thread::sleep(SECOND / 5);
    assert_eq!(daemon.lines().len(), lines, "something still sends");
    heard(&daemon).times_out();
}

#[test]
fn ended_in_mid_brake_it_lets_the_brake_run_out_and_sends_its_last_command() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[]);
    daemon.wait_for_brake(1.0);
    daemon.signal(Signal::TERM);
    let status = daemon.ended(20 * SECOND);
    assert_eq!(status.code(), Some(0), "{}", daemon.said());
    let lines = daemon.lines();
    let last = lines.last().expect("lines");
    assert!(last.number("deceleration") <= 0.0 && !last.is("valid"), "{last:?}");
    let falls = lines.iter().rposition(|line| line.number("deceleration") > 0.0).expect("it braked");
    for pair in lines[falls.saturating_sub(60)..=falls].windows(2) {
        let (before, after) = (pair[0].number("deceleration"), pair[1].number("deceleration"));
        #[allow(clippy::cast_precision_loss)]
        let seconds = (pair[1].at - pair[0].at) as f64 / 1e6;
        assert!(before - after <= RELEASE_JERK * (seconds + 0.005) + 1e-3, "falls too fast: {pair:?}");
    }
    assert_eq!(daemon.health().expect("a last health file").state.name, "stopped");
    for gone in ["run/stream.sock", "commands.jsonl.partial"] {
        assert!(!bench.path(gone).exists(), "{gone} was left behind");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[]);
    daemon.wait_for_brake(1.0);
    daemon.signal(Signal::INT);
    // The first one lets the brake run out, which takes most of a second.
    std::thread::sleep(SECOND / 10);
    let before = daemon.now();
    daemon.signal(Signal::TERM);
    let status = daemon.ended(5 * SECOND);
    assert_eq!(status.code(), Some(9), "{}", daemon.said());
    println!("ended {} ms after the second signal", (daemon.now() - before) / 1000);
}

#[test]
fn a_model_that_does_not_answer_in_time_is_a_fault_and_the_loop_goes_on() {
    let bench = Bench::new();
    bench.write("heavy.onnx", &heavy());
    bench.write("heavy.toml", MANIFEST.as_bytes());
    let mut daemon =
        bench.start(&[("bright.onnx", "heavy.onnx"), ("approach.y4m\"", "approach.y4m\"\nloop = true")]);
    daemon.wait("the fault", 60 * SECOND, |daemon| {
        daemon.newest().filter(|line| line.text("cause") == "inference_stalled")
    });
    let seen = daemon.lines().len();
    daemon.wait("further commands", 20 * SECOND, |daemon| (daemon.lines().len() > seen + 50).then_some(()));
    let lines = daemon.lines();
    assert!(
        lines[seen..].iter().all(|line| line.number("deceleration") <= 0.0),
        "a stalled model begins a brake"
    );
    let health = daemon.wait("a health file that says so", 10 * SECOND, |daemon| {
        daemon.health().filter(|health| health.faults.iter().any(|fault| fault == "inference_stalled"))
    });
    assert!(matches!(health.state.name.as_str(), "fail_safe" | "degraded"), "{:?}", health.state);
    assert!(health.cameras[0].replaced > 0, "{:?}", health.cameras[0]);
}

#[test]
fn one_of_two_cameras_lost_degrades_only_its_functions() {
    let bench = Bench::new();
    let second = "[[model]]\nname = \"bright\"";
    let with = "[[camera]]\nname = \"rear\"\nsource = \"approach.y4m\"\nloop = true\nfunctions = [\"fall\"]\n\
                guard = { timing_only = true }\n[[model]]\nname = \"bright\"";
    let mut daemon = bench.start(&[(second, with)]);
    let health = daemon.wait("the loss", 60 * SECOND, |daemon| {
        daemon.health().filter(|health| health.cameras[0].faults.iter().any(|fault| fault == "camera_lost"))
    });
    assert_eq!(
        (health.state.name.as_str(), health.state.cause.as_deref()),
        ("degraded", Some("camera_lost"))
    );
    let before = health.cameras[1].decided;
    daemon.wait("the other camera", 20 * SECOND, |daemon| {
        daemon.health().filter(|health| health.cameras[1].decided > before + 30)
    });
}

#[test]
fn without_a_model_it_stays_in_the_safe_state_and_says_so() {
    let bench = Bench::new();
    let mut daemon =
        bench.start(&[("bright.onnx", "gone.onnx"), ("approach.y4m\"", "approach.y4m\"\nloop = true")]);
    let health = daemon.wait("the fault", 30 * SECOND, |daemon| {
        daemon.health().filter(|health| health.state.cause.as_deref() == Some("model_missing"))
    });
    assert_eq!(health.state.name, "fail_safe");
    assert!(
        daemon.said().contains("gone.onnx") && daemon.said().contains("its cameras are blind"),
        "{}",
        daemon.said()
    );
    let line = daemon.newest().expect("it sends");
    assert!(!line.is("valid") && line.number("deceleration") <= 0.0, "{line:?}");
}

#[test]
fn a_wrong_configuration_ends_the_start_with_its_code_and_says_where() {
    let cases: [(&str, &str, i32, &[&str]); 9] = [
        (
            "[arm]",
            "[arm]\ncolour = 1",
            7,
            &["stopline.toml:24:1", "unknown field `colour`", "CONFIGURATION.md#arm"],
        ),
        ("schema = 1", "schema = ", 7, &["stopline.toml:1:"]),
        (
            "realtime_priority = 0",
            "realtime_priority = 99",
            7,
            &["run.realtime_priority: found 99, expected 0, or 2 to 98"],
        ),
        ("command = true", "command = false", 7, &["arm.armed: found true alone"]),
        ("approach.y4m", "gone.y4m", 3, &["gone.y4m: cannot open"]),
        ("front.cal.toml", "gone.cal.toml", 7, &["gone.cal.toml"]),
        ("drive.csv", "gone.csv", 8, &["gone.csv"]),
        ("commands.jsonl", "gone/commands.jsonl", 8, &["actuator commands", "gone/commands.jsonl"]),
        ("functions = [\"pedestrian\"]", "functions = [\"pedestrians\"]", 7, &["pedestrians", "stop_sign"]),
    ];
    for (from, to, code, words) in cases {
        let bench = Bench::new();
        let mut daemon = bench.start(&[(from, to)]);
        let status = daemon.ended(20 * SECOND);
        let said = daemon.said();
        assert_eq!(status.code(), Some(code), "{to}: {said}");
        for word in words {
            assert!(said.contains(word), "{to}: {word:?} is missing in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn two_processes_never_run_by_one_directory() {
    let bench = Bench::new();
    let mut first = bench.start(&[("approach.y4m\"", "approach.y4m\"\nloop = true")]);
    first.wait("the first", 30 * SECOND, |daemon| daemon.health());
    let second = std::process::Command::new(stopline_tests::stopline())
        .args(["run", "--config"])
        .arg(bench.path("stopline.toml"))
        .output()
        .expect("stopline starts");
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(7), "{said}");
    assert!(said.contains("is in use by another running stopline"), "{said}");
}

#[test]
fn a_reload_takes_listed_keys_only_and_refuses_the_others_by_name() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[("approach.y4m\"", "approach.y4m\"\nloop = true")]);
    daemon.wait("the start", 30 * SECOND, |daemon| daemon.health());
    let path = bench.path("stopline.toml");
    let before = std::fs::read_to_string(&path).expect("reads");
    let said = |words: &'static str| move |daemon: &Daemon<'_>| daemon.said().contains(words).then_some(());
    rewrite(&path, &before.replacen("[arm]", "[guard]\nlost_after_ms = 200\n[arm]", 1));
    daemon.signal(Signal::HUP);
    daemon.wait(
        "the refusal",
        10 * SECOND,
        said("not reloaded, what ran goes on: restart needed for guard.lost_after_ms"),
    );
    rewrite(&path, "schema = 1\n[run\n");
    daemon.signal(Signal::HUP);
    daemon.wait("the second refusal", 10 * SECOND, said("stopline.toml:2:"));
    rewrite(&path, &before.replacen("[run]", "[run]\nlog = \"debug\"", 1));
    daemon.signal(Signal::HUP);
    daemon.wait("the reload", 10 * SECOND, said("reloaded: run.log"));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(20 * SECOND).code(), Some(0));
}

#[test]
fn a_full_run_directory_and_one_that_cannot_be_made_do_not_disturb_the_loop() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("run")).expect("makes a folder");
    // Every write to this file answers "no space left on device".
    std::os::unix::fs::symlink("/dev/full", bench.path("run/health.json.partial")).expect("links");
    let mut daemon = bench.start(&[]);
    daemon.wait_for_brake(1.0);
    assert!(daemon.said().contains("the health file cannot be written"), "{}", daemon.said());
    drop(daemon);
    let bench = Bench::new();
    bench.write("run", b"a file in the way");
    let mut daemon = bench.start(&[]);
    daemon.wait_for_brake(1.0);
    assert!(daemon.said().contains("the run directory cannot be used"), "{}", daemon.said());
}

#[test]
fn a_reader_that_never_reads_is_dropped_and_the_loop_never_waits() {
    let bench = Bench::new();
    let changes =
        [("approach.y4m\"", "approach.y4m\"\nloop = true"), ("[run]", "[run]\nstream_pictures_per_s = 30")];
    let mut daemon = bench.start(&changes);
    daemon.wait("the start", 30 * SECOND, |daemon| daemon.health());
    let lazy: Vec<_> = (0..2).map(|_| connect(&bench)).collect();
    let health = daemon.wait("the drop", 60 * SECOND, |daemon| {
        daemon.health().filter(|health| health.stream.dropped == 2 && health.stream.readers == 0)
    });
    let gap = Duration::from_micros(health.command.longest_gap_us);
    println!("longest time from one command to the next: {} ms", gap.as_millis());
    drop(lazy);
    let mut messages = Messages::new(BufReader::new(connect(&bench)));
    let mut jpeg = Vec::new();
    assert!(matches!(messages.next(&mut jpeg), Ok(Some(Message::Hello { .. }))));
    let mut seen = (false, false, false);
    while seen != (true, true, true) {
        match messages.next(&mut jpeg).expect("a message").expect("goes on") {
            Message::Record(record) => seen.0 |= record.source == "front" && record.image_size == [320, 240],
            Message::Picture(picture) => {
                seen.1 |= picture.jpeg_bytes == jpeg.len() && jpeg.starts_with(&[0xff, 0xd8])
            }
            Message::Health(health) => seen.2 |= health.stream.readers == 1,
            _ => {}
        }
    }
    let mut rest = connect(&bench);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(20 * SECOND).code(), Some(0));
    rest.read_to_end(&mut Vec::new()).expect("the stream ends in order");
}
