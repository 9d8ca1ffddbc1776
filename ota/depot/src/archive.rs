//! A tar of which every byte has one meaning: ustar, regular files only, every header field but name, size and checksum
//! fixed. [`Reader`] accepts exactly what [`Writer`] writes, so an archive cannot show one thing to one reader and another to
//! the next. Read from memory; no name ever becomes a path.

use std::io::{self, Write};

use tar::{EntryType, Header};

/// Bytes of a header, and what content is padded to.
pub const BLOCK: usize = 512;

/// Where an archive is not of the one form.
#[derive(Debug, thiserror::Error)]
#[error("byte {at}: {problem}")]
pub struct FormError {
    /// Offset in the archive.
    pub at: usize,
    /// What was found and what is expected.
    pub problem: String,
}

/// Bytes that a file of this length takes, header and padding included.
pub fn room(length: usize) -> usize {
    BLOCK.saturating_add(length.checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX))
}

/// Bytes at the end of an archive.
pub const END: usize = 2 * BLOCK;

/// Writes an archive: the same bytes from the same files, on any machine, at any time.
#[derive(Debug)]
pub struct Writer<W: Write>(W);

impl<W: Write> Writer<W> {
    /// Into `out`.
    pub fn new(out: W) -> Self {
        Self(out)
    }

    /// The next file.
    ///
    /// # Errors
    /// Those of writing; a name that a header has no room for.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(header(name, bytes.len())?.as_bytes())?;
        self.0.write_all(bytes)?;
        self.0.write_all(&[0; BLOCK][..padding(bytes.len())])
    }

    /// The end.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        self.0.write_all(&[0; END])?;
        Ok(self.0)
    }
}

/// Walks over an archive; every header is compared with the one that would have been written.
#[derive(Debug)]
pub struct Reader<'a> {
    tar: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From its first byte.
    pub fn new(tar: &'a [u8]) -> Self {
        Self { tar, at: 0 }
    }

    /// The next file, which must have this name.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn required(&mut self, name: &str) -> Result<&'a [u8], FormError> {
        match self.next()? {
            Some((found, bytes)) if found == name => Ok(bytes),
            Some((found, _)) => Err(self.wrong(format!("{found:?} where {name} is expected"))),
            None => Err(self.wrong(format!("it ends where {name} is expected"))),
        }
    }

    /// The next file; `None` where the end begins.
    ///
    /// # Errors
    /// [`FormError`].
    #[expect(
        clippy::should_implement_trait,
        reason = "it fails; a walk with ? reads better than an iterator of results"
    )]
    pub fn next(&mut self) -> Result<Option<(String, &'a [u8])>, FormError> {
        let begin = self.at;
        let block: &[u8; BLOCK] = self.take(BLOCK)?.try_into().map_err(|_| self.wrong("half a header"))?;
        if block.iter().all(|byte| *byte == 0) {
            self.at = begin;
            return Ok(None);
        }
        let found = Header::from_byte_slice(block);
        let name = std::str::from_utf8(&found.path_bytes())
            .map_err(|_| self.wrong("a name that is no text"))?
            .to_owned();
        let length = found.entry_size().ok().and_then(|size| usize::try_from(size).ok());
        let length = length.ok_or_else(|| self.wrong(format!("{name:?} has no size")))?;
        let expected = header(&name, length).map_err(|error| self.wrong(format!("{name:?}: {error}")))?;
        if expected.as_bytes() != block {
            self.at = begin;
            return Err(
                self.wrong(format!("the header of {name:?} is not that of a plain file of {length} bytes"))
            );
        }
        let bytes = self.take(length)?;
        if self.take(padding(length))?.iter().any(|byte| *byte != 0) {
            return Err(self.wrong(format!("{name:?} is followed by something else than zeros")));
        }
        Ok(Some((name, bytes)))
    }

    /// It ends here, and nothing comes after.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn end(&self) -> Result<(), FormError> {
        let rest = self.tar.get(self.at..).unwrap_or_default();
        if rest.len() == END && rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(self.wrong(format!("{} bytes where {END} zeros and nothing more are expected", rest.len())))
    }

    /// An error at the byte where it stands.
    pub fn wrong(&self, problem: impl Into<String>) -> FormError {
        FormError { at: self.at, problem: problem.into() }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], FormError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.tar.len());
        let end = end.ok_or_else(|| self.wrong(format!("it ends {length} bytes too early")))?;
        let bytes = &self.tar[self.at..end];
        self.at = end;
        Ok(bytes)
    }
}

/// The one header that a file of this name and length has.
fn header(name: &str, length: usize) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(u64::try_from(length).map_err(io::Error::other)?);
    header.set_cksum();
    Ok(header)
}

fn padding(length: usize) -> usize {
    length.checked_next_multiple_of(BLOCK).map_or(0, |whole| whole - length)
}
