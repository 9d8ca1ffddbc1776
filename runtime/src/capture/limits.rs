//! How many frames a rule may take: in a minute, an hour and a day. Each span begins with the first frame that is wanted in it. What is set from
//! afar narrows the limits while frames are counted on, and never widens them; [`super::shares`] keeps the counts over restarts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stopline_depot::capture::CaptureLimit;
use stopline_sensors::clock::Monotonic;

use crate::config::CaptureRule;

/// Seconds of each span: minute, hour, day.
pub const SPANS: [u64; 3] = [60, 3_600, 86_400];
/// Of the spans, those that are kept.
const KEPT: [usize; 2] = [1, 2];

/// One rule's limits and what it used of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    own: [u32; 3],
    most: [u32; 3],
    spans: [Span; 3],
}

/// What was used of a span.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    used: u32,
    /// When it is over; none: it has not begun.
    ends: Option<Monotonic>,
    /// The same by the wall clock, where that is all that an earlier process left behind.
    until: Option<u64>,
}

/// A span as it is kept over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSpan {
    /// Frames, those included that were written ahead.
    pub used: u32,
    /// Seconds that were left when it was written.
    pub left_s: u64,
    /// When it is over, seconds since 1970; none: no clock was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Limits {
    /// A rule's.
    pub fn of(rule: &CaptureRule) -> Self {
        let own = [rule.per_minute, rule.per_hour, rule.per_day];
        Self { own, most: own, spans: [Span::default(); 3] }
    }

    /// What is set from afar, or nothing any more. What was used stays used.
    pub fn narrow(&mut self, set: Option<&CaptureLimit>) {
        self.most = set.map_or(self.own, |set| set.narrowed(self.own));
    }

    /// Frames in a minute, an hour and a day, at most, as they hold now.
    pub fn most(&self) -> [u32; 3] {
        self.most
    }

    /// Frames that are written ahead in one go: an eighth of the hour's, a thirty-second of the day's share, at least one.
    pub fn step(&self) -> u32 {
        (self.own[1] / 8).min(self.own[2] / 32).max(1)
    }

    /// Begins spans anew that are over; whether one of those was that are kept.
    pub fn pass(&mut self, now: Monotonic) -> bool {
        let mut begun = false;
        for (at, span) in self.spans.iter_mut().enumerate() {
            if span.ends.is_none_or(|ends| now >= ends) {
                let ends = now.plus(Duration::from_secs(SPANS[at]));
                *span = Span { used: 0, ends: Some(ends), until: None };
                begun |= KEPT.contains(&at);
            }
        }
        begun
    }

    /// Whether there is one left in every span.
    pub fn is_left(&self) -> bool {
        self.spans.iter().zip(self.most).all(|(span, most)| span.used < most)
    }

    /// One was taken.
    pub fn spend(&mut self) {
        self.spans.iter_mut().for_each(|span| span.used = span.used.saturating_add(1));
    }

    /// Takes one, if there is one left in every span.
    pub fn take(&mut self, now: Monotonic) -> bool {
        self.pass(now);
        let left = self.is_left();
        if left {
            self.spend();
        }
        left
    }

    /// Nothing is left for a day: what was used is not known.
    pub fn exhaust(&mut self, now: Monotonic) {
        self.pass(now);
        self.spans[2] =
            Span { used: u32::MAX, ends: Some(now.plus(Duration::from_secs(SPANS[2]))), until: None };
    }

    /// The hour and the day with `ahead` frames more, to be kept; `wall`: seconds since 1970, where the clock is set.
    pub fn kept(&self, ahead: u32, now: Monotonic, wall: Option<u64>) -> [KeptSpan; 2] {
        KEPT.map(|at| {
            let span = self.spans[at];
            let left_s = span.ends.map_or(0, |ends| ends.since(now).as_secs());
            let until = wall.map(|wall| wall.saturating_add(left_s)).or(span.until);
            KeptSpan { used: span.used.saturating_add(ahead), left_s, until }
        })
    }

    /// Goes on from what an earlier process kept. Without a clock the time between the two counts as none; the span then lasts
    /// longer, never shorter.
    pub fn restore(&mut self, kept: [KeptSpan; 2], now: Monotonic, wall: Option<u64>) {
        for (at, kept) in KEPT.into_iter().zip(kept) {
            let left = Duration::from_secs(kept.left_s.min(SPANS[at]));
            self.spans[at] = Span { used: kept.used, ends: Some(now.plus(left)), until: kept.until };
        }
        if let Some(wall) = wall {
            self.timed(now, wall);
        }
    }

    /// The clock is set: spans of an earlier process end when that said, and never later than they would have without a clock.
    pub fn timed(&mut self, now: Monotonic, wall: u64) {
        for span in &mut self.spans {
            let Some(until) = span.until.take() else { continue };
            let ends = now.plus(Duration::from_secs(until.saturating_sub(wall)));
            span.ends = span.ends.map(|earlier| earlier.min(ends));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(most: [u32; 3]) -> Limits {
        Limits { own: most, most, spans: [Span::default(); 3] }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wanted,
        Passed(u64),
        Set(Option<[Option<u32>; 3]>),
        /// A new process after so many seconds off; monotonic time begins anew.
        Restarted(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let set =
            proptest::option::of([0_u32..12, 0..12, 0..12].prop_map(|set| set.map(|n| (n < 9).then_some(n))));
        prop_oneof![
            8 => Just(Step::Wanted),
            4 => (0_u64..5_000).prop_map(Step::Passed),
            1 => set.prop_map(Step::Set),
            1 => (0_u64..100_000).prop_map(Step::Restarted),
        ]
    }

    proptest! {
        /// Whatever is set, and however often it starts: never above the file's own in an hour or a day from the first frame on.
        #[test]
        fn never_above_the_devices_own_nor_above_what_is_set_whatever_happens(
            own in [1_u32..6, 1_u32..8, 1_u32..10], steps in proptest::collection::vec(step(), 0..200)
        ) {
            let (mut limits, mut set) = (limits(own), None);
            // Seconds of the world, and those at which this process began.
            let (mut world, mut began) = (1_800_000_000_u64, 1_800_000_000_u64);
            let mut spans: [Option<(u64, u32)>; 3] = [None; 3];
            for step in steps {
                match step {
                    Step::Wanted => {
                        // A span begins with the first frame that is wanted in it, whether it is taken or not.
                        for (span, length) in spans.iter_mut().zip(SPANS) {
                            *span = span.filter(|(since, _)| world < since + length).or(Some((world, 0)));
                        }
                        if !limits.take(at(world - began)) {
                            continue;
                        }
                        let most = set.map_or(own, |set: CaptureLimit| set.narrowed(own));
                        for ((_, used), most) in spans.iter_mut().flatten().zip(most) {
                            prop_assert!(*used < most, "{used} of {most}");
                            *used += 1;
                        }
                    }
                    Step::Passed(seconds) => world += seconds,
                    Step::Set(to) => {
                        set = to.map(|[per_minute, per_hour, per_day]| CaptureLimit {
                            per_minute, per_hour, per_day, bytes_per_day: None,
                        });
                        limits.narrow(set.as_ref());
                        prop_assert!(limits.most().iter().zip(own).all(|(most, own)| *most <= own));
                    }
                    Step::Restarted(off) => {
                        let kept = limits.kept(0, at(world - began), Some(world));
                        world += off;
                        began = world;
                        limits = self::limits(own);
                        limits.restore(kept, at(0), Some(world));
                        limits.narrow(set.as_ref());
                        // A minute is not kept.
                        spans[0] = None;
                    }
                }
            }
        }
    }

    #[test]
    fn ten_starts_in_a_day_have_one_days_share_and_a_clock_that_comes_later_ends_the_day_in_time() {
        let (mut limits, noon) = (limits([10, 10, 10]), 1_800_000_000_u64);
        let mut taken = 0;
        for start in 0..10 {
            let wall = noon + start * 7_000;
            taken += (0..4).filter(|_| limits.take(at(5))).count();
            let kept = limits.kept(0, at(600), Some(wall + 600));
            limits = self::limits([10, 10, 10]);
            limits.restore(kept, at(5), Some(wall + 7_000));
        }
        assert_eq!(taken, 10);
        // No clock at the start: what was left goes on. The clock comes right: the day was over long ago.
        let kept = limits.kept(0, at(600), Some(noon));
        limits = self::limits([10, 10, 10]);
        limits.restore(kept, at(5), None);
        assert!(!limits.take(at(10)));
        limits.timed(at(20), noon + 200_000);
        assert!(limits.take(at(20)));
        // A clock that was set back makes no day longer than it was.
        let kept = limits.kept(0, at(30), Some(noon));
        limits.restore(kept, at(30), Some(noon - 5_000_000));
        assert!((0..20).filter(|_| limits.take(at(40 + 86_400))).count() == 10);
    }
}
