//! SSD and what has its outputs.
//!
//! - Ready-made (TensorFlow's Object Detection API: `detection_boxes`, `detection_scores`, `detection_classes`,
//!   `num_detections`; the ONNX model zoo: `bboxes`, `labels`, `scores`; Torchvision; MMDetection: `dets`, `labels`).
//!   TensorFlow's boxes are top, left, bottom, right. Torchvision's (no batch axis) and MMDetection's are in input pixels,
//!   the others 0 to 1. Class 0 is the background, except with MMDetection.
//! - One row for each: `[1, 1, n, 7]` image class score x1 y1 x2 y2, 0 to 1 (Caffe's DetectionOutput); `[n, 6]` class
//!   score x1 y1 x2 y2 in source pixels (PaddleDetection).
//! - Boxes `[1, n, 4]` with the anchors applied in the graph, and scores `[1, n, classes]`, with a first column for the
//!   background where there is one more than labels. Only these are suppressed here.

use super::end2end::Columns;
use super::outputs::Setup;
use super::ready::{self, Ready, Table};
use super::split::{self, Split};
use super::{DecodeError, Decoder};
use stopline_depot::manifest::{BoxFormat, Head, Nms, ValueRange};

const CAFFE: Columns = Columns { bbox: 3, score: 2, class: 1 };
const PADDLE: Columns = Columns { bbox: 2, score: 1, class: 0 };

const RAW: split::Usual = split::Usual {
    format: BoxFormat::Xyxy,
    range: ValueRange::Unit,
    plain: Head::Probability,
    with_extra: (Head::Probability, 1),
    nms: Nms::ClassWise,
};

pub(super) fn decoder(setup: &Setup<'_>) -> Result<Box<dyn Decoder>, DecodeError> {
    if ready::has_class_numbers(setup) {
        return Ok(Box::new(Ready::new(setup, usual(setup))?));
    }
    if Table::fits(setup, 7) {
        let usual = ready::Usual { format: BoxFormat::Xyxy, range: ValueRange::Unit, first_class: 1 };
        return Ok(Box::new(Table::new(setup, 7, CAFFE, usual)?));
    }
    if is_paddle(setup) {
        return Ok(Box::new(paddle(setup)?));
    }
    Ok(Box::new(Split::new(setup, &RAW)?))
}

/// Whether there is one row of six values for each detection and no output with boxes.
pub(super) fn is_paddle(setup: &Setup<'_>) -> bool {
    (Table::fits(setup, 6) || Table::named(setup)) && setup.outputs.len() <= 2 && !has_boxes(setup)
}

/// PaddleDetection's post-processed output; beside it the number of rows.
pub(super) fn paddle(setup: &Setup<'_>) -> Result<Table, DecodeError> {
    let usual = ready::Usual { format: BoxFormat::Xyxy, range: ValueRange::Source, first_class: 0 };
    Table::new(setup, 6, PADDLE, usual)
}

/// Boxes and scores with the anchors applied in the graph.
pub(super) fn raw(setup: &Setup<'_>) -> Result<Split, DecodeError> {
    Split::new(setup, &RAW)
}

/// Whether an output has rows of four values.
pub(super) fn has_boxes(setup: &Setup<'_>) -> bool {
    Table::fits(setup, 4)
}

fn usual(setup: &Setup<'_>) -> ready::Usual {
    let has = |name: &str| setup.outputs.iter().any(|spec| spec.name.to_ascii_lowercase().contains(name));
    let tensorflow = has("detection_boxes") || has("postprocess");
    // Torchvision gives them without a batch axis.
    let torchvision = setup.outputs.iter().all(|spec| spec.shape.len() <= 2);
    let mmdetection = Table::fits(setup, 5) && !Table::fits(setup, 4);
    ready::Usual {
        format: if tensorflow { BoxFormat::Yxyx } else { BoxFormat::Xyxy },
        range: if mmdetection || torchvision { ValueRange::Input } else { ValueRange::Unit },
        first_class: u32::from(!mmdetection),
    }
}
