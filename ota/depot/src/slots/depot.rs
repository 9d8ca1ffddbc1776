//! The agent's side: slots are filled, staged and taken away; offers and the journal are written.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::{DepotError, io};
use super::files::{self, make_folder, measure, sweep};
use super::filling::Filling;
use super::journal::Journal;
use super::lock::Lock;
use super::{DepotPaths, Offer, Pointers, SlotRecord, StatePaths, StoredEvidence};
use crate::digest::Digest;
use crate::disk::{Disk, RealDisk, beside, folder_of};
use crate::release::Release;
use crate::versioned::VersionedError;

/// Bytes that stay free beside a bundle: journal, offers, metadata and the runtime's state are written when the disk is
/// nearly full, too.
pub const RESERVE: u64 = 8 << 20;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing.
    Empty,
    /// Part of a bundle, or all of it without proof.
    Filling,
    /// A bundle, read back after writing; never changed again.
    Staged,
}

/// The agent's depot, open for its one writer.
#[derive(Debug)]
pub struct Depot<D: Disk> {
    pub(super) disk: D,
    pub(super) paths: DepotPaths,
    journal: Journal,
    _lock: Option<Lock>,
}

impl Depot<RealDisk> {
    /// Opens it for the one writer, makes what is missing, and brings order to what a cut left over.
    ///
    /// # Errors
    /// [`DepotError::Held`] by another updater; [`DepotError::File`] for a journal of a newer program; [`DepotError::Io`].
    pub fn open(paths: DepotPaths) -> Result<Self, DepotError> {
        let mut disk = RealDisk;
        make_folder(&mut disk, paths.folder())?;
        let lock = Lock::take(&paths.lock())?;
        let depot = Self::without_lock(disk, paths)?;
        Ok(Self { _lock: Some(lock), ..depot })
    }
}

impl<D: Disk> Depot<D> {
    /// [`Depot::open`] on any disk, for those who know that nobody else writes there.
    ///
    /// # Errors
    /// As [`Depot::open`].
    pub fn without_lock(mut disk: D, paths: DepotPaths) -> Result<Self, DepotError> {
        for folder in [paths.folder(), &paths.slots(), &paths.offers()] {
            make_folder(&mut disk, folder)?;
            sweep(&mut disk, folder)?;
        }
        let journal = match files::read(&disk, &paths.journal()) {
            // A broken journal loses back-off and attempts, nothing else: what is staged says so itself.
            Err(DepotError::File { source: VersionedError::Refused { .. }, .. }) | Ok(None) => {
                Journal::default()
            }
            journal => journal?.unwrap_or_default(),
        };
        let mut depot = Self { disk, paths, journal, _lock: None };
        depot.recover()?;
        Ok(depot)
    }

    /// Where it lies.
    pub fn paths(&self) -> &DepotPaths {
        &self.paths
    }

    /// The disk it lies on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The disk again, when the depot is closed.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Where each deployment has come.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Changes the journal, on the disk first: if it cannot be written, nothing has changed.
    ///
    /// # Errors
    /// Those of `change`; [`DepotError::Io`].
    pub fn record<T>(
        &mut self,
        change: impl FnOnce(&mut Journal) -> Result<T, DepotError>,
    ) -> Result<T, DepotError> {
        let mut journal = self.journal.clone();
        let changed = change(&mut journal)?;
        if journal != self.journal {
            files::write(&mut self.disk, &self.paths.journal(), &journal)?;
            self.journal = journal;
        }
        Ok(changed)
    }

    /// What a slot holds, by its record; its content was proven when the record was written.
    ///
    /// # Errors
    /// [`DepotError::File`] for a record that is newer than this program or broken; [`DepotError::Io`].
    pub fn slot_state(&self, digest: &Digest) -> Result<SlotState, DepotError> {
        if self.slot_record(digest)?.is_some() {
            return Ok(SlotState::Staged);
        }
        let slot = self.paths.slot(digest);
        let empty = self.disk.list(&slot).map_err(io("list", &slot))?.is_empty();
        Ok(if empty { SlotState::Empty } else { SlotState::Filling })
    }

    /// The record of a Staged slot; none if it is not Staged.
    ///
    /// # Errors
    /// As [`Depot::slot_state`].
    pub fn slot_record(&self, digest: &Digest) -> Result<Option<SlotRecord>, DepotError> {
        super::slot_record(&self.disk, &self.paths, digest)
    }

    /// All Staged slots, by digest. One whose record cannot be read is passed over.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn staged(&self) -> Result<Vec<SlotRecord>, DepotError> {
        let mut staged = Vec::new();
        for digest in self.slots()? {
            match self.slot_record(&digest) {
                Ok(record) => staged.extend(record),
                Err(DepotError::File { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(staged)
    }

    /// Begins to fill a slot with the bundle that `release` speaks of. What was there half is taken away first.
    ///
    /// # Errors
    /// [`DepotError::Staged`] if it is there already; [`DepotError::Room`] if there is no room for it;
    /// [`DepotError::File`] if the slot has a record that cannot be read; [`DepotError::Io`].
    pub fn fill(
        &mut self,
        release: Release,
        target: &str,
        evidence: StoredEvidence,
    ) -> Result<Filling<'_, D>, DepotError> {
        let content = release.unpacked;
        if self.slot_state(&content.sha256)? == SlotState::Staged {
            return Err(DepotError::Staged(content.sha256));
        }
        self.empty(&content.sha256)?;
        let record = SlotRecord {
            schema: 1,
            digest: content.sha256,
            length: content.length,
            release,
            target: target.to_owned(),
            evidence,
        };
        Filling::begin(self, record)
    }

    /// Offers a Staged slot, or that the roll-out was paused or aborted, to the runtime.
    ///
    /// # Errors
    /// [`DepotError::NotStaged`]: only what can be taken up is offered; [`DepotError::Io`].
    pub fn offer(&mut self, offer: &Offer) -> Result<(), DepotError> {
        if self.slot_state(&offer.digest)? != SlotState::Staged {
            return Err(DepotError::NotStaged(offer.digest));
        }
        files::write(&mut self.disk, &self.paths.offer(&offer.model), offer)
    }

    /// What is offered for a model.
    ///
    /// # Errors
    /// [`DepotError::File`], [`DepotError::Io`].
    pub fn offered(&self, model: &str) -> Result<Option<Offer>, DepotError> {
        files::read(&self.disk, &self.paths.offer(model))
    }

    /// Takes an offer back; there need be none.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn withdraw(&mut self, model: &str) -> Result<(), DepotError> {
        let path = self.paths.offer(model);
        self.disk.remove(&path).map_err(io("remove", &path))?;
        self.disk.sync_folder(folder_of(&path)).map_err(io("sync the folder of", &path))
    }

    /// Takes away every slot that nothing speaks for, and tells which. Kept is what the runtime's pointers name (current,
    /// previous, candidate), what is offered or is to be gone back to, what a deployment that goes on waits for, and `keep`.
    ///
    /// The runtime points at a slot before it reads it, and reads pointers and slot again before it activates: so a slot
    /// that goes while it is being pointed at is seen to be gone, and the old model stays.
    ///
    /// # Errors
    /// [`DepotError::File`] if pointers or an offer cannot be read: then nothing is taken away; [`DepotError::Io`].
    pub fn collect_garbage(
        &mut self,
        state: &StatePaths,
        keep: &BTreeSet<Digest>,
    ) -> Result<Vec<Digest>, DepotError> {
        let mut kept = keep.clone();
        kept.extend(self.offers()?.iter().flat_map(|offer| [Some(offer.digest), offer.abort_to]).flatten());
        kept.extend(self.journal.going_on().map(|(_, deployment)| deployment.digest));
        let pointers: Option<Pointers> = files::read(&self.disk, &state.pointers())?;
        kept.extend(
            pointers.iter().flat_map(|pointers| pointers.models.values()).flat_map(|model| model.all()),
        );
        let mut gone = Vec::new();
        for digest in self.slots()?.into_iter().filter(|digest| !kept.contains(digest)) {
            self.empty(&digest)?;
            gone.push(digest);
        }
        Ok(gone)
    }

    /// Reads a Staged slot again and compares it with its record: for `status` and for offline media.
    ///
    /// # Errors
    /// [`DepotError::NotStaged`]; [`DepotError::ReadBack`], without emptying it: what is current may lie there.
    pub fn verify(&self, digest: &Digest) -> Result<(), DepotError> {
        let record = self.slot_record(digest)?.ok_or(DepotError::NotStaged(*digest))?;
        read_back(&self.disk, &self.paths, &record)
    }

    /// Every folder of a slot.
    fn slots(&self) -> Result<Vec<Digest>, DepotError> {
        let folder = self.paths.slots();
        let names = self.disk.list(&folder).map_err(io("list", &folder))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn offers(&self) -> Result<Vec<Offer>, DepotError> {
        let folder = self.paths.offers();
        let names = self.disk.list(&folder).map_err(io("list", &folder))?;
        let models = names.iter().filter_map(|name| name.strip_suffix(".json"));
        models.filter_map(|model| self.offered(model).transpose()).collect()
    }

    /// Slots that were being filled become Empty; the journal learns what the slots know.
    fn recover(&mut self) -> Result<(), DepotError> {
        for digest in self.slots()? {
            let record = self.paths.slot_record(&digest);
            sweep(&mut self.disk, &self.paths.slot(&digest))?;
            if self.disk.open(&record).map_err(io("open", &record))?.is_none() {
                self.empty(&digest)?;
            }
        }
        let mut staged = BTreeSet::new();
        for (_, deployment) in self.journal.going_on() {
            // One that cannot be read shows when it is needed; the journal says no less than before.
            if matches!(self.slot_state(&deployment.digest), Ok(SlotState::Staged) | Err(_)) {
                staged.insert(deployment.digest);
            }
        }
        self.record(|journal| {
            journal.agree_with(&staged);
            Ok(())
        })
    }

    /// Takes away all that a slot holds, its record first: a cut in between leaves it Filling, never Staged and half.
    pub(super) fn empty(&mut self, digest: &Digest) -> Result<(), DepotError> {
        let slot = self.paths.slot(digest);
        if !self.disk.list(&self.paths.slots()).map_err(io("list", &slot))?.contains(&digest.to_string()) {
            return Ok(());
        }
        let record = self.paths.slot_record(digest);
        self.disk.remove(&record).map_err(io("remove", &record))?;
        self.disk.sync_folder(&slot).map_err(io("sync the folder", &slot))?;
        for path in [beside(&record), self.paths.bundle(digest)] {
            self.disk.remove(&path).map_err(io("remove", &path))?;
        }
        self.disk.remove_folder(&slot).map_err(io("remove the folder", &slot))?;
        self.disk.sync_folder(folder_of(&slot)).map_err(io("sync the folder above", &slot))
    }
}

/// Compares the bundle on the medium with its record.
pub(super) fn read_back(disk: &impl Disk, paths: &DepotPaths, record: &SlotRecord) -> Result<(), DepotError> {
    let path: &Path = &paths.bundle(&record.digest);
    let found = match measure(disk, path, record.length)? {
        Some((length, digest)) if (length, digest) == (record.length, record.digest) => return Ok(()),
        Some((length, digest)) => format!("{digest} of {length} bytes"),
        None => "nothing".into(),
    };
    Err(DepotError::ReadBack { digest: record.digest, found })
}
