//! Where each deployment has come, so that every step goes on after a cut, and none goes on for ever.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::DepotError;
use crate::deployment::{DeployCause, Phase};
use crate::digest::Digest;
use crate::versioned::{Versioned, check_name};

/// Transitions of one deployment, at most; the next one ends it as Rejected. A deployment that waits every night takes
/// three a night: this is more than half a year.
pub const MAX_TRANSITIONS: u32 = 600;
/// Models on one device, at most.
pub const MAX_MODELS: usize = 64;
/// Seconds before the second attempt; they double with each further one.
pub const FIRST_BACK_OFF_S: u64 = 60;
/// Seconds between two attempts, at most.
pub const LONGEST_BACK_OFF_S: u64 = 86_400;

/// Deployments by model; the newest of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// By model.
    pub deployments: BTreeMap<String, Deployment>,
}

/// How far one deployment has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The roll-out.
    pub rollout_id: String,
    /// Of `bundle.tar`.
    pub digest: Digest,
    /// Target path.
    pub target: String,
    /// How far it is.
    pub phase: Phase,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<DeployCause>,
    /// Times it was Deferred.
    #[serde(default)]
    pub attempts: u32,
    /// Seconds since 1970 before which it is not tried again; a label if the clock is not synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<i64>,
    /// Transitions so far.
    #[serde(default)]
    pub transitions: u32,
}

impl Default for Journal {
    fn default() -> Self {
        Self { schema: 1, deployments: BTreeMap::new() }
    }
}

impl Versioned for Journal {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "journal";
    const LIMIT: usize = 1 << 20;

    fn check(&self) -> Result<(), String> {
        if self.deployments.len() > MAX_MODELS {
            return Err(format!("{} models, at most {MAX_MODELS} are expected", self.deployments.len()));
        }
        self.deployments.iter().try_for_each(|(model, deployment)| {
            check_name("deployments", model)?;
            check_name("rollout_id", &deployment.rollout_id)
        })
    }
}

impl Journal {
    /// The deployment of a model.
    pub fn of(&self, model: &str) -> Option<&Deployment> {
        self.deployments.get(model)
    }

    /// Deployments that have not ended.
    pub fn going_on(&self) -> impl Iterator<Item = (&str, &Deployment)> {
        let going_on = self.deployments.iter().filter(|(_, deployment)| !deployment.has_ended());
        going_on.map(|(model, deployment)| (model.as_str(), deployment))
    }

    /// Begins a deployment and tells which one it took the place of, if that had not ended: it is Withdrawn(superseded).
    /// The same roll-out of the same digest goes on where it is.
    pub fn begin(
        &mut self,
        model: &str,
        rollout_id: &str,
        digest: Digest,
        target: &str,
    ) -> Option<Deployment> {
        let same = |found: &Deployment| found.rollout_id == rollout_id && found.digest == digest;
        if self.of(model).is_some_and(same) {
            return None;
        }
        let deployment = Deployment {
            rollout_id: rollout_id.to_owned(),
            digest,
            target: target.to_owned(),
            phase: Phase::Offered,
            cause: None,
            attempts: 0,
            next_try: None,
            transitions: 0,
        };
        let before = self.deployments.insert(model.to_owned(), deployment);
        let superseded = before.filter(|before| !before.has_ended());
        superseded.map(|before| Deployment {
            phase: Phase::Withdrawn,
            cause: Some(DeployCause::Superseded),
            ..before
        })
    }

    /// Moves a deployment on, and tells the phase it is in now: Rejected where it has moved too often.
    ///
    /// # Errors
    /// [`DepotError::Transition`]; nothing has changed then.
    pub fn advance(
        &mut self,
        model: &str,
        to: Phase,
        cause: Option<DeployCause>,
    ) -> Result<Phase, DepotError> {
        let Some(deployment) = self.deployments.get_mut(model) else {
            let rollout_id = format!("of {model}, of which there is none");
            return Err(DepotError::Transition { rollout_id, from: Phase::Withdrawn, to });
        };
        deployment.advance(to, cause)
    }

    /// Defers a deployment to be tried again after a back-off that doubles from [`FIRST_BACK_OFF_S`] to
    /// [`LONGEST_BACK_OFF_S`]; `now` is in seconds since 1970. `spread` in 0..=1000 adds up to half of it, so that a fleet
    /// does not come back at once.
    ///
    /// # Errors
    /// As [`Journal::advance`].
    pub fn defer(
        &mut self,
        model: &str,
        cause: DeployCause,
        now: i64,
        spread: u16,
    ) -> Result<Phase, DepotError> {
        let phase = self.advance(model, Phase::Deferred, Some(cause))?;
        if let Some(deployment) = self.deployments.get_mut(model).filter(|_| phase == Phase::Deferred) {
            let wait = back_off_s(deployment.attempts);
            deployment.attempts = deployment.attempts.saturating_add(1);
            let wait = wait + wait / 2 * u64::from(spread.min(1000)) / 1000;
            deployment.next_try = Some(now.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)));
        }
        Ok(phase)
    }

    /// Learns what the slots know after a cut: what is staged is Staged, what is not is fetched again.
    pub(super) fn agree_with(&mut self, staged: &BTreeSet<Digest>) {
        for deployment in self.deployments.values_mut().filter(|deployment| !deployment.has_ended()) {
            let is_staged = staged.contains(&deployment.digest);
            let to = match deployment.phase {
                Phase::Offered | Phase::Fetching if is_staged => Phase::Staged,
                Phase::Staged | Phase::Tested | Phase::Shadow | Phase::Armed if !is_staged => Phase::Deferred,
                _ => continue,
            };
            let cause = (to == Phase::Deferred).then_some(DeployCause::Space);
            // Both are transitions that Phase allows; one too many ends the deployment, which is meant.
            let _ = deployment.advance(to, cause);
        }
    }
}

impl Deployment {
    /// Whether nothing follows.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Good | Phase::Rejected | Phase::Withdrawn | Phase::Reverted)
    }

    fn advance(&mut self, to: Phase, cause: Option<DeployCause>) -> Result<Phase, DepotError> {
        if self.phase == to && !self.has_ended() {
            self.cause = cause;
            return Ok(to);
        }
        if !self.phase.may_become(to) {
            return Err(DepotError::Transition { rollout_id: self.rollout_id.clone(), from: self.phase, to });
        }
        self.transitions = self.transitions.saturating_add(1);
        let too_often = self.transitions > MAX_TRANSITIONS && self.phase.may_become(Phase::Rejected);
        self.phase = if too_often { Phase::Rejected } else { to };
        self.cause = cause.or(self.cause.filter(|_| too_often));
        self.next_try = None;
        Ok(self.phase)
    }
}

/// Seconds to wait after so many attempts.
pub fn back_off_s(attempts: u32) -> u64 {
    let doubled = 1_u64.checked_shl(attempts).and_then(|times| FIRST_BACK_OFF_S.checked_mul(times));
    doubled.unwrap_or(LONGEST_BACK_OFF_S).min(LONGEST_BACK_OFF_S)
}
