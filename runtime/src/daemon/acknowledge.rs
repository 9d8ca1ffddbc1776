//! Somebody answered: every fall that is open now is silent until it alerts again by its own time (`fall.again_min`). A
//! fall that comes later alerts anew. Answers come through the outbox, from the agent, or by `stopline acknowledge`.

use std::sync::{Arc, Mutex, PoisonError};

use stopline_decide::decision::{Decision, Phase, SituationKind};
use stopline_decide::time::Nanos;

use super::slot::Slot;
use crate::pipeline::Deciding;

/// Where open falls are found and silenced.
#[derive(Clone)]
pub struct Acknowledge {
    /// Decides, for the cameras of all threads.
    pub deciding: Arc<Mutex<Deciding>>,
    /// Every camera's newest decision.
    pub decisions: Vec<Arc<Slot<Decision>>>,
}

impl Acknowledge {
    /// Silences every fall that is open at `now`; how many.
    pub fn all(&self, now: Nanos) -> usize {
        let open: Vec<u32> = self.decisions.iter().filter_map(|slot| slot.look(open)).flatten().collect();
        let mut deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        open.into_iter().filter(|situation| deciding.acknowledge(now, *situation)).count()
    }
}

/// Falls that are believed and not over.
fn open(decision: &Decision) -> Vec<u32> {
    let fall = |kind| matches!(kind, SituationKind::Fall);
    let open = decision.situations.iter().filter(|one| fall(one.kind));
    open.filter(|one| !matches!(one.phase, Phase::Suspected | Phase::Ended)).map(|one| one.id).collect()
}
