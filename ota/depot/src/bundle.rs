//! A model bundle: the manifest, the ONNX file, golden pictures and the card, in one file of which every byte has one
//! meaning.
//!
//! Uncompressed it is `bundle.tar`, which a slot holds and the runtime reads: ustar, regular files only, in the order
//! `manifest.json`, `model.onnx`, `CARD.md` if there is one, `golden/NAME` by name; every header field but name, size and
//! checksum is fixed. [`Bundle::read`] accepts exactly what [`write_tar`] writes, so an archive cannot show one thing to
//! one reader and another to the next, and no name ever becomes a path. On its way it is `NAME-VERSION.slb`: the same in
//! one zstd frame (`packed`, feature `packed`, which the runtime does not have).

#[cfg(feature = "packed")]
pub mod packed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::archive::{self, BLOCK, Malformed, Reader};
use crate::deployment::DeployCause;
use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestError};

/// Bytes of `bundle.tar`, at most.
pub const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes of `manifest.json`, at most.
pub const MAX_MANIFEST: usize = 1 << 20;
/// Golden pictures, at most.
pub const MAX_GOLDEN: usize = 64;
/// Bytes of a golden picture's name, at most.
pub const MAX_NAME: usize = 64;

const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.onnx";
const CARD: &str = "CARD.md";
const GOLDEN: &str = "golden/";

/// What is wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The archive is not of the one form.
    #[error("bundle, byte {at}: {problem}")]
    Form {
        /// Offset in `bundle.tar`.
        at: usize,
        /// What was found and what is expected.
        problem: String,
    },
    /// What it holds does not fit together.
    #[error("bundle: {0}")]
    Content(String),
    /// The manifest is refused.
    #[error("bundle, manifest.json: {0}")]
    Manifest(#[from] ManifestError),
    /// Reading or writing failed.
    #[error("bundle: {0}")]
    Io(#[from] io::Error),
}

impl From<Malformed> for BundleError {
    fn from(malformed: Malformed) -> Self {
        Self::Form { at: malformed.at, problem: malformed.problem }
    }
}

impl BundleError {
    /// The cause that a deployment waits or ends with: a manifest of a newer schema waits for a newer runtime.
    pub fn cause(&self) -> DeployCause {
        match self {
            Self::Manifest(ManifestError::Newer { .. }) => DeployCause::Schema,
            Self::Manifest(_) | Self::Form { .. } | Self::Content(_) | Self::Io(_) => DeployCause::Bundle,
        }
    }
}

/// What goes into a bundle, and what comes out of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle<'a> {
    /// The checked manifest.
    pub manifest: Manifest,
    /// `manifest.json`, byte for byte.
    pub manifest_json: &'a [u8],
    /// The ONNX file.
    pub model: &'a [u8],
    /// What people should know of the model, in Markdown.
    pub card: Option<&'a [u8]>,
    /// Golden pictures by the name that the manifest gives them, `golden/NAME`.
    pub golden: BTreeMap<String, &'a [u8]>,
}

impl<'a> Bundle<'a> {
    /// Puts a bundle together.
    ///
    /// # Errors
    /// [`BundleError`] if the parts do not fit together.
    pub fn new(
        manifest_json: &'a [u8],
        model: &'a [u8],
        card: Option<&'a [u8]>,
        golden: BTreeMap<String, &'a [u8]>,
    ) -> Result<Self, BundleError> {
        if manifest_json.len() > MAX_MANIFEST {
            let problem = format!(
                "manifest.json has {} bytes, at most {MAX_MANIFEST} are allowed",
                manifest_json.len()
            );
            return Err(BundleError::Content(problem));
        }
        let manifest = Manifest::from_json(manifest_json)?;
        let bundle = Self { manifest, manifest_json, model, card, golden };
        bundle.check().map_err(BundleError::Content)?;
        Ok(bundle)
    }

    /// Reads `bundle.tar` from memory; the parts are pieces of it. Signatures are judged elsewhere, over the digest of
    /// these same bytes.
    ///
    /// # Errors
    /// [`BundleError`] says at which byte it is not what [`write_tar`] writes, or what does not fit together.
    pub fn read(tar: &'a [u8]) -> Result<Self, BundleError> {
        let mut reader = Reader::new(tar);
        let manifest_json = reader.required(MANIFEST)?;
        let model = reader.required(MODEL)?;
        let mut next = reader.next()?;
        let card = next.take_if(|(name, _)| name == CARD).map(|(_, bytes)| bytes);
        if card.is_some() {
            next = reader.next()?;
        }
        let mut golden = BTreeMap::new();
        while let Some((name, bytes)) = next {
            let in_order = golden.last_key_value().is_none_or(|(last, _)| *last < name);
            if !name.starts_with(GOLDEN) || !in_order || golden.len() >= MAX_GOLDEN {
                let problem =
                    format!("{name:?} where at most {MAX_GOLDEN} golden pictures by name are expected");
                return Err(reader.wrong(problem).into());
            }
            golden.insert(name, bytes);
            next = reader.next()?;
        }
        reader.end()?;
        Self::new(manifest_json, model, card, golden)
    }

    /// Every golden picture the manifest names is there, nothing else is, and the model is the one it speaks of.
    fn check(&self) -> Result<(), String> {
        if self.model.is_empty() {
            return Err("model.onnx is empty".into());
        }
        if self.golden.len() > MAX_GOLDEN {
            return Err(format!("{} golden pictures, at most {MAX_GOLDEN} are allowed", self.golden.len()));
        }
        let named: BTreeSet<&str> = self.manifest.golden.iter().map(|golden| golden.image.as_str()).collect();
        let there: BTreeSet<&str> = self.golden.keys().map(String::as_str).collect();
        if let Some(missing) = named.difference(&there).next() {
            return Err(format!("the manifest names {missing:?}, which is not there"));
        }
        if let Some(unnamed) = there.difference(&named).next() {
            return Err(format!("{unnamed:?} is there and the manifest does not name it"));
        }
        if let Some(bad) = there.iter().find(|name| !is_golden_name(name)) {
            return Err(format!(
                "{bad:?} is no name of a golden picture: golden/ and 1 to {MAX_NAME} of a-z, A-Z, 0-9, '-', '_', '.', not starting with '.'"
            ));
        }
        let said = self.manifest.provenance.as_ref().and_then(|provenance| provenance.sha256.as_deref());
        let found = Digest::of(self.model).to_string();
        match said {
            Some(said) if !said.eq_ignore_ascii_case(&found) => {
                Err(format!("model.onnx has the SHA-256 {found}, the manifest's provenance says {said}"))
            }
            _ => Ok(()),
        }
    }

    /// The file name under which it is packed: `NAME-VERSION.slb`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.slb", self.manifest.name, self.manifest.version)
    }

    /// Bytes of its `bundle.tar`.
    pub fn tar_length(&self) -> u64 {
        let sizes = self.parts().map(|(_, bytes)| BLOCK + bytes.len().next_multiple_of(BLOCK));
        sizes
            .chain([2 * BLOCK])
            .fold(0, |sum, size| sum.saturating_add(u64::try_from(size).unwrap_or(u64::MAX)))
    }

    fn parts(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        let golden = self.golden.iter().map(|(name, bytes)| (name.as_str(), *bytes));
        let card = self.card.map(|card| (CARD, card));
        [(MANIFEST, self.manifest_json), (MODEL, self.model)].into_iter().chain(card).chain(golden)
    }
}

/// Writes `bundle.tar`: the same bytes from the same parts, on any machine, at any time.
///
/// # Errors
/// Those of writing; [`BundleError::Content`] if it is longer than [`MAX_UNPACKED`].
pub fn write_tar(bundle: &Bundle<'_>, mut out: impl Write) -> Result<(), BundleError> {
    if bundle.tar_length() > MAX_UNPACKED {
        let problem = format!("it has {} bytes, at most {MAX_UNPACKED} are allowed", bundle.tar_length());
        return Err(BundleError::Content(problem));
    }
    for (name, bytes) in bundle.parts() {
        archive::write_file(&mut out, name, bytes)?;
    }
    Ok(archive::write_end(&mut out)?)
}

fn is_golden_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let Some(name) = name.strip_prefix(GOLDEN) else { return false };
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}
