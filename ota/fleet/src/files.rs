//! Reading and writing the operator's own files: bounded, whole or not at all, and never over another.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use stopline_depot::disk::{RealDisk, replace};

use crate::exit::{Failure, Result};

/// Bytes of a JSON file or a key, at most.
pub const MAX_SMALL: u64 = 16 << 20;

/// Reads a file of at most `limit` bytes; `None` if it is not there.
pub fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::failed(format!("{}: {error}", path.display()))),
    };
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        return Ok(Some(bytes));
    }
    Err(Failure::refused(format!("{}: longer than the {limit} bytes allowed", path.display())))
}

/// Reads a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_if_there(path, limit)?
        .ok_or_else(|| Failure::failed(format!("{}: there is no such file", path.display())))
}

/// Writes a file, replacing what was there: the old or the new is there, whole.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make_folder_of(path)?;
    replace(&mut RealDisk, path, bytes)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// Writes a file that must not be there yet, with these permissions from the first moment on.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    make_folder_of(path)?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::refused(format!("{}: it is there already; nothing is written over it", path.display()))
        }
        _ => Failure::failed(format!("{}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// Removes a file; it need not be there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::failed(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Names in a folder, sorted; none if it is not there. What is no text is none of ours.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    use stopline_depot::disk::Disk as _;
    RealDisk.list(folder).map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))
}

fn make_folder_of(path: &Path) -> Result<()> {
    let folder = stopline_depot::disk::folder_of(path);
    fs::create_dir_all(folder).map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))
}
