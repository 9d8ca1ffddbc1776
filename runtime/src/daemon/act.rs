//! The actuator thread's conductor: [`Tick`] makes the commands; what became of them at the actuators is the next
//! period's fault.

use std::sync::Arc;

use stopline_decide::cause::Cause;
use stopline_decide::command::Command;
use stopline_depot::health::ActuatorHealth;
use stopline_sensors::clock::{Clock, Monotonic};
use tracing::Level;

use super::notes::Notes;
use super::slot::Slot;
use super::tick::Tick;
use super::timing::{Stage, Timings};
use crate::act::thread::Conductor;
use crate::act::{Fault, Outcome};

/// One actuator, for whoever looks on.
#[derive(Debug, Default)]
pub struct ActuatorGauge {
    /// Its name in the configuration.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// The code of what is wrong with it.
    pub fault: Slot<Option<&'static str>>,
}

impl ActuatorGauge {
    /// For the health file.
    pub fn health(&self) -> ActuatorHealth {
        let fault = self.fault.newest().flatten().map(str::to_owned);
        ActuatorHealth { name: self.name.clone(), kind: self.kind.to_owned(), fault }
    }
}

/// Makes the commands and hears what became of them.
pub struct Acts {
    /// Makes them.
    pub tick: Tick,
    /// What each actuator said last, by its place.
    pub faults: Vec<Option<Fault>>,
    /// Names and kinds, and where others look.
    pub shown: Arc<Vec<ActuatorGauge>>,
    /// What stages take.
    pub timings: Arc<Timings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where is told what changes.
    pub notes: Notes,
    /// When the period began whose command is being sent.
    pub begun: Monotonic,
}

impl Conductor for Acts {
    fn command(&mut self, now: Monotonic) -> Command {
        self.begun = now;
        let fault = self.faults.iter().flatten().any(|fault| fault.cause() == Cause::ActuatorFault);
        self.tick.command(now, fault)
    }

    /// By now nothing is decided any more, so this is the table's cell for eyes that are lost.
    fn last(&mut self, now: Monotonic) -> Command {
        self.command(now)
    }

    fn told(&mut self, _now: Monotonic, actuator: usize, outcome: &Outcome) {
        if actuator + 1 == self.faults.len() {
            self.timings.took(Stage::Act, self.clock.monotonic().since(self.begun));
        }
        let before = std::mem::replace(&mut self.faults[actuator], outcome.fault);
        if before == outcome.fault {
            return;
        }
        let ActuatorGauge { name, kind, fault } = &self.shown[actuator];
        fault.put(outcome.fault.map(|fault| fault.code()));
        let text = match outcome.fault {
            Some(fault) => format!("actuator {name} ({kind}): fault {}", fault.code()),
            None => format!("actuator {name} ({kind}): no fault any more"),
        };
        self.notes.event("actuator", text);
    }

    fn late(&mut self, _now: Monotonic, periods: u64) {
        self.notes.log(
            Level::WARN,
            format!("actuator thread: {periods} periods were not kept; nothing was sent in them"),
        );
    }
}
