use super::*;
use crate::deployment::DeployCause;
use crate::digest::Digest;

const HOUR: u64 = 3600;
const WITHIN: u64 = 24 * HOUR;

fn outcome(device: &str, rollout: &str, seq: u64, phase: Phase, exposure: Option<Exposure>) -> Outcome {
    Outcome {
        schema: 1,
        device: device.into(),
        boot_id: "boot".into(),
        seq,
        rollout_id: rollout.into(),
        hardware: "jetson".into(),
        model: None,
        digest: Digest::of(rollout.as_bytes()),
        phase,
        cause: None,
        exposure,
    }
}

fn received(at_s: i64, outcome: Outcome) -> Received {
    Received { at_s, outcome }
}

fn drove(hours: u64, alerts: u64) -> Exposure {
    Exposure {
        active_s: hours * HOUR,
        frames: hours * HOUR * 30,
        alerts,
        latency_p99_us: 40_000,
        ..Exposure::default()
    }
}

/// Devices alike, each with these hours and alerts.
fn group(devices: usize, hours: u64, alerts: u64) -> Group {
    std::iter::repeat_n(drove(hours, alerts), devices).collect()
}

fn counts(trials: u64) -> Counts {
    Counts { trials, good: trials, ..Counts::default() }
}

fn decision(gates: &Gates, counts: &Counts, canary: &Group, control: &Group) -> Decision {
    judge(gates, counts, (canary, control), (0, 0)).decision
}

#[test]
fn a_model_as_good_as_the_old_one_advances_and_one_with_twice_the_alerts_is_paused() {
    let gates = Gates::default();
    let control = group(1000, 10, 2);
    assert_eq!(decision(&gates, &counts(100), &group(100, 10, 2), &control), Decision::Advance);
    let Decision::Pause { findings } = decision(&gates, &counts(100), &group(100, 10, 4), &control) else {
        panic!("twice the alerts passed")
    };
    assert!(
        matches!(&findings[..], [Finding::Rate { comparison, .. }] if comparison.what == "alerts" && comparison.ratio.low > 1.0),
        "{findings:?}"
    );
}

#[test]
fn a_worse_rate_within_chance_or_below_the_margin_is_not_enough() {
    let gates = Gates::default();
    // 6 against 4 alerts: 1.5 times, and nothing but chance.
    let (canary, control) = (group(6, 10, 1), group(1000, 10, 0));
    assert!(judge(&gates, &counts(20), (&group(20, 10, 0), &control), (0, 0)).compared[2].ratio.low < 1.0);
    assert!(matches!(decision(&gates, &counts(20), &canary, &group(60, 10, 1)), Decision::Advance));
    // 1.2 times, certain, and allowed.
    let canary: Group = (0..5000).map(|i| drove(10, if i % 5 == 0 { 2 } else { 1 })).collect();
    let evaluation = judge(&gates, &counts(5000), (&canary, &group(5000, 10, 1)), (0, 0));
    let alerts = &evaluation.compared[2];
    assert!(alerts.ratio.low > 1.0 && alerts.ratio.ratio < 1.25, "{alerts:?}");
    assert_eq!(evaluation.decision, Decision::Advance);
}

#[test]
fn one_bad_road_is_no_bad_model() {
    // All the canary's alerts come from one vehicle; as plain Poisson this would be certain.
    let canary: Group = (0..100).map(|i| drove(10, if i == 0 { 60 } else { 0 })).collect();
    let control = group(1000, 10, 0).devices.into_iter().chain((0..20).map(|_| drove(10, 12))).collect();
    let evaluation = judge(&Gates::default(), &counts(100), (&canary, &control), (0, 0));
    assert!(evaluation.compared[2].ratio.ratio > 1.25 && evaluation.compared[2].ratio.low < 1.0);
    assert_eq!(evaluation.decision, Decision::Advance);
}

#[test]
fn nothing_in_few_hours_against_nothing_in_many_says_nothing() {
    let evaluation = judge(&Gates::default(), &counts(100), (&group(100, 1, 0), &group(5000, 10, 0)), (0, 0));
    for one in evaluation.compared.iter().filter(|one| one.what != "latency_p99") {
        assert!((one.ratio.ratio - 1.0).abs() < 1e-9 && one.ratio.low < 1.0, "{one:?}");
    }
    assert_eq!(evaluation.decision, Decision::Advance);
}

#[test]
fn crashes_where_there_were_none_are_found() {
    let canary: Group =
        (0..100).map(|i| Exposure { crashes: u64::from(i % 10 == 0), ..drove(10, 1) }).collect();
    let decision = decision(&Gates::default(), &counts(100), &canary, &group(1000, 10, 1));
    assert!(matches!(decision, Decision::Pause { findings } if findings.len() == 1));
}

#[test]
fn a_slower_model_is_found() {
    let slow = |i: u64, by: u64| Exposure { latency_p99_us: by + i % 7 * 500, ..drove(10, 1) };
    let canary: Group = (0..50).map(|i| slow(i, 60_000)).collect();
    let control: Group = (0..500).map(|i| slow(i, 40_000)).collect();
    let Decision::Pause { findings } = decision(&Gates::default(), &counts(50), &canary, &control) else {
        panic!("half as slow again passed")
    };
    assert!(matches!(&findings[..], [Finding::Rate { comparison, .. }] if comparison.what == "latency_p99"));
}

#[test]
fn too_little_exposure_too_few_reports_and_too_short_a_stage_hold() {
    let gates = Gates::default();
    let evaluation = judge(&gates, &counts(3), (&group(3, 1, 9), &group(3, 1, 0)), (10, 86_400));
    assert!(evaluation.compared.is_empty(), "nothing is compared over 3 hours");
    assert!(matches!(evaluation.decision, Decision::Hold { waits_for } if waits_for.len() == 4));
}

#[test]
fn who_reverts_counts_and_the_first_three_of_three_are_enough() {
    let gates = Gates::default();
    let (none, hours) = (Group::default(), group(1000, 10, 1));
    let three = Counts { trials: 3, reverted: 3, ..Counts::default() };
    assert!(matches!(decision(&gates, &three, &none, &hours), Decision::Pause { .. }));
    // 1 of 200 is half a percent: allowed.
    let one = Counts { trials: 200, good: 199, reverted: 1, ..Counts::default() };
    assert_eq!(decision(&gates, &one, &hours, &hours), Decision::Advance);
    // 3 of 200 is more than one percent, and enough have reported.
    let three = Counts { trials: 200, good: 197, reverted: 3, ..Counts::default() };
    assert!(matches!(decision(&gates, &three, &hours, &hours), Decision::Pause { .. }));
}

#[test]
fn who_is_silent_after_trial_counts_against_it_and_who_is_deferred_counts_not_at_all() {
    let trial = |device: usize| received(1000, outcome(&format!("d{device}"), "r", 1, Phase::Trial, None));
    let good = |device: usize| {
        received(2000, outcome(&format!("d{device}"), "r", 2, Phase::Good, Some(drove(10, 1))))
    };
    let mut all: Vec<_> = (0..40).map(trial).collect();
    all.extend((0..30).map(good));
    all.extend((100..200).map(|d| received(1000, outcome(&format!("d{d}"), "r", 1, Phase::Deferred, None))));
    let early = tally(&all, ("m", "r"), "jetson", 1000 + 3600, WITHIN).0;
    assert_eq!(early, Counts { trials: 40, good: 30, deferred: 100, ..Counts::default() });
    let (late, canary, _) = tally(&all, ("m", "r"), "jetson", 1001 + 24 * 3600, WITHIN);
    assert_eq!(late.silent, 10);
    assert_eq!(canary.devices(), 30);
    let decision = judge(&Gates::default(), &late, (&canary, &group(100, 10, 1)), (0, 0)).decision;
    let expected = Finding::Silent { found_bp: 2500, allowed_bp: 500 };
    assert_eq!(decision, Decision::Pause { findings: vec![expected] });
    // One that speaks late is silent no more.
    all.push(received(90_000, outcome("d39", "r", 2, Phase::Good, None)));
    assert_eq!(tally(&all, ("m", "r"), "jetson", 100_000, WITHIN).0.silent, 9);
}

#[test]
fn a_message_counts_once_and_another_roll_out_variant_or_model_not_at_all() {
    let one = received(10, outcome("a", "r", 1, Phase::Reverted, Some(drove(1, 0))));
    let other_hardware = Outcome { hardware: "pi5".into(), ..outcome("b", "r", 1, Phase::Reverted, None) };
    let control = received(5, outcome("c", "before", 1, Phase::Good, Some(drove(100, 3))));
    let older = received(4, outcome("c", "before", 0, Phase::Good, Some(drove(50, 1))));
    let other_model = Outcome {
        model: Some("other".into()),
        ..outcome("d", "before", 1, Phase::Good, Some(drove(900, 90)))
    };
    let all = [one.clone(), one, received(10, other_hardware), control, older, received(6, other_model)];
    let (counts, canary, others) = tally(&all, ("m", "r"), "jetson", 20, WITHIN);
    assert_eq!(counts, Counts { trials: 1, reverted: 1, ..Counts::default() });
    assert_eq!((canary.devices(), others.devices()), (1, 1));
    assert!((others.hours() - 100.0).abs() < 1e-9, "the last word counts: {}", others.hours());
}

#[test]
fn a_rejected_bundle_counts_as_failed_only_where_the_model_is_the_cause() {
    let rejected = |device: &str, cause| Outcome {
        cause: Some(cause),
        ..outcome(device, "r", 1, Phase::Rejected, None)
    };
    let all =
        [received(1, rejected("a", DeployCause::Golden)), received(1, rejected("b", DeployCause::Expired))];
    let counts = tally(&all, ("m", "r"), "jetson", 2, WITHIN).0;
    assert_eq!((counts.rejected, counts.trials), (1, 0));
}

#[test]
fn the_interval_covers_the_truth_about_as_often_as_it_says() {
    // Poisson counts of a fixed sequence: rates alike, so that 1 must lie within the interval in about 95 of 100 rounds.
    let mut state = 7_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    };
    let mut poisson = |mean: f64| {
        let (limit, mut product, mut count) = ((-mean).exp(), uniform(), 0);
        while product > limit {
            product *= uniform();
            count += 1;
        }
        count
    };
    let covered = (0..1000)
        .filter(|_| {
            let mut make = |devices: usize| (0..devices).map(|_| drove(10, poisson(1.0))).collect::<Group>();
            let ratio = compare_rates("alerts", &make(30), &make(100), |e| e.alerts).ratio;
            ratio.low <= 1.0 && 1.0 <= ratio.high
        })
        .count();
    println!("covered: {covered} of 1000");
    assert!((925..=985).contains(&covered), "{covered}");
}
