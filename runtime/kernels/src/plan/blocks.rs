//! Which block and lane each channel lies in, and copies of channels that lie too scattered.

use std::collections::BTreeMap;

use super::Step;
use super::compile::Compiler;
use super::place::{Life, places};
use crate::graph::{Channel, GraphError, Map};
use crate::lanes::{Gather, Gathered};
use crate::whole::Scatter;

/// Where a channel lies: a plane (block number in a memory without reuse) and a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub plane: usize,
    pub lane: usize,
}

/// A result in a memory without reuse, in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor {
    pub base: usize,
    pub length: usize,
}

/// Blocks to read and, for each channel asked for, its position in them (block · lanes + lane).
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub planes: Vec<usize>,
    pub positions: Vec<usize>,
}

impl Blocks {
    /// Whether each position is asked for once.
    pub fn distinct(&self) -> bool {
        let mut sorted = self.positions.clone();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    }

    fn same_order(&self, other: &Self) -> bool {
        self.positions == other.positions && self.planes.len() == other.planes.len()
    }
}

impl Compiler<'_> {
    pub(super) fn place(&self, channel: Channel) -> Place {
        self.places[channel.layer as usize][channel.index as usize]
    }

    /// The packed weights go on at a cache line; where, in blocks.
    pub(super) fn align(&mut self) -> usize {
        self.weights.resize(self.weights.len().next_multiple_of(16), 0.0);
        self.weights.len() / self.lanes
    }

    pub(super) fn blocks(&mut self, map: &Map) -> Blocks {
        self.blocks_of(map.list(), map.height() * map.width())
    }

    /// [`Self::blocks`] in which every channel has a place of its own.
    pub(super) fn distinct(&mut self, map: &Map) -> Blocks {
        let blocks = self.blocks(map);
        if blocks.distinct() { blocks } else { self.exact(map.list(), map.height() * map.width()) }
    }

    /// The channels of `map`, lying as those of `other`.
    pub(super) fn like(&mut self, map: &Map, other: &Blocks) -> Blocks {
        let blocks = self.blocks(map);
        if blocks.same_order(other) {
            return blocks;
        }
        let places: Vec<Place> = map.list().iter().map(|channel| self.place(*channel)).collect();
        let area = map.height() * map.width();
        self.moved(map.list(), &places, other.positions.clone(), other.planes.len(), area)
    }

    /// A copy of the channels in the order of `list`.
    pub(super) fn exact(&mut self, list: &[Channel], area: usize) -> Blocks {
        let places: Vec<Place> = list.iter().map(|channel| self.place(*channel)).collect();
        let blocks = list.len().div_ceil(self.width(list));
        self.moved(list, &places, (0..list.len()).collect(), blocks, area)
    }

    /// Channels that a block of those of `list` holds.
    pub(super) fn width(&self, list: &[Channel]) -> usize {
        let whole = list.first().is_some_and(|channel| self.graph.layers[channel.layer as usize].op.whole());
        if whole { 2 * self.lanes } else { self.lanes }
    }

    /// [`Self::gather`], of whole numbers too.
    fn moved(
        &mut self,
        list: &[Channel],
        places: &[Place],
        positions: Vec<usize>,
        blocks: usize,
        area: usize,
    ) -> Blocks {
        if self.width(list) == self.lanes {
            return self.gather(places, positions, blocks, area);
        }
        let mut step = Scatter { area, places: vec![None; blocks * 2 * self.lanes] };
        for (place, position) in places.iter().zip(&positions) {
            step.places[*position] = Some((place.plane, place.lane));
        }
        let base = self.write(Step::Scatter(step), blocks * area, "copy".into(), [places.len(), 1, area]);
        Blocks { planes: (0..blocks).map(|block| base + block * area).collect(), positions }
    }

    /// The blocks in which the channels of `list` lie, or a copy where these hold too much else.
    pub(super) fn blocks_of(&mut self, list: &[Channel], area: usize) -> Blocks {
        let width = self.width(list);
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
        let least = distinct.len().div_ceil(width);
        if width > self.lanes || planes.len() <= least || distinct.len() * 3 >= planes.len() * width * 2 {
            let position = |place: &Place| order[&place.plane] * width + place.lane;
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
        let base = self.write(Step::Gather(step), blocks * area, "copy".into(), [places.len(), 1, area]);
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
    pub(super) fn settle(&mut self) -> Result<usize, GraphError> {
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
