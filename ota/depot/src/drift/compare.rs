//! PSI with confidence.
//!
//! Under chance alone and independent entries the expectation of a PSI is (B − 1)(1/n + 1/N) for B bins, n and N entries
//! (Yurdakul, "Statistical Properties of the Population Stability Index", 2018). A PSI divided by it is about 1, or the
//! design effect where entries depend on each other. Such a quotient is distributed as chi-squared with few degrees of freedom, whose cube
//! root is nearly normal (Wilson and Hilferty, 1931). The cube root over the past windows, each against the others, gives mean and
//! spread of what is usual; the bound is the upper prediction bound of the next one.

use super::signal::{BINS, Signal};
use super::window::{DAY, HOUR, Histogram, Past, Window};
use super::{Against, Alarm, Settings, Span};
use crate::record::WallTime;

/// Different days there must be in the past, before anything is compared: how days differ is not known before. Hours of the same
/// time of day where there are enough of them, else all.
const LEAST_DAYS: usize = 5;
/// The spread of the cube root, by its mean, is never taken to be less: that of a chi-squared with 15 degrees of freedom.
const LEAST_SPREAD: f64 = 0.12;
/// Hours that are too young to be the past of an hour.
const FRESH: u64 = 12;
/// Added to every bin, of all entries together one: no bin is impossible.
const PSEUDO: f64 = 0.5;

/// How far a histogram lies from others.
pub struct Compared {
    psi: f64,
    bound: f64,
    expected: [f64; BINS],
    found: [f64; BINS],
}

impl Compared {
    /// Whether it lies further off than chance and interest allow.
    pub fn deviates(&self, settings: &Settings) -> bool {
        self.psi > self.bound && self.psi >= settings.least_psi
    }

    /// The same as an alarm.
    pub fn alarm(&self, signal: Signal, span: Span, at: WallTime) -> Alarm {
        Alarm {
            signal,
            against: Against::Past,
            span,
            at,
            expected: signal.words(&self.expected),
            found: signal.words(&self.found),
            statistic: self.psi,
            threshold: self.bound,
        }
    }
}

/// An hour against its like; `None` where either says too little.
pub fn hour(past: &Past, window: &Window, signal: Signal, settings: &Settings) -> Option<Compared> {
    let enough = |histogram: &Histogram| histogram.total() >= f64::from(settings.least_entries);
    let found = window.histogram(signal);
    if !enough(&found) {
        return None;
    }
    // What has begun an hour ago is no past yet: it would widen the bound that the hour which is to confirm it must exceed.
    let before = || past.hours().filter(|past| past.hour + FRESH <= window.hour);
    let all = || before().map(|past| (past.hour, past.histogram(signal))).filter(|(_, h)| enough(h));
    let like: Vec<(u64, Histogram)> = all().filter(|(hour, _)| near(*hour, window.hour)).collect();
    if days_of(&like) >= LEAST_DAYS {
        return against(&like, &found, signal, settings);
    }
    let any: Vec<(u64, Histogram)> = all().collect();
    (days_of(&any) >= LEAST_DAYS).then(|| against(&any, &found, signal, settings)).flatten()
}

/// Different days among these hours, which are in order.
fn days_of(hours: &[(u64, Histogram)]) -> usize {
    let day = |hour: u64| hour / (DAY / HOUR);
    let changes = hours.windows(2).filter(|pair| day(pair[0].0) != day(pair[1].0)).count();
    changes + usize::from(!hours.is_empty())
}

/// A day against those before it.
pub fn day(past: &Past, day: u64, signal: Signal, settings: &Settings) -> Option<Compared> {
    let mut days = past.days(signal);
    let (_, hours, found) = days.pop().filter(|(last, ..)| *last == day)?;
    // A day of which only a part was seen is compared with no whole one.
    let like: Vec<(u64, Histogram)> = days
        .iter()
        .filter(|(_, count, sum)| {
            *count * 2 >= hours && hours * 2 >= *count && sum.total() >= f64::from(settings.least_entries)
        })
        .map(|(day, _, sum)| (*day * (DAY / HOUR), *sum))
        .collect();
    (like.len() >= LEAST_DAYS && found.total() >= f64::from(settings.least_entries))
        .then(|| against(&like, &found, signal, settings))
        .flatten()
}

/// Whether two hours have the same time of day, or one beside it.
fn near(one: u64, other: u64) -> bool {
    let hours = DAY / HOUR;
    let apart = (one % hours).abs_diff(other % hours);
    apart <= 1 || apart == hours - 1
}

/// Against hours, or days that stand at their first hour, in order. Hours of one day have its weather and its visitors in common:
/// what counts for the confidence is the number of days.
fn against(
    like: &[(u64, Histogram)],
    found: &Histogram,
    signal: Signal,
    settings: &Settings,
) -> Option<Compared> {
    let all = like.iter().fold(Histogram::default(), |sum, (_, one)| sum.plus(one));
    let bins = signal.bins();
    let usual = like.iter().map(|(_, one)| (one, all.minus(one)));
    let usual: Vec<f64> =
        usual.map(|(one, others)| scaled(psi(one, &others, bins), one, &others).cbrt()).collect();
    let (mean, spread) = mean_and_spread(&usual)?;
    #[expect(clippy::cast_precision_loss, reason = "at most 15")]
    let days = days_of(like) as f64;
    let t = upper_t(settings.level(), days - 1.0);
    let bound = (mean + t * spread.max(LEAST_SPREAD * mean) * (1.0 + 1.0 / days).sqrt()).powi(3);
    Some(Compared {
        psi: psi(found, &all, bins),
        bound: bound / scaled(1.0, found, &all),
        expected: all.shares(),
        found: found.shares(),
    })
}

/// By what chance gives.
fn scaled(psi: f64, one: &Histogram, other: &Histogram) -> f64 {
    psi / (1.0 / one.total().max(1.0) + 1.0 / other.total().max(1.0))
}

/// Population stability index: Σ (p − q) ln(p ÷ q) over the first `bins`.
pub fn psi(one: &Histogram, other: &Histogram, bins: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 16")]
    let smooth =
        |histogram: &Histogram, count: f64| (count + PSEUDO) / (histogram.total() + PSEUDO * bins as f64);
    let pairs = one.0.iter().zip(&other.0).take(bins);
    pairs.map(|(a, b)| (smooth(one, *a), smooth(other, *b))).map(|(p, q)| (p - q) * (p / q).ln()).sum()
}

/// Mean and standard deviation of at least two.
pub fn mean_and_spread(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 360")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some((mean, square.sqrt()))
}

/// The value that Student's t with `n` degrees of freedom exceeds with probability `upper` (below one half).
/// G. W. Hill, Algorithm 396, Communications of the ACM 13 (1970).
pub fn upper_t(upper: f64, n: f64) -> f64 {
    let p = 2.0 * upper;
    if n < 1.5 {
        let angle = p * std::f64::consts::FRAC_PI_2;
        return angle.cos() / angle.sin();
    }
    if n < 2.5 {
        return (2.0 / (p * (2.0 - p)) - 2.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * std::f64::consts::FRAC_PI_2).sqrt() * n;
    let mut y = (d * p).powf(2.0 / n);
    if y > 0.05 + a {
        let x = -upper_normal(upper);
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        y = ((1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) + 0.5 / (n + 4.0)) * y
            - 1.0)
            * (n + 1.0)
            / (n + 2.0)
            + 1.0 / y;
    }
    (n * y).sqrt()
}

/// The value that a standard normal exceeds with probability `upper`: Abramowitz and Stegun 26.2.23, off by at most 4.5e-4.
fn upper_normal(upper: f64) -> f64 {
    let t = (-2.0 * upper.clamp(1e-300, 0.5).ln()).sqrt();
    t - ((0.010_328 * t + 0.802_853) * t + 2.515_517)
        / (((0.001_308 * t + 0.189_269) * t + 1.432_788) * t + 1.0)
}
