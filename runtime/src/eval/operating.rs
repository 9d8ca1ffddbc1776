//! What holds at one score threshold, at an overlap of 0.5: who was found, the threshold of the best F1, recall by
//! height in pixels.

use serde::Serialize;

use super::Found;
use super::coco::{Dataset, Truth};
use super::matching::{self, AREAS};
use super::metrics::NONE;

/// Edges of the height bins in pixels; the last bin has no upper edge.
pub const HEIGHT_EDGES: [f64; 11] = [0.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0];

/// The same on the model's input, where objects are smaller.
pub const INPUT_HEIGHT_EDGES: [f64; 16] =
    [0.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 17.0, 20.0, 24.0, 32.0, 40.0, 56.0, 80.0, 128.0, 224.0];

/// What came of one detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It found this truth (index into the dataset's truths).
    Right(usize),
    /// It found nothing labelled.
    Wrong,
    /// It counts neither way: it found a crowd, or 100 stronger ones of its category lie in the picture.
    Ignored,
}

/// Who was found by whom, at an overlap of 0.5. A threshold on the score only takes the weaker matches away, since the
/// stronger detection always chooses first.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// Per detection.
    pub found: Vec<Verdict>,
    /// Per truth: the detection that found it.
    pub finder: Vec<Option<usize>>,
    /// Per truth: whether it counts (crowds do not).
    pub counts: Vec<bool>,
}

/// Precision and recall at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Detections of this score or more count.
    pub score: f64,
    /// Right detections / detections; −1 where there are none.
    pub precision: f64,
    /// Found truths / truths; −1 where there are none.
    pub recall: f64,
    /// 2 · precision · recall / (precision + recall); −1 where there are neither truths nor detections.
    pub f1: f64,
    /// Right detections.
    pub found: usize,
    /// Wrong detections.
    pub wrong: usize,
    /// Truths not found.
    pub missed: usize,
}

/// How many of the truths of some heights were found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeightBin {
    /// Least height in pixels, included.
    pub from: f64,
    /// Greatest height in pixels, excluded; `None`: no limit.
    pub to: Option<f64>,
    /// Truths of such a height.
    pub truths: usize,
    /// Found at any score the detections hold.
    pub found: usize,
    /// Found at the category's threshold.
    pub found_at_threshold: usize,
}

impl Verdicts {
    /// Judges `found` against `dataset`.
    pub fn judge(dataset: &Dataset, found: &[Found]) -> Self {
        let mut verdicts = Self {
            found: vec![Verdict::Ignored; found.len()],
            finder: vec![None; dataset.truths.len()],
            counts: vec![false; dataset.truths.len()],
        };
        let (_, least, most) = AREAS[0];
        for cell in matching::cells(dataset.categories.len(), &dataset.truths, found).iter().flatten() {
            let matched = cell.matched(&dataset.truths, found, (least, most), &[0.5]);
            for (g, &truth) in cell.truths.iter().enumerate() {
                verdicts.counts[truth] = !matched.truth_ignored[g];
            }
            for (d, &one) in cell.found.iter().enumerate() {
                let truth = matched.truth_of[d].map(|g| cell.truths[g]);
                verdicts.found[one] = match truth {
                    Some(truth) if verdicts.counts[truth] => {
                        verdicts.finder[truth] = Some(one);
                        Verdict::Right(truth)
                    }
                    None if !matched.found_ignored[d] => Verdict::Wrong,
                    _ => Verdict::Ignored,
                };
            }
        }
        verdicts
    }

    /// Precision and recall of `category` (`None`: of all) with the detections `counted` says yes to.
    fn point(
        &self,
        dataset: &Dataset,
        found: &[Found],
        category: Option<usize>,
        score: f64,
        thresholds: &[f64],
    ) -> OperatingPoint {
        let meant = |c: usize| category.is_none_or(|only| only == c);
        let strong = |one: &Found| one.score >= thresholds[one.category];
        let labelled = dataset
            .truths
            .iter()
            .zip(&self.counts)
            .filter(|(t, counts)| **counts && meant(t.category))
            .count();
        let outcomes = || found.iter().zip(&self.found).filter(|(one, _)| meant(one.category) && strong(one));
        let right = outcomes().filter(|(_, verdict)| matches!(verdict, Verdict::Right(_))).count();
        let wrong = outcomes().filter(|(_, verdict)| matches!(verdict, Verdict::Wrong)).count();
        point(score, right, wrong, labelled)
    }

    /// Precision and recall of each category at its threshold.
    pub fn points(&self, dataset: &Dataset, found: &[Found], thresholds: &[f64]) -> Vec<OperatingPoint> {
        let mut counts = vec![(0, 0, 0); dataset.categories.len()];
        for (truth, _) in dataset.truths.iter().zip(&self.counts).filter(|(_, counts)| **counts) {
            counts[truth.category].2 += 1;
        }
        for (one, verdict) in
            found.iter().zip(&self.found).filter(|(one, _)| one.score >= thresholds[one.category])
        {
            match verdict {
                Verdict::Right(_) => counts[one.category].0 += 1,
                Verdict::Wrong => counts[one.category].1 += 1,
                Verdict::Ignored => {}
            }
        }
        counts
            .iter()
            .zip(thresholds)
            .map(|(&(right, wrong, labelled), &score)| point(score, right, wrong, labelled))
            .collect()
    }

    /// The threshold of the highest F1 for each category; the higher threshold where two are equal. `None` where the
    /// category has nothing labelled, or nothing labelled was found.
    pub fn best_f1(&self, dataset: &Dataset, found: &[Found]) -> Vec<Option<OperatingPoint>> {
        let mut labelled = vec![0; dataset.categories.len()];
        for (truth, _) in dataset.truths.iter().zip(&self.counts).filter(|(_, counts)| **counts) {
            labelled[truth.category] += 1;
        }
        let mut ranked: Vec<Vec<(f64, bool)>> = vec![Vec::new(); dataset.categories.len()];
        for (one, verdict) in
            found.iter().zip(&self.found).filter(|(_, verdict)| **verdict != Verdict::Ignored)
        {
            ranked[one.category].push((one.score, matches!(verdict, Verdict::Right(_))));
        }
        ranked.into_iter().zip(labelled).map(|(list, labelled)| best(list, labelled)).collect()
    }

    /// Recall by height of the labelled box in its picture; of all categories, or of one.
    pub fn by_height(
        &self,
        dataset: &Dataset,
        found: &[Found],
        thresholds: &[f64],
        category: Option<usize>,
    ) -> Vec<HeightBin> {
        let meant = |truth: &Truth| category.is_none_or(|only| only == truth.category);
        self.binned(dataset, found, thresholds, &HEIGHT_EDGES, |truth| meant(truth).then_some(truth.bbox[3]))
    }

    /// Recall of one category by height on the model's input. `scales`: input pixels per picture pixel of each image of
    /// the dataset.
    pub fn by_input_height(
        &self,
        dataset: &Dataset,
        found: &[Found],
        thresholds: &[f64],
        category: usize,
        scales: &[f64],
    ) -> Vec<HeightBin> {
        let height = |truth: &Truth| {
            (truth.category == category)
                .then(|| truth.bbox[3] * scales.get(truth.image).copied().unwrap_or(0.0))
        };
        self.binned(dataset, found, thresholds, &INPUT_HEIGHT_EDGES, height)
    }

    /// Truths by the `height` that is told of them; those of which none is told are left out.
    fn binned(
        &self,
        dataset: &Dataset,
        found: &[Found],
        thresholds: &[f64],
        edges: &[f64],
        height: impl Fn(&Truth) -> Option<f64>,
    ) -> Vec<HeightBin> {
        let bin = |(i, &from): (usize, &f64)| {
            let to = edges.get(i + 1).copied();
            HeightBin { from, to, truths: 0, found: 0, found_at_threshold: 0 }
        };
        let mut bins: Vec<HeightBin> = edges.iter().enumerate().map(bin).collect();
        for (index, truth) in dataset.truths.iter().enumerate() {
            let Some(height) = height(truth).filter(|_| self.counts[index]) else { continue };
            let bin = edges.iter().rposition(|&edge| height >= edge).unwrap_or(0);
            bins[bin].truths += 1;
            if let Some(finder) = self.finder[index] {
                bins[bin].found += 1;
                bins[bin].found_at_threshold +=
                    usize::from(found[finder].score >= thresholds[truth.category]);
            }
        }
        bins
    }

    /// Precision and recall over all categories, each at its own threshold.
    pub fn overall(&self, dataset: &Dataset, found: &[Found], thresholds: &[f64]) -> OperatingPoint {
        let least = thresholds.iter().copied().fold(f64::INFINITY, f64::min);
        self.point(dataset, found, None, least, thresholds)
    }
}

fn best(mut ranked: Vec<(f64, bool)>, labelled: usize) -> Option<OperatingPoint> {
    ranked.sort_by(|a, b| matching::stronger(a.0, b.0));
    let (mut right, mut wrong) = (0, 0);
    let mut best: Option<OperatingPoint> = None;
    for (i, &(score, is_right)) in ranked.iter().enumerate() {
        if is_right {
            right += 1
        } else {
            wrong += 1
        }
        // Equal scores stand or fall together.
        if ranked.get(i + 1).is_some_and(|next| next.0 == score) {
            continue;
        }
        let here = point(score, right, wrong, labelled);
        if right > 0 && best.is_none_or(|known| here.f1 > known.f1) {
            best = Some(here);
        }
    }
    best
}

fn point(score: f64, right: usize, wrong: usize, labelled: usize) -> OperatingPoint {
    let share = |part: usize, whole: usize, of_none: f64| {
        if whole == 0 { of_none } else { part as f64 / whole as f64 }
    };
    let precision = share(right, right + wrong, NONE);
    let recall = share(right, labelled, NONE);
    // 2PR / (P + R) in counts, which holds also where precision or recall is undefined.
    let missed = labelled.saturating_sub(right);
    let f1 = share(2 * right, 2 * right + wrong + missed, NONE);
    OperatingPoint { score, precision, recall, f1, found: right, wrong, missed }
}

#[cfg(test)]
mod tests;
