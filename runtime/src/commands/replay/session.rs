//! The loop of a replay: frame by frame from the recording through the model into the results.

use std::sync::Arc;
use std::time::Duration;

use stopline_depot::record::StageLatencies;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::frame::Frame;
use stopline_sensors::source::{Event, FrameSource};

use super::bar::Bar;
use super::pace::PaceClock;
use super::sinks::{Seen, Sinks};
use crate::commands::source::WAIT;
use crate::detection::Detection;
use crate::detector::Detector;
use crate::exit::{Exit, Failure};
use crate::percentiles::micros;
use crate::report::Tally;

/// Skipped frames that are told one by one.
const TOLD: usize = 10;

/// Everything a running replay holds.
pub struct Session {
    pub source: Box<dyn FrameSource>,
    pub detector: Detector,
    pub clock: Arc<PaceClock<SystemClock>>,
    pub sinks: Sinks,
    pub bar: Bar,
    pub every: u64,
    /// How often the recording is played.
    pub times: u32,
    pub tally: Tally,
}

/// Where on the timeline we are. Frames are laid by their capture time, which goes on rising when a recording is played
/// again, from the position of the first.
#[derive(Default)]
struct Timeline {
    origin: Option<(Monotonic, Duration)>,
    now: Duration,
    /// How often the recording has begun.
    times: u32,
}

impl Timeline {
    fn place(&mut self, frame: &Frame) -> Duration {
        let meta = frame.meta();
        let position = meta.position.unwrap_or_default();
        let (captured, origin) = *self.origin.get_or_insert((meta.captured, position));
        // Each pass begins where the first did.
        self.times += u32::from(position <= origin);
        self.now = origin + meta.captured.since(captured);
        self.now
    }
}

impl Session {
    /// Runs to the recording's end. `Some` where it broke off before: what came until then has been seen.
    pub fn run(&mut self) -> Result<Option<Failure>, Failure> {
        let started = self.clock.monotonic();
        let mut timeline = Timeline::default();
        let mut count = 0_u64;
        let broken = loop {
            let before = self.clock.awake();
            match self.source.next(WAIT) {
                Ok(Event::Frame(frame)) => {
                    let capture = self.clock.awake().saturating_sub(before);
                    let at = timeline.place(&frame);
                    if self.times > 1 && timeline.times > self.times {
                        break None;
                    }
                    self.bar.at(at, count);
                    count += 1;
                    if (count - 1).is_multiple_of(self.every) {
                        self.see(&frame, at, capture)?;
                    } else {
                        self.tally.left_out += 1;
                    }
                }
                Ok(Event::Skipped(error)) => {
                    let error = error.to_string();
                    match self.tally.skipped.len() {
                        ..TOLD => self.bar.say(&format!("skipped: {error}")),
                        TOLD => self.bar.say("further frames are skipped; they are only counted"),
                        _ => {}
                    }
                    self.tally.skip(timeline.now, &error);
                    self.sinks.skipped(self.detector.manifest());
                }
                Ok(Event::Lost(error)) => self.bar.say(&format!("lost: {error}")),
                Ok(Event::Nothing | Event::Restored) => {}
                Ok(Event::End) => break None,
                Err(error) => break Some(Failure::new(Exit::Input, error)),
            }
        };
        self.bar.end();
        self.tally.dropped = self.source.counters().dropped;
        self.tally.took = self.clock.monotonic().since(started);
        Ok(broken)
    }

    fn see(&mut self, frame: &Frame, at: Duration, capture: Duration) -> Result<(), Failure> {
        let mut found: Vec<Detection> = Vec::new();
        let mut latency = StageLatencies { capture: micros(capture), ..StageLatencies::default() };
        let mut invalid = None;
        match self.detector.detect(frame, &mut found) {
            Ok(took) => {
                latency.prepare = micros(took.prepare);
                latency.infer = micros(took.infer);
                latency.decode = micros(took.decode);
            }
            Err(error) if error.invalid_frame() => {
                found.clear();
                self.bar.say(&format!("frame {}: {error}", frame.meta().sequence));
                invalid = Some(error.to_string());
            }
            Err(error) => return Err(Failure::new(Exit::Model, error)),
        }
        self.tally.frame(at, &found, invalid.as_deref(), &latency);
        let seen = Seen { frame, at, found: &found, invalid: invalid.as_deref(), latency };
        self.sinks.frame(&seen, &self.detector, &self.bar)
    }
}
