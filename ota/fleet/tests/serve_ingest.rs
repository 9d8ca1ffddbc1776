//! What devices send to `stopline-fleet serve`, over TLS with certificates: batches that are cut and go on, records once in
//! effect, nobody in another's name, forged outcomes that move no gate.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;
mod house;

use std::io::Write as _;

use house::{Device, FAR_S, House, Json as _, answer, counted, results};
use serde_json::{Value, json};
use stopline_depot::deployment::Phase;
use stopline_depot::digest::Digest;
use stopline_depot::outcome::SignedOutcome;

use desk::Desk;

#[test]
fn a_batch_goes_on_where_it_was_cut_and_counts_once() {
    let mut house = House::new();
    let device = house.device("van-7");
    let contents: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![n; 40_000]).collect();
    let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    let (id, bytes) = device.batch(1, &contents);
    let url = format!("{}/v1/batches/{id}", house.devices);
    let state = |house: &House| answer(device.client(house).get(&url));
    assert_eq!(state(&house), (200, json!({"schema": 1, "offset": 0})));

    let cut = 70_000;
    let first = answer(device.patch(&house, &id, 0, bytes.len(), &bytes[..cut]));
    assert_eq!(first, (200, json!({"schema": 1, "offset": cut})));
    // An offset that is not the server's moves nothing.
    for wrong in [0, cut - 1, cut + 1] {
        let (status, said) = answer(device.patch(&house, &id, wrong, bytes.len(), &bytes[wrong..]));
        assert_eq!((status, &said["offset"]), (409, &json!(cut)));
    }
    // The server dies: what it answered for is there.
    house.killed_and_started();
    assert_eq!(state(&house).1["offset"], cut);
    let (status, said) = answer(device.patch(&house, &id, cut, bytes.len(), &bytes[cut..]));
    assert_eq!((status, said["offset"].as_u64()), (200, u64::try_from(bytes.len()).ok()));
    assert_eq!(results(&said), ["stored"; 5]);
    assert!(contents.iter().all(|content| house.has_record(&Digest::of(content))));
    // The receipts were not heard: they are said again, and nothing counts twice.
    house.killed_and_started();
    assert_eq!(state(&house).1, said);
    assert_eq!(device.upload(&house, &id, &bytes).1, said);
    // Packed on the way, where that pays.
    let (packed_id, plain) = device.batch(3, &[b"small", b"smaller"]);
    let packed = zstd::encode_all(&plain[..], 3).unwrap();
    let request =
        device.patch(&house, &packed_id, 0, plain.len(), &packed).header("Content-Encoding", "zstd");
    println!("{} bytes of small records, packed {}", plain.len(), packed.len());
    assert_eq!(results(&answer(request).1), ["stored"; 2]);
    // The same records in another batch.
    let (id, bytes) = device.batch(2, &contents[..2]);
    assert_eq!(results(&device.upload(&house, &id, &bytes).1), ["known"; 2]);
    let label = house.folder.join(format!("store/records/{}.json", Digest::of(contents[0])));
    let label = desk::read_json(&label);
    assert_eq!((&label["device"], &label["seq"], &label["class"]), (&json!(device.id), &json!(1), &json!(5)));
    let left = std::fs::read_dir(house.folder.join(format!("uploads/{}", device.id))).unwrap().count();
    assert_eq!(left, 0, "parts are left behind");
}

/// A part of a body, which ends when the server has some of it.
struct EndsOnceHeard<F> {
    part: std::io::Cursor<Vec<u8>>,
    heard: F,
}

impl<F: FnMut() -> bool> std::io::Read for EndsOnceHeard<F> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.part.read(into)?;
        if read == 0 {
            let heard = (0..300).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                (self.heard)()
            });
            assert!(heard, "nothing of the body arrived within 30 s");
        }
        Ok(read)
    }
}

#[test]
fn a_connection_that_ends_in_mid_upload_leaves_what_arrived() {
    let house = House::new();
    let device = house.device("van-7");
    let content = vec![7; 300_000];
    let (id, bytes) = device.batch(1, &[&content]);
    // A body that is announced whole and ends early: after some of it has arrived, or there is nothing to keep.
    let length = bytes.len();
    let url = format!("{}/v1/batches/{id}", house.devices);
    let state = || usize::try_from(answer(device.client(&house).get(&url)).1["offset"].as_u64().unwrap());
    let client = device.client(&house);
    let asking = {
        let (client, url) = (device.client(&house), url.clone());
        move || answer(client.get(&url)).1["offset"].as_u64() > Some(0)
    };
    let part = EndsOnceHeard { part: std::io::Cursor::new(bytes[..200_000].to_vec()), heard: asking };
    let body = reqwest::blocking::Body::sized(part, u64::try_from(length).unwrap());
    let request = client.patch(&url).header("Upload-Offset", 0).header("Upload-Length", length);
    let sent = request.body(body).send();
    assert!(sent.is_err(), "the client itself must give up: {sent:?}");
    let until = std::time::Duration::from_millis(100);
    let mut offset = 0;
    for _ in 0..100 {
        offset = state().unwrap();
        if offset > 0 && answer(device.patch(&house, &id, offset, length, b"")).0 == 200 {
            break;
        }
        std::thread::sleep(until);
    }
    println!("{offset} of {length} bytes were kept");
    assert!(offset > 0 && offset <= 200_000);
    let (status, said) = answer(device.patch(&house, &id, offset, length, &bytes[offset..]));
    assert_eq!(status, 200, "{said}");
    assert_eq!(results(&said), ["stored"]);
}

#[test]
fn what_is_no_batch_too_long_or_named_by_a_path_is_refused_and_leaves_nothing() {
    let house = House::new();
    let device = house.device("van-7");
    let (id, bytes) = device.batch(1, &[b"sealed"]);
    let other = Digest::of(b"other").to_string();
    let (status, said) = device.upload(&house, &other, &bytes);
    assert_eq!(status, 422, "{said}");
    assert_eq!(device.upload(&house, &Digest::of(b"no tar").to_string(), b"no tar").0, 422);
    let too_long = 17 << 20;
    assert_eq!(answer(device.patch(&house, &id, 0, too_long, &bytes)).0, 413);
    // More bytes than were announced.
    assert_eq!(answer(device.patch(&house, &id, 0, bytes.len() - 1, &bytes)).0, 413);
    for path in ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", "a%00b", &id[1..], &id.to_uppercase()] {
        let request = device.client(&house).patch(format!("{}/v1/batches/{path}", house.devices));
        let (status, said) = answer(request.header("Upload-Offset", 0).header("Upload-Length", 1).body("x"));
        assert!(status == 400 || status == 404, "{path}: {status} {said}");
    }
    for path in [
        "..%2Ffleet%2Fauthority%2F1.key",
        "metadata%2F..%2F..%2Fx",
        "metadata/..%2f..%2fx",
        ".publishing",
        "records/a/1.json",
    ] {
        let (status, said) =
            answer(device.client(&house).get(format!("{}/repository/{path}", house.devices)));
        assert_eq!(status, 404, "{path}: {said}");
    }
    let lines = vec![b' '; 2 << 20];
    let (status, _) =
        answer(device.client(&house).post(format!("{}/v1/messages", house.devices)).body(lines));
    assert_eq!(status, 413);
    let left = std::fs::read_dir(house.folder.join(format!("uploads/{}", device.id))).unwrap().count();
    assert_eq!(left, 0);
    // Batches that nobody finishes do not fill the disk.
    for n in 0..10_u8 {
        let (id, bytes) = device.batch(10 + u64::from(n), &[&vec![n; 5_000]]);
        assert_eq!(answer(device.patch(&house, &id, 0, bytes.len(), &bytes[..4_000])).0, 200);
    }
    let left = std::fs::read_dir(house.folder.join(format!("uploads/{}", device.id))).unwrap().count();
    assert_eq!(left, 4);
}

#[test]
fn each_record_is_judged_for_itself() {
    let house = House::new();
    let (device, other) = (house.device("van-7"), house.device("van-8"));
    let contents: [&[u8]; 5] = [b"good", b"forged", b"old", b"forgotten", b"another's"];
    let mut entries: Vec<_> = contents.iter().map(|content| device.entry(content, 5, FAR_S)).collect();
    entries[1].class = 9; // not what was signed
    entries[2] = device.entry(contents[2], 5, 1_000);
    entries[4] = other.entry(contents[4], 5, FAR_S);
    let tombstones = house.folder.join("store/tombstones");
    std::fs::create_dir_all(&tombstones).unwrap();
    std::fs::write(tombstones.join(Digest::of(contents[3]).to_string()), "{}").unwrap();
    let (id, bytes) = device.batch_of(1, entries, &contents);
    let (status, said) = device.upload(&house, &id, &bytes);
    assert_eq!(status, 200, "{said}");
    assert_eq!(results(&said), ["stored", "bad", "not_wanted", "not_wanted", "bad"]);
    let there: Vec<bool> = contents.iter().map(|content| house.has_record(&Digest::of(content))).collect();
    assert_eq!(there, [true, false, false, false, false]);
}

#[test]
fn a_late_record_that_lies_in_the_store_came_in_time_and_one_that_was_forgotten_did_not() {
    let house = House::new();
    let device = house.device("van-7");
    // What a server leaves that was killed between the store and the database.
    let contents: [&[u8]; 3] = [b"cut off", b"late", b"cut off and forgotten"];
    let digests = contents.map(Digest::of);
    let folder = |name: &str| {
        let folder = house.folder.join("store").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    for at in [0, 2] {
        std::fs::write(folder("records").join(format!("{}.age", digests[at])), contents[at]).unwrap();
    }
    std::fs::write(folder("tombstones").join(digests[2].to_string()), "{}").unwrap();
    let entries = || contents.iter().map(|content| device.entry(content, 5, 1_000)).collect();
    for (seq, expected) in
        [(1, ["stored", "not_wanted", "not_wanted"]), (2, ["known", "not_wanted", "not_wanted"])]
    {
        let (id, bytes) = device.batch_of(seq, entries(), &contents);
        let (status, said) = device.upload(&house, &id, &bytes);
        assert_eq!(status, 200, "{said}");
        assert_eq!(results(&said), expected);
    }
    let label = folder("records").join(format!("{}.json", digests[0]));
    let label: Value = serde_json::from_slice(&std::fs::read(label).unwrap()).unwrap();
    assert_eq!(label["device"], json!(device.id), "it has the label that the cut kept from it");
    assert!(!house.has_record(&digests[1]));
}

#[test]
fn a_device_cannot_speak_as_another_and_a_stranger_not_at_all() {
    let house = House::new();
    let (device, other) = (house.device("van-7"), house.device("van-8"));
    // Another's name in the body.
    let (id, bytes) = other.batch(1, &[b"sealed"]);
    assert_eq!(device.upload(&house, &id, &bytes).0, 403);
    assert_eq!(device.say(&house, &[other.state(1)]).0, 403);
    let outcome = json!(other.signed(other.outcome(1, "r-1", Phase::Trial)));
    let post = |device: &Device, body: &Value| {
        answer(device.client(&house).post(format!("{}/v1/outcomes", house.devices)).json(body))
    };
    assert_eq!(post(&device, &outcome).0, 422);
    assert_eq!(post(&other, &outcome).0, 200);
    // Another's batch on its way is another's.
    let (id, bytes) = other.batch(2, &[b"sealed too"]);
    assert_eq!(answer(other.patch(&house, &id, 0, bytes.len(), &bytes[..600])).1["offset"], 600);
    assert_eq!(
        answer(device.client(&house).get(format!("{}/v1/batches/{id}", house.devices))).1["offset"],
        0
    );
    // Nobody's.
    let stranger = house.stranger();
    let url = |path: &str| format!("{}/{path}", house.devices);
    for request in [
        stranger.get(url(&format!("v1/batches/{id}"))),
        stranger.post(url("v1/messages")).body(format!("{}\n", device.state(1))),
        stranger.post(url("v1/outcomes")).json(&outcome),
        stranger.get(url("repository/metadata/timestamp.json")),
    ] {
        assert_eq!(answer(request).0, 401);
    }
    // A certificate of somebody else's authority ends at TLS.
    let foreign = House::new().device("van-9");
    let sent = foreign.client(&house).get(url("repository/metadata/timestamp.json")).send();
    assert!(sent.is_err(), "{sent:?}");
}

#[test]
fn messages_count_once_plain_or_packed_and_what_is_not_understood_is_put_aside() {
    let house = House::new();
    let device = house.device("van-7");
    let event = device.event(2, "fall-1", "new");
    let broken =
        json!({"schema": 1, "device": device.id, "boot_id": "boot-1", "seq": 3, "kind": "event", "body": {}});
    let (status, said) = device.say(&house, &[device.state(1), event.clone(), broken, json!("?")]);
    assert_eq!(status, 200, "{said}");
    let receipt = |seq: u64| json!({"boot_id": "boot-1", "seq": seq});
    assert_eq!(said["receipts"], json!([receipt(1), receipt(2), receipt(3)]));
    let mut packed = zstd::Encoder::new(Vec::new(), 3).unwrap();
    packed.write_all(format!("{event}\n{}\n", device.state(4)).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let request = device.client(&house).post(format!("{}/v1/messages", house.devices)).body(packed);
    let (status, said) = answer(request.header("Content-Encoding", "zstd"));
    assert_eq!((status, &said["receipts"]), (200, &json!([receipt(2), receipt(4)])));
    // Little that unpacks to much.
    let bomb = zstd::encode_all(&vec![b'\n'; 64 << 20][..], 3).unwrap();
    let request = device.client(&house).post(format!("{}/v1/messages", house.devices)).body(bomb);
    assert_eq!(answer(request.header("Content-Encoding", "zstd")).0, 413);
    let request = device.client(&house).post(format!("{}/v1/messages", house.devices)).body("x");
    assert_eq!(answer(request.header("Content-Encoding", "br")).0, 415);
}

/// What the gates see and say, by the command line.
fn gate(house: &House, desk: &Desk) -> Value {
    let root = desk.folder.path().join("root.json");
    std::fs::write(&root, desk.root()).unwrap();
    let line = format!(
        "rollout gate stop-sign --fleet {} --repository {} --root {} --json",
        house.folder.display(),
        desk.folder.path().join("repository").display(),
        root.display()
    );
    let (code, out, error) = house.fleet(&line);
    assert!(matches!(code, 0 | 5 | 6), "{code} {error}");
    let mut said: Value = serde_json::from_str(&out).unwrap();
    // How long the stage lasts is the clock's.
    said["variants"][0]["evaluation"]["waits_for"] = Value::Null;
    said
}

#[test]
fn a_thousand_forged_outcomes_move_no_gate() {
    let desk = Desk::begun(jiff::Timestamp::now());
    desk.release("stop-sign", "1.0.0", jiff::Timestamp::now()).unwrap();
    desk.start("stop-sign", "r-1", jiff::Timestamp::now()).unwrap();
    let house = House::new();
    let fleet: Vec<Device> = (0..4).map(|n| house.device(&format!("van-{n}"))).collect();
    let (thief, stranger) = (house.device("thief"), Device::new("stranger"));
    let post = |client: &reqwest::blocking::Client, body: &SignedOutcome| {
        answer(client.post(format!("{}/v1/outcomes", house.devices)).json(body)).0
    };
    for device in &fleet {
        let client = device.client(&house);
        assert_eq!(post(&client, &device.signed(device.outcome(1, "r-1", Phase::Trial))), 200);
        assert_eq!(post(&client, &device.signed(device.outcome(2, "r-1", Phase::Good))), 200);
    }
    let before = gate(&house, &desk);
    assert_eq!(before["variants"][0]["evaluation"]["counts"]["good"], 4, "{before}");

    let (by_thief, by_nobody) = (thief.client(&house), house.stranger());
    let real = fleet[0].signed(fleet[0].outcome(1, "r-1", Phase::Trial));
    let statuses = (0..1_000_u64).map(|n| {
        let victim = &fleet[usize::try_from(n % 4).unwrap()];
        let outcome = victim.outcome(100 + n, "r-1", Phase::Reverted);
        let forged = match n % 5 {
            // Signed by the thief's key, in the victim's name.
            0 | 1 => thief.signed(outcome),
            // The victim's key named, the thief's signature.
            2 => {
                let signature = thief.signed(outcome.clone()).signature;
                SignedOutcome { signature, ..victim.signed(outcome) }
            }
            // What the victim signed, changed.
            3 => {
                let mut signed = victim.signed(victim.outcome(100 + n, "r-1", Phase::Good));
                signed.outcome.phase = Phase::Reverted;
                signed
            }
            // What the victim did sign, sent again by another.
            _ => real.clone(),
        };
        let client = if n % 2 == 0 { &by_thief } else { &by_nobody };
        let status = post(client, &forged);
        assert!((400..500).contains(&status), "{n}: {status}");
        status.to_string()
    });
    println!("1000 forged outcomes, by status: {:?}", counted(statuses));
    // The victim itself says the same twice: once in effect.
    assert_eq!(post(&fleet[0].client(&house), &real), 200);
    // And forged ones by a key that nobody enrolled, right in the database's way.
    assert_eq!(post(&by_nobody, &stranger.signed(stranger.outcome(1, "r-1", Phase::Reverted))), 401);
    assert_eq!(gate(&house, &desk), before);
    // A device that turns out to be a thief's no longer counts at all.
    house.well(&format!("devices revoke {} --reason stolen", fleet[3].id));
    assert_eq!(gate(&house, &desk)["variants"][0]["evaluation"]["counts"]["good"], 3);
}

#[test]
fn the_repository_is_given_out_whole_and_in_parts() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", desk::day(0)).unwrap();
    let repository = desk.folder.path().join("repository");
    let house = House::with(&["--repository", repository.to_str().unwrap()]);
    let device = house.device("van-7");
    let get = |path: &str, headers: &[(&str, &str)]| {
        let mut request = device.client(&house).get(format!("{}/repository/{path}", house.devices));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().unwrap();
        (response.status().as_u16(), response.headers().clone(), response.bytes().unwrap().to_vec())
    };
    let (status, headers, body) = get("metadata/timestamp.json", &[]);
    let there = std::fs::read(repository.join("metadata/timestamp.json")).unwrap();
    assert_eq!((status, &body, headers["cache-control"].to_str().unwrap()), (200, &there, "no-cache"));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(get("metadata/timestamp.json", &[("If-None-Match", &tag)]).0, 304);
    let folder = repository.join("targets/models/stop-sign");
    let name = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().file_name();
    let path = format!("targets/models/stop-sign/{}", name.to_str().unwrap());
    let whole = std::fs::read(repository.join(&path)).unwrap();
    let (status, headers, body) = get(&path, &[("Range", "bytes=10-")]);
    assert_eq!((status, &body[..]), (206, &whole[10..]));
    let range = format!("bytes 10-{}/{}", whole.len() - 1, whole.len());
    assert_eq!(headers["content-range"].to_str().unwrap(), range);
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(get(&path, &[("Range", "bytes=4-5"), ("If-Range", &tag)]).2, &whole[4..6]);
    assert_eq!(get(&path, &[("Range", "bytes=4-5"), ("If-Range", "\"other\"")]).2, whole);
    assert_eq!(get(&path, &[("Range", "bytes=999999999-")]).0, 416);
}

/// A web hook that answers the first request with 503, and what it was told.
fn hook() -> (String, std::sync::mpsc::Receiver<(bool, Value)>) {
    use std::io::Read as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/pipeline?secret=47", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let body = loop {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).unwrap();
                bytes.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                if let Some(body) = body.and_then(|body| serde_json::from_str(&body).ok()) {
                    break body;
                }
            };
            let answer = if number == 0 { "503 Service Unavailable" } else { "204 No Content" };
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            let _ = tell.send((number == 0, body));
        }
    });
    (url, told)
}

#[test]
fn a_hook_hears_of_drift_and_of_new_records_until_it_has_answered_and_not_again() {
    let (url, told) = hook();
    let mut house = House::with(&["--hook", &url, "--hook-records", "3"]);
    let device = house.device("van-7");
    let next = || told.recv_timeout(std::time::Duration::from_secs(60)).expect("the hook hears");
    // What was there before the hook is not told: its first round has only to be over.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let drift = device.message(1, "drift", json!({"camera": "front", "alarm": {"signal": "resolution"}}));
    let said =
        answer(device.client(&house).post(format!("{}/v1/messages", house.devices)).body(drift.to_string()));
    assert_eq!(said.0, 200, "{said:?}");
    let (refused, first) = next();
    let (_, again) = next();
    assert!(refused && first == again, "{first} {again}");
    let drifts = first["drifts"].as_array().unwrap();
    assert_eq!((first["event"].as_str(), drifts.len()), (Some("drift"), 1));
    assert_eq!((&drifts[0]["device"], &drifts[0]["drift"]["camera"]), (&json!(device.id), &json!("front")));

    let contents: [&[u8]; 4] = [b"one", b"two", b"three", b"four"];
    let (id, bytes) = device.batch(2, &contents);
    assert_eq!(results(&device.upload(&house, &id, &bytes).1), ["stored"; 4]);
    let (_, records) = next();
    assert_eq!((records["event"].as_str(), &records["new"]), (Some("records"), &json!(4)));
    // Neither comes again, whoever begins anew, once it is written down that they were told.
    std::thread::sleep(std::time::Duration::from_secs(3));
    house.killed_and_started();
    assert!(told.recv_timeout(std::time::Duration::from_secs(6)).is_err());
}
