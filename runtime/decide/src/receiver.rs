//! The reference receiver: what a brake controller must do with the frames, and what every bus test holds ours to.
//!
//! It trusts nothing: a frame counts only when its protection is right and it is in order; deceleration, jerk and
//! duration have limits of its own; silence of three periods means that the sender is dead. A brake then runs out
//! within the jerk limit. A hold stays: neither silence nor an invalid frame drops it, only a valid frame that says so
//! or the driver at this controller's own pedals.

use crate::arith::{larger, magnitude, smaller};
use crate::bounds::{OutOfBounds, Section};
use crate::e2e::{Check, CheckConfig, Checker, Misfit, Protection, Tally};
use crate::frame::{self, Payload};
use crate::time::Nanos;

/// Limits of the receiver; the sender cannot change them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ReceiverConfig {
    /// How the frames are protected.
    pub protection: Protection,
    /// How much loss is borne.
    pub check: CheckConfig,
    /// Time between two frames. Default 20 ms; 1 to 200 ms.
    pub period_ms: f32,
    /// Periods without a usable frame until the sender counts as dead. Default 3; 1 to 3.
    pub timeout_periods: f32,
    /// Most deceleration that is carried out. Default 9 m/s²; 0.5 to 10 m/s².
    pub max_deceleration: f32,
    /// Fastest change of deceleration, up or down. Default 30 m/s³; 1 to 100 m/s³.
    pub max_jerk: f32,
    /// Longest braking without a pause. Default 25 s; 1 to 60 s. Never ends a hold.
    pub max_duration_s: f32,
    /// How long a hold whose sender is dead may last before the parking brake is engaged. Default 30 s; 1 to 600 s.
    pub hold_alone_s: f32,
    /// Speed below which the vehicle stands. Default 0.15 m/s; 0.01 to 1 m/s.
    pub standstill_speed: f32,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            protection: Protection::default(),
            check: CheckConfig::default(),
            period_ms: 20.0,
            timeout_periods: 3.0,
            max_deceleration: 9.0,
            max_jerk: 30.0,
            max_duration_s: 25.0,
            hold_alone_s: 30.0,
            standstill_speed: 0.15,
        }
    }
}

impl ReceiverConfig {
    /// Whether every number is within its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let section = Section("receiver");
        section.holds("period_ms", self.period_ms, 1.0, 200.0)?;
        section.holds("timeout_periods", self.timeout_periods, 1.0, 3.0)?;
        section.holds("max_deceleration", self.max_deceleration, 0.5, 10.0)?;
        section.holds("max_jerk", self.max_jerk, 1.0, 100.0)?;
        section.holds("max_duration_s", self.max_duration_s, 1.0, 60.0)?;
        section.holds("hold_alone_s", self.hold_alone_s, 1.0, 600.0)?;
        section.holds("standstill_speed", self.standstill_speed, 0.01, 1.0)
    }
}

/// What the controller sees by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wheels {
    /// Metres per second, by its own wheel sensors.
    pub speed: f32,
    /// The driver's own brake, as deceleration in m/s²: the larger of it and the request is carried out.
    pub driver_brake: f32,
    /// The driver presses the release, or the accelerator: ends a hold at its rising edge.
    pub driver_release: bool,
}

/// What the controller does to the wheels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Brakes {
    /// Deceleration in m/s², the driver's part included.
    pub deceleration: f32,
    /// Of it, what the request is answered with.
    pub requested: f32,
    /// The vehicle is held.
    pub hold: bool,
    /// The parking brake is engaged. Stays until the hold is released.
    pub parking_brake: bool,
    /// Whether the sender is heard.
    pub link: Link,
}

/// Whether the sender is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Link {
    /// No usable frame yet.
    #[default]
    Waiting,
    /// Usable frames come.
    Alive,
    /// None for longer than the time-out.
    TimedOut,
}

/// The reference receiver of one sender.
#[derive(Clone, Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    checker: Checker,
    newest: Option<(Nanos, Payload)>,
    stepped: Option<Nanos>,
    requested: f32,
    braking_since: Option<Nanos>,
    /// The duration limit was reached: nothing more until the request has gone to 0.
    exhausted: bool,
    hold: bool,
    parked: bool,
    released_before: bool,
    /// The wheels stood at the last step: only then may a hold begin.
    stands: bool,
    /// When the last frame came, usable or not.
    heard: Option<Nanos>,
}

impl Receiver {
    /// [`ReceiverConfig::check`] is the caller's to ask.
    pub fn new(config: ReceiverConfig) -> Result<Self, Misfit> {
        let checker = Checker::new(config.protection, config.check, frame::LENGTH)?;
        Ok(Self {
            config,
            checker,
            newest: None,
            stepped: None,
            requested: 0.0,
            braking_since: None,
            exhausted: false,
            hold: false,
            parked: false,
            released_before: true,
            stands: false,
            heard: None,
        })
    }

    /// How often what was found.
    pub const fn tally(&self) -> Tally {
        self.checker.tally()
    }

    /// What the newest usable frame said.
    pub fn payload(&self) -> Option<Payload> {
        self.newest.map(|(_, payload)| payload)
    }

    /// A frame came at `now`. What cannot be used changes nothing.
    pub fn receive(&mut self, now: Nanos, data: &[u8]) -> Check {
        self.count_silence(now);
        self.heard = Some(now);
        let found = self.checker.check(data);
        let Ok(data) = <&[u8; frame::LENGTH]>::try_from(data) else { return found };
        if let (true, Ok(payload)) = (found.is_usable(), Payload::unpack(data)) {
            self.newest = Some((now, payload));
            let holds = payload.valid && payload.hold && self.stands;
            let lets_go = payload.valid && !payload.hold;
            self.hold = self.hold && !lets_go || holds;
            self.parked = self.hold && (self.parked || payload.parking_brake);
        }
        found
    }

    /// One step of the controller, every period or oftener, whether frames come or not.
    pub fn step(&mut self, now: Nanos, wheels: &Wheels) -> Brakes {
        let passed = self.stepped.map_or(0.0, |then| smaller(now.since(then).seconds(), 0.1));
        self.stepped = Some(now);
        self.stands = magnitude(wheels.speed) <= self.config.standstill_speed;
        let link = self.link(now);
        self.release(wheels);
        let target = self.target(link);
        let most = self.config.max_jerk * passed;
        self.requested = if target > self.requested {
            smaller(target, self.requested + most)
        } else {
            larger(target, self.requested - most)
        };
        self.limit_duration(now);
        self.park(now);
        Brakes {
            deceleration: larger(self.requested, wheels.driver_brake),
            requested: self.requested,
            hold: self.hold,
            parking_brake: self.parked,
            link,
        }
    }

    fn timeout(&self) -> Nanos {
        periods(self.config.period_ms, self.config.timeout_periods)
    }

    fn link(&self, now: Nanos) -> Link {
        match self.newest {
            None => Link::Waiting,
            Some((at, _)) if now.since(at) <= self.timeout() => Link::Alive,
            Some(_) => Link::TimedOut,
        }
    }

    /// Tells the checker of every whole period in which nothing came.
    fn count_silence(&mut self, now: Nanos) {
        let period = periods(self.config.period_ms, 1.0);
        let Some(heard) = self.heard else { return };
        let missed = (now.since(heard).0 / period.0.max(1)).saturating_sub(1);
        for _ in 0..missed.min(255) {
            self.checker.nothing();
        }
    }

    /// The driver's release at this controller ends a hold, by its rising edge.
    fn release(&mut self, wheels: &Wheels) {
        if wheels.driver_release && !self.released_before {
            self.hold = false;
            self.parked = false;
        }
        self.released_before = wheels.driver_release;
    }

    fn target(&self, link: Link) -> f32 {
        let Some((_, payload)) = self.newest else { return 0.0 };
        let asked = smaller(payload.deceleration, self.config.max_deceleration);
        if self.hold {
            // Held by this controller's own means; what the sender asked for while it was heard is enough.
            return asked;
        }
        if link != Link::Alive || !payload.valid || self.exhausted { 0.0 } else { asked }
    }

    fn limit_duration(&mut self, now: Nanos) {
        let brakes = self.requested > 0.0 && !self.stands;
        let since = *self.braking_since.get_or_insert(now);
        if !brakes {
            self.braking_since = None;
        } else if now.since(since) > seconds(self.config.max_duration_s) {
            self.exhausted = true;
        }
        let asks = self.newest.is_some_and(|(_, payload)| payload.valid && payload.deceleration > 0.0);
        self.exhausted = self.exhausted && asks;
    }

    fn park(&mut self, now: Nanos) {
        let silent = self.newest.map_or(Nanos::default(), |(at, _)| now.since(at));
        if self.hold && silent > seconds(self.config.hold_alone_s) {
            self.parked = true;
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from f32 saturates")]
fn periods(period_ms: f32, count: f32) -> Nanos {
    Nanos((period_ms * count * 1e3) as u64 * 1_000)
}

fn seconds(seconds: f32) -> Nanos {
    periods(1e3, seconds)
}

#[cfg(test)]
mod tests;
