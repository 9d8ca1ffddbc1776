//! What a watch remembers over a restart: a vehicle's day has many, and the past is two weeks.
//!
//! One file for each camera, JSON, put in place by a rename: about 150 KB once two weeks are full, so 3.6 MB a day of a camera
//! that never rests and is saved each hour. It is no more than a cache: a file that cannot be read,
//! or holds what cannot be, is told and left behind, and the past begins anew.

use std::io::{Read as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::frame::CLASSES;
use super::signal::COUNT;
use super::window::{KEPT, Window};

/// The schema this code reads and writes.
const SCHEMA: u32 = 1;
/// Bytes, at most: 360 hours of 160 numbers.
const LARGEST: u64 = 2 << 20;

/// Everything that [`super::Drift`] knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub(super) schema: u32,
    /// The model whose past this is.
    pub(super) model: String,
    /// The classes that have a bin.
    pub(super) classes: [Option<usize>; CLASSES],
    /// The usual picture size.
    pub(super) size: Option<[u32; 2]>,
    /// The hour that goes on.
    pub(super) hour: Window,
    /// Hours that ended, oldest first.
    pub(super) past: Vec<Window>,
    pub(super) suspects: [bool; COUNT],
    pub(super) told: [[Option<u8>; COUNT]; 2],
}

/// Why there is no memory.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path}: {what}; expected the memory of a drift watch, schema {SCHEMA}: the past begins anew")]
    Content {
        /// Which one.
        path: String,
        /// What is wrong.
        what: String,
    },
}

impl Memory {
    pub(super) const SCHEMA: u32 = SCHEMA;

    /// What `path` holds; `None` where there is no such file.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn read(path: &Path) -> Result<Option<Self>, MemoryError> {
        let io = |source| MemoryError::Io { path: path.display().to_string(), source };
        let content = |what: String| MemoryError::Content { path: path.display().to_string(), what };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut json = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut json).map_err(io)?;
        if json.len() as u64 > LARGEST {
            return Err(content(format!("more than {LARGEST} bytes")));
        }
        let memory: Self = serde_json::from_slice(&json).map_err(|error| content(error.to_string()))?;
        memory.check().map_err(content)?;
        Ok(Some(memory))
    }

    /// Puts it in place of what `path` held: beside it, synced, renamed.
    ///
    /// # Errors
    /// [`MemoryError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), MemoryError> {
        let io = |source| MemoryError::Io { path: path.display().to_string(), source };
        let json = serde_json::to_vec(self).map_err(std::io::Error::other).map_err(io)?;
        let beside = path.with_extension("partial");
        let put = || {
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(&json)?;
            file.sync_data()?;
            std::fs::rename(&beside, path)
        };
        put().map_err(io)
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema {}", self.schema));
        }
        if self.past.len() > KEPT {
            return Err(format!("{} hours, more than the {KEPT} that are kept", self.past.len()));
        }
        match self.past.iter().chain([&self.hour]).find(|window| !window.is_sound()) {
            Some(window) => Err(format!("hour {} holds what is no count", window.hour)),
            None => Ok(()),
        }
    }
}
