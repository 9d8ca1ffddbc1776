//! What a layer does.

use super::{Between, Both, End, Grid, Map, Table, View, WholeEnd, Window};
use crate::act::Activation;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Image {
        input: usize,
        views: Vec<View>,
    },
    Conv {
        from: Map,
        window: Window,
        groups: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
        end: End,
    },
    MaxPool {
        from: Map,
        window: Window,
    },
    /// Mean over the window; whether padding counts as zeros that are part of it.
    AveragePool {
        from: Map,
        window: Window,
        padding_counts: bool,
    },
    Resize {
        from: Map,
        rows: Vec<Between>,
        columns: Vec<Between>,
    },
    Activate {
        from: Map,
        activation: Activation,
    },
    Pair {
        both: Both,
        a: Map,
        b: Map,
        activation: Activation,
    },
    /// Each channel times its factor, plus its offset.
    Scale {
        from: Map,
        factors: Vec<f32>,
        offsets: Vec<f32>,
        activation: Activation,
    },
    /// Over the channels of each pixel.
    Softmax {
        from: Map,
    },
    /// f32 to whole numbers.
    Quantize {
        from: Map,
        grid: Grid,
    },
    /// Whole numbers to f32: what each stands for.
    Values {
        from: Map,
        values: Table<f32>,
    },
    /// Whole numbers to others.
    Translate {
        from: Map,
        table: Table<i16>,
    },
    /// Sum of whole numbers, each times its factor.
    WholeSum {
        a: Map,
        b: Map,
        steps: [f32; 2],
        grid: Grid,
    },
    /// A convolution of whole numbers, dense or, where there are as many groups as channels, of each channel by itself.
    WholeConv {
        from: Map,
        window: Window,
        groups: usize,
        weights: Vec<i16>,
        bias: Vec<i32>,
        end: WholeEnd,
    },
    /// f32 to whole numbers on a grid that each run finds; for [`Op::MeasuredConv`] alone.
    Measure {
        from: Map,
    },
    /// A convolution of such numbers; its results are f32.
    MeasuredConv {
        from: Map,
        window: Window,
        groups: usize,
        weights: Vec<i16>,
        /// What 1 of each result's weights stands for.
        factors: Vec<f32>,
        bias: Vec<f32>,
        end: End,
    },
}

impl Op {
    /// The maps that it reads.
    pub fn reads(&self) -> Vec<&Map> {
        match self {
            Self::Image { .. } => Vec::new(),
            Self::Conv { from, end, .. } | Self::MeasuredConv { from, end, .. } => {
                std::iter::once(from).chain(&end.residual).collect()
            }
            Self::Pair { a, b, .. } | Self::WholeSum { a, b, .. } => vec![a, b],
            Self::MaxPool { from, .. }
            | Self::AveragePool { from, .. }
            | Self::Resize { from, .. }
            | Self::Activate { from, .. }
            | Self::Scale { from, .. }
            | Self::Softmax { from }
            | Self::Quantize { from, .. }
            | Self::Values { from, .. }
            | Self::Translate { from, .. }
            | Self::Measure { from }
            | Self::WholeConv { from, .. } => vec![from],
        }
    }

    /// Whether its result is whole numbers.
    pub fn whole(&self) -> bool {
        match self {
            Self::Quantize { .. }
            | Self::Translate { .. }
            | Self::Measure { .. }
            | Self::WholeSum { .. }
            | Self::WholeConv { .. } => true,
            Self::Resize { from, .. } => from.whole,
            _ => false,
        }
    }
}
