//! The models role: what is released, and how the next release joins it. The registry is read from signed metadata and from
//! the records that publishing leaves.

mod ledger;
mod registry;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde_json::{Map, Value, json};
use stopline_depot::bundle::{Bundle, packed};
use stopline_depot::digest::Digest;
use stopline_depot::release::{Content, Release};
use stopline_depot::rollout::Rollout;
use stopline_depot::versioned::{self, Versioned};
use stopline_tuf::TargetPath;
use stopline_tuf::metadata::{TargetFile, Targets};
use stopline_tuf::write::Draft;

use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::published::Published;
use crate::roles;
use crate::rollouts::{self, is_needed_by};
use crate::staging::Staging;
use crate::store::Store;

pub use ledger::Ledger;
pub use registry::{Listed, Record, diff, list, listed, read_records, record_of, show};

/// What is said of a new release beyond its bundle.
#[derive(Debug, Clone, Default)]
pub struct NewRelease {
    /// Hardware variants.
    pub hardware: Vec<String>,
    /// Oldest runtime; default: the manifest's.
    pub min_runtime: Option<Version>,
    /// Releases with a lower number are unsafe from now on; default: as before.
    pub security_floor: Option<u64>,
    /// A factory image carries it: it stays listed.
    pub factory: bool,
}

/// Adds a bundle to the draft of the models role and takes out what no roll-out needs any more.
pub fn add(
    staging: &Staging,
    store: &dyn Store,
    bundle: &Path,
    new: &NewRelease,
    now: Timestamp,
) -> Result<Said> {
    let base = match staging.trusted_root_bytes()? {
        Some(root) => Published::read(store, &root)?,
        None => None,
    };
    let packed = files::read(bundle, stopline_depot::bundle::MAX_UNPACKED)?;
    let mut tar = Vec::new();
    let length = u64::try_from(packed.len()).unwrap_or(u64::MAX);
    let measure = packed::unpack(packed.as_slice(), length, &mut tar)
        .map_err(|error| Failure::refused(format!("{}: {error}", bundle.display())))?;
    let read =
        Bundle::read(&tar).map_err(|error| Failure::refused(format!("{}: {error}", bundle.display())))?;
    let manifest = &read.manifest;

    let mut targets = draft_of(staging, base.as_ref(), now)?;
    let mut ledger = Ledger::read(&targets)?;
    let path = bundle_path(&manifest.name, &manifest.version)?;
    let entry = TargetFile::of(&packed);
    if let Some(known) = targets.targets.get(path.as_str()) {
        return Err(Failure::refused(format!(
            "{path}: {} already, with digest {}; a version never changes, give the new one a new version",
            if base.is_some() { "it is listed" } else { "it is in the draft" },
            known.hashes.by("sha256").unwrap_or("unknown")
        )));
    }
    let release = Release {
        schema: Release::SCHEMA,
        model: manifest.name.clone(),
        version: manifest.version.clone(),
        release_seq: ledger.next(&manifest.name),
        security_floor: floor(&targets, &manifest.name, new)?,
        hardware: new.hardware.clone(),
        min_runtime: min_runtime(manifest.min_runtime.as_ref(), new),
        unpacked: Content { sha256: Digest::from_bytes(measure.sha256), length: measure.length },
        deltas: Vec::new(),
    };
    if new.factory {
        ledger.factory.insert(path.as_str().to_owned());
    }
    targets.add(&path, entry.with_custom(custom_of(&release)?));
    ledger.write(&mut targets);
    let gone = delist(&mut targets, store, base.as_ref())?;
    let draft = Draft::new(roles::models(), targets)?;
    files::write(&staging.file_path(&path), &packed)?;
    staging.write(&draft)?;
    Ok(said(&release, &path, &gone, draft.signed().version))
}

fn said(release: &Release, path: &TargetPath, gone: &[String], version: u64) -> Said {
    let mut words = vec![
        format!(
            "added {path}: release {} of {}, for {}",
            release.release_seq,
            release.model,
            release.hardware.join(", ")
        ),
        format!(
            "  bundle {} of {} bytes; floor {}",
            release.unpacked.sha256, release.unpacked.length, release.security_floor
        ),
        format!("  the draft of models is version {version} and has no signatures now"),
    ];
    words.extend(gone.iter().map(|path| format!("  taken off the list: {path} (no roll-out needs it)")));
    words.push("next: two holders of models run `sign`, then `publish`".into());
    Said::new(words, json!({"path": path, "release": release, "models_version": version, "delisted": gone}))
}

/// The draft of models, or a next version of what is published.
pub fn draft_of(staging: &Staging, base: Option<&Published>, now: Timestamp) -> Result<Targets> {
    let role = roles::models();
    let expiry = roles::expires(&role, now);
    let published = base.and_then(|base| base.role(&role));
    let mut targets = match (staging.targets(&role)?, published) {
        (Some(draft), published) => {
            let version = published.map_or(0, |targets| targets.version);
            let draft = draft.into_signed();
            if draft.version <= version {
                return Err(Failure::conflict(format!(
                    "{}: version {} is a draft, and {version} is published: remove the draft and begin anew",
                    staging.draft_path(&role).display(),
                    draft.version
                )));
            }
            Targets { expires: expiry, ..draft }
        }
        (None, Some(published)) => published.next(expiry),
        (None, None) => {
            return Err(Failure::usage(format!(
                "{}: there is no draft of models, and nothing is published: begin with `init`",
                staging.folder().display()
            )));
        }
    };
    roles::stamp(&mut targets.extra, now);
    Ok(targets)
}

/// `models/NAME/NAME-VERSION.slb`.
pub fn bundle_path(model: &str, version: &Version) -> Result<TargetPath> {
    versioned::check_name("name", model).map_err(Failure::refused)?;
    // What semver calls build metadata is no part of a path that patterns match.
    let version = version.to_string().replace('+', "_");
    TargetPath::new(format!("models/{model}/{model}-{version}.slb")).map_err(Failure::refused)
}

/// What metadata says of a target, as a release; `None` for a delta or something else.
pub fn release_of(file: &TargetFile) -> Result<Option<Release>> {
    let Some(custom) = &file.custom else { return Ok(None) };
    let bytes = serde_json::to_vec(custom).map_err(Failure::failed)?;
    if custom.get("release_seq").is_none() {
        return Ok(None);
    }
    Ok(Some(versioned::read(&bytes)?))
}

/// A release as `custom`, checked.
pub fn custom_of(release: &Release) -> Result<Map<String, Value>> {
    versioned::write(release)?;
    match serde_json::to_value(release).map_err(Failure::failed)? {
        Value::Object(custom) => Ok(custom),
        _ => Err(Failure::failed("a release is an object")),
    }
}

fn min_runtime(manifest: Option<&Version>, new: &NewRelease) -> Version {
    new.min_runtime.clone().or_else(|| manifest.cloned()).unwrap_or(Version::new(0, 1, 0))
}

/// A floor never falls.
fn floor(targets: &Targets, model: &str, new: &NewRelease) -> Result<u64> {
    let mut before = 0;
    for file in targets.targets.values() {
        if let Some(release) = release_of(file)?.filter(|release| release.model == model) {
            before = before.max(release.security_floor);
        }
    }
    match new.security_floor {
        Some(floor) if floor < before => Err(Failure::refused(format!(
            "security_floor: {floor}, and {before} is signed already; it never falls"
        ))),
        Some(floor) => Ok(floor),
        None => Ok(before),
    }
}

/// Takes out what neither a newest release, a roll-out nor a factory image needs, of every model: a thief of the online keys
/// can push whatever is listed.
pub fn delist(targets: &mut Targets, store: &dyn Store, base: Option<&Published>) -> Result<Vec<String>> {
    let ledger = Ledger::read(targets)?;
    let mut gone = Vec::new();
    for model in names(targets) {
        let rollout = base.map(|base| rollouts::read(store, base, &model)).transpose()?.flatten();
        gone.extend(superfluous(targets, &model, rollout.as_ref(), &ledger));
    }
    gone.iter().for_each(|path| drop(targets.targets.remove(path)));
    Ok(gone)
}

/// Models of which something is listed.
pub fn names(targets: &Targets) -> BTreeSet<String> {
    let folder = |path: &String| Some(path.strip_prefix("models/")?.split_once('/')?.0.to_owned());
    targets.targets.keys().filter_map(folder).collect()
}

/// Targets of a model that nobody needs: not the newest release, nor what a roll-out names, nor a factory image's, nor a
/// delta to one of these.
pub fn superfluous(
    targets: &Targets,
    model: &str,
    rollout: Option<&Rollout>,
    ledger: &Ledger,
) -> Vec<String> {
    let folder = format!("models/{model}/");
    let of_model = || targets.targets.iter().filter(|(path, _)| path.starts_with(&folder));
    let releases = of_model().filter_map(|(path, file)| Some((path, release_of(file).ok()??)));
    let newest =
        releases.clone().max_by_key(|(_, release)| release.release_seq).map(|(path, _)| path.clone());
    let is_kept = |path: &str| {
        newest.as_deref() == Some(path)
            || rollout.is_some_and(|rollout| is_needed_by(rollout, path))
            || ledger.factory.contains(path)
    };
    let kept_releases = releases.filter(|(path, _)| is_kept(path));
    let deltas: BTreeSet<String> =
        kept_releases.flat_map(|(_, release)| release.deltas.into_iter().map(|delta| delta.path)).collect();
    of_model()
        .map(|(path, _)| path)
        .filter(|path| !is_kept(path) && !deltas.contains(*path))
        .cloned()
        .collect()
}
