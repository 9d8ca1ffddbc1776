//! Dense convolution, pointwise included: directly from blocked planes, without rearranging the input.
//!
//! A tile is `B` blocks of output channels at `P` neighbouring pixels, held in registers over all taps. Of each tap and
//! input channel the tile takes one number per pixel, spread over a register, times `B` registers of weights. Padding is
//! what lies outside a row: a tile that reaches over an edge reads zeros there.
//!
//! Many input channels are gone over in several passes, so that the weights of one pass stay in the first cache for all
//! tiles; sums wait in the result's place for the next pass.

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
    /// Input blocks of one pass.
    pub depth: usize,
    /// Rows and columns of the result that are done for all output channels before the next: their input stays in the
    /// cache.
    pub chunk: [usize; 2],
}

impl Conv {
    /// Taps of one result: input lanes with weights, times the window.
    pub fn taps(&self) -> usize {
        self.taps_of(&self.inputs)
    }

    fn taps_of(&self, inputs: &[InputBlock]) -> usize {
        let lanes: usize = inputs.iter().map(|input| input.lanes).sum();
        lanes * self.window.size[0] * self.window.size[1]
    }
}

/// Sizes of the groups of output blocks: pairs, and a single one where the number is odd. Groups of three would need one
/// register more than AVX2 has.
pub(crate) fn groups(blocks: usize) -> impl Iterator<Item = usize> {
    (0..blocks).step_by(2).map(move |first| (blocks - first).min(2))
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
            let (bias, mut rest) = self.weights[weights..][..(taps + 1) * size].split_at(size);
            let passes = step.inputs.chunks(step.depth);
            let last = passes.len().wrapping_sub(1);
            for (pass, inputs) in passes.enumerate() {
                let own;
                (own, rest) = rest.split_at(step.taps_of(inputs) * size);
                let bias = (pass == 0).then_some(bias);
                let full = inputs.iter().position(|input| input.lanes != L).unwrap_or(inputs.len());
                let group = Group { block, bias, inputs, full, weights: own };
                for row in rows.clone() {
                    self.row(simd, &group, size, [row, left], columns);
                    if pass < last {
                        continue;
                    }
                    let area = step.out_height * step.out_width;
                    for block in block..block + size {
                        let at = row * step.out_width + left;
                        let out = &mut self.out[block * area + at..][..columns];
                        step.end.apply(simd, self.from, block, area, at, out);
                    }
                }
            }
            block += size;
            weights += (taps + 1) * size;
        }
    }

    /// As few tiles as fit, all of nearly one size: a last tile of one pixel would be slow.
    #[inline(always)]
    fn row<S: Simd<L>>(
        &mut self,
        simd: S,
        group: &Group<'_, L>,
        size: usize,
        [row, left]: [usize; 2],
        columns: usize,
    ) {
        let most = (S::TILE / size).min(12);
        let tiles = columns.div_ceil(most);
        let (least, larger) = (columns / tiles, columns % tiles);
        self.tiles(simd, group, size, least + 1, [row, left], larger);
        let left = left + larger * (least + 1);
        self.tiles(simd, group, size, least, [row, left], tiles - larger);
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
                match (blocks, pixels, self.step.window.stride[1]) {
                    $($(($blocks, $pixels, 1) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 1> {
                        step: self.step, from: self.from, group, out: &mut *self.out, at, count,
                    }),
                    ($blocks, $pixels, 2) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 2> {
                        step: self.step, from: self.from, group, out: &mut *self.out, at, count,
                    }),
                    ($blocks, $pixels, _) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 0> {
                        step: self.step, from: self.from, group, out: &mut *self.out, at, count,
                    }),)+)+
                    // `row` asks for no other tile.
                    _ => {}
                }
            };
        }
        if count > 0 {
            call! {
                1: 1 2 3 4 5 6 7 8 9 10 11 12;
                2: 1 2 3 4 5 6 7 8 9 10 11 12;
            }
        }
    }
}

/// Output blocks that are computed together, in one pass.
struct Group<'a, const L: usize> {
    /// The first.
    block: usize,
    /// What the sums begin with; `None`: with what the pass before left.
    bias: Option<&'a [[f32; L]]>,
    inputs: &'a [InputBlock],
    /// How many of them, from the first on, have weights for all their lanes.
    full: usize,
    weights: &'a [[f32; L]],
}

/// `count` tiles in a row, side by side from `at`. `X`: the stride, 0 where it is known only when it runs.
struct Tiles<'a, const L: usize, const B: usize, const P: usize, const X: usize> {
    step: &'a Conv,
    from: Around<'a, L>,
    group: &'a Group<'a, L>,
    out: &'a mut [[f32; L]],
    at: [usize; 2],
    count: usize,
}

impl<const L: usize, const B: usize, const P: usize, const X: usize> Kernel<L> for Tiles<'_, L, B, P, X> {
    #[inline(always)]
    fn run<S: Simd<L>>(mut self, simd: S) {
        let [row, left] = self.at;
        for tile in 0..self.count {
            self.tile(simd, row, left + tile * P);
        }
    }
}

/// The sums stay in registers only where the loop around them has one way through: tiles within the row, tiles over an
/// edge, and blocks with fewer lanes have loops of their own.
impl<const L: usize, const B: usize, const P: usize, const X: usize> Tiles<'_, L, B, P, X> {
    #[inline(always)]
    fn tile<S: Simd<L>>(&mut self, simd: S, row: usize, column: usize) {
        let step = self.step;
        let area = step.out_height * step.out_width;
        let at = row * step.out_width + column;
        let mut sums = [[simd.splat(0.0); P]; B];
        match self.group.bias {
            Some(bias) => {
                for (sums, bias) in sums.iter_mut().zip(&bias[..B]) {
                    *sums = [simd.load(bias); P];
                }
            }
            None => {
                for (block, sums) in sums.iter_mut().enumerate() {
                    let out = &self.out[(self.group.block + block) * area + at..][..P];
                    for (sum, out) in sums.iter_mut().zip(out) {
                        *sum = simd.load(out);
                    }
                }
            }
        }
        let Window { size, stride, dilation, pads } = step.window;
        let first = (column * stride[1]).wrapping_sub(pads[1]);
        let reach = (P - 1) * stride[1] + (size[1] - 1) * dilation[1];
        if const { X > 0 } && first < step.width && first.wrapping_add(reach) < step.width {
            let (full, rest) = self.group.inputs.split_at(self.group.full);
            let weights = self.within(simd, &mut sums, row, first, full, self.group.weights, L);
            self.within(simd, &mut sums, row, first, rest, weights, 0);
        } else {
            self.over_the_edge(simd, &mut sums, row, first);
        }
        for (block, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(self.group.block + block) * area + at..][..P];
            for (out, sum) in out.iter_mut().zip(sums) {
                simd.store(*sum, out);
            }
        }
    }

    /// Adds the taps of `inputs`, all with `lanes` lanes where that is not 0; the weights that are left.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "parts of one loop")]
    fn within<'w, S: Simd<L>>(
        &self,
        simd: S,
        sums: &mut [[S::V; P]; B],
        row: usize,
        first: usize,
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
                let mut line = &plane[y.wrapping_mul(step.width).wrapping_add(first)..];
                for kx in 0..size[1] {
                    if kx > 0 {
                        line = &line[dilation[1]..];
                    }
                    let taps;
                    (taps, weights) = weights.split_at(length);
                    let pixels = &line[..(P - 1) * X + 1];
                    for (lane, weights) in taps.as_chunks::<B>().0.iter().enumerate().take(L) {
                        let mut own = [simd.splat(0.0); B];
                        for (own, weights) in own.iter_mut().zip(weights) {
                            *own = simd.load(weights);
                        }
                        for pixel in 0..P {
                            let value = simd.splat(pixels[pixel * X][lane]);
                            for (sums, weights) in sums.iter_mut().zip(&own) {
                                sums[pixel] = simd.mul_add(value, *weights, sums[pixel]);
                            }
                        }
                    }
                }
            }
        }
        weights
    }

    #[inline(always)]
    fn over_the_edge<S: Simd<L>>(&self, simd: S, sums: &mut [[S::V; P]; B], row: usize, first: usize) {
        let step = self.step;
        let Window { size, stride, dilation, pads } = step.window;
        let mut weights = self.group.weights;
        let area = step.height * step.width;
        let zeros = [0.0; L];
        for input in self.group.inputs {
            let plane = self.from.plane(input.at, area);
            let length = input.lanes.wrapping_mul(B);
            for ky in 0..size[0] {
                let y = (row * stride[0]).wrapping_add(ky.wrapping_mul(dilation[0])).wrapping_sub(pads[0]);
                if y >= step.height {
                    weights = &weights[length.wrapping_mul(size[1])..];
                    continue;
                }
                let line = &plane[y.wrapping_mul(step.width)..][..step.width];
                let mut x = first;
                for _ in 0..size[1] {
                    let taps;
                    (taps, weights) = weights.split_at(length);
                    let mut pixels = [&zeros; P];
                    for (at, pixel) in pixels.iter_mut().enumerate() {
                        let x = x.wrapping_add(at.wrapping_mul(stride[1]));
                        *pixel = line.get(x).unwrap_or(&zeros);
                    }
                    for (lane, weights) in taps.as_chunks::<B>().0.iter().enumerate().take(L) {
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
                    x = x.wrapping_add(dilation[1]);
                }
            }
        }
    }
}
