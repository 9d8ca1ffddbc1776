//! YOLOv5 and v7: `[1, n, 5 + classes]`, centre and size in input pixels, objectness, class probabilities, decoded in the
//! graph; or raw heads, one per stride, `[1, anchors, h, w, 5 + classes]` or `[1, anchors × (5 + classes), h, w]`, where
//! with s = sigmoid: centre = (2 s − 0.5 + cell) × stride, size = (2 s)² × anchor (Ultralytics' `Detect`).
//!
//! Score = objectness × class.

use super::candidates::{Candidates, Origin, Place};
use super::grid::Level;
use super::outputs::{Dims, Part, Setup, label_advice};
use super::scores::single;
use super::yolox::Yolox;
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{Head, Nms};

const STRIDES: [u32; 3] = [8, 16, 32];

/// YOLOv5's for COCO, in input pixels (`yolov5s.yaml`); YOLOv7 and models trained with others name theirs.
const ANCHORS: [[[f32; 2]; 3]; 3] = [
    [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
    [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
    [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
];

pub(super) fn decoder(setup: &Setup<'_>) -> Result<Box<dyn Decoder>, DecodeError> {
    let decode = &setup.manifest.decode;
    let heads = if decode.anchors.is_empty() { ANCHORS.len() } else { decode.anchors.len() };
    let deep = setup.outputs.iter().filter(|spec| Dims::of_spec(spec).axes().len() >= 4).count();
    let joined = setup.outputs.iter().any(|spec| matches!(Dims::of_spec(spec).axes().len(), 2 | 3));
    if deep == heads && !joined {
        return Ok(Box::new(Heads::new(setup)?));
    }
    Ok(Box::new(Yolox::decoded(setup)?))
}

struct Scale {
    stride: u32,
    anchors: Vec<[f32; 2]>,
}

/// Raw heads.
struct Heads {
    parts: Vec<Part>,
    scales: Vec<Scale>,
    head: Head,
    columns: usize,
    candidates: Candidates,
}

/// How the values of a raw head lie in memory.
struct Raw<'a> {
    data: &'a [f32],
    height: usize,
    width: usize,
    columns: usize,
    /// Whether the columns are an axis before the cells (4-D).
    planes: bool,
}

impl Raw<'_> {
    fn index(&self, anchor: usize, cell: usize, column: usize) -> usize {
        let cells = self.height * self.width;
        if self.planes {
            (anchor * self.columns + column) * cells + cell
        } else {
            (anchor * cells + cell) * self.columns + column
        }
    }
}

impl Heads {
    fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let columns = 5 + setup.classes();
        let anchors = match decode.anchors.as_slice() {
            [] => ANCHORS.iter().map(|scale| scale.to_vec()).collect(),
            own => own.to_vec(),
        };
        let strides = match decode.strides.as_slice() {
            [] => STRIDES.to_vec(),
            own => own.to_vec(),
        };
        let parts: Vec<Part> = (0..setup.outputs.len()).map(|at| setup.part(at)).collect();
        let count = anchors.first().map_or(0, Vec::len);
        if strides.len() != anchors.len() {
            let found = format!("{} strides, {} lists of anchors", strides.len(), anchors.len());
            let expected = "as many strides as lists of anchors".into();
            return Err(parts[0].misfit(expected, found, "set decode.strides and decode.anchors".into()));
        }
        for part in &parts {
            let dims = setup.dims(part);
            if !fits(&dims, count, columns) {
                return Err(misfit(part, &dims, count, columns));
            }
        }
        let scales = strides.into_iter().zip(anchors).map(|(stride, anchors)| Scale { stride, anchors });
        let head = decode.scores.unwrap_or(Head::Sigmoid);
        let candidates = Candidates::new(setup, Nms::ClassWise);
        Ok(Self { parts, scales: scales.collect(), head, columns, candidates })
    }

    /// The scale whose cells `raw` has.
    fn scale(&self, part: &Part, raw: &Raw<'_>, geometry: &Geometry) -> Result<usize, DecodeError> {
        let fits = |scale: &Scale| {
            let level = Level::new(scale.stride, geometry.input);
            (level.width, level.height) == (raw.width, raw.height)
        };
        self.scales.iter().position(fits).ok_or_else(|| {
            let [w, h] = geometry.input;
            let strides: Vec<u32> = self.scales.iter().map(|scale| scale.stride).collect();
            part.misfit(
                format!("the cells of one of the strides {strides:?} on an input of {w}×{h}"),
                format!("{}×{} cells", raw.width, raw.height),
                "check decode.strides, input.width and input.height".into(),
            )
        })
    }

    fn collect(
        &mut self,
        at: usize,
        scale: usize,
        raw: &Raw<'_>,
        first_row: usize,
        geometry: &Geometry,
    ) -> Result<usize, DecodeError> {
        let scale = &self.scales[scale];
        let level = Level::new(scale.stride, geometry.input);
        let mut row = first_row;
        for (number, &anchor) in scale.anchors.iter().enumerate() {
            for cell in 0..level.cells() {
                row += 1;
                let read = |column| single(self.head, raw.data[raw.index(number, cell, column)]);
                let objectness = read(4);
                if objectness < self.candidates.floor() {
                    continue;
                }
                let (class, best) = best_class(raw, number, cell);
                let score = objectness * single(self.head, best);
                if !self.candidates.counts(class, score) {
                    continue;
                }
                let place = place([0, 1, 2, 3].map(read), level.cell(cell), level.pixels(), anchor);
                let origin = Origin { tensor: &self.parts[at].name, at: raw.index(number, cell, 0), row };
                self.candidates.push(origin, class, score, place, geometry)?;
            }
        }
        Ok(row)
    }
}

impl Decoder for Heads {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        self.candidates.clear();
        let mut row = 0;
        for at in 0..self.parts.len() {
            let part = &self.parts[at];
            let output = part.read(outputs)?;
            let count = self.scales[0].anchors.len();
            let (data, columns) = (output.data.as_slice(), self.columns);
            let dims = Dims::of_output(output);
            let raw = match *output.shape.as_slice() {
                _ if !fits(&dims, count, columns) => return Err(misfit(part, &dims, count, columns)),
                [_, _, height, width, _] => Raw { data, height, width, columns, planes: false },
                [_, _, height, width] => Raw { data, height, width, columns, planes: true },
                _ => return Err(misfit(part, &dims, count, columns)),
            };
            let scale = self.scale(part, &raw, geometry)?;
            row = self.collect(at, scale, &raw, row, geometry)?;
        }
        self.candidates.finish(found);
        Ok(())
    }
}

fn best_class(raw: &Raw<'_>, anchor: usize, cell: usize) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for column in 5..raw.columns {
        let value = raw.data[raw.index(anchor, cell, column)];
        if value > best.1 {
            best = (column - 5, value);
        }
    }
    best
}

fn place([x, y, w, h]: [f32; 4], [column, row]: [f32; 2], stride: f32, anchor: [f32; 2]) -> Place {
    let cx = (2.0 * x - 0.5 + column) * stride;
    let cy = (2.0 * y - 0.5 + row) * stride;
    let (w, h) = ((2.0 * w).powi(2) * anchor[0], (2.0 * h).powi(2) * anchor[1]);
    Place::Input([cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0])
}

fn fits(dims: &Dims, anchors: usize, columns: usize) -> bool {
    let is = |axis: Option<usize>, size| axis.is_none_or(|found| found == size);
    match *dims.axes() {
        [batch, count, _, _, wide] => is(batch, 1) && is(count, anchors) && is(wide, columns),
        [batch, planes, _, _] => is(batch, 1) && is(planes, anchors * columns),
        _ => false,
    }
}

fn misfit(part: &Part, dims: &Dims, anchors: usize, columns: usize) -> DecodeError {
    let found = match *dims.axes() {
        [_, _, _, _, wide] => wide,
        [_, planes, _, _] => planes.map(|planes| planes / anchors.max(1)),
        _ => None,
    };
    part.misfit(
        format!(
            "[1, {anchors}, h, w, {columns}] or [1, {}, h, w]: {anchors} anchors of 5 + {} labels",
            anchors * columns,
            columns - 5
        ),
        dims,
        label_advice(columns - 5, found, 5),
    )
}
