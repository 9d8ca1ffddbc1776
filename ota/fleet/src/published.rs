//! What is published now, verified as a device would and then some: every role, whoever may have expired. Who publishes
//! must be able to go on from a repository that has expired; who installs must not.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp as Time;
use stopline_tuf::fetch::{Fetch, FetchError, Fetched, MemoryRepository};
use stopline_tuf::metadata::{MetaFile, Root, Snapshot, Targets, Timestamp};
use stopline_tuf::store::MemoryStore;
use stopline_tuf::time::{ExpiryPolicy, Reading};
use stopline_tuf::write::{Authority, Draft};
use stopline_tuf::{Client, MetadataFile, RoleName, Settings, install_root};

use crate::exit::{Failure, Result};
use crate::store::{Store, TIMESTAMP, Tag};

/// Bytes of a metadata file, at most.
pub const MAX_METADATA: u64 = 2 << 20;

/// A published repository.
#[derive(Debug, Clone)]
pub struct Published {
    /// Root.
    pub root: Root,
    /// Timestamp.
    pub timestamp: Timestamp,
    /// Snapshot.
    pub snapshot: Snapshot,
    /// Every targets role that is listed, with its signatures.
    pub targets: BTreeMap<RoleName, Draft<Targets>>,
    /// All metadata files that were read, every root among them.
    pub files: MemoryRepository,
    /// What a device stores that has seen it.
    pub device: MemoryStore,
    /// What stood in `timestamp.json`.
    pub tag: Tag,
}

impl Published {
    /// Reads what is published, from a root that is trusted; `None` where nothing is.
    ///
    /// # Errors
    /// What does not hold, or what kept it from being read.
    pub fn read(store: &dyn Store, trusted_root: &[u8]) -> Result<Option<Self>> {
        let Some((_, tag)) = store.read(TIMESTAMP, MAX_METADATA)? else { return Ok(None) };
        let fetch = StoreFetch { store, seen: MemoryRepository::default() };
        let mut device = MemoryStore::default();
        let root = install_root(&mut device, trusted_root)?;
        // Expiry is not judged here, so no time is needed but one before all others.
        let settings = Settings { expiry: ExpiryPolicy::Nobody, ..Settings::new(Time::UNIX_EPOCH) };
        let mut client = Client::new(fetch, device, Reading::Unverified, settings);
        let (root_now, timestamp, snapshot, top) = {
            let session = client.refresh()?;
            let parts = (session.root(), session.timestamp(), session.snapshot(), session.targets());
            (parts.0.clone(), parts.1.clone(), parts.2.clone(), parts.3.clone())
        };
        let (StoreFetch { seen, .. }, device, _) = client.into_parts();
        let mut read =
            Self { root: root_now, timestamp, snapshot, targets: BTreeMap::new(), files: seen, device, tag };
        read.read_roots(store, root.version)?;
        read.read_targets(store, &top)?;
        Ok(Some(read))
    }

    /// Roots from the first on, for devices older than the one that is trusted here.
    fn read_roots(&mut self, store: &dyn Store, trusted: u64) -> Result<()> {
        for version in 1..=self.root.version.max(trusted) {
            let file = MetadataFile::versioned(&RoleName::root(), version);
            if let Entry::Vacant(place) = self.files.files.entry(file) {
                let bytes = read_metadata(store, place.key())?;
                place.insert(bytes);
            }
        }
        Ok(())
    }

    fn read_targets(&mut self, store: &dyn Store, top: &Targets) -> Result<()> {
        let top_role = RoleName::targets();
        let delegated = top.delegations.iter().flat_map(|delegations| &delegations.roles);
        let names = std::iter::once(top_role.clone()).chain(delegated.map(|role| role.name.clone()));
        for role in names.collect::<Vec<_>>() {
            let Some(listed) = self.snapshot.meta.get(&format!("{role}.json")) else { continue };
            let file = MetadataFile::versioned(&role, listed.version);
            let bytes = match self.files.files.get(&file) {
                Some(bytes) => bytes.clone(),
                None => read_metadata(store, &file)?,
            };
            if MetaFile::of(listed.version, &bytes) != *listed {
                return Err(Failure::refused(format!("{file}: it is not the file that the snapshot lists")));
            }
            let draft = Draft::<Targets>::read(role.clone(), &bytes)?;
            let authority = match role == top_role {
                true => Authority::Root(&self.root),
                false => Authority::Delegator(top, &top_role),
            };
            let standing = draft.standing(authority)?;
            if !standing.complete() {
                return Err(Failure::refused(format!(
                    "{file}: {} valid signatures, {} are needed",
                    standing.valid, standing.threshold
                )));
            }
            self.files.files.insert(file, bytes);
            self.targets.insert(role, draft);
        }
        Ok(())
    }

    /// The top-level targets metadata.
    pub fn top(&self) -> Option<&Targets> {
        self.targets.get(&RoleName::targets()).map(Draft::signed)
    }

    /// What a targets role says, if it is listed.
    pub fn role(&self, role: &RoleName) -> Option<&Targets> {
        self.targets.get(role).map(Draft::signed)
    }

    /// The bytes of the newest root.
    pub fn root_bytes(&self) -> Option<&[u8]> {
        let file = MetadataFile::versioned(&RoleName::root(), self.root.version);
        self.files.files.get(&file).map(Vec::as_slice)
    }
}

fn read_metadata(store: &dyn Store, file: &MetadataFile) -> Result<Vec<u8>> {
    let found = store.read(&format!("metadata/{file}"), MAX_METADATA)?;
    found
        .map(|(bytes, _)| bytes)
        .ok_or_else(|| Failure::refused(format!("{}: metadata/{file} is missing", store.name())))
}

/// The client's view of a store; keeps what it saw.
pub struct StoreFetch<'a> {
    /// Where it reads.
    pub store: &'a dyn Store,
    /// What it saw.
    pub seen: MemoryRepository,
}

impl Fetch for StoreFetch<'_> {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        match self.store.read(&format!("metadata/{file}"), limit) {
            Ok(Some((bytes, _))) => {
                self.seen.files.insert(file.clone(), bytes.clone());
                Ok(Fetched::Found(bytes))
            }
            Ok(None) => Ok(Fetched::Missing),
            Err(failure) => Err(FetchError::new(file, failure.message)),
        }
    }
}
