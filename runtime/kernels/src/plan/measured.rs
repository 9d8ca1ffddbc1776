//! Steps of whole numbers on a grid that each run finds.

use super::Step;
use super::blocks::{Blocks, Place};
use super::compile::Compiler;
use super::convs::{Results, shaped};
use super::dense::Packing;
use crate::conv::{Conv, InputBlock};
use crate::end::EndStep;
use crate::graph::{Layer, Map, Op, Window};
use crate::portable::bits_of;
use crate::whole::{Measure, MeasuredConv, Numbers, WindowEnd};

/// Where such numbers lie.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// Those of 16-bit numbers, and those of bytes, where they are asked for.
    planes: [Vec<usize>; 2],
    /// As many as 16-bit numbers have.
    blocks: usize,
    /// Of each channel among them.
    positions: Vec<usize>,
    grid: usize,
}

impl Compiler<'_> {
    pub(super) fn measure(&mut self, layer: &Layer, from: &Map) -> Vec<Place> {
        let Blocks { planes: inputs, positions } = self.distinct(from);
        let own = self.graph.layers.iter().position(|other| std::ptr::eq(layer, other)).unwrap_or_default();
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        let mut wanted = [false; 2];
        for reader in &self.graph.layers {
            if let Op::MeasuredConv { from, .. } = &reader.op
                && from.list()[0].layer == own
            {
                wanted[usize::from(self.reads_bytes(reader))] = true;
            }
        }
        let masks = self.align();
        let mut table = vec![0.0; inputs.len() * self.lanes];
        for position in &positions {
            table[*position] = -1.0;
        }
        self.weights.extend(table);
        let area = layer.height * layer.width;
        let blocks = inputs.len().div_ceil(2);
        let step = Measure { inputs, area, masks, wanted };
        let [whole, bytes] = step.blocks();
        let shape = [layer.channels, layer.height, layer.width];
        let length = (whole + bytes) * area + 1;
        let base = self.write(Step::Measure(step), length, layer.name.clone(), shape);
        let planes = |from: usize, count: usize| (from..from + count).map(|block| base + block * area);
        let planes = [planes(0, whole).collect(), planes(whole, bytes).collect()];
        let places = self.in_order(layer, base, positions.iter().copied());
        self.measured.insert(own, Measured { planes, blocks, positions, grid: base + length - 1 });
        places
    }

    /// Whether a convolution of such numbers reads bytes. Their padding is what 0 became.
    fn reads_bytes(&self, layer: &Layer) -> bool {
        let Op::MeasuredConv { groups: 1, weights, .. } = &layer.op else { return false };
        self.bytes && weights.iter().all(|weight| i8::try_from(*weight).is_ok())
    }

    pub(super) fn measured_conv(&mut self, layer: &Layer) -> Vec<Place> {
        let Op::MeasuredConv { from, window, groups, weights, factors, bias, end } = &layer.op else {
            return Vec::new();
        };
        let Some(measured) = self.measured.get(&from.list()[0].layer).cloned() else { return Vec::new() };
        let Measured { planes: [whole, bytes], blocks: lie, positions, grid } = measured;
        if *groups > 1 {
            let places: Vec<usize> = positions.iter().map(|position| self.half(*position)).collect();
            let inputs = Blocks { planes: whole, positions };
            // Only how many, and where in them the channels lie.
            let lie = Blocks { planes: vec![0; 2 * inputs.planes.len()], positions: places };
            let residual = end.residual.as_ref().map(|map| self.like(map, &lie).planes).unwrap_or_default();
            let numbers =
                Numbers { grid, scale: self.scale(factors, bias, &lie.positions, lie.planes.len()) };
            let end = EndStep { first: end.first, residual, second: end.second };
            let end = WindowEnd::Numbers(numbers, end);
            let zeros = vec![0; layer.channels];
            let step = self.whole_window(layer, from, *window, weights, &zeros, &inputs, end);
            let multiplications = weights.len() * layer.height * layer.width;
            let base = self.push(layer, Step::WholeWindow(step), lie.planes.len(), multiplications);
            return self.in_order(layer, base, lie.positions);
        }
        let Results { residual, positions: outputs, blocks } = self.results(end, 0..layer.channels);
        let (taps, zeros) = (window.size[0] * window.size[1], vec![0; layer.channels]);
        // Only how many.
        let inputs = Blocks { planes: vec![0; lie], positions };
        let packing = Packing {
            lanes: self.lanes,
            inputs: &inputs,
            outputs: &outputs,
            taps,
            sums: blocks,
            weights,
            bias: &zeros,
        };
        let as_bytes = if self.reads_bytes(layer) { packing.bytes(0) } else { None };
        let (planes, packed, per) = match &as_bytes {
            Some(packed) => (&bytes, packed.clone(), 4),
            None => (&whole, packing.pairs(), 2),
        };
        let used = packing.used(per);
        let inputs = planes.iter().zip(used).map(|(at, lanes)| InputBlock { at: *at, lanes }).collect();
        let at = self.align();
        self.weights.extend(packed);
        let sums = as_bytes.map(|_| self.row_sums(layer, &outputs, blocks));
        let conv = Conv {
            inputs,
            height: from.height(),
            width: from.width(),
            out_height: layer.height,
            out_width: layer.width,
            out_blocks: blocks,
            window: *window,
            weights: at,
            end: EndStep { first: end.first, residual, second: end.second },
            depth: 1,
            chunk: [1, 1],
        };
        let numbers = Numbers { grid, scale: self.scale(factors, bias, &outputs, blocks) };
        let step = MeasuredConv { conv: shaped(conv, self.lanes), numbers, sums };
        let multiplications = weights.len() * layer.height * layer.width;
        let base = self.push(layer, Step::MeasuredConv(step), blocks, multiplications);
        self.in_order(layer, base, outputs)
    }

    /// For each of `blocks` the factors of its channels, then what is added.
    fn scale(&mut self, factors: &[f32], bias: &[f32], places: &[usize], blocks: usize) -> usize {
        let at = self.align();
        let mut table = vec![0.0; blocks * 2 * self.lanes];
        for ((place, factor), bias) in places.iter().zip(factors).zip(bias) {
            let first = place / self.lanes * 2 * self.lanes + place % self.lanes;
            table[first] = *factor;
            table[first + self.lanes] = *bias;
        }
        self.weights.extend(table);
        at
    }

    /// For each of `blocks` and each row of the window: all weights of a channel together.
    fn row_sums(&mut self, layer: &Layer, places: &[usize], blocks: usize) -> usize {
        let Op::MeasuredConv { from, window: Window { size, .. }, weights, .. } = &layer.op else { return 0 };
        let at = self.align();
        let mut table = vec![0.0; blocks * size[0] * self.lanes];
        let own = weights.chunks_exact(from.channels() * size[0] * size[1]);
        for (place, own) in places.iter().zip(own) {
            let mut sums = vec![0i32; size[0]];
            for (row, weights) in own.chunks_exact(size[1]).enumerate() {
                sums[row % size[0]] += weights.iter().map(|weight| i32::from(*weight)).sum::<i32>();
            }
            for (row, sum) in sums.into_iter().enumerate() {
                let block = place / self.lanes * size[0] + row;
                table[block * self.lanes + place % self.lanes] = bits_of(sum);
            }
        }
        self.weights.extend(table);
        at
    }
}
