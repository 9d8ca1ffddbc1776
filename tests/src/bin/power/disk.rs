//! The control: the real disk, but nothing is ever synced.

use std::fs::File;
use std::io;
use std::path::Path;

use stopline_depot::disk::{Disk, RealDisk};

#[derive(Clone, Copy, Debug)]
pub struct Unsynced;

impl Disk for Unsynced {
    type File = File;
    type Reader = File;

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        RealDisk.read(path, limit)
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        RealDisk.open(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(folder)
    }

    fn available(&self, folder: &Path) -> io::Result<u64> {
        RealDisk.available(folder)
    }

    fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        RealDisk.create_folder(folder)
    }

    fn create(&mut self, path: &Path) -> io::Result<File> {
        RealDisk.create(path)
    }

    fn append(&mut self, path: &Path) -> io::Result<File> {
        RealDisk.append(path)
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        RealDisk.write(file, bytes)
    }

    fn sync(&mut self, _: &mut File) -> io::Result<()> {
        Ok(())
    }

    fn forget(&mut self, file: &mut File) -> io::Result<()> {
        RealDisk.forget(file)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn remove_folder(&mut self, folder: &Path) -> io::Result<()> {
        RealDisk.remove_folder(folder)
    }

    fn sync_folder(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
