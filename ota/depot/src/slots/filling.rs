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
    /// What [`Write`] could not say in an [`io::Error`].
    failed: Option<DepotError>,
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
        Ok(Self { depot, record, file, hash: Sha256::new(), written: 0, failed: None })
    }

    /// What the slot will hold.
    pub fn record(&self) -> &SlotRecord {
        &self.record
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Why the last write through [`Write`] failed; an [`io::Error`] says less.
    pub fn take_error(&mut self) -> Option<DepotError> {
        self.failed.take()
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
        match self.add(piece) {
            Ok(()) => Ok(piece.len()),
            Err(error) => {
                let told = io::Error::new(kind_of(&error), error.to_string());
                self.failed = Some(error);
                Err(told)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn kind_of(error: &DepotError) -> io::ErrorKind {
    match error {
        DepotError::Io { source, .. } if source.kind() != io::ErrorKind::Interrupted => source.kind(),
        _ => io::ErrorKind::InvalidData,
    }
}

#[cfg(feature = "packed")]
mod packed {
    use std::io::Read;

    use super::{DepotError, Filling};
    use crate::bundle::packed::unpack_exactly;
    use crate::delta;
    use crate::digest::Digest;
    use crate::disk::Disk;
    use crate::release::Content;
    use crate::slots::error::io;

    impl<D: Disk> Filling<'_, D> {
        /// Fills the slot with what a `.slb` of `packed_length` bytes unpacks to, read piece by piece, with flat memory.
        /// The packed bytes are the caller's to compare with their own signed digest before [`Filling::finish`].
        ///
        /// # Errors
        /// [`DepotError::Packed`] for a frame that is refused or damaged; [`DepotError::Content`], [`DepotError::Io`].
        pub fn unpack(&mut self, packed: impl Read, packed_length: u64) -> Result<(), DepotError> {
            let length = self.record.length;
            let done = unpack_exactly(packed, packed_length, length, &mut *self);
            done.map_err(|error| self.take_error().unwrap_or(DepotError::Packed(error)))
        }

        /// Fills the slot with what a delta makes of the bundle in the slot `from`.
        ///
        /// # Errors
        /// [`DepotError::NotStaged`] if `from` is not there; [`DepotError::Delta`]; [`DepotError::Content`],
        /// [`DepotError::Io`]. The full file remains.
        pub fn apply(&mut self, from: &Digest, delta: impl Read) -> Result<(), DepotError> {
            let path = self.depot.paths.bundle(from);
            let old = self.depot.disk.open(&path).map_err(io("open", &path))?;
            let old = old.ok_or(DepotError::NotStaged(*from))?;
            let to = Content { sha256: self.record.digest, length: self.record.length };
            let done = delta::apply(old, delta, from, &to, &mut *self);
            done.map_err(|error| self.take_error().unwrap_or(DepotError::Delta(error)))
        }
    }
}
