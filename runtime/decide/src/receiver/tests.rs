#![allow(clippy::type_complexity, reason = "tables of cases")]

use std::vec::Vec;

use super::*;
use crate::command::{Command, Row};
use crate::e2e::Sender;

const PERIOD: u64 = 20;
const MOVES: Wheels = Wheels { speed: 10.0, driver_brake: 0.0, driver_release: false };
const STANDS: Wheels = Wheels { speed: 0.0, ..MOVES };

struct Bench {
    sender: Sender,
    receiver: Receiver,
    at: u64,
}

fn asks(deceleration: f32) -> Payload {
    let row = if deceleration > 0.0 { Row::Braking } else { Row::Idle };
    Payload { valid: true, deceleration, row, ..Payload::default() }
}

fn holds() -> Payload {
    Payload { valid: true, deceleration: 2.0, hold: true, row: Row::Holding, ..Payload::default() }
}

impl Bench {
    fn new() -> Self {
        let sender = Sender::new(Protection::default(), frame::LENGTH).unwrap();
        let receiver = Receiver::new(ReceiverConfig::default()).unwrap();
        let mut bench = Self { sender, receiver, at: 1_000 };
        bench.sends(asks(0.0), MOVES, 2);
        bench
    }

    fn now(&self) -> Nanos {
        Nanos::from_millis(self.at)
    }

    fn frame(&mut self, payload: Payload) -> [u8; 8] {
        let mut frame = payload.pack();
        assert!(self.sender.protect(&mut frame));
        frame
    }

    /// So many periods with this frame; the last step's answer.
    fn sends(&mut self, payload: Payload, wheels: Wheels, periods: usize) -> Brakes {
        let mut brakes = Brakes::default();
        for _ in 0..periods {
            self.at += PERIOD;
            let frame = self.frame(payload);
            brakes = self.receiver.step(self.now(), &wheels);
            self.receiver.receive(self.now(), &frame);
        }
        brakes
    }

    /// So many periods in which nothing comes.
    fn silent(&mut self, wheels: Wheels, periods: usize) -> Brakes {
        let mut brakes = Brakes::default();
        for _ in 0..periods {
            self.at += PERIOD;
            brakes = self.receiver.step(self.now(), &wheels);
        }
        brakes
    }
}

#[test]
fn what_is_asked_is_carried_out_within_the_jerk_limit() {
    let mut bench = Bench::new();
    bench.sends(asks(6.0), MOVES, 1);
    let brakes = bench.sends(asks(6.0), MOVES, 1);
    assert!((brakes.deceleration - 0.6).abs() < 1e-4, "30 m/s³ in 20 ms: {brakes:?}");
    let brakes = bench.sends(asks(6.0), MOVES, 10);
    assert!((brakes.deceleration - 6.0).abs() < 1e-4, "{brakes:?}");
    assert_eq!((brakes.link, brakes.hold), (Link::Alive, false));
    assert_eq!(bench.receiver.payload(), Some(asks(6.0)));
    let brakes = bench.sends(asks(0.0), MOVES, 12);
    assert_eq!(brakes.deceleration, 0.0);
}

#[test]
fn more_than_the_limit_is_not_carried_out() {
    let brakes = Bench::new().sends(asks(15.0), MOVES, 40);
    assert_eq!(brakes.deceleration, 9.0);
}

#[test]
fn the_drivers_own_brake_wins_where_it_is_larger_and_never_lowers_the_request() {
    let mut bench = Bench::new();
    let pressed = |driver_brake: f32| Wheels { driver_brake, ..MOVES };
    let brakes = bench.sends(asks(4.0), pressed(2.0), 30);
    assert_eq!((brakes.deceleration, brakes.requested), (4.0, 4.0));
    let brakes = bench.sends(asks(4.0), pressed(7.0), 1);
    assert_eq!((brakes.deceleration, brakes.requested), (7.0, 4.0));
}

#[test]
fn a_killed_sender_is_dead_after_three_periods_and_the_brake_runs_out() {
    let mut bench = Bench::new();
    bench.sends(asks(6.0), MOVES, 20);
    let brakes = bench.silent(MOVES, 3);
    assert_eq!((brakes.deceleration, brakes.link), (6.0, Link::Alive));
    let brakes = bench.silent(MOVES, 1);
    assert_eq!(brakes.link, Link::TimedOut);
    assert!((brakes.deceleration - 5.4).abs() < 1e-4, "within the jerk limit: {brakes:?}");
    assert_eq!(bench.silent(MOVES, 12).deceleration, 0.0);
}

#[test]
fn a_sender_that_stutters_is_not_dead() {
    let mut bench = Bench::new();
    bench.sends(asks(6.0), MOVES, 20);
    for _ in 0..5 {
        bench.silent(MOVES, 1);
        bench.frame(asks(6.0));
        let brakes = bench.sends(asks(6.0), MOVES, 3);
        assert_eq!((brakes.link, brakes.deceleration), (Link::Alive, 6.0));
    }
    assert_eq!(bench.receiver.tally().lost, 5);
}

#[test]
fn frames_that_were_lost_on_the_bus_are_counted_as_silence_and_the_next_one_is_usable() {
    let mut bench = Bench::new();
    bench.sends(asks(6.0), MOVES, 20);
    for _ in 0..4 {
        bench.at += PERIOD;
        bench.frame(asks(6.0));
    }
    bench.at += PERIOD;
    let frame = bench.frame(asks(5.0));
    assert_eq!(bench.receiver.receive(bench.now(), &frame), Check::SomeLost(4));
    assert_eq!(bench.receiver.payload(), Some(asks(5.0)));
}

#[test]
fn limits_hold_to_the_very_step() {
    let with = |max_duration_s: f32| {
        let mut bench = Bench::new();
        let config = ReceiverConfig { max_duration_s, ..ReceiverConfig::default() };
        bench.receiver = Receiver::new(config).unwrap();
        bench.sender = Sender::new(Protection::default(), frame::LENGTH).unwrap();
        bench.sends(asks(0.0), MOVES, 2);
        bench.sends(asks(0.3), MOVES, 1);
        bench
    };
    // The first step that brakes is the next one; 1 s later, at the limit itself, it still does.
    for (limit, steps) in [(1.0, 51), (1.01, 51)] {
        assert_eq!(with(limit).sends(asks(0.3), MOVES, steps).deceleration, 0.3, "{limit}");
        assert_eq!(with(limit).sends(asks(0.3), MOVES, steps + 2).deceleration, 0.0, "{limit}");
        assert_eq!(with(limit).sends(asks(0.3), MOVES, steps + 40).deceleration, 0.0, "{limit}");
    }
    let crawls = |speed: f32| Bench::new().sends(holds(), Wheels { speed, ..STANDS }, 20).hold;
    assert!(crawls(0.15) && crawls(-0.15) && !crawls(0.151));
}

#[test]
fn the_same_frame_again_and_again_is_a_dead_sender() {
    let mut bench = Bench::new();
    bench.sends(asks(6.0), MOVES, 20);
    let frame = bench.frame(asks(6.0));
    let mut links = Vec::new();
    for _ in 0..6 {
        bench.at += PERIOD;
        bench.receiver.receive(bench.now(), &frame);
        links.push(bench.receiver.step(bench.now(), &MOVES).link);
    }
    assert_eq!(links[..4], [Link::Alive; 4], "the first of them was new");
    assert_eq!(links[4..], [Link::TimedOut; 2]);
}

#[test]
fn corrupt_and_foreign_frames_move_nothing() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.at += PERIOD;
        let mut frame = bench.frame(asks(9.0));
        frame[2] ^= 1;
        assert_eq!(bench.receiver.receive(bench.now(), &frame), Check::WrongCrc);
        assert_eq!(bench.receiver.receive(bench.now(), &[1, 2, 3]), Check::WrongCrc);
        assert_eq!(bench.receiver.step(bench.now(), &MOVES).deceleration, 0.0);
    }
    assert_eq!(bench.receiver.tally().wrong_crc, 20);
    // Right protection around a value that means nothing.
    let mut frame = asks(9.0).pack();
    frame[4] = 7;
    let mut bench = Bench::new();
    bench.at += PERIOD;
    assert!(bench.sender.protect(&mut frame));
    assert_eq!(bench.receiver.receive(bench.now(), &frame), Check::Ok);
    assert_eq!(bench.receiver.payload(), Some(asks(0.0)));
}

#[test]
fn a_frame_that_is_not_valid_asks_for_nothing_and_keeps_nothing() {
    let mut bench = Bench::new();
    bench.sends(asks(6.0), MOVES, 20);
    let brakes = bench.sends(Payload { valid: false, ..asks(6.0) }, MOVES, 12);
    assert_eq!((brakes.deceleration, brakes.link), (0.0, Link::Alive));
}

#[test]
fn a_new_sender_is_not_believed_before_its_second_frame() {
    let mut receiver = Receiver::new(ReceiverConfig::default()).unwrap();
    let mut sender = Sender::new(Protection::default(), frame::LENGTH).unwrap();
    let mut frame = asks(9.0).pack();
    assert!(sender.protect(&mut frame));
    assert_eq!(receiver.receive(Nanos::from_millis(20), &frame), Check::Initial);
    assert_eq!(receiver.step(Nanos::from_millis(20), &MOVES), Brakes::default());
    assert_eq!(receiver.payload(), None);
}

#[test]
fn braking_without_a_pause_ends_at_its_longest_time_until_the_request_was_gone() {
    let mut bench = Bench::new();
    let brakes = bench.sends(asks(3.0), MOVES, 25_000 / 20);
    assert_eq!(brakes.deceleration, 3.0);
    let brakes = bench.sends(asks(3.0), MOVES, 20);
    assert_eq!(brakes.deceleration, 0.0, "25 s are over");
    let brakes = bench.sends(asks(3.0), MOVES, 500);
    assert_eq!(brakes.deceleration, 0.0, "asking on does not help");
    bench.sends(asks(0.0), MOVES, 2);
    assert_eq!(bench.sends(asks(3.0), MOVES, 20).deceleration, 3.0);
}

#[test]
fn a_hold_begins_only_where_the_wheels_stand() {
    let mut bench = Bench::new();
    assert!(!bench.sends(holds(), MOVES, 20).hold);
    assert!(bench.sends(holds(), STANDS, 3).hold);
}

#[test]
fn neither_silence_nor_an_invalid_frame_drops_a_hold() {
    let mut bench = Bench::new();
    bench.sends(holds(), STANDS, 20);
    let brakes = bench.silent(STANDS, 100);
    assert_eq!((brakes.hold, brakes.deceleration, brakes.link), (true, 2.0, Link::TimedOut));
    let brakes = bench.sends(Payload { valid: false, ..asks(0.0) }, STANDS, 20);
    assert!(brakes.hold);
    assert!(!brakes.parking_brake);
}

#[test]
fn a_valid_frame_releases_a_hold() {
    let mut bench = Bench::new();
    bench.sends(holds(), STANDS, 20);
    let brakes = bench.sends(asks(0.0), STANDS, 10);
    assert_eq!((brakes.hold, brakes.deceleration), (false, 0.0));
}

#[test]
fn the_driver_releases_a_hold_by_pressing_and_not_by_having_pressed() {
    let pressed = Wheels { driver_release: true, ..STANDS };
    let mut bench = Bench::new();
    bench.sends(asks(2.0), pressed, 5);
    bench.sends(holds(), pressed, 20);
    assert!(bench.silent(pressed, 100).hold, "pressed since before");
    assert!(bench.silent(STANDS, 10).hold);
    let brakes = bench.silent(pressed, 10);
    assert_eq!((brakes.hold, brakes.deceleration), (false, 0.0));
}

#[test]
fn a_hold_that_its_sender_left_alone_gets_the_parking_brake() {
    let mut bench = Bench::new();
    bench.sends(holds(), STANDS, 20);
    assert!(!bench.silent(STANDS, 1_500).parking_brake, "30 s");
    let brakes = bench.silent(STANDS, 2);
    assert!(brakes.parking_brake && brakes.hold);
    assert!(bench.sends(holds(), STANDS, 5).parking_brake, "it stays with the hold");
    assert!(!bench.sends(asks(0.0), STANDS, 5).parking_brake);
}

#[test]
fn the_parking_brake_is_engaged_when_asked_for_in_a_hold() {
    let parked = Payload { parking_brake: true, ..holds() };
    let mut bench = Bench::new();
    assert!(!bench.sends(parked, MOVES, 5).parking_brake);
    assert!(bench.sends(parked, STANDS, 5).parking_brake);
    assert!(bench.sends(holds(), STANDS, 5).parking_brake, "stays until the hold is released");
}

#[test]
fn an_unarmed_command_moves_nothing() {
    let command = Command { valid: true, deceleration: 6.0, row: Row::Braking, ..Command::default() };
    let mut bench = Bench::new();
    assert_eq!(bench.sends(Payload::from(&command), MOVES, 20).deceleration, 0.0);
    assert!(bench.sends(Payload::from(&Command { armed: true, ..command }), MOVES, 20).deceleration > 5.9);
}

#[test]
fn its_limits_are_bounded_and_its_protection_must_fit() {
    assert_eq!(ReceiverConfig::default().check(), Ok(()));
    let cases: [(&str, fn(&mut ReceiverConfig)); 7] = [
        ("period_ms", |config| config.period_ms = 0.0),
        ("timeout_periods", |config| config.timeout_periods = 4.0),
        ("max_deceleration", |config| config.max_deceleration = 12.0),
        ("max_jerk", |config| config.max_jerk = f32::NAN),
        ("max_duration_s", |config| config.max_duration_s = 61.0),
        ("hold_alone_s", |config| config.hold_alone_s = 0.0),
        ("standstill_speed", |config| config.standstill_speed = 2.0),
    ];
    for (key, change) in cases {
        let mut config = ReceiverConfig::default();
        change(&mut config);
        assert_eq!(config.check().expect_err(key).key, key);
    }
    let protection = Protection::nissan(8, None);
    assert!(Receiver::new(ReceiverConfig { protection, ..ReceiverConfig::default() }).is_err());
}
