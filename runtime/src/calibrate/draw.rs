//! Pictures for a person to look at: the corners that were found, and the picture without its distortion.

use image::{Rgb, RgbImage};

use super::board::Board;
use super::lens::{Lens, Model};

/// Draws the corners of a board in the order they were counted: rows in colours from red to blue, the first corner in a
/// ring.
pub fn corners(picture: &mut RgbImage, board: &Board, seen: &[[f64; 2]]) {
    let size = (f64::from(picture.width()) / 300.0).max(3.0);
    for (index, at) in seen.iter().enumerate() {
        let row = index / board.columns;
        let colour = row_colour(row, board.rows);
        cross(picture, *at, size, colour);
        if index % board.columns + 1 < board.columns {
            line(picture, *at, seen[index + 1], colour);
        }
    }
    if let Some(first) = seen.first() {
        for step in 0..48 {
            let angle = std::f64::consts::TAU * f64::from(step) / 48.0;
            dot(
                picture,
                [first[0] + 2.5 * size * angle.cos(), first[1] + 2.5 * size * angle.sin()],
                [255, 255, 255],
            );
        }
    }
}

/// The picture as a lens without distortion shows it: straight edges of the board must come out straight. Zoomed so that
/// the middle keeps its size; what the lens did not see is black.
pub fn undistorted(picture: &RgbImage, lens: &Lens) -> RgbImage {
    let (width, height) = picture.dimensions();
    // Of a fisheye only the middle 110° can lie on a plane.
    let zoom = match lens.model {
        Model::BrownConrady => 1.0,
        Model::KannalaBrandt => 0.6,
    };
    RgbImage::from_fn(width, height, |u, v| {
        let x = (f64::from(u) - lens.centre[0]) / (lens.focal[0] * zoom);
        let y = (f64::from(v) - lens.centre[1]) / (lens.focal[1] * zoom);
        lens.project([x, y, 1.0]).and_then(|at| sample(picture, at)).unwrap_or(Rgb([0, 0, 0]))
    })
}

fn sample(picture: &RgbImage, [x, y]: [f64; 2]) -> Option<Rgb<u8>> {
    let inside =
        x >= 0.0 && y >= 0.0 && x < f64::from(picture.width() - 1) && y < f64::from(picture.height() - 1);
    if !inside {
        return None;
    }
    let (i, j) = (x as u32, y as u32);
    let (a, b) = (x.fract(), y.fract());
    let mix = |channel: usize| {
        let at = |i, j| f64::from(picture.get_pixel(i, j)[channel]);
        let above = at(i, j) * (1.0 - a) + at(i + 1, j) * a;
        let below = at(i, j + 1) * (1.0 - a) + at(i + 1, j + 1) * a;
        (above * (1.0 - b) + below * b).round() as u8
    };
    Some(Rgb([mix(0), mix(1), mix(2)]))
}

fn row_colour(row: usize, rows: usize) -> [u8; 3] {
    let share = row as f64 / (rows.max(2) - 1) as f64;
    let up = (255.0 * share) as u8;
    [255 - up, 200, up]
}

fn cross(picture: &mut RgbImage, at: [f64; 2], size: f64, colour: [u8; 3]) {
    line(picture, [at[0] - size, at[1]], [at[0] + size, at[1]], colour);
    line(picture, [at[0], at[1] - size], [at[0], at[1] + size], colour);
}

fn line(picture: &mut RgbImage, from: [f64; 2], to: [f64; 2], colour: [u8; 3]) {
    let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
    for step in 0..=steps as u32 {
        let share = f64::from(step) / steps;
        dot(picture, [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share], colour);
    }
}

fn dot(picture: &mut RgbImage, at: [f64; 2], colour: [u8; 3]) {
    let (x, y) = (at[0].round(), at[1].round());
    if x >= 0.0 && y >= 0.0 && x < f64::from(picture.width()) && y < f64::from(picture.height()) {
        picture.put_pixel(x as u32, y as u32, Rgb(colour));
    }
}
