//! Boards as a camera of known lens would show them, for tests.

use image::{Rgb, RgbImage};

use super::board::Board;
use super::lens::Lens;
use super::plane::Pose;

/// Rays per pixel, no two in one row or column (Hammersley), so that an edge along the raster is not drawn off its place.
const RAYS: u32 = 16;

/// A picture of `board` standing at `pose` (of its first inner corner) before a grey wall, with noise of `noise` grey
/// levels.
pub fn picture(lens: &Lens, board: &Board, pose: &Pose, size: [u32; 2], noise: f64) -> RgbImage {
    let (origin, across, down) = (pose.place([0.0, 0.0]), pose.place([1.0, 0.0]), pose.place([0.0, 1.0]));
    let minus = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (across, down) = (minus(across, origin), minus(down, origin));
    let normal = [
        across[1] * down[2] - across[2] * down[1],
        across[2] * down[0] - across[0] * down[2],
        across[0] * down[1] - across[1] * down[0],
    ];
    let bright = |pixel: [f64; 2]| {
        let Some(ray) = lens.ray(pixel) else { return 90.0 };
        let along = dot(normal, ray);
        let far = dot(normal, origin) / along;
        if far.is_nan() || far <= 0.0 {
            return 90.0;
        }
        let at = minus(ray.map(|part| part * far), origin);
        let (u, v) = (dot(at, across) / board.square, dot(at, down) / board.square);
        let outside =
            |place: f64, count: usize, margin: f64| place < -1.0 - margin || place > count as f64 + margin;
        if outside(u, board.columns, 0.7) || outside(v, board.rows, 0.7) {
            90.0
        } else if outside(u, board.columns, 0.0) || outside(v, board.rows, 0.0) {
            215.0
        } else if (u.floor() + v.floor()).rem_euclid(2.0) == 0.0 {
            30.0
        } else {
            215.0
        }
    };
    let mut random = Random(7);
    RgbImage::from_fn(size[0], size[1], |x, y| {
        let ray = |i: u32| {
            let part = |k: u32| (f64::from(k) + 0.5) / f64::from(RAYS) - 0.5;
            let turned = i.reverse_bits() >> (32 - RAYS.trailing_zeros());
            bright([f64::from(x) + part(i), f64::from(y) + part(turned)])
        };
        // Most pixels lie within one square.
        let corners = [0, 5, 10, 15].map(ray);
        let even = corners.iter().all(|value| *value == corners[0]);
        let mean = if even { corners[0] } else { (0..RAYS).map(ray).sum::<f64>() / f64::from(RAYS) };
        let value = mean + noise * random.normal();
        let value = value.round().clamp(0.0, 255.0) as u8;
        Rgb([value; 3])
    })
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Random(pub u64);

impl Random {
    /// 0 up to 1.
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Mean 0, standard deviation 1 (sum of twelve).
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}
