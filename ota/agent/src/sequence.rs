//! The number that makes each message, outcome and batch of a boot one of a kind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use stopline_depot::disk::{RealDisk, replace};

/// Counts, in `HOME/seq.json`; clones count together.
#[derive(Debug, Clone)]
pub struct Sequence {
    file: Arc<Mutex<PathBuf>>,
    boot_id: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Last {
    boot_id: String,
    seq: u64,
}

impl Sequence {
    /// Below `home`, for this boot.
    pub fn open(home: &Path, boot_id: String) -> Self {
        Self { file: Arc::new(Mutex::new(home.join("seq.json"))), boot_id }
    }

    /// This boot.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The next number: on the medium before it is used, so that none is used twice.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&self) -> io::Result<u64> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let last: Last =
            fs::read(&*file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let seq = if last.boot_id == self.boot_id { last.seq.saturating_add(1) } else { 1 };
        let next = serde_json::to_vec(&Last { boot_id: self.boot_id.clone(), seq })?;
        replace(&mut RealDisk, &file, &next)?;
        Ok(seq)
    }
}
