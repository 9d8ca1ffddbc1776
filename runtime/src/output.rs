//! Result files: written under another name beside their place and renamed when whole, so that nobody meets half a file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A result that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot {action}: {cause}; {advice}")]
pub struct OutputError {
    path: String,
    action: &'static str,
    cause: io::Error,
    advice: &'static str,
}

impl OutputError {
    /// `action` (`write`, `encode a picture`) failed for the result `path`.
    pub fn new(path: &Path, action: &'static str, cause: io::Error) -> Self {
        let advice = match cause.kind() {
            io::ErrorKind::NotFound => "make the folder first",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose a place you may write to"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, or choose another place",
            _ => "nothing was left there",
        };
        Self { path: path.display().to_string(), action, cause, advice }
    }
}

/// A result file being written. Dropped without [`OutputFile::commit`] it leaves nothing behind.
pub struct OutputFile {
    path: PathBuf,
    /// Where the bytes go until then; `None` where `path` is a pipe or a device, which cannot be renamed over.
    partial: Option<PathBuf>,
    file: BufWriter<File>,
}

impl OutputFile {
    /// Begins the result `path`; its folder must exist.
    ///
    /// # Errors
    /// [`OutputError`] where the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        if path.is_dir() || path.file_name().is_none() {
            return Err(OutputError::new(path, "write", io::ErrorKind::IsADirectory.into()));
        }
        let partial = (!special).then(|| partial_name(path));
        let file = match &partial {
            Some(partial) => File::create(partial),
            None => File::options().write(true).open(path),
        };
        let file = BufWriter::new(file.map_err(|cause| OutputError::new(path, "write", cause))?);
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// Where the result will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An I/O result, with this file's name in its error.
    ///
    /// # Errors
    /// The error given.
    pub fn named<T>(&self, result: io::Result<T>) -> Result<T, OutputError> {
        result.map_err(|cause| OutputError::new(&self.path, "write", cause))
    }

    /// Ends the result: everything is on disk, under its name.
    ///
    /// # Errors
    /// [`OutputError`]; then nothing is left behind.
    pub fn commit(mut self) -> Result<(), OutputError> {
        let done = self.file.flush();
        self.named(done)?;
        if let Some(partial) = &self.partial {
            let done = self.file.get_ref().sync_all().and_then(|()| std::fs::rename(partial, &self.path));
            self.named(done)?;
            self.partial = None;
        }
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Writes the whole result `path` at once.
///
/// # Errors
/// [`OutputError`]; then nothing is left behind.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let mut file = OutputFile::create(path)?;
    let done = file.write_all(bytes);
    file.named(done)?;
    file.commit()
}

/// Hidden, in the same folder (a rename works only within a file system), and this process's own.
fn partial_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("readable");
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_result_appears_only_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("out.json");
        write(&path, b"old").expect("writes");
        let mut file = OutputFile::create(&path).expect("begins");
        file.write_all(b"new and longer").expect("writes");
        assert_eq!(std::fs::read(&path).expect("reads"), b"old");
        file.commit().expect("ends");
        assert_eq!(std::fs::read(&path).expect("reads"), b"new and longer");
        assert_eq!(names(folder.path()), ["out.json"]);
    }

    #[test]
    fn a_result_given_up_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut file = OutputFile::create(&folder.path().join("out.json")).expect("begins");
        file.write_all(b"half").expect("writes");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_missing_folder_and_a_folder_in_the_way_are_told() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let missing = write(&folder.path().join("no/out"), b"").expect_err("refused").to_string();
        assert!(
            missing.contains("no/out: cannot write") && missing.contains("make the folder first"),
            "{missing}"
        );
        let taken = write(folder.path(), b"").expect_err("refused").to_string();
        assert!(taken.contains("directory"), "{taken}");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        write(Path::new("/dev/null"), b"gone").expect("writes");
        assert!(!std::fs::metadata("/dev/null").expect("is there").is_file());
    }
}
