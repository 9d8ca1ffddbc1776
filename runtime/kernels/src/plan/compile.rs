//! From layers to steps: which block and lane each channel lies in, weights packed for that, copies only where channels
//! lie too scattered.
//!
//! A layer reads blocks. Channels of its input that lie in other lanes, or in another order, than the layer names them
//! are no reason for a copy: a convolution's weights are packed in the order in which the channels lie, and a layer that
//! looks at each channel by itself leaves them where they are. A copy is made where more than a third of the lanes that
//! would be read are not asked for.

use std::collections::HashMap;

use super::blocks::{Blocks, Place, Tensor};
use super::measured::Measured;
use super::needed::{needed, picture, table, translated};
use super::{Placed, Plan, Step};
use crate::act::Activation;
use crate::end::EndStep;
use crate::graph::{Graph, GraphError, Layer, Map, Op, Window};
use crate::lanes::{Each, Pack, Pair, Resize, Softmax, Unpack};
use crate::memory::Aligned;
use crate::simd::Isa;
use crate::window::{Fold, Windowed};

pub(super) fn plan(graph: &Graph, isa: Isa) -> Result<Plan, GraphError> {
    let mut compiler = Compiler {
        graph,
        lanes: isa.lanes(),
        bytes: isa.bytes(),
        steps: Vec::new(),
        tensors: Vec::new(),
        places: vec![Vec::new(); graph.layers.len()],
        weights: Vec::new(),
        masks: HashMap::new(),
        gathered: HashMap::new(),
        narrowed: HashMap::new(),
        measured: HashMap::new(),
    };
    let needed = needed(graph);
    let translated = translated(graph, &needed);
    for (at, layer) in graph.layers.iter().enumerate().filter(|(at, _)| needed[*at]) {
        if !compiler.places[at].is_empty() {
            continue;
        }
        let translates = translated.get(&at).copied();
        compiler.places[at] = match translates.and_then(|at| table(&graph.layers[at])) {
            Some(table) => compiler.whole_conv(layer, Some(table)),
            None => compiler.layer(layer),
        };
        if let Some(translates) = translates {
            compiler.places[translates] = compiler.places[at].clone();
        }
    }
    for (output, layer) in graph.outputs.iter().enumerate() {
        for piece in &layer.pieces {
            compiler.output(output, piece);
        }
    }
    let memory = compiler.settle()?;
    let mut weights = Aligned::zeros(compiler.weights.len());
    weights.fill(&compiler.weights);
    Ok(Plan {
        isa,
        inputs: graph.inputs.clone(),
        outputs: graph.outputs.iter().map(|output| output.length).collect(),
        steps: compiler.steps,
        weights,
        memory,
    })
}

pub(super) struct Compiler<'a> {
    pub(super) graph: &'a Graph,
    pub(super) lanes: usize,
    /// Whether products of bytes pay.
    pub(super) bytes: bool,
    pub(super) steps: Vec<Placed>,
    pub(super) tensors: Vec<Tensor>,
    /// Of each layer's channels.
    pub(super) places: Vec<Vec<Place>>,
    pub(super) weights: Vec<f32>,
    pub(super) masks: HashMap<Vec<Option<usize>>, usize>,
    pub(super) gathered: HashMap<Vec<Place>, Blocks>,
    /// Of planes of 16-bit numbers and what becomes 0: where their bytes lie.
    pub(super) narrowed: HashMap<(Vec<usize>, i16), usize>,
    /// Of layers that find their grid in each run.
    pub(super) measured: HashMap<u32, Measured>,
}

impl Compiler<'_> {
    /// The steps of one layer; where its channels lie.
    fn layer(&mut self, layer: &Layer) -> Vec<Place> {
        match &layer.op {
            Op::Image { input, views } => {
                let step =
                    Pack { input: *input, views: views.clone(), height: layer.height, width: layer.width };
                let blocks = views.len().div_ceil(self.lanes);
                let base = self.push(layer, Step::Pack(step), blocks, 0);
                self.in_order(layer, base, 0..views.len())
            }
            Op::Conv { from, groups, weights, .. } if *groups == 1 => match picture(self.graph, layer) {
                Some((input, views)) => self.first(layer, input, views),
                None => self.dense(layer, from, weights, 0..layer.channels),
            },
            Op::Conv { from, groups, .. }
                if *groups == from.channels() && from.channels() == layer.channels =>
            {
                self.depthwise(layer)
            }
            Op::Conv { from, groups, weights, .. } => {
                let (inputs, outputs) = (from.channels() / groups, layer.channels / groups);
                let one = |group: usize| {
                    let list = &from.list()[group * inputs..][..inputs];
                    let part = &weights[group * (weights.len() / groups)..][..weights.len() / groups];
                    (list.to_vec(), part.to_vec(), group * outputs..(group + 1) * outputs)
                };
                let parts: Vec<_> = (0..*groups).map(one).collect();
                let parts = parts
                    .into_iter()
                    .flat_map(|(list, weights, outputs)| self.dense_of(layer, &list, &weights, outputs));
                parts.collect()
            }
            Op::MaxPool { from, window } => self.pooled(layer, from, *window, Fold::Greatest),
            Op::AveragePool { from, window, padding_counts } => {
                let fold = Fold::Mean { padding_counts: *padding_counts };
                self.pooled(layer, from, *window, fold)
            }
            Op::Resize { from, rows, columns } => {
                let blocks = self.blocks(from);
                let step = Resize {
                    inputs: blocks.planes.clone(),
                    height: from.height(),
                    width: from.width(),
                    rows: rows.clone(),
                    columns: columns.clone(),
                };
                self.per_channel(layer, Step::Resize(step), &blocks)
            }
            Op::Activate { from, activation } => {
                let blocks = self.blocks(from);
                let area = layer.height * layer.width;
                let inputs = blocks.planes.clone();
                let step = Each { inputs, area, scale: None, activation: *activation };
                self.per_channel(layer, Step::Each(step), &blocks)
            }
            Op::Scale { from, factors, offsets, activation } => {
                let blocks = self.distinct(from);
                let scale = self.align();
                let mut table = vec![0.0; blocks.planes.len() * 2 * self.lanes];
                for ((position, factor), offset) in blocks.positions.iter().zip(factors).zip(offsets) {
                    let (block, lane) = (position / self.lanes, position % self.lanes);
                    table[block * 2 * self.lanes + lane] = *factor;
                    table[(block * 2 + 1) * self.lanes + lane] = *offset;
                }
                self.weights.extend(table);
                let area = layer.height * layer.width;
                let inputs = blocks.planes.clone();
                let step = Each { inputs, area, scale: Some(scale), activation: *activation };
                self.per_channel(layer, Step::Each(step), &blocks)
            }
            Op::Pair { both, a, b, activation } => {
                let first = self.distinct(a);
                let second = self.like(b, &first);
                let area = layer.height * layer.width;
                let (a, b) = (first.planes.clone(), second.planes);
                let step = Pair { both: *both, a, b, area, activation: *activation };
                self.per_channel(layer, Step::Pair(step), &first)
            }
            Op::Softmax { from } => {
                let blocks = self.distinct(from);
                let masks = self.align();
                let mut table = vec![0.0; blocks.planes.len() * self.lanes];
                for position in &blocks.positions {
                    table[*position] = -1.0;
                }
                self.weights.extend(table);
                let area = layer.height * layer.width;
                let step = Softmax { inputs: blocks.planes.clone(), masks, area };
                self.per_channel(layer, Step::Softmax(step), &blocks)
            }
            Op::WholeConv { .. } => self.whole_conv(layer, None),
            Op::Measure { from } => self.measure(layer, from),
            Op::MeasuredConv { .. } => self.measured_conv(layer),
            Op::Quantize { .. } | Op::Values { .. } | Op::Translate { .. } | Op::WholeSum { .. } => {
                self.whole_lanes(layer)
            }
        }
    }

    fn pooled(&mut self, layer: &Layer, from: &Map, window: Window, fold: Fold) -> Vec<Place> {
        let blocks = self.blocks(from);
        let step = windowed(layer, from, window, fold, &blocks);
        self.per_channel(layer, Step::Windowed(step), &blocks)
    }

    /// A step whose results lie as what it reads.
    pub(super) fn per_channel(&mut self, layer: &Layer, step: Step, blocks: &Blocks) -> Vec<Place> {
        let multiplications = match &layer.op {
            Op::Conv { weights, .. } => weights.len() * layer.height * layer.width,
            _ => 0,
        };
        let base = self.push(layer, step, blocks.planes.len(), multiplications);
        self.in_order(layer, base, blocks.positions.iter().copied())
    }

    pub(super) fn in_order(
        &self,
        layer: &Layer,
        base: usize,
        positions: impl IntoIterator<Item = usize>,
    ) -> Vec<Place> {
        let area = layer.height * layer.width;
        let width = if layer.op.whole() { 2 * self.lanes } else { self.lanes };
        let place = |position| Place { plane: base + position / width * area, lane: position % width };
        positions.into_iter().map(place).collect()
    }

    fn output(&mut self, output: usize, piece: &crate::graph::Placed) {
        let places = piece.map.list().iter().map(|channel| self.place(*channel));
        let step = Unpack {
            output,
            channels: places.map(|place| (place.plane, place.lane)).collect(),
            height: piece.map.height(),
            width: piece.map.width(),
            offset: piece.offset,
            channel: piece.channel,
            row: piece.row,
            column: piece.column,
        };
        let shape = [step.channels.len(), step.height, step.width];
        let layer = format!("output {output}");
        let step = Step::Unpack(step);
        self.steps.push(Placed { step, out: 0, length: 0, layer, multiplications: 0, shape });
    }

    /// Adds a step that writes `blocks` blocks of the layer's size; where they begin.
    pub(super) fn push(&mut self, layer: &Layer, step: Step, blocks: usize, multiplications: usize) -> usize {
        let shape = [layer.channels, layer.height, layer.width];
        let base = self.write(step, blocks * layer.height * layer.width, layer.name.clone(), shape);
        if let Some(placed) = self.steps.last_mut() {
            placed.multiplications = u64::try_from(multiplications).unwrap_or(u64::MAX);
        }
        base
    }

    pub(super) fn write(&mut self, step: Step, length: usize, layer: String, shape: [usize; 3]) -> usize {
        let base = self.tensors.last().map_or(0, |tensor| tensor.base + tensor.length);
        self.tensors.push(Tensor { base, length });
        self.steps.push(Placed { step, out: base, length, layer, multiplications: 0, shape });
        base
    }
}

pub(super) fn windowed(layer: &Layer, from: &Map, window: Window, fold: Fold, blocks: &Blocks) -> Windowed {
    Windowed {
        fold,
        inputs: blocks.planes.clone(),
        height: from.height(),
        width: from.width(),
        out_height: layer.height,
        out_width: layer.width,
        window,
        weights: 0,
        end: EndStep { first: Activation::None, residual: Vec::new(), second: Activation::None },
    }
}
