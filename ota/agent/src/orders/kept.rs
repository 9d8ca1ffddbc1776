//! What was answered, over restarts: no record's digest is kept here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::order::{Answer, check_id};
use stopline_depot::versioned::{self, Versioned};

use crate::clock::{self, Clock};

/// Orders that are remembered, at most: the oldest go. The server ends one after 90 days.
const MOST: usize = 256;
/// Milliseconds between two bundles.
const HOUR_MS: u64 = 3_600_000;

/// `HOME/orders.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    answered: Vec<Answered>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
}

/// An order that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    id: String,
    /// None: a bundle was brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
}

/// When a bundle was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    boot_id: String,
    since_boot_ms: u64,
    /// Seconds since 1970, where the clock was synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wall_s: Option<i64>,
}

impl Versioned for File {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "orders that were answered";
    const LIMIT: usize = 256 << 10;

    fn check(&self) -> Result<(), String> {
        self.answered.iter().try_for_each(|one| check_id(&one.id))
    }
}

/// What is kept.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: File,
}

impl Kept {
    /// Below `home`. What cannot be read counts as nothing: an order may then be answered twice.
    pub(super) fn open(home: &Path) -> Self {
        let path = super::path(home);
        let limit = u64::try_from(File::LIMIT).unwrap_or(u64::MAX);
        let bytes = RealDisk.read(&path, limit).map_err(|error| error.to_string());
        let read = |bytes: Vec<u8>| versioned::read::<File>(&bytes).map_err(|error| error.to_string());
        let file = bytes.and_then(|bytes| bytes.map(read).transpose()).unwrap_or_else(|problem| {
            tracing::warn!(id = "order.unreadable", "{}: {problem}", path.display());
            None
        });
        let none = File { schema: File::SCHEMA, answered: Vec::new(), made: None };
        Self { path, file: file.unwrap_or(none) }
    }

    /// How an order was answered; the inner one is none where a bundle was brought.
    pub(super) fn answered(&self, id: &str) -> Option<Option<Answer>> {
        self.file.answered.iter().find(|one| one.id == id).map(|one| one.answer.clone())
    }

    /// An order is answered.
    pub(super) fn note(&mut self, id: &str, answer: Option<Answer>) {
        self.file.answered.retain(|one| one.id != id);
        self.file.answered.push(Answered { id: id.to_owned(), answer });
        let beyond = self.file.answered.len().saturating_sub(MOST);
        self.file.answered.drain(..beyond);
        self.write();
    }

    /// A bundle is being made.
    pub(super) fn made(&mut self, clock: &dyn Clock) {
        let (boot_id, since_boot_ms, wall_s) =
            (clock::boot_id(), clock.since_boot_ms(), clock::wall_s(clock));
        self.file.made = Some(Made { boot_id, since_boot_ms, wall_s });
        self.write();
    }

    /// Whether an hour has passed since the last bundle. Where no clock says so, an hour of this boot.
    pub(super) fn may_make(&self, clock: &dyn Clock) -> bool {
        let Some(made) = &self.file.made else { return true };
        let since_boot_ms = clock.since_boot_ms();
        if made.boot_id == clock::boot_id() {
            return since_boot_ms.saturating_sub(made.since_boot_ms) >= HOUR_MS;
        }
        let by_the_wall =
            clock::wall_s(clock).zip(made.wall_s).is_some_and(|(now, then)| now - then >= 3_600);
        by_the_wall || since_boot_ms >= HOUR_MS
    }

    /// Where it cannot be written it counts in memory.
    fn write(&self) {
        let bytes = versioned::write(&self.file).map_err(std::io::Error::other);
        if let Err(error) = bytes.and_then(|bytes| replace(&mut RealDisk, &self.path, &bytes)) {
            tracing::warn!(id = "order.unwritten", "{}: {error}", self.path.display());
        }
    }
}
