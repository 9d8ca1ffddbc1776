//! How a model's outputs are read: the family and what differs within it, and when a detection counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Decoder family: which layout of outputs is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `[1, n, 5 + classes]`, offsets and log sizes per cell (Megvii YOLOX).
    Yolox,
    /// `[1, n, 5 + classes]` decoded in the graph, or three raw heads with anchors (YOLOv5, v7).
    Yolov5,
    /// `[1, 4 + classes, n]`, boxes as centre and size (YOLOv8, v9, v11, v12).
    Yolov8,
    /// `[1, n, 6]` x1 y1 x2 y2 score class, no suppression needed (YOLOv10, YOLO26).
    YoloEnd2end,
    /// Class scores and distributions of side distances per stride (NanoDet, NanoDet-Plus, PicoDet).
    Nanodet,
    /// `[1, 5 + classes, h, w]`: objectness, offsets, sizes, classes of one stride.
    Fastestdet,
    /// Boxes, scores and classes ready made, or raw boxes and scores with anchors in the graph (SSD).
    Ssd,
    /// Queries: logits or scores and boxes (DETR, RT-DETR, D-FINE).
    Detr,
    /// `[1, 1, 17, 3]` y x score, normalised.
    Movenet,
    /// One map per keypoint; its largest value marks the place.
    Heatmap,
    /// `[1, 4 + classes + 3 × keypoints, n]` (YOLOv8-pose and later), or `[1, n, 6 + 3 × keypoints]` end to end.
    YoloPose,
    /// One score per class for the whole picture.
    Classifier,
}

/// Details within a family; what is left out is found from the model or is the family's usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    /// Output tensor by part (`boxes`, `scores`, `classes`, `logits`, `count`, `heatmaps`, `output`), where shape alone
    /// does not tell.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Cell sizes in input pixels, in output order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strides: Vec<u32>,
    /// Anchor widths and heights in input pixels, per stride (raw YOLOv5 heads).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<Vec<[f32; 2]>>,
    /// What boxes are made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_format: Option<BoxFormat>,
    /// What box coordinates span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_range: Option<ValueRange>,
    /// What the graph's scores still need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Head>,
    /// Number of the first real class (1 where class 0 is the background).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_class: Option<u32>,
    /// Offset of a cell's centre in cells (NanoDet: 0.5 with `centre_shift` −0.5 px; NanoDet-Plus 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell_centre: Option<f32>,
    /// Shift of a cell's centre in input pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centre_shift: Option<f32>,
}

impl Decode {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
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
    /// Pixels of the source picture (the graph was given its size).
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
        Self {
            score: 0.25,
            nms_iou: 0.45,
            nms: Nms::ClassWise,
            max_detections: 300,
            per_class: BTreeMap::new(),
        }
    }
}

/// Among which boxes suppression works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nms {
    /// Boxes of the same class.
    #[default]
    ClassWise,
    /// All boxes.
    Agnostic,
    /// None: the graph has done it, or the family needs none.
    Off,
}
