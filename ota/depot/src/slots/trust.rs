//! What neither process may write: the runtime's own root, floor and deny list. What is missing or cannot be read fails
//! closed: nothing new is loaded.

use std::path::Path;

use super::error::{DepotError, io};
use super::files;
use super::{Deny, Floor, TrustPaths};
use crate::digest::Digest;
use crate::disk::Disk;
use crate::versioned::Versioned;

/// Bytes of `root.json`, at most.
pub const MAX_ROOT: u64 = 512 << 10;

const REMEDY: &str =
    "Without it nothing new is loaded. Install it with the image, readable and not writable by this user";

/// What the trust folder says, read whole at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// `root.json`, byte for byte; the judge checks it.
    pub root: Vec<u8>,
    /// Oldest releases.
    pub floor: Floor,
    /// Bundles that are never loaded.
    pub deny: Deny,
}

impl Trust {
    /// Reads all three.
    ///
    /// # Errors
    /// [`DepotError::Missing`], [`DepotError::File`], [`DepotError::Io`]: then nothing new may be loaded.
    pub fn read(disk: &impl Disk, paths: &TrustPaths) -> Result<Self, DepotError> {
        let path = paths.root();
        let root = disk.read(&path, MAX_ROOT).map_err(io("read", &path))?;
        let root = root.filter(|root| !root.is_empty());
        let root = root.ok_or(DepotError::Missing { path, remedy: REMEDY })?;
        Ok(Self { root, floor: required(disk, &paths.floor())?, deny: required(disk, &paths.deny())? })
    }

    /// Least `release_seq` of a model that may be loaded for the first time.
    pub fn floor_of(&self, model: &str) -> u64 {
        self.floor.models.get(model).copied().unwrap_or(0)
    }

    /// Whether a bundle is never loaded.
    pub fn denies(&self, digest: &Digest) -> bool {
        self.deny.digests.contains(digest)
    }
}

fn required<T: Versioned>(disk: &impl Disk, path: &Path) -> Result<T, DepotError> {
    files::read(disk, path)?.ok_or(DepotError::Missing { path: path.to_owned(), remedy: REMEDY })
}
