//! How far we came, and how hard we brake, from the vehicle's signals at the frames' capture times.

use crate::arith::magnitude;
use crate::ego::{Ego, Reading};
use crate::scene::Travel;
use crate::time::Nanos;

/// For how long the last fresh speed is taken further.
const LASTS: Nanos = Nanos::from_millis(1_000);
/// Seconds over which the speed's change is smoothed, where no acceleration is given.
const SMOOTHING: f32 = 0.2;
/// Faster goes no vehicle that this runs in, in m/s.
const FASTEST: f32 = 150.0;

/// The odometer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odometer {
    last: Option<Nanos>,
    speed: Option<(Nanos, f32)>,
    acceleration: f32,
}

impl Odometer {
    /// Moves on to `now`, or nowhere if that lies in the past: how far we came, and the seconds since.
    pub fn step(&mut self, now: Nanos, ego: &Ego) -> (Travel, f32) {
        let dt = self.last.map_or(0.0, |last| now.since(last).seconds());
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
        let before = self.speed.filter(|(at, _)| now.since(*at) <= LASTS).map(|(_, speed)| speed);
        let Some(speed) = ego.speed.fresh() else { return (self.blind(dt, before), dt) };
        self.accelerate(dt, before.map(|before| speed - before), ego);
        self.speed = Some((now, speed));
        let moved = 0.5 * (speed + before.unwrap_or(speed)) * dt;
        let unsure = if before.is_some() { 0.0 } else { 0.5 * magnitude(speed) * dt };
        (Travel { moved, unsure, speed: Some(speed) }, dt)
    }

    fn blind(&self, dt: f32, before: Option<f32>) -> Travel {
        match before {
            Some(speed) => {
                Travel { moved: speed * dt, unsure: (0.3 * magnitude(speed) + 0.5) * dt, speed: None }
            }
            None => Travel { moved: 0.0, unsure: 10.0 * dt, speed: None },
        }
    }

    fn accelerate(&mut self, dt: f32, change: Option<f32>, ego: &Ego) {
        match (ego.acceleration.fresh(), change) {
            (Some(acceleration), _) => self.acceleration = acceleration,
            (None, Some(change)) if dt > 0.0 => {
                self.acceleration += dt / (SMOOTHING + dt) * (change / dt - self.acceleration);
            }
            _ => {}
        }
    }

    /// In m/s², as told or as the speed changes.
    pub fn acceleration(&self) -> f32 {
        self.acceleration
    }
}

/// The signals, with whatever cannot be true marked invalid.
pub(super) fn sound(ego: &Ego) -> Ego {
    let bounded = |reading: Reading<f32>, most: f32| match reading {
        Reading::Fresh(value) if !(-most..=most).contains(&value) => Reading::Invalid,
        other => other,
    };
    Ego {
        speed: bounded(ego.speed, FASTEST),
        yaw_rate: bounded(ego.yaw_rate, 10.0),
        steering_angle: bounded(ego.steering_angle, 30.0),
        steering_rate: bounded(ego.steering_rate, 100.0),
        acceleration: bounded(ego.acceleration, 50.0),
        ..*ego
    }
}
