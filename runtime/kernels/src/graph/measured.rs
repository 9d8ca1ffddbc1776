//! Layers of whole numbers whose grid each run finds for itself: quantisation while a model runs, as ONNX's
//! DynamicQuantizeLinear and ConvInteger define it.

use super::{End, Graph, GraphError, Map, Op, Window, mismatch, needs};

/// A map as eight-bit numbers q without sign, on a grid between its least and its greatest number, 0 among them. Only
/// convolutions read it ([`Graph::measured_conv`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured(Map);

impl Measured {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.0.channels()
    }
}

impl Graph {
    /// Whole numbers for those of `from`, on the grid that ONNX's DynamicQuantizeLinear finds for them.
    ///
    /// # Errors
    /// A map of whole numbers.
    pub fn measure(&mut self, name: &str, from: &Map) -> Result<Measured, GraphError> {
        needs(false, from)?;
        let op = Op::Measure { from: from.clone() };
        self.push(name, op, from.channels(), from.height, from.width).map(Measured)
    }

    /// A convolution of such numbers, less their zero point: the sum of products without loss, times what 1 of the map and
    /// 1 of the result's weights (`factors`) stand for, plus `bias`; each operation rounded to f32.
    ///
    /// # Errors
    /// Sizes that do not fit each other; groups other than one, or one for each channel with one result each; weights
    /// beyond ±255; a factor that is no number; sums that 32 bits might not hold.
    #[allow(clippy::too_many_arguments, reason = "the parts of ONNX's ConvInteger and what follows it")]
    pub fn measured_conv(
        &mut self,
        name: &str,
        Measured(from): &Measured,
        window: Window,
        groups: usize,
        weights: Vec<i16>,
        factors: Vec<f32>,
        bias: Vec<f32>,
        end: impl Into<End>,
    ) -> Result<Map, GraphError> {
        let (height, width) = window.over(from.height, from.width)?;
        let (end, outputs) = (end.into(), bias.len());
        if groups != 1 && (groups != from.channels() || groups != outputs) {
            return mismatch("groups of whole numbers", format!("1 or {}", from.channels()), groups);
        }
        let taps = from.channels() / groups * window.size[0] * window.size[1];
        if outputs == 0 || weights.len() != outputs * taps || factors.len() != outputs {
            let found = format!("{} for {outputs} channels and {} factors", weights.len(), factors.len());
            return mismatch("weights of a convolution", outputs * taps, found);
        }
        if factors.iter().any(|factor| !factor.is_finite()) {
            return mismatch("factors of a convolution", "finite ones", format!("{factors:?}"));
        }
        for weights in weights.chunks_exact(taps) {
            let sum: i64 = weights.iter().map(|weight| i64::from(weight.unsigned_abs()) * 255).sum();
            if sum > i64::from(i32::MAX) || weights.iter().any(|weight| weight.unsigned_abs() > 255) {
                return mismatch("sums of a convolution", "within 32 bits, of weights within ±255", sum);
            }
        }
        if let Some(residual) = &end.residual {
            needs(false, residual)?;
            let found = (residual.channels(), residual.height, residual.width);
            if found != (outputs, height, width) {
                return mismatch("residual", format!("{:?}", (outputs, height, width)), format!("{found:?}"));
            }
        }
        let op = Op::MeasuredConv { from: from.clone(), window, groups, weights, factors, bias, end };
        self.push(name, op, outputs, height, width)
    }
}
