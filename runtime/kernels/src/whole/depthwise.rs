//! Convolution of each channel by itself, of whole numbers. Neighbouring taps of a row go in pairs: a window of an odd width
//! has one more, whose weights are 0.

use super::{End, Numbers};
use crate::end::EndStep;
use crate::graph::Window;
use crate::memory::Around;
use crate::simd::{Kernel, Simd};
use crate::tile::{PATCH, copy};

/// A step of a plan.
#[derive(Clone, Debug)]
pub(crate) struct WholeWindow {
    pub inputs: Vec<usize>,
    pub height: usize,
    pub width: usize,
    pub out_height: usize,
    pub out_width: usize,
    pub window: Window,
    /// Where, for each block, the two registers of its bias lie, and then for each row and pair of taps two of weights.
    pub weights: usize,
    pub end: WindowEnd,
}

/// What becomes of its sums.
#[derive(Clone, Debug)]
pub(crate) enum WindowEnd {
    /// Whole numbers.
    Whole(End),
    /// f32: two blocks for each of whole numbers, the first of the first registers' sums.
    Numbers(Numbers, EndStep),
}

/// One run of a [`WholeWindow`].
pub(crate) struct WholeWindowRun<'a, const L: usize> {
    pub step: &'a WholeWindow,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for WholeWindowRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let window = self.step.window;
        match (window.size[1], window.stride[1], window.dilation[1], self.step.out_width) {
            (3, 1, 1, 4..) => simd.call(Known::<L, 3, 1, 4>(self)),
            (3, 2, 1, 4..) => simd.call(Known::<L, 3, 2, 4>(self)),
            (5, 1, 1, 4..) => simd.call(Known::<L, 5, 1, 4>(self)),
            (5, 2, 1, 4..) => simd.call(Known::<L, 5, 2, 4>(self)),
            _ => simd.call(Known::<L, 0, 0, 1>(self)),
        }
    }
}

/// Windows `K` wide that move by `X`, `P` results at a time; `K` 0: of any width, stride and dilation.
struct Known<'a, const L: usize, const K: usize, const X: usize, const P: usize>(WholeWindowRun<'a, L>);

impl<const L: usize, const K: usize, const X: usize, const P: usize> Kernel<L> for Known<'_, L, K, X, P> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let WholeWindowRun { step, from, weights, .. } = self.0;
        let taps = step.window.size[0] * step.window.size[1].div_ceil(2);
        let mut patch = [[0.0; L]; PATCH];
        for (block, plane) in step.inputs.iter().enumerate() {
            let plane = from.plane(*plane, step.height * step.width);
            let weights = &weights[step.weights + block * 2 * (taps + 1)..][..2 * (taps + 1)];
            for row in 0..step.out_height {
                let last = step.out_width - P;
                let mut column = 0;
                loop {
                    let sums = Self::sums(simd, step, plane, weights, [row, column], &mut patch);
                    self.ended(simd, sums, [block, row, column]);
                    if column == last {
                        break;
                    }
                    column = (column + P).min(last);
                }
                self.row_ended(simd, block, row);
            }
        }
    }
}

impl<const L: usize, const K: usize, const X: usize, const P: usize> Known<'_, L, K, X, P> {
    /// Writes what `sums` stand for.
    #[inline(always)]
    fn ended<S: Simd<L>>(&mut self, simd: S, sums: [[S::V; 2]; P], [block, row, column]: [usize; 3]) {
        let WholeWindowRun { step, from, weights, out } = &mut self.0;
        let (area, at) = (step.out_height * step.out_width, row * step.out_width + column);
        match &step.end {
            WindowEnd::Whole(end) => {
                let factors = &weights[end.factors + block * 2..][..2];
                let factors = [simd.load(&factors[0]), simd.load(&factors[1])];
                for (out, sums) in out[block * area + at..][..P].iter_mut().zip(sums) {
                    simd.store(end.block(simd, sums, factors), out);
                }
            }
            WindowEnd::Numbers(numbers, _) => {
                let scaled = numbers.scaled(*from, weights, &[]);
                for (pixel, sums) in sums.into_iter().enumerate() {
                    for (half, sum) in sums.into_iter().enumerate() {
                        let block = 2 * block + half;
                        simd.store(scaled.number(simd, block, sum), &mut out[block * area + at + pixel]);
                    }
                }
            }
        }
    }

    /// What is done to a whole row, while the cache holds it.
    #[inline(always)]
    fn row_ended<S: Simd<L>>(&mut self, simd: S, block: usize, row: usize) {
        let WholeWindowRun { step, from, out, .. } = &mut self.0;
        let (area, at, width) = (step.out_height * step.out_width, row * step.out_width, step.out_width);
        match &step.end {
            WindowEnd::Whole(end) => end.translate(simd, &mut out[block * area + at..][..width]),
            WindowEnd::Numbers(_, end) => {
                for block in [2 * block, 2 * block + 1] {
                    end.apply(simd, *from, block, area, at, &mut out[block * area + at..][..width]);
                }
            }
        }
    }

    #[inline(always)]
    fn sums<S: Simd<L>>(
        simd: S,
        step: &WholeWindow,
        plane: &[[f32; L]],
        weights: &[[f32; L]],
        [row, column]: [usize; 2],
        patch: &mut [[f32; L]; PATCH],
    ) -> [[S::V; 2]; P] {
        let Window { size, stride, dilation, pads } = step.window;
        let (bias, weights) = weights.split_at(2);
        let mut sums = [[simd.load(&bias[0]), simd.load(&bias[1])]; P];
        let pairs = size[1].div_ceil(2);
        let first = (column * stride[1]).wrapping_sub(pads[1]);
        // With the tap that makes the last pair whole.
        let span = if K > 0 { (P - 1) * X + 2 * K.div_ceil(2) } else { 0 };
        let inside = first < step.width && first.wrapping_add(span) <= step.width;
        for ky in 0..size[0] {
            let y = (row * stride[0]).wrapping_add(ky.wrapping_mul(dilation[0])).wrapping_sub(pads[0]);
            if y >= step.height {
                continue;
            }
            let line = &plane[y.wrapping_mul(step.width)..][..step.width];
            let weights = &weights[ky.wrapping_mul(pairs).wrapping_mul(2)..][..pairs.wrapping_mul(2)];
            if K == 0 {
                any(simd, &mut sums[0], line, weights, first, dilation[1]);
                continue;
            }
            let line = if inside {
                &line[first..][..span]
            } else {
                copy(simd, line, first, 1, &[0.0; L], &mut patch[..span]);
                &patch[..span]
            };
            for (pair, weights) in weights.as_chunks::<2>().0.iter().enumerate().take(K.div_ceil(2)) {
                let weights = [simd.load(&weights[0]), simd.load(&weights[1])];
                for (pixel, sums) in sums.iter_mut().enumerate() {
                    let at = pixel * X + pair * 2;
                    let taps = simd.pair(simd.load(&line[at]), simd.load(&line[at + 1]));
                    for ((sum, taps), weights) in sums.iter_mut().zip(taps).zip(weights) {
                        *sum = simd.add_products(taps, weights, *sum);
                    }
                }
            }
        }
        sums
    }
}

/// One row of a window of any width: each tap asks whether it lies within the map.
#[inline(always)]
fn any<S: Simd<L>, const L: usize>(
    simd: S,
    sums: &mut [S::V; 2],
    line: &[[f32; L]],
    weights: &[[f32; L]],
    first: usize,
    dilation: usize,
) {
    let zeros = [0.0; L];
    let mut x = first;
    for weights in weights.as_chunks::<2>().0 {
        let (a, b) = (line.get(x).unwrap_or(&zeros), line.get(x.wrapping_add(dilation)).unwrap_or(&zeros));
        let taps = simd.pair(simd.load(a), simd.load(b));
        for ((sum, taps), weights) in sums.iter_mut().zip(taps).zip(weights) {
            *sum = simd.add_products(taps, simd.load(weights), *sum);
        }
        x = x.wrapping_add(dilation.wrapping_mul(2));
    }
}
