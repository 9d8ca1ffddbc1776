//! The runtime's side: records come in, and the spool keeps within its bounds.

use std::collections::HashMap;
use std::fmt;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use super::ending::{Desk, captured, names};
use super::error::{SpoolError, io};
use super::ledger::{Entry, Side};
use super::name::{Name, State};
use super::thinning::{Candidate, Room, victims};
use super::{Class, End, Limits, MAX_FILES, MAX_RECORD};
use crate::digest::Digest;
use crate::disk::{Disk, beside};

/// Attempts at making room while the agent claims what was to be evicted.
const ATTEMPTS: usize = 8;

/// What became of a record that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits for the agent.
    Waiting(Digest),
    /// It was there already; nothing was counted.
    Known(Digest),
    /// The spool is full of what is worth more, or lies better in time: captured and evicted at once, without touching the
    /// disk but for the ledger.
    Evicted(Digest),
}

/// The writer's side of a spool; one process has it. None of its errors leaves anything half done that the next call, or the
/// next start, does not finish.
pub struct Spool<D: Disk> {
    desk: Desk<D>,
    limits: Limits,
    /// Lengths of what was seen: asked once for each.
    lengths: HashMap<Digest, u64>,
}

/// What lies in the spool.
struct Held {
    waiting: Vec<(Name, u64)>,
    /// Bytes and files that the agent has claimed.
    sending: (u64, usize),
}

impl<D: Disk> fmt::Debug for Spool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("places", &self.desk.places).finish_non_exhaustive()
    }
}

impl<D: Disk> Spool<D> {
    /// Opens a spool; makes its folders where they are missing. `now` is in seconds since 1970, here and below.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn open(disk: D, folder: &Path, limits: Limits, now: u64) -> Result<Self, SpoolError> {
        let desk = Desk::open(disk, folder, Side::Runtime, now)?;
        Ok(Self { desk, limits, lengths: HashMap::new() })
    }

    /// Changes the bounds; the next [`Spool::put`] or [`Spool::evict`] holds them.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Puts a sealed record. It is certain when this returns.
    ///
    /// # Errors
    /// [`SpoolError`]; then the record is not in the spool, unless its begin was noted before the disk failed, in which
    /// case the next call finishes it.
    pub fn put(&mut self, sealed: &[u8], class: Class, expires: u64, now: u64) -> Result<Put, SpoolError> {
        let length = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
        let limit = MAX_RECORD.min(self.limits.bytes);
        if length > limit {
            return Err(SpoolError::TooBig { length, limit });
        }
        self.desk.settle(now)?;
        let name = Name { digest: Digest::of(sealed), class, expires };
        if self.is_known(&name)? {
            return Ok(Put::Known(name.digest));
        }
        if !self.make_room(&name, length, now)? {
            return Ok(Put::Evicted(name.digest));
        }
        self.check_free(length)?;
        let written = self.write(&name, sealed, now);
        if written.is_err() {
            self.desk.unsettle();
            // The room is needed at once; what fails here is tried again by the next call.
            let _ = self.desk.settle(now);
        }
        written.map(|()| {
            self.lengths.insert(name.digest, length);
            Put::Waiting(name.digest)
        })
    }

    /// Evicts until the bounds are held; how many went.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn evict(&mut self, now: u64) -> Result<usize, SpoolError> {
        self.desk.settle(now)?;
        let held = self.held()?;
        let gone = self.surplus(&held, None);
        self.desk.end(&gone.victims, now).map(|ended| ended.len())
    }

    /// Ends what nobody fetched in time; how many. To be called only with a clock that somebody set.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn expire(&mut self, now: u64) -> Result<usize, SpoolError> {
        self.desk.settle(now)?;
        let waiting = names(&self.desk.disk, &self.desk.places.waiting)?;
        let due = waiting.into_iter().filter(|(name, state)| *state == State::Whole && name.expires <= now);
        let due: Vec<_> = due.map(|(name, _)| (name, End::Expired)).collect();
        self.desk.end(&due, now).map(|ended| ended.len())
    }

    /// Whether there is room now; `false` where the record itself is what goes.
    fn make_room(&mut self, name: &Name, length: u64, now: u64) -> Result<bool, SpoolError> {
        for _ in 0..ATTEMPTS {
            let held = self.held()?;
            let surplus = self.surplus(&held, Some((name, length)));
            if surplus.incoming {
                // One line, so that a cut leaves both or neither.
                let end = Entry::ended(now, End::Evicted, name.digest, name.class);
                self.desk.note(&[Entry { at_once: true, ..end }], now)?;
                return Ok(false);
            }
            if surplus.victims.is_empty() && surplus.fits {
                return Ok(true);
            }
            if surplus.victims.is_empty() {
                break;
            }
            self.desk.end(&surplus.victims, now)?;
        }
        Err(SpoolError::Full { path: self.desk.places.root.clone(), limits: self.limits })
    }

    /// Who must go, where this one comes too.
    fn surplus(&self, held: &Held, incoming: Option<(&Name, u64)>) -> Surplus {
        let room = Room {
            bytes: self.limits.bytes.saturating_sub(held.sending.0),
            files: (self.limits.files.min(MAX_FILES) as usize).saturating_sub(held.sending.1),
        };
        let all = held.waiting.iter().map(|(name, length)| (name, *length)).chain(incoming);
        let all: Vec<Candidate> =
            all.map(|(name, length)| Candidate { class: name.class, time: name.expires, length }).collect();
        let gone = victims(&all, room);
        let fits = incoming.is_none_or(|(_, length)| length <= room.bytes && room.files > 0);
        // A record that fits in nowhere makes nobody go.
        let is_incoming = |at: &usize| *at == held.waiting.len();
        if fits && gone.iter().any(is_incoming) {
            return Surplus { victims: Vec::new(), incoming: true, fits };
        }
        let gone = gone.into_iter().filter_map(|at| held.waiting.get(at));
        let victims = if fits { gone.map(|(name, _)| (*name, End::Evicted)).collect() } else { Vec::new() };
        Surplus { victims, incoming: false, fits }
    }

    fn held(&mut self) -> Result<Held, SpoolError> {
        let (mut held, mut seen) = (Held { waiting: Vec::new(), sending: (0, 0) }, HashMap::new());
        for folder in [self.desk.places.waiting.clone(), self.desk.places.sending.clone()] {
            for (name, state) in names(&self.desk.disk, &folder)? {
                let length = match self.lengths.get(&name.digest) {
                    Some(length) => Some(*length),
                    None => length(&self.desk.disk, &folder.join(name.file(state)))?,
                };
                // Gone meanwhile: the agent was at it.
                let Some(length) = length else { continue };
                seen.insert(name.digest, length);
                if folder == self.desk.places.waiting && state == State::Whole {
                    held.waiting.push((name, length));
                } else {
                    held.sending = (held.sending.0.saturating_add(length), held.sending.1 + 1);
                }
            }
        }
        self.lengths = seen;
        Ok(held)
    }

    fn is_known(&self, name: &Name) -> Result<bool, SpoolError> {
        let places = &self.desk.places;
        for folder in [&places.waiting, &places.sending] {
            if names(&self.desk.disk, folder)?.iter().any(|(found, _)| found.digest == name.digest) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_free(&self, length: u64) -> Result<(), SpoolError> {
        let waiting = &self.desk.places.waiting;
        let available = self.desk.disk.available(waiting).map_err(io("look for room in", waiting))?;
        let keep_free = self.limits.keep_free;
        if available.saturating_sub(length) >= keep_free {
            return Ok(());
        }
        Err(SpoolError::NoRoom { path: self.desk.places.root.clone(), length, available, keep_free })
    }

    /// The three steps of the table in the module's head.
    fn write(&mut self, name: &Name, sealed: &[u8], now: u64) -> Result<(), SpoolError> {
        let waiting = self.desk.places.waiting.clone();
        let path = waiting.join(name.file(State::Whole));
        let new = beside(&path);
        let disk = &mut self.desk.disk;
        let mut file = disk.create(&new).map_err(io("create", &new))?;
        disk.write(&mut file, sealed).map_err(io("write", &new))?;
        disk.sync(&mut file).map_err(io("sync", &new))?;
        drop(file);
        disk.sync_folder(&waiting).map_err(io("sync", &waiting))?;
        self.desk.note(&[captured(name, now)], now)?;
        let disk = &mut self.desk.disk;
        disk.rename(&new, &path).map_err(io("rename", &new))?;
        disk.sync_folder(&waiting).map_err(io("sync", &waiting))
    }
}

/// What must go.
struct Surplus {
    victims: Vec<(Name, End)>,
    /// The record that comes is what goes.
    incoming: bool,
    /// Whether it fits beside what is being sent.
    fits: bool,
}

/// A file's bytes; `None` if it is not there.
pub(super) fn length(disk: &impl Disk, path: &Path) -> Result<Option<u64>, SpoolError> {
    let Some(mut reader) = disk.open(path).map_err(io("open", path))? else { return Ok(None) };
    reader.seek(SeekFrom::End(0)).map(Some).map_err(io("measure", path))
}
