//! The vehicle: what becomes of a deceleration that is asked for, and where the car is.

use std::collections::VecDeque;

/// What the brakes can do. Defaults are the issue's: 0.4 s dead time, 10 m/s³, 9 m/s², 2° nose-down at full braking.
#[derive(Clone, Copy, Debug)]
pub struct Brakes {
    /// Dead time from request to the first change of pressure, in seconds (openpilot reports 0.4 s of a whole car).
    pub lag: f64,
    /// Fastest change of deceleration, m/s³.
    pub ramp: f64,
    /// Most deceleration the road gives, m/s².
    pub most: f64,
    /// Nose-down pitch at `most`, in radians.
    pub dive: f64,
}

impl Default for Brakes {
    fn default() -> Self {
        Self { lag: 0.4, ramp: 10.0, most: 9.0, dive: 2.0_f64.to_radians() }
    }
}

/// What the driver does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Driver {
    /// Speed the driver keeps with a steady foot while nothing brakes, m/s; negative: reversing.
    pub keeps: f64,
    /// Accelerator pedal as the bus tells it.
    pub accelerator: f64,
    /// Deceleration by the brake pedal, m/s².
    pub brakes: f64,
    /// Foot off: an automatic gear creeps.
    pub creeps: bool,
    /// Yaw rate steered, rad/s, positive to the left.
    pub yaw_rate: f64,
    /// Hand wheel rate, rad/s.
    pub steering_rate: f64,
    /// The release button is pressed.
    pub release: bool,
}

/// The car. `x` and `y` are the middle of its front on the road, in metres.
#[derive(Clone, Debug)]
pub struct Plant {
    brakes: Brakes,
    /// Metres.
    pub x: f64,
    /// Metres, to the left.
    pub y: f64,
    /// Radians, to the left.
    pub heading: f64,
    /// Metres per second along the heading.
    pub speed: f64,
    /// What the brakes do now, m/s².
    pub deceleration: f64,
    /// Metres per second squared along the heading.
    pub acceleration: f64,
    /// Nose-down pitch, in radians.
    pub pitch: f64,
    /// Road since the beginning, metres (less when reversing).
    pub travelled: f64,
    asked: VecDeque<(f64, f64, bool)>,
    request: (f64, bool),
}

/// Time constant of the body's pitch, seconds.
const DIVE_S: f64 = 0.15;
/// What a creeping automatic car does: m/s², m/s.
const CREEP: (f64, f64) = (0.8, 1.8);
/// How fast a driver changes speed with the accelerator, m/s².
const DRIVE: f64 = 2.0;

impl Plant {
    /// At the origin, driving straight on.
    pub fn new(brakes: Brakes, speed: f64) -> Self {
        Self {
            brakes,
            x: 0.0,
            y: 0.0,
            heading: 0.0,
            speed,
            deceleration: 0.0,
            acceleration: 0.0,
            pitch: 0.0,
            travelled: 0.0,
            asked: VecDeque::new(),
            request: (0.0, false),
        }
    }

    /// `dt` seconds on, at time `now`: `ask` in m/s² and whether to hold come from the receiver.
    pub fn step(&mut self, now: f64, dt: f64, ask: f64, hold: bool, driver: &Driver) {
        self.asked.push_back((now + self.brakes.lag, ask, hold));
        while self.asked.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, ask, hold) = self.asked.pop_front().expect("looked at");
            self.request = (ask, hold);
        }
        let (ask, hold) = self.request;
        let wanted = ask.max(driver.brakes).min(self.brakes.most);
        let change = (wanted - self.deceleration).clamp(-self.brakes.ramp * dt, self.brakes.ramp * dt);
        self.deceleration = (self.deceleration + change).max(0.0);
        let before = self.speed;
        self.speed = self.next_speed(dt, hold, ask, driver);
        self.acceleration = (self.speed - before) / dt;
        let moved = (self.speed + before) / 2.0 * dt;
        self.heading += driver.yaw_rate * dt * if before.abs() > 0.1 { 1.0 } else { 0.0 };
        self.x += moved * libm::cos(self.heading);
        self.y += moved * libm::sin(self.heading);
        self.travelled += moved;
        // A car that stands does not dive, whatever the brakes hold.
        let pull = if self.speed.abs() > 1e-6 { self.deceleration } else { 0.0 };
        let aim = self.brakes.dive * pull / self.brakes.most;
        self.pitch += (aim - self.pitch) * (dt / DIVE_S).min(1.0);
    }

    fn next_speed(&self, dt: f64, hold: bool, ask: f64, driver: &Driver) -> f64 {
        let stands = self.speed.abs() < 1e-3;
        if self.deceleration > 0.05 {
            let slower = self.speed.abs() - self.deceleration * dt;
            return if slower <= 0.0 { 0.0 } else { slower * self.speed.signum() };
        }
        if stands && hold || ask > 0.05 {
            return if stands { 0.0 } else { self.speed };
        }
        let (rate, aim) = if driver.creeps { (CREEP.0, CREEP.1) } else { (DRIVE, driver.keeps) };
        self.speed + (aim - self.speed).clamp(-rate * dt, rate * dt)
    }

    /// Whether it stands.
    pub fn stands(&self) -> bool {
        self.speed.abs() < 1e-3
    }
}
