//! A first manifest for a model: what the file says, and the usual for the rest, each guess with a note.

use std::collections::BTreeMap;

use stopline_depot::manifest::{
    ColourOrder, Dtype, ExtraInput, ExtraValue, Family, Input, Layout, Manifest, Provenance, SCHEMA, Task,
};

use super::family::{Style, Told, View};
use super::labels::{self, names};
use super::usual::{Usual, usual};
use super::{ModelError, ModelInfo, listing};
use crate::infer::{Element, TensorSpec};

/// A manifest to be checked by a person.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The manifest.
    pub manifest: Manifest,
    /// What was guessed.
    pub notes: Vec<Note>,
}

/// A remark on one key of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Last part of the key (`colour`, `labels`).
    pub key: &'static str,
    /// One sentence.
    pub text: String,
}

/// Drafts a manifest for a model.
///
/// # Errors
/// [`ModelError::Unknown`] where no family reads the outputs, or an input is one nobody knows how to fill.
pub fn draft(info: &ModelInfo) -> Result<Draft, ModelError> {
    let picture = info.picture().ok_or_else(|| {
        unknown(
            info,
            format!("no input takes a picture; found inputs {}", listing(&info.inputs)),
            WRITE_BY_HAND,
        )
    })?;
    let layout = layout(picture);
    let stated = stated_size(info, picture, layout);
    let task = info.ultralytics.as_ref().and_then(|told| told.task.as_deref()).unwrap_or_default();
    if matches!(task, "segment" | "obb" | "semantic") {
        return Err(unknown(
            info,
            format!("models of task {task:?} are not read"),
            "export a detector of the same classes",
        ));
    }
    let told = View { info, size: stated.or(info.tried).or_else(|| size_in_name(&info.stem)) }
        .tell()
        .ok_or_else(|| {
            let problem = "no decoder family has these outputs".to_owned();
            unknown(info, problem, WRITE_BY_HAND)
        })?;
    Drafter { info, picture, layout, usual: usual(told.style), told, notes: Vec::new() }.draft()
}

/// Name and a shape that the picture input can have, and the width and height in it.
pub(super) fn likely_picture(info: &ModelInfo) -> Option<(String, Vec<usize>, [u32; 2])> {
    let picture = info.picture()?;
    let layout = layout(picture);
    let size = stated_size(info, picture, layout).or_else(|| size_in_name(&info.stem)).unwrap_or([640; 2]);
    let [width, height] = size.map(|side| side as usize);
    let batch = vec![1; picture.shape.len() - 3];
    let rest = match layout {
        Layout::Nchw => [picture.shape[batch.len()].unwrap_or(3), height, width],
        Layout::Nhwc => [height, width, 3],
    };
    Some((picture.name.clone(), [batch, rest.to_vec()].concat(), size))
}

const WRITE_BY_HAND: &str =
    "if a family of the manifest fits (see `decoder` in the manifest's reference), write model.toml by hand";

fn unknown(info: &ModelInfo, problem: String, advice: &str) -> ModelError {
    let found = listing(&info.outputs);
    ModelError::Unknown { model: info.stem.clone(), problem, found, advice: advice.into() }
}

/// Channels first unless only the last axis can be colours.
fn layout(picture: &TensorSpec) -> Layout {
    let colours = |axis: usize| matches!(picture.shape.get(axis).copied().flatten(), Some(1 | 3));
    let rank = picture.shape.len();
    if colours(rank - 1) && !colours(rank.saturating_sub(3)) { Layout::Nhwc } else { Layout::Nchw }
}

/// Width and height that the file states: in the input's shape, else in the metadata.
fn stated_size(info: &ModelInfo, picture: &TensorSpec, layout: Layout) -> Option<[u32; 2]> {
    let rank = picture.shape.len();
    let [rows, columns] = match layout {
        Layout::Nchw => [rank - 2, rank - 1],
        Layout::Nhwc => [rank - 3, rank - 2],
    };
    let side = |axis: usize| picture.shape[axis].and_then(|size| u32::try_from(size).ok());
    match (side(columns), side(rows)) {
        (Some(width), Some(height)) => Some([width, height]),
        _ => info.ultralytics.as_ref().and_then(|told| told.imgsz).map(|[height, width]| [width, height]),
    }
}

/// Width and height in a file name such as `yolox_nano_416` or `rfb-320x240`.
fn size_in_name(stem: &str) -> Option<[u32; 2]> {
    let side =
        |text: &str| text.parse::<u32>().ok().filter(|side| (64..=4096).contains(side) && side % 8 == 0);
    let part = |part: &str| match part.split_once('x') {
        Some((first, second)) => side(first).zip(side(second)).map(|(a, b)| [a, b]),
        None => side(part).map(|side| [side; 2]),
    };
    stem.split(['_', '-', '.']).rev().find_map(part)
}

struct Drafter<'a> {
    info: &'a ModelInfo,
    picture: &'a TensorSpec,
    layout: Layout,
    told: Told,
    usual: Usual,
    notes: Vec<Note>,
}

impl Drafter<'_> {
    fn note(&mut self, key: &'static str, text: impl Into<String>) {
        self.notes.push(Note { key, text: text.into() });
    }

    fn draft(mut self) -> Result<Draft, ModelError> {
        self.note("decoder", format!("guessed from the outputs: {}", listing(&self.info.outputs)));
        let input = self.input()?;
        let labels = self.labels();
        let keypoints = self.keypoints();
        let task = match self.told.family {
            Family::YoloPose => Task::Pose,
            Family::Movenet | Family::Heatmap => Task::Keypoints,
            Family::Classifier => Task::Classify,
            _ => Task::Detect,
        };
        if matches!(task, Task::Keypoints) {
            self.note(
                "score",
                "0 keeps every picture's keypoints, each with its own score; the limit is on their mean",
            );
        } else {
            self.note(
                "score",
                "the family's usual thresholds; `stopline eval` finds better ones for your data",
            );
        }
        let manifest = Manifest {
            schema: SCHEMA,
            name: plain_name(&self.info.stem),
            version: semver::Version::new(0, 1, 0),
            task,
            decoder: self.told.family,
            roles: roles(&labels),
            labels,
            keypoints,
            input,
            decode: self.told.decode,
            thresholds: self.usual.thresholds,
            budget: None,
            min_runtime: None,
            training: None,
            golden: Vec::new(),
            provenance: Some(Provenance { note: Some(origin(self.info)), ..Provenance::default() }),
        };
        self.notes.extend(self.told.notes);
        Ok(Draft { manifest, notes: self.notes })
    }

    fn input(&mut self) -> Result<Input, ModelError> {
        let [width, height] = self.size();
        let channels = self.picture.shape[match (self.layout, self.picture.shape.len()) {
            (Layout::Nhwc, rank) => rank - 1,
            (Layout::Nchw, rank) => rank - 3,
        }];
        let colour = if channels == Some(1) { ColourOrder::Grey } else { self.usual.colour };
        let dtype = self.dtype()?;
        let (mut scale, mut mean, mut std) = (self.usual.scale, self.usual.mean, self.usual.std);
        if dtype == Dtype::U8 || dtype == Dtype::I32 {
            (scale, mean, std) = (1.0, [0.0; 3], [1.0; 3]);
        }
        self.note(
            "colour",
            "colour order and the numbers below are the family's usual; a wrong guess shows as weak scores",
        );
        self.note("mode", "how the family's own repository fits pictures of another shape");
        let several = self.info.inputs.len() > 1;
        Ok(Input {
            name: several.then(|| self.picture.name.clone()),
            width,
            height,
            layout: self.layout,
            dtype,
            colour,
            scale,
            mean,
            std,
            resize: self.usual.resize.clone(),
            rectangle: false,
            rectangle_stride: self
                .info
                .ultralytics
                .as_ref()
                .and_then(|told| told.stride)
                .unwrap_or(32)
                .clamp(1, 256),
            crop: self.usual.crop,
            extra: self.extra()?,
        })
    }

    fn size(&mut self) -> [u32; 2] {
        if let Some(size) = stated_size(self.info, self.picture, self.layout) {
            return size;
        }
        let guess = size_in_name(&self.info.stem).unwrap_or(self.usual.size);
        self.note(
            "width",
            "the file leaves the size open: this is the one in its name, or the family's usual",
        );
        guess
    }

    fn dtype(&self) -> Result<Dtype, ModelError> {
        match self.picture.element {
            Element::F32 => Ok(Dtype::F32),
            Element::F16 => Ok(Dtype::F16),
            Element::U8 => Ok(Dtype::U8),
            Element::I32 => Ok(Dtype::I32),
            other => {
                let problem =
                    format!("input {:?} is of type {other}, expected f32, f16, u8 or i32", self.picture.name);
                Err(unknown(self.info, problem, "export the model with one of these"))
            }
        }
    }

    fn extra(&mut self) -> Result<Vec<ExtraInput>, ModelError> {
        let others = self.info.inputs.iter().filter(|input| input.name != self.picture.name);
        let known = |input: &TensorSpec| {
            let name = input.name.to_ascii_lowercase();
            let has = |part: &str| name.contains(part);
            let value = if has("orig_target_sizes") || has("orig_size") {
                ExtraValue::SourceWh
            } else if has("im_shape") {
                ExtraValue::InputHw
            } else if has("scale_factor") {
                ExtraValue::ScaleHw
            } else if has("image_shape") {
                ExtraValue::SourceHw
            } else if has("mask") {
                ExtraValue::Constant(vec![1.0])
            } else {
                let problem =
                    format!("input {:?} {input} is not one this program knows how to fill", input.name);
                return Err(unknown(
                    self.info,
                    problem,
                    "write model.toml by hand and give it in [[input.extra]]",
                ));
            };
            Ok(ExtraInput { name: input.name.clone(), value })
        };
        others.map(known).collect()
    }

    fn labels(&mut self) -> Vec<String> {
        if let Some(told) = self.info.ultralytics.as_ref().filter(|told| !told.names.is_empty()) {
            self.note("labels", "from the file's metadata");
            return distinct(told.names.clone());
        }
        if self.told.keypoints > 0 {
            return vec!["person".into()];
        }
        let shifted = self.told.decode.first_class == Some(1);
        let (labels, told) = match (self.told.family, self.told.style, self.told.classes) {
            (Family::Ssd, Style::SsdImagenet, None) => (names(labels::COCO_80), "COCO's 80 classes: a guess"),
            (Family::Ssd, _, None) if shifted => (names(labels::COCO_90), "COCO's ids 1 to 90: a guess"),
            (_, _, None | Some(80)) => {
                (names(labels::COCO_80), "COCO's 80 classes, as for all models of 80 classes")
            }
            (Family::Ssd | Family::Yolov5 | Family::Yolov8 | Family::Yolox, _, Some(20)) => {
                (names(labels::VOC_20), "Pascal VOC's 20 classes, as for most models of 20 classes")
            }
            (Family::Ssd, _, Some(90)) => (names(labels::COCO_90), "COCO's ids 1 to 90"),
            (Family::Detr, _, Some(91)) => {
                let ids = std::iter::once("no_category".to_owned()).chain(names(labels::COCO_90));
                (ids.collect(), "COCO's ids, of which 0 is not used")
            }
            (Family::Classifier, _, Some(count)) => {
                (labels::numbered("class", count), "give the real names, in class order")
            }
            (_, _, Some(1)) => (vec!["object".into()], "give the real name"),
            (_, _, Some(count)) => (labels::numbered("class", count), "give the real names, in class order"),
        };
        self.note("labels", told);
        labels
    }

    fn keypoints(&mut self) -> Vec<String> {
        if self.told.keypoints == 0 {
            return Vec::new();
        }
        let (names, known) = labels::keypoints(self.told.keypoints);
        let told = if known {
            "the usual names and order for as many keypoints"
        } else {
            "give the real names, in output order"
        };
        self.note("keypoints", told);
        names
    }
}

/// Names made distinct, as a manifest wants them: some data sets have two classes of one name.
fn distinct(mut names: Vec<String>) -> Vec<String> {
    for at in 0..names.len() {
        if names[at].is_empty() || names[..at].contains(&names[at]) {
            names[at] = format!("{}_{at}", names[at]);
        }
    }
    names
}

/// A manifest's name from a file's.
fn plain_name(stem: &str) -> String {
    let keep =
        |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let name: String = stem.chars().map(keep).take(64).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "model".into() } else { name.into() }
}

/// Roles for the labels that say plainly what they are.
pub fn roles(labels: &[String]) -> BTreeMap<String, Vec<String>> {
    const KNOWN: [(&str, &[&str]); 3] = [
        ("stop_sign", &["stop sign", "stop_sign", "stopsign", "stop-sign"]),
        ("pedestrian", &["person", "pedestrian", "people"]),
        ("fallen", &["fallen", "fall", "fall_detected", "fallen_person"]),
    ];
    let mut roles = BTreeMap::new();
    for (role, words) in KNOWN {
        let playing: Vec<String> = labels
            .iter()
            .filter(|label| words.contains(&label.to_ascii_lowercase().as_str()))
            .cloned()
            .collect();
        if !playing.is_empty() {
            roles.insert(role.to_owned(), playing);
        }
    }
    roles
}

fn origin(info: &ModelInfo) -> String {
    let told = info.ultralytics.as_ref().map(|told| told.description.as_str()).unwrap_or_default();
    let parts = [info.producer.as_str(), told];
    let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if known.is_empty() { "producer unknown".into() } else { known.join("; ") }
}
