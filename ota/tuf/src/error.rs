//! What can go wrong, each with a stable code for logs and reports.

use jiff::Timestamp;

use crate::fetch::FetchError;
use crate::name::{KeyId, RoleName, TargetPath};
use crate::store::StoreError;

/// Why metadata or a target was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No root metadata that trust could begin with.
    #[error(
        "no trusted root metadata: the store holds none that verifies and none was given; install root.json first"
    )]
    NoRoot,
    /// Not what the standard's §4 says such a file looks like.
    #[error("{role} metadata is malformed: {problem}")]
    Malformed {
        /// Whose metadata.
        role: RoleName,
        /// What was found where, and what is allowed.
        problem: String,
    },
    /// Longer than allowed.
    #[error("{file} is longer than the {limit} bytes allowed for it")]
    TooLong {
        /// File as asked for.
        file: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// Not the length that is signed.
    #[error("{file} has {found} bytes where {expected} are signed")]
    Length {
        /// File as asked for.
        file: String,
        /// Bytes there are.
        found: u64,
        /// Bytes signed.
        expected: u64,
    },
    /// Not the digest that is signed.
    #[error("{file} has the {algorithm} {found} where {expected} is signed")]
    Hash {
        /// File as asked for.
        file: String,
        /// Which digest.
        algorithm: &'static str,
        /// Digest it has, hexadecimal.
        found: String,
        /// Digest signed, hexadecimal.
        expected: String,
    },
    /// Signed with no digest that this client can compute.
    #[error("{file} is signed with no digest known here (sha256, sha512), only with {found}")]
    NoKnownHash {
        /// File or target.
        file: String,
        /// Names of the digests given.
        found: String,
    },
    /// Not signed by enough different keys of the role.
    #[error(
        "{role} metadata carries {found} valid signatures of different keys, {threshold} are needed (by {by})"
    )]
    Signatures {
        /// Whose metadata.
        role: RoleName,
        /// Different keys that signed it validly.
        found: usize,
        /// Keys needed.
        threshold: u64,
        /// Who names the keys.
        by: String,
    },
    /// Older than what is trusted already.
    #[error("rollback: {role} metadata of version {offered} offered, version {trusted} is trusted already")]
    Rollback {
        /// Whose version goes back.
        role: RoleName,
        /// Version offered.
        offered: u64,
        /// Version trusted.
        trusted: u64,
    },
    /// Not the version that was asked for.
    #[error("{role} metadata of version {expected} was asked for, version {found} came")]
    Version {
        /// Whose metadata.
        role: RoleName,
        /// Version in the file.
        found: u64,
        /// Version it must have.
        expected: u64,
    },
    /// A role has vanished from the snapshot metadata.
    #[error("rollback: {role} is no longer listed in the snapshot metadata")]
    Delisted {
        /// Role that was listed.
        role: RoleName,
    },
    /// Expired: a freeze attack, or an operator who forgot to sign.
    #[error("{role} metadata expired at {expires}; this update began at {now}")]
    Expired {
        /// Whose metadata.
        role: RoleName,
        /// When it expired.
        expires: Timestamp,
        /// Time of this update.
        now: Timestamp,
    },
    /// Timestamp metadata signed after now.
    #[error("timestamp metadata says it was signed at {signed_at}, more than a day after {now}")]
    FromTheFuture {
        /// Time of signing.
        signed_at: Timestamp,
        /// Time of this update.
        now: Timestamp,
    },
    /// The repository does not have the file.
    #[error("{file} is not there")]
    Missing {
        /// File as asked for.
        file: String,
    },
    /// A delegated role that the snapshot metadata does not list.
    #[error("role {role} is delegated to and not listed in the snapshot metadata")]
    NotInSnapshot {
        /// The role.
        role: RoleName,
    },
    /// No role has the target.
    #[error("no targets role has {path} ({visited} delegated roles visited)")]
    NoTarget {
        /// Path looked for.
        path: TargetPath,
        /// Delegated roles looked into.
        visited: usize,
    },
    /// The search for the target met its bound.
    #[error("the search for {path} ended at its bound of {limit}")]
    SearchTooLong {
        /// Path looked for.
        path: TargetPath,
        /// Which bound.
        limit: String,
    },
    /// The target comes from a role that must not provide it.
    #[error("{path} is provided by role {found}, only {expected} may")]
    WrongRole {
        /// Path looked for.
        path: TargetPath,
        /// Role it was found in.
        found: RoleName,
        /// Role it must be found in.
        expected: RoleName,
    },
    /// A signature by a key that may not sign, or that is none.
    #[error("key {key} cannot sign: {problem}")]
    Signer {
        /// The key.
        key: KeyId,
        /// What went wrong.
        problem: String,
    },
    /// The repository could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store of trusted metadata failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// A stable word for logs and reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoot => "no_root",
            Self::Malformed { .. } => "malformed",
            Self::TooLong { .. } => "too_long",
            Self::Length { .. } => "length",
            Self::Hash { .. } | Self::NoKnownHash { .. } => "hash",
            Self::Signatures { .. } => "signatures",
            Self::Rollback { .. } | Self::Delisted { .. } => "rollback",
            Self::Version { .. } => "version",
            Self::Expired { .. } => "expired",
            Self::FromTheFuture { .. } => "from_the_future",
            Self::Missing { .. } => "missing",
            Self::NotInSnapshot { .. } => "not_in_snapshot",
            Self::NoTarget { .. } => "no_target",
            Self::SearchTooLong { .. } => "search_too_long",
            Self::WrongRole { .. } => "wrong_role",
            Self::Signer { .. } => "signer",
            Self::Fetch(_) => "fetch",
            Self::Store(_) => "store",
        }
    }

    pub(crate) fn malformed(role: &RoleName, problem: impl ToString) -> Self {
        Self::Malformed { role: role.clone(), problem: problem.to_string() }
    }
}
