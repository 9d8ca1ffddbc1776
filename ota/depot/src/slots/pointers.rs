//! How the pointers of a model move: pure, so that each move is one write of `pointers.json`.

use super::{ModelPointers, Pointers, Trial};
use crate::deployment::Exposure;
use crate::digest::Digest;

/// Power cuts that a trial survives.
pub const FORGIVEN_POWER_CUTS: u32 = 1;

/// Why a move is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// A trial goes on; its end comes first.
    #[error("a trial goes on; it ends as good or goes back first")]
    OnTrial,
    /// No trial goes on.
    #[error("no trial goes on")]
    NoTrial,
    /// There is no candidate.
    #[error("there is no candidate")]
    NoCandidate,
    /// It decides already.
    #[error("it decides already")]
    Decides,
}

/// What a start in the middle of a trial means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The power was cut; the trial goes on, parked.
    GoesOn,
    /// It crashed, or the power was cut too often: go back now.
    GoBack,
}

impl Pointers {
    /// With the schema that is written.
    pub fn empty() -> Self {
        Self { schema: 1, ..Self::default() }
    }

    /// Those of a model; the factory's where there are none.
    pub fn of(&self, model: &str) -> ModelPointers {
        self.models.get(model).cloned().unwrap_or_default()
    }
}

impl ModelPointers {
    /// All bundles that matter: never collected as garbage.
    pub fn all(&self) -> impl Iterator<Item = Digest> {
        [self.current, self.previous, self.candidate].into_iter().flatten()
    }

    /// An offer was taken up: it waits to decide.
    ///
    /// # Errors
    /// [`PointerError::Decides`] if it is current.
    pub fn take_up(&mut self, digest: Digest) -> Result<(), PointerError> {
        if self.current == Some(digest) {
            return Err(PointerError::Decides);
        }
        self.candidate = Some(digest);
        Ok(())
    }

    /// The candidate waits no longer: withdrawn, rejected, or gone.
    pub fn drop_candidate(&mut self) {
        self.candidate = None;
    }

    /// The candidate begins to decide, on trial; what decided before is gone back to.
    ///
    /// # Errors
    /// [`PointerError::OnTrial`], [`PointerError::NoCandidate`].
    pub fn begin_trial(&mut self, rollout_id: &str, boot_id: &str) -> Result<(), PointerError> {
        if self.trial.is_some() {
            return Err(PointerError::OnTrial);
        }
        let candidate = self.candidate.take().ok_or(PointerError::NoCandidate)?;
        self.previous = self.current.replace(candidate);
        self.trial = Some(Trial {
            rollout_id: rollout_id.to_owned(),
            boot_id: boot_id.to_owned(),
            power_cuts: 0,
            exposure: Exposure::default(),
        });
        Ok(())
    }

    /// The trial was passed. What decided before stays as previous.
    ///
    /// # Errors
    /// [`PointerError::NoTrial`].
    pub fn end_good(&mut self) -> Result<Trial, PointerError> {
        self.trial.take().ok_or(PointerError::NoTrial)
    }

    /// The trial failed: what decided before decides again, the factory's if there was none. Tells what was taken back.
    ///
    /// # Errors
    /// [`PointerError::NoTrial`].
    pub fn revert(&mut self) -> Result<Option<Digest>, PointerError> {
        self.trial.take().ok_or(PointerError::NoTrial)?;
        let failed = std::mem::replace(&mut self.current, self.previous.take());
        // What decides again is no candidate any more.
        self.candidate = self.candidate.filter(|candidate| self.current != Some(*candidate));
        Ok(failed)
    }

    /// The process has started while a trial went on. Without a crash marker and in another boot it was a power cut, and one
    /// is forgiven; anything else is a crash.
    ///
    /// # Errors
    /// [`PointerError::NoTrial`].
    pub fn restart(&mut self, boot_id: &str, crashed: bool) -> Result<Restart, PointerError> {
        let trial = self.trial.as_mut().ok_or(PointerError::NoTrial)?;
        if crashed || trial.boot_id == boot_id || trial.power_cuts >= FORGIVEN_POWER_CUTS {
            return Ok(Restart::GoBack);
        }
        trial.power_cuts += 1;
        boot_id.clone_into(&mut trial.boot_id);
        Ok(Restart::GoesOn)
    }

    /// The roll-out was aborted after its model was good, or `abort_to` lies in a slot here: go there, by default to what
    /// decided before. What is left is not gone back to.
    pub fn go_to(&mut self, digest: Option<Digest>) {
        self.current = digest.or(self.previous);
        self.candidate = self.candidate.filter(|candidate| self.current != Some(*candidate));
        (self.previous, self.trial) = (None, None);
    }

    /// Nothing that was installed can be loaded: the factory's decides.
    pub fn to_factory(&mut self) {
        *self = Self::default();
    }
}
