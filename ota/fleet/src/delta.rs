//! `delta`: a shorter way from a published bundle to a new one, made where it saves enough. It is a hint: a vehicle that
//! cannot use it takes the whole bundle.

use jiff::Timestamp;
use serde_json::json;
use stopline_depot::bundle::packed;
use stopline_depot::delta::{Algorithm, apply, make};
use stopline_depot::digest::Digest;
use stopline_depot::release::{Delta, MAX_DELTAS, Release};
use stopline_tuf::TargetPath;
use stopline_tuf::metadata::{TargetFile, Targets};
use stopline_tuf::write::Draft;

use crate::exit::{Failure, Result, Said};
use crate::models::{custom_of, delist, draft_of, release_of};
use crate::published::Published;
use crate::staging::Staging;
use crate::store::Store;
use crate::{files, roles, rollouts};

/// Makes a delta from a published release to one in the draft, and lists it where it is at most `worth` in a hundred of the
/// whole bundle.
pub fn run(
    staging: &Staging,
    store: &dyn Store,
    from: &str,
    to: &str,
    worth: u8,
    now: Timestamp,
) -> Result<Said> {
    let trusted =
        staging.trusted_root_bytes()?.ok_or_else(|| Failure::usage("there is no trusted root yet"))?;
    let base = Published::read(store, &trusted)?.ok_or_else(|| Failure::usage("nothing is published yet"))?;
    let published = base.role(&roles::models()).ok_or_else(|| Failure::usage("no model is published yet"))?;
    let mut targets = draft_of(staging, Some(&base), now)?;
    let (old_path, old, old_release) = find(published, from)?;
    let (new_path, new, mut new_release) = find(&targets, to)?;
    if new_release.deltas.len() >= MAX_DELTAS {
        return Err(Failure::refused(format!("{to}: it has {MAX_DELTAS} deltas, no more are allowed")));
    }
    let place = rollouts::file_path(&old_path, &old)?;
    let packed_old = store.read(&place, stopline_depot::bundle::MAX_UNPACKED)?;
    let (packed_old, _) = packed_old.ok_or_else(|| Failure::refused(format!("{place} is missing")))?;
    let packed_new = files::read(&staging.file_path(&new_path), stopline_depot::bundle::MAX_UNPACKED)?;
    let (old_tar, new_tar) = (unpack(&packed_old, &old_release)?, unpack(&packed_new, &new_release)?);
    let (algorithm, bytes) = smallest(&old_tar, &new_tar)?;
    check(&old_tar, &bytes, &old_release, &new_release)?;
    let whole = new.length;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let words = vec![format!("{from} -> {to} by {algorithm}: {length} bytes, the whole bundle has {whole}")];
    let json = json!({"algorithm": algorithm.to_string(), "length": length, "whole": whole});
    if length.saturating_mul(100) > whole.saturating_mul(worth.into()) {
        let told = format!("not listed: more than {worth} in a hundred; vehicles take the whole bundle");
        return Ok(Said::new([words, vec![told]].concat(), json));
    }
    let (a, b) = (&old_release.version, &new_release.version);
    let path =
        TargetPath::new(format!("models/{0}/{0}-{a}-to-{b}.delta", new_release.model).replace('+', "_"));
    let path = path.map_err(Failure::refused)?;
    new_release.deltas.push(Delta {
        from: old_release.unpacked.sha256,
        path: path.as_str().into(),
        algorithm: algorithm.to_string(),
        length,
    });
    targets.add(&path, TargetFile::of(&bytes));
    targets.add(&new_path, TargetFile { custom: Some(custom_of(&new_release)?), ..new });
    delist(&mut targets, store, Some(&base))?;
    files::write(&staging.file_path(&path), &bytes)?;
    staging.write(&Draft::new(roles::models(), targets)?)?;
    let told = format!("listed as {path}; the draft of models has no signatures now");
    Ok(Said::new([words, vec![told]].concat(), json))
}

fn find(targets: &Targets, which: &str) -> Result<(TargetPath, TargetFile, Release)> {
    let (model, version) =
        which.split_once('@').ok_or_else(|| Failure::usage(format!("{which}: MODEL@VERSION is expected")))?;
    for (path, file) in &targets.targets {
        if let Some(release) = release_of(file)?
            && release.model == model
            && release.version.to_string() == version
        {
            return Ok((TargetPath::new(path.as_str()).map_err(Failure::refused)?, file.clone(), release));
        }
    }
    Err(Failure::usage(format!("{which}: it is not listed")))
}

fn unpack(slb: &[u8], release: &Release) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    let length = u64::try_from(slb.len()).unwrap_or(u64::MAX);
    let measure = packed::unpack(slb, length, &mut tar).map_err(Failure::refused)?;
    if Digest::from_bytes(measure.sha256) == release.unpacked.sha256 {
        return Ok(tar);
    }
    Err(Failure::refused(format!(
        "{} {}: its bundle.tar is not the one that is signed",
        release.model, release.version
    )))
}

fn smallest(old: &[u8], new: &[u8]) -> Result<(Algorithm, Vec<u8>)> {
    let mut best: Option<(Algorithm, Vec<u8>)> = None;
    for algorithm in [Algorithm::Tensor, Algorithm::PatchFrom] {
        let bytes = make(old, new, algorithm).map_err(Failure::failed)?;
        if best.as_ref().is_none_or(|(_, known)| bytes.len() < known.len()) {
            best = Some((algorithm, bytes));
        }
    }
    best.ok_or_else(|| Failure::failed("no delta was made"))
}

/// What is published was applied here first.
fn check(old_tar: &[u8], delta: &[u8], old: &Release, new: &Release) -> Result<()> {
    let mut made = Vec::new();
    let from = old.unpacked.sha256;
    apply(std::io::Cursor::new(old_tar), delta, &from, &new.unpacked, &mut made).map_err(Failure::failed)?;
    if Digest::of(&made) == new.unpacked.sha256 {
        return Ok(());
    }
    Err(Failure::failed("the delta does not lead to the new bundle; none is listed"))
}
