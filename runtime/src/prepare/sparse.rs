//! Rows of luma and chroma, of which only those pixels are converted that the input is made of.
//!
//! A picture that becomes much smaller leaves most of its pixels out. What is collected before converting is a byte of luma
//! and two of chroma that two rows share, instead of three bytes of colour after it; the arithmetic and its results are the
//! same.

use stopline_sensors::frame::{Frame, PixelFormat};

use super::blend::Pair;
use super::colour::{Converter, centred};
use super::lines::plane_row;
use super::plan::Place;

/// The samples of one row, and of the row of chroma that was collected last.
#[derive(Clone, Default)]
pub(super) struct Sparse {
    luma: Vec<[u8; 2]>,
    u: Vec<Pair>,
    v: Vec<Pair>,
    number: Option<usize>,
}

impl Sparse {
    /// Forgets the frame before and makes room for `shown` pixels of the input.
    pub(super) fn begin(&mut self, shown: usize) {
        self.number = None;
        self.luma.resize(shown, [0; 2]);
        self.u.resize(shown, [0; 2]);
        self.v.resize(shown, [0; 2]);
    }

    /// Red, green and blue of the two neighbours at each of `places` on row `number`.
    #[inline(always)]
    pub(super) fn row<C: Converter>(
        &mut self,
        frame: &Frame,
        number: usize,
        places: &[Place],
        to_rgb: C,
        pairs: &mut [Vec<Pair>; 3],
    ) {
        match frame.format() {
            PixelFormat::Yuyv => self.packed(plane_row(frame, 0, number), places, [0, 8, 24]),
            PixelFormat::Uyvy => self.packed(plane_row(frame, 0, number), places, [8, 0, 16]),
            format => {
                self.luma(plane_row(frame, 0, number), places);
                if self.number.replace(number / 2) != Some(number / 2) {
                    match format {
                        PixelFormat::Nv12 => self.interleaved(plane_row(frame, 1, number / 2), places),
                        _ => {
                            let chroma = [1, 2].map(|plane| plane_row(frame, plane, number / 2));
                            self.planar(chroma, places);
                        }
                    }
                }
            }
        }
        self.convert(to_rgb, pairs);
    }

    /// Macro pixels of four bytes: two of them hold both neighbours. `at`: first bit of luma, U and V.
    #[inline(always)]
    fn packed(&mut self, row: &[u8], places: &[Place], at: [u32; 3]) {
        let out = self.luma.iter_mut().zip(&mut self.u).zip(&mut self.v);
        for (((luma, u), v), place) in out.zip(places) {
            let bytes = u64::from_le_bytes(near(row, place.luma)).wrapping_shr(place.shift);
            // An odd pixel is the second of its macro pixel; its neighbour is the first of the next.
            let y = bytes.wrapping_shr(at[0]).wrapping_shr(16 & place.odd);
            let next = bytes.wrapping_shr(32 & place.odd);
            *luma = [byte(y), byte(y >> 16)];
            *u = [bytes, next].map(|of| centred(byte(of.wrapping_shr(at[1]))));
            *v = [bytes, next].map(|of| centred(byte(of.wrapping_shr(at[2]))));
        }
    }

    #[inline(always)]
    fn luma(&mut self, row: &[u8], places: &[Place]) {
        for (luma, place) in self.luma.iter_mut().zip(places) {
            *luma = near(row, place.luma);
        }
    }

    /// U and V in turns.
    #[inline(always)]
    fn interleaved(&mut self, row: &[u8], places: &[Place]) {
        for ((u, v), place) in self.u.iter_mut().zip(&mut self.v).zip(places) {
            let bytes = u64::from(u32::from_le_bytes(near(row, place.chroma))).wrapping_shr(place.shift);
            let next = bytes.wrapping_shr(16 & place.odd);
            *u = [bytes, next].map(|of| centred(byte(of)));
            *v = [bytes, next].map(|of| centred(byte(of >> 8)));
        }
    }

    #[inline(always)]
    fn planar(&mut self, rows: [&[u8]; 2], places: &[Place]) {
        for (out, row) in [&mut self.u, &mut self.v].into_iter().zip(rows) {
            for (out, place) in out.iter_mut().zip(places) {
                let bytes = u64::from(u16::from_le_bytes(near(row, place.chroma))).wrapping_shr(place.shift);
                *out = [bytes, bytes.wrapping_shr(8 & place.odd)].map(|of| centred(byte(of)));
            }
        }
    }

    #[inline(always)]
    fn convert<C: Converter>(&self, to_rgb: C, pairs: &mut [Vec<Pair>; 3]) {
        let [red, green, blue] = pairs.each_mut().map(|of| of.as_flattened_mut());
        let chroma = self.u.as_flattened().iter().zip(self.v.as_flattened());
        let out = red.iter_mut().zip(green).zip(blue);
        for ((((red, green), blue), &luma), (&u, &v)) in out.zip(self.luma.as_flattened()).zip(chroma) {
            let luma = to_rgb.luma(luma);
            let [r, g, b] = to_rgb.chroma(u, v);
            (*red, *green, *blue) = (C::value(luma, r), C::value(luma, g), C::value(luma, b));
        }
    }
}

/// The lowest byte.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "it is masked to a byte")]
fn byte(bytes: u64) -> u8 {
    (bytes & 0xff) as u8
}

/// The `N` bytes from `at` on. Places are made to lie within their rows; beyond them are zeros.
#[inline(always)]
fn near<const N: usize>(row: &[u8], at: u32) -> [u8; N] {
    row.get(at as usize..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}
