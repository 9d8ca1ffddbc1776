//! What the runtime did with an offer, taken into the journal and told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stopline_depot::deployment::Phase;
use stopline_depot::slots::Progress;

use super::Agent;
use crate::error::AgentError;
use crate::report::Transition;

/// Phases that the runtime may have gone through unseen.
const ON_THE_WAY: [Phase; 5] = [Phase::Staged, Phase::Tested, Phase::Shadow, Phase::Armed, Phase::Trial];

impl Agent {
    /// Follows the runtime: phases that it went through between two looks are told too.
    pub(super) fn follow(&mut self, model: &str) -> Result<(), AgentError> {
        let Some(progress) = self.state.progress(model)? else { return Ok(()) };
        let Some(deployment) = self.depot.journal().of(model).cloned() else { return Ok(()) };
        let same = deployment.rollout_id == progress.rollout_id && deployment.digest == progress.digest;
        if !same || (deployment.phase, deployment.cause) == (progress.phase, progress.cause) {
            return Ok(());
        }
        if deployment.phase == Phase::Good && progress.phase == Phase::Withdrawn {
            // Aborted after it was Good: the deployment had ended, and yet it is not there any more.
            self.depot.record(|journal| {
                if let Some(deployment) = journal.deployments.get_mut(model) {
                    (deployment.phase, deployment.cause) = (progress.phase, progress.cause);
                }
                Ok(())
            })?;
            self.told(model, &progress, progress.phase);
            return self.end(model);
        }
        let Some(road) = road(deployment.phase, progress.phase) else { return Ok(()) };
        for phase in road {
            let cause = progress.cause.filter(|_| phase == progress.phase);
            let now = self.depot.record(|journal| journal.advance(model, phase, cause))?;
            self.told(model, &progress, now);
        }
        let ended = self.depot.journal().of(model).is_some_and(stopline_depot::slots::Deployment::has_ended);
        if ended { self.end(model) } else { Ok(()) }
    }

    fn told(&mut self, model: &str, progress: &Progress, phase: Phase) {
        let last = phase == progress.phase;
        self.reporter.tell(
            &self.identity,
            Transition {
                model: model.to_owned(),
                rollout_id: progress.rollout_id.clone(),
                digest: progress.digest,
                phase,
                cause: progress.cause.filter(|_| last),
                detail: if last { progress.detail.clone() } else { String::new() },
                exposure: (last && progress.exposure != Default::default()).then_some(progress.exposure),
            },
        );
        if phase == Phase::Good {
            self.watch.begin(model);
        }
    }

    /// A deployment has ended: the offer of what did not become Good goes, and slots that nothing speaks for.
    pub(super) fn end(&mut self, model: &str) -> Result<(), AgentError> {
        let good = self.depot.journal().of(model).is_some_and(|deployment| deployment.phase == Phase::Good);
        if !good {
            self.depot.withdraw(model)?;
        }
        let keep: BTreeSet<_> = self.directives.values().filter_map(|directive| directive.abort_to).collect();
        let gone = self.depot.collect_garbage(self.state.paths(), &keep)?;
        for digest in gone {
            tracing::info!(id = "ota.slot.emptied", %digest, "a slot that nothing speaks for was emptied");
        }
        Ok(())
    }
}

/// The shortest way that phases allow, its end included.
fn road(from: Phase, to: Phase) -> Option<Vec<Phase>> {
    let mut came_from = BTreeMap::from([(from, from)]);
    let mut next = VecDeque::from([from]);
    while let Some(phase) = next.pop_front() {
        let around = ON_THE_WAY.into_iter().chain([to]).filter(|other| phase.may_become(*other));
        for other in around {
            if other != from && !came_from.contains_key(&other) {
                came_from.insert(other, phase);
                next.push_back(other);
            }
        }
    }
    let mut road = vec![to];
    while came_from.get(&road[0])? != &from {
        road.insert(0, came_from[&road[0]]);
    }
    (from != to).then_some(road)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_between_two_looks_are_filled_in() {
        assert_eq!(road(Phase::Staged, Phase::Tested), Some(vec![Phase::Tested]));
        assert_eq!(road(Phase::Staged, Phase::Trial), Some(vec![Phase::Tested, Phase::Armed, Phase::Trial]));
        assert_eq!(
            road(Phase::Staged, Phase::Reverted),
            Some(vec![Phase::Tested, Phase::Armed, Phase::Trial, Phase::Reverted])
        );
        assert_eq!(road(Phase::Deferred, Phase::Trial), Some(vec![Phase::Armed, Phase::Trial]));
        assert_eq!(road(Phase::Armed, Phase::Rejected), Some(vec![Phase::Rejected]));
        assert_eq!(road(Phase::Good, Phase::Trial), None);
        assert_eq!(road(Phase::Trial, Phase::Armed), None, "a trial does not go back to waiting");
    }
}
