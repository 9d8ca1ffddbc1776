//! The files that the runtime alone writes. A file that cannot be read is told and counts as not there; one that cannot be
//! written is told and costs what it would have kept: nothing here stops the loop.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use stopline_depot::disk::{Disk as _, RealDisk, folder_of, replace};
use stopline_depot::slots::StatePaths;
use stopline_depot::versioned::{self, Versioned};

/// The runtime's state.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where it lies.
    pub paths: StatePaths,
}

impl Store {
    /// Below `folder`.
    pub fn new(folder: impl Into<std::path::PathBuf>) -> Self {
        Self { paths: StatePaths::new(folder) }
    }

    /// Makes the folders, for this user alone.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn make(&self) -> io::Result<()> {
        for folder in self.paths.folders() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
        }
        Ok(())
    }

    /// What lies at `path`; `None` if nothing does.
    ///
    /// # Errors
    /// Path and problem.
    pub fn read<T: Versioned>(path: &Path) -> Result<Option<T>, String> {
        let told = |problem: String| format!("{}: {problem}", path.display());
        let limit = u64::try_from(T::LIMIT).unwrap_or(u64::MAX);
        let bytes = RealDisk.read(path, limit).map_err(|error| told(error.to_string()))?;
        bytes.map(|bytes| versioned::read(&bytes).map_err(|error| told(error.to_string()))).transpose()
    }

    /// Puts `value` at `path`: after a cut the old or the new one is there.
    ///
    /// # Errors
    /// Path and problem.
    pub fn write<T: Versioned>(&self, path: &Path, value: &T) -> Result<(), String> {
        let bytes = versioned::write(value).map_err(|error| error.to_string())?;
        self.write_bytes(path, &bytes)
    }

    /// The same, of bytes.
    ///
    /// # Errors
    /// Path and problem.
    pub fn write_bytes(&self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        let written = replace(&mut RealDisk, path, bytes).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path))?;
            replace(&mut RealDisk, path, bytes)
        });
        written.map_err(|error| format!("{}: cannot be written: {error}", path.display()))
    }
}

/// The kernel's id of this boot; empty where /proc does not tell, and then every start looks like one in the same boot.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
