//! What is polled slowly: heat, supply, whether anybody fetches what lies in the outbox. Reads files, so it is a thread of
//! its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_decide::cause::FaultSet;
use stopline_decide::time::Nanos;
use stopline_sensors::clock::Clock;

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
                let faults = machine.poll(now);
                let unread = outboxes
                    .iter_mut()
                    .map(|outbox| outbox.poll(now))
                    .fold(FaultSet::default(), FaultSet::union);
                self.teller.tell(faults.union(unread));
            }
            self.clock.sleep(NAP);
        }
    }
}
