use std::sync::Arc;

use stopline_decide::decision::TrackView;
use stopline_decide::ego::Reading;
use stopline_decide::observe::Role;
use stopline_sensors::frame::{Buffer, Colour, FrameMeta, PixelFormat, Stamp};

use super::*;

/// A grey picture of `size`, taken at 0.
pub(super) fn picture(size: [u32; 2], luma: impl Fn(u32, u32) -> u8) -> Frame {
    frame(0, size, luma)
}

/// Frame `number` of 30 a second.
fn frame(number: u64, size: [u32; 2], luma: impl Fn(u32, u32) -> u8) -> Frame {
    let meta = FrameMeta {
        source: Arc::from("test"),
        sequence: number,
        captured: Monotonic::from_nanos(1_000_000_000 + number * 33_333_333),
        stamp: Stamp::KernelEndOfFrame,
        wall: std::time::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 0,
    };
    let [width, height] = size;
    let bytes: Vec<u8> =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| luma(x, y)).collect();
    Frame::packed(meta, PixelFormat::Grey, Colour::default(), (width, height), Buffer::from(bytes)).unwrap()
}

/// A room with the noise of a sensor (± 6 levels) and somebody in it, `shift` pixels aside.
pub(super) fn noisy(number: u64, shift: u32) -> Frame {
    frame(number, [1280, 720], |x, y| {
        let mut hash = (number << 40 | u64::from(y) << 20 | u64::from(x)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ hash >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let noise = u8::try_from(hash >> 40 & 0xff).unwrap() % 13;
        let somebody = (400 + shift..460 + shift).contains(&x) && (300..500).contains(&y);
        if somebody { 150 + noise } else { 80 + noise }
    })
}

fn found(bbox: Area) -> Detection {
    Detection { class: 0, score: 0.8, bbox, keypoints: Vec::new() }
}

fn rests() -> Attention {
    let config = AttentionConfig { still_max_age_ms: 500, ..AttentionConfig::default() };
    Attention::new(config, PathConfig::default(), None)
}

fn narrows(config: AttentionConfig) -> Attention {
    let calibration = Calibration::level([1280, 720], 1108.5, 1.3);
    Attention::new(config, PathConfig::default(), Some(calibration))
}

const FIFTH: AttentionConfig = AttentionConfig {
    still_max_age_ms: 0,
    still_level: 4.0,
    still_cells: 2,
    whole_every: 5,
    whole_max_age_ms: 200,
    corridor_half_width_m: 4.0,
    corridor_from_m: 15.0,
    corridor_to_m: 80.0,
    corridor_height_m: 3.5,
    budget_ms: 0,
    left_out_max_age_ms: 200,
};

fn well(decision: &Decision) -> Answer<'_> {
    Answer { sound: true, agrees: true, decision: Some(decision) }
}

/// Numbers of the frames of `frames` that were looked at.
fn looked_at(attention: &mut Attention, frames: impl Iterator<Item = Frame>, models: u64) -> Vec<u64> {
    let decision = Decision::default();
    let mut looked = Vec::new();
    for frame in frames {
        let way = attention.way(&frame, models, &Ego::default());
        if way == Way::Whole {
            looked.push(frame.meta().sequence);
        }
        attention.looked(&frame, way, models, well(&decision));
    }
    looked
}

#[test]
fn by_default_every_frame_is_looked_at_wholly() {
    let mut attention = Attention::new(AttentionConfig::default(), PathConfig::default(), None);
    assert_eq!(looked_at(&mut attention, (0..5).map(|at| noisy(at, 0)), 1), [0, 1, 2, 3, 4]);
}

#[test]
fn a_still_room_is_looked_at_when_the_answer_has_become_as_old_as_it_may() {
    let mut attention = rests();
    // 500 ms are 15 frames of 30 a second: the sixteenth is taken 533 ms later.
    assert_eq!(looked_at(&mut attention, (0..40).map(|at| noisy(at, 0)), 1), [0, 16, 32]);
}

#[test]
fn whoever_moves_is_looked_at_in_the_same_frame() {
    let mut attention = rests();
    let moves = |at: u64| noisy(at, if (10..14).contains(&at) { 10 * u32::try_from(at).unwrap() } else { 0 });
    let looked = looked_at(&mut attention, (0..20).map(moves), 1);
    assert_eq!(looked, [0, 10, 11, 12, 13, 14]);
}

#[test]
fn an_answer_stands_only_where_two_agreed_where_it_was_sound_and_for_the_same_models() {
    let decision = Decision::default();
    let mut attention = rests();
    let mut see = |number: u64, models: u64, sound: bool, agrees: bool| {
        let frame = noisy(number, 0);
        let way = attention.way(&frame, models, &Ego::default());
        attention.looked(&frame, way, models, Answer { sound, agrees, decision: Some(&decision) });
        way
    };
    assert_eq!(see(0, 1, true, false), Way::Whole);
    assert_eq!(see(1, 1, true, true), Way::Whole, "what one frame alone showed is not repeated");
    assert!(matches!(see(2, 1, true, true), Way::Again(Earlier { frame: 1, .. })));
    assert_eq!(see(3, 3, true, true), Way::Whole, "another model serves now");
    assert!(matches!(see(4, 3, true, true), Way::Again(_)));
    assert_eq!(see(40, 3, false, true), Way::Whole, "too old");
    assert_eq!(see(41, 3, true, true), Way::Whole, "numbers that could not be stand for nothing");
    assert_eq!(see(42, 0, true, true), Way::Whole, "no model is no answer");
}

#[test]
fn answers_agree_by_number_class_and_place() {
    let (one, moved) = (found([100.0, 100.0, 200.0, 300.0]), found([140.0, 100.0, 240.0, 300.0]));
    let other = Detection { class: 3, ..one.clone() };
    assert!(agree(&[], &[]) && agree(std::slice::from_ref(&one), std::slice::from_ref(&one)));
    for (a, b) in [(vec![one.clone()], vec![]), (vec![one.clone()], vec![moved]), (vec![one], vec![other])] {
        assert!(!agree(&a, &b));
    }
}

#[test]
fn every_fifth_picture_is_looked_at_wholly_and_the_corridor_between() {
    let mut attention = narrows(FIFTH);
    let pictures = |from: u64, to: u64| (from..to).map(|at| frame(at, [1280, 720], |_, _| 90));
    assert_eq!(looked_at(&mut attention, pictures(0, 16), 1), [0, 5, 10, 15]);
    let mut attention = narrows(AttentionConfig { whole_every: 30, ..FIFTH });
    assert_eq!(looked_at(&mut attention, pictures(0, 16), 1), [0, 7, 14], "200 ms are seven frames");
    let mut attention = narrows(FIFTH);
    assert_eq!(looked_at(&mut attention, (0..3).map(|at| frame(at, [640, 360], |_, _| 90)), 1), [0, 1, 2]);
}

#[test]
fn what_is_followed_is_looked_at_in_every_frame() {
    let mut attention = narrows(FIFTH);
    let mut see = |number: u64, boxes: &[Area]| {
        let mut decision = Decision::default();
        for (id, bbox) in (0..).zip(boxes) {
            let view = TrackView { id, role: Role::Person, bbox: *bbox, score: 0.7, observation: None };
            decision.tracks.push(view).unwrap();
        }
        let frame = frame(number, [1280, 720], |_, _| 90);
        let way = attention.way(&frame, 1, &Ego::default());
        attention.looked(&frame, way, 1, well(&decision));
        way
    };
    assert_eq!(see(0, &[]), Way::Whole);
    let Way::Part(empty) = see(1, &[[330.0, 300.0, 360.0, 380.0]]) else { panic!("the corridor suffices") };
    let Way::Part([x, y, w, h]) = see(2, &[[20.0, 100.0, 80.0, 400.0]]) else { panic!("it fits") };
    assert_eq!([w, h], [empty[2], empty[3]], "one size, for which the model is compiled once");
    assert!(x <= 330 && y <= 300 && x + w >= 360 && y + h >= 380, "{:?}", [x, y, w, h]);
    assert_eq!(see(3, &[]), Way::Whole, "who is near the edge does not fit into one part with the corridor");
}

#[test]
fn in_a_curve_and_after_a_look_that_failed_all_is_looked_at() {
    let mut attention = narrows(FIFTH);
    let decision = Decision::default();
    let mut see = |number: u64, ego: &Ego, answer: Answer<'_>| {
        let frame = frame(number, [1280, 720], |_, _| 90);
        let way = attention.way(&frame, 1, ego);
        attention.looked(&frame, way, 1, answer);
        way
    };
    let straight = Ego { speed: Reading::Fresh(10.0), yaw_rate: Reading::Fresh(0.0), ..Ego::default() };
    let curve = Ego { yaw_rate: Reading::Fresh(0.05), ..straight };
    assert_eq!(see(0, &straight, well(&decision)), Way::Whole);
    assert!(matches!(see(1, &straight, well(&decision)), Way::Part(_)));
    assert_eq!(see(2, &curve, well(&decision)), Way::Whole, "16 m aside at 80 m");
    let failed = Answer { sound: false, agrees: false, decision: None };
    assert!(matches!(see(3, &straight, failed), Way::Part(_)));
    assert_eq!(see(4, &straight, well(&decision)), Way::Whole);
}
