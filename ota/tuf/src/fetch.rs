//! Where metadata comes from: behind a trait, so that the workflow knows no network.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use crate::name::MetadataFile;

/// What came of asking for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file's bytes.
    Found(Vec<u8>),
    /// There is no such file (HTTP 403 and 404).
    Missing,
    /// It is what was fetched last (HTTP 304). Only for `timestamp.json`, where the stored one then stands.
    Unchanged,
}

/// A repository's metadata.
pub trait Fetch {
    /// Reads `file`, at most `limit` bytes and one more: a longer file need not be read to its end, it will be refused.
    ///
    /// # Errors
    /// [`FetchError`] if it cannot be known whether the file is there, or it was not read whole.
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError>;
}

/// The repository could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{file} could not be fetched")]
pub struct FetchError {
    /// File as asked for, with its place where that is known.
    pub file: String,
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl FetchError {
    /// What went wrong with which file.
    pub fn new(file: impl ToString, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { file: file.to_string(), source: source.into() }
    }
}

impl<T: Fetch + ?Sized> Fetch for &mut T {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        (**self).metadata(file, limit)
    }
}

/// A repository in memory, by file name.
#[derive(Debug, Clone, Default)]
pub struct MemoryRepository {
    /// The files.
    pub files: BTreeMap<MetadataFile, Vec<u8>>,
}

impl Fetch for MemoryRepository {
    fn metadata(&mut self, file: &MetadataFile, _limit: u64) -> Result<Fetched, FetchError> {
        Ok(self.files.get(file).map_or(Fetched::Missing, |bytes| Fetched::Found(bytes.clone())))
    }
}

/// A repository in a folder, as on a USB stick: `metadata/` of one that a web server would serve.
#[derive(Debug, Clone)]
pub struct FolderRepository {
    folder: PathBuf,
}

impl FolderRepository {
    /// Reads from `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

impl Fetch for FolderRepository {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        let path = self.folder.join(file.as_str());
        match read_up_to(&path, limit) {
            Ok(bytes) => Ok(Fetched::Found(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Fetched::Missing),
            Err(error) => Err(FetchError::new(path.display(), error)),
        }
    }
}

/// Reads a file, at most `limit` bytes and one more.
pub(crate) fn read_up_to(path: &std::path::Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
