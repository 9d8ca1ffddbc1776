//! Settings from afar: what the operator signed for this device, taken within its own limits ([`clamp`]), and given up again by
//! itself where the device does not reach home with it.
//!
//! ```text
//! HOME/settings.json            what runs, what was good, what failed, seconds left of a trial
//! HOME/settings-signed.json     the document as it was signed, so that it is fetched once
//! ```
//!
//! ```text
//! own configuration ──new, signed──► on trial ──home answers──► good ──new, signed──► on trial …
//!         ▲                             │ confirm_within_s awake, and no answer
//!         └──────── what was good ◄─────┘   (and these are not tried again until their revision rises)
//! ```
//!
//! Home answers when the repository's metadata was verified under these settings and, where a fleet's server is configured, it
//! answered this device. Under other settings the process begins anew, as after a kill: nothing has to be changed in mid-run.

pub mod clamp;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::digest::Digest;
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::settings::{CONFIRM_S, Cohort, Settings};
use stopline_depot::versioned::{self, Versioned};

use crate::config::{Config, Remote};
use crate::error::AgentError;

/// Milliseconds of a trial between two writes: what a power cut gives back, at most.
const KEEP_MS: u64 = 60_000;

/// What the operator signed for this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mine {
    /// The cohort's name.
    pub cohort: String,
    /// Its revision.
    pub revision: u32,
    /// Seconds of the trial.
    pub confirm_within_s: u32,
    /// What is set.
    pub settings: Settings,
}

impl From<&Cohort> for Mine {
    fn from(cohort: &Cohort) -> Self {
        Self {
            cohort: cohort.name.clone(),
            revision: cohort.revision,
            confirm_within_s: cohort.confirm_within_s,
            settings: cohort.settings.clone(),
        }
    }
}

impl Mine {
    fn id(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What is kept: `HOME/settings.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// What is in force; none: this device's own configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Mine>,
    /// What to go back to; none: this device's own configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Mine>,
    /// What did not reach home: SHA-256 of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Digest>,
    /// Milliseconds left of the trial; none: what runs is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { schema: Self::SCHEMA, running: None, good: None, failed: None, left_ms: None }
    }
}

impl Versioned for Kept {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "settings in force";
    const LIMIT: usize = 256 << 10;

    fn check(&self) -> Result<(), String> {
        [&self.running, &self.good].into_iter().flatten().try_for_each(|mine| mine.settings.check())
    }
}

/// Whether other settings are in force now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// They are as they were.
    Same,
    /// The process must begin anew.
    Anew,
}

impl Kept {
    /// The repository says `said`; none: nothing is set on this device any more, which its owner's file needs no trial for.
    pub fn said(&mut self, said: Option<Mine>) -> Next {
        let before = self.settings();
        let Some(said) = said else {
            *self = Self::default();
            return self.than(&before);
        };
        let id = said.id();
        let same = |other: &Option<Mine>| other.as_ref().is_some_and(|other| other.id() == id);
        if self.failed == Some(id) || same(&self.running) {
            return Next::Same;
        }
        self.failed = None;
        if same(&self.good) {
            (self.running, self.left_ms) = (self.good.clone(), None);
        } else if said.settings == before && self.left_ms.is_none() {
            // Nothing changes for this device but the name under which it is told.
            (self.running, self.good) = (Some(said.clone()), Some(said));
        } else {
            let (least, most) = CONFIRM_S;
            self.left_ms = Some(u64::from(said.confirm_within_s.clamp(least, most)) * 1_000);
            self.running = Some(said);
        }
        self.than(&before)
    }

    /// Time has passed, milliseconds: a trial that was not confirmed ends.
    pub fn passed(&mut self, ms: u64) -> Next {
        let Some(left) = self.left_ms else { return Next::Same };
        let left = left.saturating_sub(ms);
        if left > 0 {
            self.left_ms = Some(left);
            return Next::Same;
        }
        self.give_up()
    }

    /// What runs cannot go on: back to what was good.
    pub fn give_up(&mut self) -> Next {
        let before = self.settings();
        self.failed = self.running.as_ref().map(Mine::id);
        (self.running, self.left_ms) = (self.good.clone(), None);
        self.than(&before)
    }

    /// Home has answered: what runs is good. Whether it was on trial.
    pub fn confirmed(&mut self) -> bool {
        let was = self.left_ms.take().is_some();
        if was {
            self.good = self.running.clone();
        }
        was
    }

    /// What is set now; nothing where the device's own configuration counts.
    pub fn settings(&self) -> Settings {
        self.running.as_ref().map(|mine| mine.settings.clone()).unwrap_or_default()
    }

    fn than(&self, before: &Settings) -> Next {
        if self.settings() == *before { Next::Same } else { Next::Anew }
    }

    /// In a word, for the fleet: `north 3`, `north 4 on trial`, `own, after another failed`.
    pub fn in_words(&self) -> Option<String> {
        let name = self.running.as_ref().map(|mine| format!("{} {}", mine.cohort, mine.revision));
        let end = match (self.left_ms, self.failed) {
            (Some(_), _) => " on trial",
            (None, Some(_)) => ", after another failed",
            (None, None) => "",
        };
        if name.is_none() && self.failed.is_none() {
            return None;
        }
        Some(name.unwrap_or_else(|| "own".into()) + end)
    }
}

/// What lies on disk, and when it was looked at.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    kept: Kept,
    /// Milliseconds since boot up to which a trial was counted, and up to which that was written.
    counted_ms: Option<u64>,
    unwritten_ms: u64,
    anew: bool,
}

impl Keeper {
    /// Below `home`. What cannot be read counts as nothing: the device's own configuration.
    pub fn open(home: &Path) -> Self {
        let path = path(home);
        let limit = u64::try_from(Kept::LIMIT).unwrap_or(u64::MAX);
        let kept = match RealDisk.read(&path, limit).map(|bytes| bytes.map(|bytes| versioned::read(&bytes))) {
            Ok(Some(Ok(kept))) => kept,
            Ok(None) => Kept::default(),
            Ok(Some(Err(error))) => {
                tracing::warn!(id = "ota.settings.unreadable", "{}: {error}", path.display());
                Kept::default()
            }
            Err(error) => {
                tracing::warn!(id = "ota.settings.unreadable", "{}: {error}", path.display());
                Kept::default()
            }
        };
        Self { path, kept, counted_ms: None, unwritten_ms: 0, anew: false }
    }

    /// The configuration in force. Settings that make none are given up at once.
    pub fn in_force(&mut self, own: Config) -> Config {
        let Some(limits) = own.remote.clone() else { return own };
        if let Some(config) = self.tried(&own, &limits) {
            return config;
        }
        self.kept.give_up();
        self.keep();
        let config = self.tried(&own, &limits);
        config.unwrap_or(own)
    }

    fn tried(&self, own: &Config, limits: &Remote) -> Option<Config> {
        let (mut config, held) = clamp::clamped(own, limits, &self.kept.settings());
        if let Err(problem) = config.check() {
            tracing::warn!(id = "ota.settings.refused", "signed settings make no configuration: {problem}");
            return None;
        }
        if let Some(words) = self.kept.in_words() {
            tracing::info!(id = "ota.settings", held = held.join(", "), "settings in force: {words}");
        }
        config.settings = self.kept.in_words();
        Some(config)
    }

    /// What is kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether what runs has still to reach home.
    pub fn is_on_trial(&self) -> bool {
        self.kept.left_ms.is_some()
    }

    /// Whether the process must begin anew for what is in force now.
    pub fn begins_anew(&self) -> bool {
        self.anew
    }

    /// The repository was read: `said` is what is set on this device.
    ///
    /// # Errors
    /// The system's; then nothing has changed.
    pub fn said(&mut self, said: Option<Mine>) -> Result<(), AgentError> {
        let mut kept = self.kept.clone();
        let next = kept.said(said);
        if kept == self.kept {
            return Ok(());
        }
        write(&self.path, &kept).map_err(AgentError::io(&self.path))?;
        self.kept = kept;
        self.take(next, "ota.settings.taken", "the operator has set something else");
        Ok(())
    }

    /// Home has answered under these settings.
    pub fn confirmed(&mut self) {
        if self.kept.confirmed() {
            self.keep();
            tracing::info!(id = "ota.settings.good", "home is reached with the settings in force");
        }
    }

    /// Counts a trial's time.
    pub fn tick(&mut self, since_boot_ms: u64) {
        if self.anew || !self.is_on_trial() {
            self.counted_ms = None;
            return;
        }
        let passed = since_boot_ms.saturating_sub(*self.counted_ms.get_or_insert(since_boot_ms));
        self.counted_ms = Some(since_boot_ms);
        let next = self.kept.passed(passed);
        self.unwritten_ms = self.unwritten_ms.saturating_add(passed);
        if !self.is_on_trial() || self.unwritten_ms >= KEEP_MS {
            self.unwritten_ms = 0;
            self.keep();
        }
        if !self.is_on_trial() {
            self.take(next, "ota.settings.reverted", "home was not reached with them");
        }
    }

    fn take(&mut self, next: Next, id: &'static str, why: &str) {
        let words = self.kept.in_words().unwrap_or_else(|| "the device's own".into());
        tracing::warn!(id = "ota.settings.changed", change = id, "{why}; settings from now on: {words}");
        self.anew |= next == Next::Anew;
    }

    /// Where it cannot be written it counts in memory: a trial is given up all the same, and again after the next start.
    fn keep(&self) {
        if let Err(error) = write(&self.path, &self.kept) {
            tracing::warn!(id = "ota.settings.unwritten", "{}: {error}", self.path.display());
        }
    }
}

/// Where it lies.
pub fn path(home: &Path) -> PathBuf {
    home.join("settings.json")
}

/// Where the signed document lies.
pub fn document_path(home: &Path) -> PathBuf {
    home.join("settings-signed.json")
}

fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let bytes = versioned::write(kept).map_err(std::io::Error::other)?;
    replace(&mut RealDisk, path, &bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mine(revision: u32, stats_s: u32) -> Mine {
        let settings = Settings { stats_s: Some(stats_s), ..Settings::default() };
        Mine { cohort: "north".into(), revision, confirm_within_s: 3_600, settings }
    }

    #[test]
    fn what_does_not_reach_home_is_given_up_and_not_tried_again_until_its_revision_rises() {
        let mut kept = Kept::default();
        assert_eq!(kept.said(Some(mine(1, 60))), Next::Anew);
        assert!(kept.confirmed());
        assert_eq!(kept.said(Some(mine(2, 120))), Next::Anew);
        assert_eq!(kept.passed(3_599_999), Next::Same);
        assert_eq!(kept.in_words().as_deref(), Some("north 2 on trial"));
        assert_eq!(kept.passed(1), Next::Anew);
        assert_eq!(kept.running, Some(mine(1, 60)), "what was good");
        assert_eq!(kept.in_words().as_deref(), Some("north 1, after another failed"));
        assert_eq!(kept.said(Some(mine(2, 120))), Next::Same, "not again");
        assert_eq!(kept.said(Some(mine(3, 120))), Next::Anew, "a raised revision is tried");
        assert_eq!(kept.said(Some(mine(1, 60))), Next::Anew, "back to what was good, without a trial");
        assert_eq!(kept.left_ms, None);
        assert_eq!(kept.said(None), Next::Anew);
        assert_eq!(kept, Kept::default());
    }

    #[test]
    fn a_change_for_others_begins_nothing_anew() {
        let mut kept = Kept::default();
        kept.said(Some(mine(1, 60)));
        kept.confirmed();
        assert_eq!(kept.said(Some(mine(2, 60))), Next::Same);
        assert_eq!((kept.left_ms, kept.good.as_ref()), (None, Some(&mine(2, 60))));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Said(Option<(u32, u32)>),
        Passed(u64),
        Confirmed,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            proptest::option::of((1_u32..4, 0_u32..3)).prop_map(Step::Said),
            (0_u64..4_000_000).prop_map(Step::Passed),
            Just(Step::Confirmed),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_only_what_was_confirmed_is_ever_gone_back_to(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut kept, mut confirmed) = (Kept::default(), vec![Settings::default()]);
            for step in steps {
                let before = kept.clone();
                let next = match step {
                    Step::Said(said) => kept.said(said.map(|(revision, seconds)| mine(revision, seconds))),
                    Step::Passed(ms) => kept.passed(ms),
                    Step::Confirmed => {
                        if kept.confirmed() {
                            confirmed.push(kept.settings());
                        }
                        Next::Same
                    }
                };
                let good = kept.good.as_ref().map(|mine| mine.settings.clone()).unwrap_or_default();
                prop_assert!(confirmed.contains(&good));
                // What is not on trial has been confirmed, or is the device's own.
                prop_assert!(kept.left_ms.is_some() || confirmed.contains(&kept.settings()));
                prop_assert_eq!(next == Next::Anew, kept.settings() != before.settings());
                // What failed is not tried.
                prop_assert!(kept.left_ms.is_none() || kept.running.as_ref().map(Mine::id) != kept.failed);
                let written = versioned::write(&kept).unwrap();
                prop_assert_eq!(&versioned::read::<Kept>(&written).unwrap(), &kept);
            }
        }
    }

    #[test]
    fn a_trial_counts_on_over_starts_and_a_file_that_is_broken_is_the_devices_own() {
        let home = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(home.path());
        keeper.said(Some(mine(1, 60))).unwrap();
        assert!(keeper.begins_anew() && keeper.is_on_trial());
        // A start before each look: another boot counts from another moment.
        for (boot, began) in [5_000_000, 70, 0, 9_000].into_iter().enumerate() {
            let mut keeper = Keeper::open(home.path());
            keeper.tick(began);
            keeper.tick(began + 1_000_000);
            assert_eq!(keeper.begins_anew(), boot == 3, "{:?}", keeper.kept());
        }
        let keeper = Keeper::open(home.path());
        assert_eq!(keeper.kept().running, None, "an hour of being awake is over");
        std::fs::write(path(home.path()), b"{").unwrap();
        assert_eq!(*Keeper::open(home.path()).kept(), Kept::default());
    }
}
