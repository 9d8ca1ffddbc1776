use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::bench::{Bench, SIZE, Thing, calibration, config, project};
use crate::decision::{MAX_SITUATIONS, SituationKind, WarnLevel};
use crate::ego::Reading;
use crate::observe::Role;
use crate::watch::{MAX_WATCHES, WatchConfig};

fn input(camera: u8, ms: u64, speed: f32, observations: &[Observation]) -> FrameInput<'_> {
    let ego = Ego { speed: Reading::Fresh(speed), ..Ego::default() };
    FrameInput { camera, frame: ms, captured: Nanos::from_millis(ms), size: SIZE, observations, ego }
}

fn stood(role: Role, distance: f32, left: f32, up: f32, height: f32, width: f32) -> Observation {
    let camera = Camera::new(calibration()).unwrap();
    let upper = project(&camera, [distance, left + 0.5 * width, up + height]);
    let lower = project(&camera, [distance, left - 0.5 * width, up]);
    Observation { role, score: 0.8, bbox: [upper[0], upper[1], lower[0], lower[1]], keypoints: None }
}

fn two_cameras() -> DecideConfig {
    let mut config = config();
    config.cameras.push(config.cameras[0]).unwrap();
    config
}

#[test]
fn two_cameras_that_see_one_sign_raise_one_event() {
    let mut decider = Decider::new(two_cameras()).unwrap();
    let mut ids = Vec::new();
    for frame in 0..400_u64 {
        let distance = 80.0 - 10.0 * frame as f32 / 60.0;
        let sign = [stood(Role::StopSign, distance, -3.0, 2.1, 0.75, 0.75)];
        let decision = decider.step(&input((frame % 2) as u8, frame * 50 / 3, 10.0, &sign));
        let signs = decision.situations.iter().filter(|s| s.phase != Phase::Suspected);
        ids.extend(signs.map(|situation| situation.id));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn two_cameras_that_see_one_person_raise_one_event() {
    let mut decider = Decider::new(two_cameras()).unwrap();
    let mut ids = Vec::new();
    for frame in 0..240_u64 {
        let distance = 50.0 - 10.0 * frame as f32 / 60.0;
        let person = [stood(Role::Person, distance, 0.0, 0.0, 1.75, 0.6)];
        let decision = decider.step(&input((frame % 2) as u8, frame * 50 / 3, 10.0, &person));
        let active =
            decision.situations.iter().filter(|s| !matches!(s.phase, Phase::Suspected | Phase::Confirmed));
        ids.extend(active.map(|situation| situation.id));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn another_cameras_brake_stays_in_the_decision() {
    let mut decider = Decider::new(two_cameras()).unwrap();
    let mut braked = 0;
    for frame in 0..260_u64 {
        let distance = 50.0 - 10.0 * frame as f32 / 60.0;
        let person = [stood(Role::Person, distance, 0.0, 0.0, 1.75, 0.6)];
        let camera = (frame % 2) as u8;
        let seen: &[Observation] = if camera == 0 { &person } else { &[] };
        let decision = decider.step(&input(camera, frame * 50 / 3, 10.0, seen));
        if decision.request.brake.is_some() {
            braked += 1;
        } else {
            assert_eq!(braked, 0, "frame {frame} of camera {camera}");
        }
    }
    assert!(braked > 50);
}

#[test]
fn a_camera_that_gives_no_frames_ends_what_it_alone_saw() {
    let mut decider = Decider::new(two_cameras()).unwrap();
    for frame in 0..220_u64 {
        let distance = 50.0 - 10.0 * frame as f32 / 60.0;
        decider.step(&input(0, frame * 50 / 3, 10.0, &[stood(Role::Person, distance, 0.0, 0.0, 1.75, 0.6)]));
    }
    assert!(decider.decision().request.brake.is_some());
    for frame in 220..300_u64 {
        decider.step(&input(1, frame * 50 / 3, 10.0, &[]));
    }
    assert!(decider.decision().request.brake.is_none());
}

#[test]
fn a_watched_class_informs_or_warns_and_ends() {
    let mut config = config();
    config.watch.push(WatchConfig::default()).unwrap();
    config
        .watch
        .push(WatchConfig { level: WarnLevel::Warn, region: [0.3, 0.0, 0.7, 1.0], ..WatchConfig::default() })
        .unwrap();
    let mut decider = Decider::new(config).unwrap();
    let animal = stood(Role::Watched(0), 20.0, 0.0, 0.0, 0.8, 1.2);
    let light = stood(Role::Watched(1), 20.0, 0.5, 3.0, 0.9, 0.4);
    let aside = stood(Role::Watched(1), 20.0, 9.0, 3.0, 0.9, 0.4);
    let mut at = 0;
    let mut run = |decider: &mut Decider, seen: &[Observation], frames: u64| {
        for _ in 0..frames {
            at += 33;
            decider.step(&input(0, at, 10.0, seen));
        }
        decider.decision().clone()
    };
    let decision = run(&mut decider, &[animal, aside], 10);
    assert_eq!(
        (decision.situations.len(), decision.request.warn),
        (1, None),
        "too short, and outside the region"
    );
    let decision = run(&mut decider, &[animal, aside], 10);
    assert_eq!(decision.request.warn.map(|warn| warn.level), Some(WarnLevel::Inform));
    assert_eq!(decision.situations[0].kind, SituationKind::Watched(0));
    let decision = run(&mut decider, &[animal, light], 20);
    assert_eq!(decision.request.warn.map(|warn| warn.level), Some(WarnLevel::Warn));
    assert!(decision.request.brake.is_none());
    let mut ended = 0;
    for _ in 0..90 {
        let decision = run(&mut decider, &[], 1);
        ended += decision.situations.iter().filter(|situation| situation.phase == Phase::Ended).count();
    }
    assert_eq!((ended, decider.decision().situations.len()), (2, 0));
}

fn body(x: f32, foot: f32, height: f32, aspect: f32) -> Observation {
    let half = 0.5 * aspect * height;
    Observation {
        role: Role::Person,
        score: 0.8,
        bbox: [x - half, foot - height, x + half, foot],
        keypoints: None,
    }
}

fn ward() -> DecideConfig {
    let mut config = DecideConfig::default();
    for _ in 0..2 {
        let functions = Functions::default().with(Function::Fall);
        config.cameras.push(CameraConfig { functions, calibration: None }).unwrap();
    }
    config
}

/// Stands for two seconds, falls in half a second, lies for `lying` seconds, seen by `camera`.
fn fall(decider: &mut Decider, camera: u8, lying: u64) {
    for frame in 0..(2_500 + 1_000 * lying) / 50 {
        let ms = frame * 50;
        let down = ((ms as f32 - 2_000.0) / 500.0).clamp(0.0, 1.0);
        let person = body(500.0, 600.0, 300.0 - 220.0 * down, 0.35 + 2.6 * down);
        decider.step(&input(camera, 1 + ms, 0.0, &[person]));
    }
}

#[test]
fn a_fall_tells_the_staff_until_acknowledged_and_another_camera_keeps_it() {
    let mut decider = Decider::new(ward()).unwrap();
    fall(&mut decider, 0, 4);
    let decision = decider.decision().clone();
    assert_eq!(decision.request.persons_down, 1, "{:?}", decision.situations);
    let open = decision.situations.iter().find(|situation| situation.phase == Phase::Warning).unwrap();
    assert_eq!(open.kind, SituationKind::Fall);
    assert!(decision.request.brake.is_none() && decision.request.warn.is_none());
    let other = decider.step(&input(1, 7_000, 0.0, &[]));
    assert_eq!(other.request.persons_down, 1, "a frame of another camera does not get anybody up");
    assert!(decider.acknowledge(Nanos::from_millis(7_000), open.id) && !decider.acknowledge(Nanos(0), 999));
    let silenced = decider.step(&input(0, 7_050, 0.0, &[]));
    assert_eq!(silenced.request.persons_down, 0);
    assert!(silenced.situations.iter().any(|situation| situation.phase == Phase::Confirmed));
    assert!(decider.close(open.id) && !decider.close(open.id));
}

#[test]
fn lying_down_in_a_bed_that_only_this_camera_sees_is_no_fall() {
    for camera in [0, 1] {
        let mut config = ward();
        let bed: crate::fall::Region = crate::fall::Region(
            Vec::from([[0.1, 0.5], [0.9, 0.5], [0.9, 1.0], [0.1, 1.0]]).into_iter().collect(),
        );
        config.beds[0].push(bed).unwrap();
        let mut decider = Decider::new(config).unwrap();
        fall(&mut decider, camera, 4);
        assert_eq!(decider.decision().request.persons_down, camera);
    }
}

#[test]
fn a_camera_too_slow_for_falls_says_so() {
    let mut decider = Decider::new(ward()).unwrap();
    for second in 0..20 {
        decider.step(&input(0, 1 + second * 1_000, 0.0, &[body(500.0, 600.0, 300.0, 0.35)]));
    }
    assert!(decider.is_frame_rate_low(0) && !decider.is_frame_rate_low(1) && !decider.is_frame_rate_low(9));
}

#[test]
fn a_camera_that_is_not_configured_gives_an_empty_decision() {
    let mut decider = Decider::new(config()).unwrap();
    let seen = [stood(Role::Person, 20.0, 0.0, 0.0, 1.75, 0.6)];
    let decision = decider.step(&input(3, 5, 10.0, &seen));
    assert_eq!((decision.camera, decision.tracks.len(), decision.situations.len()), (3, 0, 0));
    assert!(decider.tracks(3).is_empty());
}

#[test]
fn a_picture_of_another_size_is_not_ranged() {
    let mut decider = Decider::new(config()).unwrap();
    for frame in 0..200_u64 {
        let person = [stood(Role::Person, 40.0 - frame as f32 / 6.0, 0.0, 0.0, 1.75, 0.6)];
        let decision =
            decider.step(&FrameInput { size: [1280, 721], ..input(0, frame * 50 / 3, 10.0, &person) });
        assert!(decision.request.brake.is_none());
        assert!(decision.situations.iter().all(|situation| situation.distance.is_none()));
    }
}

#[test]
fn a_decider_without_cameras_or_with_bad_settings_is_refused() {
    assert_eq!(Decider::new(DecideConfig::default()).unwrap_err().section, "camera");
    let mut wrong = config();
    wrong.stop_sign.limit_mps2 = 20.0;
    assert_eq!(Decider::new(wrong).unwrap_err().key, "limit_mps2");
    let mut wrong = config();
    wrong.pedestrian.least_mps2 = 4.0;
    assert_eq!(Decider::new(wrong).unwrap_err().key, "least_mps2");
    let mut wrong = config();
    wrong.watch.push(WatchConfig { region: [0.5, 0.0, 0.4, 1.0], ..WatchConfig::default() }).unwrap();
    assert_eq!(Decider::new(wrong).unwrap_err().key, "region");
    let mut wrong = config();
    wrong.cameras[0].calibration.as_mut().unwrap().height = -1.0;
    assert_eq!(Decider::new(wrong).unwrap_err().section, "calibration");
}

#[test]
fn the_most_urgent_brake_wins() {
    // A person stands 25 m ahead, a sign 60 m.
    let things = vec![Thing::walker(55.0, 0.0, [0.0, 0.0]), Thing::sign(75.0, -3.0)];
    let mut bench = Bench::new(40.0, things);
    bench.drive(20.0, |bench| bench.speed <= 0.0);
    let brake = bench.decider.decision().request.brake.unwrap();
    assert!(brake.emergency && bench.gap(55.0) > 0.0);
}

#[test]
fn the_same_frames_give_the_same_decisions() {
    let run = || {
        let mut bench =
            Bench::new(40.0, vec![Thing::sign(75.0, -3.0), Thing::walker(60.0, -2.0, [0.0, 0.5])]);
        let mut decisions = Vec::new();
        for _ in 0..150 {
            bench.drive(0.01, |_| false);
            decisions.push(bench.decider.decision().clone());
        }
        decisions
    };
    assert_eq!(run(), run());
}

fn any_reading() -> impl Strategy<Value = Reading<f32>> {
    prop_oneof![
        6 => (-5.0_f32..40.0).prop_map(Reading::Fresh),
        1 => any::<f32>().prop_map(Reading::Fresh),
        1 => Just(Reading::Stale),
        1 => Just(Reading::Missing),
    ]
}

fn any_box() -> impl Strategy<Value = Observation> {
    let role = prop_oneof![
        Just(Role::StopSign),
        Just(Role::Person),
        Just(Role::PersonDown),
        (0_u8..10).prop_map(Role::Watched)
    ];
    (role, 0.0_f32..1.0, 0.0_f32..1280.0, 0.0_f32..720.0, 0.0_f32..400.0, 0.0_f32..500.0).prop_map(
        |(role, score, x, y, width, height)| {
            let bbox = [x, y, (x + width).min(1280.0), (y + height).min(720.0)];
            Observation { role, score, bbox, keypoints: None }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_comes_requests_are_bounded_numbers_and_ids_unique(
        start in (any_box(), any_box(), any_box()),
        frames in proptest::collection::vec(
            (0_u64..300, 0_u8..3, proptest::collection::vec(any_box(), 0..6), any_reading(), any_reading(), 0.9_f32..1.1),
            1..60,
        ),
    ) {
        let mut config = two_cameras();
        for _ in 0..MAX_WATCHES {
            config.watch.push(WatchConfig::default()).unwrap();
        }
        config.brake_without_speed = true;
        let (comfort, emergency) = (config.stop_sign.limit_mps2, config.pedestrian.limit_mps2);
        let mut decider = Decider::new(config).unwrap();
        let (mut at, mut kept) = (0, [start.0, start.1, start.2]);
        for (later, camera, mut seen, speed, yaw, scale) in frames {
            at += later;
            for sight in &mut kept {
                sight.bbox = sight.bbox.map(|edge| edge * scale);
            }
            seen.extend(kept);
            let ego = Ego { speed, yaw_rate: yaw, acceleration: yaw, steering_angle: speed, ..Ego::default() };
            let decision = decider.step(&FrameInput { ego, ..input(camera, at, 0.0, &seen) });
            prop_assert!(decision.situations.len() <= MAX_SITUATIONS);
            if let Some(brake) = decision.request.brake {
                let most = if brake.emergency { emergency } else { comfort };
                prop_assert!(brake.deceleration >= 0.0 && brake.deceleration <= most && brake.jerk > 0.0);
                prop_assert!(decision.situations.iter().any(|situation| situation.id == brake.situation));
            }
            let mut ids: Vec<u32> = decision.situations.iter().map(|situation| situation.id).collect();
            ids.extend(decision.tracks.iter().map(|track| track.id));
            ids.sort_unstable();
            let all = ids.len();
            ids.dedup();
            prop_assert_eq!(ids.len(), all);
            for situation in &decision.situations {
                prop_assert!(situation.distance.is_none_or(f32::is_finite));
                prop_assert!(situation.ttc.is_none_or(|ttc| ttc.is_finite() && ttc >= 0.0));
                prop_assert!((0.0..=1.0).contains(&situation.score));
            }
        }
    }
}
