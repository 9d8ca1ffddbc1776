//! Steps of whole numbers, their weights packed in pairs.

use super::Step;
use super::blocks::{Blocks, Place};
use super::compile::Compiler;
use crate::graph::{Layer, Map, Op, Table, WholeEnd, Window};
use crate::portable::{bits_of, of_pair};
use crate::simd::halves;
use crate::whole::{End, Lookup, Quantize, Translate, Values, WholeSum, WholeWindow, WindowEnd};

impl Compiler<'_> {
    /// A convolution, its results translated by `table`.
    pub(super) fn whole_conv(&mut self, layer: &Layer, table: Option<Table<i16>>) -> Vec<Place> {
        let Op::WholeConv { from, window, groups, weights, bias, end } = &layer.op else { return Vec::new() };
        if *groups > 1 {
            let blocks = self.distinct(from);
            let places: Vec<usize> = blocks.positions.iter().map(|position| self.half(*position)).collect();
            let end = WindowEnd::Whole(self.end(end, &places, blocks.planes.len(), table));
            let step = self.whole_window(layer, from, *window, weights, bias, &blocks, end);
            return self.per_channel(layer, Step::WholeWindow(step), &blocks);
        }
        let inputs = self.blocks(from);
        let places: Vec<usize> = (0..layer.channels).collect();
        let end = self.end(end, &places, layer.channels.div_ceil(2 * self.lanes), table);
        self.whole_dense(layer, inputs, end)
    }

    /// `places`: of each channel's factor, among two registers for each block.
    fn end(&mut self, end: &WholeEnd, places: &[usize], blocks: usize, table: Option<Table<i16>>) -> End {
        let factors = self.align();
        let mut numbers = vec![0.0; blocks * 2 * self.lanes];
        for (factor, place) in end.factors.iter().zip(places) {
            numbers[*place] = *factor;
        }
        self.weights.extend(numbers);
        let table = table.map(|table| Lookup::of(table, [end.low, end.high]).0);
        End { factors, low: f32::from(end.low), high: f32::from(end.high), table }
    }

    /// Where, among two registers for each block, the 32-bit number of a channel lies.
    pub(super) fn half(&self, position: usize) -> usize {
        let width = 2 * self.lanes;
        let (register, lane) = halves(position % width);
        position / width * width + register * self.lanes + lane
    }

    /// The step of a convolution of each channel by itself.
    #[allow(clippy::too_many_arguments, reason = "the parts of the layer")]
    pub(super) fn whole_window(
        &mut self,
        layer: &Layer,
        from: &Map,
        window: Window,
        weights: &[i16],
        bias: &[i32],
        inputs: &Blocks,
        end: WindowEnd,
    ) -> WholeWindow {
        let width = 2 * self.lanes;
        let pairs = window.size[1].div_ceil(2);
        let rows = window.size[0] * pairs + 1;
        let mut packed = vec![0.0; inputs.planes.len() * rows * width];
        for (channel, position) in inputs.positions.iter().enumerate() {
            let half = self.half(*position);
            let first = half / width * rows * width + half % width;
            packed[first] = bits_of(bias[channel]);
            let taps = window.size[0] * window.size[1];
            for (ky, row) in weights[channel * taps..][..taps].chunks_exact(window.size[1]).enumerate() {
                for (pair, both) in row.chunks(2).enumerate() {
                    let both = [both[0], both.get(1).copied().unwrap_or(0)];
                    packed[first + (1 + ky * pairs + pair) * width] = of_pair(both);
                }
            }
        }
        let at = self.align();
        self.weights.extend(packed);
        WholeWindow {
            inputs: inputs.planes.clone(),
            height: from.height(),
            width: from.width(),
            out_height: layer.height,
            out_width: layer.width,
            window,
            weights: at,
            end,
        }
    }

    /// The ends of the whole numbers of a map.
    pub(super) fn ends(&self, map: &Map) -> [i16; 2] {
        let mut layers: Vec<u32> = map.list().iter().map(|channel| channel.layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let one = |layer: u32| match &self.graph.layers[layer as usize].op {
            Op::Quantize { grid, .. } | Op::WholeSum { grid, .. } => [grid.low, grid.high],
            Op::WholeConv { end, .. } => [end.low, end.high],
            Op::Translate { from, table } => Lookup::of(table.clone(), self.ends(from)).1,
            Op::Resize { from, .. } => self.ends(from),
            _ => [-256, 255],
        };
        let ends = layers.into_iter().map(one);
        ends.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or([-256, 255])
    }

    /// Layers that look at each number by itself.
    pub(super) fn whole_lanes(&mut self, layer: &Layer) -> Vec<Place> {
        let area = layer.height * layer.width;
        let (step, blocks, positions) = match &layer.op {
            Op::Quantize { from, grid } => {
                let Blocks { planes: inputs, positions } = self.blocks(from);
                let blocks = inputs.len().div_ceil(2);
                (Step::Quantize(Quantize { inputs, area, grid: *grid }), blocks, positions)
            }
            Op::Values { from, values } => {
                let Blocks { planes: inputs, positions } = self.blocks(from);
                let blocks = 2 * inputs.len();
                (Step::Values(Values { inputs, area, values: values.clone() }), blocks, positions)
            }
            Op::Translate { from, table } => {
                let Blocks { planes: inputs, positions } = self.blocks(from);
                let blocks = inputs.len();
                let lookup = Lookup::of(table.clone(), self.ends(from)).0;
                (Step::Translate(Translate { inputs, area, lookup }), blocks, positions)
            }
            Op::WholeSum { a, b, steps, grid } => {
                let first = self.distinct(a);
                let second = self.like(b, &first);
                let (a, blocks) = (first.planes, second.planes.len());
                let step = WholeSum { a, b: second.planes, area, steps: *steps, grid: *grid };
                (Step::WholeSum(step), blocks, first.positions)
            }
            _ => return Vec::new(),
        };
        let base = self.push(layer, step, blocks, 0);
        self.in_order(layer, base, positions)
    }
}
