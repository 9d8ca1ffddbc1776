//! Kernels that look at each number, or each pixel, by itself, and those that bring numbers into blocks and out of them.

use crate::act::{Activation, activate, exp};
use crate::graph::{Between, Both, View};
use crate::memory::Around;
use crate::simd::{Kernel, Simd};

/// An activation by itself; with factors and offsets for each channel where `scale` says where they lie.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    pub inputs: Vec<usize>,
    pub area: usize,
    pub scale: Option<usize>,
    pub activation: Activation,
}

pub(crate) struct EachRun<'a, const L: usize> {
    pub step: &'a Each,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for EachRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let area = self.step.area;
        for (block, (plane, out)) in self.step.inputs.iter().zip(self.out.chunks_exact_mut(area)).enumerate()
        {
            let (factor, offset) = match self.step.scale {
                Some(at) => (self.weights[at + block * 2], self.weights[at + block * 2 + 1]),
                None => ([1.0; L], [0.0; L]),
            };
            let (factor, offset) = (simd.load(&factor), simd.load(&offset));
            let plane = self.from.plane(*plane, area);
            if self.step.scale.is_none() {
                out.copy_from_slice(plane);
            } else {
                for (value, out) in plane.iter().zip(&mut *out) {
                    simd.store(simd.mul_add(simd.load(value), factor, offset), out);
                }
            }
            activate(simd, self.step.activation, out);
        }
    }
}

/// Sum or product of two maps whose channels lie alike.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub both: Both,
    pub a: Vec<usize>,
    pub b: Vec<usize>,
    pub area: usize,
    pub activation: Activation,
}

pub(crate) struct PairRun<'a, const L: usize> {
    pub step: &'a Pair,
    pub from: Around<'a, L>,
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for PairRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let area = self.step.area;
        let planes = self.step.a.iter().zip(&self.step.b).zip(self.out.chunks_exact_mut(area));
        for ((a, b), out) in planes {
            let (a, b) = (self.from.plane(*a, area), self.from.plane(*b, area));
            for ((a, b), out) in a.iter().zip(b).zip(&mut *out) {
                let (a, b) = (simd.load(a), simd.load(b));
                let value = match self.step.both {
                    Both::Add => simd.add(a, b),
                    Both::Mul => simd.mul(a, b),
                };
                simd.store(value, out);
            }
            activate(simd, self.step.activation, out);
        }
    }
}

/// Softmax over the channels of each pixel.
#[derive(Clone, Debug)]
pub(crate) struct Softmax {
    pub inputs: Vec<usize>,
    /// Where, for each block, the mask of its channels lies.
    pub masks: usize,
    pub area: usize,
}

pub(crate) struct SoftmaxRun<'a, const L: usize> {
    pub step: &'a Softmax,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for SoftmaxRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let (area, blocks) = (self.step.area, self.step.inputs.len());
        for pixel in 0..area {
            let mut greatest = simd.splat(f32::NEG_INFINITY);
            for block in 0..blocks {
                let mask = simd.load(&self.weights[self.step.masks + block]);
                let value = simd.load(&self.from.plane(self.step.inputs[block], area)[pixel]);
                let among = simd.select(mask, value, simd.splat(f32::NEG_INFINITY));
                greatest = simd.max(greatest, among);
            }
            let greatest = simd.splat(fold(simd, greatest, |a, b| if a > b { a } else { b }));
            let mut sum = simd.splat(0.0);
            for block in 0..blocks {
                let mask = simd.load(&self.weights[self.step.masks + block]);
                let value = simd.load(&self.from.plane(self.step.inputs[block], area)[pixel]);
                let below = simd.max(simd.splat(-87.0), simd.sub(value, greatest));
                // Lanes that are no channels may hold more than the greatest.
                let power = simd.select(mask, exp(simd, simd.min(simd.splat(0.0), below)), simd.splat(0.0));
                sum = simd.add(sum, power);
                simd.store(power, &mut self.out[block * area + pixel]);
            }
            let share = simd.splat(1.0 / fold(simd, sum, |a, b| a + b));
            for block in 0..blocks {
                let out = &mut self.out[block * area + pixel];
                simd.store(simd.mul(simd.load(out), share), out);
            }
        }
    }
}

#[inline(always)]
pub(crate) fn fold<S: Simd<L>, const L: usize>(simd: S, value: S::V, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; L];
    simd.store(value, &mut lanes);
    lanes[1..].iter().fold(lanes[0], |a, b| f(a, *b))
}

/// Another size of each plane.
#[derive(Clone, Debug)]
pub(crate) struct Resize {
    pub inputs: Vec<usize>,
    pub height: usize,
    pub width: usize,
    pub rows: Vec<Between>,
    pub columns: Vec<Between>,
}

pub(crate) struct ResizeRun<'a, const L: usize> {
    pub step: &'a Resize,
    pub from: Around<'a, L>,
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for ResizeRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Resize { inputs, height, width, rows, columns } = self.step;
        let nearest = rows.iter().chain(columns).all(|at| at.share == 0.0);
        for (plane, out) in inputs.iter().zip(self.out.chunks_exact_mut(rows.len() * columns.len())) {
            let plane = self.from.plane(*plane, height * width);
            for (row, out) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
                let low = &plane[row.low * width..][..*width];
                let high = &plane[row.high * width..][..*width];
                if nearest {
                    for (column, out) in columns.iter().zip(out) {
                        simd.store(simd.load(&low[column.low]), out);
                    }
                    continue;
                }
                let down = simd.splat(row.share);
                for (column, out) in columns.iter().zip(out) {
                    let right = simd.splat(column.share);
                    let above = mix(simd, simd.load(&low[column.low]), simd.load(&low[column.high]), right);
                    let below = mix(simd, simd.load(&high[column.low]), simd.load(&high[column.high]), right);
                    simd.store(mix(simd, above, below, down), out);
                }
            }
        }
    }
}

#[inline(always)]
fn mix<S: Simd<L>, const L: usize>(simd: S, a: S::V, b: S::V, share: S::V) -> S::V {
    simd.mul_add(simd.sub(b, a), share, a)
}

/// Channels brought from wherever they lie into blocks of their own.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    pub area: usize,
    /// For each block of the result.
    pub blocks: Vec<Gathered>,
}

/// What one block is put together from: of each plane, where the mask of the lanes that are written lies, and after it the
/// lane that each of them is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered(pub Vec<(usize, usize)>);

pub(crate) struct GatherRun<'a, const L: usize> {
    pub step: &'a Gather,
    pub from: Around<'a, L>,
    pub weights: &'a [[f32; L]],
    pub out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for GatherRun<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let area = self.step.area;
        for (block, out) in self.step.blocks.iter().zip(self.out.chunks_exact_mut(area)) {
            let pairs = block.0.chunks(2);
            for (at, pair) in pairs.enumerate() {
                let [(first, one), (second, two)] = [pair[0], pair[pair.len() - 1]];
                let planes = self.from.plane(first, area).iter().zip(self.from.plane(second, area));
                let (one, one_from) = (simd.load(&self.weights[one]), simd.load(&self.weights[one + 1]));
                let (two, two_from) = (simd.load(&self.weights[two]), simd.load(&self.weights[two + 1]));
                for (out, (a, b)) in out.iter_mut().zip(planes) {
                    let before = if at > 0 { simd.load(out) } else { simd.splat(0.0) };
                    let value = simd.select(one, simd.permute(simd.load(a), one_from), before);
                    simd.store(simd.select(two, simd.permute(simd.load(b), two_from), value), out);
                }
            }
        }
    }
}

/// Channels of an input tensor, brought into blocks.
#[derive(Clone, Debug)]
pub(crate) struct Pack {
    pub input: usize,
    pub views: Vec<View>,
    pub height: usize,
    pub width: usize,
}

pub(crate) fn pack<const L: usize>(step: &Pack, input: &[f32], out: &mut [[f32; L]]) {
    let area = step.height * step.width;
    for (views, out) in step.views.chunks(L).zip(out.chunks_exact_mut(area)) {
        for (y, out) in out.chunks_exact_mut(step.width).enumerate() {
            if views.len() < L {
                out.fill([0.0; L]);
            }
            for (lane, view) in views.iter().enumerate() {
                let line = &input[view.offset + y * view.row..];
                for (out, value) in out.iter_mut().zip(line.iter().step_by(view.column)) {
                    out[lane] = *value;
                }
            }
        }
    }
}

/// Channels written into an output tensor.
#[derive(Clone, Debug)]
pub(crate) struct Unpack {
    pub output: usize,
    /// Plane and lane of each channel.
    pub channels: Vec<(usize, usize)>,
    pub height: usize,
    pub width: usize,
    pub offset: usize,
    pub channel: usize,
    pub row: usize,
    pub column: usize,
}

/// Pixels whose channels are written together: where channels lie side by side, their lines of the output stay in the cache.
const TOGETHER: usize = 32;

pub(crate) fn unpack<const L: usize>(step: &Unpack, memory: &[[f32; L]], output: &mut [f32]) {
    for y in 0..step.height {
        for left in (0..step.width).step_by(TOGETHER) {
            let count = TOGETHER.min(step.width - left);
            let mut first = step.offset + y * step.row + left * step.column;
            // Channels in neighbouring lanes that are neighbours in the output too go together.
            let neighbours =
                |a: &(usize, usize), b: &(usize, usize)| step.channel == 1 && *b == (a.0, a.1 + 1);
            for run in step.channels.chunk_by(neighbours) {
                let (plane, lane) = run[0];
                let values = &memory[plane + y * step.width + left..][..count];
                if run.len() == L {
                    whole_blocks(values, &mut output[first..], step.column);
                } else {
                    for (at, lane) in (lane..lane + run.len()).enumerate() {
                        let places = output[first + at..].iter_mut().step_by(step.column);
                        for (place, value) in places.zip(values) {
                            *place = value[lane];
                        }
                    }
                }
                first += run.len() * step.channel;
            }
        }
    }
}

/// Writes all lanes of each block side by side, from one block to the next `column` numbers further.
fn whole_blocks<const L: usize>(values: &[[f32; L]], output: &mut [f32], column: usize) {
    for (pixel, value) in values.iter().enumerate() {
        output[pixel * column..][..L].copy_from_slice(value);
    }
}
