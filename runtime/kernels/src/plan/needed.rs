//! Which layers are computed at all, and which convolution reads the picture itself.

use crate::first::LEAST;
use crate::graph::{Channel, Graph, Layer, Map, Op, View};

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
        match &graph.layers[at].op {
            Op::Image { .. } => {}
            Op::Conv { from, end, .. } => {
                if picture(graph, &graph.layers[at]).is_none() {
                    mark(&mut needed, from);
                }
                if let Some(residual) = &end.residual {
                    mark(&mut needed, residual);
                }
            }
            Op::Pair { a, b, .. } => {
                mark(&mut needed, a);
                mark(&mut needed, b);
            }
            Op::MaxPool { from, .. }
            | Op::AveragePool { from, .. }
            | Op::Resize { from, .. }
            | Op::Activate { from, .. }
            | Op::Scale { from, .. }
            | Op::Softmax { from } => mark(&mut needed, from),
        }
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
