//! How a record ends, for both sides: a rename decides, the ledger knows, the file goes.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{SpoolError, io};
use super::ledger::{Entry, Event, Ledger, Side, read_side};
use super::name::{Name, State};
use super::{End, Places};
use crate::disk::{BESIDE, Disk, folder_of};

/// One side's place of work: the folder whose records it may end, and its ledger.
pub(super) struct Desk<D: Disk> {
    pub(super) disk: D,
    pub(super) places: Places,
    side: Side,
    ledger: Option<Ledger<D::File>>,
}

impl<D: Disk> Desk<D> {
    /// Makes the folders, if they are missing, and finishes what a cut left half done.
    pub(super) fn open(disk: D, root: &Path, side: Side, now: u64) -> Result<Self, SpoolError> {
        let mut desk = Self { disk, places: Places::new(root), side, ledger: None };
        desk.make_folders()?;
        desk.drop_second_copies()?;
        desk.settle(now)?;
        Ok(desk)
    }

    /// The folder whose records this side may end.
    pub(super) fn own(&self) -> &Path {
        match self.side {
            Side::Runtime => &self.places.waiting,
            Side::Agent => &self.places.sending,
        }
    }

    fn make_folders(&mut self) -> Result<(), SpoolError> {
        let root = self.places.root.clone();
        let there = self.disk.list(&root).map_err(io("list", &root))?;
        let is_there = |folder: &Path| {
            folder
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| there.iter().any(|one| one == name))
        };
        let missing: Vec<PathBuf> = self
            .places
            .folders()
            .into_iter()
            .filter(|folder| !is_there(folder))
            .map(Path::to_owned)
            .collect();
        if missing.is_empty() && self.side == Side::Agent {
            return Ok(());
        }
        for folder in &missing {
            self.disk.create_folder(folder).map_err(io("make the folder", folder))?;
        }
        // Also where they were made by an earlier start that did not come so far.
        for folder in [folder_of(&root), root.as_path()] {
            self.disk.sync_folder(folder).map_err(io("sync", folder))?;
        }
        Ok(())
    }

    /// Where a cut left a claimed record under both names, the claim counts.
    fn drop_second_copies(&mut self) -> Result<(), SpoolError> {
        let claimed: HashSet<Name> =
            names(&self.disk, &self.places.sending)?.into_iter().map(|(name, _)| name).collect();
        let mut dropped = false;
        for (name, state) in names(&self.disk, &self.places.waiting)? {
            // Asked for again: the agent may just have released it.
            let in_both = state == State::Whole
                && claimed.contains(&name)
                && names(&self.disk, &self.places.sending)?.iter().any(|(found, _)| *found == name);
            if in_both {
                let path = self.places.waiting.join(name.file(state));
                self.disk.remove(&path).map_err(io("remove", &path))?;
                dropped = true;
            }
        }
        if dropped {
            let waiting = &self.places.waiting;
            self.disk.sync_folder(waiting).map_err(io("sync", waiting))?;
        }
        Ok(())
    }

    /// Finishes what a cut or an error left half done; nothing to do costs nothing.
    pub(super) fn settle(&mut self, now: u64) -> Result<(), SpoolError> {
        if self.ledger.is_some() {
            return Ok(());
        }
        let folder = self.places.ledger.clone();
        let ledger = Ledger::open(&self.disk, &folder, self.side).map_err(io("read", &folder))?;
        self.finish(ledger, now).map(|ledger| self.ledger = Some(ledger))
    }

    fn finish(&mut self, mut ledger: Ledger<D::File>, now: u64) -> Result<Ledger<D::File>, SpoolError> {
        let own = self.own().to_owned();
        self.sweep_ledger()?;
        let begun: Vec<(Name, State)> =
            names(&self.disk, &own)?.into_iter().filter(|(_, state)| *state != State::Whole).collect();
        if begun.is_empty() {
            return Ok(ledger);
        }
        // An error or a kill may have come before it: the ledger must not tell of a rename that a cut takes back.
        self.disk.sync_folder(&own).map_err(io("sync", &own))?;
        let folder = self.places.ledger.clone();
        let read = read_side(&self.disk, &folder, self.side).map_err(io("read", &folder))?;
        // It may have been written and not be certain.
        ledger.sync(&mut self.disk).map_err(io("sync the ledger in", &folder))?;
        let (captured, ended) = (read.captured(), read.ended());
        let missing: Vec<Entry> = begun
            .iter()
            .filter_map(|(name, state)| match state {
                State::Ended(end) if !ended.contains(&name.digest) => {
                    Some(Entry::ended(now, *end, name.digest, name.class))
                }
                _ => None,
            })
            .collect();
        ledger.append(&mut self.disk, &missing).map_err(io("write the ledger in", &folder))?;
        for (name, state) in begun {
            let path = own.join(name.file(state));
            if state == State::New && captured.contains(&name.digest) {
                let whole = own.join(name.file(State::Whole));
                self.disk.rename(&path, &whole).map_err(io("rename", &path))?;
            } else {
                self.disk.remove(&path).map_err(io("remove", &path))?;
            }
        }
        self.disk.sync_folder(&own).map_err(io("sync", &own))?;
        Ok(ledger)
    }

    /// What a cut left of a ledger's next file.
    fn sweep_ledger(&mut self) -> Result<(), SpoolError> {
        let folder = self.places.ledger.clone();
        for file in self.disk.list(&folder).map_err(io("list", &folder))? {
            let is_ours = file.strip_suffix(BESIDE).is_some_and(|file| self.side.owns(file));
            if is_ours {
                let path = folder.join(file);
                self.disk.remove(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes lines into the ledger; certain when it returns.
    pub(super) fn note(&mut self, lines: &[Entry], now: u64) -> Result<(), SpoolError> {
        self.settle(now)?;
        let Some(mut ledger) = self.ledger.take() else { return Ok(()) };
        // Where it fails the ledger stays closed: it is read again before anything else is done.
        ledger.append(&mut self.disk, lines).map_err(io("write the ledger in", &self.places.ledger))?;
        self.ledger = Some(ledger);
        Ok(())
    }

    /// Says that something was left half done.
    pub(super) fn unsettle(&mut self) {
        self.ledger = None;
    }

    /// Ends records in the folder of this side; those that it did end.
    pub(super) fn end(&mut self, ends: &[(Name, End)], now: u64) -> Result<Vec<(Name, End)>, SpoolError> {
        self.settle(now)?;
        let ended = self.end_unsettled(ends, now);
        if ended.is_err() {
            self.unsettle();
        }
        ended
    }

    fn end_unsettled(&mut self, ends: &[(Name, End)], now: u64) -> Result<Vec<(Name, End)>, SpoolError> {
        let own = self.own().to_owned();
        let mut ended = Vec::new();
        for (name, end) in ends {
            let (from, to) = (own.join(name.file(State::Whole)), own.join(name.file(State::Ended(*end))));
            match self.disk.rename(&from, &to) {
                Ok(()) => ended.push((*name, *end)),
                // The other side was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io("rename", &from)(error)),
            }
        }
        if ended.is_empty() {
            return Ok(ended);
        }
        self.disk.sync_folder(&own).map_err(io("sync", &own))?;
        let lines: Vec<Entry> =
            ended.iter().map(|(name, end)| Entry::ended(now, *end, name.digest, name.class)).collect();
        self.note(&lines, now)?;
        for (name, end) in &ended {
            let path = own.join(name.file(State::Ended(*end)));
            self.disk.remove(&path).map_err(io("remove", &path))?;
        }
        self.disk.sync_folder(&own).map_err(io("sync", &own))?;
        Ok(ended)
    }
}

/// The line that begins a record.
pub(super) fn captured(name: &Name, now: u64) -> Entry {
    Entry {
        at: now,
        event: Event::Captured,
        digest: name.digest,
        class: name.class,
        cause: None,
        at_once: false,
    }
}

/// The files of ours in a folder.
pub(super) fn names(disk: &impl Disk, folder: &Path) -> Result<Vec<(Name, State)>, SpoolError> {
    let files = disk.list(folder).map_err(io("list", folder))?;
    Ok(files.iter().filter_map(|file| Name::parse(file)).collect())
}
