//! What the form of a file alone does not say, checked as it is read.

use std::collections::BTreeSet;

use super::{DelegatedRole, Delegations, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp};
use crate::limits::{MAX_KEYS, MAX_VERSION};
use crate::name::KeyId;

/// §4.1: a client reads what shares the first part of the version, "1".
pub(crate) fn spec_version(found: &str) -> Result<(), String> {
    let parts: Vec<&str> = found.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let supported = parts.len() >= 2 && parts.len() <= 3 && numbers && parts[0] == "1";
    supported.then_some(()).ok_or_else(|| format!("spec_version is {found:?}, expected 1.x.y"))
}

pub(crate) fn version(found: u64) -> Result<(), String> {
    let allowed = (1..=MAX_VERSION).contains(&found);
    allowed.then_some(()).ok_or_else(|| format!("version is {found}, expected 1 to {MAX_VERSION}"))
}

/// §4.3 and §4.5: a threshold is 1 at least, and a key id stands once. A threshold above the number of keys is no
/// error of form: the role then cannot be signed.
fn role_keys(of: &str, keyids: &[KeyId], threshold: u64) -> Result<(), String> {
    if threshold == 0 {
        return Err(format!("threshold of {of} is 0, expected 1 or more"));
    }
    if keyids.len() > MAX_KEYS {
        return Err(format!("{of} names {} keys, at most {MAX_KEYS} are allowed", keyids.len()));
    }
    let different: BTreeSet<&KeyId> = keyids.iter().collect();
    let once = different.len() == keyids.len();
    once.then_some(()).ok_or_else(|| format!("{of} names a key twice"))
}

impl Root {
    pub(super) fn check_content(&self) -> Result<(), String> {
        for role in ["root", "timestamp", "snapshot", "targets"] {
            let listed = self.roles.get(role).ok_or_else(|| format!("roles lacks {role}"))?;
            role_keys(role, &listed.keyids, listed.threshold)?;
        }
        Ok(())
    }
}

impl Timestamp {
    pub(super) fn check_content(&self) -> Result<(), String> {
        let snapshot = self.meta.get("snapshot.json").ok_or("meta lacks snapshot.json")?;
        snapshot.check("snapshot.json")?;
        let in_order = self.signed_at.is_none_or(|signed_at| signed_at <= self.expires);
        in_order.then_some(()).ok_or_else(|| "signed_at lies after expires".to_owned())
    }

    /// What it says of the snapshot metadata.
    pub fn snapshot(&self) -> Option<&MetaFile> {
        self.meta.get("snapshot.json")
    }
}

impl Snapshot {
    pub(super) fn check_content(&self) -> Result<(), String> {
        self.meta.iter().try_for_each(|(file, meta)| meta.check(file))
    }
}

impl MetaFile {
    fn check(&self, file: &str) -> Result<(), String> {
        version(self.version).map_err(|problem| format!("meta of {file:?}: {problem}"))?;
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.check(file))
    }
}

impl Targets {
    pub(super) fn check_content(&self) -> Result<(), String> {
        self.targets.iter().try_for_each(|(path, file)| file.check(path))?;
        self.delegations.as_ref().map_or(Ok(()), Delegations::check)
    }
}

impl TargetFile {
    fn check(&self, path: &str) -> Result<(), String> {
        self.hashes.check(path)
    }
}

impl Delegations {
    fn check(&self) -> Result<(), String> {
        let names: BTreeSet<_> = self.roles.iter().map(|role| &role.name).collect();
        if names.len() != self.roles.len() {
            return Err("delegations name a role twice".into());
        }
        self.roles.iter().try_for_each(DelegatedRole::check)
    }
}

impl DelegatedRole {
    fn check(&self) -> Result<(), String> {
        if self.name.is_top_level() {
            return Err(format!("delegation to {}, which only root metadata gives keys to", self.name));
        }
        role_keys(self.name.as_str(), &self.keyids, self.threshold)?;
        let one = self.paths.is_some() != self.path_hash_prefixes.is_some();
        one.then_some(())
            .ok_or_else(|| format!("delegation to {} needs either paths or path_hash_prefixes", self.name))
    }
}
