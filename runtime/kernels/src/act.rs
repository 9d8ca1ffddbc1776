//! What a layer does to each number at its end: activations, fused into the kernel that made the number.

use crate::simd::Simd;

/// An activation; on one number as ONNX defines the operator of that name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The number itself.
    None,
    /// The number, kept within limits: `Relu` is 0 to infinity, `Clip(0, 6)` is ReLU6.
    Clip {
        /// Least result.
        low: f32,
        /// Greatest result.
        high: f32,
    },
    /// Negative numbers times a slope.
    LeakyRelu(f32),
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// x / (1 + e^−x), also called Swish.
    Silu,
    /// x · clip(slope · x + offset, 0, 1); slope 1/6 and offset ½ in ONNX's `HardSwish`.
    HardSwish {
        /// Rise of the gate.
        slope: f32,
        /// The gate at 0.
        offset: f32,
    },
    /// clip(slope · x + offset, 0, 1)
    HardSigmoid {
        /// Rise.
        slope: f32,
        /// Value at 0.
        offset: f32,
    },
}

impl Activation {
    /// max(x, 0)
    pub const RELU: Self = Self::Clip { low: 0.0, high: f32::INFINITY };

    /// Of one number, as the standard library computes it: for tables.
    pub fn of(self, x: f32) -> f32 {
        let gate = |slope: f32, offset: f32| (slope * x + offset).clamp(0.0, 1.0);
        match self {
            Self::None => x,
            Self::Clip { low, high } => x.max(low).min(high),
            Self::LeakyRelu(slope) => x.max(0.0) + x.min(0.0) * slope,
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::HardSwish { slope, offset } => x * gate(slope, offset),
            Self::HardSigmoid { slope, offset } => gate(slope, offset),
        }
    }
}

/// `activation` of every number, in place.
#[inline(always)]
pub(crate) fn activate<S: Simd<L>, const L: usize>(
    simd: S,
    activation: Activation,
    numbers: &mut [[f32; L]],
) {
    // No closures here, nor in any kernel: they are functions of their own, compiled without the wide instructions, and not
    // always inlined.
    macro_rules! each {
        ($x:ident => $value:expr) => {
            for block in numbers {
                let $x = simd.load(block);
                simd.store($value, block);
            }
        };
    }
    match activation {
        Activation::None => {}
        Activation::Clip { low, high } if high == f32::INFINITY => {
            let low = simd.splat(low);
            each!(x => simd.max(low, x));
        }
        Activation::Clip { low, high } => {
            let (low, high) = (simd.splat(low), simd.splat(high));
            each!(x => simd.min(high, simd.max(low, x)));
        }
        Activation::LeakyRelu(slope) => {
            let (zero, slope) = (simd.splat(0.0), simd.splat(slope));
            each!(x => simd.mul_add(simd.min(zero, x), slope, simd.max(zero, x)));
        }
        Activation::Sigmoid => {
            let one = simd.splat(1.0);
            each!(x => simd.div(one, one_and_exp_of_negative(simd, x)));
        }
        Activation::Silu => each!(x => simd.div(x, one_and_exp_of_negative(simd, x))),
        Activation::HardSwish { slope, offset } => {
            each!(x => simd.mul(x, gate(simd, x, slope, offset)));
        }
        Activation::HardSigmoid { slope, offset } => each!(x => gate(simd, x, slope, offset)),
    }
}

#[inline(always)]
fn gate<S: Simd<L>, const L: usize>(simd: S, x: S::V, slope: f32, offset: f32) -> S::V {
    let line = simd.mul_add(x, simd.splat(slope), simd.splat(offset));
    simd.min(simd.splat(1.0), simd.max(simd.splat(0.0), line))
}

/// 1 + e^−x, with −x kept within ±87 so that the result is finite; NaN stays NaN.
#[inline(always)]
fn one_and_exp_of_negative<S: Simd<L>, const L: usize>(simd: S, x: S::V) -> S::V {
    let kept = simd.max(simd.splat(-87.0), simd.min(simd.splat(87.0), x));
    simd.add(simd.splat(1.0), exp(simd, simd.sub(simd.splat(0.0), kept)))
}

/// e^x for x within ±87, by 2^(whole + fraction): the fraction's power is a polynomial of degree 5 on ±½
/// (through the Chebyshev points; its relative error is 1e-7).
#[inline(always)]
pub(crate) fn exp<S: Simd<L>, const L: usize>(simd: S, x: S::V) -> S::V {
    let scaled = simd.mul(x, simd.splat(std::f32::consts::LOG2_E));
    let whole = simd.round(scaled);
    let fraction = simd.sub(scaled, whole);
    let mut sum = simd.splat(1.339_09e-3);
    for factor in [9.676_03e-3, 5.550_357e-2, 2.402_210_7e-1, 6.931_472e-1, 1.000_000_1] {
        sum = simd.mul_add(sum, fraction, simd.splat(factor));
    }
    simd.mul(sum, simd.power_of_two(whole))
}
