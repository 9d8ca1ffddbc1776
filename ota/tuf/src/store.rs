//! Where trusted metadata lies between two updates.
//!
//! Only verified bytes are stored, each as it came and after every check of its step, so that a cut at any moment
//! leaves a state that the workflow goes on from. What is loaded is verified again like anything from outside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::fetch::read_up_to;
use crate::name::{MetadataFile, RoleName};

/// Bytes of a stored file, at most.
const MAX_STORED: u64 = 64 << 20;

/// Trusted metadata, one file per role, and every root since the first.
pub trait Store {
    /// The metadata of `role`, if there is any.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be known.
    fn load(&self, role: &RoleName) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the metadata of `role`: after a cut the old or the new is there, whole.
    ///
    /// # Errors
    /// [`StoreError`] if it is not certain that it lies on disk.
    fn save(&mut self, role: &RoleName, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes the metadata of `role`; it need not be there.
    ///
    /// # Errors
    /// [`StoreError`] if it may still be there.
    fn remove(&mut self, role: &RoleName) -> Result<(), StoreError>;

    /// Keeps one link of the chain of roots for a judge that must follow it from an older one.
    ///
    /// # Errors
    /// [`StoreError`] if it is not certain that it lies on disk.
    fn keep_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// A kept link of the chain of roots.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be known.
    fn kept_root(&self, version: u64) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("trusted metadata: cannot {action} {}", path.display())]
pub struct StoreError {
    /// What was tried.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl<T: Store + ?Sized> Store for &mut T {
    fn load(&self, role: &RoleName) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).load(role)
    }

    fn save(&mut self, role: &RoleName, bytes: &[u8]) -> Result<(), StoreError> {
        (**self).save(role, bytes)
    }

    fn remove(&mut self, role: &RoleName) -> Result<(), StoreError> {
        (**self).remove(role)
    }

    fn keep_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), StoreError> {
        (**self).keep_root(version, bytes)
    }

    fn kept_root(&self, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).kept_root(version)
    }
}

/// A store that ends with the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// Metadata by role.
    pub roles: BTreeMap<RoleName, Vec<u8>>,
    /// Roots by version.
    pub roots: BTreeMap<u64, Vec<u8>>,
}

impl Store for MemoryStore {
    fn load(&self, role: &RoleName) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.roles.get(role).cloned())
    }

    fn save(&mut self, role: &RoleName, bytes: &[u8]) -> Result<(), StoreError> {
        self.roles.insert(role.clone(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, role: &RoleName) -> Result<(), StoreError> {
        self.roles.remove(role);
        Ok(())
    }

    fn keep_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.roots.insert(version, bytes.to_vec());
        Ok(())
    }

    fn kept_root(&self, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.roots.get(&version).cloned())
    }
}

/// A store in a folder: `ROLE.json`, and `roots/N.root.json`. Every file is written beside its place, synced, renamed
/// into it, and the folder synced. One process at a time; the caller holds the lock.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
}

impl FolderStore {
    /// Opens `folder` and makes it if it is not there.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        let roots = folder.join("roots");
        fs::create_dir_all(&roots).map_err(|source| StoreError { action: "make", path: roots, source })?;
        Ok(Self { folder })
    }

    fn of_role(&self, role: &RoleName) -> PathBuf {
        self.folder.join(MetadataFile::unversioned(role).as_str())
    }

    fn of_root(&self, version: u64) -> PathBuf {
        self.folder.join("roots").join(MetadataFile::versioned(&RoleName::root(), version).as_str())
    }
}

impl Store for FolderStore {
    fn load(&self, role: &RoleName) -> Result<Option<Vec<u8>>, StoreError> {
        read(&self.of_role(role))
    }

    fn save(&mut self, role: &RoleName, bytes: &[u8]) -> Result<(), StoreError> {
        replace(&self.of_role(role), bytes)
    }

    fn remove(&mut self, role: &RoleName) -> Result<(), StoreError> {
        let path = self.of_role(role);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.and_then(|()| sync_folder(&path)),
        };
        removed.map_err(|source| StoreError { action: "remove", path, source })
    }

    fn keep_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), StoreError> {
        replace(&self.of_root(version), bytes)
    }

    fn kept_root(&self, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        read(&self.of_root(version))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match read_up_to(path, MAX_STORED) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError { action: "read", path: path.into(), source }),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    // `%t` is no escape, so no encoded name ends like this.
    let mut beside = path.as_os_str().to_owned();
    beside.push("%tmp");
    let written = write_synced(Path::new(&beside), bytes)
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| sync_folder(path));
    written.map_err(|source| StoreError { action: "write", path: path.into(), source })
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_back_what_it_was_given_whatever_the_role_is_called() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("inner");
        let mut store = FolderStore::open(&folder).unwrap();
        for name in ["root", "../../x", "/etc/x", ".", "..", "a b", "roots", "%"] {
            let role = RoleName::new(name).unwrap();
            assert_eq!(store.load(&role).unwrap(), None, "{name}");
            store.save(&role, name.as_bytes()).unwrap();
            assert_eq!(store.load(&role).unwrap().as_deref(), Some(name.as_bytes()));
        }
        store.keep_root(3, b"three").unwrap();
        assert_eq!(store.kept_root(3).unwrap().as_deref(), Some(&b"three"[..]));
        store.remove(&RoleName::root()).unwrap();
        store.remove(&RoleName::root()).unwrap();
        assert_eq!(store.load(&RoleName::root()).unwrap(), None);
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "nothing was written outside");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 8, "seven roles and the folder of roots");
    }
}
