//! `forget`'s part here: records out of labels, exports and frozen sets.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use stopline_depot::digest::Digest;

use super::export::{PROVENANCE, SPLITS};
use super::folder::Folder;
use super::freeze::Frozen;
use crate::exit::{Failure, Result};
use crate::files;

/// Bytes of a JSON file of an export, at most.
const MAX_JSON: u64 = 1 << 30;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Erased {
    /// Files of labels.
    pub labels: u64,
    /// Pictures in exports.
    pub exported: u64,
    /// Exports that had any.
    pub exports: Vec<PathBuf>,
    /// Frozen sets that had any: digest before and after.
    pub frozen: Vec<(String, Digest, Digest)>,
}

/// Removes these records from all that the folder knows, and from `further` exports. They stay on its list of what is forgotten.
///
/// # Errors
/// The system's, or a file that is not what it should be; what was removed until then is removed. It may be called again.
pub fn run(folder: &Folder, further: &[PathBuf], digests: &BTreeSet<Digest>) -> Result<Erased> {
    let mut erased = Erased { labels: folder.forget(digests)?, ..Erased::default() };
    let mut exports: BTreeSet<PathBuf> = folder.exports()?.into_iter().collect();
    for further in further {
        exports.insert(std::path::absolute(further).map_err(Failure::failed)?);
    }
    for export in exports {
        let removed = from_export(&export, digests)?;
        if removed > 0 {
            erased.exported += removed;
            erased.exports.push(export);
        }
    }
    for frozen in folder.frozen()? {
        let set = folder.frozen_set(&frozen.name);
        erased.frozen.extend(from_frozen(&set, frozen, digests)?);
    }
    Ok(erased)
}

fn from_export(export: &Path, digests: &BTreeSet<Digest>) -> Result<u64> {
    let mut removed = 0;
    for split in SPLITS {
        for digest in digests {
            let image = export.join(format!("images/{split}/{digest}.jpg"));
            removed += u64::from(image.exists());
            files::remove(&image)?;
            files::remove(&export.join(format!("labels/{split}/{digest}.txt")))?;
        }
        let annotations = export.join(format!("annotations/instances_{split}.json"));
        // Results first: only the annotations say which images are meant.
        without_results(
            &export.join(format!("predictions/{split}.json")),
            &images_of(&annotations, digests)?,
        )?;
        without(&annotations, digests)?;
    }
    let path = export.join(PROVENANCE);
    if let Some(mut provenance) = json(&path)? {
        let mut changed = false;
        if let Some(records) = provenance["records"].as_array_mut() {
            let before = records.len();
            records.retain(|record| !names(&record["digest"], digests));
            changed |= records.len() != before;
            records.iter_mut().for_each(|record| changed |= scrub(&mut record["stands_for"], digests));
        }
        if changed {
            removed = removed.max(1);
            // Counts and files' digests are those of the day of the export.
            provenance["changed_by_forget"] = true.into();
            files::write(&path, &serde_json::to_vec_pretty(&provenance).map_err(Failure::failed)?)?;
        }
    }
    Ok(removed)
}

/// Image ids of these records.
fn images_of(path: &Path, digests: &BTreeSet<Digest>) -> Result<BTreeSet<i64>> {
    let Some(coco) = json(path)? else { return Ok(BTreeSet::new()) };
    let images = coco["images"].as_array().map_or(&[][..], Vec::as_slice);
    let meant = images.iter().filter(|image| names(&image["stopline"]["digest"], digests));
    Ok(meant.filter_map(|image| image["id"].as_i64()).collect())
}

/// Takes pictures out of COCO annotations.
fn without(path: &Path, digests: &BTreeSet<Digest>) -> Result<()> {
    let gone = images_of(path, digests)?;
    let Some(mut coco) = json(path)? else { return Ok(()) };
    let mut changed = !gone.is_empty();
    let goes = |id: &Value| id.as_i64().is_some_and(|id| gone.contains(&id));
    if let Some(images) = coco["images"].as_array_mut() {
        images.retain(|image| !goes(&image["id"]));
        images.iter_mut().for_each(|image| changed |= scrub(&mut image["stopline"]["stands_for"], digests));
    }
    if let Some(annotations) = coco["annotations"].as_array_mut() {
        annotations.retain(|one| !goes(&one["image_id"]));
    }
    if changed { files::write(path, &serde_json::to_vec(&coco).map_err(Failure::failed)?) } else { Ok(()) }
}

fn without_results(path: &Path, gone: &BTreeSet<i64>) -> Result<()> {
    let Some(mut results) = json(path)?.filter(|_| !gone.is_empty()) else { return Ok(()) };
    if let Some(results) = results.as_array_mut() {
        results.retain(|one| !one["image_id"].as_i64().is_some_and(|id| gone.contains(&id)));
    }
    files::write(path, &serde_json::to_vec(&results).map_err(Failure::failed)?)
}

/// What is to be forgotten comes before what was to stay unchanged: the set gets another digest, and records of evaluations on the
/// old one count no more.
fn from_frozen(
    set: &Path,
    mut frozen: Frozen,
    digests: &BTreeSet<Digest>,
) -> Result<Option<(String, Digest, Digest)>> {
    let count = frozen.records.len();
    frozen.records.retain(|anchor| !digests.contains(&anchor.digest));
    let test_set = Frozen::test_set(set);
    if frozen.records.len() == count {
        return Ok(None);
    }
    writable(&test_set.annotations)?;
    without(&test_set.annotations, digests)?;
    for digest in digests {
        files::remove(&test_set.images.join(format!("{digest}.jpg")))?;
    }
    let before = std::mem::replace(&mut frozen.test_set, test_set.digest()?);
    frozen.before = Some(before);
    frozen.seal(set)?;
    Ok(Some((frozen.name, before, frozen.test_set)))
}

fn writable(path: &Path) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o644))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn json(path: &Path) -> Result<Option<Value>> {
    let Some(bytes) = files::read_if_there(path, MAX_JSON)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| Failure::refused(format!("{}: {error}", path.display())))
}

fn names(value: &Value, digests: &BTreeSet<Digest>) -> bool {
    value.as_str().and_then(|text| text.parse().ok()).is_some_and(|digest: Digest| digests.contains(&digest))
}

/// Takes digests out of a list; whether there were any.
fn scrub(list: &mut Value, digests: &BTreeSet<Digest>) -> bool {
    let Some(list) = list.as_array_mut() else { return false };
    let before = list.len();
    list.retain(|one| !names(one, digests));
    list.len() != before
}
