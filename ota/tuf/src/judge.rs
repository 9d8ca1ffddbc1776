//! Judging for oneself, from files that somebody else fetched.
//!
//! The runtime does not believe the agent: it follows the chain of roots from its own one, which lies where the agent
//! cannot write, and the delegations from the top-level targets role to the one that must vouch for a model. Snapshot
//! and timestamp metadata, which online keys sign, take no part. Expiry is not judged unless asked for: a model that
//! was accepted once must still load after a year in a garage.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::limits::Limits;
use crate::metadata::{Root, Signers, Targets};
use crate::name::{MetadataFile, RoleName, TargetPath};
use crate::time::{ExpiryPolicy, UpdateStart};
use crate::workflow::search::{self, Found};
use crate::workflow::{self, check_expiry, length_of};

/// Files that speak for a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Root metadata in the order of its versions; those up to the judge's own are passed over.
    pub roots: Vec<Vec<u8>>,
    /// Metadata of the top-level targets role.
    pub targets: Vec<u8>,
    /// Metadata of delegated roles.
    pub delegated: BTreeMap<RoleName, Vec<u8>>,
}

/// One who trusts a root and judges.
#[derive(Debug, Clone)]
pub struct Judge {
    root: Root,
    limits: Limits,
    expiry: Option<(UpdateStart, ExpiryPolicy)>,
}

/// What a judge found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The target and the roles that vouch for it.
    pub found: Found,
    /// Version of the root that the chain ended at.
    pub root_version: u64,
    /// That root's bytes, if it is newer than the judge's own: worth trusting from now on, so that an older one is never
    /// taken again.
    pub newer_root: Option<Vec<u8>>,
}

impl Judge {
    /// Trusts `root`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(root: &[u8]) -> Result<Self, Error> {
        Ok(Self { root: workflow::root::load(root)?, limits: Limits::default(), expiry: None })
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Judges expiry too.
    #[must_use]
    pub fn with_expiry(self, now: UpdateStart, policy: ExpiryPolicy) -> Self {
        Self { expiry: Some((now, policy)), ..self }
    }

    /// Looks for `path` in `evidence`.
    ///
    /// # Errors
    /// Why it does not speak for the target.
    pub fn find(&self, evidence: &Evidence, path: &TargetPath) -> Result<Judgement, Error> {
        let (root, newer_root) = self.newest_root(&evidence.roots)?;
        self.check_expiry(&RoleName::root(), &root)?;
        let targets = RoleName::targets();
        let signers = root.signers_of(&targets).ok_or(Error::NoRoot)?;
        let top = self.check_targets(&signers, &evidence.targets)?;
        let mut load = |signers: &Signers<'_>| {
            let bytes = evidence.delegated.get(signers.role);
            let file = || MetadataFile::unversioned(signers.role).to_string();
            self.check_targets(signers, bytes.ok_or_else(|| Error::Missing { file: file() })?)
        };
        let found = search::find(path, &top, &self.limits, &mut load)?;
        Ok(Judgement { found, root_version: root.version, newer_root })
    }

    /// §5.3.3 to §5.3.9, over files instead of downloads.
    fn newest_root(&self, roots: &[Vec<u8>]) -> Result<(Root, Option<Vec<u8>>), Error> {
        let (mut root, mut newest) = (self.root.clone(), None);
        let mut left = self.limits.root_rotations;
        for bytes in roots {
            check_length(&RoleName::root(), bytes, self.limits.root)?;
            // A link before our own root is no business of ours: not even its signatures are looked at.
            if version_of(bytes).is_some_and(|version| version <= self.root.version) {
                continue;
            }
            let Some(rest) = left.checked_sub(1) else { break };
            left = rest;
            root = workflow::root::next(&root, bytes)?;
            newest = Some(bytes.clone());
        }
        Ok((root, newest))
    }

    fn check_targets(&self, signers: &Signers<'_>, bytes: &[u8]) -> Result<Targets, Error> {
        check_length(signers.role, bytes, self.limits.targets)?;
        let targets = workflow::targets::signed(signers, bytes)?;
        self.check_expiry(signers.role, &targets)?;
        Ok(targets)
    }

    fn check_expiry(&self, role: &RoleName, metadata: &impl crate::metadata::Metadata) -> Result<(), Error> {
        self.expiry.as_ref().map_or(Ok(()), |(now, policy)| check_expiry(role, metadata, *now, policy))
    }
}

fn check_length(role: &RoleName, bytes: &[u8], limit: u64) -> Result<(), Error> {
    let file = || MetadataFile::unversioned(role).to_string();
    if length_of(bytes) > limit { Err(Error::TooLong { file: file(), limit }) } else { Ok(()) }
}

/// The version that unverified root metadata claims: only to pass over old links.
fn version_of(bytes: &[u8]) -> Option<u64> {
    crate::json::parse(bytes).ok()?.pointer("/signed/version")?.as_u64()
}
