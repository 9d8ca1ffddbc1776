//! How long to wait between two tries to get a camera back.

use std::time::Duration;

/// Doubles from 50 ms up to 2 s: a re-enumerating USB camera is back within a second and must not be made to wait
/// long; one that is unplugged must not cost the processor.
#[derive(Clone, Debug)]
pub struct Backoff(Duration);

impl Backoff {
    /// The first wait.
    pub const LEAST: Duration = Duration::from_millis(50);
    /// The longest wait.
    pub const MOST: Duration = Duration::from_secs(2);

    /// How long to wait now; twice as long the next time.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(Self::MOST);
        wait
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stay_at_two_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next_wait().as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
