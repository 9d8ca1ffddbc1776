//! Settings of devices from afar: what the operator writes in a file, signed by the role `campaigns` with a key of the
//! operator's own, which no server holds. Whoever has all online keys cannot set anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use stopline_depot::rollout::member;
use stopline_depot::settings::{Cohort, Document, PATH, Settings};
use stopline_depot::versioned::{self, Versioned};
use stopline_tuf::TargetPath;
use stopline_tuf::metadata::{TargetFile, Targets};
use stopline_tuf::write::Signer;

use crate::commit::{Change, NewFile, Online, commit};
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::init::empty;
use crate::published::Published;
use crate::roles::{self, expires, stamp};
use crate::rollouts::{file_path, random_salt, sign};
use crate::store::Store;

/// Seconds within which devices must reach home, where the file says nothing.
const CONFIRM_WITHIN_S: u32 = 86_400;

/// Who signs.
pub struct Signers<'a> {
    /// Of campaigns.
    pub campaigns: &'a dyn Signer,
    /// Of snapshot and timestamp.
    pub online: Online<'a>,
}

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
        let usage = |problem: String| Failure::usage(format!("{}: {problem}", path.display()));
        let text = String::from_utf8(files::read(path, files::MAX_SMALL)?);
        let text = text.map_err(|error| usage(error.to_string()))?;
        let mut wanted: Self = toml::from_str(&text).map_err(|error| usage(error.to_string()))?;
        for cohort in &mut wanted.cohort {
            let Some(list) = &cohort.devices else { continue };
            let list = path.parent().map_or_else(|| list.clone(), |folder| folder.join(list));
            let text = String::from_utf8(files::read(&list, 1 << 28)?);
            let text = text.map_err(|_| Failure::usage(format!("{}: no text", list.display())))?;
            let ids = text.lines().map(str::trim).filter(|line| !line.is_empty());
            cohort.ids = Some(ids.map(str::to_owned).collect());
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
    let listed = published.role(&roles::campaigns()).and_then(|targets| targets.targets.get(PATH));
    let Some(file) = listed else { return Ok(None) };
    let place = file_path(&path()?, file)?;
    let limit = u64::try_from(Document::LIMIT).unwrap_or(u64::MAX);
    let found = store.read(&place, limit)?;
    let (bytes, _) = found.ok_or_else(|| Failure::refused(format!("{place} is missing")))?;
    if TargetFile::of(&bytes).hashes.by("sha256") != file.hashes.by("sha256") {
        return Err(Failure::refused(format!("{place}: it is not the file that is signed")));
    }
    Ok(Some(versioned::read(&bytes)?))
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

fn path() -> Result<TargetPath> {
    TargetPath::new(PATH).map_err(Failure::failed)
}

fn change(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    now: Timestamp,
    make: &dyn Fn(&Published) -> Result<Option<Document>>,
) -> Result<Said> {
    let made = std::cell::RefCell::new(None);
    let plan = |base: Option<&Published>, pass_over: u64| {
        let base =
            base.ok_or_else(|| Failure::usage(format!("{}: nothing is published yet", store.name())))?;
        check_delegated(base)?;
        let document = make(base)?;
        let mut targets = next_role(base, now, pass_over);
        let mut change = Change::default();
        match &document {
            Some(document) => {
                let bytes = versioned::write(document)?;
                let file = TargetFile::of(&bytes);
                targets.add(&path()?, file.clone());
                change.files.push((file_path(&path()?, &file)?, NewFile::Bytes(bytes)));
                change.look_for.push(path()?);
            }
            None => drop(targets.targets.remove(PATH)),
        }
        change.targets.push(sign(base, roles::campaigns(), targets, signers.campaigns)?);
        *made.borrow_mut() = document;
        Ok(Some(change))
    };
    let committed = commit(store, trusted_root, &signers.online, now, &plan)?;
    let document = made.into_inner();
    let mut words = in_words(document.as_ref());
    if let Some(committed) = &committed {
        words.push(format!("published: timestamp version {}", committed.timestamp));
    }
    Ok(Said::new(words, json!({"settings": document, "published": committed})))
}

fn check_delegated(base: &Published) -> Result<()> {
    let role = roles::campaigns();
    let delegations = base.top().and_then(|top| top.delegations.as_ref());
    if delegations.is_some_and(|all| all.roles.iter().any(|one| one.name == role)) {
        return Ok(());
    }
    Err(Failure::refused(
        "the role campaigns is not delegated here: begin the repository with `init --campaigns KEY.pub`, a key of the \
         operator's own",
    ))
}

fn next_role(base: &Published, now: Timestamp, pass_over: u64) -> Targets {
    let role = roles::campaigns();
    let expiry = expires(&role, now);
    let mut targets = base.role(&role).map_or_else(|| empty(&role, now), |targets| targets.next(expiry));
    targets.version += pass_over;
    stamp(&mut targets.extra, now);
    targets
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
