//! A condition that must last before it counts, and be gone for a while before it is over.

use stopline_decide::time::Nanos;

/// Hysteresis in time. `confirm` and `recover` are what the configuration says; both count on the caller's clock.
#[derive(Clone, Copy, Debug)]
pub struct Confirmed {
    confirm: Nanos,
    recover: Nanos,
    present: bool,
    /// Since when the condition differs from `present`.
    since: Option<Nanos>,
}

impl Confirmed {
    /// Absent; becomes present after `confirm`, absent again after `recover`.
    pub const fn new(confirm: Nanos, recover: Nanos) -> Self {
        Self { confirm, recover, present: false, since: None }
    }

    /// The condition holds at `now`, or not. Whether it counts as present.
    pub fn update(&mut self, now: Nanos, holds: bool) -> bool {
        if holds == self.present {
            self.since = None;
            return self.present;
        }
        let since = *self.since.get_or_insert(now);
        let needed = if holds { self.confirm } else { self.recover };
        if now.since(since) >= needed {
            self.present = holds;
            self.since = None;
        }
        self.present
    }

    /// Present from `now` on, without waiting: for what needs no second look.
    pub fn raise(&mut self, now: Nanos) {
        self.present = true;
        // Recovery is counted from the last raise.
        self.since = Some(now);
    }

    /// Whether it counts as present.
    pub const fn present(&self) -> bool {
        self.present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    #[test]
    fn a_flicker_is_not_a_fault_and_a_short_recovery_is_none() {
        let mut it = Confirmed::new(ms(90), ms(1000));
        let wrong = |at: u64| matches!(at, 0..=80 | 200..=700 | 1000..=1300);
        let seen: Vec<u64> = (0..3000).step_by(20).filter(|at| it.update(ms(*at), wrong(*at))).collect();
        assert_eq!((seen[0], seen[seen.len() - 1]), (300, 2300), "200 + 90, and 1320 + 1000");
        assert_eq!(seen.len(), (2300 - 300) / 20 + 1, "without a gap");
    }

    #[test]
    fn what_is_raised_counts_at_once_and_recovers_from_the_last_raise() {
        let mut it = Confirmed::new(ms(90), ms(100));
        it.raise(ms(0));
        assert!(it.present());
        assert!(it.update(ms(60), false));
        it.raise(ms(80));
        assert!(it.update(ms(170), false));
        assert!(!it.update(ms(180), false));
    }
}
