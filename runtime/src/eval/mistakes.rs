//! Each miss and each false positive at the operating threshold, and of which kind it is.
//!
//! The kinds and their overlap limits (0.5 to be the same object, 0.1 to be near it) are those of TIDE (Bolya et al.,
//! ECCV 2020), told per box.

use serde::Serialize;

use super::Found;
use super::coco::Dataset;
use super::matching;
use super::operating::{Verdict, Verdicts};

/// Overlap from which two boxes are the same object.
const SAME: f64 = 0.5;
/// Overlap from which a box is near an object.
const NEAR: f64 = 0.1;

/// A labelled object that was not found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Miss {
    /// Index into the dataset's truths.
    pub truth: usize,
    /// How.
    pub kind: MissKind,
    /// The detection that tells the kind; `None` for [`MissKind::Unseen`].
    pub found: Option<usize>,
}

/// How an object was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissKind {
    /// Found, but the score is below the threshold.
    TooWeak,
    /// Something else was seen in its place.
    TakenForOther,
    /// Seen, but the box does not fit (overlap 0.1 to 0.5), and is right about no other object.
    Misplaced,
    /// Nothing near it.
    Unseen,
}

/// A detection of what is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FalsePositive {
    /// Index into the detections.
    pub found: usize,
    /// Of which kind.
    pub kind: FalseKind,
    /// The truth that tells the kind; `None` for [`FalseKind::Background`].
    pub truth: Option<usize>,
}

/// What a false positive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FalseKind {
    /// A second box on an object that a stronger detection has found.
    Double,
    /// The box does not fit the object (overlap 0.1 to 0.5).
    Misplaced,
    /// An object of another category.
    Confused,
    /// Nothing labelled there.
    Background,
}

/// All mistakes at the thresholds, worst first.
#[derive(Clone, Debug, Default)]
pub struct Mistakes {
    /// Largest area first.
    pub misses: Vec<Miss>,
    /// Highest score first.
    pub false_positives: Vec<FalsePositive>,
}

impl Mistakes {
    /// The mistakes of `found` with a score at or above the threshold of their category.
    pub fn find(dataset: &Dataset, found: &[Found], verdicts: &Verdicts, thresholds: &[f64]) -> Self {
        let scene = Scene::new(dataset, found, verdicts, thresholds);
        let mut mistakes = Self::default();
        for truth in (0..dataset.truths.len()).filter(|&truth| verdicts.counts[truth]) {
            match verdicts.finder[truth] {
                Some(one) if scene.strong(one) => {}
                Some(one) => mistakes.misses.push(scene.weak_miss(truth, one)),
                None => mistakes.misses.push(scene.miss(truth)),
            }
        }
        let wrong =
            (0..found.len()).filter(|&one| verdicts.found[one] == Verdict::Wrong && scene.strong(one));
        mistakes.false_positives = wrong.map(|one| scene.false_positive(one)).collect();
        mistakes
            .misses
            .sort_by(|a, b| matching::stronger(dataset.truths[a.truth].area, dataset.truths[b.truth].area));
        mistakes
            .false_positives
            .sort_by(|a, b| matching::stronger(found[a.found].score, found[b.found].score));
        mistakes
    }
}

/// Truths and detections picture by picture.
struct Scene<'a> {
    dataset: &'a Dataset,
    found: &'a [Found],
    verdicts: &'a Verdicts,
    thresholds: &'a [f64],
    truths_in: Vec<Vec<usize>>,
    found_in: Vec<Vec<usize>>,
}

impl<'a> Scene<'a> {
    fn new(dataset: &'a Dataset, found: &'a [Found], verdicts: &'a Verdicts, thresholds: &'a [f64]) -> Self {
        let mut scene = Self {
            dataset,
            found,
            verdicts,
            thresholds,
            truths_in: vec![Vec::new(); dataset.images.len()],
            found_in: vec![Vec::new(); dataset.images.len()],
        };
        for (index, truth) in dataset.truths.iter().enumerate() {
            scene.truths_in[truth.image].push(index);
        }
        for (index, one) in found.iter().enumerate() {
            scene.found_in[one.image].push(index);
        }
        scene
    }

    fn strong(&self, one: usize) -> bool {
        self.found[one].score >= self.thresholds[self.found[one].category]
    }

    fn overlap(&self, one: usize, truth: usize) -> f64 {
        matching::iou(&self.found[one].bbox, &self.dataset.truths[truth].bbox, false)
    }

    /// A miss with a right but weak detection; what was seen strongly in its place tells more.
    fn weak_miss(&self, truth: usize, one: usize) -> Miss {
        match self.other(truth) {
            Some(other) => Miss { truth, kind: MissKind::TakenForOther, found: Some(other) },
            None => Miss { truth, kind: MissKind::TooWeak, found: Some(one) },
        }
    }

    fn miss(&self, truth: usize) -> Miss {
        if let Some(other) = self.other(truth) {
            return Miss { truth, kind: MissKind::TakenForOther, found: Some(other) };
        }
        let category = self.dataset.truths[truth].category;
        let near = self.found_in[self.dataset.truths[truth].image]
            .iter()
            .copied()
            .filter(|&one| {
                self.found[one].category == category && self.strong(one) && self.overlap(one, truth) >= NEAR
            })
            // A box that is right about a neighbour does not misplace this object.
            .filter(|&one| self.verdicts.found[one] == Verdict::Wrong)
            .max_by(|&a, &b| self.overlap(a, truth).total_cmp(&self.overlap(b, truth)));
        let kind = if near.is_some() { MissKind::Misplaced } else { MissKind::Unseen };
        Miss { truth, kind, found: near }
    }

    /// The strongest detection of another category in the place of `truth` that is not itself right about another
    /// object there.
    fn other(&self, truth: usize) -> Option<usize> {
        let here = &self.dataset.truths[truth];
        self.found_in[here.image]
            .iter()
            .copied()
            .filter(|&one| self.found[one].category != here.category && self.strong(one))
            .filter(|&one| self.overlap(one, truth) >= SAME && !self.fits_own_category(one))
            .max_by(|&a, &b| self.found[a].score.total_cmp(&self.found[b].score))
    }

    fn fits_own_category(&self, one: usize) -> bool {
        let found = &self.found[one];
        self.truths_in[found.image].iter().any(|&truth| {
            self.dataset.truths[truth].category == found.category && self.overlap(one, truth) >= SAME
        })
    }

    fn false_positive(&self, one: usize) -> FalsePositive {
        let category = self.found[one].category;
        let nearest = |same: bool| {
            self.truths_in[self.found[one].image]
                .iter()
                .copied()
                .filter(|&truth| (self.dataset.truths[truth].category == category) == same)
                .map(|truth| (truth, self.overlap(one, truth)))
                .max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let (own, other) = (nearest(true), nearest(false));
        match (own, other) {
            (Some((truth, overlap)), _) if overlap >= SAME => {
                FalsePositive { found: one, kind: FalseKind::Double, truth: Some(truth) }
            }
            (_, Some((truth, overlap))) if overlap >= SAME => {
                FalsePositive { found: one, kind: FalseKind::Confused, truth: Some(truth) }
            }
            (Some((truth, overlap)), _) if overlap >= NEAR => {
                FalsePositive { found: one, kind: FalseKind::Misplaced, truth: Some(truth) }
            }
            _ => FalsePositive { found: one, kind: FalseKind::Background, truth: None },
        }
    }
}

#[cfg(test)]
mod tests;
