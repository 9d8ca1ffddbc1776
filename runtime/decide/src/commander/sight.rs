//! What the cameras' newest decisions ask for, and how old that is.

use heapless::Vec;

use crate::decision::{Ask, BrakeRequest, Decision, MAX_SITUATIONS, Phase, SituationKind, WarnLevel};
use crate::state::{Function, MAX_CAMERAS};
use crate::time::Nanos;

use super::config::{CommandConfig, milliseconds};

/// What of a camera's newest decision the commander needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    frame: u64,
    pub captured: Nanos,
    pub received: Nanos,
    /// What is asked for, for situations that the decision believes in.
    pub asks: Vec<Asked, MAX_SITUATIONS>,
    pub persons_down: u8,
}

/// What is asked for one situation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    /// The camera that saw its object last: its faults are this situation's.
    pub camera: u8,
    pub function: Function,
    pub situation: u32,
    pub brake: Option<BrakeRequest>,
    pub warn: Option<WarnLevel>,
}

/// Why a decision is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It is one.
    Fresh,
    /// The decision is older than its limit: inference stands.
    DecisionOld,
    /// The picture is older than its limit.
    PictureOld,
    /// The picture was taken after now.
    FromTheFuture,
}

/// The newest decision of every camera.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    seen: [Option<Seen>; MAX_CAMERAS],
}

impl Sight {
    /// Takes a decision in. One that is already known, older than what is known, or of a camera that cannot
    /// be, changes nothing.
    pub fn take(&mut self, now: Nanos, decision: &Decision) {
        let Some(seen) = self.seen.get(usize::from(decision.camera)) else { return };
        let same = |seen: &Seen| seen.frame == decision.frame && seen.captured == decision.captured;
        // What claims to be of the future must not shut out what is real.
        let older = |seen: &Seen| decision.captured < seen.captured && seen.captured <= now;
        if seen.as_ref().is_some_and(|seen| same(seen) || older(seen)) {
            return;
        }
        let mut asks = Vec::new();
        for ask in each(decision) {
            // As many as the decision has.
            asks.extend(self.judge(decision, ask));
        }
        self.seen[usize::from(decision.camera)] = Some(Seen {
            frame: decision.frame,
            captured: decision.captured,
            received: now,
            asks,
            persons_down: decision.request.persons_down,
        });
    }

    /// An ask with what it is about; none for what is only suspected, or over, or unknown.
    fn judge(&self, decision: &Decision, ask: Ask) -> Option<Asked> {
        let situation = decision.situations.iter().find(|situation| situation.id == ask.situation)?;
        if matches!(situation.phase, Phase::Suspected | Phase::Ended) {
            return None;
        }
        let function = function_of(situation.kind);
        // A decision holds the situations of all cameras, but only its own camera's tracks.
        let own = situation.track.is_some_and(|track| decision.tracks.iter().any(|view| view.id == track));
        let before =
            self.asks().find(|(_, asked)| asked.situation == ask.situation).map(|(_, asked)| asked.camera);
        Some(Asked {
            camera: before.filter(|_| !own).unwrap_or(decision.camera),
            function,
            situation: ask.situation,
            brake: ask.brake.filter(|brake| function.brakes() && brake.deceleration > 0.0),
            warn: ask.warn,
        })
    }

    /// Cameras with the newest that is known of them.
    pub fn all(&self) -> impl Iterator<Item = (u8, &Seen)> {
        (0u8..).zip(&self.seen).filter_map(|(camera, seen)| Some((camera, seen.as_ref()?)))
    }

    /// All that is asked for, each with the camera whose decision says so.
    pub fn asks(&self) -> impl Iterator<Item = (u8, &Asked)> {
        self.all().flat_map(|(camera, seen)| seen.asks.iter().map(move |asked| (camera, asked)))
    }

    /// The newest of one camera.
    pub fn of(&self, camera: u8) -> Option<&Seen> {
        self.seen.get(usize::from(camera))?.as_ref()
    }
}

/// What each situation asks for; of a decision that does not say it singly, what it asks for altogether.
fn each(decision: &Decision) -> impl Iterator<Item = Ask> + '_ {
    let request = &decision.request;
    let brake = request.brake.map(|brake| Ask { situation: brake.situation, brake: Some(brake), warn: None });
    let warn =
        request.warn.map(|warn| Ask { situation: warn.situation, brake: None, warn: Some(warn.level) });
    let together = decision.asks.is_empty();
    decision.asks.iter().copied().chain(brake.into_iter().chain(warn).filter(move |_| together))
}

impl Seen {
    pub fn age(&self, now: Nanos, config: &CommandConfig) -> Age {
        if self.captured > now {
            Age::FromTheFuture
        } else if now.since(self.captured) > milliseconds(config.max_object_age_ms) {
            Age::PictureOld
        } else if now.since(self.received) > milliseconds(config.max_decision_age_ms) {
            Age::DecisionOld
        } else {
            Age::Fresh
        }
    }
}

fn function_of(kind: SituationKind) -> Function {
    match kind {
        SituationKind::StopSign => Function::StopSign,
        SituationKind::Pedestrian => Function::Pedestrian,
        SituationKind::Fall => Function::Fall,
        SituationKind::Watched(_) => Function::Watch,
    }
}
