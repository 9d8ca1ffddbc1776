//! What a picture looked like, in the few figures by which drift is watched: no second look at the pixels but for chroma.

use stopline_depot::drift::FrameStatistics;
use stopline_sensors::frame::{Frame, PixelFormat};

use super::grid::{CELLS_X, CELLS_Y, LEAST_SIDE, Look};

/// Samples of chroma across and down.
const GRID: usize = 24;
/// Cells of detail along each side.
const SIDE: usize = 4;

/// The figures of `frame`, whose look is `look`; `None` where it was too small for one.
pub fn statistics(look: &Look, frame: &Frame) -> Option<FrameStatistics> {
    if frame.width() < LEAST_SIDE || frame.height() < LEAST_SIDE {
        return None;
    }
    let mut detail = [0.0; SIDE * SIDE];
    for (at, strength) in look.detail.iter().enumerate() {
        let (x, y) = (at % CELLS_X * SIDE / CELLS_X, at / CELLS_X * SIDE / CELLS_Y);
        detail[y * SIDE + x] += f32::from(*strength);
    }
    Some(FrameStatistics {
        luma: Some(look.mean_luma()),
        chroma: Some(chroma(frame)),
        sharpness: look.sharpness,
        detail: Some(detail),
    })
}

/// Mean distance from grey of samples of the picture, 0 to 181.
#[allow(clippy::cast_precision_loss, reason = "576 samples")]
fn chroma(frame: &Frame) -> f32 {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let middle = |at: usize, side: usize| (2 * at + 1) * side / (2 * GRID);
    let samples = (0..GRID * GRID).map(|at| (middle(at % GRID, width), middle(at / GRID, height)));
    let sum: f32 = samples.map(|(x, y)| from_grey(frame, x, y)).sum();
    sum / (GRID * GRID) as f32
}

/// Distance from grey of the pixel at `x`, `y`, in the plane of Cb and Cr.
fn from_grey(frame: &Frame, x: usize, y: usize) -> f32 {
    let byte = |plane: usize, row: usize, column: usize| {
        let plane = frame.plane(plane);
        f32::from(plane.bytes[row * plane.stride + column])
    };
    let (cb, cr) = match frame.format() {
        PixelFormat::Grey => return 0.0,
        PixelFormat::Yuyv => (byte(0, y, x / 2 * 4 + 1), byte(0, y, x / 2 * 4 + 3)),
        PixelFormat::Uyvy => (byte(0, y, x / 2 * 4), byte(0, y, x / 2 * 4 + 2)),
        PixelFormat::Nv12 => (byte(1, y / 2, x / 2 * 2), byte(1, y / 2, x / 2 * 2 + 1)),
        PixelFormat::I420 => (byte(1, y / 2, x / 2), byte(2, y / 2, x / 2)),
        PixelFormat::Rgb => return of_rgb([0, 1, 2].map(|at| byte(0, y, x * 3 + at))),
        PixelFormat::Bgr => return of_rgb([2, 1, 0].map(|at| byte(0, y, x * 3 + at))),
    };
    (cb - 128.0).hypot(cr - 128.0)
}

/// Cb and Cr of ITU-R BT.601, clause 2.5.
fn of_rgb([r, g, b]: [f32; 3]) -> f32 {
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    (0.564 * (b - luma)).hypot(0.713 * (r - luma))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stopline_sensors::clock::Monotonic;
    use stopline_sensors::frame::{Buffer, Colour, FrameMeta, Stamp};

    use super::*;

    const SIZE: (u32, u32) = (640, 480);

    fn frame(format: PixelFormat, bytes: Vec<u8>) -> Frame {
        let meta = FrameMeta {
            source: Arc::from("test"),
            sequence: 0,
            captured: Monotonic::from_nanos(0),
            stamp: Stamp::Arrival,
            wall: std::time::UNIX_EPOCH,
            position: None,
            path: None,
            copies: 0,
        };
        Frame::packed(meta, format, Colour::default(), SIZE, Buffer::from(bytes)).unwrap()
    }

    fn of(format: PixelFormat, bytes: Vec<u8>) -> FrameStatistics {
        let frame = frame(format, bytes);
        let mut look = Look::default();
        assert!(look.at(&frame));
        statistics(&look, &frame).unwrap()
    }

    #[test]
    fn one_colour_is_as_far_from_grey_in_every_format_and_grey_is_none() {
        let pixels = (SIZE.0 * SIZE.1) as usize;
        // Luma 100, Cb 148, Cr 118.
        let formats = [
            of(PixelFormat::Yuyv, [100, 148, 100, 118].repeat(pixels / 2)),
            of(PixelFormat::Uyvy, [148, 100, 118, 100].repeat(pixels / 2)),
            of(PixelFormat::Nv12, [vec![100; pixels], [148, 118].repeat(pixels / 4)].concat()),
            of(PixelFormat::I420, [vec![100; pixels], vec![148; pixels / 4], vec![118; pixels / 4]].concat()),
        ];
        for found in formats {
            assert!((found.chroma.unwrap() - 500.0_f32.sqrt()).abs() < 0.01, "{found:?}");
        }
        assert_eq!(of(PixelFormat::Grey, vec![100; pixels]).chroma, Some(0.0));
        assert!(of(PixelFormat::Rgb, vec![90; pixels * 3]).chroma.unwrap() < 0.01);
        let red = of(PixelFormat::Rgb, [200, 20, 20].repeat(pixels)).chroma.unwrap();
        let swapped = of(PixelFormat::Bgr, [20, 20, 200].repeat(pixels)).chroma.unwrap();
        assert!(red > 60.0 && (red - swapped).abs() < 0.01, "{red} {swapped}");
    }

    #[test]
    fn detail_lies_where_it_is_and_luma_is_the_mean() {
        let mut bytes = vec![40; (SIZE.0 * SIZE.1) as usize];
        // Stripes in the lower right corner only.
        for y in SIZE.1 * 3 / 4..SIZE.1 {
            for x in (SIZE.0 * 3 / 4..SIZE.0).filter(|x| x / 4 % 2 == 0) {
                bytes[(y * SIZE.0 + x) as usize] = 220;
            }
        }
        let found = of(PixelFormat::Grey, bytes);
        let detail = found.detail.unwrap();
        let corner = detail[SIDE * SIDE - 1];
        assert!(corner > 0.75 * detail.iter().sum::<f32>(), "{detail:?}");
        assert!((found.luma.unwrap() - (40.0 + 180.0 / 32.0)).abs() < 2.0, "{:?}", found.luma);
    }
}
