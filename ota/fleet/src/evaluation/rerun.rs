//! Whether a record says what is so: the figures from the detections again, and a random tenth of the detections from the
//! model again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stopline_depot::digest::Digest;

use super::{Evaluation, RERUN_ONE_IN, TestSet, Trial, Unpacked, figures, measure, measure_again};
use crate::exit::{Failure, Result};
use crate::files;

/// By how much a figure may differ when computed again: nothing but the last digits.
const FIGURE: f64 = 1e-6;
/// By how much a score may differ when the model is run again on another machine.
const SCORE: f64 = 1e-3;
/// Likewise an edge of a box, pixels.
const EDGE: f64 = 1.0;
/// Detections weaker than this come and go with the last digits of a score.
const WEAK: f64 = 0.01;

/// Checks a record; how many pictures were run again.
pub fn check(trial: &Trial<'_>, unpacked: &Unpacked, record: &Evaluation) -> Result<usize> {
    let path = trial.folder.join(format!("{}.detections.json", unpacked.digest));
    let bytes = files::read(&path, super::MAX_JSON)?;
    if Digest::of(&bytes) != record.detections {
        return Err(Failure::refused(format!(
            "{}: edited: not the detections of the record",
            path.display()
        )));
    }
    let computed = figures(&measure_again(unpacked, trial.test_set, &path, trial.stopline)?)?;
    for (name, value) in &computed {
        let said = record.figures.get(name).copied().unwrap_or(f64::NAN);
        // Written so that what is no number differs.
        let off = (said - value).abs();
        if off.is_nan() || off > FIGURE {
            return Err(Failure::refused(format!(
                "edited: {name} is said to be {said}, and its detections give {value}"
            )));
        }
    }
    run_again(trial, unpacked, &bytes)
}

fn run_again(trial: &Trial<'_>, unpacked: &Unpacked, recorded: &[u8]) -> Result<usize> {
    let whole = trial.test_set.read()?;
    let chosen = choose(&whole)?;
    let folder = unpacked.folder.join("again");
    let part = TestSet { annotations: folder.join("part.json"), images: trial.test_set.images.clone() };
    files::write(
        &part.annotations,
        &serde_json::to_vec(&reduced(&whole, &chosen)).map_err(Failure::failed)?,
    )?;
    let again = folder.join("detections.json");
    measure(unpacked, &part, &again, trial.stopline)?;
    let said = by_picture(recorded, &chosen)?;
    let found = by_picture(&files::read(&again, super::MAX_JSON)?, &chosen)?;
    for image in &chosen {
        let none = Vec::new();
        let (said, found) = (said.get(image).unwrap_or(&none), found.get(image).unwrap_or(&none));
        if !matches(said, found) || !matches(found, said) {
            return Err(Failure::refused(format!(
                "edited: picture {image}: {} detections are recorded, and the model gives {} others when run again",
                said.len(),
                found.len()
            )));
        }
    }
    Ok(chosen.len())
}

/// A random tenth, at least one.
fn choose(whole: &Value) -> Result<BTreeSet<i64>> {
    let images = whole["images"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<i64> = images.iter().filter_map(|image| image["id"].as_i64()).collect();
    let wanted = ids.len().div_ceil(RERUN_ONE_IN);
    let mut chosen = BTreeSet::new();
    while chosen.len() < wanted {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
        let count = u64::try_from(ids.len()).map_err(Failure::failed)?;
        let at = usize::try_from(u64::from_be_bytes(random) % count).map_err(Failure::failed)?;
        chosen.insert(ids.swap_remove(at));
    }
    Ok(chosen)
}

/// The annotations of these pictures alone.
fn reduced(whole: &Value, chosen: &BTreeSet<i64>) -> Value {
    let keep = |list: &Value, key: &str| -> Vec<Value> {
        let all = list.as_array().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|one| one[key].as_i64().is_some_and(|id| chosen.contains(&id))).cloned().collect()
    };
    json!({
        "images": keep(&whole["images"], "id"),
        "annotations": keep(&whole["annotations"], "image_id"),
        "categories": whole["categories"],
    })
}

struct Detection {
    category: i64,
    score: f64,
    bbox: [f64; 4],
}

/// A COCO results file, of these pictures.
fn by_picture(bytes: &[u8], chosen: &BTreeSet<i64>) -> Result<BTreeMap<i64, Vec<Detection>>> {
    let all: Vec<Value> =
        serde_json::from_slice(bytes).map_err(|error| Failure::refused(format!("detections: {error}")))?;
    let mut found: BTreeMap<i64, Vec<Detection>> = BTreeMap::new();
    for one in &all {
        let image = one["image_id"].as_i64();
        let bbox: Option<[f64; 4]> = serde_json::from_value(one["bbox"].clone()).ok();
        let parts = image.zip(one["category_id"].as_i64()).zip(one["score"].as_f64()).zip(bbox);
        let Some((((image, category), score), bbox)) = parts else {
            return Err(Failure::refused(format!("detections: {one} is none")));
        };
        if chosen.contains(&image) {
            found.entry(image).or_default().push(Detection { category, score, bbox });
        }
    }
    Ok(found)
}

/// Whether each detection that is not weak has its like among the others.
fn matches(these: &[Detection], those: &[Detection]) -> bool {
    let alike = |a: &Detection, b: &Detection| {
        let near = a.bbox.iter().zip(&b.bbox).all(|(a, b)| (a - b).abs() <= EDGE);
        a.category == b.category && (a.score - b.score).abs() <= SCORE && near
    };
    these.iter().filter(|one| one.score >= WEAK).all(|one| those.iter().any(|other| alike(one, other)))
}
