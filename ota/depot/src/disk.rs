//! The file system as the depot uses it: few calls behind one trait, so that a test can cut the power at every one.
//!
//! Everything that must survive is written the same way, [`replace`]: beside its place, synced, renamed into it, the
//! folder synced. After a cut at any call the old or the new content is there, whole. A name that ends in [`BESIDE`] is
//! what a cut left over; it is never read.

#[cfg(any(test, feature = "simulated"))]
pub mod simulated;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// Ends the name of a file that is being written. No name in the depot ends so by itself.
pub const BESIDE: &str = ".new";

/// Names in a folder, at most: another process may fill a folder that we only look through.
pub const MOST_NAMES: usize = 100_000;
/// Of a new file, before the process's mask.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// The calls. Names are paths; whoever calls makes them, never a name from outside.
pub trait Disk {
    /// A file that is being written.
    type File;
    /// A file that is being read, piece by piece.
    type Reader: Read + Seek;

    /// Reads a whole file of at most `limit` bytes; `None` if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::FileTooLarge`] for a longer one, else the system's.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// Opens a file to be read piece by piece; `None` if it is not there.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Option<Self::Reader>>;

    /// Names in a folder, sorted; none if it is not there.
    ///
    /// # Errors
    /// The system's; more than [`MOST_NAMES`], which nothing of ours makes.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Bytes that may still be written below a folder that is there.
    ///
    /// # Errors
    /// The system's.
    fn available(&self, folder: &Path) -> io::Result<u64>;

    /// Makes a folder and those above it. Nothing is certain before the folder above it is synced.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&mut self, folder: &Path) -> io::Result<()>;

    /// Makes an empty file; what had this name before has lost it.
    ///
    /// # Errors
    /// The system's.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file to be written on at its end, or makes it. A disk that holds no such files need not be able to.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::Unsupported`].
    fn append(&mut self, path: &Path) -> io::Result<Self::File> {
        Err(io::Error::new(ErrorKind::Unsupported, format!("{}: nothing is appended here", path.display())))
    }

    /// Writes at the end of a file. Nothing is certain before [`Disk::sync`].
    ///
    /// # Errors
    /// The system's; part of it may be written.
    fn write(&mut self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the file's content lies on the medium.
    ///
    /// # Errors
    /// The system's; then nothing is known of the content.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;

    /// Asks the system to let go of what it holds of a synced file in memory: who opens it next reads the medium. A request;
    /// what a file system in memory holds stays.
    ///
    /// # Errors
    /// The system's.
    fn forget(&mut self, file: &mut Self::File) -> io::Result<()>;

    /// Puts a file in another's place, at once or not at all.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; it need not be there.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder; it need not be there.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::DirectoryNotEmpty`] if it is not empty.
    fn remove_folder(&mut self, folder: &Path) -> io::Result<()>;

    /// Returns when the folder's names lie on the medium.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&mut self, folder: &Path) -> io::Result<()>;
}

/// Replaces the content of `path`, as the head of this module says.
///
/// # Errors
/// The first call's that failed. The old content is there still, or the new one is, unsynced: calling again is safe.
pub fn replace<D: Disk>(disk: &mut D, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = disk.create(&beside)?;
    disk.write(&mut file, bytes)?;
    disk.sync(&mut file)?;
    drop(file);
    disk.rename(&beside, path)?;
    disk.sync_folder(folder_of(path))
}

/// Where `path` is written before it gets its name.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BESIDE);
    name.into()
}

/// The folder that `path` lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;
    type Reader = File;

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
            return Ok(Some(bytes));
        }
        let problem = format!("{} is longer than the {limit} bytes allowed", path.display());
        Err(io::Error::new(ErrorKind::FileTooLarge, problem))
    }

    /// Of a plain file only: a pipe in its place, put there by whoever owns the folder, would hold the reader for ever.
    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => File::from(file?),
        };
        if file.metadata()?.is_file() {
            return Ok(Some(file));
        }
        let problem = format!("{} is no plain file", path.display());
        Err(io::Error::new(ErrorKind::InvalidInput, problem))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        // A name that is no text is none of ours.
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().into_string().ok()).transpose()
        };
        let mut names = entries.filter_map(name).take(MOST_NAMES + 1).collect::<io::Result<Vec<_>>>()?;
        if names.len() > MOST_NAMES {
            let problem = format!("{} holds more than {MOST_NAMES} names", folder.display());
            return Err(io::Error::new(ErrorKind::QuotaExceeded, problem));
        }
        names.sort();
        Ok(names)
    }

    fn available(&self, folder: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    /// A file of our own: a link put in its place, by whoever else may write in the folder, leads nowhere.
    fn create(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, FILE_MODE) {
            Err(Errno::EXIST) => {
                self.remove(path)?;
                Ok(rustix::fs::open(path, flags, FILE_MODE)?.into())
            }
            file => Ok(file?.into()),
        }
    }

    /// Only to a plain file of our own with one name, for the same reason.
    fn append(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, FILE_MODE)?;
        let found = rustix::fs::fstat(&file)?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if is_file && found.st_nlink == 1 && found.st_uid == rustix::process::geteuid().as_raw() {
            return Ok(file.into());
        }
        let problem = format!("{} is no plain file of ours with one name", path.display());
        Err(io::Error::new(ErrorKind::InvalidInput, problem))
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn forget(&mut self, file: &mut File) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed)?)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn remove_folder(&mut self, folder: &Path) -> io::Result<()> {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
