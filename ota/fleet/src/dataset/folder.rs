//! What the operator keeps beside the store:
//!
//! ```text
//! DATASET/labels/DIGEST.json    what people said of a picture, with who and when
//! DATASET/frozen/NAME/          a frozen test set: frozen.json, annotations, pictures; never changed
//! DATASET/given.jsonl           every record that training was ever given
//! DATASET/exports.txt           where exports went, for `forget`
//! DATASET/forgotten.txt         what no export may contain and no merge may bring back
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use stopline_depot::digest::Digest;
use stopline_depot::versioned;

use super::annotation::Labels;
use super::captured::Anchor;
use super::freeze::Frozen;
use crate::exit::{Failure, Result};
use crate::files;

/// Bytes of a list, at most.
const MAX_LIST: u64 = 1 << 30;

/// The folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// In `path`, which is made when something is kept.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Of the frozen test set of this name.
    pub fn frozen_set(&self, name: &str) -> PathBuf {
        self.0.join("frozen").join(name)
    }

    /// Every frozen test set, checked, by name.
    ///
    /// # Errors
    /// One is no longer what was frozen.
    pub fn frozen(&self) -> Result<Vec<Frozen>> {
        let names = files::names(&self.0.join("frozen"))?;
        names
            .iter()
            .filter(|name| !name.ends_with(super::export::PART))
            .map(|name| Frozen::open(&self.frozen_set(name)))
            .collect()
    }

    fn labels_file(&self, digest: &Digest) -> PathBuf {
        self.0.join("labels").join(format!("{digest}.json"))
    }

    /// What people said of a picture.
    ///
    /// # Errors
    /// The file is not what it should be.
    pub fn labels_of(&self, digest: &Digest) -> Result<Option<Labels>> {
        let path = self.labels_file(digest);
        let limit = u64::try_from(<Labels as versioned::Versioned>::LIMIT).unwrap_or(u64::MAX);
        let Some(bytes) = files::read_if_there(&path, limit)? else { return Ok(None) };
        versioned::read(&bytes).map(Some).map_err(|error| Failure::from(error).of(path.display()))
    }

    /// All that people said, by record.
    ///
    /// # Errors
    /// A file is not what it should be.
    pub fn labels(&self) -> Result<BTreeMap<Digest, Labels>> {
        let names = files::names(&self.0.join("labels"))?;
        let digests = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<Digest>().ok());
        let read = digests.map(|digest| Ok(self.labels_of(&digest)?.map(|labels| (digest, labels))));
        read.filter_map(Result::transpose).collect()
    }

    /// Keeps what people said.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_labels(&self, labels: &Labels) -> Result<()> {
        files::write(&self.labels_file(&labels.record), &versioned::write(labels)?)
    }

    /// What training was given.
    ///
    /// # Errors
    /// The list is not what it should be.
    pub fn given(&self) -> Result<Vec<Anchor>> {
        let path = self.0.join("given.jsonl");
        let text = text(&path)?;
        let of = |(at, line): (usize, &str)| {
            serde_json::from_str(line)
                .map_err(|error| Failure::refused(format!("{}, line {}: {error}", path.display(), at + 1)))
        };
        text.lines().enumerate().map(of).collect()
    }

    /// Training was given these too.
    ///
    /// # Errors
    /// The system's.
    pub fn give<'a>(&self, anchors: impl Iterator<Item = &'a Anchor>) -> Result<()> {
        let mut given: BTreeMap<Digest, Anchor> =
            self.given()?.into_iter().map(|anchor| (anchor.digest, anchor)).collect();
        given.extend(anchors.map(|anchor| (anchor.digest, anchor.clone())));
        self.write_given(given.values())
    }

    fn write_given<'a>(&self, anchors: impl Iterator<Item = &'a Anchor>) -> Result<()> {
        let lines = anchors.map(|anchor| serde_json::to_string(anchor).map_err(Failure::failed));
        self.write_lines("given.jsonl", &lines.collect::<Result<Vec<_>>>()?)
    }

    /// What was forgotten.
    ///
    /// # Errors
    /// The list is not what it should be.
    pub fn forgotten(&self) -> Result<BTreeSet<Digest>> {
        let path = self.0.join("forgotten.txt");
        let wrong = |error| Failure::refused(format!("{}: {error}", path.display()));
        text(&path)?.lines().map(|line| line.parse().map_err(wrong)).collect()
    }

    /// Where exports went, as far as they are still there.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn exports(&self) -> Result<Vec<PathBuf>> {
        let text = text(&self.0.join("exports.txt"))?;
        Ok(text.lines().map(PathBuf::from).filter(|path| path.is_dir()).collect())
    }

    /// An export went there.
    ///
    /// # Errors
    /// The system's, or a path that is no text.
    pub fn exported(&self, path: &Path) -> Result<()> {
        let path = std::path::absolute(path).map_err(Failure::failed)?;
        let line = std::str::from_utf8(path.as_os_str().as_bytes()).ok().filter(|path| !path.contains('\n'));
        let line = line.ok_or_else(|| {
            Failure::usage(format!(
                "{}: choose a path that is plain text: `forget` must find it again",
                path.display()
            ))
        })?;
        let mut lines: BTreeSet<String> =
            text(&self.0.join("exports.txt"))?.lines().map(str::to_owned).collect();
        lines.insert(line.to_owned());
        self.write_lines("exports.txt", &lines.into_iter().collect::<Vec<_>>())
    }

    /// Removes labels and marks of these records, and remembers that they are forgotten; how many labels went.
    ///
    /// # Errors
    /// The system's.
    pub fn forget(&self, digests: &BTreeSet<Digest>) -> Result<u64> {
        let forgotten: BTreeSet<Digest> = self.forgotten()?.union(digests).copied().collect();
        self.write_lines("forgotten.txt", &forgotten.iter().map(Digest::to_string).collect::<Vec<_>>())?;
        let mut removed = 0;
        for digest in digests {
            let path = self.labels_file(digest);
            removed += u64::from(path.exists());
            files::remove(&path)?;
        }
        let given = self.given()?;
        if given.iter().any(|anchor| digests.contains(&anchor.digest)) {
            self.write_given(given.iter().filter(|anchor| !digests.contains(&anchor.digest)))?;
        }
        Ok(removed)
    }

    fn write_lines(&self, name: &str, lines: &[String]) -> Result<()> {
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        files::write(&self.0.join(name), text.as_bytes())
    }
}

fn text(path: &Path) -> Result<String> {
    let bytes = files::read_if_there(path, MAX_LIST)?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| Failure::refused(format!("{}: no text", path.display())))
}
