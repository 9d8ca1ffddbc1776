//! COCO: the master format. Readers of COCO pass over the keys that are ours (`stopline`, `score`, `attributes`).

use serde_json::{Value, json};
use stopline_depot::digest::Digest;

use super::annotation::{Annotation, SCHEMA};
use super::captured::Captured;

/// A picture of an export.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// The record.
    pub record: &'a Captured,
    /// What is in it, by people or by the model.
    pub annotations: &'a [Annotation],
    /// Its scene.
    pub scene: Digest,
    /// Duplicates that it stands for.
    pub stands_for: Vec<Digest>,
}

impl Picture<'_> {
    /// Its file's name.
    pub fn file_name(&self) -> String {
        format!("{}.jpg", self.record.anchor.digest)
    }

    /// Where it comes from.
    pub fn provenance(&self) -> Value {
        let Captured { anchor, source, size, condition, rule, group, model, redaction, .. } = self.record;
        json!({
            "digest": anchor.digest,
            "picture": anchor.picture,
            "look": anchor.look,
            "device": anchor.device,
            "captured": anchor.captured,
            "camera": source.0,
            "frame": source.1,
            "size": size,
            "condition": condition,
            "scene": self.scene,
            "rule": rule,
            "group": group,
            "model": model,
            "redaction": redaction,
            "stands_for": self.stands_for,
        })
    }
}

/// Class names → categories, from 1.
pub fn categories(labels: &[String]) -> Vec<Value> {
    labels
        .iter()
        .zip(1_u64..)
        .map(|(name, id)| json!({"id": id, "name": name, "supercategory": ""}))
        .collect()
}

/// Annotations as COCO has them. Boxes of a model say so, with score and model.
pub fn document(pictures: &[Picture<'_>], labels: &[String], info: &Value) -> Value {
    let mut annotations = Vec::new();
    let mut images = Vec::new();
    for (picture, image) in pictures.iter().zip(1_u64..) {
        let record = picture.record;
        images.push(json!({
            "id": image,
            "file_name": picture.file_name(),
            "width": record.size[0],
            "height": record.size[1],
            "date_captured": record.anchor.captured,
            "stopline": picture.provenance(),
        }));
        for annotation in picture.annotations {
            let id = annotations.len() + 1;
            annotations.extend(one(annotation, id, image, labels, record));
        }
    }
    json!({
        "info": {"description": "Captured by Stopline", "annotation_schema": SCHEMA, "stopline": info},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories(labels),
    })
}

fn one(
    annotation: &Annotation,
    id: usize,
    image: u64,
    labels: &[String],
    record: &Captured,
) -> Option<Value> {
    let category = labels.iter().position(|label| *label == annotation.label)? + 1;
    let mut attributes = json!({"prediction": annotation.score.is_some(), "size": annotation.size()});
    if let Some(occluded) = annotation.occluded {
        attributes["occluded"] = occluded.into();
    }
    if let Some(truncated) = annotation.truncated {
        attributes["truncated"] = truncated.into();
    }
    let mut value = json!({
        "id": id,
        "image_id": image,
        "category_id": category,
        "bbox": annotation.bbox,
        "area": annotation.area(),
        "iscrowd": 0,
    });
    if let Some(score) = annotation.score {
        value["score"] = score.into();
        let model = &record.model;
        attributes["model"] = format!("{} {} {}", model.name, model.version, model.digest).into();
    }
    value["attributes"] = attributes;
    Some(value)
}

/// The model's boxes of the same pictures as a COCO results file (`loadRes`).
pub fn results(pictures: &[Picture<'_>], labels: &[String]) -> Value {
    let of = |(picture, image): (&Picture<'_>, u64)| -> Vec<Value> {
        let boxes = picture.record.predictions.iter().filter_map(|annotation| {
            let category = labels.iter().position(|label| *label == annotation.label)? + 1;
            let Annotation { bbox, score, .. } = annotation;
            Some(json!({"image_id": image, "category_id": category, "bbox": bbox, "score": score}))
        });
        boxes.collect()
    };
    pictures.iter().zip(1_u64..).flat_map(of).collect()
}
