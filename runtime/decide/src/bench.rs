//! A road for the tests: a vehicle with a late and slow brake, a camera that may be mounted wrongly and dips when
//! braking, things that stand or move, and boxes with noise and misses.

use std::boxed::Box;
use std::vec::Vec;

use crate::camera::{Calibration, Camera};
use crate::decider::{CameraConfig, DecideConfig, Decider, FrameInput, Function, Functions};
use crate::decision::{Decision, Phase, SituationKind};
use crate::ego::{Ego, Reading};
use crate::observe::{Observation, Role};
use crate::time::Nanos;

pub(crate) const SIZE: [u32; 2] = [1280, 720];

/// Where a thing is at a time: metres forwards and to the left of where we started, and of its lower edge over the road.
type Place = Box<dyn Fn(f32) -> [f32; 3]>;

/// A thing on the road.
pub(crate) struct Thing {
    pub role: Role,
    pub height: f32,
    pub width: f32,
    pub place: Place,
    /// Whether it is hidden, by the time and our distance to it.
    pub hidden: Box<dyn Fn(f32, f32) -> bool>,
    pub score: f32,
}

impl Thing {
    pub fn new(role: Role, height: f32, width: f32, place: impl Fn(f32) -> [f32; 3] + 'static) -> Self {
        Self { role, height, width, place: Box::new(place), hidden: Box::new(|_, _| false), score: 0.8 }
    }

    /// A stop sign of 0.75 m on a post of 2.1 m, `left` metres beside our middle.
    pub fn sign(at: f32, left: f32) -> Self {
        Self::new(Role::StopSign, 0.75, 0.75, move |_| [at, left, 2.1])
    }

    /// An adult who walks with `speed` (forwards, left).
    pub fn walker(at: f32, left: f32, speed: [f32; 2]) -> Self {
        Self::new(Role::Person, 1.75, 0.6, move |t| [at + speed[0] * t, left + speed[1] * t, 0.0])
    }

    pub fn hidden(mut self, hidden: impl Fn(f32, f32) -> bool + 'static) -> Self {
        self.hidden = Box::new(hidden);
        self
    }
}

/// The vehicle and what is around it.
pub(crate) struct Bench {
    pub decider: Decider,
    pub things: Vec<Thing>,
    pub time: f32,
    /// Metres that the camera has come.
    pub way: f32,
    pub speed: f32,
    pub acceleration: f32,
    /// What the driver wants of the engine and brake, in m/s².
    pub driver: f32,
    /// Whether requests are obeyed.
    pub obeys: bool,
    pub fps: f32,
    /// Standard deviation of an edge, in pixels and as a share of the height.
    pub noise: [f32; 2],
    /// Share of frames in which a thing is seen.
    pub recall: f32,
    /// What is wrong with the camera's pitch, in radians.
    pub pitch_error: f32,
    /// Dip by braking, in radians per m/s².
    pub dive: f32,
    pub ego: fn(&Ego) -> Ego,
    requests: Vec<(f32, f32)>,
    random: u64,
    frame: u64,
    pub seen: Log,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub most: f32,
    pub braked: bool,
    pub warned_at: Option<f32>,
    pub braked_at: Option<f32>,
    pub held: bool,
    pub unreachable: bool,
    pub phases: Vec<(u32, SituationKind, Phase)>,
    pub ids: Vec<u32>,
}

impl Bench {
    pub fn new(kmh: f32, things: Vec<Thing>) -> Self {
        Self::with(kmh, things, config())
    }

    pub fn with(kmh: f32, things: Vec<Thing>, config: DecideConfig) -> Self {
        Self {
            decider: Decider::new(config).unwrap(),
            things,
            time: 0.0,
            way: 0.0,
            speed: kmh / 3.6,
            acceleration: 0.0,
            driver: 0.0,
            obeys: true,
            fps: 30.0,
            noise: [0.5, 0.015],
            recall: 1.0,
            pitch_error: 0.0,
            dive: 0.0,
            ego: |ego| *ego,
            requests: Vec::new(),
            random: 1,
            frame: 0,
            seen: Log::default(),
        }
    }

    /// Drives on for `seconds`, or until `end` says so.
    pub fn drive(&mut self, seconds: f32, end: impl Fn(&Self) -> bool) {
        let until = self.time + seconds;
        while self.time < until && !end(self) {
            self.step();
        }
    }

    fn step(&mut self) {
        let observations = self.look();
        let ego = Ego {
            speed: Reading::Fresh(self.speed),
            yaw_rate: Reading::Fresh(0.0),
            acceleration: Reading::Fresh(self.acceleration),
            ..Ego::default()
        };
        self.frame += 1;
        let input = FrameInput {
            camera: 0,
            frame: self.frame,
            captured: Nanos((f64::from(self.time) * 1e9) as u64),
            size: SIZE,
            observations: &observations,
            ego: (self.ego)(&ego),
        };
        let decision = self.decider.step(&input).clone();
        self.seen.note(&decision, self.time);
        let brake = decision.request.brake.map_or(0.0, |brake| brake.deceleration);
        self.requests.push((self.time, if self.obeys { brake } else { 0.0 }));
        self.move_on();
    }

    /// The brake follows a request 0.4 s later at 10 m/s³.
    fn move_on(&mut self) {
        let steps = 10;
        let dt = 1.0 / self.fps / steps as f32;
        for _ in 0..steps {
            self.time += dt;
            let now = self.time - 0.4;
            let wanted =
                self.requests.iter().rev().find(|(at, _)| *at <= now).map_or(0.0, |(_, brake)| *brake);
            let goal = if wanted > 0.0 { (-wanted).min(self.driver) } else { self.driver };
            let change = (goal - self.acceleration).clamp(-10.0 * dt, 10.0 * dt);
            self.acceleration += change;
            let before = self.speed;
            self.speed += self.acceleration * dt;
            // A brake stops; it does not go backwards.
            if before >= 0.0 && self.speed <= 0.0 {
                self.speed = 0.0;
                self.acceleration = 0.0;
            }
            self.way += 0.5 * (before + self.speed) * dt;
        }
    }

    fn look(&mut self) -> Vec<Observation> {
        let calibration = *self.calibration();
        let pitch = calibration.pitch + self.pitch_error - self.dive * self.acceleration;
        let truth = Camera::new(Calibration { pitch, ..calibration }).unwrap();
        let mut seen = Vec::new();
        for index in 0..self.things.len() {
            let thing = &self.things[index];
            let [at, left, up] = (thing.place)(self.time);
            let forwards = at - self.way;
            if forwards < 0.5 || (thing.hidden)(self.time, forwards) {
                continue;
            }
            let (width, height, role, score) = (thing.width, thing.height, thing.role, thing.score);
            let corner = |side: f32, up: f32| project(&truth, [forwards, left + side, up]);
            let (upper, lower) = (corner(0.5 * width, up + height), corner(-0.5 * width, up));
            let sigma = self.noise[0] + self.noise[1] * (lower[1] - upper[1]);
            let mut bbox = [upper[0], upper[1], lower[0], lower[1]];
            for edge in &mut bbox {
                *edge += sigma * self.gauss();
            }
            let missed = self.uniform() >= self.recall;
            let [w, h] = SIZE.map(|length| length as f32);
            let clipped =
                [bbox[0].clamp(0.0, w), bbox[1].clamp(0.0, h), bbox[2].clamp(0.0, w), bbox[3].clamp(0.0, h)];
            let area = |b: [f32; 4]| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
            if !missed && area(clipped) > 0.3 * area(bbox) && clipped[3] - clipped[1] > 5.0 {
                seen.push(Observation { role, score, bbox: clipped, keypoints: None });
            }
        }
        seen
    }

    pub fn calibration(&self) -> &'static Calibration {
        static CALIBRATION: std::sync::OnceLock<Calibration> = std::sync::OnceLock::new();
        CALIBRATION.get_or_init(calibration)
    }

    /// Metres from the front to a place.
    pub fn gap(&self, at: f32) -> f32 {
        at - self.way - self.calibration().front
    }

    pub fn uniform(&mut self) -> f32 {
        // SplitMix64 (Steele et al. 2014).
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn gauss(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    pub fn seed(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }
}

impl Log {
    fn note(&mut self, decision: &Decision, time: f32) {
        if let Some(brake) = decision.request.brake {
            assert!(brake.deceleration.is_finite() && (0.0..=10.0).contains(&brake.deceleration));
            self.most = self.most.max(brake.deceleration);
            self.braked = true;
            self.braked_at.get_or_insert(time);
        }
        if decision.request.warn.is_some_and(|warn| warn.level == crate::decision::WarnLevel::Warn) {
            self.warned_at.get_or_insert(time);
        }
        for situation in &decision.situations {
            self.held |= situation.phase == Phase::Holding;
            self.unreachable |= !situation.reachable;
            if !self.ids.contains(&situation.id) {
                self.ids.push(situation.id);
            }
            let last = self.phases.iter().rev().find(|(id, ..)| *id == situation.id);
            if last.is_none_or(|(.., phase)| *phase != situation.phase) {
                self.phases.push((situation.id, situation.kind, situation.phase));
            }
        }
    }

    pub fn reached(&self, phase: Phase) -> usize {
        self.phases.iter().filter(|(.., reached)| *reached == phase).count()
    }
}

pub(crate) fn calibration() -> Calibration {
    Calibration { front: 1.8, ..Calibration::level(SIZE, 1000.0, 1.35) }
}

pub(crate) fn config() -> DecideConfig {
    let functions =
        Functions::default().with(Function::StopSign).with(Function::Pedestrian).with(Function::Watch);
    let mut config = DecideConfig::default();
    let camera = CameraConfig { functions, calibration: Some(calibration()) };
    config.cameras.push(camera).unwrap();
    config
}

/// The pixel that a point in vehicle axes (from under the camera) is seen at, for a camera without distortion.
pub(crate) fn project(camera: &Camera, point: [f32; 3]) -> [f32; 2] {
    let calibration = camera.calibration();
    let from = [point[0], point[1] - calibration.lateral, point[2] - calibration.height];
    let [right, down, forward] = [0, 1, 2].map(|axis| {
        let columns = camera.axes();
        columns[0][axis] * from[0] + columns[1][axis] * from[1] + columns[2][axis] * from[2]
    });
    [
        calibration.centre[0] + calibration.focal[0] * right / forward,
        calibration.centre[1] + calibration.focal[1] * down / forward,
    ]
}
