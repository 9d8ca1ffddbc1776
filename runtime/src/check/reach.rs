//! How far a camera recognises, how far a vehicle needs, and up to which speed the one suffices for the other. Pure
//! arithmetic; every function is an upper bound on what is needed.
//!
//! At speed v the front must be at least
//!
//! ```text
//! v · (latency + confirmation)                      before a brake can be asked for
//! + v · (lag + a / 2j) + v² / 2a                    until it stands: lag, half of the ramp a/j, constant deceleration a
//! + gap                                             where it should stand
//! ```
//!
//! from the object when it becomes recognisable. The exact distance of the ramp is shorter by a·(a/j)²/24.

use serde::Serialize;

/// Time from light on the sensor to a command at the actuator, in seconds; each part at its longest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The object may become recognisable right after a frame was taken: one period of the frames that are looked at, and
    /// the longest time between two that are looked at wholly (`camera.attention`).
    pub period: f64,
    /// From taking the picture to handing it over.
    pub capture: f64,
    /// Waiting for the model to be done with the frame before.
    pub wait: f64,
    /// Prepare, infer, decode of all models on the thread (p99 where measured).
    pub see: f64,
    /// From the decision to the actuator: a period of the actuator loop and the bus.
    pub act: f64,
}

impl Latency {
    /// The sum.
    pub fn total(&self) -> f64 {
        self.period + self.capture + self.wait + self.see + self.act
    }
}

/// How the vehicle brakes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Brake {
    /// Seconds until it begins to act.
    pub lag: f64,
    /// m/s².
    pub deceleration: f64,
    /// m/s³.
    pub ramp: f64,
    /// Metres to the object at the end.
    pub gap: f64,
}

impl Brake {
    /// Seconds lost before the deceleration is there.
    pub fn delay(&self) -> f64 {
        self.lag + self.deceleration / (2.0 * self.ramp)
    }

    /// Metres from asking for the brake to the object, at speed `v` (m/s).
    pub fn distance(&self, v: f64) -> f64 {
        v * self.delay() + v * v / (2.0 * self.deceleration) + self.gap
    }

    /// Seconds to collision at which the brake must be asked for, at speed `v`.
    pub fn time(&self, v: f64) -> f64 {
        self.distance(v) / v.max(0.1)
    }
}

/// What an approach needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Approach {
    /// Light to command, s.
    pub latency: f64,
    /// First sure frame to belief, s.
    pub confirmation: f64,
    /// The brake.
    pub brake: Brake,
}

impl Approach {
    /// Metres that the front needs, at speed `v` (m/s).
    pub fn needed(&self, v: f64) -> f64 {
        v * (self.latency + self.confirmation) + self.brake.distance(v)
    }

    /// Highest speed (m/s) for which `room` metres suffice: the root of v²/2a + v·T + gap = room. `None`: for none.
    pub fn highest(&self, room: f64) -> Option<f64> {
        let left = room - self.brake.gap;
        let time = self.latency + self.confirmation + self.brake.delay();
        let a = self.brake.deceleration;
        (left > 0.0).then(|| a * ((time * time + 2.0 * left / a).sqrt() - time))
    }

    /// Highest speed (m/s) with which a vehicle stands before somebody who appears `seconds` before the collision:
    /// T + v/2a + gap/v ≤ seconds. `None`: for none.
    pub fn highest_within(&self, seconds: f64) -> Option<f64> {
        let time = self.latency + self.confirmation + self.brake.delay();
        let (a, gap) = (self.brake.deceleration, self.brake.gap);
        // v²/2a − (seconds − T)·v + gap ≤ 0: between its roots; the upper one counts.
        let spare = seconds - time;
        let under = spare * spare - 2.0 * gap / a;
        (spare > 0.0 && under >= 0.0).then(|| a * (spare + under.sqrt()))
    }
}

/// Input pixels per metre of height at a distance of one metre: focal length in picture pixels × input pixels per
/// picture pixel.
pub fn focal_on_input(focal: f64, scale: f64) -> f64 {
    focal * scale
}

/// Height on the input, in pixels, of something `height` metres high and `distance` metres from the lens.
pub fn height_on_input(focal_on_input: f64, height: f64, distance: f64) -> f64 {
    focal_on_input * height / distance
}

/// Metres from the lens at which something `height` metres high is `pixels` high on the input.
pub fn distance_at(focal_on_input: f64, height: f64, pixels: f64) -> f64 {
    focal_on_input * height / pixels
}

/// km/h to m/s.
pub fn mps(kmh: f64) -> f64 {
    kmh / 3.6
}

/// m/s to km/h.
pub fn kmh(mps: f64) -> f64 {
    mps * 3.6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GENTLE: Brake = Brake { lag: 0.4, deceleration: 2.5, ramp: 1e9, gap: 0.0 };

    #[test]
    fn a_sign_through_60_degrees_on_416_pixels_is_6_px_wide_where_a_car_at_50_must_begin_to_brake() {
        let focal = 416.0 / 2.0 / 30f64.to_radians().tan();
        assert!((focal - 360.3).abs() < 0.1);
        // v²/2a = 38.6 m and 5.6 m of lag, at 2.5 m/s².
        let begin = GENTLE.distance(mps(50.0));
        assert!((begin - 44.1).abs() < 0.1, "{begin}");
        let wide = height_on_input(focal, 0.75, begin);
        assert!((wide - 6.1).abs() < 0.05, "{wide}");
        // And a model that needs 30 px sees it at 9 m.
        let seen = distance_at(focal, 0.75, 30.0);
        assert!((seen - 9.0).abs() < 0.05, "{seen}");
        let approach = Approach { latency: 0.1, confirmation: 0.5, brake: GENTLE };
        assert!(kmh(approach.highest(seen).unwrap()) < 20.0);
    }

    fn approach() -> impl Strategy<Value = Approach> {
        (0.0..1.0f64, 0.0..2.0f64, 0.0..1.0f64, 1.0..9.0f64, 1.0..30.0f64, 0.0..3.0f64).prop_map(
            |(latency, confirmation, lag, deceleration, ramp, gap)| Approach {
                latency,
                confirmation,
                brake: Brake { lag, deceleration, ramp, gap },
            },
        )
    }

    proptest! {
        #[test]
        fn the_highest_speed_needs_exactly_the_room(approach in approach(), room in 1.0..200.0f64) {
            if let Some(v) = approach.highest(room) {
                prop_assert!((approach.needed(v) - room).abs() < 1e-6 * room);
            } else {
                prop_assert!(approach.needed(0.0) >= room);
            }
        }

        #[test]
        fn more_latency_lag_or_gap_and_less_room_or_brake_never_raise_the_speed(
            approach in approach(), room in 1.0..200.0f64, more in 0.0..1.0f64,
        ) {
            let speed = |approach: &Approach, room: f64| approach.highest(room).unwrap_or(0.0);
            let base = speed(&approach, room) + 1e-9;
            let worse = [
                Approach { latency: approach.latency + more, ..approach },
                Approach { confirmation: approach.confirmation + more, ..approach },
                Approach { brake: Brake { lag: approach.brake.lag + more, ..approach.brake }, ..approach },
                Approach { brake: Brake { gap: approach.brake.gap + more, ..approach.brake }, ..approach },
                Approach { brake: Brake { ramp: approach.brake.ramp / (1.0 + more), ..approach.brake }, ..approach },
            ];
            for worse in worse {
                prop_assert!(speed(&worse, room) <= base);
            }
            prop_assert!(speed(&approach, room / (1.0 + more)) <= base);
        }

        #[test]
        fn the_bound_is_never_shorter_than_the_ramp_really_takes(v in 0.5..40.0f64, a in 1.0..9.0f64, ramp in 1.0..30.0f64) {
            let brake = Brake { lag: 0.4, deceleration: a, ramp, gap: 0.0 };
            let (mut speed, mut travelled, mut now, dt) = (v, v * 0.4, 0.0_f64, 1e-4);
            while speed > 0.0 {
                now += dt;
                speed -= (ramp * now).min(a) * dt;
                travelled += speed.max(0.0) * dt;
            }
            prop_assert!(travelled <= brake.distance(v) + 0.01);
        }

        #[test]
        fn who_appears_later_is_stood_before_at_a_lower_speed(approach in approach(), a in 0.5..5.0f64, b in 0.5..5.0f64) {
            let speed = |seconds| approach.highest_within(seconds).unwrap_or(0.0);
            prop_assert!(speed(a.min(b)) <= speed(a.max(b)) + 1e-9);
        }
    }
}
