//! Which records an export is of: a list that somebody put together on the server's page *Datasets*. The server knows devices,
//! classes and times, and nothing that is sealed; what is in the pictures decides here, where they are opened.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stopline_depot::digest::Digest;
use stopline_depot::versioned::{self, Versioned};

use crate::exit::{Failure, Result};
use crate::files;

/// Records of one selection, at most.
pub const MOST: usize = 100_000;

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Who put it together.
    pub made_by: String,
    /// When, seconds since 1970.
    pub made_s: i64,
    /// By what: devices, times, class, as the page says it; nothing is done by it.
    pub asked: Value,
    /// The records.
    pub records: BTreeSet<Digest>,
}

impl Versioned for Selection {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "selection";
    const LIMIT: usize = 16 << 20;

    fn check(&self) -> std::result::Result<(), String> {
        if self.records.len() > MOST {
            return Err(format!("{} records; at most {MOST} are expected", self.records.len()));
        }
        Ok(())
    }
}

/// A selection from its file.
///
/// # Errors
/// What is wrong with it, and that it selects nothing.
pub fn read(path: &Path) -> Result<Selection> {
    let limit = u64::try_from(Selection::LIMIT).unwrap_or(u64::MAX);
    let selection: Selection = versioned::read(&files::read(path, limit)?)
        .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
    if selection.records.is_empty() {
        return Err(Failure::refused(format!("{}: it selects no record", path.display())));
    }
    Ok(selection)
}
