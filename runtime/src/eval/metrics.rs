//! Precision and recall, and what is averaged from them: COCOeval's `accumulate` and `summarize`, for boxes.

use super::Found;
use super::coco::{Dataset, Truth};
use super::matching::{self, AREAS, Cell, IOU_COUNT, Matched};

/// Recall values at which precision is read: 0, 0.01 … 1.
pub const RECALL_COUNT: usize = 101;
/// Most detections per picture and category that count, strongest first.
pub const MAX_FOUND: [usize; 3] = [1, 10, 100];

/// What stands where there is nothing to measure.
pub const NONE: f64 = -1.0;

/// Precision and recall of every category, overlap threshold, range of areas and number of detections.
/// [`NONE`] where a category has nothing labelled in the range.
#[derive(Clone, Debug)]
pub struct Curves {
    categories: usize,
    /// `[IOU_COUNT][RECALL_COUNT][categories][AREAS][MAX_FOUND]`: highest precision at or above each recall.
    pub precision: Vec<f64>,
    /// Like `precision`: the score at which that recall is reached; 0 where it is not.
    pub scores: Vec<f64>,
    /// `[IOU_COUNT][categories][AREAS][MAX_FOUND]`: recall with all detections.
    pub recall: Vec<f64>,
}

/// Which part of [`Curves`] to average; `None` averages over all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Index of the overlap threshold: 0 for 0.50, 5 for 0.75.
    pub iou: Option<usize>,
    /// Index of the category.
    pub category: Option<usize>,
    /// Index into [`AREAS`].
    pub area: usize,
    /// Index into [`MAX_FOUND`].
    pub max_found: usize,
}

/// The twelve figures of COCO's summary, in its order: (name, value). AP is called mAP where it is a mean over categories.
pub type Summary = [(&'static str, f64); 12];

impl Curves {
    /// Measures `found` against `dataset`.
    pub fn measure(dataset: &Dataset, found: &[Found]) -> Self {
        let categories = dataset.categories.len();
        let places = IOU_COUNT * categories * AREAS.len() * MAX_FOUND.len();
        let mut curves = Self {
            categories,
            precision: vec![NONE; places * RECALL_COUNT],
            scores: vec![NONE; places * RECALL_COUNT],
            recall: vec![NONE; places],
        };
        let thresholds = matching::iou_thresholds();
        for (category, cells) in matching::cells(categories, &dataset.truths, found).iter().enumerate() {
            for (area, &(_, least, most)) in AREAS.iter().enumerate() {
                let matched: Vec<Matched> = cells
                    .iter()
                    .map(|cell| cell.matched(&dataset.truths, found, (least, most), &thresholds))
                    .collect();
                for (max_found, &count) in MAX_FOUND.iter().enumerate() {
                    let part = Part { iou: None, category: Some(category), area, max_found };
                    curves.accumulate(part, count, cells, &matched, &dataset.truths, found);
                }
            }
        }
        curves
    }

    /// Mean precision over `part`; [`NONE`] where nothing in it is labelled.
    pub fn average_precision(&self, part: Part) -> f64 {
        mean(self.places(part).flat_map(|(iou, category)| {
            (0..RECALL_COUNT).map(move |r| self.precision[self.precision_at(iou, r, category, part)])
        }))
    }

    /// Mean recall over `part`; [`NONE`] where nothing in it is labelled.
    pub fn average_recall(&self, part: Part) -> f64 {
        mean(self.places(part).map(|(iou, category)| self.recall[self.recall_at(iou, category, part)]))
    }

    /// Precision at each of the 101 recall values for `part`, averaged over what `part` leaves open.
    pub fn precision_curve(&self, part: Part) -> Vec<f64> {
        (0..RECALL_COUNT)
            .map(|r| {
                mean(
                    self.places(part)
                        .map(|(iou, category)| self.precision[self.precision_at(iou, r, category, part)]),
                )
            })
            .collect()
    }

    /// The twelve figures.
    pub fn summary(&self) -> Summary {
        let most = MAX_FOUND.len() - 1;
        let all = Part { max_found: most, ..Part::default() };
        let precision = |iou, area| self.average_precision(Part { iou, area, ..all });
        let recall = |area, max_found| self.average_recall(Part { area, max_found, ..all });
        [
            ("mAP", precision(None, 0)),
            ("mAP50", precision(Some(0), 0)),
            ("mAP75", precision(Some(5), 0)),
            ("mAP_small", precision(None, 1)),
            ("mAP_medium", precision(None, 2)),
            ("mAP_large", precision(None, 3)),
            ("AR1", recall(0, 0)),
            ("AR10", recall(0, 1)),
            ("AR100", recall(0, most)),
            ("AR_small", recall(1, most)),
            ("AR_medium", recall(2, most)),
            ("AR_large", recall(3, most)),
        ]
    }

    fn accumulate(
        &mut self,
        part: Part,
        count: usize,
        cells: &[Cell],
        matched: &[Matched],
        truths: &[Truth],
        found: &[Found],
    ) {
        let labelled: usize =
            matched.iter().map(|m| m.truth_ignored.iter().filter(|&&ignored| !ignored).count()).sum();
        if labelled == 0 {
            return;
        }
        let mut ranked: Vec<(usize, usize)> = Vec::new();
        for (cell, one) in cells.iter().enumerate() {
            ranked.extend((0..one.found.len().min(count)).map(|d| (cell, d)));
        }
        let score = |&(cell, d): &(usize, usize)| found[cells[cell].found[d]].score;
        ranked.sort_by(|a, b| matching::stronger(score(a), score(b)));
        let ranked_scores: Vec<f64> = ranked.iter().map(score).collect();

        let category = part.category.unwrap_or_default();
        for iou in 0..IOU_COUNT {
            let outcomes = ranked.iter().map(|&(cell, d)| {
                let place = iou * cells[cell].found.len() + d;
                let right =
                    matched[cell].truth_of[place].is_some_and(|g| truths[cells[cell].truths[g]].id != 0);
                (!matched[cell].found_ignored[place]).then_some(right)
            });
            let (recall, precision) = running(outcomes, labelled);
            let at = self.recall_at(iou, category, part);
            self.recall[at] = recall.last().copied().unwrap_or(0.0);
            for r in 0..RECALL_COUNT {
                let reached = recall.partition_point(|&value| value < recall_value(r));
                let at = self.precision_at(iou, r, category, part);
                self.precision[at] = precision.get(reached).copied().unwrap_or(0.0);
                self.scores[at] = ranked_scores.get(reached).copied().unwrap_or(0.0);
            }
        }
    }

    fn places(&self, part: Part) -> impl Iterator<Item = (usize, usize)> + use<> {
        let ious = part.iou.map_or(0..IOU_COUNT, |iou| iou..iou + 1);
        let categories = part.category.map_or(0..self.categories, |category| category..category + 1);
        ious.flat_map(move |iou| categories.clone().map(move |category| (iou, category)))
    }

    fn recall_at(&self, iou: usize, category: usize, part: Part) -> usize {
        ((iou * self.categories + category) * AREAS.len() + part.area) * MAX_FOUND.len() + part.max_found
    }

    fn precision_at(&self, iou: usize, recall: usize, category: usize, part: Part) -> usize {
        (((iou * RECALL_COUNT + recall) * self.categories + category) * AREAS.len() + part.area)
            * MAX_FOUND.len()
            + part.max_found
    }
}

/// Recall and precision after each detection, strongest first; precision made to fall only. An outcome is right, wrong,
/// or `None` where the detection counts neither way.
fn running(outcomes: impl Iterator<Item = Option<bool>>, labelled: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut right, mut wrong) = (0.0, 0.0);
    let (mut recall, mut precision) = (Vec::new(), Vec::<f64>::new());
    for outcome in outcomes {
        match outcome {
            Some(true) => right += 1.0,
            Some(false) => wrong += 1.0,
            None => {}
        }
        recall.push(right / labelled as f64);
        precision.push(right / (wrong + right + f64::EPSILON));
    }
    for i in (1..precision.len()).rev() {
        precision[i - 1] = precision[i - 1].max(precision[i]);
    }
    (recall, precision)
}

/// Recall number `index`, to the last bit as numpy's `linspace(0, 1, 101)` makes it.
pub fn recall_value(index: usize) -> f64 {
    if index == RECALL_COUNT - 1 { 1.0 } else { index as f64 * 0.01 }
}

/// The mean of the values above [`NONE`]; [`NONE`] if there is none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values.filter(|&value| value > NONE) {
        sum += value;
        count += 1;
    }
    if count == 0 { NONE } else { sum / count as f64 }
}
