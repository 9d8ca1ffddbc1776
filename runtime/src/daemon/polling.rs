//! What is polled slowly: heat, supply, whether anybody fetches what lies in the outbox. Reads files, so it is a thread of
//! its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;
use stopline_depot::outbox;
use stopline_sensors::clock::Clock;
use tracing::Level;

use super::acknowledge::Acknowledge;
use super::notes::Notes;
use super::report::ModelSeat;
use crate::config::GuardConfig;
use crate::guard::{MachineGuard, OutboxGuard, SlowTeller};

/// From one poll to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// How long the thread sleeps before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);

/// Polls.
pub struct Polling {
    /// Its limits.
    pub guard: GuardConfig,
    /// Folders of outbox actuators.
    pub outboxes: Vec<PathBuf>,
    /// Tells the thread that acts.
    pub teller: SlowTeller,
    /// Silences falls that somebody has answered.
    pub acknowledge: Acknowledge,
    /// Models, of which one may be below its security floor.
    pub models: Vec<Arc<ModelSeat>>,
    /// Where is told what happens.
    pub notes: Notes,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Set when the process ends.
    pub stop: Arc<AtomicBool>,
}

impl Polling {
    /// Runs until the process ends.
    pub fn run(self) {
        let mut machine = MachineGuard::new(&self.guard, Path::new("/sys"));
        let mut outboxes: Vec<OutboxGuard> =
            self.outboxes.iter().map(|folder| OutboxGuard::new(&self.guard, folder)).collect();
        let mut next = self.clock.monotonic();
        while !self.stop.load(Ordering::Relaxed) {
            let now = self.clock.monotonic();
            if now >= next {
                next = now.plus(PERIOD);
                let now = Nanos(now.as_nanos());
                self.answers(now);
                let faults = machine.poll(now);
                let unread = outboxes
                    .iter_mut()
                    .map(|outbox| outbox.poll(now))
                    .fold(FaultSet::default(), FaultSet::union);
                self.teller.tell(faults.union(unread).union(self.below_floor()));
            }
            self.clock.sleep(NAP);
        }
    }

    fn below_floor(&self) -> FaultSet {
        let below = self.models.iter().any(|seat| seat.below_floor.load(Ordering::Acquire));
        if below { FaultSet::default().with(Cause::ModelBelowFloor) } else { FaultSet::default() }
    }

    /// Answers that the agent has put into an outbox.
    fn answers(&self, now: Nanos) {
        for folder in &self.outboxes {
            // What cannot be read is the guard's: an outbox that nobody can empty.
            for answer in outbox::take_acknowledgements(folder).unwrap_or_default() {
                match answer {
                    Ok(answer) => {
                        let silenced = self.acknowledge.all(now);
                        let text = format!("{} acknowledged {}: {silenced} open falls", answer.by, answer.id);
                        self.notes.event("acknowledged", text);
                    }
                    Err(error) => self.notes.log(Level::WARN, error.to_string()),
                }
            }
        }
    }
}
