//! Signing offline: one holder, one key, the folder with the drafts.

use std::path::Path;

use serde_json::{Value, json};
use stopline_tuf::RoleName;
use stopline_tuf::write::Signer;

use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::keys::{KeySpec, check_custody};
use crate::staging::{AnyDraft, Staging};

/// Signs every draft (or that of `only`) that the key may sign, and says what each holds and what it still lacks.
pub fn run(staging: &Staging, only: Option<&RoleName>, spec: &KeySpec, signer: &dyn Signer) -> Result<Said> {
    let drafts = staging.drafts()?;
    let chosen: Vec<AnyDraft> =
        drafts.into_iter().filter(|draft| only.is_none_or(|role| draft.role() == role)).collect();
    if chosen.is_empty() {
        let what = only.map_or_else(String::new, |role| format!(" of {role}"));
        return Err(Failure::usage(format!("{}: no draft{what}", staging.folder().display())));
    }
    let (mut words, mut told, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    for mut draft in chosen {
        match sign_one(staging, &mut draft, spec, signer) {
            Ok(()) => {
                words.extend(draft.summary());
                words.push(format!("  signed with {}", signer.key().id()));
            }
            Err(refusal) => {
                words.push(format!("{}: not signed: {refusal}", draft.role()));
                refusals.push(refusal);
                continue;
            }
        }
        let lacks = lacking(staging, &draft)?;
        words.push(lacks.clone().unwrap_or_else(|| "  complete: nobody need sign any more".into()));
        told.push(json!({"role": draft.role(), "version": draft.version(), "complete": lacks.is_none()}));
    }
    match refusals.into_iter().next() {
        Some(refusal) if told.is_empty() => Err(refusal),
        _ => Ok(Said::new(words, json!({"keyid": signer.key().id(), "signed": told}))),
    }
}

fn sign_one(staging: &Staging, draft: &mut AnyDraft, spec: &KeySpec, signer: &dyn Signer) -> Result<()> {
    // The standings name the keys; one folder must not hold enough of them.
    for standing in staging.standings(draft)? {
        if let Some(folder) = spec.folder() {
            check_custody(folder, draft.role().as_str(), &standing.waiting, standing.threshold)?;
        }
    }
    let copy = draft.clone();
    let attempts = staging.authorities(&copy, |authority| Ok(draft.sign(signer, authority)))?;
    // A new root is signed by keys of the old one, of the new one, or both: one of them must name the key.
    if attempts.iter().all(Result::is_err) {
        let error = attempts.into_iter().find_map(Result::err).map(Failure::from);
        return Err(error.unwrap_or_else(|| Failure::refused("nobody names a key for it")));
    }
    files::write(&staging.draft_path(draft.role()), &draft.to_bytes())
}

/// What a draft still lacks, in words; none if nothing.
pub fn lacking(staging: &Staging, draft: &AnyDraft) -> Result<Option<String>> {
    let standings = staging.standings(draft)?;
    let incomplete = standings.iter().find(|standing| !standing.complete());
    Ok(incomplete.map(|standing| {
        let waiting: Vec<&str> =
            standing.waiting.iter().map(|id| crate::staging::short(id.as_str())).collect();
        format!(
            "  {} of {} signatures; may still sign: {}",
            standing.valid,
            standing.threshold,
            waiting.join(", ")
        )
    }))
}

/// Takes over the signatures that others put on copies of the same drafts.
pub fn merge(staging: &Staging, other: &Path) -> Result<Said> {
    let theirs = Staging::new(other);
    let (mut words, mut told) = (Vec::new(), Vec::new());
    for mut draft in staging.drafts()? {
        let Some(bytes) = files::read_if_there(&theirs.draft_path(draft.role()), files::MAX_SMALL)? else {
            continue;
        };
        let copy = AnyDraft::read(draft.role(), &bytes)?;
        if copy.message() != draft.message() {
            return Err(Failure::refused(format!(
                "{}: the draft of {} says something else than the one in {}; signatures hold for one text only",
                other.display(),
                draft.role(),
                staging.folder().display()
            )));
        }
        draft = AnyDraft::read(draft.role(), &joined(&draft.to_bytes(), &bytes)?)?;
        files::write(&staging.draft_path(draft.role()), &draft.to_bytes())?;
        let lacks = lacking(staging, &draft)?;
        words.push(format!("{}: took over signatures", draft.role()));
        words.push(lacks.clone().unwrap_or_else(|| "  complete: nobody need sign any more".into()));
        told.push(json!({"role": draft.role(), "complete": lacks.is_none()}));
    }
    Ok(Said::new(words, json!({"merged": told})))
}

/// One file with the signatures of both; what they sign was compared before.
fn joined(ours: &[u8], theirs: &[u8]) -> Result<Vec<u8>> {
    let parse = |bytes: &[u8]| stopline_tuf::json::parse(bytes).map_err(Failure::refused);
    let (mut ours, theirs) = (parse(ours)?, parse(theirs)?);
    let known: Vec<Value> = signatures(&ours).to_vec();
    let new =
        signatures(&theirs).iter().filter(|one| !known.iter().any(|known| known["keyid"] == one["keyid"]));
    let all: Vec<Value> = known.iter().chain(new).cloned().collect();
    ours["signatures"] = Value::Array(all);
    serde_json::to_vec(&ours).map_err(Failure::failed)
}

fn signatures(file: &Value) -> &[Value] {
    file["signatures"].as_array().map_or(&[], Vec::as_slice)
}
