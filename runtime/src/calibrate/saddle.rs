//! Points where four squares of a board meet: saddle points of the brightness.
//!
//! Candidates are maxima of −det(Hessian) of the smoothed picture, which is largest at such a point whatever its
//! rotation. On a ring around a real one the brightness changes exactly four times, each change opposite to another.
//! Their place is refined as in Förstner and Gülch (1987), which OpenCV's `cornerSubPix` uses too: the point that every
//! gradient around it is perpendicular to.

use super::grey::Grey;

/// Smoothing before the second derivatives are taken, in pixels.
const SIGMA: f32 = 1.4;
/// Radius of the ring, in pixels.
const RING: f64 = 4.5;
/// Samples on the ring.
const SAMPLES: usize = 32;
/// Least difference of brightness between the dark and the light squares.
const LEAST_CONTRAST: f32 = 8.0;
/// Share of the strongest response from which a point is looked at.
const WEAKEST: f32 = 0.004;
/// Most candidates looked at: gravel and leaves are full of them.
const MOST: usize = 4000;
/// How far opposite changes may be from a straight line, in radians.
const BENT: f64 = 0.5;

/// A point where four squares meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Saddle {
    /// Where, in pixels of the picture it was found in.
    pub at: [f64; 2],
    /// Directions of the two edges through it, radians from x to y, 0 up to π.
    pub axes: [f64; 2],
    /// Which samples of the ring are light: bit k stands for the angle 2πk/32.
    light: u32,
}

impl Saddle {
    /// Whether it is light in direction `angle` (radians from x to y).
    pub fn is_light(&self, angle: f64) -> bool {
        let step = (angle / std::f64::consts::TAU * SAMPLES as f64).round().rem_euclid(SAMPLES as f64);
        self.light & (1 << step as u32) != 0
    }

    /// How far direction `angle` is from the nearer of the edges, in radians.
    pub fn off_axis(&self, angle: f64) -> f64 {
        self.axes.iter().map(|axis| line_angle(angle - axis)).fold(f64::INFINITY, f64::min)
    }
}

/// The angle between two lines whose directions differ by `difference`: 0 to π/2.
pub fn line_angle(difference: f64) -> f64 {
    let turned = difference.rem_euclid(std::f64::consts::PI);
    turned.min(std::f64::consts::PI - turned)
}

/// All saddle points of a picture, the strongest first.
pub fn saddles(picture: &Grey) -> Vec<Saddle> {
    if picture.width < 16 || picture.height < 16 {
        return Vec::new();
    }
    let smooth = picture.smoothed(SIGMA);
    candidates(&responses(&smooth), smooth.width).into_iter().filter_map(|at| judged(&smooth, at)).collect()
}

/// −det(Hessian) per pixel; 0 at the border.
fn responses(smooth: &Grey) -> Vec<f32> {
    let (w, h) = (smooth.width, smooth.height);
    let v = &smooth.values;
    let mut all = vec![0.0; v.len()];
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let i = y * w + x;
            let xx = v[i - 1] - 2.0 * v[i] + v[i + 1];
            let yy = v[i - w] - 2.0 * v[i] + v[i + w];
            let xy = (v[i - w - 1] - v[i - w + 1] - v[i + w - 1] + v[i + w + 1]) / 4.0;
            all[i] = (xy * xy - xx * yy).max(0.0);
        }
    }
    all
}

/// Local maxima (5 × 5), the strongest first.
fn candidates(response: &[f32], width: usize) -> Vec<[usize; 2]> {
    let strongest = response.iter().copied().fold(0.0, f32::max);
    let height = response.len() / width;
    let mut found: Vec<(f32, [usize; 2])> = Vec::new();
    for y in 6..height.saturating_sub(6) {
        for x in 6..width.saturating_sub(6) {
            let here = response[y * width + x];
            if here <= strongest * WEAKEST || here <= 0.0 {
                continue;
            }
            let rival = (y - 2..=y + 2).any(|j| {
                (x - 2..=x + 2).any(|i| {
                    let other = response[j * width + i];
                    other > here || (other == here && (j, i) < (y, x))
                })
            });
            if !rival {
                found.push((here, [x, y]));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(MOST);
    found.into_iter().map(|(_, at)| at).collect()
}

/// The saddle at `at`, where the ring around it looks like four squares.
fn judged(smooth: &Grey, at: [usize; 2]) -> Option<Saddle> {
    let at = [at[0] as f64, at[1] as f64];
    let ring: [f32; SAMPLES] = std::array::from_fn(|k| {
        let angle = std::f64::consts::TAU * k as f64 / SAMPLES as f64;
        smooth.between(at[0] + RING * angle.cos(), at[1] + RING * angle.sin())
    });
    let (dark, bright) = ring.iter().fold((f32::MAX, f32::MIN), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    if bright - dark < LEAST_CONTRAST {
        return None;
    }
    let middle = f32::midpoint(dark, bright);
    let mut changes = Vec::with_capacity(4);
    for k in 0..SAMPLES {
        let (a, b) = (ring[k] - middle, ring[(k + 1) % SAMPLES] - middle);
        if (a > 0.0) != (b > 0.0) {
            if changes.len() == 4 {
                return None;
            }
            let share = f64::from(a / (a - b));
            changes.push(std::f64::consts::TAU * (k as f64 + share) / SAMPLES as f64);
        }
    }
    let [a, b, c, d] = changes[..] else { return None };
    let straight = |from: f64, to: f64| (to - from - std::f64::consts::PI).abs() < BENT;
    if !straight(a, c) || !straight(b, d) {
        return None;
    }
    let axis =
        |from: f64, to: f64| f64::midpoint(from, to - std::f64::consts::PI).rem_euclid(std::f64::consts::PI);
    let light = ring.iter().enumerate().filter(|(_, v)| **v > middle).fold(0, |bits, (k, _)| bits | (1 << k));
    Some(Saddle { at, axes: [axis(a, c), axis(b, d)], light })
}

/// `at` moved to the point that the gradients within `reach` pixels are perpendicular to; `None` where there is none
/// near. Gradients are taken at whole pixels: between them interpolation would draw the point towards the raster.
pub fn refined(picture: &Grey, at: [f64; 2], reach: usize) -> Option<[f64; 2]> {
    let width = reach.max(1) as f64;
    let mut now = at;
    for _ in 0..40 {
        let next = perpendicular(picture, now, reach as isize, width)?;
        let step = (next[0] - now[0]).hypot(next[1] - now[1]);
        now = next;
        if (now[0] - at[0]).hypot(now[1] - at[1]) > width.max(2.0) {
            return None;
        }
        if step < 0.002 {
            break;
        }
    }
    Some(now)
}

/// The point that solves Σ w·g·gᵀ·(q − p) = 0 over the pixels p around `now`, g their gradients, w falling with the
/// distance from `now`.
fn perpendicular(picture: &Grey, now: [f64; 2], reach: isize, width: f64) -> Option<[f64; 2]> {
    let (left, top) = (now[0].round() as isize, now[1].round() as isize);
    let (mut a, mut b, mut c, mut p, mut q) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for y in top - reach - 1..=top + reach + 1 {
        for x in left - reach - 1..=left + reach + 1 {
            let (i, j) = (x as f64 - now[0], y as f64 - now[1]);
            let far = (i * i + j * j) / (width * width);
            if far > 1.0 {
                continue;
            }
            // Scharr's kernel: the least turned of the 3 × 3 ones.
            let across = |row: isize| picture.at(x + 1, y + row) - picture.at(x - 1, y + row);
            let down = |column: isize| picture.at(x + column, y + 1) - picture.at(x + column, y - 1);
            let gx = f64::from(3.0 * (across(-1) + across(1)) + 10.0 * across(0));
            let gy = f64::from(3.0 * (down(-1) + down(1)) + 10.0 * down(0));
            let weight = (1.0 - far).powi(2);
            let (xx, xy, yy) = (gx * gx * weight, gx * gy * weight, gy * gy * weight);
            a += xx;
            b += xy;
            c += yy;
            p += xx * i + xy * j;
            q += xy * i + yy * j;
        }
    }
    let determinant = a * c - b * b;
    if determinant.abs() <= 1e-6 * (a + c).powi(2) {
        return None;
    }
    Some([now[0] + (c * p - b * q) / determinant, now[1] + (a * q - b * p) / determinant])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four squares meeting at `at`, turned by `turn`, as a lens that blurs by a pixel shows them (tanh for erf).
    fn four_squares(at: [f64; 2], turn: f64) -> Grey {
        let (width, height) = (64, 48);
        let value = |i: usize| {
            let (x, y) = ((i % width) as f64 - at[0], (i / width) as f64 - at[1]);
            let (u, v) = (x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin());
            (125.0 + 95.0 * (1.2 * u).tanh() * (1.2 * v).tanh()) as f32
        };
        Grey { width, height, values: (0..width * height).map(value).collect() }
    }

    #[test]
    fn four_squares_are_found_to_a_hundredth_of_a_pixel_at_any_turn() {
        for step in 0..12 {
            let (at, turn) = ([30.3, 22.6], f64::from(step) * 0.2);
            let picture = four_squares(at, turn);
            let found = saddles(&picture);
            assert_eq!(found.len(), 1, "turn {turn}");
            let fine = refined(&picture.smoothed(1.0), found[0].at, 6).unwrap();
            assert!((fine[0] - at[0]).hypot(fine[1] - at[1]) < 0.02, "turn {turn}: {fine:?}");
            assert!(found[0].off_axis(turn) < 0.1, "turn {turn}: {:?}", found[0].axes);
            assert!(found[0].is_light(turn + 0.785) && !found[0].is_light(turn - 0.785));
        }
    }

    #[test]
    fn an_edge_a_corner_and_a_spot_are_no_saddles() {
        let picture = |light: &dyn Fn(f64, f64) -> bool| {
            let values = (0..64 * 48).map(|i| {
                if light(f64::from(i % 64) - 30.0, f64::from(i / 64) - 20.0) { 200.0 } else { 40.0 }
            });
            Grey { width: 64, height: 48, values: values.collect() }.smoothed(0.8)
        };
        assert!(saddles(&picture(&|x, _| x > 0.0)).is_empty());
        assert!(saddles(&picture(&|x, y| x > 0.0 && y > 0.0)).is_empty());
        assert!(saddles(&picture(&|x, y| x.hypot(y) < 4.0)).is_empty());
    }
}
