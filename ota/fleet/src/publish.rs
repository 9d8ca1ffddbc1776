//! `publish`: what the holders signed becomes what the fleet sees.

use std::cell::RefCell;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;
use stopline_depot::rollout::State;
use stopline_depot::versioned;
use stopline_tuf::metadata::Targets;
use stopline_tuf::write::Draft;
use stopline_tuf::{RoleName, TargetPath};

use crate::child::Stopline;
use crate::commit::{Change, Committed, NewFile, Online, commit};
use crate::evaluation::{self, TestSet, Trial, Unpacked};
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::models::{Ledger, Record, names, record_of, release_of, superfluous};
use crate::published::Published;
use crate::roles;
use crate::rollouts;
use crate::staging::{AnyDraft, Staging};
use crate::store::Store;

/// How publishing judges what it publishes.
#[derive(Debug, Default)]
pub struct Rules {
    /// The frozen test set, and the program that measures.
    pub test: Option<(TestSet, Stopline)>,
    /// Publish a challenger that nobody compared with the champion.
    pub not_compared: bool,
    /// Publish a challenger that is worse.
    pub worse_is_wanted: bool,
    /// Leave releases on the list that nobody needs.
    pub keep_superseded: bool,
}

/// Publishes every draft in the folder.
pub fn run(
    staging: &Staging,
    store: &dyn Store,
    online: &Online<'_>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Said> {
    let drafts = staging.drafts()?;
    if drafts.is_empty() {
        return Err(Failure::usage(format!("{}: there is no draft to publish", staging.folder().display())));
    }
    let first = staging.root()?.map(|draft| draft.to_bytes());
    let trusted = staging.trusted_root_bytes()?.or(first).ok_or_else(|| {
        Failure::refused(format!(
            "{}: there is no trusted root; bring trusted/ along",
            staging.folder().display()
        ))
    })?;
    let told: RefCell<Vec<String>> = RefCell::default();
    let plan = |base: Option<&Published>, _: u64| {
        let (change, words) = change(staging, store, base, &drafts, rules, now)?;
        *told.borrow_mut() = words;
        Ok(Some(change))
    };
    let committed = commit(store, &trusted, online, now, &plan)?;
    let committed = committed.ok_or_else(|| Failure::failed("there was nothing to publish"))?;
    finish(staging, store, &trusted, &drafts)?;
    Ok(said(store, &committed, told.into_inner()))
}

fn said(store: &dyn Store, committed: &Committed, told: Vec<String>) -> Said {
    let mut words = told;
    words.push(format!(
        "published to {}: root {}, snapshot {}, timestamp {}",
        store.name(),
        committed.root,
        committed.snapshot,
        committed.timestamp
    ));
    words.extend(committed.roles.iter().map(|(role, version)| format!("  {role} version {version}")));
    if committed.lost_races > 0 {
        words.push(format!("  another publisher was quicker {} times; theirs is kept", committed.lost_races));
    }
    Said::new(words, json!({"repository": store.name(), "published": committed}))
}

/// The drafts and all that they list and is not there yet.
fn change(
    staging: &Staging,
    store: &dyn Store,
    base: Option<&Published>,
    drafts: &[AnyDraft],
    rules: &Rules,
    now: Timestamp,
) -> Result<(Change, Vec<String>)> {
    let mut change = Change::default();
    let mut words = Vec::new();
    for draft in drafts {
        match draft {
            AnyDraft::Root(draft) => change.root = Some(draft.clone()),
            AnyDraft::Targets(draft) => {
                if *draft.role() == roles::models() {
                    words.extend(models(staging, store, base, draft, rules, now, &mut change)?);
                }
                change.targets.push(draft.clone());
            }
        }
    }
    Ok((change, words))
}

/// What the models role newly lists: its files, records and comparisons.
fn models(
    staging: &Staging,
    store: &dyn Store,
    base: Option<&Published>,
    draft: &Draft<Targets>,
    rules: &Rules,
    now: Timestamp,
    change: &mut Change,
) -> Result<Vec<String>> {
    let targets = draft.signed();
    let published = base.and_then(|base| base.role(draft.role()));
    check_list(store, base, targets, rules, change)?;
    let signers: Vec<_> = draft.signed_by().cloned().collect();
    let mut words = Vec::new();
    for (path, file) in &targets.targets {
        let path = TargetPath::new(path.as_str()).map_err(Failure::refused)?;
        if let Some(known) = published.and_then(|published| published.targets.get(path.as_str())) {
            if known.hashes != file.hashes {
                return Err(Failure::refused(format!(
                    "{path}: its content would change; a version never does"
                )));
            }
            continue;
        }
        let place = staging.file_path(&path);
        let bytes = files::read(&place, stopline_depot::bundle::MAX_UNPACKED)?;
        let found = stopline_tuf::metadata::TargetFile::of(&bytes);
        if (found.length, &found.hashes) != (file.length, &file.hashes) {
            return Err(Failure::refused(format!("{}: it is not the file that was signed", place.display())));
        }
        change.look_for.push(path.clone());
        change.files.push((rollouts::file_path(&path, file)?, NewFile::Path(place)));
        let Some(release) = release_of(file)? else { continue };
        let mut record = record_of(&release, path.as_str(), &bytes, targets.version, signers.clone())?;
        words.extend(judge(staging, store, base, &mut record, &bytes, rules, now, change)?);
        change.files.push((record.path(), NewFile::Bytes(versioned::write(&record)?)));
    }
    Ok(words)
}

/// What running roll-outs need stays listed; what nobody needs does not.
fn check_list(
    store: &dyn Store,
    base: Option<&Published>,
    targets: &Targets,
    rules: &Rules,
    change: &mut Change,
) -> Result<()> {
    let ledger = Ledger::read(targets)?;
    for model in names(targets) {
        let rollout = match base {
            Some(base) => rollouts::read(store, base, &model)?,
            None => None,
        };
        let extra = superfluous(targets, &model, rollout.as_ref(), &ledger);
        if !extra.is_empty() && !rules.keep_superseded {
            return Err(Failure::refused(format!(
                "{} are listed, and no roll-out needs them: whoever steals the online keys could push them. Make the \
                 draft anew; `models add` takes them off",
                extra.join(", ")
            )));
        }
        for rollout in rollout.iter().filter(|rollout| rollout.state != State::Aborted) {
            for variant in rollout.targets.values() {
                let needed = std::iter::once(&variant.target).chain(&variant.abort_to);
                for path in needed {
                    change.look_for.push(TargetPath::new(path.as_str()).map_err(Failure::refused)?);
                }
            }
        }
    }
    Ok(())
}

/// Compares a new release with the one that decides now.
#[expect(clippy::too_many_arguments, reason = "one release among all that publishing knows")]
fn judge(
    staging: &Staging,
    store: &dyn Store,
    base: Option<&Published>,
    record: &mut Record,
    slb: &[u8],
    rules: &Rules,
    now: Timestamp,
    change: &mut Change,
) -> Result<Vec<String>> {
    let model = record.release.model.clone();
    let Some((path, file)) = champion(store, base, &model)? else {
        return Ok(vec![format!("{model}: the first release; there is no champion to compare it with")]);
    };
    if rules.not_compared {
        return Ok(vec![format!("{model}: NOT COMPARED with the champion {path}, as was asked")]);
    }
    let Some((test_set, stopline)) = &rules.test else {
        return Err(Failure::refused(format!(
            "{model}: {path} decides now; a challenger is compared with it on a frozen test set: give --test-set and \
             --images, and records made by `evaluate`"
        )));
    };
    let place = rollouts::file_path(&path, &file)?;
    let found = store.read(&place, stopline_depot::bundle::MAX_UNPACKED)?;
    let (old, _) = found.ok_or_else(|| Failure::refused(format!("{place} is missing")))?;
    let folder = staging.folder().join("evaluations");
    let scratch = |who: &str| folder.join(format!(".{who}-{}", std::process::id()));
    let champion = Unpacked::new(&old, scratch("champion"))?;
    let challenger = Unpacked::new(slb, scratch("challenger"))?;
    let trial = Trial { test_set, folder: &folder, stopline, now, worse_is_wanted: rules.worse_is_wanted };
    let (evaluation, words) = evaluation::compare(&trial, &challenger, &champion)?;
    let bytes = versioned::write(&evaluation)?;
    let digest = stopline_depot::digest::Digest::of(&bytes);
    change.files.push((format!("records/{model}/evaluations/{digest}.json"), NewFile::Bytes(bytes)));
    (record.evaluation, record.champion) = (Some(digest), Some(champion.digest));
    Ok(words)
}

/// The release that decides now: what the roll-out brings or goes back to, else the newest.
fn champion(
    store: &dyn Store,
    base: Option<&Published>,
    model: &str,
) -> Result<Option<(TargetPath, stopline_tuf::metadata::TargetFile)>> {
    let Some(base) = base else { return Ok(None) };
    let Some(targets) = base.role(&roles::models()) else { return Ok(None) };
    let rollout = rollouts::read(store, base, model)?;
    let variant =
        rollout.as_ref().and_then(|rollout| rollout.targets.values().next().map(|one| (rollout.state, one)));
    let by_rollout = variant.and_then(|(state, variant)| match state {
        State::Active => Some(variant.target.clone()),
        State::Paused | State::Aborted => variant.abort_to.clone(),
    });
    let folder = format!("models/{model}/");
    let releases = targets.targets.iter().filter(|(path, _)| path.starts_with(&folder));
    let releases = releases.filter_map(|(path, file)| Some((path, release_of(file).ok()??.release_seq)));
    let newest = releases.max_by_key(|(_, seq)| *seq).map(|(path, _)| path.clone());
    let Some(path) = by_rollout.filter(|path| targets.targets.contains_key(path)).or(newest) else {
        return Ok(None);
    };
    let file = targets.targets[&path].clone();
    Ok(Some((TargetPath::new(path).map_err(Failure::refused)?, file)))
}

/// Published drafts are drafts no more, and what is published is what signatures are judged by from now on.
fn finish(staging: &Staging, store: &dyn Store, trusted: &[u8], drafts: &[AnyDraft]) -> Result<()> {
    let published = Published::read(store, trusted)?;
    let published = published.ok_or_else(|| Failure::failed("what was published is not there"))?;
    let targets = published.targets.get(&RoleName::targets()).map(Draft::to_bytes);
    let (root, targets) =
        published.root_bytes().zip(targets).ok_or_else(|| Failure::failed("no root or targets"))?;
    staging.set_trusted(root, &targets)?;
    for draft in drafts {
        staging.remove(draft.role())?;
    }
    let left: PathBuf = staging.folder().join("files");
    match std::fs::remove_dir_all(&left) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::failed(format!("{}: {error}", left.display())))
        }
        _ => Ok(()),
    }
}
