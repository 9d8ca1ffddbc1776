//! Source rows as lines of bytes: RGB, BGR and grey rows as they lie in the frame, rows of luma and chroma converted.
//!
//! Only the rows and columns asked for are converted. The last two converted rows are kept (one even, one odd), and the
//! last chroma row, which 4:2:0 pictures share between two rows of luma.

use stopline_sensors::frame::{Colour, Frame, PixelFormat};

use super::colour::{Chroma, ToRgb, byte};

/// The columns of the picture that are read: `first` is even, so that a chroma sample's two pixels stay together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Columns {
    pub(super) first: usize,
    pub(super) count: usize,
}

/// How a line's samples lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Samples {
    /// One after the other, this many to a pixel (1 or 3).
    Packed(usize),
    /// All of red, then all of green, then all of blue.
    Planar,
}

impl Samples {
    /// How lines of `format` lie.
    pub(super) fn of(format: PixelFormat) -> Self {
        match format {
            PixelFormat::Grey => Self::Packed(1),
            PixelFormat::Rgb | PixelFormat::Bgr => Self::Packed(3),
            PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 | PixelFormat::I420 => Self::Planar,
        }
    }

    /// Samples of a pixel.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Packed(channels) => channels,
            Self::Planar => 3,
        }
    }
}

/// Converted rows of one frame.
#[derive(Clone, Default)]
pub(super) struct Lines {
    columns: Columns,
    to_rgb: Option<(Colour, ToRgb)>,
    rows: [Vec<u8>; 2],
    numbers: [Option<usize>; 2],
    chroma: Chroma,
    chroma_number: Option<usize>,
}

impl Lines {
    /// Forgets the rows of the frame before and makes room for those of `frame`.
    pub(super) fn begin(&mut self, frame: &Frame, columns: Columns) {
        self.columns = columns;
        self.numbers = [None; 2];
        self.chroma_number = None;
        if !frame.format().is_yuv() {
            return;
        }
        if self.to_rgb.is_none_or(|(colour, _)| colour != frame.colour()) {
            self.to_rgb = Some((frame.colour(), ToRgb::new(frame.colour())));
        }
        for row in &mut self.rows {
            row.resize(3 * columns.count, 0);
        }
        self.chroma.resize(columns.count.div_ceil(2));
    }

    /// Converts row `number` of `frame` where it needs that and is not there yet.
    #[inline(always)]
    pub(super) fn load(&mut self, frame: &Frame, number: usize) {
        let at = number % 2;
        let Some((_, to_rgb)) = self.to_rgb.filter(|_| frame.format().is_yuv()) else { return };
        if self.numbers[at] == Some(number) {
            return;
        }
        self.numbers[at] = Some(number);
        let Columns { first, count } = self.columns;
        let out = self.rows[at].as_mut_slice();
        let chroma = &mut self.chroma;
        // Odd widths: the last macro pixel, or chroma sample, covers one pixel that is shown and one that is not.
        let (pixels, halves) = (first..first + count, first / 2..(first + count).div_ceil(2));
        match frame.format() {
            PixelFormat::Yuyv => {
                let row = &plane_row(frame, 0, number)[halves.start * 4..halves.end * 4];
                packed_chroma(to_rgb, row, chroma, |[_, u, _, v]| (u, v));
                packed_luma(to_rgb, row, chroma, out, |[y, _, z, _]| [y, z]);
            }
            PixelFormat::Uyvy => {
                let row = &plane_row(frame, 0, number)[halves.start * 4..halves.end * 4];
                packed_chroma(to_rgb, row, chroma, |[u, _, v, _]| (u, v));
                packed_luma(to_rgb, row, chroma, out, |[_, y, _, z]| [y, z]);
            }
            PixelFormat::Nv12 => {
                if self.chroma_number != Some(number / 2) {
                    let row = &plane_row(frame, 1, number / 2)[halves.start * 2..halves.end * 2];
                    fill_chroma(to_rgb, row.chunks_exact(2).map(|uv| (uv[0], uv[1])), chroma);
                    self.chroma_number = Some(number / 2);
                }
                planar_luma(to_rgb, &plane_row(frame, 0, number)[pixels], chroma, out);
            }
            _ => {
                if self.chroma_number != Some(number / 2) {
                    let u = &plane_row(frame, 1, number / 2)[halves.clone()];
                    let v = &plane_row(frame, 2, number / 2)[halves];
                    fill_chroma(to_rgb, u.iter().copied().zip(v.iter().copied()), chroma);
                    self.chroma_number = Some(number / 2);
                }
                planar_luma(to_rgb, &plane_row(frame, 0, number)[pixels], chroma, out);
            }
        }
    }

    /// Row `number`, loaded before where it needs converting.
    #[inline(always)]
    pub(super) fn line<'a>(&'a self, frame: &'a Frame, number: usize) -> &'a [u8] {
        match Samples::of(frame.format()) {
            Samples::Planar => &self.rows[number % 2],
            Samples::Packed(channels) => {
                let Columns { first, count } = self.columns;
                &plane_row(frame, 0, number)[first * channels..(first + count) * channels]
            }
        }
    }
}

fn plane_row(frame: &Frame, plane: usize, number: usize) -> &[u8] {
    let plane = frame.plane(plane);
    &plane.bytes[number * plane.stride..][..plane.row]
}

#[inline(always)]
fn packed_chroma(to_rgb: ToRgb, row: &[u8], chroma: &mut Chroma, pick: impl Fn([u8; 4]) -> (u8, u8)) {
    fill_chroma(to_rgb, row.chunks_exact(4).map(|m| pick([m[0], m[1], m[2], m[3]])), chroma);
}

#[inline(always)]
fn fill_chroma(to_rgb: ToRgb, samples: impl Iterator<Item = (u8, u8)>, chroma: &mut Chroma) {
    let out = chroma.red.iter_mut().zip(chroma.green.iter_mut()).zip(chroma.blue.iter_mut());
    for (((red, green), blue), (u, v)) in out.zip(samples) {
        [*red, *green, *blue] = to_rgb.chroma(u, v);
    }
}

#[inline(always)]
fn packed_luma(
    to_rgb: ToRgb,
    row: &[u8],
    chroma: &Chroma,
    out: &mut [u8],
    pick: impl Fn([u8; 4]) -> [u8; 2] + Copy,
) {
    let count = out.len() / 3;
    let planes = [&chroma.red, &chroma.green, &chroma.blue];
    for (out, chroma) in out.chunks_exact_mut(count.max(1)).zip(planes) {
        let macros = row.chunks_exact(4).map(|m| pick([m[0], m[1], m[2], m[3]]));
        write_pairs(to_rgb, macros, chroma, out);
    }
    if count % 2 == 1 {
        let last = &row[row.len() - 4..];
        write_last(to_rgb, pick([last[0], last[1], last[2], last[3]])[0], chroma, out);
    }
}

#[inline(always)]
fn planar_luma(to_rgb: ToRgb, row: &[u8], chroma: &Chroma, out: &mut [u8]) {
    let count = out.len() / 3;
    let planes = [&chroma.red, &chroma.green, &chroma.blue];
    for (out, chroma) in out.chunks_exact_mut(count.max(1)).zip(planes) {
        write_pairs(to_rgb, row.chunks_exact(2).map(|pair| [pair[0], pair[1]]), chroma, out);
    }
    if let (1, Some(&last)) = (count % 2, row.last()) {
        write_last(to_rgb, last, chroma, out);
    }
}

/// Both pixels of each chroma sample, one channel.
#[inline(always)]
fn write_pairs(to_rgb: ToRgb, luma: impl Iterator<Item = [u8; 2]>, chroma: &[i16], out: &mut [u8]) {
    for ((out, luma), &chroma) in out.chunks_exact_mut(2).zip(luma).zip(chroma) {
        out[0] = byte(to_rgb.luma(luma[0]), chroma);
        out[1] = byte(to_rgb.luma(luma[1]), chroma);
    }
}

/// The pixel of an odd width that has its chroma sample to itself.
fn write_last(to_rgb: ToRgb, luma: u8, chroma: &Chroma, out: &mut [u8]) {
    let count = out.len() / 3;
    for (out, plane) in out.chunks_exact_mut(count).zip([&chroma.red, &chroma.green, &chroma.blue]) {
        if let (Some(out), Some(&chroma)) = (out.last_mut(), plane.last()) {
            *out = byte(to_rgb.luma(luma), chroma);
        }
    }
}
