//! What the cameras' newest decisions ask for, and how old that is.

use crate::decision::{BrakeRequest, Decision, Phase, SituationKind, WarnLevel};
use crate::state::{Function, MAX_CAMERAS};
use crate::time::Nanos;

use super::config::{CommandConfig, milliseconds};

/// What of a camera's newest decision the commander needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    frame: u64,
    pub captured: Nanos,
    pub received: Nanos,
    /// The brake that is asked for, for a situation that the decision believes in.
    pub brake: Option<(Function, BrakeRequest)>,
    pub warn: Option<(Function, u32, WarnLevel)>,
    pub persons_down: u8,
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
    /// Takes a decision in. One that is already known, or of a camera that cannot be, changes nothing.
    pub fn take(&mut self, now: Nanos, decision: &Decision) {
        let Some(seen) = self.seen.get_mut(usize::from(decision.camera)) else { return };
        let known =
            seen.is_some_and(|seen| seen.frame == decision.frame && seen.captured == decision.captured);
        if !known {
            *seen = Some(Seen::of(now, decision));
        }
    }

    /// Cameras with the newest that is known of them.
    pub fn all(&self) -> impl Iterator<Item = (u8, &Seen)> {
        (0u8..).zip(&self.seen).filter_map(|(camera, seen)| Some((camera, seen.as_ref()?)))
    }

    /// The newest of one camera.
    pub fn of(&self, camera: u8) -> Option<&Seen> {
        self.seen.get(usize::from(camera))?.as_ref()
    }
}

impl Seen {
    fn of(now: Nanos, decision: &Decision) -> Self {
        let kind = |id: u32| {
            let situation = decision.situations.iter().find(|situation| situation.id == id)?;
            let believed = !matches!(situation.phase, Phase::Suspected | Phase::Ended);
            believed.then(|| function_of(situation.kind))
        };
        let brake = decision.request.brake.and_then(|brake| Some((kind(brake.situation)?, brake)));
        let warn =
            decision.request.warn.and_then(|warn| Some((kind(warn.situation)?, warn.situation, warn.level)));
        Self {
            frame: decision.frame,
            captured: decision.captured,
            received: now,
            brake: brake.filter(|(function, _)| function.brakes()),
            warn,
            persons_down: decision.request.persons_down,
        }
    }

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
