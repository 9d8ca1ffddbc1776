//! Models that say what they are: by Ultralytics' metadata, or by the names of their inputs and outputs (DETR and its
//! successors, SSD as TensorFlow, torchvision, the ONNX model zoo and MMDetection export it, PaddleDetection).

use stopline_depot::manifest::{BoxFormat, Family, Head, ValueRange};

use super::{Axes, Style, Told, View};

impl View<'_> {
    pub(super) fn ultralytics(&self) -> Option<Told> {
        let told = self.info.ultralytics.as_ref()?;
        let classes = Some(told.names.len()).filter(|count| *count > 0);
        match told.task.as_deref() {
            Some("pose") => {
                let mut pose = Told::new(Family::YoloPose, Style::Yolov8, classes);
                pose.keypoints = told.kpt_shape.map_or(17, |[points, _]| points as usize);
                Some(pose)
            }
            Some("classify") => Some(Told::new(Family::Classifier, Style::ClassifierUltralytics, classes)),
            _ if told.head.as_deref() == Some("RTDETRDecoder") => self.ultralytics_rtdetr(classes),
            _ => self.ultralytics_detector(told.end2end, classes),
        }
    }

    /// Queries with one score per class, or, since the exporter names the head, its own choice of the strongest:
    /// `[1, n, 6]`, centre x, centre y, width, height (0 to 1), score, class.
    pub(super) fn ultralytics_rtdetr(&self, classes: Option<usize>) -> Option<Told> {
        let &[_, _, columns] = self.shape(0) else { return None };
        if columns != Some(6) || classes == Some(2) {
            return Some(Told::new(Family::Detr, Style::Rtdetr, classes));
        }
        let mut told = Told::new(Family::YoloEnd2end, Style::Rtdetr, classes);
        told.decode.box_format = Some(BoxFormat::Cxcywh);
        told.decode.box_range = Some(ValueRange::Unit);
        Some(told)
    }

    pub(super) fn ultralytics_detector(&self, end2end: bool, classes: Option<usize>) -> Option<Told> {
        let count = classes?;
        let axes: &Axes = self.shape(0);
        let &[_, a, b] = axes else { return self.raw_heads() };
        let told = |family, style| Some(Told::new(family, style, classes));
        if end2end && b.is_none_or(|b| b == 6) {
            return told(Family::YoloEnd2end, Style::Yolov8);
        }
        if a == Some(4 + count) {
            return told(Family::Yolov8, Style::Yolov8);
        }
        match b {
            Some(columns) if columns == 5 + count => told(Family::Yolov5, Style::Yolov5),
            Some(columns) if columns == 4 + count => told(Family::Detr, Style::Rtdetr),
            Some(6) if a.is_some_and(|rows| rows <= 1000) => told(Family::YoloEnd2end, Style::Yolov8),
            _ => None,
        }
    }

    pub(super) fn detr(&self) -> Option<Told> {
        if self.takes("orig_target_sizes") {
            self.called(&["boxes"])?;
            let told = Told::new(Family::Detr, Style::Rtdetr, None);
            return Some(told.note("labels", "the outputs do not say how many classes there are"));
        }
        let logits =
            self.called(&["logits", "pred_logits", "labels", "out_logits", "scores", "class_logits"])?;
        let boxes = self.called(&["pred_boxes", "dets", "out_bbox", "boxes"])?;
        let named = |at: usize, names: &[&str]| self.called(names) == Some(at);
        let queries = self.shape(boxes).get(1).copied().flatten();
        let query_names = named(logits, &["logits", "pred_logits"]) || named(boxes, &["dets", "pred_boxes"]);
        if self.shape(logits).len() != 3 || !(query_names || queries.is_some_and(|count| count <= 300)) {
            return None;
        }
        Some(self.detr_queries(logits, boxes))
    }

    /// DETR proper ends with a "no object" class under a softmax (92 logits for COCO: ids 0 to 90 and none); its
    /// successors have one sigmoid for each class.
    pub(super) fn detr_queries(&self, logits: usize, boxes: usize) -> Told {
        let columns = self.shape(logits).last().copied().flatten();
        let softmax = columns == Some(92)
            || self.file("yolos")
            || (self.file("detr") && !DETR_HEIRS.iter().any(|heir| self.file(heir)));
        let head = match self.info.made_by.get(logits).map(String::as_str) {
            Some("Sigmoid" | "Softmax") => Head::Probability,
            _ if softmax => Head::Softmax,
            _ => Head::Sigmoid,
        };
        let classes = if softmax { columns.map(|columns| columns.saturating_sub(1)) } else { columns };
        let rtdetr = self.file("rt_detr") || self.file("rtdetr") || self.file("dfine") || self.file("d_fine");
        let style = if rtdetr { Style::Rtdetr } else { Style::Detr };
        let mut told = Told::new(Family::Detr, style, classes)
            .output("logits", self.name(logits))
            .output("boxes", self.name(boxes))
            .note(
                "scores",
                "softmax where the last class is \"no object\" (DETR, YOLOS), sigmoid for its successors",
            );
        told.decode.scores = Some(head);
        told
    }

    pub(super) fn tensorflow_ssd(&self) -> Option<Told> {
        let boxes = self.called(&["detection_boxes"]).or_else(|| self.unnamed_tensorflow_boxes())?;
        let mut told = Told::new(Family::Ssd, Style::SsdTensorflow, None);
        let parts = [
            ("boxes", "detection_boxes"),
            ("scores", "detection_scores"),
            ("classes", "detection_classes"),
            ("count", "num_detections"),
        ];
        for (part, name) in parts {
            if let Some(at) = self.called(&[name]) {
                told = told.output(part, self.name(at));
            }
        }
        if told.decode.outputs.is_empty() {
            told = told.output("boxes", self.name(boxes));
        }
        told.decode.box_format = Some(BoxFormat::Yxyx);
        told.decode.box_range = Some(ValueRange::Unit);
        told.decode.first_class = Some(1);
        Some(told.note(
            "first_class",
            "the Object Detection API counts classes from 1; 0 where the model was exported otherwise",
        ))
    }

    /// The Object Detection API's four outputs when the exporter lost their names: `[1, n, 4]`, `[1, n]` twice and `[1]`.
    pub(super) fn unnamed_tensorflow_boxes(&self) -> Option<usize> {
        let picture = self.info.picture()?;
        let last_is_colour = picture.shape.last().copied().flatten() == Some(3);
        let of_rank = |rank: usize| (0..self.count()).filter(|&at| self.shape(at).len() == rank).count();
        if !last_is_colour || of_rank(2) < 2 || of_rank(1) != 1 {
            return None;
        }
        (0..self.count()).find(|&at| self.shape(at).len() == 3 && self.shape(at)[2] == Some(4))
    }

    /// Boxes, scores and class numbers apart from each other: torchvision, the model zoo's SSD, TensorRT-style ends.
    pub(super) fn ready_boxes(&self) -> Option<Told> {
        if let Some(told) = self.mmdetection() {
            return Some(told);
        }
        let boxes = self.called(&["boxes", "bboxes", "det_boxes"])?;
        let scores = self.called(&["scores", "det_scores"])?;
        let classes = self.called(&["labels", "classes", "det_classes"])?;
        let trt = self.called(&["det_boxes"]).is_some();
        let batched = self.shape(boxes).len() == 3;
        let style = match (trt, batched) {
            (true, _) => Style::Yolov5,
            (false, true) => Style::SsdImagenet,
            (false, false) => Style::SsdTorchvision,
        };
        let mut told = Told::new(Family::Ssd, style, None)
            .output("boxes", self.name(boxes))
            .output("scores", self.name(scores))
            .output("classes", self.name(classes));
        if let Some(count) = self.called(&["num_dets", "num_detections"]) {
            told = told.output("count", self.name(count));
        }
        told.decode.box_format = Some(BoxFormat::Xyxy);
        told.decode.box_range =
            Some(if style == Style::SsdImagenet { ValueRange::Unit } else { ValueRange::Input });
        told.decode.first_class = Some(u32::from(!trt));
        Some(told.note("first_class", "1 where class 0 is the background"))
    }

    /// MMDeploy's `dets` `[1, n, 5]`, corners and score in input pixels, and `labels`.
    pub(super) fn mmdetection(&self) -> Option<Told> {
        let (boxes, classes) = (self.called(&["dets"])?, self.called(&["labels"])?);
        if self.shape(boxes).last() != Some(&Some(5)) {
            return None;
        }
        let mut told = Told::new(Family::Ssd, Style::SsdMmdetection, None)
            .output("boxes", self.name(boxes))
            .output("classes", self.name(classes));
        told.decode.box_format = Some(BoxFormat::Xyxy);
        told.decode.box_range = Some(ValueRange::Input);
        told.decode.first_class = Some(0);
        Some(told.note("labels", "the outputs do not say how many classes there are"))
    }

    /// PaddleDetection with its suppression: rows of class, score and corners, and a count.
    pub(super) fn paddle(&self) -> Option<Told> {
        if !self.takes("scale_factor") {
            return None;
        }
        let boxes = (0..self.count()).find(|&at| {
            matches!(self.shape(at), [.., columns] if self.shape(at).len() >= 2 && columns.is_none_or(|columns| columns == 6))
        })?;
        let unit = self.file("rtdetr") || self.file("rt_detr") || self.file("ppyoloe_plus");
        let style = if unit { Style::PaddleUnit } else { Style::Paddle };
        let mut told = Told::new(Family::Nanodet, style, None);
        if self.count() > 1 {
            told = told.output("output", self.name(boxes));
        }
        told.decode.box_range = Some(ValueRange::Source);
        Some(told.note("labels", "the outputs do not say how many classes there are"))
    }
}

/// Successors of DETR without a "no object" class.
const DETR_HEIRS: [&str; 9] =
    ["rt_detr", "rtdetr", "rf_detr", "rfdetr", "deformable", "conditional", "dab", "lw_detr", "dino"];
