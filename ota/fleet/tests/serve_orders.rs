//! What devices are asked to do once: bring a diagnostic bundle, forget records that are still in their spools. With the real agent,
//! and with requests as its page states them.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;
mod house;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use desk::Desk;
use house::{Device, House, Person, answer};
use serde_json::{Value, json};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Class, Counts, Limits, Put, Spool, counts};

/// A board with an agent that is enrolled.
struct Board {
    folder: tempfile::TempDir,
    id: String,
    running: Option<Child>,
}

impl Board {
    fn new(desk: &Desk, house: &House, name: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["trust", "spool"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("trust/root.json"), desk.root()).unwrap();
        std::fs::write(at("trust/floor.json"), r#"{"schema": 1, "models": {}}"#).unwrap();
        std::fs::write(at("trust/deny.json"), r#"{"schema": 1, "digests": []}"#).unwrap();
        std::fs::write(at("agent.log"), "token=S3CR3T\nall is well\n").unwrap();
        // It never parks, so that nothing is uploaded.
        let text = format!(
            "repository = '{url}/repository'\nhardware = 'board'\nmodels = ['stop-sign']\nhome = {home:?}\n\
             depot = {depot:?}\nstate = {state:?}\ntrust = {trust:?}\nfleet_url = '{url}'\n\
             [download]\nattempts = 1\nfirst_back_off_ms = 1\n[device]\nnetwork = 'ethernet'\nsynchronised_file = {trust:?}\n\
             [upload]\nspool = {spool:?}\nparked = true\nlook_s = 1\n[telemetry]\nlook_s = 1\nstats_s = 1\n\
             [tls]\nauthorities_file = {pinned:?}\n[enrolment]\nurl = '{url}'\n{more}",
            url = house.devices,
            home = at("home"),
            depot = at("depot"),
            state = at("state"),
            trust = at("trust"),
            spool = at("spool"),
            pinned = house.folder.join("authorities.pem"),
            more = more.replace("HERE", &folder.path().display().to_string()),
        );
        std::fs::write(at("agent.toml"), text).unwrap();
        let mut board = Self { folder, id: String::new(), running: None };
        let output = board.command(&["enroll", "--token", &house.token(name), "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        board.id = said["device"].as_str().unwrap().to_owned();
        board
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(desk::program::agent());
        command.args(arguments).arg("--config").arg(self.folder.path().join("agent.toml"));
        command.env("STOPLINE_AGENT_LOG", "error");
        command
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("said.log")).unwrap();
        let running = self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.running = Some(running);
    }

    fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().unwrap();
            running.wait().unwrap();
        }
    }

    fn capture(&self, content: &[u8], at: u64) -> Digest {
        let limits = Limits { bytes: 1 << 30, files: 1_000, keep_free: 0 };
        let folder = self.folder.path().join("spool");
        let mut spool = Spool::open(RealDisk, &folder, limits, at).unwrap();
        let put = spool.put(content, Class::new(5).unwrap(), house::FAR_S, at).unwrap();
        let Put::Waiting(digest) = put else { panic!("{put:?}") };
        digest
    }

    fn counts(&self) -> Counts {
        counts(&RealDisk, &self.folder.path().join("spool")).unwrap()
    }

    /// Files of the board in which a digest stands, but for the spool's ledger.
    fn mentions(&self, digest: &Digest) -> Vec<PathBuf> {
        let text = digest.to_string();
        let mut folders = vec![self.folder.path().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = std::fs::read(&path).unwrap_or_default();
                if path.to_string_lossy().contains(&text)
                    || bytes.windows(64).any(|part| part == text.as_bytes())
                {
                    found.push(path);
                }
            }
        }
        found.retain(|path| !path.starts_with(self.folder.path().join("spool/ledger")));
        found
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for it, for a minute at most.
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} has not come");
}

fn desk_of_today() -> Desk {
    Desk::begun(jiff::Timestamp::now())
}

/// How the newest question for a bundle stands.
fn standing(house: &House, device: &str) -> String {
    house.well(&format!("devices diagnose {device}"))["standing"].as_str().unwrap().to_owned()
}

const ALLOWED: &str = "[remote]\ndiagnose = true\ndiagnose_logs = ['HERE/agent.log']\n";

#[test]
fn a_bundle_is_asked_for_arrives_and_is_read_and_goes_with_the_device() {
    let (desk, house) = (desk_of_today(), House::new());
    let mut board = Board::new(&desk, &house, "van-7", ALLOWED);
    let (code, _, said) = house.fleet("devices diagnose van-7 --out never.json");
    assert!(code == 2 && said.contains("nobody asked"), "{code} {said}");
    assert_eq!(standing(&house, "van-7"), "asked");
    assert_eq!(standing(&house, "van-7"), "asked", "the question that stands is not asked twice");
    let first = house.well("devices diagnose van-7")["order"]["id"].as_str().unwrap().to_owned();
    let (code, _, said) = house.fleet("devices diagnose van-7 --out early.json");
    assert!(code != 0 && said.contains("not answered yet"), "{code} {said}");
    board.start();
    let kept = house.folder.join(format!("diagnoses/{first}.json"));
    until("the bundle", || kept.exists());
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    until("the answer", || house.fleet("devices diagnose van-7 --out bundle.json").0 == 0);
    let text = std::fs::read_to_string(house.folder.parent().unwrap().join("bundle.json")).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bundle["status"]["device"], board.id.as_str());
    assert!(text.contains("all is well") && !text.contains("S3CR3T"), "{text}");
    assert!(!house.audited("devices.diagnose").is_empty());

    // People see it, and an operator may ask from the page.
    let person = Person::welcomed(&house, "admin", &house.invitation());
    let page = person.get(&format!("/devices/{}", board.id));
    assert!(page.text.contains("arrived") && page.text.contains("Ask for a diagnosis"), "{}", page.text);
    let file = format!("/devices/{}/diagnoses/{first}", board.id);
    assert!(page.text.contains(&file), "{}", page.text);
    assert_eq!(person.get(&file).text, text, "the file is the one that the command gives");
    assert_eq!(house.audited("devices.diagnosis").len(), 1);
    // Not by another device's page, and not by who may only look.
    for other in [file.replace(&board.id, &"0".repeat(32)), file.replace(&first, &"0".repeat(32))] {
        assert_eq!(person.get(&other).status, 404, "{other}");
    }
    let viewer = Person::invited(&house, "vera", "viewer");
    assert_eq!(viewer.get(&file).status, 403);
    assert!(!viewer.get(&format!("/devices/{}", board.id)).text.contains(&file));
    let page = person.post(&format!("/devices/{}/diagnose", board.id), &[]);
    assert_eq!(page.status, 303, "{}", page.text);
    let page = person.get(&format!("/devices/{}", board.id));
    assert!(page.text.contains("not answered yet"), "{}", page.text);

    // With the device its bundles are forgotten.
    let store = house.folder.join("store").display().to_string();
    let said = house.well(&format!("forget {store} --device {} --data {}", board.id, house.folder.display()));
    assert_eq!((&said["diagnoses"], &said["vehicles"]["devices"]), (&json!(1), &json!(1)), "{said}");
    assert!(!kept.exists());
}

#[test]
fn a_device_that_does_not_allow_it_says_so() {
    let (desk, house) = (desk_of_today(), House::new());
    let mut board = Board::new(&desk, &house, "van-8", "");
    let first = house.well("devices diagnose van-8")["order"]["id"].as_str().unwrap().to_owned();
    board.start();
    until("the refusal", || {
        let request = house.well("devices diagnose van-8");
        // A new question stands as soon as the first is answered.
        request["order"]["id"].as_str() != Some(first.as_str())
    });
    let (code, _, said) = house.fleet("devices diagnose van-8 --out none.json");
    assert!(code != 0 && said.contains("no bundle of it is here"), "{code} {said}");
    assert!(!house.folder.join("diagnoses").exists());
}

#[test]
fn only_the_device_that_was_asked_answers_once_and_within_bounds() {
    let house = House::new();
    let (asked, other) = (house.device("van-7"), house.device("van-8"));
    let id = house.well("devices diagnose van-7")["order"]["id"].as_str().unwrap().to_owned();
    let put = |device: &Device, id: &str, body: Vec<u8>| {
        answer(device.client(&house).put(format!("{}/v1/diagnoses/{id}", house.devices)).body(body)).0
    };
    let bundle = |word: &str| json!({"schema": 1, "word": word}).to_string().into_bytes();
    let (_, said) = asked.say(&house, &[asked.state(1)]);
    assert_eq!(said["orders"][0]["id"], id.as_str(), "{said}");
    assert_eq!(said["orders"][0]["what"], "diagnose");
    let (_, said) = other.say(&house, &[other.state(1)]);
    assert!(said.get("orders").is_none(), "{said}");
    assert_eq!(put(&other, &id, bundle("theirs")), 404);
    for wrong in ["0".repeat(32).as_str(), "x", "..%2f..%2fserver.key"] {
        assert_eq!(put(&asked, wrong, bundle("mine")), 404, "{wrong}");
    }
    assert_eq!(put(&asked, &id, b"no bundle".to_vec()), 422);
    assert_eq!(put(&asked, &id, vec![b' '; (1 << 20) + 1]), 413);
    let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 3).unwrap();
    let packed = asked.client(&house).put(format!("{}/v1/diagnoses/{id}", house.devices));
    assert_eq!(answer(packed.header("Content-Encoding", "zstd").body(bomb)).0, 413);
    assert_eq!(put(&asked, &id, bundle("first")), 200);
    assert_eq!(put(&asked, &id, bundle("second")), 200, "known");
    let kept = std::fs::read_to_string(house.folder.join(format!("diagnoses/{id}.json"))).unwrap();
    assert!(kept.contains("first"), "the first counts");
    let (_, said) = asked.say(&house, &[asked.state(2)]);
    assert!(said.get("orders").is_none(), "{said}");
    // An answer of somebody else, to nothing, or of another kind.
    let post = |device: &Device, id: &str, result: &str| {
        let body = json!({"schema": 1, "id": id, "result": result, "removed": 5, "unsure": 0}).to_string();
        answer(device.client(&house).post(format!("{}/v1/answers", house.devices)).body(body)).0
    };
    assert_eq!(post(&other, &id, "refused"), 404);
    assert_eq!(post(&asked, &"1".repeat(32), "done"), 404);
    assert_eq!(post(&asked, &id, "done"), 422, "a diagnosis is answered by its bundle");
    assert_eq!(post(&asked, "../x", "done"), 422);
}

#[test]
fn records_that_were_never_uploaded_are_forgotten_on_the_board_and_the_receipt_shows_who_has_answered() {
    let (desk, house) = (desk_of_today(), House::new());
    let mut board = Board::new(&desk, &house, "van-7", "");
    let away = house.device("van-9");
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    let all = [b"one".as_slice(), b"two", b"three"].map(|content| board.capture(content, now - 100));
    assert!(!board.mentions(&all[1]).is_empty());
    let store = house.folder.join("store").display().to_string();
    let line = format!("forget {store} --record {} --data {}", all[1], house.folder.display());
    let said = house.well(&line);
    assert_eq!(said["vehicles"]["devices"], 2, "{said}");
    let request = said["vehicles"]["request"].as_str().unwrap().to_owned();
    let answers = || house.well(&format!("devices request {request}"));
    assert_eq!((&answers()["answered"], &answers()["asked"]), (&json!(0), &json!(2)), "the board is off");
    board.start();
    until("the board's answer", || answers()["answered"] == 1);
    let of_board = |said: &Value| {
        let orders = said["orders"].as_array().unwrap();
        orders.iter().find(|order| order["device"] == board.id.as_str()).unwrap().clone()
    };
    assert_eq!(
        (&of_board(&answers())["removed"], &of_board(&answers())["result"]),
        (&json!(1), &json!("done"))
    );
    assert_eq!(board.mentions(&all[1]), [] as [PathBuf; 0], "nowhere on the board");
    assert_eq!((board.counts().waiting, board.counts().rejected), (2, 1));
    assert!(board.counts().is_balanced());
    // The other is asked with each of its messages, until it answers.
    for seq in 1..3 {
        let (_, told) = away.say(&house, &[away.state(seq)]);
        assert_eq!(told["orders"][0]["what"]["forget"]["records"], json!([all[1]]), "{told}");
    }
    let (_, out, _) = house.fleet(&format!("devices request {request}"));
    assert!(out.contains("1 of 2 orders are answered") && out.contains("asked"), "{out}");
    // All of the device: what was captured up to now.
    let said = house.well(&format!("forget {store} --device {} --data {}", board.id, house.folder.display()));
    assert_eq!(said["vehicles"]["devices"], 1);
    until("an empty spool", || board.counts().waiting == 0);
    assert!(board.counts().is_balanced() && board.counts().rejected == 3);
    assert!(!house.audited("devices.forget").is_empty());
    // The database names it no longer, once all have answered.
    let id = away.say(&house, &[away.state(9)]).1["orders"][0]["id"].as_str().unwrap().to_owned();
    let body = json!({"schema": 1, "id": id, "result": "done", "removed": 0, "unsure": 0}).to_string();
    assert_eq!(answer(away.client(&house).post(format!("{}/v1/answers", house.devices)).body(body)).0, 200);
    assert_eq!(answers()["answered"], 2);
}
