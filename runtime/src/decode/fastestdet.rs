//! FastestDet: `[1, 5 + classes, h, w]`: objectness, offsets x y, sizes w h, class probabilities of one map of cells
//! (dog-qiuqiu/FastestDet). Score = objectness^0.6 × class^0.4; centre = (cell + tanh offset) ÷ cells, size = sigmoid,
//! both over the whole input.

use super::candidates::{Candidates, Origin, Place};
use super::outputs::{Dims, Matrix, Order, Part, Setup, label_advice};
use super::scores::{Best, sigmoid, single};
use super::{DecodeError, Decoder, boxes};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{Head, Nms};

pub(super) struct Fastestdet {
    part: Part,
    head: Head,
    best: Best,
    candidates: Candidates,
}

impl Fastestdet {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let columns = 5 + setup.classes();
        let expected = format!("[1, {columns}, h, w]");
        let part = setup.only("output", &expected, |spec| fits(&Dims::of_spec(spec), columns))?;
        let dims = setup.dims(&part);
        if !fits(&dims, columns) {
            return Err(misfit(&part, &dims, columns));
        }
        let head = setup.manifest.decode.scores.unwrap_or(Head::Probability);
        Ok(Self { part, head, best: Best::default(), candidates: Candidates::new(setup, Nms::ClassWise) })
    }
}

impl Decoder for Fastestdet {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.read(outputs)?;
        let columns = 5 + self.candidates.classes();
        let &[_, _, height, width] = output.shape.as_slice() else {
            return Err(misfit(&self.part, &Dims::of_output(output), columns));
        };
        let matrix = Matrix { data: &output.data, rows: height * width, columns, order: Order::Columns };
        if !fits(&Dims::of_output(output), columns) {
            return Err(misfit(&self.part, &Dims::of_output(output), columns));
        }
        self.candidates.clear();
        self.best.scan(&matrix, 5..columns);
        for (row, &value) in self.best.values().iter().enumerate() {
            let [objectness, value] = [matrix.at(row, 0), value].map(|v| single(self.head, v).max(0.0));
            let score = objectness.powf(0.6) * value.powf(0.4);
            if score < self.candidates.floor() {
                continue;
            }
            let class = self.best.class(&matrix, row);
            if self.candidates.counts(class, score) {
                let place = place(matrix.four(row, 1), [row % width, row / width], [width, height], geometry);
                let origin = Origin { tensor: &self.part.name, at: row, row };
                self.candidates.push(origin, class, score, place, geometry)?;
            }
        }
        self.candidates.finish(found);
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss)] // cells of an input of at most 8192 pixels
fn place([dx, dy, w, h]: [f32; 4], cell: [usize; 2], cells: [usize; 2], geometry: &Geometry) -> Place {
    let [width, height] = boxes::sides(geometry);
    let cx = (dx.tanh() + cell[0] as f32) / cells[0] as f32;
    let cy = (dy.tanh() + cell[1] as f32) / cells[1] as f32;
    let (w, h) = (sigmoid(w) / 2.0, sigmoid(h) / 2.0);
    Place::Input([(cx - w) * width, (cy - h) * height, (cx + w) * width, (cy + h) * height])
}

fn fits(dims: &Dims, columns: usize) -> bool {
    let found = dims.last(3).filter(|_| dims.axes().len() == 4).map(|axes| axes[0]);
    found.is_some_and(|found| found.is_none_or(|found| found == columns))
}

fn misfit(part: &Part, dims: &Dims, columns: usize) -> DecodeError {
    let advice = label_advice(columns - 5, dims.axes().get(1).copied().flatten(), 5);
    part.misfit(format!("[1, {columns}, h, w]: 5 + {} labels", columns - 5), dims, advice)
}
