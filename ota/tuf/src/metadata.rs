//! What the four kinds of metadata say (TUF §4.3 to §4.6), as read from a file that is checked in form and not yet
//! trusted, or as written by an operator. Keys that the standard does not know are kept, since they are signed too.

mod check;
mod hashes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp as Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use check::{spec_version as check_spec_version, version as check_version};
pub use hashes::{Hashes, TargetCheck};

use crate::key::Key;
use crate::name::{KeyId, RoleName, TargetPath};
use crate::{pattern, time};

/// Version of the standard that is written; any 1.x is read.
pub const SPEC_VERSION: &str = "1.0.34";

/// Which of the four a file is: `_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Keys of all top-level roles.
    Root,
    /// The newest snapshot.
    Timestamp,
    /// The versions of all targets roles.
    Snapshot,
    /// Targets and delegations.
    Targets,
}

/// What every kind has.
pub trait Metadata: Serialize + serde::de::DeserializeOwned {
    /// Its `_type`.
    const KIND: Kind;
    /// The `_type` that stands there.
    fn kind(&self) -> Kind;
    /// The version of the standard it was written by.
    fn spec_version(&self) -> &str;
    /// Its version, from 1.
    fn version(&self) -> u64;
    /// When it stops being valid.
    fn expires(&self) -> Time;
    /// What the form alone does not say.
    ///
    /// # Errors
    /// A sentence with the key, what was found and what is allowed.
    fn check(&self) -> Result<(), String>;
}

macro_rules! metadata {
    ($type:ident) => {
        impl Metadata for $type {
            const KIND: Kind = Kind::$type;

            fn kind(&self) -> Kind {
                self.kind
            }

            fn spec_version(&self) -> &str {
                &self.spec_version
            }

            fn version(&self) -> u64 {
                self.version
            }

            fn expires(&self) -> Time {
                self.expires
            }

            fn check(&self) -> Result<(), String> {
                self.check_content()
            }
        }
    };
}

metadata!(Root);
metadata!(Timestamp);
metadata!(Snapshot);
metadata!(Targets);

/// The keys of all top-level roles (§4.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// `root`.
    #[serde(rename = "_type")]
    pub kind: Kind,
    /// Version of the standard.
    pub spec_version: String,
    /// Version, from 1.
    pub version: u64,
    /// When it stops being valid.
    #[serde(with = "time::text")]
    pub expires: Time,
    /// Whether file names carry versions and digests.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// The keys.
    pub keys: BTreeMap<KeyId, Key>,
    /// Which of them sign for which role.
    pub roles: BTreeMap<String, RoleKeys>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Who signs for a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Keys that may.
    pub keyids: Vec<KeyId>,
    /// How many of them must, at least 1.
    pub threshold: u64,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What is said of another metadata file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Its version.
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The newest snapshot (§4.6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timestamp {
    /// `timestamp`.
    #[serde(rename = "_type")]
    pub kind: Kind,
    /// Version of the standard.
    pub spec_version: String,
    /// Version, from 1.
    pub version: u64,
    /// When it stops being valid.
    #[serde(with = "time::text")]
    pub expires: Time,
    /// When it was signed: a lower bound of time for boards without a clock. Ours, beyond the standard.
    #[serde(default, with = "time::text::optional", skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Time>,
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, MetaFile>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The versions of all targets roles (§4.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snapshot`.
    #[serde(rename = "_type")]
    pub kind: Kind,
    /// Version of the standard.
    pub spec_version: String,
    /// Version, from 1.
    pub version: u64,
    /// When it stops being valid.
    #[serde(with = "time::text")]
    pub expires: Time,
    /// By `ROLE.json`.
    pub meta: BTreeMap<String, MetaFile>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Targets and delegations (§4.5), of the top-level role or a delegated one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// `targets`.
    #[serde(rename = "_type")]
    pub kind: Kind,
    /// Version of the standard.
    pub spec_version: String,
    /// Version, from 1.
    pub version: u64,
    /// When it stops being valid.
    #[serde(with = "time::text")]
    pub expires: Time,
    /// By path. Paths that no [`TargetPath`] can be are never found.
    pub targets: BTreeMap<String, TargetFile>,
    /// To whom it delegates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What is said of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What the repository says of it to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Map<String, Value>>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// To whom a targets role delegates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delegations {
    /// Keys of the delegated roles.
    pub keys: BTreeMap<KeyId, Key>,
    /// The roles, in the order they are searched.
    pub roles: Vec<DelegatedRole>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One delegation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// To whom.
    pub name: RoleName,
    /// Keys that may sign.
    pub keyids: Vec<KeyId>,
    /// How many of them must, at least 1.
    pub threshold: u64,
    /// Whether the search ends with this role for the paths it is about.
    pub terminating: bool,
    /// Patterns of the paths it is about; `*` and `?` do not match `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Or beginnings of the SHA-256 of those paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl DelegatedRole {
    /// Whether the delegation is about `path`.
    pub fn covers(&self, path: &TargetPath) -> bool {
        let by_pattern = self.paths.iter().flatten().any(|pattern| pattern::matches(pattern, path));
        by_pattern || self.path_hash_prefixes.as_ref().is_some_and(|bins| pattern::hash_matches(bins, path))
    }
}

impl Root {
    /// Who signs for `role`, one of the four.
    pub(crate) fn signers_of<'a>(&'a self, role: &'a RoleName) -> Option<Signers<'a>> {
        let listed = self.roles.get(role.as_str())?;
        Some(Signers {
            role,
            by: format!("root version {}", self.version),
            keys: &self.keys,
            keyids: &listed.keyids,
            threshold: listed.threshold,
        })
    }

    /// Whether the keys of `role` are others in `newer`.
    pub(crate) fn rotates(&self, newer: &Self, role: &RoleName) -> bool {
        let keys = |root: &Self| {
            let listed = root.roles.get(role.as_str());
            let mut ids = listed.map_or_else(Vec::new, |listed| listed.keyids.clone());
            ids.sort();
            ids.iter().map(|id| root.keys.get(id).map(|key| (id.clone(), key.clone()))).collect::<Vec<_>>()
        };
        keys(self) != keys(newer)
    }
}

impl Delegations {
    /// Who signs for `role`, one of `self.roles`.
    pub(crate) fn signers_of<'a>(&'a self, role: &'a DelegatedRole, delegator: &RoleName) -> Signers<'a> {
        Signers {
            role: &role.name,
            by: format!("the delegation in {delegator}"),
            keys: &self.keys,
            keyids: &role.keyids,
            threshold: role.threshold,
        }
    }
}

/// Who signs for a role, and who says so.
pub(crate) struct Signers<'a> {
    pub role: &'a RoleName,
    pub by: String,
    pub keys: &'a BTreeMap<KeyId, Key>,
    pub keyids: &'a [KeyId],
    pub threshold: u64,
}
