//! What kernels ask of a processor.

use crate::portable;

/// A kernel: the arguments of one call, run with one set of instructions.
pub(crate) trait Kernel<const L: usize> {
    /// To be `#[inline(always)]`: only what is inlined into [`Simd::call`] gets the token's instructions.
    fn run<S: Simd<L>>(self, simd: S);
}

/// Arithmetic on blocks of `L` numbers.
///
/// Where an operand of [`Simd::max`] or [`Simd::min`] is NaN, the result is the second one: `max(zero, x)` keeps a NaN.
pub(crate) trait Simd<const L: usize>: Copy {
    /// `L` numbers in registers.
    type V: Copy;
    /// How many blocks of results fit into the registers beside the operands: the size of a kernel's tile.
    const TILE: usize;
    /// Whether one instruction adds the products of four bytes ([`Self::add_byte_products`]).
    const BYTES: bool = false;

    /// Runs `kernel` compiled for this token's instructions.
    fn call<K: Kernel<L>>(self, kernel: K);

    fn splat(self, value: f32) -> Self::V;
    fn load(self, from: &[f32; L]) -> Self::V;
    fn store(self, value: Self::V, to: &mut [f32; L]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The nearest whole number, for values within ±2²³.
    fn round(self, a: Self::V) -> Self::V;
    /// 2 to the power of whole numbers from −126 to 127.
    fn power_of_two(self, whole: Self::V) -> Self::V;
    /// `a` in the lanes where `mask` is −1, `b` where it is 0.
    fn select(self, mask: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// In each lane the number of `a` in the lane that `from` names: whole numbers from 0 to L − 1.
    fn permute(self, a: Self::V, from: Self::V) -> Self::V;

    // Whole numbers travel in the same registers and memory as others, as bits: a lane holds one of 32 bits, or a pair of
    // 16 bits, the first in the low half. Of 2 L numbers of 16 bits, two registers hold the numbers of 32 bits that belong
    // to them in this order: the first those at 8 g to 8 g + 3, the second those at 8 g + 4 to 8 g + 7, for each g.

    /// In each lane `c` plus both products of the pairs of `a` and `b`, modulo 2³².
    fn add_products(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Pairs of the 16-bit numbers of `a` and of `b`, in two registers.
    fn pair(self, a: Self::V, b: Self::V) -> [Self::V; 2];
    /// The 16-bit numbers of `a` with 32 bits, in two registers.
    fn widen(self, a: Self::V) -> [Self::V; 2];
    /// The 32-bit numbers of both registers with 16 bits; those past the ends become the ends.
    fn narrow(self, both: [Self::V; 2]) -> Self::V;
    /// Of the 16-bit numbers of both, less `low[0]` within 0 to 255, what `bytes` has at that place, plus `low[1]`.
    fn look_up(self, both: [Self::V; 2], bytes: &Bytes, low: [i16; 2]) -> [Self::V; 2];
    /// The 16-bit numbers of both, less `least`, as bytes in their order: four in a lane. Those outside 0 to 255 lose their
    /// upper half.
    #[inline(always)]
    fn bytes(self, both: [Self::V; 2], least: i16) -> Self::V {
        portable::bytes(self, both, least)
    }
    /// In each lane `c` plus the four products of the bytes of `a`, 0 to 255, and those of `b`, −128 to 127, modulo 2³².
    #[inline(always)]
    fn add_byte_products(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        portable::add_byte_products(self, a, b, c)
    }
    /// 32-bit numbers as floating point.
    fn to_float(self, a: Self::V) -> Self::V;
    /// The nearest 32-bit number, of two equally near the even one, for values within ±2²³.
    fn to_whole(self, a: Self::V) -> Self::V;
}

/// A table of 256 bytes, in parts that one instruction looks into.
pub(crate) type Bytes = [[u8; 16]; 16];

/// Register and lane of the 32-bit number that belongs to the 16-bit number `at` of a block.
pub(crate) fn halves(at: usize) -> (usize, usize) {
    (at / 4 % 2, at / 8 * 4 + at % 4)
}
