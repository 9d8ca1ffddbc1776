//! One camera's health: when its frames come, and what they show.

use std::sync::Arc;

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;
use stopline_sensors::frame::{Frame, Stamp};
use stopline_sensors::source::SourceInfo;

use super::config::{CameraOverrides, Coding, GuardConfig, Placement, ms};
use super::frozen::FrozenGuard;
use super::grid::Look;
use super::order::{Order, OrderGuard, RateGuard};
use super::picture::PictureGuard;
use super::placed::{PlacedGuard, Reference};
use super::pulse::{Pulse, Watch};

/// What the guard must know of a camera.
#[derive(Clone, Debug, Default)]
pub struct CameraFacts {
    /// Nominal time from frame to frame.
    pub period: Option<Nanos>,
    /// Whether its pictures come from the sensor as they are (`true`) or through an encoder.
    pub raw: bool,
    /// Pixels across and down that it was calibrated for.
    pub size: Option<[u32; 2]>,
    /// What it is bolted to.
    pub placement: Placement,
    /// Least frames per second its functions need; `None`: a share of the nominal rate.
    pub min_rate: Option<f32>,
    /// Whether a bound is declared on how old a frame is when it arrives (`declared_latency_ms`).
    pub latency_declared: bool,
    /// Sharpness in focus, where it is declared.
    pub sharpness: Option<f32>,
    /// Views of the calibrated camera.
    pub references: Vec<Reference>,
    /// Whether only timing is judged.
    pub timing_only: bool,
}

impl CameraFacts {
    /// What `info` and the configuration say. `overrides.references` name files; the caller reads them and fills
    /// `references`, and `size` and `latency_declared` from the calibration and the camera's own keys.
    pub fn of(info: &SourceInfo, overrides: &CameraOverrides, watches_falls: bool) -> Self {
        let raw = match overrides.coding {
            Coding::Auto => matches!(info.kind, "v4l2" | "pattern"),
            Coding::Raw => true,
            Coding::Compressed => false,
        };
        let usual = if watches_falls { Placement::Fixed } else { Placement::Vehicle };
        Self {
            period: info.period.map(|period| Nanos(u64::try_from(period.as_nanos()).unwrap_or(u64::MAX))),
            raw,
            placement: overrides.placement.unwrap_or(usual),
            min_rate: overrides.min_rate,
            sharpness: overrides.sharpness,
            timing_only: overrides.timing_only,
            ..Self::default()
        }
    }
}

/// What may be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Decide on it; faults it may have are in the fault set.
    Decide,
    /// It is no new picture, or not of a time that can be: decide nothing on it.
    Drop(Cause),
}

/// Watches one camera. Owned by its capture thread; others read its [`Watch`].
pub struct CameraGuard {
    order: OrderGuard,
    rate: RateGuard,
    frozen: FrozenGuard,
    picture: PictureGuard,
    placed: PlacedGuard,
    look: Box<Look>,
    facts: CameraFacts,
    faults: FaultSet,
    pulse: Arc<Pulse>,
    watch: Watch,
}

impl CameraGuard {
    /// A guard that waits for the first frame from `now` on.
    pub fn new(config: &GuardConfig, facts: CameraFacts, now: Nanos) -> Self {
        let limit = lost_limit(config, facts.period);
        let nominal = facts.period.map_or(0.0, |period| 1.0 / period.seconds().max(1e-3));
        let least = facts.min_rate.unwrap_or(config.rate_share * nominal);
        let sharpness = facts.sharpness.or_else(|| facts.references.first()?.sharpness);
        let pulse = Pulse::new(now);
        let watch = Watch::of_camera(&pulse, limit, ms(config.first_frame_ms).max(limit));
        Self {
            order: OrderGuard::new(config),
            rate: RateGuard::new(config, least),
            frozen: FrozenGuard::new(config, facts.raw, facts.period),
            picture: PictureGuard::new(config, sharpness),
            placed: PlacedGuard::new(config, facts.placement, &facts.references),
            look: Box::default(),
            facts,
            faults: FaultSet::default(),
            pulse,
            watch,
        }
    }

    /// A frame, seen at `now`. Whether something may be decided on it; what is wrong is in [`CameraGuard::faults`].
    pub fn frame(&mut self, frame: &Frame, now: Nanos) -> Verdict {
        let meta = frame.meta();
        let captured = Nanos(meta.captured.as_nanos());
        let order = self.order.frame(meta.sequence, captured, now);
        let mut faults = self.stamp(meta.stamp);
        let verdict = match order {
            Order::Next => {
                // From here on silence is measured: a frame that is none does not count.
                self.pulse.beat(captured.min(now));
                faults = self.judge(frame, faults, captured, now);
                if self.frozen.frozen() { Verdict::Drop(Cause::CameraFrozen) } else { Verdict::Decide }
            }
            Order::Repeated => {
                self.frozen.repeated(now);
                faults = faults_kept(self.faults, faults);
                Verdict::Drop(Cause::CameraFrozen)
            }
            Order::Impossible => {
                faults = faults_kept(self.faults, faults);
                Verdict::Drop(Cause::ClockAnomaly)
            }
        };
        if self.frozen.frozen() {
            faults = faults.with(Cause::CameraFrozen);
        }
        if self.order.anomaly() {
            faults = faults.with(Cause::ClockAnomaly);
        }
        self.faults = faults;
        self.pulse.publish(faults);
        verdict
    }

    /// A frame that is known by its record only: `faults` are those of the record, and so is why it was `dropped`.
    pub fn recorded(&mut self, sequence: u64, captured: Nanos, faults: FaultSet, dropped: Option<Cause>) {
        let repeated = self.order.last_sequence() == Some(sequence);
        // As in `frame`: what is no new frame, or of no time that can be, does not end a silence.
        if dropped.is_none() || (dropped == Some(Cause::CameraFrozen) && !repeated) {
            self.order.frame(sequence, captured, captured);
            self.pulse.beat(captured);
        }
        self.faults = faults;
        self.pulse.publish(faults);
    }

    /// The source was lost and opened again: numbers, times and pictures may begin anew.
    pub fn restarted(&mut self) {
        self.order.restart();
        self.rate.restart();
        self.frozen.restart();
    }

    /// Whether the vehicle drives (ego speed known and above walking pace): then no scene stands still.
    pub fn drives(&mut self, driving: bool) {
        self.frozen.drives(driving);
    }

    /// What is wrong at `now`, silence included.
    pub fn tick(&self, now: Nanos) -> FaultSet {
        self.watch.faults(now)
    }

    /// What was wrong at the last frame, silence not included.
    pub const fn faults(&self) -> FaultSet {
        self.faults
    }

    /// For the thread that acts.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The look at the last frame, for references and for people.
    pub fn last_look(&self) -> &Look {
        &self.look
    }

    /// Frames per second, as measured.
    pub fn rate(&self) -> Option<f32> {
        self.rate.rate()
    }

    fn stamp(&self, stamp: Stamp) -> FaultSet {
        let unbounded = stamp == Stamp::Arrival && !self.facts.latency_declared;
        if unbounded { FaultSet::default().with(Cause::StampUnbounded) } else { FaultSet::default() }
    }

    fn judge(&mut self, frame: &Frame, mut faults: FaultSet, captured: Nanos, now: Nanos) -> FaultSet {
        if self.rate.frame(captured, now) {
            faults = faults.with(Cause::FrameRateLow);
        }
        if self.facts.size.is_some_and(|size| size != [frame.width(), frame.height()]) {
            faults = faults.with(Cause::WrongResolution);
        }
        if !self.look.at(frame) {
            return faults;
        }
        self.frozen.look(&self.look, frame, now);
        if self.facts.timing_only {
            return faults;
        }
        let shown = self.picture.look(&self.look, now);
        faults = faults.union(shown);
        let sound = shown.is_empty() && !self.frozen.frozen();
        if self.placed.look(&self.look, sound, now) {
            faults = faults.with(Cause::CameraMoved);
        }
        faults
    }
}

/// max(2.5 periods, the configured least).
fn lost_limit(config: &GuardConfig, period: Option<Nanos>) -> Nanos {
    let periods = period.map_or(0, |period| period.0.saturating_mul(5) / 2);
    ms(config.lost_after_ms).max(Nanos(periods))
}

/// What a frame that was not looked at leaves as it was: all but what is judged anew each time.
fn faults_kept(before: FaultSet, now: FaultSet) -> FaultSet {
    before.without(Cause::CameraFrozen).without(Cause::ClockAnomaly).union(now)
}

#[cfg(test)]
mod tests;
