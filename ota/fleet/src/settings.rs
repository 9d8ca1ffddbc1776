//! Settings of devices from afar: what the operator writes in a file, signed by the role `campaigns` with a key of the
//! operator's own, which no server holds. Whoever has all online keys cannot set anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use stopline_depot::rollout::member;
use stopline_depot::settings::{Cohort, Document, PATH, Settings};
use stopline_depot::versioned::Versioned;

use crate::exit::{Failure, Result, Said};
use crate::published::Published;
use crate::rollouts::random_salt;
use crate::signed::{self, Signers};
use crate::store::Store;

/// Seconds within which devices must reach home, where the file says nothing.
const CONFIRM_WITHIN_S: u32 = 86_400;

/// What the operator wants set: one `[[cohort]]` after another; the first that a device belongs to counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Seconds of being awake within which a device must have reached home.
    #[serde(default)]
    pub confirm_within_s: Option<u32>,
    /// Groups of devices.
    #[serde(default)]
    pub cohort: Vec<WantedCohort>,
}

/// One group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedCohort {
    /// Its name.
    pub name: String,
    /// Hardware variants; left out: all.
    #[serde(default)]
    pub hardware: BTreeSet<String>,
    /// A file of device ids, one a line, beside this one; left out: all devices.
    #[serde(default)]
    pub devices: Option<PathBuf>,
    /// Ids, read from that file.
    #[serde(skip)]
    pub ids: Option<Vec<String>>,
    /// What is set.
    #[serde(default)]
    pub settings: Settings,
}

impl Wanted {
    /// Reads the file, and the lists of devices that it names.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn read(path: &Path) -> Result<Self> {
        let mut wanted: Self = signed::wanted(path)?;
        for cohort in &mut wanted.cohort {
            let Some(list) = &cohort.devices else { continue };
            cohort.ids = Some(signed::ids(path, list)?);
        }
        Ok(wanted)
    }

    /// The document after `before`: a revision rises where something changes, or where it is to be tried `again`.
    fn document(&self, before: Option<&Document>, salt: &str, again: &[String]) -> Result<Document> {
        if let Some(name) = again.iter().find(|name| self.cohort.iter().all(|cohort| cohort.name != **name)) {
            return Err(Failure::usage(format!("--again {name}: the file has no such cohort")));
        }
        let cohorts = self.cohort.iter().map(|wanted| {
            let members = wanted.ids.as_ref().map(|ids| ids.iter().map(|id| member(salt, id)).collect());
            let next = Cohort {
                name: wanted.name.clone(),
                revision: 1,
                hardware: wanted.hardware.clone(),
                members,
                confirm_within_s: self.confirm_within_s.unwrap_or(CONFIRM_WITHIN_S),
                settings: wanted.settings.clone(),
            };
            let old = before.and_then(|before| before.cohorts.iter().find(|old| old.name == next.name));
            let Some(old) = old else { return next };
            let same = old.settings == next.settings && old.confirm_within_s == next.confirm_within_s;
            let rises = !same || again.contains(&next.name);
            Cohort { revision: old.revision.saturating_add(rises.into()), ..next }
        });
        Ok(Document { schema: Document::SCHEMA, salt: salt.to_owned(), cohorts: cohorts.collect() })
    }
}

/// The published settings, checked against their signed digest; `None` where nothing is set.
///
/// # Errors
/// That the file is not the one that is signed.
pub fn read(store: &dyn Store, published: &Published) -> Result<Option<Document>> {
    signed::read(store, published, PATH)
}

/// Signs and publishes what is wanted in place of what was.
///
/// # Errors
/// What a device would refuse, or that the repository delegates nothing to campaigns.
pub fn publish(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    wanted: &Wanted,
    again: &[String],
    now: Timestamp,
) -> Result<Said> {
    let salt = random_salt()?;
    change(store, trusted_root, signers, now, &|published| {
        let before = read(store, published)?;
        let salt = before.as_ref().map_or(salt.as_str(), |before| before.salt.as_str());
        wanted.document(before.as_ref(), salt, again).map(Some)
    })
}

/// Nothing is set any more: each device goes by its own configuration.
///
/// # Errors
/// As [`publish`].
pub fn withdraw(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    now: Timestamp,
) -> Result<Said> {
    change(store, trusted_root, signers, now, &|_| Ok(None))
}

/// What is set, in words.
///
/// # Errors
/// As [`read`].
pub fn status(store: &dyn Store, published: &Published) -> Result<Said> {
    let document = read(store, published)?;
    Ok(Said::new(in_words(document.as_ref()), json!({"settings": document})))
}

fn change(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    now: Timestamp,
    make: &dyn Fn(&Published) -> Result<Option<Document>>,
) -> Result<Said> {
    let (document, committed) = signed::change(store, trusted_root, signers, (PATH, now), make)?;
    Ok(signed::said("settings", in_words(document.as_ref()), document.as_ref(), committed.as_ref()))
}

fn in_words(document: Option<&Document>) -> Vec<String> {
    let Some(document) = document else { return vec!["nothing is set from afar".into()] };
    let cohort = |cohort: &Cohort| {
        let members =
            cohort.members.as_ref().map_or("all devices".into(), |of| format!("{} devices", of.len()));
        let hardware: Vec<&str> = cohort.hardware.iter().map(String::as_str).collect();
        let hardware =
            if hardware.is_empty() { String::new() } else { format!(" of {}", hardware.join(", ")) };
        let set = serde_json::to_value(&cohort.settings).unwrap_or_default();
        format!("{} {}: {members}{hardware}; {set}", cohort.name, cohort.revision)
    };
    document.cohorts.iter().map(cohort).collect()
}
