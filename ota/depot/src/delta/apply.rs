//! Applying a delta: block by block, with flat memory.

use std::io::{self, Read, Seek, SeekFrom, Write};

use zstd::zstd_safe::{DCtx, get_error_name};

use super::block::{self, BlockHead, Segment};
use super::{DeltaError, HEAD, Head};
use crate::digest::Digest;
use crate::release::Content;

/// Bytes of the old bundle that are read at once; a multiple of every width.
const PIECE: usize = 64 << 10;

/// Writes the new bundle, `to`, from the old one, `from`, and a delta. That what is written has the digest of `to` is for
/// the slot to check; that it has its length is checked here. Takes at most four times [`super::MAX_BLOCK`] of memory.
///
/// # Errors
/// [`DeltaError`]; what was written before is worth nothing.
pub fn apply(
    mut old: impl Read + Seek,
    delta: impl Read,
    from: &Digest,
    to: &Content,
    mut out: impl Write,
) -> Result<(), DeltaError> {
    let mut delta = Reader { delta, at: 0 };
    let mut head = [0; HEAD];
    delta.fill(&mut head)?;
    let head = Head::read(&head)?;
    if (&head.from.sha256, &head.to) != (from, to) {
        let (found_from, found_to) = (head.from.sha256, head.to.sha256);
        return Err(DeltaError::Other { found_from, found_to, from: *from, to: to.sha256 });
    }
    let mut written = 0;
    while written < to.length {
        let block = delta.block(&mut old, written, to.length)?;
        out.write_all(&block)?;
        written += u64::try_from(block.len()).unwrap_or(u64::MAX);
    }
    if delta.delta.read(&mut [0])? != 0 {
        return Err(delta.wrong("something follows its last block"));
    }
    Ok(())
}

struct Reader<R> {
    delta: R,
    at: u64,
}

impl<R: Read> Reader<R> {
    fn block(&mut self, old: &mut (impl Read + Seek), begin: u64, end: u64) -> Result<Vec<u8>, DeltaError> {
        let mut head = [0; block::HEAD];
        self.fill(&mut head)?;
        let head = BlockHead::read(&head).map_err(|problem| self.wrong(problem))?;
        let length = u64::try_from(head.length).unwrap_or(u64::MAX);
        if begin.saturating_add(length) > end {
            return Err(self.wrong(format!("more than the {end} bytes that it promised")));
        }
        let unpacked = self.frame(old, &head)?;
        let segments = block::segments(&head, &unpacked).map_err(|problem| self.wrong(problem))?;
        let mut block = vec![0; head.length];
        let mut bytes = &unpacked[head.segments * block::SEGMENT..];
        for (at, step, count) in block::runs(&segments) {
            let (run, rest) = bytes.split_at(count);
            block[at..].iter_mut().step_by(step).zip(run).for_each(|(to, from)| *to = *from);
            bytes = rest;
        }
        self.add(old, &segments, begin, &mut block)?;
        Ok(block)
    }

    /// The block's frame, unpacked into a buffer of the promised size: whatever the frame says, it cannot grow beyond.
    fn frame(&mut self, old: &mut (impl Read + Seek), head: &BlockHead) -> Result<Vec<u8>, DeltaError> {
        let mut prefix = vec![0; head.prefix_length];
        old.seek(SeekFrom::Start(head.prefix_at))?;
        old.read_exact(&mut prefix)?;
        let mut packed = vec![0; head.packed];
        self.fill(&mut packed)?;
        let mut decoder = DCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut unpacked = Vec::with_capacity(head.unpacked());
        let done = decoder.ref_prefix(&prefix).and_then(|_| decoder.decompress(&mut unpacked, &packed));
        done.map_err(|code| self.wrong(format!("zstd: {}", get_error_name(code))))?;
        if unpacked.len() != head.unpacked() {
            return Err(self.wrong(format!(
                "{} bytes came of a frame that promised {}",
                unpacked.len(),
                head.unpacked()
            )));
        }
        Ok(unpacked)
    }

    /// Adds the old elements to the differences.
    fn add(
        &self,
        old: &mut (impl Read + Seek),
        segments: &[Segment],
        begin: u64,
        block: &mut [u8],
    ) -> Result<(), DeltaError> {
        let mut piece = vec![0; PIECE];
        let mut rest = block;
        let mut at = begin;
        for segment in segments {
            let (bytes, after) = rest.split_at_mut(segment.length);
            if segment.width > 0 {
                let place = at.checked_add_signed(segment.shift);
                let place = place.ok_or_else(|| self.wrong("a place before the old bundle"))?;
                old.seek(SeekFrom::Start(place))?;
                for bytes in bytes.chunks_mut(PIECE) {
                    let piece = &mut piece[..bytes.len()];
                    old.read_exact(piece)?;
                    block::add(bytes, piece, segment.width);
                }
            }
            at = at.saturating_add(u64::try_from(segment.length).unwrap_or(u64::MAX));
            rest = after;
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), DeltaError> {
        match self.delta.read_exact(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.wrong(format!("it ends within the next {} bytes", buffer.len())))
            }
            read => {
                self.at = self.at.saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
                Ok(read?)
            }
        }
    }

    fn wrong(&self, problem: impl Into<String>) -> DeltaError {
        DeltaError::Form { at: self.at, problem: problem.into() }
    }
}
