//! An inference thread: fetches the next frame by priority, lets every model look at it that serves its camera under the
//! present conditions, decides, and hands the decision over. Then the next frame: what came meanwhile and was replaced is
//! gone.
//!
//! Nothing here waits for a reader: decisions go into slots, reports into a bounded channel.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stopline_decide::decision::Decision;
use stopline_decide::ego::Ego;
use stopline_decide::time::Nanos;
use stopline_depot::record::StageLatencies;
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::frame::Frame;
use tracing::Level;

use super::drive::Drive;
use super::exchange::{Exchange, Onlooker};
use super::light::LightMeter;
use super::news::Situations;
use super::notes::Notes;
use super::report::{Decided, Found, FrameReport, ModelFacts, ModelSeat};
use super::slot::Slot;
use super::timing::{Stage, Timings};
use crate::attention::{self, Answer, Attention, Way};
use crate::capture::door::Door;
use crate::config::{GuardConfig, When};
use crate::detection::Detection;
use crate::detector::{DetectError, Detector, StageTimes};
use crate::guard::{ModelGuard, Watch};
use crate::intake::gauges::Gauges;
use crate::intake::mailbox::Mailbox;
use crate::observe::Roles;
use crate::percentiles::micros;
use crate::pipeline::{Deciding, FrameFacts, Origin};

/// How long the thread waits for a frame before it looks whether it is to end.
const WAIT: Duration = Duration::from_millis(100);

/// A loaded model, with the scratch memory of this thread.
pub struct Looker {
    /// Its number in the configuration.
    pub number: usize,
    /// Who it is.
    pub facts: Arc<ModelFacts>,
    /// Where its frames are counted.
    pub seat: Arc<ModelSeat>,
    /// Prepare, infer, decode.
    pub detector: Detector,
    /// Which part its classes play.
    pub roles: Roles,
    /// When it serves.
    pub when: When,
    /// The cameras of this thread that it serves.
    pub cameras: Vec<usize>,
    /// Where another one comes in its place, for a model over the air.
    pub exchange: Option<Arc<Exchange>>,
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
    /// How much of a frame is looked at.
    pub attention: Attention,
    /// What was found in the frame that was looked at last; kept only where it may stand for later ones.
    pub answered: Vec<Found>,
    /// Situations that were counted.
    pub situations: Situations,
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
    pub deciding: Arc<Mutex<Deciding>>,
    /// The vehicle.
    pub vehicle: Drive,
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
    /// Set while the machine is throttled or its supply too low: cameras that are not the first then get half their frames.
    pub shed: Arc<AtomicBool>,
    /// Where a new model that looks on gets frames, by the number of the model that it may replace.
    pub onlookers: Vec<(usize, Arc<Onlooker>)>,
    /// Where frames worth learning from are handed, where any are.
    pub capture: Option<Door>,
    /// Priorities of all cameras, by their numbers.
    pub priorities: Vec<Arc<AtomicU8>>,
    /// Set when the process ends.
    pub stop: Arc<AtomicBool>,
}

impl Looker {
    /// Detects; where another model waits to take this one's place, that one is asked first. It has the place from the
    /// moment it answers; where it cannot, this one answers for the same frame and keeps it.
    fn exchange_and_detect(
        &mut self,
        frame: &Frame,
        way: Way,
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let Some(mut next) = self.exchange.as_ref().and_then(|exchange| exchange.waiting()) else {
            return match way {
                Way::Part(part) => self.detector.detect_part(frame, part, found),
                Way::Whole | Way::Again(_) => self.detector.detect(frame, found),
            };
        };
        let answer = next.detector.detect(frame, found);
        let answered = match answer {
            Ok(times) => {
                std::mem::swap(&mut self.detector, &mut next.detector);
                std::mem::swap(&mut self.roles, &mut next.roles);
                std::mem::swap(&mut self.facts, &mut next.facts);
                // In this order: whoever reads both must not count for the new one what the old one did.
                self.seat.pace.anew();
                self.seat.facts.put(Arc::clone(&self.facts));
                Ok(times)
            }
            Err(error) => {
                found.clear();
                Err(error)
            }
        };
        let problem = answered.as_ref().err().map(ToString::to_string);
        // What is not needed any more is let go by another thread: that can take longer than a frame.
        if let Some(exchange) = &self.exchange {
            exchange.answer(next, problem);
        }
        answered.or_else(|_| self.detector.detect(frame, found))
    }
}

impl Looking {
    /// Runs until the process ends.
    pub fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some((camera, frame)) = self.mailbox.take(WAIT) else { continue };
            let Some(at) = self.eyes.iter().position(|eye| eye.camera == camera) else { continue };
            if self.sheds(camera, frame.meta().sequence) {
                self.eyes[at].gauges.shed.fetch_add(1, Ordering::Relaxed);
            } else {
                self.see(at, frame);
            }
        }
    }

    /// Whether this frame is left out for the camera that matters most.
    fn sheds(&self, camera: usize, sequence: u64) -> bool {
        if !self.shed.load(Ordering::Relaxed) || sequence.is_multiple_of(2) {
            return false;
        }
        let priority = |of: &Arc<AtomicU8>| of.load(Ordering::Relaxed);
        let first = self.priorities.iter().map(priority).max();
        self.priorities.get(camera).map(priority) < first
    }

    /// One frame of the camera `self.eyes[at]`.
    fn see(&mut self, at: usize, frame: Frame) {
        let begun = self.clock.monotonic();
        let captured = frame.meta().captured;
        self.timings.took(Stage::Wait, begun.since(captured));
        self.vehicle.frame(frame.meta());
        let ego = self.vehicle.at(captured);
        let light = self.eyes[at].light.see(&frame);
        let serving = |looker: &Looker| {
            looker.cameras.contains(&self.eyes[at].camera)
                && looker.when.holds(Some(light), ego.speed.fresh())
        };
        let places: u64 = self.places(serving);
        let way = self.way(at, places, &frame, &ego);
        let mut look = Look { way, ..Look::begin() };
        for model in 0..self.models.len() {
            let number = self.models[model].number;
            if places & (1 << model) == 0 {
                let guard = self.eyes[at].guards.iter_mut().find(|(of, _)| *of == number);
                guard.into_iter().for_each(|(_, guard)| guard.idle());
            } else if matches!(way, Way::Again(_)) {
                look.models |= 1 << number;
            } else if self.leaves_out(at, model, &frame, &look, begun) {
                look.left |= 1 << model;
                self.eyes[at].gauges.left_out.fetch_add(1, Ordering::Relaxed);
            } else {
                self.look(at, model, &frame, &mut look);
            }
        }
        if matches!(way, Way::Again(_)) {
            look.found.clone_from(&self.eyes[at].answered);
        }
        let eye = &self.eyes[at];
        eye.gauges.missing.store(look.models == 0, Ordering::Release);
        eye.gauges.models.store(look.models, Ordering::Relaxed);
        let decision = (look.sound && look.models != 0).then(|| self.decide(eye, &frame, &look, ego));
        if let Some(decided) = &decision {
            self.count(at, places & !look.left, &decided.decision);
        }
        let eye = &mut self.eyes[at];
        eye.noted(&frame, &look, places, decision.as_ref().map(|decided| &decided.decision));
        if decision.is_none() && look.models != 0 {
            eye.gauges.invalid.fetch_add(1, Ordering::Relaxed);
        }
        self.report(at, frame, look, decision, begun);
    }

    /// Counts what a decision brought with all models that looked: which of several led to it is not told apart.
    fn count(&mut self, at: usize, places: u64, decision: &Decision) {
        let news = self.eyes[at].situations.news(decision);
        let looked = self.models.iter().enumerate().filter(|(place, _)| places & (1 << place) != 0);
        looked.for_each(|(_, looker)| looker.seat.pace.brought(news));
    }

    /// Bit i: the model in place i serves.
    fn places(&self, serves: impl Fn(&Looker) -> bool) -> u64 {
        let bit = |(place, looker): (usize, &Looker)| u64::from(serves(looker)) << place;
        self.models.iter().enumerate().map(bit).fold(0, |all, one| all | one)
    }

    /// How a frame is looked at by the models in `places`. One that waits for another's place has to be asked, and one that
    /// cannot look at parts looks at all of it.
    fn way(&mut self, at: usize, places: u64, frame: &Frame, ego: &Ego) -> Way {
        let way = self.eyes[at].attention.way(frame, places, ego);
        let serving = || self.models.iter().enumerate().filter(|(place, _)| places & (1 << place) != 0);
        let exchanged =
            |looker: &Looker| looker.exchange.as_ref().is_some_and(|exchange| exchange.is_waiting());
        let whole = serving().any(|(_, looker)| {
            exchanged(looker) || (matches!(way, Way::Part(_)) && !looker.detector.takes_parts())
        });
        if whole { Way::Whole } else { way }
    }

    /// Whether the model in place `model` is left out of `frame`, because its time is spent. Never the first that looks at
    /// it, nor one whose place another waits for.
    fn leaves_out(&mut self, at: usize, model: usize, frame: &Frame, look: &Look, begun: Monotonic) -> bool {
        let looker = &self.models[model];
        let waits = looker.exchange.as_ref().is_some_and(|exchange| exchange.is_waiting());
        if look.models == 0 || waits {
            return false;
        }
        let spent = self.clock.monotonic().since(begun);
        self.eyes[at].attention.leaves_out(model, frame, spent, &looker.roles)
    }

    fn look(&mut self, at: usize, model: usize, frame: &Frame, look: &mut Look) {
        let guard = self.guard_of(at, model);
        let (eye, looker) = (&mut self.eyes[at], &mut self.models[model]);
        let guard = &mut eye.guards[guard].1;
        let mut detections: Vec<Detection> = Vec::new();
        let begun = self.clock.monotonic();
        guard.begin(nanos(begun));
        looker.seat.pace.begin(begun);
        let result = looker.exchange_and_detect(frame, look.way, &mut detections);
        let captured = nanos(frame.meta().captured);
        guard.done(captured, nanos(self.clock.monotonic()), result.is_ok());
        looker.seat.frames.fetch_add(1, Ordering::Relaxed);
        looker.seat.pace.done(self.clock.monotonic(), result.is_ok());
        look.models |= 1 << looker.number;
        eye.attention.answered(model, frame, result.is_ok());
        let invalid = match result {
            Ok(times) => {
                look.times.prepare += times.prepare;
                look.times.infer += times.infer;
                look.times.decode += times.decode;
                None
            }
            Err(error) => {
                look.sound = false;
                detections.clear();
                let frame = frame.meta().sequence;
                // The first, then ever more rarely: a model that has gone wrong must not fill the log.
                let before = eye.gauges.invalid.load(Ordering::Relaxed);
                if (before + 1).is_power_of_two() {
                    let text = format!(
                        "model {}, frame {frame}, the {}. invalid one: {error}",
                        looker.facts.name,
                        before + 1
                    );
                    self.notes.log(Level::WARN, text);
                }
                Some(error.to_string())
            }
        };
        look.found.push(Found { model: Arc::clone(&looker.facts), place: model, detections, invalid });
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
            self.notes.log(
                Level::ERROR,
                "the watch of a model found no room; a stalled model would not be noticed",
            );
        }
        eye.guards.push((number, guard));
        eye.guards.len() - 1
    }

    fn decide(&self, eye: &Eye, frame: &Frame, look: &Look, ego: Ego) -> Decided {
        let begun = self.clock.monotonic();
        let captured = frame.meta().captured;
        let facts = FrameFacts {
            camera: u8::try_from(eye.camera).unwrap_or(u8::MAX),
            number: frame.meta().sequence,
            captured: nanos(captured),
            size: [frame.width(), frame.height()],
        };
        let mut deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        deciding.begin();
        for found in &look.found {
            deciding.see(&found.detections, &self.models[found.place].roles);
        }
        let decision = deciding.decide(&facts, ego).clone();
        let begins = look.begins();
        let place = |Origin { model, detection }: Origin| {
            begins.get(usize::from(model)).copied().unwrap_or_default().saturating_add(detection)
        };
        let places = (0..).map_while(|observation| deciding.origin(observation)).map(place).collect();
        drop(deciding);
        eye.decision.put(decision.clone());
        let now = self.clock.monotonic();
        eye.gauges.decided(now);
        self.timings.took(Stage::Decide, now.since(begun));
        Decided { decision, ego, places }
    }

    fn report(&self, at: usize, frame: Frame, look: Look, decision: Option<Decided>, begun: Monotonic) {
        let Look { found, times, way, .. } = look;
        if !matches!(way, Way::Again(_)) {
            self.timings.took(Stage::Prepare, times.prepare);
            self.timings.took(Stage::Infer, times.infer);
            self.timings.took(Stage::Decode, times.decode);
        }
        let captured = frame.meta().captured;
        self.timings.took(Stage::Total, self.clock.monotonic().since(captured));
        let eye = &self.eyes[at];
        let (meta, size) = (frame.meta().clone(), [frame.width(), frame.height()]);
        let room = self.notes.has_room_for_a_frame();
        let door = self.capture.as_ref().filter(|door| door.is_open(eye.camera));
        let kept = door.is_some_and(|door| door.wants(eye.camera, &meta, &found));
        let (mut picture, mut shown) = (None, None);
        if kept {
            shown = Some(frame);
        } else if room && eye.picture_wanted.swap(false, Ordering::Relaxed) {
            picture = Some(frame);
        } else if way == Way::Whole {
            // Against what was found in a part, or in another frame, a new model cannot be held.
            self.show(&found, frame);
        }
        if !room && door.is_none() {
            return;
        }
        let latency = StageLatencies {
            capture: micros(begun.since(captured)),
            prepare: micros(times.prepare),
            infer: micros(times.infer),
            decode: micros(times.decode),
        };
        let looked = way.recorded(captured);
        let report =
            FrameReport { camera: eye.camera, meta, size, found, looked, decision, latency, picture };
        if let Some(door) = door {
            door.hand(Box::new(report.with_picture(shown)));
        }
        if room {
            self.notes.frame(Box::new(report));
        }
    }
}

impl Looking {
    /// Hands the frame to a model that looks on, if there is one that has time for it.
    fn show(&self, found: &[Found], frame: Frame) {
        for (number, onlooker) in self.onlookers.iter().filter(|(_, onlooker)| onlooker.has_time()) {
            let of = found
                .iter()
                .find(|found| self.models[found.place].number == *number && found.invalid.is_none());
            if let Some(of) = of {
                return onlooker.show(frame, of.detections.clone());
            }
        }
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
    /// Bit i: the model in place i was left out.
    left: u64,
    /// How the frame is looked at.
    way: Way,
}

impl Eye {
    /// What a frame's look led to, for the looks at the next ones. `places`: bit i: the model in place i served.
    fn noted(&mut self, frame: &Frame, look: &Look, places: u64, decision: Option<&Decision>) {
        let counted = match look.way {
            Way::Whole => None,
            Way::Part(_) => Some(&self.gauges.narrowed),
            Way::Again(_) => Some(&self.gauges.still),
        };
        if let Some(counter) = counted {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let rests = self.attention.rests() && !matches!(look.way, Way::Again(_));
        let agrees = rests
            && self.answered.len() == look.found.len()
            && self.answered.iter().zip(&look.found).all(|(one, other)| {
                one.place == other.place && attention::agree(&one.detections, &other.detections)
            });
        self.attention.looked(
            frame,
            look.way,
            places,
            Answer { sound: look.sound && look.left == 0, agrees, decision },
        );
        if rests {
            self.answered.clone_from(&look.found);
        }
    }
}

impl Look {
    fn begin() -> Self {
        let way = Way::Whole;
        Self { found: Vec::new(), times: StageTimes::default(), sound: true, models: 0, left: 0, way }
    }

    /// Where each model's detections begin in all of them in a row.
    fn begins(&self) -> Vec<u16> {
        let mut sum = 0_u16;
        let begin = |found: &Found| {
            let begin = sum;
            sum = sum.saturating_add(u16::try_from(found.detections.len()).unwrap_or(u16::MAX));
            begin
        };
        self.found.iter().map(begin).collect()
    }
}

fn nanos(moment: Monotonic) -> Nanos {
    Nanos(moment.as_nanos())
}
