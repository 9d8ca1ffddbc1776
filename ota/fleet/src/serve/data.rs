//! The data folder (0700): everything that one server keeps. Backing it up whole, while nothing runs, is a backup.
//!
//! ```text
//! DATA/stopline.db        devices, messages, outcomes, records, people (SQLite; another place with --database)
//! DATA/authority/         the device authority
//! DATA/authorities.pem    what devices pin
//! DATA/server.pem, .key   what both listeners show
//! DATA/uploads/DEVICE/    batches on their way
//! DATA/diagnoses/         diagnostic bundles of devices, for two weeks
//! DATA/store/             sealed records and tombstones (another place with --store)
//! DATA/audit.jsonl        the audit log
//! ```

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::authority::{self, Authority};
use crate::audit::Log;
use crate::exit::{Failure, Result};
use crate::files;

/// The folder and what lies where.
#[derive(Debug, Clone)]
pub struct Data {
    folder: PathBuf,
}

impl Data {
    /// Makes what is missing; what is there stays. Says whether the authority is new.
    ///
    /// # Errors
    /// The system's, or that others may read the folder.
    pub fn prepare(folder: &Path, now_s: i64) -> Result<(Self, bool)> {
        let data = Self { folder: folder.to_owned() };
        for path in [data.folder.clone(), authority::folder(folder), data.uploads()] {
            make(&path)?;
        }
        data.check_is_private()?;
        let there = files::names(&authority::folder(folder))?;
        let is_new = !there.iter().any(|name| name.ends_with(".pem"));
        if is_new {
            Authority::make(&authority::folder(folder), 1, now_s)?;
        }
        files::write(
            &data.authorities_file(),
            Authority::open(&authority::folder(folder))?.pem().as_bytes(),
        )?;
        Ok((data, is_new))
    }

    /// One that is there.
    ///
    /// # Errors
    /// That it is not, or that others may read it.
    pub fn open(folder: &Path) -> Result<Self> {
        let data = Self { folder: folder.to_owned() };
        if !authority::folder(folder).is_dir() {
            return Err(Failure::usage(format!(
                "{}: this is no server's data folder; give --data DIR, or make one: `stopline-fleet serve init --data DIR`",
                folder.display()
            )));
        }
        data.check_is_private()?;
        Ok(data)
    }

    fn check_is_private(&self) -> Result<()> {
        let metadata = std::fs::metadata(&self.folder);
        let mode = metadata.map_err(|error| failed(&self.folder, &error))?.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "{}: others may look into it (mode {mode:03o}); it holds the device authority's key. `chmod 700` it",
            self.folder.display()
        )))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database's URL, unless another is given.
    pub fn database_url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.folder.join("stopline.db").display())
    }

    /// Certificates and key of the authority.
    pub fn authority(&self) -> Result<Authority> {
        Authority::open(&authority::folder(&self.folder))
    }

    /// What devices pin.
    pub fn authorities_file(&self) -> PathBuf {
        self.folder.join("authorities.pem")
    }

    /// The server's certificate and key.
    pub fn server_files(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("server.pem"), self.folder.join("server.key"))
    }

    /// Batches on their way.
    pub fn uploads(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// Sealed records, unless another place is given.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// The audit log.
    pub fn audit(&self) -> Log {
        Log::new(self.folder.join("audit.jsonl"))
    }
}

/// Makes a folder that its owner alone may look into.
pub fn make(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed(path, &error))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
