//! The files that the runtime alone writes. One that cannot be written is told and costs what it would have kept: nothing
//! here stops the loop.

use std::sync::{Mutex, MutexGuard, PoisonError};

use stopline_depot::deployment::{Verdict, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::disk::{RealDisk, replace};
use stopline_depot::judging::Judged;
use stopline_depot::slots::{
    self, DepotError, ModelPointers, PointerError, Pointers, Progress, RuntimeState, ServiceRecord, Session,
    StatePaths,
};
use stopline_depot::versioned::Versioned as _;

/// The runtime's state, open for its one writer, shared by the threads that load and the one that deploys.
#[derive(Debug)]
pub struct Store {
    paths: StatePaths,
    state: Mutex<RuntimeState<RealDisk>>,
}

impl Store {
    /// Opens it.
    ///
    /// # Errors
    /// [`DepotError`]: it cannot be made, or another runtime has it.
    pub fn open(folder: &std::path::Path) -> Result<Self, DepotError> {
        let paths = StatePaths::new(folder);
        Ok(Self { state: Mutex::new(RuntimeState::open(paths.clone())?), paths })
    }

    fn state(&self) -> MutexGuard<'_, RuntimeState<RealDisk>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which bundles decide.
    ///
    /// # Errors
    /// [`DepotError`]: the file is there and says nothing.
    pub fn pointers(&self) -> Result<Pointers, DepotError> {
        self.state().reader().pointers()
    }

    /// Moves the pointers of a model. What fails is told.
    pub fn point(
        &self,
        model: &str,
        change: impl FnOnce(&mut ModelPointers) -> Result<(), PointerError>,
    ) -> bool {
        told(self.state().point(model, change))
    }

    /// Writes pointers that a start has changed.
    pub fn write_pointers(&self, pointers: &Pointers) -> bool {
        pointers.models.iter().all(|(model, changed)| {
            let changed = changed.clone();
            self.point(model, move |pointers| {
                *pointers = changed;
                Ok(())
            })
        })
    }

    /// What is known of a bundle; a file that cannot be read is told, and nothing is known.
    pub fn verdict(&self, digest: &Digest) -> Option<Verdict> {
        match self.state().reader().verdict(digest) {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        }
    }

    /// Writes what is known of a bundle; `deferred` more attempts ended with a cause that it has no part in.
    pub fn judge(&self, digest: &Digest, verdict: VerdictState, deferred: u32) -> bool {
        let before = self.verdict(digest).map_or(0, |verdict| verdict.deferred);
        let verdict = Verdict {
            schema: Verdict::SCHEMA,
            digest: *digest,
            verdict,
            runtime: super::runtime_version(),
            deferred: before.saturating_add(deferred),
        };
        told(self.state().write_verdict(&verdict))
    }

    /// Takes back what is known of a bundle, and what was counted against it, so that it is tried again: a person knows
    /// better, or has mended what the model was blamed for. What was known; `None` where nothing was, or where it cannot be
    /// written, which is told.
    pub fn reopen(&self, digest: &Digest) -> Option<VerdictState> {
        let before = self.verdict(digest)?;
        let verdict = Verdict {
            verdict: VerdictState::Untested,
            runtime: super::runtime_version(),
            deferred: 0,
            ..before.clone()
        };
        told(self.state().write_verdict(&verdict)).then_some(before.verdict)
    }

    /// Keeps that a bundle was judged, and the root it led to.
    pub fn approve(&self, judged: &Judged) -> bool {
        let root = judged
            .newer_root
            .as_ref()
            .map_or(Ok(()), |root| replace(&mut RealDisk, &self.paths.root(), root));
        if let Err(error) = root {
            tracing::warn!("{}: {error}", self.paths.root().display());
        }
        told(self.state().write_approval(&judged.approval))
    }

    /// What was last told of a model's offer.
    pub fn progress(&self, model: &str) -> Option<Progress> {
        self.state().reader().progress(model).ok().flatten()
    }

    /// Tells how far a model has come.
    pub fn tell(&self, model: &str, progress: &Progress) -> bool {
        told(self.state().write_progress(model, progress))
    }

    /// What a model's bundle has done since it took its place.
    pub fn service(&self, model: &str) -> Option<ServiceRecord> {
        self.state().reader().service(model).ok().flatten()
    }

    /// Keeps what a model's bundle has done.
    pub fn keep_service(&self, model: &str, record: &ServiceRecord) -> bool {
        told(self.state().write_service(model, record))
    }

    /// How the process before ended.
    pub fn session(&self) -> Option<Session> {
        slots::read(&RealDisk, &self.paths.session()).ok().flatten()
    }

    /// Writes what this process is.
    pub fn write_session(&self, session: &Session) -> bool {
        told(slots::write(&mut RealDisk, &self.paths.session(), session))
    }
}

fn told(written: Result<(), DepotError>) -> bool {
    match written {
        Ok(()) => true,
        Err(error) => {
            tracing::error!("{error}");
            false
        }
    }
}

/// The kernel's id of this boot; empty where /proc does not tell, and then every start looks like one in the same boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
