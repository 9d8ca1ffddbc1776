//! Names that come from outside: of roles, keys, metadata files and targets.
//!
//! Each is a type of its own and none is ever a path: where one must become a file name or a part of a URL, it is
//! percent-encoded into one component first, so that `../../x` is a harmless name and not a place.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json;

/// Bytes of a role's name, at most.
pub const MAX_ROLE_NAME: usize = 80;
/// Bytes of a target's path, at most.
pub const MAX_TARGET_PATH: usize = 1024;
/// Bytes of a key's id, at most.
pub const MAX_KEY_ID: usize = 128;

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?}: {problem}")]
pub struct NameError {
    /// Kind of name.
    pub what: &'static str,
    /// The name, cut to its first 100 characters.
    pub name: String,
    /// Why it cannot be used.
    pub problem: &'static str,
}

fn refused(what: &'static str, name: &str, problem: &'static str) -> NameError {
    NameError { what, name: name.chars().take(100).collect(), problem }
}

/// The name of a role: `root`, `timestamp`, `snapshot`, `targets`, or one that a delegation gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

impl RoleName {
    /// Takes a name of 1 to [`MAX_ROLE_NAME`] bytes without control characters.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let problem = match name.len() {
            0 => "is empty",
            1..=MAX_ROLE_NAME if name.chars().any(char::is_control) => "holds a control character",
            1..=MAX_ROLE_NAME => return Ok(Self(name)),
            _ => "is longer than 80 bytes",
        };
        Err(refused("role", &name, problem))
    }

    /// The role `root`.
    pub fn root() -> Self {
        Self("root".into())
    }

    /// The role `timestamp`.
    pub fn timestamp() -> Self {
        Self("timestamp".into())
    }

    /// The role `snapshot`.
    pub fn snapshot() -> Self {
        Self("snapshot".into())
    }

    /// The top-level role `targets`.
    pub fn targets() -> Self {
        Self("targets".into())
    }

    /// The name as it stands in metadata.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether root metadata names its keys; a delegation must not carry such a name.
    pub fn is_top_level(&self) -> bool {
        matches!(self.as_str(), "root" | "timestamp" | "snapshot" | "targets")
    }

    /// The key under which snapshot and timestamp metadata list the role: `ROLE.json`, not encoded.
    pub(crate) fn listed_as(&self) -> String {
        format!("{}.json", self.0)
    }
}

impl TryFrom<String> for RoleName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a key, as metadata declares it. It is a label, not a proof: two ids may stand for one key, which is why
/// thresholds count key material.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Takes an id of 1 to [`MAX_KEY_ID`] bytes.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong.
    pub fn new(id: impl Into<String>) -> Result<Self, NameError> {
        let id = id.into();
        let problem = match id.len() {
            0 => "is empty",
            1..=MAX_KEY_ID => return Ok(Self(id)),
            _ => "is longer than 128 bytes",
        };
        Err(refused("key id", &id, problem))
    }

    /// The id as it stands in metadata.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyId {
    type Error = NameError;

    fn try_from(id: String) -> Result<Self, NameError> {
        Self::new(id)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a target within a repository (`models/stop-sign/1.4.0.slb`): segments separated by `/`. A name, never a
/// path on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPath(String);

impl TargetPath {
    /// Takes a relative path of 1 to [`MAX_TARGET_PATH`] bytes whose segments are neither empty nor `.` nor `..`,
    /// without control characters and backslashes.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong.
    pub fn new(path: impl Into<String>) -> Result<Self, NameError> {
        let path = path.into();
        match path_problem(&path) {
            None => Ok(Self(path)),
            Some(problem) => Err(refused("target path", &path, problem)),
        }
    }

    /// The path as it stands in metadata.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as part of a URL, each segment percent-encoded. With `digest`, a digest of the file in hexadecimal, as
    /// repositories with consistent snapshots name it (TUF §6.2.1): `models/x/DIGEST.name`.
    pub fn url_path(&self, digest: Option<&str>) -> String {
        let (folder, file) = match self.0.rsplit_once('/') {
            Some((folder, file)) => (Some(folder), file),
            None => (None, self.0.as_str()),
        };
        let mut parts: Vec<String> = folder.iter().flat_map(|folder| folder.split('/')).map(encode).collect();
        parts.push(digest.map_or_else(|| encode(file), |digest| format!("{digest}.{}", encode(file))));
        parts.join("/")
    }

    /// The whole path as one file name: what is not a letter, a digit, `-`, `_` or an inner `.` is percent-encoded.
    pub fn file_name(&self) -> String {
        encode(&self.0)
    }
}

fn path_problem(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > MAX_TARGET_PATH {
        return Some("is longer than 1024 bytes");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Some("holds a control character or a backslash");
    }
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Some("is absolute, or a segment is empty, `.` or `..`");
    }
    None
}

impl TryFrom<String> for TargetPath {
    type Error = NameError;

    fn try_from(path: String) -> Result<Self, NameError> {
        Self::new(path)
    }
}

impl std::str::FromStr for TargetPath {
    type Err = NameError;

    fn from_str(path: &str) -> Result<Self, NameError> {
        Self::new(path)
    }
}

impl From<TargetPath> for String {
    fn from(path: TargetPath) -> Self {
        path.0
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a metadata file as a repository publishes it: `7.snapshot.json`, `timestamp.json`. Safe as one part of a
/// URL and as a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataFile(String);

impl MetadataFile {
    /// `VERSION.ROLE.json` (TUF §6.2.1).
    pub fn versioned(role: &RoleName, version: u64) -> Self {
        Self(format!("{version}.{}.json", encode(role.as_str())))
    }

    /// `ROLE.json`.
    pub fn unversioned(role: &RoleName) -> Self {
        Self(format!("{}.json", encode(role.as_str())))
    }

    /// The name, encoded already.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MetadataFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Percent-encodes all but letters and digits of ASCII, `-`, `_`, `~` and a `.` that does not lead.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'.' if at > 0 || !matches!(text, "." | "..") => out.push('.'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The id that TUF §4.2 gives a key: SHA-256 of its canonical form, in hexadecimal.
pub(crate) fn key_id_of(canonical_key: &[u8]) -> KeyId {
    use sha2::{Digest, Sha256};
    KeyId(crate::hex::encode(&Sha256::digest(canonical_key)))
}

/// The canonical form of something that is serialised without fractions.
pub(crate) fn canonical_of(value: &impl Serialize) -> Option<Vec<u8>> {
    json::canonical(&serde_json::to_value(value).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_target_path_never_leads_out_of_the_repository() {
        let wide = "x".repeat(MAX_TARGET_PATH + 1);
        for path in [
            "",
            "/",
            "/etc/x",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0b",
            "a\nb",
            "C:\\x",
            "..\\x",
            "\u{85}",
            wide.as_str(),
        ] {
            assert!(TargetPath::new(path).is_err(), "{path:?}");
        }
        for path in ["a", "a/b", "a b", "..a", "a..b/c", "é/ü", "C:", "%2e%2e/x"] {
            assert!(TargetPath::new(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn names_become_one_harmless_part_of_a_url_or_folder() {
        let file = |role: &str| MetadataFile::versioned(&RoleName::new(role).unwrap(), 7).to_string();
        assert_eq!(file("../x"), "7...%2Fx.json");
        assert_eq!(file("/etc/x"), "7.%2Fetc%2Fx.json");
        assert_eq!(file("?"), "7.%3F.json");
        assert_eq!(file("a#b%"), "7.a%23b%25.json");
        assert_eq!(MetadataFile::unversioned(&RoleName::new("..").unwrap()).as_str(), "%2E..json");
        let path = TargetPath::new("models/a b/x?.slb").unwrap();
        assert_eq!(path.url_path(None), "models/a%20b/x%3F.slb");
        assert_eq!(path.url_path(Some("abc")), "models/a%20b/abc.x%3F.slb");
        assert_eq!(path.file_name(), "models%2Fa%20b%2Fx%3F.slb");
    }

    proptest! {
        #[test]
        fn an_encoded_name_is_never_more_than_one_plain_component(name in "\\PC{1,20}") {
            for encoded in [encode(&name), MetadataFile::unversioned(&RoleName(name.clone())).0] {
                let components: Vec<_> = std::path::Path::new(&encoded).components().collect();
                prop_assert!(matches!(components.as_slice(), [std::path::Component::Normal(one)] if *one == encoded.as_str()));
            }
        }

        #[test]
        fn no_two_names_share_an_encoded_one(one in "[.%/2EeaA?]{1,6}", other in "[.%/2EeaA?]{1,6}") {
            prop_assert_eq!(encode(&one) == encode(&other), one == other);
        }
    }
}
