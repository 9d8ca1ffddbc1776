//! Dense convolution, pointwise included: directly from blocked planes, without rearranging the input.
//!
//! A tile is `B` blocks of output channels at `P` neighbouring pixels, held in registers over all taps. Of each tap and
//! input channel the tile takes one number per pixel, spread over a register, times `B` registers of weights. Padding is
//! what lies outside a row: a tile that reaches over an edge reads a copy with zeros there.

use crate::end::EndStep;
use crate::graph::Window;
use crate::memory::Around;
use crate::simd::{Kernel, Simd};

/// A block of input channels: where its plane lies, and how many of its lanes have weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputBlock {
    pub at: usize,
    pub lanes: usize,
}

/// A step of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub inputs: Vec<InputBlock>,
    pub height: usize,
    pub width: usize,
    pub out_height: usize,
    pub out_width: usize,
    pub out_blocks: usize,
    pub window: Window,
    /// Where the packed weights begin: for each group of output blocks its bias, then for each input block, row, column
    /// and lane one block of weights for each output block of the group.
    pub weights: usize,
    pub end: EndStep,
    /// Rows and columns of the result that are done for all output channels before the next: their input stays in the
    /// cache.
    pub chunk: [usize; 2],
}

impl Conv {
    /// Taps of one result: input lanes with weights, times the window.
    pub fn taps(&self) -> usize {
        let lanes: usize = self.inputs.iter().map(|input| input.lanes).sum();
        lanes * self.window.size[0] * self.window.size[1]
    }
}

/// Sizes of the groups of output blocks: pairs, and one of three where the number is odd.
pub(crate) fn groups(blocks: usize) -> impl Iterator<Item = usize> {
    let mut left = blocks;
    std::iter::from_fn(move || {
        let size = match left {
            0 => return None,
            1 => 1,
            3 => 3,
            _ => 2,
        };
        left -= size;
        Some(size)
    })
}

/// One run of a [`Conv`].
pub(crate) struct ConvRun<'a, const L: usize> {
    pub step: &'a Conv,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for ConvRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let step = self.step;
        for top in (0..step.out_height).step_by(step.chunk[0]) {
            let rows = top..(top + step.chunk[0]).min(step.out_height);
            for left in (0..step.out_width).step_by(step.chunk[1]) {
                let columns = step.chunk[1].min(step.out_width - left);
                self.chunk(simd, rows.clone(), left, columns);
            }
        }
    }
}

impl<const L: usize> ConvRun<'_, L> {
    #[inline(always)]
    fn chunk<S: Simd<L>>(&mut self, simd: S, rows: std::ops::Range<usize>, left: usize, columns: usize) {
        let step = self.step;
        let taps = step.taps();
        let (mut block, mut weights) = (0, step.weights);
        for size in groups(step.out_blocks) {
            let group = Group { block, weights: &self.weights[weights..][..(taps + 1) * size] };
            for row in rows.clone() {
                // As few tiles as fit, all of nearly one size: a last tile of one pixel would be slow.
                let most = (S::TILE / size).min(12);
                let tiles = columns.div_ceil(most);
                let (least, larger) = (columns / tiles, columns % tiles);
                let at = [row, left];
                self.tiles(simd, &group, size, least + 1, at, larger);
                let at = [row, left + larger * (least + 1)];
                self.tiles(simd, &group, size, least, at, tiles - larger);
                let area = step.out_height * step.out_width;
                for block in block..block + size {
                    let at = row * step.out_width + left;
                    let out = &mut self.out[block * area + at..][..columns];
                    step.end.apply(simd, self.from, block, area, at, out);
                }
            }
            block += size;
            weights += (taps + 1) * size;
        }
    }

    #[inline(always)]
    fn tiles<S: Simd<L>>(
        &mut self,
        simd: S,
        group: &Group<'_, L>,
        blocks: usize,
        pixels: usize,
        at: [usize; 2],
        count: usize,
    ) {
        macro_rules! call {
            ($($blocks:literal: $($pixels:literal)+;)+) => {
                match (blocks, pixels) {
                    $($(($blocks, $pixels) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels> {
                        step: self.step, from: self.from, group, out: &mut *self.out, at, count,
                    }),)+)+
                    // `chunk` asks for no other tile.
                    _ => {}
                }
            };
        }
        if count > 0 {
            call! {
                1: 1 2 3 4 5 6 7 8 9 10 11 12;
                2: 1 2 3 4 5 6 7 8 9 10 11 12;
                3: 1 2 3 4 5 6 7 8;
            }
        }
    }
}

/// Output blocks that are computed together.
struct Group<'a, const L: usize> {
    /// The first.
    block: usize,
    weights: &'a [[f32; L]],
}

/// `count` tiles in a row, side by side from `at`.
struct Tiles<'a, const L: usize, const B: usize, const P: usize> {
    step: &'a Conv,
    from: Around<'a, L>,
    group: &'a Group<'a, L>,
    out: &'a mut [[f32; L]],
    at: [usize; 2],
    count: usize,
}

impl<const L: usize, const B: usize, const P: usize> Kernel<L> for Tiles<'_, L, B, P> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let [row, left] = self.at;
        for tile in 0..self.count {
            self.tile(simd, row, left + tile * P);
        }
    }
}

impl<const L: usize, const B: usize, const P: usize> Tiles<'_, L, B, P> {
    #[inline(always)]
    fn tile<S: Simd<L>>(&mut self, simd: S, row: usize, column: usize) {
        let zero = simd.splat(0.0);
        let mut sums = [[zero; P]; B];
        self.sum(simd, &mut sums, row, column);
        let step = self.step;
        let area = step.out_height * step.out_width;
        let at = row * step.out_width + column;
        for (block, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(self.group.block + block) * area + at..][..P];
            for (out, sum) in out.iter_mut().zip(sums) {
                simd.store(*sum, out);
            }
        }
    }

    #[inline(always)]
    fn sum<S: Simd<L>>(&self, simd: S, sums: &mut [[S::V; P]; B], row: usize, column: usize) {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let zero = simd.splat(0.0);
        let mut weights = self.group.weights;
        let bias;
        (bias, weights) = weights.split_at(B);
        for (sums, bias) in sums.iter_mut().zip(bias) {
            *sums = [simd.load(bias); P];
        }
        let area = step.height * step.width;
        let first = (column * stride[1]).wrapping_sub(pads[1]);
        let mut copy = [[0.0; L]; P];
        for input in &step.inputs {
            let plane = self.from.plane(input.at, area);
            let length = input.lanes.wrapping_mul(B);
            for ky in 0..size[0] {
                let y = (row * stride[0] + ky * dilation[0]).wrapping_sub(pads[0]);
                if y >= step.height {
                    weights = &weights[length.wrapping_mul(size[1])..];
                    continue;
                }
                let line = &plane[y * step.width..][..step.width];
                let mut x = first;
                for _ in 0..size[1] {
                    let taps;
                    (taps, weights) = weights.split_at(length);
                    let together = if stride[1] == 1 { line.get(x..x.wrapping_add(P)) } else { None };
                    let pixels = match together.unwrap_or_default().first_chunk::<P>() {
                        Some(pixels) => pixels,
                        None => {
                            for (at, pixel) in copy.iter_mut().enumerate() {
                                match line.get(x.wrapping_add(at.wrapping_mul(stride[1]))) {
                                    Some(value) => simd.store(simd.load(value), pixel),
                                    None => simd.store(zero, pixel),
                                }
                            }
                            &copy
                        }
                    };
                    // Kept in memory: its numbers are spread over registers one by one, and the compiler would otherwise
                    // keep the copy in the registers that the sums need.
                    add(simd, sums, std::hint::black_box(pixels), taps.as_chunks::<B>().0);
                    x = x.wrapping_add(dilation[1]);
                }
            }
        }
    }
}

/// One tap: each lane of the pixels times its weights.
#[inline(always)]
fn add<S: Simd<L>, const L: usize, const B: usize, const P: usize>(
    simd: S,
    sums: &mut [[S::V; P]; B],
    pixels: &[[f32; L]; P],
    taps: &[[[f32; L]; B]],
) {
    if let Some(taps) = taps.first_chunk::<L>() {
        for (at, weights) in taps.iter().enumerate() {
            add_lane(simd, sums, pixels, at, weights);
        }
    } else {
        for (at, weights) in taps.iter().enumerate().take(L) {
            add_lane(simd, sums, pixels, at, weights);
        }
    }
}

#[inline(always)]
fn add_lane<S: Simd<L>, const L: usize, const B: usize, const P: usize>(
    simd: S,
    sums: &mut [[S::V; P]; B],
    pixels: &[[f32; L]; P],
    lane: usize,
    weights: &[[f32; L]; B],
) {
    let mut own = [simd.splat(0.0); B];
    for (own, weights) in own.iter_mut().zip(weights) {
        *own = simd.load(weights);
    }
    for (pixel, numbers) in pixels.iter().enumerate() {
        let value = simd.splat(numbers[lane]);
        for (sums, weights) in sums.iter_mut().zip(&own) {
            sums[pixel] = simd.mul_add(value, *weights, sums[pixel]);
        }
    }
}
