#![cfg(all(feature = "capture", feature = "tract", feature = "h264"))]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use age::x25519::Identity;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{CaptureRecord, Claims, Counts, Rule, counts, open_plain};
use stopline_sensors::clock::{Clock, HeldClock};
use stopline_sensors::frame::{BufferPool, Frame};
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::signals::VehicleSignals;
use stopline_sensors::source::Event;

use super::door::{Asked, Door, Handed, door};
use super::limits::Limits;
use super::redact::{Finder, fill, head_of_box};
use super::rules::draws;
use super::seal::Seal;
use super::tally::Tally;
use super::worker::Worker;
use crate::attention::{Attention, AttentionConfig};
use crate::config::{CaptureRule, Config, When};
use crate::daemon::drive::Drive;
use crate::daemon::light::LightMeter;
use crate::daemon::looking::{Eye, Looker, Looking};
use crate::daemon::news::Situations;
use crate::daemon::notes::{self, Told};
use crate::daemon::report::{ModelFacts, ModelSeat};
use crate::daemon::slot::Slot;
use crate::detector::Detector;
use crate::intake::mailbox::Mailbox;
use crate::observe::Roles;
use crate::pipeline::Deciding;
use std::sync::Mutex;
use stopline_decide::camera::PathConfig;
use stopline_decide::decision::Decision;
use stopline_depot::record::{ModelIdentity, ModelRole};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

/// The demonstration's walker across the road, and what is to be kept of it.
fn config(spool: &Path, recipient: &str, rules: &str) -> Config {
    let demo = demo();
    let text = format!(
        "schema = 1\n[[camera]]\nname = \"front\"\nsource = \"{0}/clips/pedestrian.mp4\"\nfunctions = [\"pedestrian\", \"stop_sign\"]\n\
         [[model]]\nname = \"small\"\nonnx = \"{0}/stopline-small.onnx\"\nmanifest = \"{0}/model.toml\"\n\
         [capture]\nenabled = true\nspool = \"{1}\"\nrecipients = [\"{recipient}\"]\nring_every_ms = 200\nkeep_free_bytes = 0\n\
         regions = [{{ camera = \"front\", box = [0.4, 0.8, 0.6, 1.0] }}]\n{rules}",
        demo.display(),
        spool.display()
    );
    Config::from_toml(&text, Path::new("/test.toml")).unwrap()
}

/// Frames of the clip from second 4 on, where somebody walks.
fn frames(clock: &Arc<HeldClock>, count: usize) -> Vec<Frame> {
    let options = OpenOptions {
        from: Some(Duration::from_secs(4)),
        name: Some("front".into()),
        ..OpenOptions::default()
    };
    let clip = demo().join("clips/pedestrian.mp4");
    let mut source =
        open(&clip.display().to_string(), &options, Arc::clone(clock) as Arc<dyn Clock>).unwrap();
    let mut frames = Vec::new();
    while frames.len() < count {
        match source.next(Duration::from_secs(1)).unwrap() {
            Event::Frame(frame) => frames.push(frame),
            Event::End => break,
            _ => {}
        }
    }
    frames
}

/// Shows every frame to the loop's own inference thread; what was decided on each.
fn decided(
    config: &Config,
    clock: &Arc<HeldClock>,
    frames: Vec<Frame>,
    capture: Option<Door>,
) -> Vec<String> {
    let model = &config.models[0];
    let detector = Detector::load(&model.options()).unwrap();
    let manifest = detector.manifest().clone();
    let identity = ModelIdentity {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: detector.digest().to_owned(),
        role: ModelRole::Active,
    };
    let roles = Roles::of(&manifest, &[]);
    let facts = Arc::new(ModelFacts { name: model.name.clone(), identity, manifest, bundle: None });
    let looker = Looker {
        number: 0,
        facts,
        seat: Arc::new(ModelSeat::default()),
        detector,
        roles,
        when: When::default(),
        cameras: vec![0],
        exchange: None,
    };
    let decision: Arc<Slot<Decision>> = Arc::default();
    let eye = Eye {
        camera: 0,
        gauges: Arc::default(),
        decision: Arc::clone(&decision),
        light: LightMeter::new(&config.run),
        picture_wanted: Arc::default(),
        guards: Vec::new(),
        attention: Attention::new(AttentionConfig::default(), PathConfig::default(), None),
        answered: Vec::new(),
        situations: Situations::default(),
    };
    let mailbox = Arc::new(Mailbox::new([(0, Arc::new(AtomicU8::new(0)))]));
    let (seats, _watches) = sync_channel(16);
    let (notes, _told): (_, Told) = notes::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let looking = Looking {
        mailbox: Arc::clone(&mailbox),
        eyes: vec![eye],
        models: vec![looker],
        deciding: Arc::new(Mutex::new(Deciding::new(config.decide(&[]).unwrap()).unwrap())),
        vehicle: Drive::new(VehicleSignals::none(), false),
        guard: config.guard.clone(),
        seats,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        timings: Arc::default(),
        notes,
        shed: Arc::default(),
        onlookers: Vec::new(),
        capture,
        priorities: vec![Arc::new(AtomicU8::new(0))],
        stop: Arc::clone(&stop),
    };
    let thread = std::thread::spawn(move || looking.run());
    let mut all = Vec::new();
    for frame in frames {
        let (number, captured) = (frame.meta().sequence, frame.meta().captured);
        clock.advance(captured.since(clock.monotonic()));
        mailbox.put(0, frame);
        let made = loop {
            match decision.newest().filter(|decision| decision.frame == number) {
                Some(made) => break made,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        all.push(format!("{made:?}"));
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    all
}

struct Kept {
    clock: Arc<HeldClock>,
    tally: Arc<Tally>,
    door: Door,
    thread: std::thread::JoinHandle<()>,
}

fn keep(config: &Config) -> Kept {
    let (clock, tally) = (Arc::new(HeldClock::default()), Arc::<Tally>::default());
    let (door, handed): (Door, Handed) = door(config, &tally);
    let (notes, _told) = notes::channel();
    let worker = Worker {
        handed,
        config: config.capture.clone(),
        cameras: vec!["front".into()],
        finder: config.models[0].options(),
        seal: Arc::new(Seal::new(&config.capture.recipients).unwrap()),
        now: Arc::default(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        notes,
        tally: Arc::clone(&tally),
        campaigns: config.depot.as_ref().map(super::campaigns::Place::of),
    };
    Kept { clock, tally, door, thread: std::thread::spawn(move || worker.run()) }
}

/// Everything in the spool, opened with the operator's key.
fn opened(spool: &Path, key: &Identity) -> (Counts, Vec<(CaptureRecord, Vec<u8>)>) {
    let counted = counts(&RealDisk, spool).unwrap();
    let mut claims = Claims::open(RealDisk, spool, 0).unwrap();
    claims.claim(u64::MAX).unwrap();
    let open = |digest| {
        let plain = age::decrypt(key, &claims.read(&digest).unwrap()).unwrap();
        let (record, jpeg) = open_plain(&plain).unwrap();
        (record, jpeg.to_vec())
    };
    (counted, claims.held().iter().map(|one| open(one.digest)).collect())
}

const RULES: &str = "[[capture.rule]]\nrule = \"bookmark\"\nclass = 9\n\
    [[capture.rule]]\nrule = \"event\"\nclass = 8\npre_s = 1.0\npost_s = 1.0\nlongest_side = 640\n\
    [[capture.rule]]\nrule = \"near_threshold\"\nwithin = 0.5\nper_minute = 5\n\
    [[capture.rule]]\nrule = \"random\"\nrate = 0.3\nclass = 1\nquality = 70\n";

#[test]
fn a_walker_is_kept_for_a_reason_without_a_head_and_only_the_operator_can_look() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, key) = (folder.path().join("spool"), Identity::generate());
    let config = config(&spool, &key.to_public().to_string(), RULES);
    let kept = keep(&config);
    let shown = frames(&kept.clock, 50);
    assert_eq!(shown.len(), 50);
    let numbers: Vec<u64> = shown.iter().map(|frame| frame.meta().sequence).collect();
    decided(&config, &kept.clock, shown, Some(kept.door));
    kept.thread.join().unwrap();
    println!("{}", kept.tally);
    let (counted, records) = opened(&spool, &key);
    let spooled = kept.tally.spooled.load(Ordering::Relaxed);
    assert_eq!((counted.captured, counted.waiting, counted.is_balanced()), (spooled, spooled, true));
    assert_eq!(records.len() as u64, spooled);
    for rule in [Rule::Event, Rule::NearThreshold] {
        assert!(kept.tally.of(rule) > 0, "{rule:?}: {}", kept.tally);
    }
    assert!(kept.tally.of(Rule::NearThreshold) <= 5);
    let drawn = numbers.iter().filter(|number| draws(0, 0, **number, 0.3)).count() as u64;
    assert!(kept.tally.of(Rule::Random) <= drawn, "{drawn} are drawn");
    let heads: usize = records.iter().map(|(record, _)| record.redaction.heads.len()).sum();
    assert!(heads > 0 && heads as u64 == kept.tally.heads.load(Ordering::Relaxed));
    for (record, jpeg) in &records {
        is_filled(record, jpeg);
        assert_eq!(record.redaction.regions.len(), 1);
        let side = if record.reason.rule == Rule::Event { 640 } else { 1280 };
        assert!(record.picture.width <= side && record.picture.width > 0);
        assert!(
            record.decision.detections.iter().all(|one| one.bbox[2] <= record.decision.image_size[0] as f32)
        );
    }
    // Nothing but sealed records, and nothing in them is a picture to whoever has no key.
    for place in ["waiting", "sending"] {
        for file in std::fs::read_dir(spool.join(place)).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.starts_with(b"age-encryption.org/v1\n"), "{}", path.display());
            assert!(age::decrypt(&Identity::generate(), &bytes).is_err());
        }
    }
}

#[test]
fn a_person_keeps_a_moment_and_only_where_a_rule_says_so() {
    for (rules, expected) in [("[[capture.rule]]\nrule = \"bookmark\"\nclass = 9\n", 1), ("", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let (spool, key) = (folder.path().join("spool"), Identity::generate());
        let config = config(&spool, &key.to_public().to_string(), rules);
        let kept = keep(&config);
        let shown = frames(&kept.clock, 4);
        let at = shown[1].meta().captured;
        decided(&config, &kept.clock, shown, Some(kept.door.clone()));
        assert_eq!(kept.door.has_rule(Rule::Bookmark), expected == 1);
        assert!(kept.door.ask(Asked { rule: Rule::Bookmark, camera: None, at, detail: None }));
        drop(kept.door);
        kept.thread.join().unwrap();
        let (counted, records) = opened(&spool, &key);
        assert_eq!((counted.captured, records.len()), (expected, expected as usize), "{}", kept.tally);
        assert!(records.iter().all(|(record, _)| record.reason.rule == Rule::Bookmark));
    }
}

/// Where the record says so, nothing of the picture is left.
fn is_filled(record: &CaptureRecord, jpeg: &[u8]) {
    let decoded = stopline_sensors::jpeg::decode("test", jpeg, &BufferPool::default()).unwrap();
    assert_eq!(decoded.size, (record.picture.width, record.picture.height));
    let factor = decoded.size.0 as f32 / record.decision.image_size[0] as f32;
    for area in record.redaction.heads.iter().chain(&record.redaction.regions) {
        let [x1, y1, x2, y2] = area.map(|side| side * factor);
        // Without the rim, into which the compression carries what lies beside it.
        let (left, right) =
            (x1.max(0.0) as u32 + 9, (x2.min(decoded.size.0 as f32) as u32).saturating_sub(9));
        let (upper, lower) =
            (y1.max(0.0) as u32 + 9, (y2.min(decoded.size.1 as f32) as u32).saturating_sub(9));
        for (x, y) in (upper..lower).flat_map(|y| (left..right).map(move |x| (x, y))) {
            let at = (y * decoded.size.0 + x) as usize * 3;
            let pixel = &decoded.buffer[at..at + 3];
            assert!(pixel.iter().all(|part| part.abs_diff(114) <= 12), "{pixel:?} at {x}, {y} in {area:?}");
        }
    }
}

#[test]
fn what_is_set_from_afar_lets_the_thread_take_fewer_and_no_rule_more() {
    let folder = tempfile::tempdir().unwrap();
    let key = Identity::generate();
    for name in ["depot", "state"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let limits = r#"{"schema":1,"set_by":"north 3","rules":{"near_threshold":{"per_minute":900,"per_day":2},
        "random":{"per_hour":0},"drift":{"per_day":9}}}"#;
    std::fs::write(folder.path().join("depot/capture-limits.json"), limits).unwrap();
    let spool = folder.path().join("spool");
    let rules = format!(
        "{RULES}[depot]\ndirectory = \"{0}/depot\"\nstate = \"{0}/state\"\nhardware = \"board\"\n",
        folder.path().display()
    );
    let config = config(&spool, &key.to_public().to_string(), &rules);
    // Two processes on one day.
    let taken = |count: usize| {
        let kept = keep(&config);
        let shown = frames(&kept.clock, count);
        decided(&config, &kept.clock, shown, Some(kept.door));
        kept.thread.join().unwrap();
        println!("{}", kept.tally);
        assert_eq!(kept.tally.of(Rule::Random), 0, "{}", kept.tally);
        kept.tally.of(Rule::NearThreshold)
    };
    // A busy machine drops reports, and takes fewer.
    let (first, second) = (taken(50), taken(50));
    assert!((1..=2).contains(&first) && first + second <= 2, "{first} and {second}");
    std::fs::remove_file(folder.path().join("depot/capture-limits.json")).unwrap();
    let kept = keep(&config);
    let shown = frames(&kept.clock, 50);
    decided(&config, &kept.clock, shown, Some(kept.door));
    kept.thread.join().unwrap();
    assert!(kept.tally.of(Rule::NearThreshold) > 0, "the configuration's own hold again: {}", kept.tally);
}

#[test]
fn what_is_decided_is_the_same_with_capture_on_off_and_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let key = Identity::generate().to_public().to_string();
    let config = config(&folder.path().join("spool"), &key, RULES);
    let off = {
        let clock = Arc::new(HeldClock::default());
        let shown = frames(&clock, 30);
        decided(&config, &clock, shown, None)
    };
    let on = {
        let kept = keep(&config);
        let shown = frames(&kept.clock, 30);
        let all = decided(&config, &kept.clock, shown, Some(kept.door));
        kept.thread.join().unwrap();
        assert!(kept.tally.spooled.load(Ordering::Relaxed) > 0);
        all
    };
    let stuck = {
        let (clock, tally) = (Arc::new(HeldClock::default()), Arc::<Tally>::default());
        let (door, _nobody_reads) = door(&config, &tally);
        let shown = frames(&clock, 90);
        let mut all = decided(&config, &clock, shown, Some(door));
        let dropped = tally.dropped.load(Ordering::Relaxed);
        assert!(dropped >= 90 - 64, "{dropped}");
        all.truncate(30);
        all
    };
    assert!(off.iter().any(|decision| decision.contains("TrackView")), "somebody is followed");
    assert_eq!(off.join("\n").as_bytes(), on.join("\n").as_bytes());
    assert_eq!(off.join("\n").as_bytes(), stuck.join("\n").as_bytes());
}

#[test]
fn a_spool_that_cannot_be_written_costs_records_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let key = Identity::generate().to_public().to_string();
    // A file where a folder should be refuses everybody, also who may do everything.
    let spool = folder.path().join("spool");
    std::fs::write(&spool, b"").unwrap();
    let config = config(&spool, &key, RULES);
    let kept = keep(&config);
    let shown = frames(&kept.clock, 20);
    assert_eq!(decided(&config, &kept.clock, shown, Some(kept.door)).len(), 20);
    kept.thread.join().unwrap();
    assert_eq!(kept.tally.spooled.load(Ordering::Relaxed), 0);
    assert!(kept.tally.refused.load(Ordering::Relaxed) > 0, "{}", kept.tally);
}

#[test]
fn a_model_that_knows_no_persons_lets_nothing_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = std::fs::read_to_string(demo().join("model.toml")).unwrap();
    let manifest =
        manifest.replace("pedestrian = [\"person\"]", "").replace("fallen = [\"person_down\"]", "");
    let path = folder.path().join("model.toml");
    std::fs::write(&path, manifest).unwrap();
    let config = config(folder.path(), &Identity::generate().to_public().to_string(), RULES);
    let options = config.models[0].options();
    assert!(Finder::load(&options).is_ok());
    let error =
        Finder::load(&crate::detector::DetectorOptions { manifest: Some(path), ..options }).err().unwrap();
    assert!(error.to_string().contains("capture.redact_with"), "{error}");
}

#[test]
fn the_draw_is_fair_and_asks_for_nothing_but_numbers() {
    for rate in [0.001, 0.05, 0.5] {
        let drawn = (0..200_000).filter(|number| draws(7, 1, *number, rate)).count() as f64;
        let expected = 200_000.0 * rate;
        assert!((drawn - expected).abs() < 5.0 * (expected * (1.0 - rate)).sqrt(), "{rate}: {drawn}");
        // Not in rows: of those drawn, a share `rate` has a neighbour that is drawn too.
        let pairs =
            (0..200_000).filter(|n| draws(7, 1, *n, rate) && draws(7, 1, *n + 1, rate)).count() as f64;
        let expected = expected * rate;
        assert!((pairs - expected).abs() <= 5.0 * expected.sqrt().max(1.0), "{rate}: {pairs} pairs");
    }
    assert!((0..1000).all(|number| !draws(0, 0, number, 0.0) && draws(0, 0, number, 1.0)));
}

#[test]
fn limits_hold_for_minute_hour_and_day() {
    let rule: CaptureRule = serde_json::from_value(
        serde_json::json!({"rule": "random", "per_minute": 2, "per_hour": 5, "per_day": 6}),
    )
    .unwrap();
    let (mut limits, clock) = (Limits::of(&rule), HeldClock::default());
    let mut minute = || {
        let taken = (0..4).filter(|_| limits.take(clock.monotonic())).count();
        clock.advance(Duration::from_secs(60));
        taken
    };
    assert_eq!([minute(), minute(), minute(), minute()], [2, 2, 1, 0]);
    clock.advance(Duration::from_secs(3600));
    assert!(limits.take(clock.monotonic()));
    assert!(!limits.take(clock.monotonic()));
    clock.advance(Duration::from_secs(86_400));
    assert!(limits.take(clock.monotonic()));
}

#[test]
fn a_head_is_in_the_upper_part_and_what_is_filled_is_gone() {
    // Somebody standing, 100 by 300: enlarged by 30 %, the upper 40 % of it.
    assert_eq!(head_of_box([100.0, 100.0, 200.0, 400.0]), [85.0, 55.0, 215.0, 211.0]);
    // Somebody lying: the head may be at either end.
    assert_eq!(head_of_box([100.0, 100.0, 400.0, 200.0]), [55.0, 85.0, 445.0, 215.0]);
    let mut picture = image::RgbImage::from_pixel(20, 10, image::Rgb([1, 2, 3]));
    fill(
        &mut picture,
        &[[-5.0, -5.0, 2.5, 1.1], [18.9, 8.9, 900.0, f32::MAX], [5.0, 5.0, 4.0, 4.0], [f32::NAN; 4]],
    );
    let filled = |x, y| picture.get_pixel(x, y).0 == [114; 3];
    let all: Vec<(u32, u32)> =
        (0..10).flat_map(|y| (0..20).map(move |x| (x, y))).filter(|(x, y)| filled(*x, *y)).collect();
    assert_eq!(all, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (18, 8), (19, 8), (18, 9), (19, 9)]);
}
