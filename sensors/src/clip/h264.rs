//! H.264 in MP4 or QuickTime.
//!
//! The decoder hands pictures out in the order they are shown, without times; so the times of the samples it was given
//! wait in a heap, and the smallest belongs to the next picture. After a damaged sample the decoder is emptied and
//! replaced at the next picture at which everything starts anew (IDR): it may hold references and times that never
//! come. In a sound stream it is never emptied before the end, since openh264 fails after that.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{Seek, SeekFrom};
use std::time::Duration;

use super::mp4::{Avc, Sample, Track};
use super::reader::{Facts, Picture, Read, Reader};
use crate::frame::{BufferPool, PixelFormat};
use crate::h264::{self, Delay, H264Decoder, H264Error, Parameters};
use crate::source::SourceError;

/// The largest compressed picture that is read.
const MAX_SAMPLE: u32 = 64 << 20;
/// Pictures a decoder may hold back (H.264, A.3.1: at most 16), and one being decoded.
const MAX_HELD: usize = 17;

/// Reads the pictures of an H.264 track.
pub(super) struct H264<R> {
    what: String,
    input: R,
    length: u64,
    track: Track,
    avc: Avc,
    facts: Facts,
    decoder: H264Decoder,
    next: usize,
    /// Parameter sets go before the next sample.
    fresh: bool,
    times: BinaryHeap<Reverse<i64>>,
    ready: VecDeque<Read>,
    flushed: bool,
    /// A sample since the last restart could not be decoded.
    damaged: bool,
    sample: Vec<u8>,
    stream: Vec<u8>,
}

impl<R: std::io::Read + Seek> H264<R> {
    /// Over the samples of `track`, which lie in `input` of `length` bytes.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] for a stream that `openh264` cannot decode.
    pub(super) fn new(what: &str, input: R, length: u64, track: Track) -> Result<Self, SourceError> {
        let Some(avc) = track.avc.clone() else {
            return Err(SourceError::Malformed {
                what: what.to_owned(),
                problem: "the H.264 parameters (`avcC`) are missing or damaged".to_owned(),
                advice: "the recording cannot be decoded without them".to_owned(),
            });
        };
        let parameters =
            avc.parameter_sets.iter().find_map(|set| Parameters::of_unit(set)).unwrap_or_default();
        if let Some(obstacle) = parameters.unsupported {
            return Err(H264Error::Unsupported(obstacle).of(what));
        }
        let facts = facts(&track, track.orientation.size(parameters.size.unwrap_or(track.size)));
        let decoder =
            H264Decoder::new(Delay::Ordered).map_err(|error| error.of(what))?.turned(track.orientation);
        Ok(Self {
            what: what.to_owned(),
            input,
            length,
            track,
            avc,
            facts,
            decoder,
            next: 0,
            fresh: true,
            times: BinaryHeap::new(),
            ready: VecDeque::new(),
            flushed: false,
            damaged: false,
            sample: Vec::new(),
            stream: Vec::new(),
        })
    }

    /// Feeds one sample; what comes of it is put into `ready`.
    fn feed(&mut self, index: usize, pool: &BufferPool) {
        let sample = self.track.samples[index];
        if sample.size == 0 {
            return;
        }
        if let Err(error) = self.load(index, &sample) {
            self.skip(sample.shown, error);
            return;
        }
        let units = annex_b(&self.sample, self.avc.length_bytes, &mut self.stream);
        let Some(units) = units else {
            let error = self.unusable(index, "the lengths of its parts do not fit it");
            self.skip(sample.shown, error);
            return;
        };
        if units.idr && self.damaged {
            self.drain(pool);
            if let Err(error) = self.decoder.restart() {
                return self.skip(sample.shown, error.of(&self.what));
            }
            (self.damaged, self.fresh) = (false, true);
        }
        if self.fresh {
            let sets =
                self.avc.parameter_sets.iter().flat_map(|set| [&START[..], set]).collect::<Vec<_>>().concat();
            self.stream.splice(0..0, sets);
            self.fresh = false;
        }
        self.times.push(Reverse(sample.shown));
        match self.decoder.decode(&self.stream, pool) {
            Ok(Some(picture)) => self.show(picture),
            Ok(None) => {}
            Err(error) => {
                self.times.retain(|time| time.0 != sample.shown);
                let error = self.unusable(index, &error.to_string());
                self.skip(sample.shown, error);
            }
        }
        while self.times.len() > MAX_HELD {
            self.lose();
        }
    }

    /// Takes out what the decoder holds back.
    fn drain(&mut self, pool: &BufferPool) {
        match self.decoder.finish(pool) {
            Ok(pictures) => pictures.into_iter().for_each(|picture| self.show(picture)),
            Err(error) => tracing::debug!(%error, "the decoder could not be emptied"),
        }
        while !self.times.is_empty() {
            self.lose();
        }
    }

    fn show(&mut self, picture: h264::Picture) {
        let Some(Reverse(time)) = self.times.pop() else {
            tracing::debug!("the decoder gave a picture more than it was given");
            return;
        };
        if self.track.shown.contains(&time) {
            let position = self.track.position(time);
            let h264::Picture { size, colour, buffer } = picture;
            let format = PixelFormat::I420;
            self.ready.push_back(Read::Picture(Picture {
                position,
                format,
                colour,
                size,
                buffer,
                copies: 1,
            }));
        }
    }

    /// The decoder kept a picture for itself.
    fn lose(&mut self) {
        if let Some(Reverse(time)) = self.times.pop() {
            let error = SourceError::Malformed {
                what: format!("{} at {:.3} s", self.what, self.track.position(time).as_secs_f64()),
                problem: "the decoder gave no picture for the frame".to_owned(),
                advice: "the frame is left out; the recording is damaged there".to_owned(),
            };
            self.skip(time, error);
        }
    }

    fn skip(&mut self, time: i64, error: SourceError) {
        self.damaged = true;
        if self.track.shown.contains(&time) {
            self.ready.push_back(Read::Skipped(error));
        }
    }

    fn load(&mut self, index: usize, sample: &Sample) -> Result<(), SourceError> {
        if sample.size > MAX_SAMPLE {
            return Err(self.unusable(index, "it has more than 64 MiB"));
        }
        if sample.offset.saturating_add(u64::from(sample.size)) > self.length {
            return Err(self.unusable(index, "the file ends before it does"));
        }
        self.sample.resize(sample.size as usize, 0);
        let read = self
            .input
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.input.read_exact(&mut self.sample));
        read.map_err(|cause| SourceError::Io { what: self.what.clone(), action: "read", cause })
    }

    fn unusable(&self, index: usize, problem: &str) -> SourceError {
        let sample = &self.track.samples[index];
        let seconds = self.track.position(sample.shown).as_secs_f64();
        SourceError::Malformed {
            what: format!("{}, frame {index} ({seconds:.3} s, byte {})", self.what, sample.offset),
            problem: problem.to_owned(),
            advice: "the frame is left out; the recording is cut or damaged there".to_owned(),
        }
    }
}

impl<R: std::io::Read + Seek + Send> Reader for H264<R> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&mut self, pool: &BufferPool) -> Result<Read, SourceError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(ready);
            }
            if self.next < self.track.samples.len() {
                self.next += 1;
                self.feed(self.next - 1, pool);
            } else if self.flushed {
                return Ok(Read::End);
            } else {
                self.flushed = true;
                self.drain(pool);
            }
        }
    }

    fn seek(&mut self, position: Duration) -> Result<(), SourceError> {
        let key = |sample: &Sample| sample.key && self.track.position(sample.shown) <= position;
        self.next = self.track.samples.iter().rposition(key).unwrap_or(0);
        self.decoder.restart().map_err(|error| error.of(&self.what))?;
        (self.fresh, self.flushed, self.damaged) = (true, false, false);
        self.times.clear();
        self.ready.clear();
        Ok(())
    }
}

const START: [u8; 4] = [0, 0, 0, 1];

fn facts(track: &Track, size: (u32, u32)) -> Facts {
    let frames = track.frames();
    let last = track.samples.iter().map(|sample| sample.shown).filter(|at| track.shown.contains(at)).max();
    let last = last.map(|at| track.position(at)).unwrap_or_default();
    let period = u32::try_from(frames).ok().filter(|frames| *frames > 1).map(|frames| last / (frames - 1));
    Facts { size, period, frames: Some(frames), duration: Some(last + period.unwrap_or_default()) }
}

/// What is in a sample.
struct Units {
    /// A picture at which everything starts anew.
    idr: bool,
}

/// Replaces the lengths before the NAL units of `sample` by start codes; `None` where they do not fit.
fn annex_b(sample: &[u8], length_bytes: usize, stream: &mut Vec<u8>) -> Option<Units> {
    stream.clear();
    let mut rest = sample;
    let mut units = Units { idr: false };
    while !rest.is_empty() {
        let (length, behind) = rest.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let (unit, behind) = behind.split_at_checked(length)?;
        if let Some(first) = unit.first() {
            units.idr |= first & 0x1f == 5;
            stream.extend_from_slice(&START);
            stream.extend_from_slice(unit);
        }
        rest = behind;
    }
    Some(units)
}
