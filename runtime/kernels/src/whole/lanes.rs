//! Kernels that look at each whole number by itself, and those that bring f32 to whole numbers and back.
//!
//! A channel keeps its place: channel c of a list of f32 blocks is channel c of a list of half as many blocks of 16 bits.

use super::{Lookup, Translated};
use crate::graph::{Grid, Table};
use crate::memory::Around;
use crate::portable::{of_pair, pair_of};
use crate::simd::{Kernel, Simd};

/// f32 to whole numbers.
#[derive(Clone, Debug)]
pub(crate) struct Quantize {
    pub inputs: Vec<usize>,
    pub area: usize,
    pub grid: Grid,
}

pub(crate) struct QuantizeRun<'a, const L: usize> {
    pub step: &'a Quantize,
    pub from: Around<'a, L>,
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for QuantizeRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Quantize { inputs, area, grid } = self.step;
        let step = simd.splat(grid.step);
        let (low, high) = (simd.splat(f32::from(grid.low)), simd.splat(f32::from(grid.high)));
        let order = simd.load(&in_order());
        for (planes, out) in inputs.chunks(2).zip(self.out.chunks_exact_mut(*area)) {
            let planes = [planes[0], planes[planes.len() - 1]].map(|plane| self.from.plane(plane, *area));
            for ((first, second), out) in planes[0].iter().zip(planes[1]).zip(out) {
                let mut both = [simd.load(first), simd.load(second)];
                for number in &mut both {
                    // What is no number becomes the least.
                    let kept = simd.min(simd.max(simd.div(*number, step), low), high);
                    *number = simd.to_whole(kept);
                }
                simd.store(simd.permute(simd.narrow(both), order), out);
            }
        }
    }
}

/// Which lane of what [`Simd::narrow`] makes of two registers belongs into each, so that the numbers of the first come before
/// those of the second.
#[allow(clippy::cast_precision_loss, reason = "below 16")]
pub(super) fn in_order<const L: usize>() -> [f32; L] {
    std::array::from_fn(|pair| {
        let (register, lane) = (2 * pair / L, 2 * pair % L);
        ((lane / 4 * 8 + register * 4 + lane % 4) / 2) as f32
    })
}

/// 16-bit numbers to bytes, four in a lane: a block for each two, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Narrow {
    pub inputs: Vec<usize>,
    pub area: usize,
    /// What becomes 0; no number that is asked for lies below it, or above it by more than 255.
    pub least: i16,
}

pub(crate) struct NarrowRun<'a, const L: usize> {
    pub step: &'a Narrow,
    pub from: Around<'a, L>,
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for NarrowRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Narrow { inputs, area, least } = self.step;
        for (planes, out) in inputs.chunks(2).zip(self.out.chunks_exact_mut(*area)) {
            let [first, second] = [planes[0], planes[planes.len() - 1]];
            let planes = self.from.plane(first, *area).iter().zip(self.from.plane(second, *area));
            for ((first, second), out) in planes.zip(out) {
                simd.store(simd.bytes([simd.load(first), simd.load(second)], *least), out);
            }
        }
    }
}

/// Whole numbers to what they stand for.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub inputs: Vec<usize>,
    pub area: usize,
    pub values: Table<f32>,
}

pub(crate) fn values<const L: usize>(step: &Values, from: Around<'_, L>, out: &mut [[f32; L]]) {
    for (plane, out) in step.inputs.iter().zip(out.chunks_exact_mut(2 * step.area)) {
        let (first, second) = out.split_at_mut(step.area);
        for ((block, first), second) in from.plane(*plane, step.area).iter().zip(first).zip(second) {
            let (one, two) = block.split_at(L / 2);
            for (pairs, out) in [(one, first), (two, second)] {
                for (pair, out) in pairs.iter().zip(out.as_chunks_mut::<2>().0) {
                    *out = pair_of(*pair).map(|number| step.values.at(number));
                }
            }
        }
    }
}

/// Whole numbers to others.
#[derive(Clone, Debug)]
pub(crate) struct Translate {
    pub inputs: Vec<usize>,
    pub area: usize,
    pub lookup: Lookup,
}

pub(crate) struct TranslateRun<'a, const L: usize> {
    pub step: &'a Translate,
    pub from: Around<'a, L>,
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for TranslateRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Translate { inputs, area, lookup } = self.step;
        for (plane, out) in inputs.iter().zip(self.out.chunks_exact_mut(*area)) {
            out.copy_from_slice(self.from.plane(*plane, *area));
            simd.call(Translated(lookup, out));
        }
    }
}

/// Sum of two maps whose channels lie alike.
#[derive(Clone, Debug)]
pub(crate) struct WholeSum {
    pub a: Vec<usize>,
    pub b: Vec<usize>,
    pub area: usize,
    pub steps: [f32; 2],
    pub grid: Grid,
}

pub(crate) struct WholeSumRun<'a, const L: usize> {
    pub step: &'a WholeSum,
    pub from: Around<'a, L>,
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for WholeSumRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let WholeSum { a, b, area, steps, grid } = self.step;
        let (one, two) = (simd.splat(steps[0]), simd.splat(steps[1]));
        let step = simd.splat(grid.step);
        let (low, high) = (simd.splat(f32::from(grid.low)), simd.splat(f32::from(grid.high)));
        for ((a, b), out) in a.iter().zip(b).zip(self.out.chunks_exact_mut(*area)) {
            let planes = self.from.plane(*a, *area).iter().zip(self.from.plane(*b, *area));
            for ((a, b), out) in planes.zip(out) {
                let (mut sums, b) = (simd.widen(simd.load(a)), simd.widen(simd.load(b)));
                for (sum, b) in sums.iter_mut().zip(b) {
                    // Not as one operation: the products are rounded, as two DequantizeLinear do.
                    let a = simd.mul(simd.to_float(*sum), one);
                    let both = simd.add(a, simd.mul(simd.to_float(b), two));
                    *sum = simd.to_whole(simd.min(simd.max(simd.div(both, step), low), high));
                }
                simd.store(simd.narrow(sums), out);
            }
        }
    }
}

/// Channels brought from wherever they lie into blocks of their own; seldom, so one by one.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    pub area: usize,
    /// Plane, and place in its block, of the channel at each place; `None` where no channel is.
    pub places: Vec<Option<(usize, usize)>>,
}

pub(crate) fn scatter<const L: usize>(step: &Scatter, from: Around<'_, L>, out: &mut [[f32; L]]) {
    for (places, out) in step.places.chunks(2 * L).zip(out.chunks_exact_mut(step.area)) {
        out.fill([0.0; L]);
        for (at, place) in places.iter().enumerate() {
            let Some((plane, place)) = place else { continue };
            for (out, block) in out.iter_mut().zip(from.plane(*plane, step.area)) {
                let mut pair = pair_of(out[at / 2]);
                pair[at % 2] = pair_of(block[place / 2])[place % 2];
                out[at / 2] = of_pair(pair);
            }
        }
    }
}
