//! Luma pictures of real clips, and what can be done to a lens: for tests of the guard.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clock::{HeldClock, Monotonic};
use stopline_sensors::frame::{Colour, Frame, FrameMeta, Matrix, PixelFormat, Range, Stamp};
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::Event;

/// Luma, 0 to 255 over the full range.
#[derive(Clone, PartialEq, Eq)]
pub struct Luma {
    /// Pixels across and down.
    pub size: [usize; 2],
    /// Row by row.
    pub bytes: Vec<u8>,
}

/// The first `most` pictures of a clip, and its period.
pub fn of_clip(clip: &Path, most: usize) -> (Vec<Luma>, Duration) {
    let mut source =
        open(clip.to_str().expect("UTF-8"), &OpenOptions::default(), Arc::new(HeldClock::default()))
            .expect("the clip opens");
    let period = source.info().period.unwrap_or(Duration::from_millis(40));
    let mut pictures = Vec::new();
    while pictures.len() < most {
        match source.next(Duration::from_secs(1)).expect("a readable clip") {
            Event::Frame(frame) => pictures.push(Luma::of(&frame)),
            Event::End => break,
            _ => {}
        }
    }
    (pictures, period)
}

impl Luma {
    fn of(frame: &Frame) -> Self {
        let (first, step) = match frame.format() {
            PixelFormat::Yuyv => (0, 2),
            PixelFormat::Uyvy => (1, 2),
            PixelFormat::Rgb | PixelFormat::Bgr => (1, 3),
            _ => (0, 1),
        };
        let limited = frame.format().is_yuv() && frame.colour().range == Range::Limited;
        let spread = |byte: u8| match limited {
            true => ((i32::from(byte) - 16) * 255 / 219).clamp(0, 255) as u8,
            false => byte,
        };
        let (width, plane) = (frame.width() as usize, frame.plane(0));
        let rows = plane.bytes.chunks(plane.stride);
        let bytes =
            rows.flat_map(|row| (0..width).map(|x| spread(row[first + x * step])).collect::<Vec<_>>());
        Self { size: [width, frame.height() as usize], bytes: bytes.collect() }
    }

    /// A grey frame, number `number`, taken at `at` nanoseconds.
    pub fn frame(&self, number: u64, at: u64) -> Frame {
        let meta = FrameMeta {
            source: Arc::from("clip"),
            sequence: number,
            captured: Monotonic::from_nanos(at),
            stamp: Stamp::Recording,
            wall: std::time::UNIX_EPOCH,
            position: Some(Duration::from_nanos(at)),
            path: None,
            copies: 0,
        };
        let colour = Colour { matrix: Matrix::Bt601, range: Range::Full };
        let size = (self.size[0] as u32, self.size[1] as u32);
        Frame::packed(meta, PixelFormat::Grey, colour, size, self.bytes.clone().into()).expect("a frame")
    }

    /// One tone.
    #[must_use]
    pub fn plain(&self, tone: u8) -> Self {
        Self { size: self.size, bytes: vec![tone; self.bytes.len()] }
    }

    /// A patch of one tone over the given share of the picture, from its lower left corner.
    #[must_use]
    pub fn patched(&self, share: f32, tone: u8) -> Self {
        let [w, h] = self.size;
        let side = share.sqrt();
        let (pw, ph) = ((w as f32 * side) as usize, (h as f32 * side) as usize);
        let mut patched = self.clone();
        for row in patched.bytes.chunks_mut(w).skip(h - ph) {
            row[..pw].fill(tone);
        }
        patched
    }

    /// Moved right and down by so many pixels; the edge is repeated.
    #[must_use]
    pub fn shifted(&self, dx: usize, dy: usize) -> Self {
        let [w, h] = self.size;
        let pixel = |y: usize, x: usize| self.bytes[y.saturating_sub(dy) * w + x.saturating_sub(dx)];
        let bytes = (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).map(|(y, x)| pixel(y, x)).collect();
        Self { size: self.size, bytes }
    }

    /// Out of focus: a box of 2 × `reach` + 1 pixels, three times, which is nearly a Gaussian.
    #[must_use]
    pub fn blurred(&self, reach: usize) -> Self {
        let [w, h] = self.size;
        let mut now: Vec<u32> = self.bytes.iter().map(|byte| u32::from(*byte) * 256).collect();
        for _ in 0..3 {
            now = smooth(&now, reach, (h, w), (w, 1));
            now = smooth(&now, reach, (w, h), (1, w));
        }
        Self { size: self.size, bytes: now.iter().map(|value| (value / 256) as u8).collect() }
    }

    /// Half in glare, half in the dark.
    #[must_use]
    pub fn against_the_sun(&self) -> Self {
        let [w, h] = self.size;
        let mut glaring = self.clone();
        for (at, byte) in glaring.bytes.iter_mut().enumerate() {
            let (x, y) = (at % w, at / w);
            let glare = x > w / 3 && x < w * 2 / 3 && y < h * 2 / 3;
            *byte = if glare { 255 } else { *byte / 9 };
        }
        glaring
    }
}

fn smooth(
    from: &[u32],
    reach: usize,
    (lines, length): (usize, usize),
    (line, step): (usize, usize),
) -> Vec<u32> {
    let mut to = vec![0; from.len()];
    let span = 2 * reach as u32 + 1;
    for at in 0..lines {
        let value = |x: isize| from[at * line + x.clamp(0, length as isize - 1) as usize * step];
        let mut sum: u32 = (-(reach as isize)..=reach as isize).map(value).sum();
        for x in 0..length {
            to[at * line + x * step] = sum / span;
            sum = sum + value((x + reach + 1) as isize) - value(x as isize - reach as isize);
        }
    }
    to
}
