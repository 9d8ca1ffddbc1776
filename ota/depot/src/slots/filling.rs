//! A slot that is being filled: written while it is hashed, synced, read back from the medium; its record comes last.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::SlotRecord;
use super::depot::{Depot, RESERVE, read_back};
use super::error::{DepotError, io};
use super::files;
use crate::digest::Digest;
use crate::disk::Disk;

/// A slot that is being filled. Dropped before [`Filling::finish`] it stays Filling; the next attempt or the next
/// [`Depot::open`] takes it away.
#[derive(Debug)]
pub struct Filling<'d, D: Disk> {
    depot: &'d mut Depot<D>,
    record: SlotRecord,
    file: D::File,
    hash: Sha256,
    written: u64,
}

impl<'d, D: Disk> Filling<'d, D> {
    pub(super) fn begin(depot: &'d mut Depot<D>, record: SlotRecord) -> Result<Self, DepotError> {
        let folder = depot.paths.slots();
        let needed = record.length.saturating_add(RESERVE);
        let available = depot.disk.available(&folder).map_err(io("measure", &folder))?;
        if available < needed {
            return Err(DepotError::Room { digest: record.digest, folder, needed, available });
        }
        files::make_folder(&mut depot.disk, &depot.paths.slot(&record.digest))?;
        let path = depot.paths.bundle(&record.digest);
        let file = depot.disk.create(&path).map_err(io("create", &path))?;
        Ok(Self { depot, record, file, hash: Sha256::new(), written: 0 })
    }

    /// What the slot will hold.
    pub fn record(&self) -> &SlotRecord {
        &self.record
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Adds the next piece of `bundle.tar`.
    ///
    /// # Errors
    /// [`DepotError::Content`] for more than was signed; [`DepotError::Io`].
    pub fn add(&mut self, piece: &[u8]) -> Result<(), DepotError> {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let written = self.written.saturating_add(length);
        if written > self.record.length {
            let problem = format!("more than the {} bytes that were signed came", self.record.length);
            return Err(DepotError::Content { digest: self.record.digest, problem });
        }
        let path = self.depot.paths.bundle(&self.record.digest);
        self.depot.disk.write(&mut self.file, piece).map_err(io("write", &path))?;
        self.hash.update(piece);
        self.written = written;
        Ok(())
    }

    /// Ends it: the content is what was signed, lies on the medium and was read back from there; then the slot is Staged.
    ///
    /// # Errors
    /// [`DepotError::Content`], [`DepotError::ReadBack`], [`DepotError::Io`]; the slot is Empty again, or Filling if it
    /// could not even be emptied.
    pub fn finish(mut self) -> Result<SlotRecord, DepotError> {
        let done = self.stage();
        if done.is_err() {
            // The error before matters more; what is left over is never read as Staged and goes at the next attempt.
            let _ = self.depot.empty(&self.record.digest);
        }
        done.map(|()| self.record)
    }

    /// Gives up: the slot is Empty again.
    ///
    /// # Errors
    /// [`DepotError::Io`].
    pub fn abandon(self) -> Result<(), DepotError> {
        self.depot.empty(&self.record.digest)
    }

    fn stage(&mut self) -> Result<(), DepotError> {
        self.check()?;
        let Depot { disk, paths, .. } = &mut *self.depot;
        let (slot, path) = (paths.slot(&self.record.digest), paths.bundle(&self.record.digest));
        disk.sync(&mut self.file).map_err(io("sync", &path))?;
        disk.sync_folder(&slot).map_err(io("sync the folder", &slot))?;
        disk.forget(&mut self.file).map_err(io("let go of", &path))?;
        read_back(disk, paths, &self.record)?;
        files::write(disk, &paths.slot_record(&self.record.digest), &self.record)
    }

    fn check(&mut self) -> Result<(), DepotError> {
        let wrong = |problem| Err(DepotError::Content { digest: self.record.digest, problem });
        if self.written != self.record.length {
            return wrong(format!("{} bytes came, {} were signed", self.written, self.record.length));
        }
        let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        if found != self.record.digest {
            return wrong(format!("what came has the digest {found}"));
        }
        Ok(())
    }
}

/// As [`Filling::add`], for those who write to anything.
impl<D: Disk> Write for Filling<'_, D> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.add(piece).map(|()| piece.len()).map_err(|error| match error {
            DepotError::Io { source, .. } => source,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
