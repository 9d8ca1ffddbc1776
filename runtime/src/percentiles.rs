//! Order statistics of durations.

use std::time::Duration;

/// Durations that were measured, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    micros: Vec<u64>,
}

/// What [`Samples`] come to, in microseconds. Percentiles by the nearest-rank method: always a value that was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// The shortest.
    pub min: u64,
    /// Half were at most this.
    pub p50: u64,
    /// Nine of ten were at most this.
    pub p90: u64,
    /// 99 of 100 were at most this.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Samples {
    /// One more, in microseconds.
    pub fn add(&mut self, micros: u64) {
        self.micros.push(micros);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }

    /// The order statistics; all zero where there are no samples.
    pub fn percentiles(&self) -> Percentiles {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        Percentiles { min: rank(0), p50: rank(50), p90: rank(90), p99: rank(99), max: rank(100) }
    }

    /// How many samples fall into each of `bins` equal parts from 0 to `end`, and how many lie beyond.
    pub fn histogram(&self, end: u64, bins: usize) -> (Vec<usize>, usize) {
        let mut counts = vec![0; bins];
        let mut beyond = 0;
        for &micros in &self.micros {
            let bin = u128::from(micros) * bins as u128 / u128::from(end.max(1));
            match usize::try_from(bin).ok().and_then(|bin| counts.get_mut(bin)) {
                Some(count) => *count += 1,
                None => beyond += 1,
            }
        }
        (counts, beyond)
    }
}

/// Whole microseconds of `duration`.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds, for people: three figures, from `0.004` to `1234`.
pub fn millis_text(micros: u64) -> String {
    let (whole, rest) = (micros / 1000, micros % 1000);
    match whole {
        0 => format!("0.{rest:03}"),
        1..=9 => format!("{whole}.{:02}", rest / 10),
        10..=99 => format!("{whole}.{}", rest / 100),
        _ => whole.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentiles(), Percentiles::default());
        (1..=100).rev().for_each(|micros| samples.add(micros));
        assert_eq!(samples.percentiles(), Percentiles { min: 1, p50: 50, p90: 90, p99: 99, max: 100 });
        samples.add(1000);
        assert_eq!((samples.percentiles().p50, samples.percentiles().max), (51, 1000));
    }

    #[test]
    fn a_histogram_counts_every_sample_once() {
        let mut samples = Samples::default();
        [0, 1, 9, 10, 19, 20, 500].into_iter().for_each(|micros| samples.add(micros));
        assert_eq!(samples.histogram(20, 2), (vec![3, 2], 2));
        assert_eq!(samples.histogram(0, 1).1, 6);
    }

    #[test]
    fn milliseconds_have_three_figures() {
        assert_eq!([4, 4_567, 45_678, 456_789].map(millis_text), ["0.004", "4.56", "45.6", "456"]);
    }
}
