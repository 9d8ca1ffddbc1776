//! Luma and chroma of video (planar 4:2:0, as recordings and network cameras come) → red, green and blue, bit for bit as
//! FFmpeg's swscale converts yuv420p without scaling, which is what OpenCV's `VideoCapture` hands to those who evaluate
//! a model on clips. Every product is cut off, not rounded: up to three below `cvtColor`, and enough to move a score.

use stopline_sensors::frame::{Colour, Range};

use super::colour::{Converter, chroma_shares, high};

/// Coefficients of one matrix and range, 13 fractional bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Video {
    /// Luma of black × 8.
    black: i16,
    luma: i16,
    red_v: i16,
    green_u: i16,
    green_v: i16,
    blue_u: i16,
}

impl Video {
    /// The coefficients for `colour`.
    pub(super) fn new(colour: Colour) -> Self {
        let [red_v, green_u, green_v, blue_u] = chroma_shares(colour).map(fixed);
        let (black, luma) = match colour.range {
            Range::Limited => (16 << 3, fixed(255.0 / 219.0)),
            Range::Full => (0, fixed(1.0)),
        };
        Self { black, luma, red_v, green_u, green_v, blue_u }
    }
}

impl Converter for Video {
    #[inline(always)]
    fn luma(&self, y: u8) -> i16 {
        high(i16::from(y).wrapping_shl(3).wrapping_sub(self.black), self.luma)
    }

    #[inline(always)]
    fn chroma(&self, u: i16, v: i16) -> [i16; 3] {
        // From eight fractional bits to three.
        let (u, v) = (u >> 5, v >> 5);
        // Saturating for the compiler's sake, as in `ToRgb`.
        [
            high(v, self.red_v),
            high(u, self.green_u).saturating_add(high(v, self.green_v)),
            high(u, self.blue_u),
        ]
    }

    #[inline(always)]
    fn value(luma: i16, chroma: i16) -> i16 {
        luma.saturating_add(chroma).clamp(0, 255)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a saturating cast of a matrix coefficient below 4")]
fn fixed(value: f64) -> i16 {
    (value * 8192.0).round() as i16
}
