//! The registry: what is listed now, and the records that publishing left of everything that ever was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stopline_depot::bundle::{Bundle, packed};
use stopline_depot::digest::Digest;
use stopline_depot::manifest::Provenance;
use stopline_depot::release::Release;
use stopline_depot::rollout::Rollout;
use stopline_depot::versioned::{self, Versioned};
use stopline_tuf::KeyId;

use super::{Ledger, release_of};
use crate::exit::{Failure, Result, Said};
use crate::outcomes::{Heard, running};
use crate::published::{MAX_METADATA, Published};
use crate::roles;
use crate::rollouts;
use crate::store::Store;

/// What publishing a release leaves behind for ever: `records/MODEL/SEQ.json`. Unsigned; what matters of it is signed in
/// metadata, and the rest can be had again from the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// What was signed.
    pub release: Release,
    /// Target path.
    pub target: String,
    /// The `.slb` file.
    pub packed: Digest,
    /// Its bytes.
    pub packed_length: u64,
    /// Where the model comes from: data, training run, licence.
    pub provenance: Option<Provenance>,
    /// Version of the models metadata that first listed it.
    pub models_version: u64,
    /// Keys that signed that.
    pub signers: Vec<KeyId>,
    /// Digest of the evaluation record it was published with.
    pub evaluation: Option<Digest>,
    /// The bundle it was compared with.
    pub champion: Option<Digest>,
}

impl Versioned for Record {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "model record";
    const LIMIT: usize = 256 << 10;

    fn check(&self) -> Result<(), String> {
        self.release.check()
    }
}

impl Record {
    /// Where it lies in the repository.
    pub fn path(&self) -> String {
        format!("records/{}/{}.json", self.release.model, self.release.release_seq)
    }
}

/// The record of a release, from its bundle.
pub fn record_of(
    release: &Release,
    target: &str,
    slb: &[u8],
    models_version: u64,
    signers: Vec<KeyId>,
) -> Result<Record> {
    let mut tar = Vec::new();
    let length = u64::try_from(slb.len()).unwrap_or(u64::MAX);
    let refused = |error| Failure::refused(format!("{target}: {error}"));
    let measure = packed::unpack(slb, length, &mut tar).map_err(refused)?;
    if Digest::from_bytes(measure.sha256) != release.unpacked.sha256
        || measure.length != release.unpacked.length
    {
        return Err(Failure::refused(format!("{target}: its bundle.tar is not the one that is signed")));
    }
    let bundle = Bundle::read(&tar).map_err(refused)?;
    if bundle.manifest.name != release.model || bundle.manifest.version != release.version {
        return Err(Failure::refused(format!(
            "{target}: its manifest says {} {}, the release says {} {}",
            bundle.manifest.name, bundle.manifest.version, release.model, release.version
        )));
    }
    Ok(Record {
        schema: Record::SCHEMA,
        release: release.clone(),
        target: target.into(),
        packed: Digest::of(slb),
        packed_length: length,
        provenance: bundle.manifest.provenance.clone(),
        models_version,
        signers,
        evaluation: None,
        champion: None,
    })
}

/// A release that is listed now.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Target path.
    pub target: String,
    /// What is signed of it.
    pub release: Release,
    /// Bytes of the `.slb`.
    pub packed_length: u64,
    /// Why it is listed: `champion`, `rolling out 100 bp`, `abort_to`, `factory`, `new`.
    pub stage: Vec<String>,
}

/// What is listed, by model, newest last.
pub fn listed(store: &dyn Store, published: &Published) -> Result<BTreeMap<String, Vec<Listed>>> {
    let mut models: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    let Some(targets) = published.role(&roles::models()) else { return Ok(models) };
    let ledger = Ledger::read(targets)?;
    for (path, file) in &targets.targets {
        let Some(release) = release_of(file)? else { continue };
        let entry = Listed { target: path.clone(), packed_length: file.length, release, stage: Vec::new() };
        models.entry(entry.release.model.clone()).or_default().push(entry);
    }
    for (model, releases) in &mut models {
        let rollout = rollouts::read(store, published, model)?;
        releases.sort_by_key(|one| one.release.release_seq);
        for one in releases.iter_mut() {
            one.stage = stage(&one.target, rollout.as_ref(), &ledger);
        }
    }
    Ok(models)
}

fn stage(target: &str, rollout: Option<&Rollout>, ledger: &Ledger) -> Vec<String> {
    let mut stage = Vec::new();
    for (hardware, variant) in rollout.iter().flat_map(|rollout| &rollout.targets) {
        if variant.target == target {
            let state = rollout.map(|rollout| rollouts::state_name(rollout.state)).unwrap_or_default();
            let whole = variant.percent_bp == stopline_depot::rollout::ALL_BP && state == "active";
            stage.push(match whole {
                true => format!("champion on {hardware}"),
                false => format!("{state} at {} bp on {hardware}", variant.percent_bp),
            });
        }
        if variant.abort_to.as_deref() == Some(target) {
            stage.push(format!("abort_to on {hardware}"));
        }
    }
    if ledger.factory.contains(target) {
        stage.push("factory".into());
    }
    if stage.is_empty() {
        stage.push("released, in no roll-out".into());
    }
    stage
}

/// All records of a model, oldest first.
pub fn read_records(store: &dyn Store, model: &str) -> Result<Vec<Record>> {
    versioned::check_name("model", model).map_err(Failure::usage)?;
    let folder = format!("records/{model}");
    let mut records = Vec::new();
    for name in store.list(&folder)?.iter().filter(|name| name.ends_with(".json")) {
        if let Some((bytes, _)) = store.read(&format!("{folder}/{name}"), MAX_METADATA)? {
            records.push(versioned::read::<Record>(&bytes).map_err(|error| Failure::from(error).of(name))?);
        }
    }
    records.sort_by_key(|record| record.release.release_seq);
    Ok(records)
}

/// All models that are listed, with their stages and the devices that run them.
pub fn list(store: &dyn Store, published: &Published, heard: &Heard) -> Result<Said> {
    let models = listed(store, published)?;
    let running = running(heard);
    let mut words = Vec::new();
    for (model, releases) in &models {
        words.push(format!("{model}:"));
        for one in releases {
            let devices = running.get(&one.release.unpacked.sha256).copied().unwrap_or_default();
            words.push(format!(
                "  {:>4}  {:<12} {}  {}  {devices} devices said that it decides",
                one.release.release_seq,
                one.release.version.to_string(),
                crate::staging::short(&one.release.unpacked.sha256.to_string()),
                one.stage.join(", ")
            ));
        }
    }
    if models.is_empty() {
        words.push("no model is released".into());
    }
    let by_digest: BTreeMap<String, u64> =
        running.iter().map(|(digest, n)| (digest.to_string(), *n)).collect();
    Ok(Said::new(words, json!({"models": models, "devices": by_digest})))
}

/// Everything that is known of a release, by `MODEL` (the newest) or `MODEL@VERSION`.
pub fn show(store: &dyn Store, published: &Published, heard: &Heard, which: &str) -> Result<Said> {
    let record = find(store, which)?;
    let releases = listed(store, published)?.remove(&record.release.model).unwrap_or_default();
    let now = releases.iter().find(|one| one.target == record.target);
    let rollout = rollouts::read(store, published, &record.release.model)?;
    let devices = running(heard).get(&record.release.unpacked.sha256).copied().unwrap_or_default();
    let stage = now.map_or_else(|| "taken off the list".into(), |one| one.stage.join(", "));
    let provenance = record.provenance.clone().unwrap_or_default();
    let or_unknown = |text: Option<&str>| text.unwrap_or("not said").to_owned();
    let signers: Vec<&str> = record.signers.iter().map(|id| crate::staging::short(id.as_str())).collect();
    let words = vec![
        format!(
            "{} {} (release {})",
            record.release.model, record.release.version, record.release.release_seq
        ),
        format!("  stage: {stage}"),
        format!("  bundle: {} of {} bytes", record.release.unpacked.sha256, record.release.unpacked.length),
        format!("  packed: {} of {} bytes, {}", record.packed, record.packed_length, record.target),
        format!(
            "  hardware: {}; runtime from {}",
            record.release.hardware.join(", "),
            record.release.min_runtime
        ),
        format!("  data: {}", or_unknown(provenance.data_sha256.as_deref())),
        format!("  training: {}", or_unknown(provenance.note.as_deref().or(provenance.source.as_deref()))),
        format!("  licence: {}", or_unknown(provenance.licence.as_deref())),
        format!(
            "  evaluation: {}",
            or_unknown(record.evaluation.map(|digest| digest.to_string()).as_deref())
        ),
        format!(
            "  compared with: {}",
            or_unknown(record.champion.map(|digest| digest.to_string()).as_deref())
        ),
        format!("  signed by: {} (models version {})", signers.join(", "), record.models_version),
        format!("  devices that said it decides: {devices}"),
    ];
    let json =
        json!({"record": record, "stage": now.map(|one| &one.stage), "rollout": rollout, "devices": devices});
    Ok(Said::new(words, json))
}

/// What two releases differ in.
pub fn diff(store: &dyn Store, one: &str, other: &str) -> Result<Said> {
    let (a, b) = (find(store, one)?, find(store, other)?);
    let value = |record: &Record| serde_json::to_value(record).map_err(Failure::failed);
    let mut changes = Vec::new();
    compare("", &value(&a)?, &value(&b)?, &mut changes);
    let words = changes.iter().map(|(key, from, to)| format!("{key}: {from} -> {to}")).collect();
    let json = changes.iter().map(|(key, from, to)| json!({"key": key, "from": from, "to": to})).collect();
    Ok(Said::new(words, Value::Array(json)))
}

fn compare(key: &str, a: &Value, b: &Value, changes: &mut Vec<(String, Value, Value)>) {
    if let (Value::Object(left), Value::Object(right)) = (a, b) {
        let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in keys {
            let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let null = Value::Null;
            compare(&path, left.get(name).unwrap_or(&null), right.get(name).unwrap_or(&null), changes);
        }
    } else if a != b {
        changes.push((key.into(), a.clone(), b.clone()));
    }
}

fn find(store: &dyn Store, which: &str) -> Result<Record> {
    let (model, version) =
        which.split_once('@').map_or((which, None), |(model, version)| (model, Some(version)));
    let records = read_records(store, model)?;
    let wanted =
        |record: &Record| version.is_none_or(|version| record.release.version.to_string() == version);
    let known: Vec<String> = records.iter().map(|record| record.release.version.to_string()).collect();
    records.into_iter().rev().find(wanted).ok_or_else(|| {
        Failure::usage(format!("{which}: no such release; known versions of {model}: {}", known.join(", ")))
    })
}
