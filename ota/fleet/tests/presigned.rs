//! Batches that devices put into a bucket themselves, by requests that `stopline-fleet serve --presigned` signs: with the real
//! agent, over a link that cuts, and with everything that a device, a thief of an address or somebody at the bucket could try.
//!
//! The bucket is moto over TLS. It does not check pre-signed requests; what stands before it does, by S3's own rules
//! (`s3/server.py`): signature, expiry, signed headers, checksum.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod bucket;
mod desk;
mod house;
mod needs;

use std::time::Duration;

use bucket::Bucket;
use desk::Desk;
use house::{Device, FAR_S, House, answer, results};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Class, Event, Limits, Put, Spool, counts, entries};

/// A bucket over TLS and a server with its records in it.
struct Fleet {
    bucket: Bucket,
    house: House,
    web: Client,
}

impl Fleet {
    fn start() -> Option<Self> {
        let bucket = Bucket::start_with_tls()?;
        let place = format!("s3://{}/records", bucket.text("bucket"));
        let house = House::within(&["--store", &place, "--presigned"], bucket.environment());
        let roots = reqwest::Certificate::from_pem_bundle(&std::fs::read(bucket.authority()).unwrap());
        let web = Client::builder().tls_certs_only(roots.unwrap()).timeout(Duration::from_secs(60));
        Some(Self { bucket, house, web: web.build().unwrap() })
    }

    /// What the bucket says to a question of the test's own.
    fn control(&self, wanted: Value) -> Value {
        let url = format!("{}/_control", self.bucket.text("url"));
        let said = self.web.post(url).body(wanted.to_string()).send().unwrap().text().unwrap();
        serde_json::from_str(&said).unwrap()
    }

    /// Names in the bucket below `folder`.
    fn objects(&self, folder: &str) -> Vec<String> {
        let said = self.control(json!({}));
        let all = said["objects"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        all.filter_map(|name| name.strip_prefix(&format!("records/{folder}/")).map(str::to_owned)).collect()
    }

    /// Asks for a place, or for receipts.
    fn place(&self, device: &Device, id: &str, length: usize) -> (u16, Value) {
        let url = format!("{}/v1/batches/{id}/place", self.house.devices);
        answer(device.client(&self.house).post(url).header("Upload-Length", length))
    }

    /// The place that is given.
    fn given(&self, device: &Device, id: &str, length: usize) -> Value {
        let (status, said) = self.place(device, id, length);
        assert!(status == 200 && said["state"].is_null(), "{status} {said}");
        said["place"].clone()
    }

    /// Puts to an address as a place says, with another body or headers where a test wants that.
    fn put(&self, url: &str, place: &Value, body: &[u8]) -> u16 {
        let mut request = self.web.put(url).body(body.to_vec());
        for header in place["headers"].as_array().unwrap() {
            request = request.header(header[0].as_str().unwrap(), header[1].as_str().unwrap());
        }
        request.send().unwrap().status().as_u16()
    }
}

fn url(place: &Value) -> &str {
    place["url"].as_str().unwrap()
}

#[test]
fn a_batch_is_put_told_of_and_counts_once_however_often_anything_is_said_again() {
    let Some(mut fleet) = Fleet::start() else { return };
    let device = fleet.house.device("van-7");
    let contents: [&[u8]; 3] = [b"one", &[7; 90_000], b"three"];
    let (id, bytes) = device.batch(1, &contents);
    let place = fleet.given(&device, &id, bytes.len());
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    assert!((now + 890..now + 910).contains(&place["expires"].as_u64().unwrap()), "{place}");
    assert!(url(&place).contains("X-Amz-Expires=900&") && url(&place).contains("x-amz-checksum-sha256"));
    assert!(url(&place).contains(&format!("/records/incoming/{}/{id}?", device.id)));
    assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
    assert_eq!((fleet.objects("incoming").len(), fleet.objects("records").len()), (1, 0), "not told of");
    // The server dies before it is told: what lies there waits.
    fleet.house.killed_and_started();
    let (status, said) = fleet.place(&device, &id, bytes.len());
    assert_eq!((status, results(&said["state"])), (200, vec!["stored".to_owned(); 3]), "{said}");
    assert_eq!((fleet.objects("incoming").len(), fleet.objects("records").len()), (0, 6));
    // Told again, asked again, put again, and sent by the server too: the same receipts.
    assert_eq!(fleet.place(&device, &id, bytes.len()), (200, said.clone()));
    assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
    assert_eq!(fleet.place(&device, &id, bytes.len()).1, said);
    let asked = answer(device.client(&fleet.house).get(format!("{}/v1/batches/{id}", fleet.house.devices)));
    assert_eq!(asked.1, said["state"]);
    assert_eq!(device.upload(&fleet.house, &id, &bytes).1, said["state"]);
    // The same records in another batch are known, and each is judged for itself.
    let mut others: Vec<_> = contents.iter().map(|content| device.entry(content, 5, FAR_S)).collect();
    others[1].class = 9; // not what was signed
    let (id, bytes) = device.batch_of(2, others, &contents);
    let place = fleet.given(&device, &id, bytes.len());
    assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
    assert_eq!(results(&fleet.place(&device, &id, bytes.len()).1["state"]), ["known", "bad", "known"]);
    assert_eq!(fleet.objects("records").len(), 6);
}

#[test]
fn an_address_serves_one_content_at_one_place_for_a_quarter_of_an_hour() {
    let Some(fleet) = Fleet::start() else { return };
    let (device, other) = (fleet.house.device("van-7"), fleet.house.device("van-8"));
    let (id, bytes) = device.batch(1, &[&[7; 5_000]]);
    let place = fleet.given(&device, &id, bytes.len());
    // Another's place, another method, another body, without what is bound: the store itself refuses.
    let elsewhere = url(&place).replace(&device.id, &other.id);
    assert_eq!(fleet.put(&elsewhere, &place, &bytes), 403);
    assert_eq!(fleet.put(&url(&place).replace("incoming", "records"), &place, &bytes), 403);
    assert_eq!(fleet.web.get(url(&place)).send().unwrap().status().as_u16(), 403);
    assert_eq!(fleet.web.delete(url(&place)).send().unwrap().status().as_u16(), 403);
    assert_eq!(fleet.put(url(&place), &place, b"other bytes"), 400);
    let bare = json!({"headers": []});
    assert_eq!(fleet.put(url(&place), &bare, &bytes), 403);
    let longer = url(&place).replace("X-Amz-Expires=900", "X-Amz-Expires=86400");
    assert_eq!(fleet.put(&longer, &place, &bytes), 403);
    assert_eq!(fleet.objects("incoming"), [""; 0]);
    // A quarter of an hour later it is none any more, and another is given.
    fleet.control(json!({"ahead_s": 899}));
    assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
    fleet.control(json!({"ahead_s": 905}));
    assert_eq!(fleet.put(url(&place), &place, &bytes), 403);
    fleet.control(json!({"ahead_s": 0}));
    // What one device has put is not another's to tell of.
    assert!(!fleet.given(&other, &id, bytes.len())["url"].is_null());
    assert_eq!(results(&fleet.place(&device, &id, bytes.len()).1["state"]), ["stored"]);
    // Nor is another's batch taken in from one's own place.
    let (stolen, bytes) = other.batch(1, &[b"another's"]);
    let place = fleet.given(&device, &stolen, bytes.len());
    assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
    assert_eq!(fleet.place(&device, &stolen, bytes.len()).0, 403);
    assert_eq!(fleet.objects("incoming"), [""; 0]);
    // A stranger gets no place, a batch that is too long none, and a fifth none while four are open.
    let asked = fleet.house.stranger().post(format!("{}/v1/batches/{id}/place", fleet.house.devices));
    assert_eq!(answer(asked.header("Upload-Length", 5)).0, 401);
    assert_eq!(fleet.place(&device, &id.to_uppercase(), 5).0, 400);
    let (_, long) = device.batch(3, &[b"long"]);
    let long = Digest::of(&long).to_string();
    assert_eq!(fleet.place(&device, &long, (4 << 20) + 1).0, 413);
    let open: Vec<u16> =
        (10..15_u8).map(|n| fleet.place(&device, &Digest::of(&[n]).to_string(), 100).0).collect();
    assert_eq!(open, [200, 200, 200, 200, 429]);
}

#[test]
fn what_was_changed_in_the_bucket_gets_no_receipt_and_what_nobody_tells_of_is_forgotten() {
    let Some(mut fleet) = Fleet::start() else { return };
    let device = fleet.house.device("van-7");
    let (id, bytes) = device.batch(1, &[b"sealed"]);
    let at = format!("records/incoming/{}/{id}", device.id);
    // By somebody who has the bucket's own keys: other bytes, and more than there may be.
    for changed in ["other bytes".to_owned(), "x".repeat(bytes.len() + 1)] {
        let place = fleet.given(&device, &id, bytes.len());
        assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
        let put = serde_json::Map::from_iter([(at.clone(), json!(changed))]);
        fleet.control(json!({"put": put}));
        fleet.given(&device, &id, bytes.len());
        assert_eq!((fleet.objects("incoming").len(), fleet.objects("records").len()), (0, 0));
    }
    let place = fleet.given(&device, &id, bytes.len());
    assert_eq!(fleet.put(url(&place), &place, &bytes), 200);
    assert_eq!(results(&fleet.place(&device, &id, bytes.len()).1["state"]), ["stored"]);
    // Put and never told of: a day later the server has forgotten it, and what is younger stays.
    let batches: Vec<_> =
        (2..4).map(|seq| device.batch(seq, &[format!("sealed {seq}").as_bytes()])).collect();
    for (id, bytes) in &batches {
        let place = fleet.given(&device, id, bytes.len());
        assert_eq!(fleet.put(url(&place), &place, bytes), 200);
    }
    let old = format!("records/incoming/{}/{}", device.id, batches[0].0);
    let aged = fleet.control(json!({"age_days": serde_json::Map::from_iter([(old, json!(2))])}));
    assert!(aged["objects"].is_array(), "{aged}");
    fleet.house.killed_and_started();
    for _ in 0..300 {
        if fleet.objects("incoming").len() == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(fleet.objects("incoming"), [format!("{}/{}", device.id, batches[1].0)]);
}

#[test]
fn places_are_given_only_where_that_is_asked_for_and_the_store_signs_for_tls() {
    let folder = House::new();
    let device = folder.device("van-7");
    let asked =
        device.client(&folder).post(format!("{}/v1/batches/{}/place", folder.devices, Digest::of(b"x")));
    assert_eq!(answer(asked.header("Upload-Length", 5)).0, 404);
    let start = |store: &str, environment: Vec<(&'static str, String)>| {
        let kept = tempfile::tempdir().unwrap();
        let data = kept.path().join("fleet");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stopline-fleet"));
        command.args([
            "serve",
            "--presigned",
            "--store",
            store,
            "--devices",
            "127.0.0.1:0",
            "--mqtt",
            "none",
        ]);
        command.args(["--operators", "127.0.0.1:0", "--data"]).arg(&data).envs(environment);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let kept = tempfile::tempdir().unwrap();
    let (code, said) = start(kept.path().to_str().unwrap(), Vec::new());
    assert!(code == Some(2) && said.contains("cannot sign for devices"), "{code:?} {said}");
    let Some(bucket) = Bucket::start() else { return };
    let (code, said) = start("s3://models/records", bucket.environment());
    assert!(code == Some(2) && said.contains("without TLS"), "{code:?} {said}");
}

/// An agent with a spool, ended with the test.
struct Agent {
    folder: tempfile::TempDir,
    child: Option<std::process::Child>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Agent {
    fn new(fleet: &Fleet) -> Self {
        let desk = Desk::begun(jiff::Timestamp::now());
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("trust")).unwrap();
        std::fs::create_dir_all(at("spool")).unwrap();
        std::fs::write(at("trust/root.json"), desk.root()).unwrap();
        std::fs::write(at("trust/floor.json"), r#"{"schema": 1, "models": {}}"#).unwrap();
        std::fs::write(at("trust/deny.json"), r#"{"schema": 1, "digests": []}"#).unwrap();
        let text = format!(
            "repository = '{url}/repository'\nhardware = 'board'\nmodels = ['stop-sign']\nhome = {home:?}\n\
             depot = {depot:?}\nstate = {state:?}\ntrust = {trust:?}\nfleet_url = '{url}'\n\
             [device]\nnetwork = 'ethernet'\nsynchronised_file = {trust:?}\n[poll]\nstart_within_s = 86400\n\
             [telemetry]\non = false\n\
             [upload]\nspool = {spool:?}\nstores = ['{store}/{bucket}/']\nstore_authorities_file = {authority:?}\n\
             batch_bytes = 500000\nlook_s = 1\nfirst_back_off_ms = 10\nlongest_back_off_ms = 1000\n\
             [tls]\nauthorities_file = {pinned:?}\n[enrolment]\nurl = '{url}'\n",
            url = fleet.house.devices,
            home = at("home"),
            depot = at("depot"),
            state = at("state"),
            trust = at("trust"),
            spool = at("spool"),
            store = fleet.bucket.text("url"),
            bucket = fleet.bucket.text("bucket"),
            authority = fleet.bucket.authority(),
            pinned = fleet.house.folder.join("authorities.pem"),
        );
        std::fs::write(at("agent.toml"), text).unwrap();
        Self { folder, child: None }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(desk::program::agent());
        command.args(arguments).arg("--config").arg(self.folder.path().join("agent.toml"));
        command
    }

    fn enrol(&self, fleet: &Fleet, name: &str) -> String {
        let output =
            self.command(&["enroll", "--token", &fleet.house.token(name), "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said["device"].as_str().unwrap().to_owned()
    }

    fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let mut command = self.command(&["run"]);
        command
            .env("STOPLINE_AGENT_LOG", "info,stopline_agent=debug")
            .env("NO_COLOR", "1")
            .stderr(log.unwrap());
        self.child = Some(command.spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn capture(&self, from: u8, records: u8) -> Vec<Digest> {
        let limits = Limits { bytes: 1 << 30, files: 10_000, keep_free: 0 };
        let mut spool = Spool::open(RealDisk, &self.folder.path().join("spool"), limits, 1_000).unwrap();
        let record =
            |n: u8| (0..150_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ n).collect();
        (from..from + records)
            .map(|n| {
                let record: Vec<u8> = record(n);
                let put = spool.put(&record, Class::new(5).unwrap(), FAR_S, 1_000).unwrap();
                assert!(matches!(put, Put::Waiting(_)), "{put:?}");
                Digest::of(&record)
            })
            .collect()
    }

    fn until_nothing_waits(&self) {
        for _ in 0..1_200 {
            if counts(&RealDisk, &self.folder.path().join("spool")).unwrap().waiting == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("records wait: {}", self.log());
    }
}

#[test]
fn a_real_agent_puts_its_records_into_the_bucket_and_each_arrives_once() {
    let Some(mut fleet) = Fleet::start() else { return };
    let mut agent = Agent::new(&fleet);
    let id = agent.enrol(&fleet, "van-7");
    let mut digests = agent.capture(0, 18);
    // A link that is cut, an answer that is lost, a store that is busy, and a portal in its place: never twice in a row, after
    // which batches would go by the server.
    fleet.control(json!({"faults": ["cut", null, "no_answer", "busy", null, "portal"]}));
    agent.run();
    agent.until_nothing_waits();
    // The store is gone, and the server cannot keep anything either: all of it waits, and goes when it is there again.
    fleet.control(json!({"away": true}));
    digests.extend(agent.capture(100, 4));
    std::thread::sleep(Duration::from_secs(4));
    let waiting = counts(&RealDisk, &agent.folder.path().join("spool")).unwrap().waiting;
    assert_eq!(waiting, 4, "{}", agent.log());
    fleet.control(json!({"away": false}));
    // Killed and started, agent and server: nothing of it is lost.
    agent.kill();
    fleet.house.killed_and_started();
    agent.run();
    agent.until_nothing_waits();

    let ledger = entries(&RealDisk, &agent.folder.path().join("spool")).unwrap();
    let records = fleet.objects("records");
    for digest in &digests {
        assert!(records.contains(&format!("{digest}.age")), "{digest} is not in the bucket");
        let ends = ledger.iter().filter(|entry| entry.digest == *digest && entry.event != Event::Captured);
        assert_eq!(ends.map(|entry| entry.event).collect::<Vec<_>>(), [Event::Delivered], "{digest}");
    }
    assert_eq!((records.len(), fleet.objects("incoming").len()), (2 * digests.len(), 0));
    let said = fleet.control(json!({}));
    let seen: Vec<String> = said["seen"].as_array().unwrap().iter().map(|one| one[2].to_string()).collect();
    println!("pre-signed requests as the bucket saw them: {seen:?}");
    assert_eq!(said["faults"], json!([]), "every fault was met");
    let by_server = fleet.house.folder.join(format!("uploads/{id}"));
    assert!(!by_server.exists(), "nothing went by the server: {}", agent.log());
    let log = agent.log();
    assert!(!log.contains("X-Amz-Signature"), "a signature is in the log");
}
