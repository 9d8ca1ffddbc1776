//! `dataset merge`: labels come back from people, as COCO (CVAT's export and others), and are kept with who and when.
//!
//! Every picture that the file names was looked at, also one without boxes: it says that nothing is there. Boxes are in pixels of
//! the picture; classes count by name. What was forgotten stays forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use stopline_depot::digest::Digest;

use super::annotation::{Annotation, Labels, MAX_PER_PICTURE, Revision, SCHEMA, touches, within};
use super::export::PROVENANCE;
use super::folder::Folder;
use crate::exit::{Failure, Result, Said};
use crate::files;

/// Bytes of an annotation file, at most.
const MAX_FILE: u64 = 1 << 30;
/// Pixels that a box may lie outside its picture: tools round.
const OUTSIDE: f64 = 2.0;
/// Characters of a name, at most.
const MAX_NAME: usize = 200;

/// What is merged.
#[derive(Debug, Clone)]
pub struct Merge<'a> {
    /// COCO annotations.
    pub file: &'a Path,
    /// The export that the pictures were labelled from.
    pub export: &'a Path,
    /// Who labelled.
    pub by: &'a str,
    /// Classes that may come although the export has none of them.
    pub new_labels: &'a [String],
}

#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Boxed>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: i64,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Boxed {
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Category {
    id: i64,
    name: String,
}

/// Merges, all of it or nothing.
///
/// # Errors
/// What does not fit: a picture that the export has not, of another size, a box outside, a class that nobody knows.
pub fn run(folder: &Folder, merge: &Merge<'_>, now: Timestamp) -> Result<Said> {
    if merge.by.trim().is_empty() || merge.by.len() > MAX_NAME || merge.by.contains(char::is_control) {
        return Err(Failure::usage("--by: the name of whoever labelled is expected"));
    }
    let bytes = files::read(merge.file, MAX_FILE)?;
    let of_file = |failure: Failure| failure.of(merge.file.display());
    let coco: Coco = serde_json::from_slice(&bytes).map_err(|error| of_file(Failure::refused(error)))?;
    let exported = Exported::read(merge.export)?;
    let forgotten = folder.forgotten()?;
    let names = exported.categories(&coco, merge.new_labels).map_err(of_file)?;
    let mut boxes: BTreeMap<i64, Vec<&Boxed>> = BTreeMap::new();
    coco.annotations.iter().for_each(|one| boxes.entry(one.image_id).or_default().push(one));
    let (mut merged, mut passed_over) = (BTreeMap::new(), 0_u64);
    for image in &coco.images {
        let digest = digest_of(&image.file_name).map_err(of_file)?;
        let boxes = boxes.remove(&image.id).unwrap_or_default();
        if forgotten.contains(&digest) {
            passed_over += 1;
            continue;
        }
        let size = exported.size(&digest, image).map_err(of_file)?;
        let annotations = annotations(&boxes, size, &names);
        let annotations = annotations.map_err(|failure| of_file(failure.of(&image.file_name)))?;
        if merged.insert(digest, (size, annotations)).is_some() {
            return Err(of_file(Failure::refused(format!("{digest} is there twice"))));
        }
    }
    if let Some(image) = boxes.keys().next() {
        return Err(of_file(Failure::refused(format!(
            "annotations of image {image}, which is not among the images"
        ))));
    }
    let revision = |annotations| Revision {
        by: merge.by.trim().to_owned(),
        at: now.to_string(),
        source: Digest::of(&bytes),
        annotations,
    };
    let boxes: usize = merged.values().map(|(_, annotations)| annotations.len()).sum();
    let count = merged.len();
    let mut changed = 0_u64;
    for (record, (size, annotations)) in merged {
        let mut labels = folder.labels_of(&record)?.unwrap_or(Labels {
            schema: SCHEMA,
            record,
            size,
            revisions: Vec::new(),
        });
        if labels.revisions.is_empty() || labels.current() != annotations {
            labels.revisions.push(revision(annotations));
            folder.keep_labels(&labels)?;
            changed += 1;
        }
    }
    let words = vec![
        format!("{count} pictures with {boxes} boxes by {}: {changed} new or changed", merge.by),
        format!("{passed_over} pictures were forgotten meanwhile and stay so"),
    ];
    let words = words.into_iter().take(if passed_over == 0 { 1 } else { 2 }).collect();
    Ok(Said::new(
        words,
        json!({"pictures": count, "boxes": boxes, "changed": changed, "forgotten": passed_over, "by": merge.by}),
    ))
}

/// What an export says of its pictures.
struct Exported {
    sizes: BTreeMap<Digest, [u32; 2]>,
    labels: BTreeSet<String>,
}

impl Exported {
    fn read(folder: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Provenance {
            labels: BTreeSet<String>,
            records: Vec<Record>,
        }
        #[derive(Deserialize)]
        struct Record {
            digest: Digest,
            size: [u32; 2],
        }
        let path = folder.join(PROVENANCE);
        let bytes = files::read(&path, MAX_FILE)?;
        let read: Provenance = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
        let sizes = read.records.into_iter().map(|record| (record.digest, record.size)).collect();
        Ok(Self { sizes, labels: read.labels })
    }

    /// Category → class name.
    fn categories(&self, coco: &Coco, new: &[String]) -> Result<BTreeMap<i64, String>> {
        let used: BTreeSet<i64> = coco.annotations.iter().map(|one| one.category_id).collect();
        let mut names = BTreeMap::new();
        for Category { id, name } in &coco.categories {
            let known = self.labels.contains(name) || new.contains(name);
            if used.contains(id) && (!known || name.is_empty() || name.len() > MAX_NAME) {
                return Err(Failure::refused(format!(
                    "class {name:?}: the export has {:?}; if it is meant, say --new-label {name}",
                    self.labels
                )));
            }
            names.insert(*id, name.clone());
        }
        Ok(names)
    }

    fn size(&self, digest: &Digest, image: &Image) -> Result<[u32; 2]> {
        let Some(size) = self.sizes.get(digest) else {
            return Err(Failure::refused(format!("{}: the export has no such picture", image.file_name)));
        };
        if *size == [image.width, image.height] {
            return Ok(*size);
        }
        Err(Failure::refused(format!(
            "{}: {}x{} pixels, expected {}x{}: it was labelled on another picture",
            image.file_name, image.width, image.height, size[0], size[1]
        )))
    }
}

/// The record of a picture: tools put folders in front of the name.
fn digest_of(file_name: &str) -> Result<Digest> {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let digest = name.strip_suffix(".jpg").and_then(|stem| stem.parse().ok());
    digest.ok_or_else(|| {
        Failure::refused(format!("file_name {file_name:?}: DIGEST.jpg is expected, as exported"))
    })
}

fn annotations(boxes: &[&Boxed], size: [u32; 2], names: &BTreeMap<i64, String>) -> Result<Vec<Annotation>> {
    if boxes.len() > MAX_PER_PICTURE {
        return Err(Failure::refused(format!(
            "{} boxes, at most {MAX_PER_PICTURE} are allowed",
            boxes.len()
        )));
    }
    let of = |one: &&Boxed| {
        let label = names.get(&one.category_id);
        let label = label
            .ok_or_else(|| Failure::refused(format!("category {} is none of the file's", one.category_id)))?;
        let [x, y, w, h] = one.bbox;
        let [width, height] = size.map(f64::from);
        let fits = x >= -OUTSIDE && y >= -OUTSIDE && x + w <= width + OUTSIDE && y + h <= height + OUTSIDE;
        let bbox = within([x, y, x + w, y + h], size).filter(|_| fits);
        let bbox = bbox.ok_or_else(|| {
            Failure::refused(format!(
                "bbox {:?}: x, y, width, height within {width}x{height} pixels are expected",
                one.bbox
            ))
        })?;
        let flag = |name: &str| one.attributes.get(name).and_then(Value::as_bool);
        let truncated = flag("truncated").or_else(|| touches(bbox, size).then_some(true));
        Ok(Annotation { label: label.clone(), bbox, score: None, occluded: flag("occluded"), truncated })
    };
    boxes.iter().map(of).collect()
}
