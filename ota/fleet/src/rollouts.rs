//! Roll-outs: the document that says who gets which model, how fast, signed by the online role `rollout`.

mod gate;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;
use stopline_depot::rollout::{ALL_BP, Gates, Rollout, Stage, State, Unit, Variant, Window, member};
use stopline_depot::versioned::{self, Versioned};
use stopline_tuf::metadata::TargetFile;
use stopline_tuf::write::{Authority, Draft, Signer};
use stopline_tuf::{RoleName, TargetPath};

use crate::commit::{Change, NewFile, Online, commit};
use crate::exit::{Failure, Result, Said};
use crate::init::empty;
use crate::models::{Listed, listed};
use crate::published::Published;
use crate::roles::{self, expires, stamp};
use crate::store::Store;

pub use gate::{gate, in_a_sentence, stage_since};

/// 1 %, 50 %, all; a day each for the first two.
pub const USUAL_STAGES: [Stage; 3] = [
    Stage { bp: 100, min_dwell_s: 86_400 },
    Stage { bp: 5_000, min_dwell_s: 86_400 },
    Stage { bp: ALL_BP, min_dwell_s: 0 },
];
/// Seconds after Trial within which a vehicle has to report.
pub const REPORT_WITHIN_S: u64 = 3 * 86_400;
/// Key under which the roll-out's target says since when its stage lasts, for the gates.
const SINCE: &str = "stage_since";

/// What a new roll-out is to be.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its name; default: date, model and version.
    pub rollout_id: Option<String>,
    /// The model.
    pub model: String,
    /// Target path by hardware; empty: the newest release on all the hardware that it is for.
    pub targets: BTreeMap<String, String>,
    /// Shares to go through.
    pub stages: Vec<Stage>,
    /// When it is paused.
    pub gates: Gates,
    /// When vehicles may fetch.
    pub window: Window,
    /// Ids that take part from the beginning, by cohort.
    pub cohorts: BTreeMap<String, Vec<String>>,
    /// Ids that take no part.
    pub exclude: Vec<String>,
    /// Bucket unit.
    pub unit: Unit,
    /// Seconds after Trial within which a vehicle has to report.
    pub report_within_s: u64,
}

/// How a roll-out is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To its next stage, or on after a pause.
    Advance,
    /// Nobody begins any more.
    Pause,
    /// Whoever has it goes back.
    Abort,
}

/// Who signs.
pub struct Signers<'a> {
    /// Of rollout.
    pub rollout: &'a dyn Signer,
    /// Of snapshot and timestamp.
    pub online: Online<'a>,
}

/// Where the roll-out of a model lies.
pub fn path_of(model: &str) -> Result<TargetPath> {
    versioned::check_name("model", model).map_err(Failure::usage)?;
    TargetPath::new(format!("rollout/{model}.json")).map_err(Failure::usage)
}

/// The published roll-out of a model, checked against its signed digest; `None` where there is none.
pub fn read(store: &dyn Store, published: &Published, model: &str) -> Result<Option<Rollout>> {
    let path = path_of(model)?;
    let listed = published.role(&roles::rollout()).and_then(|targets| targets.targets.get(path.as_str()));
    let Some(file) = listed else { return Ok(None) };
    let limit = u64::try_from(Rollout::LIMIT).unwrap_or(u64::MAX);
    let place = file_path(&path, file)?;
    let found = store.read(&place, limit)?;
    let (bytes, _) = found.ok_or_else(|| Failure::refused(format!("{place} is missing")))?;
    if TargetFile::of(&bytes).hashes.by("sha256") != file.hashes.by("sha256") {
        return Err(Failure::refused(format!("{place}: it is not the file that is signed")));
    }
    Ok(Some(versioned::read(&bytes)?))
}

/// Where a target lies in a repository with consistent snapshots.
pub fn file_path(path: &TargetPath, file: &TargetFile) -> Result<String> {
    let digest =
        file.hashes.digests().next().ok_or_else(|| Failure::refused(format!("{path}: no digest")))?;
    Ok(format!("targets/{}", path.url_path(Some(digest))))
}

/// Whether a roll-out needs a target to be listed.
pub fn is_needed_by(rollout: &Rollout, path: &str) -> bool {
    rollout
        .targets
        .values()
        .any(|variant| variant.target == path || variant.abort_to.as_deref() == Some(path))
}

/// The state's name.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Paused => "paused",
        State::Aborted => "aborted",
    }
}

/// Starts a roll-out at its first stage.
pub fn start(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    new: &Start,
    now: Timestamp,
) -> Result<Said> {
    let salt = random_salt()?;
    publish(store, trusted_root, signers, &new.model, now, &|published| {
        let before = read(store, published, &new.model)?;
        let releases = listed(store, published)?.remove(&new.model).unwrap_or_default();
        let targets = chosen_targets(new, &releases)?;
        let variants = targets.into_iter().map(|(hardware, target)| {
            let abort_to = going_back(before.as_ref(), &hardware, &target, &releases);
            let first = new.stages.first().map_or(ALL_BP, |stage| stage.bp);
            let variant =
                Variant { target, abort_to, percent_bp: first, stages: new.stages.clone(), gates: new.gates };
            (hardware, variant)
        });
        let variants: BTreeMap<String, Variant> = variants.collect();
        let hashed = |ids: &[String]| ids.iter().map(|id| member(&salt, id)).collect::<BTreeSet<_>>();
        let rollout = Rollout {
            schema: Rollout::SCHEMA,
            rollout_id: new
                .rollout_id
                .clone()
                .unwrap_or_else(|| usual_id(&new.model, &variants, &releases, now)),
            model: new.model.clone(),
            targets: variants,
            salt: salt.clone(),
            state: State::Active,
            unit: new.unit,
            cohorts: new.cohorts.iter().map(|(name, ids)| (name.clone(), hashed(ids))).collect(),
            exclude: hashed(&new.exclude),
            forgive: BTreeSet::new(),
            window: new.window.clone(),
            report_within_s: new.report_within_s,
        };
        if before.is_some_and(|before| before.rollout_id == rollout.rollout_id) {
            return Err(Failure::refused(format!(
                "{}: a roll-out of this name is published; a new one needs a new name",
                rollout.rollout_id
            )));
        }
        Ok(rollout)
    })
}

/// Takes a roll-out one step on.
pub fn step(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    model: &str,
    step: Step,
    now: Timestamp,
) -> Result<Said> {
    publish(store, trusted_root, signers, model, now, &|published| {
        let before = read(store, published, model)?;
        let before =
            before.ok_or_else(|| Failure::usage(format!("{model}: there is no roll-out; start one")))?;
        stepped(&before, step)
    })
}

/// The roll-out after a step.
///
/// # Errors
/// Why it cannot be taken.
pub fn stepped(before: &Rollout, step: Step) -> Result<Rollout> {
    let mut next = before.clone();
    match step {
        Step::Pause => next.state = State::Paused,
        Step::Abort => next.state = State::Aborted,
        Step::Advance if before.state == State::Paused => next.state = State::Active,
        Step::Advance => {
            let mut moved = false;
            for variant in next.targets.values_mut() {
                if let Some(stage) = variant.stages.iter().find(|stage| stage.bp > variant.percent_bp) {
                    (variant.percent_bp, moved) = (stage.bp, true);
                }
            }
            if !moved {
                return Err(Failure::usage(format!("{}: it is at its last stage", before.rollout_id)));
            }
        }
    }
    before.may_become(&next).map_err(Failure::refused)?;
    if next == *before {
        return Err(Failure::usage(format!(
            "{}: it is {} already",
            before.rollout_id,
            state_name(before.state)
        )));
    }
    Ok(next)
}

/// What a roll-out is now, in words.
pub fn status(store: &dyn Store, published: &Published, model: Option<&str>) -> Result<Said> {
    let all = published.role(&roles::rollout()).into_iter().flat_map(|targets| targets.targets.keys());
    let models = all.filter_map(|path| path.strip_prefix("rollout/")?.strip_suffix(".json"));
    let (mut words, mut told) = (Vec::new(), Vec::new());
    for name in models.filter(|name| model.is_none_or(|model| model == *name)) {
        if let Some(rollout) = read(store, published, name)? {
            words.extend(in_words(&rollout));
            told.push(rollout);
        }
    }
    if words.is_empty() {
        words.push("there is no roll-out".into());
    }
    Ok(Said::new(words, json!({"rollouts": told})))
}

fn in_words(rollout: &Rollout) -> Vec<String> {
    let head = format!("{} ({}): {}", rollout.rollout_id, rollout.model, state_name(rollout.state));
    let variant = |(hardware, variant): (&String, &Variant)| {
        let back = variant.abort_to.as_deref().unwrap_or("each vehicle's previous one");
        format!("  {hardware}: {} to {} of 10000; back to {back}", variant.target, variant.percent_bp)
    };
    std::iter::once(head).chain(rollout.targets.iter().map(variant)).collect()
}

/// Signs and publishes what `make` makes of what is published.
fn publish(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    model: &str,
    now: Timestamp,
    make: &dyn Fn(&Published) -> Result<Rollout>,
) -> Result<Said> {
    let path = path_of(model)?;
    let made = std::cell::RefCell::new(None);
    let plan = |base: Option<&Published>, pass_over: u64| {
        let base =
            base.ok_or_else(|| Failure::usage(format!("{}: nothing is published yet", store.name())))?;
        let rollout = make(base)?;
        let change = change(base, &rollout, &path, signers.rollout, now, pass_over)?;
        *made.borrow_mut() = Some(rollout);
        Ok(Some(change))
    };
    let committed = commit(store, trusted_root, &signers.online, now, &plan)?;
    let rollout = made.into_inner().ok_or_else(|| Failure::failed("nothing was made"))?;
    let mut words = in_words(&rollout);
    if let Some(committed) = &committed {
        words.push(format!("published: timestamp version {}", committed.timestamp));
    }
    Ok(Said::new(words, json!({"rollout": rollout, "published": committed})))
}

/// The signed change that makes `rollout` the one that is published.
pub fn change(
    base: &Published,
    rollout: &Rollout,
    path: &TargetPath,
    signer: &dyn Signer,
    now: Timestamp,
    pass_over: u64,
) -> Result<Change> {
    let bytes = versioned::write(rollout)?;
    let role = roles::rollout();
    let mut targets = next_rollout_role(base, now, pass_over);
    let since = since_of(base, path, &bytes, rollout.state, now);
    let custom = serde_json::Map::from_iter([(SINCE.to_owned(), since.into())]);
    let file = TargetFile::of(&bytes).with_custom(custom);
    targets.add(path, file.clone());
    let draft = sign(base, role, targets, signer)?;
    let mut look_for = vec![path.clone()];
    // What it pushes must be there for a device; an aborted one pushes nothing.
    for variant in rollout.targets.values().filter(|_| rollout.state != State::Aborted) {
        for target in std::iter::once(&variant.target).chain(&variant.abort_to) {
            look_for.push(TargetPath::new(target).map_err(Failure::refused)?);
        }
    }
    Ok(Change {
        targets: vec![draft],
        files: vec![(file_path(path, &file)?, NewFile::Bytes(bytes))],
        look_for,
        ..Change::default()
    })
}

/// The rollout role's next version, listing what it lists.
pub fn next_rollout_role(
    base: &Published,
    now: Timestamp,
    pass_over: u64,
) -> stopline_tuf::metadata::Targets {
    let role = roles::rollout();
    let expiry = expires(&role, now);
    let mut targets = base.role(&role).map_or_else(|| empty(&role, now), |targets| targets.next(expiry));
    targets.version += pass_over;
    stamp(&mut targets.extra, now);
    targets
}

/// Signs a delegated role with one online key.
pub fn sign(
    base: &Published,
    role: RoleName,
    targets: stopline_tuf::metadata::Targets,
    signer: &dyn Signer,
) -> Result<Draft<stopline_tuf::metadata::Targets>> {
    let top = base.top().ok_or_else(|| Failure::refused("there is no targets metadata"))?;
    let mut draft = Draft::new(role, targets)?;
    draft.sign(signer, Authority::Delegator(top, &RoleName::targets()))?;
    Ok(draft)
}

/// Since when the stage lasts: the time before, where only the signature is new.
fn since_of(base: &Published, path: &TargetPath, bytes: &[u8], state: State, now: Timestamp) -> i64 {
    let before = base.role(&roles::rollout()).and_then(|targets| targets.targets.get(path.as_str()));
    let same = before.is_some_and(|file| file.hashes == TargetFile::of(bytes).hashes);
    let since = before.and_then(|file| file.custom.as_ref()?.get(SINCE)?.as_i64());
    match since {
        Some(since) if same || state != State::Active => since,
        _ => now.as_second(),
    }
}

fn chosen_targets(new: &Start, releases: &[Listed]) -> Result<BTreeMap<String, String>> {
    let newest = releases.last().ok_or_else(|| {
        Failure::usage(format!("{}: no release is published; pack, sign and publish one first", new.model))
    })?;
    let chosen = if new.targets.is_empty() {
        newest.release.hardware.iter().map(|hardware| (hardware.clone(), newest.target.clone())).collect()
    } else {
        new.targets.clone()
    };
    for (hardware, target) in &chosen {
        let release = releases.iter().find(|one| one.target == *target);
        let release =
            release.ok_or_else(|| Failure::refused(format!("{target}: it is not a published release")))?;
        if !release.release.hardware.contains(hardware) {
            return Err(Failure::refused(format!(
                "{target}: it is for {}, not for {hardware}",
                release.release.hardware.join(", ")
            )));
        }
    }
    Ok(chosen)
}

/// Where a variant goes back to: what the roll-out before brought, else the release before.
fn going_back(before: Option<&Rollout>, hardware: &str, target: &str, releases: &[Listed]) -> Option<String> {
    let usable = |path: &String| path != target && releases.iter().any(|one| one.target == *path);
    let variant = before.and_then(|before| before.targets.get(hardware));
    let aborted = before.is_some_and(|before| before.state == State::Aborted);
    let brought = variant
        .and_then(|variant| if aborted { variant.abort_to.clone() } else { Some(variant.target.clone()) });
    let older = releases.iter().rev().filter(|one| one.release.hardware.iter().any(|name| name == hardware));
    brought.filter(usable).or_else(|| older.map(|one| one.target.clone()).find(usable))
}

fn usual_id(
    model: &str,
    variants: &BTreeMap<String, Variant>,
    releases: &[Listed],
    now: Timestamp,
) -> String {
    let target = variants.values().next().map(|variant| &variant.target);
    let release = releases.iter().find(|one| Some(&one.target) == target);
    let seq = release.map_or(0, |one| one.release.release_seq);
    let mut id = format!("{}-{model}-{seq}-{}", now.strftime("%Y-%m-%d"), now.as_second() % 86_400);
    id.truncate(64);
    id
}

/// Hides ids in lists, anew for each document.
pub(crate) fn random_salt() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}
