//! What is made of a roll-out: begun, fetched, staged, offered, held, ended.

use stopline_depot::deployment::{DeployCause, Phase};
use stopline_depot::eligible::{Hindrance, may_fetch, spread};
use stopline_depot::rollout::{State, Window};
use stopline_depot::slots::{Deployment, Offer, SlotState, back_off_s};

use super::{Agent, PassedOver};
use crate::clock;
use crate::decision::{Decision, Here, decide};
use crate::download::DownloadError;
use crate::error::{AgentError, waits};
use crate::report::Transition;
use crate::repository::{Candidate, Directive};

impl Agent {
    /// Acts on what is known of `model`; what goes wrong is told.
    pub(super) fn act_and_tell(&mut self, model: &str) {
        if let Err(error) = self.act(model) {
            tracing::warn!(id = "ota.failed", model, code = error.code(), "{error}");
            self.put_off(model, back_off_s(3));
        }
    }

    /// Whether something was put off that may go on now.
    pub(super) fn is_due(&self, model: &str) -> bool {
        let Some(deployment) = self.depot.journal().of(model) else { return false };
        let waits = matches!(deployment.phase, Phase::Offered | Phase::Fetching | Phase::Deferred);
        waits && self.may_try(model, deployment)
    }

    fn may_try(&self, model: &str, deployment: &Deployment) -> bool {
        self.asked || self.pause_s(model, deployment).is_none()
    }

    /// Seconds that a failure still holds it; none: it may be tried.
    fn pause_s(&self, model: &str, deployment: &Deployment) -> Option<u64> {
        if let Some(at) = self.retry_at.get(model) {
            let left = at.saturating_sub(self.clock.since_boot_ms());
            return (left > 0).then(|| left.div_ceil(1_000));
        }
        let (next, now) = deployment.next_try.zip(clock::wall_s(&*self.clock))?;
        // A label far ahead was written by a clock that was wrong.
        let left = u64::try_from(next.saturating_sub(now)).ok()?;
        (1..=2 * 86_400).contains(&left).then_some(left)
    }

    /// Deployments that a failure holds now.
    pub(super) fn held(&self) -> Vec<PassedOver> {
        let of = |model: &String| {
            let deployment = self.depot.journal().of(model)?;
            let waits = matches!(deployment.phase, Phase::Offered | Phase::Fetching | Phase::Deferred);
            let seconds = self.pause_s(model, deployment).filter(|_| waits)?;
            Some(PassedOver { model: model.clone(), cause: deployment.cause, seconds })
        };
        self.config.models.iter().filter_map(of).collect()
    }

    fn put_off(&mut self, model: &str, seconds: u64) {
        let at = self.clock.since_boot_ms().saturating_add(seconds.saturating_mul(1_000));
        self.retry_at.insert(model.to_owned(), at);
    }

    fn act(&mut self, model: &str) -> Result<(), AgentError> {
        let Some(directive) = self.directives.get(model).cloned() else { return Ok(()) };
        let Some(candidate) = directive.candidate.clone() else { return self.leave(model, &directive) };
        let digest = candidate.release.unpacked.sha256;
        let trust = self.trust()?;
        let runtime = self.runtime_version();
        let before = self.of_rollout(model, &directive);
        let here = Here {
            hardware: &self.config.hardware,
            device: self.identity.id(),
            camera: self.config.device.camera.as_deref(),
            floor: self.floor_of(&trust, model),
            denied: trust.denies(&digest),
            bad: self.state.is_bad(&digest)?,
            runtime: runtime.as_ref(),
            begun: before.as_ref().is_some_and(|deployment| !deployment.has_ended()),
        };
        let decision = decide(&directive.rollout, &candidate.release, &here);
        tracing::debug!(id = "ota.decision", model, ?decision, "roll-out {}", directive.rollout.rollout_id);
        match decision {
            Decision::NoPart(_) => self.leave(model, &directive),
            Decision::Hold => self.offer(model, &directive, State::Paused, false),
            Decision::Abort => self.abort(model, &directive),
            Decision::Reject(cause) => self.refuse(model, &directive, &candidate, cause),
            Decision::Defer(cause) => {
                self.begin(model, &directive, &candidate, false)?;
                self.wait_for(model, cause, "")
            }
            Decision::Go { forgiven } => {
                self.begin(model, &directive, &candidate, forgiven)?;
                self.go(model, &directive, &candidate, forgiven)
            }
        }
    }

    /// The deployment of this roll-out, if there is one.
    fn of_rollout(&self, model: &str, directive: &Directive) -> Option<Deployment> {
        let digest = directive.candidate.as_ref()?.release.unpacked.sha256;
        let of_it = |deployment: &&Deployment| {
            deployment.rollout_id == directive.rollout.rollout_id && deployment.digest == digest
        };
        self.depot.journal().of(model).filter(of_it).cloned()
    }

    /// Begins a deployment, unless it has begun or its bundle decides here already.
    fn begin(
        &mut self,
        model: &str,
        directive: &Directive,
        candidate: &Candidate,
        forgiven: bool,
    ) -> Result<(), AgentError> {
        let digest = candidate.release.unpacked.sha256;
        let rollout_id = directive.rollout.rollout_id.clone();
        let before = self.of_rollout(model, directive);
        if before.is_none() && self.decides_here(model, directive)? {
            return Ok(());
        }
        let again = forgiven
            && before
                .as_ref()
                .is_some_and(|before| before.cause == Some(DeployCause::KnownBad) && before.has_ended());
        let superseded = self.depot.record(|journal| {
            if again {
                journal.deployments.remove(model);
            }
            Ok(journal.begin(model, &rollout_id, digest, &candidate.target))
        })?;
        if let Some(old) = superseded {
            self.depot.withdraw(model)?;
            self.retry_at.remove(model);
            self.tell_of(model, &old, "a newer roll-out took its place");
        }
        if before.is_none() || again {
            self.told_phase(model, "");
        }
        Ok(())
    }

    /// Whether the roll-out's bundle decides here and no deployment of it goes on: there is nothing to do.
    fn decides_here(&self, model: &str, directive: &Directive) -> Result<bool, AgentError> {
        let digest = directive.candidate.as_ref().map(|candidate| candidate.release.unpacked.sha256);
        let pointers = self.state.pointers()?;
        let of_model = pointers.models.get(model);
        Ok(of_model.is_some_and(|of_model| {
            of_model.current.is_some() && of_model.current == digest && of_model.trial.is_none()
        }))
    }

    fn go(
        &mut self,
        model: &str,
        directive: &Directive,
        candidate: &Candidate,
        forgiven: bool,
    ) -> Result<(), AgentError> {
        let Some(deployment) = self.of_rollout(model, directive) else { return Ok(()) };
        match deployment.phase {
            Phase::Offered | Phase::Fetching | Phase::Deferred => {}
            _ if deployment.has_ended() => return Ok(()),
            _ => return self.offer(model, directive, State::Active, forgiven),
        }
        let digest = candidate.release.unpacked.sha256;
        if self.depot.slot_state(&digest)? == SlotState::Staged {
            // Where the runtime put it off, the runtime takes it up again.
            let progress = self.state.progress(model)?;
            let taken_up = progress.is_some_and(|progress| {
                progress.digest == digest && progress.rollout_id == deployment.rollout_id
            });
            if !taken_up {
                self.advance(model, Phase::Staged, None, "it lies in its slot already")?;
            }
            return self.offer(model, directive, State::Active, forgiven);
        }
        if !self.may_try(model, &deployment) {
            return Ok(());
        }
        if let Err(hindrance) = self.may_fetch(&directive.rollout.window, candidate.packed.file.length) {
            let low = if hindrance == Hindrance::Power { self.power.low() } else { None };
            return self.wait_for(model, hindrance.cause(), &low.unwrap_or_default());
        }
        self.power.begin(&format!("fetching and staging a bundle of {model}"));
        self.advance(model, Phase::Fetching, None, "")?;
        match self.fetch_and_stage(&directive.rollout.window, candidate) {
            Ok(()) => {
                self.retry_at.remove(model);
                self.advance(model, Phase::Staged, None, "")?;
                self.offer(model, directive, State::Active, forgiven)
            }
            Err(error) => self.failed(model, &error),
        }
    }

    /// A failure on the way: it waits and is tried again, or ends.
    fn failed(&mut self, model: &str, error: &AgentError) -> Result<(), AgentError> {
        let cause = error.cause();
        if !waits(cause) {
            self.advance(model, Phase::Rejected, Some(cause), &error.to_string())?;
            return self.end(model);
        }
        if let AgentError::Download(DownloadError::Stopped { .. }) = error {
            return self.wait_for(model, cause, &error.to_string());
        }
        let now = clock::wall_s(&*self.clock).unwrap_or_default();
        let share = u16::try_from(spread(self.identity.id(), model, 1_000)).unwrap_or_default();
        self.depot.record(|journal| journal.defer(model, cause, now, share))?;
        let attempts = self.depot.journal().of(model).map_or(0, |deployment| deployment.attempts);
        let mut seconds = back_off_s(attempts.saturating_sub(1));
        if let AgentError::Download(DownloadError::Later { seconds: asked, .. }) = error {
            seconds = seconds.max(*asked).min(86_400);
        }
        self.put_off(model, seconds + seconds / 2 * u64::from(share) / 1_000);
        self.told_phase(model, &error.to_string());
        Ok(())
    }

    /// Waits for something that is looked at again and again; told once.
    fn wait_for(&mut self, model: &str, cause: DeployCause, detail: &str) -> Result<(), AgentError> {
        let now = self.depot.journal().of(model).map(|deployment| (deployment.phase, deployment.cause));
        match now {
            None => Ok(()),
            Some((Phase::Deferred, Some(before))) if before == cause => Ok(()),
            Some((phase, _)) if !phase.may_become(Phase::Deferred) && phase != Phase::Deferred => Ok(()),
            Some(_) => self.advance(model, Phase::Deferred, Some(cause), detail),
        }
    }

    /// A refusal is a deployment that ends at once: the operator hears of it.
    fn refuse(
        &mut self,
        model: &str,
        directive: &Directive,
        candidate: &Candidate,
        cause: DeployCause,
    ) -> Result<(), AgentError> {
        self.begin(model, directive, candidate, false)?;
        match self.of_rollout(model, directive) {
            Some(deployment) if deployment.phase.may_become(Phase::Rejected) => {
                self.advance(model, Phase::Rejected, Some(cause), "")?;
                self.end(model)
            }
            _ => Ok(()),
        }
    }

    /// It takes no part: one that has begun and did not come to Trial ends.
    fn leave(&mut self, model: &str, directive: &Directive) -> Result<(), AgentError> {
        let of_rollout = self.depot.journal().of(model).is_some_and(|deployment| {
            deployment.rollout_id == directive.rollout.rollout_id
                && deployment.phase != Phase::Trial
                && !deployment.has_ended()
        });
        if !of_rollout {
            return Ok(());
        }
        self.advance(
            model,
            Phase::Withdrawn,
            Some(DeployCause::Superseded),
            "the roll-out leaves this device out",
        )?;
        self.end(model)
    }

    /// Before Trial it is withdrawn; in Trial and after, the runtime is asked to go back.
    fn abort(&mut self, model: &str, directive: &Directive) -> Result<(), AgentError> {
        let Some(deployment) = self.of_rollout(model, directive) else { return Ok(()) };
        match deployment.phase {
            Phase::Trial | Phase::Good => self.offer(model, directive, State::Aborted, false),
            _ if deployment.has_ended() => Ok(()),
            _ => {
                self.advance(model, Phase::Withdrawn, Some(DeployCause::Aborted), "")?;
                self.end(model)
            }
        }
    }

    /// Offers what lies in its slot, with the state of the roll-out and how fresh that is. What is not staged is not offered.
    fn offer(
        &mut self,
        model: &str,
        directive: &Directive,
        state: State,
        forgiven: bool,
    ) -> Result<(), AgentError> {
        let Some(deployment) = self.of_rollout(model, directive) else { return Ok(()) };
        let digest = deployment.digest;
        if self.depot.slot_state(&digest)? != SlotState::Staged {
            return Ok(());
        }
        let before = self.depot.offered(model)?.filter(|before| before.digest == digest);
        let forgiven = forgiven || before.as_ref().is_some_and(|before| before.forgiven);
        let (verified_at, since_boot) = self.verified.unwrap_or((None, 0));
        let offer = Offer {
            schema: 1,
            rollout_id: directive.rollout.rollout_id.clone(),
            model: model.to_owned(),
            digest,
            state,
            abort_to: directive.abort_to,
            verified_at,
            verified_since_boot: Some((self.boot_id.clone(), since_boot)),
            attended: false,
            forgiven,
        };
        if before.as_ref() != Some(&offer) {
            self.depot.offer(&offer)?;
        }
        Ok(())
    }

    pub(super) fn may_fetch(&self, window: &Window, bytes: u64) -> Result<(), Hindrance> {
        if self.power.low().is_some() {
            return Err(Hindrance::Power);
        }
        may_fetch(window, &self.config.allowance(), &self.senses.look(&*self.clock), bytes)
    }

    /// Moves the journal on and tells it.
    pub(super) fn advance(
        &mut self,
        model: &str,
        to: Phase,
        cause: Option<DeployCause>,
        detail: &str,
    ) -> Result<(), AgentError> {
        let before = self.depot.journal().of(model).map(|deployment| (deployment.phase, deployment.cause));
        self.depot.record(|journal| journal.advance(model, to, cause))?;
        if before != Some((to, cause)) {
            self.told_phase(model, detail);
        }
        Ok(())
    }

    pub(super) fn told_phase(&mut self, model: &str, detail: &str) {
        if let Some(deployment) = self.depot.journal().of(model).cloned() {
            self.tell_of(model, &deployment, detail);
        }
    }

    fn tell_of(&mut self, model: &str, deployment: &Deployment, detail: &str) {
        self.reporter.tell(
            &self.identity,
            Transition {
                model: model.to_owned(),
                rollout_id: deployment.rollout_id.clone(),
                digest: deployment.digest,
                phase: deployment.phase,
                cause: deployment.cause,
                detail: detail.to_owned(),
                exposure: None,
            },
        );
    }
}
