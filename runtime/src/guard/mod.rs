//! **Whether what comes in can be trusted, and whether the loop runs.** Pure logic on times that come in as arguments, and
//! thin glue where files are read.
//!
//! In walk order:
//! - [`config`]: limits and times (`[guard]`).
//! - [`camera`]: one camera: [`order`] (numbers, times, rate), [`frozen`], [`picture`] (black, saturated, back-lit,
//!   covered, out of focus) and [`placed`] (moved), on one cheap look ([`grid`]) per frame.
//! - [`model`]: one model: stalled, slow, impossible numbers.
//! - [`signals`]: ego speed and driver signals.
//! - [`machine`]: heat, supply, the outbox.
//! - [`pulse`]: how the thread that acts learns of all this without waiting for anybody.
//! - [`confirm`]: hysteresis in time.
//!
//! [`Guard`] collects what is wrong into the [`Faults`] of the commander. What each cause then does is the policy table's
//! ([`stopline_decide::state`]).

pub mod camera;
pub mod config;
pub mod confirm;
pub mod frozen;
pub mod grid;
pub mod machine;
pub mod model;
pub mod order;
pub mod picture;
pub mod placed;
pub mod pulse;
#[cfg(test)]
mod scene;
pub mod signals;
pub mod statistics;

use std::sync::Arc;

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::ego::Ego;
use stopline_decide::state::{CameraFaults, Faults, FunctionSet};
use stopline_decide::time::Nanos;

pub use camera::{CameraFacts, CameraGuard, Verdict};
pub use config::{CameraOverrides, GuardConfig, GuardConfigError, Placement};
pub use machine::{MachineGuard, OutboxGuard};
pub use model::ModelGuard;
pub use pulse::Watch;
pub use signals::{Promised, SignalGuard};

use pulse::Pulse;

/// Collects what is wrong. Owned by the thread that acts; nothing it reads is behind a lock.
pub struct Guard {
    cameras: Vec<Seat>,
    signals: SignalGuard,
    slow: Arc<Pulse>,
}

/// What is known of one camera, by its number in the configuration.
struct Seat {
    functions: FunctionSet,
    watches: Vec<Watch>,
    /// Faults told from outside (a missing model).
    told: FaultSet,
}

/// Tells the [`Guard`] what is polled slowly ([`MachineGuard`], [`OutboxGuard`]); for the thread that polls.
#[derive(Clone, Debug)]
pub struct SlowTeller(Arc<Pulse>);

impl SlowTeller {
    /// All that is wrong by the last polls.
    pub fn tell(&self, faults: FaultSet) {
        self.0.publish(faults);
    }
}

impl Guard {
    /// Without cameras yet.
    pub fn new(signals: SignalGuard) -> Self {
        Self { cameras: Vec::new(), signals, slow: Pulse::new(Nanos::default()) }
    }

    /// The next camera: what it is for, and the [`Watch`]es of its [`CameraGuard`] and its [`ModelGuard`]s.
    pub fn camera(&mut self, functions: FunctionSet, watches: Vec<Watch>) {
        self.cameras.push(Seat { functions, watches, told: FaultSet::default() });
    }

    /// One more [`Watch`] of a camera: it was opened after the guard was made, or a model has begun to look at it.
    pub fn watch(&mut self, camera: usize, watch: Watch) {
        if let Some(seat) = self.cameras.get_mut(camera) {
            seat.watches.push(watch);
        }
    }

    /// Replaces the faults of a camera that are known otherwise (`model_missing`, `model_below_floor`).
    pub fn tell(&mut self, camera: usize, faults: FaultSet) {
        if let Some(seat) = self.cameras.get_mut(camera) {
            seat.told = faults;
        }
    }

    /// For the thread that polls slowly.
    pub fn slow_teller(&self) -> SlowTeller {
        SlowTeller(Arc::clone(&self.slow))
    }

    /// All that is wrong at `now`; `actuator_fault` as the actuators say it.
    pub fn tick(&mut self, now: Nanos, ego: &Ego, actuator_fault: bool) -> Faults {
        let mut faults = Faults { global: self.signals.tick(ego, now), ..Faults::default() };
        faults.global = faults.global.union(self.slow.faults());
        if actuator_fault {
            faults.global = faults.global.with(Cause::ActuatorFault);
        }
        for (seat, out) in self.cameras.iter().zip(&mut faults.cameras) {
            let seen = seat.watches.iter().map(|watch| watch.faults(now)).fold(seat.told, FaultSet::union);
            *out = CameraFaults { functions: seat.functions, faults: seen };
        }
        faults
    }
}
