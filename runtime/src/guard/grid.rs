//! One cheap look at a picture: a lattice of luma samples and a block of neighbouring pixels in each cell of a grid.
//!
//! The cost is bounded: 57 600 samples for the lattice and 576 blocks of 8 × 8 pixels, whatever the picture's size, and
//! nothing is allocated. Luma is spread to 0–255 where the frame says that its range is limited. What RGB frames give
//! is their green.

use std::hash::{BuildHasher, Hasher};

use stopline_sensors::frame::{Frame, PixelFormat, Plane, Range};

/// Lattice points across.
pub const ACROSS: usize = 320;
/// Lattice points down.
pub const DOWN: usize = 180;
/// Cells across.
pub const CELLS_X: usize = 32;
/// Cells down.
pub const CELLS_Y: usize = 18;
/// Cells.
pub const CELLS: usize = CELLS_X * CELLS_Y;
/// Pixels along each side of a cell's block.
const BLOCK: usize = 8;
/// The least side of a picture that can be judged.
pub const LEAST_SIDE: u32 = 64;
/// The strongest hundredth of the differences of Gaussian noise is 3.8 times their median: 2.576 ÷ 0.6745.
const NOISE: f32 = 3.8;
/// Noise over four pixels beside noise in a second difference: √2 ÷ √6.
const NOISE_OF_FOUR: f32 = 0.58;
/// Contrast over four pixels, in grey levels, below which a picture has no edge to be sharp.
const LEAST_CONTRAST: f32 = 10.0;

/// What a look found. Reused from frame to frame.
#[derive(Clone)]
pub struct Look {
    /// Samples per luma value.
    histogram: [u32; 256],
    /// Mean luma of each lattice column, in 1/16.
    pub columns: [u16; ACROSS],
    /// Mean luma of each lattice row, in 1/16.
    pub rows: [u16; DOWN],
    /// Largest minus least luma in each cell's block: 0 where it shows nothing at all.
    pub detail: [u8; CELLS],
    /// Ratio of the strongest second differences to the strongest differences over four pixels, noise taken off both, in
    /// the sharper of the two directions; `None` where there is no contrast to judge by. An edge in focus has a kink
    /// within a pixel or two; out of focus it is a ramp, whose second difference falls with the square of the blur.
    pub sharpness: Option<f32>,
    /// The strongest differences over four pixels, noise taken off, in grey levels.
    pub contrast: f32,
    /// Equal for equal pictures; nearly always different for different ones.
    pub signature: u64,
    samples: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            histogram: [0; 256],
            columns: [0; ACROSS],
            rows: [0; DOWN],
            detail: [0; CELLS],
            sharpness: None,
            contrast: 0.0,
            signature: 0,
            samples: 0,
        }
    }
}

impl Look {
    /// Looks at `frame`. `false`, and nothing is changed, where a side is shorter than [`LEAST_SIDE`].
    pub fn at(&mut self, frame: &Frame) -> bool {
        if frame.width() < LEAST_SIDE || frame.height() < LEAST_SIDE {
            return false;
        }
        let luma = Luma::of(frame);
        self.lattice(&luma);
        self.blocks(&luma);
        self.sign();
        true
    }

    /// Share of samples with a luma of at most `luma`.
    pub fn share_up_to(&self, luma: u8) -> f32 {
        self.share(&self.histogram[..=usize::from(luma)])
    }

    /// Share of samples with a luma of at least `luma`.
    pub fn share_from(&self, luma: u8) -> f32 {
        self.share(&self.histogram[usize::from(luma)..])
    }

    /// Mean luma, 0 to 255.
    #[allow(clippy::cast_precision_loss, reason = "at most 255 × 57 600")]
    pub fn mean_luma(&self) -> f32 {
        let sum: u64 =
            self.histogram.iter().zip(0..).map(|(count, luma): (_, u64)| u64::from(*count) * luma).sum();
        sum as f32 / self.samples.max(1) as f32
    }

    /// The detail that nine in ten cells exceed, which is mostly noise, and the detail that one in fifty does.
    pub fn least_and_most_detail(&self) -> (u8, u8) {
        let mut bins = [0_u32; 256];
        self.detail.iter().for_each(|detail| bins[usize::from(*detail)] += 1);
        let byte = |value: u16| u8::try_from(value).unwrap_or(u8::MAX);
        (byte(from_top(&bins, 10, 9)), byte(from_top(&bins, 50, 1)))
    }

    #[allow(clippy::cast_precision_loss, reason = "at most 57 600")]
    fn share(&self, bins: &[u32]) -> f32 {
        bins.iter().sum::<u32>() as f32 / self.samples.max(1) as f32
    }

    fn lattice(&mut self, luma: &Luma<'_>) {
        self.histogram = [0; 256];
        let mut columns = [0_u32; ACROSS];
        let xs: [usize; ACROSS] = std::array::from_fn(|at| luma.byte_at(spread(at, ACROSS, luma.width)));
        for (at, mean) in self.rows.iter_mut().enumerate() {
            let row = luma.row(spread(at, DOWN, luma.height));
            let mut sum = 0;
            for (x, column) in xs.iter().zip(&mut columns) {
                let value = luma.table[usize::from(row[*x])];
                self.histogram[usize::from(value)] += 1;
                *column += u32::from(value);
                sum += u32::from(value);
            }
            *mean = sixteenths(sum, ACROSS);
        }
        for (mean, sum) in self.columns.iter_mut().zip(columns) {
            *mean = sixteenths(sum, DOWN);
        }
        self.samples = u32::try_from(ACROSS * DOWN).unwrap_or(u32::MAX);
    }

    fn blocks(&mut self, luma: &Luma<'_>) {
        let mut edges = [Edges::default(), Edges::default()];
        for (at, detail) in self.detail.iter_mut().enumerate() {
            let (x, y) = (at % CELLS_X, at / CELLS_X);
            let left = spread(x, CELLS_X, luma.width).saturating_sub(BLOCK / 2).min(luma.width - BLOCK);
            let top = spread(y, CELLS_Y, luma.height).saturating_sub(BLOCK / 2).min(luma.height - BLOCK);
            let block = luma.block(left, top);
            let all = block.as_flattened();
            let (least, most) =
                all.iter().fold((u8::MAX, 0), |(least, most), value| (least.min(*value), most.max(*value)));
            *detail = most - least;
            for line in 0..BLOCK / 2 {
                let across = block[line * 2];
                let down = std::array::from_fn(|y| block[y][line * 2]);
                edges[0].line(&across);
                edges[1].line(&down);
            }
        }
        let [across, down] = edges.map(|edges| edges.sharpness());
        self.contrast = across.0.max(down.0);
        self.sharpness = match (across.1, down.1) {
            (Some(across), Some(down)) => Some(across.max(down)),
            (one, other) => one.or(other),
        };
    }

    fn sign(&mut self) {
        let mut hash = Fold(0);
        for value in self.columns.iter().chain(&self.rows) {
            hash.write_u64(u64::from(*value));
        }
        for eight in self.detail.as_chunks::<8>().0 {
            hash.write_u64(u64::from_le_bytes(*eight));
        }
        self.signature = hash.finish();
    }
}

/// A hash of every luma byte of the picture (and the chroma between, in packed formats): for frames whose
/// [`Look::signature`] is that of the frame before.
pub fn whole_signature(frame: &Frame) -> u64 {
    let plane = frame.plane(0);
    // Four at a time, so that one multiplication need not wait for the one before.
    let mut lanes = [Fold(1), Fold(2), Fold(3), Fold(4)];
    for row in plane.bytes.chunks(plane.stride) {
        let row = &row[..plane.row];
        let (words, rest) = row.as_chunks::<8>();
        for (at, word) in words.iter().enumerate() {
            lanes[at % 4].write_u64(u64::from_le_bytes(*word));
        }
        lanes[0].write(rest);
    }
    let mut all = Fold(0);
    lanes.iter().for_each(|lane| all.write_u64(lane.finish()));
    all.finish()
}

/// Multiply and rotate: fast, and good enough to tell camera pictures apart. Nobody gains by making two collide.
#[derive(Clone, Copy, Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl BuildHasher for Fold {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        *self
    }
}

/// Where the luma of a frame lies.
pub(crate) struct Luma<'a> {
    plane: Plane<'a>,
    first: usize,
    step: usize,
    width: usize,
    height: usize,
    /// Byte → luma over the full range.
    table: &'static [u8; 256],
}

impl<'a> Luma<'a> {
    pub(crate) fn of(frame: &'a Frame) -> Self {
        let (first, step) = match frame.format() {
            PixelFormat::Yuyv => (0, 2),
            PixelFormat::Uyvy => (1, 2),
            PixelFormat::Rgb | PixelFormat::Bgr => (1, 3),
            PixelFormat::Nv12 | PixelFormat::I420 | PixelFormat::Grey => (0, 1),
        };
        let limited = frame.format().is_yuv() && frame.colour().range == Range::Limited;
        let table = if limited { &SPREAD } else { &SAME };
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        Self { plane: frame.plane(0), first, step, width, height, table }
    }

    /// Byte of column `x` on a row.
    pub(crate) fn byte_at(&self, x: usize) -> usize {
        self.first + x * self.step
    }

    /// The bytes of row `y`.
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        &self.plane.bytes[y * self.plane.stride..][..self.plane.row]
    }

    fn block(&self, left: usize, top: usize) -> [[u8; BLOCK]; BLOCK] {
        std::array::from_fn(|y| {
            let row = &self.row(top + y)[self.byte_at(left)..];
            std::array::from_fn(|x| self.table[usize::from(row[x * self.step])])
        })
    }
}

/// The middle of the `at`-th of `parts` equal parts of `0..side`.
const fn spread(at: usize, parts: usize, side: usize) -> usize {
    (2 * at + 1) * side / (2 * parts)
}

fn sixteenths(sum: u32, count: usize) -> u16 {
    let count = u32::try_from(count).unwrap_or(1);
    u16::try_from(sum * 16 / count).unwrap_or(u16::MAX)
}

const SAME: [u8; 256] = table(0, 255);
const SPREAD: [u8; 256] = table(16, 235);

const fn table(black: i32, white: i32) -> [u8; 256] {
    let mut out = [0; 256];
    let mut value = 0;
    while value < 256 {
        let spread = (value - black) * 255 / (white - black);
        let held = if spread < 0 {
            0
        } else if spread > 255 {
            255
        } else {
            spread
        };
        // Within 0 to 255 by the lines above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        {
            out[value as usize] = held as u8;
        }
        value += 1;
    }
    out
}

/// How often each strength of difference occurs along one direction.
struct Edges {
    /// Second differences, |a − 2b + c|, held to 511.
    second: [u32; 512],
    /// Differences over four pixels.
    fourth: [u32; 256],
}

impl Default for Edges {
    fn default() -> Self {
        Self { second: [0; 512], fourth: [0; 256] }
    }
}

impl Edges {
    fn line(&mut self, line: &[u8; BLOCK]) {
        for three in line.windows(3) {
            let outer = u16::from(three[0]) + u16::from(three[2]);
            self.second[usize::from(outer.abs_diff(2 * u16::from(three[1])))] += 1;
        }
        for at in 0..BLOCK - 4 {
            self.fourth[usize::from(line[at].abs_diff(line[at + 4]))] += 1;
        }
    }

    /// Contrast, and sharpness where there is enough of it.
    fn sharpness(&self) -> (f32, Option<f32>) {
        let noise = NOISE * f32::from(from_top(&self.second, 2, 1));
        let without = |strongest: u16, noise: f32| {
            let strongest = f32::from(strongest);
            (strongest * strongest - noise * noise).max(0.0).sqrt()
        };
        let second = without(from_top(&self.second, 100, 1), noise);
        let contrast = without(from_top(&self.fourth, 100, 1), noise * NOISE_OF_FOUR);
        (contrast, (contrast >= LEAST_CONTRAST).then(|| second / contrast))
    }
}

/// The value that `share` in `parts` of all counts reach or exceed.
fn from_top(bins: &[u32], parts: u32, share: u32) -> u16 {
    let wanted = bins.iter().sum::<u32>() * share / parts;
    let mut seen = 0;
    for (value, count) in bins.iter().enumerate().rev() {
        seen += count;
        if seen > wanted {
            return u16::try_from(value).unwrap_or(u16::MAX);
        }
    }
    0
}

#[cfg(test)]
mod tests;
