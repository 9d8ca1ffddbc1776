//! A jointed figure, moved through poses, seen as boxes or keypoints with noise and drop-outs.

#![allow(clippy::type_complexity, reason = "tables of cases")]

extern crate std;

use std::vec::Vec as List;
use std::{format, vec};

use super::*;
use crate::observe::Keypoint;

/// Joints in body heights, x to the right, y up from the floor: head, shoulders, hips, knees, ankles, wrists.
type Pose = [[f32; 2]; 6];

const STAND: Pose = [[0.0, 0.93], [0.0, 0.82], [0.0, 0.53], [0.0, 0.28], [0.0, 0.04], [0.1, 0.5]];
const SIT: Pose = [[0.0, 0.70], [0.0, 0.58], [0.0, 0.28], [0.24, 0.28], [0.25, 0.04], [0.2, 0.35]];
const KNEEL: Pose = [[0.0, 0.70], [0.0, 0.60], [0.0, 0.30], [0.05, 0.05], [-0.25, 0.04], [0.12, 0.3]];
const BEND: Pose = [[0.28, 0.40], [0.18, 0.45], [-0.1, 0.52], [0.0, 0.27], [0.0, 0.04], [0.25, 0.1]];
const CROUCH: Pose = [[0.08, 0.50], [0.05, 0.40], [-0.05, 0.15], [0.15, 0.28], [0.0, 0.04], [0.2, 0.2]];
const FOURS: Pose = [[0.3, 0.38], [0.15, 0.35], [-0.2, 0.33], [-0.2, 0.04], [-0.45, 0.04], [0.15, 0.04]];
const LIE: Pose = [[0.42, 0.07], [0.3, 0.08], [0.0, 0.07], [-0.25, 0.07], [-0.48, 0.05], [0.1, 0.05]];
const LIE_LEFT: Pose = [[-0.42, 0.07], [-0.3, 0.08], [0.0, 0.07], [0.25, 0.07], [0.48, 0.05], [-0.1, 0.05]];
/// Head away from the camera, which looks down by 30°: a body's length becomes half of it.
const LIE_AWAY: Pose = [[0.0, 0.44], [0.0, 0.37], [0.0, 0.22], [0.0, 0.1], [0.0, 0.02], [0.15, 0.25]];
/// On a bed half a metre above the floor.
const IN_BED: Pose = [[0.42, 0.37], [0.3, 0.38], [0.0, 0.37], [-0.25, 0.37], [-0.48, 0.35], [0.1, 0.35]];

/// From when on which pose is reached, moved to from the one before over the seconds given.
#[derive(Clone, Copy)]
struct Move {
    at: f32,
    takes: f32,
    to: Pose,
}

#[derive(Clone)]
struct Figure {
    moves: List<Move>,
    /// Where its feet are in the picture at the start, and how fast they walk, in pixels and pixels per second.
    feet: [f32; 2],
    walk: f32,
    /// Its height in pixels.
    height: f32,
}

impl Figure {
    fn at(feet: [f32; 2]) -> Self {
        Self { moves: vec![Move { at: 0.0, takes: 0.0, to: STAND }], feet, walk: 0.0, height: 300.0 }
    }

    fn then(mut self, at: f32, takes: f32, to: Pose) -> Self {
        self.moves.push(Move { at, takes, to });
        self
    }

    fn walking(self, walk: f32) -> Self {
        Self { walk, ..self }
    }

    fn pose(&self, time: f32) -> Pose {
        let mut pose = self.moves[0].to;
        for window in self.moves.windows(2) {
            let [from, to] = [window[0].to, window[1].to];
            let (at, takes) = (window[1].at, window[1].takes);
            if time < at {
                break;
            }
            let share = if takes > 0.0 { ((time - at) / takes).min(1.0) } else { 1.0 };
            // Accelerates like something that falls.
            let share = share * share * (2.0 - share);
            for joint in 0..6 {
                for axis in 0..2 {
                    pose[joint][axis] = from[joint][axis] + (to[joint][axis] - from[joint][axis]) * share;
                }
            }
        }
        pose
    }

    /// Joints in pixels.
    fn seen(&self, time: f32) -> [[f32; 2]; 6] {
        let feet_x = self.feet[0] + self.walk * time;
        self.pose(time).map(|[x, y]| [feet_x + x * self.height, self.feet[1] - y * self.height])
    }
}

/// Seeded noise, equal on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    }
}

#[derive(Clone, Copy, Debug)]
struct Eye {
    fps: f32,
    keypoints: bool,
    /// Pixels of noise on every edge and joint.
    noise: f32,
    /// Share of frames in which a person is missing.
    missing: f32,
}

fn person(id: u32, joints: [[f32; 2]; 6], eye: Eye, noise: &mut Noise) -> Person {
    let mut shaken = |value: f32| value + noise.next() * eye.noise;
    let joints = joints.map(|[x, y]| [shaken(x), shaken(y)]);
    let edge = |axis: usize, least: bool| {
        let values = joints.iter().map(|joint| joint[axis]);
        if least { values.fold(f32::MAX, f32::min) } else { values.fold(f32::MIN, f32::max) }
    };
    let margin = 20.0;
    let bbox =
        [edge(0, true) - margin, edge(1, true) - margin, edge(0, false) + margin, edge(1, false) + margin];
    let mut points = [Keypoint::default(); 17];
    for (joint, places) in
        [(0, [0, 1]), (1, [5, 6]), (2, [11, 12]), (3, [13, 14]), (4, [15, 16]), (5, [9, 10])]
    {
        for place in places {
            points[place] = Keypoint { x: joints[joint][0], y: joints[joint][1], score: 0.9 };
        }
    }
    let keypoints = eye.keypoints.then_some(Keypoints(points));
    Person { id, bbox, keypoints, score: 0.8, observed: true, down: false }
}

#[derive(Debug, Default)]
struct Outcome {
    changes: List<(f32, u32, FallChange)>,
    open_at_end: u8,
}

impl Outcome {
    fn alert(&self) -> Option<f32> {
        self.changes.iter().find(|(_, _, change)| *change == FallChange::Alert).map(|(time, _, _)| *time)
    }

    fn count(&self, change: FallChange) -> usize {
        self.changes.iter().filter(|(_, _, one)| *one == change).count()
    }
}

const SIZE: [f32; 2] = [1280.0, 720.0];

fn config() -> FallConfig {
    let mut config = FallConfig::default();
    // A bed in the right part of the picture, its mattress 0.35 heights above the floor.
    let corners = [[0.62, 0.62], [0.95, 0.62], [0.95, 0.85], [0.62, 0.85]];
    config.beds.push(Region(corners.into_iter().collect())).unwrap();
    config
}

/// Runs figures through the watch. `keeps(time, figure)`: the id under which it is tracked, or none while it is lost.
fn watch(
    figures: &[Figure],
    eye: Eye,
    seconds: f32,
    keeps: impl Fn(f32, usize) -> Option<u32>,
) -> (FallWatch, Outcome) {
    let mut watch = FallWatch::new(config());
    let outcome = go_on(&mut watch, figures, eye, [0.0, seconds], keeps);
    (watch, outcome)
}

fn go_on(
    watch: &mut FallWatch,
    figures: &[Figure],
    eye: Eye,
    [from, to]: [f32; 2],
    keeps: impl Fn(f32, usize) -> Option<u32>,
) -> Outcome {
    let mut noise = Noise(7);
    let mut next_id = 100;
    let mut outcome = Outcome::default();
    let frames = ((to - from) * eye.fps) as usize;
    for frame in 0..frames {
        let time = from + frame as f32 / eye.fps;
        let mut people = List::new();
        for (index, figure) in figures.iter().enumerate() {
            let Some(id) = keeps(time, index) else { continue };
            let mut seen = person(id, figure.seen(time), eye, &mut noise);
            seen.observed = (noise.next() + 1.0) / 2.0 >= eye.missing;
            people.push(seen);
        }
        let report = watch.step(moment(time), SIZE, &people, &mut next_id);
        outcome.changes.extend(report.changes.iter().map(|(id, change)| (time, *id, *change)));
        outcome.open_at_end = report.persons_down;
    }
    outcome
}

fn moment(seconds: f32) -> Nanos {
    Nanos::from_millis(1_000).plus(Nanos((f64::from(seconds) * 1e9) as u64))
}

fn always(_: f32, index: usize) -> Option<u32> {
    Some(index as u32 + 1)
}

const EYES: [Eye; 5] = [
    Eye { fps: 30.0, keypoints: false, noise: 2.0, missing: 0.0 },
    Eye { fps: 10.0, keypoints: false, noise: 4.0, missing: 0.1 },
    Eye { fps: 30.0, keypoints: true, noise: 2.0, missing: 0.0 },
    Eye { fps: 15.0, keypoints: true, noise: 5.0, missing: 0.1 },
    Eye { fps: 8.0, keypoints: true, noise: 3.0, missing: 0.2 },
];

const FLOOR: [f32; 2] = [400.0, 650.0];

/// Every story is seen by every eye: five sequences each.
fn falls(story: &str, figure: &Figure, on_ground: f32, latest: f32) {
    for eye in EYES {
        let (_, outcome) = watch(core::slice::from_ref(figure), eye, 25.0, always);
        let alert = outcome.alert();
        let in_time = alert.is_some_and(|alert| alert >= on_ground && alert <= latest);
        assert!(
            in_time,
            "{story}: alert at {alert:?}, expected {on_ground} to {latest} s; {eye:?} {outcome:?}"
        );
        assert_eq!(outcome.count(FallChange::Alert), 1, "{story}: {eye:?} {outcome:?}");
    }
}

fn no_fall(story: &str, figure: &Figure, seconds: f32) {
    for eye in EYES {
        let (_, outcome) = watch(core::slice::from_ref(figure), eye, seconds, always);
        assert_eq!(outcome.alert(), None, "{story}: {eye:?} {outcome:?}");
        assert_eq!(outcome.open_at_end, 0, "{story}: {eye:?}");
    }
}

#[test]
fn somebody_falls_to_the_side_and_stays() {
    falls("to the right", &Figure::at(FLOOR).then(5.0, 0.7, LIE), 7.0, 9.0);
    falls("to the left", &Figure::at(FLOOR).then(5.0, 0.6, LIE_LEFT), 7.0, 9.0);
}

#[test]
fn somebody_falls_while_walking() {
    let figure = Figure::at([200.0, 640.0]).walking(25.0).then(6.0, 0.7, LIE);
    falls("walking", &figure, 8.0, 10.0);
}

#[test]
fn somebody_falls_over_the_knees() {
    let figure = Figure::at(FLOOR).then(5.0, 0.5, KNEEL).then(5.6, 0.5, LIE);
    falls("over the knees", &figure, 7.5, 9.5);
}

#[test]
fn somebody_falls_from_a_chair() {
    let figure = Figure::at(FLOOR).then(4.0, 1.6, SIT).then(9.0, 0.45, LIE);
    falls("from a chair", &figure, 11.0, 20.5);
}

#[test]
fn somebody_falls_with_the_head_away_from_the_camera() {
    let figure = Figure::at(FLOOR).then(5.0, 0.5, LIE_AWAY);
    falls("away", &figure, 14.5, 17.0);
}

#[test]
fn somebody_slides_to_the_floor_and_stays() {
    let figure = Figure::at(FLOOR).then(4.0, 4.0, LIE);
    falls("slides", &figure, 16.5, 20.0);
}

#[test]
fn somebody_falls_out_of_the_bed() {
    let bed = [1000.0, 640.0];
    let mut figure = Figure::at(bed).then(3.0, 3.0, IN_BED).then(9.0, 0.5, LIE);
    // The floor before the bed.
    figure.moves[2].to = LIE.map(|[x, y]| [x - 1.0, y]);
    falls("out of bed", &figure, 9.5, 21.0);
}

#[test]
fn a_class_that_says_on_the_ground_is_posture_enough() {
    let mut watch = FallWatch::new(config());
    let mut next_id = 0;
    let mut alert = None;
    for frame in 0..150u16 {
        let time = f32::from(frame) / 10.0;
        let down = time >= 3.0;
        // The box says nothing: as tall as before.
        let bbox = [300.0, 300.0, 400.0, 600.0];
        let one = Person { id: 1, bbox, keypoints: None, score: 0.9, observed: true, down };
        let report = watch.step(moment(time), SIZE, &[one], &mut next_id);
        if report.changes.iter().any(|(_, change)| *change == FallChange::Alert) {
            alert = Some(time);
        }
    }
    assert!(alert.is_some_and(|alert| (12.9..14.0).contains(&alert)), "{alert:?}");
}

#[test]
fn sitting_down_is_no_fall() {
    no_fall("sits", &Figure::at(FLOOR).then(4.0, 1.4, SIT), 30.0);
    no_fall("drops into a chair", &Figure::at(FLOOR).then(4.0, 0.6, SIT), 30.0);
    no_fall("sits, stands", &Figure::at(FLOOR).then(4.0, 1.2, SIT).then(12.0, 1.2, STAND), 20.0);
}

#[test]
fn bending_and_kneeling_are_no_falls() {
    no_fall("bends", &Figure::at(FLOOR).then(4.0, 0.8, BEND).then(7.0, 0.8, STAND), 15.0);
    no_fall("bends fast", &Figure::at(FLOOR).then(4.0, 0.45, BEND).then(5.5, 0.6, STAND), 15.0);
    no_fall("kneels for long", &Figure::at(FLOOR).then(4.0, 1.0, KNEEL), 30.0);
    no_fall("kneels fast", &Figure::at(FLOOR).then(4.0, 0.5, KNEEL).then(20.0, 1.0, STAND), 30.0);
    no_fall("crouches", &Figure::at(FLOOR).then(4.0, 1.2, CROUCH).then(14.0, 1.0, STAND), 20.0);
}

#[test]
fn cleaning_the_floor_on_hands_and_knees_is_no_fall_where_joints_are_seen() {
    let figure = Figure::at(FLOOR).then(4.0, 2.0, FOURS).then(24.0, 2.0, STAND);
    for eye in EYES.into_iter().filter(|eye| eye.keypoints) {
        let (_, outcome) = watch(core::slice::from_ref(&figure), eye, 30.0, always);
        assert_eq!(outcome.alert(), None, "{eye:?} {outcome:?}");
    }
}

#[test]
fn lying_down_in_bed_is_no_fall_however_fast() {
    let bed = [1000.0, 640.0];
    no_fall("slowly", &Figure::at(bed).then(4.0, 4.0, IN_BED), 40.0);
    no_fall("dropping into it", &Figure::at(bed).then(4.0, 0.7, IN_BED), 40.0);
}

#[test]
fn who_gets_up_at_once_has_not_fallen() {
    no_fall("stumbles", &Figure::at(FLOOR).then(5.0, 0.6, LIE).then(6.3, 1.0, STAND), 20.0);
}

#[test]
fn walking_by_is_no_fall() {
    no_fall("walks", &Figure::at([100.0, 640.0]).walking(60.0), 15.0);
}

#[test]
fn getting_up_ends_the_alert() {
    let figure = Figure::at(FLOOR).then(5.0, 0.7, LIE).then(15.0, 2.0, STAND);
    for eye in EYES {
        let (_, outcome) = watch(core::slice::from_ref(&figure), eye, 25.0, always);
        assert!(outcome.alert().is_some(), "{eye:?}");
        assert_eq!(outcome.count(FallChange::Over), 1, "{eye:?} {outcome:?}");
        assert_eq!(outcome.open_at_end, 0, "{eye:?}");
    }
}

#[test]
fn sitting_up_after_a_fall_is_no_recovery() {
    let sit_on_floor = [[0.0, 0.48], [0.0, 0.36], [0.0, 0.06], [0.25, 0.1], [0.48, 0.05], [0.15, 0.1]];
    let figure = Figure::at(FLOOR).then(5.0, 0.7, LIE).then(12.0, 1.0, sit_on_floor);
    for eye in EYES {
        let (_, outcome) = watch(core::slice::from_ref(&figure), eye, 25.0, always);
        assert_eq!(outcome.open_at_end, 1, "{eye:?} {outcome:?}");
    }
}

#[test]
fn a_track_lost_while_down_is_no_recovery() {
    let figure = Figure::at(FLOOR).then(5.0, 0.7, LIE);
    for eye in EYES {
        // Lost right after the ground is reached, before it is a fall; never seen again.
        let lost = |time: f32, _: usize| (time < 6.5).then_some(1);
        let (_, outcome) = watch(core::slice::from_ref(&figure), eye, 60.0, lost);
        assert!(outcome.alert().is_some_and(|alert| alert < 9.0), "{eye:?} {outcome:?}");
        assert_eq!(outcome.open_at_end, 1, "{eye:?}");
        assert_eq!(outcome.count(FallChange::Over), 0, "{eye:?}");
    }
}

#[test]
fn a_new_track_at_the_place_is_the_same_person() {
    let figure = Figure::at(FLOOR).then(5.0, 0.7, LIE).then(20.0, 2.5, STAND);
    for eye in EYES {
        let renamed = |time: f32, _: usize| match time {
            time if time < 8.0 => Some(1),
            time if time < 12.0 => None,
            _ => Some(2),
        };
        let (_, outcome) = watch(core::slice::from_ref(&figure), eye, 30.0, renamed);
        assert_eq!(outcome.count(FallChange::Alert), 1, "one fall, not two: {eye:?} {outcome:?}");
        assert_eq!(
            outcome.count(FallChange::Over),
            1,
            "who rises there is who fell there: {eye:?} {outcome:?}"
        );
    }
}

#[test]
fn a_helper_who_stands_by_does_not_end_it() {
    let fallen = Figure::at(FLOOR).then(5.0, 0.7, LIE);
    let helper = Figure::at([420.0, 655.0]);
    for eye in EYES {
        // The fallen one is lost; the helper appears at the place, under a new number and under the old one.
        for helper_id in [2, 1] {
            let keeps = |time: f32, index: usize| match index {
                0 => (time < 9.0).then_some(1),
                _ => (time >= 10.0).then_some(if helper_id == 1 { 1 } else { 2 }),
            };
            let far = Figure { feet: [700.0, 655.0], ..helper.clone() };
            let helper = if helper_id == 1 { far } else { helper.clone() };
            let (_, outcome) = watch(&[fallen.clone(), helper], eye, 30.0, keeps);
            assert_eq!(outcome.open_at_end, 1, "{helper_id} {eye:?} {outcome:?}");
        }
    }
}

#[test]
fn several_people_are_followed_at_once() {
    let first = Figure::at([200.0, 600.0]).then(5.0, 0.7, LIE);
    let second = Figure::at([560.0, 700.0]).then(7.0, 0.6, LIE_LEFT).then(20.0, 2.0, STAND);
    let third = Figure::at([900.0, 500.0]).then(4.0, 1.2, SIT);
    for eye in EYES {
        let all = [first.clone(), second.clone(), third.clone()];
        let (_, outcome) = watch(&all, eye, 16.0, always);
        assert_eq!((outcome.count(FallChange::Alert), outcome.open_at_end), (2, 2), "{eye:?} {outcome:?}");
        let (_, outcome) = watch(&all, eye, 30.0, always);
        assert_eq!(outcome.open_at_end, 1, "the second got up: {eye:?} {outcome:?}");
    }
}

#[test]
fn acknowledging_silences_and_it_alerts_again_while_somebody_is_still_down() {
    let figure = Figure::at(FLOOR).then(3.0, 0.6, LIE);
    let eye = EYES[0];
    let (mut watch, outcome) = watch(core::slice::from_ref(&figure), eye, 10.0, always);
    assert_eq!(outcome.open_at_end, 1);
    let id = watch.report().falls[0].id;
    assert!(!watch.acknowledge(moment(10.0), id + 1), "there is no such fall");
    assert!(watch.acknowledge(moment(10.0), id));
    assert_eq!(watch.report().persons_down, 0);
    let eye = Eye { fps: 6.0, ..eye };
    let quiet = go_on(&mut watch, core::slice::from_ref(&figure), eye, [10.0, 309.0], always);
    assert_eq!((quiet.count(FallChange::Again), quiet.open_at_end), (0, 0), "{quiet:?}");
    assert_eq!(watch.report().falls[0].stage, Stage::Silenced);
    let loud = go_on(&mut watch, core::slice::from_ref(&figure), eye, [309.0, 312.0], always);
    assert_eq!((loud.count(FallChange::Again), loud.open_at_end), (1, 1), "{loud:?}");
    assert!(watch.acknowledge(moment(312.0), id));
    let rises = Figure::at(FLOOR).then(0.0, 0.0, LIE).then(314.0, 2.0, STAND);
    let risen = go_on(&mut watch, core::slice::from_ref(&rises), eye, [312.0, 320.0], always);
    assert_eq!(risen.count(FallChange::Over), 1, "{risen:?}");
    assert!(watch.report().falls.is_empty());
}

#[test]
fn a_lost_place_ends_when_somebody_says_so() {
    let figure = Figure::at(FLOOR).then(3.0, 0.6, LIE);
    let (mut watch, _) =
        watch(core::slice::from_ref(&figure), EYES[0], 10.0, |time, _| (time < 7.0).then_some(1));
    let id = watch.report().falls[0].id;
    assert!(!watch.close(id + 1));
    assert!(watch.close(id));
    assert_eq!(watch.report().persons_down, 0);
    assert_eq!(watch.report().changes.last(), Some(&(id, FallChange::Closed)));
    assert!(!watch.close(id), "it is over already");
}

#[test]
fn too_few_frames_are_told_and_motion_is_not_judged_by_them() {
    // Fast enough to be a fall; at 3 frames per second nobody can say so, but who lies still lies.
    let figure = Figure::at(FLOOR).then(5.0, 0.6, LIE);
    let eye = Eye { fps: 3.0, keypoints: false, noise: 1.0, missing: 0.0 };
    let (watch_slow, outcome) = watch(core::slice::from_ref(&figure), eye, 25.0, always);
    assert!(watch_slow.report().frame_rate_low);
    assert!(
        outcome.alert().is_some_and(|alert| alert > 14.0),
        "by lying there, not by the descent: {outcome:?}"
    );
    let eye = Eye { fps: 5.0, ..eye };
    let (enough, _) = watch(core::slice::from_ref(&figure), eye, 25.0, always);
    assert!(!enough.report().frame_rate_low, "the limit itself is enough");
}

#[test]
fn the_frame_rate_recovers_with_the_frames() {
    let figure = [Figure::at(FLOOR)];
    let slow = Eye { fps: 2.0, keypoints: false, noise: 0.0, missing: 0.0 };
    let (mut watch, _) = watch(&figure, slow, 6.0, always);
    assert!(watch.report().frame_rate_low);
    go_on(&mut watch, &figure, Eye { fps: 10.0, ..slow }, [6.0, 9.0], always);
    assert!(!watch.report().frame_rate_low);
}

#[test]
fn a_picture_that_is_not_newer_changes_nothing() {
    let figure = Figure::at(FLOOR).then(3.0, 0.6, LIE);
    let (mut watch, _) = watch(core::slice::from_ref(&figure), EYES[0], 5.0, always);
    let before = watch.report().falls.clone();
    let mut next_id = 500;
    let report = watch.step(moment(1.0), SIZE, &[], &mut next_id);
    assert_eq!(report.falls, before);
    assert!(report.changes.is_empty());
    assert_eq!(next_id, 500);
}

#[test]
fn open_places_are_never_given_up_for_newcomers() {
    let mut watch = FallWatch::new(FallConfig::default());
    let mut next_id = 1;
    let lying = |id: u32, column: u32, row: u32| {
        let (x, y) = (column as f32 * 150.0, row as f32 * 80.0);
        Person {
            id,
            bbox: [x, y, x + 60.0, y + 20.0],
            keypoints: None,
            score: 0.9,
            observed: true,
            down: true,
        }
    };
    let many: List<Person> = (0..MAX_PERSONS as u32).map(|id| lying(id, id % 8, id / 8)).collect();
    for frame in 0..150u16 {
        watch.step(moment(f32::from(frame) / 10.0), [1280.0, 720.0], &many, &mut next_id);
    }
    assert_eq!(usize::from(watch.report().persons_down), MAX_PERSONS);
    let newcomers: List<Person> = (0..10).map(|id| lying(1000 + id, id % 8, 6 + id / 8)).collect();
    for frame in 150..300u16 {
        watch.step(moment(f32::from(frame) / 10.0), [1280.0, 720.0], &newcomers, &mut next_id);
    }
    assert_eq!(usize::from(watch.report().persons_down), MAX_PERSONS, "all of them lost, all of them open");
}

#[test]
fn a_polygon_contains_what_is_within_its_corners() {
    let region = Region([[0.2, 0.2], [0.8, 0.2], [0.8, 0.6], [0.5, 0.4], [0.2, 0.6]].into_iter().collect());
    for (point, inside) in [
        ([0.5, 0.3], true),
        ([0.25, 0.55], true),
        ([0.75, 0.55], true),
        ([0.5, 0.5], false),
        ([0.1, 0.3], false),
        ([0.9, 0.3], false),
        ([0.5, 0.1], false),
        ([0.5, 0.9], false),
    ] {
        assert_eq!(region.contains(point), inside, "{point:?}");
    }
    assert!(!Region::default().contains([0.5, 0.5]));
}

#[test]
fn the_configuration_is_bounded_and_says_which_key() {
    assert_eq!(FallConfig::default().check(), Ok(()));
    assert_eq!(config().check(), Ok(()));
    let cases: [(&str, fn(&mut FallConfig)); 13] = [
        ("dwell_s", |config| config.dwell_s = 0.4),
        ("slow_dwell_s", |config| config.slow_dwell_s = 301.0),
        ("recovery_s", |config| config.recovery_s = f32::NAN),
        ("flicker_s", |config| config.flicker_s = -0.1),
        ("again_min", |config| config.again_min = 0.0),
        ("min_frame_rate", |config| config.min_frame_rate = 31.0),
        ("fast", |config| config.fast = 0.1),
        ("lying_aspect", |config| config.lying_aspect = 0.5),
        ("lying_height", |config| config.lying_height = 0.7),
        ("low_height", |config| config.low_height = 0.4),
        ("keypoint_score", |config| config.keypoint_score = 1.0),
        ("corners", |config| config.beds.push(Region([[0.1, 0.1]].into_iter().collect())).unwrap()),
        ("corner", |config| {
            config.beds.push(Region([[0.1, 0.1], [0.2, 0.1], [0.2, 1.2]].into_iter().collect())).unwrap();
        }),
    ];
    for (key, change) in cases {
        let mut config = FallConfig::default();
        change(&mut config);
        let error = config.check().expect_err(key);
        let text = format!("{error}");
        assert!(text.contains(key) && text.contains("fall"), "{text}");
    }
}
