//! `dataset export`: a folder that opens as COCO and as YOLO without code of ours.
//!
//! ```text
//! OUT/annotations/instances_{train,val}.json    COCO
//! OUT/images/{train,val}/DIGEST.jpg
//! OUT/labels/{train,val}/DIGEST.txt, data.yaml  YOLO
//! OUT/predictions/{train,val}.json              the model's boxes as COCO results, beside people's labels
//! OUT/provenance.json                           where every picture comes from, and the rules
//! ```
//!
//! For `labelling`: pictures that nobody has labelled yet, with the model's boxes marked as predictions. For `training`: pictures
//! that people labelled, with their labels alone; each of them counts as given to training from then on.

mod provenance;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stopline_depot::digest::Digest;

use super::annotation::Labels;
use super::captured::{Anchor, Captured, Source, Survey, tombstones};
use super::choose::{Candidate, balanced, without_duplicates};
use super::coco::{self, Picture};
use super::folder::Folder;
use super::scenes::{Together, draw, falls, scenes};
use super::yolo;
use crate::exit::{Failure, Result, Said};
use crate::files;

/// The schema of `provenance.json`.
pub const SCHEMA: u32 = 1;
/// Ends the name of a folder that is being written.
pub const PART: &str = ".part";
/// Where every picture comes from.
pub const PROVENANCE: &str = "provenance.json";
/// Splits.
pub const SPLITS: [&str; 2] = ["train", "val"];

/// What an export is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Pictures that nobody has labelled yet, with predictions.
    Labelling,
    /// Pictures that people labelled.
    Training,
}

/// How an export is made.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What for.
    pub purpose: Purpose,
    /// What chance decides is decided by it.
    pub seed: u64,
    /// What makes a scene.
    pub together: Together,
    /// Bits of the hash by which duplicates may differ.
    pub duplicate: u32,
    /// Per cent of scenes that are for validation.
    pub validation: u8,
    /// Pictures, at most.
    pub limit: Option<usize>,
    /// Class names in class order; default: those that occur, by name.
    pub labels: Vec<String>,
    /// Only these records; default: all of the store. What belongs to one scene is seen in the whole store either way.
    pub only: Option<BTreeSet<Digest>>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            purpose: Purpose::Labelling,
            seed: 1,
            together: Together { gap_s: 600, alike: 20 },
            duplicate: 8,
            validation: 20,
            limit: None,
            labels: Vec::new(),
            only: None,
        }
    }
}

impl Rules {
    fn check(&self) -> Result<()> {
        let Together { alike, .. } = self.together;
        if self.duplicate > alike {
            let problem = format!(
                "--duplicate {} is more than --alike {alike}: duplicates could then lie in different splits",
                self.duplicate
            );
            return Err(Failure::usage(problem));
        }
        if self.validation > 100 {
            return Err(Failure::usage(format!("--validation {}: 0 to 100 are expected", self.validation)));
        }
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "purpose": self.purpose, "seed": self.seed, "scene_gap_s": self.together.gap_s,
            "scene_alike_bits": self.together.alike, "duplicate_bits": self.duplicate,
            "validation_percent": self.validation, "limit": self.limit,
            "selected": self.only.as_ref().map(BTreeSet::len),
        })
    }
}

/// What the store and the folder hold, for all that follows.
pub struct Holdings {
    /// The store.
    pub survey: Survey,
    /// What people said.
    pub labels: BTreeMap<Digest, Labels>,
    /// What training was given.
    pub given: Vec<Anchor>,
    /// What is frozen.
    pub frozen: Vec<Anchor>,
}

impl Holdings {
    /// Reads all of it, without what was forgotten.
    ///
    /// # Errors
    /// Store or folder cannot be read, or a frozen set is not what it was.
    pub fn read(source: &Source<'_>, folder: &Folder) -> Result<Self> {
        let forgotten: BTreeSet<Digest> =
            tombstones(source.store)?.union(&folder.forgotten()?).copied().collect();
        let mut labels = folder.labels()?;
        labels.retain(|digest, _| !forgotten.contains(digest));
        let frozen = folder.frozen()?.into_iter().flat_map(|frozen| frozen.records).collect();
        Ok(Self { survey: source.survey(&forgotten)?, labels, given: folder.given()?, frozen })
    }

    /// Scenes of all that is known: what is frozen or was given holds its scene together also where its record is gone.
    pub fn scenes(&self, together: Together) -> BTreeMap<Digest, Digest> {
        let here = self.survey.records.iter().map(|record| &record.anchor);
        scenes(here.chain(&self.given).chain(&self.frozen), together)
    }
}

/// What an export holds.
struct Chosen<'a> {
    splits: [Vec<Picture<'a>>; 2],
    labels: Vec<String>,
    held_back: usize,
    duplicates: usize,
    over_limit: usize,
}

/// Exports into `out`, which must not be there yet.
///
/// # Errors
/// Nothing is left of it where something fails.
pub fn run(source: &Source<'_>, folder: &Folder, out: &Path, rules: &Rules) -> Result<Said> {
    rules.check()?;
    let part = part_of(out)?;
    let holdings = Holdings::read(source, folder)?;
    let chosen = choose(&holdings, rules)?;
    let provenance = write(source, &part, &chosen, &holdings, rules);
    let provenance = provenance.inspect_err(|_| drop(fs::remove_dir_all(&part)))?;
    // Before it is there: what training may have seen is never frozen, whatever is cut here.
    if rules.purpose == Purpose::Training {
        folder.give(chosen.splits.iter().flatten().map(|picture| &picture.record.anchor))?;
    }
    folder.exported(out)?;
    fs::rename(&part, out).map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    Ok(provenance::said(out, &provenance, &holdings.survey))
}

/// Where it is written before it is whole.
pub fn part_of(out: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", out.display()));
    let Some(name) = out.file_name() else {
        return Err(Failure::usage(format!("{}: a folder that is not there yet is expected", out.display())));
    };
    if out.exists() {
        return Err(Failure::refused(format!(
            "{}: it is there already; nothing is written over it",
            out.display()
        )));
    }
    let part = out.with_file_name(format!("{}{PART}", name.to_string_lossy()));
    if part.exists() {
        fs::remove_dir_all(&part).map_err(failed)?;
    }
    Ok(part)
}

fn choose<'a>(holdings: &'a Holdings, rules: &Rules) -> Result<Chosen<'a>> {
    let scenes = holdings.scenes(rules.together);
    let tested: BTreeSet<Digest> =
        holdings.frozen.iter().filter_map(|anchor| scenes.get(&anchor.digest).copied()).collect();
    let selected =
        |record: &&Captured| rules.only.as_ref().is_none_or(|only| only.contains(&record.anchor.digest));
    let wanted = holdings.survey.records.iter().filter(selected).filter_map(|record| {
        let labels = holdings.labels.get(&record.anchor.digest);
        match (rules.purpose, labels) {
            (Purpose::Labelling, None) => Some(Candidate { record, annotations: &record.predictions }),
            (Purpose::Training, Some(labels)) => Some(Candidate { record, annotations: labels.current() }),
            _ => None,
        }
    });
    let (free, tested): (Vec<_>, Vec<_>) =
        wanted.partition(|candidate| !tested.contains(&scenes[&candidate.record.anchor.digest]));
    let (unlike, mut gone) = without_duplicates(free, rules.duplicate);
    let before = unlike.len();
    let chosen = balanced(unlike, rules.limit.unwrap_or(usize::MAX), rules.seed);
    let labels = names(&chosen, &rules.labels)?;
    let over_limit = before - chosen.len();
    let duplicates = gone.values().map(Vec::len).sum();
    let mut pictures: Vec<Picture<'a>> = chosen
        .into_iter()
        .map(|candidate| Picture {
            record: candidate.record,
            annotations: candidate.annotations,
            scene: scenes[&candidate.record.anchor.digest],
            stands_for: gone.remove(&candidate.record.anchor.digest).unwrap_or_default(),
        })
        .collect();
    pictures.sort_by_key(|picture| picture.record.anchor.digest);
    let validation = validation(&pictures, rules);
    let (val, train) = pictures.into_iter().partition(|picture| validation.contains(&picture.scene));
    Ok(Chosen { splits: [train, val], labels, held_back: tested.len(), duplicates, over_limit })
}

/// Scenes for validation: each by its own draw; where there are two and the draw leaves a split empty, the one with the least
/// draw, or all but the one with the greatest.
fn validation(pictures: &[Picture<'_>], rules: &Rules) -> BTreeSet<Digest> {
    let drawn: BTreeSet<(u64, Digest)> =
        pictures.iter().map(|picture| (draw(rules.seed, "split", &picture.scene), picture.scene)).collect();
    let count = drawn.iter().filter(|(drawn, _)| falls(*drawn, rules.validation)).count();
    let count = match (rules.validation, drawn.len()) {
        (1..=99, 2..) => count.clamp(1, drawn.len() - 1),
        _ => count,
    };
    drawn.into_iter().take(count).map(|(_, scene)| scene).collect()
}

/// Class names in class order.
fn names(chosen: &[Candidate<'_>], wanted: &[String]) -> Result<Vec<String>> {
    let there = chosen.iter().flat_map(|candidate| {
        let predicted = candidate.record.predictions.iter();
        candidate.annotations.iter().chain(predicted).map(|annotation| annotation.label.clone())
    });
    let there: BTreeSet<String> = there.collect();
    if wanted.is_empty() {
        return Ok(there.into_iter().collect());
    }
    let unknown: Vec<&String> = there.iter().filter(|label| !wanted.contains(label)).collect();
    if unknown.is_empty() {
        return Ok(wanted.to_vec());
    }
    Err(Failure::usage(format!("--labels: {unknown:?} occur in the pictures and are not among them")))
}

fn write(
    source: &Source<'_>,
    part: &Path,
    chosen: &Chosen<'_>,
    holdings: &Holdings,
    rules: &Rules,
) -> Result<Value> {
    let mut written = BTreeMap::new();
    for (split, pictures) in SPLITS.iter().zip(&chosen.splits) {
        for folder in ["images", "labels"] {
            let folder = part.join(folder).join(split);
            fs::create_dir_all(&folder)
                .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
        }
        for picture in pictures {
            let digest = picture.record.anchor.digest;
            let jpeg = source.picture(&picture.record.anchor)?;
            put(&part.join(format!("images/{split}/{digest}.jpg")), &jpeg)?;
            let lines = yolo::lines(picture.annotations, picture.record.size, &chosen.labels);
            put(&part.join(format!("labels/{split}/{digest}.txt")), lines.as_bytes())?;
        }
        let mut documents = vec![(
            format!("annotations/instances_{split}.json"),
            coco::document(pictures, &chosen.labels, &rules.json()),
        )];
        if rules.purpose == Purpose::Training {
            documents.push((format!("predictions/{split}.json"), coco::results(pictures, &chosen.labels)));
        }
        for (name, document) in documents {
            let bytes = serde_json::to_vec(&document).map_err(Failure::failed)?;
            written.insert(name.clone(), Digest::of(&bytes));
            files::write(&part.join(name), &bytes)?;
        }
    }
    files::write(&part.join("data.yaml"), yolo::data(&SPLITS, &chosen.labels).as_bytes())?;
    let provenance = provenance::of(chosen, &holdings.survey, rules, &written);
    let bytes = serde_json::to_vec_pretty(&provenance).map_err(Failure::failed)?;
    files::write(&part.join(PROVENANCE), &bytes)?;
    Ok(provenance)
}

/// One of many files of a folder that counts only once it is whole: not synced one by one.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
