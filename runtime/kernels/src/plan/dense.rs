//! Dense convolutions of whole numbers, their weights packed in pairs or in fours.

use super::Step;
use super::blocks::{Blocks, Place};
use super::compile::Compiler;
use super::convs::shaped;
use crate::act::Activation;
use crate::conv::{Conv, InputBlock};
use crate::end::EndStep;
use crate::graph::{Layer, Op};
use crate::portable::{bits_of, of_bytes, of_pair};
use crate::whole::{End, Narrow, WholeConv};

impl Compiler<'_> {
    pub(super) fn whole_dense(&mut self, layer: &Layer, inputs: Blocks, end: End) -> Vec<Place> {
        let Op::WholeConv { from, window, weights, bias, .. } = &layer.op else { return Vec::new() };
        let taps = window.size[0] * window.size[1];
        let sums = layer.channels.div_ceil(self.lanes);
        let outputs: Vec<usize> = (0..layer.channels).collect();
        let packing =
            Packing { lanes: self.lanes, inputs: &inputs, outputs: &outputs, taps, sums, weights, bias };
        // Padding is 0, which as a byte is another number: convolutions with padding stay with 16 bits.
        let pointwise = taps == 1 && window.stride == [1, 1] && window.pads == [0; 4];
        let [least, most] = self.ends(from);
        let fits = self.bytes && pointwise && i32::from(most) - i32::from(least) < 256;
        let bytes = if fits { packing.bytes(least) } else { None };
        let used = packing.used(if bytes.is_some() { 4 } else { 2 });
        let area = from.height() * from.width();
        let (planes, packed, bytes) = match bytes {
            Some(packed) => (self.narrowed(inputs.planes, least, area), packed, true),
            None => (inputs.planes.clone(), packing.pairs(), false),
        };
        let at = self.align();
        self.weights.extend(packed);
        let conv = Conv {
            inputs: planes.into_iter().zip(used).map(|(at, lanes)| InputBlock { at, lanes }).collect(),
            height: from.height(),
            width: from.width(),
            out_height: layer.height,
            out_width: layer.width,
            out_blocks: sums,
            window: *window,
            weights: at,
            end: EndStep { first: Activation::None, residual: Vec::new(), second: Activation::None },
            depth: 1,
            chunk: [1, 1],
        };
        let step = Step::WholeConv(WholeConv { conv: shaped(conv, self.lanes), bytes, end });
        let base = self.push(layer, step, sums.div_ceil(2), weights.len() * layer.height * layer.width);
        self.in_order(layer, base, 0..layer.channels)
    }

    /// The planes of bytes of `planes`, in which `least` is 0.
    fn narrowed(&mut self, planes: Vec<usize>, least: i16, area: usize) -> Vec<usize> {
        let blocks = planes.len().div_ceil(2);
        let key = (planes, least);
        let base = match self.narrowed.get(&key) {
            Some(base) => *base,
            None => {
                let channels = key.0.len() * 2 * self.lanes;
                let step = Step::Narrow(Narrow { inputs: key.0.clone(), area, least });
                let base = self.write(step, blocks * area, "bytes".into(), [channels, 1, area]);
                self.narrowed.insert(key, base);
                base
            }
        };
        (0..blocks).map(|block| base + block * area).collect()
    }
}

/// How the weights of a dense convolution are laid out: for each group of two registers of sums, or one, its bias, then for each
/// input block, tap and lane with weights one register of weights for each of sums.
pub(super) struct Packing<'a> {
    pub lanes: usize,
    pub inputs: &'a Blocks,
    /// Place of each output among all lanes of sums.
    pub outputs: &'a [usize],
    pub taps: usize,
    /// Registers of sums.
    pub sums: usize,
    pub weights: &'a [i16],
    pub bias: &'a [i32],
}

impl Packing<'_> {
    /// Lanes of each input block up to the last that is asked for, where a lane holds `per` channels.
    pub fn used(&self, per: usize) -> Vec<usize> {
        let width = per * self.lanes;
        let mut used = vec![0; (2 * self.inputs.planes.len()).div_ceil(per)];
        for position in &self.inputs.positions {
            let lanes = &mut used[position / width];
            *lanes = (*lanes).max(position % width / per + 1);
        }
        used
    }

    /// Where each output's bias lies, and where each of its weights, in numbers of which a lane holds `per`.
    fn numbers(&self, per: usize) -> (Vec<usize>, Vec<i16>) {
        let (width, used) = (per * self.lanes, self.used(per));
        // Lanes before each input block.
        let before: Vec<usize> = (0..used.len()).map(|at| used[..at].iter().sum()).collect();
        let rows = used.iter().sum::<usize>() * self.taps + 1;
        let mut numbers = vec![0i16; self.sums * rows * self.lanes * per];
        let mut biases = Vec::new();
        let all = self.weights.chunks_exact(self.inputs.positions.len() * self.taps);
        for (output, own) in self.outputs.iter().zip(all) {
            let group = output / (2 * self.lanes);
            // From a row to the next: the last group may have one register of sums.
            let apart = (self.sums - group * 2).min(2) * self.lanes;
            let first = group * rows * 2 * self.lanes + output % (2 * self.lanes);
            biases.push(first);
            for (position, kernel) in self.inputs.positions.iter().zip(own.chunks_exact(self.taps)) {
                let (block, place) = (position / width, position % width);
                for (tap, weight) in kernel.iter().enumerate() {
                    let row = 1 + before[block] * self.taps + tap * used[block] + place / per;
                    let number = &mut numbers[(first + row * apart) * per + place % per];
                    // A channel that is read twice has the sum of both weights.
                    *number = number.saturating_add(*weight);
                }
            }
        }
        (biases, numbers)
    }

    pub fn pairs(&self) -> Vec<f32> {
        let (biases, numbers) = self.numbers(2);
        let mut packed: Vec<f32> = numbers.as_chunks::<2>().0.iter().map(|pair| of_pair(*pair)).collect();
        for (at, bias) in biases.iter().zip(self.bias) {
            packed[*at] = bits_of(*bias);
        }
        packed
    }

    /// For bytes in which `least` is 0, so that the bias has `least` times all weights besides; `None` where a weight is no
    /// byte.
    pub fn bytes(&self, least: i16) -> Option<Vec<f32>> {
        let (biases, numbers) = self.numbers(4);
        let bytes: Option<Vec<u8>> =
            numbers.iter().map(|weight| i8::try_from(*weight).ok().map(i8::cast_unsigned)).collect();
        let bytes = bytes?;
        let mut packed: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| of_bytes(*four)).collect();
        let own = self.weights.chunks_exact(self.inputs.positions.len() * self.taps);
        for ((at, bias), own) in biases.iter().zip(self.bias).zip(own) {
            // Modulo 2³², as the sums are: their end is right.
            let all = own.iter().fold(0i32, |sum, weight| sum.wrapping_add(i32::from(*weight)));
            packed[*at] = bits_of(bias.wrapping_add(all.wrapping_mul(i32::from(least))));
        }
        Some(packed)
    }
}
