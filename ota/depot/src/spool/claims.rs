//! The agent's side: what it takes to be sent, and how that ends.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ending::{Desk, names};
use super::error::{SpoolError, io};
use super::ledger::Side;
use super::name::{Name, State};
use super::writer::length;
use super::{Class, End, MAX_RECORD};
use crate::digest::Digest;
use crate::disk::Disk;

/// A record that the agent holds, or could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub length: u64,
    /// Its value.
    pub class: Class,
    /// Seconds since 1970 after which nobody wants it.
    pub expires: u64,
}

/// The agent's side of a spool; one process has it. What it claimed it holds until it ends or releases it, over restarts.
pub struct Claims<D: Disk> {
    desk: Desk<D>,
    held: BTreeMap<Digest, Claimed>,
    /// Folders of which a name that is gone may come back with a cut.
    uncertain: Vec<PathBuf>,
}

impl<D: Disk> fmt::Debug for Claims<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("places", &self.desk.places).finish_non_exhaustive()
    }
}

impl<D: Disk> Claims<D> {
    /// Opens the spool and takes up what an earlier process had claimed. `now` is in seconds since 1970, here and below.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn open(disk: D, folder: &Path, now: u64) -> Result<Self, SpoolError> {
        let desk = Desk::open(disk, folder, Side::Agent, now)?;
        let mut claims = Self { desk, held: BTreeMap::new(), uncertain: Vec::new() };
        claims.look_again()?;
        // An earlier process may have ended between two syncs.
        if !claims.held.is_empty() {
            claims.uncertain = vec![claims.desk.places.waiting.clone(), claims.desk.places.sending.clone()];
        }
        claims.make_certain()?;
        Ok(claims)
    }

    /// What is claimed, in the order in which it is to be sent.
    pub fn held(&self) -> Vec<Claimed> {
        let mut held: Vec<Claimed> = self.held.values().copied().collect();
        held.sort_by_key(order);
        held
    }

    /// What could be claimed, in the order in which it would be.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn waiting(&self) -> Result<Vec<Claimed>, SpoolError> {
        let mut waiting = listed(&self.desk.disk, &self.desk.places.waiting)?;
        waiting.sort_by_key(order);
        Ok(waiting)
    }

    /// Claims what is most valuable, and of that what expires first, up to `limit_bytes` in all; at least one, where one
    /// waits. What was claimed; none of it is evicted any more.
    ///
    /// # Errors
    /// [`SpoolError::Io`]; what was claimed until then shows in [`Claims::held`].
    pub fn claim(&mut self, limit_bytes: u64) -> Result<Vec<Claimed>, SpoolError> {
        let (mut bytes, mut wanted) = (0_u64, Vec::new());
        for one in self.waiting()? {
            bytes = bytes.saturating_add(one.length);
            if bytes > limit_bytes && !wanted.is_empty() {
                break;
            }
            wanted.push(one);
        }
        self.take(wanted)
    }

    /// Claims this one, where it waits or is held: for what somebody wants to be forgotten.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn claim_one(&mut self, digest: &Digest) -> Result<Option<Claimed>, SpoolError> {
        if let Some(held) = self.held.get(digest) {
            return Ok(Some(*held));
        }
        let waiting = self.waiting()?.into_iter().filter(|one| one.digest == *digest).collect();
        self.take(waiting).map(|taken| taken.into_iter().next())
    }

    /// Claims these, as far as they still wait, with as few syncs as for one.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn claim_those(&mut self, wanted: Vec<Claimed>) -> Result<Vec<Claimed>, SpoolError> {
        self.take(wanted)
    }

    fn take(&mut self, wanted: Vec<Claimed>) -> Result<Vec<Claimed>, SpoolError> {
        let (from, to) = (self.desk.places.waiting.clone(), self.desk.places.sending.clone());
        let taken = self.shift(wanted, &from, &to);
        match &taken {
            Ok(taken) => self.held.extend(taken.iter().map(|one| (one.digest, *one))),
            Err(_) => self.look_again()?,
        }
        taken
    }

    /// Puts claimed records back to wait: they may be evicted again.
    ///
    /// # Errors
    /// [`SpoolError::NotHeld`], [`SpoolError::Io`].
    pub fn release(&mut self, digests: &[Digest]) -> Result<(), SpoolError> {
        let held = digests.iter().map(|digest| self.one(digest)).collect::<Result<Vec<_>, _>>()?;
        let (from, to) = (self.desk.places.sending.clone(), self.desk.places.waiting.clone());
        let released = self.shift(held, &from, &to);
        self.look_again()?;
        released.map(drop)
    }

    fn look_again(&mut self) -> Result<(), SpoolError> {
        let listed = listed(&self.desk.disk, &self.desk.places.sending)?;
        self.held = listed.into_iter().map(|one| (one.digest, one)).collect();
        Ok(())
    }

    /// Renames records from one folder to the other; those that were still there. The new names are certain before the old
    /// ones' end is, also where not all could be renamed, so that a cut leaves two names rather than none. Where that fails
    /// they are renamed back: else the other side's next sync would make the old names' end certain, and nobody the new ones.
    fn shift(&mut self, wanted: Vec<Claimed>, from: &Path, to: &Path) -> Result<Vec<Claimed>, SpoolError> {
        let mut shifted = Vec::new();
        let renamed = self.rename_all(wanted, from, to, &mut shifted);
        if !shifted.is_empty() {
            if let Err(error) = self.desk.disk.sync_folder(to) {
                for one in &shifted {
                    let file = name(one).file(State::Whole);
                    // Where this fails too, what a cut leaves is the file system's to say.
                    let _ = self.desk.disk.rename(&to.join(&file), &from.join(&file));
                }
                return Err(io("sync", to)(error));
            }
            self.uncertain.push(from.to_owned());
            self.make_certain()?;
        }
        renamed.map(|()| shifted)
    }

    /// Until this is done a cut may bring back the old name of a record that has another, or has ended. Once more where it fails:
    /// a disk that was full for a moment must not leave that behind.
    fn make_certain(&mut self) -> Result<(), SpoolError> {
        while let Some(folder) = self.uncertain.last() {
            let synced = self.desk.disk.sync_folder(folder).or_else(|_| self.desk.disk.sync_folder(folder));
            synced.map_err(io("sync", folder))?;
            self.uncertain.pop();
        }
        Ok(())
    }

    fn rename_all(
        &mut self,
        wanted: Vec<Claimed>,
        from: &Path,
        to: &Path,
        shifted: &mut Vec<Claimed>,
    ) -> Result<(), SpoolError> {
        for one in wanted {
            let file = name(&one).file(State::Whole);
            match self.desk.disk.rename(&from.join(&file), &to.join(&file)) {
                Ok(()) => shifted.push(one),
                // Evicted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io("claim", &from.join(&file))(error)),
            }
        }
        Ok(())
    }

    /// The bytes of a claimed record, which are those of its digest.
    ///
    /// # Errors
    /// [`SpoolError::NotHeld`]; [`SpoolError::Corrupt`]; [`SpoolError::Io`], also where it is longer than [`MAX_RECORD`].
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, SpoolError> {
        let path = self.desk.places.sending.join(name(&self.one(digest)?).file(State::Whole));
        let bytes = self.desk.disk.read(&path, MAX_RECORD).map_err(io("read", &path))?;
        let bytes = bytes.ok_or(SpoolError::NotHeld(*digest))?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(SpoolError::Corrupt { digest: *digest, found }) }
    }

    /// Ends a claimed record. It is certain when this returns.
    ///
    /// # Errors
    /// As [`Claims::end_all`].
    pub fn end(&mut self, digest: &Digest, end: End, now: u64) -> Result<(), SpoolError> {
        self.end_all(&[(*digest, end)], now)
    }

    /// Ends claimed records, with as few syncs as for one.
    ///
    /// # Errors
    /// [`SpoolError::NotHeld`]: none has ended. [`SpoolError::Io`]: those whose end is already decided are not held any more,
    /// the next call or start finishes them; the others still are.
    pub fn end_all(&mut self, ends: &[(Digest, End)], now: u64) -> Result<(), SpoolError> {
        self.make_certain()?;
        let named = ends.iter().map(|(digest, end)| Ok((name(&self.one(digest)?), *end)));
        let named = named.collect::<Result<Vec<_>, SpoolError>>()?;
        let ended = self.desk.end(&named, now);
        if ended.is_err() {
            self.look_again()?;
        } else {
            self.held.retain(|digest, _| !ends.iter().any(|(ended, _)| ended == digest));
        }
        ended.map(drop)
    }

    fn one(&self, digest: &Digest) -> Result<Claimed, SpoolError> {
        self.held.get(digest).copied().ok_or(SpoolError::NotHeld(*digest))
    }
}

fn order(one: &Claimed) -> (std::cmp::Reverse<Class>, u64, Digest) {
    (std::cmp::Reverse(one.class), one.expires, one.digest)
}

fn name(one: &Claimed) -> Name {
    Name { digest: one.digest, class: one.class, expires: one.expires }
}

fn listed(disk: &impl Disk, folder: &Path) -> Result<Vec<Claimed>, SpoolError> {
    let mut listed = Vec::new();
    for (name, state) in names(disk, folder)? {
        if state != State::Whole {
            continue;
        }
        // Gone meanwhile, where it has no length.
        if let Some(length) = length(disk, &folder.join(name.file(state)))? {
            let Name { digest, class, expires } = name;
            listed.push(Claimed { digest, length, class, expires });
        }
    }
    Ok(listed)
}
