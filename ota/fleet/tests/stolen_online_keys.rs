//! A thief has the three online keys: rollout, snapshot, timestamp. Each thing that one could try is tried against a vehicle
//! that does what the agent and the runtime do, and what succeeds is printed. What must not succeed is asserted.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;

use desk::{Desk, Vehicle, day, hours, key};
use jiff::Timestamp as Time;
use serde_json::json;
use stopline_depot::release::Release;
use stopline_depot::rollout::{Rollout, State};
use stopline_depot::versioned;
use stopline_fleet::commit::{Change, Online, commit};
use stopline_fleet::published::Published;
use stopline_fleet::rollouts::{self, Step};
use stopline_fleet::store::{Content, Store, TIMESTAMP};
use stopline_fleet::{models, roles};
use stopline_tuf::metadata::{MetaFile, TargetFile, Targets};
use stopline_tuf::write::{Authority, Draft};
use stopline_tuf::{MetadataFile, RoleName, TargetPath};

const OLD: &str = "models/stop-sign/stop-sign-1.0.0.slb";
const NEW: &str = "models/stop-sign/stop-sign-1.2.0.slb";

/// What agent and runtime make of the repository: which bundle this board would load next, or why not.
fn would_load(vehicle: &mut Vehicle, store: &dyn Store, floor: u64, now: Time) -> Result<String, String> {
    let document =
        vehicle.find(store, "rollout/stop-sign.json", now).map_err(|error| error.code().to_owned())?;
    document.provided_by(&roles::rollout(), "rollout/*").map_err(|error| error.code().to_owned())?;
    let path = TargetPath::new("rollout/stop-sign.json").unwrap();
    let place = rollouts::file_path(&path, &document.file).unwrap();
    let (bytes, _) = store.read(&place, 1 << 20).unwrap().ok_or("missing")?;
    if TargetFile::of(&bytes).hashes != document.file.hashes {
        return Err("content".into());
    }
    let rollout: Rollout = versioned::read(&bytes).map_err(|_| "the roll-out is refused")?;
    let variant = rollout.targets.get("board").ok_or("hardware")?;
    let target = match rollout.state {
        State::Active if rollout.part("board", "device").takes_part() => &variant.target,
        State::Active => return Err("its bucket is not yet due".into()),
        State::Paused => return Err("paused".into()),
        State::Aborted => variant.abort_to.as_ref().ok_or("its previous one")?,
    };
    let found = vehicle.find(store, target, now).map_err(|error| error.code().to_owned())?;
    found.provided_by(&roles::models(), "models/*/*").map_err(|error| error.code().to_owned())?;
    let release: Release = models::release_of(&found.file).map_err(|e| e.to_string())?.ok_or("no release")?;
    let floor = floor.max(release.security_floor);
    if release.release_seq < floor {
        return Err("floor".into());
    }
    Ok(found.path.as_str().to_owned())
}

/// A board at the newest release, whole fleet; one older release is listed (it is what one would go back to), a third has
/// left the list.
fn scene() -> (Desk, Vehicle) {
    let desk = Desk::new();
    desk.release("stop-sign", "0.9.0", day(0)).unwrap();
    desk.start("stop-sign", "zero", day(0)).unwrap();
    for (version, id) in [("1.0.0", "one"), ("1.2.0", "two")] {
        desk.release("stop-sign", version, day(0)).unwrap();
        desk.start("stop-sign", id, day(0)).unwrap();
        desk.step("stop-sign", Step::Advance, day(0)).unwrap();
        desk.step("stop-sign", Step::Advance, day(0)).unwrap();
    }
    desk.release("pedestrian", "1.0.0", day(0)).unwrap();
    // Drops 0.9.0 for good.
    desk.add("stop-sign", "1.3.0", day(0)).unwrap();
    desk.sign_by(&["anna", "ben"]).unwrap();
    desk.publish(day(0)).unwrap();
    let mut vehicle = desk.vehicle();
    assert_eq!(would_load(&mut vehicle, &desk.store, 0, hours(1)).unwrap(), NEW);
    (desk, vehicle)
}

/// What a thief signs is published without asking our own rules: files and swap by hand.
struct Thief<'a> {
    desk: &'a Desk,
    base: Published,
}

impl Thief<'_> {
    fn push(&self, targets: Vec<(RoleName, u64, Vec<u8>)>, files: &[(String, Vec<u8>)], now: Time) {
        let store = &self.desk.store;
        for (path, bytes) in files {
            store.add(path, Content::Bytes(bytes)).unwrap();
        }
        let mut snapshot = self.base.snapshot.next(roles::expires(&RoleName::snapshot(), now));
        for (role, version, bytes) in &targets {
            snapshot.list(role, MetaFile::of(*version, bytes));
            let file = MetadataFile::versioned(role, *version);
            store.add(&format!("metadata/{file}"), Content::Bytes(bytes)).unwrap();
        }
        let mut snapshot = Draft::new(RoleName::snapshot(), snapshot).unwrap();
        snapshot.sign(&key("snapshot"), Authority::Root(&self.base.root)).unwrap();
        let listed = MetaFile::of(snapshot.signed().version, &snapshot.to_bytes());
        let file = MetadataFile::versioned(&RoleName::snapshot(), listed.version);
        store.add(&format!("metadata/{file}"), Content::Bytes(&snapshot.to_bytes())).unwrap();
        let timestamp = self.base.timestamp.next(listed, now, roles::expires(&RoleName::timestamp(), now));
        let mut timestamp = Draft::new(RoleName::timestamp(), timestamp).unwrap();
        timestamp.sign(&key("timestamp"), Authority::Root(&self.base.root)).unwrap();
        assert!(store.swap(TIMESTAMP, Some(&self.base.tag), &timestamp.to_bytes()).unwrap());
    }

    fn rollout(
        &self,
        change: impl Fn(&mut Rollout),
    ) -> (Vec<(RoleName, u64, Vec<u8>)>, Vec<(String, Vec<u8>)>) {
        let mut rollout = rollouts::read(&self.desk.store, &self.base, "stop-sign").unwrap().unwrap();
        change(&mut rollout);
        let bytes = serde_json::to_vec(&rollout).unwrap();
        let path = TargetPath::new("rollout/stop-sign.json").unwrap();
        let file = TargetFile::of(&bytes);
        let place = rollouts::file_path(&path, &file).unwrap();
        (vec![self.signed_rollout_role(|targets| targets.add(&path, file.clone()))], vec![(place, bytes)])
    }

    fn signed_rollout_role(&self, change: impl Fn(&mut Targets)) -> (RoleName, u64, Vec<u8>) {
        let mut targets = rollouts::next_rollout_role(&self.base, hours(1), 0);
        change(&mut targets);
        let draft = rollouts::sign(&self.base, roles::rollout(), targets, &key("rollout")).unwrap();
        (roles::rollout(), draft.signed().version, draft.to_bytes())
    }
}

fn attempt(what: &str, expected: Result<&str, &str>, floor: u64, go: impl Fn(&Thief<'_>)) {
    let (desk, mut vehicle) = scene();
    let thief = Thief { base: desk.published(), desk: &desk };
    go(&thief);
    let loads = would_load(&mut vehicle, &desk.store, floor, hours(2));
    match &loads {
        Ok(path) => println!("SUCCEEDS  {what}: the vehicle would load {path}"),
        Err(code) if code == "paused" => println!("SUCCEEDS  {what}"),
        Err(code) => println!("          {what}: {code}"),
    }
    assert_eq!(loads.as_deref().map_err(String::as_str), expected, "{what}");
}

#[test]
fn each_thing_a_thief_of_the_online_keys_could_try() {
    let rollout = |thief: &Thief<'_>, change: &dyn Fn(&mut Rollout)| {
        let (targets, files) = thief.rollout(change);
        thief.push(targets, &files, hours(1));
    };
    let aim = |path: &'static str| {
        move |rollout: &mut Rollout| {
            rollout.rollout_id = "stolen".into();
            rollout.targets.get_mut("board").unwrap().target = path.into();
        }
    };
    attempt("pause a roll-out (documented)", Err("paused"), 0, |thief| {
        rollout(thief, &|rollout| rollout.state = State::Paused);
    });
    attempt("abort: back to the listed older release (documented)", Ok(OLD), 0, |thief| {
        rollout(thief, &|rollout| rollout.state = State::Aborted);
    });
    attempt("push a listed older release to all (documented)", Ok(OLD), 0, |thief| rollout(thief, &aim(OLD)));
    attempt("the same below the board's floor", Err("floor"), 3, |thief| rollout(thief, &aim(OLD)));
    attempt("push a release that has left the list", Err("no_target"), 0, |thief| {
        rollout(thief, &aim("models/stop-sign/stop-sign-0.9.0.slb"));
    });
    attempt("push a model of their own as models/…, listed by rollout", Err("no_target"), 0, |thief| {
        let (mut targets, files) = thief.rollout(aim("models/stop-sign/evil.slb"));
        let (role, version, bytes) = targets.remove(0);
        let mut said = Draft::<Targets>::read(role.clone(), &bytes).unwrap().into_signed();
        let custom = json!({"schema": 1, "model": "stop-sign", "version": "9.0.0", "release_seq": 99, "security_floor": 0,
            "hardware": ["board"], "min_runtime": "0.1.0",
            "unpacked": {"sha256": "00".repeat(32), "length": 1}});
        let file = TargetFile::of(b"evil").with_custom(custom.as_object().unwrap().clone());
        said.add(&TargetPath::new("models/stop-sign/evil.slb").unwrap(), file);
        let draft = rollouts::sign(&thief.base, role.clone(), said, &key("rollout")).unwrap();
        thief.push(vec![(role, version, draft.to_bytes())], &files, hours(1));
    });
    attempt("push a model listed under rollout/", Err("the roll-out is refused"), 0, |thief| {
        rollout(thief, &aim("rollout/evil.slb"));
    });
    attempt("sign the list of models with the rollout key", Err("signatures"), 0, |thief| {
        let models = thief.base.role(&roles::models()).unwrap().next(day(90));
        let bytes = self_signed(&roles::models(), models, "rollout");
        thief.push(
            vec![(roles::models(), thief.base.role(&roles::models()).unwrap().version + 1, bytes)],
            &[],
            hours(1),
        );
    });
    attempt("bring back an older list of models", Err("rollback"), 0, |thief| {
        let version = thief.base.role(&roles::models()).unwrap().version - 1;
        let file = MetadataFile::versioned(&roles::models(), version);
        let (bytes, _) = thief.desk.store.read(&format!("metadata/{file}"), 1 << 20).unwrap().unwrap();
        thief.push(vec![(roles::models(), version, bytes)], &[], hours(1));
    });
    attempt("take the list of models out of the snapshot", Err("rollback"), 0, |thief| {
        let mut base = thief.base.clone();
        base.snapshot.meta.remove("models.json");
        Thief { base, desk: thief.desk }.push(Vec::new(), &[], hours(1));
    });
}

fn self_signed(role: &RoleName, targets: Targets, signer: &str) -> Vec<u8> {
    use stopline_tuf::write::Signer as _;
    let signer = key(signer);
    let draft = Draft::new(role.clone(), targets).unwrap();
    let sig: String =
        signer.sign(draft.message()).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file: serde_json::Value = serde_json::from_slice(&draft.to_bytes()).unwrap();
    file["signatures"] = json!([{"keyid": signer.key().id(), "sig": sig}]);
    serde_json::to_vec(&file).unwrap()
}

#[test]
fn a_thief_can_freeze_until_expiry_and_no_longer() {
    let (desk, mut vehicle) = scene();
    // The thief's repository never changes and is not signed anew: the vehicle sees nothing new …
    assert_eq!(would_load(&mut vehicle, &desk.store, 0, hours(40)).unwrap(), NEW);
    println!("SUCCEEDS  freeze: nothing new is seen until the timestamp expires");
    // … until the timestamp expires. With the stolen keys the thief signs it anew, and the freeze goes on until the list of
    // models or of targets expires, which takes holders' keys.
    let late = day(91);
    let plan = |_: Option<&Published>, _: u64| Ok(Some(Change { snapshot: true, ..Change::default() }));
    let (snapshot, timestamp) = (key("snapshot"), key("timestamp"));
    let online = Online { snapshot: &snapshot, timestamp: &timestamp };
    commit(&desk.store, &desk.root(), &online, late, &plan).unwrap();
    let base = desk.published();
    let thief = Thief { base, desk: &desk };
    let mut targets = thief.signed_rollout_role(|targets| targets.expires = day(180));
    targets.1 = Draft::<Targets>::read(roles::rollout(), &targets.2).unwrap().signed().version;
    thief.push(vec![targets], &[], late);
    assert_eq!(would_load(&mut vehicle, &desk.store, 0, late).unwrap_err(), "expired");
    println!("          freeze beyond the life of the list of models (90 days): expired");
}
