use std::time::Duration;

use stopline_depot::drift::Signal;
use stopline_depot::manifest::Manifest;
use stopline_depot::record::{ModelRole, StageLatencies};

use super::*;

fn model() -> Arc<ModelFacts> {
    let text = r#"
        schema = 1
        name = "signs"
        version = "1.0.0"
        task = "detect"
        decoder = "yolox"
        labels = ["stop sign"]
        [input]
        width = 64
        height = 64
        colour = "rgb"
        resize = { mode = "stretch" }
    "#;
    let manifest = Manifest::from_toml(text).expect("a good manifest");
    let (name, version) = (manifest.name.clone(), manifest.version.clone());
    let identity = ModelIdentity { name, version, digest: "ab".repeat(32), role: ModelRole::Active };
    Arc::new(ModelFacts { name: "signs".into(), identity, manifest, bundle: None })
}

fn seen(model: &Arc<ModelFacts>, second: u64, image_size: [u32; 2]) -> Seen {
    let wall = std::time::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + second);
    let record = DecisionRecord {
        schema: 1,
        frame: second,
        source: "front".into(),
        captured_ns: second * 1_000_000_000,
        captured_wall: wall.into(),
        position_us: None,
        image_size,
        model: model.identity.clone(),
        detections: Vec::new(),
        invalid: None,
        dropped: None,
        looked: None,
        faults: Vec::new(),
        ego: None,
        tracks: None,
        situations: None,
        state: None,
        command: None,
        latency_us: StageLatencies::default(),
    };
    Seen { camera: "front".into(), model: Arc::clone(model), record, statistics: None }
}

/// Shows that many seconds of a size, and everything that was told by then.
fn shown(
    watching: &Watching,
    model: &Arc<ModelFacts>,
    seconds: std::ops::Range<u64>,
    size: [u32; 2],
) -> Vec<Told> {
    for second in seconds {
        // Patient, so that none is left out.
        let mut waiting = Box::new(seen(model, second, size));
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = watching.to.try_send(waiting) {
            waiting = back;
            std::thread::yield_now();
        }
    }
    let mut told = Vec::new();
    for _ in 0..100 {
        told.extend(watching.told());
        std::thread::sleep(Duration::from_millis(2));
    }
    told
}

#[test]
fn a_camera_that_was_replaced_is_named_also_when_the_process_began_anew_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("drift");
    let config = DriftConfig { memory: Some(memory.clone()), ..DriftConfig::default() };
    let model = model();
    let watching = Watching::start(&config).unwrap().unwrap();
    let told = shown(&watching, &model, 0..60, [1280, 720]);
    assert!(told.is_empty(), "{told:?}");
    watching.end();
    assert!(memory.join("front+signs.json").exists());
    let watching = Watching::start(&config).unwrap().unwrap();
    let told = shown(&watching, &model, 100..160, [3840, 2160]);
    let [Told::Drifted(drifted)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&*drifted.camera, drifted.model.as_str()), ("front", "signs"));
    assert_eq!(drifted.alarm.signal, Signal::Resolution);
    assert_eq!((drifted.alarm.expected.as_str(), drifted.alarm.found.as_str()), ("1280x720", "3840x2160"));
    watching.end();
}

#[test]
fn a_memory_that_is_none_or_has_no_place_is_told_and_drift_is_watched_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("front+signs.json");
    std::fs::write(&file, b"{").unwrap();
    let model = model();
    let config = DriftConfig { memory: Some(folder.path().into()), ..DriftConfig::default() };
    let watching = Watching::start(&config).unwrap().unwrap();
    let told = shown(&watching, &model, 0..3, [1280, 720]);
    assert!(matches!(&told[..], [Told::Problem(text), ..] if text.contains("front+signs.json")), "{told:?}");
    watching.end();
    // A file where the folder should be.
    let config = DriftConfig { memory: Some(file), ..DriftConfig::default() };
    let watching = Watching::start(&config).unwrap().unwrap();
    let told = shown(&watching, &model, 0..60, [1280, 720]);
    assert!(matches!(&told[..], [Told::Problem(_), ..]), "{told:?}");
    let told = shown(&watching, &model, 60..120, [640, 480]);
    assert!(told.iter().any(|told| matches!(told, Told::Drifted(_))), "{told:?}");
    watching.end();
}

#[test]
fn it_can_be_left_off() {
    let config = DriftConfig { enabled: false, ..DriftConfig::default() };
    assert!(Watching::start(&config).unwrap().is_none());
}
