//! The spool: captured frames, encrypted, that wait for the agent.
//!
//! ```text
//! SPOOL/waiting/DIGEST-CLASS-EXPIRES.age     one sealed record; the runtime puts it there
//! SPOOL/sending/DIGEST-CLASS-EXPIRES.age     the agent has claimed it; the runtime leaves it alone
//! SPOOL/ledger/{runtime,agent}-N.jsonl       what became of each: one line for a record's begin, one for its end
//! ```
//!
//! DIGEST is the SHA-256 of the file's bytes, CLASS its value (9 the highest), EXPIRES seconds since 1970. Nothing else stays
//! clear.
//!
//! **Each record ends exactly once**: `evicted` or `expired` by the runtime while it waits; `delivered`, `rejected` or
//! `expired` by the agent once it has claimed it. A rename decides, since of two renames of one file only one succeeds:
//!
//! | step | captured by the runtime | ended by whoever holds it | claimed by the agent |
//! |---|---|---|---|
//! | 1 | `waiting/….age.new` written, synced, folder synced | renamed to `….evicted`, `….delivered`, …, folder synced | renamed into `sending`, folder synced |
//! | 2 | `captured` in the ledger, synced | the end in the ledger, synced | `waiting` synced |
//! | 3 | renamed to `….age`, folder synced | removed, folder synced | |
//!
//! After a cut between two steps the name says what was meant and the ledger says whether step 2 was done; the next start
//! goes on from there. So at any time captured = delivered + evicted + expired + rejected + waiting ([`counts`]).
//!
//! Time of the clock on the wall comes from the caller, who must not let anything expire by a clock that nobody set.

mod claims;
mod counts;
mod ending;
mod error;
mod ledger;
mod name;
mod plain;
mod record;
mod thinning;
mod writer;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use claims::{Claimed, Claims};
pub use counts::{Counts, counts, entries};
pub use error::SpoolError;
pub use ledger::{Entry, Event};
pub use plain::{MAX_PLAIN, PlainError, open_plain, plain};
pub use record::{
    CameraSettings, CaptureRecord, Picture, RECORD_SCHEMA, Reason, Redaction, RedactionMethod, Rule, Setting,
};
pub use writer::{Put, Spool};

/// Bytes of a sealed record, at most.
pub const MAX_RECORD: u64 = 16 << 20;
/// Records in a spool, at most, whatever is configured: both sides look through all names.
pub const MAX_FILES: u32 = 50_000;

/// How valuable a record is: 0 to 9, 9 the most. What is worth less is evicted first and sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Class(u8);

impl Class {
    /// The lowest.
    pub const LOWEST: Self = Self(0);
    /// The highest.
    pub const HIGHEST: Self = Self(9);

    /// `None` above 9.
    pub const fn new(class: u8) -> Option<Self> {
        if class <= 9 { Some(Self(class)) } else { None }
    }
}

impl From<Class> for u8 {
    fn from(class: Class) -> Self {
        class.0
    }
}

impl TryFrom<u8> for Class {
    type Error = String;

    fn try_from(class: u8) -> Result<Self, String> {
        Self::new(class).ok_or_else(|| format!("value class {class}: expected 0 to 9"))
    }
}

/// How a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The other side has it, certainly.
    Delivered,
    /// Something more valuable, or more evenly spread, needed the room. By the runtime.
    Evicted,
    /// Nobody fetched it in time.
    Expired,
    /// The other side does not take it, or it is no longer what it was.
    Rejected(Cause),
}

/// Why a record was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The fleet does not want it (forgotten there, or no campaign any more).
    NotWanted,
    /// It is longer than the fleet takes.
    TooBig,
    /// The fleet cannot make sense of it.
    Bad,
    /// Its bytes are not those of its digest any more: worn flash.
    Corrupt,
    /// Somebody asked this device to forget it.
    Forgotten,
}

impl Cause {
    const ALL: [Self; 5] = [Self::NotWanted, Self::TooBig, Self::Bad, Self::Corrupt, Self::Forgotten];

    /// As it is written.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotWanted => "not_wanted",
            Self::TooBig => "too_big",
            Self::Bad => "bad",
            Self::Corrupt => "corrupt",
            Self::Forgotten => "forgotten",
        }
    }
}

/// What a spool may take of the disk. What the agent has claimed counts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all records.
    pub bytes: u64,
    /// Records; [`MAX_FILES`] at most.
    pub files: u32,
    /// Bytes of the file system that stay free for others.
    pub keep_free: u64,
}

/// Where things lie in a spool.
#[derive(Clone, Debug)]
struct Places {
    root: PathBuf,
    waiting: PathBuf,
    sending: PathBuf,
    ledger: PathBuf,
}

impl Places {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            waiting: root.join("waiting"),
            sending: root.join("sending"),
            ledger: root.join("ledger"),
        }
    }

    fn folders(&self) -> [&Path; 3] {
        [&self.waiting, &self.sending, &self.ledger]
    }
}

/// Makes the spool's folders where they are missing, with write permission for the group: both processes rename in them. The
/// folder itself stays its owner's alone, so that the other process cannot put something else in their place. On a board
/// tmpfiles makes them.
///
/// # Errors
/// [`SpoolError::Io`].
pub fn prepare(folder: &Path) -> Result<(), SpoolError> {
    for folder in Places::new(folder).folders() {
        if !folder.is_dir() {
            make_shared(folder).map_err(error::io("make the folder", folder))?;
        }
    }
    Ok(())
}

fn make_shared(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // What the folder above passed on (its group) stays.
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & 0o070 == 0o070 {
        return Ok(());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode((mode | 0o070) & 0o7777))
}
