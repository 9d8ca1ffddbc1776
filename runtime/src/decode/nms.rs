//! Non-maximum suppression: greedy, by descending score, on IoU without the "+1 pixel" term, as Torchvision's `nms` and
//! the COCO tools reckon it.

use stopline_depot::manifest::Nms;

/// Most candidates that suppression looks at; of more, the strongest. Bounds the time of a frame on which everything
/// counts: at most this many times `max_detections` comparisons. (Ultralytics takes 30 000.)
pub const MOST_CANDIDATES: usize = 4096;

/// A box that counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// 0 to 1, finite.
    pub score: f32,
    /// Class number.
    pub class: usize,
    /// Corners x1, y1, x2, y2; finite.
    pub bbox: [f32; 4],
    /// Its row in the outputs: among equal scores the first wins.
    pub row: usize,
}

/// How candidates are thinned out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suppression {
    /// Among which boxes; [`Nms::Auto`] is as [`Nms::ClassWise`] here.
    pub among: Nms,
    /// Overlap (IoU) above which the weaker goes.
    pub iou: f32,
    /// Most that stay.
    pub most: usize,
}

impl Suppression {
    /// Leaves the survivors in `list`, strongest first. Allocates nothing.
    pub fn apply(&self, list: &mut Vec<Candidate>) {
        let looked_at = if self.among == Nms::Off { self.most } else { MOST_CANDIDATES };
        let order = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row));
        if list.len() > looked_at {
            list.select_nth_unstable_by(looked_at, order);
            list.truncate(looked_at);
        }
        list.sort_unstable_by(order);
        let mut kept = 0;
        for at in 0..list.len() {
            if kept == self.most {
                break;
            }
            let candidate = list[at];
            if !list[..kept].iter().any(|stronger| self.suppresses(stronger, &candidate)) {
                list[kept] = candidate;
                kept += 1;
            }
        }
        list.truncate(kept);
    }

    fn suppresses(&self, stronger: &Candidate, weaker: &Candidate) -> bool {
        match self.among {
            Nms::Off => false,
            Nms::Agnostic => iou(stronger.bbox, weaker.bbox) > self.iou,
            Nms::ClassWise | Nms::Auto => {
                stronger.class == weaker.class && iou(stronger.bbox, weaker.bbox) > self.iou
            }
        }
    }
}

/// Intersection over union of two boxes given by their corners; 0 where neither has an area.
pub fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let across = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let down = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let both = across * down;
    let area = |c: [f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    both / (area(a) + area(b) - both + 1e-9)
}

#[cfg(test)]
mod tests;
