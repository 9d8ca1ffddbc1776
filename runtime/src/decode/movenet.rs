//! MoveNet: `[1, 1, keypoints, 3]`, y x score, 0 to 1 over the input (TensorFlow Hub, single pose). MoveNet MultiPose:
//! `[1, n, 3 × keypoints + 5]`, the keypoints likewise, then top left bottom right score of the person.

use super::boxes::{corners, sides};
use super::candidates::{Candidates, Origin, Place, keypoint};
use super::outputs::{Dims, Matrix, Order, Part, Setup};
use super::posed::Limit;
use super::{DecodeError, Decoder};
use crate::detection::{Detection, Keypoint};
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Nms};

pub(super) struct Movenet {
    part: Part,
    keypoints: usize,
    limit: Limit,
    persons: Candidates,
}

impl Movenet {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let keypoints = setup.manifest.keypoints.len();
        let expected = expected(keypoints);
        let part = setup.only("output", &expected, |spec| fits(&Dims::of_spec(spec), keypoints))?;
        let dims = setup.dims(&part);
        if !fits(&dims, keypoints) {
            return Err(misfit(&part, &dims, keypoints));
        }
        Ok(Self { part, keypoints, limit: Limit::new(setup), persons: Candidates::new(setup, Nms::Off) })
    }

    fn persons(&mut self, matrix: &Matrix<'_>, geometry: &Geometry) -> Result<(), DecodeError> {
        let [w, h] = sides(geometry);
        let first = 3 * self.keypoints;
        self.persons.clear();
        for row in 0..matrix.rows {
            let score = matrix.at(row, first + 4);
            if self.persons.counts(0, score) {
                let [x1, y1, x2, y2] = corners(BoxFormat::Yxyx, matrix.four(row, first));
                let place = Place::Input([x1 * w, y1 * h, x2 * w, y2 * h]);
                let origin = Origin { tensor: &self.part.name, at: matrix.index(row, first + 4), row };
                self.persons.push(origin, 0, score, place, geometry)?;
            }
        }
        Ok(())
    }
}

impl Decoder for Movenet {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.read(outputs)?;
        let dims = Dims::of_output(output);
        let [w, h] = sides(geometry);
        let point = |values: &[f32]| keypoint([values[1] * w, values[0] * h], values[2], geometry);
        let points = |values: &[f32]| values.chunks_exact(3).map(point).collect::<Vec<Keypoint>>();
        if is_single(&dims, self.keypoints) {
            found.extend(self.limit.detection(points(&output.data), geometry));
            return Ok(());
        }
        let wide = 3 * self.keypoints + 5;
        let matrix = Matrix::of(output, Order::Rows, |columns| columns == wide)
            .filter(|matrix| matrix.order == Order::Rows)
            .ok_or_else(|| misfit(&self.part, &dims, self.keypoints))?;
        self.persons(&matrix, geometry)?;
        let count = 3 * self.keypoints;
        self.persons.finish_with(found, |row| points(&matrix.data[row * wide..][..count]));
        Ok(())
    }
}

fn is_single(dims: &Dims, keypoints: usize) -> bool {
    let is = |axis: Option<usize>, size| axis.is_none_or(|found| found == size);
    dims.last(2).is_some_and(|axes| is(axes[0], keypoints) && is(axes[1], 3))
}

fn fits(dims: &Dims, keypoints: usize) -> bool {
    let wide = |columns: Option<usize>| columns.is_none_or(|found| found == 3 * keypoints + 5);
    is_single(dims, keypoints) || dims.table(Order::Rows).is_some_and(|[_, columns]| wide(columns))
}

fn expected(keypoints: usize) -> String {
    format!("[1, 1, {keypoints}, 3] or [1, n, {}]", 3 * keypoints + 5)
}

fn misfit(part: &Part, dims: &Dims, keypoints: usize) -> DecodeError {
    let advice = format!("check decoder and keypoints: the manifest names {keypoints}");
    part.misfit(expected(keypoints), dims, advice)
}
