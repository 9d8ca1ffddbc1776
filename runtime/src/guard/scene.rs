//! Pictures for the guard's tests: a street-like scene with edges, sensor noise, and whatever is done to its lens.

use std::sync::Arc;

use stopline_decide::time::Nanos;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::{Colour, Frame, FrameMeta, PixelFormat, Range, Stamp};

/// Pixels across and down of every scene.
pub const SIZE: [usize; 2] = [640, 360];

/// A scene in grey levels, 0 to 255.
#[derive(Clone)]
pub struct Scene(pub Vec<f32>);

/// A small generator: splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// −1 to 1, about a third of it within ±0.33.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

impl Scene {
    /// Sky above, road below, boxes with edges everywhere; another `seed`, another street.
    pub fn street(seed: u64) -> Self {
        let [w, h] = SIZE;
        let mut scene = Self(vec![0.0; w * h]);
        for y in 0..h {
            let base = if y < h * 2 / 5 { 170.0 } else { 90.0 };
            scene.0[y * w..(y + 1) * w].fill(base);
        }
        let mut random = Random(seed);
        for _ in 0..400 {
            let x = (random.next() % w as u64) as usize;
            let y = (random.next() % h as u64) as usize;
            let (bw, bh) = (4 + (random.next() % 40) as usize, 4 + (random.next() % 30) as usize);
            let level = 128.0 + 100.0 * random.unit();
            scene.patch([x, y, (x + bw).min(w), (y + bh).min(h)], level);
        }
        scene
    }

    /// A wall in one tone.
    pub fn plain(level: f32) -> Self {
        Self(vec![level; SIZE[0] * SIZE[1]])
    }

    /// Something of one tone from x1, y1 to x2, y2.
    pub fn patch(&mut self, [x1, y1, x2, y2]: [usize; 4], level: f32) {
        for y in y1..y2 {
            self.0[y * SIZE[0] + x1..y * SIZE[0] + x2].fill(level);
        }
    }

    /// Moved to the right and down by so many pixels; what comes in repeats the edge.
    pub fn shifted(&self, dx: isize, dy: isize) -> Self {
        let [w, h] = SIZE;
        let at = |x: isize, side: usize| x.clamp(0, side as isize - 1) as usize;
        let pixel = |y: usize, x: usize| self.0[at(y as isize - dy, h) * w + at(x as isize - dx, w)];
        Self((0..h).flat_map(|y| (0..w).map(move |x| (y, x))).map(|(y, x)| pixel(y, x)).collect())
    }

    /// Out of focus: a box of 2 × `reach` + 1 pixels, three times, which is nearly a Gaussian.
    pub fn blurred(&self, reach: usize) -> Self {
        let [w, h] = SIZE;
        let mut now = self.0.clone();
        for _ in 0..3 {
            now = box_blur(&now, reach, h, w, w, 1);
            now = box_blur(&now, reach, w, h, 1, w);
        }
        Self(now)
    }

    /// Each level changed.
    pub fn mapped(&self, change: impl Fn(f32) -> f32) -> Self {
        Self(self.0.iter().map(|level| change(*level)).collect())
    }

    /// A grey frame, number `number` at `at`, with sensor noise of ±`noise` levels.
    pub fn frame(&self, number: u64, at: Nanos, noise: f32) -> Frame {
        let mut random = Random(number.wrapping_mul(7919) + 1);
        let byte = |level: &f32| (level + noise * random.unit()).round().clamp(0.0, 255.0) as u8;
        let bytes: Vec<u8> = self.0.iter().map(byte).collect();
        frame_of(bytes, PixelFormat::Grey, Colour::default(), number, at, SIZE)
    }
}

fn box_blur(from: &[f32], reach: usize, lines: usize, length: usize, line: usize, step: usize) -> Vec<f32> {
    let mut to = vec![0.0; from.len()];
    let span = (2 * reach + 1) as f32;
    for at in 0..lines {
        let value = |x: isize| from[at * line + x.clamp(0, length as isize - 1) as usize * step];
        let mut sum: f32 = (-(reach as isize)..=reach as isize).map(value).sum();
        for x in 0..length {
            to[at * line + x * step] = sum / span;
            sum += value((x + reach + 1) as isize) - value(x as isize - reach as isize);
        }
    }
    to
}

/// A frame of these bytes.
pub fn frame_of(
    bytes: Vec<u8>,
    format: PixelFormat,
    colour: Colour,
    number: u64,
    at: Nanos,
    [w, h]: [usize; 2],
) -> Frame {
    let meta = FrameMeta {
        source: Arc::from("scene"),
        sequence: number,
        captured: Monotonic::from_nanos(at.0),
        stamp: Stamp::KernelStartOfExposure,
        wall: std::time::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 0,
    };
    Frame::packed(meta, format, colour, (w as u32, h as u32), bytes.into()).expect("a frame")
}

/// Full range, BT.601.
pub const FULL: Colour = Colour { matrix: stopline_sensors::frame::Matrix::Bt601, range: Range::Full };
