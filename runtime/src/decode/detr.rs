//! DETR and its kin: one row for each query, no suppression.
//!
//! - Logits `[1, n, classes]` and boxes `[1, n, 4]`, centre and size, 0 to 1 (Hugging Face's `logits` and `pred_boxes`,
//!   RF-DETR). With one column more than labels a softmax whose last column is "no object" (DETR), else a sigmoid
//!   (RT-DETR, D-FINE).
//! - `labels`, `boxes`, `scores` in source pixels, the graph being given the picture's size (lyuwenyu's RT-DETR, D-FINE).
//! - `[1, n, 4 + classes]`, 0 to 1, probabilities (Ultralytics' RT-DETR).

use super::outputs::{Dims, Order, Setup};
use super::ready::{self, Ready};
use super::split::{self, Split};
use super::yolov8::Yolov8;
use super::{DecodeError, Decoder, ssd};
use stopline_depot::manifest::{BoxFormat, Head, Nms, ValueRange};

pub(super) fn decoder(setup: &Setup<'_>) -> Result<Box<dyn Decoder>, DecodeError> {
    if ready::has_class_numbers(setup) {
        let usual = ready::Usual { format: BoxFormat::Xyxy, range: ValueRange::Source, first_class: 0 };
        return Ok(Box::new(Ready::new(setup, usual)?));
    }
    let joined = 4 + setup.classes();
    let is_joined = |dims: Dims| dims.order(Order::Rows, |columns| columns == joined).is_some();
    let alone = setup.outputs.len() == 1 || setup.manifest.decode.outputs.contains_key("output");
    if alone || (!ssd::has_boxes(setup) && setup.outputs.iter().any(|spec| is_joined(Dims::of_spec(spec)))) {
        return Ok(Box::new(Yolov8::queries(setup)?));
    }
    let usual = split::Usual {
        format: BoxFormat::Cxcywh,
        range: ValueRange::Unit,
        plain: Head::Sigmoid,
        with_extra: (Head::Softmax, 0),
        nms: Nms::Off,
    };
    Ok(Box::new(Split::new(setup, &usual)?))
}
