//! Samples of each quantity, and how they are judged.
//!
//! A sample that cannot be is kept as *no value*: it makes the quantity invalid from its time on. After one, so many good
//! samples in a row ([`RECOVERY`]) must come before values count again.

use std::collections::VecDeque;
use std::time::Duration;

use super::{QUANTITIES, Quantity, Reading, Readings, Refused};
use crate::clock::Monotonic;

/// Samples kept per quantity of a live bus: 1.28 s at 100 Hz, longer than a picture takes to be decided about.
pub const KEPT: usize = 128;
/// Good samples in a row, this one included, that end an invalid time.
pub const RECOVERY: u8 = 3;

/// Over how long the steering rate is taken from the angle: a step of 0.1° is then 1.25°/s.
pub const SLOPE: Duration = Duration::from_millis(80);

/// How a quantity's samples are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// How long a sample is fresh.
    pub max_age: Duration,
    /// Least and most possible value.
    pub possible: (f32, f32),
    /// Most possible change per second.
    pub max_rate: Option<f32>,
}

impl Rule {
    /// What holds for `quantity` unless configured otherwise.
    pub fn of(quantity: Quantity, max_age: Duration) -> Self {
        Self { max_age, possible: quantity.possible(), max_rate: quantity.possible_rate() }
    }
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    at: Monotonic,
    /// `None`: invalid from here on.
    value: Option<f32>,
}

/// All quantities over time.
#[derive(Default)]
pub struct Histories {
    series: [Series; QUANTITIES],
    constant: Option<Readings>,
    /// What was refused.
    pub(crate) refused: Refused,
}

#[derive(Default)]
struct Series {
    rule: Option<Rule>,
    switch: bool,
    /// Most samples kept; 0: all.
    kept: usize,
    samples: VecDeque<Sample>,
    /// Whether there ever was one: after a suspend all are dropped, and stale is not missing.
    received: bool,
    /// Good samples still wanted before values count again.
    wanted: u8,
    /// The last value that could be, for the next one's rate.
    last: Option<(Monotonic, f32)>,
}

impl Histories {
    /// The same values at all times.
    pub(crate) fn constant(values: &[(Quantity, f32)]) -> Self {
        let set = |readings: Readings, (quantity, value): &(Quantity, f32)| {
            readings.with(*quantity, Reading::Fresh(*value))
        };
        Self { constant: Some(values.iter().fold(Readings::default(), set)), ..Self::default() }
    }

    /// Begins to keep `quantity`: the last `kept` samples, or all where it is 0.
    pub(crate) fn keep(&mut self, quantity: Quantity, rule: Rule, kept: usize) {
        let series = &mut self.series[quantity as usize];
        series.rule = Some(rule);
        series.switch = quantity.is_switch();
        series.kept = kept;
        series.samples.reserve(kept);
    }

    /// Adds a sample; `None`: the sender has no value, or it cannot be trusted. One that is not later than the newest is
    /// left out. Allocates nothing where a number of kept samples is set.
    pub(crate) fn add(&mut self, quantity: Quantity, at: Monotonic, value: Option<f32>) {
        if self.series[quantity as usize].add(at, value) == Added::Impossible {
            self.refused.values += 1;
        }
    }

    /// Drops all samples: the machine slept, and none is fresh any more.
    pub(crate) fn forget(&mut self) {
        for series in &mut self.series {
            series.samples.clear();
            series.last = None;
        }
    }

    /// The values at `time`; see [`VehicleSignals::at`](super::VehicleSignals::at).
    pub fn at(&self, time: Monotonic) -> Readings {
        self.constant.unwrap_or_else(|| self.read(time, true))
    }

    /// The newest values up to `now`; see [`VehicleSignals::newest`](super::VehicleSignals::newest).
    pub fn newest(&self, now: Monotonic) -> Readings {
        self.constant.unwrap_or_else(|| self.read(now, false))
    }

    fn read(&self, time: Monotonic, between: bool) -> Readings {
        let readings = Readings(std::array::from_fn(|at| self.series[at].at(time, between)));
        let (angle, rate) = (&self.series[Quantity::SteeringAngle as usize], Quantity::SteeringRate);
        if self.series[rate as usize].rule.is_none() && angle.rule.is_some() {
            return readings.with(rate, angle.slope(time));
        }
        readings
    }

    /// Whether any sample was ever added.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| !series.received)
    }
}

#[derive(PartialEq, Eq)]
enum Added {
    Good,
    Impossible,
    OutOfOrder,
}

impl Series {
    fn add(&mut self, at: Monotonic, value: Option<f32>) -> Added {
        let Some(rule) = self.rule else { return Added::OutOfOrder };
        if self.samples.back().is_some_and(|newest| at <= newest.at) {
            return Added::OutOfOrder;
        }
        let possible = value.filter(|value| self.is_possible(rule, at, *value));
        self.received = true;
        match possible {
            Some(value) => {
                self.last = Some((at, value));
                self.wanted = self.wanted.saturating_sub(1);
            }
            None => {
                self.wanted = RECOVERY;
                // A jump is measured from the last value that could be: were it kept, a true change after a fault
                // (a sensor that was restarted at another speed) would be impossible for ever.
                self.last = None;
            }
        }
        if self.kept > 0 && self.samples.len() >= self.kept {
            self.samples.pop_front();
        }
        let trusted = possible.filter(|_| self.wanted == 0);
        self.samples.push_back(Sample { at, value: trusted });
        if possible.is_some() { Added::Good } else { Added::Impossible }
    }

    fn is_possible(&self, rule: Rule, at: Monotonic, value: f32) -> bool {
        let within = value >= rule.possible.0 && value <= rule.possible.1;
        let steady = match (rule.max_rate, self.last) {
            (Some(rate), Some((before, last))) => {
                // Bunched frames: stamps closer than the senders' shortest period say nothing of rates.
                let seconds = at.since(before).as_secs_f32().max(0.01);
                (value - last).abs() <= rate * seconds
            }
            _ => true,
        };
        within && steady
    }

    /// The value at `time`, between samples where `between` allows it.
    fn at(&self, time: Monotonic, between: bool) -> Reading {
        let Some(rule) = self.rule else { return Reading::Missing };
        let after = self.samples.partition_point(|sample| sample.at <= time);
        let Some(before) = after.checked_sub(1).and_then(|before| self.samples.get(before)) else {
            return if self.received && !self.comes_first_after(time) {
                Reading::Stale
            } else {
                Reading::Missing
            };
        };
        if time.since(before.at) > rule.max_age {
            return Reading::Stale;
        }
        let Some(value) = before.value else { return Reading::Invalid };
        let next = self.samples.get(after).filter(|_| between && !self.switch);
        let next = next.and_then(|next| Some((next.at, next.value?)));
        // Not across a gap: what lay in it is not known.
        match next.filter(|(at, _)| at.since(before.at) <= rule.max_age) {
            Some((at, later)) => {
                let share = time.since(before.at).as_secs_f32() / at.since(before.at).as_secs_f32();
                Reading::Fresh(value + (later - value) * share)
            }
            None => Reading::Fresh(value),
        }
    }

    /// The change per second at `time`, over [`SLOPE`]: what a vehicle without a steering rate signal has of it. As fresh as
    /// the value itself; stale while samples do not reach back so far without a gap.
    fn slope(&self, time: Monotonic) -> Reading {
        let (Reading::Fresh(_), Some(rule)) = (self.at(time, false), self.rule) else {
            return self.at(time, false);
        };
        let after = self.samples.partition_point(|sample| sample.at <= time);
        let newest = after.checked_sub(1).and_then(|newest| self.samples.get(newest));
        let Some((newest, value)) = newest.and_then(|newest| Some((newest.at, newest.value?))) else {
            return Reading::Invalid;
        };
        let mut later = newest;
        for sample in self.samples.range(..after).rev().skip(1) {
            if later.since(sample.at) > rule.max_age {
                return Reading::Stale;
            }
            let Some(before) = sample.value else { return Reading::Invalid };
            let passed = newest.since(sample.at);
            if passed >= SLOPE {
                return Reading::Fresh((value - before) / passed.as_secs_f32());
            }
            later = sample.at;
        }
        Reading::Stale
    }

    /// Whether the recording's first sample lies after `time`: then nothing was received up to it. Of a live bus older
    /// samples may have been dropped.
    fn comes_first_after(&self, time: Monotonic) -> bool {
        self.kept == 0 && self.samples.front().is_some_and(|first| first.at > time)
    }
}

#[cfg(test)]
mod tests;
