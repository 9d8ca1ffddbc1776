//! Digests and lengths: of metadata that other metadata lists, and of targets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use super::TargetFile;
use crate::error::Error;
use crate::hex;

/// Digests of a file by algorithm, in hexadecimal. `sha256` and `sha512` are computed here; others are carried along and
/// prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// The SHA-256 of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self::sha256(&Sha256::digest(bytes).into())
    }

    /// A SHA-256.
    pub fn sha256(digest: &[u8; 32]) -> Self {
        Self(BTreeMap::from([("sha256".into(), hex::encode(digest))]))
    }

    /// The digest by `algorithm`, in hexadecimal.
    pub fn by(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// All digests in hexadecimal, those computed here first: a repository with consistent snapshots serves the file
    /// under each of them.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        let known = ["sha256", "sha512"].into_iter().filter_map(|algorithm| self.by(algorithm));
        let rest = self.0.iter().filter(|(algorithm, _)| !matches!(algorithm.as_str(), "sha256" | "sha512"));
        known.chain(rest.map(|(_, digest)| digest.as_str()))
    }

    pub(super) fn check(&self, of: &str) -> Result<(), String> {
        if self.0.is_empty() {
            return Err(format!("hashes of {of:?} are empty"));
        }
        for (algorithm, length) in [("sha256", 32), ("sha512", 64)] {
            let digest = self.by(algorithm).map(hex::decode);
            if digest.is_some_and(|digest| digest.is_none_or(|bytes| bytes.len() != length)) {
                return Err(format!("{algorithm} of {of:?} is not {length} bytes in hexadecimal"));
            }
        }
        // They become parts of file names.
        let plain = self.0.values().all(|digest| hex::decode(digest).is_some_and(|bytes| !bytes.is_empty()));
        plain.then_some(()).ok_or_else(|| format!("hashes of {of:?} are not in hexadecimal"))
    }
}

/// Checks a file against its signed length and digests while it comes in, without keeping it.
#[derive(Debug, Clone)]
pub struct TargetCheck {
    file: String,
    expected: u64,
    seen: u64,
    sha256: Option<(Sha256, String)>,
    sha512: Option<(Sha512, String)>,
}

impl TargetCheck {
    /// Begins to check what is signed as `target` and called `name` in messages.
    ///
    /// # Errors
    /// [`Error::NoKnownHash`] if no digest is given that can be computed here.
    pub fn new(name: impl ToString, target: &TargetFile) -> Result<Self, Error> {
        Self::of(name.to_string(), target.length, &target.hashes)
    }

    pub(crate) fn of(file: String, expected: u64, hashes: &Hashes) -> Result<Self, Error> {
        let digest = |algorithm| hashes.by(algorithm).map(str::to_ascii_lowercase);
        let sha256 = digest("sha256").map(|expected| (Sha256::new(), expected));
        let sha512 = digest("sha512").map(|expected| (Sha512::new(), expected));
        if sha256.is_none() && sha512.is_none() {
            let found = hashes.0.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::NoKnownHash { file, found });
        }
        Ok(Self { file, expected, seen: 0, sha256, sha512 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::Length`] as soon as there are more than signed.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // A length that no u64 holds is above any that is signed.
        self.seen = u64::try_from(bytes.len()).map_or(u64::MAX, |more| self.seen.saturating_add(more));
        if self.seen > self.expected {
            return Err(Error::Length { file: self.file.clone(), found: self.seen, expected: self.expected });
        }
        if let Some((digest, _)) = &mut self.sha256 {
            digest.update(bytes);
        }
        if let Some((digest, _)) = &mut self.sha512 {
            digest.update(bytes);
        }
        Ok(())
    }

    /// Ends the file: every length and digest known must be right.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Hash`].
    pub fn finish(self) -> Result<(), Error> {
        let Self { file, expected, seen, sha256, sha512 } = self;
        if seen != expected {
            return Err(Error::Length { file, found: seen, expected });
        }
        let compare = |algorithm, found: String, expected: String| {
            let equal = found == expected;
            equal.then_some(()).ok_or(Error::Hash { file: file.clone(), algorithm, found, expected })
        };
        if let Some((digest, expected)) = sha256 {
            compare("sha256", hex::encode(&digest.finalize()), expected)?;
        }
        if let Some((digest, expected)) = sha512 {
            compare("sha512", hex::encode(&digest.finalize()), expected)?;
        }
        Ok(())
    }
}
