//! Archives of which every byte has one meaning: ustar with plain files only, read from memory without a path or a link ever
//! being followed. The form of bundles and of captured records.

use std::io::{self, Write};

use tar::{EntryType, Header};

/// Bytes of a block of tar.
pub(crate) const BLOCK: usize = 512;

/// Bytes that are no such archive.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Byte at which it is wrong.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) problem: String,
}

/// Writes a file.
///
/// # Errors
/// Those of writing; a name that no header holds.
pub(crate) fn write_file(out: &mut impl Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    out.write_all(header(name, bytes.len())?.as_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&[0; BLOCK][..padding(bytes.len())])
}

/// Writes what follows the last file.
///
/// # Errors
/// Those of writing.
pub(crate) fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
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

/// Zeros that follow a file of this length.
fn padding(length: usize) -> usize {
    length.next_multiple_of(BLOCK) - length
}

/// Walks over an archive in memory; every header is compared with the one that would have been written.
pub(crate) struct Reader<'a> {
    tar: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From its first byte.
    pub(crate) fn new(tar: &'a [u8]) -> Self {
        Self { tar, at: 0 }
    }

    /// The content of the next file, which must have this name.
    pub(crate) fn required(&mut self, name: &str) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            Some((found, bytes)) if found == name => Ok(bytes),
            Some((found, _)) => Err(self.wrong(format!("{found:?} where {name} is expected"))),
            None => Err(self.wrong(format!("it ends where {name} is expected"))),
        }
    }

    /// The next file; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(String, &'a [u8])>, Malformed> {
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

    /// Nothing may follow but the two blocks of zeros.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        let rest = self.tar.get(self.at..).unwrap_or_default();
        if rest.len() == 2 * BLOCK && rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(self.wrong(format!("{} bytes where 1024 zeros and nothing more are expected", rest.len())))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.tar.len());
        let end = end.ok_or_else(|| self.wrong(format!("it ends {length} bytes too early")))?;
        let bytes = &self.tar[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// What is wrong at this place.
    pub(crate) fn wrong(&self, problem: impl Into<String>) -> Malformed {
        Malformed { at: self.at, problem: problem.into() }
    }
}
