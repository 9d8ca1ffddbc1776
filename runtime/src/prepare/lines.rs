//! Source rows as lines of bytes: RGB, BGR and grey rows as they lie in the frame, rows of luma and chroma converted.
//!
//! Only the rows and columns asked for are converted. The last two converted rows are kept (one even, one odd), and the
//! last chroma row, which 4:2:0 pictures share between two rows of luma.

use std::ops::Range;

use stopline_sensors::frame::{Colour, Frame, PixelFormat};

use super::colour::{Chroma, ToRgb};
use super::video::Video;

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
    to_rgb: Option<(Colour, ToRgb, Video)>,
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
        if self.to_rgb.is_none_or(|(colour, ..)| colour != frame.colour()) {
            self.to_rgb = Some((frame.colour(), ToRgb::new(frame.colour()), Video::new(frame.colour())));
        }
        for row in &mut self.rows {
            row.resize(3 * columns.count, 0);
        }
        self.chroma.resize(columns.count.div_ceil(2));
    }

    /// How luma and chroma of the frame are converted: a camera's, and a recording's. `None` where there are none.
    #[inline(always)]
    pub(super) fn converters(&self) -> Option<(ToRgb, Video)> {
        self.to_rgb.map(|(_, to_rgb, video)| (to_rgb, video))
    }

    /// Converts row `number` of `frame` where it needs that and is not there yet.
    #[inline(always)]
    pub(super) fn load(&mut self, frame: &Frame, number: usize) {
        let at = number % 2;
        let Some((_, to_rgb, video)) = self.to_rgb.filter(|_| frame.format().is_yuv()) else { return };
        if self.numbers[at] == Some(number) {
            return;
        }
        self.numbers[at] = Some(number);
        let Columns { first, count } = self.columns;
        // Odd widths: the last macro pixel, or chroma sample, covers one pixel that is shown and one that is not.
        let (pixels, halves) = (first..first + count, first / 2..(first + count).div_ceil(2));
        let out = self.rows[at].as_mut_slice();
        match frame.format() {
            PixelFormat::Yuyv => {
                let row = &plane_row(frame, 0, number)[halves.start * 4..halves.end * 4];
                self.chroma.fill(row.chunks_exact(4).map(|m| (m[1], m[3])));
                self.chroma.convert(to_rgb, row.chunks_exact(2).map(|pixel| pixel[0]), out);
            }
            PixelFormat::Uyvy => {
                let row = &plane_row(frame, 0, number)[halves.start * 4..halves.end * 4];
                self.chroma.fill(row.chunks_exact(4).map(|m| (m[0], m[2])));
                self.chroma.convert(to_rgb, row.chunks_exact(2).map(|pixel| pixel[1]), out);
            }
            format => {
                if self.chroma_number.replace(number / 2) != Some(number / 2) {
                    load_chroma(frame, number / 2, halves, format, &mut self.chroma);
                }
                let luma = plane_row(frame, 0, number)[pixels].iter().copied();
                if format == PixelFormat::I420 {
                    self.chroma.convert(video, luma, out);
                } else {
                    self.chroma.convert(to_rgb, luma, out);
                }
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

/// The bytes of row `number` of a plane.
#[inline(always)]
pub(super) fn plane_row(frame: &Frame, plane: usize, number: usize) -> &[u8] {
    let plane = frame.plane(plane);
    &plane.bytes[number * plane.stride..][..plane.row]
}

/// Row `number` of the chroma of a 4:2:0 picture, samples `halves`.
#[inline(always)]
fn load_chroma(frame: &Frame, number: usize, halves: Range<usize>, format: PixelFormat, chroma: &mut Chroma) {
    if format == PixelFormat::Nv12 {
        let row = &plane_row(frame, 1, number)[halves.start * 2..halves.end * 2];
        chroma.fill(row.chunks_exact(2).map(|uv| (uv[0], uv[1])));
    } else {
        let u = &plane_row(frame, 1, number)[halves.clone()];
        let v = &plane_row(frame, 2, number)[halves];
        chroma.fill(u.iter().copied().zip(v.iter().copied()));
    }
}
