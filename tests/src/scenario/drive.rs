//! One closed loop: world → detector → [`Decider`] → [`Commander`] → frame → reference [`Receiver`] → brakes → world,
//! wired as the daemon wires it, on a simulated clock.

use std::collections::VecDeque;

use stopline_decide::command::{Command, Row};
use stopline_decide::commander::{CommandConfig, Commander};
use stopline_decide::decider::{CameraConfig, DecideConfig, Decider, FrameInput};
use stopline_decide::decision::{Decision, Phase, SituationKind};
use stopline_decide::e2e::Sender;
use stopline_decide::ego::{Ego, Reading};
use stopline_decide::frame::{LENGTH, PERIOD_MS, Payload};
use stopline_decide::receiver::{Receiver, ReceiverConfig, Wheels};
use stopline_decide::state::{Faults, Function, FunctionSet, Machine, Progress};
use stopline_decide::time::Nanos;

use super::measured::{Light, Measured};
use super::plant::{Brakes, Driver, Plant};
use super::random::Random;
use super::scene::{Eye, Thing, look};
use super::sensor::{ClutterRate, Sensor};

/// What the car has on board, and how wrong it is about it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The detector's name in the measured file.
    pub model: &'static str,
    /// How many times fewer rows an assumed detector needs; 1: the measured one.
    pub sharper: f64,
    /// Which of the measured curves upright persons follow.
    pub person_curve: &'static str,
    /// Day or night.
    pub light: Light,
    /// Pictures per second.
    pub fps: f64,
    /// Capture to decision, seconds; each frame takes up to a tenth more.
    pub latency: f64,
    /// Where the camera truly is; the calibration says the same less [`Setup::pitch_error`].
    pub eye: Eye,
    /// True pitch less the calibration's, radians.
    pub pitch_error: f64,
    /// How much clutter.
    pub clutter: ClutterRate,
    /// The brakes.
    pub brakes: Brakes,
    /// Delay of ego signals that their time stamps do not show, seconds.
    pub signal_delay: f64,
    /// Standard deviation of the speed signal, m/s.
    pub speed_noise: f64,
    /// Settings of the decision; the camera is put in here.
    pub decide: DecideConfig,
    /// Settings of the commander.
    pub command: CommandConfig,
}

/// A story: the things, the car's start speed, what the driver does, how long it lasts.
pub struct Story<'a> {
    /// What there is.
    pub things: Vec<Thing>,
    /// Start speed, m/s.
    pub speed: f64,
    /// The driver at a time, seeing the car.
    pub driver: &'a dyn Fn(f64, &Plant) -> Driver,
    /// Whether the story is over.
    pub over: &'a dyn Fn(f64, &Plant) -> bool,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Speed of the car towards the person at contact, m/s.
    pub impact: Option<f64>,
    /// Where the front stood when the car first stood, metres along x.
    pub stood_at: Option<f64>,
    /// Second of the first warning that the driver was told.
    pub warned: Option<f64>,
    /// Seconds at which the command began to brake.
    pub brakes: Vec<f64>,
    /// Most that the receiver asked of the brakes, m/s².
    pub peak_request: f64,
    /// Fastest rise and fall of what it asked, m/s³, over one period.
    pub peak_jerk: f64,
    /// Brake onset as Euro NCAP has it: acceleration below −1 m/s², back to its crossing of −0.3 m/s².
    pub onset: Option<f64>,
    /// Most deceleration of the car, m/s².
    pub peak_deceleration: f64,
    /// Where the front was at the end, metres.
    pub end: f64,
    /// Speed at the end, m/s.
    pub end_speed: f64,
    /// Periods in which the car stood and was held.
    pub held: usize,
    /// Seconds the car stood without a hold after the first stop that the system made.
    pub unheld: usize,
    /// Row changes of the commander with their times, for a story that failed.
    pub rows: Vec<(f64, Row)>,
    /// Fastest speed reduction before a contact, m/s.
    pub reduced: f64,
    /// Situations that were seen, with the phase they reached.
    pub phases: Vec<(f64, SituationKind, Phase)>,
    /// Speed at each brake onset.
    pub brake_speeds: Vec<f64>,
    /// Length of road driven, metres.
    pub travelled: f64,
}

/// Physics step, seconds; four to an actuator period.
const STEP: f64 = 0.005;
/// Size of the car, metres.
pub const CAR: [f64; 2] = [4.4, 1.8];

/// Runs one story with the chance that `random` holds.
pub fn run(measured: &Measured, setup: &Setup, story: &Story<'_>, mut random: Random) -> Outcome {
    let mut rig = Rig::new(measured, setup, story, random.split());
    let mut time = 0.0;
    let mut step = 0_u64;
    while !(story.over)(time, &rig.plant) && rig.outcome.impact.is_none() && time < 120.0 {
        rig.step(step, time, story);
        step += 1;
        time = STEP * f64::from(u32::try_from(step).expect("minutes"));
    }
    rig.finish()
}

struct Rig<'a> {
    setup: &'a Setup,
    eye: Eye,
    sensor: Sensor<'a>,
    decider: Decider,
    commander: Commander,
    machine: Machine,
    healthy: Faults,
    sender: Sender,
    receiver: Receiver,
    plant: Plant,
    random: Random,
    next_frame: f64,
    frame: u64,
    pending: VecDeque<(f64, Decision)>,
    newest: Option<Decision>,
    past: VecDeque<(f64, Ego)>,
    ask: (f64, bool),
    row: Row,
    system_stopped: bool,
    crossed: Option<f64>,
    outcome: Outcome,
}

impl<'a> Rig<'a> {
    fn new(measured: &'a Measured, setup: &'a Setup, story: &Story<'_>, mut random: Random) -> Self {
        let eye = Eye { pitch: setup.eye.pitch + setup.pitch_error, ..setup.eye };
        let sensor = Sensor::new(measured, setup.model, setup.light, setup.clutter, eye.size, random.split())
            .sharpened(setup.sharper)
            .with_person_curve(setup.person_curve);
        let config = ReceiverConfig::default();
        let functions = FunctionSet::default().with(Function::StopSign).with(Function::Pedestrian);
        let period = Nanos(nanos(1.0 / setup.fps).0);
        Self {
            eye,
            sensor,
            decider: Decider::new(with_camera(setup)).expect("the settings lie within their bounds"),
            commander: Commander::new(setup.command.with_frame_period(period)),
            machine: Machine::new(),
            healthy: Faults::of_cameras(&[functions]),
            sender: Sender::new(config.protection, LENGTH).expect("the default fits"),
            receiver: Receiver::new(config).expect("the default fits"),
            plant: Plant::new(setup.brakes, story.speed),
            next_frame: random.between(0.0, 1.0 / setup.fps),
            random,
            frame: 0,
            pending: VecDeque::new(),
            newest: None,
            past: VecDeque::new(),
            ask: (0.0, false),
            row: Row::Idle,
            system_stopped: false,
            crossed: None,
            outcome: Outcome::default(),
            setup,
        }
    }

    fn step(&mut self, step: u64, time: f64, story: &Story<'_>) {
        let driver = (story.driver)(time, &self.plant);
        if step.is_multiple_of(4) {
            self.sample(time, &driver);
        }
        if time >= self.next_frame {
            self.capture(time, story);
        }
        while self.pending.front().is_some_and(|(ready, _)| *ready <= time) {
            self.newest = self.pending.pop_front().map(|(_, decision)| decision);
        }
        if step.is_multiple_of(PERIOD_MS / 5) {
            self.actuate(time, &driver);
        }
        let before = self.plant.speed;
        self.plant.step(time, STEP, self.ask.0, self.ask.1, &driver);
        self.watch(time, before, story);
    }

    /// The bus: signals every 20 ms, the speed with noise and rounded to 0.01 m/s.
    fn sample(&mut self, time: f64, driver: &Driver) {
        let noisy = self.plant.speed + self.setup.speed_noise * self.random.normal();
        // A wheel sensor shows nothing at standstill.
        let speed = if self.plant.stands() { 0.0 } else { (noisy * 100.0).round() / 100.0 };
        let ego = Ego {
            speed: fresh(speed),
            yaw_rate: fresh(driver.yaw_rate + 0.003 * self.random.normal()),
            steering_angle: Reading::Missing,
            steering_rate: fresh(driver.steering_rate),
            accelerator: fresh(driver.accelerator),
            brake_pedal: fresh(if driver.brakes > 0.0 { 1.0 } else { 0.0 }),
            acceleration: fresh(self.plant.acceleration + 0.1 * self.random.normal()),
            ignition: Reading::Fresh(true),
            autopilot: Reading::Fresh(false),
            off_switch: Reading::Fresh(false),
            release: Reading::Fresh(driver.release),
        };
        self.past.push_back((time, ego));
        while self.past.front().is_some_and(|(at, _)| *at < time - 1.0) {
            self.past.pop_front();
        }
    }

    /// What the bus said at `time`, as late as it is.
    fn ego(&self, time: f64) -> Ego {
        let known = self.past.iter().rev().find(|(at, _)| *at <= time - self.setup.signal_delay);
        known.or(self.past.front()).map(|(_, ego)| *ego).unwrap_or_default()
    }

    fn capture(&mut self, time: f64, story: &Story<'_>) {
        self.next_frame += 1.0 / self.setup.fps;
        let sights = look(&self.eye, &self.plant, &story.things, time);
        let observations = self.sensor.see(time, self.plant.speed, &sights);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole pixels")]
        let size = self.eye.size.map(|side| side as u32);
        let input = FrameInput {
            camera: 0,
            frame: self.frame,
            captured: nanos(time),
            size,
            observations: &observations,
            ego: self.ego(time),
        };
        self.frame += 1;
        let decision = self.decider.step(&input).clone();
        for situation in &decision.situations {
            let known = self.outcome.phases.iter().rev().find(|(_, kind, _)| *kind == situation.kind);
            if known.is_none_or(|(_, _, phase)| *phase != situation.phase) && self.outcome.phases.len() < 200
            {
                self.outcome.phases.push((time, situation.kind, situation.phase));
            }
        }
        let late = self.setup.latency * self.random.between(1.0, 1.1);
        self.pending.push_back((time + late, decision));
    }

    fn actuate(&mut self, time: f64, driver: &Driver) {
        let now = nanos(time);
        let found = self.healthy.union(self.commander.found());
        self.machine.step(now, &found, Progress { opened: true, deciding: true });
        let faults = *self.machine.faults();
        let command = self.commander.tick(now, self.newest.as_ref(), &self.ego(time), &faults, true);
        let mut frame = Payload::from(&command).pack();
        assert!(self.sender.protect(&mut frame), "the frame has its length");
        self.receiver.receive(now, &frame);
        #[allow(clippy::cast_possible_truncation, reason = "metres per second")]
        let wheels = Wheels {
            speed: self.plant.speed as f32,
            driver_brake: 0.0,
            driver_release: driver.release || driver.accelerator > 0.5,
        };
        let brakes = self.receiver.step(now, &wheels);
        let asked = f64::from(brakes.requested);
        let period = 0.001 * f64::from(u32::try_from(PERIOD_MS).expect("milliseconds"));
        if !self.plant.stands() {
            self.outcome.peak_jerk = self.outcome.peak_jerk.max((asked - self.ask.0).abs() / period);
            self.outcome.peak_request = self.outcome.peak_request.max(asked);
        }
        self.ask = (asked, brakes.hold);
        self.note(time, &command, brakes.hold);
    }

    fn note(&mut self, time: f64, command: &Command, held: bool) {
        if command.warn.is_some() && self.outcome.warned.is_none() {
            self.outcome.warned = Some(time);
        }
        if command.row != self.row {
            // After a hold the row is that of a brake until its pressure has run out.
            if command.row == Row::Braking && self.row != Row::Holding {
                self.outcome.brakes.push(time);
                self.outcome.brake_speeds.push(self.plant.speed);
            }
            self.row = command.row;
            if self.outcome.rows.len() < 100 {
                self.outcome.rows.push((time, command.row));
            }
        }
        if self.plant.stands() && self.system_stopped {
            self.outcome.held += usize::from(held);
            self.outcome.unheld += usize::from(!held);
        }
    }

    fn watch(&mut self, time: f64, before: f64, story: &Story<'_>) {
        let plant = &self.plant;
        let out = &mut self.outcome;
        out.peak_deceleration = out.peak_deceleration.max(-plant.acceleration);
        out.reduced = out.reduced.max(story.speed - plant.speed);
        if plant.stands() && before.abs() >= 1e-3 {
            out.stood_at.get_or_insert(plant.x);
            self.system_stopped |= !out.brakes.is_empty();
        }
        if plant.acceleration > -0.3 {
            self.crossed = None;
        } else {
            let crossed = *self.crossed.get_or_insert(time);
            if plant.acceleration < -1.0 {
                out.onset.get_or_insert(crossed);
            }
        }
        for thing in story.things.iter().filter(|thing| thing.solid) {
            if touches(plant, thing, time) {
                let gone = thing.place(time + 0.01)[0] - thing.place(time)[0];
                out.impact.get_or_insert((before - gone / 0.01).max(0.0));
            }
        }
    }

    fn finish(mut self) -> Outcome {
        self.outcome.end = self.plant.x;
        self.outcome.end_speed = self.plant.speed;
        self.outcome.travelled = self.plant.travelled;
        self.outcome
    }
}

/// Whether the thing's foot touches the car's.
fn touches(car: &Plant, thing: &Thing, time: f64) -> bool {
    let place = thing.place(time);
    let (sine, cosine) = (libm::sin(car.heading), libm::cos(car.heading));
    let (dx, dy) = (place[0] - car.x, place[1] - car.y);
    let (forwards, left) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
    let (deep, wide) = (thing.size[0] / 2.0, thing.size[1] / 2.0);
    forwards < deep && forwards > -CAR[0] - deep && left.abs() < CAR[1] / 2.0 + wide
}

/// The settings with the camera as the calibration has it.
fn with_camera(setup: &Setup) -> DecideConfig {
    #[allow(clippy::cast_possible_truncation, reason = "pixels, metres and radians fit single precision")]
    let single = |value: f64| value as f32;
    let mut config = setup.decide.clone();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole pixels")]
    let size = setup.eye.size.map(|side| side as u32);
    let mut calibration =
        stopline_decide::camera::Calibration::level(size, single(setup.eye.focal), single(setup.eye.height));
    calibration.pitch = single(setup.eye.pitch);
    calibration.front = single(setup.eye.behind);
    let functions =
        [stopline_decide::decider::Function::StopSign, stopline_decide::decider::Function::Pedestrian];
    let camera = CameraConfig { functions: functions.into_iter().collect(), calibration: Some(calibration) };
    config.cameras.clear();
    let _ = config.cameras.push(camera);
    config
}

fn fresh(value: f64) -> Reading<f32> {
    #[allow(clippy::cast_possible_truncation, reason = "signals have a few digits")]
    Reading::Fresh(value as f32)
}

/// A simulated second as monotonic time; the clock has run an hour before.
pub fn nanos(seconds: f64) -> Nanos {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, minutes")]
    Nanos(3_600_000_000_000 + (seconds * 1e9).round() as u64)
}
