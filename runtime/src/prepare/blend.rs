//! Source pixels → input pixels.
//!
//! Two by two, bit for bit as OpenCV's `INTER_LINEAR` on bytes: neighbours of a row first, with weights of 11 bits, then
//! two such rows, each product cut off. A detector's score near its threshold notices the last bit. Antialiased: rows
//! first, because a row's pixels lie side by side, then columns.

use super::colour::high;
use super::taps::ONE;

/// Fractional bits of an antialiased row's values; with 8 bits before them they just fit `i16`.
const BITS: u32 = 6;

/// A sample as a value of a blended row.
#[inline(always)]
pub(super) fn raised(sample: u8) -> i16 {
    i16::from(sample).wrapping_shl(BITS)
}

/// Adds `weight` ÷ [`ONE`] of `row` to `sums`.
#[inline(always)]
pub(super) fn add_row(row: &[u8], weight: i16, sums: &mut [i32]) {
    for (sum, &sample) in sums.iter_mut().zip(row) {
        *sum = sum.wrapping_add(i32::from(sample).wrapping_mul(i32::from(weight)));
    }
}

/// Sums of [`add_row`] as values of a blended row.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "weights sum to ONE, so 14 bits are left after the shift")]
pub(super) fn settle(sums: &[i32], out: &mut [i16]) {
    for (out, &sum) in out.iter_mut().zip(sums) {
        *out = (sum >> (SHIFT - BITS)) as i16;
    }
}

/// Two neighbours on a row, one channel.
pub(super) type Pair = [i16; 2];

/// Collects from each of the planes of `row`, `length` values long, the value at each place and the one behind it.
///
/// All channels in one loop: the place is read once, and one comparison shows that all six values are there.
#[inline(always)]
pub(super) fn gather_planes(row: &[u8], length: usize, places: &[u32], pairs: [&mut [Pair]; 3]) {
    let (red, rest) = row.split_at(length);
    let (green, rest) = rest.split_at(length);
    let blue = &rest[..length];
    let [out_red, out_green, out_blue] = pairs;
    let out = out_red.iter_mut().zip(out_green).zip(out_blue);
    for (((out_red, out_green), out_blue), &place) in out.zip(places) {
        let at = place as usize;
        assert!(at + 1 < length, "places lie within the row");
        *out_red = [red[at], red[at + 1]].map(i16::from);
        *out_green = [green[at], green[at + 1]].map(i16::from);
        *out_blue = [blue[at], blue[at + 1]].map(i16::from);
    }
}

/// The same for a row of three values to a pixel.
#[inline(always)]
pub(super) fn gather_packed(row: &[u8], places: &[u32], pairs: [&mut [Pair]; 3]) {
    let [first, second, third] = pairs;
    let out = first.iter_mut().zip(second).zip(third);
    for (((first, second), third), &place) in out.zip(places) {
        let at = place as usize;
        let near = &row[at..at + 6];
        *first = [near[0], near[3]].map(i16::from);
        *second = [near[1], near[4]].map(i16::from);
        *third = [near[2], near[5]].map(i16::from);
    }
}

/// The same for a row of one value to a pixel.
#[inline(always)]
pub(super) fn gather_single(row: &[u8], places: &[u32], pairs: &mut [Pair]) {
    for (pair, &place) in pairs.iter_mut().zip(places) {
        let at = place as usize;
        let near = &row[at..at + 2];
        *pair = [near[0], near[1]].map(i16::from);
    }
}

/// Blends each pair by its weights (11 bits): values with seven fractional bits.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "255 × 2049 ÷ 16 is below 2¹⁵")]
pub(super) fn level(pairs: &[Pair], weights: &[[i16; 2]], out: &mut [i16]) {
    for ((out, pair), weight) in out.iter_mut().zip(pairs).zip(weights) {
        let first = i32::from(pair[0]).wrapping_mul(i32::from(weight[0]));
        let second = i32::from(pair[1]).wrapping_mul(i32::from(weight[1]));
        *out = (first.wrapping_add(second) >> 4) as i16;
    }
}

/// Blends two rows of [`level`] by their weights (11 bits) into bytes.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
pub(super) fn upright(upper: &[i16], lower: &[i16], weights: [i16; 2], out: &mut [u8]) {
    for ((out, &upper), &lower) in out.iter_mut().zip(upper).zip(lower) {
        let sum = high(upper, weights[0]).wrapping_add(high(lower, weights[1]));
        *out = (sum.wrapping_add(2) >> 2).clamp(0, 255) as u8;
    }
}

/// The weighted sum of the values of `row` at `first`, `first + step`, …, rounded to a byte.
#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "weights sum to ONE, so 8 bits are left"
)]
pub(super) fn many(row: &[i16], first: usize, step: usize, weights: &[i16]) -> u8 {
    let near = row[first..].iter().step_by(step);
    let sum = near.zip(weights).fold(HALF, |sum, (&value, &weight)| {
        sum.wrapping_add(i32::from(value).wrapping_mul(i32::from(weight)))
    });
    (sum >> (SHIFT + BITS)) as u8
}

/// Bits of a weight.
const SHIFT: u32 = ONE.ilog2();
/// Half a unit of a doubly weighted value.
const HALF: i32 = 1 << (SHIFT + BITS - 1);
