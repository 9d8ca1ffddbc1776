//! Whole numbers on a grid that each run finds for itself, as ONNX's DynamicQuantizeLinear defines it: the least and the
//! greatest number of the map, 0 among them, lie at the ends of 256 steps.
//!
//! The grid lies in the memory, behind the numbers. What convolutions make of these is f32 again.

use super::lanes::in_order;
use crate::conv::{Conv, ConvRun};
use crate::graph::Window;
use crate::lanes::fold;
use crate::memory::Around;
use crate::portable::{bits_of, of_bytes, whole_of};
use crate::simd::{Kernel, Simd};

/// f32 to whole numbers of 16 bits, to bytes, or to both; and behind them the grid.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub inputs: Vec<usize>,
    pub area: usize,
    /// Where, for each block, the mask of its channels lies.
    pub masks: usize,
    /// Whether numbers of 16 bits are asked for, and whether bytes.
    pub wanted: [bool; 2],
}

impl Measure {
    /// Blocks that it writes: of 16 bits, and of bytes.
    pub fn blocks(&self) -> [usize; 2] {
        let blocks = |per: usize, wanted: bool| if wanted { self.inputs.len().div_ceil(per) } else { 0 };
        [blocks(2, self.wanted[0]), blocks(4, self.wanted[1])]
    }
}

pub(crate) struct MeasureRun<'a, const L: usize> {
    pub step: &'a Measure,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> MeasureRun<'_, L> {
    /// Least and greatest number, 0 among them.
    #[inline(always)]
    fn ends<S: Simd<L>>(&self, simd: S) -> [f32; 2] {
        let zero = simd.splat(0.0);
        let (mut least, mut most) = ([zero; 2], [zero; 2]);
        for (block, plane) in self.step.inputs.iter().enumerate() {
            let mask = simd.load(&self.weights[self.step.masks + block]);
            let plane = self.from.plane(*plane, self.step.area);
            let (pairs, rest) = plane.as_chunks::<2>();
            for both in pairs {
                for ((least, most), number) in least.iter_mut().zip(&mut most).zip(both) {
                    let number = simd.select(mask, simd.load(number), zero);
                    // What is no number counts for nothing.
                    *least = simd.min(number, *least);
                    *most = simd.max(number, *most);
                }
            }
            for number in rest {
                let number = simd.select(mask, simd.load(number), zero);
                least[0] = simd.min(number, least[0]);
                most[0] = simd.max(number, most[0]);
            }
        }
        let least = fold(simd, simd.min(least[0], least[1]), |a, b| if a < b { a } else { b });
        let most = fold(simd, simd.max(most[0], most[1]), |a, b| if a > b { a } else { b });
        [least, most]
    }
}

/// Step and zero point between these ends. A map of nothing but 0 has the step 1.
fn grid([least, most]: [f32; 2]) -> [f32; 2] {
    let step = (most - least) / 255.0;
    if step == 0.0 {
        return [1.0, 0.0];
    }
    [step, (-least / step).clamp(0.0, 255.0).round_ties_even()]
}

impl<const L: usize> Kernel<L> for MeasureRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let [step, zero] = grid(self.ends(simd));
        let Measure { inputs, area, .. } = self.step;
        let [whole, bytes] = self.step.blocks();
        let (whole, rest) = self.out.split_at_mut(whole * area);
        let (bytes, grid) = rest.split_at_mut(bytes * area);
        grid[0] = [0.0; L];
        grid[0][..2].copy_from_slice(&[step, zero]);
        let onto = Onto {
            step: simd.splat(step),
            ends: [simd.splat(-zero), simd.splat(255.0 - zero)],
            order: simd.load(&in_order()),
        };
        let plane = |at: usize| self.from.plane(inputs[at.min(inputs.len() - 1)], *area);
        for (block, out) in whole.chunks_exact_mut(*area).enumerate() {
            let planes = [plane(2 * block), plane(2 * block + 1)];
            for ((out, first), second) in out.iter_mut().zip(planes[0]).zip(planes[1]) {
                simd.store(onto.pair(simd, [first, second]), out);
            }
        }
        #[allow(clippy::cast_possible_truncation, reason = "0 to 255")]
        let least = -(zero as i16);
        for (block, out) in bytes.chunks_exact_mut(*area).enumerate() {
            let planes: [_; 4] = std::array::from_fn(|at| plane(4 * block + at));
            let first = planes[0].iter().zip(planes[1]);
            let second = planes[2].iter().zip(planes[3]);
            for ((out, (a, b)), (c, d)) in out.iter_mut().zip(first).zip(second) {
                let both = [onto.pair(simd, [a, b]), onto.pair(simd, [c, d])];
                simd.store(simd.bytes(both, least), out);
            }
        }
    }
}

/// A grid in registers.
struct Onto<V> {
    step: V,
    ends: [V; 2],
    order: V,
}

impl<V: Copy> Onto<V> {
    /// Two blocks of f32 as one of 16 bits.
    #[inline(always)]
    fn pair<S: Simd<L, V = V>, const L: usize>(&self, simd: S, blocks: [&[f32; L]; 2]) -> V {
        let mut numbers = [simd.load(blocks[0]), simd.load(blocks[1])];
        for number in &mut numbers {
            let kept = simd.min(simd.max(simd.div(*number, self.step), self.ends[0]), self.ends[1]);
            *number = simd.to_whole(kept);
        }
        simd.permute(simd.narrow(numbers), self.order)
    }
}

/// Where the grid of what a convolution reads lies; and, for each of its blocks, the factors of its channels, then what is
/// added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub grid: usize,
    pub scale: usize,
}

impl Numbers {
    /// For one run.
    #[inline(always)]
    pub fn scaled<'a, const L: usize>(
        &self,
        from: Around<'a, L>,
        weights: &'a [[f32; L]],
        sums: &'a [[f32; L]],
    ) -> Scaled<'a, L> {
        let grid = &from.plane(self.grid, 1)[0];
        Scaled { step: grid[0], zero: grid[1], scale: &weights[self.scale..], sums }
    }
}

/// What sums of products stand for.
#[derive(Clone, Copy)]
pub(crate) struct Scaled<'a, const L: usize> {
    step: f32,
    /// What 0 is as a byte.
    zero: f32,
    scale: &'a [[f32; L]],
    /// For each block of results and row of the window, all its weights together; empty where no bytes are read.
    sums: &'a [[f32; L]],
}

impl<const L: usize> Scaled<'_, L> {
    /// What padding is, where bytes are read.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    pub fn padding(&self) -> [f32; L] {
        [of_bytes([self.zero as u8; 4]); L]
    }

    /// What the sums of `block` begin with in `row`: bytes are too great by what 0 is. Rows outside the map add nothing.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "0 to 255")]
    pub fn start(&self, step: &Conv, block: usize, row: usize) -> [f32; L] {
        let Window { size, stride, dilation, pads } = step.window;
        let mut all = [0i32; L];
        for ky in 0..size[0] {
            let y = (row * stride[0]).wrapping_add(ky.wrapping_mul(dilation[0])).wrapping_sub(pads[0]);
            if y < step.height {
                for (all, sum) in all.iter_mut().zip(&self.sums[block * size[0] + ky]) {
                    *all = all.wrapping_add(whole_of(*sum));
                }
            }
        }
        all.map(|all| bits_of(all.wrapping_mul(-(self.zero as i32))))
    }

    /// The number that each sum of `block` stands for. Rounded after each operation, as ONNX's are.
    #[inline(always)]
    pub fn number<S: Simd<L>>(&self, simd: S, block: usize, sum: S::V) -> S::V {
        let factor = simd.mul(simd.splat(self.step), simd.load(&self.scale[2 * block]));
        simd.add(simd.mul(simd.to_float(sum), factor), simd.load(&self.scale[2 * block + 1]))
    }

    /// [`Self::number`] of a row of results.
    #[inline(always)]
    pub fn numbers<S: Simd<L>>(&self, simd: S, block: usize, out: &mut [[f32; L]]) {
        for out in out {
            let number = self.number(simd, block, simd.load(out));
            simd.store(number, out);
        }
    }
}

/// Dense convolution of such numbers.
#[derive(Clone, Debug)]
pub(crate) struct MeasuredConv {
    pub conv: Conv,
    pub numbers: Numbers,
    /// Whether it reads bytes; then where [`Scaled`]'s sums lie.
    pub sums: Option<usize>,
}

pub(crate) struct MeasuredConvRun<'a, const L: usize> {
    pub step: &'a MeasuredConv,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for MeasuredConvRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Self { step: MeasuredConv { conv: step, numbers, sums }, from, weights, out } = self;
        let own = sums.map_or(&weights[..0], |sums| &weights[sums..]);
        let scaled = Some(numbers.scaled(from, weights, own));
        if const { S::BYTES }
            && let Some(_) = sums
        {
            ConvRun::<L, 4> { step, scaled, from, weights, out }.run(simd);
        } else {
            ConvRun::<L, 2> { step, scaled, from, weights, out }.run(simd);
        }
    }
}
