//! The board that was asked for, in a picture; or why it is not there.

use image::RgbImage;

use super::grey::Grey;
use super::lattice::{self, Lattice};
use super::saddle::{self, Saddle};

/// Least and most inner corners along a side of a board.
pub const SIDE: std::ops::RangeInclusive<usize> = 3..=40;
/// Pictures wider than this are looked at in half size first: a corner in them is soft.
const WIDE: usize = 1700;
/// Smoothing before corners are refined, in pixels: sharper edges than this fall between the raster of their gradients.
const REFINE_SIGMA: f32 = 1.0;
/// How often a picture is halved at most.
const HALVINGS: usize = 2;

/// A chessboard, told by its inner corners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Board {
    /// Inner corners along a row.
    pub columns: usize,
    /// Rows of inner corners.
    pub rows: usize,
    /// Side of a square in metres.
    pub square: f64,
}

impl Board {
    /// Where inner corner (column, row) lies on the board, in metres from the first one.
    pub fn corner(&self, column: usize, row: usize) -> [f64; 2] {
        [column as f64 * self.square, row as f64 * self.square]
    }

    /// All inner corners, row after row.
    pub fn corners(&self) -> Vec<[f64; 2]> {
        (0..self.rows).flat_map(|row| (0..self.columns).map(move |column| self.corner(column, row))).collect()
    }
}

/// Why the board was not found in a picture.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotFound {
    /// Nothing like a board.
    #[error(
        "no chessboard found; expected {columns}x{rows} inner corners: hold it still, in focus, in even light and with all \
         of it in the picture"
    )]
    Nothing {
        /// Expected.
        columns: usize,
        /// Expected.
        rows: usize,
    },
    /// Another board.
    #[error(
        "found a board of {found_columns}x{found_rows} inner corners, expected {columns}x{rows}: count the points where \
         four squares meet, and give them with --board"
    )]
    Other {
        /// Found.
        found_columns: usize,
        /// Found.
        found_rows: usize,
        /// Expected.
        columns: usize,
        /// Expected.
        rows: usize,
    },
    /// A part of a board, which may be the one.
    #[error(
        "only {found} of the {columns}x{rows} inner corners found: is part of the board outside the picture, in shadow, \
         in glare or out of focus?"
    )]
    Part {
        /// Found.
        found: usize,
        /// Expected.
        columns: usize,
        /// Expected.
        rows: usize,
    },
}

/// Finds the inner corners of `board`, row after row; the first row is the upper one, its first corner the left one,
/// as far as the board can tell (a board turned by more than 90° counts as turned back).
///
/// # Errors
/// [`NotFound`].
pub fn find(picture: &RgbImage, board: &Board) -> Result<Vec<[f64; 2]>, NotFound> {
    let full = Grey::of(picture);
    let smooth = full.smoothed(REFINE_SIGMA);
    let mut best = NotFound::Nothing { columns: board.columns, rows: board.rows };
    for halvings in order(full.width) {
        let mut small = full.clone();
        (0..halvings).for_each(|_| small = small.halved());
        let saddles = saddle::saddles(&small);
        match pick(&lattice::lattices(&saddles), &saddles, board) {
            Ok(coarse) => {
                let scale = f64::from(1_u32 << halvings);
                let coarse =
                    coarse.into_iter().map(|at| at.map(|v| (v + 0.5) * scale - 0.5)).collect::<Vec<_>>();
                if let Some(fine) = refined(&smooth, &coarse, board) {
                    return Ok(fine);
                }
            }
            Err(why) => best = better(best, why),
        }
    }
    Err(best)
}

/// How often to halve the picture, one attempt after the other.
fn order(width: usize) -> Vec<usize> {
    let first = usize::from(width > WIDE);
    let rest = (0..=HALVINGS).filter(|halvings| *halvings != first);
    std::iter::once(first).chain(rest).collect()
}

/// The message that says more: another board, then the larger part of this one.
fn better(a: NotFound, b: NotFound) -> NotFound {
    let weight = |why: &NotFound| match why {
        NotFound::Nothing { .. } => 0,
        NotFound::Part { found, .. } => *found,
        NotFound::Other { found_columns, found_rows, .. } => found_columns * found_rows,
    };
    if weight(&b) > weight(&a) { b } else { a }
}

fn pick(lattices: &[Lattice], saddles: &[Saddle], board: &Board) -> Result<Vec<[f64; 2]>, NotFound> {
    let (columns, rows) = (board.columns, board.rows);
    let mut why = NotFound::Nothing { columns, rows };
    for lattice in lattices {
        let shapes = [(columns, rows, false), (rows, columns, true)];
        let fitting =
            shapes.iter().find_map(|&(c, r, turned)| whole(lattice, c, r).map(|at| (at, c, r, turned)));
        if let Some((at, c, r, turned)) = fitting {
            let place = |column: usize, row: usize| {
                saddles[lattice.places[&(at.0 + column as i32, at.1 + row as i32)]].at
            };
            return Ok(upright(place, c, r, turned));
        }
        why = better(why, misfit(lattice, board));
    }
    Err(why)
}

/// Where in `lattice` all of `columns` × `rows` are, with no more than strays around: none of its other rows or columns
/// has half of a side.
fn whole(lattice: &Lattice, columns: usize, rows: usize) -> Option<(i32, i32)> {
    let ((left, top), (right, bottom)) = lattice.bounds();
    let (c, r) = (columns as i32, rows as i32);
    let full =
        |at: (i32, i32)| (0..c).all(|i| (0..r).all(|j| lattice.places.contains_key(&(at.0 + i, at.1 + j))));
    let mut all = (left..=right - c + 1).flat_map(|i| (top..=bottom - r + 1).map(move |j| (i, j)));
    let at = all.find(|at| full(*at))?;
    let beside = |(i, j): (i32, i32)| lattice.places.contains_key(&(i, j));
    let column = |i: i32| (0..r).filter(|j| beside((i, at.1 + j))).count() * 2 >= rows;
    let row = |j: i32| (0..c).filter(|i| beside((at.0 + i, j))).count() * 2 >= columns;
    let larger = column(at.0 - 1) || column(at.0 + c) || row(at.1 - 1) || row(at.1 + r);
    (!larger).then_some(at)
}

fn misfit(lattice: &Lattice, board: &Board) -> NotFound {
    let (found_columns, found_rows) = lattice.size();
    let (columns, rows) = (board.columns, board.rows);
    let found = lattice.places.len();
    // Gravel and leaves give loose lattices with holes.
    let mostly = found * 10 >= found_columns * found_rows * 7 && found_columns.min(found_rows) >= 3;
    let filled = found * 10 >= found_columns * found_rows * 9;
    let fits_in = |c: usize, r: usize| found_columns <= c && found_rows <= r;
    if filled && found >= 9 && !(fits_in(columns, rows) || fits_in(rows, columns)) {
        return NotFound::Other { found_columns, found_rows, columns, rows };
    }
    if found >= (columns * rows / 4).max(9) && mostly {
        NotFound::Part { found, columns, rows }
    } else {
        NotFound::Nothing { columns, rows }
    }
}

/// The corners of a lattice of `c` × `r` in the board's order. `turned`: the board's rows are the lattice's columns.
fn upright(place: impl Fn(usize, usize) -> [f64; 2], c: usize, r: usize, turned: bool) -> Vec<[f64; 2]> {
    // A quarter turn keeps the board from being mirrored: the board's column axis is the lattice's row axis, its row
    // axis the lattice's column axis backwards.
    let (columns, rows) = if turned { (r, c) } else { (c, r) };
    let at = |column: usize, row: usize| if turned { place(c - 1 - row, column) } else { place(column, row) };
    let turns: [&dyn Fn(usize, usize) -> [f64; 2]; 4] = [
        &|i, j| at(i, j),
        &|i, j| at(columns - 1 - i, rows - 1 - j),
        &|i, j| at(j, rows - 1 - i),
        &|i, j| at(columns - 1 - j, i),
    ];
    // A square board fits in four ways.
    let ways = if columns == rows { 4 } else { 2 };
    let rightwards = |way: usize| turns[way](columns - 1, 0)[0] - turns[way](0, 0)[0];
    let downwards = |way: usize| turns[way](0, rows - 1)[1] - turns[way](0, 0)[1];
    let score = |way: &usize| rightwards(*way) + downwards(*way);
    let best = (0..ways).max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or(0);
    (0..rows).flat_map(|j| (0..columns).map(move |i| (i, j))).map(|(i, j)| turns[best](i, j)).collect()
}

/// The corners to a fraction of a pixel; `None` where one runs away.
fn refined(picture: &Grey, coarse: &[[f64; 2]], board: &Board) -> Option<Vec<[f64; 2]>> {
    let corner = |i: usize, j: usize| coarse[j * board.columns + i];
    let mut fine = Vec::with_capacity(coarse.len());
    for j in 0..board.rows {
        for i in 0..board.columns {
            let at = corner(i, j);
            let mut step = f64::INFINITY;
            let mut against = |other: [f64; 2]| step = step.min((other[0] - at[0]).hypot(other[1] - at[1]));
            if i > 0 {
                against(corner(i - 1, j))
            }
            if i + 1 < board.columns {
                against(corner(i + 1, j))
            }
            if j > 0 {
                against(corner(i, j - 1))
            }
            if j + 1 < board.rows {
                against(corner(i, j + 1))
            }
            let reach = (step * 0.4).clamp(3.0, 14.0) as usize;
            fine.push(saddle::refined(picture, at, reach)?);
        }
    }
    Some(fine)
}

#[cfg(test)]
mod tests;
