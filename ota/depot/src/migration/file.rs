//! A file in another's place, with the old one kept: each is written beside its place, synced, and renamed into it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use super::{Migration, MigrationError};
use crate::disk::{Disk as _, RealDisk, beside, folder_of};

/// Puts the new text in the place of `old`, which is kept; where that lies. A link stays one: what it leads to is written.
pub(super) fn exchange(path: &Path, old: &[u8], to: &Migration) -> Result<PathBuf, MigrationError> {
    let io = |at: &Path| {
        let path = at.to_owned();
        move |source| MigrationError::Write { path, source }
    };
    let place = fs::canonicalize(path).map_err(io(path))?;
    let like = fs::metadata(&place).map_err(io(&place))?;
    let mut kept = place.clone().into_os_string();
    kept.push(format!(".schema-{}", to.from));
    let kept = PathBuf::from(kept);
    put(&kept, old, &like).map_err(io(&kept))?;
    // Who edits it at this very moment is not written over.
    if fs::read(&place).map_err(io(&place))? != old {
        return Err(io(&place)(io::Error::other("it was changed meanwhile; run this again")));
    }
    put(&place, to.text.as_bytes(), &like).map_err(io(&place))?;
    Ok(kept)
}

/// Writes a file with mode and owner of another.
fn put(path: &Path, bytes: &[u8], like: &Metadata) -> io::Result<()> {
    let beside = beside(path);
    let written = write(&beside, bytes, like).and_then(|()| RealDisk.rename(&beside, path));
    if written.is_err() {
        // The first error matters more.
        let _ = RealDisk.remove(&beside);
    }
    written?;
    RealDisk.sync_folder(folder_of(path))
}

/// The owner comes first: a change of it may take bits of the mode away. Both come before the content, which may hold
/// passwords.
fn write(beside: &Path, bytes: &[u8], like: &Metadata) -> io::Result<()> {
    let mut file: File = RealDisk.create(beside)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(like.permissions())?;
    RealDisk.write(&mut file, bytes)?;
    RealDisk.sync(&mut file)
}
