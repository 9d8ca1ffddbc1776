//! The runtime's side: pointers, verdicts, approvals, progress and service records. It alone writes them; others read them with
//! [`StateReader`].

use std::path::{Path, PathBuf};

use super::error::DepotError;
use super::files::{self, make_folder, sweep};
use super::lock::Lock;
use super::pointers::PointerError;
use super::{ModelPointers, Pointers, Progress, ServiceRecord, StatePaths};
use crate::deployment::{Approval, Verdict, VerdictState};
use crate::digest::Digest;
use crate::disk::{Disk, RealDisk};

/// The state, for those who only read: the agent, `status`.
#[derive(Debug, Clone)]
pub struct StateReader<D: Disk> {
    disk: D,
    paths: StatePaths,
}

impl StateReader<RealDisk> {
    /// Of a folder that need not be there yet.
    pub fn new(paths: StatePaths) -> Self {
        Self { disk: RealDisk, paths }
    }
}

impl<D: Disk> StateReader<D> {
    /// [`StateReader::new`] on any disk.
    pub fn on(disk: D, paths: StatePaths) -> Self {
        Self { disk, paths }
    }

    /// Where it lies.
    pub fn paths(&self) -> &StatePaths {
        &self.paths
    }

    /// Which bundles decide; none is written as long as the factory's does.
    ///
    /// # Errors
    /// [`DepotError::File`], [`DepotError::Io`].
    pub fn pointers(&self) -> Result<Pointers, DepotError> {
        Ok(files::read(&self.disk, &self.paths.pointers())?.unwrap_or_else(Pointers::empty))
    }

    /// What is known of a bundle; [`VerdictState::Untested`] without a file.
    ///
    /// # Errors
    /// [`DepotError::File`], [`DepotError::Io`].
    pub fn verdict(&self, digest: &Digest) -> Result<Option<Verdict>, DepotError> {
        let path = self.paths.verdict(digest);
        let verdict: Option<Verdict> = files::read(&self.disk, &path)?;
        verdict.map(|verdict| of_digest(&path, digest, verdict.digest).map(|()| verdict)).transpose()
    }

    /// Whether a bundle is known to be bad, whatever its cause. A file that cannot be read is an error, not a good one.
    ///
    /// # Errors
    /// As [`StateReader::verdict`].
    pub fn is_bad(&self, digest: &Digest) -> Result<bool, DepotError> {
        Ok(self.verdict(digest)?.is_some_and(|verdict| matches!(verdict.verdict, VerdictState::Bad { .. })))
    }

    /// That a bundle was judged once.
    ///
    /// # Errors
    /// [`DepotError::File`], [`DepotError::Io`].
    pub fn approval(&self, digest: &Digest) -> Result<Option<Approval>, DepotError> {
        let path = self.paths.approval(digest);
        let approval: Option<Approval> = files::read(&self.disk, &path)?;
        approval.map(|approval| of_digest(&path, digest, approval.digest).map(|()| approval)).transpose()
    }

    /// What the runtime did with the offer for a model.
    ///
    /// # Errors
    /// [`DepotError::File`], [`DepotError::Io`].
    pub fn progress(&self, model: &str) -> Result<Option<Progress>, DepotError> {
        files::read(&self.disk, &self.paths.progress(model))
    }

    /// What a model's bundle has done since it took its place.
    ///
    /// # Errors
    /// [`DepotError::File`], [`DepotError::Io`].
    pub fn service(&self, model: &str) -> Result<Option<ServiceRecord>, DepotError> {
        files::read(&self.disk, &self.paths.service(model))
    }
}

/// The state, open for its one writer.
#[derive(Debug)]
pub struct RuntimeState<D: Disk> {
    reader: StateReader<D>,
    _lock: Option<Lock>,
}

impl RuntimeState<RealDisk> {
    /// Opens it for the one writer, makes what is missing, takes away what a cut left over.
    ///
    /// # Errors
    /// [`DepotError::Held`] by another runtime; [`DepotError::Io`].
    pub fn open(paths: StatePaths) -> Result<Self, DepotError> {
        make_folder(&mut RealDisk, paths.folder())?;
        let lock = Lock::take(&paths.lock())?;
        Ok(Self { _lock: Some(lock), ..Self::without_lock(RealDisk, paths)? })
    }
}

impl<D: Disk> RuntimeState<D> {
    /// [`RuntimeState::open`] on any disk, for those who know that nobody else writes there.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn without_lock(mut disk: D, paths: StatePaths) -> Result<Self, DepotError> {
        let folders = [paths.verdicts(), paths.approvals(), paths.progresses(), paths.services()];
        for folder in [paths.folder()].into_iter().chain(folders.iter().map(PathBuf::as_path)) {
            make_folder(&mut disk, folder)?;
            sweep(&mut disk, folder)?;
        }
        Ok(Self { reader: StateReader { disk, paths }, _lock: None })
    }

    /// Everything that can be read.
    pub fn reader(&self) -> &StateReader<D> {
        &self.reader
    }

    /// The disk it lies on.
    pub fn disk(&self) -> &D {
        &self.reader.disk
    }

    /// The disk again, when the state is closed.
    pub fn into_disk(self) -> D {
        self.reader.disk
    }

    /// Moves the pointers of a model, in one write. A file that cannot be read is not written over.
    ///
    /// # Errors
    /// [`DepotError::Pointers`] for a move that is refused; [`DepotError::File`], [`DepotError::Io`].
    pub fn point<T>(
        &mut self,
        model: &str,
        change: impl FnOnce(&mut ModelPointers) -> Result<T, PointerError>,
    ) -> Result<T, DepotError> {
        let mut pointers = self.reader.pointers()?;
        let mut of_model = pointers.of(model);
        let refused = |why| DepotError::Pointers { model: model.to_owned(), why };
        let changed = change(&mut of_model).map_err(refused)?;
        if pointers.of(model) != of_model {
            pointers.models.insert(model.to_owned(), of_model);
            files::write(&mut self.reader.disk, &self.reader.paths.pointers(), &pointers)?;
        }
        Ok(changed)
    }

    /// Writes what is known of a bundle.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn write_verdict(&mut self, verdict: &Verdict) -> Result<(), DepotError> {
        files::write(&mut self.reader.disk, &self.reader.paths.verdict(&verdict.digest), verdict)
    }

    /// Writes that a bundle was judged.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn write_approval(&mut self, approval: &Approval) -> Result<(), DepotError> {
        files::write(&mut self.reader.disk, &self.reader.paths.approval(&approval.digest), approval)
    }

    /// Writes what became of the offer for a model.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn write_progress(&mut self, model: &str, progress: &Progress) -> Result<(), DepotError> {
        files::write(&mut self.reader.disk, &self.reader.paths.progress(model), progress)
    }

    /// Writes what a model's bundle has done since it took its place.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn write_service(&mut self, model: &str, record: &ServiceRecord) -> Result<(), DepotError> {
        files::write(&mut self.reader.disk, &self.reader.paths.service(model), record)
    }
}

/// A file speaks of the digest in its name.
fn of_digest(path: &Path, expected: &Digest, found: Digest) -> Result<(), DepotError> {
    if found == *expected {
        return Ok(());
    }
    let problem = format!("it speaks of {found}");
    let source = crate::versioned::VersionedError::Refused { name: "file of a digest", problem };
    Err(DepotError::File { path: path.to_owned(), source })
}
