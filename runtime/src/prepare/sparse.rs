//! Rows of which only those pixels are taken that the input is made of.
//!
//! A picture that becomes smaller leaves most of its pixels out. What is collected of luma and chroma before converting is a
//! byte of luma and two of chroma that two rows share, instead of three bytes of colour after it; the arithmetic and its
//! results are the same.

use stopline_sensors::frame::{Frame, PixelFormat};

use super::blend::Pair;
use super::colour::{Converter, centred};
use super::lines::plane_row;
use super::picks::Picks;
use crate::cpu::LookUp;

/// Where the samples of each pixel of the input, and of its neighbour, lie on their rows: luma, U and V, or three colours.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places([Picks; 3]);

impl Places {
    /// For the pixels `firsts` and those behind them, in a picture of `format` that is `width` pixels wide. `None` where a row
    /// is too short.
    pub(super) fn new(format: PixelFormat, firsts: &[usize], width: usize) -> Option<Self> {
        // First byte, bytes from pixel to pixel, or of chroma from pair to pair, and bytes of the row.
        let halves = width.div_ceil(2);
        let (first, second, third) = match format {
            PixelFormat::Yuyv => ((0, 2, 4 * halves), (1, 4, 4 * halves), (3, 4, 4 * halves)),
            PixelFormat::Uyvy => ((1, 2, 4 * halves), (0, 4, 4 * halves), (2, 4, 4 * halves)),
            PixelFormat::Nv12 => ((0, 1, width), (0, 2, 2 * halves), (1, 2, 2 * halves)),
            PixelFormat::I420 => ((0, 1, width), (0, 1, halves), (0, 1, halves)),
            PixelFormat::Rgb | PixelFormat::Bgr => ((0, 3, 3 * width), (1, 3, 3 * width), (2, 3, 3 * width)),
            PixelFormat::Grey => return None,
        };
        let shared = if format.is_yuv() { 2 } else { 1 };
        let pixels = || firsts.iter().flat_map(|&first| [first, first + 1]);
        let of = |(first, step, row): (usize, usize, usize), shared: usize| {
            Picks::new(pixels().map(|pixel| first + pixel / shared * step), row)
        };
        Some(Self([of(first, 1)?, of(second, shared)?, of(third, shared)?]))
    }
}

/// The samples of one row, and of the row of chroma that was collected last.
#[derive(Clone, Default)]
pub(super) struct Sparse {
    samples: [Vec<u8>; 3],
    /// The row of chroma.
    number: Option<usize>,
}

impl Sparse {
    /// Forgets the frame before and makes room for `places`.
    pub(super) fn begin(&mut self, places: Option<&Places>) {
        self.number = None;
        for (samples, picks) in self.samples.iter_mut().zip(places.iter().flat_map(|places| &places.0)) {
            samples.resize(picks.len(), 0);
        }
    }

    /// Collects what row `number` takes.
    #[inline(always)]
    pub(super) fn collect<L: LookUp>(&mut self, look_up: L, frame: &Frame, number: usize, places: &Places) {
        let ([first, second, third], Places(places)) = (&mut self.samples, places);
        places[0].collect(look_up, plane_row(frame, 0, number), first);
        // Packed formats have chroma of its own on each row.
        let (shared, planes) = match frame.format() {
            PixelFormat::Nv12 => (number / 2, [1, 1]),
            PixelFormat::I420 => (number / 2, [1, 2]),
            _ => (number, [0, 0]),
        };
        if self.number.replace(shared) != Some(shared) {
            places[1].collect(look_up, plane_row(frame, planes[0], shared), second);
            places[2].collect(look_up, plane_row(frame, planes[1], shared), third);
        }
    }

    /// What was collected of luma and chroma, as red, green and blue.
    #[inline(always)]
    pub(super) fn convert<C: Converter>(&self, to_rgb: C, pairs: &mut [Vec<Pair>; 3]) {
        let [luma, u, v] = &self.samples;
        let [red, green, blue] = pairs.each_mut().map(|of| of.as_flattened_mut());
        let out = red.iter_mut().zip(green).zip(blue);
        for ((((red, green), blue), &luma), (&u, &v)) in out.zip(luma).zip(u.iter().zip(v)) {
            let luma = to_rgb.luma(luma);
            let [r, g, b] = to_rgb.chroma(centred(u), centred(v));
            (*red, *green, *blue) = (C::value(luma, r), C::value(luma, g), C::value(luma, b));
        }
    }

    /// What was collected of colours, as it is.
    #[inline(always)]
    pub(super) fn keep(&self, pairs: &mut [Vec<Pair>; 3]) {
        for (pairs, samples) in pairs.iter_mut().zip(&self.samples) {
            for (value, &sample) in pairs.as_flattened_mut().iter_mut().zip(samples) {
                *value = i16::from(sample);
            }
        }
    }
}
