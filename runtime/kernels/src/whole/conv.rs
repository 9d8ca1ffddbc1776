//! Dense convolution of whole numbers: the tiles of [`crate::tile`], a pair of channels in each lane.

use super::End;
use super::lanes::in_order;
use crate::conv::{Conv, groups};
use crate::memory::Around;
use crate::simd::{Kernel, Simd};
use crate::tile::{PATCH, Tile};

/// A step of a plan.
#[derive(Clone, Debug)]
pub(crate) struct WholeConv {
    /// Its blocks of results are those of 32-bit sums, two for each block of the memory or, where the last is half empty, one;
    /// and its lanes of input are pairs. It has no end of its own, and all input in one pass.
    pub conv: Conv,
    /// Whether its input is bytes ([`super::Narrow`]), four in a lane: of pointwise convolution, so without padding.
    pub bytes: bool,
    /// Its factors are in the order of the channels, as the weights are.
    pub end: End,
}

/// One run of a [`WholeConv`].
pub(crate) struct WholeConvRun<'a, const L: usize> {
    pub step: &'a WholeConv,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for WholeConvRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let conv = &self.step.conv;
        let area = conv.out_height * conv.out_width;
        let length = conv.taps() + 1;
        for top in (0..conv.out_height).step_by(conv.chunk[0]) {
            let rows = top..(top + conv.chunk[0]).min(conv.out_height);
            for left in (0..conv.out_width).step_by(conv.chunk[1]) {
                let columns = conv.chunk[1].min(conv.out_width - left);
                for (block, size) in groups(conv.out_blocks).enumerate() {
                    let weights = &self.weights[conv.weights + block * 2 * length..][..size * length];
                    let factors = &self.weights[self.step.end.factors + block * 2..][..2];
                    for row in rows.clone() {
                        let at = block * area + row * conv.out_width + left;
                        let out = &mut self.out[at..][..columns];
                        let line =
                            Line { step: self.step, from: self.from, size, weights, factors, row, left };
                        line.run(simd, out);
                        self.step.end.translate(simd, out);
                    }
                }
            }
        }
    }
}

/// Results of one block, side by side in a row.
#[derive(Clone, Copy)]
struct Line<'a, const L: usize> {
    step: &'a WholeConv,
    from: Around<'a, L>,
    /// Registers of sums: one where no channel's sums are in the second.
    size: usize,
    weights: &'a [[f32; L]],
    factors: &'a [[f32; L]],
    row: usize,
    left: usize,
}

impl<const L: usize> Line<'_, L> {
    /// As few tiles as fit, all of nearly one size.
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S, out: &mut [[f32; L]]) {
        let columns = out.len();
        let tiles = columns.div_ceil((S::TILE / self.size).min(12));
        let (least, larger) = (columns / tiles, columns % tiles);
        let (first, rest) = out.split_at_mut(larger * (least + 1));
        self.tiles(simd, least + 1, first);
        Self { left: self.left + first.len(), ..self }.tiles(simd, least, rest);
    }

    #[inline(always)]
    fn tiles<S: Simd<L>>(self, simd: S, pixels: usize, out: &mut [[f32; L]]) {
        macro_rules! call {
            ($($blocks:literal: $($pixels:literal)+;)+) => {
                match (self.size, pixels, self.step.conv.window.stride[1]) {
                    $($(($blocks, $pixels, 1) if const { S::BYTES && $blocks * $pixels <= S::TILE } && self.step.bytes =>
                        simd.call(Tiles::<L, $blocks, $pixels, 1, 4> { line: self, out }),
                    ($blocks, $pixels, 1) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 1, 2> { line: self, out }),
                    ($blocks, $pixels, 2) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 2, 2> { line: self, out }),
                    ($blocks, $pixels, _) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 0, 2> { line: self, out }),)+)+
                    // `run` asks for no other tile.
                    _ => {}
                }
            };
        }
        if !out.is_empty() {
            call! {
                1: 1 2 3 4 5 6 7 8 9 10 11 12;
                2: 1 2 3 4 5 6 7 8 9 10 11 12;
            }
        }
    }
}

struct Tiles<'a, const L: usize, const B: usize, const P: usize, const X: usize, const N: usize> {
    line: Line<'a, L>,
    out: &'a mut [[f32; L]],
}

impl<const L: usize, const B: usize, const P: usize, const X: usize, const N: usize> Kernel<L>
    for Tiles<'_, L, B, P, X, N>
{
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Line { step, from, weights, factors, row, left, .. } = self.line;
        let inputs = &step.conv.inputs;
        let (bias, weights) = weights.split_at(B);
        let full = inputs.iter().position(|input| input.lanes != L).unwrap_or(inputs.len());
        let padding = [0.0; L];
        let tile = Tile::<L, B, P, X, N> { step: &step.conv, from, inputs, full, weights, padding };
        let mut patch = [[0.0; L]; PATCH];
        let order = simd.load(&in_order());
        for (number, out) in self.out.as_chunks_mut::<P>().0.iter_mut().enumerate() {
            let mut sums = [[simd.splat(0.0); P]; B];
            for (sums, bias) in sums.iter_mut().zip(bias) {
                *sums = [simd.load(bias); P];
            }
            tile.add(simd, &mut sums, row, left + number * P, &mut patch);
            let factors = [simd.load(&factors[0]), simd.load(&factors[1])];
            for (pixel, out) in out.iter_mut().enumerate() {
                // Where there is one register, the block's second half belongs to no channel.
                let block = step.end.block(simd, [sums[0][pixel], sums[B - 1][pixel]], factors);
                simd.store(simd.permute(block, order), out);
            }
        }
    }
}
