//! What the actuator thread does each period before it sends: take in the newest decisions and what is known of cameras
//! and models, let [`Acting`] make the command, and show others what came of it. No I/O, no waiting, no allocation after the cameras have come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use stopline_decide::cause::{Cause, FaultSet, State};
use stopline_decide::command::{Command, Row};
use stopline_decide::decision::Decision;
use stopline_decide::state::{Faults, Progress};
use stopline_decide::time::Nanos;
use stopline_sensors::clock::Monotonic;

use super::arming::Arming;
use super::drive::Drive;
use super::notes::{Note, Notes};
use super::slot::Slot;
use crate::guard::Watch;
use crate::intake::gauges::Gauges;
use crate::pipeline::{Acted, Acting, Period};

/// How long a decision counts as "something is being decided", for the state only; whether it is a command is the
/// commander's.
const DECIDING: Nanos = Nanos::from_millis(1000);

/// What others may know of the newest period.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// The state, and since when.
    pub state: State,
    /// When it began.
    pub since: Nanos,
    /// What is wrong.
    pub faults: Faults,
    /// The command that was made.
    pub command: Command,
    /// Commands made since the process began.
    pub made: u64,
    /// Times the driver has overridden since then.
    pub overrides: u64,
    /// Longest time from one command to the next.
    pub longest_gap: Nanos,
}

/// One camera, as the thread that acts knows it.
pub struct Sight {
    /// Its newest decision.
    pub decision: Arc<Slot<Decision>>,
    /// Its values.
    pub gauges: Arc<Gauges>,
}

/// Makes the command of each period.
pub struct Tick {
    /// Guard, state machine and commander.
    pub acting: Acting,
    /// Watches of cameras and models as they come.
    pub seats: Receiver<(usize, Watch)>,
    /// Cameras by their numbers.
    pub sights: Vec<Sight>,
    /// The vehicle.
    pub vehicle: Drive,
    /// Whether commands are armed.
    pub arming: Arc<Arming>,
    /// Set once devices and models have been opened, or have failed to.
    pub opened: Arc<AtomicBool>,
    /// Set here while the machine is throttled or its supply too low.
    pub shed: Arc<AtomicBool>,
    /// Set when the process is ending: its transitions are no news.
    pub ending: Arc<AtomicBool>,
    /// Where others look.
    pub now: Arc<Slot<Now>>,
    /// Where transitions are told.
    pub notes: Notes,
    /// The newest period.
    pub last: Now,
}

impl Tick {
    /// The command of the period that begins at `now`; `actuator_fault` as the actuators say it.
    pub fn command(&mut self, now: Monotonic, actuator_fault: bool) -> Command {
        let at = Nanos(now.as_nanos());
        for (camera, watch) in self.seats.try_iter() {
            self.acting.guard().watch(camera, watch);
        }
        self.tell_missing();
        for sight in &self.sights {
            // Only into the commander's own memory: nothing is copied that is not asked for.
            sight.decision.look(|decision| self.acting.take(at, decision));
        }
        let armed = self.arming.armed();
        let progress =
            Progress { opened: self.opened.load(Ordering::Acquire), deciding: self.deciding(at, armed) };
        let period = Period { ego: self.vehicle.newest(now), actuator_fault, armed, progress };
        let acted = self.acting.tick(at, &period);
        if let Some(transition) = acted.changes.transition {
            self.last.since = at;
            self.tell(now, transition.old, transition.new, transition.cause);
        }
        let weak = acted.faults.global.has(Cause::Throttled) || acted.faults.global.has(Cause::UnderVoltage);
        self.shed.store(weak, Ordering::Relaxed);
        self.publish(at, &acted);
        acted.command
    }

    /// Cameras that are not open yet are lost, and those that no model serves have none.
    fn tell_missing(&mut self) {
        for (camera, sight) in self.sights.iter().enumerate() {
            let mut told = FaultSet::default();
            if sight.gauges.info.get().is_none() && self.opened.load(Ordering::Acquire) {
                told = told.with(Cause::CameraLost);
            }
            if sight.gauges.missing.load(Ordering::Acquire) || sight.gauges.unserved.load(Ordering::Acquire) {
                told = told.with(Cause::ModelMissing);
            }
            self.acting.guard().tell(camera, told);
        }
    }

    fn deciding(&self, now: Nanos, armed: bool) -> bool {
        let fresh = |sight: &Sight| {
            let decided = sight.gauges.decided_at();
            decided.is_some_and(|decided| now.since(Nanos(decided.as_nanos())) <= DECIDING)
        };
        (armed || !self.arming.allowed()) && self.sights.iter().any(fresh)
    }

    fn tell(&self, at: Monotonic, from: State, to: State, cause: Option<Cause>) {
        if !self.ending.load(Ordering::Acquire) {
            self.notes.tell(Note::Transition { at, from, to, cause });
        }
    }

    fn publish(&mut self, at: Nanos, acted: &Acted) {
        if self.last.made > 0 {
            self.last.longest_gap = self.last.longest_gap.max(at.since(self.last.command.made));
        }
        self.last.made += 1;
        self.last.state = acted.state;
        self.last.faults = acted.faults;
        let overridden = |command: &Command| command.row == Row::Overridden;
        self.last.overrides += u64::from(overridden(&acted.command) && !overridden(&self.last.command));
        self.last.command = acted.command;
        self.now.put(self.last.clone());
    }
}

#[cfg(test)]
mod tests;
