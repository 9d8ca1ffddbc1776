//! Which layers are computed at all, which convolution reads the picture itself, and which translates its own results.

use std::collections::HashMap;

use crate::first::LEAST;
use crate::graph::{Channel, Graph, Layer, Map, Op, Table, View};

/// Which layers an output depends on.
pub(super) fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.layers.len()];
    let mark = |needed: &mut Vec<bool>, map: &Map| {
        for channel in map.list() {
            needed[channel.layer as usize] = true;
        }
    };
    for piece in graph.outputs.iter().flat_map(|output| &output.pieces) {
        mark(&mut needed, &piece.map);
    }
    for at in (0..graph.layers.len()).rev().collect::<Vec<_>>() {
        if !needed[at] {
            continue;
        }
        let layer = &graph.layers[at];
        let reads = layer.op.reads();
        // What a convolution reads from the picture itself, no layer makes.
        let own = usize::from(picture(graph, layer).is_some());
        reads.into_iter().skip(own).for_each(|map| mark(&mut needed, map));
    }
    needed
}

/// The input and its channels where `layer` is a convolution that can read them from the input itself.
pub(super) fn picture(graph: &Graph, layer: &Layer) -> Option<(usize, Vec<View>)> {
    let Op::Conv { from, groups: 1, .. } = &layer.op else { return None };
    let image = from.list().first()?.layer;
    let Op::Image { input, views } = &graph.layers[image as usize].op else { return None };
    let of = |channel: &Channel| (channel.layer == image).then(|| views[channel.index as usize]);
    let views: Vec<View> = from.list().iter().map(of).collect::<Option<_>>()?;
    let column = views[0].column;
    (layer.width >= LEAST && views.iter().all(|view| view.column == column)).then_some((*input, views))
}

/// Of each convolution of whole numbers whose results are translated and otherwise not read: the layer that translates them.
pub(super) fn translated(graph: &Graph, needed: &[bool]) -> HashMap<usize, usize> {
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, layer) in graph.layers.iter().enumerate().filter(|(at, _)| needed[*at]) {
        for channel in layer.op.reads().into_iter().flat_map(Map::list) {
            let readers = readers.entry(channel.layer as usize).or_default();
            if readers.last() != Some(&at) {
                readers.push(at);
            }
        }
    }
    let translates = |(layer, readers): (usize, Vec<usize>)| {
        let [reader] = readers[..] else { return None };
        let Op::Translate { from, .. } = &graph.layers[reader].op else { return None };
        let own = &graph.layers[layer];
        let all = (0u32..)
            .zip(from.list())
            .all(|(at, channel)| channel.index == at && channel.layer as usize == layer);
        let whole = matches!(own.op, Op::WholeConv { .. }) && from.channels() == own.channels && all;
        whole.then_some((layer, reader))
    };
    readers.into_iter().filter_map(translates).collect()
}

/// The table of a layer that translates.
pub(super) fn table(layer: &Layer) -> Option<Table<i16>> {
    if let Op::Translate { table, .. } = &layer.op { Some(table.clone()) } else { None }
}
