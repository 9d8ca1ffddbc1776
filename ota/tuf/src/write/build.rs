//! Making metadata and its next version.

use std::collections::BTreeMap;
use std::io::{self, Read};

use jiff::Timestamp as Time;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::metadata::{
    DelegatedRole, Delegations, Hashes, Kind, MetaFile, RoleKeys, Root, SPEC_VERSION, Snapshot, TargetFile,
    Targets, Timestamp,
};
use crate::name::{KeyId, RoleName, TargetPath};
use crate::workflow::length_of;

/// Other clients read times without fractions of a second only.
pub fn whole_seconds(time: Time) -> Time {
    Time::from_second(time.as_second()).unwrap_or(time)
}

impl Root {
    /// Version 1, without keys, with consistent snapshots.
    pub fn new(expires: Time) -> Self {
        let role = |name: &str| {
            let nobody = RoleKeys { keyids: Vec::new(), threshold: 1, extra: Map::new() };
            (name.to_owned(), nobody)
        };
        Self {
            kind: Kind::Root,
            spec_version: SPEC_VERSION.into(),
            version: 1,
            expires: whole_seconds(expires),
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: ["root", "timestamp", "snapshot", "targets"].map(role).into(),
            extra: Map::new(),
        }
    }

    /// The next version, to be changed and signed by the keys of this one and its own.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        Self { version: self.version + 1, expires: whole_seconds(expires), ..self.clone() }
    }

    /// Lets `key` sign for `role`, one of the four.
    pub fn allow(&mut self, role: &RoleName, key: Key) {
        let id = key.id();
        if let Some(keys) = self.roles.get_mut(role.as_str()).filter(|keys| !keys.keyids.contains(&id)) {
            keys.keyids.push(id.clone());
            self.keys.insert(id, key);
        }
    }

    /// Takes `key` from `role`.
    pub fn revoke(&mut self, role: &RoleName, key: &KeyId) {
        if let Some(keys) = self.roles.get_mut(role.as_str()) {
            keys.keyids.retain(|id| id != key);
        }
        if !self.roles.values().any(|keys| keys.keyids.contains(key)) {
            self.keys.remove(key);
        }
    }

    /// How many keys must sign for `role`.
    pub fn require(&mut self, role: &RoleName, threshold: u64) {
        if let Some(keys) = self.roles.get_mut(role.as_str()) {
            keys.threshold = threshold;
        }
    }
}

impl Targets {
    /// Version 1, empty.
    pub fn new(expires: Time) -> Self {
        Self {
            kind: Kind::Targets,
            spec_version: SPEC_VERSION.into(),
            version: 1,
            expires: whole_seconds(expires),
            targets: BTreeMap::new(),
            delegations: None,
            extra: Map::new(),
        }
    }

    /// The next version, to be changed.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        Self { version: self.version + 1, expires: whole_seconds(expires), ..self.clone() }
    }

    /// Lists a target, or replaces it.
    pub fn add(&mut self, path: &TargetPath, file: TargetFile) {
        self.targets.insert(path.as_str().to_owned(), file);
    }

    /// Delegates, or replaces the delegation of that name in its place; `keys` are added to those known.
    pub fn delegate(&mut self, mut role: DelegatedRole, keys: Vec<Key>) {
        let none = || Delegations { keys: BTreeMap::new(), roles: Vec::new(), extra: Map::new() };
        let delegations = self.delegations.get_or_insert_with(none);
        role.keyids = keys.iter().map(Key::id).collect();
        delegations.keys.extend(keys.into_iter().map(|key| (key.id(), key)));
        match delegations.roles.iter_mut().find(|known| known.name == role.name) {
            Some(known) => *known = role,
            None => delegations.roles.push(role),
        }
        let Delegations { keys, roles, .. } = delegations;
        keys.retain(|id, _| roles.iter().any(|role| role.keyids.contains(id)));
    }
}

impl DelegatedRole {
    /// A delegation of paths that match one of `paths`; [`Targets::delegate`] gives it keys.
    pub fn new(name: RoleName, threshold: u64, paths: &[&str]) -> Self {
        Self {
            name,
            keyids: Vec::new(),
            threshold,
            terminating: false,
            paths: Some(paths.iter().map(|path| (*path).to_owned()).collect()),
            path_hash_prefixes: None,
            extra: Map::new(),
        }
    }

    /// The same, terminating: for its paths nobody after it is asked.
    #[must_use]
    pub fn terminating(self) -> Self {
        Self { terminating: true, ..self }
    }
}

impl TargetFile {
    /// What is signed of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { length: length_of(bytes), hashes: Hashes::sha256_of(bytes), custom: None, extra: Map::new() }
    }

    /// What is signed of a file that need not fit into memory.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(mut from: impl Read) -> io::Result<Self> {
        let (mut digest, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 16]);
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                let hashes = Hashes::sha256(&digest.finalize().into());
                return Ok(Self { length, hashes, custom: None, extra: Map::new() });
            }
            digest.update(&buffer[..read]);
            length += length_of(&buffer[..read]);
        }
    }

    /// The same with what is said of it to the application.
    #[must_use]
    pub fn with_custom(self, custom: Map<String, Value>) -> Self {
        Self { custom: Some(custom), ..self }
    }
}

impl MetaFile {
    /// What is said of a metadata file: version, length and SHA-256.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        let hashes = Some(Hashes::sha256_of(bytes));
        Self { version, length: Some(length_of(bytes)), hashes, extra: Map::new() }
    }
}

impl Snapshot {
    /// Version 1, listing nobody.
    pub fn new(expires: Time) -> Self {
        Self {
            kind: Kind::Snapshot,
            spec_version: SPEC_VERSION.into(),
            version: 1,
            expires: whole_seconds(expires),
            meta: BTreeMap::new(),
            extra: Map::new(),
        }
    }

    /// The next version, to be changed.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        Self { version: self.version + 1, expires: whole_seconds(expires), ..self.clone() }
    }

    /// Lists the metadata of a targets role.
    pub fn list(&mut self, role: &RoleName, file: MetaFile) {
        self.meta.insert(role.listed_as(), file);
    }
}

impl Timestamp {
    /// Version 1, of a snapshot.
    pub fn new(snapshot: MetaFile, signed_at: Time, expires: Time) -> Self {
        Self {
            kind: Kind::Timestamp,
            spec_version: SPEC_VERSION.into(),
            version: 1,
            expires: whole_seconds(expires),
            signed_at: Some(whole_seconds(signed_at)),
            meta: [(RoleName::snapshot().listed_as(), snapshot)].into(),
            extra: Map::new(),
        }
    }

    /// The next version, of a snapshot.
    #[must_use]
    pub fn next(&self, snapshot: MetaFile, signed_at: Time, expires: Time) -> Self {
        Self { version: self.version + 1, ..Self::new(snapshot, signed_at, expires) }
    }
}
