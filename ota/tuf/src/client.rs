//! The client: runs the workflow of TUF §5 against a repository, a store and a clock.

mod session;
mod settings;

use crate::error::Error;
use crate::fetch::{Fetch, Fetched};
use crate::metadata::{MetaFile, Root, Snapshot, Targets, Timestamp};
use crate::name::{MetadataFile, RoleName};
use crate::store::Store;
use crate::time::{Clock, UpdateStart};
use crate::workflow::{self, check_expiry, length_of};

pub use session::Session;
pub use settings::Settings;

/// A client of one repository. One at a time may work on a store; the caller holds the lock.
#[derive(Debug)]
pub struct Client<F, S, C> {
    fetch: F,
    store: S,
    clock: C,
    settings: Settings,
}

/// Installs the first trusted root metadata, which came another way than the updates will: with the image, or by hand.
///
/// # Errors
/// What is wrong with it, or [`Error::Store`].
pub fn install_root(store: &mut impl Store, bytes: &[u8]) -> Result<Root, Error> {
    let root = workflow::root::load(bytes)?;
    store.keep_root(root.version, bytes)?;
    store.save(&RoleName::root(), bytes)?;
    Ok(root)
}

impl<F: Fetch, S: Store, C: Clock> Client<F, S, C> {
    /// A client that has done nothing yet.
    pub fn new(fetch: F, store: S, clock: C, settings: Settings) -> Self {
        Self { fetch, store, clock, settings }
    }

    /// The repository, store and clock again.
    pub fn into_parts(self) -> (F, S, C) {
        (self.fetch, self.store, self.clock)
    }

    /// Brings the top-level metadata up to date, §5.1 to §5.6.6. Whatever goes wrong, what was verified before it stays
    /// stored, nothing else is, and the next refresh goes on from there.
    ///
    /// # Errors
    /// Which step refused what; [`Error::Fetch`] and [`Error::Store`] for what lies outside.
    pub fn refresh(&mut self) -> Result<Session<'_, F, S>, Error> {
        // 5.1 "Record the time at which the update began as the fixed update start time."
        let began = UpdateStart::new(self.clock.reading(), self.settings.not_before);
        // 5.2 "Load the trusted root metadata file."
        let first = self.trusted_root()?;
        // 5.3.1 to 5.3.9
        let root = self.update_root(first.clone())?;

        let rotated =
            [RoleName::timestamp(), RoleName::snapshot()].iter().any(|role| first.rotates(&root, role));
        let stored = if rotated { None } else { self.stored_timestamp(&root)? };
        // One that was stored while a wrong clock was believed does not move a right one.
        let now = began.raised(stored.as_ref().and_then(|stored| stored.signed_at)).unwrap_or(began);

        // 5.3.10 "The expiration timestamp in the trusted root metadata file MUST be higher than the fixed update start
        // time."
        check_expiry(&RoleName::root(), &root, now, &self.settings.expiry)?;
        // 5.3.11 "If the timestamp and / or snapshot keys have been rotated, then delete the trusted timestamp and
        // snapshot metadata files." If this process ends before it does, the old keys' files no longer verify.
        if rotated {
            self.store.remove(&RoleName::timestamp())?;
            self.store.remove(&RoleName::snapshot())?;
        }

        let (timestamp, now) = self.update_timestamp(&root, stored, now)?;
        let snapshot = self.update_snapshot(&root, &timestamp, now)?;
        let targets = self.update_targets(&root, &snapshot, now)?;
        Ok(Session::new(
            Some(&mut self.fetch),
            &mut self.store,
            &self.settings,
            now,
            (root, timestamp, snapshot, targets),
        ))
    }

    /// What the store holds, verified again, without asking the repository: for looking up targets while it is out of
    /// reach. Roles that are not stored are missing.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub fn resume(&mut self) -> Result<Session<'_, F, S>, Error> {
        let began = UpdateStart::new(self.clock.reading(), self.settings.not_before);
        let root = self.trusted_root()?;
        let missing = |role: &RoleName| Error::Missing { file: MetadataFile::unversioned(role).to_string() };
        let timestamp = self.stored_timestamp(&root)?.ok_or_else(|| missing(&RoleName::timestamp()))?;
        let now = began.raised(timestamp.signed_at).unwrap_or(began);
        let policy = &self.settings.expiry;
        check_expiry(&RoleName::root(), &root, now, policy)?;
        check_expiry(&RoleName::timestamp(), &timestamp, now, policy)?;

        let role = RoleName::snapshot();
        let bytes = self.store.load(&role)?.ok_or_else(|| missing(&role))?;
        let listed = timestamp.snapshot().ok_or_else(|| missing(&role))?;
        let snapshot = workflow::snapshot::check(&root, listed, None, &bytes, now, policy)?;

        let role = RoleName::targets();
        let bytes = self.store.load(&role)?.ok_or_else(|| missing(&role))?;
        let signers = root.signers_of(&role).ok_or(Error::NoRoot)?;
        let targets = workflow::targets::check(&signers, listing(&snapshot, &role)?, &bytes, now, policy)?;
        drop(signers);
        Ok(Session::new(None, &mut self.store, &self.settings, now, (root, timestamp, snapshot, targets)))
    }

    /// 5.2: the stored root, or the one that came with this program if that is newer or the stored one is damaged.
    fn trusted_root(&mut self) -> Result<Root, Error> {
        let anchor = self.settings.anchor.as_deref().map(workflow::root::load).transpose()?;
        let stored = self.store.load(&RoleName::root())?;
        match (stored.map(|bytes| workflow::root::load(&bytes)), anchor) {
            (Some(Ok(stored)), Some(anchor)) if stored.version >= anchor.version => Ok(stored),
            (Some(stored), None) => stored,
            (_, Some(anchor)) => Ok(anchor),
            (None, None) => Err(Error::NoRoot),
        }
    }

    /// 5.3.1 to 5.3.9.
    fn update_root(&mut self, mut root: Root) -> Result<Root, Error> {
        let role = RoleName::root();
        // 5.3.9 "Repeat", at most Y times: what lies beyond is left for the next update.
        for _ in 0..self.settings.limits.root_rotations {
            // 5.3.3 "Try downloading version N+1 of the root metadata file, up to some W number of bytes. … If this file
            // is not available, … then go to step 5.3.10."
            let file = MetadataFile::versioned(&role, workflow::root::following(&root)?);
            let Fetched::Found(bytes) = self.fetch(&file, self.settings.limits.root)? else { break };
            // 5.3.4 to 5.3.6
            let new = workflow::root::next(&root, &bytes)?;
            // 5.3.8 "Persist root metadata."
            self.store.keep_root(new.version, &bytes)?;
            self.store.save(&role, &bytes)?;
            // 5.3.7 "Set the trusted root metadata file to the new root metadata file."
            root = new;
        }
        Ok(root)
    }

    fn stored_timestamp(&self, root: &Root) -> Result<Option<Timestamp>, Error> {
        let bytes = self.store.load(&RoleName::timestamp())?;
        Ok(bytes.and_then(|bytes| workflow::timestamp::stored(root, &bytes)))
    }

    /// 5.4.
    fn update_timestamp(
        &mut self,
        root: &Root,
        stored: Option<Timestamp>,
        now: UpdateStart,
    ) -> Result<(Timestamp, UpdateStart), Error> {
        let role = RoleName::timestamp();
        let policy = self.settings.expiry.clone();
        // 5.4.1 "Download the timestamp metadata file, up to X number of bytes".
        let file = MetadataFile::unversioned(&role);
        let outcome = match (self.fetch(&file, self.settings.limits.timestamp)?, &stored) {
            (Fetched::Found(bytes), stored) => {
                let outcome = workflow::timestamp::check(root, stored.as_ref(), &bytes, now, &policy)?;
                if matches!(outcome, workflow::timestamp::Outcome::New(..)) {
                    // 5.4.5 "Persist timestamp metadata."
                    self.store.save(&role, &bytes)?;
                }
                outcome
            }
            (Fetched::Unchanged, Some(_)) => workflow::timestamp::Outcome::Same,
            (Fetched::Unchanged | Fetched::Missing, _) => {
                return Err(Error::Missing { file: file.to_string() });
            }
        };
        match (outcome, stored) {
            (workflow::timestamp::Outcome::New(timestamp, now), _) => Ok((timestamp, now)),
            (workflow::timestamp::Outcome::Same, Some(stored)) => {
                check_expiry(&role, &stored, now, &policy)?;
                Ok((stored, now))
            }
            (workflow::timestamp::Outcome::Same, None) => Err(Error::Missing { file: file.to_string() }),
        }
    }

    /// 5.5.
    fn update_snapshot(
        &mut self,
        root: &Root,
        timestamp: &Timestamp,
        now: UpdateStart,
    ) -> Result<Snapshot, Error> {
        let role = RoleName::snapshot();
        let policy = self.settings.expiry.clone();
        let listed = timestamp.snapshot().ok_or_else(|| Error::malformed(&role, "not listed"))?;
        let stored_bytes = self.store.load(&role)?;
        let stored = stored_bytes.as_deref().and_then(|bytes| workflow::snapshot::stored(root, bytes));
        // The stored one is taken without a download if it is what the timestamp metadata asks for.
        let unchanged =
            stored_bytes.filter(|_| stored.as_ref().is_some_and(|stored| stored.version == listed.version));
        if let Some(bytes) = unchanged
            && let Ok(snapshot) = workflow::snapshot::check(root, listed, None, &bytes, now, &policy)
        {
            return Ok(snapshot);
        }
        // 5.5.1 "Download snapshot metadata file, up to either the number of bytes specified in the timestamp metadata
        // file, or some Y number of bytes."
        let file = file_name(root, &role, listed);
        let bytes = self.fetch_listed(&file, listed, self.settings.limits.snapshot)?;
        // 5.5.2 to 5.5.6
        let snapshot = workflow::snapshot::check(root, listed, stored.as_ref(), &bytes, now, &policy)?;
        // 5.5.7 "Persist snapshot metadata."
        self.store.save(&role, &bytes)?;
        Ok(snapshot)
    }

    /// 5.6.1 to 5.6.6.
    fn update_targets(
        &mut self,
        root: &Root,
        snapshot: &Snapshot,
        now: UpdateStart,
    ) -> Result<Targets, Error> {
        let role = RoleName::targets();
        let signers = root.signers_of(&role).ok_or(Error::NoRoot)?;
        session::load_targets(
            Some(&mut self.fetch),
            &mut self.store,
            &self.settings,
            now,
            (root, snapshot),
            &signers,
        )
    }

    fn fetch(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, Error> {
        fetch(&mut self.fetch, file, limit)
    }

    fn fetch_listed(&mut self, file: &MetadataFile, listed: &MetaFile, limit: u64) -> Result<Vec<u8>, Error> {
        fetch_listed(&mut self.fetch, file, listed, limit)
    }
}

/// Fetches a file and refuses what is longer than `limit`, whatever the transport did.
fn fetch(from: &mut impl Fetch, file: &MetadataFile, limit: u64) -> Result<Fetched, Error> {
    match from.metadata(file, limit)? {
        Fetched::Found(bytes) if length_of(&bytes) > limit => {
            Err(Error::TooLong { file: file.to_string(), limit })
        }
        fetched => Ok(fetched),
    }
}

/// Fetches a file that other metadata lists; a signed length above `limit` is refused before anything is fetched.
fn fetch_listed(
    from: &mut impl Fetch,
    file: &MetadataFile,
    listed: &MetaFile,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    if listed.length.is_some_and(|length| length > limit) {
        return Err(Error::TooLong { file: file.to_string(), limit });
    }
    match fetch(from, file, listed.length.unwrap_or(limit))? {
        Fetched::Found(bytes) => Ok(bytes),
        Fetched::Missing | Fetched::Unchanged => Err(Error::Missing { file: file.to_string() }),
    }
}

/// 5.5.1, 5.6.1: `VERSION.ROLE.json` with consistent snapshots, `ROLE.json` without.
fn file_name(root: &Root, role: &RoleName, listed: &MetaFile) -> MetadataFile {
    if root.consistent_snapshot {
        MetadataFile::versioned(role, listed.version)
    } else {
        MetadataFile::unversioned(role)
    }
}

fn listing<'a>(snapshot: &'a Snapshot, role: &RoleName) -> Result<&'a MetaFile, Error> {
    snapshot.meta.get(&role.listed_as()).ok_or_else(|| Error::NotInSnapshot { role: role.clone() })
}
