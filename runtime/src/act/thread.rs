//! The actuator loop: one command per period to every actuator, at fixed times, also when nothing is asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_decide::command::Command;
use stopline_sensors::clock::{Clock, Monotonic};

use super::{Actuator, Outcome};

/// Who makes the commands, and hears what became of them.
pub trait Conductor {
    /// The command of the period that begins now.
    fn command(&mut self, now: Monotonic) -> Command;

    /// The command that is sent last: what the safe-command table says for the end.
    fn last(&mut self, now: Monotonic) -> Command;

    /// What became of it at actuator number `actuator`.
    fn told(&mut self, now: Monotonic, actuator: usize, outcome: &Outcome);

    /// `periods` were not kept: the machine did not let the loop run. Nothing was sent in them.
    fn late(&mut self, now: Monotonic, periods: u64);
}

/// Periods in which the last command is sent: a frame may wait for the one before it, or be lost.
pub const LAST_PERIODS: u32 = 3;

/// Runs until `stop`; then sends the last command and closes the actuators. Periods lie at whole multiples of `period` from
/// the start, so they do not drift; those that were missed are left out, never made up for. Allocates nothing.
pub fn run(
    actuators: &mut [Box<dyn Actuator>],
    conductor: &mut dyn Conductor,
    period: Duration,
    clock: &dyn Clock,
    stop: &AtomicBool,
) {
    let mut beat = Beat { next: clock.monotonic(), period };
    while !stop.load(Ordering::Relaxed) {
        let now = beat.wait(clock, conductor);
        let command = conductor.command(now);
        send(actuators, conductor, now, &command);
    }
    for _ in 0..LAST_PERIODS {
        let now = beat.wait(clock, conductor);
        let command = conductor.last(now);
        send(actuators, conductor, now, &command);
    }
    actuators.iter_mut().for_each(|actuator| actuator.close());
}

fn send(
    actuators: &mut [Box<dyn Actuator>],
    conductor: &mut dyn Conductor,
    now: Monotonic,
    command: &Command,
) {
    for (number, actuator) in actuators.iter_mut().enumerate() {
        let outcome = actuator.send(now, command);
        conductor.told(now, number, &outcome);
    }
}

struct Beat {
    next: Monotonic,
    period: Duration,
}

impl Beat {
    /// Waits for the next period; when it begins.
    fn wait(&mut self, clock: &dyn Clock, conductor: &mut dyn Conductor) -> Monotonic {
        let mut now = clock.monotonic();
        while now < self.next {
            clock.sleep(self.next.since(now));
            now = clock.monotonic();
        }
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let missed = (now.as_nanos() - self.next.as_nanos()) / period;
        if missed > 0 {
            conductor.late(now, missed);
        }
        let ahead = period.saturating_mul(missed.saturating_add(1));
        self.next = Monotonic::from_nanos(self.next.as_nanos().saturating_add(ahead));
        now
    }
}

#[cfg(test)]
mod tests;
