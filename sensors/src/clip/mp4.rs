//! MP4 and QuickTime: where each sample of the video track lies, when it is shown, and how the picture is turned.
//!
//! Standard: ISO/IEC 14496-12 (boxes, sample tables, fragments, edit lists) and 14496-15 (H.264 in them). Only headers
//! are read and held: the largest file costs 24 bytes per frame. Everything is bounded by the file's own length before
//! it is allocated.
//!
//! Own code, because a recording comes from anywhere: `re_mp4` 0.5 indexes tables and subtracts sizes unchecked (a
//! damaged file panics), loops for ever on a box of length zero inside a fragment, and allocates for a claimed sample
//! count. It is the oracle of the tests instead.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::time::Duration;

use super::reader::duration;
use crate::orientation::Orientation;
use crate::source::SourceError;

mod boxes;
mod fragments;
mod samples;
#[cfg(test)]
mod tests;
mod track;

pub(super) use track::Avc;

/// The largest `moov` or `moof` box that is read: some hundred hours of video.
const MAX_BOX: u64 = 64 << 20;
/// The most boxes at the top level, so that a file of empty boxes ends the walk.
const MAX_TOP_LEVEL: usize = 1 << 20;
/// The most samples of the track: six days at 30 per second.
const MAX_SAMPLES: usize = 1 << 24;

/// One compressed picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// First byte in the file.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) size: u32,
    /// When it is shown, in units of the track's time scale.
    pub(super) shown: i64,
    /// Whether decoding can begin here.
    pub(super) key: bool,
}

/// The video track of a file.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// The codec's four characters (`avc1`, `hvc1`, …).
    pub(super) codec: [u8; 4],
    /// H.264's parameters; `None` for other codecs, or where they are damaged.
    pub(super) avc: Option<Avc>,
    /// Pixels across and down as stored.
    pub(super) size: (u32, u32),
    /// How it must be turned.
    pub(super) orientation: Orientation,
    /// Units per second.
    pub(super) timescale: u32,
    /// In decoding order.
    pub(super) samples: Vec<Sample>,
    /// The part of the timeline that the edit list shows; begins at the first picture shown.
    pub(super) shown: std::ops::Range<i64>,
}

impl Track {
    /// From the first picture shown to the one shown at `at`.
    pub(super) fn position(&self, at: i64) -> Duration {
        duration(i128::from(at) - i128::from(self.shown.start), u64::from(self.timescale))
    }

    /// How many pictures are shown.
    pub(super) fn frames(&self) -> u64 {
        self.samples.iter().filter(|sample| self.shown.contains(&sample.shown)).count() as u64
    }
}

/// Reads the headers of a file of `length` bytes.
///
/// # Errors
/// [`SourceError::Malformed`] says which box is missing or cut, and where.
pub(super) fn read(what: &str, input: impl Read + Seek, length: u64) -> Result<Track, SourceError> {
    let mut file = File { what, input: BufReader::new(input), length };
    let mut found: Option<track::Header> = None;
    let mut samples = Vec::new();
    let mut decode_time = 0;
    let mut at = 0;
    for _ in 0..MAX_TOP_LEVEL {
        let Some(head) = file.head(at)? else { break };
        match &head.name {
            b"moov" if found.is_none() => {
                let content = file.content(&head)?;
                let header = track::header(&content, length).map_err(|problem| malformed(what, problem))?;
                samples = samples::table(&header, length).map_err(|problem| malformed(what, problem))?;
                found = Some(header);
            }
            b"moof" => {
                if let Some(header) = &found {
                    // A cut last fragment does not spoil those before it.
                    let Ok(content) = file.content(&head) else { break };
                    fragments::samples(&content, head.start, header, length, &mut decode_time, &mut samples)
                        .map_err(|problem| malformed(what, format!("fragment at byte {at}: {problem}")))?;
                }
            }
            _ => {}
        }
        at = head.end;
    }
    let header = found.ok_or_else(|| {
        malformed(
            what,
            format!("no `moov` box in {length} bytes: the recording was cut before it was closed"),
        )
    })?;
    track(what, header, samples)
}

fn track(what: &str, header: track::Header, samples: Vec<Sample>) -> Result<Track, SourceError> {
    let mut shown = header.edit;
    let first = samples.iter().map(|sample| sample.shown).filter(|at| shown.contains(at)).min();
    let Some(first) = first else {
        return Err(malformed(what, "the video track has no frames".to_owned()));
    };
    shown.start = first;
    Ok(Track {
        codec: header.codec,
        avc: header.avc,
        size: header.size,
        orientation: header.orientation,
        timescale: header.timescale,
        samples,
        shown,
    })
}

/// A box at the top level of the file.
struct Head {
    name: [u8; 4],
    start: u64,
    content: u64,
    end: u64,
}

struct File<'a, R> {
    what: &'a str,
    input: BufReader<R>,
    length: u64,
}

impl<R: Read + Seek> File<'_, R> {
    /// The box at `at`; `None` at the end of the file, also a ragged one.
    fn head(&mut self, at: u64) -> Result<Option<Head>, SourceError> {
        let mut bytes = [0; 16];
        let there = self.length.saturating_sub(at).min(16);
        if there < 8 {
            return Ok(None);
        }
        let there = usize::try_from(there).unwrap_or(16);
        self.fill(at, &mut bytes[..there])?;
        let [s0, s1, s2, s3, n0, n1, n2, n3, large @ ..] = bytes;
        let (content, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (at + 8, self.length - at),
            1 if there == 16 => (at + 16, u64::from_be_bytes(large)),
            size => (at + 8, u64::from(size)),
        };
        let name = [n0, n1, n2, n3];
        let end = at.saturating_add(size);
        Ok((end >= content).then_some(Head { name, start: at, content, end }))
    }

    fn content(&mut self, head: &Head) -> Result<Vec<u8>, SourceError> {
        let size = head.end - head.content;
        let name = head.name.escape_ascii();
        if head.end > self.length {
            let (at, length) = (head.start, self.length);
            return Err(malformed(
                self.what,
                format!("the `{name}` box at byte {at} is cut: the file has {length}"),
            ));
        }
        if size > MAX_BOX {
            return Err(malformed(
                self.what,
                format!("the `{name}` box has {size} bytes, at most {MAX_BOX} are read"),
            ));
        }
        let mut content = vec![0; usize::try_from(size).unwrap_or_default()];
        self.fill(head.content, &mut content)?;
        Ok(content)
    }

    fn fill(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), SourceError> {
        let io = |cause| SourceError::Io { what: self.what.to_owned(), action: "read", cause };
        self.input.seek(SeekFrom::Start(at)).map_err(io)?;
        self.input.read_exact(bytes).map_err(io)
    }
}

fn malformed(what: &str, problem: String) -> SourceError {
    SourceError::Malformed {
        what: what.to_owned(),
        problem,
        advice: "check that the file is a whole MP4 or QuickTime recording with a video track".to_owned(),
    }
}
