//! How many frames a rule may take: in a minute, an hour and a day. Counted from the start of the process; what a process
//! before it took is not known.

use std::time::Duration;

use stopline_sensors::clock::Monotonic;

use crate::config::CaptureRule;

/// Seconds of each span.
const SPANS: [u64; 3] = [60, 3_600, 86_400];

/// One rule's limits and what it used of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    most: [u32; 3],
    used: [u32; 3],
    began: [Option<Monotonic>; 3],
}

impl Limits {
    /// A rule's.
    pub fn of(rule: &CaptureRule) -> Self {
        Self { most: [rule.per_minute, rule.per_hour, rule.per_day], used: [0; 3], began: [None; 3] }
    }

    /// Takes one, if there is one left in every span. Each span begins with the first frame in it.
    pub fn take(&mut self, now: Monotonic) -> bool {
        for (at, span) in SPANS.into_iter().enumerate() {
            let over = self.began[at].is_none_or(|began| now.since(began) >= Duration::from_secs(span));
            if over {
                (self.began[at], self.used[at]) = (Some(now), 0);
            }
        }
        let left = self.used.iter().zip(self.most).all(|(used, most)| *used < most);
        if left {
            self.used.iter_mut().for_each(|used| *used += 1);
        }
        left
    }
}
