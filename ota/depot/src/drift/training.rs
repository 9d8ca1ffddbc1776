//! A day against the manifest's training reference.
//!
//! Every place differs from the training pictures; what is asked is whether it differs much, and surely: the PSI less its
//! error, which leaving out one hour after another shows (jackknife), must exceed [`Settings::least_psi_training`].
//! Scores below the model's threshold are recorded on no device, so bins below the lowest one seen are left out on both sides.

use super::compare::{mean_and_spread, psi, upper_t};
use super::frame::Reader;
use super::signal::{BINS, Signal};
use super::window::{DAY, HOUR, Histogram, Past};
use super::{Against, Alarm, Settings, Span};
use crate::manifest::Training;
use crate::record::WallTime;

/// Hours of a day, at least.
const LEAST_HOURS: usize = 4;
/// Standard deviations of the training pictures' brightness by which a day's mean may lie off.
const BRIGHTNESS: f64 = 3.0;

/// The reference, and how the device counts classes.
pub struct Reference<'a> {
    /// The manifest's.
    pub training: &'a Training,
    /// The manifest's labels.
    pub labels: &'a [String],
    /// Knows which class has which bin.
    pub reader: &'a Reader,
}

impl Reference<'_> {
    /// What the reference speaks of, and an alarm where it drifted.
    pub fn compare(
        &self,
        past: &Past,
        day: u64,
        settings: &Settings,
        at: WallTime,
    ) -> Vec<(Signal, Option<Alarm>)> {
        let hours = |signal: Signal| -> Vec<Histogram> {
            let of_day = past.hours().filter(|window| window.hour / (DAY / HOUR) == day);
            of_day
                .map(|window| window.histogram(signal))
                .filter(|histogram| histogram.total() > 0.0)
                .collect()
        };
        let mut found = Vec::new();
        if let Some(reference) = self.scores() {
            let hours = hours(Signal::Scores);
            found.push((Signal::Scores, surely(&hours, reference, Signal::Scores, 10, settings, at)));
        }
        if let Some(reference) = self.classes() {
            let hours = hours(Signal::Classes);
            found.push((Signal::Classes, surely(&hours, reference, Signal::Classes, BINS, settings, at)));
        }
        if let Some(brightness) = self.training.brightness {
            found.push((Signal::Exposure, darker(&hours(Signal::Exposure), brightness, at)));
        }
        found
    }

    /// The score histogram in ten bins.
    fn scores(&self) -> Option<Histogram> {
        let given = &self.training.score_histogram;
        if !(2..=1000).contains(&given.len()) {
            return None;
        }
        let mut ten = Histogram::default();
        #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
        let width = 1.0 / given.len() as f64;
        for (at, share) in given.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
            let (low, high) = (at as f64 * width, (at as f64 + 1.0) * width);
            for (bin, sum) in ten.0.iter_mut().take(10).enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "at most 10")]
                let (left, right) = (bin as f64 / 10.0, (bin as f64 + 1.0) / 10.0);
                *sum += share.max(0.0) * (high.min(right) - low.max(left)).max(0.0) / width;
            }
        }
        Some(ten)
    }

    /// The rates by class, in the reader's bins; only their proportions count, since training pictures are seldom empty.
    fn classes(&self) -> Option<Histogram> {
        let mut reference = Histogram::default();
        for (label, rate) in &self.training.class_rates {
            let class = self.labels.iter().position(|known| known == label)?;
            reference.0[self.reader.bin_of(class)] += rate.max(0.0);
        }
        (reference.total() > 0.0).then_some(reference)
    }
}

fn surely(
    hours: &[Histogram],
    reference: Histogram,
    signal: Signal,
    bins: usize,
    settings: &Settings,
    at: WallTime,
) -> Option<Alarm> {
    let all = hours.iter().fold(Histogram::default(), |sum, hour| sum.plus(hour));
    if hours.len() < LEAST_HOURS || all.total() < f64::from(settings.least_entries) {
        return None;
    }
    // Shares of training become as many entries as the day has, so that a missing class weighs alike on both sides.
    let lowest = if signal == Signal::Scores { all.0.iter().position(|count| *count > 0.0)? } else { 0 };
    let mut reference = reference;
    reference.0.iter_mut().take(lowest).for_each(|share| *share = 0.0);
    let sum = reference.total();
    if sum <= 0.0 {
        return None;
    }
    reference.0.iter_mut().for_each(|share| *share *= all.total() / sum);
    let whole = psi(&all, &reference, bins);
    let without: Vec<f64> = hours.iter().map(|hour| psi(&all.minus(hour), &reference, bins)).collect();
    let (_, spread) = mean_and_spread(&without)?;
    #[expect(clippy::cast_precision_loss, reason = "at most 24")]
    let count = hours.len() as f64;
    let error = spread * (count - 1.0) / count.sqrt();
    let threshold = settings.least_psi_training + upper_t(settings.level(), count - 1.0) * error;
    (whole > threshold).then(|| Alarm {
        signal,
        against: Against::Training,
        span: Span::Day,
        at,
        expected: signal.words(&reference.shares()),
        found: signal.words(&all.shares()),
        statistic: whole,
        threshold,
    })
}

fn darker(hours: &[Histogram], [mean, deviation]: [f64; 2], at: WallTime) -> Option<Alarm> {
    if hours.len() < LEAST_HOURS || deviation.is_nan() || deviation <= 0.0 {
        return None;
    }
    let shares = hours.iter().fold(Histogram::default(), |sum, hour| sum.plus(hour)).shares();
    #[expect(clippy::cast_precision_loss, reason = "at most 16")]
    let found: f64 = shares.iter().enumerate().map(|(bin, share)| (bin as f64 + 0.5) * 16.0 * share).sum();
    let off = (found - mean).abs() / deviation;
    (off > BRIGHTNESS).then(|| Alarm {
        signal: Signal::Exposure,
        against: Against::Training,
        span: Span::Day,
        at,
        expected: format!("mean luma {mean:.0}"),
        found: format!("mean luma {found:.0}"),
        statistic: off,
        threshold: BRIGHTNESS,
    })
}
