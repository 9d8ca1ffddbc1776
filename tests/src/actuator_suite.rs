//! One conformance suite for every kind of [`Actuator`]: bus, line, program, outbox, log.
//!
//! [`conforms`] opens the actuator several times and holds it to what `stopline::act` promises: unarmed it asks nothing of
//! the world and shows what it would; armed it asks within the period; what is no longer asked for ends; an invalid command
//! asks for nothing; sending does not wait; it lets go in bounded time.
//!
//! What goes wrong with a bus or a line is each kind's own tests.

use std::time::Duration;

use stopline::act::config::Kind;
use stopline::act::{Actuator, Outcome, Shown};
use stopline_decide::command::Command;
use stopline_decide::time::Nanos;
use stopline_sensors::clock::{Clock, SystemClock};

/// One period, as the default command has it.
pub const PERIOD: Duration = Duration::from_millis(20);
/// How long is waited for what takes another thread or process.
const PATIENCE: Duration = Duration::from_secs(10);
/// Periods for which each command is held.
const HELD: u32 = 8;

/// An actuator, and the other end of what it acts on.
pub trait Bench {
    /// What it is.
    fn kind(&self) -> Kind;

    /// Opens it; called several times, each time after the last one was dropped.
    fn open(&mut self) -> Result<Box<dyn Actuator>, String>;

    /// A valid command that it answers to. The suite arms it.
    fn asks(&self) -> Command;

    /// Looks at the other end; called after every period.
    fn look(&mut self) -> Result<(), String>;

    /// Whether anything asked for reached the other end since the last call. Waits for it up to `patience`.
    fn was_asked(&mut self, patience: Duration) -> Result<bool, String>;

    /// Whether it acts for people too while unarmed (alerts to staff, logs): then unarmed commands may reach the world.
    fn acts_unarmed(&self) -> bool {
        false
    }

    /// Whether it asks something of the vehicle: then an invalid command asks for nothing. An alert is none the less one.
    fn asks_the_vehicle(&self) -> bool {
        matches!(self.kind(), Kind::Can | Kind::Gpio)
    }
}

/// Holds the actuator to its promises; a line about it, or what it broke.
pub fn conforms(bench: &mut dyn Bench) -> Result<String, String> {
    let mut actuator = bench.open()?;
    let (found, wanted) = (actuator.kind(), bench.kind());
    ensure(found == wanted && !actuator.name().is_empty(), || {
        format!("kind {found:?}, name {:?}", actuator.name())
    })?;
    let mut run = Run { bench, slowest: Duration::ZERO, sends: Vec::new() };

    let asks = Command { armed: true, valid: true, ..run.bench.asks() };
    let unarmed = Command { armed: false, ..asks };
    let idle = Command { armed: true, valid: true, ..Command::default() };
    let invalid = Command { valid: false, ..asks };

    let shown = run.hold(&mut actuator, &unarmed)?;
    let acts_unarmed = run.bench.acts_unarmed();
    ensure(if acts_unarmed { run.asked()? } else { !run.asked_already()? }, || {
        format!("unarmed, and the world was asked is not {acts_unarmed}")
    })?;
    ensure(shown.iter().any(shows), || format!("unarmed, and nothing is shown: {:?}", shown.last()))?;
    run.hold(&mut actuator, &idle)?;
    run.asked_already()?;
    run.hold(&mut actuator, &asks)?;
    ensure(run.asked()?, || "armed, and nothing reached the world".into())?;
    run.hold(&mut actuator, &idle)?;
    run.asked_already()?;
    run.hold(&mut actuator, &idle)?;
    ensure(!run.asked_already()?, || "nothing is asked for any more, and the world is asked still".into())?;
    if run.bench.asks_the_vehicle() {
        run.hold(&mut actuator, &invalid)?;
        ensure(!run.asked_already()?, || "an invalid command asked something of the world".into())?;
        run.hold(&mut actuator, &idle)?;
    }
    run.hold(&mut actuator, &asks)?;
    ensure(run.asked()?, || "asked again, and nothing reached the world".into())?;

    let begun = SystemClock.monotonic();
    actuator.close();
    drop(actuator);
    let closing = SystemClock.monotonic().since(begun);
    ensure(closing < Duration::from_secs(5), || format!("closing took {closing:?}"))?;
    run.asked_already()?;
    (0..HELD).try_for_each(|_| {
        SystemClock.sleep(PERIOD);
        run.bench.look()
    })?;
    if run.bench.kind() != Kind::Gpio {
        // A level line keeps its last level: that is what its pull resistor and its receiver are for.
        ensure(!run.asked_already()?, || "closed, and the world is asked still".into())?;
    }
    run.sends.sort_unstable();
    let middle = run.sends[run.sends.len() / 2];
    // Scheduling may take any single call's time; the usual call is microseconds.
    ensure(middle < Duration::from_millis(5), || format!("sending takes {middle:?}"))?;
    Ok(format!("{} periods, sending takes {middle:?}, at most {:?}", run.sends.len(), run.slowest))
}

fn shows(outcome: &Outcome) -> bool {
    !matches!(outcome.shown, Shown::Nothing | Shown::Line(false))
}

struct Run<'a> {
    bench: &'a mut dyn Bench,
    slowest: Duration,
    sends: Vec<Duration>,
}

impl Run<'_> {
    /// Holds a command for some periods; no fault may come of it.
    fn hold(&mut self, actuator: &mut Box<dyn Actuator>, command: &Command) -> Result<Vec<Outcome>, String> {
        let mut outcomes = Vec::new();
        for _ in 0..HELD {
            let now = SystemClock.monotonic();
            let outcome = actuator.send(now, &Command { made: Nanos(now.as_nanos()), ..*command });
            let took = SystemClock.monotonic().since(now);
            self.slowest = self.slowest.max(took);
            self.sends.push(took);
            if let Some(fault) = outcome.fault {
                return Err(format!("fault {fault:?} without a reason"));
            }
            outcomes.push(outcome);
            SystemClock.sleep(PERIOD);
            self.bench.look()?;
        }
        Ok(outcomes)
    }

    /// Whether the world was asked, waited for.
    fn asked(&mut self) -> Result<bool, String> {
        self.bench.was_asked(PATIENCE)
    }

    /// Whether the world was asked until now.
    fn asked_already(&mut self) -> Result<bool, String> {
        self.bench.was_asked(Duration::ZERO)
    }
}

fn ensure(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}
