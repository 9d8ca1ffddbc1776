//! A test pattern: eight colour bars of exactly known values, a square that moves, and the frame's number in
//! black and white. What it shows can be read back ([`number`], [`Bar`]), so that a pipeline can be checked end to end
//! without a camera.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::frame::{BufferPool, Colour, Frame, FrameMeta, MAX_SIDE, PixelFormat, Stamp};
use crate::source::{Counters, Event, FrameSource, SourceError, SourceInfo};

mod draw;
#[cfg(test)]
mod tests;

pub use draw::{BITS, Bar, number};

/// What the pattern looks like and how it comes.
#[derive(Clone, Debug)]
pub struct PatternOptions {
    /// What the frames name as their source.
    pub name: Arc<str>,
    /// Pixels across and down; each 64 to [`MAX_SIDE`], and even.
    pub size: (u32, u32),
    /// Frames per second, 0.1 to 1000.
    pub rate: f64,
    /// How the pixels lie in memory.
    pub format: PixelFormat,
    /// Paced like a camera, frames for which the reader is late being dropped and counted; else as fast as asked for.
    pub realtime: bool,
    /// Ends after so many; never, where `None`. A paced pattern that never ends is a live source.
    pub frames: Option<u64>,
}

impl Default for PatternOptions {
    fn default() -> Self {
        Self {
            name: "pattern".into(),
            size: (1280, 720),
            rate: 30.0,
            format: PixelFormat::I420,
            realtime: false,
            frames: None,
        }
    }
}

/// Frames of the test pattern.
pub struct PatternSource {
    info: SourceInfo,
    options: PatternOptions,
    period: Duration,
    clock: Arc<dyn Clock>,
    begun: Option<Monotonic>,
    next: u64,
    pool: BufferPool,
    background: Vec<u8>,
    counters: Counters,
}

impl PatternSource {
    /// A pattern by its options.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] names the option that is out of bounds.
    pub fn open(options: PatternOptions, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        check(&options)?;
        let period = Duration::from_secs_f64(1.0 / options.rate);
        let frames = options.frames;
        let info = SourceInfo {
            name: Arc::clone(&options.name),
            kind: "pattern",
            live: options.realtime && frames.is_none(),
            size: options.size,
            period: Some(period),
            frames,
            duration: frames.map(|frames| period.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX))),
            device: None,
        };
        let background = draw::bars(options.format, options.size);
        Ok(Self {
            info,
            options,
            period,
            clock,
            begun: None,
            next: 0,
            pool: BufferPool::default(),
            background,
            counters: Counters::default(),
        })
    }

    /// When frame `number` is due, from the first one.
    fn position(&self, number: u64) -> Duration {
        let nanos = u128::from(number).saturating_mul(self.period.as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Waits until the next frame is due, dropping those whose successor is due already; `false` where `timeout` ends
    /// first.
    fn pace(&mut self, begun: Monotonic, timeout: Duration) -> bool {
        let now = self.clock.monotonic();
        let due = begun.plus(self.position(self.next));
        if due > now {
            let wait = due.since(now);
            self.clock.sleep(wait.min(timeout));
            return wait <= timeout;
        }
        let elapsed = now.since(begun).as_nanos() / self.period.as_nanos().max(1);
        let newest = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let newest = newest.min(self.options.frames.map_or(u64::MAX, |frames| frames.saturating_sub(1)));
        self.counters.dropped += newest.saturating_sub(self.next);
        self.next = newest.max(self.next);
        true
    }

    fn frame(&mut self, begun: Monotonic) -> Result<Frame, SourceError> {
        let sequence = self.next;
        let PatternOptions { format, size, .. } = self.options;
        let mut buffer = self.pool.take(self.background.len());
        buffer.bytes_mut().copy_from_slice(&self.background);
        draw::moving(format, size, sequence, buffer.bytes_mut());
        let meta = FrameMeta {
            source: Arc::clone(&self.info.name),
            sequence,
            captured: begun.plus(self.position(sequence)),
            stamp: if self.info.live { Stamp::Arrival } else { Stamp::Recording },
            wall: self.clock.wall(),
            position: (!self.info.live).then(|| self.position(sequence)),
            path: None,
            copies: 0,
        };
        self.next += 1;
        Frame::packed(meta, format, Colour::default(), size, buffer)
            .map_err(|cause| SourceError::Frame { what: self.info.name.to_string(), cause })
    }
}

impl FrameSource for PatternSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, timeout: Duration) -> Result<Event, SourceError> {
        if self.options.frames.is_some_and(|frames| self.next >= frames) {
            return Ok(Event::End);
        }
        let begun = *self.begun.get_or_insert_with(|| self.clock.monotonic());
        if self.options.realtime && !self.pace(begun, timeout) {
            return Ok(Event::Nothing);
        }
        let frame = self.frame(begun)?;
        self.counters.delivered += 1;
        Ok(Event::Frame(frame))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

fn check(options: &PatternOptions) -> Result<(), SourceError> {
    let refused = |problem: String, advice: String| SourceError::Unsupported {
        what: options.name.to_string(),
        problem,
        advice,
    };
    let (width, height) = options.size;
    let side = |side: u32| (64..=MAX_SIDE).contains(&side) && side.is_multiple_of(2);
    if !side(width) || !side(height) || u64::from(width) * u64::from(height) > crate::jpeg::MAX_PIXELS {
        let advice = format!("each side must be even and 64 to {MAX_SIDE}");
        return Err(refused(format!("a test pattern of {width}x{height} pixels"), advice));
    }
    if !(0.1..=1000.0).contains(&options.rate) {
        return Err(refused(
            format!("{} frames per second", options.rate),
            "0.1 to 1000 are possible".to_owned(),
        ));
    }
    Ok(())
}
