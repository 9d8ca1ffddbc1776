//! A clock that knows how long it was slept on, so that keeping a recording's pace does not count as reading it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use stopline_sensors::clock::{Clock, Monotonic};

/// Another clock, and the time slept on it.
pub struct PaceClock<C> {
    clock: C,
    slept: AtomicU64,
}

impl<C: Clock> PaceClock<C> {
    pub fn new(clock: C) -> Self {
        Self { clock, slept: AtomicU64::new(0) }
    }

    /// Time awake: rises like [`Clock::monotonic`], but stands still during [`Clock::sleep`] of any thread.
    pub fn awake(&self) -> Duration {
        let slept = Duration::from_nanos(self.slept.load(Ordering::SeqCst));
        Duration::from_nanos(self.clock.monotonic().as_nanos()).saturating_sub(slept)
    }
}

impl<C: Clock> Clock for PaceClock<C> {
    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    fn sleep(&self, duration: Duration) {
        let before = self.clock.monotonic();
        self.clock.sleep(duration);
        let slept = self.clock.monotonic().since(before);
        self.slept.fetch_add(u64::try_from(slept.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_sensors::clock::HeldClock;

    #[test]
    fn sleeping_is_not_counted_as_work() {
        let held = HeldClock::default();
        let clock = PaceClock::new(held.clone());
        held.advance(Duration::from_millis(5));
        clock.sleep(Duration::from_millis(100));
        held.advance(Duration::from_millis(2));
        assert_eq!(clock.awake(), Duration::from_millis(7));
        assert_eq!(clock.monotonic().as_nanos(), 107_000_000);
    }
}
