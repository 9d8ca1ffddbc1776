//! A disk in memory that forgets what was not synced, as a real one may when the power goes: for tests.
//!
//! Content and names live in two states each: as the running system sees them, and as the medium has them. A cut keeps of
//! what was not synced nothing, everything, half of the content, names without content or content without names: the ends
//! between which real file systems lie. A folder is as volatile as a file until the folder above it is synced.

mod two_hands;

pub use two_hands::SharedDisk;

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind};
use std::path::{Component, Path};

use super::{Disk, folder_of};

/// What a cut leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// Names, and of what was written after the last sync the first half.
    HalfTheContent,
    /// Renames without the data they should have waited for.
    NamesWithoutContent,
    /// Data of files whose names had not been made, moved or removed yet.
    ContentWithoutNames,
}

/// All of them.
pub const CUTS: [Cut; 5] =
    [Cut::Nothing, Cut::Everything, Cut::HalfTheContent, Cut::NamesWithoutContent, Cut::ContentWithoutNames];

/// How a call fails when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The power goes: this and every later call does nothing.
    Power,
    /// No space left on the device: this call alone does nothing.
    Full,
    /// No space left on the device from this call on; only what is removed, read or synced works.
    StaysFull,
}

/// What a name leads to.
#[derive(Debug, Clone)]
enum Node {
    File { seen: Vec<u8>, synced: Vec<u8> },
    Folder { seen: BTreeMap<String, usize>, synced: BTreeMap<String, usize> },
}

/// The disk. Relative paths begin at its root.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    nodes: Vec<Node>,
    calls: usize,
    fails: Option<(usize, Failure)>,
    /// A control: syncs that do nothing.
    pub without_sync: bool,
    /// Every file that is synced from now on lies on the medium with one bit changed, as worn flash has it.
    pub worn: bool,
    /// Bytes that [`Disk::available`] tells.
    pub room: u64,
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self {
            nodes: vec![Node::folder()],
            calls: 0,
            fails: None,
            without_sync: false,
            worn: false,
            room: u64::MAX,
        }
    }
}

impl SimulatedDisk {
    /// Lets the call of this number fail, from 0.
    #[must_use]
    pub fn failing_at(mut self, call: usize, failure: Failure) -> Self {
        (self.calls, self.fails) = (0, Some((call, failure)));
        self
    }

    /// Changing calls so far.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// What the next start finds.
    #[must_use]
    pub fn after(&self, cut: Cut) -> Self {
        let mut after = Self { without_sync: self.without_sync, room: self.room, ..Self::default() };
        after.keep(self, 0, 0, cut);
        after
    }

    fn keep(&mut self, before: &Self, from: usize, to: usize, cut: Cut) {
        let Node::Folder { seen, synced } = &before.nodes[from] else { return };
        let names = match cut {
            Cut::Nothing | Cut::ContentWithoutNames => synced,
            Cut::Everything | Cut::HalfTheContent | Cut::NamesWithoutContent => seen,
        };
        for (name, number) in names {
            let node = match &before.nodes[*number] {
                Node::File { seen, synced } => Node::file(kept(seen, synced, cut)),
                Node::Folder { .. } => Node::folder(),
            };
            let kept = self.add(node);
            self.insert(to, name, kept);
            self.keep(before, *number, kept, cut);
        }
        if let Node::Folder { seen, synced } = &mut self.nodes[to] {
            synced.clone_from(seen);
        }
    }

    fn step(&mut self, needs_room: bool) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        match self.fails {
            Some((at, Failure::Power)) if number >= at => Err(io::Error::other("the power is gone")),
            Some((at, Failure::Full)) if number == at => Err(ErrorKind::StorageFull.into()),
            Some((at, Failure::StaysFull)) if number >= at && needs_room => {
                Err(ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.components().try_fold(0, |at, part| match (&self.nodes[at], part) {
            (Node::Folder { seen, .. }, Component::Normal(name)) => seen.get(name.to_str()?).copied(),
            (Node::Folder { .. }, _) => Some(at),
            (Node::File { .. }, _) => None,
        })
    }

    fn folder(&self, path: &Path) -> io::Result<usize> {
        let found = self.find(path).filter(|number| matches!(self.nodes[*number], Node::Folder { .. }));
        found.ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn insert(&mut self, folder: usize, name: &str, number: usize) {
        if let Node::Folder { seen, .. } = &mut self.nodes[folder] {
            seen.insert(name.to_owned(), number);
        }
    }

    fn take(&mut self, path: &Path) -> Option<usize> {
        let folder = self.folder(folder_of(path)).ok()?;
        match &mut self.nodes[folder] {
            Node::Folder { seen, .. } => seen.remove(path.file_name()?.to_str()?),
            Node::File { .. } => None,
        }
    }
}

/// A file's bytes after a cut.
fn kept(seen: &[u8], synced: &[u8], cut: Cut) -> Vec<u8> {
    let bytes = match cut {
        Cut::Nothing | Cut::NamesWithoutContent => synced,
        Cut::Everything | Cut::ContentWithoutNames => seen,
        Cut::HalfTheContent if seen == synced => seen,
        Cut::HalfTheContent => &seen[..(synced.len() + seen.len()).div_ceil(2).min(seen.len())],
    };
    bytes.to_vec()
}

fn name_of(path: &Path) -> io::Result<&str> {
    path.file_name().and_then(|name| name.to_str()).ok_or_else(|| ErrorKind::InvalidFilename.into())
}

impl Node {
    fn folder() -> Self {
        Self::Folder { seen: BTreeMap::new(), synced: BTreeMap::new() }
    }

    fn file(bytes: Vec<u8>) -> Self {
        Self::File { seen: bytes.clone(), synced: bytes }
    }
}

impl Disk for SimulatedDisk {
    type File = usize;
    type Reader = Cursor<Vec<u8>>;

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.open(path)?.map(Cursor::into_inner);
        if bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 > limit) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Option<Cursor<Vec<u8>>>> {
        match self.find(path).map(|number| &self.nodes[number]) {
            None => Ok(None),
            Some(Node::File { seen, .. }) => Ok(Some(Cursor::new(seen.clone()))),
            Some(Node::Folder { .. }) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        match self.find(folder).map(|number| &self.nodes[number]) {
            Some(Node::Folder { seen, .. }) => Ok(seen.keys().cloned().collect()),
            Some(Node::File { .. }) => Err(ErrorKind::NotADirectory.into()),
            None => Ok(Vec::new()),
        }
    }

    fn available(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.room)
    }

    fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.step(true)?;
        let mut at = 0;
        for part in folder.components() {
            let Component::Normal(name) = part else { continue };
            let name = name.to_str().ok_or(ErrorKind::InvalidFilename)?;
            let Node::Folder { seen, .. } = &self.nodes[at] else {
                return Err(ErrorKind::NotADirectory.into());
            };
            at = match seen.get(name) {
                Some(number) => *number,
                None => {
                    let number = self.add(Node::folder());
                    self.insert(at, name, number);
                    number
                }
            };
        }
        Ok(())
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.step(true)?;
        let folder = self.folder(folder_of(path))?;
        let number = self.add(Node::file(Vec::new()));
        self.insert(folder, name_of(path)?, number);
        Ok(number)
    }

    fn append(&mut self, path: &Path) -> io::Result<usize> {
        match self.find(path) {
            None => self.create(path),
            Some(number) if matches!(self.nodes[number], Node::File { .. }) => {
                self.step(true)?;
                Ok(number)
            }
            Some(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        // Half of it was written when it failed.
        let done = self.step(true);
        let written = if done.is_ok() { bytes.len() } else { bytes.len() / 2 };
        if let Node::File { seen, .. } = &mut self.nodes[*file] {
            seen.extend_from_slice(&bytes[..written]);
        }
        done
    }

    fn sync(&mut self, file: &mut usize) -> io::Result<()> {
        self.step(false)?;
        let (without_sync, worn) = (self.without_sync, self.worn);
        if let (Node::File { seen, synced }, false) = (&mut self.nodes[*file], without_sync) {
            synced.clone_from(seen);
            let middle = synced.len() / 2;
            synced.iter_mut().skip(middle).take(usize::from(worn)).for_each(|byte| *byte ^= 4);
        }
        Ok(())
    }

    fn forget(&mut self, file: &mut usize) -> io::Result<()> {
        self.step(false)?;
        if let (Node::File { seen, synced }, false) = (&mut self.nodes[*file], self.without_sync) {
            seen.clone_from(synced);
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(true)?;
        let folder = self.folder(folder_of(to))?;
        let number = self.take(from).ok_or(ErrorKind::NotFound)?;
        self.insert(folder, name_of(to)?, number);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        self.take(path);
        Ok(())
    }

    fn remove_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.step(false)?;
        match self.find(folder).map(|number| &self.nodes[number]) {
            Some(Node::Folder { seen, .. }) if !seen.is_empty() => Err(ErrorKind::DirectoryNotEmpty.into()),
            Some(Node::File { .. }) => Err(ErrorKind::NotADirectory.into()),
            Some(Node::Folder { .. }) => {
                self.take(folder);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.step(false)?;
        let number = self.folder(folder)?;
        if let (Node::Folder { seen, synced }, false) = (&mut self.nodes[number], self.without_sync) {
            synced.clone_from(seen);
        }
        Ok(())
    }
}
