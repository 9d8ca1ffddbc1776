//! What the threads that see and infer tell the thread that acts: a few words in memory, never a lock.
//!
//! The actuator thread must learn of a capture or inference thread that hangs, so nothing it reads may be held by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;

/// No time yet.
const NEVER: u64 = u64::MAX;

/// One camera's or one model's state, written by its own thread and read by any.
#[derive(Debug)]
pub struct Pulse {
    faults: AtomicU32,
    /// Capture time of the newest sound frame, or when the model was given the frame it is at; [`NEVER`] where none.
    last: AtomicU64,
    /// When waiting for the first began.
    begun: AtomicU64,
}

/// Reads a [`Pulse`]: cheap to clone, never waits.
#[derive(Clone, Debug)]
pub struct Watch {
    pulse: Arc<Pulse>,
    limit: Nanos,
    first: Nanos,
    late: Cause,
}

impl Pulse {
    pub(super) fn new(now: Nanos) -> Arc<Self> {
        Arc::new(Self {
            faults: AtomicU32::new(0),
            last: AtomicU64::new(NEVER),
            begun: AtomicU64::new(now.0),
        })
    }

    pub(super) fn publish(&self, faults: FaultSet) {
        let bits = codes().filter(|cause| faults.has(*cause)).fold(0, |bits, cause| bits | 1 << cause as u32);
        self.faults.store(bits, Ordering::Release);
    }

    pub(super) fn beat(&self, at: Nanos) {
        self.last.store(at.0, Ordering::Release);
    }

    pub(super) fn rest(&self) {
        self.last.store(NEVER, Ordering::Release);
    }

    pub(super) fn faults(&self) -> FaultSet {
        let bits = self.faults.load(Ordering::Acquire);
        codes().filter(|cause| bits & (1 << *cause as u32) != 0).fold(FaultSet::default(), FaultSet::with)
    }

    fn last(&self) -> Option<Nanos> {
        Some(self.last.load(Ordering::Acquire)).filter(|last| *last != NEVER).map(Nanos)
    }
}

impl Watch {
    /// A camera: lost when its newest frame is older than `limit`, or none came within `first`.
    pub(super) fn of_camera(pulse: &Arc<Pulse>, limit: Nanos, first: Nanos) -> Self {
        Self { pulse: Arc::clone(pulse), limit, first, late: Cause::CameraLost }
    }

    /// A model: stalled when the frame it was given is older than `limit`.
    pub(super) fn of_model(pulse: &Arc<Pulse>, limit: Nanos) -> Self {
        // Without a frame there is nothing to wait for.
        Self { pulse: Arc::clone(pulse), limit, first: Nanos(u64::MAX), late: Cause::InferenceStalled }
    }

    /// What is wrong at `now`: what was told, and what silence tells.
    pub fn faults(&self, now: Nanos) -> FaultSet {
        let told = self.pulse.faults();
        let late = match self.pulse.last() {
            Some(last) => now.since(last) > self.limit,
            None => now.since(Nanos(self.pulse.begun.load(Ordering::Acquire))) > self.first,
        };
        if late { told.with(self.late) } else { told }
    }

    /// Capture time of the newest frame, for a camera.
    pub fn last(&self) -> Option<Nanos> {
        self.pulse.last()
    }

    /// How old the newest frame may be.
    pub const fn limit(&self) -> Nanos {
        self.limit
    }
}

/// Every cause, by its number.
fn codes() -> impl Iterator<Item = Cause> {
    Cause::all()
}
