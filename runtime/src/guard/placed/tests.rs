use super::*;
use crate::guard::scene::{Random, SIZE, Scene};

fn look_at(scene: &Scene, frame: u64) -> Look {
    let mut look = Look::default();
    assert!(look.at(&scene.frame(frame, Nanos(0), 2.0)));
    look
}

/// Shows what `scene` gives, ten times a second for `seconds`; when the camera counted as moved.
fn watch(guard: &mut PlacedGuard, from: u64, seconds: u64, scene: impl Fn(u64) -> Scene) -> Option<u64> {
    let frames = (from * 10)..(from + seconds) * 10;
    frames
        .filter(|frame| guard.look(&look_at(&scene(*frame), *frame), true, Nanos(*frame * 100_000_000)))
        .min()
        .map(|frame| frame / 10)
}

fn reference(scene: &Scene) -> Reference {
    let mut builder = ReferenceBuilder::default();
    (0..5).for_each(|frame| builder.add(&look_at(scene, frame)));
    builder.build([640, 360]).expect("five looks")
}

#[test]
fn a_wall_camera_that_is_turned_is_told_and_people_walking_by_are_not() {
    let room = Scene::street(7);
    let config = GuardConfig::default();
    for (dx, dy) in [(25, 0), (0, 12), (-40, -20), (300, 100)] {
        let mut guard = PlacedGuard::new(&config, Placement::Fixed, &[reference(&room)]);
        let people = |frame: u64| {
            let mut scene = room.clone();
            let x = (frame * 5 % 600) as usize;
            scene.patch([x, 100, x + 35, 300], 30.0);
            scene
        };
        assert_eq!(watch(&mut guard, 0, 20, people), None);
        let turned = room.shifted(dx, dy);
        let told = watch(&mut guard, 20, 12, |_| turned.clone());
        assert!(told.is_some_and(|at| (25..30).contains(&at)), "{dx} {dy}: {told:?}");
        assert!(watch(&mut guard, 32, 1, |_| room.clone()).is_some(), "turned back, not yet believed");
        watch(&mut guard, 33, 9, |_| room.clone());
        assert_eq!(watch(&mut guard, 42, 2, |_| room.clone()), None);
    }
}

#[test]
fn without_a_reference_a_wall_camera_keeps_the_place_it_began_in() {
    let room = Scene::street(8);
    let mut guard = PlacedGuard::new(&GuardConfig::default(), Placement::Fixed, &[]);
    assert_eq!(watch(&mut guard, 0, 20, |_| room.clone()), None);
    assert!(watch(&mut guard, 20, 12, |_| room.shifted(0, 15)).is_some());
}

#[test]
fn a_lamp_switched_on_is_not_a_move_and_another_room_is() {
    let room = Scene::street(9);
    let mut guard = PlacedGuard::new(&GuardConfig::default(), Placement::Fixed, &[reference(&room)]);
    let dark = room.mapped(|level| 10.0 + level * 0.3);
    assert_eq!(watch(&mut guard, 0, 15, |_| dark.clone()), None);
    let other = Scene::street(10).mapped(|level| 255.0 - level);
    assert!(watch(&mut guard, 15, 12, |_| other.clone()).is_some());
}

#[test]
fn a_car_camera_is_held_to_its_horizon_by_a_reference_and_not_judged_without() {
    let config = GuardConfig { horizon_settle_ms: 4000, ..GuardConfig::default() };
    // Another street each half second: only the horizon stays.
    let drive = |frame: u64| Scene::street(100 + frame / 5);
    let calibrated = {
        let mut builder = ReferenceBuilder::default();
        (0..100).for_each(|frame| builder.add(&look_at(&drive(1000 + frame), frame)));
        builder.build([640, 360]).expect("looks")
    };
    let mut guard = PlacedGuard::new(&config, Placement::Vehicle, std::slice::from_ref(&calibrated));
    assert_eq!(watch(&mut guard, 0, 25, drive), None);
    let told = watch(&mut guard, 25, 25, |frame| drive(frame).shifted(0, 14));
    assert!(told.is_some_and(|at| at >= 30), "{told:?}");
    let mut guard = PlacedGuard::new(&config, Placement::Vehicle, &[]);
    assert_eq!(watch(&mut guard, 0, 15, |frame| drive(frame).shifted(0, 3 * (frame % 20) as isize)), None);
}

#[test]
fn a_picture_that_says_nothing_moves_nothing() {
    let room = Scene::street(11);
    let mut guard = PlacedGuard::new(&GuardConfig::default(), Placement::Fixed, &[reference(&room)]);
    let black = Scene::plain(0.0);
    for frame in 0..200_u64 {
        assert!(!guard.look(&look_at(&black, frame), false, Nanos(frame * 100_000_000)));
    }
}

#[test]
fn a_reference_reads_back_and_a_wrong_one_says_what_is_wrong() {
    let made = reference(&Scene::street(12));
    let json = serde_json::to_vec(&made).expect("writes");
    assert_eq!(Reference::from_json(&json).expect("reads"), made);
    let short = Reference { rows: vec![0.0; 3], ..made };
    let told =
        Reference::from_json(&serde_json::to_vec(&short).expect("writes")).expect_err("refused").to_string();
    assert_eq!(told, "reference view: rows is 3, expected 180");
}

#[test]
fn the_detail_of_a_profile_has_no_slope() {
    let mut random = Random(1);
    let profile: Vec<f32> = (0..SIZE[1]).map(|at| at as f32 + random.unit()).collect();
    let mut flat = vec![0.0; profile.len()];
    detail(&profile, &mut flat);
    assert!(flat[20..340].iter().all(|value| value.abs() < 2.0), "{flat:?}");
}
