//! End-to-end YOLOs: `[1, n, 6]`, x1 y1 x2 y2 score class, in input pixels; no suppression is needed (YOLOv10, YOLO26,
//! Ultralytics' export with `nms=True`). YOLOv7's `--end2end` gives `[n, 7]`: batch x1 y1 x2 y2 class score.

use super::boxes::Boxes;
use super::candidates::{Candidates, Origin};
use super::outputs::{Dims, Matrix, Order, Part, Setup, class_number};
use super::scores::single;
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Decode, Head, Nms, ValueRange};

pub(super) struct End2end {
    part: Part,
    reading: Reading,
    candidates: Candidates,
}

/// How ready-made rows are read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub boxes: Boxes,
    /// The class number of the first label.
    pub first_class: u32,
    pub head: Head,
}

impl Reading {
    /// As the manifest says, else as is usual.
    pub fn new(decode: &Decode, format: BoxFormat, range: ValueRange, first_class: u32) -> Self {
        Self {
            boxes: Boxes::new(decode, format, range),
            first_class: decode.first_class.unwrap_or(first_class),
            head: decode.scores.unwrap_or(Head::Probability),
        }
    }
}

/// Columns of box, score and class.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub bbox: usize,
    pub score: usize,
    pub class: usize,
}

const SIX: Columns = Columns { bbox: 0, score: 4, class: 5 };
const SEVEN: Columns = Columns { bbox: 1, score: 6, class: 5 };
const EXPECTED: &str = "[1, n, 6]: x1 y1 x2 y2 score class, or [n, 7]: batch x1 y1 x2 y2 class score";

impl End2end {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let part = setup.only("output", EXPECTED, |spec| fits(&Dims::of_spec(spec)))?;
        let dims = setup.dims(&part);
        if !fits(&dims) {
            return Err(misfit(&part, &dims));
        }
        Ok(Self {
            part,
            reading: Reading::new(decode, BoxFormat::Xyxy, ValueRange::Input, 0),
            candidates: Candidates::new(setup, Nms::Off),
        })
    }
}

impl Decoder for End2end {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.read(outputs)?;
        let dims = Dims::of_output(output);
        let matrix = Matrix::of(output, Order::Rows, |columns| matches!(columns, 6 | 7))
            .filter(|matrix| matrix.order == Order::Rows)
            .ok_or_else(|| misfit(&self.part, &dims))?;
        self.candidates.clear();
        let columns = if matrix.columns == 6 { SIX } else { SEVEN };
        collect(&mut self.candidates, &self.part, &matrix, columns, self.reading, geometry)?;
        self.candidates.finish(found);
        Ok(())
    }
}

/// Adds the rows of a matrix whose boxes are ready made.
pub(super) fn collect(
    candidates: &mut Candidates,
    part: &Part,
    matrix: &Matrix<'_>,
    columns: Columns,
    reading: Reading,
    geometry: &Geometry,
) -> Result<(), DecodeError> {
    for row in 0..matrix.rows {
        let score = single(reading.head, matrix.at(row, columns.score));
        if score < candidates.floor() {
            continue;
        }
        let number = matrix.at(row, columns.class);
        let Some(class) = class_number(part, number, reading.first_class, candidates.classes())? else {
            continue;
        };
        if candidates.counts(class, score) {
            let origin = Origin { tensor: &part.name, at: matrix.index(row, columns.score), row };
            let place = reading.boxes.place(part, matrix.four(row, columns.bbox), geometry)?;
            candidates.push(origin, class, score, place, geometry)?;
        }
    }
    Ok(())
}

fn fits(dims: &Dims) -> bool {
    dims.table(Order::Rows).is_some_and(|[_, columns]| columns.is_none_or(|columns| matches!(columns, 6 | 7)))
}

fn misfit(part: &Part, dims: &Dims) -> DecodeError {
    let advice =
        "check decoder: \"yolov8\" reads [1, 4 + classes, n], \"yolov5\" and \"yolox\" [1, n, 5 + classes]";
    part.misfit(EXPECTED.into(), dims, advice.into())
}
