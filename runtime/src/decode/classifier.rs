//! One score per class for the whole picture: `[1, classes]`, also `[classes]` and `[1, classes, 1, 1]`. Each class whose
//! score counts becomes a detection whose box is the picture.
//!
//! `decode.scores` says what the values are. Where it says nothing they must be probabilities that add up to 1, so that
//! logits are not taken for them.

use super::candidates::{Origin, probability};
use super::outputs::{Dims, Part, Setup, label_advice};
use super::scores::sigmoid;
use super::{DecodeError, Decoder};
use crate::detection::Detection;
use crate::infer::Output;
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::Head;

/// How far the sum of probabilities may be off 1 (half precision, quantised graphs).
const SUM_SLACK: f32 = 0.05;

pub(super) struct Classifier {
    part: Part,
    head: Option<Head>,
    first_class: usize,
    limits: Vec<f32>,
    most: usize,
    scores: Vec<f32>,
    order: Vec<usize>,
}

impl Classifier {
    pub fn new(setup: &Setup<'_>) -> Result<Self, DecodeError> {
        let manifest = setup.manifest;
        let first_class = manifest.decode.first_class.unwrap_or(0) as usize;
        let columns = first_class + setup.classes();
        let part =
            setup.only("scores", &format!("[1, {columns}]"), |spec| fits(&Dims::of_spec(spec), columns))?;
        let dims = setup.dims(&part);
        if !fits(&dims, columns) {
            return Err(misfit(&part, &dims, columns, first_class));
        }
        let thresholds = &manifest.thresholds;
        let limit = |label| thresholds.per_class.get(label).copied().unwrap_or(thresholds.score);
        Ok(Self {
            part,
            head: manifest.decode.scores,
            first_class,
            limits: manifest.labels.iter().map(limit).collect(),
            most: thresholds.max_detections as usize,
            scores: Vec::new(),
            order: Vec::new(),
        })
    }

    /// Fills the scores with probabilities.
    fn read(&mut self, values: &[f32]) -> Result<(), DecodeError> {
        self.scores.clear();
        match self.head {
            Some(Head::Sigmoid) => self.scores.extend(values.iter().map(|&value| sigmoid(value))),
            Some(Head::Softmax) => {
                let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = values.iter().map(|value| (value - top).exp()).sum();
                self.scores.extend(values.iter().map(|value| (value - top).exp() / sum));
            }
            Some(Head::Probability) => self.scores.extend_from_slice(values),
            None => {
                let sum: f32 = values.iter().sum();
                if (sum - 1.0).abs() > SUM_SLACK || values.iter().any(|&value| value < -SUM_SLACK) {
                    return Err(self.part.misfit(
                        "probabilities that add up to 1".into(),
                        format!("values that add up to {sum}"),
                        "say in decode.scores what they are: \"softmax\" or \"sigmoid\" where the graph gives logits, \
                         \"probability\" where classes do not exclude each other"
                            .into(),
                    ));
                }
                self.scores.extend_from_slice(values);
            }
        }
        Ok(())
    }
}

impl Decoder for Classifier {
    fn decode(
        &mut self,
        outputs: &[Output],
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<(), DecodeError> {
        let output = self.part.read(outputs)?;
        let columns = self.first_class + self.limits.len();
        let dims = Dims::of_output(output);
        if !fits(&dims, columns) {
            return Err(misfit(&self.part, &dims, columns, self.first_class));
        }
        self.read(&output.data)?;
        let first = self.first_class;
        self.order.clear();
        for (class, limit) in self.limits.iter().enumerate() {
            let at = first + class;
            let origin = Origin { tensor: &self.part.name, at, row: 0 };
            self.scores[at] = probability(origin, self.scores[at])?;
            if self.scores[at] >= *limit {
                self.order.push(class);
            }
        }
        let scores = &self.scores[first..];
        self.order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        self.order.truncate(self.most);
        #[allow(clippy::cast_precision_loss)] // at most 32 768
        let [w, h] = geometry.source.map(|side| side as f32);
        found.extend(self.order.iter().map(|&class| Detection {
            class,
            score: scores[class],
            bbox: [0.0, 0.0, w, h],
            keypoints: Vec::new(),
        }));
        Ok(())
    }
}

/// Whether one axis has `columns` values and all others one.
fn fits(dims: &Dims, columns: usize) -> bool {
    let axes = dims.axes();
    let long = axes.iter().filter(|axis| axis.is_none_or(|size| size != 1));
    let known: Option<usize> = axes.iter().copied().flatten().try_fold(1usize, usize::checked_mul);
    match (long.count(), axes.iter().any(Option::is_none)) {
        (_, true) => axes.iter().flatten().all(|&size| size == 1 || size == columns),
        (0 | 1, false) => known == Some(columns) && !axes.is_empty(),
        _ => false,
    }
}

fn misfit(part: &Part, dims: &Dims, columns: usize, first_class: usize) -> DecodeError {
    let classes = dims.axes().iter().copied().flatten().max();
    let labels = columns - first_class;
    part.misfit(format!("[1, {columns}]"), dims, label_advice(labels, classes, first_class))
}
