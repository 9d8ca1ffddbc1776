//! Kernels that look at a window of each channel by itself: depthwise convolution, the greatest, the mean.
//!
//! A tile is `P` neighbouring results of one block, held in registers over the window. `K` is the window's width and `X`
//! the stride where they are known when compiling, 0 where not. A tile that reaches over an edge reads a copy of its part
//! of the row with the padding filled in, so the loop over the taps is the same everywhere.

use crate::end::EndStep;
use crate::graph::Window;
use crate::memory::Around;
use crate::simd::{Kernel, Simd};

/// What is made of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// The sum of taps times weights, plus a bias.
    Weighted,
    /// The greatest tap.
    Greatest,
    /// The mean; whether padding counts as zeros.
    Mean { padding_counts: bool },
}

/// A step of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Windowed {
    pub fold: Fold,
    pub inputs: Vec<usize>,
    pub height: usize,
    pub width: usize,
    pub out_height: usize,
    pub out_width: usize,
    pub window: Window,
    /// For [`Fold::Weighted`]: where, for each block, its bias and then its taps lie.
    pub weights: usize,
    pub end: EndStep,
}

/// One run of a [`Windowed`].
pub(crate) struct WindowRun<'a, const L: usize> {
    pub step: &'a Windowed,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

/// Blocks of a tile's part of a row, where the window's width is known.
const SPAN: usize = 20;

impl<const L: usize> Kernel<L> for WindowRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let window = self.step.window;
        let weighted = self.step.fold == Fold::Weighted;
        match (weighted, window.size[1], window.stride[1], window.dilation[1]) {
            (true, 3, 1, 1) => simd.call(Known::<L, 3, 1, true>(self)),
            (true, 3, 2, 1) => simd.call(Known::<L, 3, 2, true>(self)),
            (true, 5, 1, 1) => simd.call(Known::<L, 5, 1, true>(self)),
            (true, 5, 2, 1) => simd.call(Known::<L, 5, 2, true>(self)),
            (true, ..) => simd.call(Known::<L, 0, 0, true>(self)),
            (false, 3, 2, 1) => simd.call(Known::<L, 3, 2, false>(self)),
            (false, 5, 1, 1) => simd.call(Known::<L, 5, 1, false>(self)),
            (false, 2, 2, 1) => simd.call(Known::<L, 2, 2, false>(self)),
            (false, ..) => simd.call(Known::<L, 0, 0, false>(self)),
        }
    }
}

/// `W`: whether there are weights.
struct Known<'a, const L: usize, const K: usize, const X: usize, const W: bool>(WindowRun<'a, L>);

impl<const L: usize, const K: usize, const X: usize, const W: bool> Kernel<L> for Known<'_, L, K, X, W> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let step = self.0.step;
        let area = step.out_height * step.out_width;
        let mut copy = [[0.0; L]; SPAN];
        for block in 0..step.inputs.len() {
            for row in 0..step.out_height {
                let mut column = 0;
                while column < step.out_width {
                    let left = step.out_width - column;
                    column += match left {
                        8.. if const { K > 0 } => self.tile::<S, 8>(simd, block, row, column, &mut copy),
                        4.. if const { K > 0 } => self.tile::<S, 4>(simd, block, row, column, &mut copy),
                        2.. if const { K > 0 } => self.tile::<S, 2>(simd, block, row, column, &mut copy),
                        _ => self.tile::<S, 1>(simd, block, row, column, &mut copy),
                    };
                }
                let at = row * step.out_width;
                let out = &mut self.0.out[block * area + at..][..step.out_width];
                step.end.apply(simd, self.0.from, block, area, at, out);
            }
        }
    }
}

impl<const L: usize, const K: usize, const X: usize, const W: bool> Known<'_, L, K, X, W> {
    #[inline(always)]
    fn size(&self) -> usize {
        if K > 0 { K } else { self.0.step.window.size[1] }
    }

    #[inline(always)]
    fn stride(&self) -> usize {
        if X > 0 { X } else { self.0.step.window.stride[1] }
    }

    #[inline(always)]
    fn dilation(&self) -> usize {
        if X > 0 { 1 } else { self.0.step.window.dilation[1] }
    }

    #[inline(always)]
    fn tile<S: Simd<L>, const P: usize>(
        &mut self,
        simd: S,
        block: usize,
        row: usize,
        column: usize,
        copy: &mut [[f32; L]; SPAN],
    ) -> usize {
        let step = self.0.step;
        let results = self.fold::<S, P>(simd, block, row, column, copy);
        let at = (block * step.out_height + row) * step.out_width + column;
        let out = &mut self.0.out[at..][..P];
        for (out, result) in out.iter_mut().zip(&results) {
            simd.store(*result, out);
        }
        P
    }

    #[inline(always)]
    fn fold<S: Simd<L>, const P: usize>(
        &self,
        simd: S,
        block: usize,
        row: usize,
        column: usize,
        copy: &mut [[f32; L]; SPAN],
    ) -> [S::V; P] {
        let step = self.0.step;
        let Window { size, stride, dilation, pads } = step.window;
        let taps = size[0] * self.size();
        let weights: &[[f32; L]] =
            if W { &self.0.weights[step.weights + block * (taps + 1)..][..taps + 1] } else { &[] };
        let (mut results, padding) = match (weights, step.fold) {
            ([bias, ..], _) => ([simd.load(bias); P], 0.0),
            ([], Fold::Greatest) => ([simd.splat(f32::NEG_INFINITY); P], f32::NEG_INFINITY),
            _ => ([simd.splat(0.0); P], 0.0),
        };
        let plane = self.0.from.plane(step.inputs[block], step.height * step.width);
        let span = (P - 1) * self.stride() + (self.size() - 1) * self.dilation() + 1;
        let x = (column * self.stride()).wrapping_sub(pads[1]);
        let mut lines = 0;
        for ky in 0..size[0] {
            let y = (row * stride[0] + ky * dilation[0]).wrapping_sub(pads[0]);
            if y >= step.height {
                continue;
            }
            lines += 1;
            let line = &plane[y * step.width..][..step.width];
            let weights = weights.get(1 + ky * self.size()..).and_then(|rest| rest.get(..self.size()));
            if const { K == 0 } {
                self.one_by_one(simd, &mut results, line, x, padding, weights);
            } else {
                let part = match line.get(x..x.wrapping_add(span)) {
                    Some(part) => part,
                    None => {
                        for (at, place) in copy[..span].iter_mut().enumerate() {
                            match line.get(x.wrapping_add(at)) {
                                Some(value) => simd.store(simd.load(value), place),
                                None => *place = [padding; L],
                            }
                        }
                        &copy[..span]
                    }
                };
                // Kept in memory: the compiler would otherwise keep the copy in registers that the results need.
                self.taps(simd, &mut results, &std::hint::black_box(part)[..span], weights);
            }
        }
        if let Fold::Mean { padding_counts } = step.fold
            && !W
        {
            for (at, result) in results.iter_mut().enumerate() {
                let count = if padding_counts { taps } else { lines * self.columns(x, at) };
                #[allow(clippy::cast_precision_loss, reason = "at most 64 × 64 taps")]
                let share = 1.0 / count.max(1) as f32;
                *result = simd.mul(*result, simd.splat(share));
            }
        }
        results
    }

    /// Columns of the window of the tile's result `at` that lie within the map.
    #[inline(always)]
    fn columns(&self, x: usize, at: usize) -> usize {
        let column = |kx: usize| x.wrapping_add(at * self.stride() + kx * self.dilation());
        (0..self.size()).filter(|kx| column(*kx) < self.0.step.width).count()
    }

    #[inline(always)]
    fn taps<S: Simd<L>, const P: usize>(
        &self,
        simd: S,
        results: &mut [S::V; P],
        part: &[[f32; L]],
        weights: Option<&[[f32; L]]>,
    ) {
        let fold = self.0.step.fold;
        match weights {
            Some(weights) => {
                for (kx, weight) in weights.iter().enumerate() {
                    let weight = simd.load(weight);
                    for (at, result) in results.iter_mut().enumerate() {
                        let tap = simd.load(&part[at * self.stride() + kx * self.dilation()]);
                        *result = simd.mul_add(tap, weight, *result);
                    }
                }
            }
            None => {
                for kx in 0..self.size() {
                    for (at, result) in results.iter_mut().enumerate() {
                        let tap = simd.load(&part[at * self.stride() + kx * self.dilation()]);
                        *result = match fold {
                            Fold::Greatest => simd.max(*result, tap),
                            _ => simd.add(*result, tap),
                        };
                    }
                }
            }
        }
    }

    /// [`Self::taps`] for a window that may be too wide to be copied.
    #[inline(always)]
    fn one_by_one<S: Simd<L>, const P: usize>(
        &self,
        simd: S,
        results: &mut [S::V; P],
        line: &[[f32; L]],
        x: usize,
        padding: f32,
        weights: Option<&[[f32; L]]>,
    ) {
        for kx in 0..self.size() {
            for (at, result) in results.iter_mut().enumerate() {
                let column = x.wrapping_add(at * self.stride() + kx * self.dilation());
                let tap = match line.get(column) {
                    Some(value) => simd.load(value),
                    None => simd.splat(padding),
                };
                *result = match (weights, self.0.step.fold) {
                    (Some(weights), _) => simd.mul_add(tap, simd.load(&weights[kx]), *result),
                    (None, Fold::Greatest) => simd.max(*result, tap),
                    (None, _) => simd.add(*result, tap),
                };
            }
        }
    }
}
