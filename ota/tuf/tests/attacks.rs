//! Known attacks on update systems, and incidents, each tried on the client. The name of a vulnerability says where the
//! story was learnt.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "write")]

mod workshop;

use serde_json::json;
use stopline_tuf::fetch::{Fetch, FetchError, Fetched, MemoryRepository};
use stopline_tuf::metadata::{DelegatedRole, MetaFile, TargetCheck, TargetFile, Targets};
use stopline_tuf::store::{MemoryStore, Store, StoreError};
use stopline_tuf::time::Reading;
use stopline_tuf::write::Signer;
use stopline_tuf::{Client, Limits, MetadataFile, RoleName, TargetPath, install_root};
use workshop::{MODEL, ROLLOUT, Vehicle, Workshop, code, days, file, key, keys, now, path, role, said};

/// CVE-2022-29173: no roll-back checks against what is stored.
#[test]
fn every_role_is_held_against_going_back_by_what_is_stored() {
    let mut workshop = Workshop::new();
    let old = workshop.served.clone();
    let mut vehicle = workshop.vehicle();
    workshop.release();
    vehicle.find(&workshop, MODEL).unwrap();
    let before = vehicle.store.clone();

    // The whole repository as it was.
    let replayed = Workshop { served: old, ..Workshop::new() };
    assert_eq!(code(vehicle.refresh(&replayed)), "rollback");

    // A new timestamp for an old snapshot.
    let mut back = Workshop::new();
    back.timestamp.version = 9;
    back.publish_timestamp();
    assert_eq!(code(vehicle.refresh(&back)), "rollback");

    // New timestamp and snapshot for old targets, and for an old delegated role alone.
    let mut back = Workshop::new();
    (back.timestamp.version, back.snapshot.version) = (9, 9);
    back.publish_snapshot();
    assert_eq!(code(vehicle.refresh(&back)), "rollback");
    let mut back = Workshop::new();
    back.release();
    back.snapshot.list(
        &role("models"),
        MetaFile { version: 1, length: None, hashes: None, extra: Default::default() },
    );
    back.release_snapshot();
    assert_eq!(code(vehicle.refresh(&back)), "rollback");

    // All but the timestamps whose own step succeeded are what they were.
    for name in ["root", "snapshot", "targets", "models"] {
        assert_eq!(vehicle.store.roles.get(&role(name)), before.roles.get(&role(name)), "{name}");
    }
}

/// CVE-2025-2888: the timestamp was stored although its snapshot was refused, and the client was stuck.
#[test]
fn after_a_refused_roll_back_the_next_good_release_is_taken() {
    let mut workshop = Workshop::new();
    workshop.release();
    let mut vehicle = workshop.vehicle();
    vehicle.refresh(&workshop).unwrap();
    let mut back = Workshop::new();
    (back.timestamp.version, back.snapshot.version) = (3, 3);
    back.publish_snapshot();
    assert_eq!(code(vehicle.refresh(&back)), "rollback");
    workshop.release();
    workshop.release();
    vehicle.refresh(&workshop).unwrap();
    assert_eq!(vehicle.version("targets"), Some(4));
}

/// CVE-2025-2885: a root file whose version is not the one asked for.
#[test]
fn a_root_that_is_not_the_next_one_is_refused() {
    for (version, expected) in [(1, "version"), (4, "version"), (3, "version")] {
        let mut workshop = Workshop::new();
        let mut root = workshop.root.next(days(365));
        root.version = version;
        workshop.serve("root", 2, file(&root, &keys("root", 3)));
        let mut vehicle = workshop.vehicle();
        assert_eq!(code(vehicle.refresh(&workshop)), expected, "2.root.json of version {version}");
        assert_eq!(vehicle.version("root"), Some(1));
    }
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    let next = workshop.root.next(days(365));
    workshop.publish_root(next, &keys("root", 3));
    vehicle.refresh(&workshop).unwrap();
    let first = workshop.root_file(1).to_vec();
    workshop.serve("root", 3, first);
    assert_eq!(code(vehicle.refresh(&workshop)), "rollback");
}

/// GHSA-5q2r-92f9-4m49, CVE-2026-6966: one key that signs twice, or has two ids, makes up a threshold.
#[test]
fn one_key_counts_once_under_however_many_ids() {
    // The same signature twice.
    let mut workshop = Workshop::new();
    let mut twice: serde_json::Value =
        serde_json::from_slice(&file(&workshop.targets[&role("models")], &keys("models", 1))).unwrap();
    let signature = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(signature);
    workshop.publish_targets(&role("models"), serde_json::to_vec(&twice).unwrap());
    workshop.release_snapshot();
    assert_eq!(code(workshop.vehicle().find(&workshop, MODEL)), "malformed");

    // The same key under two ids, in a delegation and in root.
    let thief = key("models1");
    let signed = |value: &serde_json::Value| {
        let mut file: serde_json::Value = serde_json::from_slice(&file(value, &[key("models1")])).unwrap();
        let mut second = file["signatures"][0].clone();
        second["keyid"] = "second".into();
        file["signatures"].as_array_mut().unwrap().push(second);
        serde_json::to_vec(&file).unwrap()
    };
    let alias = |keys: &mut serde_json::Value| {
        let mut upper = json!(thief.key());
        upper["keyval"]["public"] = upper["keyval"]["public"].as_str().unwrap().to_uppercase().into();
        keys["second"] = upper;
    };
    let mut workshop = Workshop::new();
    let mut targets = json!(workshop.targets[&role("targets")]);
    alias(&mut targets["delegations"]["keys"]);
    targets["delegations"]["roles"][0]["keyids"].as_array_mut().unwrap().push("second".into());
    let models = signed(&json!(workshop.targets[&role("models")]));
    workshop.publish_targets(&role("models"), models);
    workshop.publish_targets(&role("targets"), file(&targets, &keys("targets", 3)));
    workshop.release_snapshot();
    let mut vehicle = workshop.vehicle();
    assert_eq!(code(vehicle.find(&workshop, MODEL)), "signatures");

    let mut workshop = Workshop::new();
    let mut root = json!(workshop.root.next(days(365)));
    alias(&mut root["keys"]);
    root["keys"][thief.key().id().as_str()] = json!(thief.key());
    root["roles"]["targets"]["keyids"] = json!([thief.key().id(), "second"]);
    workshop.serve("root", 2, file(&root, &keys("root", 3)));
    let targets = signed(&json!(workshop.targets[&role("targets")]));
    workshop.publish_targets(&role("targets"), targets);
    workshop.release_snapshot();
    assert_eq!(code(workshop.vehicle().refresh(&workshop)), "signatures");
}

/// CVE-2026-6967: delegated metadata without the checks of the top-level one.
#[test]
fn delegated_metadata_is_checked_like_any_other() {
    let models = role("models");
    // Expired.
    let mut workshop = Workshop::new();
    workshop.targets.get_mut(&models).unwrap().expires = days(-1);
    workshop.release();
    assert_eq!(code(workshop.vehicle().find(&workshop, MODEL)), "expired");
    // Other bytes than listed, of the same length and of another.
    for (ending, expected) in [(None, "hash"), (Some(b' '), "length")] {
        let mut workshop = Workshop::new();
        let name = MetadataFile::versioned(&models, 1);
        let bytes = workshop.served.files.get_mut(&name).unwrap();
        match ending {
            Some(byte) => bytes.push(byte),
            None => bytes.reverse(),
        }
        let mut vehicle = workshop.vehicle();
        let result = code(vehicle.find(&workshop, MODEL));
        assert!(result == expected || result == "too_long", "{result}");
        assert_eq!(vehicle.version("models"), None, "refused metadata is not stored");
    }
    // Longer than allowed, whether that is said or not.
    for listed in [Some(u64::MAX), Some(3 << 20), None] {
        let mut workshop = Workshop::new();
        let mut bytes = workshop.served.files[&MetadataFile::versioned(&models, 1)].clone();
        bytes.resize(3 << 20, b' ');
        workshop.serve("models", 1, bytes);
        workshop
            .snapshot
            .list(&models, MetaFile { version: 1, length: listed, hashes: None, extra: Default::default() });
        workshop.release_snapshot();
        assert_eq!(code(workshop.vehicle().find(&workshop, MODEL)), "too_long", "{listed:?}");
    }
}

/// CVE-2025-2886 and CVE-2025-2887: terminating delegations ignored; a delegated role going back.
#[test]
fn behind_a_terminating_delegation_nobody_is_asked() {
    let mut workshop = Workshop::new();
    let everything = DelegatedRole::new(role("campaigns2"), 1, &["rollout/*"]);
    workshop.signers.insert("campaigns2".into(), keys("campaigns2", 1));
    workshop
        .targets
        .get_mut(&role("targets"))
        .unwrap()
        .delegate(everything, vec![key("campaigns21").key().clone()]);
    let mut other = Targets::new(days(30));
    other.add(&path("rollout/other.json"), TargetFile::of(b"pushed in"));
    workshop.targets.insert(role("campaigns2"), other);
    workshop.release();
    let mut vehicle = workshop.vehicle();
    assert_eq!(vehicle.find(&workshop, ROLLOUT).unwrap().role, role("rollout"));
    assert_eq!(code(vehicle.find(&workshop, "rollout/other.json")), "no_target");
}

/// CVE-2026-6968, CVE-2026-24686, GHSA-x3r5-q6mj-m485: names used as paths.
#[test]
fn a_target_or_role_named_like_a_path_stays_a_name() {
    let mut workshop = Workshop::new();
    let bad = ["/etc/x", "../../x", "models/../x", "a\\..\\x", "models/x/\0"];
    for name in bad {
        assert!(TargetPath::new(name).is_err(), "{name:?}");
        workshop.targets.get_mut(&role("targets")).unwrap().targets.insert(name.into(), TargetFile::of(b"x"));
    }
    let name = role("../../x");
    workshop.signers.insert(name.to_string(), keys("x", 1));
    let delegation = DelegatedRole::new(name.clone(), 1, &["anywhere/*"]);
    workshop.targets.get_mut(&role("targets")).unwrap().delegate(delegation, vec![key("x1").key().clone()]);
    let mut targets = Targets::new(days(30));
    targets.add(&path("anywhere/x"), TargetFile::of(b"x"));
    workshop.targets.insert(name.clone(), targets);
    workshop.release();

    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("a/b/metadata");
    let mut store = stopline_tuf::store::FolderStore::open(&folder).unwrap();
    install_root(&mut store, workshop.root_file(1)).unwrap();
    let settings = workshop.vehicle().settings;
    let mut client = Client::new(workshop.served.clone(), store, Reading::Synchronised(now()), settings);
    let found = client.refresh().unwrap().find(&path("anywhere/x")).unwrap();
    assert_eq!(found.role, name);
    assert!(folder.join("..%2F..%2Fx.json").is_file());
    for outside in ["a/x.json", "x.json", "a/b/x.json"] {
        assert!(!outer.path().join(outside).exists(), "{outside}");
    }
}

/// CVE-2020-15163: a root that had failed verification was trusted after a restart.
#[test]
fn a_root_that_does_not_verify_is_not_begun_with() {
    let workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    let forged = file(&workshop.root.next(days(365)), &keys("thief", 3));
    vehicle.store.save(&role("root"), &forged).unwrap();
    assert_eq!(code(vehicle.refresh(&workshop)), "signatures");
    // With a root of one's own, one begins with that.
    vehicle.settings.anchor = Some(workshop.root_file(1).to_vec());
    vehicle.refresh(&workshop).unwrap();
}

/// hub.mender.io/t/6495: no readable key meant that nothing was verified.
#[test]
fn without_a_root_nothing_is_trusted() {
    let workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.store = MemoryStore::default();
    assert_eq!(code(vehicle.refresh(&workshop)), "no_root");
    for damaged in [&b""[..], b"\0\0\0\0", b"{}", b"{\"signatures\":[],\"signed\":{}}"] {
        vehicle.store.save(&role("root"), damaged).unwrap();
        assert_eq!(code(vehicle.refresh(&workshop)), "malformed");
        assert!(install_root(&mut MemoryStore::default(), damaged).is_err());
    }
}

/// CVE-2026-23992: a threshold of nothing, or less.
#[test]
fn a_threshold_is_at_least_one_and_can_be_met() {
    for threshold in [json!(0), json!(-1), json!("1"), json!(1.0), json!(null)] {
        let mut workshop = Workshop::new();
        let mut root = json!(workshop.root.next(days(365)));
        root["roles"]["timestamp"]["threshold"] = threshold.clone();
        let bytes = if threshold.is_f64() {
            serde_json::to_vec(&json!({"signatures": [], "signed": root})).unwrap()
        } else {
            file(&root, &keys("root", 3))
        };
        workshop.serve("root", 2, bytes);
        assert_eq!(code(workshop.vehicle().refresh(&workshop)), "malformed", "root, {threshold}");

        let mut workshop = Workshop::new();
        let mut targets = json!(workshop.targets[&role("targets")]);
        targets["delegations"]["roles"][0]["threshold"] =
            if threshold.is_f64() { json!(0) } else { threshold };
        workshop.publish_targets(&role("targets"), file(&targets, &keys("targets", 3)));
        workshop.release_snapshot();
        assert_eq!(code(workshop.vehicle().refresh(&workshop)), "malformed");
    }
    // More than there are keys is a role that cannot be signed.
    let mut workshop = Workshop::new();
    let mut root = workshop.root.next(days(365));
    root.require(&role("timestamp"), 2);
    workshop.publish_root(root, &keys("root", 3));
    assert_eq!(code(workshop.vehicle().refresh(&workshop)), "signatures");
}

/// CVE-2026-33552: whoever may do one thing could do another.
#[test]
fn a_key_signs_for_its_own_role_only() {
    let online = ["rollout", "campaigns", "snapshot", "timestamp"];
    for thief in online {
        let mut workshop = Workshop::new();
        let mut models = workshop.targets[&role("models")].next(days(90));
        models.add(&path(MODEL), TargetFile::of(b"evil"));
        let all: Vec<_> = online.iter().flat_map(|name| keys(name, 1)).collect();
        workshop.publish_targets(&role("models"), file(&models, &all));
        workshop.release_snapshot();
        assert_eq!(code(workshop.vehicle().find(&workshop, MODEL)), "signatures", "{thief} and all others");
    }
    // A roll-out's key lists a model in its own metadata, and delegates to a role that it calls models.
    let mut workshop = Workshop::new();
    let rollout = workshop.targets.get_mut(&role("rollout")).unwrap();
    rollout.add(&path("models/stop-sign/evil.slb"), TargetFile::of(b"evil"));
    rollout.delegate(
        DelegatedRole::new(role("models"), 1, &["*", "*/*", "models/*/*"]),
        vec![key("thief").key().clone()],
    );
    workshop.release();
    let mut vehicle = workshop.vehicle();
    assert_eq!(code(vehicle.find(&workshop, "models/stop-sign/evil.slb")), "no_target");
    assert_eq!(vehicle.find(&workshop, MODEL).unwrap().chain, [role("targets"), role("models")]);
}

#[test]
fn a_model_found_in_any_other_role_is_told_by_its_role() {
    let mut workshop = Workshop::new();
    let targets = workshop.targets.get_mut(&role("targets")).unwrap();
    targets.add(&path("models/stop-sign/factory.slb"), TargetFile::of(b"factory"));
    workshop.release();
    let mut vehicle = workshop.vehicle();
    let models = role("models");
    vehicle.find(&workshop, MODEL).unwrap().provided_by(&models, "models/*/*").unwrap();
    let factory = vehicle.find(&workshop, "models/stop-sign/factory.slb").unwrap();
    assert_eq!(code(factory.provided_by(&models, "models/*/*")), "wrong_role");
    factory.provided_by(&role("targets"), "models/*/*").unwrap();
    let rollout = vehicle.find(&workshop, ROLLOUT).unwrap();
    assert_eq!(code(rollout.provided_by(&models, "models/*/*")), "wrong_role");
    assert_eq!(code(rollout.provided_by(&role("rollout"), "models/*/*")), "wrong_role");
}

/// CVE-2026-34155: lengths around the limits of numbers, and bytes after the end.
#[test]
fn lengths_at_the_limits_of_numbers_and_trailing_bytes_are_refused() {
    let near = [(1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, u64::MAX];
    for length in near {
        let mut workshop = Workshop::new();
        let listed = MetaFile { version: 2, length: Some(length), hashes: None, extra: Default::default() };
        workshop.timestamp.meta.insert("snapshot.json".into(), listed);
        workshop.publish_timestamp();
        assert_eq!(code(workshop.vehicle().refresh(&workshop)), "too_long", "{length}");

        let target = TargetFile { length, ..TargetFile::of(b"model 1") };
        let mut check = TargetCheck::new("target", &target).unwrap();
        check.update(b"model 1").unwrap();
        assert_eq!(code(check.finish()), "length", "{length}");
    }
    let mut check = TargetCheck::new("target", &TargetFile::of(b"model 1")).unwrap();
    assert_eq!(code(check.update(b"model 1 and more")), "length");

    let mut workshop = Workshop::new();
    for name in ["root", "timestamp"] {
        let next = workshop.root.next(days(365));
        let mut bytes = if name == "root" {
            file(&next, &keys("root", 3))
        } else {
            file(&workshop.timestamp, &keys("timestamp", 1))
        };
        bytes.extend_from_slice(b"{}");
        if name == "root" {
            workshop.serve("root", 2, bytes);
        } else {
            workshop.served.files.remove(&MetadataFile::versioned(&role("root"), 2));
            workshop.served.files.insert(MetadataFile::unversioned(&role("timestamp")), bytes);
        }
        assert_eq!(code(workshop.vehicle().refresh(&workshop)), "malformed", "{name}");
    }
}

/// CVE-2026-23991: a crash on JSON that is well-formed and makes no sense, before any signature is looked at.
#[test]
fn json_that_makes_no_sense_is_refused_and_nothing_more() {
    let nonsense = [
        json!(null),
        json!([]),
        json!({}),
        json!(-1),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!([[[[]]]]),
        json!({"signed": null}),
        json!(true),
    ];
    let honest = Workshop::new();
    let asked = |name: &&MetadataFile| !["1.rollout.json", "1.campaigns.json"].contains(&name.as_str());
    for name in honest.served.files.keys().filter(asked) {
        let bytes = &honest.served.files[name];
        let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let mut places = Vec::new();
        pointers(&document, String::new(), &mut places);
        for place in &places {
            for value in &nonsense {
                let mut changed = document.clone();
                *changed.pointer_mut(place).unwrap() = value.clone();
                if changed == document {
                    continue;
                }
                let mut served = honest.served.clone();
                served.files.insert(name.clone(), serde_json::to_vec(&changed).unwrap());
                let mut vehicle = honest.vehicle();
                vehicle.store = MemoryStore::default();
                let _ = install_root(
                    &mut vehicle.store,
                    &served.files[&MetadataFile::versioned(&role("root"), 1)],
                );
                let mut client =
                    Client::new(served, &mut vehicle.store, vehicle.reading, vehicle.settings.clone());
                let result = client.refresh().and_then(|mut session| session.find(&path(MODEL)));
                // What still passes is what no signature covers: a signature too many, a key beside.
                if let Ok(found) = result {
                    assert_eq!(found.file, TargetFile::of(b"model 1"), "{name} {place} {value}");
                    assert!(place.starts_with("/signatures"), "{name} {place} {value}");
                }
            }
        }
    }
}

fn pointers(value: &serde_json::Value, at: String, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => members.iter().for_each(|(key, value)| {
            pointers(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
        }),
        serde_json::Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| pointers(value, format!("{at}/{index}"), into));
        }
        _ => {}
    }
    into.push(at);
}

#[test]
fn a_flipped_bit_anywhere_changes_nothing_that_is_believed() {
    let workshop = Workshop::new();
    let honest = workshop.vehicle().find(&workshop, MODEL).unwrap();
    let mut accepted = 0;
    let mut tried = 0;
    for (name, bytes) in &workshop.served.files {
        for at in (0..bytes.len()).step_by(7) {
            let mut served = workshop.served.clone();
            served.files.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            let mut vehicle = workshop.vehicle();
            let mut client =
                Client::new(served, &mut vehicle.store, vehicle.reading, vehicle.settings.clone());
            let found = client.refresh().and_then(|mut session| session.find(&path(MODEL)));
            tried += 1;
            if let Ok(found) = found {
                assert_eq!(found, honest, "{name} at {at}");
                accepted += 1;
            }
        }
    }
    // Roles that are not asked, the first root that is installed already, and signatures beyond the threshold.
    println!("{tried} flipped bits, {accepted} without effect");
    assert!(tried > 1000 && accepted < tried);
}

/// An attacker who knows no key adds a spelling of a signed name that some canonical forms take for the name itself.
#[test]
fn another_spelling_of_a_signed_name_breaks_the_signature() {
    let mut workshop = Workshop::new();
    workshop.targets.get_mut(&role("models")).unwrap().add(&path("models/K/1.slb"), TargetFile::of(b"good"));
    workshop.release();
    let name = MetadataFile::versioned(&role("models"), 2);
    let text = String::from_utf8(workshop.served.files[&name].clone()).unwrap();
    let evil = serde_json::to_string(&TargetFile::of(b"evil")).unwrap();
    let added =
        text.replacen("\"targets\":{", &format!("\"targets\":{{\"models/\u{212a}/1.slb\":{evil},"), 1);
    assert_ne!(added, text);
    workshop.serve("models", 2, added.into_bytes());
    workshop.snapshot.list(
        &role("models"),
        MetaFile { version: 2, length: None, hashes: None, extra: Default::default() },
    );
    workshop.release_snapshot();
    assert_eq!(code(workshop.vehicle().find(&workshop, "models/\u{212a}/1.slb")), "signatures");
}

#[test]
fn metadata_of_two_moments_is_not_mixed() {
    let mut workshop = Workshop::new();
    let old = workshop.served.clone();
    workshop.release();
    // The new snapshot with the old targets under the new name, and the other way round.
    let name = |version| MetadataFile::versioned(&role("targets"), version);
    let mut served = workshop.served.clone();
    served.files.insert(name(2), old.files[&name(1)].clone());
    let mixed = Workshop { served, ..Workshop::new() };
    let result = code(mixed.vehicle().refresh(&mixed));
    assert!(["hash", "length"].contains(&result), "{result}");
    let mut served = old.clone();
    served.files.insert(
        MetadataFile::versioned(&role("snapshot"), 1),
        workshop.served.files[&MetadataFile::versioned(&role("snapshot"), 2)].clone(),
    );
    let mixed = Workshop { served, ..Workshop::new() };
    let result = code(mixed.vehicle().refresh(&mixed));
    assert!(["hash", "length"].contains(&result), "{result}");
}

#[test]
fn metadata_of_another_fleet_is_foreign() {
    let ours = Workshop::new();
    let mut theirs = Workshop::new();
    for (name, signers) in &mut theirs.signers {
        *signers = keys(&format!("their-{name}"), signers.len());
    }
    theirs.publish();
    let mut vehicle = ours.vehicle();
    assert_eq!(code(vehicle.refresh(&theirs)), "signatures");
    assert_eq!(vehicle.version("timestamp"), None);
}

/// Serves root after root for ever.
struct Endless {
    asked: u64,
    limit: u64,
}

impl Fetch for Endless {
    fn metadata(&mut self, name: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        self.asked += 1;
        self.limit = self.limit.max(limit);
        let Some(version) = name.as_str().strip_suffix(".root.json") else { return Ok(Fetched::Missing) };
        let mut root = Workshop::new().root;
        root.version =
            version.parse().map_err(|error: std::num::ParseIntError| FetchError::new(name, error))?;
        Ok(Fetched::Found(file(&root, &keys("root", 2))))
    }
}

#[test]
fn an_endless_chain_of_roots_ends() {
    let workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.settings.limits.root_rotations = 5;
    let endless = Endless { asked: 0, limit: 0 };
    let mut client = Client::new(endless, &mut vehicle.store, vehicle.reading, vehicle.settings.clone());
    assert_eq!(code(client.refresh().map(|_| ())), "missing");
    let (endless, ..) = client.into_parts();
    assert_eq!((endless.asked, endless.limit), (6, Limits::default().root));
    assert_eq!(vehicle.version("root"), Some(6));
}

/// Sends more than was asked for.
struct Flood<'a>(&'a MemoryRepository, &'a str);

impl Fetch for Flood<'_> {
    fn metadata(&mut self, name: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        let mut fetched = self.0.clone().metadata(name, limit)?;
        if let (Fetched::Found(bytes), true) = (&mut fetched, name.as_str() == self.1) {
            bytes.resize(usize::try_from(limit).unwrap() + 1, b' ');
        }
        Ok(fetched)
    }
}

#[test]
fn endless_data_is_cut_off_for_every_file() {
    let mut workshop = Workshop::new();
    let next = workshop.root.next(days(365));
    workshop.publish_root(next, &keys("root", 3));
    for name in ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json", "1.models.json"] {
        let mut vehicle = workshop.vehicle();
        let flood = Flood(&workshop.served, name);
        let mut client = Client::new(flood, &mut vehicle.store, vehicle.reading, vehicle.settings.clone());
        let result = client.refresh().and_then(|mut session| session.find(&path(MODEL)));
        assert_eq!(code(result), "too_long", "{name}");
    }
}

#[test]
fn a_graph_of_delegations_ends_at_its_bounds() {
    let mut chain = Workshop::new();
    let mut wide = Workshop::new();
    for index in 0..40 {
        let name = role(&format!("r{index}"));
        let delegation = || DelegatedRole::new(name.clone(), 1, &["deep/*"]);
        for workshop in [&mut chain, &mut wide] {
            workshop.signers.insert(name.to_string(), keys("r", 1));
            workshop.targets.insert(name.clone(), Targets::new(days(30)));
        }
        let before = if index == 0 { role("targets") } else { role(&format!("r{}", index - 1)) };
        chain.targets.get_mut(&before).unwrap().delegate(delegation(), vec![key("r1").key().clone()]);
        wide.targets.get_mut(&role("targets")).unwrap().delegate(delegation(), vec![key("r1").key().clone()]);
    }
    for mut workshop in [chain, wide] {
        workshop.release();
        let error = workshop.vehicle().find(&workshop, "deep/x").unwrap_err();
        assert_eq!(error.code(), "search_too_long", "{error}");
        println!("{error}");
    }
}

/// A store that fails at one call, before or after it had its effect.
struct Failing<'a> {
    inner: &'a mut MemoryStore,
    left: usize,
    effect: bool,
}

impl Failing<'_> {
    fn step(&mut self) -> Result<bool, StoreError> {
        self.left = self.left.wrapping_sub(1);
        Ok(self.left == usize::MAX)
    }

    fn failed() -> StoreError {
        StoreError {
            action: "write",
            path: "x".into(),
            source: std::io::Error::other("no space left on device"),
        }
    }
}

impl Store for Failing<'_> {
    fn load(&self, role: &RoleName) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load(role)
    }

    fn save(&mut self, role: &RoleName, bytes: &[u8]) -> Result<(), StoreError> {
        let fails = self.step()?;
        if !fails || self.effect {
            self.inner.save(role, bytes)?;
        }
        if fails { Err(Self::failed()) } else { Ok(()) }
    }

    fn remove(&mut self, role: &RoleName) -> Result<(), StoreError> {
        let fails = self.step()?;
        if !fails || self.effect {
            self.inner.remove(role)?;
        }
        if fails { Err(Self::failed()) } else { Ok(()) }
    }

    fn keep_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let fails = self.step()?;
        if !fails || self.effect {
            self.inner.keep_root(version, bytes)?;
        }
        if fails { Err(Self::failed()) } else { Ok(()) }
    }

    fn kept_root(&self, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.kept_root(version)
    }
}

/// CVE-2022-29173, the other half: metadata was stored before it was verified.
#[test]
fn an_update_cut_at_any_write_goes_on_from_there() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.find(&workshop, MODEL).unwrap();
    let begin = vehicle.store.clone();
    // Keys of everything change: two roots, deletions, all roles.
    for round in 0..2 {
        let mut root = workshop.root.next(days(365));
        for name in ["timestamp", "snapshot"] {
            let old = root.roles[name].keyids.clone();
            old.iter().for_each(|id| root.revoke(&role(name), id));
            workshop.signers.insert(name.into(), keys(&format!("{name}-{round}-"), 1));
            root.allow(&role(name), workshop.signers(name)[0].key().clone());
        }
        workshop.publish_root(root, &keys("root", 3));
    }
    workshop.release();
    let mut cuts = 0;
    for effect in [false, true] {
        for left in 0.. {
            let mut inner = begin.clone();
            let store = Failing { inner: &mut inner, left, effect };
            let mut client =
                Client::new(workshop.served.clone(), store, vehicle.reading, vehicle.settings.clone());
            let result = client.refresh().and_then(|mut session| session.find(&path(MODEL)));
            if result.is_ok() {
                break;
            }
            assert_eq!(code(result), "store");
            drop(client);
            let mut again =
                Vehicle { store: inner, reading: vehicle.reading, settings: vehicle.settings.clone() };
            again.find(&workshop, MODEL).unwrap_or_else(|error| panic!("cut at {left}: {error}"));
            assert_eq!((again.version("root"), again.version("models")), (Some(3), Some(2)));
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
    assert!(cuts >= 16);
}

#[test]
fn what_is_stored_is_verified_again() {
    let workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.find(&workshop, MODEL).unwrap();
    // Whoever can write there puts in a release of their own; it is fetched anew.
    for name in ["timestamp", "snapshot", "targets", "models"] {
        let mut forged = said(&vehicle.store.roles[&role(name)]);
        forged["version"] = json!(99);
        vehicle.store.save(&role(name), &file(&forged, &keys("thief", 3))).unwrap();
    }
    assert_eq!(vehicle.find(&workshop, MODEL).unwrap().role_version, 1);
    for name in ["timestamp", "snapshot", "targets", "models"] {
        assert_eq!(vehicle.version(name), Some(1), "{name}");
    }
}
