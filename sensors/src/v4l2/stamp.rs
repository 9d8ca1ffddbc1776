//! When a frame was taken, and its place in the row: kernel stamps checked before they are believed, sequence numbers
//! carried on over the 32-bit wrap and over a reconnect.

use v4l::v4l_sys as sys;

use crate::clock::Monotonic;
use crate::frame::Stamp;
use std::time::Duration;

/// How far a kernel stamp may lie ahead of our reading of the same clock, or before the start of the stream, and still
/// be believed: USB cameras derive it from the camera's own clock by a fit.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Turns buffer stamps into capture times that never go back and never lie in the future.
#[derive(Debug)]
pub struct Stamper {
    offset_before: Duration,
    started: Monotonic,
    last: Monotonic,
    distrusted: u64,
}

impl Stamper {
    /// `offset_before`: how long before its hand-over a picture was taken, where the kernel does not say.
    pub fn new(offset_before: Duration, started: Monotonic) -> Self {
        Self { offset_before, started, last: Monotonic::default(), distrusted: 0 }
    }

    /// The stream was started again: older stamps cannot be right from now on.
    pub fn restart(&mut self, started: Monotonic) {
        self.started = started;
    }

    /// How many kernel stamps were not believed.
    pub fn distrusted(&self) -> u64 {
        self.distrusted
    }

    /// Capture time of a buffer dequeued at `now`, and what it stands on.
    ///
    /// `flags` are the buffer's; `timestamp` is in seconds and microseconds.
    pub fn stamp(&mut self, flags: u32, timestamp: (i64, i64), now: Monotonic) -> (Monotonic, Stamp) {
        let (captured, stamp) = match self.kernel_stamp(flags, timestamp, now) {
            Some(captured) => (captured, source_of(flags)),
            None => (before(now, self.offset_before), Stamp::Arrival),
        };
        // A stamp that went back is held where the last one was: order is kept, and the error is below one period.
        let captured = captured.max(self.last).min(now.max(self.last));
        self.last = captured;
        (captured, stamp)
    }

    fn kernel_stamp(
        &mut self,
        flags: u32,
        (seconds, micros): (i64, i64),
        now: Monotonic,
    ) -> Option<Monotonic> {
        if flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK != sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC {
            return None;
        }
        let nanos = seconds.checked_mul(1_000_000_000)?.checked_add(micros.checked_mul(1000)?)?;
        let captured = Monotonic::from_nanos(u64::try_from(nanos).ok()?);
        let possible = captured <= now.plus(TOLERANCE) && captured.plus(TOLERANCE) >= self.started;
        let went_back = captured.plus(TOLERANCE) < self.last;
        if !possible || went_back {
            self.distrusted += 1;
            return None;
        }
        Some(captured)
    }
}

fn source_of(flags: u32) -> Stamp {
    match flags & sys::V4L2_BUF_FLAG_TSTAMP_SRC_MASK {
        sys::V4L2_BUF_FLAG_TSTAMP_SRC_SOE => Stamp::KernelStartOfExposure,
        _ => Stamp::KernelEndOfFrame,
    }
}

/// `time` less `by`.
pub fn before(time: Monotonic, by: Duration) -> Monotonic {
    Monotonic::from_nanos(time.as_nanos().saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
}

/// Carries the driver's 32-bit running number on into 64 bits and counts what is missing in it.
#[derive(Debug, Default)]
pub struct Sequencer {
    next: u64,
    last_raw: Option<u32>,
}

/// The largest gap that is believed. More missing frames than an hour at 60 fps are a counter that was set anew.
const LARGEST_GAP: u32 = 60 * 60 * 60;

impl Sequencer {
    /// The stream was started again and its counter with it. Frames not made in between are not dropped ones.
    pub fn restart(&mut self) {
        self.last_raw = None;
    }

    /// The frame's number, and how many before it nobody got.
    ///
    /// A driver that does not count (always the same number) or that went back gives no drops.
    pub fn step(&mut self, raw: u32) -> (u64, u64) {
        let gap = self.last_raw.map_or(1, |last| raw.wrapping_sub(last));
        self.last_raw = Some(raw);
        let missing = if (1..=LARGEST_GAP).contains(&gap) { u64::from(gap - 1) } else { 0 };
        let sequence = self.next + missing;
        self.next = sequence + 1;
        (sequence, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONOTONIC: u32 = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn stamper() -> Stamper {
        Stamper::new(Duration::from_millis(30), at(9_000))
    }

    #[test]
    fn a_monotonic_stamp_is_the_kernels_and_says_what_it_marks() {
        let mut stamper = stamper();
        assert_eq!(stamper.stamp(MONOTONIC, (10, 5_000), at(10_020)), (at(10_005), Stamp::KernelEndOfFrame));
        let start = MONOTONIC | sys::V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
        assert_eq!(
            stamper.stamp(start, (10, 40_000), at(10_060)),
            (at(10_040), Stamp::KernelStartOfExposure)
        );
        assert_eq!(stamper.distrusted(), 0);
    }

    #[test]
    fn a_stamp_of_an_unknown_or_copied_clock_becomes_arrival_less_the_declared_offset() {
        let mut stamper = stamper();
        let unknown = sys::V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN;
        assert_eq!(stamper.stamp(unknown, (1_790_000_000, 0), at(10_000)), (at(9_970), Stamp::Arrival));
        let copied = sys::V4L2_BUF_FLAG_TIMESTAMP_COPY;
        assert_eq!(stamper.stamp(copied, (10, 0), at(10_040)), (at(10_010), Stamp::Arrival));
        assert_eq!(stamper.distrusted(), 0, "these were never promised to be monotonic");
    }

    #[test]
    fn a_monotonic_stamp_that_cannot_be_is_not_believed_and_counted() {
        let mut stamper = stamper();
        for impossible in [(0, 0), (12, 0), (-1, 0), (i64::MAX, i64::MAX)] {
            let (_, stamp) = stamper.stamp(MONOTONIC, impossible, at(10_000));
            assert_eq!(stamp, Stamp::Arrival, "{impossible:?}");
        }
        assert_eq!(stamper.distrusted(), 2, "the two that are numbers");
    }

    #[test]
    fn stamps_never_go_back_and_never_lie_in_the_future() {
        let mut stamper = stamper();
        assert_eq!(stamper.stamp(MONOTONIC, (10, 0), at(10_010)).0, at(10_000));
        assert_eq!(stamper.stamp(MONOTONIC, (9, 990_000), at(10_020)).0, at(10_000), "jitter is held");
        assert_eq!(
            stamper.stamp(MONOTONIC, (10, 90_000), at(10_060)).0,
            at(10_060),
            "slightly ahead is held back"
        );
        assert_eq!(stamper.stamp(0, (0, 0), at(10_070)).0, at(10_060), "arrival less offset would go back");
    }

    #[test]
    fn a_gap_in_the_sequence_is_counted_and_kept() {
        let mut sequencer = Sequencer::default();
        assert_eq!(sequencer.step(7), (0, 0), "the first number is the base, whatever it is");
        assert_eq!(sequencer.step(8), (1, 0));
        assert_eq!(sequencer.step(12), (5, 3));
    }

    #[test]
    fn the_sequence_goes_on_over_the_wrap() {
        let mut sequencer = Sequencer::default();
        sequencer.step(u32::MAX - 1);
        assert_eq!(sequencer.step(u32::MAX), (1, 0));
        assert_eq!(sequencer.step(0), (2, 0));
        assert_eq!(sequencer.step(2), (4, 1), "a drop right after the wrap");
    }

    #[test]
    fn a_counter_that_stands_still_or_jumps_back_gives_no_drops() {
        let mut sequencer = Sequencer::default();
        for expected in 0..3 {
            assert_eq!(sequencer.step(0), (expected, 0));
        }
        sequencer.step(1000);
        let (before, _) = sequencer.step(1001);
        assert_eq!(sequencer.step(3), (before + 1, 0));
    }

    #[test]
    fn a_reconnect_starts_a_new_base() {
        let mut sequencer = Sequencer::default();
        sequencer.step(100);
        sequencer.restart();
        assert_eq!(sequencer.step(0), (1, 0));
        assert_eq!(sequencer.step(1), (2, 0));
    }

    proptest::proptest! {
        #[test]
        fn sequences_rise_by_one_plus_the_missing(raws in proptest::collection::vec(proptest::num::u32::ANY, 1..50)) {
            let mut sequencer = Sequencer::default();
            let mut next = 0;
            for raw in raws {
                let (sequence, missing) = sequencer.step(raw);
                proptest::prop_assert_eq!(sequence, next + missing);
                next = sequence + 1;
            }
        }

        #[test]
        fn whatever_the_kernel_says_time_only_moves_on(
            stamps in proptest::collection::vec((proptest::num::u32::ANY, proptest::num::i64::ANY, 0_i64..1_000_000), 1..50)
        ) {
            let mut stamper = Stamper::new(Duration::from_millis(30), at(0));
            let (mut now, mut last) = (at(1000), at(0));
            for (flags, seconds, micros) in stamps {
                now = now.plus(Duration::from_millis(7));
                let (captured, _) = stamper.stamp(flags, (seconds % 4, micros), now);
                proptest::prop_assert!(captured >= last && captured <= now);
                last = captured;
            }
        }
    }
}
