//! Steps of convolutions, their weights packed.

use super::Step;
use super::blocks::{Blocks, Place};
use super::compile::{Compiler, windowed};
use super::pack::Packing;
use crate::conv::{Conv, InputBlock};
use crate::end::EndStep;
use crate::first::First;
use crate::graph::{Channel, End, Layer, Map, Op, View, Window};
use crate::window::Fold;

/// Where a convolution's results lie.
pub(super) struct Results {
    /// Planes of the residual; none where there is none.
    pub residual: Vec<usize>,
    /// Of each channel.
    pub positions: Vec<usize>,
    pub blocks: usize,
}

impl Compiler<'_> {
    pub(super) fn dense(
        &mut self,
        layer: &Layer,
        from: &Map,
        weights: &[f32],
        outputs: std::ops::Range<usize>,
    ) -> Vec<Place> {
        self.dense_of(layer, from.list(), weights, outputs)
    }

    /// A convolution of all channels of `list` to the layer's channels `outputs`.
    pub(super) fn dense_of(
        &mut self,
        layer: &Layer,
        list: &[Channel],
        weights: &[f32],
        outputs: std::ops::Range<usize>,
    ) -> Vec<Place> {
        let Op::Conv { from, window, bias, end, .. } = &layer.op else { return Vec::new() };
        let blocks = self.blocks_of(list, from.height() * from.width());
        let Results { residual, positions, blocks: out_blocks } = self.results(end, outputs.clone());
        let packing = Packing {
            lanes: self.lanes,
            inputs: &blocks,
            positions: &positions,
            blocks: out_blocks,
            taps: window.size[0] * window.size[1],
            channels: list.len(),
        };
        let used = packing.used();
        let at = self.align();
        self.weights.extend(packing.packed(weights, &bias[outputs.clone()], &used));
        let inputs = blocks.planes.iter().zip(&used);
        let step = Conv {
            inputs: inputs.map(|(at, lanes)| InputBlock { at: *at, lanes: *lanes }).collect(),
            height: from.height(),
            width: from.width(),
            out_height: layer.height,
            out_width: layer.width,
            out_blocks,
            window: *window,
            weights: at,
            end: EndStep { first: end.first, residual, second: end.second },
            depth: 1,
            chunk: [1, 1],
        };
        let step = shaped(step, self.lanes);
        let multiplications = weights.len() * layer.height * layer.width;
        let base = self.push(layer, Step::Conv(step), out_blocks, multiplications);
        self.in_order(layer, base, positions)
    }

    /// Where the results of the channels `outputs` lie: as the residual does, else in order.
    pub(super) fn results(&mut self, end: &End, outputs: std::ops::Range<usize>) -> Results {
        let Some(map) = &end.residual else {
            let blocks = outputs.len().div_ceil(self.lanes);
            return Results { residual: Vec::new(), positions: (0..outputs.len()).collect(), blocks };
        };
        let (list, area) = (&map.list()[outputs], map.height() * map.width());
        let mut lie = self.blocks_of(list, area);
        if !lie.distinct() {
            lie = self.exact(list, area);
        }
        Results { blocks: lie.planes.len(), residual: lie.planes, positions: lie.positions }
    }

    /// A convolution of the picture itself.
    pub(super) fn first(&mut self, layer: &Layer, input: usize, views: Vec<View>) -> Vec<Place> {
        let Op::Conv { from, window, weights, bias, end, .. } = &layer.op else { return Vec::new() };
        let Results { residual, positions, blocks: out_blocks } = self.results(end, 0..layer.channels);
        let count = views.len();
        let inputs = Blocks { planes: vec![0; count.div_ceil(self.lanes)], positions: (0..count).collect() };
        let packing = Packing {
            lanes: self.lanes,
            inputs: &inputs,
            positions: &positions,
            blocks: out_blocks,
            taps: window.size[0] * window.size[1],
            channels: count,
        };
        let at = self.align();
        self.weights.extend(packing.packed(weights, bias, &packing.used()));
        let step = First {
            input,
            offsets: First::offsets(&views, *window, self.lanes),
            views,
            height: from.height(),
            width: from.width(),
            out_height: layer.height,
            out_width: layer.width,
            out_blocks,
            window: *window,
            weights: at,
            end: EndStep { first: end.first, residual, second: end.second },
        };
        let multiplications = weights.len() * layer.height * layer.width;
        let base = self.push(layer, Step::First(step), out_blocks, multiplications);
        self.in_order(layer, base, positions)
    }

    pub(super) fn depthwise(&mut self, layer: &Layer) -> Vec<Place> {
        let Op::Conv { from, window, weights, bias, end, .. } = &layer.op else { return Vec::new() };
        let blocks = self.distinct(from);
        let residual = end.residual.as_ref().map(|map| self.like(map, &blocks).planes);
        let taps = window.size[0] * window.size[1];
        let at = self.align();
        let mut table = vec![0.0; blocks.planes.len() * (taps + 1) * self.lanes];
        for (channel, position) in blocks.positions.iter().enumerate() {
            let (block, lane) = (position / self.lanes, position % self.lanes);
            let mut place = |row: usize, value: f32| {
                table[(block * (taps + 1) + row) * self.lanes + lane] = value;
            };
            place(0, bias[channel]);
            for (tap, weight) in weights[channel * taps..][..taps].iter().enumerate() {
                place(tap + 1, *weight);
            }
        }
        self.weights.extend(table);
        let mut step = windowed(layer, from, *window, Fold::Weighted, &blocks);
        step.weights = at;
        step.end = EndStep { first: end.first, residual: residual.unwrap_or_default(), second: end.second };
        self.per_channel(layer, Step::Windowed(step), &blocks)
    }
}

/// Bytes of input that a convolution goes over before it turns to its next output channels: half of a usual second cache.
const CHUNK: usize = 128 * 1024;

/// Bytes of weights of one pass: they share a usual first cache with the rows that they are multiplied with.
const PASS: usize = 20 * 1024;

/// `conv` as it is run: a pointwise one takes the plane as one row; chunks of rows or columns that fit the cache.
pub(super) fn shaped(mut conv: Conv, lanes: usize) -> Conv {
    let bytes = conv.inputs.len() * lanes * size_of::<f32>();
    let Window { size, stride, pads, .. } = conv.window;
    // Weights of one input block for the usual two of output.
    let weights = 2 * lanes * lanes * size_of::<f32>() * size[0] * size[1];
    conv.depth = (PASS / weights).max(1);
    if size == [1, 1] && stride == [1, 1] && pads == [0; 4] {
        (conv.height, conv.width) = (1, conv.height * conv.width);
        (conv.out_height, conv.out_width) = (1, conv.out_height * conv.out_width);
        conv.chunk = [1, (CHUNK / bytes).next_multiple_of(24).max(48)];
    } else {
        let rows = CHUNK / (bytes * conv.width * stride[0]);
        conv.chunk = [rows.max(1), conv.out_width];
    }
    conv
}
