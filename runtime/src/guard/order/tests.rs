use super::*;

fn guard() -> OrderGuard {
    OrderGuard::new(&GuardConfig::default())
}

const fn ms_of(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

#[test]
fn frames_in_order_are_in_order_also_across_gaps_and_a_new_count() {
    let mut guard = guard();
    let mut now = 1000;
    for number in [5, 6, 9, 10, 0, 1, 2] {
        now += 33;
        assert_eq!(guard.frame(number, ms_of(now - 20), ms_of(now)), Order::Next, "{number}");
    }
    assert!(!guard.anomaly());
}

#[test]
fn the_same_number_again_is_no_new_frame_whatever_its_time() {
    let mut guard = guard();
    assert_eq!(guard.frame(5, ms_of(100), ms_of(100)), Order::Next);
    for later in [100, 133, 166] {
        assert_eq!(guard.frame(5, ms_of(later), ms_of(later + 5)), Order::Repeated);
    }
    assert_eq!(guard.frame(5, ms_of(50), ms_of(200)), Order::Repeated);
    assert!(!guard.anomaly());
    assert_eq!(guard.frame(6, ms_of(199), ms_of(200)), Order::Next);
}

#[test]
fn a_frame_from_the_future_is_impossible_and_a_little_jitter_is_not() {
    let mut guard = guard();
    assert_eq!(guard.frame(0, ms_of(1015), ms_of(1000)), Order::Next);
    assert_eq!(guard.frame(1, ms_of(1054), ms_of(1033)), Order::Impossible);
    assert!(guard.anomaly());
}

#[test]
fn a_frame_from_the_past_is_impossible_and_told_for_a_second() {
    let mut guard = guard();
    guard.frame(0, ms_of(1000), ms_of(1000));
    guard.frame(1, ms_of(1033), ms_of(1033));
    assert_eq!(guard.frame(2, ms_of(900), ms_of(1066)), Order::Impossible);
    for number in 3..60 {
        let now = ms_of(1000 + 33 * number);
        assert_eq!(guard.frame(number, now, now), Order::Next);
        assert_eq!(guard.anomaly(), now.since(ms_of(1066)) < ms_of(1000), "{number}");
    }
}

#[test]
fn a_clock_that_was_set_back_is_believed_once_it_runs_on_for_a_second() {
    let mut guard = guard();
    let mut orders = Vec::new();
    for number in 0..90_u64 {
        let now = ms_of(100_000 + 33 * number);
        let back = if number >= 10 { 50_000 } else { 0 };
        orders.push(guard.frame(number, Nanos(now.0 - back * 1_000_000), now));
    }
    let wrong = orders.iter().filter(|order| **order == Order::Impossible).count();
    assert_eq!((wrong, orders[9], orders[10], orders[89]), (31, Order::Next, Order::Impossible, Order::Next));
    assert!(!guard.anomaly(), "and well again a second later");
}

#[test]
fn a_camera_that_gets_slow_is_told_and_a_hiccup_is_not() {
    let mut rate = RateGuard::new(&GuardConfig::default(), 18.0);
    let mut at = 0_u64;
    let mut told = Vec::new();
    for frame in 0..300 {
        at += match frame {
            50 => 90,
            100..200 => 100,
            _ => 33,
        };
        told.push(rate.frame(ms_of(at), ms_of(at)));
    }
    let first = told.iter().position(|low| *low).expect("told");
    assert!((110..125).contains(&first), "{first}");
    assert!(told[199] && !told[299] && !told[60]);
}

#[test]
fn a_camera_of_one_frame_a_second_has_a_rate_too() {
    let mut rate = RateGuard::new(&GuardConfig::default(), 0.6);
    for second in 0..20 {
        assert!(!rate.frame(ms_of(second * 1000), ms_of(second * 1000)));
    }
    assert!((rate.rate().expect("a rate") - 1.0).abs() < 1e-3);
}
