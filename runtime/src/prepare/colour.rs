//! Luma and chroma of cameras → red, green, blue, in the 16-bit arithmetic that vectorises to eight or sixteen pixels at a time.
//!
//! Values carry six fractional bits on the way and are rounded to a byte at the end, so that they are OpenCV's
//! `cvtColor` (20-bit arithmetic) in nearly every case and never more than one off.

use stopline_sensors::frame::{Colour, Matrix, Range};

/// One arithmetic of converting.
pub(super) trait Converter: Copy {
    /// Luma as a value of the arithmetic's own.
    fn luma(&self, y: u8) -> i16;
    /// What chroma `u`, `v`, 0 in the middle and with eight fractional bits, adds to red, green and blue.
    fn chroma(&self, u: i16, v: i16) -> [i16; 3];
    /// A channel's value, 0 to 255, from luma and its share of chroma.
    fn value(luma: i16, chroma: i16) -> i16;
    /// The same as a byte.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    fn byte(luma: i16, chroma: i16) -> u8 {
        Self::value(luma, chroma) as u8
    }
}

/// A row's chroma, 0 in the middle and with eight fractional bits: each sample twice, for its two pixels.
#[derive(Clone, Default)]
pub(super) struct Chroma {
    u: Vec<[i16; 2]>,
    v: Vec<[i16; 2]>,
}

impl Chroma {
    /// Makes room for `len` samples; allocates only when it grows.
    pub(super) fn resize(&mut self, len: usize) {
        self.u.resize(len, [0; 2]);
        self.v.resize(len, [0; 2]);
    }

    /// Fills it from samples of U and V.
    #[inline(always)]
    pub(super) fn fill(&mut self, samples: impl Iterator<Item = (u8, u8)>) {
        for ((u_out, v_out), (u, v)) in self.u.iter_mut().zip(self.v.iter_mut()).zip(samples) {
            (*u_out, *v_out) = ([centred(u); 2], [centred(v); 2]);
        }
    }

    /// Converts a row of luma, one value a pixel, into the planes red, green and blue of `out`.
    #[inline(always)]
    pub(super) fn convert<C: Converter>(&self, to_rgb: C, luma: impl Iterator<Item = u8>, out: &mut [u8]) {
        let (red, rest) = out.split_at_mut(out.len() / 3);
        let (green, blue) = rest.split_at_mut(rest.len() / 2);
        let out = red.iter_mut().zip(green).zip(blue);
        let chroma = self.u.as_flattened().iter().zip(self.v.as_flattened());
        for ((((red, green), blue), luma), (&u, &v)) in out.zip(luma).zip(chroma) {
            let luma = to_rgb.luma(luma);
            let [r, g, b] = to_rgb.chroma(u, v);
            (*red, *green, *blue) = (C::byte(luma, r), C::byte(luma, g), C::byte(luma, b));
        }
    }
}

/// Coefficients of one matrix and range, as 16-bit fixed-point numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ToRgb {
    /// Luma of black.
    black: i16,
    /// (gain of luma − 1) × 2¹⁵.
    luma: i16,
    /// V's share of red × 2¹⁴.
    red_v: i16,
    /// U's share of green × 2¹⁴.
    green_u: i16,
    /// V's share of green × 2¹⁴.
    green_v: i16,
    /// (U's share of blue − 2) × 2¹⁴: alone it would not fit.
    blue_u: i16,
}

impl ToRgb {
    /// The coefficients for `colour`, from the matrices' luma weights (ITU-R BT.601-7, BT.709-6, BT.2020-2).
    pub(super) fn new(colour: Colour) -> Self {
        let (black, luma) = match colour.range {
            // OpenCV writes 1.164, 1.596, 0.391, 0.813 and 2.018 for BT.601: these, to three digits.
            Range::Limited => (16, 255.0 / 219.0),
            Range::Full => (0, 1.0),
        };
        let [red_v, green_u, green_v, blue_u] = chroma_shares(colour);
        Self {
            black,
            luma: fixed(luma - 1.0, 15),
            red_v: fixed(red_v, 14),
            green_u: fixed(green_u, 14),
            green_v: fixed(green_v, 14),
            blue_u: fixed(blue_u - 2.0, 14),
        }
    }
}

/// V's share of red, U's and V's of green, U's of blue.
pub(super) fn chroma_shares(colour: Colour) -> [f64; 4] {
    let (red, blue) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let green = 1.0 - red - blue;
    let chroma = match colour.range {
        Range::Limited => 255.0 / 224.0,
        Range::Full => 1.0,
    };
    let (red_v, blue_u) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
    [red_v, -blue_u * blue / green, -red_v * red / green, blue_u]
}

impl Converter for ToRgb {
    /// With six fractional bits.
    #[inline(always)]
    fn chroma(&self, u: i16, v: i16) -> [i16; 3] {
        // Nothing saturates here. But wrapping sums of cut-off products are made one 32-bit sum by the compiler, and then
        // a vector holds half as many lanes.
        let green = high(u, self.green_u).saturating_add(high(v, self.green_v));
        [high(v, self.red_v), green, (u >> 1).saturating_add(high(u, self.blue_u))]
    }

    /// With six fractional bits, half a unit up so that cutting the fraction off rounds.
    #[inline(always)]
    fn luma(&self, y: u8) -> i16 {
        let y = i16::from(y).wrapping_sub(self.black).max(0);
        y.wrapping_shl(6).wrapping_add(HALF).saturating_add(high(y.wrapping_shl(7), self.luma))
    }

    #[inline(always)]
    fn value(luma: i16, chroma: i16) -> i16 {
        // 239 × 1.164 + 127 × 2.14 passes 511, the largest number with six fractional bits: hence saturating.
        (luma.saturating_add(chroma) >> 6).clamp(0, 255)
    }
}

/// A chroma sample with 128 in the middle → with 0 in the middle and eight fractional bits.
#[inline(always)]
pub(super) fn centred(sample: u8) -> i16 {
    i16::from(sample).wrapping_sub(128).wrapping_shl(8)
}

/// Half a unit, and what two cut-off products lack on average.
const HALF: i16 = 32 + 1;

/// (a × b) ÷ 2¹⁶, rounded down: one instruction for eight lanes on every 64-bit target.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the upper half of a 32-bit product has 16 bits")]
pub(super) fn high(a: i16, b: i16) -> i16 {
    (i32::from(a).wrapping_mul(i32::from(b)) >> 16) as i16
}

#[allow(clippy::cast_possible_truncation, reason = "a saturating cast of a matrix coefficient below 2")]
fn fixed(value: f64, bits: u32) -> i16 {
    (value * f64::from(1u32 << bits)).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrices in real numbers.
    fn exact(colour: Colour, [y, u, v]: [u8; 3]) -> [f64; 3] {
        let (kr, kb) = match colour.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        };
        let (y, u, v) = match colour.range {
            Range::Limited => {
                let chroma = |c| (f64::from(c) - 128.0) * 255.0 / 224.0;
                ((f64::from(y) - 16.0).max(0.0) * 255.0 / 219.0, chroma(u), chroma(v))
            }
            Range::Full => (f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0),
        };
        let (r, b) = (y + 2.0 * (1.0 - kr) * v, y + 2.0 * (1.0 - kb) * u);
        let g = y - 2.0 * (kr * (1.0 - kr) * v + kb * (1.0 - kb) * u) / (1.0 - kr - kb);
        [r, g, b].map(|value| value.clamp(0.0, 255.0))
    }

    #[test]
    fn every_matrix_and_range_is_within_a_rounding_of_the_standards_real_numbers() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for range in [Range::Limited, Range::Full] {
                let colour = Colour { matrix, range };
                let to_rgb = ToRgb::new(colour);
                for y in 0..=255 {
                    for u in (0..=255).step_by(5) {
                        for v in (0..=255).step_by(5) {
                            let luma = to_rgb.luma(y);
                            let found = to_rgb
                                .chroma(centred(u), centred(v))
                                .map(|chroma| f64::from(ToRgb::byte(luma, chroma)));
                            for (found, exact) in found.iter().zip(exact(colour, [y, u, v])) {
                                assert!(
                                    (found - exact).abs() < 0.56,
                                    "{colour:?} {y} {u} {v}: {found}, {exact}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
