//! One simulated disk under several hands: an agent's and a runtime's.

use std::cell::RefCell;
use std::io::{self, Cursor};
use std::path::Path;
use std::rc::Rc;

use super::{Cut, Failure, SimulatedDisk};
use crate::disk::Disk;

/// A hand on a [`SimulatedDisk`]; clones are hands on the same one.
#[derive(Debug, Clone, Default)]
pub struct SharedDisk(Rc<RefCell<SimulatedDisk>>);

impl SharedDisk {
    /// A hand on this one.
    pub fn new(disk: SimulatedDisk) -> Self {
        Self(Rc::new(RefCell::new(disk)))
    }

    /// As it is now.
    pub fn copy(&self) -> SimulatedDisk {
        self.0.borrow().clone()
    }

    /// Changing calls so far.
    pub fn calls(&self) -> usize {
        self.0.borrow().calls()
    }

    /// What the next start finds.
    #[must_use]
    pub fn after(&self, cut: Cut) -> Self {
        Self::new(self.0.borrow().after(cut))
    }

    /// As it is now, on a disk of its own; there the call of this number fails, from 0.
    #[must_use]
    pub fn failing_at(&self, call: usize, failure: Failure) -> Self {
        Self::new(self.copy().failing_at(call, failure))
    }

    /// Changes what the disk is like.
    pub fn change(&self, change: impl FnOnce(&mut SimulatedDisk)) {
        change(&mut self.0.borrow_mut());
    }
}

impl Disk for SharedDisk {
    type File = usize;
    type Reader = Cursor<Vec<u8>>;

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.borrow().read(path, limit)
    }

    fn open(&self, path: &Path) -> io::Result<Option<Cursor<Vec<u8>>>> {
        self.0.borrow().open(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.borrow().list(folder)
    }

    fn available(&self, folder: &Path) -> io::Result<u64> {
        self.0.borrow().available(folder)
    }

    fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.0.borrow_mut().create_folder(folder)
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.0.borrow_mut().create(path)
    }

    fn append(&mut self, path: &Path) -> io::Result<usize> {
        self.0.borrow_mut().append(path)
    }

    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().write(file, bytes)
    }

    fn sync(&mut self, file: &mut usize) -> io::Result<()> {
        self.0.borrow_mut().sync(file)
    }

    fn forget(&mut self, file: &mut usize) -> io::Result<()> {
        self.0.borrow_mut().forget(file)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.borrow_mut().rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.0.borrow_mut().remove(path)
    }

    fn remove_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.0.borrow_mut().remove_folder(folder)
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.0.borrow_mut().sync_folder(folder)
    }
}
