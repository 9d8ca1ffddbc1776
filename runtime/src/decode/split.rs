//! Boxes in one output, `[1, n, 4]`, class scores in another, `[1, n, classes]`; each also transposed. The score columns
//! may include one for the background or for "no object".

use super::boxes::Boxes;
use super::candidates::{Candidates, Origin};
use super::outputs::{Dims, Matrix, Order, Part, Search, Setup, label_advice};
use super::scores::{Best, single, softmax};
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Head, Nms, ValueRange};

/// What is usual in a family.
pub(super) struct Usual {
    pub format: BoxFormat,
    pub range: ValueRange,
    /// What scores need where there is no column besides the classes.
    pub plain: Head,
    /// What scores need, and the first class's column, where there is one column more than classes.
    pub with_extra: (Head, u32),
    pub nms: Nms,
}

pub(super) struct Split {
    boxes_part: Part,
    scores_part: Part,
    boxes: Boxes,
    usual: (Head, (Head, u32)),
    heads: Option<Head>,
    first_class: Option<u32>,
    best: Best,
    candidates: Candidates,
}

impl Split {
    pub fn new(setup: &Setup<'_>, usual: &Usual) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let (first, classes) = (decode.first_class, setup.classes());
        let boxes = Search { part: "boxes", hints: &["box", "det", "loc"], except: &[] };
        let boxes_part = setup.search(&boxes, "[1, n, 4]", |spec| is_boxes(&Dims::of_spec(spec)))?;
        if !is_boxes(&setup.dims(&boxes_part)) {
            return Err(not_boxes(&boxes_part, &setup.dims(&boxes_part)));
        }
        let part = if decode.outputs.contains_key("logits") { "logits" } else { "scores" };
        let scores = Search { part, hints: &["score", "logit", "conf", "cls"], except: &[boxes_part.index] };
        let fits = |dims: &Dims| dims.order(Order::Rows, |columns| fits(columns, first, classes)).is_some();
        let single = setup.outputs.len() == 2 && !decode.outputs.contains_key(part);
        let scores_part = if single {
            setup.part(1 - boxes_part.index.min(1))
        } else {
            setup.search(&scores, &expected(first, classes), |spec| fits(&Dims::of_spec(spec)))?
        };
        let dims = setup.dims(&scores_part);
        if !fits(&dims) {
            return Err(not_scores(&scores_part, &dims, first, classes));
        }
        Ok(Self {
            boxes_part,
            scores_part,
            boxes: Boxes::new(decode, usual.format, usual.range),
            usual: (usual.plain, usual.with_extra),
            heads: decode.scores,
            first_class: first,
            best: Best::default(),
            candidates: Candidates::new(setup, usual.nms),
        })
    }
}

impl Decoder for Split {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let (raw_boxes, raw_scores) = (self.boxes_part.read(outputs)?, self.scores_part.read(outputs)?);
        let (first, classes) = (self.first_class, self.candidates.classes());
        let boxes = Matrix::of(raw_boxes, Order::Rows, |columns| columns == 4)
            .ok_or_else(|| not_boxes(&self.boxes_part, &Dims::of_output(raw_boxes)))?;
        let scores = Matrix::of(raw_scores, Order::Rows, |columns| fits(columns, first, classes))
            .ok_or_else(|| not_scores(&self.scores_part, &Dims::of_output(raw_scores), first, classes))?;
        if boxes.rows != scores.rows {
            let expected = format!("{} rows, as many as {:?} has", boxes.rows, self.boxes_part.name);
            let advice = "name boxes and scores in decode.outputs";
            return Err(self.scores_part.misfit(expected, format!("{} rows", scores.rows), advice.into()));
        }
        let extra = scores.columns > classes;
        let (usual, usual_first) = if extra { self.usual.1 } else { (self.usual.0, 0) };
        let (head, first) = (self.heads.unwrap_or(usual), first.unwrap_or(usual_first) as usize);
        self.candidates.clear();
        self.best.scan(&scores, first..first + classes);
        let floor = self.candidates.floor();
        for (row, &value) in self.best.values().iter().enumerate() {
            let score = match head {
                Head::Softmax => softmax(&scores, row, 0..scores.columns, value, floor),
                Head::Sigmoid | Head::Probability => single(head, value),
            };
            if score < floor {
                continue;
            }
            let class = self.best.class(&scores, row);
            if self.candidates.counts(class, score) {
                let origin =
                    Origin { tensor: &self.scores_part.name, at: scores.index(row, first + class), row };
                let place = self.boxes.place(&self.boxes_part, boxes.four(row, 0), geometry)?;
                self.candidates.push(origin, class, score, place, geometry)?;
            }
        }
        self.candidates.finish(found);
        Ok(())
    }
}

fn is_boxes(dims: &Dims) -> bool {
    dims.order(Order::Rows, |columns| columns == 4).is_some()
}

/// Columns before the first class, the classes, and at most one more.
fn fits(columns: usize, first: Option<u32>, classes: usize) -> bool {
    let least = classes + first.unwrap_or(0) as usize;
    columns == least || columns == least + 1
}

fn expected(first: Option<u32>, classes: usize) -> String {
    let least = classes + first.unwrap_or(0) as usize;
    format!("[1, n, {least}] or [1, n, {}]", least + 1)
}

fn not_boxes(part: &Part, dims: &Dims) -> DecodeError {
    part.misfit(
        "[1, n, 4]: boxes".into(),
        dims,
        "name the output with the boxes in decode.outputs.boxes".into(),
    )
}

fn not_scores(part: &Part, dims: &Dims, first: Option<u32>, classes: usize) -> DecodeError {
    let columns = dims.axes().last().copied().flatten();
    let advice = label_advice(classes, columns, first.unwrap_or(0) as usize);
    part.misfit(
        format!("{}: {classes} labels, with or without background", expected(first, classes)),
        dims,
        advice,
    )
}
