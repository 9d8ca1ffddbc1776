//! Numbers and times of frames: repeated, backwards, from the future; and how often they come.

use stopline_decide::time::Nanos;

use super::config::{GuardConfig, ms};
use super::confirm::Confirmed;

/// Frames that the rate is measured over at most.
const KEPT: usize = 32;
/// Time that the rate is measured over at most.
const OVER: Nanos = Nanos::from_millis(1500);
/// Frames needed before there is a rate.
const LEAST: usize = 4;

/// What a frame's number and capture time say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The next one.
    Next,
    /// The number of the frame before: no new frame.
    Repeated,
    /// Taken before the frame before, or later than now.
    Impossible,
}

/// Watches capture times and numbers.
pub struct OrderGuard {
    last: Option<(u64, Nanos)>,
    /// Since when capture times have stayed behind the last good one while running on: a clock that was set back.
    behind: Option<(Nanos, Nanos)>,
    future: Nanos,
    settle: Nanos,
    anomaly: Confirmed,
}

impl OrderGuard {
    /// By `config`.
    pub fn new(config: &GuardConfig) -> Self {
        let settle = ms(config.clock_recover_ms);
        Self {
            last: None,
            behind: None,
            future: ms(config.future_ms),
            settle,
            anomaly: Confirmed::new(Nanos::default(), settle),
        }
    }

    /// Begins anew: the source was opened again.
    pub fn restart(&mut self) {
        (self.last, self.behind) = (None, None);
    }

    /// Frame number `sequence`, taken at `captured`, seen at `now`.
    pub fn frame(&mut self, sequence: u64, captured: Nanos, now: Nanos) -> Order {
        let order = self.judge(sequence, captured, now);
        match order {
            Order::Next => {
                self.last = Some((sequence, captured));
                self.behind = None;
                self.anomaly.update(now, false);
            }
            Order::Repeated => {}
            Order::Impossible => self.anomaly.raise(now),
        }
        order
    }

    /// Number of the last sound frame.
    pub fn last_sequence(&self) -> Option<u64> {
        self.last.map(|(sequence, _)| sequence)
    }

    /// Whether the clock counts as sick.
    pub const fn anomaly(&self) -> bool {
        self.anomaly.present()
    }

    fn judge(&mut self, sequence: u64, captured: Nanos, now: Nanos) -> Order {
        if captured > now.plus(self.future) {
            return Order::Impossible;
        }
        match self.last {
            // A source that counts from 0 again was opened again; its times run on.
            Some((number, last)) if captured >= last && (sequence != number || captured == last) => {
                if sequence == number {
                    Order::Repeated
                } else {
                    Order::Next
                }
            }
            Some((number, _)) if sequence == number => Order::Repeated,
            Some((_, last)) if captured < last => self.behind(captured, now),
            _ => Order::Next,
        }
    }

    /// A clock that was set back runs on from there: after a while that is the time. Until then its frames are not
    /// looked at.
    fn behind(&mut self, captured: Nanos, now: Nanos) -> Order {
        let (since, before) = self.behind.unwrap_or((now, captured));
        if captured < before {
            self.behind = Some((now, captured));
            return Order::Impossible;
        }
        self.behind = Some((since, captured));
        if now.since(since) >= self.settle { Order::Next } else { Order::Impossible }
    }
}

/// Measures how often frames come.
pub struct RateGuard {
    times: [Nanos; KEPT],
    count: usize,
    least: f32,
    low: Confirmed,
}

impl RateGuard {
    /// At least `least` frames a second; 0: any rate is enough.
    pub fn new(config: &GuardConfig, least: f32) -> Self {
        let confirm = ms(config.rate_confirm_ms);
        Self { times: [Nanos::default(); KEPT], count: 0, least, low: Confirmed::new(confirm, confirm) }
    }

    /// Begins anew: the source was opened again.
    pub fn restart(&mut self) {
        self.count = 0;
    }

    /// A frame taken at `captured`. Whether they come too slowly.
    pub fn frame(&mut self, captured: Nanos, now: Nanos) -> bool {
        self.times.rotate_right(1);
        self.times[0] = captured;
        self.count = (self.count + 1).min(KEPT);
        match self.rate() {
            Some(rate) => self.low.update(now, rate < self.least),
            None => self.low.present(),
        }
    }

    /// Frames per second over the last 1.5 s, or over the last four frames where those took longer.
    #[allow(clippy::cast_precision_loss, reason = "at most 32")]
    pub fn rate(&self) -> Option<f32> {
        let newest = self.times[0];
        let recent = self.times[..self.count].iter().take_while(|time| newest.since(**time) <= OVER).count();
        let frames = recent.max(LEAST.min(self.count));
        let span = newest.since(*self.times[..self.count].get(frames.checked_sub(1)?)?).seconds();
        (frames >= LEAST && span > 0.0).then(|| (frames - 1) as f32 / span)
    }
}

#[cfg(test)]
mod tests;
