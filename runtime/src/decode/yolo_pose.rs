//! Boxes with keypoints: `[1, 4 + classes + d × keypoints, n]` or transposed (YOLOv8-pose, YOLO11-pose), or end to end
//! `[1, n, 6 + d × keypoints]` (YOLO26-pose). d is 3 (x y visibility) or 2 (x y; the keypoint's score is then 1), found
//! from the shape. All in input pixels.
//!
//! With exactly two classes, `[1, n, 6 + d × keypoints]` could be either; it is read as end to end.

use super::candidates::{Candidates, keypoint};
use super::end2end::Reading as Rows;
use super::end2end::{self, Columns};
use super::outputs::{Dims, Matrix, Order, Part, Setup};
use super::yolov8::Dense;
use super::{DecodeError, Decoder};
use crate::detection::{Detection, Keypoint};
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Nms, ValueRange};

pub(super) struct YoloPose {
    reading: Reading,
    keypoints: usize,
}

enum Reading {
    Dense(Dense),
    End2end { part: Part, rows: Rows, candidates: Candidates },
}

impl YoloPose {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let keypoints = setup.manifest.keypoints.len();
        let extras = [3 * keypoints, 2 * keypoints];
        let end2end = setup.only("output", "", |spec| is_end2end(&Dims::of_spec(spec), keypoints));
        let reading = match end2end {
            Ok(part) if is_end2end(&setup.dims(&part), keypoints) => Reading::End2end {
                part,
                rows: Rows::new(&setup.manifest.decode, BoxFormat::Xyxy, ValueRange::Input, 0),
                candidates: Candidates::new(setup, Nms::Off),
            },
            _ => {
                Reading::Dense(Dense::new(setup, Order::Columns, ValueRange::Input, Nms::ClassWise, &extras)?)
            }
        };
        Ok(Self { reading, keypoints })
    }
}

impl Decoder for YoloPose {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let count = self.keypoints;
        match &mut self.reading {
            Reading::Dense(dense) => {
                let (matrix, first) = dense.collect(outputs, geometry)?;
                dense.candidates.finish_with(found, |row| points(&matrix, row, first, count, geometry));
            }
            Reading::End2end { part, rows, candidates } => {
                let output = part.read(outputs)?;
                let matrix = Matrix::of(output, Order::Rows, |columns| is_wide(columns, count))
                    .filter(|matrix| matrix.order == Order::Rows)
                    .ok_or_else(|| {
                        let expected = format!("[1, n, {} or {}]", 6 + 3 * count, 6 + 2 * count);
                        part.misfit(
                            expected,
                            Dims::of_output(output),
                            "check keypoints in the manifest".into(),
                        )
                    })?;
                candidates.clear();
                let columns = Columns { bbox: 0, score: 4, class: 5 };
                end2end::collect(candidates, part, &matrix, columns, *rows, geometry)?;
                candidates.finish_with(found, |row| points(&matrix, row, 6, count, geometry));
            }
        }
        Ok(())
    }
}

fn points(matrix: &Matrix<'_>, row: usize, first: usize, count: usize, geometry: &Geometry) -> Vec<Keypoint> {
    let each = (matrix.columns - first).checked_div(count).unwrap_or_default();
    let point = |number| {
        let at = first + number * each;
        let score = if each == 3 { matrix.at(row, at + 2) } else { 1.0 };
        keypoint([matrix.at(row, at), matrix.at(row, at + 1)], score, geometry)
    };
    (0..count).map(point).collect()
}

fn is_wide(columns: usize, keypoints: usize) -> bool {
    columns == 6 + 3 * keypoints || columns == 6 + 2 * keypoints
}

fn is_end2end(dims: &Dims, keypoints: usize) -> bool {
    dims.table(Order::Rows)
        .is_some_and(|[_, columns]| columns.is_some_and(|columns| is_wide(columns, keypoints)))
}
