//! Which saddle points form a board: a lattice grown from one of them, step by step.
//!
//! A neighbour must lie where the last step points to, have edges along the lattice, and light and dark the other way
//! round than the point it is reached from: on a chessboard they change places from corner to corner. So gravel, window
//! frames and letters do not get in.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::saddle::{Saddle, line_angle};

/// How far a neighbour may lie from where it is expected, as a share of the step.
const STRAY: f64 = 0.35;
/// How far an edge may be turned from the direction of a step, in radians.
const TURN: f64 = 0.45;
/// Seeds tried: of a board that can be found nearly every point is one.
const SEEDS: usize = 60;
/// Fewest points of a lattice that is looked at.
const LEAST: usize = 6;

/// Largest median change of a step from one corner to the next, as a share of it. The rim of a fisheye has 0.1; points
/// of noise that happen to fit have 0.25.
const BEND: f64 = 0.15;

type Place = (i32, i32);

/// Points in rows and columns: column (i) to the right of the lattice, row (j) downwards.
#[derive(Clone, Debug)]
pub struct Lattice {
    /// Index of the saddle at a column and row.
    pub places: BTreeMap<Place, usize>,
}

impl Lattice {
    /// Columns and rows of the smallest rectangle around it.
    pub fn size(&self) -> (usize, usize) {
        let (low, high) = self.bounds();
        ((high.0 - low.0 + 1) as usize, (high.1 - low.1 + 1) as usize)
    }

    /// Least and greatest column and row.
    pub fn bounds(&self) -> (Place, Place) {
        let columns = self.places.keys().map(|place| place.0);
        let rows = self.places.keys().map(|place| place.1);
        let low = (columns.clone().min().unwrap_or(0), rows.clone().min().unwrap_or(0));
        (low, (columns.max().unwrap_or(0), rows.max().unwrap_or(0)))
    }
}

/// The largest lattices among `saddles`, no point in two of them, the largest first.
pub fn lattices(saddles: &[Saddle]) -> Vec<Lattice> {
    let near = Near::new(saddles);
    let mut taken = HashSet::new();
    let mut all: Vec<Lattice> = Vec::new();
    for seed in 0..saddles.len().min(SEEDS * 8) {
        if all.len() >= 8 || taken.contains(&seed) {
            continue;
        }
        let Some(lattice) = grown(saddles, &near, seed) else { continue };
        if lattice.places.len() >= LEAST
            && bend(&lattice, saddles) < BEND
            && lattice.places.values().all(|point| !taken.contains(point))
        {
            taken.extend(lattice.places.values().copied());
            all.push(lattice);
        }
    }
    all.sort_by_key(|lattice| std::cmp::Reverse(lattice.places.len()));
    all
}

/// Median over all rows and columns of three: by which share of itself the step changes at the middle one.
fn bend(lattice: &Lattice, saddles: &[Saddle]) -> f64 {
    let at = |place: Place| lattice.places.get(&place).map(|point| saddles[*point].at);
    let mut all: Vec<f64> = Vec::new();
    for &(i, j) in lattice.places.keys() {
        for (a, c) in [((i - 1, j), (i + 1, j)), ((i, j - 1), (i, j + 1))] {
            if let (Some(a), Some(b), Some(c)) = (at(a), at((i, j)), at(c)) {
                let (before, after) = (difference(b, a), difference(c, b));
                let change = difference(after, before);
                let step = before[0].hypot(before[1]).max(after[0].hypot(after[1]));
                all.push(change[0].hypot(change[1]) / step);
            }
        }
    }
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::INFINITY)
}

const STEPS: [Place; 4] = [(1, 0), (-1, 0), (0, 1), (0, -1)];

/// What is known of a point that has its place: the step to the next column and to the next row.
#[derive(Clone, Copy)]
struct Known {
    point: usize,
    column: [f64; 2],
    row: [f64; 2],
}

fn grown(saddles: &[Saddle], near: &Near, seed: usize) -> Option<Lattice> {
    let mut known: BTreeMap<Place, Known> = BTreeMap::new();
    known.insert((0, 0), first(saddles, near, seed)?);
    let mut used = HashSet::from([seed]);
    let mut open = VecDeque::from([(0, 0)]);
    while let Some(place) = open.pop_front() {
        for step in STEPS {
            let next = (place.0 + step.0, place.1 + step.1);
            if known.contains_key(&next) {
                continue;
            }
            let Some(found) = neighbour(saddles, near, &known, place, step, &used) else { continue };
            used.insert(found.point);
            known.insert(next, found);
            open.push_back(next);
        }
    }
    Some(Lattice { places: known.into_iter().map(|(place, known)| (place, known.point)).collect() })
}

/// The seed with its steps, where it has a neighbour along each of its edges.
fn first(saddles: &[Saddle], near: &Near, seed: usize) -> Option<Known> {
    let here = &saddles[seed];
    let along = |axis: f64| {
        [axis, axis + std::f64::consts::PI].into_iter().find_map(|way| {
            let nearest = near.around(here.at, 12).find(|&other| {
                let step = difference(saddles[other].at, here.at);
                let off = angle(step) - way;
                other != seed && off.cos() > 0.92 && fits(here, &saddles[other], step)
            })?;
            let step = difference(saddles[nearest].at, here.at);
            Some(if way == axis { step } else { [-step[0], -step[1]] })
        })
    };
    let (column, row) = (along(here.axes[0])?, along(here.axes[1])?);
    // Columns to the right of rows, as x is of y: a board seen from the front is never mirrored.
    let turn = column[0] * row[1] - column[1] * row[0];
    let row = if turn > 0.0 { row } else { [-row[0], -row[1]] };
    Some(Known { point: seed, column, row })
}

fn neighbour(
    saddles: &[Saddle],
    near: &Near,
    known: &BTreeMap<Place, Known>,
    place: Place,
    step: Place,
    used: &HashSet<usize>,
) -> Option<Known> {
    let from = known[&place];
    let here = &saddles[from.point];
    let behind = known.get(&(place.0 - step.0, place.1 - step.1));
    let sign = f64::from(step.0 + step.1);
    let along = if step.1 == 0 { from.column } else { from.row };
    let stride = match behind {
        Some(behind) => difference(here.at, saddles[behind.point].at),
        None => [along[0] * sign, along[1] * sign],
    };
    let aim = [here.at[0] + stride[0], here.at[1] + stride[1]];
    let length = stride[0].hypot(stride[1]);
    let point = near.around(aim, 6).find(|&other| {
        let strayed = difference(saddles[other].at, aim);
        let taken = difference(saddles[other].at, here.at);
        strayed[0].hypot(strayed[1]) < STRAY * length
            && !used.contains(&other)
            && fits(here, &saddles[other], taken)
    })?;
    let taken = difference(saddles[point].at, here.at);
    let taken = [taken[0] * sign, taken[1] * sign];
    let (column, row) = if step.1 == 0 { (taken, from.row) } else { (from.column, taken) };
    Some(Known { point, column, row })
}

/// Whether `b` can be the neighbour of `a` that lies `step` from it.
fn fits(a: &Saddle, b: &Saddle, step: [f64; 2]) -> bool {
    let way = angle(step);
    if a.off_axis(way) > TURN || b.off_axis(way) > TURN {
        return false;
    }
    // Light and dark in the sector between this edge and the other one, measured on each point's own edges.
    sector(a, way) != sector(b, way)
}

/// Whether the sector clockwise of the edge along `way` is light.
fn sector(saddle: &Saddle, way: f64) -> bool {
    let [first, second] = saddle.axes;
    let other = if line_angle(way - first) < line_angle(way - second) { second } else { first };
    // The other edge's direction that lies clockwise (x towards y) of `way`.
    let ahead = (other - way).rem_euclid(std::f64::consts::PI);
    saddle.is_light(way + ahead / 2.0)
}

fn difference(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

fn angle(step: [f64; 2]) -> f64 {
    step[1].atan2(step[0])
}

/// Finds the nearest points by squares of the picture.
struct Near {
    cells: std::collections::HashMap<(i32, i32), Vec<usize>>,
    points: Vec<[f64; 2]>,
}

const CELL: f64 = 24.0;
/// Neighbours looked at: between two corners of a board lies next to nothing.
const NEAREST: usize = 24;

impl Near {
    fn new(saddles: &[Saddle]) -> Self {
        let mut cells = std::collections::HashMap::<_, Vec<usize>>::new();
        for (index, saddle) in saddles.iter().enumerate() {
            cells.entry(cell(saddle.at)).or_default().push(index);
        }
        Self { cells, points: saddles.iter().map(|saddle| saddle.at).collect() }
    }

    /// Points around `at`, the nearest first, out to `rings` cells.
    fn around(&self, at: [f64; 2], rings: i32) -> impl Iterator<Item = usize> + use<> {
        let (x, y) = cell(at);
        let mut found = Vec::new();
        for ring in 0..=rings {
            // What lies in this ring may be farther than the next ring's nearest: one ring more settles the order.
            for j in -ring..=ring {
                let across = if j.abs() == ring { 1 } else { (2 * ring).max(1) };
                let mut i = -ring;
                while i <= ring {
                    found.extend(self.cells.get(&(x + i, y + j)).into_iter().flatten().copied());
                    i += across;
                }
            }
        }
        let distance = |index: usize| {
            let step = difference(self.points[index], at);
            step[0] * step[0] + step[1] * step[1]
        };
        let mut found: Vec<(f64, usize)> = found.into_iter().map(|index| (distance(index), index)).collect();
        found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        found.truncate(NEAREST);
        found.into_iter().map(|(_, index)| index)
    }
}

fn cell(at: [f64; 2]) -> (i32, i32) {
    ((at[0] / CELL).floor() as i32, (at[1] / CELL).floor() as i32)
}
