//! `dataset freeze`: a test set that nothing changes any more.
//!
//! ```text
//! DATASET/frozen/NAME/annotations/instances_test.json, images/test/DIGEST.jpg, frozen.json
//! ```
//!
//! Its digest is that of [`TestSet::digest`], which evaluation records name and publishing compares. It consists of whole scenes
//! of labelled pictures that training was never given; no export for training ever takes a record of these scenes.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::versioned::{self, Versioned};

use super::captured::{Anchor, Source};
use super::coco::{self, Picture};
use super::export::{Holdings, part_of, put};
use super::folder::Folder;
use super::scenes::{Together, draw, falls};
use crate::evaluation::TestSet;
use crate::exit::{Failure, Result, Said};
use crate::files;

/// What says what was frozen.
const FROZEN: &str = "frozen.json";

/// A frozen test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// Schema.
    pub schema: u32,
    /// Its name.
    pub name: String,
    /// Digest of annotations and pictures, as evaluation records name it.
    pub test_set: Digest,
    /// The digest that it had before records in it had to be forgotten; left out where none had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// What is in it.
    pub records: Vec<Anchor>,
}

impl Versioned for Frozen {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "frozen test set";
    const LIMIT: usize = 256 << 20;

    fn check(&self) -> Result<(), String> {
        versioned::check_name("name", &self.name)
    }
}

impl Frozen {
    /// Where annotations and pictures lie.
    pub fn test_set(folder: &Path) -> TestSet {
        TestSet {
            annotations: folder.join("annotations/instances_test.json"),
            images: folder.join("images/test"),
        }
    }

    /// Reads a frozen set, and checks that it is what was frozen.
    ///
    /// # Errors
    /// It is not.
    pub fn open(folder: &Path) -> Result<Self> {
        let limit = u64::try_from(Self::LIMIT).unwrap_or(u64::MAX);
        let bytes = files::read(&folder.join(FROZEN), limit)?;
        let frozen: Self =
            versioned::read(&bytes).map_err(|error| Failure::from(error).of(folder.display()))?;
        let found = Self::test_set(folder).digest()?;
        if found == frozen.test_set {
            return Ok(frozen);
        }
        Err(Failure::refused(format!(
            "{}: its digest is {found}, frozen was {}: somebody changed it; bring back what was frozen, or remove the folder",
            folder.display(),
            frozen.test_set
        )))
    }

    /// Writes it into its folder and takes away the right to write.
    ///
    /// # Errors
    /// The system's.
    pub fn seal(&self, folder: &Path) -> Result<()> {
        files::write(&folder.join(FROZEN), &versioned::write(self)?)?;
        read_only(folder)
    }
}

/// Takes away the right to write from everything below.
fn read_only(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)? {
            read_only(&entry.map_err(failed)?.path())?;
        }
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o444)).map_err(failed)
}

/// What is frozen.
#[derive(Debug, Clone)]
pub struct Freeze<'a> {
    /// The set's name.
    pub name: &'a str,
    /// Per cent of the free scenes.
    pub percent: u8,
    /// Or just these records, with nothing drawn.
    pub records: &'a [Digest],
    /// What chance decides is decided by it.
    pub seed: u64,
    /// What makes a scene; the same as in exports.
    pub together: Together,
}

/// Freezes.
///
/// # Errors
/// There is a set of this name, nothing is left to freeze, or a record that is asked for was given to training.
pub fn run(source: &Source<'_>, folder: &Folder, freeze: &Freeze<'_>) -> Result<Said> {
    versioned::check_name("--name", freeze.name).map_err(Failure::usage)?;
    let to = folder.frozen_set(freeze.name);
    let part = part_of(&to)?;
    let holdings = Holdings::read(source, folder)?;
    let pictures = choose(&holdings, freeze)?;
    let labels: BTreeSet<String> =
        pictures.iter().flat_map(|picture| picture.annotations).map(|one| one.label.clone()).collect();
    let labels: Vec<String> = labels.into_iter().collect();
    let images = Frozen::test_set(&part).images;
    fs::create_dir_all(&images).map_err(|error| Failure::failed(format!("{}: {error}", images.display())))?;
    for picture in &pictures {
        put(&images.join(picture.file_name()), &source.picture(&picture.record.anchor)?)?;
    }
    let document = coco::document(&pictures, &labels, &json!({"frozen": freeze.name}));
    let bytes = serde_json::to_vec(&document).map_err(Failure::failed)?;
    files::write(&Frozen::test_set(&part).annotations, &bytes)?;
    let frozen = Frozen {
        schema: Frozen::SCHEMA,
        name: freeze.name.into(),
        test_set: Frozen::test_set(&part).digest()?,
        before: None,
        records: pictures.iter().map(|picture| picture.record.anchor.clone()).collect(),
    };
    frozen.seal(&part)?;
    fs::rename(&part, &to).map_err(|error| Failure::failed(format!("{}: {error}", to.display())))?;
    let test_set = Frozen::test_set(&to);
    let scenes = pictures.iter().map(|picture| picture.scene).collect::<BTreeSet<_>>().len();
    let words = vec![
        format!("{}: {} pictures of {scenes} scenes, {} classes", freeze.name, pictures.len(), labels.len()),
        format!("  digest {}", frozen.test_set),
        format!(
            "  evaluate with --test-set {} --images {}",
            test_set.annotations.display(),
            test_set.images.display()
        ),
    ];
    Ok(Said::new(
        words,
        json!({
            "name": freeze.name, "test_set": frozen.test_set, "pictures": pictures.len(), "scenes": scenes,
            "annotations": test_set.annotations, "images": test_set.images,
        }),
    ))
}

fn choose<'a>(holdings: &'a Holdings, freeze: &Freeze<'_>) -> Result<Vec<Picture<'a>>> {
    let scenes = holdings.scenes(freeze.together);
    let given: BTreeSet<Digest> = holdings.given.iter().map(|anchor| scenes[&anchor.digest]).collect();
    let frozen: BTreeSet<Digest> = holdings.frozen.iter().map(|anchor| scenes[&anchor.digest]).collect();
    let wanted: BTreeSet<&Digest> = freeze.records.iter().collect();
    let labelled = holdings.survey.records.iter().filter_map(|record| {
        let annotations = holdings.labels.get(&record.anchor.digest)?.current();
        let scene = scenes[&record.anchor.digest];
        Some(Picture { record, annotations, scene, stands_for: Vec::new() })
    });
    if wanted.is_empty() {
        let free =
            labelled.filter(|picture| !given.contains(&picture.scene) && !frozen.contains(&picture.scene));
        let chosen =
            free.filter(|picture| falls(draw(freeze.seed, "freeze", &picture.scene), freeze.percent));
        let chosen: Vec<Picture<'a>> = chosen.collect();
        return if chosen.is_empty() { Err(nothing(freeze, given.len())) } else { Ok(chosen) };
    }
    let chosen: Vec<Picture<'a>> =
        labelled.filter(|picture| wanted.contains(&picture.record.anchor.digest)).collect();
    let there: BTreeSet<&Digest> = chosen.iter().map(|picture| &picture.record.anchor.digest).collect();
    if let Some(missing) = wanted.iter().find(|digest| !there.contains(**digest)) {
        return Err(Failure::refused(format!("{missing}: not in the store, or nobody labelled it")));
    }
    if let Some(picture) = chosen.iter().find(|picture| given.contains(&picture.scene)) {
        return Err(Failure::refused(format!(
            "{}: training was given it, or another picture of its scene; it cannot be in a test set",
            picture.record.anchor.digest
        )));
    }
    Ok(chosen)
}

fn nothing(freeze: &Freeze<'_>, given: usize) -> Failure {
    Failure::refused(format!(
        "no labelled scene is left of which {} % could be frozen ({given} scenes were given to training); label more with \
         `dataset export --for labelling` and `dataset merge`, or choose another --percent or --seed",
        freeze.percent
    ))
}
