use super::*;
use crate::guard::scene::{SIZE, Scene};

const PERIOD: u64 = 33_333_333;

fn facts(raw: bool) -> CameraFacts {
    CameraFacts { period: Some(Nanos(PERIOD)), raw, size: Some([640, 360]), ..CameraFacts::default() }
}

fn guard(raw: bool) -> CameraGuard {
    CameraGuard::new(&GuardConfig::default(), facts(raw), Nanos(0))
}

fn at(frame: u64) -> Nanos {
    Nanos(frame * PERIOD)
}

#[test]
fn a_camera_that_falls_silent_is_lost_after_a_tenth_of_a_second_and_back_with_its_next_frame() {
    let mut guard = guard(true);
    let watch = guard.watch();
    assert!(watch.faults(Nanos::from_millis(4999)).is_empty(), "it has five seconds for its first frame");
    assert!(watch.faults(Nanos::from_millis(5001)).has(Cause::CameraLost));
    let street = Scene::street(1);
    for frame in 150..200 {
        assert_eq!(guard.frame(&street.frame(frame, at(frame), 2.0), at(frame)), Verdict::Decide);
        assert!(watch.faults(at(frame)).is_empty());
    }
    let last = at(199);
    assert!(watch.faults(last.plus(Nanos::from_millis(100))).is_empty());
    assert!(watch.faults(last.plus(Nanos::from_millis(101))).has(Cause::CameraLost));
    guard.restarted();
    let back = last.plus(Nanos::from_millis(3000));
    guard.frame(&street.frame(200, back, 2.0), back);
    assert!(watch.faults(back).is_empty());
}

#[test]
fn a_slow_camera_may_be_silent_for_two_and_a_half_periods() {
    let slow = CameraFacts { period: Some(Nanos::from_millis(100)), ..facts(true) };
    let guard = CameraGuard::new(&GuardConfig::default(), slow, Nanos(0));
    assert_eq!(guard.watch().limit(), Nanos::from_millis(250));
}

#[test]
fn repeated_numbers_are_dropped_at_once_and_a_frozen_camera_soon() {
    let mut guard = guard(true);
    let street = Scene::street(1);
    for frame in 0..30 {
        guard.frame(&street.frame(frame, at(frame), 2.0), at(frame));
    }
    let mut told = Vec::new();
    for frame in 30..40 {
        // The device hands out the same buffer again and again, with the time moved on.
        let verdict = guard.frame(&street.frame(29, at(frame), 2.0), at(frame));
        assert_eq!(verdict, Verdict::Drop(Cause::CameraFrozen));
        told.push(guard.tick(at(frame)).has(Cause::CameraFrozen));
    }
    assert_eq!(told.iter().position(|told| *told), Some(3), "100 ms after the first repeat");
}

#[test]
fn a_frozen_picture_under_rising_numbers_is_dropped_once_it_is_known() {
    let mut guard = guard(true);
    let street = Scene::street(1);
    for frame in 0..30 {
        guard.frame(&street.frame(frame, at(frame), 2.0), at(frame));
    }
    let mut verdicts = Vec::new();
    let bytes = street.frame(29, at(29), 2.0).plane(0).bytes.to_vec();
    for frame in 30..40 {
        let same = crate::guard::scene::frame_of(
            bytes.clone(),
            stopline_sensors::frame::PixelFormat::Grey,
            crate::guard::scene::FULL,
            frame,
            at(frame),
            SIZE,
        );
        verdicts.push(guard.frame(&same, at(frame)));
    }
    assert_eq!(verdicts[..3], [Verdict::Decide; 3]);
    assert_eq!(verdicts[3..], [Verdict::Drop(Cause::CameraFrozen); 7]);
}

#[test]
fn time_that_runs_backwards_decides_nothing_and_is_told() {
    let mut guard = guard(true);
    let street = Scene::street(1);
    for frame in 0..30 {
        guard.frame(&street.frame(frame, at(frame), 2.0), at(frame));
    }
    let back = guard.frame(&street.frame(30, at(10), 2.0), at(30));
    assert_eq!(back, Verdict::Drop(Cause::ClockAnomaly));
    assert!(guard.tick(at(30)).has(Cause::ClockAnomaly));
    let future = guard.frame(&street.frame(31, at(60), 2.0), at(31));
    assert_eq!(future, Verdict::Drop(Cause::ClockAnomaly));
}

#[test]
fn a_picture_of_another_size_than_the_calibration_is_told_at_once() {
    let mut guard = CameraGuard::new(
        &GuardConfig::default(),
        CameraFacts { size: Some([1280, 720]), ..facts(true) },
        Nanos(0),
    );
    guard.frame(&Scene::street(1).frame(0, at(0), 2.0), at(0));
    assert_eq!(guard.faults(), FaultSet::default().with(Cause::WrongResolution));
}

#[test]
fn a_stamp_of_arrival_needs_a_declared_bound() {
    let arrival = |frame: u64| {
        let (bytes, at) = (Scene::street(1).frame(frame, at(frame), 2.0).plane(0).bytes.to_vec(), at(frame));
        let meta = stopline_sensors::frame::FrameMeta {
            source: "net".into(),
            sequence: frame,
            captured: stopline_sensors::clock::Monotonic::from_nanos(at.0),
            stamp: Stamp::Arrival,
            wall: std::time::UNIX_EPOCH,
            position: None,
            path: None,
            copies: 0,
        };
        let format = stopline_sensors::frame::PixelFormat::Grey;
        Frame::packed(meta, format, crate::guard::scene::FULL, (640, 360), bytes.into()).expect("a frame")
    };
    for declared in [false, true] {
        let facts = CameraFacts { latency_declared: declared, ..facts(true) };
        let mut guard = CameraGuard::new(&GuardConfig::default(), facts, Nanos(0));
        guard.frame(&arrival(0), at(0));
        assert_eq!(guard.faults().has(Cause::StampUnbounded), !declared);
    }
}

#[test]
fn a_fault_stays_told_while_frames_come_that_are_none() {
    let mut guard = guard(true);
    let black = Scene::plain(3.0);
    for frame in 0..10 {
        guard.frame(&black.frame(frame, at(frame), 2.0), at(frame));
    }
    assert!(guard.faults().has(Cause::CameraBlack));
    guard.frame(&black.frame(9, at(10), 2.0), at(10));
    assert!(guard.faults().has(Cause::CameraBlack));
}

#[test]
fn only_timing_is_judged_where_the_configuration_says_so() {
    let timing = CameraFacts { timing_only: true, ..facts(true) };
    let mut guard = CameraGuard::new(&GuardConfig::default(), timing, Nanos(0));
    for frame in 0..20 {
        guard.frame(&Scene::plain(0.0).frame(frame, at(frame), 3.0), at(frame));
    }
    assert!(guard.faults().is_empty());
}
