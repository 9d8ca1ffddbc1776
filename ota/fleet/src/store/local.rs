//! A folder, as a web server serves it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use stopline_depot::digest::Digest;
use stopline_depot::disk::{RealDisk, folder_of, replace};

use super::{Added, Content, Source, Store, Tag, checked};
use crate::exit::{Failure, Result};
use crate::files;

/// Held while `timestamp.json` is replaced.
const LOCK: &str = ".publishing";

/// A folder.
#[derive(Debug, Clone)]
pub struct LocalStore {
    folder: PathBuf,
}

impl LocalStore {
    /// In `folder`, which is made when something is added.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn at(&self, path: &str) -> Result<PathBuf> {
        Ok(self.folder.join(checked(path)?))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure + '_ {
    move |error| Failure::failed(format!("{}: {error}", path.display()))
}

impl Store for LocalStore {
    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Tag)>> {
        let bytes = files::read_if_there(&self.at(path)?, limit)?;
        Ok(bytes.map(|bytes| {
            let tag = Tag(Digest::of(&bytes).to_string());
            (bytes, tag)
        }))
    }

    fn open(&self, path: &str) -> Result<Option<Source>> {
        use std::os::unix::fs::MetadataExt as _;
        let at = self.at(path)?;
        let file = match File::open(&at) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&at)(error)),
        };
        let metadata = file.metadata().map_err(failed(&at))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let length = metadata.len();
        // What replaces a file is another one, with another inode.
        let tag =
            format!("{length:x}-{:x}-{:x}-{:x}", metadata.mtime(), metadata.mtime_nsec(), metadata.ino());
        Ok(Some(Source { reader: Box::new(file), length, tag }))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.at(folder)?;
        let names = files::names(&path)?;
        Ok(names.into_iter().filter(|name| path.join(name).is_file() && !name.starts_with('.')).collect())
    }

    fn ages(&self, folder: &str) -> Result<Vec<(String, i64)>> {
        use std::os::unix::fs::MetadataExt as _;
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            for name in files::names(&self.at(&folder)?)? {
                let path = format!("{folder}/{name}");
                let at = self.at(&path)?;
                match fs::symlink_metadata(&at) {
                    Ok(metadata) if metadata.is_dir() => folders.push(path),
                    Ok(metadata) => found.push((path, metadata.mtime())),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(&at)(error)),
                }
            }
        }
        Ok(found)
    }

    fn add(&self, path: &str, content: Content<'_>) -> Result<Added> {
        let path = self.at(path)?;
        fs::create_dir_all(folder_of(&path)).map_err(failed(&path))?;
        if path.exists() {
            return compare(&path, content).map_err(failed(&path));
        }
        // Written under a name of this process, then linked: a link never replaces what is there.
        let beside = beside(&path)?;
        let linked = write(&beside, content).and_then(|()| match fs::hard_link(&beside, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => compare(&path, content),
            other => other.map(|()| Added::New),
        });
        let removed = fs::remove_file(&beside);
        let added = linked.map_err(failed(&path))?;
        removed.map_err(failed(&beside))?;
        File::open(folder_of(&path)).and_then(|folder| folder.sync_all()).map_err(failed(&path))?;
        Ok(added)
    }

    fn remove(&self, path: &str) -> Result<bool> {
        let path = self.at(path)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(&path)(error)),
        }
        File::open(folder_of(&path)).and_then(|folder| folder.sync_all()).map_err(failed(&path))?;
        Ok(true)
    }

    fn swap(&self, path: &str, seen: Option<&Tag>, bytes: &[u8]) -> Result<bool> {
        let at = self.at(path)?;
        fs::create_dir_all(folder_of(&at)).map_err(failed(&at))?;
        let lock = self.folder.join(LOCK);
        let held = OpenOptions::new().create(true).append(true).open(&lock).map_err(failed(&lock))?;
        flock(&held, FlockOperation::LockExclusive).map_err(|error| failed(&lock)(error.into()))?;
        let there = self.read(path, files::MAX_SMALL)?.map(|(_, tag)| tag);
        if there.as_ref() != seen {
            return Ok(false);
        }
        replace(&mut RealDisk, &at, bytes).map_err(failed(&at))?;
        Ok(true)
    }
}

/// A name of its own for each writer.
fn beside(path: &Path) -> Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    let name = format!(".{:016x}{}", u64::from_be_bytes(random), stopline_depot::disk::BESIDE);
    Ok(folder_of(path).join(name))
}

fn write(path: &Path, content: Content<'_>) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    match content {
        Content::Bytes(bytes) => file.write_all(bytes)?,
        Content::File(from) => drop(io::copy(&mut File::open(from)?, &mut file)?),
    }
    file.sync_all()
}

fn compare(path: &Path, content: Content<'_>) -> io::Result<Added> {
    let there = digest(File::open(path)?)?;
    let wanted = match content {
        Content::Bytes(bytes) => digest(bytes)?,
        Content::File(from) => digest(File::open(from)?)?,
    };
    Ok(if there == wanted { Added::Same } else { Added::Other })
}

fn digest(mut from: impl io::Read) -> io::Result<[u8; 32]> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match from.by_ref().read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}
