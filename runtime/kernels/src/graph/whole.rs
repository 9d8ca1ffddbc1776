//! Layers of whole numbers: eight-bit quantisation as ONNX defines it, computed without loss.
//!
//! A number q on a [`Grid`] is kept as n = q − zero, with 16 bits: padding is 0, and no product needs a correction. Of
//! eight-bit q and zero, n lies within ±255.

use super::{Graph, GraphError, Map, Op, Window, mismatch, needs, same_size};

/// Which numbers whole ones stand for: n stands for n · `step`, and lies between the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// ONNX's scale; above 0.
    pub step: f32,
    /// Least n: the least q less the zero point.
    pub low: i16,
    /// Greatest n.
    pub high: i16,
}

impl Grid {
    fn checked(self) -> Result<Self, GraphError> {
        let Self { step, low, high } = self;
        if step.is_finite() && step >= f32::MIN_POSITIVE && -256 < low && low <= high && high < 256 {
            return Ok(self);
        }
        mismatch("grid of whole numbers", "a step above 0 and ends within ±255", format!("{self:?}"))
    }
}

/// What each whole number from −256 to 255 becomes.
#[derive(Clone, PartialEq)]
pub struct Table<T>(pub(crate) Box<[T; 512]>);

impl<T: Copy> Table<T> {
    /// `f` of each number.
    pub fn of(f: impl Fn(i16) -> T) -> Self {
        // By the nine low bits: −1 lies at 511.
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "below 512")]
        let one = |at: usize| f(if at < 256 { at as i16 } else { at as i16 - 512 });
        Self(Box::new(std::array::from_fn(one)))
    }

    /// What `number` becomes; of a number beyond the table something.
    #[inline(always)]
    pub fn at(&self, number: i16) -> T {
        self.0[usize::from(number.cast_unsigned() & 511)]
    }
}

impl<T> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

/// What becomes of a sum of products: times its channel's factor, rounded to the nearest whole number (of two the even
/// one), kept within the ends.
#[derive(Clone, Debug)]
pub(crate) struct WholeEnd {
    pub factors: Vec<f32>,
    pub low: i16,
    pub high: i16,
}

impl Graph {
    /// Whole numbers for those of `from`: x / step, rounded to the nearest (of two the even one), kept within the ends of
    /// `grid`.
    ///
    /// # Errors
    /// A map of whole numbers, or a grid without a step or beyond ±255.
    pub fn quantize(&mut self, name: &str, from: &Map, grid: Grid) -> Result<Map, GraphError> {
        needs(false, from)?;
        let op = Op::Quantize { from: from.clone(), grid: grid.checked()? };
        self.push(name, op, from.channels(), from.height, from.width)
    }

    /// What whole numbers stand for.
    ///
    /// # Errors
    /// A map of other numbers.
    pub fn values(&mut self, name: &str, from: &Map, values: Table<f32>) -> Result<Map, GraphError> {
        needs(true, from)?;
        self.push(name, Op::Values { from: from.clone(), values }, from.channels(), from.height, from.width)
    }

    /// Other whole numbers for those of `from`.
    ///
    /// # Errors
    /// A map of other numbers.
    pub fn translate(&mut self, name: &str, from: &Map, table: Table<i16>) -> Result<Map, GraphError> {
        needs(true, from)?;
        self.push(name, Op::Translate { from: from.clone(), table }, from.channels(), from.height, from.width)
    }

    /// The sum of what the numbers of both maps stand for, `steps` being what 1 of each stands for, on `grid`.
    ///
    /// # Errors
    /// Maps of other numbers, or of different sizes; a step that is none.
    pub fn whole_sum(
        &mut self,
        name: &str,
        a: &Map,
        b: &Map,
        steps: [f32; 2],
        grid: Grid,
    ) -> Result<Map, GraphError> {
        needs(true, a)?;
        same_size("second operand", a, b)?;
        if a.channels() != b.channels() || steps.iter().any(|step| !step.is_finite()) {
            let found = format!("{} channels, steps {steps:?}", b.channels());
            return mismatch("operands of a sum", format!("{} channels, finite steps", a.channels()), found);
        }
        let op = Op::WholeSum { a: a.clone(), b: b.clone(), steps, grid: grid.checked()? };
        self.push(name, op, a.channels(), a.height, a.width)
    }

    /// A convolution of whole numbers: sums of products and `bias` without loss, times the factor of their channel, rounded
    /// to the nearest whole number (of two the even one), kept from `low` to `high`.
    ///
    /// # Errors
    /// Sizes that do not fit each other; groups other than one, or one for each channel with one result each; weights or
    /// ends beyond ±255; a factor that is no number; sums that 32 bits might not hold.
    #[allow(clippy::too_many_arguments, reason = "the parts of ONNX's QLinearConv")]
    pub fn whole_conv(
        &mut self,
        name: &str,
        from: &Map,
        window: Window,
        groups: usize,
        weights: Vec<i16>,
        bias: Vec<i32>,
        factors: Vec<f32>,
        [low, high]: [i16; 2],
    ) -> Result<Map, GraphError> {
        needs(true, from)?;
        let (height, width) = window.over(from.height, from.width)?;
        let outputs = bias.len();
        if groups != 1 && (groups != from.channels() || groups != outputs) {
            return mismatch("groups of whole numbers", format!("1 or {}", from.channels()), groups);
        }
        let taps = from.channels() / groups * window.size[0] * window.size[1];
        if outputs == 0 || weights.len() != outputs * taps || factors.len() != outputs {
            let found = format!("{} for {outputs} channels and {} factors", weights.len(), factors.len());
            return mismatch("weights of a convolution", outputs * taps, found);
        }
        if factors.iter().any(|factor| !factor.is_finite()) || low > high || low < -255 || high > 255 {
            return mismatch(
                "end of a convolution",
                "finite factors, ends within ±255",
                format!("{low} {high}"),
            );
        }
        for (weights, bias) in weights.chunks_exact(taps).zip(&bias) {
            let sum: i64 = weights.iter().map(|weight| i64::from(weight.unsigned_abs()) * 255).sum();
            if sum + i64::from(bias.unsigned_abs()) > i64::from(i32::MAX)
                || weights.iter().any(|weight| weight.unsigned_abs() > 255)
            {
                return mismatch("sums of a convolution", "within 32 bits, of weights within ±255", sum);
            }
        }
        let end = WholeEnd { factors, low, high };
        let op = Op::WholeConv { from: from.clone(), window, groups, weights, bias, end };
        self.push(name, op, outputs, height, width)
    }
}
