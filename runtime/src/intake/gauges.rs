//! What is known of a camera while it runs: written by its capture and inference threads, read by the actuator thread,
//! the guard and the publisher. Atomics only: nobody waits for anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use stopline_depot::drift::FrameStatistics;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::source::{Counters, SourceInfo};

/// One camera's running values.
#[derive(Debug, Default)]
pub struct Gauges {
    /// What the source is, once it is open.
    pub info: OnceLock<SourceInfo>,
    /// Capture time of the newest frame that came, in nanoseconds; 0: none yet.
    captured: AtomicU64,
    /// Whether no model served the newest frame: none could be loaded, or none is there for these conditions.
    pub missing: AtomicBool,
    /// Whether one of the camera's functions has no model that could ever serve it.
    pub unserved: AtomicBool,
    /// Frames that a newer one replaced before inference fetched them.
    pub replaced: AtomicU64,
    /// Frames left out because the machine is throttled or its supply too low, and this camera is not the first.
    pub shed: AtomicU64,
    /// Frames that were not looked at because nothing had moved.
    pub still: AtomicU64,
    /// Frames that were looked at in part.
    pub narrowed: AtomicU64,
    /// Times that a model was left out of a frame whose time was spent.
    pub left_out: AtomicU64,
    /// Frames decided on.
    pub decided: AtomicU64,
    /// When the newest decision was made, in nanoseconds; 0: none yet.
    decided_at: AtomicU64,
    /// When the first one was, in nanoseconds; 0: none yet.
    first_decided_at: AtomicU64,
    /// Frames for which a model gave impossible numbers.
    pub invalid: AtomicU64,
    /// Bit i: model i looked at the newest frame.
    pub models: AtomicU64,
    /// What the source counted.
    counters: Mutex<Counters>,
    /// What a picture of the last second looked like.
    statistics: Mutex<Option<FrameStatistics>>,
}

impl Gauges {
    /// A frame came that was taken at `captured`.
    pub fn came(&self, captured: Monotonic) {
        self.captured.store(captured.as_nanos().max(1), Ordering::Release);
    }

    /// A decision was made at `now`.
    pub fn decided(&self, now: Monotonic) {
        self.decided_at.store(now.as_nanos().max(1), Ordering::Release);
        if self.decided.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first_decided_at.store(now.as_nanos().max(1), Ordering::Release);
        }
    }

    /// When the first decision was made.
    pub fn first_decided_at(&self) -> Option<Monotonic> {
        moment(&self.first_decided_at)
    }

    /// When the newest frame was taken.
    pub fn captured(&self) -> Option<Monotonic> {
        moment(&self.captured)
    }

    /// When the newest decision was made.
    pub fn decided_at(&self) -> Option<Monotonic> {
        moment(&self.decided_at)
    }

    /// What the source counted until now.
    pub fn count(&self, counters: Counters) {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    /// What a picture looked like; none of a second ago is kept where this one has no figures.
    pub fn looked(&self, statistics: Option<FrameStatistics>) {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    /// What the newest picture that was looked at so looked like.
    pub fn statistics(&self) -> Option<FrameStatistics> {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the source had counted when it was last asked.
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn moment(nanos: &AtomicU64) -> Option<Monotonic> {
    match nanos.load(Ordering::Acquire) {
        0 => None,
        nanos => Some(Monotonic::from_nanos(nanos)),
    }
}
