//! [`Simd`] in plain Rust, and the bits of whole numbers in lanes.

use crate::simd::{Bytes, Kernel, Simd, halves};

/// Plain Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

impl<const L: usize> Simd<L> for Portable {
    type V = [f32; L];
    const TILE: usize = 4;

    fn call<K: Kernel<L>>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; L] {
        [value; L]
    }
    #[inline(always)]
    fn load(self, from: &[f32; L]) -> [f32; L] {
        *from
    }
    #[inline(always)]
    fn store(self, value: [f32; L], to: &mut [f32; L]) {
        *to = value;
    }
    #[inline(always)]
    fn add(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] + b[at])
    }
    #[inline(always)]
    fn sub(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] - b[at])
    }
    #[inline(always)]
    fn mul(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] * b[at])
    }
    #[inline(always)]
    fn div(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] / b[at])
    }
    #[inline(always)]
    fn max(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| if a[at] > b[at] { a[at] } else { b[at] })
    }
    #[inline(always)]
    fn min(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| if a[at] < b[at] { a[at] } else { b[at] })
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; L], b: [f32; L], c: [f32; L]) -> [f32; L] {
        // Not f32::mul_add: without the instruction it is a call.
        std::array::from_fn(|at| a[at] * b[at] + c[at])
    }
    #[inline(always)]
    fn round(self, a: [f32; L]) -> [f32; L] {
        // 1.5 × 2²³: the sum has no room for a fraction.
        std::array::from_fn(|at| (a[at] + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from −126 to 127"
    )]
    fn power_of_two(self, whole: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| f32::from_bits(((whole[at] as i32).wrapping_add(127) as u32) << 23))
    }
    #[inline(always)]
    fn select(self, mask: [f32; L], a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| if mask[at] < 0.0 { a[at] } else { b[at] })
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below L")]
    fn permute(self, a: [f32; L], from: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[from[at] as usize % L])
    }
    #[inline(always)]
    fn add_products(self, a: [f32; L], b: [f32; L], c: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| {
            let ([a, high_a], [b, high_b]) = (pair_of(a[at]), pair_of(b[at]));
            let products = (i32::from(a) * i32::from(b)).wrapping_add(i32::from(high_a) * i32::from(high_b));
            bits_of(whole_of(c[at]).wrapping_add(products))
        })
    }
    #[inline(always)]
    fn pair(self, a: [f32; L], b: [f32; L]) -> [[f32; L]; 2] {
        let mut both = [[0.0; L]; 2];
        for at in 0..2 * L {
            let (register, lane) = halves(at);
            both[register][lane] = of_pair([pair_of(a[at / 2])[at % 2], pair_of(b[at / 2])[at % 2]]);
        }
        both
    }
    #[inline(always)]
    fn widen(self, a: [f32; L]) -> [[f32; L]; 2] {
        let mut both = [[0.0; L]; 2];
        for at in 0..2 * L {
            let (register, lane) = halves(at);
            both[register][lane] = bits_of(i32::from(pair_of(a[at / 2])[at % 2]));
        }
        both
    }
    #[inline(always)]
    fn narrow(self, both: [[f32; L]; 2]) -> [f32; L] {
        #[allow(clippy::cast_possible_truncation, reason = "kept within 16 bits")]
        let one = |at: usize| {
            let (register, lane) = halves(at);
            whole_of(both[register][lane]).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
        };
        std::array::from_fn(|at| of_pair([one(2 * at), one(2 * at + 1)]))
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept within a byte")]
    fn look_up(self, both: [[f32; L]; 2], bytes: &Bytes, low: [i16; 2]) -> [[f32; L]; 2] {
        let mut found = both;
        for lane in found.as_flattened_mut() {
            let mut pair = pair_of(*lane);
            for number in &mut pair {
                let at = number.wrapping_sub(low[0]).clamp(0, 255) as usize;
                *number = i16::from(bytes[at / 16][at % 16]).wrapping_add(low[1]);
            }
            *lane = of_pair(pair);
        }
        found
    }
    #[inline(always)]
    #[allow(clippy::cast_precision_loss, reason = "rounded, as the processor's instruction does")]
    fn to_float(self, a: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| whole_of(a[at]) as f32)
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "within ±2²³")]
    fn to_whole(self, a: [f32; L]) -> [f32; L] {
        let rounded = Simd::<L>::round(self, a);
        std::array::from_fn(|at| bits_of(rounded[at] as i32))
    }
}

/// [`Simd::bytes`] of any instructions, one by one.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the lower half")]
pub(crate) fn bytes<S: Simd<L>, const L: usize>(simd: S, both: [S::V; 2], least: i16) -> S::V {
    let mut numbers = [[0.0; L]; 2];
    for (numbers, own) in numbers.iter_mut().zip(both) {
        simd.store(own, numbers);
    }
    let mut bytes = [0.0; L];
    for (lane, pairs) in bytes.iter_mut().zip(numbers.as_flattened().as_chunks::<2>().0) {
        let [[a, b], [c, d]] = pairs.map(pair_of);
        *lane = of_bytes([a, b, c, d].map(|number| number.wrapping_sub(least) as u8));
    }
    simd.load(&bytes)
}

/// [`Simd::add_byte_products`] of any instructions, one by one.
#[inline(always)]
pub(crate) fn add_byte_products<S: Simd<L>, const L: usize>(simd: S, a: S::V, b: S::V, c: S::V) -> S::V {
    let mut lanes = [[0.0; L]; 3];
    for (lanes, own) in lanes.iter_mut().zip([a, b, c]) {
        simd.store(own, lanes);
    }
    let [a, b, mut sums] = lanes;
    for ((a, b), sum) in a.iter().zip(&b).zip(&mut sums) {
        let (a, b) = (a.to_bits().to_le_bytes(), b.to_bits().to_le_bytes());
        let products = a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(b.cast_signed()));
        *sum = bits_of(whole_of(*sum).wrapping_add(products.sum::<i32>()));
    }
    simd.load(&sums)
}

/// A lane that holds four bytes.
#[inline(always)]
pub(crate) fn of_bytes(bytes: [u8; 4]) -> f32 {
    f32::from_bits(u32::from_le_bytes(bytes))
}

/// The 32-bit number whose bits `lane` holds.
#[inline(always)]
pub(crate) fn whole_of(lane: f32) -> i32 {
    lane.to_bits().cast_signed()
}

/// A lane that holds the bits of `whole`.
#[inline(always)]
pub(crate) fn bits_of(whole: i32) -> f32 {
    f32::from_bits(whole.cast_unsigned())
}

/// The pair that `lane` holds.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "one half at a time")]
pub(crate) fn pair_of(lane: f32) -> [i16; 2] {
    let bits = lane.to_bits();
    [(bits as u16).cast_signed(), ((bits >> 16) as u16).cast_signed()]
}

/// A lane that holds `pair`.
#[inline(always)]
pub(crate) fn of_pair(pair: [i16; 2]) -> f32 {
    f32::from_bits(u32::from(pair[0].cast_unsigned()) | u32::from(pair[1].cast_unsigned()) << 16)
}
