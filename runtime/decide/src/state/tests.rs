use std::collections::BTreeSet;
use std::format;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const GOING: Progress = Progress { opened: true, deciding: true };

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

fn vehicle() -> Faults {
    Faults::of_cameras(&[FunctionSet::from_iter([Function::StopSign, Function::Pedestrian])])
}

/// A camera for the road and one for the room behind the driver.
fn bus() -> Faults {
    let road = FunctionSet::from_iter([Function::StopSign, Function::Pedestrian]);
    Faults::of_cameras(&[road, FunctionSet::from_iter([Function::Fall])])
}

#[test]
fn codes_and_numbers_are_stable_and_lead_back() {
    let codes: Vec<&str> = Cause::all().map(Cause::code).collect();
    assert_eq!(
        codes,
        [
            "camera_lost",
            "camera_frozen",
            "camera_black",
            "camera_saturated",
            "camera_covered",
            "camera_defocused",
            "camera_backlit",
            "camera_moved",
            "wrong_resolution",
            "frame_rate_low",
            "inference_stalled",
            "inference_slow",
            "output_invalid",
            "model_missing",
            "model_below_floor",
            "clock_anomaly",
            "throttled",
            "under_voltage",
            "actuator_fault",
            "ego_speed",
            "driver_signals",
            "agent",
            "stamp_unbounded",
        ]
    );
    for (number, cause) in (1..).zip(Cause::all()) {
        assert_eq!(cause.number(), number);
        assert_eq!(Cause::from_number(number), Some(cause));
        assert_eq!(Cause::from_code(cause.code()), Some(cause));
        assert_eq!(cause.policy().cause, cause, "the policy's rows are in the order of the numbers");
        assert_eq!(format!("{cause:>20}").trim(), cause.code());
    }
    assert_eq!((Cause::from_number(0), Cause::from_number(24), Cause::from_code("")), (None, None, None));
    assert_eq!(Cause::COUNT, 23);
}

#[test]
fn a_fault_set_holds_what_was_put_in() {
    let set = FaultSet::from_iter([Cause::Agent, Cause::CameraLost]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [Cause::CameraLost, Cause::Agent]);
    assert_eq!((set.len(), set.first(), set.is_empty()), (2, Some(Cause::CameraLost), false));
    let other = FaultSet::default().with(Cause::Agent).with(Cause::EgoSpeed);
    assert_eq!(set.union(other).len(), 3);
    assert_eq!(set.minus(other).iter().collect::<Vec<_>>(), [Cause::CameraLost]);
    assert!(!set.without(Cause::Agent).has(Cause::Agent) && set.has(Cause::Agent));
    assert_eq!((FaultSet::default().first(), FaultSet::default().is_empty()), (None, true));
}

#[test]
fn functions_have_names_that_lead_back() {
    for function in Function::ALL {
        assert_eq!(Function::from_code(function.code()), Some(function));
    }
    assert_eq!(Function::from_code("drive"), None);
    assert_eq!(Function::ALL.map(Function::brakes), [true, true, false, false]);
    let set = FunctionSet::from_iter([Function::Watch, Function::StopSign]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [Function::StopSign, Function::Watch]);
    assert!(FunctionSet::default().is_empty() && !set.is_empty());
}

#[test]
fn every_cause_has_a_policy_and_every_one_does_what_it_says() {
    for cause in Cause::all() {
        let faults = vehicle().with(cause);
        let mut machine = Machine::new();
        machine.step(ms(0), &vehicle(), GOING);
        assert_eq!(machine.state(), State::Active);
        let changes = machine.step(ms(20), &faults, GOING);
        let worst = cause.effect(Function::StopSign).max(cause.effect(Function::Pedestrian));
        let both = cause.effect(Function::StopSign).min(cause.effect(Function::Pedestrian));
        let expected = match (worst, both) {
            (Effect::None, _) => State::Active,
            (_, Effect::Lost) => State::FailSafe(cause),
            _ => State::Degraded(cause),
        };
        assert_eq!(machine.state(), expected, "{cause}");
        assert_eq!(changes.raised, FaultSet::default().with(cause));
        assert!(cause.policy().recovery_ms >= 200, "{cause} would flap");
        assert!(
            cause.policy().effects.iter().any(|effect| *effect != Effect::None),
            "{cause} does nothing at all"
        );
    }
}

#[test]
fn causes_that_make_a_picture_say_nothing_take_every_function_away() {
    let blinding = [
        Cause::CameraLost,
        Cause::CameraFrozen,
        Cause::CameraBlack,
        Cause::CameraSaturated,
        Cause::CameraCovered,
        Cause::WrongResolution,
        Cause::InferenceStalled,
        Cause::OutputInvalid,
        Cause::ModelMissing,
        Cause::ClockAnomaly,
    ];
    for cause in Cause::all() {
        let all = cause.policy().effects.iter().all(|effect| *effect == Effect::Lost);
        assert_eq!(all, blinding.contains(&cause), "{cause}");
        if all {
            assert!(cause.is_of_a_camera(), "{cause}");
        }
    }
    // What forbids new brakes and leaves warnings.
    for cause in [
        Cause::CameraDefocused,
        Cause::CameraMoved,
        Cause::FrameRateLow,
        Cause::InferenceSlow,
        Cause::DriverSignals,
        Cause::StampUnbounded,
    ] {
        assert_eq!(cause.effect(Function::StopSign), Effect::NoNewBrake, "{cause}");
        assert_eq!(cause.effect(Function::Pedestrian), Effect::NoNewBrake, "{cause}");
    }
    for cause in [Cause::EgoSpeed, Cause::ActuatorFault] {
        assert_eq!(cause.effect(Function::Pedestrian), Effect::Blind, "{cause}");
    }
    // Falls: a slow or moved camera cannot tell; an agent that does not fetch is told and nothing is taken away.
    for (cause, effect) in [
        (Cause::FrameRateLow, Effect::Lost),
        (Cause::CameraMoved, Effect::Lost),
        (Cause::Agent, Effect::Told),
        (Cause::EgoSpeed, Effect::None),
        (Cause::DriverSignals, Effect::None),
        (Cause::StampUnbounded, Effect::None),
    ] {
        assert_eq!(cause.effect(Function::Fall), effect, "{cause}");
    }
    for cause in [Cause::Throttled, Cause::UnderVoltage, Cause::ModelBelowFloor, Cause::CameraBacklit] {
        assert!(cause.policy().effects.iter().all(|effect| *effect == Effect::Told), "{cause}");
    }
    let of_the_whole: BTreeSet<&str> =
        Cause::all().filter(|cause| !cause.is_of_a_camera()).map(Cause::code).collect();
    let expected = [
        "actuator_fault",
        "agent",
        "driver_signals",
        "ego_speed",
        "model_below_floor",
        "throttled",
        "under_voltage",
    ];
    assert_eq!(of_the_whole, BTreeSet::from(expected));
}

#[test]
fn one_of_two_cameras_lost_degrades_only_its_functions() {
    let faults = bus().with_camera(0, Cause::CameraLost);
    assert_eq!(faults.worst(0, Function::StopSign), (Effect::Lost, Some(Cause::CameraLost)));
    assert_eq!(faults.worst(1, Function::Fall), (Effect::None, None));
    assert!(!faults.monitoring_lost());
    let mut machine = Machine::new();
    machine.step(ms(0), &faults, GOING);
    assert_eq!(machine.state(), State::Degraded(Cause::CameraLost));
    let faults = faults.with_camera(1, Cause::CameraBlack);
    assert!(faults.monitoring_lost());
    machine.step(ms(10), &faults, GOING);
    assert_eq!(machine.state(), State::FailSafe(Cause::CameraLost), "the lowest number");
    assert_eq!(faults.all().len(), 2);
    assert_eq!(faults.at(1).first(), Some(Cause::CameraBlack));
}

#[test]
fn a_cause_that_touches_no_function_of_this_vehicle_does_not_degrade_it() {
    let room = Faults::of_cameras(&[FunctionSet::from_iter([Function::Fall])]);
    let mut machine = Machine::new();
    let changes = machine.step(ms(0), &room.with(Cause::EgoSpeed), GOING);
    assert_eq!(machine.state(), State::Active, "nobody needs a speed in a corridor");
    assert!(changes.raised.has(Cause::EgoSpeed), "told nevertheless");
}

#[test]
fn a_camera_that_cannot_be_counts_as_the_whole() {
    let faults = vehicle().with_camera(200, Cause::CameraLost);
    assert!(faults.global.has(Cause::CameraLost));
    assert!(faults.at(250).has(Cause::CameraLost));
}

#[test]
fn init_ready_active_and_back_each_told_once() {
    let mut machine = Machine::default();
    let mut told = Vec::new();
    let steps = [
        Progress { opened: false, deciding: false },
        Progress { opened: true, deciding: false },
        Progress { opened: true, deciding: false },
        GOING,
        GOING,
        Progress { opened: true, deciding: false },
    ];
    for (at, progress) in (0..).zip(steps) {
        told.extend(machine.step(ms(at * 10), &vehicle(), progress).transition);
    }
    let expected = [
        Transition { at: ms(10), old: State::Init, new: State::Ready, cause: None },
        Transition { at: ms(30), old: State::Ready, new: State::Active, cause: None },
        Transition { at: ms(50), old: State::Active, new: State::Ready, cause: None },
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_model_that_is_missing_at_the_start_fails_safe_and_a_lesser_fault_waits_for_the_start() {
    let starting = Progress { opened: false, deciding: false };
    let mut machine = Machine::new();
    machine.step(ms(0), &vehicle().with(Cause::Throttled), starting);
    assert_eq!(machine.state(), State::Init);
    machine.step(ms(10), &vehicle().with(Cause::ModelMissing), starting);
    assert_eq!(machine.state(), State::FailSafe(Cause::ModelMissing));
}

#[test]
fn a_fault_is_over_when_it_has_been_gone_for_its_recovery_time() {
    let lost = vehicle().with_camera(0, Cause::CameraLost);
    let mut machine = Machine::new();
    machine.step(ms(0), &vehicle(), GOING);
    let changes = machine.step(ms(100), &lost, GOING);
    let transition = Transition {
        at: ms(100),
        old: State::Active,
        new: State::FailSafe(Cause::CameraLost),
        cause: Some(Cause::CameraLost),
    };
    assert_eq!(changes.transition, Some(transition));
    // A flicker of 280 ms is not a recovery, and the time begins anew.
    for at in [200, 380] {
        assert_eq!(machine.step(ms(at), &vehicle(), GOING), Changes::default(), "{at}");
    }
    machine.step(ms(399), &lost, GOING);
    for at in [500, 698] {
        machine.step(ms(at), &vehicle(), GOING);
        assert_eq!(machine.state(), State::FailSafe(Cause::CameraLost), "{at}");
    }
    let changes = machine.step(ms(699), &vehicle(), GOING);
    let transition = changes.transition.expect("it recovers");
    assert_eq!((transition.new, transition.cause), (State::Active, Some(Cause::CameraLost)));
    assert_eq!(changes.cleared, FaultSet::default().with(Cause::CameraLost));
    assert!(machine.faults().all().is_empty());
}

#[test]
fn a_cameras_fault_recovers_by_its_own_time_and_not_by_the_wholes() {
    let mut machine = Machine::new();
    machine.step(ms(0), &bus().with(Cause::EgoSpeed).with_camera(0, Cause::EgoSpeed), GOING);
    for at in 1..40 {
        machine.step(ms(at * 20), &bus().with(Cause::EgoSpeed), GOING);
    }
    assert!(machine.faults().cameras[0].faults.is_empty(), "gone for 0.8 s");
    assert!(machine.faults().global.has(Cause::EgoSpeed));
}

#[test]
fn a_second_fault_is_told_even_where_the_state_stays() {
    let mut machine = Machine::new();
    let one = vehicle().with_camera(0, Cause::CameraLost);
    machine.step(ms(0), &one, GOING);
    let changes = machine.step(ms(10), &one.with(Cause::Throttled), GOING);
    assert_eq!(changes.transition, None);
    assert_eq!(changes.raised, FaultSet::default().with(Cause::Throttled));
}

#[test]
fn the_worst_of_several_names_the_lowest_number_that_does_it() {
    let faults = vehicle().with(Cause::Throttled).with(Cause::StampUnbounded).with(Cause::DriverSignals);
    assert_eq!(faults.worst(0, Function::Pedestrian), (Effect::NoNewBrake, Some(Cause::DriverSignals)));
}

#[test]
fn faults_unite_and_keep_their_functions() {
    let one = vehicle().with_camera(0, Cause::CameraBlack);
    let other = Faults::default().with(Cause::Agent).with_camera(0, Cause::CameraMoved);
    let both = one.union(&other);
    assert_eq!(both.cameras[0].functions, vehicle().cameras[0].functions);
    assert_eq!(both.at(0).len(), 3);
}

#[test]
fn states_print_as_operators_read_them() {
    for (state, text) in [
        (State::Init, "init"),
        (State::Ready, "ready"),
        (State::Active, "active"),
        (State::Degraded(Cause::EgoSpeed), "degraded(ego_speed)"),
        (State::FailSafe(Cause::CameraBlack), "fail_safe(camera_black)"),
    ] {
        assert_eq!(format!("{state}"), text);
    }
    assert_eq!(State::Active.cause(), None);
}

proptest! {
    #[test]
    fn raised_and_cleared_take_turns_and_a_present_fault_always_counts(
        steps in prop::collection::vec((1u64..400, any::<u32>(), any::<u32>()), 1..60),
    ) {
        let mut machine = Machine::new();
        let mut now = 0;
        let mut open = FaultSet::default();
        for (passed, global, camera) in steps {
            now += passed;
            let pick = |bits: u32| Cause::all().filter(|cause| bits >> cause.number() & 7 == 0).collect::<FaultSet>();
            let mut present = bus();
            present.global = pick(global);
            present.cameras[1].faults = pick(camera);
            let before = machine.state();
            let changes = machine.step(ms(now), &present, GOING);
            prop_assert!(changes.raised.iter().all(|cause| !open.has(cause)));
            prop_assert!(changes.cleared.iter().all(|cause| open.has(cause)));
            open = open.union(changes.raised).minus(changes.cleared);
            prop_assert_eq!(open, machine.faults().all());
            prop_assert!(present.all().minus(open).is_empty());
            prop_assert_eq!(changes.transition.is_some(), before != machine.state());
        }
    }
}
