//! Whether an ONNX file and its manifest say the same.

use stopline_depot::manifest::{ColourOrder, Dtype, Family, Layout, Manifest};

use super::{ModelError, ModelInfo, Ultralytics};
use crate::infer::{Element, TensorSpec};

/// Holds `manifest` against what the ONNX file says of itself. The outputs' shapes are the decoder's matter.
///
/// # Errors
/// [`ModelError::Contradiction`] names both sides.
pub fn check(manifest: &Manifest, info: &ModelInfo) -> Result<(), ModelError> {
    if let Some(told) = &info.ultralytics {
        check_metadata(manifest, told)?;
    }
    check_picture(manifest, info)?;
    check_extra(manifest, info)
}

fn contradiction(key: &str, file: String, manifest: String, advice: &str) -> ModelError {
    ModelError::Contradiction { key: key.into(), file, manifest, advice: advice.into() }
}

fn check_metadata(manifest: &Manifest, told: &Ultralytics) -> Result<(), ModelError> {
    const RENAME: &str = "use the file's names, or take `names` out of its metadata";
    if !told.names.is_empty() && told.names.len() != manifest.labels.len() {
        let (file, ours) = (told.names.len(), manifest.labels.len());
        return Err(contradiction("labels", format!("{file} class names"), format!("{ours} labels"), RENAME));
    }
    let distinct = |at: usize| !told.names[at].is_empty() && !told.names[..at].contains(&told.names[at]);
    for (at, (file, ours)) in told.names.iter().zip(&manifest.labels).enumerate() {
        if file != ours && distinct(at) {
            let (file, ours) = (format!("class {at} is {file:?}"), format!("{ours:?}"));
            return Err(contradiction(&format!("labels[{at}]"), file, ours, RENAME));
        }
    }
    if let Some([points, _]) = told.kpt_shape.filter(|_| manifest.decoder == Family::YoloPose)
        && points as usize != manifest.keypoints.len()
    {
        let ours = format!("{} keypoints", manifest.keypoints.len());
        return Err(contradiction(
            "keypoints",
            format!("{points} keypoints"),
            ours,
            "name every keypoint, in output order",
        ));
    }
    check_task(manifest, told)
}

fn check_task(manifest: &Manifest, told: &Ultralytics) -> Result<(), ModelError> {
    let fits = match told.task.as_deref() {
        Some("pose") => manifest.decoder == Family::YoloPose,
        Some("classify") => manifest.decoder == Family::Classifier,
        Some("detect") => !matches!(
            manifest.decoder,
            Family::YoloPose | Family::Classifier | Family::Movenet | Family::Heatmap
        ),
        _ => true,
    };
    if !fits {
        let task = told.task.as_deref().unwrap_or_default();
        let ours = format!("{:?}", manifest.decoder);
        return Err(contradiction(
            "decoder",
            format!("task {task:?}"),
            ours,
            "choose a decoder for that task",
        ));
    }
    if told.end2end && matches!(manifest.decoder, Family::Yolov5 | Family::Yolov8 | Family::Yolox) {
        let ours = format!("{:?}", manifest.decoder);
        let advice = "its outputs need no suppression: decoder = \"yolo-end2end\"";
        return Err(contradiction("decoder", "end to end".into(), ours, advice));
    }
    match told.stride {
        Some(stride)
            if manifest.input.rectangle && !manifest.input.rectangle_stride.is_multiple_of(stride.max(1)) =>
        {
            let ours = manifest.input.rectangle_stride.to_string();
            let advice = "sides must be multiples of the network's largest stride";
            Err(contradiction("input.rectangle_stride", format!("stride {stride}"), ours, advice))
        }
        _ => Ok(()),
    }
}

/// The picture input of a model that has this manifest.
pub(crate) fn picture<'a>(manifest: &Manifest, info: &'a ModelInfo) -> Result<&'a TensorSpec, ModelError> {
    let found = match &manifest.input.name {
        Some(name) => info.inputs.iter().find(|input| input.name == *name),
        None => {
            let others =
                |input: &&TensorSpec| !manifest.input.extra.iter().any(|extra| extra.name == input.name);
            info.picture().filter(others).or_else(|| info.inputs.iter().find(others))
        }
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = info.inputs.iter().map(|input| input.name.as_str()).collect();
        let ours = format!("{:?}", manifest.input.name.as_deref().unwrap_or("(the only picture)"));
        contradiction("input.name", format!("inputs {names:?}"), ours, "name the picture's input")
    })
}

fn check_picture(manifest: &Manifest, info: &ModelInfo) -> Result<(), ModelError> {
    let input = &manifest.input;
    let spec = picture(manifest, info)?;
    let stated = || format!("input {:?} is {spec}", spec.name);
    let rank = spec.shape.len();
    if rank != 0 && !(3..=4).contains(&rank) {
        let ours = "a picture of batch, rows, columns and channels";
        return Err(contradiction(
            "input",
            stated(),
            ours.into(),
            "export the model with a picture input of 4 axes",
        ));
    }
    let element = match input.dtype {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::U8 => Element::U8,
        Dtype::I32 => Element::I32,
    };
    if spec.element != element {
        return Err(contradiction(
            "input.dtype",
            stated(),
            element.to_string(),
            "set input.dtype to the file's type",
        ));
    }
    if rank == 0 {
        return Ok(());
    }
    let (channels, [rows, columns]) = match input.layout {
        Layout::Nchw => (rank - 3, [rank - 2, rank - 1]),
        Layout::Nhwc => (rank - 1, [rank - 3, rank - 2]),
    };
    let wanted = if input.colour == ColourOrder::Grey { 1 } else { 3 };
    if spec.shape[channels].is_some_and(|found| found != wanted) {
        let ours = format!("{:?} with {wanted} channels", input.layout);
        return Err(contradiction("input.layout", stated(), ours, "check input.layout and input.colour"));
    }
    let differs = |axis: usize, ours: u32| spec.shape[axis].is_some_and(|found| found != ours as usize);
    if !input.rectangle && (differs(rows, input.height) || differs(columns, input.width)) {
        let ours = format!("{}x{} (width x height)", input.width, input.height);
        let advice = "use the file's size, or set input.rectangle = true if the model is fully convolutional";
        return Err(contradiction("input.width, input.height", stated(), ours, advice));
    }
    Ok(())
}

fn check_extra(manifest: &Manifest, info: &ModelInfo) -> Result<(), ModelError> {
    let spec = picture(manifest, info)?;
    let listed = |name: &str| manifest.input.extra.iter().any(|extra| extra.name == name);
    if let Some(missing) = info.inputs.iter().find(|input| input.name != spec.name && !listed(&input.name)) {
        let file = format!("a further input {:?} {missing}", missing.name);
        return Err(contradiction(
            "input.extra",
            file,
            "nothing of it".into(),
            "say in [[input.extra]] what it is given",
        ));
    }
    let known = |name: &str| info.inputs.iter().any(|input| input.name == name);
    if let Some(extra) = manifest.input.extra.iter().find(|extra| !known(&extra.name)) {
        let names: Vec<&str> = info.inputs.iter().map(|input| input.name.as_str()).collect();
        let ours = format!("an input {:?}", extra.name);
        return Err(contradiction(
            "input.extra",
            format!("inputs {names:?}"),
            ours,
            "take it out of [[input.extra]]",
        ));
    }
    Ok(())
}
