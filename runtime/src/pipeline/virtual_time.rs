//! The pipeline on a clock that only frames move: frames arrive at their capture times, a decision is ready a fixed time
//! later, and the actuator's periods run in between, each at its own exact time. What comes out depends on what goes in
//! and on nothing else: not on this machine's speed, not on when it was started.

use std::collections::VecDeque;

use stopline_decide::cause::FaultSet;
use stopline_decide::decision::Decision;
use stopline_decide::ego::Ego;
use stopline_decide::state::{Progress, Transition};
use stopline_decide::time::Nanos;

use super::{Acted, Acting, Period};
use crate::guard::ModelGuard;

/// Most periods between two frames: an hour at 50 a second. A recording with a longer hole is not played through it.
const MOST_PERIODS: u64 = 180_000;

/// How time runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one command to the next.
    pub period: Nanos,
    /// From taking a picture to its decision.
    pub latency: Nanos,
}

impl Default for Pace {
    /// 50 commands a second; 50 ms from picture to decision.
    fn default() -> Self {
        Self { period: Nanos::from_millis(20), latency: Nanos::from_millis(50) }
    }
}

/// What became of one frame.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The decision; empty where the frame was not decided on.
    pub decision: Decision,
    /// Faults of the frame's camera as the guard saw them with this frame.
    pub seen: FaultSet,
    /// The first period that knew the decision.
    pub acted: Acted,
}

/// One camera's frames through the pipeline.
pub struct VirtualTime {
    pace: Pace,
    acting: Acting,
    model: ModelGuard,
    /// When the next period begins; `None` before the first frame.
    next: Option<Nanos>,
    /// Decisions not yet known to the actuator, in order: when they will be, and whether the model's numbers could be.
    waiting: VecDeque<Waiting>,
    done: VecDeque<Outcome>,
    transitions: Vec<Transition>,
    /// What was armed at each period is the caller's to say.
    armed: bool,
}

struct Waiting {
    due: Nanos,
    valid: bool,
    decided: bool,
    seen: FaultSet,
    decision: Decision,
}

/// Newest signals at a time.
pub type Signals<'a> = dyn Fn(Nanos) -> Ego + 'a;

impl VirtualTime {
    /// `acting` has one camera, with `model`'s watch among its own.
    pub fn new(pace: Pace, acting: Acting, model: ModelGuard, armed: bool) -> Self {
        Self {
            pace,
            acting,
            model,
            next: None,
            waiting: VecDeque::new(),
            done: VecDeque::new(),
            transitions: Vec::new(),
            armed,
        }
    }

    /// Runs all periods before `captured`, when the next frame arrives. To be called before the guard sees that frame.
    pub fn run_until(&mut self, captured: Nanos, signals: &Signals<'_>) {
        let mut next = *self.next.get_or_insert(captured);
        let behind = captured.since(next).0 / self.pace.period.0.max(1);
        if behind > MOST_PERIODS {
            next = next.plus(Nanos((behind - MOST_PERIODS) * self.pace.period.0));
        }
        while next < captured {
            self.period(next, signals);
            next = next.plus(Nanos(self.pace.period.0.max(1)));
        }
        self.next = Some(next);
    }

    /// A frame that the guard let through, and what was decided on it. `valid` where the model's numbers could be; `seen`:
    /// what the guard saw.
    pub fn decided(&mut self, decision: &Decision, valid: bool, seen: FaultSet) {
        self.wait(decision.clone(), valid, true, seen);
    }

    /// A frame that nothing is decided on: it is no new picture.
    pub fn dropped(&mut self, decision: Decision, seen: FaultSet) {
        self.wait(decision, true, false, seen);
    }

    /// The recording is over: runs on until every frame's outcome is known.
    pub fn finish(&mut self, signals: &Signals<'_>) {
        if let Some(last) = self.waiting.back() {
            let end = last.due.plus(Nanos(self.pace.period.0 + 1));
            self.run_until(end, signals);
        }
    }

    /// The next frame's outcome, in the frames' order, once it is known.
    pub fn outcome(&mut self) -> Option<Outcome> {
        self.done.pop_front()
    }

    /// Changes of state since the last call.
    pub fn transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// The half that acts.
    pub fn acting(&mut self) -> &mut Acting {
        &mut self.acting
    }

    fn wait(&mut self, decision: Decision, valid: bool, decided: bool, seen: FaultSet) {
        if decided {
            self.model.begin(decision.captured);
        }
        let due = decision.captured.plus(self.pace.latency);
        self.waiting.push_back(Waiting { due, valid, decided, seen, decision });
    }

    fn period(&mut self, now: Nanos, signals: &Signals<'_>) {
        let ready = self.waiting.iter().take_while(|waiting| waiting.due <= now).count();
        for waiting in self.waiting.iter().take(ready).filter(|waiting| waiting.decided) {
            self.model.done(waiting.decision.captured, waiting.due, waiting.valid);
            if waiting.valid {
                self.acting.take(now, &waiting.decision);
            }
        }
        if let Some(younger) = self.waiting.iter().skip(ready).find(|waiting| waiting.decided) {
            // The model is at this one now.
            self.model.begin(younger.decision.captured);
        }
        let progress = Progress { opened: true, deciding: true };
        let period = Period { ego: signals(now), actuator_fault: false, armed: self.armed, progress };
        let acted = self.acting.tick(now, &period);
        self.transitions.extend(acted.changes.transition);
        for waiting in self.waiting.drain(..ready) {
            self.done.push_back(Outcome { decision: waiting.decision, seen: waiting.seen, acted });
        }
    }
}
