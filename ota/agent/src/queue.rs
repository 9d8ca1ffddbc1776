//! Small files that wait for the fleet's receipt, oldest first.
//!
//! ```text
//! FOLDER/000000000012-LABEL-BOOT-7.json
//! ```
//! The first number orders them over boots; boot and seq are what a receipt names.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use stopline_depot::disk::{Disk as _, RealDisk, folder_of, replace};

/// A folder of them.
#[derive(Debug, Clone)]
pub struct Queue(PathBuf);

impl Queue {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Puts one at the end.
    ///
    /// # Errors
    /// The system's.
    pub fn put(&self, label: &str, (boot_id, seq): (&str, u64), bytes: &[u8]) -> io::Result<()> {
        let last = self.waiting()?.last().and_then(|path| order_of(path)).unwrap_or(0);
        let label = if label.is_empty() { String::new() } else { format!("{label}-") };
        let name = format!("{:012}-{label}{boot_id}-{seq}.json", last.saturating_add(1));
        replace(&mut RealDisk, &self.0.join(name), bytes)
    }

    /// Files that wait, oldest first.
    ///
    /// # Errors
    /// The system's.
    pub fn waiting(&self) -> io::Result<Vec<PathBuf>> {
        let names = RealDisk.list(&self.0)?;
        Ok(names.iter().filter(|name| name.ends_with(".json")).map(|name| self.0.join(name)).collect())
    }

    /// The bytes of one of at most `limit`.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::NotFound`] where it has gone meanwhile.
    pub fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        RealDisk.read(path, limit)?.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// The fleet has it: it goes. It need not be there; whether it was.
    ///
    /// # Errors
    /// The system's.
    pub fn received(&self, boot_id: &str, seq: u64) -> io::Result<bool> {
        let end = format!("-{boot_id}-{seq}.json");
        let waiting = self.waiting()?;
        let mut found = false;
        for path in waiting.iter().filter(|path| path.to_str().is_some_and(|path| path.ends_with(&end))) {
            self.remove(path)?;
            found = true;
        }
        Ok(found)
    }

    /// Takes one away.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)?;
        RealDisk.sync_folder(folder_of(path))
    }
}

/// The label of a file; empty where it has none of `labels`.
pub fn label_of<'a>(path: &Path, labels: &[&'a str]) -> &'a str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let rest = name.split_once('-').map_or("", |(_, rest)| rest);
    labels
        .iter()
        .find(|label| rest.strip_prefix(**label).is_some_and(|rest| rest.starts_with('-')))
        .unwrap_or(&"")
}

fn order_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
}
