//! Kernels that look at a window of each channel by itself: depthwise convolution, the greatest, the mean.
//!
//! A tile is `P` neighbouring results of one block, held in registers over the window. `K` is the window's width and `X`
//! the stride where they are known when compiling, 0 where not. A tile that reaches over an edge asks for each tap whether
//! it lies within the row. The last tile of a row begins so early that it is full: some results are computed twice, alike.
//!
//! Wide windows reach over an edge in most tiles of a small map. For them a band of rows is copied with its padding, and no
//! tile asks.

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

impl<const L: usize> Kernel<L> for WindowRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let window = self.step.window;
        let weighted = self.step.fold == Fold::Weighted;
        let band = band(self.step);
        match (weighted, window.size[1], window.stride[1], window.dilation[1]) {
            (true, 5, 1, 1) if band > 0 => simd.call(Banded::<L, 5>(self, band)),
            (true, 7, 1, 1) if band > 0 => simd.call(Banded::<L, 7>(self, band)),
            (true, 3, 1, 1) => simd.call(Known::<L, 3, 1, true>(self)),
            (true, 3, 2, 1) => simd.call(Known::<L, 3, 2, true>(self)),
            (true, 5, 1, 1) => simd.call(Known::<L, 5, 1, true>(self)),
            (true, 5, 2, 1) => simd.call(Known::<L, 5, 2, true>(self)),
            (true, 7, 1, 1) => simd.call(Known::<L, 7, 1, true>(self)),
            (true, ..) => simd.call(Known::<L, 0, 0, true>(self)),
            (false, 3, 2, 1) => simd.call(Known::<L, 3, 2, false>(self)),
            (false, 5, 1, 1) => simd.call(Known::<L, 5, 1, false>(self)),
            (false, 2, 2, 1) => simd.call(Known::<L, 2, 2, false>(self)),
            (false, ..) => simd.call(Known::<L, 0, 0, false>(self)),
        }
    }
}

/// Blocks of a band with its padding: they lie in the first cache.
const BAND: usize = 768;

/// Rows of results of one band; 0 where bands do not pay or do not fit.
fn band(step: &Windowed) -> usize {
    let Window { size, stride, dilation, .. } = step.window;
    let rows = BAND / (step.out_width + size[1] - 1);
    let pays = stride == [1, 1] && dilation == [1, 1] && rows >= size[0] + 3;
    if pays { rows - (size[0] - 1) } else { 0 }
}

/// A convolution with windows `K` wide, stride 1, by bands of so many rows.
struct Banded<'a, const L: usize, const K: usize>(WindowRun<'a, L>, usize);

impl<const L: usize, const K: usize> Kernel<L> for Banded<'_, L, K> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let step = self.0.step;
        let area = step.out_height * step.out_width;
        let mut band = [[0.0; L]; BAND];
        for block in 0..step.inputs.len() {
            for top in (0..step.out_height).step_by(self.1) {
                let rows = top..(top + self.1).min(step.out_height);
                self.copy(block, rows.clone(), &mut band);
                for row in rows {
                    match step.out_width {
                        8.. => self.row::<S, 8>(simd, block, row, top, &band),
                        4.. => self.row::<S, 4>(simd, block, row, top, &band),
                        _ => self.row::<S, 1>(simd, block, row, top, &band),
                    }
                    let at = row * step.out_width;
                    let out = &mut self.0.out[block * area + at..][..step.out_width];
                    step.end.apply(simd, self.0.from, block, area, at, out);
                }
            }
        }
    }
}

impl<const L: usize, const K: usize> Banded<'_, L, K> {
    /// The rows of the map that the results `rows` ask for, with their padding.
    #[inline(always)]
    fn copy(&self, block: usize, rows: std::ops::Range<usize>, band: &mut [[f32; L]; BAND]) {
        let step = self.0.step;
        let Window { size, pads, .. } = step.window;
        let wide = step.out_width + K - 1;
        let plane = self.0.from.plane(step.inputs[block], step.height * step.width);
        for (at, line) in band.chunks_exact_mut(wide).enumerate().take(rows.len() + size[0] - 1) {
            let y = (rows.start + at).wrapping_sub(pads[0]);
            if y >= step.height {
                line.fill([0.0; L]);
                continue;
            }
            let (before, rest) = line.split_at_mut(pads[1]);
            let (within, after) = rest.split_at_mut(step.width.min(rest.len()));
            before.fill([0.0; L]);
            within.copy_from_slice(&plane[y * step.width..][..within.len()]);
            after.fill([0.0; L]);
        }
    }

    #[inline(always)]
    fn row<S: Simd<L>, const P: usize>(
        &mut self,
        simd: S,
        block: usize,
        row: usize,
        top: usize,
        band: &[[f32; L]; BAND],
    ) {
        let step = self.0.step;
        let wide = step.out_width + K - 1;
        let taps = step.window.size[0] * K;
        let weights = &self.0.weights[step.weights + block * (taps + 1)..][..taps + 1];
        let last = step.out_width - P;
        let at = (block * step.out_height + row) * step.out_width;
        let mut column = 0;
        loop {
            let mut results = [simd.load(&weights[0]); P];
            for (ky, weights) in weights[1..].as_chunks::<K>().0.iter().enumerate() {
                let line = &band[(row - top + ky).wrapping_mul(wide).wrapping_add(column)..][..P + K - 1];
                for (kx, weight) in weights.iter().enumerate() {
                    let weight = simd.load(weight);
                    for (at, result) in results.iter_mut().enumerate() {
                        *result = simd.mul_add(simd.load(&line[at + kx]), weight, *result);
                    }
                }
            }
            let out = &mut self.0.out[at + column..][..P];
            for (out, result) in out.iter_mut().zip(&results) {
                simd.store(*result, out);
            }
            if column == last {
                return;
            }
            column = (column + P).min(last);
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
        for block in 0..step.inputs.len() {
            for row in 0..step.out_height {
                match step.out_width {
                    8.. if const { K > 0 } => self.row::<S, 8>(simd, block, row),
                    4.. if const { K > 0 } => self.row::<S, 4>(simd, block, row),
                    _ => self.row::<S, 1>(simd, block, row),
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
    fn row<S: Simd<L>, const P: usize>(&mut self, simd: S, block: usize, row: usize) {
        let step = self.0.step;
        let last = step.out_width - P;
        let at = (block * step.out_height + row) * step.out_width;
        let mut column = 0;
        loop {
            let results = self.fold::<S, P>(simd, block, row, column);
            let out = &mut self.0.out[at + column..][..P];
            for (out, result) in out.iter_mut().zip(&results) {
                simd.store(*result, out);
            }
            if column == last {
                return;
            }
            column = (column + P).min(last);
        }
    }

    #[inline(always)]
    fn fold<S: Simd<L>, const P: usize>(
        &self,
        simd: S,
        block: usize,
        row: usize,
        column: usize,
    ) -> [S::V; P] {
        let step = self.0.step;
        let Window { size, pads, .. } = step.window;
        let taps = size[0] * self.size();
        let weights: &[[f32; L]] =
            if W { &self.0.weights[step.weights + block * (taps + 1)..][..taps + 1] } else { &[] };
        let (mut results, padding) = match (weights, step.fold) {
            ([bias, ..], _) => ([simd.load(bias); P], 0.0),
            ([], Fold::Greatest) => ([simd.splat(f32::NEG_INFINITY); P], f32::NEG_INFINITY),
            _ => ([simd.splat(0.0); P], 0.0),
        };
        let span = (P - 1) * self.stride() + (self.size() - 1) * self.dilation() + 1;
        let x = (column * self.stride()).wrapping_sub(pads[1]);
        // Two loops: the results stay in registers only where the loop around them has one way through.
        let inside = x < step.width && x.wrapping_add(span) <= step.width;
        let lines = if const { K > 0 } && inside {
            self.lines::<S, P, true>(simd, &mut results, [block, row, x], span, padding, weights)
        } else {
            self.lines::<S, P, false>(simd, &mut results, [block, row, x], span, padding, weights)
        };
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

    /// Goes over the window's rows, `I`: of a tile that lies within the map's columns; how many lie within its rows.
    #[inline(always)]
    fn lines<S: Simd<L>, const P: usize, const I: bool>(
        &self,
        simd: S,
        results: &mut [S::V; P],
        [block, row, x]: [usize; 3],
        span: usize,
        padding: f32,
        weights: &[[f32; L]],
    ) -> usize {
        let step = self.0.step;
        let Window { size, stride, dilation, pads } = step.window;
        let plane = self.0.from.plane(step.inputs[block], step.height * step.width);
        let mut lines = 0;
        for ky in 0..size[0] {
            let y = (row * stride[0] + ky * dilation[0]).wrapping_sub(pads[0]);
            if y >= step.height {
                continue;
            }
            lines += 1;
            let line = &plane[y * step.width..][..step.width];
            let weights = if W { &weights[1 + ky * self.size()..][..self.size()] } else { &[] };
            if I {
                self.taps(simd, results, &line[x..][..span], weights);
            } else {
                self.one_by_one(simd, results, line, x, padding, weights);
            }
        }
        lines
    }

    /// Columns of the window of the tile's result `at` that lie within the map.
    #[inline(always)]
    fn columns(&self, x: usize, at: usize) -> usize {
        let column = |kx: usize| x.wrapping_add(at * self.stride() + kx * self.dilation());
        (0..self.size()).filter(|kx| column(*kx) < self.0.step.width).count()
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "there are weights only where W says so")]
    fn taps<S: Simd<L>, const P: usize>(
        &self,
        simd: S,
        results: &mut [S::V; P],
        part: &[[f32; L]],
        weights: &[[f32; L]],
    ) {
        for kx in 0..self.size() {
            let weight = if W { simd.load(&weights[kx]) } else { simd.splat(0.0) };
            for (at, result) in results.iter_mut().enumerate() {
                let tap = simd.load(&part[at * self.stride() + kx * self.dilation()]);
                *result = self.folded(simd, *result, tap, weight);
            }
        }
    }

    /// [`Self::taps`] where not all may lie within the row.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "there are weights only where W says so")]
    fn one_by_one<S: Simd<L>, const P: usize>(
        &self,
        simd: S,
        results: &mut [S::V; P],
        line: &[[f32; L]],
        x: usize,
        padding: f32,
        weights: &[[f32; L]],
    ) {
        let padding = [padding; L];
        for kx in 0..self.size() {
            let weight = if W { simd.load(&weights[kx]) } else { simd.splat(0.0) };
            for (at, result) in results.iter_mut().enumerate() {
                let column = x.wrapping_add(at * self.stride() + kx * self.dilation());
                let tap = simd.load(line.get(column).unwrap_or(&padding));
                *result = self.folded(simd, *result, tap, weight);
            }
        }
    }

    #[inline(always)]
    fn folded<S: Simd<L>>(&self, simd: S, result: S::V, tap: S::V, weight: S::V) -> S::V {
        match self.0.step.fold {
            _ if W => simd.mul_add(tap, weight, result),
            Fold::Greatest => simd.max(result, tap),
            _ => simd.add(result, tap),
        }
    }
}
