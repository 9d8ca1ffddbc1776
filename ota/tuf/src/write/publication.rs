//! What goes onto the server, in which order, and the proof that a vehicle would take it.

use crate::client::{Client, Settings, install_root};
use crate::error::Error;
use crate::fetch::MemoryRepository;
use crate::metadata::{Metadata, Root, Snapshot, Targets, Timestamp};
use crate::name::{MetadataFile, RoleName, TargetPath};
use crate::store::MemoryStore;
use crate::time::Reading;
use crate::workflow::search::Found;
use crate::write::Draft;

/// Files to publish. Written in this order, a client sees the old repository or the new one at any moment: everything
/// but the last is a new name, and `timestamp.json` comes last.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    files: Vec<(MetadataFile, Vec<u8>)>,
}

impl Publication {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A root; earlier ones must lie on the server already or come before.
    #[must_use]
    pub fn root(self, draft: &Draft<Root>) -> Self {
        self.versioned(draft)
    }

    /// The metadata of a targets role.
    #[must_use]
    pub fn targets(self, draft: &Draft<Targets>) -> Self {
        self.versioned(draft)
    }

    /// The snapshot metadata.
    #[must_use]
    pub fn snapshot(self, draft: &Draft<Snapshot>) -> Self {
        self.versioned(draft)
    }

    /// The timestamp metadata, which ends it.
    pub fn timestamp(mut self, draft: &Draft<Timestamp>) -> Vec<(MetadataFile, Vec<u8>)> {
        self.files.push((MetadataFile::unversioned(draft.role()), draft.to_bytes()));
        self.files
    }

    fn versioned(mut self, draft: &Draft<impl Metadata>) -> Self {
        let file = MetadataFile::versioned(draft.role(), draft.signed().version());
        self.files.push((file, draft.to_bytes()));
        self
    }
}

/// Runs our own client, from the root of a device in the field, over the whole repository as it will be, and looks for
/// each of `paths`. With `stored`, what such a device holds already: a roll-back is found too.
///
/// # Errors
/// What a device would refuse.
pub fn prove(
    repository: &MemoryRepository,
    device_root: &[u8],
    stored: Option<MemoryStore>,
    now: jiff::Timestamp,
    paths: &[TargetPath],
) -> Result<Vec<Found>, Error> {
    let mut store = stored.unwrap_or_default();
    if !store.roles.contains_key(&RoleName::root()) {
        install_root(&mut store, device_root)?;
    }
    let mut client = Client::new(repository.clone(), store, Reading::Synchronised(now), Settings::new(now));
    let mut session = client.refresh()?;
    paths.iter().map(|path| session.find(path)).collect()
}
