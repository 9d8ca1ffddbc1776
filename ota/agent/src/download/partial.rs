//! What came of a file so far.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::disk::{RealDisk, replace};

use super::DownloadError;

/// A file that is coming.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    record: PathBuf,
    file: File,
    length: u64,
    known: Known,
}

/// What is certain of it after a power cut.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// Bytes that lie on the medium.
    synced: u64,
    /// Entity tag of the answer they came with.
    etag: Option<String>,
}

impl Partial {
    /// Goes on with what is certain, or begins.
    pub(super) fn open(folder: &Path, name: &str, length: u64) -> Result<Self, DownloadError> {
        let (path, record) = (folder.join(name), folder.join(format!("{name}.json")));
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        let known: Known =
            fs::read(&record).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(io_error(&path))?;
        let there = file.metadata().map_err(io_error(&path))?.len();
        let certain = if known.synced <= there && known.synced <= length { known.synced } else { 0 };
        let mut partial = Self { path, record, file, length: certain, known };
        partial.cut(certain)?;
        Ok(partial)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.known.etag.as_deref()
    }

    pub(super) fn set_etag(&mut self, etag: Option<&str>) {
        // A weak one does not promise the same bytes (RFC 9110 §13.1.5), a long one is no tag.
        self.known.etag = etag.filter(|tag| tag.starts_with('"') && tag.len() <= 256).map(str::to_owned);
    }

    /// Writes `bytes`, and syncs so often that a cut never costs more than `chunk`.
    pub(super) fn add(&mut self, mut bytes: &[u8], chunk: u64) -> Result<(), DownloadError> {
        while !bytes.is_empty() {
            let room = usize::try_from(chunk.saturating_sub(self.unsynced()).max(1)).unwrap_or(bytes.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.file.write_all(now).map_err(io_error(&self.path))?;
            self.length = self.length.saturating_add(u64::try_from(now.len()).unwrap_or(u64::MAX));
            if self.unsynced() >= chunk {
                self.sync()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Bytes that a power cut would cost.
    pub(super) fn unsynced(&self) -> u64 {
        self.length.saturating_sub(self.known.synced)
    }

    pub(super) fn sync(&mut self) -> Result<(), DownloadError> {
        if self.unsynced() == 0 {
            return Ok(());
        }
        self.file.sync_data().map_err(io_error(&self.path))?;
        self.known.synced = self.length;
        self.note()
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) -> Result<(), DownloadError> {
        self.known = Known::default();
        self.note()?;
        self.cut(0)
    }

    fn cut(&mut self, length: u64) -> Result<(), DownloadError> {
        let done = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        done.map_err(io_error(&self.path))?;
        self.length = length;
        Ok(())
    }

    fn note(&self) -> Result<(), DownloadError> {
        let bytes = serde_json::to_vec(&self.known).map_err(io::Error::other);
        let done = bytes.and_then(|bytes| replace(&mut RealDisk, &self.record, &bytes));
        done.map_err(io_error(&self.record))
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    let path = path.to_owned();
    move |source| DownloadError::Io { path, source }
}
