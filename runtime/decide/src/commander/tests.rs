#![allow(clippy::type_complexity, reason = "tables of cases")]

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::decision::{Ask, Phase, Request, Situation, SituationKind, WarnRequest};
use crate::ego::Reading;
use crate::state::FunctionSet;

const PERIOD: u64 = 20;

fn sign(situation: u32, deceleration: f32) -> BrakeRequest {
    BrakeRequest { situation, deceleration, jerk: 10.0, emergency: false, hold: true }
}

fn person(situation: u32, deceleration: f32) -> BrakeRequest {
    BrakeRequest { situation, deceleration, jerk: 30.0, emergency: true, hold: true }
}

/// A bench: a vehicle whose signals and decisions go on as they are until something changes them.
#[derive(Clone)]
struct Bench {
    commander: Commander,
    at: u64,
    ego: Ego,
    faults: Faults,
    armed: bool,
    /// What the road camera asks for; a new frame in every period while `looking`.
    brake: Option<BrakeRequest>,
    warn: Option<(u32, WarnLevel)>,
    phase: Phase,
    persons_down: u8,
    looking: bool,
    decision: Option<Decision>,
}

fn driving() -> Ego {
    Ego {
        speed: Reading::Fresh(13.9),
        steering_rate: Reading::Fresh(0.0),
        accelerator: Reading::Fresh(0.2),
        brake_pedal: Reading::Fresh(0.0),
        release: Reading::Fresh(false),
        off_switch: Reading::Fresh(false),
        ..Ego::default()
    }
}

fn road() -> Faults {
    Faults::of_cameras(&[FunctionSet::from_iter([Function::StopSign, Function::Pedestrian])])
}

impl Bench {
    fn new() -> Self {
        Self::with(CommandConfig::default())
    }

    fn with(config: CommandConfig) -> Self {
        Self {
            commander: Commander::new(config),
            at: 10_000,
            ego: driving(),
            faults: road(),
            armed: true,
            brake: None,
            warn: None,
            phase: Phase::Braking,
            persons_down: 0,
            looking: true,
            decision: None,
        }
    }

    fn braking(request: BrakeRequest) -> Self {
        let mut bench = Self::new();
        bench.run(100);
        bench.brake = Some(request);
        bench.run(1_500);
        bench
    }

    fn standing() -> Self {
        let mut bench = Self::braking(sign(1, 3.0));
        bench.ego.speed = Reading::Fresh(0.0);
        bench.run(1_000);
        bench
    }

    fn now(&self) -> Nanos {
        Nanos::from_millis(self.at)
    }

    fn decide(&self) -> Decision {
        let mut decision = Decision {
            camera: 0,
            frame: self.at / PERIOD,
            captured: Nanos::from_millis(self.at - 60),
            ..Decision::default()
        };
        let ids = self.brake.map(|brake| brake.situation).into_iter().chain(self.warn.map(|warn| warn.0));
        for id in ids {
            let kind = if self.brake.is_some_and(|brake| brake.emergency) {
                SituationKind::Pedestrian
            } else {
                SituationKind::StopSign
            };
            decision.situations.push(situation(id, kind, self.phase)).unwrap();
        }
        decision.request = Request {
            brake: self.brake,
            warn: self.warn.map(|(situation, level)| WarnRequest { situation, level }),
            persons_down: self.persons_down,
        };
        decision
    }

    fn tick(&mut self) -> Command {
        self.at += PERIOD;
        if self.looking {
            self.decision = Some(self.decide());
        }
        self.commander.tick(self.now(), self.decision.as_ref(), &self.ego, &self.faults, self.armed)
    }

    /// So many milliseconds; the last command.
    fn run(&mut self, millis: u64) -> Command {
        (0..millis / PERIOD).map(|_| self.tick()).last().unwrap_or_default()
    }

    fn all(&mut self, millis: u64) -> Vec<Command> {
        (0..millis / PERIOD).map(|_| self.tick()).collect()
    }

    /// Presses the release for one period.
    fn release(&mut self) -> Command {
        self.ego.release = Reading::Fresh(true);
        self.tick();
        self.ego.release = Reading::Fresh(false);
        self.tick()
    }
}

fn situation(id: u32, kind: SituationKind, phase: Phase) -> Situation {
    Situation {
        id,
        kind,
        phase,
        track: None,
        since: Nanos::default(),
        distance: None,
        ttc: None,
        score: 0.9,
        reachable: true,
    }
}

#[test]
fn nothing_decided_is_a_valid_idle_command() {
    let mut bench = Bench { looking: false, ..Bench::new() };
    bench.tick();
    let command = bench.tick();
    assert_eq!((command.row, command.valid, command.deceleration), (Row::Idle, true, 0.0));
    assert_eq!((command.object_age, command.decision_age, command.cause), (None, None, None));
    assert_eq!(command.made, bench.now());
}

#[test]
fn a_request_is_ramped_up_within_its_jerk_and_followed() {
    let mut bench = Bench::new();
    bench.run(100);
    bench.brake = Some(BrakeRequest { jerk: 4.0, ..sign(7, 3.0) });
    let first = bench.tick();
    assert_eq!((first.row, first.valid, first.situation), (Row::Braking, true, Some(7)));
    assert!((first.deceleration - 0.08).abs() < 1e-5, "{first:?}");
    let commands = bench.all(1_000);
    for pair in commands.windows(2) {
        assert!(pair[1].deceleration - pair[0].deceleration <= 0.0801);
    }
    let last = commands.last().unwrap();
    assert_eq!(last.deceleration, 3.0);
    assert_eq!((last.object_age, last.decision_age), (Some(Nanos::from_millis(60)), Some(Nanos::default())));
    bench.brake = Some(sign(7, 1.0));
    let command = bench.tick();
    assert!((command.deceleration - 2.8).abs() < 1e-5, "down within the release jerk: {command:?}");
}

#[test]
fn signs_and_persons_have_limits_of_their_own() {
    assert_eq!(Bench::braking(sign(1, 50.0)).run(2_000).deceleration, 4.0);
    assert_eq!(Bench::braking(person(1, 50.0)).run(2_000).deceleration, 9.0);
    let mut bench = Bench::new();
    bench.run(100);
    bench.brake = Some(BrakeRequest { jerk: 1e6, ..person(1, 9.0) });
    let command = bench.tick();
    assert!((command.deceleration - 0.6).abs() < 1e-5, "30 m/s³: {command:?}");
    // A request without a sound jerk gets the limit, one without a sound deceleration nothing.
    for jerk in [0.0, -1.0, f32::NAN] {
        let mut bench = Bench::new();
        bench.run(100);
        bench.brake = Some(BrakeRequest { jerk, ..sign(1, 3.0) });
        assert!((bench.tick().deceleration - 0.1).abs() < 1e-5, "{jerk}");
    }
    for deceleration in [0.0, -3.0, f32::NAN] {
        let mut bench = Bench::new();
        bench.run(100);
        bench.brake = Some(sign(1, deceleration));
        assert_eq!(bench.run(200).row, Row::Idle, "{deceleration}");
    }
}

#[test]
fn a_late_period_is_no_blow() {
    let mut bench = Bench::new();
    bench.run(100);
    bench.brake = Some(person(1, 9.0));
    bench.tick();
    bench.at += 5_000;
    assert!(bench.tick().deceleration <= 0.6 + 3.0 + 1e-4, "at most a tenth of a second's worth");
}

#[test]
fn what_is_only_suspected_is_not_braked_for() {
    for (phase, brakes) in [
        (Phase::Suspected, false),
        (Phase::Ended, false),
        (Phase::Confirmed, true),
        (Phase::Warning, true),
        (Phase::Braking, true),
        (Phase::Holding, true),
    ] {
        let mut bench = Bench { phase, ..Bench::new() };
        bench.run(100);
        bench.brake = Some(sign(1, 3.0));
        bench.warn = Some((1, WarnLevel::Warn));
        let command = bench.run(200);
        assert_eq!(command.deceleration > 0.0, brakes, "{phase:?}");
        assert_eq!(command.warn.is_some(), brakes, "{phase:?}");
    }
    // Nor what the decision has no situation for.
    let mut bench = Bench::new();
    bench.run(100);
    let mut decision = Bench { brake: Some(sign(1, 3.0)), ..bench.clone() }.decide();
    decision.situations.clear();
    bench.looking = false;
    bench.decision = Some(decision);
    assert_eq!(bench.run(60).deceleration, 0.0);
}

#[test]
fn a_fall_or_a_watched_class_cannot_brake() {
    for kind in [SituationKind::Fall, SituationKind::Watched(3)] {
        let mut bench = Bench::new();
        bench.run(100);
        bench.looking = false;
        let mut decision = Bench { brake: Some(person(1, 9.0)), ..bench.clone() }.decide();
        decision.situations.clear();
        decision.situations.push(situation(1, kind, Phase::Braking)).unwrap();
        bench.decision = Some(decision);
        assert_eq!(bench.run(60).deceleration, 0.0, "{kind:?}");
    }
}

#[test]
fn when_the_request_ends_the_brake_ramps_out() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.brake = None;
    let command = bench.tick();
    assert_eq!((command.row, command.valid), (Row::Braking, true));
    assert!((command.deceleration - 2.8).abs() < 1e-5);
    let command = bench.run(400);
    assert_eq!((command.row, command.deceleration), (Row::Idle, 0.0));
}

#[test]
fn warnings_are_passed_on_and_the_most_urgent_wins() {
    let mut bench = Bench { warn: Some((4, WarnLevel::Inform)), ..Bench::new() };
    let command = bench.tick();
    assert_eq!(
        (command.row, command.warn, command.situation),
        (Row::Warning, Some(WarnLevel::Inform), Some(4))
    );
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
    let other = Bench { warn: Some((9, WarnLevel::Warn)), ..bench.clone() };
    bench.commander.take(bench.now(), &Decision { camera: 1, ..other.decide() });
    let command = bench.tick();
    assert_eq!((command.warn, command.situation), (Some(WarnLevel::Warn), Some(9)));
}

// Freshness.

#[test]
fn a_decision_that_is_too_old_begins_nothing() {
    let mut bench = Bench::new();
    bench.run(100);
    bench.looking = false;
    let mut decision = Bench { brake: Some(sign(1, 3.0)), ..bench.clone() }.decide();
    decision.captured = Nanos::from_millis(bench.at - 260);
    bench.decision = Some(decision);
    let command = bench.run(200);
    assert_eq!((command.row, command.deceleration, command.cause), (Row::Idle, 0.0, Some(Cause::CameraLost)));
    assert!(!command.valid, "everything is lost");
    assert!(bench.commander.found().at(0).has(Cause::CameraLost));
}

#[test]
fn a_picture_of_the_future_is_a_clock_fault() {
    let mut bench = Bench { looking: false, ..Bench::new() };
    let mut decision = Bench { brake: Some(sign(1, 3.0)), ..bench.clone() }.decide();
    decision.captured = Nanos::from_millis(bench.at + 60_000);
    bench.decision = Some(decision);
    let command = bench.run(200);
    assert_eq!((command.deceleration, command.cause), (0.0, Some(Cause::ClockAnomaly)));
}

#[test]
fn an_older_decision_does_not_replace_a_newer_one_and_the_future_shuts_nothing_out() {
    let mut bench = Bench::new();
    let old = bench.decide();
    bench.run(200);
    bench.brake = Some(sign(1, 3.0));
    bench.run(500);
    bench.commander.take(bench.now(), &old);
    assert_eq!(bench.tick().row, Row::Braking);
    let future = Decision { captured: Nanos::from_millis(bench.at + 1_000_000), frame: 1, ..old };
    bench.commander.take(bench.now(), &future);
    assert_eq!(bench.tick().cause, None, "the next picture is taken as it comes");
}

#[test]
fn the_same_decision_again_grows_old() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.looking = false;
    let command = bench.run(100);
    assert_eq!((command.cause, command.decision_age), (None, Some(Nanos::from_millis(100))));
    let command = bench.tick();
    assert_eq!(
        (command.cause, command.decision_age),
        (Some(Cause::InferenceStalled), Some(Nanos::from_millis(120)))
    );
    assert_eq!(command.object_age, Some(Nanos::from_millis(180)));
}

#[test]
fn the_limit_follows_the_frame_period_and_is_never_below_a_tenth_of_a_second() {
    let of = |millis: u64| {
        CommandConfig::default().with_frame_period(Nanos::from_millis(millis)).max_decision_age_ms
    };
    assert_eq!((of(10), of(33), of(40)), (100.0, 100.0, 100.0));
    assert!((of(100) - 250.0).abs() < 1e-3);
    let picture = |millis: u64| {
        CommandConfig::default().with_frame_period(Nanos::from_millis(millis)).max_object_age_ms
    };
    assert_eq!(picture(33), 250.0);
    assert!((picture(100) - 400.0).abs() < 1e-3);
}

// Faults.

#[test]
fn no_fault_starts_a_brake() {
    for cause in Cause::all() {
        let mut bench = Bench::new();
        bench.run(100);
        bench.faults = road().with_camera(0, cause);
        for command in bench.all(3_000) {
            assert_eq!(command.deceleration, 0.0, "{cause}");
            assert_eq!(command.row, Row::Idle, "{cause}");
        }
    }
}

#[test]
fn every_cause_lets_begin_only_what_its_policy_lets_begin() {
    for cause in Cause::all() {
        for (request, function) in
            [(sign(1, 3.0), Function::StopSign), (person(1, 8.0), Function::Pedestrian)]
        {
            let mut bench = Bench::new();
            bench.run(100);
            bench.faults = road().with_camera(0, cause);
            bench.brake = Some(request);
            bench.warn = Some((1, WarnLevel::Warn));
            let command = bench.run(500);
            let effect = cause.effect(function);
            assert_eq!(command.deceleration > 0.0, effect <= Effect::Told, "{cause}");
            assert_eq!(command.warn.is_some(), effect < Effect::Lost, "{cause}");
            assert_eq!(command.valid, effect < Effect::Lost, "{cause}");
            assert_eq!(command.cause, (effect > Effect::None).then_some(cause), "{cause}");
        }
    }
}

#[test]
fn a_brake_in_progress_follows_the_table_for_every_cause() {
    for cause in Cause::all() {
        let mut bench = Bench::braking(person(1, 6.0));
        bench.faults = road().with_camera(0, cause);
        let commands = bench.all(2_000);
        let keeps = commands.iter().take_while(|command| command.deceleration == 6.0).count() as u64 * PERIOD;
        assert!(commands.iter().all(|command| command.deceleration <= 6.0), "{cause}: a fault never adds");
        if cause.effect(Function::Pedestrian) < Effect::Blind {
            assert_eq!(keeps, 2_000, "{cause}: it goes on");
            continue;
        }
        assert!((500..=540).contains(&keeps), "{cause}: last value for {keeps} ms");
        for pair in commands.windows(2) {
            assert!(pair[0].deceleration - pair[1].deceleration <= 0.2001, "{cause}: within the jerk limit");
            assert!(pair[0].deceleration >= pair[1].deceleration, "{cause}: only down");
        }
        let still = commands.iter().filter(|command| command.deceleration > 0.0);
        assert!(still.clone().all(|command| command.valid && command.row == Row::Braking), "{cause}");
        let ramp = still.count() as u64 * PERIOD - keeps;
        assert!((560..=620).contains(&ramp), "{cause}: 6 m/s² at 10 m/s³ are 0.6 s, not {ramp} ms");
        let last = commands.last().unwrap();
        assert_eq!((last.row, last.situation), (Row::Idle, None), "{cause}: it is over");
    }
}

#[test]
fn a_stalled_inference_in_mid_brake_runs_out_and_begins_again_when_it_sees() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.looking = false;
    let commands = bench.all(2_000);
    let end =
        commands.iter().position(|command| command.deceleration == 0.0).expect("it runs out") as u64 * PERIOD;
    assert!((880..=960).contains(&end), "100 ms until noticed, 500 ms blind, 300 ms ramp: {end}");
    assert_eq!(commands.last().unwrap().cause, Some(Cause::CameraLost));
    bench.looking = true;
    assert_eq!(bench.run(1_000).deceleration, 3.0, "the object is seen again, and it is braked for again");
}

#[test]
fn sight_that_comes_back_in_the_blind_time_goes_on_as_if_nothing_was() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.faults = road().with_camera(0, Cause::CameraCovered);
    bench.run(400);
    bench.faults = road();
    assert!(bench.all(2_000).iter().all(|command| command.deceleration == 3.0));
}

#[test]
fn blind_while_still_rising_stays_where_it_was() {
    let mut bench = Bench::new();
    bench.run(100);
    bench.brake = Some(sign(1, 4.0));
    let before = bench.run(200).deceleration;
    bench.faults = road().with_camera(0, Cause::CameraLost);
    // Valid, though no camera sees: what is in progress is meant.
    assert!(bench.all(400).iter().all(|command| command.deceleration == before && command.valid));
}

#[test]
fn a_loss_of_a_moment_is_bridged_recovery_time_included() {
    let momentary = [
        Cause::CameraLost,
        Cause::CameraFrozen,
        Cause::CameraBlack,
        Cause::CameraSaturated,
        Cause::WrongResolution,
        Cause::InferenceStalled,
        Cause::OutputInvalid,
        Cause::ClockAnomaly,
        Cause::ActuatorFault,
        Cause::EgoSpeed,
    ];
    for cause in momentary {
        let mut bench = Bench::braking(person(1, 6.0));
        let mut machine = crate::state::Machine::new();
        let progress = crate::state::Progress { opened: true, deciding: true };
        for tick in 0..100 {
            // 180 ms.
            let present = if (10..19).contains(&tick) { road().with_camera(0, cause) } else { road() };
            machine.step(bench.now(), &present, progress);
            bench.faults = *machine.faults();
            assert_eq!(bench.tick().deceleration, 6.0, "{cause} at {tick}");
        }
    }
}

#[test]
fn zero_blind_time_ramps_out_at_once() {
    let mut bench = Bench::with(CommandConfig { max_blind_s: 0.0, ..CommandConfig::default() });
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    bench.run(1_500);
    bench.faults = road().with(Cause::ActuatorFault);
    assert_eq!(bench.tick().deceleration, 3.0);
    assert!(bench.tick().deceleration < 3.0);
}

#[test]
fn another_camera_that_sees_the_object_carries_the_brake_on() {
    let mut bench = Bench::new();
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
    bench.run(100);
    bench.brake = Some(sign(5, 3.0));
    bench.run(1_000);
    bench.faults = bench.faults.with_camera(0, Cause::CameraBlack);
    for _ in 0..100 {
        let mut decision = Decision { camera: 1, ..bench.decide() };
        decision.situations[0].track = Some(9);
        let (role, bbox) = (crate::observe::Role::StopSign, [0.0; 4]);
        let track = crate::decision::TrackView { id: 9, role, bbox, score: 0.9, observation: None };
        decision.tracks.push(track).unwrap();
        bench.commander.take(bench.now(), &decision);
        assert_eq!(bench.tick().deceleration, 3.0);
    }
    let command = bench.tick();
    assert!(command.valid && command.cause == Some(Cause::CameraBlack));
    // It is the camera that sees: when it asks for nothing any more, nothing is bridged.
    bench.brake = None;
    let ends: Vec<f32> = (0..10)
        .map(|_| {
            let decision = Decision { camera: 1, ..bench.decide() };
            bench.commander.take(bench.now(), &decision);
            bench.tick().deceleration
        })
        .collect();
    assert!(ends[9] < 3.0, "{ends:?}");
}

#[test]
fn one_camera_lost_does_not_touch_another_cameras_brake() {
    let mut bench = Bench::new();
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]).with_camera(1, Cause::CameraLost);
    bench.run(100);
    bench.brake = Some(sign(5, 3.0));
    let command = bench.run(1_000);
    assert_eq!((command.deceleration, command.valid, command.cause), (3.0, true, Some(Cause::CameraLost)));
}

#[test]
fn a_brake_has_a_longest_time_and_does_not_begin_again_for_that_object() {
    let mut bench = Bench::with(CommandConfig { max_duration_s: 2.0, ..CommandConfig::default() });
    bench.run(100);
    bench.brake = Some(sign(1, 2.0));
    assert_eq!(bench.run(1_980).deceleration, 2.0);
    assert_eq!(bench.run(400).deceleration, 0.0);
    assert_eq!(bench.run(3_000).deceleration, 0.0);
    bench.brake = Some(sign(2, 2.0));
    assert_eq!(bench.run(1_000).deceleration, 2.0);
}

// The driver.

#[test]
fn kick_down_overrides_and_a_steady_cruise_foot_does_not() {
    let mut bench = Bench::new();
    bench.ego.accelerator = Reading::Fresh(0.8);
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    assert_eq!(bench.run(1_500).deceleration, 3.0, "the foot was there before");
    bench.ego.accelerator = Reading::Fresh(0.95);
    assert_eq!(bench.tick().row, Row::Braking, "a little more is not kicking down");
    bench.ego.accelerator = Reading::Fresh(0.3);
    bench.run(200);
    bench.ego.accelerator = Reading::Fresh(0.56);
    let command = bench.tick();
    assert_eq!((command.row, command.situation), (Row::Overridden, Some(1)));
    assert!(command.valid && command.deceleration > 2.5, "ramps out: {command:?}");
    assert!(command.disengage);
    let command = bench.run(2_000);
    assert_eq!((command.row, command.deceleration), (Row::Overridden, 0.0), "while the object is there");
    bench.brake = None;
    assert_eq!(bench.run(100).row, Row::Idle);
}

#[test]
fn an_override_is_for_that_object_only() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.ego.steering_rate = Reading::Fresh(-4.0);
    assert_eq!(bench.tick().row, Row::Overridden);
    bench.ego.steering_rate = Reading::Fresh(0.0);
    bench.warn = Some((1, WarnLevel::Warn));
    let command = bench.run(1_000);
    assert_eq!((command.deceleration, command.warn), (0.0, None), "neither brake nor warning for it");
    bench.brake = Some(person(2, 6.0));
    let command = bench.run(1_000);
    assert_eq!((command.row, command.deceleration), (Row::Braking, 6.0), "another object is braked for");
}

#[test]
fn steering_counts_by_its_rate_also_where_only_an_angle_is_sent() {
    for limit in [false, true] {
        let mut bench = Bench::new();
        bench.ego.steering_rate = Reading::Missing;
        bench.ego.steering_angle = Reading::Fresh(0.0);
        bench.run(100);
        bench.brake = Some(sign(1, 3.0));
        bench.run(500);
        let step = if limit { 0.08 } else { 0.06 };
        bench.ego.steering_angle = Reading::Fresh(step);
        assert_eq!(bench.tick().row == Row::Overridden, limit, "{step} rad in 20 ms");
    }
}

#[test]
fn the_brake_pedal_never_lowers_the_request() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.ego.brake_pedal = Reading::Fresh(1.0);
    let commands = bench.all(1_000);
    assert!(commands.iter().all(|command| command.deceleration == 3.0 && command.row == Row::Braking));
    assert!(commands.iter().all(|command| command.disengage), "but it takes the autopilot over");
    for reading in [Reading::Stale, Reading::Invalid, Reading::Missing] {
        bench.ego.brake_pedal = reading;
        assert_eq!(bench.run(100).deceleration, 3.0);
    }
}

#[test]
fn the_off_switch_overrides_and_lets_nothing_begin() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.ego.off_switch = Reading::Fresh(true);
    assert_eq!(bench.tick().row, Row::Overridden);
    bench.brake = Some(person(2, 8.0));
    assert_eq!(bench.run(1_000).deceleration, 0.0);
    bench.ego.off_switch = Reading::Fresh(false);
    assert!(bench.run(1_000).deceleration > 7.9);
}

#[test]
fn driver_signals_that_cannot_be_trusted_let_nothing_begin_and_go_on_with_what_is() {
    let signals: [(&str, fn(&mut Ego)); 6] = [
        ("accelerator stale", |ego| ego.accelerator = Reading::Stale),
        ("accelerator missing", |ego| ego.accelerator = Reading::Missing),
        ("accelerator impossible", |ego| ego.accelerator = Reading::Fresh(f32::NAN)),
        ("steering invalid", |ego| ego.steering_rate = Reading::Invalid),
        ("off switch stale", |ego| ego.off_switch = Reading::Stale),
        ("off switch invalid", |ego| ego.off_switch = Reading::Invalid),
    ];
    for (name, change) in signals {
        let mut bench = Bench::new();
        change(&mut bench.ego);
        bench.run(100);
        bench.brake = Some(sign(1, 3.0));
        bench.warn = Some((1, WarnLevel::Warn));
        let command = bench.run(500);
        assert_eq!((command.deceleration, command.cause), (0.0, Some(Cause::DriverSignals)), "{name}");
        assert_eq!((command.row, command.valid), (Row::Warning, true), "{name}");
        let mut bench = Bench::braking(sign(1, 3.0));
        change(&mut bench.ego);
        assert_eq!(bench.run(3_000).deceleration, 3.0, "{name}: only new brakes are inhibited");
    }
    let mut bench = Bench::new();
    bench.ego.off_switch = Reading::Missing;
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    assert_eq!(bench.run(1_000).deceleration, 3.0, "a vehicle need not have an off switch");
    let frightening = CommandConfig { brake_without_driver_signals: true, ..CommandConfig::default() };
    let mut bench = Bench::with(frightening);
    bench.ego.accelerator = Reading::Missing;
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    let command = bench.run(1_000);
    assert_eq!((command.deceleration, command.cause), (3.0, Some(Cause::DriverSignals)));
}

#[test]
fn stale_speed_lets_nothing_begin_and_what_is_in_progress_runs_out() {
    for reading in [Reading::Stale, Reading::Invalid, Reading::Missing, Reading::Fresh(f32::NAN)] {
        let mut bench = Bench::new();
        bench.ego.speed = reading;
        bench.run(100);
        bench.brake = Some(sign(1, 3.0));
        bench.warn = Some((1, WarnLevel::Warn));
        let command = bench.run(500);
        assert_eq!((command.deceleration, command.cause), (0.0, Some(Cause::EgoSpeed)), "{reading:?}");
        assert_eq!(command.warn, Some(WarnLevel::Warn), "warnings by growth stay");
        let mut bench = Bench::braking(sign(1, 3.0));
        bench.ego.speed = reading;
        let commands = bench.all(2_000);
        let keeps = commands.iter().take_while(|command| command.deceleration == 3.0).count() as u64 * PERIOD;
        assert!((500..=540).contains(&keeps), "{reading:?}: {keeps}");
        assert_eq!(commands.last().unwrap().deceleration, 0.0);
    }
    let mut bench = Bench::with(CommandConfig { brake_without_speed: true, ..CommandConfig::default() });
    bench.ego.speed = Reading::Missing;
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    let command = bench.run(2_000);
    assert_eq!((command.deceleration, command.cause), (3.0, Some(Cause::EgoSpeed)));
}

// Standstill.

#[test]
fn where_a_brake_has_brought_it_to_stand_it_is_held() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.ego.speed = Reading::Fresh(0.2);
    assert_eq!(bench.run(100).row, Row::Braking);
    bench.ego.speed = Reading::Fresh(-0.1);
    let command = bench.run(1_000);
    assert_eq!((command.row, command.hold, command.deceleration), (Row::Holding, true, 2.0));
    assert_eq!((command.situation, command.disengage, command.parking_brake), (Some(1), true, false));
    let mut bench = Bench::braking(BrakeRequest { hold: false, ..sign(1, 3.0) });
    bench.ego.speed = Reading::Fresh(0.0);
    let command = bench.run(1_000);
    assert_eq!((command.row, command.hold, command.deceleration), (Row::Idle, false, 0.0));
}

#[test]
fn nothing_is_braked_for_that_begins_at_standstill() {
    let mut bench = Bench::new();
    bench.ego.speed = Reading::Fresh(0.0);
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    assert_eq!(bench.run(1_000).row, Row::Idle);
}

#[test]
fn no_fault_no_silence_and_no_timer_drops_a_hold() {
    for cause in Cause::all() {
        let mut bench = Bench::standing();
        bench.faults = road().with_camera(0, cause);
        bench.looking = false;
        bench.brake = None;
        bench.ego = Ego { release: Reading::Stale, ..Ego::default() };
        for command in bench.all(60_000) {
            assert!(command.hold && command.valid && command.row == Row::Holding, "{cause}: {command:?}");
            assert_eq!(command.deceleration, 2.0, "{cause}");
        }
    }
}

#[test]
fn a_hold_is_released_by_a_fresh_press_only() {
    // Pressed since before, or a press that came while the signal could not be trusted: no edge.
    for before in [Reading::Fresh(true), Reading::Stale, Reading::Invalid, Reading::Missing] {
        let mut bench = Bench::braking(sign(1, 3.0));
        bench.ego.release = before;
        bench.ego.speed = Reading::Fresh(0.0);
        bench.run(1_000);
        bench.ego.release = Reading::Fresh(true);
        assert_eq!(bench.run(500).row, Row::Holding, "{before:?}");
        bench.ego.release = Reading::Fresh(false);
        bench.run(100);
        bench.ego.release = Reading::Fresh(true);
        assert_eq!(bench.run(1_000).row, Row::Idle, "{before:?}");
    }
}

#[test]
fn a_released_sign_is_not_braked_for_again() {
    let mut bench = Bench::standing();
    bench.release();
    bench.ego.speed = Reading::Fresh(2.0);
    let command = bench.run(2_000);
    assert_eq!((command.row, command.deceleration, command.disengage), (Row::Idle, 0.0, false));
}

#[test]
fn pressing_the_accelerator_releases_unless_it_may_not() {
    let mut bench = Bench::standing();
    bench.ego.accelerator = Reading::Fresh(0.5);
    assert_eq!(bench.run(1_000).row, Row::Idle);
    let mut bench = Bench::with(CommandConfig { release_by_accelerator: false, ..CommandConfig::default() });
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    bench.run(1_000);
    bench.ego.speed = Reading::Fresh(0.0);
    bench.run(200);
    bench.ego.accelerator = Reading::Fresh(1.0);
    assert_eq!(bench.run(1_000).row, Row::Holding);
}

#[test]
fn neither_the_off_switch_nor_the_wheel_nor_the_brake_ends_a_hold() {
    let mut bench = Bench::standing();
    bench.ego.off_switch = Reading::Fresh(true);
    bench.ego.steering_rate = Reading::Fresh(10.0);
    bench.ego.brake_pedal = Reading::Fresh(1.0);
    assert!(bench.all(5_000).iter().all(|command| command.hold));
}

#[test]
fn an_unanswered_hold_asks_for_the_parking_brake_and_escalates_until_it_is_answered() {
    let mut bench = Bench::standing();
    let before = bench.run(29_000);
    assert!(!before.parking_brake && !before.escalate && before.warn.is_none());
    let command = bench.run(2_000);
    assert!(command.parking_brake && command.escalate && command.hold);
    assert_eq!(command.warn, Some(WarnLevel::Warn));
    let command = bench.release();
    assert!(!command.parking_brake && !command.escalate && !command.hold);
}

#[test]
fn a_held_vehicle_that_rolls_escalates_at_once() {
    let mut bench = Bench::standing();
    bench.ego.speed = Reading::Fresh(-0.6);
    let command = bench.tick();
    assert!(command.parking_brake && command.escalate && command.hold);
}

#[test]
fn a_vehicle_that_stands_while_blind_is_held_too() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.faults = road().with_camera(0, Cause::CameraLost);
    bench.run(200);
    bench.ego.speed = Reading::Fresh(0.0);
    assert!(bench.all(5_000).iter().all(|command| command.hold));
}

#[test]
fn a_vehicle_that_stands_before_a_blind_brake_has_run_out_is_held_too() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.faults = road().with_camera(0, Cause::CameraLost);
    let ramping = bench.run(600);
    assert!(ramping.deceleration > 0.0 && ramping.deceleration < 3.0, "{}", ramping.deceleration);
    bench.ego.speed = Reading::Fresh(0.0);
    assert!(bench.all(5_000).iter().all(|command| command.hold));
}

#[test]
fn the_autopilot_hands_over_when_the_configuration_says() {
    let hands_over = |disengage: Disengage| {
        let mut bench = Bench::with(CommandConfig { disengage, ..CommandConfig::default() });
        bench.run(100);
        bench.warn = Some((1, WarnLevel::Inform));
        let warned = bench.run(100).disengage;
        bench.brake = Some(sign(1, 3.0));
        let braking = bench.run(500).disengage;
        bench.ego.speed = Reading::Fresh(0.0);
        let standing = bench.run(200).disengage;
        bench.release();
        bench.brake = None;
        bench.warn = None;
        let after = bench.run(1_000).disengage;
        [warned, braking, standing, after]
    };
    assert_eq!(hands_over(Disengage::TakeoverOrStandstill), [false, false, true, false]);
    assert_eq!(hands_over(Disengage::BrakeOnset), [false, true, true, false]);
    assert_eq!(hands_over(Disengage::Never), [false; 4]);
    // Taking over while warned counts, and it is not given back while the warning lasts.
    let mut bench = Bench { warn: Some((1, WarnLevel::Warn)), ..Bench::new() };
    bench.ego.brake_pedal = Reading::Fresh(0.5);
    assert!(bench.run(100).disengage);
    bench.ego.brake_pedal = Reading::Fresh(0.0);
    assert!(bench.run(100).disengage);
    bench.warn = None;
    assert!(!bench.run(100).disengage);
    // Without a situation it is the vehicle's own matter.
    bench.ego.brake_pedal = Reading::Fresh(1.0);
    assert!(!bench.run(100).disengage);
}

// Arming.

#[test]
fn unarmed_shows_what_would_have_been() {
    let mut bench = Bench { armed: false, ..Bench::new() };
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    let command = bench.run(1_000);
    assert_eq!((command.armed, command.row, command.deceleration), (false, Row::Braking, 3.0));
}

#[test]
fn arming_does_not_make_a_shown_brake_or_hold_real() {
    let mut bench = Bench { armed: false, ..Bench::new() };
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    bench.run(1_000);
    bench.armed = true;
    let command = bench.tick();
    assert_eq!((command.armed, command.row, command.deceleration), (true, Row::Idle, 0.0));
    assert_eq!(bench.run(1_000).deceleration, 0.0, "nor later, for this object");
    let mut bench = Bench { armed: false, ..Bench::standing() };
    bench.commander = Commander::new(CommandConfig::default());
    bench.ego.speed = Reading::Fresh(5.0);
    bench.run(500);
    bench.ego.speed = Reading::Fresh(0.0);
    assert!(bench.run(500).hold);
    bench.armed = true;
    assert!(!bench.tick().hold);
}

#[test]
fn disarming_waits_for_the_end_of_brake_and_hold() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.armed = false;
    assert!(bench.run(1_000).armed);
    bench.ego.speed = Reading::Fresh(0.0);
    assert!(bench.run(60_000).armed, "a hold is not dropped so");
    bench.release();
    assert!(!bench.run(1_000).armed);
}

#[test]
fn a_hold_that_is_only_shown_ends_when_the_vehicle_drives_off() {
    let mut bench = Bench { armed: false, ..Bench::new() };
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    bench.run(1_000);
    bench.ego.speed = Reading::Fresh(0.0);
    assert!(bench.run(500).hold);
    bench.ego.speed = Reading::Fresh(0.6);
    assert_eq!(bench.run(1_000).row, Row::Idle);
}

// Several objects, and falls.

#[test]
fn a_person_takes_precedence_over_a_sign_and_the_override_of_the_one_is_not_the_others() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
    let both = |bench: &mut Bench, millis: u64| {
        let mut last = Command::default();
        for _ in 0..millis / PERIOD {
            let other = Bench { brake: Some(person(2, 7.0)), ..bench.clone() };
            bench.commander.take(bench.now(), &Decision { camera: 1, ..other.decide() });
            last = bench.tick();
        }
        last
    };
    let command = both(&mut bench, 1_000);
    assert_eq!((command.situation, command.deceleration), (Some(2), 7.0));
    bench.ego.accelerator = Reading::Fresh(0.9);
    let command = both(&mut bench, 40);
    assert_eq!(command.situation, Some(1), "the sign is still there, and the foot is steady by now");
    assert_eq!(both(&mut bench, 1_000).deceleration, 3.0);
}

#[test]
fn an_overridden_person_does_not_hide_a_sign() {
    let mut bench = Bench::new();
    bench.run(100);
    let mut last = Command::default();
    for tick in 0..200 {
        let mut decision = Bench { brake: Some(person(2, 7.0)), ..bench.clone() }.decide();
        decision.frame = 1_000_000 + tick;
        decision.captured = Nanos::from_millis(bench.at);
        decision.situations.push(situation(1, SituationKind::StopSign, Phase::Braking)).unwrap();
        for brake in [person(2, 7.0), sign(1, 3.0)] {
            decision.asks.push(Ask { situation: brake.situation, brake: Some(brake), warn: None }).unwrap();
        }
        bench.looking = false;
        bench.decision = Some(decision);
        bench.ego.steering_rate = Reading::Fresh(if tick == 100 { 9.0 } else { 0.0 });
        let command = bench.tick();
        if tick == 99 {
            assert_eq!((command.situation, command.deceleration), (Some(2), 7.0));
        }
        last = command;
    }
    assert_eq!((last.situation, last.deceleration, last.row), (Some(1), 3.0, Row::Braking));
}

#[test]
fn a_lost_cameras_object_is_not_kept_alive_by_another_cameras_frames() {
    let mut bench = Bench::new();
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
    bench.run(100);
    let view = |camera: u8, bench: &Bench| {
        let mut decision =
            Decision { camera, ..Bench { brake: Some(sign(5, 3.0)), ..bench.clone() }.decide() };
        decision.situations[0].track = Some(77);
        if camera == 0 {
            let bbox = [0.0; 4];
            let track = crate::decision::TrackView {
                id: 77,
                role: crate::observe::Role::StopSign,
                bbox,
                score: 0.9,
                observation: Some(0),
            };
            decision.tracks.push(track).unwrap();
        }
        decision
    };
    bench.looking = false;
    for _ in 0..50 {
        let [front, side] = [view(0, &bench), view(1, &bench)];
        bench.commander.take(bench.now(), &front);
        bench.commander.take(bench.now(), &side);
        bench.tick();
    }
    bench.warn = Some((5, WarnLevel::Warn));
    let front = view(0, &bench);
    bench.commander.take(bench.now(), &front);
    assert_eq!(bench.tick().deceleration, 3.0);
    // The front camera goes dark; the side camera's frames go on telling of the carried sign.
    bench.faults = bench.faults.with_camera(0, Cause::CameraBlack);
    let mut last = Command::default();
    for _ in 0..60 {
        let side = view(1, &bench);
        bench.commander.take(bench.now(), &side);
        last = bench.tick();
    }
    assert_eq!((last.deceleration, last.cause), (0.0, Some(Cause::CameraLost)));
    assert_eq!(last.warn, None, "nor is it warned of");
}

#[test]
fn a_weaker_request_does_not_take_over() {
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
    let other = Bench { brake: Some(sign(2, 1.0)), ..bench.clone() };
    bench.commander.take(bench.now(), &Decision { camera: 1, ..other.decide() });
    assert_eq!(bench.tick().situation, Some(1));
}

#[test]
fn persons_down_stay_when_the_camera_is_lost_and_monitoring_lost_is_told() {
    let mut bench = Bench::new();
    bench.faults = Faults::of_cameras(&[FunctionSet::default().with(Function::Fall)]);
    bench.ego = Ego::default();
    bench.persons_down = 2;
    let command = bench.run(100);
    assert_eq!((command.persons_down, command.monitoring_lost, command.cause), (2, false, None));
    assert!(command.valid);
    bench.faults = bench.faults.with_camera(0, Cause::CameraCovered);
    bench.looking = false;
    let command = bench.run(1_000);
    assert_eq!((command.persons_down, command.monitoring_lost), (2, true));
    assert_eq!(command.cause, Some(Cause::CameraLost), "the lowest number of what takes it away");
    assert!(!command.valid);
}

#[test]
fn a_decision_of_a_camera_that_cannot_be_is_not_taken() {
    let mut bench = Bench { looking: false, ..Bench::new() };
    let other = Bench { brake: Some(sign(1, 3.0)), ..bench.clone() };
    bench.decision = Some(Decision { camera: 99, ..other.decide() });
    assert_eq!(bench.run(500).row, Row::Idle);
}

#[test]
fn who_was_let_go_is_remembered_over_many_others() {
    let mut bench = Bench::new();
    for id in 0..MAX_SITUATIONS as u32 + 5 {
        bench.brake = Some(sign(id, 3.0));
        bench.run(100);
        bench.ego.steering_rate = Reading::Fresh(9.0);
        bench.tick();
        bench.ego.steering_rate = Reading::Fresh(0.0);
    }
    for id in [5, 20, MAX_SITUATIONS as u32 + 4] {
        bench.brake = Some(sign(id, 3.0));
        bench.run(200);
        assert_ne!(bench.tick().row, Row::Braking, "{id}");
    }
}

// To the very value and period.

fn sees(config: CommandConfig, change: impl Fn(&mut Bench)) -> Bench {
    let mut bench = Bench::with(config);
    bench.run(100);
    bench.brake = Some(sign(1, 3.0));
    change(&mut bench);
    bench
}

#[test]
fn limits_of_the_driver_hold_to_the_very_value() {
    let braking = || {
        let mut bench = sees(CommandConfig::default(), |bench| bench.ego.accelerator = Reading::Fresh(0.0));
        bench.run(500);
        bench
    };
    for (value, overridden) in [(0.25, true), (0.249, false)] {
        let mut bench = braking();
        bench.ego.accelerator = Reading::Fresh(value);
        assert_eq!(bench.tick().row == Row::Overridden, overridden, "{value}");
    }
    for (value, overridden) in [(3.5, false), (-3.5, false), (3.501, true)] {
        let mut bench = braking();
        bench.ego.steering_rate = Reading::Fresh(value);
        assert_eq!(bench.tick().row == Row::Overridden, overridden, "{value}");
    }
    for (value, takes_over) in [(0.05, false), (0.051, true)] {
        let mut bench = braking();
        bench.ego.brake_pedal = Reading::Fresh(value);
        assert_eq!(bench.tick().disengage, takes_over, "{value}");
    }
}

#[test]
fn a_rate_is_made_of_two_angles_that_are_neither_too_near_nor_too_far_apart() {
    let angles = |passed: u64, from: f32, to: f32| {
        let mut driver = Driver::default();
        let config = CommandConfig::default();
        let ego = |angle: f32| Ego {
            steering_angle: Reading::Fresh(angle),
            accelerator: Reading::Fresh(0.0),
            ..Ego::default()
        };
        driver.see(Nanos::from_millis(1_000), &ego(from), &config);
        let acts = driver.see(Nanos::from_millis(1_000 + passed), &ego(to), &config);
        (acts.steers, acts.unseen)
    };
    assert_eq!(angles(20, 1.0, 1.06), (false, false));
    assert_eq!(angles(20, 1.0, 1.08), (true, false));
    assert_eq!(angles(20, 1.0, 0.92), (true, false));
    assert_eq!(angles(200, 1.0, 1.8), (true, false), "the longest gap");
    assert_eq!(angles(201, 1.0, 1.8), (false, true));
    assert_eq!(
        angles(1, 1.0, 1.01),
        (false, false),
        "10 rad/s were it a millisecond, 2 rad/s as the least gap"
    );
    // An angle that came after the least gap, not before it, is the next one to start from.
    for (first, steers) in [(4, false), (5, true)] {
        let mut driver = Driver::default();
        let config = CommandConfig::default();
        let mut see = |at: u64, angle: f32| {
            let ego = Ego { steering_angle: Reading::Fresh(angle), ..Ego::default() };
            driver.see(Nanos::from_millis(1_000 + at), &ego, &config).steers
        };
        see(0, 0.0);
        see(first, -0.01);
        assert_eq!(see(25, 0.065), steers, "from {first} ms");
    }
}

#[test]
fn speeds_count_to_the_very_value() {
    for (speed, begins) in [(0.15, false), (-0.15, false), (0.151, true)] {
        let mut bench = sees(CommandConfig::default(), |bench| bench.ego.speed = Reading::Fresh(speed));
        let seen = bench.run(100);
        assert_eq!(
            (seen.row == Row::Braking, seen.hold),
            (begins, false),
            "{speed}: nothing begins at standstill"
        );
        let mut bench = Bench::braking(sign(1, 3.0));
        bench.ego.speed = Reading::Fresh(speed);
        assert_eq!(bench.run(100).hold, !begins, "{speed}");
    }
    let mut bench = Bench::standing();
    bench.ego.speed = Reading::Fresh(0.5);
    assert!(!bench.run(100).escalate, "what a signal may show at standstill");
}

#[test]
fn times_count_to_the_very_period() {
    // 2 s after the period in which it began; a limit between two periods is as good as the one before it.
    for max_duration_s in [2.0, 2.01] {
        let config = CommandConfig { max_duration_s, ..CommandConfig::default() };
        let mut bench = sees(config, |_| {});
        let rows: Vec<(Row, f32)> =
            bench.all(4_000).iter().map(|command| (command.row, command.deceleration)).collect();
        assert_eq!(rows[100], (Row::Braking, 3.0), "{max_duration_s}");
        assert!(rows[101].1 < 3.0, "{max_duration_s}: {:?}", rows[101]);
        assert!(rows[130..].iter().all(|row| *row == (Row::Idle, 0.0)), "{max_duration_s}");
    }
    for hold_unanswered_s in [1.0, 1.01] {
        let config = CommandConfig { hold_unanswered_s, ..CommandConfig::default() };
        let mut bench = sees(config, |_| {});
        bench.run(1_000);
        bench.ego.speed = Reading::Fresh(0.0);
        let escalated: Vec<bool> = bench.all(4_000).iter().map(|command| command.escalate).collect();
        assert!(escalated[..=50].iter().all(|escalated| !escalated), "{hold_unanswered_s}");
        assert!(escalated[51..].iter().all(|escalated| *escalated), "{hold_unanswered_s}: it stays");
    }
}

#[test]
fn ages_count_to_the_very_nanosecond() {
    let age = |captured: u64, received: u64, now: u64| {
        let mut sight = Sight::default();
        let decision = Decision { captured: Nanos(captured), ..Decision::default() };
        sight.take(Nanos(received), &decision);
        sight.of(0).unwrap().age(Nanos(now), &CommandConfig::default())
    };
    let start = 10_000_000_000;
    assert_eq!(age(start, start, start), Age::Fresh, "taken just now");
    assert_eq!(age(start + 1, start, start), Age::FromTheFuture);
    assert_eq!(age(start, start + 200_000_000, start + 250_000_000), Age::Fresh);
    assert_eq!(age(start, start + 200_000_000, start + 250_000_001), Age::PictureOld);
    assert_eq!(age(start, start, start + 100_000_000), Age::Fresh);
    assert_eq!(age(start, start, start + 100_000_001), Age::DecisionOld);
}

#[test]
fn a_decision_is_new_by_its_number_or_its_picture() {
    let at = |frame: u64, captured: u64| Decision { frame, captured: Nanos(captured), ..Decision::default() };
    let received = |second: Decision, now: u64| {
        let mut sight = Sight::default();
        sight.take(Nanos(50), &at(7, 50));
        sight.take(Nanos(now), &second);
        sight.of(0).unwrap().received.0
    };
    assert_eq!(received(at(7, 50), 60), 50, "known");
    assert_eq!(received(at(7, 55), 60), 60, "a source that does not count");
    assert_eq!(received(at(8, 50), 60), 60, "two frames of one stamp");
    assert_eq!(received(at(6, 40), 60), 50, "older");
    assert_eq!(received(at(6, 40), 50), 50, "older, at the moment of the newer one's picture");
}

#[test]
fn armed_and_disarmed_count_all_that_is_in_progress() {
    // Ramping out after the request is over.
    let mut bench = Bench::braking(sign(1, 3.0));
    bench.brake = None;
    bench.armed = false;
    let ramp = bench.all(400);
    assert!(ramp.iter().all(|command| command.armed == (command.deceleration > 0.0) || command.armed));
    assert!(ramp[5].armed && ramp[5].deceleration > 0.0);
    assert!(!ramp.last().unwrap().armed);
    // A brake, and a hold, of which nothing was asked yet: periods without time between them.
    let mut bench = sees(CommandConfig::default(), |_| {});
    let tick = |bench: &mut Bench| {
        let decision = bench.decide();
        bench.commander.tick(bench.now(), Some(&decision), &bench.ego, &bench.faults, bench.armed)
    };
    bench.at += 60;
    bench.commander.ticked = Some(bench.now());
    let begun = tick(&mut bench);
    assert_eq!((begun.row, begun.deceleration), (Row::Braking, 0.0));
    bench.armed = false;
    assert!(tick(&mut bench).armed, "a brake that has begun");
    bench.ego.speed = Reading::Fresh(0.0);
    assert!(tick(&mut bench).hold);
    assert!(tick(&mut bench).armed, "a hold that has begun");
}

#[test]
fn of_two_equals_the_first_stays_and_of_two_new_ones_the_stronger_begins() {
    let with = |brakes: &[BrakeRequest], bench: &Bench| {
        let mut decision = Bench { brake: None, ..bench.clone() }.decide();
        decision.frame += 1_000_000;
        for brake in brakes {
            decision
                .situations
                .push(situation(brake.situation, SituationKind::StopSign, Phase::Braking))
                .unwrap();
            let warn = Some(WarnLevel::Warn);
            decision.asks.push(Ask { situation: brake.situation, brake: Some(*brake), warn }).unwrap();
        }
        decision
    };
    let runs = |brakes: &[BrakeRequest]| {
        let mut bench = Bench::new();
        bench.run(100);
        bench.looking = false;
        let mut tick = || {
            bench.decision = Some(with(brakes, &bench));
            bench.tick().situation
        };
        (0..20).map(|_| tick()).collect::<Vec<_>>()
    };
    // From the first period on: a weaker one does not begin before it.
    assert_eq!(runs(&[sign(1, 2.0), sign(2, 3.0)]), [Some(2); 20]);
    assert_eq!(runs(&[sign(1, 3.0), sign(2, 2.0)]), [Some(1); 20]);
    assert_eq!(runs(&[sign(1, 3.0), sign(2, 3.0)]), [Some(1); 20]);
    let mut bench = Bench::braking(sign(2, 3.0));
    bench.looking = false;
    for _ in 0..10 {
        bench.decision = Some(with(&[sign(1, 3.0), sign(2, 3.0)], &bench));
        assert_eq!(bench.tick().situation, Some(2), "the one in progress stays");
    }
    // Warnings likewise.
    bench.decision = Some(with(&[sign(1, 0.0), sign(2, 0.0)], &bench));
    bench.commander = Commander::new(CommandConfig::default());
    assert_eq!(bench.tick().situation, Some(1));
}

#[test]
fn an_idle_command_tells_the_newest_pictures_age() {
    let mut bench = Bench::new();
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
    assert_eq!(bench.tick().object_age, Some(Nanos::from_millis(60)));
    let newer = Decision { camera: 1, captured: Nanos::from_millis(bench.at), ..bench.decide() };
    bench.commander.take(bench.now(), &newer);
    bench.looking = false;
    assert_eq!(bench.tick().object_age, Some(Nanos::from_millis(20)));
}

#[test]
fn a_command_is_not_valid_when_every_braking_function_is_lost_whatever_else_works() {
    let mut bench = Bench::new();
    let fall = FunctionSet::default().with(Function::Fall);
    bench.faults = Faults::of_cameras(&[road().cameras[0].functions, fall]);
    assert!(bench.tick().valid);
    bench.faults = bench.faults.with_camera(1, Cause::CameraLost);
    assert!(bench.tick().valid, "the road is seen");
    bench.faults =
        Faults::of_cameras(&[road().cameras[0].functions, fall]).with_camera(0, Cause::CameraBlack);
    assert!(!bench.tick().valid, "the room is seen, which does not help the brake");
}

#[test]
fn what_takes_most_is_reported_and_of_equals_the_lowest_number() {
    let reported = |faults: [&[Cause]; 2]| {
        let mut bench = Bench { looking: false, ..Bench::new() };
        bench.faults = Faults::of_cameras(&[road().cameras[0].functions; 2]);
        for (camera, causes) in (0u8..).zip(faults) {
            bench.faults =
                causes.iter().fold(bench.faults, |faults, cause| faults.with_camera(camera, *cause));
        }
        bench.tick().cause
    };
    use Cause::{CameraBacklit, CameraCovered, CameraDefocused, CameraFrozen, InferenceStalled};
    for (one, other, told) in [
        (CameraFrozen, CameraCovered, CameraFrozen),
        (CameraDefocused, InferenceStalled, InferenceStalled),
        (CameraBacklit, CameraDefocused, CameraDefocused),
        (CameraCovered, CameraCovered, CameraCovered),
    ] {
        for faults in
            [[[one].as_slice(), &[other]], [&[other], &[one]], [&[one, other], &[]], [&[], &[other, one]]]
        {
            assert_eq!(reported(faults), Some(told), "{faults:?}");
        }
    }
}

#[test]
fn the_configuration_is_bounded_and_says_which_key() {
    assert_eq!(CommandConfig::default().check(), Ok(()));
    let cases: [(&str, fn(&mut CommandConfig)); 14] = [
        ("max_decision_age_ms", |config| config.max_decision_age_ms = 501.0),
        ("max_object_age_ms", |config| config.max_object_age_ms = 19.0),
        ("max_blind_s", |config| config.max_blind_s = 0.51),
        ("max_deceleration", |config| config.max_deceleration = 6.1),
        ("max_emergency_deceleration", |config| config.max_emergency_deceleration = 11.0),
        ("max_jerk", |config| config.max_jerk = f32::NAN),
        ("max_emergency_jerk", |config| config.max_emergency_jerk = 0.0),
        ("release_jerk", |config| config.release_jerk = 51.0),
        ("max_duration_s", |config| config.max_duration_s = 0.5),
        ("standstill_speed", |config| config.standstill_speed = 0.0),
        ("hold_deceleration", |config| config.hold_deceleration = 5.1),
        ("hold_unanswered_s", |config| config.hold_unanswered_s = 601.0),
        ("kick_down", |config| config.kick_down = 0.01),
        ("steering_rate", |config| config.steering_rate = 30.0),
    ];
    for (key, change) in cases {
        let mut config = CommandConfig::default();
        change(&mut config);
        let error = config.check().expect_err(key);
        assert_eq!((error.section, error.key), ("command", key));
    }
}

#[cfg(feature = "serde")]
#[test]
fn an_unknown_key_is_refused_and_a_missing_one_is_its_default() {
    use serde::Deserialize as _;
    use serde::de::value::{Error, MapDeserializer};
    let read = |pairs: &[(&'static str, f32)]| {
        let pairs = MapDeserializer::<_, Error>::new(pairs.iter().copied());
        CommandConfig::deserialize(pairs)
    };
    assert_eq!(read(&[]), Ok(CommandConfig::default()));
    let blind = read(&[("max_blind_s", 0.3)]).expect("a known key");
    assert_eq!(blind, CommandConfig { max_blind_s: 0.3, ..CommandConfig::default() });
    let error = read(&[("max_blind", 0.3)]).expect_err("there is no such key");
    assert!(std::format!("{error}").contains("max_blind"), "{error}");
}

proptest! {
    /// Whatever comes: limits of deceleration and jerk hold, no fault adds to a brake, and a hold ends by a driver only.
    #[test]
    fn limits_hold_whatever_comes(
        steps in prop::collection::vec(
            (1u64..40, 0u8..24, any::<bool>(), 0u8..6, 0.0f32..30.0, 0u8..8, 0.0f32..1.0), 1..200),
    ) {
        let config = CommandConfig::default();
        let mut bench = Bench::new();
        let mut before = Command::default();
        let mut last = bench.now();
        for (passed, cause, looking, id, deceleration, signal, pedal) in steps {
            bench.at += passed;
            bench.faults = Cause::from_number(cause).map_or(road(), |cause| road().with_camera(0, cause));
            bench.looking = looking;
            bench.brake = (id > 0).then(|| if id > 3 { person(id.into(), deceleration) } else { sign(id.into(), deceleration) });
            bench.ego.speed = match signal {
                0 => Reading::Stale,
                1 | 2 => Reading::Fresh(0.0),
                _ => Reading::Fresh(8.0),
            };
            bench.ego.accelerator = if signal == 7 { Reading::Stale } else { Reading::Fresh(pedal) };
            bench.ego.release = Reading::Fresh(signal == 3);
            let command = bench.tick();
            let seconds = command.made.since(last).seconds().min(0.1);
            last = command.made;
            prop_assert!((0.0..=config.max_emergency_deceleration).contains(&command.deceleration));
            let change = command.deceleration - before.deceleration;
            prop_assert!(change <= config.max_emergency_jerk * seconds + 1e-4);
            prop_assert!(-change <= config.release_jerk * seconds + 1e-4);
            if before.hold && !command.hold {
                prop_assert!(signal == 3 || bench.ego.accelerator.fresh().is_some());
            }
            prop_assert!(command.valid || command.deceleration == 0.0);
            let blinding = Cause::from_number(cause).is_some_and(|cause| cause.effect(Function::Pedestrian) >= Effect::Blind);
            if blinding && !command.hold {
                prop_assert!(change <= 1e-4, "a fault added {change}");
            }
            before = command;
        }
    }
}
