//! Rectangles of known colours, in every pixel format. All their edges are even, so that no chroma sample is shared.

use crate::frame::{Frame, PixelFormat};

/// The eight bars, from left to right: 100 % colours in falling brightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs, reason = "colours name themselves")]
pub enum Bar {
    White,
    Yellow,
    Cyan,
    Green,
    Magenta,
    Red,
    Blue,
    Black,
}

impl Bar {
    /// From left to right.
    pub const ALL: [Self; 8] = [
        Self::White,
        Self::Yellow,
        Self::Cyan,
        Self::Green,
        Self::Magenta,
        Self::Red,
        Self::Blue,
        Self::Black,
    ];

    /// Red, green, blue.
    pub const fn rgb(self) -> [u8; 3] {
        match self {
            Self::White => [255, 255, 255],
            Self::Yellow => [255, 255, 0],
            Self::Cyan => [0, 255, 255],
            Self::Green => [0, 255, 0],
            Self::Magenta => [255, 0, 255],
            Self::Red => [255, 0, 0],
            Self::Blue => [0, 0, 255],
            Self::Black => [0, 0, 0],
        }
    }

    /// Luma and the two chroma values, BT.601 limited range (ITU-R BT.601, 100 % bars).
    pub const fn yuv(self) -> [u8; 3] {
        match self {
            Self::White => [235, 128, 128],
            Self::Yellow => [210, 16, 146],
            Self::Cyan => [170, 166, 16],
            Self::Green => [145, 54, 34],
            Self::Magenta => [106, 202, 222],
            Self::Red => [81, 90, 240],
            Self::Blue => [41, 240, 110],
            Self::Black => [16, 128, 128],
        }
    }

    /// Full-range luma.
    pub const fn grey(self) -> u8 {
        match self {
            Self::White => 255,
            Self::Yellow => 226,
            Self::Cyan => 179,
            Self::Green => 150,
            Self::Magenta => 105,
            Self::Red => 76,
            Self::Blue => 29,
            Self::Black => 0,
        }
    }
}

/// How many bits of the frame's number are shown, the highest at the left, white for one.
pub const BITS: u32 = 32;

struct Rect {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// A picture of the bars alone.
pub(super) fn bars(format: PixelFormat, (width, height): (u32, u32)) -> Vec<u8> {
    let mut bytes = vec![0; Frame::packed_layout(format, width, height).1];
    let edge = |bar: usize| (width as usize * bar / 8) & !1;
    for (index, bar) in Bar::ALL.into_iter().enumerate() {
        let rect =
            Rect { x: edge(index), y: 0, width: edge(index + 1) - edge(index), height: height as usize };
        fill(format, (width, height), &mut bytes, &rect, bar);
    }
    bytes
}

/// What differs from frame to frame: the square, which moves 4 pixels per frame along the middle, and the number along
/// the lower edge.
pub(super) fn moving(format: PixelFormat, size: (u32, u32), number: u64, bytes: &mut [u8]) {
    let (width, height) = (size.0 as usize, size.1 as usize);
    let side = (height / 8) & !1;
    let room = ((width - side) / 4).max(1) as u64;
    let x = usize::try_from(number % room).unwrap_or_default() * 4;
    let square = Rect { x, y: (height / 2 - side / 2) & !1, width: side, height: side };
    let edge = (side / 4) & !1;
    let inside = Rect { x: x + edge, y: square.y + edge, width: side - 2 * edge, height: side - 2 * edge };
    // Two colours, so that it is seen on every bar.
    fill(format, size, bytes, &square, Bar::Black);
    fill(format, size, bytes, &inside, Bar::White);
    for bit in 0..BITS {
        let colour = if number >> (BITS - 1 - bit) & 1 == 1 { Bar::White } else { Bar::Black };
        fill(format, size, bytes, &cell(size, bit), colour);
    }
}

/// The number that a frame of the pattern shows: the lower [`BITS`] bits of its sequence. `None` for another picture.
pub fn number(frame: &Frame) -> Option<u64> {
    let plane = frame.plane(0);
    let (step, offset) = match frame.format() {
        PixelFormat::Rgb | PixelFormat::Bgr => (3, 0),
        PixelFormat::Yuyv => (2, 0),
        PixelFormat::Uyvy => (2, 1),
        _ => (1, 0),
    };
    if frame.width() < 64 || frame.height() < 64 {
        return None;
    }
    (0..BITS).try_fold(0, |number, bit| {
        let Rect { x, y, width, height } = cell((frame.width(), frame.height()), bit);
        let value = plane.bytes[(y + height / 2) * plane.stride + (x + width / 2) * step + offset];
        match value {
            190.. => Some(number << 1 | 1),
            0..=60 => Some(number << 1),
            _ => None,
        }
    })
}

fn cell((width, height): (u32, u32), bit: u32) -> Rect {
    let (width, height) = (width as usize, height as usize);
    let edge = |bit: u32| (width * bit as usize / BITS as usize) & !1;
    let tall = (height / 16) & !1;
    Rect { x: edge(bit), y: height - tall, width: edge(bit + 1) - edge(bit), height: tall }
}

fn fill(format: PixelFormat, (width, height): (u32, u32), bytes: &mut [u8], rect: &Rect, colour: Bar) {
    let (planes, _) = Frame::packed_layout(format, width, height);
    let [y, u, v] = colour.yuv();
    let [r, g, b] = colour.rgb();
    // Of each plane: how many pixels share a sample across and down, and the bytes they share.
    let (across, down, samples): (usize, usize, [&[u8]; 3]) = match format {
        PixelFormat::Rgb => (1, 1, [&[r, g, b], &[], &[]]),
        PixelFormat::Bgr => (1, 1, [&[b, g, r], &[], &[]]),
        PixelFormat::Grey => (1, 1, [&[colour.grey()], &[], &[]]),
        PixelFormat::Yuyv => (2, 1, [&[y, u, y, v], &[], &[]]),
        PixelFormat::Uyvy => (2, 1, [&[u, y, v, y], &[], &[]]),
        PixelFormat::Nv12 => (2, 2, [&[y], &[u, v], &[]]),
        PixelFormat::I420 => (2, 2, [&[y], &[u], &[v]]),
    };
    for (plane, (layout, sample)) in planes.iter().zip(samples).enumerate() {
        let whole = format.planes() > 1 && plane == 0; // luma of its own plane is not shared
        let (across, down) = if whole { (1, 1) } else { (across, down) };
        for row in rect.y / down..(rect.y + rect.height) / down {
            let start = layout.offset + row * layout.stride + rect.x / across * sample.len();
            let length = rect.width / across * sample.len();
            bytes[start..start + length]
                .chunks_exact_mut(sample.len())
                .for_each(|at| at.copy_from_slice(sample));
        }
    }
}
