//! YOLOX: `[1, n, 5 + classes]`, per cell dx dy log(w) log(h) objectness class…, cells of all strides one after the
//! other (Megvii-BaseDetection/YOLOX, `demo_postprocess`). Score = objectness × class.
//!
//! With `decode.box_range` the boxes are taken as decoded in the graph (`--decode_in_inference`): centre and size.

use super::boxes::Boxes;
use super::candidates::{Candidates, Origin, Place};
use super::outputs::{Dims, Matrix, Order, Part, Setup, label_advice};
use super::scores::{peak, single};
use super::{DecodeError, Decoder, grid};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Head, Nms, ValueRange};

const STRIDES: [u32; 3] = [8, 16, 32];

pub(super) struct Yolox {
    part: Part,
    strides: Vec<u32>,
    ready: Option<Boxes>,
    head: Head,
    candidates: Candidates,
}

impl Yolox {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let ready = decode.box_range.map(|_| Boxes::new(decode, BoxFormat::Cxcywh, ValueRange::Input));
        Self::reading(setup, ready)
    }

    /// YOLOv5's and v7's output: the same columns, the boxes decoded in the graph.
    pub fn decoded(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let boxes = Boxes::new(&setup.manifest.decode, BoxFormat::Cxcywh, ValueRange::Input);
        Self::reading(setup, Some(boxes))
    }

    fn reading(setup: &Setup<'_>, ready: Option<Boxes>) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let columns = 5 + setup.classes();
        let fits = |dims: Dims| rows_of(&dims, columns).is_some();
        let part = setup.only("output", &format!("[1, n, {columns}]"), |spec| fits(Dims::of_spec(spec)))?;
        let dims = setup.dims(&part);
        let rows = rows_of(&dims, columns).ok_or_else(|| misfit(&part, &dims, columns))?;
        let strides = if decode.strides.is_empty() { STRIDES.to_vec() } else { decode.strides.clone() };
        if ready.is_none() {
            grid::check_known(&part, rows, &strides, &setup.manifest.input)?;
        }
        let head = decode.scores.unwrap_or(Head::Probability);
        Ok(Self { part, strides, ready, head, candidates: Candidates::new(setup, Nms::ClassWise) })
    }

    /// Adds row `row`, whose cell is `cell` of a map of `stride`.
    fn row(
        &mut self,
        values: &[f32],
        row: usize,
        cell: ([f32; 2], f32),
        geometry: &Geometry,
    ) -> Result<(), DecodeError> {
        let objectness = single(self.head, values[4]);
        if objectness < self.candidates.floor() {
            return Ok(());
        }
        let (class, best) = peak(&values[5..]);
        let score = objectness * single(self.head, best);
        if !self.candidates.counts(class, score) {
            return Ok(());
        }
        let four = [values[0], values[1], values[2], values[3]];
        let place = match self.ready {
            Some(boxes) => boxes.place(&self.part, four, geometry)?,
            None => Place::Input(decode(four, cell)),
        };
        let origin = Origin { tensor: &self.part.name, at: row * values.len(), row };
        self.candidates.push(origin, class, score, place, geometry)
    }
}

impl Decoder for Yolox {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.read(outputs)?;
        let columns = 5 + self.candidates.classes();
        let dims = Dims::of_output(output);
        let rows = rows_of(&dims, columns).flatten().ok_or_else(|| misfit(&self.part, &dims, columns))?;
        let matrix = Matrix { data: &output.data, rows, columns, order: Order::Rows };
        self.candidates.clear();
        if self.ready.is_some() {
            for (row, values) in matrix.data.chunks_exact(columns).enumerate() {
                self.row(values, row, ([0.0; 2], 0.0), geometry)?;
            }
        } else {
            grid::check(&self.part, &matrix, &self.strides, geometry.input)?;
            let mut row = 0;
            for at in 0..self.strides.len() {
                let level = grid::Level::new(self.strides[at], geometry.input);
                for cell in 0..level.cells() {
                    let values = &matrix.data[row * columns..][..columns];
                    self.row(values, row, (level.cell(cell), level.pixels()), geometry)?;
                    row += 1;
                }
            }
        }
        self.candidates.finish(found);
        Ok(())
    }
}

fn rows_of(dims: &Dims, columns: usize) -> Option<Option<usize>> {
    let [rows, found] = dims.table(Order::Rows).filter(|_| dims.axes().len() <= 3)?;
    found.is_none_or(|found| found == columns).then_some(rows)
}

fn misfit(part: &Part, dims: &Dims, columns: usize) -> DecodeError {
    let advice = label_advice(columns - 5, dims.axes().last().copied().flatten(), 5);
    part.misfit(format!("[1, n, {columns}]: 5 + {} labels", columns - 5), dims, advice)
}

fn decode([dx, dy, w, h]: [f32; 4], ([x, y], stride): ([f32; 2], f32)) -> [f32; 4] {
    let (cx, cy) = ((dx + x) * stride, (dy + y) * stride);
    let (w, h) = (w.exp() * stride, h.exp() * stride);
    [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0]
}
