//! NanoDet and PicoDet: per cell class scores and, for each side of the box, a distribution over its distance from the
//! cell's centre: softmax over `bins`, mean × stride.
//!
//! - Class scores `[1, n, classes]` and distributions `[1, n, 4 × bins]` of each stride, each an output of its own, in any
//!   order; also transposed or as maps `[1, c, h, w]`. Three strides (NanoDet, as OpenCV's model zoo reads it): centre at
//!   (cell + 0.5) × stride − 0.5. Four (PicoDet): (cell + 0.5) × stride.
//! - `[1, n, classes + 4 × bins]` (NanoDet-Plus): strides 8 to 64, centre at cell × stride.
//! - `[n, 6]` class score x1 y1 x2 y2 in source pixels and the number of rows (PaddleDetection, post-processed), or boxes
//!   `[1, n, 4]` and scores (PaddleDetection without suppression): read as `ssd` does.

use std::collections::BTreeSet;

use super::candidates::{Candidates, Origin, Place};
use super::grid::Level;
use super::outputs::{Dims, Matrix, Order, Part, Setup};
use super::scores::{Best, single};
use super::{DecodeError, Decoder, boxes, grid, ssd};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{Decode, Head, Nms};

const STRIDES: [u32; 4] = [8, 16, 32, 64];

pub(super) fn decoder(setup: &Setup<'_>) -> Result<Box<dyn Decoder>, DecodeError> {
    setup.named("output")?;
    if let Some(tables) = pairs(setup) {
        return Ok(Box::new(Nanodet::new(setup, tables)?));
    }
    if ssd::is_paddle(setup) {
        return Ok(Box::new(ssd::paddle(setup)?));
    }
    if let Some(tables) = joined(setup) {
        return Ok(Box::new(Nanodet::new(setup, tables)?));
    }
    if ssd::has_boxes(setup) {
        return Ok(Box::new(ssd::raw(setup)?));
    }
    Err(misfit(setup))
}

/// Some columns of an output.
struct Table {
    part: Part,
    order: Order,
    /// Columns of the whole output.
    width: usize,
    first: usize,
}

/// The class scores and the distributions, one each per stride or one for all.
struct Tables {
    scores: Vec<Table>,
    sides: Vec<Table>,
    bins: usize,
}

/// Where centres lie: (cell + `cells`) × stride + `pixels`.
#[derive(Clone, Copy)]
struct Centre {
    cells: f32,
    pixels: f32,
}

pub(super) struct Nanodet {
    tables: Tables,
    strides: Vec<u32>,
    centre: Centre,
    head: Head,
    best: Best,
    taken: Vec<bool>,
    candidates: Candidates,
}

impl Nanodet {
    fn new(setup: &Setup<'_>, tables: Tables) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let joined = tables.scores[0].part.index == tables.sides[0].part.index;
        let usual = if joined { STRIDES.len() } else { tables.scores.len() };
        let strides = match decode.strides.as_slice() {
            [] => STRIDES.iter().copied().take(usual).collect(),
            own => own.to_vec(),
        };
        if !joined && strides.len() != tables.scores.len() {
            let found = format!("{} outputs with class scores", tables.scores.len());
            let expected = format!("one for each of the {} strides {strides:?}", strides.len());
            return Err(tables.scores[0].part.misfit(expected, found, "set decode.strides".into()));
        }
        let centre = centre(decode, joined, strides.len());
        let head = decode.scores.unwrap_or(Head::Probability);
        let candidates = Candidates::new(setup, Nms::ClassWise);
        Ok(Self { tables, strides, centre, head, best: Best::default(), taken: Vec::new(), candidates })
    }

    /// One output for all strides.
    fn joined(&mut self, outputs: &[Output], geometry: &Geometry) -> Result<(), DecodeError> {
        let matrix = self.tables.scores[0].read(outputs)?;
        grid::check(&self.tables.scores[0].part, &matrix, &self.strides, geometry.input)?;
        let first = self.tables.scores[0].first;
        self.best.scan(&matrix, first..first + self.candidates.classes());
        let mut row = 0;
        for at in 0..self.strides.len() {
            let level = Level::new(self.strides[at], geometry.input);
            let view = View { scores: matrix, sides: matrix, level, start: row, row };
            self.collect(&view, [0, 0], geometry)?;
            row += level.cells();
        }
        Ok(())
    }

    /// Two outputs for each stride, found by their numbers of cells.
    fn separate(&mut self, outputs: &[Output], geometry: &Geometry) -> Result<(), DecodeError> {
        self.taken.clear();
        self.taken.resize(2 * self.strides.len(), false);
        let mut row = 0;
        for at in 0..self.strides.len() {
            let level = Level::new(self.strides[at], geometry.input);
            let count = self.strides.len();
            let (taken_scores, taken_sides) = self.taken.split_at_mut(count);
            let scores_at = find(&self.tables.scores, taken_scores, outputs, level)?;
            let sides_at = find(&self.tables.sides, taken_sides, outputs, level)?;
            let scores = self.tables.scores[scores_at].read(outputs)?;
            let sides = self.tables.sides[sides_at].read(outputs)?;
            self.best.scan(&scores, 0..scores.columns);
            let view = View { scores, sides, level, start: 0, row };
            self.collect(&view, [scores_at, sides_at], geometry)?;
            row += level.cells();
        }
        Ok(())
    }

    /// Adds what counts in a level; the best classes have been looked for.
    fn collect(
        &mut self,
        view: &View<'_>,
        tables: [usize; 2],
        geometry: &Geometry,
    ) -> Result<(), DecodeError> {
        let [scores, sides] = [&self.tables.scores[tables[0]], &self.tables.sides[tables[1]]];
        for cell in 0..view.level.cells() {
            let at = view.start + cell;
            let score = single(self.head, self.best.values()[at]);
            if score < self.candidates.floor() {
                continue;
            }
            let class = self.best.class(&view.scores, at);
            if !self.candidates.counts(class, score) {
                continue;
            }
            let column = |side| sides.first + side * self.tables.bins;
            let far = [0, 1, 2, 3].map(|side| distance(&view.sides, at, column(side), self.tables.bins));
            let place = place(far, view.level, view.level.cell(cell), self.centre, geometry);
            let at = view.scores.index(at, scores.first + class);
            let origin = Origin { tensor: &scores.part.name, at, row: view.row + cell };
            self.candidates.push(origin, class, score, place, geometry)?;
        }
        Ok(())
    }
}

impl Decoder for Nanodet {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        self.candidates.clear();
        if self.tables.scores[0].part.index == self.tables.sides[0].part.index {
            self.joined(outputs, geometry)?;
        } else {
            self.separate(outputs, geometry)?;
        }
        self.candidates.finish(found);
        Ok(())
    }
}

/// A level in the outputs.
struct View<'a> {
    scores: Matrix<'a>,
    sides: Matrix<'a>,
    level: Level,
    /// Row of its first cell in the matrices.
    start: usize,
    /// Number of its first cell among those of all levels.
    row: usize,
}

impl Table {
    fn read<'a>(&self, outputs: &'a [Output]) -> Result<Matrix<'a>, DecodeError> {
        let output = self.part.read(outputs)?;
        let dims = Dims::of_output(output);
        match dims.table(self.order) {
            Some([Some(rows), Some(columns)]) if columns == self.width => {
                Ok(Matrix { data: &output.data, rows, columns, order: self.order })
            }
            _ => {
                let w = self.width;
                let expected =
                    if self.order == Order::Rows { format!("[1, n, {w}]") } else { format!("[1, {w}, n]") };
                Err(self.part.misfit(expected, dims, "run the plan this decoder was made for".into()))
            }
        }
    }
}

/// The first table not yet taken that has the level's cells; takes it.
fn find(
    tables: &[Table],
    taken: &mut [bool],
    outputs: &[Output],
    level: Level,
) -> Result<usize, DecodeError> {
    let rows = |table: &Table| {
        let dims = Dims::of_output(outputs.get(table.part.index)?);
        dims.table(table.order)?[0]
    };
    let at = (0..tables.len()).find(|&at| !taken[at] && rows(&tables[at]) == Some(level.cells()));
    let Some(at) = at else {
        let shown = |table: &Table| rows(table).map_or_else(|| "?".into(), |rows| rows.to_string());
        let found: Vec<String> = tables.iter().map(shown).collect();
        return Err(tables[0].part.misfit(
            format!(
                "{} rows in one of the outputs: {}×{} cells of stride {}",
                level.cells(),
                level.width,
                level.height,
                level.stride
            ),
            format!("outputs of {} rows", found.join(", ")),
            "check decode.strides, input.width and input.height".into(),
        ));
    };
    taken[at] = true;
    Ok(at)
}

/// The mean of a distribution given by logits, in bins.
#[allow(clippy::cast_precision_loss)] // a few dozen bins
fn distance(sides: &Matrix<'_>, row: usize, first: usize, bins: usize) -> f32 {
    let values = || (first..first + bins).map(|column| sides.at(row, column));
    let top = values().fold(f32::NEG_INFINITY, f32::max);
    let (sum, mean) = values().enumerate().fold((0.0, 0.0), |(sum, mean), (bin, value)| {
        let share = (value - top).exp();
        (sum + share, mean + share * bin as f32)
    });
    mean / sum
}

/// The box, held to the input.
fn place(far: [f32; 4], level: Level, [column, row]: [f32; 2], centre: Centre, geometry: &Geometry) -> Place {
    let stride = level.pixels();
    let x = (column + centre.cells) * stride + centre.pixels;
    let y = (row + centre.cells) * stride + centre.pixels;
    let [left, top, right, bottom] = far.map(|bins| bins * stride);
    let [w, h] = boxes::sides(geometry);
    Place::Input([
        (x - left).clamp(0.0, w),
        (y - top).clamp(0.0, h),
        (x + right).clamp(0.0, w),
        (y + bottom).clamp(0.0, h),
    ])
}

fn centre(decode: &Decode, joined: bool, strides: usize) -> Centre {
    let (cells, pixels) = match (joined, strides) {
        (true, _) => (0.0, 0.0),
        (false, 3) => (0.5, -0.5),
        (false, _) => (0.5, 0.0),
    };
    Centre { cells: decode.cell_centre.unwrap_or(cells), pixels: decode.centre_shift.unwrap_or(pixels) }
}

/// Least bins of a distribution.
const LEAST_BINS: usize = 2;

/// Outputs of class scores and as many of distributions: read with the cells before the columns in 3-D and after them in
/// 4-D, as is usual, else the other way round.
fn pairs(setup: &Setup<'_>) -> Option<Tables> {
    [false, true].into_iter().find_map(|flipped| pairs_in(setup, flipped))
}

fn pairs_in(setup: &Setup<'_>, flipped: bool) -> Option<Tables> {
    let classes = setup.classes();
    let table = |index: usize| {
        let part = setup.part(index);
        let dims = setup.dims(&part);
        let order = if (dims.axes().len() == 4) == flipped { Order::Rows } else { Order::Columns };
        let width = dims.table(order)?[1]?;
        Some(Table { part, order, width, first: 0 })
    };
    let fits = |table: &Table| {
        table.width == classes || (table.width.is_multiple_of(4) && table.width / 4 >= LEAST_BINS)
    };
    let tables: Vec<Table> = (0..setup.outputs.len()).filter_map(table).filter(fits).collect();
    let widths: BTreeSet<usize> = tables.iter().map(|table| table.width).collect();
    let (scores, sides) = if widths.len() == 1 && widths.contains(&classes) {
        by_name(tables)
    } else {
        tables.into_iter().partition(|table| table.width == classes)
    };
    let width = sides.first()?.width;
    let even = width.is_multiple_of(4) && sides.iter().all(|table| table.width == width);
    (even && scores.len() == sides.len()).then_some(Tables { scores, sides, bins: width / 4 })
}

/// Where there are as many classes as values of the distributions: by names, else the first half holds the scores.
fn by_name(tables: Vec<Table>) -> (Vec<Table>, Vec<Table>) {
    let sounds = |table: &Table| {
        ["cls", "class", "score"].iter().any(|hint| table.part.name.to_lowercase().contains(hint))
    };
    let half = tables.len() / 2;
    if tables.iter().filter(|table| sounds(table)).count() == half {
        return tables.into_iter().partition(sounds);
    }
    let mut scores = tables;
    let sides = scores.split_off(half);
    (scores, sides)
}

/// One output with the scores first.
fn joined(setup: &Setup<'_>) -> Option<Tables> {
    let classes = setup.classes();
    let bins =
        |width: usize| width.checked_sub(classes).filter(|rest| rest.is_multiple_of(4)).map(|rest| rest / 4);
    let wide = |width: usize| bins(width).is_some_and(|bins| bins >= LEAST_BINS);
    let order = |index: usize| {
        let dims = setup.dims(&setup.part(index));
        let order = dims.order(Order::Rows, wide)?;
        Some((index, order, dims.table(order)?[1].filter(|&width| wide(width))?))
    };
    let named = setup.named("output").ok().flatten().map(|part| part.index);
    let mut fitting =
        (0..setup.outputs.len()).filter(|&at| named.is_none_or(|named| named == at)).filter_map(order);
    let (Some((index, order, width)), None) = (fitting.next(), fitting.next()) else { return None };
    let table = |first| Table { part: setup.part(index), order, width, first };
    Some(Tables { scores: vec![table(0)], sides: vec![table(classes)], bins: bins(width)? })
}

fn misfit(setup: &Setup<'_>) -> DecodeError {
    let classes = setup.classes();
    DecodeError::Shape {
        tensor: setup.outputs.first().map(|spec| spec.name.clone()).unwrap_or_default(),
        expected: format!(
            "for each stride class scores [1, n, {classes}] ({classes} labels) and distributions [1, n, 4 × bins], or one \
             output [1, n, {classes} + 4 × bins]"
        ),
        found: setup.listing(),
        advice: format!("give one label per class ({classes} now), in class order, or check decoder"),
    }
}
