//! RIFF chunks: four characters, a length, the content, padded to an even length. Lists contain chunks.
//!
//! The walk is flat: a list is entered by going on behind its head, so nothing nests and nothing recurses.

use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

use crate::source::SourceError;

/// The head of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) name: [u8; 4],
    /// What a list contains; zero for other chunks.
    pub(super) kind: [u8; 4],
    /// Where its head begins.
    pub(super) start: u64,
    /// Bytes of content as the head says.
    pub(super) size: u32,
    /// Whether the file ends before the content does.
    pub(super) cut: bool,
}

impl Chunk {
    pub(super) fn is_list(&self) -> bool {
        matches!(&self.name, b"RIFF" | b"LIST")
    }

    fn end(&self) -> u64 {
        self.start + 8 + u64::from(self.size) + u64::from(self.size % 2)
    }
}

/// A RIFF file being walked.
pub(super) struct Riff<R> {
    what: String,
    input: BufReader<R>,
    length: u64,
    at: u64,
}

impl<R: Read + Seek> Riff<R> {
    pub(super) fn new(what: &str, input: BufReader<R>, length: u64) -> Self {
        Self { what: what.to_owned(), input, length, at: 0 }
    }

    /// Where the walk stands.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The head of the chunk at which the walk stands; `None` at the end of the file.
    pub(super) fn chunk(&mut self) -> Result<Option<Chunk>, SourceError> {
        let mut head = [0; 8];
        if self.length.saturating_sub(self.at) < 8 || !self.fill(self.at, &mut head)? {
            return Ok(None);
        }
        let [a, b, c, d, s0, s1, s2, s3] = head;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let mut chunk = Chunk { name: [a, b, c, d], kind: [0; 4], start: self.at, size, cut: false };
        chunk.cut = self.at + 8 + u64::from(size) > self.length;
        if chunk.is_list() {
            let mut kind = [0; 4];
            if !self.fill(self.at + 8, &mut kind)? {
                return Ok(None);
            }
            chunk.kind = kind;
        }
        Ok(Some(chunk))
    }

    /// Goes on inside a list.
    pub(super) fn enter(&mut self, list: &Chunk) -> Result<(), SourceError> {
        self.go_to(list.start + 12)
    }

    /// Goes on behind a chunk.
    pub(super) fn pass(&mut self, chunk: &Chunk) -> Result<(), SourceError> {
        self.go_to(chunk.end())
    }

    pub(super) fn go_to(&mut self, at: u64) -> Result<(), SourceError> {
        self.at = at;
        Ok(())
    }

    /// A chunk's content; the walk stays where it is.
    pub(super) fn read(&mut self, chunk: &Chunk, content: &mut [u8]) -> Result<(), SourceError> {
        if self.fill(chunk.start + 8, content)? {
            return Ok(());
        }
        Err(self.malformed(format!("the chunk at byte {} is cut", chunk.start)))
    }

    /// A header chunk's content of at most `limit` bytes; the walk goes on behind it.
    pub(super) fn small(&mut self, chunk: &Chunk, limit: u32) -> Result<Vec<u8>, SourceError> {
        let mut content = vec![0; chunk.size.min(limit) as usize];
        self.read(chunk, &mut content)?;
        self.pass(chunk)?;
        Ok(content)
    }

    pub(super) fn malformed(&self, problem: String) -> SourceError {
        SourceError::Malformed {
            what: self.what.clone(),
            problem,
            advice: "check that the file is a whole AVI recording".to_owned(),
        }
    }

    /// Fills `bytes` from `at`; `false` where the file ends before.
    fn fill(&mut self, at: u64, bytes: &mut [u8]) -> Result<bool, SourceError> {
        let done = self.seek(at).and_then(|()| self.input.read_exact(bytes));
        match done {
            Ok(()) => Ok(true),
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(cause) => Err(SourceError::Io { what: self.what.clone(), action: "read", cause }),
        }
    }

    /// Keeps what is buffered where the place is near.
    fn seek(&mut self, at: u64) -> std::io::Result<()> {
        let now = self.input.stream_position()?;
        match i64::try_from(i128::from(at) - i128::from(now)) {
            Ok(step) => self.input.seek_relative(step),
            Err(_) => self.input.seek(SeekFrom::Start(at)).map(|_| ()),
        }
    }
}
