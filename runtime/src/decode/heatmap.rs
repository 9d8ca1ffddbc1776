//! One map per keypoint, `[1, h, w, keypoints]` or `[1, keypoints, h, w]`; a last map more is the background. The largest
//! value of a map, of equals the first, marks the keypoint: at the middle of its cell, with that value as the score.

use super::boxes::sides;
use super::candidates::keypoint;
use super::outputs::{Dims, Matrix, Order, Part, Setup};
use super::posed::Limit;
use super::scores::{peak, single};
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{Head, Layout};

pub(super) struct Heatmap {
    part: Part,
    keypoints: usize,
    first: Order,
    head: Head,
    limit: Limit,
    places: Vec<(usize, f32)>,
}

impl Heatmap {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let keypoints = setup.manifest.keypoints.len();
        let first = match setup.manifest.input.layout {
            Layout::Nhwc => Order::Rows,
            Layout::Nchw => Order::Columns,
        };
        let fits = |dims: &Dims| maps(dims, first, keypoints).is_some();
        let part = setup.only("heatmaps", &expected(keypoints), |spec| fits(&Dims::of_spec(spec)))?;
        let dims = setup.dims(&part);
        if !fits(&dims) {
            return Err(misfit(&part, &dims, keypoints));
        }
        let head = setup.manifest.decode.scores.unwrap_or(Head::Probability);
        Ok(Self { part, keypoints, first, head, limit: Limit::new(setup), places: Vec::new() })
    }

    /// Cell and value of each map's largest value.
    fn peaks(&mut self, matrix: &Matrix<'_>) {
        self.places.clear();
        match matrix.order {
            Order::Columns => {
                let maps = matrix.data.chunks_exact(matrix.rows.max(1));
                self.places.extend(maps.take(self.keypoints).map(peak));
            }
            Order::Rows => {
                self.places.resize(self.keypoints, (0, f32::NEG_INFINITY));
                for (cell, values) in matrix.data.chunks_exact(matrix.columns).enumerate() {
                    for (best, &value) in self.places.iter_mut().zip(values) {
                        if value > best.1 {
                            *best = (cell, value);
                        }
                    }
                }
            }
        }
    }
}

impl Decoder for Heatmap {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.read(outputs)?;
        let dims = Dims::of_output(output);
        let order = maps(&dims, self.first, self.keypoints);
        let (Some(order), &[_, a, b, c]) = (order, output.shape.as_slice()) else {
            return Err(misfit(&self.part, &dims, self.keypoints));
        };
        let ([height, width], columns) = if order == Order::Rows { ([a, b], c) } else { ([b, c], a) };
        if width == 0 || height == 0 {
            return Err(misfit(&self.part, &dims, self.keypoints));
        }
        let matrix = Matrix { data: &output.data, rows: height * width, columns, order };
        self.peaks(&matrix);
        let [w, h] = sides(geometry);
        #[allow(clippy::cast_precision_loss)] // cells of an input of at most 8192 pixels
        let middle = |cell: usize, cells: usize, side: f32| (cell as f32 + 0.5) * side / cells as f32;
        let points = self.places.iter().map(|&(cell, value)| {
            let at = [middle(cell % width, width, w), middle(cell / width, height, h)];
            keypoint(at, single(self.head, value), geometry)
        });
        found.extend(self.limit.detection(points.collect(), geometry));
        Ok(())
    }
}

/// The order of the axes in which there is a map per keypoint.
fn maps(dims: &Dims, first: Order, keypoints: usize) -> Option<Order> {
    let fits = |columns| columns == keypoints || columns == keypoints + 1;
    if dims.axes().len() == 4 { dims.order(first, fits) } else { None }
}

fn expected(keypoints: usize) -> String {
    format!("[1, {keypoints}, h, w] or [1, h, w, {keypoints}]")
}

fn misfit(part: &Part, dims: &Dims, keypoints: usize) -> DecodeError {
    let expected = format!("{}, or one map more for the background", expected(keypoints));
    let advice = format!("check decoder and keypoints: the manifest names {keypoints}");
    part.misfit(expected, dims, advice)
}
