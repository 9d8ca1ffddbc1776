//! What the models role remembers beyond its list: the last number given to a release of each model, so that numbers rise
//! although old releases are taken off, and which bundles factory images carry. Signed with the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stopline_tuf::metadata::Targets;

use crate::exit::{Failure, Result};

const KEY: &str = "stopline";

/// What the models role remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// Last `release_seq` by model.
    pub last_seq: BTreeMap<String, u64>,
    /// Target paths of bundles in factory images.
    pub factory: BTreeSet<String>,
}

impl Ledger {
    /// As it stands in metadata; empty where nothing does.
    pub fn read(targets: &Targets) -> Result<Self> {
        let stands = targets.extra.get(KEY).cloned();
        let read = stands.map(serde_json::from_value).transpose();
        Ok(read.map_err(|error| Failure::refused(format!("models: {KEY}: {error}")))?.unwrap_or_default())
    }

    /// The number of the next release of a model.
    pub fn next(&mut self, model: &str) -> u64 {
        let last = self.last_seq.entry(model.to_owned()).or_default();
        *last += 1;
        *last
    }

    /// Writes it into metadata.
    pub fn write(&self, targets: &mut Targets) {
        let value = serde_json::to_value(self).expect("maps of strings and numbers are JSON");
        targets.extra.insert(KEY.into(), value);
    }
}
