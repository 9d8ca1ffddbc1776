use std::vec;
use std::vec::Vec;

use crate::bench::{Bench, Thing, config};
use crate::decision::{Phase, SituationKind};
use crate::ego::{Ego, Reading};
use crate::observe::Role;

/// Drives at a sign 120 m ahead until we stand or are past it.
fn approach(bench: &mut Bench, sign: f32) {
    bench.drive(40.0, |bench| bench.speed <= 0.0 || bench.gap(sign) < -10.0);
}

#[test]
fn a_sign_is_stopped_at_with_comfort_from_20_to_80_kmh() {
    for fps in [10.0, 30.0] {
        for kmh in [20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0] {
            let mut bench = Bench::new(kmh, vec![Thing::sign(140.0, -3.0)]);
            bench.fps = fps;
            approach(&mut bench, 140.0);
            let gap = bench.gap(140.0);
            // 8 pixels at 94 m: what this lens and frame rate do not reach is said, and not braked for.
            if kmh > 60.0 && bench.seen.unreachable && !bench.seen.braked {
                continue;
            }
            assert!(
                bench.seen.held && (0.0..6.0).contains(&gap),
                "{kmh} km/h {fps} fps: {gap} m, {:?}",
                bench.seen
            );
            assert!(bench.seen.most <= 3.5 && bench.seen.warned_at.unwrap() <= bench.seen.braked_at.unwrap());
        }
    }
}

#[test]
fn a_sign_20_percent_larger_or_smaller_and_a_camera_half_a_degree_off() {
    for kmh in [30.0, 50.0] {
        for height in [0.6, 0.75, 0.9] {
            for degrees in [-0.5_f32, 0.5] {
                for seed in 0..10 {
                    let sign = Thing::new(Role::StopSign, height, height, |_| [120.0, -3.0, 2.1]);
                    let mut bench = Bench::new(kmh, vec![sign]).seed(seed);
                    bench.pitch_error = degrees.to_radians();
                    bench.dive = 2.0_f32.to_radians() / 9.0;
                    bench.recall = 0.7;
                    approach(&mut bench, 120.0);
                    let gap = bench.gap(120.0);
                    let case = (kmh, height, degrees, seed);
                    assert!(
                        bench.seen.held && (0.0..7.0).contains(&gap),
                        "{case:?}: {gap} m, {:?}",
                        bench.seen
                    );
                }
            }
        }
    }
}

#[test]
fn a_sign_that_appears_too_late_is_warned_of_and_said_to_be_out_of_reach() {
    let sign = Thing::sign(100.0, -3.0).hidden(|_, distance| distance > 28.0);
    let mut bench = Bench::new(70.0, vec![sign]);
    approach(&mut bench, 100.0);
    assert!(
        !bench.seen.braked && bench.seen.unreachable && bench.seen.warned_at.is_some(),
        "{:?}",
        bench.seen
    );
}

#[test]
fn after_the_stop_creeping_over_the_line_serves_the_sign_no_second_time() {
    let mut bench = Bench::new(40.0, vec![Thing::sign(80.0, -3.0)]);
    approach(&mut bench, 80.0);
    assert!(bench.seen.held);
    bench.drive(3.0, |_| false);
    assert_eq!(bench.seen.reached(Phase::Holding), 1);
    let before = bench.seen.phases.len();
    bench.obeys = false;
    bench.driver = 0.3;
    bench.drive(3.0, |_| false);
    bench.driver = 0.0;
    bench.drive(20.0, |bench| bench.gap(80.0) < -3.0);
    let after: Vec<_> = bench.seen.phases[before..].iter().map(|(.., phase)| *phase).collect();
    assert_eq!(after, [Phase::Ended]);
}

#[test]
fn creeping_towards_the_line_behind_a_queue_stops_at_the_line() {
    let mut bench = Bench::new(15.0, vec![Thing::sign(60.0, -3.0)]);
    // The driver stops for a queue 15 m before the line and creeps on.
    bench.drive(20.0, |bench| bench.gap(60.0) < 20.0);
    bench.obeys = false;
    bench.driver = -2.0;
    bench.drive(10.0, |bench| bench.speed <= 0.1);
    (bench.driver, bench.acceleration, bench.speed) = (0.0, 0.0, 0.0);
    bench.drive(5.0, |_| false);
    assert!(!bench.seen.held, "stood too far away: {:?}", bench.seen);
    bench.speed = 1.5;
    bench.obeys = true;
    bench.drive(40.0, |bench| bench.speed <= 0.0 || bench.gap(60.0) < -5.0);
    assert!(bench.seen.held && bench.gap(60.0) > 0.0, "{} m, {:?}", bench.gap(60.0), bench.seen);
}

#[test]
fn reversing_from_a_served_sign_and_coming_back_does_not_serve_it_again() {
    let mut bench = Bench::new(40.0, vec![Thing::sign(80.0, -3.0)]);
    approach(&mut bench, 80.0);
    assert!(bench.seen.held);
    bench.obeys = false;
    bench.speed = -1.5;
    bench.drive(12.0, |_| false);
    bench.speed = 3.0;
    bench.drive(12.0, |bench| bench.gap(80.0) < 0.0);
    assert_eq!(bench.seen.reached(Phase::Holding), 1);
    assert_eq!(bench.seen.reached(Phase::Braking), 1, "{:?}", bench.seen);
}

#[test]
fn reversing_asks_for_nothing() {
    let mut bench = Bench::new(-10.0, vec![Thing::sign(30.0, -3.0)]);
    bench.drive(10.0, |_| false);
    assert!(!bench.seen.braked && bench.seen.warned_at.is_none());
}

#[test]
fn the_next_sign_counts_again() {
    let signs = vec![Thing::sign(60.0, -3.0), Thing::sign(160.0, -3.0)];
    let mut bench = Bench::new(40.0, signs);
    approach(&mut bench, 60.0);
    assert!(bench.seen.held);
    bench.obeys = false;
    bench.driver = 1.5;
    bench.drive(20.0, |bench| bench.gap(60.0) < -15.0);
    bench.driver = 0.0;
    bench.obeys = true;
    approach(&mut bench, 160.0);
    assert_eq!(bench.seen.reached(Phase::Holding), 2, "{:?}", bench.seen);
}

#[test]
fn a_lead_car_hides_the_sign_and_it_is_still_served() {
    for fps in [10.0, 30.0] {
        for near in [12.0, 18.0, 22.0] {
            let sign = Thing::sign(100.0, -3.0).hidden(move |_, d| (near..near + 8.0).contains(&d));
            let mut bench = Bench::new(40.0, vec![sign]);
            bench.fps = fps;
            approach(&mut bench, 100.0);
            assert!(bench.seen.held && bench.gap(100.0) > 0.0, "{near} {fps}: {:?}", bench.seen);
            assert_eq!(bench.seen.ids.len(), 1, "one event: {:?}", bench.seen);
        }
    }
}

#[test]
fn a_sign_hidden_for_long_is_let_go_and_known_again() {
    let sign = Thing::sign(100.0, -3.0).hidden(|t, _| (4.0..8.0).contains(&t));
    let mut bench = Bench::new(30.0, vec![sign]);
    bench.drive(7.9, |_| false);
    let suspected = bench.decider.decision().situations.iter().any(|s| s.phase == Phase::Suspected);
    assert!(suspected && bench.decider.decision().request.brake.is_none(), "{:?}", bench.seen);
    bench.drive(20.0, |bench| bench.speed <= 0.0 || bench.gap(100.0) < -5.0);
    assert_eq!(bench.seen.ids.len(), 1, "{:?}", bench.seen);
}

#[test]
fn a_sign_of_a_side_road_is_left_alone() {
    for left in [-9.0, -12.0, 6.0] {
        let mut bench = Bench::new(50.0, vec![Thing::sign(120.0, left)]);
        approach(&mut bench, 120.0);
        assert!(!bench.seen.braked, "{left} m: {:?}", bench.seen);
    }
    // Beside our road, but turned away.
    let turned = Thing::new(Role::StopSign, 0.75, 0.4, |_| [120.0, -4.0, 2.1]);
    let mut bench = Bench::new(50.0, vec![turned]);
    approach(&mut bench, 120.0);
    assert!(!bench.seen.braked, "{:?}", bench.seen);
}

#[test]
fn a_sign_on_a_bus_that_drives_before_us_is_left_alone() {
    for share in [0.5, 0.7, 1.0, 1.2] {
        let bus = Thing::new(Role::StopSign, 0.5, 0.5, move |t| [25.0 + share * 11.0 * t, 1.0, 1.5]);
        let mut bench = Bench::new(40.0, vec![bus]);
        bench.drive(8.0, |bench| bench.way > 25.0 + share * 11.0 * bench.time);
        assert!(!bench.seen.braked, "{share}: {:?}", bench.seen);
    }
}

#[test]
fn a_paddle_held_by_a_warden_is_told_but_not_braked_for() {
    for seed in 0..20 {
        let paddle = Thing::new(Role::StopSign, 0.4, 0.4, |_| [90.0, -2.0, 1.4]);
        let mut bench = Bench::new(40.0, vec![paddle]).seed(seed);
        approach(&mut bench, 90.0);
        assert!(!bench.seen.braked && bench.seen.reached(Phase::Confirmed) > 0, "{seed}: {:?}", bench.seen);
    }
}

#[test]
fn a_false_sign_that_grows_by_itself_is_left_alone() {
    // Doubles each second while we roll at 30 km/h: no sign that stands still does.
    for doubling in [0.5_f32, 1.0, 4.0] {
        let grown = Thing::new(Role::StopSign, 0.75, 0.75, move |t| {
            let distance = 60.0 * 2.0_f32.powf(-t / doubling);
            [8.33 * t + distance, -0.05 * distance, 2.0]
        });
        let mut bench = Bench::new(30.0, vec![grown]);
        bench.drive(6.0, |_| false);
        assert!(!bench.seen.braked, "{doubling}: {:?}", bench.seen);
    }
}

#[test]
fn flickering_clutter_is_left_alone() {
    let mut bench = Bench::new(40.0, vec![Thing::sign(100.0, -3.0)]);
    bench.recall = 0.2;
    bench.drive(9.0, |_| false);
    assert!(!bench.seen.braked);
}

#[test]
fn signs_on_both_sides_of_the_road_are_one_stop() {
    let mut bench = Bench::new(40.0, vec![Thing::sign(100.0, -3.0), Thing::sign(101.0, 2.5)]);
    approach(&mut bench, 100.0);
    let braking: Vec<u32> =
        bench.seen.phases.iter().filter(|(.., phase)| *phase == Phase::Braking).map(|(id, ..)| *id).collect();
    assert_eq!(braking.len(), 1, "{:?}", bench.seen);
    assert_eq!(bench.seen.reached(Phase::Holding), 1, "{:?}", bench.seen);
}

#[test]
fn without_ego_speed_no_brake_begins_and_one_in_progress_goes_on() {
    let mut bench = Bench::new(40.0, vec![Thing::sign(100.0, -3.0)]);
    bench.ego = |ego| Ego { speed: Reading::Stale, ..*ego };
    approach(&mut bench, 100.0);
    assert!(!bench.seen.braked);
    let mut bench = Bench::new(40.0, vec![Thing::sign(100.0, -3.0)]);
    bench.drive(10.0, |bench| bench.seen.braked);
    bench.ego = |ego| Ego { speed: Reading::Invalid, ..*ego };
    bench.drive(0.3, |_| false);
    assert!(bench.decider.decision().request.brake.is_some());
}

#[test]
fn a_hold_outlasts_time_and_a_covered_lens() {
    let mut bench = Bench::new(30.0, vec![Thing::sign(60.0, -3.0)]);
    approach(&mut bench, 60.0);
    bench.things.clear();
    bench.drive(60.0, |_| false);
    let brake = bench.decider.decision().request.brake.unwrap();
    assert!(brake.hold && !brake.emergency);
}

#[test]
fn a_camera_without_calibration_serves_no_sign() {
    let mut config = config();
    config.cameras[0].calibration = None;
    let mut bench = Bench::with(40.0, vec![Thing::sign(100.0, -3.0)], config);
    approach(&mut bench, 100.0);
    assert!(bench.seen.phases.iter().all(|(_, kind, _)| *kind != SituationKind::StopSign));
}
