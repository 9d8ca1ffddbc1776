//! The inner loops of dense convolution.
//!
//! A tile is `B` blocks of output channels at `P` neighbouring pixels, held in registers over all taps. Of each tap and
//! input channel the tile takes one number per pixel, spread over a register, times `B` registers of weights. Padding is
//! what lies outside a row: a tile that reaches over an edge reads zeros there.
//!
//! Whole numbers go the same way: a lane is a pair of channels, and a product is the sum of two; or four channels in bytes.
//!
//! The sums stay in registers only where no branch and no call in the loop touches them. A tile that reaches over an edge
//! therefore copies what it reads, padding included, and goes through the same loop.

use crate::conv::{Conv, InputBlock};
use crate::graph::Window;
use crate::memory::Around;
use crate::simd::Simd;

/// Columns of a row that a tile over an edge may copy: ten results of stride 2 with a window of thirteen.
pub(crate) const PATCH: usize = 32;

/// What a tile goes over. `X`: the stride, 0 where it is known only when it runs. `N`: channels in a lane.
pub(crate) struct Tile<'a, const L: usize, const B: usize, const P: usize, const X: usize, const N: usize> {
    pub step: &'a Conv,
    pub from: Around<'a, L>,
    pub inputs: &'a [InputBlock],
    /// How many of them, from the first on, have weights for all their lanes.
    pub full: usize,
    pub weights: &'a [[f32; L]],
    /// What is read beyond a row's ends; of anything but bytes it is 0.
    pub padding: [f32; L],
}

impl<const L: usize, const B: usize, const P: usize, const X: usize, const N: usize> Tile<'_, L, B, P, X, N> {
    /// Adds all taps of the results from `column` on.
    #[inline(always)]
    pub fn add<S: Simd<L>>(
        &self,
        simd: S,
        sums: &mut [[S::V; P]; B],
        row: usize,
        column: usize,
        patch: &mut [[f32; L]; PATCH],
    ) {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let first = (column * stride[1]).wrapping_sub(pads[1]);
        let span = (P - 1) * stride[1] + (size[1] - 1) * dilation[1] + 1;
        let inside = first < step.width && first.wrapping_add(span) <= step.width;
        if const { X > 0 } && (inside || span <= PATCH) {
            let at = [row, first, if inside { 0 } else { span }];
            let (full, rest) = self.inputs.split_at(self.full);
            let weights = self.by_rows(simd, sums, at, patch, full, self.weights, L);
            self.by_rows(simd, sums, at, patch, rest, weights, 0);
        } else {
            self.by_taps(simd, sums, row, first, patch);
        }
    }

    #[inline(always)]
    fn padding(&self) -> [f32; L] {
        if const { N == 4 } { self.padding } else { [0.0; L] }
    }

    /// Adds the taps of `inputs`, all with `lanes` lanes where that is not 0; the weights that are left. `span`: columns of
    /// a row to copy, at most [`PATCH`]; 0 for a tile within the row.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "parts of one loop")]
    fn by_rows<'w, S: Simd<L>>(
        &self,
        simd: S,
        sums: &mut [[S::V; P]; B],
        [row, first, span]: [usize; 3],
        patch: &mut [[f32; L]; PATCH],
        inputs: &[InputBlock],
        mut weights: &'w [[f32; L]],
        lanes: usize,
    ) -> &'w [[f32; L]] {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let area = step.height * step.width;
        for input in inputs {
            let plane = self.from.plane(input.at, area);
            let length = (if lanes > 0 { lanes } else { input.lanes }).wrapping_mul(B);
            for ky in 0..size[0] {
                let y = (row * stride[0]).wrapping_add(ky.wrapping_mul(dilation[0])).wrapping_sub(pads[0]);
                if y >= step.height {
                    weights = &weights[length.wrapping_mul(size[1])..];
                    continue;
                }
                let line = &plane[y.wrapping_mul(step.width)..][..step.width];
                let mut line = if span > 0 {
                    copy(simd, line, first, 1, &self.padding(), &mut patch[..span]);
                    &patch[..]
                } else {
                    &line[first..]
                };
                for kx in 0..size[1] {
                    if kx > 0 {
                        line = &line[dilation[1]..];
                    }
                    let taps;
                    (taps, weights) = weights.split_at(length);
                    add::<S, L, B, P, X, N>(simd, sums, line, taps);
                }
            }
        }
        weights
    }

    /// All taps of a tile whose window is wide, or whose stride is not known: what each tap reads is copied.
    #[inline(always)]
    fn by_taps<S: Simd<L>>(
        &self,
        simd: S,
        sums: &mut [[S::V; P]; B],
        row: usize,
        first: usize,
        patch: &mut [[f32; L]; PATCH],
    ) {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let mut weights = self.weights;
        let area = step.height * step.width;
        let pixels = &mut patch[..P];
        for input in self.inputs {
            let plane = self.from.plane(input.at, area);
            let length = input.lanes.wrapping_mul(B);
            for ky in 0..size[0] {
                let y = (row * stride[0]).wrapping_add(ky.wrapping_mul(dilation[0])).wrapping_sub(pads[0]);
                if y >= step.height {
                    weights = &weights[length.wrapping_mul(size[1])..];
                    continue;
                }
                let line = &plane[y.wrapping_mul(step.width)..][..step.width];
                for kx in 0..size[1] {
                    let taps;
                    (taps, weights) = weights.split_at(length);
                    let x = first.wrapping_add(kx.wrapping_mul(dilation[1]));
                    copy(simd, line, x, stride[1], &self.padding(), pixels);
                    add::<S, L, B, P, 1, N>(simd, sums, pixels, taps);
                }
            }
        }
    }
}

/// Every `step`th pixel of `line` from `first` on; `padding` beyond its ends.
#[inline(always)]
pub(crate) fn copy<S: Simd<L>, const L: usize>(
    simd: S,
    line: &[[f32; L]],
    first: usize,
    step: usize,
    padding: &[f32; L],
    to: &mut [[f32; L]],
) {
    let mut x = first;
    for to in to {
        simd.store(simd.load(line.get(x).unwrap_or(padding)), to);
        x = x.wrapping_add(step);
    }
}

/// Adds one tap of a tile: `pixels` lie `X` apart.
#[inline(always)]
fn add<S: Simd<L>, const L: usize, const B: usize, const P: usize, const X: usize, const N: usize>(
    simd: S,
    sums: &mut [[S::V; P]; B],
    pixels: &[[f32; L]],
    taps: &[[f32; L]],
) {
    let pixels = &pixels[..(P - 1) * X + 1];
    for (lane, weights) in taps.as_chunks::<B>().0.iter().enumerate().take(L) {
        let mut own = [simd.splat(0.0); B];
        for (own, weights) in own.iter_mut().zip(weights) {
            *own = simd.load(weights);
        }
        for pixel in 0..P {
            let value = simd.splat(pixels[pixel * X][lane]);
            for (sums, weights) in sums.iter_mut().zip(&own) {
                sums[pixel] = match N {
                    1 => simd.mul_add(value, *weights, sums[pixel]),
                    2 => simd.add_products(value, *weights, sums[pixel]),
                    _ => simd.add_byte_products(value, *weights, sums[pixel]),
                };
            }
        }
    }
}
