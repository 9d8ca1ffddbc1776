//! What the bundle that decides has done, told now and then: the fleet compares who has a new model with who has not, and
//! who has not must speak too. After so many active seconds, and after a quarter of an hour at the first look of a process:
//! a car that drives an hour a day is heard daily.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::deployment::Phase;
use stopline_depot::digest::Digest;
use stopline_depot::slots::ServiceRecord;

use super::{Agent, kept};
use crate::report::Transition;

/// Active seconds that are worth a message at the first look.
const FIRST_S: u64 = 900;

/// What was told last, by model.
#[derive(Debug)]
pub(super) struct Exposing {
    path: PathBuf,
    told: BTreeMap<String, Told>,
    /// Models of which this process has told.
    here: BTreeSet<String>,
    /// Records that could not be read, told once.
    unread: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    digest: Digest,
    active_s: u64,
}

impl Exposing {
    pub(super) fn open(home: &Path) -> Self {
        let path = home.join("exposed.json");
        let told = kept::read(&path);
        Self { path, told, here: BTreeSet::new(), unread: BTreeSet::new() }
    }

    /// Whether it is time; every `every_s` active seconds, 0: never.
    fn is_due(&self, model: &str, record: &ServiceRecord, every_s: u32) -> bool {
        let every = u64::from(every_s);
        let told = self.told.get(model).filter(|told| told.digest == record.digest);
        let since = record.exposure.active_s.saturating_sub(told.map_or(0, |told| told.active_s));
        let first = !self.here.contains(model) && since >= FIRST_S.min(every);
        every > 0 && (since >= every || first)
    }

    /// It was told. A file that is lost costs a message too many.
    fn told(&mut self, model: &str, record: &ServiceRecord) {
        let told = Told { digest: record.digest, active_s: record.exposure.active_s };
        self.told.insert(model.to_owned(), told);
        self.here.insert(model.to_owned());
        kept::write(&self.path, &self.told);
    }
}

impl Agent {
    /// Tells what the bundle of `model` has done, where it is time.
    pub(super) fn expose(&mut self, model: &str) {
        let record = match self.state.service(model) {
            Ok(Some(record)) => record,
            Ok(None) => return,
            Err(error) => {
                if self.exposing.unread.insert(model.to_owned()) {
                    tracing::warn!(id = "ota.exposure.unreadable", model, "{error}");
                }
                return;
            }
        };
        if !self.exposing.is_due(model, &record, self.config.telemetry.exposure_s) {
            return;
        }
        let tried = self.depot.journal().of(model).is_some_and(|deployment| {
            let this = (&deployment.rollout_id, deployment.digest) == (&record.rollout_id, record.digest);
            this && deployment.phase == Phase::Trial
        });
        self.exposing.told(model, &record);
        let ServiceRecord { rollout_id, digest, exposure, .. } = record;
        let phase = if tried { Phase::Trial } else { Phase::Good };
        let exposed = Transition {
            model: model.to_owned(),
            rollout_id,
            digest,
            phase,
            cause: None,
            detail: String::new(),
            exposure: Some(exposure),
        };
        self.reporter.expose(&self.identity, exposed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_depot::deployment::Exposure;

    fn record(name: &str, active_s: u64) -> ServiceRecord {
        let exposure = Exposure { active_s, ..Exposure::default() };
        ServiceRecord { schema: 1, rollout_id: "r".into(), digest: Digest::of(name.as_bytes()), exposure }
    }

    #[test]
    fn it_is_told_after_so_many_active_seconds_and_soon_after_a_start() {
        let home = tempfile::tempdir().unwrap();
        let mut exposing = Exposing::open(home.path());
        let due = |exposing: &Exposing, name: &str, at: u64| exposing.is_due("m", &record(name, at), 14_400);
        assert!(!due(&exposing, "a", 899) && due(&exposing, "a", 900));
        exposing.told("m", &record("a", 900));
        assert!(!due(&exposing, "a", 15_299) && due(&exposing, "a", 15_300));
        assert!(
            due(&exposing, "b", 14_400) && !due(&exposing, "b", 14_399),
            "another bundle is counted anew"
        );
        let exposing = Exposing::open(home.path());
        assert!(!due(&exposing, "a", 1_799) && due(&exposing, "a", 1_800), "after a start, sooner");
        assert!(!exposing.is_due("m", &record("a", 1 << 40), 0), "0 is never");
    }
}
