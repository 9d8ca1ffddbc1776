//! The operator's time. The only file that reads the system's clock, so that tests can hold it.

use jiff::Timestamp;

/// The operator's clock.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The system's. An operator's machine is taken to be synchronised.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands, for tests and for repeating what was done at a stated time.
impl Clock for Timestamp {
    fn now(&self) -> Timestamp {
        *self
    }
}
