//! The hot loops: every row of the input from the frame's rows. Nothing here allocates.

use stopline_depot::manifest::{ColourOrder, Filter};
use stopline_sensors::frame::{Frame, PixelFormat};

use super::blend::{self, Pair};
use super::lines::Lines;
use super::plan::{AROUND, BEFORE, Plan};
use super::sparse::{Places, Sparse};
use super::taps::Tap;
use super::write::Writer;
use crate::cpu::LookUp;
use crate::infer::Tensor;

/// Memory for one row, kept from frame to frame.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    lines: Lines,
    sparse: Sparse,
    /// A row of the picture, with the surround's values before and behind.
    near: Vec<u8>,
    /// Rows blended across, one even and one odd, and which they are.
    level: [[Vec<i16>; 3]; 2],
    numbers: [Option<i32>; 2],
    /// A row blended down, with the surround's values before and behind (antialiased only).
    row: Vec<i16>,
    /// Weighted sums of a row (antialiased only).
    sums: Vec<i32>,
    /// Per channel, the two neighbours that each input pixel lies between.
    pairs: [Vec<Pair>; 3],
    /// A row of the input, a byte per pixel: the line's channels, then grey.
    bytes: [Vec<u8>; 4],
}

impl Scratch {
    /// Forgets the frame before and makes room for the rows of `frame`.
    pub(super) fn begin(&mut self, frame: &Frame, plan: &Plan) {
        self.lines.begin(frame, plan.columns);
        self.sparse.begin(plan.sparse.as_ref());
    }

    /// Makes room for what `plan` needs.
    pub(super) fn fit(&mut self, plan: &Plan) {
        let length = (plan.columns.count + AROUND) * plan.channels;
        self.row.clear();
        self.row.resize(length, 0);
        self.near.clear();
        self.near.resize(length, 0);
        let shift = if plan.step == plan.channels { 1 } else { plan.columns.count + AROUND };
        for channel in 0..plan.channels {
            // Outside the columns read lies the surround; the columns themselves are written over, row by row.
            let base = channel * shift;
            let places = (base..).step_by(plan.step).take(plan.columns.count + AROUND);
            for place in places {
                self.near[place] = plan.fill[channel];
                self.row[place] = blend::raised(plan.fill[channel]);
            }
        }
        let shown = plan.across.taps.len();
        self.sums.resize(plan.columns.count * plan.channels, 0);
        for pairs in &mut self.pairs {
            pairs.resize(shown, [0; 2]);
        }
        for level in self.level.as_flattened_mut() {
            level.resize(shown, 0);
        }
        for bytes in &mut self.bytes {
            bytes.resize(shown, 0);
        }
    }
}

/// One frame's way into a tensor.
pub(crate) struct Rows<'a> {
    pub(super) frame: &'a Frame,
    pub(super) plan: &'a Plan,
    pub(super) scratch: &'a mut Scratch,
    pub(super) writer: &'a Writer,
    pub(super) order: ColourOrder,
    pub(super) filter: Filter,
    pub(super) tensor: &'a mut Tensor,
}

impl Rows<'_> {
    /// Writes all rows that show a part of the picture.
    #[inline(always)]
    pub(crate) fn run<L: LookUp>(mut self, look_up: L) {
        self.scratch.numbers = [None; 2];
        for at in 0..self.plan.down.taps.len() {
            let tap = self.plan.down.taps[at];
            match self.filter {
                Filter::Bilinear | Filter::Nearest => self.blend_two(look_up, &tap),
                Filter::BilinearAntialias => {
                    self.blend_many(&tap);
                    self.across_many();
                }
            }
            self.write(self.plan.down.start + at);
        }
    }

    /// Two rows → a byte per input pixel and channel. The rows are neighbours, so one is even and one odd.
    #[inline(always)]
    fn blend_two<L: LookUp>(&mut self, look_up: L, tap: &Tap) {
        let [upper, lower] = [tap.first, tap.next].map(|row| (row & 1).unsigned_abs() as usize);
        self.across_two(look_up, tap.first, upper);
        self.across_two(look_up, tap.next, lower);
        let Scratch { level, bytes, .. } = &mut *self.scratch;
        for (channel, bytes) in bytes[..self.plan.channels].iter_mut().enumerate() {
            blend::upright(&level[upper][channel], &level[lower][channel], tap.pair, bytes);
        }
    }

    /// Row `row`, blended across into slot `slot`, unless it is there from the input row before.
    #[inline(always)]
    fn across_two<L: LookUp>(&mut self, look_up: L, row: i32, slot: usize) {
        if self.scratch.numbers[slot].replace(row) == Some(row) {
            return;
        }
        let number = self.inside(row);
        if let (Some(number), Some(places)) = (number, &self.plan.sparse) {
            return self.across_sparse(look_up, number, slot, places);
        }
        if let Some(number) = number {
            self.scratch.lines.load(self.frame, number);
        }
        let plan = self.plan;
        let (count, length) = (plan.columns.count * plan.step, plan.columns.count + AROUND);
        let Scratch { lines, near, pairs, level, .. } = &mut *self.scratch;
        let line = number.map_or(&*plan.outside, |number| lines.line(self.frame, number));
        for segment in 0..plan.channels / plan.step {
            near[segment * length + BEFORE * plan.step..][..count]
                .copy_from_slice(slice(line, segment, count));
        }
        match (plan.channels, plan.step) {
            (1, _) => blend::gather_single(near, &plan.places, &mut pairs[0]),
            (_, 1) => {
                blend::gather_planes(near, length, &plan.places, pairs.each_mut().map(Vec::as_mut_slice))
            }
            _ => blend::gather_packed(near, &plan.places, pairs.each_mut().map(Vec::as_mut_slice)),
        }
        for (level, pairs) in level[slot].iter_mut().zip(pairs).take(plan.channels) {
            blend::level(pairs, &plan.weights, level);
        }
    }

    /// Row `number`, blended across into slot `slot`, of the pixels that it takes alone.
    #[inline(always)]
    fn across_sparse<L: LookUp>(&mut self, look_up: L, number: usize, slot: usize, places: &Places) {
        let plan = self.plan;
        let Scratch { lines, sparse, pairs, level, .. } = &mut *self.scratch;
        sparse.collect(look_up, self.frame, number, places);
        match (lines.converters(), self.frame.format()) {
            (_, PixelFormat::Rgb | PixelFormat::Bgr) => sparse.keep(pairs),
            (Some((_, video)), PixelFormat::I420) => sparse.convert(video, pairs),
            (Some((to_rgb, _)), _) => sparse.convert(to_rgb, pairs),
            (None, _) => return,
        }
        for (level, pairs) in level[slot].iter_mut().zip(pairs) {
            blend::level(pairs, &plan.sparse_weights, level);
        }
    }

    /// All rows under the filter → one row.
    #[inline(always)]
    fn blend_many(&mut self, tap: &Tap) {
        let count = self.plan.columns.count * self.plan.step;
        self.scratch.sums.fill(0);
        for (row, &weight) in (tap.first..).zip(self.plan.down.weights_of(tap)) {
            let number = self.inside(row);
            if let Some(number) = number {
                self.scratch.lines.load(self.frame, number);
            }
            let Scratch { lines, sums, .. } = &mut *self.scratch;
            let line = number.map_or(&*self.plan.outside, |number| lines.line(self.frame, number));
            for (segment, sums) in sums.chunks_exact_mut(count.max(1)).enumerate() {
                blend::add_row(slice(line, segment, count), weight, sums);
            }
        }
        let Scratch { row, sums, .. } = &mut *self.scratch;
        for (segment, sums) in sums.chunks_exact(count.max(1)).enumerate() {
            let out =
                &mut row[segment * (self.plan.columns.count + AROUND) + BEFORE * self.plan.step..][..count];
            blend::settle(sums, out);
        }
    }

    /// The row blended down → a byte per input pixel and channel (antialiased).
    #[inline(always)]
    fn across_many(&mut self) {
        let plan = self.plan;
        let Scratch { row, bytes, .. } = &mut *self.scratch;
        let shift = if plan.step == plan.channels { 1 } else { plan.columns.count + AROUND };
        for (channel, bytes) in bytes[..plan.channels].iter_mut().enumerate() {
            let row = &row[channel * shift..];
            for ((byte, &place), tap) in bytes.iter_mut().zip(&plan.places).zip(&plan.across.taps) {
                *byte = blend::many(row, place as usize, plan.step, plan.across.weights_of(tap));
            }
        }
    }

    /// The bytes → row `y` of the tensor, in the model's order.
    #[inline(always)]
    fn write(&mut self, y: usize) {
        let [first, second, third] = self.plan.order;
        if self.order == ColourOrder::Grey && self.plan.channels == 3 {
            let [a, b, c, grey] = &mut self.scratch.bytes;
            let (red, blue) = if first == 0 { (a, c) } else { (c, a) };
            for (((grey, &red), &green), &blue) in grey.iter_mut().zip(&*red).zip(&*b).zip(&*blue) {
                *grey = luma(red, green, blue);
            }
        }
        let bytes = &self.scratch.bytes;
        let rows = match (self.order, self.plan.channels) {
            (ColourOrder::Grey, 3) => [&*bytes[3]; 3],
            _ => [&*bytes[first], &*bytes[second], &*bytes[third]],
        };
        self.writer.row(self.tensor, [self.plan.across.start, y], rows);
    }

    /// The number of `row` where it is one of the picture's.
    #[inline(always)]
    fn inside(&self, row: i32) -> Option<usize> {
        usize::try_from(row).ok().filter(|&row| row < self.frame.height() as usize)
    }
}

/// Segment number `segment` of a line; a grey line has only one, which stands for all.
#[inline(always)]
fn slice(line: &[u8], segment: usize, count: usize) -> &[u8] {
    let start = segment * count;
    if start + count <= line.len() { &line[start..start + count] } else { &line[..count] }
}

/// Luma by BT.601, full range, as OpenCV's `COLOR_RGB2GRAY` (14-bit weights).
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the weights sum to 1")]
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    (red.wrapping_mul(4899)
        .wrapping_add(green.wrapping_mul(9617))
        .wrapping_add(blue.wrapping_mul(1868))
        .wrapping_add(8192)
        >> 14) as u8
}
