//! A disk that forgets what was not synced, as a real one may when the power goes.
//!
//! Content and names live in two states: as the running system sees them, and as the medium has them. A cut keeps of what
//! was not synced nothing, everything, or the names without the content: the three ends between which real file systems
//! lie.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, folder_of};

/// What a cut leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Nothing,
    Everything,
    /// Renames without the data they should have waited for.
    NamesWithoutContent,
}

pub const CUTS: [Cut; 3] = [Cut::Nothing, Cut::Everything, Cut::NamesWithoutContent];

#[derive(Debug, Clone, Default)]
struct Content {
    seen: Vec<u8>,
    synced: Vec<u8>,
}

/// How a call fails when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The power goes: this and every later call does nothing.
    Power,
    /// No space left on the device: this call alone does nothing.
    Full,
}

#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk {
    contents: Vec<Content>,
    seen: BTreeMap<PathBuf, usize>,
    synced: BTreeMap<PathBuf, usize>,
    calls: usize,
    fails: Option<(usize, Failure)>,
    /// A control: syncs that do nothing.
    pub without_sync: bool,
}

impl SimulatedDisk {
    /// Lets the call of this number fail, from 0.
    pub fn failing_at(mut self, call: usize, failure: Failure) -> Self {
        (self.calls, self.fails) = (0, Some((call, failure)));
        self
    }

    /// Changing calls so far.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// What the next start finds.
    pub fn after(&self, cut: Cut) -> Self {
        let names = if cut == Cut::Nothing { &self.synced } else { &self.seen };
        let mut after = Self { without_sync: self.without_sync, ..Self::default() };
        for (path, number) in names {
            let content = &self.contents[*number];
            let bytes = if cut == Cut::Everything { &content.seen } else { &content.synced };
            let number = after.contents.len();
            after.contents.push(Content { seen: bytes.clone(), synced: bytes.clone() });
            after.seen.insert(path.clone(), number);
        }
        after.synced = after.seen.clone();
        after
    }

    fn step(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        match self.fails {
            Some((at, Failure::Power)) if number >= at => Err(io::Error::other("the power is gone")),
            Some((at, Failure::Full)) if number == at => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    type File = usize;

    fn read(&self, path: &Path, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(self.seen.get(path).map(|number| self.contents[*number].seen.clone()))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let inside = self.seen.keys().filter(|path| folder_of(path) == folder);
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_folder(&mut self, _folder: &Path) -> io::Result<()> {
        self.step()
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.step()?;
        let number = self.contents.len();
        self.contents.push(Content::default());
        self.seen.insert(path.to_owned(), number);
        Ok(number)
    }

    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        // Half of it was written when it failed.
        let done = self.step();
        let written = if done.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.contents[*file].seen.extend_from_slice(&bytes[..written]);
        done
    }

    fn sync(&mut self, file: &mut usize) -> io::Result<()> {
        self.step()?;
        if !self.without_sync {
            self.contents[*file].synced = self.contents[*file].seen.clone();
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let number = self.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.seen.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.seen.remove(path);
        Ok(())
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.step()?;
        if !self.without_sync {
            self.synced.retain(|path, _| folder_of(path) != folder);
            let inside = self.seen.iter().filter(|(path, _)| folder_of(path) == folder);
            self.synced.extend(inside.map(|(path, number)| (path.clone(), *number)));
        }
        Ok(())
    }
}
