//! How a model's outputs are read: the family and what differs within it, and when a detection counts.
//!
//! What each family's outputs look like, and whose convention that is, stands in the runtime's README, "Decode".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::refuse;
use super::{Manifest, ManifestError, ResizeMode};

/// Decoder family: which layout of outputs is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `[1, n, 5 + classes]`, offsets and log sizes per cell (Megvii YOLOX).
    Yolox,
    /// `[1, n, 5 + classes]` decoded in the graph, or raw heads with anchors, one per stride (YOLOv5, v7).
    Yolov5,
    /// `[1, 4 + classes, n]` or `[1, n, 4 + classes]`, boxes as centre and size (YOLOv8, v9, v11, v12).
    Yolov8,
    /// `[1, n, 6]` x1 y1 x2 y2 score class, no suppression needed (YOLOv10, YOLO26); `[n, 7]` (YOLOv7 `--end2end`).
    YoloEnd2end,
    /// Class scores and distributions of side distances per stride (NanoDet, NanoDet-Plus, PicoDet).
    Nanodet,
    /// `[1, 5 + classes, h, w]`: objectness, offsets, sizes, classes of one stride.
    Fastestdet,
    /// Boxes, scores and classes ready made, or boxes and scores with the anchors applied in the graph (SSD).
    Ssd,
    /// Queries: logits or scores and boxes (DETR, RT-DETR, D-FINE).
    Detr,
    /// `[1, 1, 17, 3]` y x score, 0 to 1 over the input; `[1, n, 56]` (MoveNet MultiPose).
    Movenet,
    /// One map per keypoint; its largest value marks the place.
    Heatmap,
    /// `[1, 4 + classes + 3 × keypoints, n]` (YOLOv8-pose and later), or `[1, n, 6 + 3 × keypoints]` end to end.
    YoloPose,
    /// One score per class for the whole picture.
    Classifier,
}

/// Details within a family; what is left out is found from the model or is the family's usual. A key that a family does
/// not read is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    /// Output tensor by part, where shapes and names alone do not tell. Parts: `output` (families with one output),
    /// `boxes`, `scores`, `classes`, `count` (`ssd`, `detr`), `logits` (`detr`), `heatmaps` (`heatmap`), `scores`
    /// (`classifier`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Cell sizes in input pixels, finest first (`yolox`, `yolov5`: 8, 16, 32; `nanodet`: 8, 16, 32 and with four outputs
    /// or one 64).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strides: Vec<u32>,
    /// Anchor widths and heights in input pixels, per stride (raw heads of `yolov5`; YOLOv5's own for COCO).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<Vec<[f32; 2]>>,
    /// What boxes are made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_format: Option<BoxFormat>,
    /// What box coordinates span. With `yolox`, whose boxes the graph usually leaves undecoded, giving this says that they
    /// are decoded (exported with `--decode_in_inference`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_range: Option<ValueRange>,
    /// What the graph's scores still need; a softmax only with `ssd`, `detr` and `classifier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Head>,
    /// Number of the first real class, that is, of `labels[0]`: 1 where class 0 is the background (`ssd`'s usual), 0 for
    /// TensorFlow Lite's post-processing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_class: Option<u32>,
    /// Offset of a cell's centre from its edge, in cells (`nanodet`: 0.5; NanoDet-Plus 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell_centre: Option<f32>,
    /// Shift of a cell's centre in input pixels (`nanodet` with three strides: −0.5, as OpenCV's model zoo has it; else 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centre_shift: Option<f32>,
}

impl Decode {
    /// The parts that [`Decode::outputs`] may name.
    pub const PARTS: [&str; 7] = ["output", "boxes", "scores", "classes", "count", "logits", "heatmaps"];

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Which keys besides `outputs` the family reads.
    fn keys(family: Family) -> &'static [&'static str] {
        match family {
            Family::Yolox => &["strides", "box_format", "box_range", "scores"],
            Family::Yolov5 => &["strides", "anchors", "box_format", "box_range", "scores"],
            Family::Yolov8 | Family::YoloPose => &["box_format", "box_range", "scores"],
            Family::YoloEnd2end => &["box_format", "box_range", "scores", "first_class"],
            Family::Nanodet => &[
                "strides",
                "box_format",
                "box_range",
                "scores",
                "first_class",
                "cell_centre",
                "centre_shift",
            ],
            Family::Ssd | Family::Detr => &["box_format", "box_range", "scores", "first_class"],
            Family::Fastestdet | Family::Heatmap => &["scores"],
            Family::Movenet => &[],
            Family::Classifier => &["scores", "first_class"],
        }
    }

    /// The keys that are set, besides `outputs`.
    fn set(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("strides", !self.strides.is_empty()),
            ("anchors", !self.anchors.is_empty()),
            ("box_format", self.box_format.is_some()),
            ("box_range", self.box_range.is_some()),
            ("scores", self.scores.is_some()),
            ("first_class", self.first_class.is_some()),
            ("cell_centre", self.cell_centre.is_some()),
            ("centre_shift", self.centre_shift.is_some()),
        ];
        keys.into_iter().filter_map(|(key, set)| set.then_some(key))
    }

    fn check_cells(&self) -> Result<(), ManifestError> {
        if self.strides.len() > MOST_STRIDES {
            return refuse(
                "decode.strides",
                format!("{} strides", self.strides.len()),
                format!("at most {MOST_STRIDES}"),
            );
        }
        for (at, &stride) in self.strides.iter().enumerate() {
            if !(1..=1024).contains(&stride) {
                return refuse(&format!("decode.strides[{at}]"), stride, "1 to 1024 pixels");
            }
            if self.strides[..at].contains(&stride) {
                return refuse(
                    &format!("decode.strides[{at}]"),
                    format!("{stride} a second time"),
                    "distinct strides",
                );
            }
        }
        for (key, value) in [("cell_centre", self.cell_centre), ("centre_shift", self.centre_shift)] {
            if value.is_some_and(|value| !(-1024.0..=1024.0).contains(&value)) {
                return refuse(&format!("decode.{key}"), value.unwrap_or_default(), "-1024 to 1024");
            }
        }
        self.check_anchors()
    }

    fn check_anchors(&self) -> Result<(), ManifestError> {
        let Some(first) = self.anchors.first() else { return Ok(()) };
        let strides = if self.strides.is_empty() { 3 } else { self.strides.len() };
        if self.anchors.len() != strides {
            let expected = format!("one list for each of the {strides} strides");
            return refuse("decode.anchors", format!("{} lists", self.anchors.len()), expected);
        }
        for (at, anchors) in self.anchors.iter().enumerate() {
            let key = format!("decode.anchors[{at}]");
            if !(1..=MOST_ANCHORS).contains(&anchors.len()) || anchors.len() != first.len() {
                let expected = format!("1 to {MOST_ANCHORS}, as many for each stride");
                return refuse(&key, format!("{} anchors", anchors.len()), expected);
            }
            if let Some(side) = anchors.iter().flatten().find(|side| !(0.01..=65536.0).contains(*side)) {
                return refuse(&key, side, "sides of 0.01 to 65536 pixels");
            }
        }
        Ok(())
    }
}

/// Most strides; no published detector has more than five.
const MOST_STRIDES: usize = 8;

/// Most anchors per stride.
const MOST_ANCHORS: usize = 16;

/// The largest number the first class may have.
const MOST_FIRST_CLASS: u32 = 10_000;

impl Manifest {
    /// Refuses details that the family does not read or that cannot work.
    pub(super) fn check_decode(&self) -> Result<(), ManifestError> {
        let (decode, keys) = (&self.decode, Decode::keys(self.decoder));
        if let Some(part) = decode.outputs.keys().find(|part| !Decode::PARTS.contains(&part.as_str())) {
            return refuse(
                &format!("decode.outputs.{part}"),
                format!("{part:?}"),
                format!("one of {:?}", Decode::PARTS),
            );
        }
        if let Some(key) = decode.set().find(|key| !keys.contains(key)) {
            let found = format!("a value, with decoder {:?}", self.decoder);
            return refuse(&format!("decode.{key}"), found, format!("none: this family reads only {keys:?}"));
        }
        let exclusive = matches!(self.decoder, Family::Ssd | Family::Detr | Family::Classifier);
        if decode.scores == Some(Head::Softmax) && !exclusive {
            return refuse(
                "decode.scores",
                format!("softmax with decoder {:?}", self.decoder),
                "probability or sigmoid",
            );
        }
        if decode.box_range == Some(ValueRange::Source) && self.input.resize.mode != ResizeMode::Stretch {
            let found = format!("source with input.resize.mode {:?}", self.input.resize.mode);
            return refuse("decode.box_range", found, "input.resize.mode = \"stretch\", or another range");
        }
        if decode.first_class.is_some_and(|first| first > MOST_FIRST_CLASS) {
            let found = decode.first_class.unwrap_or_default();
            return refuse("decode.first_class", found, format!("0 to {MOST_FIRST_CLASS}"));
        }
        decode.check_cells()
    }
}

/// What a box is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxFormat {
    /// Centre x, centre y, width, height.
    Cxcywh,
    /// Left, top, right, bottom.
    Xyxy,
    /// Top, left, bottom, right (TensorFlow).
    Yxyx,
    /// Left, top, width, height.
    Xywh,
}

/// What box coordinates span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueRange {
    /// Pixels of the model's input.
    Input,
    /// 0 to 1 over the model's input.
    Unit,
    /// Pixels of the source picture: the graph was given its size. Only where the picture is stretched, since the graph
    /// knows nothing of a letterbox.
    Source,
}

/// What the graph's scores still need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Nothing: they are probabilities.
    Probability,
    /// A sigmoid each.
    Sigmoid,
    /// A softmax over the classes.
    Softmax,
}

/// When a detection counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Least score.
    pub score: f32,
    /// Overlap (IoU) above which the weaker of two boxes is suppressed.
    pub nms_iou: f32,
    /// Among which boxes suppression works.
    pub nms: Nms,
    /// Most detections in a picture; the strongest stay.
    pub max_detections: u32,
    /// Least score for single labels, in place of `score`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_class: BTreeMap<String, f32>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { score: 0.25, nms_iou: 0.45, nms: Nms::Auto, max_detections: 300, per_class: BTreeMap::new() }
    }
}

/// Among which boxes suppression works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nms {
    /// As the family needs: boxes of the same class, or none where the graph has done it (`yolo-end2end`, `detr`,
    /// ready-made boxes of `ssd` and `nanodet`).
    #[default]
    Auto,
    /// Boxes of the same class.
    ClassWise,
    /// All boxes.
    Agnostic,
    /// None: the graph has done it, or the family needs none.
    Off,
}

#[cfg(test)]
mod tests;
