use super::compare::{psi, upper_t};
use super::window::Histogram;
use super::*;
use crate::record::{ModelIdentity, ModelRole, RecordedDetection, StageLatencies};

const START: u64 = 1_790_000_000 / DAY * DAY;

fn record(second: u64, size: [u32; 2]) -> DecisionRecord {
    let wall = std::time::UNIX_EPOCH + std::time::Duration::from_secs(START + second);
    DecisionRecord {
        schema: 1,
        frame: second,
        source: "ward".into(),
        captured_ns: second * 1_000_000_000,
        captured_wall: wall.into(),
        position_us: None,
        image_size: size,
        model: ModelIdentity {
            name: "m".into(),
            version: semver::Version::new(1, 0, 0),
            digest: "ab".repeat(32),
            role: ModelRole::Active,
        },
        detections: vec![RecordedDetection {
            label: "person".into(),
            class: 0,
            score: 0.6 + 0.03 * ((second / 20) % 10) as f32,
            bbox: [10.0, 10.0, 60.0, 150.0 + 2.0 * ((second / 20) % 7) as f32],
            track: None,
            keypoints: Vec::new(),
        }],
        invalid: None,
        dropped: None,
        looked: None,
        faults: Vec::new(),
        ego: None,
        tracks: None,
        situations: None,
        state: None,
        command: None,
        latency_us: StageLatencies { infer: 20_000, ..StageLatencies::default() },
    }
}

#[test]
fn seven_hundred_and_twenty_lines_that_become_4k_are_named_as_such() {
    let training = Training { resolutions: vec![[1280, 720]], ..Training::default() };
    let mut drift = Drift::new(Settings::default(), Some(&training), &[]);
    let mut told = Vec::new();
    for second in 0..100 {
        told.extend(drift.observe(&record(second, [1280, 720]), None));
    }
    assert_eq!(told, [], "it is what it was trained on");
    for second in 100..200 {
        told.extend(drift.observe(&record(second, [3840, 2160]), None));
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].signal, told[0].against), (Signal::Resolution, Against::Past));
    assert_eq!((told[1].signal, told[1].against), (Signal::Resolution, Against::Training));
    let words = told[0].to_string();
    assert!(words.contains("resolution drifted from its own past: 1280x720 became 3840x2160"), "{words}");
}

#[test]
fn another_shape_is_told_as_aspect_and_a_single_odd_frame_not_at_all() {
    let mut drift = Drift::new(Settings::default(), None, &[]);
    let mut told = Vec::new();
    for second in 0..200 {
        let size = if second % 50 == 49 { [640, 480] } else { [1280, 720] };
        told.extend(drift.observe(&record(second, size), None));
    }
    assert_eq!(told, []);
    for second in 200..260 {
        told.extend(drift.observe(&record(second, [1280, 960]), None));
    }
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].signal, told[0].found.as_str()), (Signal::Aspect, "1280x960"));
}

#[test]
fn a_shadow_moves_nothing() {
    let mut drift = Drift::new(Settings::default(), None, &[]);
    for second in 0..200 {
        let mut shadow = record(second, if second < 100 { [1280, 720] } else { [3840, 2160] });
        shadow.model.role = ModelRole::Shadow;
        assert_eq!(drift.observe(&shadow, None), None);
    }
}

#[test]
fn darkness_against_training_is_told_once_at_the_days_end() {
    let training = Training { brightness: Some([120.0, 20.0]), ..Training::default() };
    let mut drift = Drift::new(Settings::default(), Some(&training), &[]);
    let dark = FrameStatistics { luma: Some(20.0), ..FrameStatistics::default() };
    let mut told = Vec::new();
    for minute in 0..3 * 24 * 60 {
        told.extend(drift.observe(&record(minute * 60, [1280, 720]), Some(&dark)));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].signal, told[0].span), (Signal::Exposure, Span::Day));
    assert_eq!(told[0].expected, "mean luma 120");
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut drift = Drift::new(Settings::default(), None, &[]);
    for hour in 0..3 * KEPT_TWO_WEEKS {
        drift.observe(&record(hour * HOUR, [1280, 720]), None);
    }
    assert!(drift.past.hours().count() <= 15 * 24);
    let bytes = 15 * 24 * size_of::<Window>();
    assert!(bytes < 256 << 10, "{bytes}");
}

const KEPT_TWO_WEEKS: u64 = 14 * 24;

#[test]
fn students_t_is_as_printed_in_tables() {
    for (upper, n, expected) in [
        (0.025, 10.0, 2.2281),
        (0.001, 39.0, 3.3128),
        (0.0005, 5.0, 6.8688),
        (0.0001, 4.0, 13.0337),
        (0.0001, 60.0, 3.9621),
        (0.05, 1.0, 6.3138),
        (0.05, 2.0, 2.9200),
    ] {
        let found = upper_t(upper, n);
        assert!((found / expected - 1.0).abs() < 0.003, "t({upper}, {n}) = {found}, expected {expected}");
    }
}

#[test]
fn psi_is_nothing_for_the_same_and_symmetric() {
    let mut one = Histogram::default();
    let mut other = Histogram::default();
    for at in 0..10 {
        one.0[at] = 100.0;
        other.0[at] = if at < 5 { 150.0 } else { 50.0 };
    }
    assert!(psi(&one, &one, 10).abs() < 1e-12);
    assert!((psi(&one, &other, 10) - psi(&other, &one, 10)).abs() < 1e-12);
    // Σ (0.15 − 0.1) ln 1.5 + (0.05 − 0.1) ln 0.5 over five bins each.
    assert!(
        (psi(&one, &other, 10) - 5.0 * (0.05 * 1.5_f64.ln() + 0.05 * 2.0_f64.ln())).abs() < 5e-3,
        "less by what is added to every bin"
    );
}

#[test]
fn every_value_has_a_bin() {
    for signal in SIGNALS {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 255.0, 1e30] {
            assert!(signal.bin(value) < signal.bins(), "{signal} {value}");
        }
    }
    assert!(Signal::BoxSizes.bin(0.3) < Signal::BoxSizes.bin(0.3 * 0.6), "children are a bin further");
}

#[test]
fn a_watch_that_was_restarted_says_what_one_that_was_not_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ward.drift");
    assert!(Memory::read(&file).unwrap().is_none());
    let settings = Settings::default();
    let looks = |second: u64| {
        // No hour is quite like another, and the last day is dark.
        let luma = 100.0 + ((second / 60 * 37) % 41) as f32;
        let luma = if second < 13 * DAY { luma } else { luma / 4.0 };
        FrameStatistics { luma: Some(luma), ..FrameStatistics::default() }
    };
    let (mut one, mut other) = (Drift::new(settings, None, &[]), Drift::new(settings, None, &[]));
    let (mut from_one, mut from_other) = (Vec::new(), Vec::new());
    for second in (0..14 * DAY).step_by(20) {
        let frame = looks(second);
        let record = record(second, [1280, 720]);
        from_one.extend(one.observe(&record, Some(&frame)));
        from_other.extend(other.observe(&record, Some(&frame)));
        if second % (5 * HOUR) == 2 * HOUR + 40 {
            other.memory().write(&file).unwrap();
            other = Drift::new(settings, None, &[]);
            other.restore(Memory::read(&file).unwrap().expect("it was written"));
        }
    }
    assert_eq!(from_one, from_other);
    assert!(from_one.iter().any(|alarm| alarm.signal == Signal::Exposure), "{from_one:?}");
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!("{bytes} bytes for two weeks");
    assert!(bytes < 256 << 10, "{bytes} bytes");
}

#[test]
fn a_memory_that_cannot_be_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ward.drift");
    let mut memory = Drift::new(Settings::default(), None, &[]).memory();
    memory.hour.add(Signal::Scores, 0, -1.0);
    memory.write(&file).unwrap();
    let refused = |file: &std::path::Path| Memory::read(file).unwrap_err().to_string();
    assert!(refused(&file).contains("holds what is no count"), "{}", refused(&file));
    memory.hour = window::Window::default();
    memory.past = vec![window::Window::default(); window::KEPT + 1];
    memory.write(&file).unwrap();
    assert!(refused(&file).contains("more than the 360 that are kept"), "{}", refused(&file));
    for bytes in [&b"{}"[..], b"{\"schema\":1}", &[]] {
        std::fs::write(&file, bytes).unwrap();
        assert!(refused(&file).contains("ward.drift"), "{}", refused(&file));
    }
}
