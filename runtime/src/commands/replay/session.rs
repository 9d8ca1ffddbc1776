//! The loop of a replay: frame by frame from the recording through the models, and where it decides through the pipeline,
//! into the results.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use stopline_decide::cause::Cause;
use stopline_decide::ego::Ego;
use stopline_decide::time::Nanos;
use stopline_depot::record::StageLatencies;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::frame::Frame;
use stopline_sensors::source::{Event, FrameSource};

use super::bar::Bar;
use super::eyes::{Eyes, Looked};
use super::judge::{Decided, Judge};
use super::pace::PaceClock;
use super::sinks::{Seen, Sinks};
use crate::commands::source::WAIT;
use crate::daemon::light::LightMeter;
use crate::exit::{Exit, Failure};
use crate::guard::Verdict;
use crate::percentiles::micros;
use crate::pipeline::FrameFacts;
use crate::report::Tally;

/// Skipped frames that are told one by one.
const TOLD: usize = 10;

/// Everything a running replay holds.
pub struct Session {
    pub source: Box<dyn FrameSource>,
    pub eyes: Eyes,
    pub clock: Arc<PaceClock<SystemClock>>,
    pub sinks: Sinks,
    pub bar: Bar,
    pub every: u64,
    /// How often the recording is played.
    pub times: u32,
    pub tally: Tally,
    judge: Option<Judge>,
    light: LightMeter,
    /// Frames decided on whose outcome is not known yet.
    held: VecDeque<Held>,
}

/// A frame, and what is known of it so far.
struct Held {
    frame: Frame,
    at: Duration,
    looked: Looked,
    latency: StageLatencies,
    decided: Decided,
    dropped: Option<Cause>,
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
    /// Plays every frame once, until told otherwise.
    pub fn new(
        source: Box<dyn FrameSource>,
        eyes: Eyes,
        judge: Option<Judge>,
        clock: Arc<PaceClock<SystemClock>>,
        sinks: Sinks,
        bar: Bar,
        light: LightMeter,
    ) -> Self {
        let (held, tally) = (VecDeque::new(), Tally::default());
        Self { source, eyes, clock, sinks, bar, every: 1, times: 1, tally, judge, light, held }
    }

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
                    let (verdict, ego) = match &mut self.judge {
                        Some(judge) => judge.arrives(&frame),
                        None => (Verdict::Decide, Ego::default()),
                    };
                    if (count - 1).is_multiple_of(self.every) {
                        self.see(frame, at, capture, verdict, ego)?;
                    } else {
                        self.tally.left_out += 1;
                    }
                }
                Ok(Event::Skipped(error)) => self.skipped(timeline.now, &error.to_string()),
                Ok(Event::Lost(error)) => self.bar.say(&format!("lost: {error}")),
                Ok(Event::Nothing | Event::Restored) => {}
                Ok(Event::End) => break None,
                Err(error) => break Some(Failure::new(Exit::Input, error)),
            }
        };
        if let Some(judge) = &mut self.judge {
            judge.finish();
            self.settle()?;
        }
        self.bar.end();
        self.tally.dropped = self.source.counters().dropped;
        self.tally.took = self.clock.monotonic().since(started);
        Ok(broken)
    }

    fn skipped(&mut self, at: Duration, error: &str) {
        match self.tally.skipped.len() {
            ..TOLD => self.bar.say(&format!("skipped: {error}")),
            TOLD => self.bar.say("further frames are skipped; they are only counted"),
            _ => {}
        }
        self.tally.skip(at, error);
        self.sinks.skipped(self.eyes.shown());
    }

    fn see(
        &mut self,
        frame: Frame,
        at: Duration,
        capture: Duration,
        verdict: Verdict,
        ego: Ego,
    ) -> Result<(), Failure> {
        let mut latency = StageLatencies { capture: micros(capture), ..StageLatencies::default() };
        let mut looked = Looked::default();
        if verdict == Verdict::Decide {
            let light = self.judge.is_some().then(|| self.light.see(&frame));
            let look = self.eyes.look(&frame, light, ego.speed.fresh());
            looked = look.map_err(|error| Failure::new(Exit::Model, error))?;
            latency.prepare = micros(looked.times.prepare);
            latency.infer = micros(looked.times.infer);
            latency.decode = micros(looked.times.decode);
        }
        if let Some(reason) = &looked.invalid {
            self.bar.say(&format!("frame {}: {reason}", frame.meta().sequence));
        }
        self.tally.frame(at, &looked.found, looked.invalid.as_deref(), &latency);
        let Some(judge) = &mut self.judge else {
            let seen = Seen { frame: &frame, at, looked: &looked, latency, verdict: None };
            return self.sinks.frame(&seen, &self.eyes, &self.bar);
        };
        let facts = FrameFacts {
            camera: 0,
            number: frame.meta().sequence,
            captured: Nanos(frame.meta().captured.as_nanos()),
            size: [frame.width(), frame.height()],
        };
        let (decided, dropped) = match verdict {
            Verdict::Decide => (judge.decide(&facts, &looked, |model| self.eyes.roles_of(model), ego), None),
            Verdict::Drop(cause) => {
                judge.drop(&facts);
                (Decided { ego, places: Vec::new() }, Some(cause))
            }
        };
        self.held.push_back(Held { frame, at, looked, latency, decided, dropped });
        self.settle()
    }

    /// Writes every frame whose outcome is known by now.
    fn settle(&mut self) -> Result<(), Failure> {
        let Some(judge) = &mut self.judge else { return Ok(()) };
        while let Some(outcome) = judge.outcome() {
            let Some(held) = self.held.pop_front() else { break };
            let Held { frame, at, looked, latency, decided, dropped } = held;
            let verdict = super::records::Verdict::new(&outcome, &decided, dropped);
            verdict.tell(at, &mut self.tally.story);
            let seen = Seen { frame: &frame, at, looked: &looked, latency, verdict: Some(&verdict) };
            self.sinks.frame(&seen, &self.eyes, &self.bar)?;
        }
        Ok(())
    }
}
