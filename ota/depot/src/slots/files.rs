//! Files with a schema version on a [`Disk`].

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::{DepotError, io};
use crate::digest::Digest;
use crate::disk::{BESIDE, Disk, folder_of, replace};
use crate::versioned::{self, Versioned, VersionedError};

/// Bytes read at once.
pub(super) const PIECE: usize = 64 << 10;

/// Reads a file; `None` if it is not there.
///
/// # Errors
/// [`DepotError::Io`], [`DepotError::File`].
pub fn read<T: Versioned>(disk: &impl Disk, path: &Path) -> Result<Option<T>, DepotError> {
    let limit = u64::try_from(T::LIMIT).unwrap_or(u64::MAX);
    let refused = |source| DepotError::File { path: path.to_owned(), source };
    let bytes = match disk.read(path, limit) {
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(refused(VersionedError::Refused { name: T::NAME, problem: error.to_string() }));
        }
        read => read.map_err(io("read", path))?,
    };
    bytes.map(|bytes| versioned::read(&bytes)).transpose().map_err(refused)
}

/// Replaces a file, in a folder that is there.
///
/// # Errors
/// [`DepotError::Io`]; [`DepotError::File`] for a value that could not be read again.
pub fn write<T: Versioned>(disk: &mut impl Disk, path: &Path, value: &T) -> Result<(), DepotError> {
    let bytes =
        versioned::write(value).map_err(|source| DepotError::File { path: path.to_owned(), source })?;
    replace(disk, path, &bytes).map_err(io("replace", path))
}

/// Reads a bundle once, into memory of its own, and hashes those same bytes: what is parsed afterwards is what was hashed,
/// whatever happens to the file meanwhile.
///
/// # Errors
/// [`DepotError::Missing`]; [`DepotError::Content`] if it is not `digest` or longer than `limit`; [`DepotError::Io`].
pub fn read_bundle(
    disk: &impl Disk,
    path: &Path,
    digest: &Digest,
    limit: u64,
) -> Result<Vec<u8>, DepotError> {
    let remedy = "It is fetched again when it is offered again";
    let missing = || DepotError::Missing { path: path.to_owned(), remedy };
    let mut reader = disk.open(path).map_err(io("open", path))?.ok_or_else(missing)?;
    let mut bytes = Vec::new();
    (&mut reader).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io("read", path))?;
    let wrong = |problem| DepotError::Content { digest: *digest, problem };
    if u64::try_from(bytes.len()).map_or(true, |length| length > limit) {
        return Err(wrong(format!("bundle.tar has more than the {limit} bytes expected")));
    }
    let found = Digest::of(&bytes);
    if found == *digest {
        return Ok(bytes);
    }
    Err(wrong(format!("bundle.tar has the digest {found}")))
}

/// Length and digest of a file, piece by piece; `None` if it is not there. Stops beyond `limit`.
pub(super) fn measure(
    disk: &impl Disk,
    path: &Path,
    limit: u64,
) -> Result<Option<(u64, Digest)>, DepotError> {
    let Some(reader) = disk.open(path).map_err(io("open", path))? else { return Ok(None) };
    let (mut reader, mut hash, mut length) = (reader.take(limit.saturating_add(1)), Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE];
    loop {
        let read = reader.read(&mut piece).map_err(io("read", path))?;
        if read == 0 {
            return Ok(Some((length, Digest::from_bytes(hash.finalize().into()))));
        }
        hash.update(&piece[..read]);
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// Makes a folder so that it lasts.
pub(super) fn make_folder(disk: &mut impl Disk, folder: &Path) -> Result<(), DepotError> {
    disk.create_folder(folder).map_err(io("make the folder", folder))?;
    disk.sync_folder(folder_of(folder)).map_err(io("sync the folder above", folder))
}

/// Removes what a cut left over of [`replace`].
pub(super) fn sweep(disk: &mut impl Disk, folder: &Path) -> Result<(), DepotError> {
    for name in disk.list(folder).map_err(io("list", folder))? {
        if name.ends_with(BESIDE) {
            let path = folder.join(name);
            disk.remove(&path).map_err(io("remove", &path))?;
        }
    }
    Ok(())
}
