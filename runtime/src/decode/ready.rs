//! Detections that the graph has finished: boxes, scores, classes and perhaps their count, each an output of its own
//! ([`Ready`]), or one row for each ([`Table`]).

use super::candidates::{Candidates, Origin};
use super::end2end::{self, Columns, Reading};
use super::outputs::{Dims, Matrix, Order, Part, Search, Setup, class_number, finite};
use super::scores::single;
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::{Element, Output, TensorSpec};
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Nms, ValueRange};

/// What is usual in a family.
#[derive(Clone, Copy)]
pub(super) struct Usual {
    pub format: BoxFormat,
    pub range: ValueRange,
    pub first_class: u32,
}

const CLASSES: Search<'_> = Search { part: "classes", hints: &["class", "label", "cls"], except: &[] };
const SCORES: Search<'_> = Search { part: "scores", hints: &["score", "conf", "prob"], except: &[] };
const COUNT: Search<'_> = Search { part: "count", hints: &["num", "count"], except: &[] };
const BOXES: Search<'_> = Search { part: "boxes", hints: &["box", "det"], except: &[] };

/// Boxes `[1, n, 4]`, scores `[1, n]`, classes `[1, n]`, count `[1]`; or boxes with the score as a fifth column.
pub(super) struct Ready {
    boxes_part: Part,
    scores_part: Option<Part>,
    classes_part: Part,
    count_part: Option<Part>,
    reading: Reading,
    candidates: Candidates,
}

/// Whether the graph gives class numbers in an output of their own.
pub(super) fn has_class_numbers(setup: &Setup<'_>) -> bool {
    setup.manifest.decode.outputs.contains_key("classes") || setup.outputs.iter().any(is_class_numbers)
}

fn is_class_numbers(spec: &TensorSpec) -> bool {
    is_vector(&Dims::of_spec(spec))
        && !COUNT.sounds(&spec.name)
        && (CLASSES.sounds(&spec.name) || is_whole(spec))
}

fn is_whole(spec: &TensorSpec) -> bool {
    matches!(spec.element, Element::I64 | Element::I32)
}

fn is_vector(dims: &Dims) -> bool {
    dims.axes().len() <= 2 && dims.last(1).is_some()
}

impl Ready {
    pub fn new(setup: &Setup<'_>, usual: Usual) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let vector = |spec: &TensorSpec| is_vector(&Dims::of_spec(spec));
        let classes_part = setup.search(&CLASSES, "[1, n] (class numbers)", is_class_numbers)?;
        let taken = [classes_part.index];
        let count_part = count_part(setup, &taken, |spec| {
            Dims::of_spec(spec).axes().len() <= 2 && COUNT.sounds(&spec.name)
        })?;
        let taken = [classes_part.index, count_part.as_ref().map_or(classes_part.index, |part| part.index)];
        let scores = Search { except: &taken, ..SCORES };
        let scores_part =
            match setup.search(&scores, "[1, n] (scores)", |spec| vector(spec) && !is_whole(spec)) {
                Ok(part) => Some(part),
                Err(_) if !decode.outputs.contains_key("scores") && Table::fits(setup, 5) => None,
                Err(error) => return Err(error),
            };
        let wide = if scores_part.is_some() { 4 } else { 5 };
        let fits = |dims: &Dims| dims.axes().len() >= 2 && columns(dims).is_none_or(|found| found == wide);
        let boxes = Search { except: &taken, ..BOXES };
        let boxes_part = setup.search(&boxes, &format!("[1, n, {wide}]"), |spec| {
            fits(&Dims::of_spec(spec)) && scores_part.as_ref().is_none_or(|part| part.name != spec.name)
        })?;
        if !fits(&setup.dims(&boxes_part)) {
            return Err(not_boxes(&boxes_part, &setup.dims(&boxes_part), wide));
        }
        let reading = Reading::new(decode, usual.format, usual.range, usual.first_class);
        reading.boxes.check(setup, &boxes_part)?;
        Ok(Self {
            boxes_part,
            scores_part,
            classes_part,
            count_part,
            reading,
            candidates: Candidates::new(setup, Nms::Off),
        })
    }

    /// Looks through the boxes. `scores` begins with a row's score every `step` values from `start` on.
    fn collect(
        &mut self,
        boxes: &Matrix<'_>,
        (scores, start, step): (&Output, usize, usize),
        classes: &Output,
        geometry: &Geometry,
    ) -> Result<(), DecodeError> {
        for row in 0..boxes.rows {
            let at = start + row * step;
            let score = single(self.reading.head, scores.data[at]);
            if score < self.candidates.floor() {
                continue;
            }
            let labels = self.candidates.classes();
            let class =
                class_number(&self.classes_part, classes.data[row], self.reading.first_class, labels)?;
            let Some(class) = class.filter(|&class| self.candidates.counts(class, score)) else { continue };
            let place = self.reading.boxes.place(&self.boxes_part, boxes.four(row, 0), geometry)?;
            let origin = Origin { tensor: &scores.name, at, row };
            self.candidates.push(origin, class, score, place, geometry)?;
        }
        Ok(())
    }
}

impl Decoder for Ready {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let wide = if self.scores_part.is_some() { 4 } else { 5 };
        let raw = self.boxes_part.find(outputs)?;
        let mut boxes = Matrix::of(raw, Order::Rows, |columns| columns == wide)
            .filter(|matrix| matrix.order == Order::Rows)
            .ok_or_else(|| not_boxes(&self.boxes_part, &Dims::of_output(raw), wide))?;
        let classes = self.classes_part.find(outputs)?;
        let (scores, start, step) = match &self.scores_part {
            Some(part) => (part.find(outputs)?, 0, 1),
            None => (raw, 4, 5),
        };
        for (part, output, expected) in [
            (&self.classes_part, classes, boxes.rows),
            (self.scores_part.as_ref().unwrap_or(&self.boxes_part), scores, boxes.rows * step),
        ] {
            if output.data.len() != expected {
                let expected = format!("[1, {}], one for each row of {:?}", boxes.rows, self.boxes_part.name);
                let advice = "name boxes, scores and classes in decode.outputs";
                return Err(part.misfit(expected, Dims::of_output(output), advice.into()));
            }
        }
        boxes.rows = counted(self.count_part.as_ref(), outputs, boxes.rows)?;
        finite(raw, boxes.rows * wide)?;
        finite(scores, boxes.rows * step)?;
        finite(classes, boxes.rows)?;
        self.candidates.clear();
        self.collect(&boxes, (scores, start, step), classes, geometry)?;
        self.candidates.finish(found);
        Ok(())
    }
}

/// The output with the number of detections, which not every graph has.
fn count_part(
    setup: &Setup<'_>,
    taken: &[usize],
    fits: impl Fn(&TensorSpec) -> bool,
) -> Result<Option<Part>, DecodeError> {
    let search = Search { except: taken, ..COUNT };
    match setup.search(&search, "[1]", fits) {
        Err(error) if setup.manifest.decode.outputs.contains_key(search.part) => Err(error),
        found => Ok(found.ok()),
    }
}

/// How many of `rows` rows count: what lies beyond is padding.
fn counted(part: Option<&Part>, outputs: &[Output], rows: usize) -> Result<usize, DecodeError> {
    let Some(part) = part else { return Ok(rows) };
    let output = part.read(outputs)?;
    let &[count] = output.data.as_slice() else {
        let advice = "name the output with the number of detections in decode.outputs.count";
        return Err(part.misfit("one value".into(), Dims::of_output(output), advice.into()));
    };
    // A cast saturates; a count beyond the rows is held to them.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok((count.round() as usize).min(rows))
}

/// One row for each detection, with class, score and box.
pub(super) struct Table {
    part: Part,
    columns: Columns,
    width: usize,
    count_part: Option<Part>,
    reading: Reading,
    candidates: Candidates,
}

impl Table {
    /// Rows of `width` values laid out as `columns` say.
    pub fn new(setup: &Setup<'_>, width: usize, layout: Columns, usual: Usual) -> Result<Self, DecodeError> {
        let decode = &setup.manifest.decode;
        let expected = format!("[n, {width}]");
        let part = setup.only("output", &expected, |spec| columns(&Dims::of_spec(spec)) == Some(width))?;
        let taken = [part.index];
        let count_part = count_part(setup, &taken, |spec| Dims::of_spec(spec).axes().len() <= 2)?;
        let reading = Reading::new(decode, usual.format, usual.range, usual.first_class);
        reading.boxes.check(setup, &part)?;
        Ok(Self {
            part,
            columns: layout,
            width,
            count_part,
            reading,
            candidates: Candidates::new(setup, Nms::Off),
        })
    }

    /// Whether an output has rows of `width` values.
    pub fn fits(setup: &Setup<'_>, width: usize) -> bool {
        setup.outputs.iter().any(|spec| columns(&Dims::of_spec(spec)) == Some(width))
    }

    /// Whether the manifest names an output with rows of a number of values that only the data tells.
    pub fn named(setup: &Setup<'_>) -> bool {
        let named = setup.manifest.decode.outputs.get("output");
        let fits = |spec: &TensorSpec| Some(&spec.name) == named && columns(&Dims::of_spec(spec)).is_none();
        setup.outputs.iter().any(fits)
    }
}

impl Decoder for Table {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.find(outputs)?;
        let mut matrix = Matrix::of(output, Order::Rows, |columns| columns == self.width)
            .filter(|matrix| matrix.order == Order::Rows)
            .ok_or_else(|| {
                let advice = "check decoder and decode.outputs.output";
                self.part.misfit(format!("[n, {}]", self.width), Dims::of_output(output), advice.into())
            })?;
        matrix.rows = counted(self.count_part.as_ref(), outputs, matrix.rows)?;
        finite(output, matrix.rows * self.width)?;
        self.candidates.clear();
        end2end::collect(&mut self.candidates, &self.part, &matrix, self.columns, self.reading, geometry)?;
        self.candidates.finish(found);
        Ok(())
    }
}

fn columns(dims: &Dims) -> Option<usize> {
    dims.table(Order::Rows)?[1]
}

fn not_boxes(part: &Part, dims: &Dims, wide: usize) -> DecodeError {
    let advice = "name the output with the boxes in decode.outputs.boxes";
    part.misfit(format!("[1, n, {wide}]: boxes"), dims, advice.into())
}
