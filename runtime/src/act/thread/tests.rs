use std::sync::{Arc, Mutex};

use stopline_decide::time::Nanos;
use stopline_sensors::clock::HeldClock;

use super::super::Shown;
use super::super::config::Kind;
use super::*;

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(u64, bool)>>>);

struct Ear {
    heard: Heard,
    clock: HeldClock,
    /// How long sending takes, by the number of the call.
    takes: fn(usize) -> Duration,
}

impl Actuator for Ear {
    fn name(&self) -> &str {
        "ear"
    }

    fn kind(&self) -> Kind {
        Kind::Log
    }

    fn send(&mut self, now: Monotonic, command: &Command) -> Outcome {
        let mut heard = self.heard.0.lock().unwrap();
        heard.push((now.as_nanos() / 1_000_000, command.valid));
        self.clock.advance((self.takes)(heard.len()));
        Outcome { sent: true, fault: None, shown: Shown::Event }
    }

    fn close(&mut self) {
        self.heard.0.lock().unwrap().push((u64::MAX, false));
    }
}

struct Score<'a> {
    left: u32,
    stop: &'a AtomicBool,
    late: u64,
    told: u32,
}

impl Conductor for Score<'_> {
    fn command(&mut self, now: Monotonic) -> Command {
        self.left -= 1;
        self.stop.store(self.left == 0, Ordering::Relaxed);
        Command { made: Nanos(now.as_nanos()), valid: true, ..Command::default() }
    }

    fn last(&mut self, now: Monotonic) -> Command {
        Command { made: Nanos(now.as_nanos()), ..Command::default() }
    }

    fn told(&mut self, _now: Monotonic, actuator: usize, outcome: &Outcome) {
        assert!(actuator == 0 && outcome.sent);
        self.told += 1;
    }

    fn late(&mut self, _now: Monotonic, periods: u64) {
        self.late += periods;
    }
}

fn played(periods: u32, takes: fn(usize) -> Duration) -> (Vec<(u64, bool)>, u64, u32) {
    let (clock, heard, stop) = (HeldClock::default(), Heard::default(), AtomicBool::new(false));
    let mut actuators: Vec<Box<dyn Actuator>> =
        vec![Box::new(Ear { heard: heard.clone(), clock: clock.clone(), takes })];
    let mut score = Score { left: periods, stop: &stop, late: 0, told: 0 };
    run(&mut actuators, &mut score, Duration::from_millis(20), &clock, &stop);
    let heard = heard.0.lock().unwrap().clone();
    (heard, score.late, score.told)
}

#[test]
fn every_period_has_a_command_and_the_last_one_comes_last() {
    let (heard, late, told) = played(3, |_| Duration::from_millis(3));
    let expected =
        [(0, true), (20, true), (40, true), (60, false), (80, false), (100, false), (u64::MAX, false)];
    assert_eq!(heard, expected);
    assert_eq!((late, told), (0, 6));
}

#[test]
fn periods_that_were_missed_are_left_out_and_told() {
    let (heard, late, _) = played(3, |call| Duration::from_millis(if call == 1 { 75 } else { 0 }));
    let times: Vec<u64> = heard.iter().map(|(time, _)| *time).take(4).collect();
    assert_eq!(times, [0, 75, 80, 100], "back on the beat");
    assert_eq!(late, 2);
}
