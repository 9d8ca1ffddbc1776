use std::vec;

use crate::bench::{Bench, Thing, config};
use crate::decision::Phase;
use crate::ego::{Ego, Reading};
use crate::observe::Role;

/// A crossing walker who is `share` of the vehicle's width (2 m) from its side when its front arrives after `seconds`
/// without braking; from the right.
fn crossing(kmh: f32, seconds: f32, walking: f32, share: f32, front: f32) -> (Thing, f32) {
    let at = front + kmh / 3.6 * seconds;
    let left = -1.0 + 2.0 * share - walking * seconds;
    (Thing::walker(at, left, [0.0, walking]), at)
}

/// Drives until we stand or are past `at`; the speed in km/h at which it was hit, or 0.
fn collide(bench: &mut Bench, at: impl Fn(&Bench) -> f32) -> f32 {
    bench.drive(20.0, |bench| bench.speed <= 0.0 || bench.gap(at(bench)) <= 0.0);
    if bench.gap(at(bench)) <= 0.0 { bench.speed * 3.6 } else { 0.0 }
}

#[test]
fn crossing_walkers_are_not_hit_from_10_to_60_kmh() {
    for fps in [10.0, 30.0] {
        for share in [0.25, 0.5, 0.75] {
            for kmh in [10.0, 20.0, 30.0, 40.0, 50.0, 60.0] {
                let (walker, at) = crossing(kmh, 4.0, 5.0 / 3.6, share, 1.8);
                let mut bench = Bench::new(kmh, vec![walker]);
                bench.fps = fps;
                bench.dive = 2.0_f32.to_radians() / 9.0;
                let hit = collide(&mut bench, |_| at);
                assert!(hit < 1.0, "{kmh} km/h, {share}, {fps} fps: {hit} km/h, {:?}", bench.seen);
                assert!(bench.seen.warned_at <= bench.seen.braked_at && bench.seen.most >= 5.0);
            }
        }
    }
}

#[test]
fn a_runner_from_the_far_side_is_not_hit_up_to_50_kmh() {
    for kmh in [20.0, 30.0, 40.0, 50.0] {
        let at = 1.8 + kmh / 3.6 * 4.0;
        let mut bench = Bench::new(kmh, vec![Thing::walker(at, 8.0 / 3.6 * 4.0, [0.0, -8.0 / 3.6])]);
        let hit = collide(&mut bench, |_| at);
        assert!(hit < 1.0, "{kmh}: {hit}, {:?}", bench.seen);
    }
}

#[test]
fn a_child_from_behind_a_parked_car_slows_us() {
    // Seen 1.8 s before: at 40 km/h that is not enough to stand (UN R152 allows 25 km/h there, with full view).
    for (kmh, most) in [(20.0, 1.0), (30.0, 12.0), (40.0, 25.0)] {
        let at = 1.8 + kmh / 3.6 * 4.0;
        let walking = 5.0 / 3.6;
        let child = Thing::new(Role::Person, 1.15, 0.4, move |t| [at, -walking * (4.0 - t), 0.0])
            .hidden(move |t, _| walking * (4.0 - t) > 2.5);
        let mut bench = Bench::new(kmh, vec![child]);
        let hit = collide(&mut bench, |_| at);
        assert!(hit < most, "{kmh}: {hit}, {:?}", bench.seen);
    }
}

#[test]
fn somebody_who_walks_or_stands_ahead_is_not_hit() {
    for fps in [10.0, 30.0] {
        for kmh in [20.0, 30.0, 40.0, 50.0, 60.0] {
            for (left, walking) in [(0.0, 5.0 / 3.6), (-0.5, 5.0 / 3.6), (0.0, 0.0)] {
                let mut bench = Bench::new(kmh, vec![Thing::walker(80.0, left, [walking, 0.0])]);
                bench.fps = fps;
                bench.dive = 2.0_f32.to_radians() / 9.0;
                let hit = collide(&mut bench, |bench| 80.0 + walking * bench.time);
                assert!(hit < 1.0, "{kmh} km/h, {left}, {walking}: {hit}, {:?}", bench.seen);
            }
        }
    }
}

#[test]
fn persons_beside_the_path_are_not_braked_for() {
    for kmh in [20.0, 40.0, 60.0] {
        for left in [-2.0, 2.2, -3.0, 4.0] {
            for walking in [0.0, 1.4, -1.4] {
                for seed in 0..5 {
                    let walker = Thing::walker(80.0, left, [walking, 0.0]);
                    let mut bench = Bench::new(kmh, vec![walker]).seed(seed);
                    bench.drive(12.0, |_| false);
                    assert!(!bench.seen.braked, "{kmh} {left} {walking} {seed}: {:?}", bench.seen);
                }
            }
        }
    }
}

#[test]
fn somebody_who_is_across_before_we_come_is_not_braked_for() {
    for kmh in [30.0, 50.0] {
        let at = 1.8 + kmh / 3.6 * 5.0;
        // Leaves the path 1.5 s before we arrive.
        let mut bench =
            Bench::new(kmh, vec![Thing::walker(at, -1.25 - 2.0 + 1.4 * 0.5 - 1.4, [0.0, 1.4 * 1.2])]);
        bench.drive(8.0, |_| false);
        assert!(!bench.seen.braked, "{kmh}: {:?}", bench.seen);
    }
}

#[test]
fn somebody_who_stops_at_the_kerb_is_not_braked_for() {
    let walker = Thing::new(Role::Person, 1.75, 0.6, |t| [60.0, (-6.0 + 1.4 * t).min(-2.2), 0.0]);
    let mut bench = Bench::new(30.0, vec![walker]);
    bench.drive(12.0, |_| false);
    assert!(!bench.seen.braked, "{:?}", bench.seen);
}

#[test]
fn a_wrong_pitch_moves_the_brake_little() {
    for degrees in [-0.5_f32, 0.5] {
        for kmh in [20.0, 40.0, 60.0] {
            let (walker, at) = crossing(kmh, 4.0, 1.4, 0.5, 1.8);
            let mut bench = Bench::new(kmh, vec![walker]);
            bench.pitch_error = degrees.to_radians();
            bench.dive = 2.0_f32.to_radians() / 9.0;
            let hit = collide(&mut bench, |_| at);
            assert!(hit < 1.0, "{degrees} {kmh}: {hit}, {:?}", bench.seen);
        }
    }
}

#[test]
fn the_brake_holds_when_we_stand_and_asks_no_more_once_released() {
    let mut bench = Bench::new(40.0, vec![Thing::walker(60.0, 0.0, [0.0, 0.0])]);
    bench.drive(20.0, |bench| bench.speed <= 0.0);
    bench.drive(0.2, |_| false);
    assert!(bench.seen.held && bench.decider.decision().request.brake.unwrap().hold);
    bench.things.clear();
    bench.drive(30.0, |_| false);
    assert!(bench.decider.decision().request.brake.is_some(), "no timer drops a hold");
    bench.obeys = false;
    bench.speed = 1.0;
    bench.drive(0.2, |_| false);
    assert!(bench.decider.decision().request.brake.is_none());
}

#[test]
fn somebody_who_jumps_back_ends_the_brake() {
    let walker = Thing::new(Role::Person, 1.75, 0.6, |t| {
        [70.0, if t < 3.3 { 0.0 } else { (2.5 * (t - 3.3)).min(4.0) }, 0.0]
    });
    let mut bench = Bench::new(50.0, vec![walker]);
    bench.drive(5.2, |_| false);
    assert!(bench.seen.braked && bench.decider.decision().request.brake.is_none(), "{:?}", bench.seen);
    assert!(bench.speed > 1.0);
}

#[test]
fn without_ego_speed_growth_warns_and_does_not_brake_unless_allowed() {
    for allowed in [false, true] {
        let mut config = config();
        config.brake_without_speed = allowed;
        let mut bench = Bench::with(40.0, vec![Thing::walker(60.0, 0.0, [0.0, 0.0])], config);
        bench.ego = |ego| Ego { speed: Reading::Missing, ..*ego };
        bench.drive(20.0, |bench| bench.gap(60.0) <= 0.0 || bench.speed <= 0.0);
        assert!(bench.seen.warned_at.is_some(), "{:?}", bench.seen);
        assert_eq!(bench.seen.braked, allowed);
    }
}

#[test]
fn a_camera_without_calibration_warns_by_growth_and_never_brakes() {
    let mut config = config();
    config.cameras[0].calibration = None;
    config.brake_without_speed = true;
    let mut bench = Bench::with(40.0, vec![Thing::walker(60.0, 0.0, [0.0, 0.0])], config);
    bench.drive(20.0, |bench| bench.gap(60.0) <= 0.0);
    assert!(bench.seen.warned_at.is_some() && !bench.seen.braked, "{:?}", bench.seen);
}

#[test]
fn a_rider_ahead_who_keeps_our_speed_is_not_braked_for() {
    let mut bench = Bench::new(30.0, vec![Thing::walker(15.0, 0.0, [30.0 / 3.6, 0.0])]);
    bench.drive(15.0, |_| false);
    assert!(!bench.seen.braked, "{:?}", bench.seen);
}

#[test]
fn nothing_is_asked_for_when_reversing_or_standing() {
    for kmh in [0.0, -10.0] {
        let mut bench = Bench::new(kmh, vec![Thing::walker(6.0, 0.0, [-0.5, 0.0])]);
        bench.drive(4.0, |_| false);
        assert!(!bench.seen.braked && bench.seen.reached(Phase::Warning) == 0, "{kmh}: {:?}", bench.seen);
    }
}

#[test]
fn a_crowd_larger_than_the_capacity_still_brakes_for_the_nearest() {
    let mut things = vec![];
    for place in 0..40_u8 {
        things.push(Thing::walker(70.0 + f32::from(place % 5), -12.0 + 0.6 * f32::from(place), [0.0, 0.0]));
    }
    things.push(Thing::walker(50.0, 0.0, [0.0, 0.0]));
    let mut bench = Bench::new(40.0, things);
    bench.drive(20.0, |bench| bench.speed <= 0.0 || bench.gap(50.0) <= 0.0);
    assert!(bench.gap(50.0) > 0.0, "{:?}", bench.seen);
}
