//! Documents that the operator signs with a key of their own, by the role `campaigns`: settings, and campaigns for frames. Each is one
//! target, replaced as a whole. No server holds that key: whoever has all online keys can neither set nor ask for anything.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use stopline_depot::versioned::{self, Versioned};
use stopline_tuf::TargetPath;
use stopline_tuf::metadata::{TargetFile, Targets};
use stopline_tuf::write::Signer;

use crate::commit::{Change, Committed, NewFile, Online, commit};
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::init::empty;
use crate::published::Published;
use crate::roles::{self, expires, stamp};
use crate::rollouts::{file_path, sign};
use crate::store::Store;

/// Who signs.
pub struct Signers<'a> {
    /// Of campaigns.
    pub campaigns: &'a dyn Signer,
    /// Of snapshot and timestamp.
    pub online: Online<'a>,
}

/// The published document, checked against its signed digest; `None` where there is none.
///
/// # Errors
/// That the file is not the one that is signed.
pub fn read<T: Versioned>(store: &dyn Store, published: &Published, path: &str) -> Result<Option<T>> {
    let listed = published.role(&roles::campaigns()).and_then(|targets| targets.targets.get(path));
    let Some(file) = listed else { return Ok(None) };
    let place = file_path(&target(path)?, file)?;
    let limit = u64::try_from(T::LIMIT).unwrap_or(u64::MAX);
    let found = store.read(&place, limit)?;
    let (bytes, _) = found.ok_or_else(|| Failure::refused(format!("{place} is missing")))?;
    if TargetFile::of(&bytes).hashes.by("sha256") != file.hashes.by("sha256") {
        return Err(Failure::refused(format!("{place}: it is not the file that is signed")));
    }
    Ok(Some(versioned::read(&bytes)?))
}

/// Signs and publishes at `path` what `make` makes of what is published; nothing: the document is taken off the list.
///
/// # Errors
/// What a device would refuse, or that the repository delegates nothing to campaigns.
pub fn change<T: Versioned>(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    (path, now): (&str, Timestamp),
    make: &dyn Fn(&Published) -> Result<Option<T>>,
) -> Result<(Option<T>, Option<Committed>)> {
    let (path, made) = (target(path)?, std::cell::RefCell::new(None));
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
                targets.add(&path, file.clone());
                change.files.push((file_path(&path, &file)?, NewFile::Bytes(bytes)));
                change.look_for.push(path.clone());
            }
            None => drop(targets.targets.remove(path.as_str())),
        }
        change.targets.push(sign(base, roles::campaigns(), targets, signers.campaigns)?);
        *made.borrow_mut() = document;
        Ok(Some(change))
    };
    let committed = commit(store, trusted_root, &signers.online, now, &plan)?;
    Ok((made.into_inner(), committed))
}

/// What the operator wants, out of a TOML file.
///
/// # Errors
/// What is wrong with which key.
pub fn wanted<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let usage = |problem: String| Failure::usage(format!("{}: {problem}", path.display()));
    let text = String::from_utf8(files::read(path, files::MAX_SMALL)?);
    let text = text.map_err(|error| usage(error.to_string()))?;
    toml::from_str(&text).map_err(|error| usage(error.to_string()))
}

/// What a change led to: the document in `words`, as JSON under `name`, and what was published.
pub fn said<T: Serialize>(
    name: &str,
    mut words: Vec<String>,
    document: Option<&T>,
    committed: Option<&Committed>,
) -> Said {
    words.extend(committed.map(|committed| format!("published: timestamp version {}", committed.timestamp)));
    Said::new(words, json!({ name: document, "published": committed }))
}

/// Ids of devices out of the file `list`, seen from the folder of `beside`: one a line.
///
/// # Errors
/// That it cannot be read.
pub fn ids(beside: &Path, list: &Path) -> Result<Vec<String>> {
    let list = beside.parent().map_or_else(|| list.to_owned(), |folder| folder.join(list));
    let text = String::from_utf8(files::read(&list, 1 << 28)?);
    let text = text.map_err(|_| Failure::usage(format!("{}: no text", list.display())))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn target(path: &str) -> Result<TargetPath> {
    TargetPath::new(path).map_err(Failure::failed)
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
