//! AVI 1.0 (RIFF) with one MJPEG stream and an index: plays everywhere, needs no encoder but JPEG's.
//!
//! AVI has one frame rate for the whole file: the mean of the times given. Its 32-bit sizes end at 4 GiB; writing stops
//! before 2 GiB, beyond which some players take the sizes for negative.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use image::RgbImage;

use super::{Fit, QUALITY, VideoError, VideoWriter, jpeg};
use crate::output::OutputFile;

const LIMIT: u64 = 2_000 << 20;
/// Bytes before the `movi` list's first chunk; the header is written again, with the final counts, at the end.
const HEADER: u64 = 224;
/// `AVIF_HASINDEX`.
const HAS_INDEX: u32 = 0x10;
/// `AVIIF_KEYFRAME`: every JPEG is one.
const KEY_FRAME: u32 = 0x10;

pub struct Avi {
    file: OutputFile,
    fit: Fit,
    period: Duration,
    last: Duration,
    written: u64,
    /// Length of each frame's JPEG.
    frames: Vec<u32>,
}

impl Avi {
    pub fn create(path: &Path, period: Duration) -> Result<Self, VideoError> {
        let mut file = OutputFile::create(path)?;
        let done = file.write_all(&[0; HEADER as usize]);
        file.named(done)?;
        Ok(Self {
            file,
            fit: Fit::default(),
            period,
            last: Duration::ZERO,
            written: HEADER,
            frames: Vec::new(),
        })
    }

    /// Mean time from frame to frame, in microseconds, at least 1.
    fn period_us(&self) -> u32 {
        let gaps = u32::try_from(self.frames.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let mean = if gaps == 0 || self.last.is_zero() { self.period } else { self.last / gaps };
        u32::try_from(mean.as_micros()).unwrap_or(u32::MAX).clamp(1, 60_000_000)
    }

    fn header(&self, index: u32) -> Vec<u8> {
        let (width, height) = self.fit.size.unwrap_or((1, 1));
        let frames = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        let largest = self.frames.iter().copied().max().unwrap_or(0);
        let riff = u32::try_from(self.written - 8).unwrap_or(u32::MAX) + index;
        let movi = u32::try_from(self.written - HEADER + 4).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(HEADER as usize);
        let mut put = |tag: &[u8; 4], values: &[u32]| {
            out.extend_from_slice(tag);
            values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        };
        put(b"RIFF", &[riff]);
        put(b"AVI ", &[]);
        put(b"LIST", &[192]);
        put(b"hdrl", &[]);
        let period = self.period_us();
        put(b"avih", &[56, period, 0, 0, HAS_INDEX, frames, 0, 1, largest, width, height, 0, 0, 0, 0]);
        put(b"LIST", &[116]);
        put(b"strl", &[]);
        put(b"strh", &[56]);
        put(b"vids", &[]);
        // Flags, priority and language, initial frames; scale and rate: 1 000 000 ÷ period frames a second; start,
        // length, buffer, quality (default), sample size (varies), and the frame rectangle as two 16-bit pairs.
        put(
            b"MJPG",
            &[0, 0, 0, period, 1_000_000, 0, frames, largest, u32::MAX, 0, 0, width & 0xffff | height << 16],
        );
        put(b"strf", &[40, 40, width, height, 1 | 24 << 16]);
        put(b"MJPG", &[width.saturating_mul(height).saturating_mul(3), 0, 0, 0, 0]);
        put(b"LIST", &[movi]);
        put(b"movi", &[]);
        out
    }

    /// The `idx1` chunk; offsets count from the `movi` tag.
    fn index(&self) -> Vec<u8> {
        let length = u32::try_from(self.frames.len() * 16).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(self.frames.len() * 16 + 8);
        out.extend_from_slice(b"idx1");
        out.extend_from_slice(&length.to_le_bytes());
        let mut at = 4_u32;
        for &frame in &self.frames {
            out.extend_from_slice(b"00dc");
            [KEY_FRAME, at, frame].iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
            at += 8 + frame + frame % 2;
        }
        out
    }
}

impl VideoWriter for Avi {
    fn write(&mut self, picture: &RgbImage, at: Duration) -> Result<(), VideoError> {
        let path = || self.file.path().display().to_string();
        let refuse = |problem| VideoError::Encode { path: path(), codec: "JPEG", problem };
        let bytes = jpeg(&self.fit.apply(picture, |size| size), QUALITY).map_err(refuse)?;
        let padded = bytes.len() as u64 + bytes.len() as u64 % 2 + 8;
        if self.written + padded + 16 * (self.frames.len() as u64 + 1) > LIMIT {
            let advice = "write .mjpeg, which has no limit, or .mp4, or less with --from, --to and --every";
            return Err(VideoError::Full { path: path(), limit_mib: LIMIT >> 20, advice });
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let head = [*b"00dc", length.to_le_bytes()].concat();
        let pad: &[u8] = if bytes.len() % 2 == 1 { &[0] } else { &[] };
        let done = [&head, &bytes, pad].into_iter().try_for_each(|part| self.file.write_all(part));
        self.file.named(done)?;
        self.written += padded;
        self.frames.push(length);
        self.last = self.last.max(at);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), VideoError> {
        let index = self.index();
        let header = self.header(u32::try_from(index.len()).unwrap_or(u32::MAX));
        debug_assert_eq!(header.len() as u64, HEADER);
        let done = self
            .file
            .write_all(&index)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .and_then(|_| self.file.write_all(&header));
        self.file.named(done)?;
        Ok(self.file.commit()?)
    }
}
