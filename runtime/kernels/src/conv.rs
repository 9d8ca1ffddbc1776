//! Dense convolution, pointwise included: directly from blocked planes, without rearranging the input.
//!
//! Many input channels are gone over in several passes, so that the weights of one pass stay in the first cache for all
//! tiles; sums wait in the result's place for the next pass.
//!
//! Whole numbers whose results are f32 ([`crate::whole::Scaled`]) go the same way, `N` channels in a lane.

use crate::end::EndStep;
use crate::graph::Window;
use crate::memory::Around;
use crate::simd::{Kernel, Simd};
use crate::tile::{PATCH, Tile};
use crate::whole::Scaled;

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
pub(crate) struct ConvRun<'a, const L: usize, const N: usize> {
    pub step: &'a Conv,
    /// What the sums stand for; `None` where they are what is asked for (`N` 1).
    pub scaled: Option<Scaled<'a, L>>,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize, const N: usize> Kernel<L> for ConvRun<'_, L, N> {
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

impl<const L: usize, const N: usize> ConvRun<'_, L, N> {
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
                let mut starts = [[0.0; L]; 2];
                let padding = self.padding();
                for row in rows.clone() {
                    let bias = bias.map(|bias| self.starts(bias, block, row, &mut starts));
                    let group = Group { block, bias, padding, inputs, full, weights: own };
                    self.row(simd, &group, size, [row, left], columns);
                    if pass < last {
                        continue;
                    }
                    let area = step.out_height * step.out_width;
                    for block in block..block + size {
                        let at = row * step.out_width + left;
                        let out = &mut self.out[block * area + at..][..columns];
                        if const { N > 1 }
                            && let Some(scaled) = &self.scaled
                        {
                            scaled.numbers(simd, block, out);
                        }
                        step.end.apply(simd, self.from, block, area, at, out);
                    }
                }
            }
            block += size;
            weights += (taps + 1) * size;
        }
    }

    /// What the sums of some blocks from `block` on begin with in `row`: `bias`, where no bytes are read.
    #[inline(always)]
    fn starts<'b>(
        &self,
        bias: &'b [[f32; L]],
        block: usize,
        row: usize,
        starts: &'b mut [[f32; L]; 2],
    ) -> &'b [[f32; L]] {
        let (true, Some(scaled)) = (N == 4, &self.scaled) else { return bias };
        let starts = &mut starts[..bias.len()];
        for (at, start) in starts.iter_mut().enumerate() {
            *start = scaled.start(self.step, block + at, row);
        }
        starts
    }

    /// What lies around the map.
    #[inline(always)]
    fn padding(&self) -> [f32; L] {
        match &self.scaled {
            Some(scaled) if const { N == 4 } => scaled.padding(),
            _ => [0.0; L],
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
                    $($(($blocks, $pixels, 1) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 1, N> {
                        step: self.step, from: self.from, group, out: &mut *self.out, at, count,
                    }),
                    ($blocks, $pixels, 2) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 2, N> {
                        step: self.step, from: self.from, group, out: &mut *self.out, at, count,
                    }),
                    ($blocks, $pixels, _) if const { $blocks * $pixels <= S::TILE } => simd.call(Tiles::<L, $blocks, $pixels, 0, N> {
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
    padding: [f32; L],
    inputs: &'a [InputBlock],
    /// How many of them, from the first on, have weights for all their lanes.
    full: usize,
    weights: &'a [[f32; L]],
}

/// `count` tiles in a row, side by side from `at`.
struct Tiles<'a, const L: usize, const B: usize, const P: usize, const X: usize, const N: usize> {
    step: &'a Conv,
    from: Around<'a, L>,
    group: &'a Group<'a, L>,
    out: &'a mut [[f32; L]],
    at: [usize; 2],
    count: usize,
}

impl<const L: usize, const B: usize, const P: usize, const X: usize, const N: usize> Kernel<L>
    for Tiles<'_, L, B, P, X, N>
{
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Self { step, from, group, out, at: [row, left], count } = self;
        let area = step.out_height * step.out_width;
        let tile = Tile::<L, B, P, X, N> {
            step,
            from,
            inputs: group.inputs,
            full: group.full,
            weights: group.weights,
            padding: group.padding,
        };
        let mut patch = [[0.0; L]; PATCH];
        for number in 0..count {
            let column = left + number * P;
            let at = row * step.out_width + column;
            let mut sums = [[simd.splat(0.0); P]; B];
            match group.bias {
                Some(bias) => {
                    for (sums, bias) in sums.iter_mut().zip(&bias[..B]) {
                        *sums = [simd.load(bias); P];
                    }
                }
                None => {
                    for (block, sums) in sums.iter_mut().enumerate() {
                        let out = &out[(group.block + block) * area + at..][..P];
                        for (sum, out) in sums.iter_mut().zip(out) {
                            *sum = simd.load(out);
                        }
                    }
                }
            }
            tile.add(simd, &mut sums, row, column, &mut patch);
            for (block, sums) in sums.iter().enumerate() {
                let out = &mut out[(group.block + block) * area + at..][..P];
                for (out, sum) in out.iter_mut().zip(sums) {
                    simd.store(*sum, out);
                }
            }
        }
    }
}
