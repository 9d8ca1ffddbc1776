//! What a model's newest frames took, and whether it is at one now: written by its inference thread, read by the one that
//! deploys. Atomics only: nobody waits for anybody.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use stopline_depot::deployment::Exposure;
use stopline_sensors::clock::Monotonic;

use super::news::News;

/// Frames that are kept.
const KEPT: usize = 512;
/// Frames by which lateness is judged.
const JUDGED: usize = 32;

/// What a model's newest frames took.
#[derive(Debug)]
pub struct Pace {
    /// When the frame was begun that it is at, in nanoseconds; 0: none.
    begun: AtomicU64,
    /// Since the model took its place.
    frames: AtomicU64,
    invalid: AtomicU64,
    /// Nanoseconds between two frames, summed where it was less than [`GAP`]: time in which it was active.
    active: AtomicU64,
    last: AtomicU64,
    events: AtomicU64,
    alerts: AtomicU64,
    drifts: AtomicU64,
    micros: [AtomicU32; KEPT],
}

/// Longer without a frame is not activity.
const GAP: u64 = 2_000_000_000;

impl Default for Pace {
    fn default() -> Self {
        let zero = AtomicU64::default;
        let micros = [const { AtomicU32::new(0) }; KEPT];
        Self {
            begun: zero(),
            frames: zero(),
            invalid: zero(),
            active: zero(),
            last: zero(),
            events: zero(),
            alerts: zero(),
            drifts: zero(),
            micros,
        }
    }
}

impl Pace {
    /// A frame is begun.
    pub fn begin(&self, now: Monotonic) {
        self.begun.store(now.as_nanos().max(1), Ordering::Release);
    }

    /// It is done; `valid` where the numbers can be.
    pub fn done(&self, now: Monotonic, valid: bool) {
        let now = now.as_nanos().max(1);
        let took = now.saturating_sub(self.begun.swap(0, Ordering::AcqRel)) / 1000;
        let at = usize::try_from(self.frames.load(Ordering::Relaxed)).unwrap_or_default() % KEPT;
        self.micros[at].store(u32::try_from(took).unwrap_or(u32::MAX), Ordering::Relaxed);
        let since = now.saturating_sub(self.last.swap(now, Ordering::Relaxed));
        if since < GAP {
            self.active.fetch_add(since, Ordering::Relaxed);
        }
        if !valid {
            self.invalid.fetch_add(1, Ordering::Relaxed);
        }
        self.frames.fetch_add(1, Ordering::Release);
    }

    /// What the decision on a frame brought that it looked at.
    pub fn brought(&self, news: News) {
        self.events.fetch_add(news.events, Ordering::Relaxed);
        self.alerts.fetch_add(news.alerts, Ordering::Relaxed);
    }

    /// Its input has drifted.
    pub fn drifted(&self) {
        self.drifts.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since the model took its place. Crashes and the driver's doings are not known here.
    pub fn exposure(&self) -> Exposure {
        Exposure {
            active_s: self.active_s(),
            frames: self.frames(),
            events: self.events.load(Ordering::Relaxed),
            alerts: self.alerts.load(Ordering::Relaxed),
            drifts: self.drifts.load(Ordering::Relaxed),
            latency_p99_us: self.p99_us(),
            ..Exposure::default()
        }
    }

    /// Another model has the place: counting begins anew.
    pub fn anew(&self) {
        for count in [&self.events, &self.alerts, &self.drifts] {
            count.store(0, Ordering::Relaxed);
        }
        self.invalid.store(0, Ordering::Relaxed);
        self.active.store(0, Ordering::Relaxed);
        self.frames.store(0, Ordering::Release);
    }

    /// Frames since the model took its place.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Acquire)
    }

    /// Those among them for which its numbers could not be.
    pub fn invalid(&self) -> u64 {
        self.invalid.load(Ordering::Relaxed)
    }

    /// Seconds in which frames came.
    pub fn active_s(&self) -> u64 {
        self.active.load(Ordering::Relaxed) / 1_000_000_000
    }

    /// How long it is at the frame that it is at, in nanoseconds; 0: at none.
    pub fn at_one_for(&self, now: Monotonic) -> u64 {
        match self.begun.load(Ordering::Acquire) {
            0 => 0,
            begun => now.as_nanos().saturating_sub(begun),
        }
    }

    /// The 99th percentile of the newest frames, in microseconds.
    pub fn p99_us(&self) -> u64 {
        let mut newest = self.newest(KEPT);
        newest.sort_unstable();
        let rank = (newest.len() * 99).div_ceil(100).max(1);
        newest.get(rank - 1).copied().unwrap_or_default().into()
    }

    /// Whether more than half of the newest 32 frames took longer than `budget_us`: one late frame says nothing.
    pub fn late(&self, budget_us: u64) -> bool {
        let newest = self.newest(JUDGED);
        let late = newest.iter().filter(|took| u64::from(**took) > budget_us).count();
        newest.len() == JUDGED && late * 2 > JUDGED
    }

    fn newest(&self, most: usize) -> Vec<u32> {
        let frames = usize::try_from(self.frames()).unwrap_or_default();
        let count = frames.min(most).min(KEPT);
        (frames - count..frames).map(|at| self.micros[at % KEPT].load(Ordering::Relaxed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Monotonic {
        Monotonic::from_nanos(micros * 1000)
    }

    #[test]
    fn one_late_frame_says_nothing_and_half_of_them_do() {
        let pace = Pace::default();
        for frame in 0..31_u64 {
            pace.begin(at(frame * 1000 + 1));
            pace.done(at(frame * 1000 + if frame < 17 { 901 } else { 101 }), true);
        }
        assert!(!pace.late(500), "too few to judge");
        pace.begin(at(40_001));
        assert_eq!(pace.at_one_for(at(40_051)), 50_000);
        pace.done(at(40_101), false);
        assert!(pace.late(500) && !pace.late(900));
        assert_eq!(
            (pace.frames(), pace.invalid(), pace.p99_us(), pace.at_one_for(at(99_000))),
            (32, 1, 900, 0)
        );
        pace.brought(News { events: 2, alerts: 1 });
        pace.drifted();
        let Exposure { frames, events, alerts, drifts, .. } = pace.exposure();
        assert_eq!((frames, events, alerts, drifts), (32, 2, 1, 1));
        pace.anew();
        assert_eq!(pace.exposure(), Exposure { active_s: 0, ..Exposure::default() });
    }
}
