//! Settings of devices from afar, as the operator sets them on the command line.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;

use serde_json::Value;
use stopline_depot::campaign::{self, Campaigns};
use stopline_depot::settings::{Document, PATH};
use stopline_depot::versioned;
use stopline_fleet::campaigns;
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

const ASK: &str =
    "stopline-fleet campaign publish campaigns.toml --campaigns-key own/own.pem --online online";

fn ask(room: &Room, campaigns: &str) {
    std::fs::write(room.path("campaigns.toml"), campaigns).unwrap();
}

fn asked(room: &Room) -> Option<Campaigns> {
    let store = LocalStore::new(room.path("repository"));
    let (root, _) = store.read("metadata/1.root.json", 1 << 20).unwrap().unwrap();
    let found = Vehicle::new(&root).find(&store, campaign::PATH, jiff::Timestamp::now()).ok()?;
    assert_eq!(found.role.as_str(), "campaigns");
    let published = Published::read(&store, &root).unwrap().unwrap();
    campaigns::read(&store, &published).unwrap()
}

#[test]
fn the_operator_asks_for_frames_goes_on_asking_and_stops() {
    let room = room(" --campaigns own/own.pub");
    assert!(room.well("stopline-fleet campaign status").contains("no frames are asked for"));
    write(&room, 4_000_000, "device-1\n");
    room.well(PUBLISH);
    let signs = "[[campaign]]\nname = 'signs'\ndays = 14\nframes_per_day = 20\nbytes_per_day = 2000000\n\
                 labels = ['stop_sign']\nscore = [0.3, 0.6]\nhours_utc = [18, 6]\ndevices = 'north.txt'\n";
    ask(&room, signs);
    room.well(ASK);
    let first = asked(&room).unwrap();
    let signs_of = |document: &Campaigns, id: &str| document.of("orin", id).next().cloned();
    let one = signs_of(&first, "device-1").unwrap();
    assert_eq!((one.until - one.from, one.frames_per_day, one.rate), (14 * 86_400, 20, 1.0));
    assert!(signs_of(&first, "device-2").is_none());
    assert!(!String::from_utf8(versioned::write(&first).unwrap()).unwrap().contains("device-1"));
    // Published again with another cap it goes on and does not begin anew; a second one joins.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let more = "[[campaign]]\nname = 'dusk'\ndays = 3\nframes_per_day = 5\nbytes_per_day = 100000\nrate = 0.1\n\
                from = '2026-01-02T00:00:00Z'\n";
    ask(&room, &(signs.replace("= 20", "= 30") + more));
    assert!(room.well(ASK).contains("signs: stop_sign from 1 devices, 30 frames"));
    let next = asked(&room).unwrap();
    let again = signs_of(&next, "device-1").unwrap();
    assert_eq!((again.from, again.until, again.frames_per_day), (one.from, one.until, 30));
    assert_eq!(signs_of(&next, "device-9").unwrap().name, "dusk");
    assert!(room.well("stopline-fleet campaign status").contains("dusk: any frame from all devices"));
    // Settings and campaigns stand beside each other.
    assert!(found(&room).is_some());
    room.well("stopline-fleet campaign withdraw --campaigns-key own/own.pem --online online");
    assert!(asked(&room).is_none() && found(&room).is_some());
    let log = std::fs::read_to_string(room.path("audit.jsonl")).unwrap();
    assert!(log.contains("campaign.publish.done") && log.contains("campaign.withdraw.done"));
    // Nobody else asks for anything, and nobody for what is no campaign's.
    for other in ["online/rollout.pem", "anna/anna.pem"] {
        let (code, _, error) = room.run(&ASK.replace("own/own.pem", other));
        assert_eq!(code, 3, "{other}: {error}");
    }
    for (line, key) in [
        ("redact = false\n", "redact"),
        ("cameras = ['ward']\n", "cameras"),
        ("retention_days = 900\n", "retention_days"),
        ("rate = 2.0\n", "rate"),
        ("hours_utc = [6, 6]\n", "hours_utc"),
    ] {
        ask(&room, &format!("{signs}{line}").replace("hours_utc = [18, 6]\n", ""));
        let (code, _, error) = room.run(ASK);
        assert!(code != 0 && error.contains(key), "{line}: {code} {error}");
    }
    assert!(asked(&room).is_none());
}
