//! While a model is Armed, in Trial, or Good for less than 7 days, its roll-out is looked at hourly: an abort must reach it.
//! The 7 days are counted in polls, so that they need no clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stopline_depot::deployment::Phase;

use super::kept;

/// Seconds for which a Good model is watched.
const GOOD_S: u32 = 7 * 86_400;

/// Models that are watched.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    every_s: u32,
    /// Polls left by model.
    left: BTreeMap<String, u32>,
}

impl Watch {
    pub(super) fn open(home: &Path, every_s: u32) -> Self {
        let path = home.join("watch.json");
        let left = kept::read(&path);
        Self { path, every_s, left }
    }

    /// Whether the roll-out of `model` is to be looked at hourly.
    pub(super) fn is_on(&self, model: &str, phase: Phase) -> bool {
        match phase {
            Phase::Armed | Phase::Trial => true,
            Phase::Good => self.left.get(model).is_some_and(|left| *left > 0),
            _ => false,
        }
    }

    /// A model became Good.
    pub(super) fn begin(&mut self, model: &str) {
        self.left.insert(model.to_owned(), GOOD_S.div_ceil(self.every_s.max(1)));
        self.keep();
    }

    /// The repository was asked.
    pub(super) fn polled(&mut self) {
        if self.left.is_empty() {
            return;
        }
        self.left.values_mut().for_each(|left| *left = left.saturating_sub(1));
        self.left.retain(|_, left| *left > 0);
        self.keep();
    }

    /// One that is lost costs some polls.
    fn keep(&self) {
        kept::write(&self.path, &self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_model_is_watched_for_a_week_of_hours_across_starts() {
        let home = tempfile::tempdir().unwrap();
        let mut watch = Watch::open(home.path(), 3_600);
        assert!(watch.is_on("m", Phase::Armed) && watch.is_on("m", Phase::Trial));
        assert!(!watch.is_on("m", Phase::Good) && !watch.is_on("m", Phase::Staged));
        watch.begin("m");
        for _ in 0..167 {
            watch.polled();
        }
        let mut watch = Watch::open(home.path(), 3_600);
        assert!(watch.is_on("m", Phase::Good) && !watch.is_on("other", Phase::Good));
        watch.polled();
        assert!(!watch.is_on("m", Phase::Good));
    }
}
