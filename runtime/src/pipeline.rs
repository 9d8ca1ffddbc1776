//! From what was seen to what is commanded: the one piece that the daemon and the replay share.
//!
//! Two halves, because two threads own them. [`Deciding`] runs where the models do: observations of one frame become a
//! [`Decision`]. [`Acting`] runs every actuator period: decisions, signals and health become a [`Command`], by the state
//! machine and the safe-command table. Both are pure: time comes in, nothing is read or sent.
//!
//! [`virtual_time`] drives both by the capture times of a recording, as the daemon's threads would.

pub mod virtual_time;

use stopline_decide::bounds::OutOfBounds;
use stopline_decide::cause::State;
use stopline_decide::command::Command;
use stopline_decide::commander::{CommandConfig, Commander};
use stopline_decide::decider::{DecideConfig, Decider, FrameInput};
use stopline_decide::decision::Decision;
use stopline_decide::ego::Ego;
use stopline_decide::observe::Observation;
use stopline_decide::state::{Changes, Faults, Machine, Progress};
use stopline_decide::time::Nanos;

use crate::detection::Detection;
use crate::guard::Guard;
use crate::observe::Roles;

/// Most observations of one frame; the strongest are kept.
const MOST: usize = 256;

/// A frame, as far as deciding needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameFacts {
    /// The camera's number in the configuration.
    pub camera: u8,
    /// The frame's number, as its source counts.
    pub number: u64,
    /// When the picture was taken.
    pub captured: Nanos,
    /// Pixels across and down.
    pub size: [u32; 2],
}

/// Where an observation came from: which of the frame's models, and which of its detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The model, in the order they were [seen](Deciding::see).
    pub model: u8,
    /// Its detection, by place in its list.
    pub detection: u16,
}

/// Observations to decisions. Allocates nothing from frame to frame once it has seen a full one.
pub struct Deciding {
    decider: Decider,
    observations: Vec<Observation>,
    origins: Vec<Origin>,
    models: u8,
}

impl Deciding {
    /// With these settings.
    ///
    /// # Errors
    /// The first that is out of its bounds.
    pub fn new(config: DecideConfig) -> Result<Self, OutOfBounds> {
        Ok(Self {
            decider: Decider::new(config)?,
            observations: Vec::with_capacity(MOST),
            origins: Vec::with_capacity(MOST),
            models: 0,
        })
    }

    /// Begins a frame.
    pub fn begin(&mut self) {
        self.observations.clear();
        self.origins.clear();
        self.models = 0;
    }

    /// What one model saw in the frame. To be called once for each model that looked at it.
    pub fn see(&mut self, found: &[Detection], roles: &Roles) {
        let model = self.models;
        self.models = self.models.saturating_add(1);
        for (at, detection) in found.iter().enumerate() {
            let (Some(observation), Ok(detection)) = (roles.observation(detection), u16::try_from(at)) else {
                continue;
            };
            if self.observations.len() < MOST {
                self.observations.push(observation);
                self.origins.push(Origin { model, detection });
            }
        }
    }

    /// Decides on the frame; `ego` at its capture time.
    pub fn decide(&mut self, frame: &FrameFacts, ego: Ego) -> &Decision {
        self.decider.step(&FrameInput {
            camera: frame.camera,
            frame: frame.number,
            captured: frame.captured,
            size: frame.size,
            observations: &self.observations,
            ego,
        })
    }

    /// Somebody has answered the alert of the fall `situation`: it is silent until it alerts again by its own time.
    /// `false`: there is no such fall.
    pub fn acknowledge(&mut self, now: Nanos, situation: u32) -> bool {
        self.decider.acknowledge(now, situation)
    }

    /// Which detection the observation number `observation` of this frame was.
    pub fn origin(&self, observation: u16) -> Option<Origin> {
        self.origins.get(usize::from(observation)).copied()
    }
}

/// What the thread that acts knows in one period.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    /// The newest signals.
    pub ego: Ego,
    /// An actuator cannot be driven.
    pub actuator_fault: bool,
    /// Whether commands are armed.
    pub armed: bool,
    /// How far the runtime has come.
    pub progress: Progress,
}

/// What a period led to.
#[derive(Clone, Copy, Debug)]
pub struct Acted {
    /// To be sent.
    pub command: Command,
    /// The state it was made in.
    pub state: State,
    /// What changed since the last period.
    pub changes: Changes,
    /// What counts as wrong.
    pub faults: Faults,
}

/// Decisions to commands.
pub struct Acting {
    guard: Guard,
    machine: Machine,
    commander: Commander,
}

impl Acting {
    /// With these limits; [`CommandConfig::check`] and the guard's are the caller's to ask.
    pub fn new(guard: Guard, config: CommandConfig) -> Self {
        Self { guard, machine: Machine::new(), commander: Commander::new(config) }
    }

    /// A camera's newest decision, received at `now`. Giving the same one again changes nothing.
    pub fn take(&mut self, now: Nanos, decision: &Decision) {
        self.commander.take(now, decision);
    }

    /// The period that begins at `now`.
    pub fn tick(&mut self, now: Nanos, period: &Period) -> Acted {
        let Period { ego, actuator_fault, armed, progress } = period;
        let watched = self.guard.tick(now, ego, *actuator_fault);
        // What the commander found in the period before: decisions too old, signals missing. One period late, and in the
        // command itself at once.
        let present = watched.union(&self.found(&watched));
        let changes = self.machine.step(now, &present, *progress);
        let faults = *self.machine.faults();
        let command = self.commander.tick(now, None, ego, &faults, *armed);
        Acted { command, state: self.machine.state(), changes, faults }
    }

    /// Health, to be told of what is known elsewhere.
    pub fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }

    /// The state since the last period.
    pub fn state(&self) -> State {
        self.machine.state()
    }

    /// What the commander found, with the functions that the cameras carry.
    fn found(&self, watched: &Faults) -> Faults {
        let mut found = *self.commander.found();
        for (found, watched) in found.cameras.iter_mut().zip(&watched.cameras) {
            found.functions = watched.functions;
        }
        found
    }
}
