//! Recorded detections through decider, state machine, commander and receiver; every number of every result as its bits.
//!
//! The recording is text, one thing a line:
//! - `E speed accelerator steering_rate release`: the vehicle from now on;
//! - `X camera cause 0|1`: a fault goes or comes;
//! - `F camera frame captured_ns width height`: a frame; the observations after it are its own;
//! - `O role score x1 y1 x2 y2`: one observation; roles `S` stop sign, `P` person, `D` person on the ground.

use core::fmt::{self, Write as _};
use core::str::SplitAsciiWhitespace;

use stopline_decide::camera::Calibration;
use stopline_decide::cause::Cause;
use stopline_decide::command::Command;
use stopline_decide::commander::{CommandConfig, Commander};
use stopline_decide::decider::{CameraConfig, DecideConfig, Decider, FrameInput, Function, Functions};
use stopline_decide::decision::Decision;
use stopline_decide::e2e::{Protection, Sender};
use stopline_decide::ego::{Ego, Reading};
use stopline_decide::frame::{self, Payload};
use stopline_decide::observe::{Observation, Role};
use stopline_decide::receiver::{Receiver, ReceiverConfig, Wheels};
use stopline_decide::state::{Faults, Machine, Progress};
use stopline_decide::time::Nanos;

const RECORDING: &str = include_str!("../recording.txt");
const PERIOD: Nanos = Nanos::from_millis(20);
/// From capture to decision.
const LATENCY: Nanos = Nanos::from_millis(55);
const MOST_OBSERVATIONS: usize = 64;

/// Runs the recording and hands out one line per frame and per actuator period.
pub fn run(mut line: impl FnMut(&Line)) {
    let mut bench = Bench::new();
    let mut lines = RECORDING.lines().peekable();
    while let Some(text) = lines.next() {
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("E") => bench.ego = ego(&mut words),
            Some("X") => bench.fault(&mut words),
            Some("F") => {
                let mut observations = [Observation::nothing(); MOST_OBSERVATIONS];
                let mut count = 0;
                while let Some(text) = lines.next_if(|text| text.starts_with('O')) {
                    observations[count] = observation(text);
                    count += 1;
                }
                bench.frame(&mut words, &observations[..count], &mut line);
            }
            _ => {}
        }
    }
}

trait Nothing {
    fn nothing() -> Self;
}

impl Nothing for Observation {
    fn nothing() -> Self {
        Self { role: Role::Person, score: 0.0, bbox: [0.0; 4], keypoints: None }
    }
}

struct Bench {
    decider: Decider,
    machine: Machine,
    commander: Commander,
    sender: Sender,
    receiver: Receiver,
    present: Faults,
    ego: Ego,
    now: Nanos,
}

impl Bench {
    fn new() -> Self {
        let road = [Function::StopSign, Function::Pedestrian];
        let room = [Function::Fall];
        let calibration = Some(Calibration::level([1280, 720], 900.0, 1.3));
        let mut config = DecideConfig::default();
        let cameras = [
            CameraConfig { functions: Functions::from_iter(road), calibration },
            CameraConfig { functions: Functions::from_iter(room), calibration: None },
        ];
        config.cameras.extend(cameras);
        Self {
            decider: Decider::new(config).expect("these settings are within their bounds"),
            machine: Machine::new(),
            commander: Commander::new(CommandConfig::default().with_frame_period(Nanos::from_millis(100))),
            sender: Sender::new(Protection::default(), frame::LENGTH).expect("the default fits"),
            receiver: Receiver::new(ReceiverConfig::default()).expect("the default fits"),
            present: Faults::of_cameras(&[Functions::from_iter(road), Functions::from_iter(room)]),
            ego: Ego::default(),
            now: Nanos::default(),
        }
    }

    fn fault(&mut self, words: &mut SplitAsciiWhitespace) {
        let camera: u8 = number(words);
        let cause = words.next().and_then(Cause::from_code).expect("a cause");
        let of = &mut self.present.cameras[usize::from(camera)];
        let comes = number::<u8>(words) == 1;
        of.faults = if comes { of.faults.with(cause) } else { of.faults.without(cause) };
    }

    fn frame(
        &mut self,
        words: &mut SplitAsciiWhitespace,
        observations: &[Observation],
        line: &mut impl FnMut(&Line),
    ) {
        let (camera, frame, captured) = (number(words), number(words), Nanos(number(words)));
        let size = [number(words), number(words)];
        while self.now < captured.plus(LATENCY) {
            self.tick(line);
        }
        let input = FrameInput { camera, frame, captured, size, observations, ego: self.ego };
        let decision = self.decider.step(&input);
        self.commander.take(self.now, decision);
        line(&Line::of_decision(decision));
    }

    fn tick(&mut self, line: &mut impl FnMut(&Line)) {
        self.now = self.now.plus(PERIOD);
        self.machine.step(self.now, &self.present, Progress { opened: true, deciding: true });
        let command = self.commander.tick(self.now, None, &self.ego, self.machine.faults(), true);
        let mut bytes = Payload::from(&command).pack();
        assert!(self.sender.protect(&mut bytes));
        self.receiver.receive(self.now, &bytes);
        let speed = self.ego.speed.fresh().unwrap_or(0.0);
        let brakes =
            self.receiver.step(self.now, &Wheels { speed, driver_brake: 0.0, driver_release: false });
        line(&Line::of_command(&command, &bytes, brakes.deceleration));
    }
}

fn ego(words: &mut SplitAsciiWhitespace) -> Ego {
    Ego {
        speed: Reading::Fresh(number(words)),
        accelerator: Reading::Fresh(number(words)),
        steering_rate: Reading::Fresh(number(words)),
        release: Reading::Fresh(number::<u8>(words) == 1),
        ..Ego::default()
    }
}

fn observation(text: &str) -> Observation {
    let mut words = text.split_ascii_whitespace().skip(1);
    let role = match words.next() {
        Some("S") => Role::StopSign,
        Some("D") => Role::PersonDown,
        _ => Role::Person,
    };
    let mut next = || words.next().and_then(|word| word.parse().ok()).expect("a number");
    Observation { role, score: next(), bbox: [next(), next(), next(), next()], keypoints: None }
}

fn number<T: core::str::FromStr>(words: &mut SplitAsciiWhitespace) -> T {
    words.next().and_then(|word| word.parse().ok()).expect("a number")
}

/// One line of the result: hexadecimal, no rounding anywhere.
pub struct Line {
    text: [u8; 8192],
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.text.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(core::str::from_utf8(&self.text[..self.length]).expect("only text was written"))
    }
}

impl Line {
    fn new(of: &str) -> Self {
        let mut line = Self { text: [0; 8192], length: 0 };
        line.put(format_args!("{of}"));
        line
    }

    fn put(&mut self, of: fmt::Arguments<'_>) {
        self.write_fmt(of).expect("a line is long enough");
    }

    fn bits(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.put(format_args!(" {:08x}", value.to_bits())));
    }

    fn of_decision(decision: &Decision) -> Self {
        let mut line = Self::new("D");
        line.put(format_args!(" {:02x} {:x} {:x}", decision.camera, decision.frame, decision.captured.0));
        for track in &decision.tracks {
            line.put(format_args!(" t{:x}", track.id));
            line.bits(&track.bbox);
            line.bits(&[track.score]);
        }
        for situation in &decision.situations {
            line.put(format_args!(" s{:x}.{:?}", situation.id, situation.phase));
            line.bits(&[situation.distance.unwrap_or(-1.0), situation.ttc.unwrap_or(-1.0), situation.score]);
        }
        for ask in &decision.asks {
            line.put(format_args!(" a{:x}.{:?}", ask.situation, ask.warn));
            let brake = ask.brake.map_or([-1.0; 2], |brake| [brake.deceleration, brake.jerk]);
            line.bits(&brake);
        }
        line.put(format_args!(" down{:x}", decision.request.persons_down));
        line
    }

    fn of_command(command: &Command, bytes: &[u8; frame::LENGTH], braked: f32) -> Self {
        let mut line = Self::new("C");
        line.put(format_args!(" {:x} {:016x}", command.made.0, u64::from_be_bytes(*bytes)));
        line.bits(&[command.deceleration, braked]);
        line
    }
}
