//! Starts the actuator thread, and waits at the end until nothing is asked of the brake any more.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use stopline_sensors::clock::Clock;

use super::parts::Parts;
use super::{GLANCE, spawn};
use crate::act::{Actuator, thread};
use crate::config::Config;
use crate::daemon::act::Acts;
use crate::daemon::priority::Rank;
use crate::daemon::slot::Slot;
use crate::daemon::tick::{Now, Sight, Tick};
use crate::exit::Failure;
use crate::guard::{Guard, Watch};
use crate::pipeline::Acting;

/// The actuator thread. It sends from its first period on, long before the first frame.
pub(super) fn start(
    config: &Config,
    parts: &Parts,
    guard: Guard,
    watches: Receiver<(usize, Watch)>,
    mut actuators: Vec<Box<dyn Actuator>>,
) -> Result<JoinHandle<()>, Failure> {
    let sight = |shared: &super::parts::Shared| Sight {
        decision: Arc::clone(&shared.decision),
        gauges: Arc::clone(&shared.gauges),
    };
    let tick = Tick {
        acting: Acting::new(guard, config.command),
        seats: watches,
        sights: parts.cameras.iter().map(sight).collect(),
        vehicle: parts.drive.clone(),
        arming: Arc::clone(&parts.arming),
        opened: Arc::clone(&parts.stops.opened),
        shed: Arc::clone(&parts.shed),
        ending: Arc::clone(&parts.stops.ending),
        now: Arc::clone(&parts.now),
        notes: parts.notes.clone(),
        last: Now::default(),
    };
    let mut acts = Acts {
        tick,
        faults: vec![None; actuators.len()],
        shown: Arc::clone(&parts.actuators),
        timings: Arc::clone(&parts.timings),
        clock: Arc::clone(&parts.clock),
        notes: parts.notes.clone(),
        begun: parts.clock.monotonic(),
    };
    let period = Duration::from_millis(config.run.command_period_ms.into());
    let (clock, stop) = (Arc::clone(&parts.clock), Arc::clone(&parts.stops.acting));
    let scheduling_slot = Arc::clone(&parts.scheduling);
    spawn("actuate", (&config.run, Rank::Act, config.run.cpu), &parts.notes, move |scheduling| {
        scheduling_slot.put(scheduling);
        thread::run(&mut actuators, &mut acts, period, clock.as_ref(), &stop);
    })
}

/// Waits until nothing is asked of the brake any more, and that is what receivers have been told.
pub(super) struct Quiet {
    now: Arc<Slot<Now>>,
    /// From then on decisions are too old to be commands, so the command is the table's for lost eyes.
    blind: Duration,
    /// The longest until a brake has run out after that: the blind time, then the ramp down from the strongest brake.
    run_out: Duration,
}

impl Quiet {
    pub fn new(config: &Config, parts: &Parts) -> Self {
        let command = &config.command;
        let ramp = command.max_emergency_deceleration / command.release_jerk;
        let age = command.max_decision_age_ms.max(command.max_object_age_ms) / 1000.0;
        let period = Duration::from_millis(config.run.command_period_ms.into());
        Self {
            now: Arc::clone(&parts.now),
            blind: Duration::from_secs_f32(age) + period * 5,
            run_out: Duration::from_secs_f32(command.max_blind_s + ramp) + period * 5,
        }
    }

    /// Waits, bounded. A hold at standstill is no reason to wait: no fault drops it, and its receiver keeps it.
    pub fn wait(&self, clock: &dyn Clock) {
        let begun = clock.monotonic();
        loop {
            clock.sleep(GLANCE);
            let passed = clock.monotonic().since(begun);
            let command = self.now.newest().unwrap_or_default().command;
            let asks = command.deceleration > 0.0;
            let told = command.hold || (!asks && !command.valid);
            let late = passed >= self.blind && (!asks || passed >= self.blind + self.run_out);
            if told || late {
                return;
            }
        }
    }
}
