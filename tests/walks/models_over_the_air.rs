//! A model over the air on one device, from an offer to deciding, and back: a real daemon on a clip, a depot made by hand.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use stopline_depot::deployment::{DeployCause, Phase, Verdict, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::manifest::{Budget, Manifest};
use stopline_depot::rollout::State;
use stopline_depot::slots::{self, FACTORY, Floor, Pointers, TrustPaths};
use stopline_tests::daemon::{Bench, Daemon, MANIFEST, RATE, SIZE, heavy};
use stopline_tests::operator::{golden, golden_bundle, golden_picture, plain, selftest};
use stopline_tests::signed::{Device, Workshop, bundle, key, release};
use stopline_tests::stopline;

use crate::paired::{Attempt, strictly};

pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A bench whose car stands with the ignition on before nothing at all, by the models of `device`.
pub(crate) fn standing() -> (Bench, Device) {
    let bench = Bench::new();
    bench.write("approach.y4m", &noise());
    let mut track =
        String::from("# stopline signal track, schema 1\n# made for a test\ntime_us,speed,ignition\n");
    (0..400).for_each(|step| track.push_str(&format!("{},0,1\n", step * 20_000)));
    bench.write("drive.csv", track.as_bytes());
    let device = Device::new(&bench.path(""), "bright", &plain("1.0.0"));
    (bench, device)
}

/// Seconds of noise without anything bright.
fn noise() -> Vec<u8> {
    let [width, height] = SIZE;
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip A1:1 C420jpeg\n").into_bytes();
    for frame in 0..2 * RATE {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend((0..width * height).map(|pixel| 40 + ((pixel * 31 + frame * 17) % 61) as u8));
        bytes.resize(bytes.len() + width * height / 2, 128);
    }
    bytes
}

pub(crate) fn start<'a>(bench: &'a Bench, device: &Device, shadow: u32, trial: u32) -> Daemon<'a> {
    // What a process before has left says nothing of this one.
    let _ = std::fs::remove_file(bench.path("run/health.json"));
    let section = format!("{}[vehicle]\n", device.section(shadow, trial));
    bench.start(&[
        ("source = \"approach.y4m\"", "source = \"approach.y4m\"\nloop = true"),
        ("onnx = \"bright.onnx\"", "bundle = \"bright\""),
        ("[vehicle]\n", &section),
    ])
}

/// The version that decides, once one does.
pub(crate) fn deciding(daemon: &Daemon<'_>) -> Option<String> {
    let health = daemon.health()?;
    let model = health.models.first()?;
    let decided = health.cameras.first()?.decided;
    model.identity.as_ref().filter(|_| decided > 0).map(|identity| identity.version.to_string())
}

pub(crate) fn wait_for_version(daemon: &mut Daemon<'_>, version: &str) {
    daemon.wait(version, LONG, |daemon| deciding(daemon).filter(|found| found == version));
}

pub(crate) fn wait_for_phase(daemon: &mut Daemon<'_>, device: &Device, phase: Phase) -> Option<DeployCause> {
    let progress = daemon.wait(&format!("{phase:?}"), LONG, |_| {
        device.progress("bright").filter(|progress| progress.phase == phase)
    });
    progress.cause
}

fn pointers(device: &Device) -> Pointers {
    slots::read(&RealDisk, &device.state().pointers()).unwrap().unwrap_or_default()
}

fn verdict(device: &Device, digest: &Digest) -> Option<VerdictState> {
    let verdict: Option<Verdict> = slots::read(&RealDisk, &device.state().verdict(digest)).unwrap();
    verdict.map(|verdict| verdict.verdict)
}

#[test]
fn a_new_model_is_proven_and_decides_while_the_old_one_goes_on_to_the_last_frame() {
    strictly("an update", || {
        let (bench, device) = standing();
        let mut daemon = start(&bench, &device, 20, 30);
        wait_for_version(&mut daemon, "1.0.0");
        let digest = device.stage(&plain("1.1.0"), 1);
        let attempt = Attempt::new(&bench, &mut daemon, |daemon| {
            device.offer("bright", "r1", digest, State::Active);
            wait_for_phase(daemon, &device, Phase::Good);
        });
        let at = attempt.seen.iter().position(|seen| seen.version == "1.1.0").expect("it decided");
        assert!(attempt.seen[..at].iter().all(|seen| seen.version == "1.0.0"), "the old one until then");
        assert!(
            attempt.seen[at..].iter().all(|seen| seen.version == "1.1.0"),
            "and the new one from then on"
        );
        assert_eq!(pointers(&device).models["bright"].current, Some(digest));
        assert_eq!(verdict(&device, &digest), Some(VerdictState::Good));
        daemon.wait("the health file tells it", LONG, |daemon| {
            let shown = daemon.health()?.models.first()?.deployment.clone()?;
            (shown.phase == "good" && shown.bundle == digest.to_string()).then_some(())
        });
        attempt
    });
}

#[test]
fn what_was_not_signed_so_or_is_not_what_was_signed_never_decides() {
    let (bench, device) = standing();
    let mut daemon = start(&bench, &device, 0, 5);
    wait_for_version(&mut daemon, "1.0.0");
    let new = plain("1.1.0");
    let manifest = |bytes: &[u8], change: &dyn Fn(&mut stopline_depot::release::Release)| {
        let mut release = release("bright", "1.1.0", 5, bytes);
        change(&mut release);
        release
    };
    let thief = Workshop { signers: vec![key("thief1"), key("thief2")], ..Workshop::default() };
    let other_role = Workshop { role: "rollout".into(), ..Workshop::default() };
    let own = &device.workshop;
    let wrong = [
        ("r-thief", thief.record(&new, &manifest(&new, &|_| ())), new.clone(), DeployCause::Signature),
        ("r-role", other_role.record(&new, &manifest(&new, &|_| ())), new.clone(), DeployCause::Signature),
        (
            "r-board",
            own.record(&new, &manifest(&new, &|release| release.hardware = vec!["other".into()])),
            new.clone(),
            DeployCause::Hardware,
        ),
        ("r-byte", own.record(&new, &manifest(&new, &|_| ())), tampered(&new), DeployCause::Content),
    ];
    for (rollout, record, bytes, cause) in wrong {
        let digest = device.fill(&bytes, &record);
        device.offer("bright", rollout, digest, State::Active);
        let told = daemon.wait(rollout, LONG, |_| {
            let ended = |phase| matches!(phase, Phase::Rejected | Phase::Deferred);
            device.progress("bright").filter(|told| told.rollout_id == rollout && ended(told.phase))
        });
        assert_eq!(told.cause, Some(cause), "{rollout}: {}", told.detail);
    }
    let floor = Floor { schema: 1, models: [("bright".to_owned(), 9)].into() };
    device.put(&TrustPaths::new(bench.path("trust")).floor(), &floor);
    let digest = device.stage(&new, 5);
    device.offer("bright", "r-old", digest, State::Active);
    let told = daemon.wait("floor", LONG, |_| {
        device.progress("bright").filter(|told| told.rollout_id == "r-old" && told.phase == Phase::Rejected)
    });
    assert_eq!(told.cause, Some(DeployCause::Floor));
    assert_eq!(deciding(&daemon).as_deref(), Some("1.0.0"));
    assert!(pointers(&device).models.is_empty());
}

/// One byte of the weights is another.
fn tampered(bundle: &[u8]) -> Vec<u8> {
    let mut bytes = bundle.to_vec();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bytes
}

#[test]
fn a_slow_model_and_one_that_fails_its_golden_vector_never_decide() {
    let (bench, device) = standing();
    let mut daemon = start(&bench, &device, 0, 5);
    wait_for_version(&mut daemon, "1.0.0");
    let budget = |manifest: &mut Manifest| {
        manifest.version = "1.2.0".parse().unwrap();
        manifest.budget = Some(Budget { latency_ms: 15.0, memory_mib: 4096.0 });
    };
    let slow = device.stage(&bundle(&heavy(), MANIFEST, &BTreeMap::new(), budget), 2);
    device.offer("bright", "slow", slow, State::Active);
    assert_eq!(wait_for_phase(&mut daemon, &device, Phase::Rejected), Some(DeployCause::Latency));
    assert_eq!(verdict(&device, &slow), Some(VerdictState::Bad { cause: DeployCause::Latency }));

    let picture = golden_picture();
    let good = golden(&picture, 0.9);
    let bad = device.stage(&golden_bundle(&picture, golden(&picture, 0.5)), 3);
    device.offer("bright", "golden", bad, State::Active);
    let told = daemon.wait("golden", LONG, |_| {
        device.progress("bright").filter(|told| told.rollout_id == "golden" && told.phase == Phase::Rejected)
    });
    assert_eq!(told.cause, Some(DeployCause::Golden), "{}", told.detail);
    reopened(&bench, &mut daemon, &device, &bad);
    let right = device.stage(&golden_bundle(&picture, good), 4);
    device.offer("bright", "right", right, State::Active);
    wait_for_phase(&mut daemon, &device, Phase::Good);
    wait_for_version(&mut daemon, "1.3.0");
}

/// A person takes back what was found of a bundle: the same offer is tried again, and fails again.
fn reopened(bench: &Bench, daemon: &mut Daemon<'_>, device: &Device, bad: &Digest) {
    let model = |arguments: &[&str]| {
        let output = Command::new(stopline())
            .arg("model")
            .args(arguments)
            .arg("--config")
            .arg(bench.path("stopline.toml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    let listed: Vec<Verdict> = serde_json::from_str(&model(&["verdicts", "--json"]).1).unwrap();
    let golden = VerdictState::Bad { cause: DeployCause::Golden };
    assert!(listed.iter().any(|one| one.digest == *bad && one.verdict == golden), "{listed:?}");
    let unknown = Digest::of(b"nobody").to_string();
    assert_eq!(model(&["reopen", &unknown]).0, Some(10), "nothing is known of it");
    let (code, said) = model(&["reopen", &bad.to_string()]);
    assert!(code == Some(0) && said.contains("is open again"), "{said}");
    let phase = |wanted: fn(Phase) -> bool| {
        move |_: &Daemon<'_>| device.progress("bright").filter(|told| wanted(told.phase))
    };
    daemon.wait("it is tried again", LONG, phase(|phase| phase != Phase::Rejected));
    let told = daemon.wait("it fails again", LONG, phase(|phase| phase == Phase::Rejected));
    assert_eq!(told.cause, Some(DeployCause::Golden), "{}", told.detail);
}

#[test]
fn a_self_test_ends_as_its_help_says() {
    let picture = golden_picture();
    let right = selftest(&golden_bundle(&picture, golden(&picture, 0.9)), 0);
    assert_eq!((&right["passed"], &right["latency"]["runs"]), (&Value::from(true), &Value::from(2)));
    assert!(right["memory"]["peak_kib"].as_u64().unwrap() > 1000);
    assert_eq!(selftest(b"no bundle", 4)["cause"], "bundle");
}

#[test]
fn a_process_that_is_killed_in_the_trial_begins_again_with_the_model_before() {
    let (bench, device) = standing();
    let digest = device.stage(&plain("1.1.0"), 1);
    {
        let mut daemon = start(&bench, &device, 0, 1_000_000);
        wait_for_version(&mut daemon, "1.0.0");
        device.offer("bright", "r1", digest, State::Active);
        wait_for_version(&mut daemon, "1.1.0");
        daemon.signal(Signal::KILL);
    }
    let mut daemon = start(&bench, &device, 0, 1_000_000);
    wait_for_version(&mut daemon, "1.0.0");
    assert_eq!(wait_for_phase(&mut daemon, &device, Phase::Reverted), Some(DeployCause::Crash));
    assert_eq!(verdict(&device, &digest), Some(VerdictState::Bad { cause: DeployCause::Crash }));
    assert_eq!(pointers(&device).models["bright"].current, None);
}

/// Those who have not got a new model are what it is compared with.
#[test]
fn what_the_factorys_model_does_is_counted_over_stops_and_crashes() {
    let bench = Bench::new();
    let device = Device::new(&bench.path(""), "bright", &plain("1.0.0"));
    let section = format!("{}[vehicle]\n", device.section(0, 5));
    let changes = [("onnx = \"bright.onnx\"", "bundle = \"bright\""), ("[vehicle]\n", section.as_str())];
    let served = || device.service("bright").expect("what it did is kept");
    let mut daemon = bench.start(&changes);
    daemon.wait_for_brake(1.0);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended(LONG).success());
    drop(daemon);
    let first = served();
    assert_eq!((first.rollout_id.as_str(), first.exposure.crashes), (FACTORY, 0));
    assert!(first.exposure.frames > 0 && first.exposure.latency_p99_us > 0, "{first:?}");
    assert_eq!((first.exposure.events, first.exposure.alerts), (1, 1), "the person ahead, once: {first:?}");

    let _ = std::fs::remove_file(bench.path("run/health.json"));
    let mut daemon = bench.start(&changes);
    wait_for_version(&mut daemon, "1.0.0");
    daemon.signal(Signal::KILL);
    drop(daemon);
    let _ = std::fs::remove_file(bench.path("run/health.json"));
    let mut daemon = bench.start(&changes);
    wait_for_version(&mut daemon, "1.0.0");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended(LONG).success());
    let last = served();
    assert_eq!((last.digest, last.exposure.crashes), (first.digest, 1), "{last:?}");
    assert!(last.exposure.frames > first.exposure.frames, "{first:?} {last:?}");
}

#[test]
fn the_same_model_runs_after_all_keys_are_replaced_and_a_floor_that_rises_is_told() {
    let (bench, mut device) = standing();
    let digest = device.stage(&plain("1.1.0"), 1);
    let mut daemon = start(&bench, &device, 0, 5);
    wait_for_version(&mut daemon, "1.0.0");
    device.offer("bright", "r1", digest, State::Active);
    wait_for_phase(&mut daemon, &device, Phase::Good);
    drop(daemon);
    device.workshop.rotate();
    device.stage(&plain("1.1.0"), 1);
    for restart in 0..3 {
        let mut daemon = start(&bench, &device, 0, 5);
        wait_for_version(&mut daemon, "1.1.0");
        daemon.signal(Signal::TERM);
        assert!(daemon.ended(LONG).success(), "restart {restart}");
    }
    let floor = Floor { schema: 1, models: [("bright".to_owned(), 9)].into() };
    device.put(&TrustPaths::new(bench.path("trust")).floor(), &floor);
    let mut daemon = start(&bench, &device, 0, 5);
    wait_for_version(&mut daemon, "1.1.0");
    daemon.wait("model_below_floor", LONG, |daemon| {
        daemon.health().filter(|health| health.faults.iter().any(|fault| fault == "model_below_floor"))
    });
}

#[test]
fn a_killed_shadow_costs_the_active_model_no_frame_and_is_begun_again() {
    strictly("a killed shadow", || {
        let (bench, device) = standing();
        let mut daemon = start(&bench, &device, 120, 5);
        wait_for_version(&mut daemon, "1.0.0");
        let digest = device.stage(&plain("1.1.0"), 1);
        let attempt = Attempt::new(&bench, &mut daemon, |daemon| {
            device.offer("bright", "r1", digest, State::Active);
            wait_for_phase(daemon, &device, Phase::Shadow);
            let shadow =
                daemon.wait("the shadow", LONG, |daemon| shadow_of(daemon.pid().as_raw_nonzero().get()));
            let pid = rustix::process::Pid::from_raw(shadow).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
            daemon.wait("another shadow", LONG, |daemon| {
                shadow_of(daemon.pid().as_raw_nonzero().get()).filter(|another| *another != shadow)
            });
            wait_for_phase(daemon, &device, Phase::Good);
        });
        assert!(attempt.seen.len() > 120, "{} frames", attempt.seen.len());
        assert_eq!(daemon.health().unwrap().cameras[0].invalid, 0);
        attempt
    });
}

/// The process of this one's children that is a shadow.
fn shadow_of(parent: i32) -> Option<i32> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut shadows = pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let of =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        of == Some(parent) && line.split(|byte| *byte == 0).nth(1) == Some(b"shadow")
    });
    shadows.next()
}

#[test]
fn a_slot_that_is_rewritten_while_it_is_read_gives_the_signed_bytes_or_nothing() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (bench, device) = standing();
    let good = plain("1.1.0");
    let digest = device.stage(&good, 1);
    let section = device.section(0, 1);
    let config: toml::Table = section.parse().unwrap();
    let depot: stopline::config::Depot = config["depot"].clone().try_into().unwrap();
    let vault = stopline::models::vault::Vault::new(&depot, None);
    let place = stopline::models::vault::Place::Slot(digest);
    let (bad, stop, slot) = (tampered(&good), AtomicBool::new(false), device.depot().bundle(&digest));
    let (mut whole, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                // In place, as one who holds the file open would: half of it may be the one and half the other.
                std::fs::write(&slot, if turn.is_multiple_of(2) { &bad } else { &good }).unwrap();
                std::thread::sleep(Duration::from_micros(u64::from(turn % 7) * 50));
            }
        });
        for _ in 0..400 {
            match vault.open("bright", place) {
                Ok(held) => {
                    assert_eq!((Digest::of(&held.bytes), held.bytes.len()), (digest, good.len()));
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error.cause(), DeployCause::Content, "{error}");
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("rewritten between reads: {whole} whole, {refused} refused");
    assert!(whole > 0 && refused > 0);
    drop(bench);
}
