//! Settings of devices from afar, as the operator sets them on the command line.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;

use serde_json::Value;
use stopline_depot::settings::{Document, PATH};
use stopline_depot::versioned;
use stopline_fleet::published::Published;
use stopline_fleet::settings;
use stopline_fleet::store::{LocalStore, Store as _};

use desk::Vehicle;
use desk::program::Room;

/// A repository that is begun, with the operator's own key where `campaigns` says so.
fn room(campaigns: &str) -> Room {
    let room = Room::new();
    let begin = format!(
        "stopline-fleet init --holder anna/anna.pub --holder ben/ben.pub --holder cleo/cleo.pub --online online{campaigns}"
    );
    for line in [
        "stopline-fleet key new anna/anna",
        "stopline-fleet key new ben/ben",
        "stopline-fleet key new cleo/cleo",
        "stopline-fleet key new own/own",
        "stopline-fleet key online online",
        &begin,
        "stopline-fleet sign --key anna/anna.pem",
        "stopline-fleet sign --key cleo/cleo.pem",
        "stopline-fleet publish repository --online online",
    ] {
        room.well(line);
    }
    room
}

const PUBLISH: &str =
    "stopline-fleet settings publish settings.toml --campaigns-key own/own.pem --online online";

fn write(room: &Room, cap: u64, devices: &str) {
    let text = format!(
        "confirm_within_s = 7200\n[[cohort]]\nname = 'north'\ndevices = 'north.txt'\n\
         [cohort.settings.window]\nmobile_day_bytes = {cap}\n\
         [[cohort]]\nname = 'all'\n[cohort.settings]\nstats_s = 3600\n"
    );
    std::fs::write(room.path("settings.toml"), text).unwrap();
    std::fs::write(room.path("north.txt"), devices).unwrap();
}

/// What a device finds, signed by the role campaigns.
fn found(room: &Room) -> Option<Document> {
    let store = LocalStore::new(room.path("repository"));
    let (root, _) = store.read("metadata/1.root.json", 1 << 20).unwrap().unwrap();
    let found = Vehicle::new(&root).find(&store, PATH, jiff::Timestamp::now()).ok()?;
    assert_eq!(found.role.as_str(), "campaigns");
    let published = Published::read(&store, &root).unwrap().unwrap();
    let document = settings::read(&store, &published).unwrap().unwrap();
    assert_eq!(u64::try_from(versioned::write(&document).unwrap().len()).unwrap(), found.file.length);
    Some(document)
}

#[test]
fn the_operator_sets_changes_tries_again_and_withdraws() {
    let room = room(" --campaigns own/own.pub");
    assert!(room.well("stopline-fleet settings status").contains("nothing is set"));
    write(&room, 4_000_000, "device-1\ndevice-2\n");
    room.well(PUBLISH);
    let document = found(&room).unwrap();
    let name = |id: &str| document.of("orin", id).map(|cohort| (cohort.name.clone(), cohort.revision));
    assert_eq!(name("device-2"), Some(("north".into(), 1)));
    assert_eq!(name("device-3"), Some(("all".into(), 1)));
    assert!(!String::from_utf8(versioned::write(&document).unwrap()).unwrap().contains("device-1"));
    // Another list of devices is no other setting; another cap is.
    write(&room, 4_000_000, "device-1\n");
    room.well(PUBLISH);
    let revisions = |document: &Document| document.cohorts.iter().map(|one| one.revision).collect::<Vec<_>>();
    assert_eq!(revisions(&found(&room).unwrap()), [1, 1]);
    write(&room, 5_000_000, "device-1\n");
    room.well(PUBLISH);
    assert_eq!(revisions(&found(&room).unwrap()), [2, 1]);
    room.well(&format!("{PUBLISH} --again all"));
    assert_eq!(revisions(&found(&room).unwrap()), [2, 2]);
    let status: Value = serde_json::from_str(&room.well("stopline-fleet settings status --json")).unwrap();
    assert_eq!(status["settings"]["cohorts"][0]["settings"]["window"]["mobile_day_bytes"], 5_000_000);
    room.well("stopline-fleet settings withdraw --campaigns-key own/own.pem --online online");
    assert!(found(&room).is_none());
    let log = std::fs::read_to_string(room.path("audit.jsonl")).unwrap();
    assert!(log.contains("settings.publish.done") && log.contains("settings.withdraw.done"));
}

#[test]
fn nobody_but_the_operators_own_key_sets_anything_and_what_is_no_setting_is_refused() {
    let room = self::room(" --campaigns own/own.pub");
    write(&room, 4_000_000, "device-1\n");
    for other in ["online/rollout.pem", "anna/anna.pem"] {
        let (code, _, error) = room.run(&PUBLISH.replace("own/own.pem", other));
        assert_eq!(code, 3, "{other}: {error}");
    }
    assert!(found(&room).is_none());
    for (line, key) in [
        ("[cohort.settings.window]\nmobile_day_bytes = 5\n", "mobile_day_bytes"),
        ("[cohort.settings]\nredact = false\n", "redact"),
        ("[cohort.settings.home]\nfleet_url = 'http://x'\n", "fleet_url"),
    ] {
        std::fs::write(room.path("settings.toml"), format!("[[cohort]]\nname = 'a'\n{line}")).unwrap();
        let (code, _, error) = room.run(PUBLISH);
        assert!(code != 0 && error.contains(key), "{line}: {code} {error}");
    }
    let none = self::room("");
    write(&none, 4_000_000, "device-1\n");
    let (code, _, error) = none.run(PUBLISH);
    assert!(code == 3 && error.contains("init --campaigns"), "{code} {error}");
}
