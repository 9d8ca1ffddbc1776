//! What tests hold in their hands.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stopline_tuf::time::Reading;

use crate::clock::Clock;

/// A clock that stands still but for what sleeps.
#[derive(Debug)]
pub struct HeldClock {
    wall: Mutex<Reading>,
    since_boot_ms: AtomicU64,
}

impl HeldClock {
    /// Synchronised, at this time.
    pub fn at(time: &str) -> Self {
        Self { wall: Mutex::new(reading(time)), since_boot_ms: AtomicU64::new(1_000) }
    }

    /// Synchronised, at another time.
    pub fn set(&self, time: &str) {
        *self.wall.lock().unwrap() = reading(time);
    }

    /// Nobody vouches for it any more.
    pub fn unset(&self) {
        *self.wall.lock().unwrap() = Reading::Unverified;
    }
}

fn reading(time: &str) -> Reading {
    Reading::Synchronised(time.parse().unwrap())
}

impl Clock for HeldClock {
    fn wall(&self) -> Reading {
        *self.wall.lock().unwrap()
    }

    fn since_boot_ms(&self) -> u64 {
        self.since_boot_ms.load(Ordering::SeqCst)
    }

    fn sleep(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_millis()).unwrap();
        self.since_boot_ms.fetch_add(pause, Ordering::SeqCst);
    }
}
