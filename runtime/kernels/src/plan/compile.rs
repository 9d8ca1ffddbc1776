//! From layers to steps: which block and lane each channel lies in, weights packed for that, copies only where channels
//! lie too scattered.
//!
//! A layer reads blocks. Channels of its input that lie in other lanes, or in another order, than the layer names them
//! are no reason for a copy: a convolution's weights are packed in the order in which the channels lie, and a layer that
//! looks at each channel by itself leaves them where they are. A copy is made where more than a third of the lanes that
//! would be read are not asked for.

use std::collections::{BTreeMap, HashMap};

use super::needed::{needed, picture};
use super::pack::Packing;
use super::place::{Life, places};
use super::{Placed, Plan, Step};
use crate::act::Activation;
use crate::conv::{Conv, InputBlock};
use crate::end::EndStep;
use crate::first::First;
use crate::graph::{Channel, End, Graph, GraphError, Layer, Map, Op, View, Window};
use crate::lanes::{Each, Gather, Gathered, Pack, Pair, Resize, Softmax, Unpack};
use crate::memory::Aligned;
use crate::simd::Isa;
use crate::window::{Fold, Windowed};

pub(super) fn plan(graph: &Graph, isa: Isa) -> Result<Plan, GraphError> {
    let lanes = match isa.0 {
        #[cfg(target_arch = "x86_64")]
        crate::simd::Chosen::Avx512(_) => 16,
        _ => 8,
    };
    let mut compiler = Compiler {
        graph,
        lanes,
        steps: Vec::new(),
        tensors: Vec::new(),
        places: vec![Vec::new(); graph.layers.len()],
        weights: Vec::new(),
        masks: HashMap::new(),
        gathered: HashMap::new(),
    };
    let needed = needed(graph);
    for (at, layer) in graph.layers.iter().enumerate().filter(|(at, _)| needed[*at]) {
        compiler.places[at] = compiler.layer(layer);
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

/// Where a channel lies: a plane (block number in a memory without reuse) and a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    plane: usize,
    lane: usize,
}

/// A result in a memory without reuse, in blocks.
#[derive(Clone, Copy, Debug)]
struct Tensor {
    base: usize,
    length: usize,
}

/// Blocks to read and, for each channel asked for, its position in them (block · lanes + lane).
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub planes: Vec<usize>,
    pub positions: Vec<usize>,
}

impl Blocks {
    /// Whether each position is asked for once.
    fn distinct(&self) -> bool {
        let mut sorted = self.positions.clone();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    }

    fn same_order(&self, other: &Self) -> bool {
        self.positions == other.positions && self.planes.len() == other.planes.len()
    }
}

/// Where a convolution's results lie.
struct Results {
    /// Planes of the residual; none where there is none.
    residual: Vec<usize>,
    /// Of each channel.
    positions: Vec<usize>,
    blocks: usize,
}

struct Compiler<'a> {
    graph: &'a Graph,
    lanes: usize,
    steps: Vec<Placed>,
    tensors: Vec<Tensor>,
    /// Of each layer's channels.
    places: Vec<Vec<Place>>,
    weights: Vec<f32>,
    masks: HashMap<Vec<Option<usize>>, usize>,
    gathered: HashMap<Vec<Place>, Blocks>,
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
        }
    }

    fn dense(
        &mut self,
        layer: &Layer,
        from: &Map,
        weights: &[f32],
        outputs: std::ops::Range<usize>,
    ) -> Vec<Place> {
        self.dense_of(layer, from.list(), weights, outputs)
    }

    /// A convolution of all channels of `list` to the layer's channels `outputs`.
    fn dense_of(
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
    fn results(&mut self, end: &End, outputs: std::ops::Range<usize>) -> Results {
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
    fn first(&mut self, layer: &Layer, input: usize, views: Vec<View>) -> Vec<Place> {
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

    fn depthwise(&mut self, layer: &Layer) -> Vec<Place> {
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

    fn pooled(&mut self, layer: &Layer, from: &Map, window: Window, fold: Fold) -> Vec<Place> {
        let blocks = self.blocks(from);
        let step = windowed(layer, from, window, fold, &blocks);
        self.per_channel(layer, Step::Windowed(step), &blocks)
    }

    /// A step whose results lie as what it reads.
    fn per_channel(&mut self, layer: &Layer, step: Step, blocks: &Blocks) -> Vec<Place> {
        let multiplications = match &layer.op {
            Op::Conv { weights, .. } => weights.len() * layer.height * layer.width,
            _ => 0,
        };
        let base = self.push(layer, step, blocks.planes.len(), multiplications);
        self.in_order(layer, base, blocks.positions.iter().copied())
    }

    fn in_order(&self, layer: &Layer, base: usize, positions: impl IntoIterator<Item = usize>) -> Vec<Place> {
        let area = layer.height * layer.width;
        let place =
            |position| Place { plane: base + position / self.lanes * area, lane: position % self.lanes };
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
        let layer = format!("output {output}");
        let step = Step::Unpack(step);
        self.steps.push(Placed { step, out: 0, length: 0, layer, multiplications: 0 });
    }

    /// Adds a step that writes `blocks` blocks of the layer's size; where they begin.
    fn push(&mut self, layer: &Layer, step: Step, blocks: usize, multiplications: usize) -> usize {
        self.write(step, blocks * layer.height * layer.width, layer.name.clone(), multiplications)
    }

    fn write(&mut self, step: Step, length: usize, layer: String, multiplications: usize) -> usize {
        let base = self.tensors.last().map_or(0, |tensor| tensor.base + tensor.length);
        self.tensors.push(Tensor { base, length });
        let multiplications = u64::try_from(multiplications).unwrap_or(u64::MAX);
        self.steps.push(Placed { step, out: base, length, layer, multiplications });
        base
    }

    fn place(&self, channel: Channel) -> Place {
        self.places[channel.layer as usize][channel.index as usize]
    }

    /// The packed weights go on at a cache line; where, in blocks.
    fn align(&mut self) -> usize {
        self.weights.resize(self.weights.len().next_multiple_of(16), 0.0);
        self.weights.len() / self.lanes
    }

    fn blocks(&mut self, map: &Map) -> Blocks {
        self.blocks_of(map.list(), map.height() * map.width())
    }

    /// [`Self::blocks`] in which every channel has a place of its own.
    fn distinct(&mut self, map: &Map) -> Blocks {
        let blocks = self.blocks(map);
        if blocks.distinct() { blocks } else { self.exact(map.list(), map.height() * map.width()) }
    }

    /// The channels of `map`, lying as those of `other`.
    fn like(&mut self, map: &Map, other: &Blocks) -> Blocks {
        let blocks = self.blocks(map);
        if blocks.same_order(other) {
            return blocks;
        }
        let places: Vec<Place> = map.list().iter().map(|channel| self.place(*channel)).collect();
        let area = map.height() * map.width();
        self.gather(&places, other.positions.clone(), other.planes.len(), area)
    }

    /// A copy of the channels in the order of `list`.
    fn exact(&mut self, list: &[Channel], area: usize) -> Blocks {
        let places: Vec<Place> = list.iter().map(|channel| self.place(*channel)).collect();
        self.gather(&places, (0..list.len()).collect(), list.len().div_ceil(self.lanes), area)
    }

    /// The blocks in which the channels of `list` lie, or a copy where these hold too much else.
    fn blocks_of(&mut self, list: &[Channel], area: usize) -> Blocks {
        let places: Vec<Place> = list.iter().map(|channel| self.place(*channel)).collect();
        let mut order: BTreeMap<usize, usize> = BTreeMap::new();
        let mut planes = Vec::new();
        for place in &places {
            order.entry(place.plane).or_insert_with(|| {
                planes.push(place.plane);
                planes.len() - 1
            });
        }
        let mut distinct = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let least = distinct.len().div_ceil(self.lanes);
        if planes.len() <= least || distinct.len() * 3 >= planes.len() * self.lanes * 2 {
            let position = |place: &Place| order[&place.plane] * self.lanes + place.lane;
            let positions = places.iter().map(position).collect();
            return Blocks { planes, positions };
        }
        if let Some(known) = self.gathered.get(&distinct) {
            let positions = &known.positions;
            let at = |place: &Place| distinct.binary_search(place).map(|at| positions[at]);
            let positions = places.iter().map(|place| at(place).unwrap_or_default()).collect();
            return Blocks { planes: known.planes.clone(), positions };
        }
        // In the order of their planes: few planes for each block.
        let positions = (0..distinct.len()).collect();
        let blocks = self.gather(&distinct, positions, least, area);
        self.gathered.insert(distinct, blocks);
        self.blocks_of(list, area)
    }

    /// Copies the channels at `places` to `positions`, all different, of new blocks.
    fn gather(&mut self, places: &[Place], positions: Vec<usize>, blocks: usize, area: usize) -> Blocks {
        let mut step = Gather { area, blocks: vec![Gathered::default(); blocks] };
        // Of each block and plane: the lane that each lane is read from.
        let mut moves: BTreeMap<(usize, usize), Vec<Option<usize>>> = BTreeMap::new();
        for (place, position) in places.iter().zip(&positions) {
            let (block, lane) = (position / self.lanes, position % self.lanes);
            moves.entry((block, place.plane)).or_insert_with(|| vec![None; self.lanes])[lane] =
                Some(place.lane);
        }
        for ((block, plane), lanes) in moves {
            let mask = self.mask(lanes);
            step.blocks[block].0.push((plane, mask));
        }
        let base = self.write(Step::Gather(step), blocks * area, "copy".into(), 0);
        Blocks { planes: (0..blocks).map(|block| base + block * area).collect(), positions }
    }

    /// The mask of the lanes that are written, and the lanes that they are read from.
    fn mask(&mut self, lanes: Vec<Option<usize>>) -> usize {
        if let Some(known) = self.masks.get(&lanes) {
            return *known;
        }
        let at = self.align();
        self.weights.extend(lanes.iter().map(|from| if from.is_some() { -1.0 } else { 0.0 }));
        #[allow(clippy::cast_precision_loss, reason = "below 16")]
        self.weights.extend(lanes.iter().map(|from| from.unwrap_or_default() as f32));
        self.masks.insert(lanes, at);
        at
    }

    /// Gives every result its place in the one memory; its length in numbers.
    fn settle(&mut self) -> Result<usize, GraphError> {
        let tensors = self.tensors.clone();
        let holder = |plane: usize| tensors.partition_point(|tensor| tensor.base <= plane) - 1;
        let mut lives: Vec<Life> =
            tensors.iter().map(|tensor| Life { length: tensor.length, first: 0, last: 0 }).collect();
        for (at, placed) in self.steps.iter_mut().enumerate() {
            if placed.length > 0 {
                let life = &mut lives[holder(placed.out)];
                (life.first, life.last) = (at, at);
            }
            for plane in placed.step.planes() {
                lives[holder(*plane)].last = at;
            }
        }
        let (places, length) = places(&lives, self.lanes)?;
        for placed in &mut self.steps {
            if placed.length > 0 {
                placed.out = places[holder(placed.out)];
            }
            for plane in placed.step.planes() {
                let tensor = holder(*plane);
                *plane = *plane - tensors[tensor].base + places[tensor];
            }
        }
        Ok(length * self.lanes)
    }
}

fn windowed(layer: &Layer, from: &Map, window: Window, fold: Fold, blocks: &Blocks) -> Windowed {
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

/// Bytes of input that a convolution goes over before it turns to its next output channels: half of a usual second cache.
const CHUNK: usize = 128 * 1024;

/// Bytes of weights of one pass: half of a usual first cache.
const PASS: usize = 16 * 1024;

/// `conv` as it is run: a pointwise one takes the plane as one row; chunks of rows or columns that fit the cache.
fn shaped(mut conv: Conv, lanes: usize) -> Conv {
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
