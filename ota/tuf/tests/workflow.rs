//! What the workflow does for an operator: rotation, recovery, expiry, boards without a clock, and judging for oneself.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "write")]

mod workshop;

use std::collections::BTreeSet;

use serde_json::json;
use stopline_tuf::fetch::{Fetch, FetchError, Fetched};
use stopline_tuf::judge::Judge;
use stopline_tuf::metadata::{DelegatedRole, TargetFile};
use stopline_tuf::time::{ExpiryPolicy, Reading, UpdateStart};
use stopline_tuf::write::{KeyFileSigner, Signer};
use stopline_tuf::{Client, MetadataFile};
use workshop::{MODEL, ROLLOUT, Workshop, code, days, file, key, keys, now, path, role};

fn time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

/// Gives `name` new keys in a new root, signed by old and new holders.
fn rotate(workshop: &mut Workshop, name: &str, new: Vec<KeyFileSigner>) {
    let mut root = workshop.root.next(days(365));
    root.roles[name].keyids.clone().iter().for_each(|id| root.revoke(&role(name), id));
    new.iter().for_each(|signer| root.allow(&role(name), signer.key().clone()));
    let mut holders = keys("root", 3);
    if name == "root" {
        let count = new.len();
        holders.extend((1..=count).map(|index| key(&format!("new-root{index}"))));
    }
    workshop.signers.insert(name.into(), new);
    workshop.publish_root(root, &holders);
}

#[test]
fn a_device_that_slept_through_many_rotations_finds_its_way() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.find(&workshop, MODEL).unwrap();
    for name in ["timestamp", "snapshot", "targets", "root"] {
        let count = workshop.signers(name).len();
        rotate(&mut workshop, name, keys(&format!("new-{name}"), count));
    }
    let mut models = workshop.targets[&role("targets")].clone();
    models.delegate(
        DelegatedRole::new(role("models"), 2, &["models/*/*"]),
        keys("new-models", 3).iter().map(|signer| signer.key().clone()).collect(),
    );
    workshop.targets.insert(role("targets"), models);
    workshop.signers.insert("models".into(), keys("new-models", 3));
    workshop.release();
    vehicle.find(&workshop, MODEL).unwrap();
    assert_eq!((vehicle.version("root"), vehicle.version("models")), (Some(5), Some(2)));
    assert_eq!(vehicle.store.roots.len(), 5, "every root is kept");
    // The old holders cannot go on.
    let next = workshop.root.next(days(365));
    workshop.publish_root(next, &keys("root", 3));
    assert_eq!(code(vehicle.refresh(&workshop)), "signatures");
}

#[test]
fn after_a_theft_versions_run_away_and_a_rotation_brings_them_back() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    // The thief of both online keys counts up everything they can.
    (workshop.timestamp.version, workshop.snapshot.version) = (1 << 40, 1 << 40);
    workshop.publish_snapshot();
    vehicle.refresh(&workshop).unwrap();
    (workshop.timestamp.version, workshop.snapshot.version) = (2, 2);
    workshop.publish_snapshot();
    assert_eq!(code(vehicle.refresh(&workshop)), "rollback");
    rotate(&mut workshop, "timestamp", keys("new-timestamp", 1));
    rotate(&mut workshop, "snapshot", keys("new-snapshot", 1));
    workshop.publish_snapshot();
    vehicle.find(&workshop, MODEL).unwrap();
    assert_eq!((vehicle.version("timestamp"), vehicle.version("snapshot")), (Some(2), Some(2)));
}

#[test]
fn expired_metadata_stops_news_and_blocks_nothing_afterwards() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.find(&workshop, MODEL).unwrap();
    // Two months in a garage: everything stored has expired, the repository has gone on.
    workshop.now = days(60);
    vehicle.reading = Reading::Synchronised(days(60));
    assert_eq!(code(vehicle.refresh(&workshop)), "expired");
    workshop.timestamp =
        workshop.timestamp.next(workshop.timestamp.meta["snapshot.json"].clone(), days(60), days(62));
    workshop.snapshot.expires = days(67);
    workshop.targets.get_mut(&role("rollout")).unwrap().expires = days(67);
    workshop.release();
    vehicle.find(&workshop, ROLLOUT).unwrap();
}

#[test]
fn each_role_expires_on_its_own() {
    for (name, day) in
        [("timestamp", 2), ("snapshot", 7), ("rollout", 7), ("models", 90), ("targets", 180), ("root", 365)]
    {
        let workshop = Workshop::new();
        let mut vehicle = workshop.vehicle();
        let others = ["root", "timestamp", "snapshot", "targets", "models", "rollout"]
            .into_iter()
            .filter(|other| *other != name);
        vehicle.settings.expiry = ExpiryPolicy::Except(others.map(role).collect());
        let target = if name == "models" { MODEL } else { ROLLOUT };
        vehicle.reading =
            Reading::Synchronised(days(day).checked_sub(jiff::SignedDuration::from_secs(1)).unwrap());
        vehicle.find(&workshop, target).unwrap();
        vehicle.reading = Reading::Synchronised(days(day));
        let error = vehicle.find(&workshop, target).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name} metadata expired")), "{error}");
    }
}

#[test]
fn a_stick_installs_what_the_offline_keys_still_stand_behind() {
    let workshop = Workshop::new();
    let online: BTreeSet<_> = ["timestamp", "snapshot", "rollout"].map(role).into();
    let mut vehicle = workshop.vehicle();
    vehicle.settings.expiry = ExpiryPolicy::Except(online);
    vehicle.reading = Reading::Synchronised(days(30));
    vehicle.find(&workshop, MODEL).unwrap();
    vehicle.reading = Reading::Synchronised(days(100));
    assert_eq!(code(vehicle.find(&workshop, MODEL)), "expired");
}

#[test]
fn a_board_without_a_clock_takes_news_and_says_that_it_has_none() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    vehicle.reading = Reading::Unverified;
    let start = vehicle.client(&workshop).refresh().unwrap().now();
    assert_eq!(
        (start.at(), start.synchronised()),
        (now(), false),
        "the signing of the timestamp is the lower bound"
    );
    // Metadata that had expired by then is found out even so.
    workshop.snapshot.expires = days(-1);
    workshop.release_snapshot();
    assert_eq!(code(vehicle.refresh(&workshop)), "expired");
}

#[test]
fn a_clock_in_1970_or_2038_leaves_no_trace() {
    let workshop = Workshop::new();
    for wrong in ["1970-01-01T00:00:00Z", "2038-01-19T03:14:07Z"] {
        let mut vehicle = workshop.vehicle();
        vehicle.reading = Reading::Synchronised(time(wrong));
        let _ = vehicle.refresh(&workshop);
        vehicle.reading = Reading::Unverified;
        vehicle.find(&workshop, MODEL).unwrap();
        vehicle.reading = Reading::Synchronised(now());
        vehicle.find(&workshop, MODEL).unwrap();
    }
}

#[test]
fn a_thief_of_the_timestamp_key_cannot_move_time_for_good() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    workshop.timestamp.version = 2;
    workshop.timestamp.signed_at = Some(days(4000));
    workshop.timestamp.expires = days(5000);
    workshop.publish_timestamp();
    assert_eq!(code(vehicle.refresh(&workshop)), "from_the_future");
    // A board without a clock believes it, and then everything has expired there.
    vehicle.reading = Reading::Unverified;
    assert_eq!(code(vehicle.refresh(&workshop)), "expired");
    assert_eq!(vehicle.version("timestamp"), Some(2));
    // With a clock again, or with the key replaced, it goes on.
    vehicle.reading = Reading::Synchronised(now());
    workshop.timestamp.signed_at = Some(now());
    workshop.timestamp.expires = days(2);
    workshop.timestamp.version = 3;
    workshop.publish_timestamp();
    vehicle.refresh(&workshop).unwrap();

    vehicle.reading = Reading::Unverified;
    workshop.timestamp.signed_at = Some(days(4000));
    workshop.timestamp.expires = days(5000);
    workshop.timestamp.version = 4;
    workshop.publish_timestamp();
    assert_eq!(code(vehicle.refresh(&workshop)), "expired");
    rotate(&mut workshop, "timestamp", keys("new-timestamp", 1));
    workshop.timestamp.signed_at = Some(now());
    workshop.timestamp.expires = days(2);
    workshop.timestamp.version = 1;
    workshop.publish_timestamp();
    vehicle.refresh(&workshop).unwrap();
}

struct NotModified<F>(F);

impl<F: Fetch> Fetch for NotModified<F> {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        match file.as_str() {
            "timestamp.json" => Ok(Fetched::Unchanged),
            _ => self.0.metadata(file, limit),
        }
    }
}

#[test]
fn an_unchanged_timestamp_needs_no_body_and_still_expires() {
    let workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    let fresh = |vehicle: &mut workshop::Vehicle| {
        let fetch = NotModified(workshop.served.clone());
        Client::new(fetch, &mut vehicle.store, vehicle.reading, vehicle.settings.clone())
            .refresh()
            .map(|_| ())
    };
    assert_eq!(code(fresh(&mut vehicle)), "missing");
    vehicle.refresh(&workshop).unwrap();
    fresh(&mut vehicle).unwrap();
    vehicle.reading = Reading::Synchronised(days(3));
    assert_eq!(code(fresh(&mut vehicle)), "expired");
}

#[test]
fn what_is_stored_answers_while_the_repository_is_out_of_reach() {
    let workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    assert_eq!(code(vehicle.client(&workshop).resume().map(|_| ())), "missing");
    vehicle.find(&workshop, MODEL).unwrap();
    let mut nothing = Workshop::new();
    nothing.served.files.clear();
    let mut client = vehicle.client(&nothing);
    let mut session = client.resume().unwrap();
    assert_eq!(session.find(&path(MODEL)).unwrap().role, role("models"));
    assert_eq!(code(session.find(&path(ROLLOUT))), "missing");
}

#[test]
fn the_runtime_judges_for_itself_from_its_own_root() {
    let mut workshop = Workshop::new();
    let mut vehicle = workshop.vehicle();
    let factory_root = workshop.root_file(1).to_vec();
    rotate(&mut workshop, "targets", keys("new-targets", 3));
    workshop.release();
    let evidence = {
        let mut client = vehicle.client(&workshop);
        let mut session = client.refresh().unwrap();
        let found = session.find(&path(MODEL)).unwrap();
        session.evidence(&found, 1).unwrap()
    };
    let judge = Judge::new(&factory_root).unwrap();
    let judgement = judge.find(&evidence, &path(MODEL)).unwrap();
    judgement.found.provided_by(&role("models"), "models/*/*").unwrap();
    assert_eq!(judgement.root_version, 2);
    assert_eq!(judgement.newer_root.as_deref(), Some(workshop.root_file(2)));

    // A year later, all of it expired, the judgement is the same; asked about expiry, it is not.
    let later = UpdateStart::new(Reading::Synchronised(days(400)), now());
    let strict = judge.clone().with_expiry(later, ExpiryPolicy::All);
    assert_eq!(code(strict.find(&evidence, &path(MODEL))), "expired");

    // The agent hands over something else.
    let tamper = |change: &dyn Fn(&mut stopline_tuf::judge::Evidence)| {
        let mut evidence = evidence.clone();
        change(&mut evidence);
        code(judge.find(&evidence, &path(MODEL)))
    };
    assert_eq!(tamper(&|evidence| evidence.roots.clear()), "signatures");
    assert_eq!(tamper(&|evidence| evidence.delegated.clear()), "missing");
    assert_eq!(tamper(&|evidence| evidence.targets.push(b'x')), "malformed");
    let mut evil = workshop.targets[&role("models")].clone();
    evil.add(&path(MODEL), TargetFile::of(b"evil"));
    let forged = file(&evil, &[key("models1"), key("rollout1"), key("thief")]);
    assert_eq!(
        tamper(&|evidence| {
            evidence.delegated.insert(role("models"), forged.clone());
        }),
        "signatures"
    );
    let foreign = file(&json!(workshop.root.next(days(365))), &keys("thief", 3));
    assert_eq!(tamper(&|evidence| evidence.roots.push(foreign.clone())), "signatures");
    // A judge that has gone on to the newer root does not go back.
    let newer = Judge::new(workshop.root_file(2)).unwrap();
    assert_eq!(newer.find(&evidence, &path(MODEL)).unwrap().newer_root, None);
}
