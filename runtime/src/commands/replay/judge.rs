//! The deciding half of a replay: the daemon's pipeline on virtual time, with one camera.

use std::time::Duration;

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::decision::Decision;
use stopline_decide::ego::Ego;
use stopline_decide::time::Nanos;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::Frame;
use stopline_sensors::signals::VehicleSignals;

use super::eyes::Looked;
use super::plan::Plan;
use crate::exit::{Exit, Failure, OrExit};
use crate::guard::{CameraGuard, Guard, ModelGuard, SignalGuard, Verdict};
use crate::observe::Roles;
use crate::pipeline::virtual_time::{Outcome, VirtualTime};
use crate::pipeline::{Acting, Deciding, FrameFacts};
use crate::signals::ego;

/// Speed above which a vehicle drives, in m/s.
const DRIVES: f32 = 1.0;

/// Decides.
pub struct Judge {
    deciding: Deciding,
    camera: CameraGuard,
    time: VirtualTime,
    signals: VehicleSignals,
    /// From the frames' clock to the recording's timeline, as of the newest frame: capture time and position.
    timeline: (Nanos, Duration),
}

/// What was decided on a frame; its outcome comes later.
pub struct Decided {
    /// Signals when the picture was taken.
    pub ego: Ego,
    /// For each observation the detection that it was.
    pub places: Vec<Option<u16>>,
}

impl Judge {
    /// By `plan`, from the first frame's time `now` on.
    pub fn new(plan: &Plan, now: Nanos) -> Result<Self, Failure> {
        let camera = CameraGuard::new(&plan.config.guard, plan.facts.clone(), now);
        let model = ModelGuard::new(&plan.config.guard, plan.facts.period, now);
        let mut guard = Guard::new(SignalGuard::new(&plan.config.guard, plan.promised));
        let functions =
            plan.config.cameras.first().map(crate::config::Camera::function_set).unwrap_or_default();
        guard.camera(functions, vec![camera.watch(), model.watch()]);
        let command = plan.command();
        let deciding = Deciding::new(plan.decide.clone()).or_exit(Exit::Config)?;
        let time = VirtualTime::new(plan.pace, Acting::new(guard, command), model, false);
        Ok(Self { deciding, camera, time, signals: plan.signals.clone(), timeline: (now, Duration::ZERO) })
    }

    /// A frame arrives: every period before it runs, then the guard looks at it.
    pub fn arrives(&mut self, frame: &Frame) -> (Verdict, Ego) {
        let captured = Nanos(frame.meta().captured.as_nanos());
        self.run_until(captured);
        self.timeline = (captured, frame.meta().position.unwrap_or_default());
        let ego = self.ego_at(captured);
        self.camera.drives(ego.speed.fresh().is_some_and(|speed| speed.abs() > DRIVES));
        (self.camera.frame(frame, captured), ego)
    }

    /// A frame that is known by its record only: number, capture time and position, and what the guard saw then.
    pub fn arrives_recorded(
        &mut self,
        number: u64,
        (captured, position): (Nanos, Duration),
        faults: FaultSet,
        dropped: Option<Cause>,
    ) -> Ego {
        self.run_until(captured);
        self.timeline = (captured, position);
        self.camera.recorded(number, captured, faults, dropped);
        self.ego_at(captured)
    }

    /// Decides on a frame.
    pub fn decide<'r>(
        &mut self,
        facts: &FrameFacts,
        looked: &Looked,
        roles: impl Fn(usize) -> &'r Roles,
        ego: Ego,
    ) -> Decided {
        self.deciding.begin();
        for (model, found) in &looked.by_model {
            self.deciding.see(found, roles(*model));
        }
        let seen = self.camera.faults();
        let valid = looked.invalid.is_none();
        if valid {
            let decision = self.deciding.decide(facts, ego).clone();
            self.time.decided(&decision, true, seen);
        } else {
            self.time.decided(&empty(facts), false, seen);
        }
        let origins = (0..).map_while(|at| self.deciding.origin(at));
        Decided { ego, places: origins.map(|origin| looked.place(origin)).collect() }
    }

    /// A frame that nothing is decided on.
    pub fn drop(&mut self, facts: &FrameFacts) {
        let seen = self.camera.faults();
        self.time.dropped(empty(facts), seen);
    }

    /// The next frame's outcome, once it is known.
    pub fn outcome(&mut self) -> Option<Outcome> {
        self.time.outcome()
    }

    /// The recording is over.
    pub fn finish(&mut self) {
        let (signals, timeline) = (self.signals.clone(), self.timeline);
        self.time.finish(&move |now| newest(&signals, timeline, now));
    }

    fn run_until(&mut self, captured: Nanos) {
        let (signals, timeline) = (self.signals.clone(), self.timeline);
        self.time.run_until(captured, &move |now| newest(&signals, timeline, now));
    }

    fn ego_at(&self, captured: Nanos) -> Ego {
        ego(&self.signals.at(on_timeline(self.timeline, captured)))
    }
}

/// A decision that says nothing.
pub fn empty(facts: &FrameFacts) -> Decision {
    Decision { camera: facts.camera, frame: facts.number, captured: facts.captured, ..Decision::default() }
}

fn newest(signals: &VehicleSignals, timeline: (Nanos, Duration), now: Nanos) -> Ego {
    ego(&signals.newest(on_timeline(timeline, now)))
}

/// A moment of the frames' clock on the recording's timeline, which is the one signal tracks have.
fn on_timeline((captured, position): (Nanos, Duration), now: Nanos) -> Monotonic {
    Monotonic::from_nanos(0).plus(position + Duration::from_nanos(now.since(captured).0))
}
