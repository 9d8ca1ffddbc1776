//! An hour of histograms, and the ring of the last two weeks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::signal::{BINS, COUNT, Signal};

/// Seconds.
pub const HOUR: u64 = 3600;
/// Seconds.
pub const DAY: u64 = 24 * HOUR;
/// Hours kept: two weeks and the day that is being judged.
pub const KEPT: usize = 15 * 24;

/// Histograms of an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Hours since 1970.
    pub hour: u64,
    /// Frames that were counted.
    pub frames: u32,
    #[serde(with = "sparse")]
    bins: [[f32; BINS]; COUNT],
}

impl Default for Window {
    fn default() -> Self {
        Self { hour: 0, frames: 0, bins: [[0.0; BINS]; COUNT] }
    }
}

impl Window {
    /// Counts a value in the signal's own unit.
    pub fn count(&mut self, signal: Signal, value: f32) {
        self.add(signal, signal.bin(value), 1.0);
    }

    /// Adds to a bin.
    pub fn add(&mut self, signal: Signal, bin: usize, weight: f32) {
        if let Some(bin) = self.bins[signal as usize].get_mut(bin) {
            *bin += weight;
        }
    }

    /// A signal's histogram.
    pub fn histogram(&self, signal: Signal) -> Histogram {
        Histogram(self.bins[signal as usize].map(f64::from))
    }

    /// Whether it holds counts, and nothing else.
    pub fn is_sound(&self) -> bool {
        self.bins.iter().flatten().all(|count| count.is_finite() && *count >= 0.0)
    }

    /// Begins a signal anew.
    pub fn clear(&mut self, signal: Signal) {
        self.bins[signal as usize] = [0.0; BINS];
    }
}

/// Entries per bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram(pub [f64; BINS]);

impl Histogram {
    /// Entries.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
        self
    }

    /// Without the other, which is part of it.
    #[must_use]
    pub fn minus(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine = (*mine - theirs).max(0.0));
        self
    }

    /// Shares that sum to one; zeros where there is nothing.
    pub fn shares(&self) -> [f64; BINS] {
        let total = self.total();
        self.0.map(|count| if total > 0.0 { count / total } else { 0.0 })
    }
}

/// Past hours, oldest first.
pub struct Past {
    hours: VecDeque<Window>,
}

impl Past {
    /// Nothing yet; the memory is there from now on.
    pub fn new() -> Self {
        Self { hours: VecDeque::with_capacity(KEPT) }
    }

    /// An hour ended.
    pub fn push(&mut self, window: Window) {
        while self.hours.len() >= KEPT {
            self.hours.pop_front();
        }
        self.hours.push_back(window);
    }

    /// Begins these signals anew.
    pub fn forget(&mut self, signals: &[Signal]) {
        for window in &mut self.hours {
            signals.iter().for_each(|signal| window.clear(*signal));
        }
    }

    /// All hours.
    pub fn hours(&self) -> impl Iterator<Item = &Window> {
        self.hours.iter()
    }

    /// The day of the newest hour, days since 1970.
    pub fn newest_day(&self) -> Option<u64> {
        self.hours.back().map(|window| window.hour / (DAY / HOUR))
    }

    /// Histograms of a signal by day, oldest first, with the number of hours in each.
    pub fn days(&self, signal: Signal) -> Vec<(u64, usize, Histogram)> {
        let mut days: Vec<(u64, usize, Histogram)> = Vec::with_capacity(KEPT / 24 + 1);
        for window in &self.hours {
            let day = window.hour / (DAY / HOUR);
            let histogram = window.histogram(signal);
            match days.last_mut().filter(|(last, ..)| *last == day) {
                Some((_, hours, sum)) => (*hours, *sum) = (*hours + 1, sum.plus(&histogram)),
                None => days.push((day, 1, histogram)),
            }
        }
        days
    }
}

/// Most bins of an hour are empty: written are those that are not, by their number in a row.
mod sparse {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{BINS, COUNT};

    pub fn serialize<S: Serializer>(bins: &[[f32; BINS]; COUNT], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(bins.iter().flatten().enumerate().filter(|(_, count)| **count != 0.0))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[[f32; BINS]; COUNT], D::Error> {
        let mut bins = [[0.0; BINS]; COUNT];
        for (at, count) in Vec::<(usize, f32)>::deserialize(from)? {
            let bin = bins.as_flattened_mut().get_mut(at);
            *bin.ok_or_else(|| D::Error::custom(format!("bin {at} of {}", BINS * COUNT)))? = count;
        }
        Ok(bins)
    }
}
