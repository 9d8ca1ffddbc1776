//! Day or night, by the picture: mean luma over a coarse grid, with two thresholds so that dusk does not flicker.

use stopline_sensors::frame::{Frame, PixelFormat, Range};

use crate::config::{Light, Run};

/// Samples across and down.
const GRID: usize = 24;

/// Judges one camera's light.
#[derive(Clone, Copy, Debug)]
pub struct LightMeter {
    night_below: f32,
    day_above: f32,
    light: Option<Light>,
}

impl LightMeter {
    /// With the thresholds of `[run]`.
    pub fn new(run: &Run) -> Self {
        Self { night_below: run.night_below, day_above: run.day_above, light: None }
    }

    /// The light of this frame. Between the thresholds it stays what it was; at first that is day.
    pub fn see(&mut self, frame: &Frame) -> Light {
        self.judge(mean_luma(frame))
    }

    fn judge(&mut self, mean: f32) -> Light {
        let light = match self.light {
            _ if mean < self.night_below => Light::Night,
            _ if mean > self.day_above => Light::Day,
            Some(light) => light,
            None => Light::Day,
        };
        self.light = Some(light);
        light
    }
}

/// Mean luma over the grid, full range 0 to 255.
fn mean_luma(frame: &Frame) -> f32 {
    let plane = frame.plane(0);
    // Bytes from one pixel's luma to the next, and the first one's place.
    let (step, first) = match frame.format() {
        PixelFormat::Yuyv => (2, 0),
        PixelFormat::Uyvy => (2, 1),
        PixelFormat::Nv12 | PixelFormat::I420 | PixelFormat::Grey => (1, 0),
        // Green is 59 % of luma; near enough to tell day from night.
        PixelFormat::Rgb | PixelFormat::Bgr => (3, 1),
    };
    let width = frame.width() as usize;
    let at = |cell: usize, side: usize| (2 * cell + 1) * side / (2 * GRID);
    let row = |cell: usize| at(cell, plane.rows) * plane.stride;
    let samples = (0..GRID).flat_map(|y| (0..GRID).map(move |x| (x, y)));
    let sum: u32 = samples.map(|(x, y)| u32::from(plane.bytes[row(y) + at(x, width) * step + first])).sum();
    #[allow(clippy::cast_precision_loss, reason = "at most 576 × 255")]
    let mean = sum as f32 / (GRID * GRID) as f32;
    let limited = frame.format().is_yuv() && frame.colour().range == Range::Limited;
    if limited { ((mean - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0) } else { mean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use stopline_sensors::clock::Monotonic;
    use stopline_sensors::frame::{Colour, FrameMeta, Stamp};

    fn grey(size: (u32, u32), luma: u8) -> Frame {
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
        let bytes = vec![luma; (size.0 * size.1) as usize];
        Frame::packed(meta, PixelFormat::Grey, Colour::default(), size, bytes.into()).expect("a frame")
    }

    #[test]
    fn dusk_does_not_flicker() {
        let mut meter = LightMeter::new(&Run::default());
        let seen: Vec<Light> = [50.0, 44.0, 50.0, 59.0, 61.0, 50.0].map(|mean| meter.judge(mean)).to_vec();
        use Light::{Day, Night};
        assert_eq!(seen, [Day, Night, Night, Night, Day, Day]);
    }

    #[test]
    fn the_mean_is_taken_of_pictures_of_any_size() {
        for size in [(1, 1), (7, 3), (640, 480)] {
            assert!((mean_luma(&grey(size, 90)) - 90.0).abs() < 0.01, "{size:?}");
        }
    }
}
