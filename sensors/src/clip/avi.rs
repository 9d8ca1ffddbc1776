//! AVI with Motion JPEG: RIFF chunks, walked from the start of the picture data.
//!
//! Format: Microsoft's "AVI RIFF File Reference" and, for files beyond 1 GiB, the OpenDML extensions (further `RIFF
//! AVIX` chunks). No index is needed, nor trusted: every MJPEG picture stands alone, and the chunks say their length.
//! Pictures are as far apart as the stream header says; AVI knows no variable rate. Other codecs go to `ffmpeg`.

use std::io::{BufReader, Seek};
use std::time::Duration;

use super::reader::{Facts, Picture, Read, Reader, duration};
use crate::frame::BufferPool;
use crate::jpeg;
use crate::source::SourceError;

mod riff;

use riff::{Chunk, Riff};

/// The largest compressed picture that is read.
const MAX_PICTURE: u32 = 64 << 20;
/// The largest stream header or format chunk that is read.
const MAX_HEADER: u32 = 4096;

/// The video stream as its headers describe it.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its number, which the names of its chunks begin with.
    number: u8,
    /// Pictures per second as a fraction.
    rate: (u32, u32),
    length: u32,
    size: (u32, u32),
    /// The codec's four characters.
    pub(super) codec: [u8; 4],
}

impl Stream {
    /// Whether the pictures are JPEGs.
    pub(super) fn is_mjpeg(&self) -> bool {
        [b"MJPG", b"JPEG", b"AVRN", b"DMB1"].iter().any(|codec| self.codec.eq_ignore_ascii_case(*codec))
    }
}

/// Reads the pictures of an AVI file.
pub(super) struct Avi<R> {
    what: String,
    riff: Riff<R>,
    stream: Stream,
    facts: Facts,
    /// Where the picture data begin.
    movie: u64,
    index: u64,
    ended: bool,
    scratch: Vec<u8>,
}

impl<R: std::io::Read + Seek> Avi<R> {
    /// Reads the headers. Whether the codec is one that is read here is asked of [`Self::stream`].
    ///
    /// # Errors
    /// [`SourceError::Malformed`] where there is no video stream or no picture data.
    pub(super) fn new(what: &str, input: R, length: u64) -> Result<Self, SourceError> {
        let mut riff = Riff::new(what, BufReader::new(input), length);
        let (stream, movie) = headers(&mut riff)?;
        let (rate, per) = (u64::from(stream.rate.0), u64::from(stream.rate.1));
        // A picture takes at least a chunk header: a longer claim is a lie.
        let frames =
            (stream.length > 0 && u64::from(stream.length) <= length / 8).then_some(u64::from(stream.length));
        let facts = Facts {
            size: stream.size,
            period: Some(duration(i128::from(per), rate)),
            frames,
            duration: frames.map(|frames| duration(i128::from(frames) * i128::from(per), rate)),
        };
        let what = what.to_owned();
        Ok(Self { what, riff, stream, facts, movie, index: 0, ended: false, scratch: Vec::new() })
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The next chunk of the video stream; lists are entered, everything else is passed over.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, SourceError> {
        while let Some(chunk) = self.riff.chunk()? {
            if chunk.is_list() {
                self.riff.enter(&chunk)?;
                continue;
            }
            let name = chunk.name;
            let own = name[0] == b'0' + self.stream.number / 10 && name[1] == b'0' + self.stream.number % 10;
            if own && matches!(&name[2..], b"dc" | b"db") {
                return Ok(Some(chunk));
            }
            self.riff.pass(&chunk)?;
        }
        Ok(None)
    }

    fn position(&self, index: u64) -> Duration {
        duration(i128::from(index) * i128::from(self.stream.rate.1), u64::from(self.stream.rate.0))
    }

    fn picture(&mut self, chunk: &Chunk, pool: &BufferPool) -> Result<Picture, SourceError> {
        let what = format!("{}, frame {} at byte {}", self.what, self.index, chunk.start);
        if chunk.size > MAX_PICTURE || chunk.cut {
            let problem =
                if chunk.cut { "the file ends before the frame does" } else { "frame above 64 MiB" };
            let advice = "the frame is left out; the recording is cut or damaged".to_owned();
            return Err(SourceError::Malformed { what, problem: problem.to_owned(), advice });
        }
        self.scratch.resize(chunk.size as usize, 0);
        self.riff.read(chunk, &mut self.scratch)?;
        let jpeg::Decoded { format, colour, size, buffer } = jpeg::decode(&what, &self.scratch, pool)?;
        Ok(Picture { position: self.position(self.index), format, colour, size, buffer, copies: 0 })
    }
}

impl<R: std::io::Read + Seek + Send> Reader for Avi<R> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&mut self, pool: &BufferPool) -> Result<Read, SourceError> {
        while !self.ended {
            let Some(chunk) = self.next_chunk()? else {
                self.ended = true;
                break;
            };
            if chunk.size == 0 {
                self.index += 1; // the picture before is shown for longer
                self.riff.pass(&chunk)?;
                continue;
            }
            let read = self.picture(&chunk, pool);
            self.index += 1;
            self.riff.pass(&chunk)?;
            return Ok(match read {
                Ok(picture) => Read::Picture(picture),
                Err(error) => Read::Skipped(error),
            });
        }
        Ok(Read::End)
    }

    fn seek(&mut self, position: Duration) -> Result<(), SourceError> {
        self.riff.go_to(self.movie)?;
        (self.index, self.ended) = (0, false);
        while self.position(self.index + 1) <= position {
            let Some(chunk) = self.next_chunk()? else { break };
            self.riff.pass(&chunk)?;
            self.index += 1;
        }
        Ok(())
    }
}

/// Walks to the picture data, reading the stream headers on the way.
fn headers<R: std::io::Read + Seek>(riff: &mut Riff<R>) -> Result<(Stream, u64), SourceError> {
    let mut stream = None;
    let mut number = 0;
    let mut header = None;
    while let Some(chunk) = riff.chunk()? {
        match (&chunk.name, &chunk.kind) {
            (b"LIST", b"movi") => {
                let stream = stream.ok_or_else(|| riff.malformed("AVI without video stream".to_owned()))?;
                riff.enter(&chunk)?;
                return Ok((stream, riff.position()));
            }
            (b"RIFF", b"AVI ") | (b"LIST", b"hdrl" | b"strl") => riff.enter(&chunk)?,
            (b"RIFF", _) if chunk.start == 0 => {
                return Err(riff.malformed("RIFF file, but no AVI".to_owned()));
            }
            (b"strh", _) => {
                header = Some(riff.small(&chunk, MAX_HEADER)?);
                number += 1;
            }
            (b"strf", _) => {
                let format = riff.small(&chunk, MAX_HEADER)?;
                if stream.is_none()
                    && let Some(found) = header.take().and_then(|header| video(number - 1, &header, &format))
                {
                    stream = Some(found);
                }
            }
            _ => riff.pass(&chunk)?,
        }
        if number > MAX_STREAMS {
            return Err(riff.malformed(format!("more than {MAX_STREAMS} streams")));
        }
    }
    Err(riff.malformed("AVI without picture data (`movi`)".to_owned()))
}

/// Chunk names have two digits for the stream.
const MAX_STREAMS: u8 = 99;

/// A video stream, from its `strh` and `strf` chunks; `None` for sound and the like.
fn video(number: u8, header: &[u8], format: &[u8]) -> Option<Stream> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    };
    if header.get(..4)? != b"vids" {
        return None;
    }
    let (scale, rate, length) = (word(header, 20)?, word(header, 24)?, word(header, 32)?);
    let (width, height) = (word(format, 4)?, word(format, 8)?.cast_signed().unsigned_abs());
    let codec = format.get(16..20)?.try_into().ok()?;
    let rate = if scale == 0 || rate == 0 { (25, 1) } else { (rate, scale) };
    Some(Stream { number, rate, length, size: (width, height), codec })
}
