//! What the vehicle says, at a moment of this process's clock.
//!
//! A bus and constants live on that clock. A recorded signal track lives on its clip's timeline: with each frame of the
//! clip it is known where on that timeline now is, also after the clip has begun again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stopline_decide::ego::Ego;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::FrameMeta;
use stopline_sensors::signals::{Readings, VehicleSignals};

use crate::signals::ego;

/// No frame of the clip has come yet.
const NOWHERE: u64 = u64::MAX;

/// The vehicle's signals. Clones show the same.
#[derive(Clone)]
pub struct Drive {
    signals: VehicleSignals,
    /// For a recorded track: when, on this process's clock, its timeline began.
    origin: Option<Arc<AtomicU64>>,
}

impl Drive {
    /// `recorded`: the signals are a track beside a clip.
    pub fn new(signals: VehicleSignals, recorded: bool) -> Self {
        Self { signals, origin: recorded.then(|| Arc::new(AtomicU64::new(NOWHERE))) }
    }

    /// A frame has come. Of a clip it says where on its timeline now is.
    pub fn frame(&self, meta: &FrameMeta) {
        if let (Some(origin), Some(position)) = (&self.origin, meta.position) {
            let began = meta.captured.as_nanos().saturating_sub(nanos(position));
            origin.store(began, Ordering::Release);
        }
    }

    /// The vehicle when a picture was taken.
    pub fn at(&self, captured: Monotonic) -> Ego {
        self.place(captured).map_or(Ego::default(), |place| ego(&self.signals.at(place)))
    }

    /// The newest that is known at `now`.
    pub fn newest(&self, now: Monotonic) -> Ego {
        let readings = |place: Monotonic| -> Readings { self.signals.newest(place) };
        self.place(now).map_or(Ego::default(), |place| ego(&readings(place)))
    }

    /// A moment on the timeline of the signals; `None` before a clip's first frame.
    fn place(&self, moment: Monotonic) -> Option<Monotonic> {
        let Some(origin) = &self.origin else { return Some(moment) };
        match origin.load(Ordering::Acquire) {
            NOWHERE => None,
            began => Some(Monotonic::from_nanos(moment.as_nanos().saturating_sub(began))),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
