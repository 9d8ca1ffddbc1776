//! The convolution that reads the picture: numbers are taken from where the input tensor has them, and the picture is not
//! brought into blocks first, which would write eight lanes where three are asked for.
//!
//! Tiles as in [`crate::conv`]. The last tile of a row begins so early that it is full: some results are computed twice,
//! alike. Results whose windows reach over the left or right edge are computed one by one: a tile of them asks of each
//! number whether it exists.

use crate::conv::groups;
use crate::end::EndStep;
use crate::graph::{View, Window};
use crate::memory::Around;
use crate::simd::{Kernel, Simd};

/// Least columns of a result: those of the widest tile.
pub(crate) const LEAST: usize = 12;

/// A step of a plan.
#[derive(Clone, Debug)]
pub(crate) struct First {
    pub input: usize,
    /// Channels of the picture, all with one `column`.
    pub views: Vec<View>,
    pub height: usize,
    pub width: usize,
    pub out_height: usize,
    /// At least [`LEAST`].
    pub out_width: usize,
    pub out_blocks: usize,
    pub window: Window,
    /// Of each tap, in the order of the weights: where it lies from the window's first number in row 0; none where the
    /// channels' rows are not equally far apart.
    pub offsets: Vec<usize>,
    /// Where the packed weights begin, as in [`crate::conv::Conv`], the picture's channels being lanes of blocks.
    pub weights: usize,
    pub end: EndStep,
}

/// One run of a [`First`].
pub(crate) struct FirstRun<'a, const L: usize> {
    pub step: &'a First,
    pub input: &'a [f32],
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl First {
    /// The offsets of [`First::offsets`] for blocks of `lanes`.
    pub fn offsets(views: &[View], window: Window, lanes: usize) -> Vec<usize> {
        let Some(View { row, column, .. }) = views.first().copied() else { return Vec::new() };
        if views.iter().any(|view| view.row != row) {
            return Vec::new();
        }
        let Window { size, dilation, .. } = window;
        let block = |views: &[View]| {
            let mut offsets = Vec::new();
            for (ky, kx) in (0..size[0]).flat_map(|ky| (0..size[1]).map(move |kx| (ky, kx))) {
                let tap = ky * dilation[0] * row + kx * dilation[1] * column;
                offsets.extend(views.iter().map(|view| view.offset + tap));
            }
            offsets
        };
        views.chunks(lanes).flat_map(block).collect()
    }

    /// Columns of results whose windows lie within the picture's.
    fn inner(&self) -> std::ops::Range<usize> {
        let Window { size, stride, dilation, pads } = self.window;
        let start = pads[1].div_ceil(stride[1]);
        // Of the last window that does not reach over the right edge.
        let last =
            (self.width + pads[1]).checked_sub((size[1] - 1) * dilation[1] + 1).map(|left| left / stride[1]);
        start..last.map_or(0, |last| (last + 1).min(self.out_width))
    }
}

impl<const L: usize> Kernel<L> for FirstRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let step = self.step;
        // From a result's number to its right neighbour's.
        let apart = step.views.first().map_or(0, |view| view.column * step.window.stride[1]);
        let taps = step.views.len() * step.window.size[0] * step.window.size[1];
        let (mut block, mut weights) = (0, step.weights);
        for size in groups(step.out_blocks) {
            let own = &self.weights[weights..][..(taps + 1) * size];
            macro_rules! call {
                ($($blocks:literal by $pixels:literal)+) => {
                    match (size, apart) {
                        $(($blocks, 2) if const { full($blocks, $pixels, S::TILE) } => simd.call(Rows::<L, $blocks, $pixels, 2> {
                            step, input: self.input, from: self.from, block, weights: own, out: &mut *self.out,
                        }),
                        ($blocks, _) if const { full($blocks, $pixels, S::TILE) } => simd.call(Rows::<L, $blocks, $pixels, 0> {
                            step, input: self.input, from: self.from, block, weights: own, out: &mut *self.out,
                        }),)+
                        // `groups` makes no others, and every tile's size is there.
                        _ => {}
                    }
                };
            }
            call!(1 by 12 1 by 10 1 by 4 2 by 12 2 by 6 2 by 5 2 by 2);
            block += size;
            weights += (taps + 1) * size;
        }
    }
}

/// Whether `pixels` are as many as a tile of `blocks` holds.
const fn full(blocks: usize, pixels: usize, tile: usize) -> bool {
    let most = tile / blocks;
    pixels == if most < LEAST { most } else { LEAST }
}

/// All results of `B` blocks, `P` at a time. `X`: how far apart the numbers of neighbours are, 0 where that is known only
/// when it runs.
struct Rows<'a, const L: usize, const B: usize, const P: usize, const X: usize> {
    step: &'a First,
    input: &'a [f32],
    from: Around<'a, L>,
    block: usize,
    weights: &'a [[f32; L]],
    out: &'a mut [[f32; L]],
}

impl<const L: usize, const B: usize, const P: usize, const X: usize> Kernel<L> for Rows<'_, L, B, P, X> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let step = self.step;
        let area = step.out_height * step.out_width;
        let inner = step.inner();
        let inner = if inner.len() < P { 0..step.out_width } else { inner };
        for row in 0..step.out_height {
            let at = row * step.out_width;
            for column in (0..inner.start).chain(inner.end..step.out_width) {
                self.tile::<S, 1>(simd, row, column);
            }
            let mut column = inner.start;
            loop {
                self.tile::<S, P>(simd, row, column);
                if column + P >= inner.end {
                    break;
                }
                column = (column + P).min(inner.end - P);
            }
            for block in self.block..self.block + B {
                let out = &mut self.out[block * area + at..][..step.out_width];
                step.end.apply(simd, self.from, block, area, at, out);
            }
        }
    }
}

impl<const L: usize, const B: usize, const P: usize, const X: usize> Rows<'_, L, B, P, X> {
    /// `Q` results side by side.
    #[inline(always)]
    fn tile<S: Simd<L>, const Q: usize>(&mut self, simd: S, row: usize, column: usize) {
        let step = self.step;
        let sums = self.sums::<S, Q>(simd, row, column);
        for (block, sums) in sums.iter().enumerate() {
            let at = ((self.block + block) * step.out_height + row) * step.out_width + column;
            for (out, sum) in self.out[at..][..Q].iter_mut().zip(sums) {
                simd.store(*sum, out);
            }
        }
    }

    #[inline(always)]
    fn sums<S: Simd<L>, const Q: usize>(&self, simd: S, row: usize, column: usize) -> [[S::V; Q]; B] {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let (bias, weights) = self.weights.split_at(B);
        let mut sums = [[simd.splat(0.0); Q]; B];
        for (sums, bias) in sums.iter_mut().zip(bias) {
            *sums = [simd.load(bias); Q];
        }
        let first = (column * stride[1]).wrapping_sub(pads[1]);
        let reach = (Q - 1) * stride[1] + (size[1] - 1) * dilation[1];
        let inside = first < step.width && first.wrapping_add(reach) < step.width;
        let top = (row * stride[0]).wrapping_sub(pads[0]);
        let tall = (size[0] - 1) * dilation[0];
        let whole = inside && top < step.height && top.wrapping_add(tall) < step.height;
        // Loops of their own: the sums stay in registers only where the loop around them has one way through.
        if whole && !step.offsets.is_empty() {
            let view = step.views.first();
            let (line, column) = view.map_or((0, 0), |view| (view.row, view.column));
            let apart = if X > 0 { X } else { column.wrapping_mul(stride[1]) };
            let from = &self.input[top * line + first * column..];
            for (offset, taps) in step.offsets.iter().zip(weights.as_chunks::<B>().0) {
                self.inner(simd, &mut sums, &from[*offset..], apart, taps);
            }
        } else if inside {
            self.taps::<S, Q, true>(simd, &mut sums, row, first, weights);
        } else {
            self.taps::<S, Q, false>(simd, &mut sums, row, first, weights);
        }
        sums
    }

    /// Adds all taps of a tile, `I`: that lies within the picture's columns.
    #[inline(always)]
    fn taps<S: Simd<L>, const Q: usize, const I: bool>(
        &self,
        simd: S,
        sums: &mut [[S::V; Q]; B],
        row: usize,
        first: usize,
        mut weights: &[[f32; L]],
    ) {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let column = step.views.first().map_or(0, |view| view.column);
        let apart = if X > 0 { X } else { column.wrapping_mul(stride[1]) };
        for views in step.views.chunks(L) {
            let length = views.len().wrapping_mul(B);
            for ky in 0..size[0] {
                let y = (row * stride[0] + ky * dilation[0]).wrapping_sub(pads[0]);
                if y >= step.height {
                    weights = &weights[length.wrapping_mul(size[1])..];
                    continue;
                }
                // Where each channel's row begins, or the tile within it.
                let mut lines = [0; L];
                for (line, view) in lines.iter_mut().zip(views) {
                    let left = if I { first.wrapping_mul(column) } else { 0 };
                    *line = view.offset.wrapping_add(y.wrapping_mul(view.row)).wrapping_add(left);
                }
                let mut x = first;
                for kx in 0..size[1] {
                    let shift = kx.wrapping_mul(dilation[1]).wrapping_mul(column);
                    let taps;
                    (taps, weights) = weights.split_at(length);
                    for (line, taps) in lines.iter().zip(taps.as_chunks::<B>().0) {
                        if I {
                            let at = line.wrapping_add(shift);
                            self.inner(simd, sums, &self.input[at..], apart, taps);
                        } else {
                            self.edge(simd, sums, &self.input[*line..], x, column, taps);
                        }
                    }
                    x = x.wrapping_add(dilation[1]);
                }
            }
        }
    }

    /// One tap of a tile that lies within the picture.
    #[inline(always)]
    fn inner<S: Simd<L>, const Q: usize>(
        &self,
        simd: S,
        sums: &mut [[S::V; Q]; B],
        line: &[f32],
        apart: usize,
        taps: &[[f32; L]; B],
    ) {
        let numbers = &line[..(Q - 1).wrapping_mul(apart).wrapping_add(1)];
        let mut own = [simd.splat(0.0); B];
        for (own, weights) in own.iter_mut().zip(taps) {
            *own = simd.load(weights);
        }
        for pixel in 0..Q {
            let value = simd.splat(numbers[pixel.wrapping_mul(apart)]);
            for (sums, weights) in sums.iter_mut().zip(&own) {
                sums[pixel] = simd.mul_add(value, *weights, sums[pixel]);
            }
        }
    }

    /// One tap of a tile that reaches over an edge.
    #[inline(always)]
    fn edge<S: Simd<L>, const Q: usize>(
        &self,
        simd: S,
        sums: &mut [[S::V; Q]; B],
        line: &[f32],
        x: usize,
        column: usize,
        taps: &[[f32; L]; B],
    ) {
        let stride = self.step.window.stride[1];
        for pixel in 0..Q {
            let x = x.wrapping_add(pixel.wrapping_mul(stride));
            let value = if x < self.step.width { line[x.wrapping_mul(column)] } else { 0.0 };
            let value = simd.splat(value);
            for (sums, weights) in sums.iter_mut().zip(taps) {
                sums[pixel] = simd.mul_add(value, simd.load(weights), sums[pixel]);
            }
        }
    }
}
