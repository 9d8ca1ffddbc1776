//! `publish s3://…` over HTTP, against a server that checks signatures (SigV4) and rights, and does conditional writes:
//! moto, from PyPI. It keeps everything in memory, answers one request at a time, and judges neither the age of a request nor
//! the digest of its body. (What is pre-signed is judged by our own code before it: `presigned.rs`.)
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "store")]

mod bucket;
mod desk;
#[cfg(feature = "serve")]
mod house;
mod needs;

use std::process::Stdio;

use bucket::Bucket;
use desk::program::{Room, first_push};
use serde_json::Value;

/// A room whose repository lies in the bucket.
fn room(bucket: &Bucket) -> Option<Room> {
    let mut room = Room::new();
    let program = needs::stand_in(room.folder.path())?;
    room.environment.extend([
        ("STOPLINE_PROGRAM", program.into()),
        ("STOPLINE_REPOSITORY", format!("s3://{}/fleet", bucket.text("bucket")).into()),
    ]);
    room.environment.extend(bucket.environment().into_iter().map(|(name, value)| (name, value.into())));
    Some(room)
}

/// The page's commands, with the repository where the environment says.
fn push(room: &Room) {
    for line in first_push() {
        room.well(&line.replace("publish repository", "publish"));
    }
}

#[test]
fn the_first_push_goes_into_a_bucket_and_a_vehicle_accepts_it_from_there() {
    let Some(bucket) = Bucket::start() else { return };
    let Some(room) = room(&bucket) else { return };
    push(&room);
    room.well("stopline-fleet status");
    let place = format!("s3://{}/fleet", bucket.text("bucket"));
    let verified = room.well(&format!("stopline-fleet verify {place}"));
    assert!(verified.contains("stop-sign"), "{verified}");
    assert!(room.well("stopline-fleet rollout status").contains("100 of 10000"));
    assert!(!room.path("repository").exists(), "nothing of it went into a folder");
}

#[test]
fn a_wrong_secret_or_an_unknown_key_is_refused_by_the_bucket_and_told() {
    let Some(bucket) = Bucket::start() else { return };
    let Some(mut room) = room(&bucket) else { return };
    push(&room);
    room.environment.push(("AWS_SECRET_ACCESS_KEY", "a-thief-guesses-forty-characters-of-a-key".into()));
    let (code, _, error) = room.run("stopline-fleet rollout pause stop-sign --online online");
    assert!(code == 1 && error.contains("SignatureDoesNotMatch"), "{code} {error}");
    room.environment.push(("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".into()));
    let (code, _, error) = room.run("stopline-fleet rollout pause stop-sign --online online");
    assert!(code == 1 && error.contains("InvalidAccessKeyId"), "{code} {error}");
}

#[test]
fn two_publishers_racing_into_a_bucket_lose_and_mix_nothing() {
    let rounds = if std::env::var_os("STOPLINE_FULL").is_some() { 100 } else { 8 };
    println!("rounds: {rounds} (full: 100)");
    let Some(bucket) = Bucket::start() else { return };
    let Some(room) = room(&bucket) else { return };
    push(&room);
    let versions = || -> (u64, u64) {
        let said: Value = serde_json::from_str(&room.well("stopline-fleet status --json")).unwrap();
        let roles = said["expiries"].as_array().unwrap();
        let of =
            |name: &str| roles.iter().find(|role| role["role"] == name).unwrap()["version"].as_u64().unwrap();
        (of("timestamp"), of("snapshot"))
    };
    let before = versions();
    let mut lost = 0;
    for round in 0..rounds {
        // One starts a new roll-out, the other signs everything anew: both replace the same timestamp.
        let start =
            format!("stopline-fleet rollout start stop-sign --id race-{round} --online online --json");
        let both = [start.as_str(), "stopline-fleet refresh --now --online online --json"].map(|line| {
            let mut command = room.command(line);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for child in both {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            lost += said["published"]["lost_races"].as_u64().unwrap();
        }
        let said: Value = serde_json::from_str(&room.well("stopline-fleet rollout status --json")).unwrap();
        assert_eq!(said["rollouts"][0]["rollout_id"], format!("race-{round}"), "nobody overwrote it");
        room.well("stopline-fleet verify s3://models/fleet");
    }
    let after = versions();
    // A number that the other had taken already is passed over: they met there.
    let passed_over = (after.1 - before.1).saturating_sub(after.0 - before.0);
    println!("{rounds} rounds: {lost} times the other was quicker, {passed_over} numbers passed over");
    assert_eq!(after.0, before.0 + 2 * rounds, "each publication counts once");
    assert!(lost + passed_over > 0, "they never met: it was no race");
}

/// The server with its records in `place`, whatever that is.
#[cfg(feature = "serve")]
mod served {
    use super::house::{FAR_S, House, answer};
    use super::{Bucket, Value};
    use serde_json::json;
    use stopline_depot::digest::Digest;

    fn results(said: &Value) -> Vec<String> {
        let receipts = said["receipts"].as_array().unwrap_or_else(|| panic!("{said}"));
        receipts.iter().map(|one| one["result"].as_str().unwrap().to_owned()).collect()
    }

    /// What holds of records wherever they lie.
    fn suite(mut house: House, place: &str) {
        let device = house.device("van-7");
        let contents: [&[u8]; 3] = [b"one", &[7; 90_000], b"three"];
        let digests = contents.map(Digest::of);
        // Killed on the way: it goes on from where it was, and what is receipted is there.
        let (id, bytes) = device.batch(1, &contents);
        let half = bytes.len() / 2;
        assert_eq!(answer(device.patch(&house, &id, 0, bytes.len(), &bytes[..half])).0, 200);
        house.killed_and_started();
        let asked = answer(device.client(&house).get(format!("{}/v1/batches/{id}", house.devices)));
        assert_eq!(asked.1["offset"], json!(half));
        let (status, said) = answer(device.patch(&house, &id, half, bytes.len(), &bytes[half..]));
        assert_eq!((status, results(&said)), (200, vec!["stored".to_owned(); 3]), "{said}");
        // Again in another batch, one of them past its time by now: known, all of them.
        let again =
            device.batch_of(2, contents.iter().map(|one| device.entry(one, 5, FAR_S)).collect(), &contents);
        assert_eq!(results(&device.upload(&house, &again.0, &again.1).1), ["known"; 3]);
        let late =
            device.batch_of(3, contents.iter().map(|one| device.entry(one, 5, 1_000)).collect(), &contents);
        assert_eq!(results(&device.upload(&house, &late.0, &late.1).1), ["known"; 3]);
        let never = device.batch_of(4, vec![device.entry(b"late", 5, 1_000)], &[b"late"]);
        assert_eq!(results(&device.upload(&house, &never.0, &never.1).1), ["not_wanted"]);
        // Forgotten: gone, and not taken in again; the others stay, until they are forgotten too.
        let forget = |house: &House, what: &str| {
            house.well(&format!("forget {place} {what} --data {}", house.folder.display()))
        };
        let said = forget(&house, &format!("--record {}", digests[0]));
        assert_eq!((&said["sealed"], &said["records"]), (&json!(1), &json!([digests[0]])));
        let back =
            device.batch_of(5, contents.iter().map(|one| device.entry(one, 5, FAR_S)).collect(), &contents);
        assert_eq!(results(&device.upload(&house, &back.0, &back.1).1), ["not_wanted", "known", "known"]);
        assert_eq!(forget(&house, &format!("--device {}", device.id))["sealed"], json!(2));
        let back =
            device.batch_of(6, contents.iter().map(|one| device.entry(one, 5, FAR_S)).collect(), &contents);
        assert_eq!(results(&device.upload(&house, &back.0, &back.1).1), ["not_wanted"; 3]);
    }

    #[test]
    fn records_lie_in_a_folder() {
        let house = House::new();
        let place = house.folder.join("store").display().to_string();
        suite(house, &place);
    }

    #[test]
    fn records_lie_in_a_bucket() {
        let Some(bucket) = Bucket::start() else { return };
        let place = format!("s3://{}/records", bucket.text("bucket"));
        let house = House::within(&["--store", &place], bucket.environment());
        assert!(!house.folder.join("store/records").exists());
        suite(house, &place);
    }

    #[test]
    fn a_bucket_that_refuses_gives_no_receipt_and_what_waits_is_taken_in_later() {
        let Some(bucket) = Bucket::start() else { return };
        let place = format!("s3://{}/records", bucket.text("bucket"));
        let mut wrong = bucket.environment();
        wrong.push(("AWS_SECRET_ACCESS_KEY", "a-thief-guesses-forty-characters-of-a-key".to_owned()));
        let mut house = House::within(&["--store", &place], wrong);
        let device = house.device("van-7");
        let (id, bytes) = device.batch(1, &[b"sealed"]);
        let (status, said) = device.upload(&house, &id, &bytes);
        assert!(status >= 500 && said["receipts"].is_null(), "{status} {said}");
        house.environment = bucket.environment();
        house.killed_and_started();
        let (_, said) = answer(device.client(&house).get(format!("{}/v1/batches/{id}", house.devices)));
        let offset = usize::try_from(said["offset"].as_u64().unwrap()).unwrap();
        let (status, said) = answer(device.patch(&house, &id, offset, bytes.len(), &bytes[offset..]));
        assert_eq!((status, results(&said)), (200, vec!["stored".to_owned()]), "{said}");
    }
}
