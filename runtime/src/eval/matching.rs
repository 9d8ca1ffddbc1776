//! Which detection found which labelled box: the greedy matching of COCOeval (`evaluateImg`), for boxes.

use std::cmp::Ordering;

use super::coco::Truth;
use super::{BoxXywh, Found};

/// Overlap thresholds: 0.50, 0.55 … 0.95.
pub const IOU_COUNT: usize = 10;
/// Most detections of one category in one picture that are looked at, strongest first.
pub const MAX_FOUND: usize = 100;

/// Box areas in square pixels: all, small, medium, large. Both ends belong to a range, as COCOeval has it.
pub const AREAS: [(&str, f64, f64); 4] =
    [("all", 0.0, 1e10), ("small", 0.0, 1024.0), ("medium", 1024.0, 9216.0), ("large", 9216.0, 1e10)];

/// The overlap thresholds, to the last bit as numpy's `linspace(.5, .95, 10)` makes them.
pub fn iou_thresholds() -> [f64; IOU_COUNT] {
    let step = (0.95 - 0.5) / 9.0;
    let mut thresholds = std::array::from_fn(|index| index as f64 * step + 0.5);
    thresholds[IOU_COUNT - 1] = 0.95;
    thresholds
}

/// Intersection over union of two boxes; over `found`'s own area where `truth` is a crowd. 0 where they do not overlap.
pub fn iou(found: &BoxXywh, truth: &BoxXywh, crowd: bool) -> f64 {
    let width = (found[2] + found[0]).min(truth[2] + truth[0]) - found[0].max(truth[0]);
    let height = (found[3] + found[1]).min(truth[3] + truth[1]) - found[1].max(truth[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let intersection = width * height;
    let area = found[2] * found[3];
    let union = if crowd { area } else { area + truth[2] * truth[3] - intersection };
    intersection / union
}

/// The order of two scores, strongest first, for stable sorting.
pub fn stronger(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// One category in one picture: what is labelled, what was found, and how they overlap.
pub struct Cell {
    /// Indices into the dataset's truths, in its order.
    pub truths: Vec<usize>,
    /// Indices into the detections, strongest first, at most [`MAX_FOUND`].
    pub found: Vec<usize>,
    /// `found × truths`, row by row.
    ious: Vec<f64>,
}

/// How one cell was matched, for one range of areas.
pub struct Matched {
    /// Per truth of the cell: counts neither as found nor as missed.
    pub truth_ignored: Vec<bool>,
    /// Per threshold and detection: the truth of the cell it found.
    pub truth_of: Vec<Option<usize>>,
    /// Per threshold and detection: counts neither as right nor as wrong.
    pub found_ignored: Vec<bool>,
}

impl Cell {
    /// A cell over `truths` and `found` (indices into `all_truths` and `all_found`, each in its list's order).
    pub fn new(truths: Vec<usize>, mut found: Vec<usize>, all_truths: &[Truth], all_found: &[Found]) -> Self {
        found.sort_by(|&a, &b| stronger(all_found[a].score, all_found[b].score));
        found.truncate(MAX_FOUND);
        let overlap = |d: usize, g: usize| iou(&all_found[d].bbox, &all_truths[g].bbox, all_truths[g].crowd);
        let ious = found.iter().flat_map(|&d| truths.iter().map(move |&g| overlap(d, g))).collect();
        Self { truths, found, ious }
    }

    /// Matches at the thresholds `thresholds`, counting only truths of `area` (both ends included).
    ///
    /// Strongest detection first, each takes the free truth it overlaps most; a truth that does not count is taken only
    /// if no other fits, and a crowd by any number. A detection that matched nothing and is itself outside `area` is
    /// ignored.
    pub fn matched(
        &self,
        all_truths: &[Truth],
        all_found: &[Found],
        area: (f64, f64),
        thresholds: &[f64],
    ) -> Matched {
        let outside = |size: f64| size < area.0 || size > area.1;
        let truth = |g: usize| &all_truths[self.truths[g]];
        let truth_ignored: Vec<bool> =
            (0..self.truths.len()).map(|g| truth(g).crowd || outside(truth(g).area)).collect();
        let mut order: Vec<usize> = (0..self.truths.len()).collect();
        order.sort_by_key(|&g| truth_ignored[g]);

        let count = self.found.len();
        let mut truth_of = vec![None; thresholds.len() * count];
        let mut found_ignored = vec![false; thresholds.len() * count];
        for (t, &threshold) in thresholds.iter().enumerate() {
            let mut taken = vec![false; self.truths.len()];
            for d in 0..count {
                let place = t * count + d;
                let best = self.best(d, threshold, &order, &truth_ignored, |g| taken[g] && !truth(g).crowd);
                if let Some(g) = best {
                    taken[g] = true;
                    truth_of[place] = Some(g);
                }
                // COCOeval keeps the id of the matched truth and reads 0 as "none", whatever was matched.
                let none = best.is_none_or(|g| truth(g).id == 0);
                let [_, _, width, height] = all_found[self.found[d]].bbox;
                found_ignored[place] =
                    best.is_some_and(|g| truth_ignored[g]) || none && outside(width * height);
            }
        }
        Matched { truth_ignored, truth_of, found_ignored }
    }

    /// The truth that detection `d` matches. A later truth of equal overlap wins, as in COCOeval.
    fn best(
        &self,
        d: usize,
        threshold: f64,
        order: &[usize],
        ignored: &[bool],
        unavailable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut overlap = threshold.min(1.0 - 1e-10);
        let mut best = None;
        for &g in order.iter().filter(|&&g| !unavailable(g)) {
            if best.is_some_and(|b: usize| !ignored[b] && ignored[g]) {
                break;
            }
            let here = self.ious[d * self.truths.len() + g];
            if here >= overlap {
                overlap = here;
                best = Some(g);
            }
        }
        best
    }
}

/// The cells of each category, by rising image index, where there is anything labelled or found.
pub fn cells(categories: usize, truths: &[Truth], found: &[Found]) -> Vec<Vec<Cell>> {
    use std::collections::BTreeMap;
    type Lists = (Vec<usize>, Vec<usize>);
    let mut lists: Vec<BTreeMap<usize, Lists>> = (0..categories).map(|_| BTreeMap::new()).collect();
    for (index, truth) in truths.iter().enumerate() {
        lists[truth.category].entry(truth.image).or_default().0.push(index);
    }
    for (index, one) in found.iter().enumerate() {
        lists[one.category].entry(one.image).or_default().1.push(index);
    }
    let cell = |(labelled, seen): Lists| Cell::new(labelled, seen, truths, found);
    lists.into_iter().map(|images| images.into_values().map(cell).collect()).collect()
}
