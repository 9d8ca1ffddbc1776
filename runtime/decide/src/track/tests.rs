use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::observe::{Keypoint, Keypoints};

const SIZE: [f32; 2] = [1280.0, 720.0];

fn seen(role: Role, score: f32, x: f32, y: f32, width: f32, height: f32) -> Observation {
    let bbox = [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height];
    Observation { role, score, bbox, keypoints: None }
}

struct Run {
    tracker: Tracker,
    ids: Ids,
}

impl Run {
    fn new() -> Self {
        Self { tracker: Tracker::new(TrackConfig::default()), ids: Ids::default() }
    }

    fn frame(&mut self, ms: u64, observations: &[Observation]) -> Vec<u32> {
        let seen = Seen { captured: Nanos::from_millis(ms), size: SIZE, observations };
        self.tracker.step(&seen, &mut self.ids).iter().map(Track::id).collect()
    }
}

/// A sign that grows as at 14 m/s, `y` held.
fn growing(ms: u64) -> Observation {
    let distance = 60.0 - 14.0 * ms as f32 / 1000.0;
    seen(Role::StopSign, 0.8, 640.0 + 3000.0 / distance, 330.0, 750.0 / distance, 750.0 / distance)
}

#[test]
fn a_growing_sign_keeps_its_id_at_any_frame_rate() {
    for period in [16, 33, 66, 100, 200] {
        let mut run = Run::new();
        for frame in 0..3_800 / period {
            assert_eq!(
                run.frame(frame * period, &[growing(frame * period)]),
                [1],
                "{period} ms, frame {frame}"
            );
        }
        let track = &run.tracker.tracks()[0];
        assert!(track.is_confirmed() && track.growth()[1] > 0.0 && track.velocity()[0] > 0.0);
    }
}

#[test]
fn flicker_and_a_short_occlusion_keep_the_id() {
    let mut run = Run::new();
    for frame in 0..100_u64 {
        let hidden = frame % 3 == 1 || (40..60).contains(&frame);
        let observations = if hidden { vec![] } else { vec![growing(frame * 33)] };
        let ids = run.frame(frame * 33, &observations);
        assert_eq!(ids, [1], "frame {frame}");
    }
}

#[test]
fn low_scores_hold_a_track_and_begin_none() {
    let mut run = Run::new();
    let weak = Observation { score: 0.2, ..growing(0) };
    assert!(run.frame(0, &[weak]).is_empty());
    for frame in 1..10 {
        run.frame(frame * 33, &[growing(frame * 33)]);
    }
    for frame in 10..90 {
        let weak = Observation { score: 0.2, ..growing(frame * 33) };
        assert_eq!(run.frame(frame * 33, &[weak]), [1]);
        assert_eq!(run.tracker.tracks()[0].observation(), Some(0));
    }
}

#[test]
fn a_high_score_goes_before_a_nearer_low_one() {
    let mut run = Run::new();
    for frame in 0..10 {
        run.frame(frame * 33, &[seen(Role::Person, 0.9, 300.0, 300.0, 50.0, 120.0)]);
    }
    let observations = [
        seen(Role::Person, 0.15, 300.0, 300.0, 50.0, 120.0),
        seen(Role::Person, 0.9, 310.0, 300.0, 50.0, 120.0),
    ];
    assert_eq!(run.frame(330, &observations), [1]);
    assert_eq!(run.tracker.tracks()[0].observation(), Some(1));
}

#[test]
fn a_track_ends_after_its_time_and_its_id_is_not_used_again() {
    let mut run = Run::new();
    for frame in 0..10 {
        run.frame(frame * 33, &[seen(Role::Person, 0.9, 300.0, 300.0, 50.0, 120.0)]);
    }
    assert_eq!(run.frame(1_200, &[]), [1]);
    assert!(run.frame(1_300, &[]).is_empty(), "a confirmed one coasts for a second");
    assert_eq!(run.frame(1_330, &[seen(Role::Person, 0.9, 300.0, 300.0, 50.0, 120.0)]), [2]);
    assert_eq!(run.frame(1_550, &[]), [2]);
    assert!(run.frame(1_600, &[]).is_empty(), "an unconfirmed one for a quarter");
    assert!(run.tracker.track(2).is_none());
}

#[test]
fn an_object_that_leaves_the_picture_takes_its_track_along() {
    let mut run = Run::new();
    for frame in 0..25_u64 {
        let x = 900.0 + 20.0 * frame as f32;
        if x < 1250.0 {
            run.frame(frame * 33, &[seen(Role::StopSign, 0.9, x, 300.0, 50.0, 50.0)]);
        } else {
            run.frame(frame * 33, &[]);
        }
    }
    assert!(run.tracker.tracks().is_empty());
}

#[test]
fn roles_do_not_mix_and_a_person_who_goes_down_stays_one() {
    let mut run = Run::new();
    let place = |role| seen(role, 0.9, 300.0, 300.0, 80.0, 120.0);
    run.frame(0, &[place(Role::Person)]);
    assert_eq!(run.frame(33, &[place(Role::PersonDown)]), [1]);
    assert_eq!(run.tracker.tracks()[0].role(), Role::PersonDown);
    assert_eq!(run.frame(66, &[place(Role::Watched(0))]), [1, 2]);
    assert_eq!(run.frame(99, &[place(Role::Watched(1)), place(Role::StopSign)]), [1, 2, 3, 4]);
}

#[test]
fn two_who_cross_keep_their_ids() {
    let mut run = Run::new();
    let pair = |ms: u64| {
        let x = 100.0 * ms as f32 / 1000.0;
        [
            seen(Role::Person, 0.9, 300.0 + x, 300.0, 50.0, 120.0),
            seen(Role::Person, 0.8, 500.0 - x, 310.0, 50.0, 130.0),
        ]
    };
    for frame in 0..70 {
        run.frame(frame * 33, &pair(frame * 33));
    }
    let tracks = run.tracker.tracks();
    assert_eq!(tracks.len(), 2);
    assert!(tracks[0].velocity()[0] > 50.0 && tracks[1].velocity()[0] < -50.0);
}

#[test]
fn when_full_the_weakest_unconfirmed_gives_way() {
    let mut run = Run::new();
    let crowd: Vec<Observation> = (0_u8..64)
        .map(|place| {
            let (x, y) = (f32::from(place % 8) * 150.0 + 80.0, f32::from(place / 8) * 80.0 + 60.0);
            seen(Role::Person, 0.5 + f32::from(place) * 0.005, x, y, 40.0, 60.0)
        })
        .collect();
    run.frame(0, &crowd);
    let other = |score| seen(Role::StopSign, score, 640.0, 350.0, 30.0, 30.0);
    // A detection weaker than all finds no room.
    run.frame(33, &[&crowd[1..], &[other(0.45)]].concat());
    assert_eq!(
        (run.tracker.tracks().len(), run.tracker.refused()),
        (64, 0),
        "the unseen one has a median of half"
    );
    assert!(run.tracker.track(64).is_none() && run.tracker.track(65).is_some());
    for frame in 2..8 {
        run.frame(frame * 33, &crowd[1..]);
    }
    // Now all others are confirmed and seen: no room for anybody.
    run.frame(264, &crowd[1..]);
    let ids = run.frame(297, &[&crowd[1..], &[seen(Role::StopSign, 0.9, 30.0, 700.0, 20.0, 20.0)]].concat());
    assert!(ids.contains(&66) || run.tracker.refused() == 0);
}

#[test]
fn confirmed_and_seen_tracks_are_never_given_up() {
    let mut run = Run::new();
    let crowd: Vec<Observation> = (0_u8..64)
        .map(|place| {
            let (x, y) = (f32::from(place % 8) * 150.0 + 80.0, f32::from(place / 8) * 80.0 + 60.0);
            seen(Role::Person, 0.7, x, y, 40.0, 60.0)
        })
        .collect();
    for frame in 0..6 {
        run.frame(frame * 33, &crowd);
    }
    let more = seen(Role::Person, 0.95, 640.0, 700.0, 30.0, 30.0);
    // 65 detections: the 64 surest are looked at, the new one among them; the one left out coasts and gives way.
    let ids = run.frame(200, &[&crowd[..], &[more]].concat());
    assert_eq!(ids.len(), 64);
    assert!(ids.contains(&65));
    for frame in 0..6_u64 {
        run.frame(233 + frame * 33, &[&crowd[..63], &[more]].concat());
    }
    let last = seen(Role::Person, 0.65, 20.0, 20.0, 10.0, 10.0);
    let before = run.tracker.refused();
    let ids = run.frame(450, &[&crowd[..63], &[more, last]].concat());
    assert_eq!((ids.len(), run.tracker.refused()), (64, before), "beyond the 64 surest nothing is looked at");
}

#[test]
fn what_is_not_sound_is_no_observation() {
    let good = growing(0);
    for bad in [
        Observation { score: f32::NAN, ..good },
        Observation { score: 1.5, ..good },
        Observation { bbox: [0.0, 0.0, f32::INFINITY, 1.0], ..good },
        Observation { bbox: [5.0, 0.0, 1.0, 1.0], ..good },
        Observation { bbox: [0.0, 5.0, 1.0, 1.0], ..good },
        Observation { bbox: [0.0, 0.0, 1e9, 1.0], ..good },
    ] {
        assert!(!bad.is_sound());
        assert!(Run::new().frame(0, &[bad]).is_empty());
    }
}

#[test]
fn the_posture_of_the_newest_detection_is_kept_unless_it_is_not_sound() {
    let mut run = Run::new();
    let mut person = seen(Role::Person, 0.9, 300.0, 300.0, 50.0, 120.0);
    person.keypoints = Some(Keypoints([Keypoint { x: 1.0, y: 2.0, score: 0.5 }; 17]));
    run.frame(0, &[person]);
    person.keypoints = Some(Keypoints([Keypoint { x: f32::NAN, y: 2.0, score: 0.5 }; 17]));
    run.frame(33, &[person]);
    let (at, points) = run.tracker.tracks()[0].keypoints().unwrap();
    assert_eq!((*at, points.0[3].x), (Nanos(0), 1.0));
}

#[test]
fn time_that_runs_backwards_moves_nothing_on() {
    let mut run = Run::new();
    run.frame(1_000, &[growing(0)]);
    run.frame(1_033, &[growing(33)]);
    assert_eq!(run.frame(500, &[growing(33)]), [1]);
    assert_eq!(run.tracker.tracks()[0].observed(), Nanos::from_millis(1_033));
}

#[test]
fn a_slow_camera_follows_too() {
    let mut run = Run::new();
    for second in 0..10 {
        let ids = run.frame(second * 1_000, &[seen(Role::Person, 0.9, 300.0, 300.0, 50.0, 120.0)]);
        assert_eq!(ids, [1]);
    }
}

#[test]
fn ids_run_out_instead_of_coming_again() {
    let mut ids = Ids(u32::MAX - 1);
    assert_eq!((ids.fresh(), ids.fresh()), (Some(u32::MAX), None));
}

#[test]
fn settings_out_of_bounds_are_named() {
    let default = TrackConfig::default();
    assert!(default.check().is_ok());
    for (config, key) in [
        (TrackConfig { high_score: f32::NAN, ..default }, "high_score"),
        (TrackConfig { low_score: 0.9, ..default }, "low_score"),
        (TrackConfig { tentative_ms: 2_000, ..default }, "tentative_ms"),
        (TrackConfig { shake: -1.0, ..default }, "shake"),
    ] {
        assert_eq!(config.check().unwrap_err().key, key);
    }
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let number = prop_oneof![9 => -100.0_f32..1400.0, 1 => any::<f32>()];
    let role =
        prop_oneof![Just(Role::StopSign), Just(Role::Person), Just(Role::PersonDown), Just(Role::Watched(3))];
    (role, 0.0_f32..1.0, [number.clone(), number.clone(), number.clone(), number]).prop_map(
        |(role, score, [a, b, c, d])| {
            let (x1, x2) = if a <= c { (a, c) } else { (c, a) };
            let (y1, y2) = if b <= d { (b, d) } else { (d, b) };
            Observation { role, score, bbox: [x1, y1, x2, y2], keypoints: None }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_ids_are_unique_numbers_are_numbers_and_there_is_room(
        frames in proptest::collection::vec((0_u64..2_000, proptest::collection::vec(any_observation(), 0..90)), 1..12),
    ) {
        let mut run = Run::new();
        let (mut at, mut newest) = (0, 0);
        for (later, observations) in frames {
            at += later;
            let before = newest;
            let ids = run.frame(at, &observations);
            prop_assert!(ids.len() <= MAX_TRACKS);
            let mut sorted = ids.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), ids.len());
            newest = newest.max(ids.iter().copied().max().unwrap_or(0));
            prop_assert!(newest >= before);
            for track in run.tracker.tracks() {
                prop_assert!(track.bbox().iter().chain(&track.velocity()).chain(&track.growth()).all(|x| x.is_finite()));
                if let Some(index) = track.observation() {
                    prop_assert_eq!(track.raw(), observations[usize::from(index)].bbox);
                }
            }
        }
    }
}
