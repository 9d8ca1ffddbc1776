//! Why the depot, the runtime's state or the trust folder refuses.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::pointers::PointerError;
use crate::deployment::{DeployCause, Phase};
use crate::digest::Digest;
use crate::versioned::VersionedError;

/// Why the depot refuses.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// A call of the file system failed.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{}: held by {by}. Only one may write here: stop it, or let it do the work", path.display())]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who says so in the lock.
        by: String,
    },
    /// A file is newer than this program, or broken.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        source: VersionedError,
    },
    /// A file that must be there is not.
    #[error("{}: not there. {remedy}", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// What came is not what was signed.
    #[error("slot {digest}: {problem}; the slot was emptied")]
    Content {
        /// The slot.
        digest: Digest,
        /// What was found and what is expected.
        problem: String,
    },
    /// The medium gave back something else than was written to it.
    #[error(
        "slot {digest}: {found} was read back after writing. The medium is worn or failing; the slot was emptied"
    )]
    ReadBack {
        /// The slot.
        digest: Digest,
        /// What was read back.
        found: String,
    },
    /// A Staged slot is never written again.
    #[error("slot {0} is Staged already; it is never written again")]
    Staged(Digest),
    /// The slot's record is not readable, so nothing is known of it.
    #[error("slot {0} is not Staged: nothing can be offered from it")]
    NotStaged(Digest),
    /// There is no room for it.
    #[error("slot {digest} needs {needed} bytes, {available} are free in {}", folder.display())]
    Room {
        /// The slot.
        digest: Digest,
        /// The depot.
        folder: PathBuf,
        /// Bytes needed, with a reserve.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// A `.slb` is refused or damaged.
    #[cfg(feature = "packed")]
    #[error(transparent)]
    Packed(crate::bundle::BundleError),
    /// A delta is refused or damaged; the full file remains.
    #[cfg(feature = "packed")]
    #[error(transparent)]
    Delta(crate::delta::DeltaError),
    /// A deployment cannot go there.
    #[error("deployment {rollout_id}: {from:?} cannot become {to:?}")]
    Transition {
        /// The roll-out.
        rollout_id: String,
        /// Where it is.
        from: Phase,
        /// Where it should have gone.
        to: Phase,
    },
    /// Pointers cannot move so.
    #[error("pointers of {model}: {why}")]
    Pointers {
        /// The model.
        model: String,
        /// Why not.
        why: PointerError,
    },
}

impl DepotError {
    /// The cause that a deployment waits or ends with.
    pub fn cause(&self) -> DeployCause {
        match self {
            Self::File { source: VersionedError::Newer { .. }, .. } => DeployCause::Schema,
            #[cfg(feature = "packed")]
            Self::Packed(error) => error.cause(),
            #[cfg(feature = "packed")]
            Self::Delta(_) => DeployCause::Content,
            Self::Content { .. } | Self::File { .. } => DeployCause::Content,
            Self::Transition { .. } | Self::Pointers { .. } | Self::Staged(_) => DeployCause::Superseded,
            Self::Io { .. }
            | Self::Held { .. }
            | Self::Missing { .. }
            | Self::ReadBack { .. }
            | Self::NotStaged(_)
            | Self::Room { .. } => DeployCause::Space,
        }
    }

    /// Whether there is no room on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Room { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Tells where a call failed and what was tried.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DepotError {
    move |source| DepotError::Io { path: path.to_owned(), doing, source }
}
