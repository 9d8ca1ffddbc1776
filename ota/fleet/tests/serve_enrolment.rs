//! How devices come in, stay in and are let in no more: with the real agent, and with requests as its page states them.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;
mod house;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use desk::Desk;
use house::{Device, House, Json as _, answer};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

/// An agent with a home.
struct Agent {
    folder: tempfile::TempDir,
}

impl Agent {
    fn new(desk: &Desk, house: &House) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = folder.path().join("trust");
        std::fs::create_dir_all(&trust).unwrap();
        std::fs::write(trust.join("root.json"), desk.root()).unwrap();
        std::fs::write(trust.join("floor.json"), r#"{"schema": 1, "models": {}}"#).unwrap();
        std::fs::write(trust.join("deny.json"), r#"{"schema": 1, "digests": []}"#).unwrap();
        let at = |name: &str| folder.path().join(name);
        let text = format!(
            "repository = '{url}/repository'\nhardware = 'board'\nmodels = ['stop-sign']\nhome = {home:?}\n\
             depot = {depot:?}\nstate = {state:?}\ntrust = {trust:?}\noutcomes_url = '{url}/v1/outcomes'\n\
             [download]\nattempts = 1\nfirst_back_off_ms = 1\n[device]\nnetwork = 'ethernet'\nsynchronised_file = {trust:?}\n\
             [tls]\nauthorities_file = {pinned:?}\n[enrolment]\nurl = '{url}'\n",
            url = house.devices,
            home = at("home"),
            depot = at("depot"),
            state = at("state"),
            pinned = house.folder.join("authorities.pem"),
        );
        std::fs::write(at("agent.toml"), text).unwrap();
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.folder.path().join("agent.toml");
        let mut command = Command::new(desk::program::agent());
        command.args(arguments).arg("--config").arg(config).env("STOPLINE_AGENT_LOG", "error");
        command.output().unwrap()
    }

    fn well(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_first_start_needs_no_set_up_and_has_no_default_password() {
    let mut house = House::new();
    assert_eq!(mode(&house.folder), 0o700);
    for secret in ["authority/1.key", "server.key"] {
        assert_eq!(mode(&house.folder.join(secret)), 0o600, "{secret}");
    }
    let first = house.invitation();
    assert_eq!(first.len(), 64);
    let text = std::fs::read(house.folder.join("stopline.db")).unwrap();
    assert!(!text.windows(64).any(|part| part == first.as_bytes()), "the database holds the link itself");
    let (code, _, said) = house.fleet("serve invite mallory --role root");
    assert!(code == 2 && said.contains("publisher"), "{code} {said}");
    // Nobody came: the next start gives another link, and the same authority.
    let pinned = std::fs::read(house.folder.join("authorities.pem")).unwrap();
    house.killed_and_started();
    assert_ne!(house.invitation(), first);
    assert_eq!(std::fs::read(house.folder.join("authorities.pem")).unwrap(), pinned);
    // Others may not look in.
    std::fs::set_permissions(&house.folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, _, said) = house.fleet("devices list");
    assert!(code == 3 && said.contains("chmod 700"), "{code} {said}");
    std::fs::set_permissions(&house.folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let (code, out, _) = house.fleet(&format!("audit verify {}/audit.jsonl", house.folder.display()));
    assert!(code == 0 && out.contains("all hold"), "{out}");
}

#[test]
fn a_real_agent_enrols_fetches_reports_and_is_let_in_no_more() {
    let desk = Desk::begun(jiff::Timestamp::now());
    desk.release("stop-sign", "1.0.0", jiff::Timestamp::now()).unwrap();
    let all = stopline_fleet::rollouts::Start {
        stages: vec![stopline_depot::rollout::Stage { bp: 10_000, min_dwell_s: 0 }],
        ..desk::start("stop-sign", "r-1")
    };
    stopline_fleet::rollouts::start(&desk.store, &desk.root(), &desk.signers(), &all, jiff::Timestamp::now())
        .unwrap();
    let repository = desk.folder.path().join("repository");
    let house = House::with(&["--repository", repository.to_str().unwrap()]);
    let (agent, other) = (Agent::new(&desk, &house), Agent::new(&desk, &house));
    let token = house.token("van-7");
    let enrolled = agent.well(&["enroll", "--token", &token, "--json"]);
    let id = enrolled["device"].as_str().unwrap().to_owned();
    assert_eq!(house.well("devices show van-7")["id"], id);
    // Once: neither the same token nor one that nobody gave out lets another in.
    for token in [token.as_str(), "0000"] {
        let output = other.run(&["enroll", "--token", token]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("401"), "{said}");
    }
    // It asks, fetches over TLS with its certificate, and tells.
    let polled = agent.well(&["check-now", "--json"]);
    assert_eq!(polled["models"]["stop-sign"]["deployment"]["phase"], "staged", "{polled}");
    let root = house.folder.parent().unwrap().join("root.json");
    std::fs::write(&root, desk.root()).unwrap();
    let line = format!(
        "rollout gate stop-sign --fleet {} --repository {} --root {}",
        house.folder.display(),
        repository.display(),
        root.display()
    );
    let (code, out, error) = house.fleet(&line);
    assert!(code == 0 && out.contains("reports of Trial: 0"), "{code} {out} {error}");
    let devices = house.well("devices list");
    assert!(devices["devices"][0]["seen_s"].as_i64().unwrap() > 0);

    house.well(&format!("devices revoke {id} --reason sold"));
    let output = agent.run(&["check-now"]);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let (code, _, said) = house.fleet(&format!("devices release {id}"));
    assert!(code == 3 && said.contains("only with a new id"), "{code} {said}");
    assert_eq!(house.audited("devices.enroll").len(), 1);
    assert_eq!(house.audited("devices.revoke")[0]["detail"]["reason"], "sold");
}

/// Ended with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_agent_says_by_mqtt_what_it_is_and_asks_when_something_is_published() {
    let desk = Desk::begun(jiff::Timestamp::now());
    desk.release("stop-sign", "1.0.0", jiff::Timestamp::now()).unwrap();
    let repository = desk.folder.path().join("repository");
    let house = House::with(&["--fleet-name", "north", "--repository", repository.to_str().unwrap()]);
    let agent = Agent::new(&desk, &house);
    let file = agent.folder.path().join("agent.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    // Over HTTPS it enrols and fetches; what it says of itself goes by MQTT alone.
    text = text.replace("outcomes_url", "# outcomes_url");
    text += "[poll]\nstart_within_s = 3600\n[telemetry]\nstats_s = 1\nlook_s = 1\n";
    text += &format!(
        "[mqtt]\nhost = 'localhost'\nport = {}\nfleet = 'north'\nhint_least_s = 0\nhint_within_s = 0\n",
        house.mqtt
    );
    std::fs::write(&file, text).unwrap();
    let token = house.token("van-7");
    let id = agent.well(&["enroll", "--token", &token, "--json"])["device"].as_str().unwrap().to_owned();
    let mut command = Command::new(desk::program::agent());
    command.args(["run", "--config"]).arg(&file).env("STOPLINE_AGENT_LOG", "warn");
    let _running = Running(command.spawn().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let url = format!("sqlite://{}", house.folder.join("stopline.db").display());
    let database = runtime.block_on(stopline_fleet::serve::database::Database::open(&url)).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..600 {
        let all = runtime.block_on(database.latest(&["birth", "state", "stats"], Some(&id), 1_000)).unwrap();
        kinds = all.into_iter().map(|message| message.kind).collect();
        if kinds.len() == 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["birth", "state", "stats"]);
    // It polls within the hour by itself; the server sees that a roll-out was published, and says so.
    let all = stopline_fleet::rollouts::Start {
        stages: vec![stopline_depot::rollout::Stage { bp: 10_000, min_dwell_s: 0 }],
        ..desk::start("stop-sign", "r-1")
    };
    stopline_fleet::rollouts::start(&desk.store, &desk.root(), &desk.signers(), &all, jiff::Timestamp::now())
        .unwrap();
    let staged = |heard: &stopline_fleet::outcomes::Heard| {
        heard.received.iter().any(|received| received.outcome.rollout_id == "r-1")
    };
    let mut heard = stopline_fleet::outcomes::Heard::default();
    for _ in 0..600 {
        heard = runtime.block_on(database.heard()).unwrap();
        if staged(&heard) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(staged(&heard), "no outcome came: {:?}", heard.refused);
    runtime.block_on(database.close());
}

#[test]
fn a_key_an_id_and_a_token_belong_to_one_device() {
    let house = House::new();
    let mut device = house.device("van-7");
    let ask = |house: &House, device: &Device, id: &str, token: &str| {
        let body = json!({"schema": 1, "token": token, "csr": device.csr_for(id)});
        answer(house.stranger().post(format!("{}/v1/enroll", house.devices)).json(&body))
    };
    // The answer was lost: the same device asks again with the same token.
    let token = house.token("van-8");
    let mut lost = Device::new("van-8");
    assert_eq!(lost.enrol(&house, &token).0, 200);
    assert_eq!(lost.enrol(&house, &token).0, 200);
    // Another key under a known id; a known key under another id.
    let impostor = Device::new("van-7");
    assert_eq!(ask(&house, &impostor, &device.id, &house.token("x")).0, 409);
    assert_eq!(ask(&house, &device, &Device::new("y").id, &house.token("y")).0, 409);
    for body in ["", "{}", "null", r#"{"schema": 1, "token": "x", "csr": "-----BEGIN"}"#, r#"{"schema": 2}"#]
    {
        let request = house.stranger().post(format!("{}/v1/enroll", house.devices));
        let request = request.header("Content-Type", "application/json").body(body.to_owned());
        assert_eq!(answer(request).0, 400, "{body}");
    }
    let id = device.id.clone();
    house.well(&format!("devices quarantine {id} --reason odd"));
    assert_eq!(device.enrol(&house, &house.token("z")).0, 403);
    house.well(&format!("devices release {id}"));
    assert_eq!(device.say(&house, &[device.state(1)]).0, 200);
    house.well(&format!("devices retire {id}"));
    assert_eq!(device.say(&house, &[device.state(2)]).0, 403);
}

#[test]
fn a_factory_s_batch_is_counted_expires_and_can_be_ended() {
    let house = House::new();
    let batch = |name: &str, more: &str| {
        let made = house.well(&format!("devices token --name {name} {more}"));
        made["token"].as_str().unwrap().to_owned()
    };
    let token = batch("line-3", "--batch 3");
    let mut boards: Vec<Device> = (0..8).map(|at| Device::new(&format!("board-{at}"))).collect();
    // All of a shift at once: three are let in, whoever they are, and each of them may ask again.
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            boards.iter_mut().map(|board| scope.spawn(|| board.enrol(&house, &token).0)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 5, "{answers:?}");
    let again = answers.iter().position(|status| *status == 200).unwrap();
    assert_eq!(boards[again].enrol(&house, &token).0, 200);
    let next = answers.iter().position(|status| *status == 401).unwrap();
    let listed = house.well("devices list");
    let mut names: Vec<&str> =
        listed["devices"].as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["line-3 1", "line-3 2", "line-3 3"]);
    assert_eq!(house.well("devices tokens")["tokens"], json!([]), "a batch that is full lets nobody in");

    // One that went astray is ended: who came stays, nobody else gets in.
    let astray = batch("line-4", "--batch 100 --hours 2");
    assert_eq!(boards[next].enrol(&house, &astray).0, 200);
    let open = house.well("devices tokens");
    assert_eq!((&open["tokens"][0]["came"], &open["tokens"][0]["counted"]), (&json!(1), &json!(100)));
    house.well("devices end-token --name line-4");
    assert_eq!(Device::new("thief").enrol(&house, &astray).0, 401);
    assert_eq!(boards[next].say(&house, &[boards[next].state(1)]).0, 200);
    let (code, _, said) = house.fleet("devices end-token --name line-4");
    assert!(code == 2 && said.contains("devices tokens"), "{code} {said}");
    let (code, _, said) = house.fleet("devices token --name line-5 --batch 10001");
    assert!(code == 2 && said.contains("1 to 10000"), "{code} {said}");
    assert_eq!(house.audited("devices.enroll").len(), 5, "the one that asked again is written down too");
}

#[test]
fn boards_of_one_image_enrol_by_themselves_and_carry_no_token_on() {
    let desk = Desk::begun(jiff::Timestamp::now());
    desk.release("stop-sign", "1.0.0", jiff::Timestamp::now()).unwrap();
    let repository = desk.folder.path().join("repository");
    let house = House::with(&["--repository", repository.to_str().unwrap()]);
    let token = house.well("devices token --name line-3 --batch 2")["token"].as_str().unwrap().to_owned();
    let board = || {
        let agent = Agent::new(&desk, &house);
        let (file, config) =
            (agent.folder.path().join("batch.token"), agent.folder.path().join("agent.toml"));
        std::fs::write(&file, &token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}token_file = {file:?}\n")).unwrap();
        (agent, file)
    };
    let (first, second, late) = (board(), board(), board());
    // Readable by others: not shown, and said.
    std::fs::set_permissions(&first.1, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = |agent: &Agent| {
        let mut command = Command::new(desk::program::agent());
        let config = agent.folder.path().join("agent.toml");
        command.args(["check-now", "--config"]).arg(config).env("STOPLINE_AGENT_LOG", "warn");
        String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
    };
    assert!(warned(&first.0).contains("chmod 600"));
    std::fs::set_permissions(&first.1, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ids: Vec<String> = [&first, &second]
        .map(|(agent, file)| {
            agent.well(&["check-now", "--json"]);
            assert!(!file.exists(), "an enrolled board keeps no token");
            agent.well(&["identity", "--json"])["device"].as_str().unwrap().to_owned()
        })
        .into();
    let known = |id: &String| house.well(&format!("devices show {id}"))["name"].clone();
    assert_eq!([known(&ids[0]), known(&ids[1])], ["line-3 1", "line-3 2"]);
    let said = warned(&late.0);
    assert!(said.contains("the token was used") && late.1.exists(), "{said}");
    // Enrolled, it asks for no other certificate.
    first.0.well(&["check-now", "--json"]);
    assert_eq!(house.audited("devices.enroll").len(), 2);
}

#[test]
fn a_new_device_takes_the_place_of_a_broken_one() {
    let house = House::new();
    let (old, new) = (house.device("van-7"), house.device("spare"));
    house.well("devices replace van-7 spare");
    assert_eq!(house.well("devices show van-7")["id"], new.id);
    assert_eq!(house.well(&format!("devices show {}", old.id))["standing"], "replaced");
    assert_eq!(old.say(&house, &[old.state(1)]).0, 403);
    assert_eq!(new.say(&house, &[new.state(1)]).0, 200);
    let (code, _, said) = house.fleet(&format!("devices replace {} {}", new.id, new.id));
    assert!(code == 2 && said.contains("its own place"), "{said}");
}

#[test]
fn a_cloned_key_in_two_boots_at_once_is_quarantined() {
    let house = House::new();
    let device = house.device("van-7");
    let speak = |boot: &str| {
        let request = device.client(&house).post(format!("{}/v1/messages", house.devices));
        answer(request.header("Stopline-Boot", boot).body(""))
    };
    // One boot follows the other, many times: nothing wrong.
    for boot in ["a", "a", "b", "b", "c", "c"] {
        assert_eq!(speak(boot).0, 200, "{boot}");
    }
    // One that was followed already speaks: there are two.
    assert_eq!(speak("b").0, 403);
    assert_eq!(speak("c").0, 403, "nothing of it counts until a person has looked");
    let shown = house.well(&format!("devices show {}", device.id));
    assert_eq!(shown["standing"], "quarantined");
    assert!(shown["reason"].as_str().unwrap().contains("two of it"));
    assert_eq!(house.audited("devices.quarantine").len(), 1);
    house.well(&format!("devices release {}", device.id));
    assert_eq!(speak("d").0, 200);
    assert_eq!(speak("..%2F").0, 400);
}

/// A certificate that the house's own authority has signed, with another validity.
fn issued_by_the_house(house: &House, device: &Device, id: &str, days: (i64, i64)) -> String {
    let read = |name: &str| std::fs::read_to_string(house.folder.join(name)).unwrap();
    let key = KeyPair::from_pem(&read("authority/1.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("authority/1.pem"), key).unwrap();
    sign(&issuer, device, id, days)
}

fn sign(issuer: &Issuer<'_, KeyPair>, device: &Device, id: &str, (from, to): (i64, i64)) -> String {
    let now = jiff::Timestamp::now().as_second();
    let at = |days: i64| {
        let since = std::time::Duration::from_secs(u64::try_from(now + days * 86_400).unwrap());
        rcgen::date_time_ymd(1970, 1, 1) + since
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, id);
    (params.not_before, params.not_after) = (at(from), at(to));
    params.signed_by(&device.key, issuer).unwrap().pem()
}

#[test]
fn a_certificate_is_renewed_by_its_own_device_even_after_it_has_expired_and_never_by_another() {
    let house = House::new();
    let (device, other) = (house.device("van-7"), house.device("van-8"));
    let renew = |client: reqwest::blocking::Client, csr: String, certificate: &str| {
        let body = json!({"schema": 1, "csr": csr, "certificate": certificate});
        answer(client.post(format!("{}/v1/renew", house.devices)).json(&body))
    };
    let (status, said) = renew(device.client(&house), device.csr(), &device.certificate);
    assert_eq!(status, 200, "{said}");
    assert!(said["authorities"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    // A good one must be shown by the connection.
    assert_eq!(renew(house.stranger(), device.csr(), &device.certificate).0, 403);
    assert_eq!(renew(other.client(&house), device.csr(), &device.certificate).0, 403);
    // Another's certificate, another's request.
    assert_eq!(renew(other.client(&house), other.csr(), &device.certificate).0, 403);
    // Expired, by us: no TLS lets it through, and it may still renew.
    let expired = issued_by_the_house(&house, &device, &device.id, (-400, -30));
    assert_eq!(renew(house.stranger(), device.csr(), &expired).0, 200);
    let shown = house.client(Some(format!("{expired}{}", device.key.serialize_pem())));
    assert!(
        shown.get(format!("{}/v1/batches/x", house.devices)).send().is_err(),
        "TLS lets an expired one in"
    );
    // Expired, by a stranger who calls himself as our authority does.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Stopline device authority 1");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let stranger = Issuer::new(params, key);
    let forged = sign(&stranger, &device, &device.id, (-400, -30));
    assert_eq!(renew(house.stranger(), device.csr(), &forged).0, 403);
    // Issued by us once for a name that is not enrolled, and for a key that is not this id's.
    let unknown = Device::new("never");
    let never = issued_by_the_house(&house, &unknown, &unknown.id, (-400, -30));
    assert_eq!(renew(house.stranger(), unknown.csr(), &never).0, 401);
    let clone = Device { id: device.id.clone(), ..Device::new("x") };
    let cloned = issued_by_the_house(&house, &clone, &device.id, (-400, -30));
    assert_eq!(renew(house.stranger(), clone.csr(), &cloned).0, 403);
    house.well(&format!("devices revoke {}", device.id));
    assert_eq!(renew(house.stranger(), device.csr(), &expired).0, 403);
}

#[test]
fn an_authority_is_changed_while_devices_go_on() {
    let mut house = House::new();
    let device = house.device("van-7");
    house.well("serve rotate-authority");
    house.killed_and_started();
    assert_eq!(device.say(&house, &[device.state(1)]).0, 200, "the old certificate counts on");
    let later = house.device("van-8");
    assert_eq!(later.say(&house, &[later.state(1)]).0, 200);
    let pinned = std::fs::read_to_string(house.folder.join("authorities.pem")).unwrap();
    assert_eq!(pinned.matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn a_lost_database_is_made_again_from_what_else_there_is() {
    let mut house = House::new();
    let (device, sold, broken, spare) =
        (house.device("van-7"), house.device("van-8"), house.device("van-9"), house.device("spare"));
    let (id, bytes) = device.batch(1, &[b"sealed", b"another"]);
    assert_eq!(device.upload(&house, &id, &bytes).0, 200);
    house.well(&format!("devices revoke {} --reason sold", sold.id));
    house.well("devices replace van-9 spare");
    let fields = |listed: &Value| -> Vec<Value> {
        let all = listed["devices"].as_array().unwrap().iter();
        all.map(|one| {
            json!([one["id"], one["key"], one["name"], one["standing"], one["reason"], one["replaces"]])
        })
        .collect()
    };
    let before = fields(&house.well("devices list"));
    assert_eq!(before.len(), 4);
    let (code, _, said) = house.fleet("recover");
    assert!(code == 3 && said.contains("move it away"), "{code} {said}");
    house.kill();
    for name in ["stopline.db", "stopline.db-wal", "stopline.db-shm"] {
        let _ = std::fs::remove_file(house.folder.join(name));
    }
    let said = house.well("recover");
    assert_eq!((&said["devices"], &said["records"]), (&json!(4), &json!(2)), "{said}");
    assert_eq!(fields(&house.well("devices list")), before);
    house.start_again();
    assert_eq!(house.invitation().len(), 64, "the first person is invited anew");
    assert_eq!(device.say(&house, &[device.state(2)]).0, 200);
    assert_eq!(sold.say(&house, &[sold.state(2)]).0, 403);
    assert_eq!(
        (spare.say(&house, &[spare.state(2)]).0, broken.say(&house, &[broken.state(2)]).0),
        (200, 403)
    );
    // The receipt is lost, the records are not: what comes again is not kept twice.
    let (status, said) = device.upload(&house, &id, &bytes);
    assert_eq!((status, house::results(&said).len()), (200, 2), "{said}");

    // A log that somebody changed says nothing that is believed.
    house.kill();
    let log = house.folder.join("audit.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("van-8", "van-6", 1)).unwrap();
    std::fs::remove_file(house.folder.join("stopline.db")).unwrap();
    let (code, _, said) = house.fleet("recover");
    assert!(code == 3 && said.contains("it was changed"), "{code} {said}");
}

#[test]
fn a_backup_taken_while_it_runs_makes_the_same_server_and_a_damaged_one_makes_none() {
    let house = House::new();
    let device = house.device("van-7");
    let (id, bytes) = device.batch(1, &[b"sealed"]);
    assert_eq!(device.upload(&house, &id, &bytes).0, 200);
    let (kept, new) = (house.folder.with_file_name("kept"), house.folder.with_file_name("new"));
    house.well(&format!("backup {} --records", kept.display()));
    let (code, _, said) = house.fleet(&format!("backup {}", kept.display()));
    assert!(code == 3 && said.contains("there already"), "{said}");
    let pem = kept.join("server.pem");
    let whole = std::fs::read(&pem).unwrap();
    std::fs::write(&pem, b"damaged").unwrap();
    let (code, _, said) = house.fleet(&format!("restore {} --data {}", kept.display(), new.display()));
    assert!(code == 3 && said.contains("nothing was restored") && !new.exists(), "{said}");
    std::fs::write(&pem, whole).unwrap();
    house.well(&format!("restore {} --data {}", kept.display(), new.display()));
    assert_eq!((mode(&new), mode(&new.join("authority/1.key"))), (0o700, 0o600));
    let again = House::at(&new, &[]);
    assert_eq!(device.say(&again, &[device.state(2)]).0, 200);
    let (status, said) = device.upload(&again, &id, &bytes);
    assert_eq!(
        (status, house::results(&said)),
        (200, vec!["stored".to_owned()]),
        "the receipt is the one of then"
    );
}
