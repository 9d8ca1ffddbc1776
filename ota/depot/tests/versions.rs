//! Old and new agent, runtime, bundle and metadata: each document that passes between two programs, as today's reader meets
//! it from an older, an equal and a newer writer. Prints the table that `ota/README.md` explains.
//!
//! `documents/` holds one of each as schema 1 was written; they are never changed. A writer that adds a key without raising
//! the schema fails here: yesterday's readers refuse keys that they do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)] // what cannot be prepared fails the test

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stopline_depot::batch::{BatchManifest, BatchState};
use stopline_depot::bundle::{Bundle, BundleError};
use stopline_depot::campaign::{Brought, Campaigns};
use stopline_depot::capture::CaptureLimits;
use stopline_depot::deployment::{Approval, DeployCause, Outcome, Verdict};
use stopline_depot::digest::Digest;
use stopline_depot::health::{Health, HealthError};
use stopline_depot::manifest::{Manifest, ManifestError};
use stopline_depot::message::{Acknowledge, Message, Receipts};
use stopline_depot::order::{Answer, Order};
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::placing::Placing;
use stopline_depot::release::Release;
use stopline_depot::rollout::Rollout;
use stopline_depot::settings;
use stopline_depot::slots::{
    Deny, Depot, DepotError, DepotPaths, Floor, Journal, Offer, Pointers, Progress, RuntimeState,
    ServiceRecord, Session, SlotRecord, SlotState, StatePaths, StoredEvidence, Trust, TrustPaths,
};
use stopline_depot::stream::{Messages, StreamError};
use stopline_depot::versioned::{self, Versioned, VersionedError};

/// How a reader takes a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Read,
    /// Told apart as newer: it waits for a newer program.
    Newer,
    /// Refused with a message.
    Refused,
}

/// A document between two programs.
struct Document {
    name: &'static str,
    writer: &'static str,
    reader: &'static str,
    /// As schema 1 was written.
    frozen: &'static str,
    read: fn(&[u8]) -> Met,
    /// Today's writer on what today's reader made of it; none where it is written elsewhere.
    rewrite: Option<fn(&[u8]) -> Vec<u8>>,
    /// A key that the reader does not know, under the same schema.
    unknown_key: Met,
    /// What the reader's program does when it is newer.
    newer: &'static str,
}

fn met<T: Versioned>(bytes: &[u8]) -> Met {
    match versioned::read::<T>(bytes) {
        Ok(_) => Met::Read,
        Err(VersionedError::Newer { .. }) => Met::Newer,
        Err(VersionedError::Refused { .. }) => Met::Refused,
    }
}

fn rewritten<T: Versioned>(bytes: &[u8]) -> Vec<u8> {
    versioned::write(&versioned::read::<T>(bytes).unwrap()).unwrap()
}

fn strict<T: Versioned>(
    (writer, reader): (&'static str, &'static str),
    frozen: &'static str,
    newer: &'static str,
) -> Document {
    let (read, rewrite) = (met::<T> as fn(&[u8]) -> Met, Some(rewritten::<T> as fn(&[u8]) -> Vec<u8>));
    Document { name: T::NAME, writer, reader, frozen, read, rewrite, unknown_key: Met::Refused, newer }
}

fn manifest(bytes: &[u8]) -> Met {
    match Manifest::from_json(bytes) {
        Ok(_) => Met::Read,
        Err(ManifestError::Newer { .. }) => Met::Newer,
        Err(_) => Met::Refused,
    }
}

fn health(bytes: &[u8]) -> Met {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("health.json");
    std::fs::write(&path, bytes).unwrap();
    match Health::read(&path) {
        Ok(_) => Met::Read,
        Err(HealthError::Schema { found, .. }) if found > 1 => Met::Newer,
        Err(_) => Met::Refused,
    }
}

fn stream(bytes: &[u8]) -> Met {
    match Messages::new(Cursor::new([bytes, b"\n"].concat())).next(&mut Vec::new()) {
        Ok(_) => Met::Read,
        Err(StreamError::Schema { found }) if found > 1 => Met::Newer,
        Err(_) => Met::Refused,
    }
}

macro_rules! frozen {
    ($name:literal) => {
        include_str!(concat!("documents/", $name, ".json"))
    };
}

fn documents() -> Vec<Document> {
    const SIGNED: (&str, &str) = ("fleet", "agent, runtime");
    const OFFERED: (&str, &str) = ("agent", "runtime");
    const TOLD: (&str, &str) = ("runtime", "agent");
    const OWN_RUNTIME: (&str, &str) = ("runtime", "runtime, agent");
    const ANSWERED: (&str, &str) = ("fleet", "agent");
    const IMAGE: (&str, &str) = ("image", "agent, runtime");
    let waits = "waits: Deferred(schema); what is installed stays";
    vec![
        strict::<Release>(SIGNED, frozen!("release"), waits),
        strict::<Rollout>(("fleet", "agent"), frozen!("rollout"), "nothing new begins; what has begun stays"),
        strict::<settings::Document>(("fleet", "agent"), frozen!("settings"), "what is set stays; told"),
        strict::<Campaigns>(SIGNED, frozen!("campaigns"), "no campaign takes frames; told"),
        strict::<Brought>(OFFERED, frozen!("campaigns-brought"), "no campaign takes frames; told"),
        strict::<CaptureLimits>(
            OFFERED,
            frozen!("capture-limits"),
            "the configuration's own limits hold; told once",
        ),
        Document {
            name: "bundle manifest",
            writer: "fleet",
            reader: "runtime",
            frozen: frozen!("manifest"),
            read: manifest,
            rewrite: Some(|bytes| serde_json::to_vec(&Manifest::from_json(bytes).unwrap()).unwrap()),
            unknown_key: Met::Refused,
            newer: waits,
        },
        strict::<SlotRecord>(OFFERED, frozen!("slot"), waits),
        strict::<Offer>(OFFERED, frozen!("offer"), "the offer before it counts; told once"),
        strict::<Progress>(TOLD, frozen!("progress"), "the deployment stays where it is; told"),
        strict::<ServiceRecord>(TOLD, frozen!("service"), "what it did is not told; told once"),
        strict::<Pointers>(
            OWN_RUNTIME,
            frozen!("pointers"),
            "never written over; no slot is emptied; factory decides",
        ),
        strict::<Verdict>(OWN_RUNTIME, frozen!("verdict"), "agent waits; runtime tests again"),
        strict::<Approval>(OWN_RUNTIME, frozen!("approval"), "judged again from the evidence"),
        strict::<Session>(("runtime", "runtime"), frozen!("session"), "as the first start"),
        strict::<Journal>(("agent", "agent"), frozen!("journal"), "agent does not start; nothing is changed"),
        strict::<Floor>(IMAGE, frozen!("floor"), "nothing new is loaded; waits"),
        strict::<Deny>(IMAGE, frozen!("deny"), "nothing new is loaded; waits"),
        strict::<Outcome>(("agent", "fleet"), frozen!("outcome"), "counted as not heard; told"),
        strict::<SignedOutcome>(("agent", "fleet"), frozen!("signed-outcome"), "counted as not heard; told"),
        strict::<BatchManifest>(("agent", "fleet"), frozen!("batch"), "422: the records wait; told"),
        strict::<BatchState>(ANSWERED, frozen!("batch-state"), "no receipt: the records wait; told"),
        strict::<Placing>(ANSWERED, frozen!("placing"), "the batch goes by the server itself"),
        strict::<Message>(("agent", "fleet"), frozen!("message"), "put aside with an alarm; told"),
        strict::<Receipts>(ANSWERED, frozen!("receipts"), "no receipt: the messages wait; told"),
        strict::<Acknowledge>(ANSWERED, frozen!("acknowledge"), "the alert stays open; told"),
        strict::<Order>(ANSWERED, frozen!("order"), "not done; told"),
        strict::<Answer>(("agent", "fleet"), frozen!("answer"), "422: the order stays open; told"),
        Document {
            name: "health",
            writer: "runtime",
            reader: "agent, view, doctor",
            frozen: frozen!("health"),
            read: health,
            rewrite: None,
            unknown_key: Met::Read,
            newer: "runtime's version is not known: min_runtime is left to the runtime",
        },
        Document {
            name: "stream",
            writer: "runtime",
            reader: "view",
            frozen: r#"{"type": "hello", "schema": 1, "name": "car", "version": "0.1.0", "cameras": []}"#,
            read: stream,
            rewrite: None,
            unknown_key: Met::Read,
            newer: "the viewer ends and says so",
        },
    ]
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn with(document: &Document, change: impl FnOnce(&mut Value)) -> Met {
    let mut value = object(document.frozen);
    change(&mut value);
    (document.read)(&serde_json::to_vec(&value).unwrap())
}

/// Paths of every object in `value`, itself included.
fn objects(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| objects(inner, format!("{at}/{key}"), into));
            into.push(at);
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, inner)| objects(inner, format!("{at}/{index}"), into));
        }
        _ => {}
    }
}

#[test]
fn every_document_is_met_from_an_older_an_equal_and_a_newer_writer() {
    println!("document          written by  read by               unknown key  newer schema");
    for document in documents() {
        let name = document.name;
        assert_eq!((document.read)(document.frozen.as_bytes()), Met::Read, "{name}: as schema 1 was written");
        if let Some(rewrite) = document.rewrite {
            let today: Value = serde_json::from_slice(&rewrite(document.frozen.as_bytes())).unwrap();
            let known = keys(&object(document.frozen));
            let new: Vec<String> = keys(&today).difference(&known).cloned().collect();
            let filled_in = name == "bundle manifest";
            assert!(filled_in || new.is_empty(), "{name}: {new:?} are new to schema 1; raise the schema");
        }
        for newer in [2_u64, 3, u64::from(u32::MAX)] {
            assert_eq!(with(&document, |value| value["schema"] = newer.into()), Met::Newer, "{name} {newer}");
            let other_keys = json!({"schema": newer, "all": ["other"], "keys": {}});
            let changed = with(&document, |value| *value = other_keys);
            // A stream's greeting is read whole before its schema is looked at.
            let expected = if name == "stream" { Met::Refused } else { Met::Newer };
            assert_eq!(changed, expected, "{name}: with other keys");
        }
        for wrong in [json!(0), json!(-1), json!(1.5), json!("1"), json!(null), json!([1]), json!({})] {
            assert_eq!(
                with(&document, |value| value["schema"] = wrong.clone()),
                Met::Refused,
                "{name} {wrong}"
            );
        }
        let more = with(&document, |value| value["later"] = json!({"a": [1]}));
        assert_eq!(more, document.unknown_key, "{name}: a key that is not known");
        println!(
            "{name:<17} {:<11} {:<21} {:<12} {}",
            document.writer,
            document.reader,
            format!("{:?}", document.unknown_key).to_lowercase(),
            document.newer
        );
    }
}

fn keys(value: &Value) -> BTreeSet<String> {
    let mut paths = Vec::new();
    objects(value, String::new(), &mut paths);
    let inner = |path: &String| {
        let map = value.pointer(path).and_then(Value::as_object).unwrap();
        map.keys().map(|key| format!("{path}/{key}")).collect::<Vec<_>>()
    };
    paths.iter().flat_map(inner).collect()
}

#[test]
fn nothing_that_a_writer_may_leave_out_add_or_change_is_more_than_a_refusal() {
    let strange =
        [json!(null), json!(-1), json!(1e300), json!("x"), json!([[]]), json!({"": {}}), json!(u64::MAX)];
    let mut tried = 0;
    for document in documents() {
        let whole = object(document.frozen);
        let mut paths = Vec::new();
        objects(&whole, String::new(), &mut paths);
        for path in &paths {
            let names: Vec<String> =
                whole.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect();
            for name in names {
                let mut less = whole.clone();
                less.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(&name);
                (document.read)(&serde_json::to_vec(&less).unwrap());
                for value in &strange {
                    let mut other = whole.clone();
                    other.pointer_mut(path).unwrap()[&name] = value.clone();
                    (document.read)(&serde_json::to_vec(&other).unwrap());
                    tried += 1;
                }
            }
        }
        for end in 0..document.frozen.trim_end().len() {
            let cut = (document.read)(&document.frozen.as_bytes()[..end]);
            assert_eq!(cut, Met::Refused, "{} cut at {end}", document.name);
        }
    }
    println!("{tried} changed values, none of them more than a refusal");
}

/// Everything below a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

fn newer(frozen: &str) -> Vec<u8> {
    let mut value = object(frozen);
    value["schema"] = 2.into();
    value["later"] = json!("a key of tomorrow");
    serde_json::to_vec_pretty(&value).unwrap()
}

/// A depot with one Staged slot and a journal, and a state that points at it.
fn device() -> (tempfile::TempDir, DepotPaths, StatePaths, Digest) {
    let folder = tempfile::tempdir().unwrap();
    let (paths, state) =
        (DepotPaths::new(folder.path().join("depot")), StatePaths::new(folder.path().join("state")));
    let bundle = b"a bundle".as_slice();
    let mut release: Release = versioned::read(frozen!("release").as_bytes()).unwrap();
    (release.unpacked.sha256, release.unpacked.length) = (Digest::of(bundle), bundle.len() as u64);
    let mut depot = Depot::open(paths.clone()).unwrap();
    let target = "models/stop-sign/7.slb";
    let mut filling = depot.fill(release, target, StoredEvidence::default()).unwrap();
    filling.add(bundle).unwrap();
    filling.finish().unwrap();
    depot.record(|journal| Ok(journal.begin("stop-sign", "r-1", Digest::of(bundle), target))).unwrap();
    drop(depot);
    // Opened again, the journal knows what the slots know.
    Depot::open(paths.clone()).unwrap();
    let mut runtime = RuntimeState::open(state.clone()).unwrap();
    runtime.point("stop-sign", |pointers| pointers.take_up(Digest::of(bundle))).unwrap();
    (folder, paths, state, Digest::of(bundle))
}

#[test]
fn files_of_a_newer_program_are_neither_lost_nor_written_over() {
    let cause = |error: DepotError| (error.cause(), error.to_string().contains("Install a newer one"));
    let waits = (DeployCause::Schema, true);

    let (folder, paths, _, _) = device();
    std::fs::write(paths.journal(), newer(frozen!("journal"))).unwrap();
    let before = files(folder.path());
    assert_eq!(cause(Depot::open(paths).unwrap_err()), waits, "journal");
    assert_eq!(files(folder.path()), before, "a journal of a newer agent");

    let (folder, paths, state, digest) = device();
    std::fs::write(state.pointers(), newer(frozen!("pointers"))).unwrap();
    let before = files(folder.path());
    let mut depot = Depot::open(paths).unwrap();
    assert_eq!(cause(depot.collect_garbage(&state, &BTreeSet::new()).unwrap_err()), waits, "pointers");
    let mut runtime = RuntimeState::open(state).unwrap();
    assert_eq!(cause(runtime.reader().pointers().unwrap_err()), waits);
    assert_eq!(cause(runtime.point("stop-sign", |pointers| pointers.take_up(digest)).unwrap_err()), waits);
    assert_eq!(files(folder.path()), before, "pointers of a newer runtime");

    let (folder, paths, _, digest) = device();
    std::fs::write(paths.slot_record(&digest), newer(frozen!("slot"))).unwrap();
    let before = files(folder.path());
    let mut depot = Depot::open(paths).unwrap();
    let release: Release = versioned::read(frozen!("release").as_bytes()).unwrap();
    let unpacked = stopline_depot::release::Content { sha256: digest, length: 8 };
    let again =
        depot.fill(Release { unpacked, ..release }, "models/stop-sign/7.slb", StoredEvidence::default());
    assert_eq!(cause(again.err().unwrap()), waits, "slot");
    assert!(!matches!(depot.slot_state(&digest), Ok(SlotState::Empty)));
    assert_eq!(files(folder.path()), before, "a slot that a newer agent filled");
}

#[test]
fn a_bundle_or_a_list_of_tomorrow_waits_for_tomorrows_program() {
    let of_tomorrow = newer(frozen!("manifest"));
    let error = Bundle::new(&of_tomorrow, b"model", None, Default::default()).unwrap_err();
    assert_eq!(error.cause(), DeployCause::Schema, "{error}");
    assert!(matches!(error, BundleError::Manifest(ManifestError::Newer { found: 2 })));
    let broken = Bundle::new(b"{\"schema\": 1}", b"model", None, Default::default()).unwrap_err();
    assert_eq!(broken.cause(), DeployCause::Bundle, "{broken}");
    let toml = "schema = 2\nname = 7\n[of]\ntomorrow = true\n";
    assert!(matches!(Manifest::from_toml(toml), Err(ManifestError::Newer { found: 2 })));

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("root.json", b"{}");
    write("floor.json", frozen!("floor").as_bytes());
    write("deny.json", frozen!("deny").as_bytes());
    let read = || Trust::read(&stopline_depot::disk::RealDisk, &TrustPaths::new(folder.path()));
    read().unwrap();
    for (name, frozen) in [("floor.json", frozen!("floor")), ("deny.json", frozen!("deny"))] {
        write(name, &newer(frozen));
        assert_eq!(read().unwrap_err().cause(), DeployCause::Schema, "{name}");
        write(name, frozen.as_bytes());
    }
}
