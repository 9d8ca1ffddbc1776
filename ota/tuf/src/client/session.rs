//! One update: top-level metadata that is trusted, and the search for targets in it.

use super::{Settings, fetch_listed, file_name, listing};
use crate::error::Error;
use crate::fetch::Fetch;
use crate::judge::Evidence;
use crate::metadata::{Root, Signers, Snapshot, Targets, Timestamp};
use crate::name::{MetadataFile, RoleName, TargetPath};
use crate::store::Store;
use crate::time::UpdateStart;
use crate::workflow;
use crate::workflow::search::{self, Found};

/// Verified top-level metadata of one repository, at one time. Targets are looked for here and nowhere else.
#[derive(Debug)]
pub struct Session<'a, F, S> {
    fetch: Option<&'a mut F>,
    store: &'a mut S,
    settings: &'a Settings,
    now: UpdateStart,
    root: Root,
    timestamp: Timestamp,
    snapshot: Snapshot,
    targets: Targets,
}

impl<'a, F: Fetch, S: Store> Session<'a, F, S> {
    pub(super) fn new(
        fetch: Option<&'a mut F>,
        store: &'a mut S,
        settings: &'a Settings,
        now: UpdateStart,
        (root, timestamp, snapshot, targets): (Root, Timestamp, Snapshot, Targets),
    ) -> Self {
        Self { fetch, store, settings, now, root, timestamp, snapshot, targets }
    }

    /// The time that expiry was judged by, and whether a synchronised clock stands behind it.
    pub fn now(&self) -> UpdateStart {
        self.now
    }

    /// The trusted root metadata.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The trusted timestamp metadata.
    pub fn timestamp(&self) -> &Timestamp {
        &self.timestamp
    }

    /// The trusted snapshot metadata.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The trusted metadata of the top-level targets role.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Looks for `path`, §5.6.7. Delegated roles are fetched where the stored ones are not what the snapshot asks for.
    ///
    /// # Errors
    /// [`Error::NoTarget`], or why a role on the way was refused: then the search has ended.
    pub fn find(&mut self, path: &TargetPath) -> Result<Found, Error> {
        let Self { fetch, store, settings, now, root, snapshot, targets, .. } = self;
        let mut load = |signers: &Signers<'_>| {
            load_targets(fetch.as_deref_mut(), *store, settings, *now, (root, snapshot), signers)
        };
        search::find(path, targets, &settings.limits, &mut load)
    }

    /// Where a target lies below the repository's targets, best first: with consistent snapshots under each of its
    /// digests (§5.7.3).
    pub fn url_paths(&self, found: &Found) -> Vec<String> {
        if self.root.consistent_snapshot {
            found.file.hashes.digests().map(|digest| found.path.url_path(Some(digest))).collect()
        } else {
            vec![found.path.url_path(None)]
        }
    }

    /// The files by which another, that trusts a root of version `from_root` or later, can judge for itself that `found`
    /// is provided by its role.
    ///
    /// # Errors
    /// [`Error::Store`], or [`Error::Missing`] if the store does not hold all of them.
    pub fn evidence(&self, found: &Found, from_root: u64) -> Result<Evidence, Error> {
        let missing = |file: MetadataFile| Error::Missing { file: file.to_string() };
        let root = |version| {
            let file = MetadataFile::versioned(&RoleName::root(), version);
            self.store.kept_root(version)?.ok_or_else(|| missing(file))
        };
        let roots = (from_root.max(1)..=self.root.version).map(root).collect::<Result<_, _>>()?;
        let role =
            |role: &RoleName| self.store.load(role)?.ok_or_else(|| missing(MetadataFile::unversioned(role)));
        let targets = role(&RoleName::targets())?;
        let delegated = found.chain.iter().skip(1).map(|name| Ok((name.clone(), role(name)?)));
        Ok(Evidence { roots, targets, delegated: delegated.collect::<Result<_, Error>>()? })
    }
}

/// 5.6.1 to 5.6.6 for the role that `signers` sign for: from the store if that is what the snapshot asks for, else from
/// the repository, then stored.
pub(super) fn load_targets<F: Fetch, S: Store>(
    fetch: Option<&mut F>,
    store: &mut S,
    settings: &Settings,
    now: UpdateStart,
    (root, snapshot): (&Root, &Snapshot),
    signers: &Signers<'_>,
) -> Result<Targets, Error> {
    let role = signers.role;
    let listed = listing(snapshot, role)?;
    let check = |bytes: &[u8]| workflow::targets::check(signers, listed, bytes, now, &settings.expiry);
    let stored = store.load(role)?;
    let Some(fetch) = fetch else {
        let file = MetadataFile::unversioned(role).to_string();
        return check(&stored.ok_or(Error::Missing { file })?);
    };
    if let Some(Ok(targets)) = stored.as_deref().map(check) {
        return Ok(targets);
    }
    // 5.6.1 "Download the top-level targets metadata file, up to either the number of bytes specified in the snapshot
    // metadata file, or some Z number of bytes."
    let bytes = fetch_listed(fetch, &file_name(root, role, listed), listed, settings.limits.targets)?;
    // 5.6.2 to 5.6.5
    let targets = check(&bytes)?;
    // 5.6.6 "Persist targets metadata."
    store.save(role, &bytes)?;
    Ok(targets)
}
