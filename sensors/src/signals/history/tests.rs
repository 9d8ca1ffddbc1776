use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Monotonic {
    Monotonic::from_nanos(millis * 1_000_000)
}

fn kept(quantity: Quantity, kept: usize) -> Histories {
    let mut histories = Histories::default();
    histories.keep(quantity, Rule::of(quantity, Duration::from_millis(200)), kept);
    histories
}

fn speeds(samples: &[(u64, Option<f32>)]) -> Histories {
    let mut histories = kept(Quantity::Speed, KEPT);
    samples.iter().for_each(|(at, value)| histories.add(Quantity::Speed, ms(*at), *value));
    histories
}

#[test]
fn a_value_is_taken_between_samples_for_a_picture_and_held_for_a_command() {
    let histories = speeds(&[(1_000, Some(10.0)), (1_100, Some(11.0))]);
    let at = |time| histories.at(ms(time)).of(Quantity::Speed);
    assert_eq!(at(1_050), Reading::Fresh(10.5));
    assert_eq!(histories.newest(ms(1_050)).of(Quantity::Speed), Reading::Fresh(10.0));
    assert_eq!(at(1_100), Reading::Fresh(11.0));
    assert_eq!(at(1_300), Reading::Fresh(11.0));
    assert_eq!(at(1_301), Reading::Stale);
    assert_eq!(at(999), Reading::Stale, "older samples of a live bus may have been dropped");
    assert_eq!(histories.at(ms(1_050)).of(Quantity::YawRate), Reading::Missing);
}

#[test]
fn nothing_is_made_up_across_a_gap() {
    let histories = speeds(&[(1_000, Some(10.0)), (1_500, Some(20.0))]);
    let at = |time| histories.at(ms(time)).of(Quantity::Speed);
    assert_eq!(at(1_100), Reading::Fresh(10.0));
    assert_eq!(at(1_300), Reading::Stale);
}

#[test]
fn a_switch_has_no_values_in_between() {
    let mut histories = kept(Quantity::Ignition, KEPT);
    histories.add(Quantity::Ignition, ms(0), Some(0.0));
    histories.add(Quantity::Ignition, ms(100), Some(1.0));
    assert_eq!(histories.at(ms(99)).of(Quantity::Ignition), Reading::Fresh(0.0));
}

#[test]
fn an_impossible_value_is_invalid_until_several_good_ones_came() {
    for impossible in [Some(500.0), Some(f32::NAN), Some(-30.0), None] {
        let histories = speeds(&[
            (1_000, Some(10.0)),
            (1_010, impossible),
            (1_020, Some(10.0)),
            (1_030, Some(10.0)),
            (1_040, Some(10.1)),
        ]);
        let at = |time| histories.newest(ms(time)).of(Quantity::Speed);
        assert_eq!(at(1_005), Reading::Fresh(10.0));
        assert_eq!([at(1_010), at(1_020), at(1_035)], [Reading::Invalid; 3], "{impossible:?}");
        assert_eq!(at(1_040), Reading::Fresh(10.1));
        assert_eq!(histories.refused.values, 1);
    }
}

#[test]
fn a_jump_that_no_vehicle_makes_is_invalid_and_a_true_new_value_is_believed_in_the_end() {
    let mut samples = vec![(1_000, Some(10.0))];
    samples.extend((1..10).map(|step| (1_000 + 10 * step, Some(40.0))));
    let histories = speeds(&samples);
    assert_eq!(histories.newest(ms(1_010)).of(Quantity::Speed), Reading::Invalid);
    assert_eq!(histories.newest(ms(1_090)).of(Quantity::Speed), Reading::Fresh(40.0));
}

#[test]
fn after_a_sleep_of_the_machine_everything_is_stale() {
    let mut histories = speeds(&[(1_000, Some(10.0))]);
    histories.forget();
    assert_eq!(histories.newest(ms(1_001)).of(Quantity::Speed), Reading::Stale);
    histories.add(Quantity::Speed, ms(1_010), Some(30.0));
    assert_eq!(histories.newest(ms(1_010)).of(Quantity::Speed), Reading::Fresh(30.0));
}

#[test]
fn a_recording_knows_that_nothing_was_received_yet() {
    let mut histories = kept(Quantity::Speed, 0);
    histories.add(Quantity::Speed, ms(100), Some(1.0));
    assert_eq!(histories.at(ms(99)).of(Quantity::Speed), Reading::Missing);
}

#[test]
fn a_vehicle_without_a_steering_rate_has_that_of_its_angle() {
    let mut histories = kept(Quantity::SteeringAngle, KEPT);
    let rate = |histories: &Histories, time| histories.newest(ms(time)).of(Quantity::SteeringRate);
    assert_eq!(rate(&histories, 1_000), Reading::Missing);
    for step in 0..10_u64 {
        #[allow(clippy::cast_precision_loss)]
        histories.add(Quantity::SteeringAngle, ms(1_000 + 10 * step), Some(step as f32 * 0.02));
        if step == 5 {
            assert_eq!(rate(&histories, 1_050), Reading::Stale, "not yet long enough");
        }
    }
    let Reading::Fresh(value) = rate(&histories, 1_090) else { panic!("{:?}", rate(&histories, 1_090)) };
    assert!((value - 2.0).abs() < 1e-4, "{value}");
    assert_eq!(rate(&histories, 1_291), Reading::Stale);
    histories.add(Quantity::SteeringAngle, ms(1_100), None);
    assert_eq!(rate(&histories, 1_100), Reading::Invalid);
    histories.keep(
        Quantity::SteeringRate,
        Rule::of(Quantity::SteeringRate, Duration::from_millis(200)),
        KEPT,
    );
    assert_eq!(rate(&histories, 1_090), Reading::Missing, "its own signal counts");
}

#[test]
fn constants_hold_at_all_times() {
    let histories = Histories::constant(&[(Quantity::Speed, 13.9)]);
    for time in [0, 1, u64::MAX / 2_000_000] {
        assert_eq!(histories.at(ms(time)).of(Quantity::Speed), Reading::Fresh(13.9));
        assert_eq!(histories.newest(ms(time)).of(Quantity::Release), Reading::Missing);
    }
}

proptest! {
    #[test]
    fn a_fresh_value_lies_within_its_neighbours_and_its_age_within_the_limit(
        steps in proptest::collection::vec((1_u64..300, prop_oneof![4 => (0.0_f32..40.0).prop_map(Some), 1 => Just(None)]), 1..200),
        ask in 0_u64..40_000,
    ) {
        let mut histories = kept(Quantity::BrakePedal, 32);
        let mut at = 1_000;
        let samples: Vec<(u64, Option<f32>)> = steps.iter().map(|(step, value)| {
            at += step;
            (at, value.map(|value| value / 40.0))
        }).collect();
        samples.iter().for_each(|(at, value)| histories.add(Quantity::BrakePedal, ms(*at), *value));
        prop_assert!(histories.series[Quantity::BrakePedal as usize].samples.len() <= 32);
        let before = samples.iter().rfind(|(at, _)| *at <= ask);
        let after = samples.iter().find(|(at, _)| *at > ask);
        for between in [false, true] {
            let readings = if between { histories.at(ms(ask)) } else { histories.newest(ms(ask)) };
            if let Reading::Fresh(value) = readings.of(Quantity::BrakePedal) {
                let (at, held) = before.unwrap();
                let held = held.unwrap();
                prop_assert!(ask - at <= 200);
                let other = after.filter(|_| between).and_then(|(_, value)| *value).unwrap_or(held);
                prop_assert!(value >= held.min(other) - 1e-6 && value <= held.max(other) + 1e-6);
            }
        }
    }
}
