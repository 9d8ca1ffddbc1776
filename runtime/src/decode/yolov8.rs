//! YOLOv8, v9, v11, v12: `[1, 4 + classes, n]`, or transposed `[1, n, 4 + classes]`: centre and size in input pixels,
//! class probabilities (Ultralytics' ONNX export without `nms`). Score = the best class.

use super::boxes::Boxes;
use super::candidates::{Candidates, Origin};
use super::outputs::{Dims, Matrix, Order, Part, Setup, label_advice};
use super::scores::{Best, single};
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Head, Nms, ValueRange};

pub(super) struct Yolov8(Dense);

impl Yolov8 {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        Ok(Self(Dense::new(setup, Order::Columns, ValueRange::Input, Nms::ClassWise, &[0])?))
    }

    /// Ultralytics' RT-DETR: `[1, n, 4 + classes]`, unit coordinates, no suppression.
    pub fn queries(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        Ok(Self(Dense::new(setup, Order::Rows, ValueRange::Unit, Nms::Off, &[0])?))
    }
}

impl Decoder for Yolov8 {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        self.0.collect(outputs, geometry)?;
        self.0.candidates.finish(found);
        Ok(())
    }
}

/// Rows of a box, class scores, and further values.
pub(super) struct Dense {
    part: Part,
    boxes: Boxes,
    head: Head,
    order: Order,
    extras: Vec<usize>,
    best: Best,
    pub candidates: Candidates,
}

impl Dense {
    /// `extras`: how many further values a row may have. Of several possible readings the axes in `order` come first.
    pub fn new(
        setup: &Setup<'_>,
        order: Order,
        range: ValueRange,
        usual: Nms,
        extras: &[usize],
    ) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let least = 4 + setup.classes();
        let fits = |dims: Dims| dims.order(order, |columns| fits(extras, least, columns)).is_some();
        let expected = expected(least, extras);
        let part = setup.only("output", &expected, |spec| fits(Dims::of_spec(spec)))?;
        let dims = setup.dims(&part);
        if !fits(dims) {
            return Err(misfit(&part, &dims, least, extras));
        }
        Ok(Self {
            part,
            boxes: Boxes::new(decode, BoxFormat::Cxcywh, range),
            head: decode.scores.unwrap_or(Head::Probability),
            order,
            extras: extras.to_vec(),
            best: Best::default(),
            candidates: Candidates::new(setup, usual),
        })
    }

    /// Fills the candidates. Returns the matrix and the column at which the further values begin.
    pub fn collect<'a>(
        &mut self,
        outputs: &'a [Output],
        geometry: &Geometry,
    ) -> Result<(Matrix<'a>, usize), DecodeError> {
        let output = self.part.read(outputs)?;
        let least = 4 + self.candidates.classes();
        let matrix = Matrix::of(output, self.order, |columns| fits(&self.extras, least, columns))
            .ok_or_else(|| misfit(&self.part, &Dims::of_output(output), least, &self.extras))?;
        self.candidates.clear();
        self.best.scan(&matrix, 4..least);
        for (row, &value) in self.best.values().iter().enumerate() {
            let score = single(self.head, value);
            if score < self.candidates.floor() {
                continue;
            }
            let class = self.best.class(&matrix, row);
            if self.candidates.counts(class, score) {
                let origin = Origin { tensor: &self.part.name, at: matrix.index(row, 4 + class), row };
                let place = self.boxes.place(&self.part, matrix.four(row, 0), geometry)?;
                self.candidates.push(origin, class, score, place, geometry)?;
            }
        }
        Ok((matrix, least))
    }
}

fn fits(extras: &[usize], least: usize, columns: usize) -> bool {
    extras.iter().any(|extra| columns == least + extra)
}

fn expected(least: usize, extras: &[usize]) -> String {
    let widths: Vec<String> = extras.iter().map(|extra| (least + extra).to_string()).collect();
    let widths = widths.join(" or ");
    format!("[1, {widths}, n] or [1, n, {widths}]")
}

fn misfit(part: &Part, dims: &Dims, least: usize, extras: &[usize]) -> DecodeError {
    let shorter = dims.last(2).and_then(|axes| axes.iter().flatten().min().copied());
    let besides = 4 + extras.first().copied().unwrap_or_default();
    let labels = least - 4;
    let advice = match besides {
        4 => label_advice(labels, shorter, 4),
        _ => format!("check labels ({labels} now) and keypoints ({} now)", (besides - 4) / 3),
    };
    part.misfit(format!("{}: a box and {labels} labels", expected(least, extras)), dims, advice)
}
