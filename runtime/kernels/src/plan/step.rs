//! What a step is called, what it goes over, what it reads.

use super::{Step, StepSize};
use crate::whole::{MeasuredConv, WholeConv, WindowEnd};
use crate::window::Fold;

impl Step {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Pack(_) => "pack",
            Self::First(_) => "first conv",
            Self::Conv(step) if step.window.size == [1, 1] => "pointwise",
            Self::Conv(_) => "conv",
            Self::Windowed(step) => match step.fold {
                Fold::Weighted => "depthwise",
                Fold::Greatest => "max pool",
                Fold::Mean { .. } => "average pool",
            },
            Self::Each(_) => "each",
            Self::Pair(_) => "pair",
            Self::Softmax(_) => "softmax",
            Self::Resize(_) => "resize",
            Self::Gather(_) | Self::Scatter(_) => "gather",
            Self::Quantize(_) | Self::Measure(_) => "quantize",
            Self::Narrow(_) => "bytes",
            Self::Values(_) => "dequantize",
            Self::Translate(_) => "table",
            Self::WholeSum(_) => "int8 sum",
            Self::WholeConv(WholeConv { conv, .. }) | Self::MeasuredConv(MeasuredConv { conv, .. }) => {
                if conv.window.size == [1, 1] { "int8 pointwise" } else { "int8 conv" }
            }
            Self::WholeWindow(_) => "int8 depthwise",
            Self::Unpack(_) => "unpack",
        }
    }

    pub(super) fn size(&self) -> StepSize {
        let pixels = |from: usize, to: usize, rows: usize, columns: usize| StepSize {
            blocks: [from, to],
            pixels: [rows, columns],
            ..StepSize::default()
        };
        match self {
            Self::Pack(step) => pixels(0, step.views.len().div_ceil(8), step.height, step.width),
            Self::First(step) => StepSize {
                window: step.window.size,
                stride: step.window.stride,
                ..pixels(step.views.len().div_ceil(8), step.out_blocks, step.out_height, step.out_width)
            },
            Self::Conv(step) => StepSize {
                window: step.window.size,
                stride: step.window.stride,
                ..pixels(step.inputs.len(), step.out_blocks, step.out_height, step.out_width)
            },
            Self::WholeConv(WholeConv { conv, .. }) => StepSize {
                window: conv.window.size,
                stride: conv.window.stride,
                ..pixels(conv.inputs.len(), conv.out_blocks.div_ceil(2), conv.out_height, conv.out_width)
            },
            Self::WholeWindow(step) => StepSize {
                window: step.window.size,
                stride: step.window.stride,
                ..pixels(step.inputs.len(), step.inputs.len(), step.out_height, step.out_width)
            },
            Self::Windowed(step) => StepSize {
                window: step.window.size,
                stride: step.window.stride,
                ..pixels(step.inputs.len(), step.inputs.len(), step.out_height, step.out_width)
            },
            Self::Each(step) => pixels(step.inputs.len(), step.inputs.len(), 1, step.area),
            Self::Pair(step) => pixels(step.a.len() + step.b.len(), step.a.len(), 1, step.area),
            Self::Softmax(step) => pixels(step.inputs.len(), step.inputs.len(), 1, step.area),
            Self::Resize(step) => {
                pixels(step.inputs.len(), step.inputs.len(), step.rows.len(), step.columns.len())
            }
            Self::Quantize(step) => pixels(step.inputs.len(), step.inputs.len().div_ceil(2), 1, step.area),
            Self::Narrow(step) => pixels(step.inputs.len(), step.inputs.len().div_ceil(2), 1, step.area),
            Self::Values(step) => pixels(step.inputs.len(), step.inputs.len() * 2, 1, step.area),
            Self::Translate(step) => pixels(step.inputs.len(), step.inputs.len(), 1, step.area),
            Self::WholeSum(step) => pixels(step.a.len() * 2, step.a.len(), 1, step.area),
            Self::MeasuredConv(MeasuredConv { conv, .. }) => StepSize {
                window: conv.window.size,
                stride: conv.window.stride,
                ..pixels(conv.inputs.len(), conv.out_blocks, conv.out_height, conv.out_width)
            },
            Self::Measure(step) => pixels(step.inputs.len(), step.blocks().iter().sum(), 1, step.area),
            Self::Scatter(step) => pixels(0, 0, 1, step.area),
            Self::Gather(step) => pixels(step.blocks.len(), step.blocks.len(), 1, step.area),
            Self::Unpack(step) => pixels(step.channels.len().div_ceil(8), 0, step.height, step.width),
        }
    }

    /// The planes it reads.
    pub(super) fn planes(&mut self) -> Vec<&mut usize> {
        match self {
            Self::Pack(_) => Vec::new(),
            Self::First(step) => step.end.residual.iter_mut().collect(),
            Self::Conv(step) => {
                let inputs = step.inputs.iter_mut().map(|input| &mut input.at);
                inputs.chain(&mut step.end.residual).collect()
            }
            Self::Windowed(step) => step.inputs.iter_mut().chain(&mut step.end.residual).collect(),
            Self::Each(step) => step.inputs.iter_mut().collect(),
            Self::Pair(step) => step.a.iter_mut().chain(&mut step.b).collect(),
            Self::Softmax(step) => step.inputs.iter_mut().collect(),
            Self::Resize(step) => step.inputs.iter_mut().collect(),
            Self::Quantize(step) => step.inputs.iter_mut().collect(),
            Self::Narrow(step) => step.inputs.iter_mut().collect(),
            Self::Values(step) => step.inputs.iter_mut().collect(),
            Self::Translate(step) => step.inputs.iter_mut().collect(),
            Self::WholeSum(step) => step.a.iter_mut().chain(&mut step.b).collect(),
            Self::WholeConv(step) => step.conv.inputs.iter_mut().map(|input| &mut input.at).collect(),
            Self::WholeWindow(step) => {
                let mut planes: Vec<&mut usize> = step.inputs.iter_mut().collect();
                if let WindowEnd::Numbers(numbers, end) = &mut step.end {
                    planes.push(&mut numbers.grid);
                    planes.extend(&mut end.residual);
                }
                planes
            }
            Self::Measure(step) => step.inputs.iter_mut().collect(),
            Self::MeasuredConv(MeasuredConv { conv, numbers, .. }) => {
                let inputs = conv.inputs.iter_mut().map(|input| &mut input.at);
                inputs.chain(&mut conv.end.residual).chain([&mut numbers.grid]).collect()
            }
            Self::Scatter(step) => step.places.iter_mut().flatten().map(|(plane, _)| plane).collect(),
            Self::Gather(step) => {
                step.blocks.iter_mut().flat_map(|block| &mut block.0).map(|(plane, _)| plane).collect()
            }
            Self::Unpack(step) => step.channels.iter_mut().map(|(plane, _)| plane).collect(),
        }
    }
}
