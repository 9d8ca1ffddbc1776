//! Why a spool cannot do what is asked of it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Limits;
use crate::digest::Digest;

/// What went wrong. Whoever captures counts it and goes on; nothing is half done that the next call does not finish.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system does not do it.
    #[error("spool: cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A record longer than any spool takes.
    #[error(
        "spool: a record of {length} bytes; at most {limit} are taken: lower the picture's quality or size"
    )]
    TooBig {
        /// Its bytes.
        length: u64,
        /// Bytes taken.
        limit: u64,
    },
    /// The file system has less room than must stay free.
    #[error(
        "spool {}: {available} bytes are free and {keep_free} must stay so; a record of {length} does not fit",
        path.display()
    )]
    NoRoom {
        /// The spool.
        path: PathBuf,
        /// The record's bytes.
        length: u64,
        /// Free bytes.
        available: u64,
        /// Bytes that stay free.
        keep_free: u64,
    },
    /// Everything in it is being sent and nothing can make room.
    #[error("spool {}: full ({} bytes, {} files) and all of it is being sent", path.display(), limits.bytes, limits.files)]
    Full {
        /// The spool.
        path: PathBuf,
        /// Its bounds.
        limits: Limits,
    },
    /// The bytes are not those that were put.
    #[error("spool: the record {digest} has become {found} on the disk; end it as rejected: corrupt")]
    Corrupt {
        /// Its name.
        digest: Digest,
        /// What its bytes are.
        found: Digest,
    },
    /// A record that this side does not hold.
    #[error("spool: the record {0} is not claimed")]
    NotHeld(Digest),
}

impl SpoolError {
    /// Whether room is what lacks.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            }
            Self::NoRoom { .. } | Self::Full { .. } => true,
            Self::TooBig { .. } | Self::Corrupt { .. } | Self::NotHeld(_) => false,
        }
    }

    /// Whether nothing can be written there at all.
    pub fn is_read_only(&self) -> bool {
        let kinds = [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied];
        matches!(self, Self::Io { source, .. } if kinds.contains(&source.kind()))
    }
}

/// To `map_err` with.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Io { doing, path, source }
}
