//! An inference thread: fetches the next frame by priority, lets every model look at it that serves its camera under the
//! present conditions, decides, and hands the decision over. Then the next frame: what came meanwhile and was replaced is
//! gone.
//!
//! Nothing here waits for a reader: decisions go into slots, reports into a bounded channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stopline_decide::decider::{Decider, FrameInput};
use stopline_decide::decision::Decision;
use stopline_decide::observe::Observation;
use stopline_decide::time::Nanos;
use stopline_depot::record::StageLatencies;
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::frame::Frame;
use stopline_sensors::signals::VehicleSignals;
use tracing::Level;

use super::light::LightMeter;
use super::notes::Notes;
use super::report::{Found, FrameReport, ModelFacts};
use super::slot::Slot;
use super::timing::{Stage, Timings};
use crate::config::{GuardConfig, When};
use crate::detection::Detection;
use crate::detector::{Detector, StageTimes};
use crate::ego::ego_at;
use crate::guard::{ModelGuard, Watch};
use crate::intake::gauges::Gauges;
use crate::intake::mailbox::Mailbox;
use crate::observe::Roles;
use crate::percentiles::micros;

/// How long the thread waits for a frame before it looks whether it is to end.
const WAIT: Duration = Duration::from_millis(100);

/// A loaded model, with the scratch memory of this thread.
pub struct Looker {
    /// Its number in the configuration.
    pub number: usize,
    /// Who it is.
    pub facts: Arc<ModelFacts>,
    /// Prepare, infer, decode.
    pub detector: Detector,
    /// Which part its classes play.
    pub roles: Roles,
    /// When it serves.
    pub when: When,
    /// The cameras of this thread that it serves.
    pub cameras: Vec<usize>,
}

/// One camera of this thread.
pub struct Eye {
    /// Its number in the configuration.
    pub camera: usize,
    /// Where its values go.
    pub gauges: Arc<Gauges>,
    /// Where its decisions go.
    pub decision: Arc<Slot<Decision>>,
    /// Day or night.
    pub light: LightMeter,
    /// Set by the publisher when it wants the next picture.
    pub picture_wanted: Arc<AtomicBool>,
    /// One guard per model, by the model's number; made with the first frame, when the period is known.
    pub guards: Vec<(usize, ModelGuard)>,
}

/// An inference thread.
pub struct Looking {
    /// Frames come from here.
    pub mailbox: Arc<Mailbox<Frame>>,
    /// Its cameras.
    pub eyes: Vec<Eye>,
    /// Its models.
    pub models: Vec<Looker>,
    /// Decides, for the cameras of all threads.
    pub decider: Arc<Mutex<Box<Decider>>>,
    /// The vehicle.
    pub vehicle: VehicleSignals,
    /// Limits of the models' guards.
    pub guard: GuardConfig,
    /// Hands the watches of new guards to the thread that acts.
    pub seats: std::sync::mpsc::SyncSender<(usize, Watch)>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What stages take.
    pub timings: Arc<Timings>,
    /// Where is told what happens.
    pub notes: Notes,
    /// Set when the process ends.
    pub stop: Arc<AtomicBool>,
}

impl Looking {
    /// Runs until the process ends.
    pub fn run(mut self) {
        let mut observations = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let Some((camera, frame)) = self.mailbox.take(WAIT) else { continue };
            let Some(at) = self.eyes.iter().position(|eye| eye.camera == camera) else { continue };
            self.see(at, frame, &mut observations);
        }
    }

    /// One frame of the camera `self.eyes[at]`.
    fn see(&mut self, at: usize, frame: Frame, observations: &mut Vec<Observation>) {
        let begun = self.clock.monotonic();
        let captured = frame.meta().captured;
        self.timings.took(Stage::Wait, begun.since(captured));
        let ego = ego_at(&self.vehicle, captured);
        let light = self.eyes[at].light.see(&frame);
        observations.clear();
        let mut look = Look { found: Vec::new(), times: StageTimes::default(), sound: true, models: 0 };
        for model in 0..self.models.len() {
            let looker = &self.models[model];
            let serves = looker.cameras.contains(&self.eyes[at].camera);
            if serves && looker.when.holds(Some(light), ego.speed.fresh()) {
                self.look(at, model, &frame, &mut look, observations);
            } else if let Some((_, guard)) = self.eyes[at].guards.iter_mut().find(|(of, _)| *of == looker.number) {
                guard.idle();
            }
        }
        let eye = &self.eyes[at];
        eye.gauges.missing.store(look.models == 0, Ordering::Release);
        eye.gauges.models.store(look.models, Ordering::Relaxed);
        let decision = (look.sound && look.models != 0).then(|| {
            let input = FrameInput {
                camera: u8::try_from(eye.camera).unwrap_or(u8::MAX),
                frame: frame.meta().sequence,
                captured: Nanos(captured.as_nanos()),
                size: [frame.width(), frame.height()],
                observations,
                ego,
            };
            self.decide(eye, &input)
        });
        if decision.is_none() && look.models != 0 {
            eye.gauges.invalid.fetch_add(1, Ordering::Relaxed);
        }
        self.report(at, frame, look, decision, begun);
    }

    fn look(
        &mut self,
        at: usize,
        model: usize,
        frame: &Frame,
        look: &mut Look,
        observations: &mut Vec<Observation>,
    ) {
        let guard = self.guard_of(at, model);
        let (eye, looker) = (&mut self.eyes[at], &mut self.models[model]);
        let guard = &mut eye.guards[guard].1;
        let mut detections: Vec<Detection> = Vec::new();
        guard.begin(nanos(self.clock.monotonic()));
        let result = looker.detector.detect(frame, &mut detections);
        let captured = nanos(frame.meta().captured);
        guard.done(captured, nanos(self.clock.monotonic()), result.is_ok());
        look.models |= 1 << looker.number;
        let invalid = match result {
            Ok(times) => {
                look.times.prepare += times.prepare;
                look.times.infer += times.infer;
                look.times.decode += times.decode;
                observations.extend(detections.iter().filter_map(|seen| looker.roles.observation(seen)));
                None
            }
            Err(error) => {
                look.sound = false;
                detections.clear();
                let frame = frame.meta().sequence;
                self.notes.log(Level::WARN, format!("model {}, frame {frame}: {error}", looker.facts.name));
                Some(error.to_string())
            }
        };
        look.found.push(Found { model: Arc::clone(&looker.facts), detections, invalid });
    }

    /// Which of the eye's guards watches this model; made with the first frame, when the camera's period is known.
    fn guard_of(&mut self, at: usize, model: usize) -> usize {
        let number = self.models[model].number;
        let eye = &mut self.eyes[at];
        if let Some(known) = eye.guards.iter().position(|(of, _)| *of == number) {
            return known;
        }
        let period = eye.gauges.info.get().and_then(|info| info.period);
        let period = period.map(|period| Nanos(u64::try_from(period.as_nanos()).unwrap_or(u64::MAX)));
        let guard = ModelGuard::new(&self.guard, period, nanos(self.clock.monotonic()));
        if self.seats.try_send((eye.camera, guard.watch())).is_err() {
            self.notes.log(Level::ERROR, "the watch of a model found no room; a stalled model would not be noticed");
        }
        eye.guards.push((number, guard));
        eye.guards.len() - 1
    }

    fn decide(&self, eye: &Eye, input: &FrameInput<'_>) -> Decision {
        let begun = self.clock.monotonic();
        let mut decider = self.decider.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = decider.step(input).clone();
        drop(decider);
        let now = self.clock.monotonic();
        eye.decision.put(decision.clone());
        eye.gauges.decided(now, Monotonic::from_nanos(input.captured.0));
        self.timings.took(Stage::Decide, now.since(begun));
        decision
    }

    fn report(&self, at: usize, frame: Frame, look: Look, decision: Option<Decision>, begun: Monotonic) {
        let Look { found, times, .. } = look;
        self.timings.took(Stage::Prepare, times.prepare);
        self.timings.took(Stage::Infer, times.infer);
        self.timings.took(Stage::Decode, times.decode);
        let captured = frame.meta().captured;
        self.timings.took(Stage::Total, self.clock.monotonic().since(captured));
        if !self.notes.has_room_for_a_frame() {
            return;
        }
        let eye = &self.eyes[at];
        let latency = StageLatencies {
            capture: micros(begun.since(captured)),
            prepare: micros(times.prepare),
            infer: micros(times.infer),
            decode: micros(times.decode),
        };
        let (meta, size) = (frame.meta().clone(), [frame.width(), frame.height()]);
        let picture = eye.picture_wanted.swap(false, Ordering::Relaxed).then_some(frame);
        let report = FrameReport { camera: eye.camera, meta, size, found, decision, latency, picture };
        self.notes.frame(Box::new(report));
    }
}

/// What was seen of one frame so far.
struct Look {
    found: Vec<Found>,
    times: StageTimes,
    /// Every model gave numbers that can be.
    sound: bool,
    /// Bit i: model i looked.
    models: u64,
}

fn nanos(moment: Monotonic) -> Nanos {
    Nanos(moment.as_nanos())
}
