//! Publishing: by compare-and-swap, everything immutable but the timestamp, and nothing that a vehicle would refuse.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;

use desk::{Desk, Vehicle, day, hours, words};
use stopline_fleet::exit::Exit;
use stopline_fleet::publish::Rules;
use stopline_fleet::rollouts::{self, Step};
use stopline_fleet::store::{Added, Content, Store, TIMESTAMP};
use stopline_fleet::{models, verify};

#[test]
fn two_publishers_racing_lose_and_mix_nothing() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    desk.release("pedestrian", "1.0.0", day(0)).unwrap();
    let before = desk.published().timestamp.version;
    let rounds = 100_u64;
    let races = std::thread::scope(|scope| {
        let publish = |model: &'static str| {
            let desk = &desk;
            scope.spawn(move || {
                let mut lost = 0;
                for round in 1..=rounds {
                    let said = desk.start(model, &format!("{model}-{round}"), hours(1)).unwrap();
                    lost += said.json["published"]["lost_races"].as_u64().unwrap();
                }
                lost
            })
        };
        let watcher = scope.spawn(|| {
            // A vehicle that looks all the while sees a whole repository each time.
            let mut vehicle = desk.vehicle();
            for _ in 0..200 {
                vehicle.find(&desk.store, "models/stop-sign/stop-sign-1.0.0.slb", hours(1)).unwrap();
            }
        });
        let both = [publish("stop-sign"), publish("pedestrian")];
        watcher.join().unwrap();
        both.map(|thread| thread.join().unwrap())
    });
    println!("races lost and made up for: {races:?}");
    let after = desk.published();
    assert_eq!(after.timestamp.version, before + 2 * rounds, "each publication counts once");
    for model in ["stop-sign", "pedestrian"] {
        let rollout = rollouts::read(&desk.store, &after, model).unwrap().unwrap();
        assert_eq!(rollout.rollout_id, format!("{model}-{rounds}"), "its own last one, not overwritten");
    }
    assert!(races.iter().sum::<u64>() > 0, "they never met: it was no race");
}

#[test]
fn a_publisher_that_was_cut_off_is_passed_over() {
    let desk = Desk::new();
    let next = desk.published().snapshot.version + 1;
    let orphan = format!("metadata/{next}.snapshot.json");
    assert_eq!(desk.store.add(&orphan, Content::Bytes(b"half of something")).unwrap(), Added::New);
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    assert_eq!(desk.published().snapshot.version, next + 1);
    desk.vehicle().find(&desk.store, "models/stop-sign/stop-sign-1.0.0.slb", day(0)).unwrap();
}

#[test]
fn a_draft_made_before_somebody_else_published_is_a_conflict() {
    let desk = Desk::new();
    desk.add("stop-sign", "1.0.0", day(0)).unwrap();
    desk.sign_by(&["anna", "ben"]).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let kept =
        std::process::Command::new("cp").arg("-r").arg(desk.staging.folder()).arg(copy.path()).status();
    assert!(kept.unwrap().success());
    desk.publish(day(0)).unwrap();
    let late = stopline_fleet::staging::Staging::new(copy.path().join("staging"));
    let rules = Rules { not_compared: true, ..Rules::default() };
    let failure =
        stopline_fleet::publish::run(&late, &desk.store, &desk.online(), &rules, day(0)).unwrap_err();
    assert_eq!(failure.exit, Exit::Conflict, "{failure}");
}

#[test]
fn one_signature_is_not_enough_and_a_foreign_key_signs_nothing() {
    let desk = Desk::new();
    desk.add("stop-sign", "1.0.0", day(0)).unwrap();
    desk.sign_by(&["anna"]).unwrap();
    let failure = desk.publish(day(0)).unwrap_err();
    assert!(failure.exit == Exit::Refused && failure.message.contains("1 of 2"), "{failure}");
    assert!(desk.sign_by(&["mallory"]).is_err());
    desk.sign_by(&["anna"]).unwrap();
    assert!(desk.publish(day(0)).is_err(), "the same holder twice is one");
    desk.sign_by(&["cleo"]).unwrap();
    desk.publish(day(0)).unwrap();
}

#[test]
fn signatures_made_on_two_copies_come_together() {
    let desk = Desk::new();
    desk.add("stop-sign", "1.0.0", day(0)).unwrap();
    let copy = tempfile::tempdir().unwrap();
    assert!(
        std::process::Command::new("cp")
            .arg("-r")
            .arg(desk.staging.folder())
            .arg(copy.path())
            .status()
            .unwrap()
            .success()
    );
    desk.sign_by(&["anna"]).unwrap();
    let bens = stopline_fleet::staging::Staging::new(copy.path().join("staging"));
    let spec = stopline_fleet::keys::KeySpec::Credential("ben".into());
    stopline_fleet::sign::run(&bens, None, &spec, &desk::key("ben")).unwrap();
    let said = stopline_fleet::sign::merge(&desk.staging, bens.folder()).unwrap();
    assert!(words(&said).contains("complete"), "{}", words(&said));
    desk.publish(day(0)).unwrap();
}

#[test]
fn a_superseded_model_leaves_the_list_and_what_a_rollout_needs_stays() {
    let desk = Desk::new();
    let listed = |desk: &Desk| -> Vec<String> {
        let published = desk.published();
        let models = models::listed(&desk.store, &published).unwrap().remove("stop-sign").unwrap();
        models.iter().map(|one| one.release.version.to_string()).collect()
    };
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    desk.start("stop-sign", "one", day(0)).unwrap();
    desk.release("stop-sign", "1.1.0", day(1)).unwrap();
    assert_eq!(listed(&desk), ["1.0.0", "1.1.0"], "1.0.0 is rolled out");
    desk.start("stop-sign", "two", day(1)).unwrap();
    desk.release("stop-sign", "1.2.0", day(2)).unwrap();
    assert_eq!(listed(&desk), ["1.0.0", "1.1.0", "1.2.0"], "1.0.0 is what two goes back to");
    desk.start("stop-sign", "three", day(2)).unwrap();
    desk.release("stop-sign", "1.3.0", day(3)).unwrap();
    assert_eq!(listed(&desk), ["1.1.0", "1.2.0", "1.3.0"]);
    let gone = desk.vehicle().find(&desk.store, "models/stop-sign/stop-sign-1.0.0.slb", day(3));
    assert_eq!(gone.unwrap_err().code(), "no_target");
    // Numbers go on although the list forgets.
    let show = models::show(&desk.store, &desk.published(), &Default::default(), "stop-sign").unwrap();
    assert_eq!(show.json["record"]["release"]["release_seq"], 4);
    let diff = models::diff(&desk.store, "stop-sign@1.0.0", "stop-sign@1.3.0").unwrap();
    assert!(words(&diff).contains("release.release_seq: 1 -> 4"), "{}", words(&diff));
    assert!(desk.release("stop-sign", "1.3.0", day(3)).is_err(), "a version never comes twice");
}

#[test]
fn a_list_that_holds_what_nobody_needs_is_refused() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    let old = desk.published().role(&stopline_fleet::roles::models()).unwrap().targets.clone();
    desk.release("stop-sign", "1.1.0", day(0)).unwrap();
    desk.add("stop-sign", "1.2.0", day(0)).unwrap();
    // By hand: the superseded one back on the list.
    let role = stopline_fleet::roles::models();
    let mut targets = desk.staging.targets(&role).unwrap().unwrap().into_signed();
    targets.targets.extend(old);
    desk.staging.write(&stopline_tuf::write::Draft::new(role, targets).unwrap()).unwrap();
    desk.sign_by(&["anna", "ben"]).unwrap();
    let failure = desk.publish(day(0)).unwrap_err();
    assert!(failure.message.contains("steals the online keys"), "{failure}");
}

#[test]
fn a_rollout_goes_through_its_stages_and_back() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    desk.start("stop-sign", "one", day(0)).unwrap();
    let at = |desk: &Desk| {
        let rollout = rollouts::read(&desk.store, &desk.published(), "stop-sign").unwrap().unwrap();
        (rollouts::state_name(rollout.state), rollout.targets["board"].percent_bp)
    };
    assert_eq!(at(&desk), ("active", 100));
    desk.step("stop-sign", Step::Advance, hours(1)).unwrap();
    assert_eq!(at(&desk), ("active", 5_000));
    desk.step("stop-sign", Step::Pause, hours(2)).unwrap();
    assert_eq!(at(&desk), ("paused", 5_000));
    desk.step("stop-sign", Step::Advance, hours(3)).unwrap();
    assert_eq!(at(&desk), ("active", 5_000), "on with the same stage");
    desk.step("stop-sign", Step::Advance, hours(4)).unwrap();
    assert_eq!(at(&desk), ("active", 10_000));
    assert!(desk.step("stop-sign", Step::Advance, hours(5)).is_err(), "there is no further stage");
    desk.step("stop-sign", Step::Abort, hours(6)).unwrap();
    assert!(desk.step("stop-sign", Step::Advance, hours(7)).is_err(), "an aborted one is over");
    assert!(desk.start("stop-sign", "one", hours(7)).is_err(), "and its name is used");
    desk.start("stop-sign", "two", hours(8)).unwrap();
    assert_eq!(at(&desk), ("active", 100));
}

#[test]
fn verify_says_what_a_device_accepts_and_what_not() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    desk.start("stop-sign", "one", day(0)).unwrap();
    let place = desk.store.name();
    let said = verify::run(&place, &desk.root(), day(0)).unwrap();
    assert_eq!(said.exit, Exit::Done, "{}", words(&said));
    assert!(words(&said).contains("one: active"), "{}", words(&said));
    let expired = verify::run(&place, &desk.root(), day(3)).unwrap();
    assert_eq!(expired.exit, Exit::Refused);
    assert!(words(&expired).contains("expired"), "{}", words(&expired));
    // A tampered bundle.
    let folder = desk.folder.path().join("repository/targets/models/stop-sign");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let tampered = verify::run(&place, &desk.root(), day(0)).unwrap();
    assert_eq!(tampered.exit, Exit::Refused);
    assert!(
        words(&tampered).contains("REFUSED models/stop-sign/stop-sign-1.0.0.slb (content)"),
        "{}",
        words(&tampered)
    );
}

#[test]
fn keys_rotate_and_the_fleet_follows() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    let mut vehicle = desk.vehicle();
    let path = "models/stop-sign/stop-sign-1.0.0.slb";
    vehicle.find(&desk.store, path, day(0)).unwrap();
    // Dora takes Anna's place, in root and in models.
    let (anna, dora) = (desk::public("anna").id(), desk::public("dora"));
    for role in ["root", "targets", "models"] {
        let role = stopline_fleet::roles::parse(role).unwrap();
        stopline_fleet::rotate::run(&desk.staging, &role, Some(&anna), Some(&dora), day(1)).unwrap();
    }
    let published = desk.published();
    let role = stopline_fleet::roles::models();
    stopline_fleet::rotate::renew(&desk.staging, &desk.store, &published, &role, day(1)).unwrap();
    desk.sign_by(&["ben", "cleo", "dora"]).unwrap();
    desk.publish(day(1)).unwrap();
    vehicle.find(&desk.store, path, day(1)).unwrap();
    assert_eq!(vehicle.version("root"), Some(2));
    desk.vehicle().find(&desk.store, path, day(1)).unwrap();
    // Anna's signature counts no more.
    desk.add("stop-sign", "1.1.0", day(1)).unwrap();
    assert!(desk.sign_by(&["anna"]).is_err());
    // Nobody is left without enough keys.
    let ben = desk::public("ben").id();
    let root = stopline_tuf::RoleName::root();
    assert!(stopline_fleet::rotate::run(&desk.staging, &root, Some(&ben), None, day(1)).is_err());
}

#[test]
fn a_delta_is_listed_where_it_saves_enough() {
    let desk = Desk::new();
    let weights = |n: u32| -> Vec<u8> {
        let mut state = 1_u32;
        (0..200_000_u32)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if i % 1000 < n { 0 } else { u8::try_from(state >> 24).unwrap() }
            })
            .collect()
    };
    let new = models::NewRelease { hardware: vec!["board".into()], ..Default::default() };
    let add = |version: &str, n: u32| {
        let bundle = desk.bundle("stop-sign", version, &weights(n));
        models::add(&desk.staging, &desk.store, &bundle, &new, day(0)).unwrap();
    };
    add("1.0.0", 0);
    desk.sign_by(&["anna", "ben"]).unwrap();
    desk.publish(day(0)).unwrap();
    add("1.1.0", 5);
    let said = stopline_fleet::delta::run(
        &desk.staging,
        &desk.store,
        "stop-sign@1.0.0",
        "stop-sign@1.1.0",
        60,
        day(0),
    );
    println!("{}", words(&said.unwrap()));
    desk.sign_by(&["anna", "ben"]).unwrap();
    desk.publish(day(0)).unwrap();
    let mut vehicle = desk.vehicle();
    let found = vehicle.find(&desk.store, "models/stop-sign/stop-sign-1.1.0.slb", day(0)).unwrap();
    let release = models::release_of(&found.file).unwrap().unwrap();
    assert_eq!(release.deltas.len(), 1);
    vehicle.find(&desk.store, &release.deltas[0].path, day(0)).unwrap();
}

#[test]
fn nothing_is_ever_replaced_but_the_timestamp() {
    let desk = Desk::new();
    let all = |folder: &std::path::Path| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    files.push((path.clone(), std::fs::read(&path).unwrap()))
                }
            }
        }
        files
    };
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    let before = all(&desk.folder.path().join("repository"));
    desk.start("stop-sign", "one", day(0)).unwrap();
    desk.release("stop-sign", "1.1.0", day(1)).unwrap();
    for (path, bytes) in before.iter().filter(|(path, _)| !path.ends_with(TIMESTAMP)) {
        assert_eq!(std::fs::read(path).unwrap(), *bytes, "{}", path.display());
    }
    let _: Vehicle = desk.vehicle();
}
