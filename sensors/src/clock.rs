//! Time comes in here and nowhere else: the rest of the house asks a [`Clock`], so that tests can hold it.
//!
//! Monotonic time orders and measures; wall time is only a label on a record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant of the kernel's `CLOCK_MONOTONIC`, in nanoseconds: the clock V4L2 stamps buffers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// From nanoseconds since the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved on by `by`; stays at the largest value instead of wrapping.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Where time is asked for. The system's in production, [`HeldClock`] in tests.
pub trait Clock: Send + Sync {
    /// Now, on the monotonic clock.
    fn monotonic(&self) -> Monotonic;

    /// Now, on the wall clock: a label, never a measure.
    fn wall(&self) -> SystemTime;

    /// Waits. A held clock moves on instead.
    fn sleep(&self, duration: Duration);

    /// How long the machine has slept since it started: monotonic time stands still in a suspend, and what was received
    /// before one is not fresh after it.
    fn suspended(&self) -> Duration {
        Duration::ZERO
    }
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        // `Instant` is the same clock but hides its value, which must compare with the kernel's buffer stamps.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
        Monotonic::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place wall time is read")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn suspended(&self) -> Duration {
        // In this order, so that the time between the two calls is not taken for a suspend below a millisecond.
        let monotonic = self.monotonic();
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(boot.tv_nsec).unwrap_or_default();
        let boot = Monotonic::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos));
        boot.since(monotonic)
    }
}

/// A clock that only moves when told to, for tests. Clones share the same time.
#[derive(Clone, Debug, Default)]
pub struct HeldClock(Arc<AtomicU64>);

impl HeldClock {
    /// Moves time on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for HeldClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic::from_nanos(self.0.load(Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
