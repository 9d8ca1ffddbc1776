//! Hints over MQTT with a real broker (Mosquitto): what it can bring about, and what nobody can by way of it.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod link;
mod needs;
mod operator;
mod program;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use stopline_agent::certificate::{self, Certificate};
use stopline_agent::identity::Identity;
use stopline_depot::digest::Digest;
use stopline_depot::message::{Body, Message};
use stopline_depot::outbox::{self, Subject};
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::versioned;

use authority::{Authority, DAY};
use link::Server;
use needs::{skip, until};
use operator::{Device, Operator, noise, rollout};
use program::Service;

/// A broker with a door for devices, over TLS, and one for the operator.
struct Broker {
    folder: tempfile::TempDir,
    child: Option<Child>,
    devices: u16,
    operator: u16,
}

impl Broker {
    /// `extra` goes for the devices' door.
    fn start(extra: &str) -> Option<Self> {
        if Command::new("mosquitto").arg("-h").output().is_err() {
            return skip("no mosquitto; tests/run installs it from Debian");
        }
        let folder = tempfile::tempdir().unwrap();
        let (devices, operator) = (free_port(), free_port());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "user root\nallow_anonymous false\npassword_file {}\nacl_file {}\nper_listener_settings false\n\
             persistence true\npersistence_location {}/\n\
             listener {operator} 127.0.0.1\n\
             listener {devices} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n{extra}\n",
            at("passwords"),
            at("acl"),
            folder.path().display(),
            at("ca.pem"),
            at("server.pem"),
            at("server.key"),
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        std::fs::write(
            folder.path().join("acl"),
            "user operator\ntopic readwrite stopline/#\npattern readwrite stopline/north/%u/#\n",
        )
        .unwrap();
        std::fs::write(folder.path().join("passwords"), "").unwrap();
        Some(Self { folder, child: None, devices, operator })
    }

    fn user(&self, name: &str, password: &str) {
        let file = self.folder.path().join("passwords");
        let added = Command::new("mosquitto_passwd").arg("-b").arg(file).args([name, password]).status();
        assert!(added.unwrap().success());
    }

    fn up(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let started = Command::new("mosquitto")
            .arg("-v")
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(started.unwrap());
        until("the broker", || std::net::TcpStream::connect(("127.0.0.1", self.operator)).is_ok());
    }

    /// Ends it in order, so that it keeps what it holds for those who are away.
    fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }

    /// Publishes as `user`, and waits until the broker has it.
    fn publish(&self, user: &str, topic: &str, retain: bool, payload: &[u8]) {
        let (client, mut connection) = self.client(user);
        client.publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
        let acknowledged =
            |event: Result<Event, _>| matches!(event.unwrap(), Event::Incoming(Incoming::PubAck(_)));
        assert!(connection.iter().any(acknowledged));
    }

    fn client(&self, user: &str) -> (Client, rumqttc::Connection) {
        let mut options = MqttOptions::new(format!("test-{user}"), "127.0.0.1", self.operator);
        options.set_credentials(user, "secret");
        Client::new(options, 10)
    }

    /// The fleet's side: outcomes are kept for it while it is away.
    fn fleet(&self) -> (Client, rumqttc::Connection) {
        let mut options = MqttOptions::new("fleet", "127.0.0.1", self.operator);
        options.set_credentials("operator", "secret");
        options.set_clean_session(false);
        Client::new(options, 10)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.down();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct World {
    server: Server,
    device: Device,
    digest: Digest,
    id: String,
}

/// A device that asks nobody by itself for a day.
fn world(broker: &Broker, mqtt: &str) -> World {
    let mut operator = Operator::new(Timestamp::now());
    let digest = operator.release(1, &noise(1, 50_000));
    operator.rollout(&rollout("r-1", 1));
    let server = Server::start(operator.publish());
    let device = Device::new(&server.url, &operator);
    let config = device
        .config
        .replace("start_within_s = 0", "start_within_s = 86400\nlook_s = 1")
        .replace(&format!("outcomes_url = '{}/outcomes'\n", server.url), "");
    let config = format!(
        "{config}[tls]\nauthorities_file = '{}'\n[mqtt]\nhost = 'localhost'\nport = {}\nfleet = 'north'\nhint_within_s = 0\n{mqtt}",
        broker.folder.path().join("ca.pem").display(),
        broker.devices,
    );
    std::fs::write(device.path("agent.toml"), &config).unwrap();
    std::fs::create_dir_all(device.path("home")).unwrap();
    let id = Identity::open(&device.path("home")).unwrap().id().to_owned();
    World { server, device, digest, id }
}

impl World {
    fn polls(&self) -> usize {
        self.server.state.lock().unwrap().requests
    }

    fn topic(&self, end: &str) -> String {
        format!("stopline/north/{}/{end}", self.id)
    }
}

fn password(device: &Path, user: &str) -> String {
    std::fs::write(device.join("password"), "secret\n").unwrap();
    format!("user = '{user}'\npassword_file = '{}'\n", device.join("password").display())
}

#[test]
fn a_hint_brings_a_poll_forward_and_a_retained_or_forged_one_nothing_else() {
    let Some(mut broker) = Broker::start("") else { return };
    Authority::new("broker").server_files(broker.folder.path());
    let world = world(&broker, "hint_least_s = 0\n");
    let mut config = std::fs::read_to_string(world.device.path("agent.toml")).unwrap();
    config += &password(world.device.folder.path(), &world.id);
    std::fs::write(world.device.path("agent.toml"), config).unwrap();
    for user in [&world.id[..], "operator", "thief"] {
        broker.user(user, "secret");
    }
    broker.up();
    broker.publish("operator", &world.topic("cmd/poll"), true, b"old");
    let service = Service::start(&world.device);
    until("the retained hint", || service.said("retained=true") == 1);
    // Another device may not write here; the broker says nothing to it.
    broker.publish("thief", &world.topic("cmd/poll"), false, b"");
    broker.publish("operator", &world.topic("cmd/install"), false, b"https://evil.example/model");
    until("a command that does not exist", || service.said("cmd/install") == 1);
    assert_eq!(world.polls(), 0, "{}", service.log());
    assert_eq!(service.said("said=Hint"), 0, "{}", service.log());

    let forged =
        br#"{"repository": "http://evil.example", "target": "models/stop-sign/9.slb", "force": true}"#;
    broker.publish("operator", &world.topic("cmd/poll"), false, forged);
    until("an offer", || world.device.offer().is_some());
    assert_eq!(
        world.device.offer().unwrap().digest,
        world.digest,
        "what is signed, from where it was configured"
    );
    drop(service);
}

#[test]
fn a_broker_that_goes_comes_back_and_outcomes_wait_for_it() {
    goes_and_comes(4);
}

#[test]
fn a_broker_of_mqtt_5_that_goes_comes_back_and_outcomes_wait_for_it() {
    goes_and_comes(5);
}

fn goes_and_comes(version: u8) {
    let Some(mut broker) = Broker::start("") else { return };
    Authority::new("broker").server_files(broker.folder.path());
    let world = world(&broker, &format!("hint_least_s = 3600\nversion = {version}\n"));
    let mut config = std::fs::read_to_string(world.device.path("agent.toml")).unwrap();
    config += &password(world.device.folder.path(), &world.id);
    std::fs::write(world.device.path("agent.toml"), config).unwrap();
    broker.user(&world.id, "secret");
    broker.user("operator", "secret");
    broker.up();
    let (client, mut connection) = broker.fleet();
    client.subscribe(world.topic("update"), QoS::AtLeastOnce).unwrap();
    assert!(connection.iter().any(|event| matches!(event.unwrap(), Event::Incoming(Incoming::SubAck(_)))));
    drop((client, connection));
    let service = Service::start(&world.device);
    until("a connection", || service.said("ota.mqtt.connected") == 1);
    // As Mosquitto's log names the protocol: p2 is 3.1.1, p5 is 5.
    let log = std::fs::read_to_string(broker.folder.path().join("log")).unwrap();
    let spoken = if version == 5 { "(p5," } else { "(p2," };
    assert!(log.lines().any(|line| line.contains(&world.id) && line.contains(spoken)), "{log}");
    broker.down();
    until("the failure told", || service.said("ota.mqtt.failed") >= 1);
    let (code, ..) = program::run(&world.device, &["check-now"]);
    assert_eq!(code, 0, "no broker, and polls go on");
    let waiting = || std::fs::read_dir(world.device.path("home/outcomes")).unwrap().count();
    assert_eq!(waiting(), 3);
    broker.up();
    until("a connection again", || service.said("ota.mqtt.connected") == 2);
    // The fleet takes outcomes and sends receipts.
    let (client, mut connection) = broker.fleet();
    let mut seen = std::collections::BTreeSet::new();
    for event in connection.iter() {
        let Event::Incoming(Incoming::Publish(message)) = event.unwrap() else { continue };
        let signed: SignedOutcome = versioned::read(&message.payload).unwrap();
        assert_eq!(signed.outcome.device, world.id);
        let receipt =
            format!(r#"{{"boot_id": "{}", "seq": {}}}"#, signed.outcome.boot_id, signed.outcome.seq);
        client.publish(world.topic("cmd/receipt"), QoS::AtLeastOnce, false, receipt).unwrap();
        seen.insert(signed.outcome.seq);
        if seen.len() == 3 {
            client.disconnect().unwrap();
            break;
        }
    }
    let _ = connection.iter().take_while(Result::is_ok).count();
    until("the receipts", || waiting() == 0);
    // Two hints in an hour: one is followed.
    let before = world.polls();
    broker.publish("operator", &world.topic("cmd/poll"), false, b"");
    until("a poll", || world.polls() > before);
    broker.publish("operator", &world.topic("cmd/poll"), false, b"");
    until("the second hint", || service.said("ota.hint.passed_over") == 1);
    drop(service);
}

#[test]
fn a_refused_log_in_is_no_connection_and_is_told() {
    refused("");
}

#[test]
fn a_log_in_that_a_broker_of_mqtt_5_refuses_is_no_connection_and_is_told() {
    refused("version = 5\n");
}

fn refused(mqtt: &str) {
    let Some(mut broker) = Broker::start("") else { return };
    Authority::new("broker").server_files(broker.folder.path());
    let world = world(&broker, mqtt);
    let mut config = std::fs::read_to_string(world.device.path("agent.toml")).unwrap();
    config += &password(world.device.folder.path(), &world.id);
    std::fs::write(world.device.path("agent.toml"), config).unwrap();
    broker.user(&world.id, "another password");
    broker.up();
    let service = Service::start(&world.device);
    until("the refusal", || service.said("ota.mqtt.refused") == 1);
    assert!(service.log().contains("mqtt.password_file"), "{}", service.log());
    // The password is put right: nobody has to start anything anew.
    std::fs::write(world.device.path("password"), "another password").unwrap();
    until("a connection", || service.said("ota.mqtt.connected") == 1);
    assert_eq!(service.said("ota.mqtt.refused"), 1, "told once");
}

#[test]
fn by_its_certificate_alone_a_device_is_known_to_the_broker() {
    let Some(mut broker) = Broker::start("require_certificate true\nuse_identity_as_username true") else {
        return;
    };
    let authority = Authority::new("fleet");
    authority.server_files(broker.folder.path());
    let world = world(&broker, "");
    broker.user("operator", "secret");
    broker.up();
    let service = Service::start(&world.device);
    until("the refusal", || service.said("ota.mqtt.failed") >= 1);
    assert_eq!(service.said("ota.mqtt.connected"), 0, "{}", service.log());
    // `enroll` puts a certificate there while the agent runs.
    let home = world.device.path("home");
    let request = certificate::request(&Identity::open(&home).unwrap()).unwrap();
    let now = Timestamp::now().as_second();
    let issued = authority.issue(&request, now - DAY, now + DAY).unwrap();
    Certificate::parse(issued.as_bytes()).unwrap().keep(&home, None).unwrap();
    until("a connection", || service.said("ota.mqtt.connected") == 1);
    until("a poll after a hint", || {
        broker.publish("operator", &world.topic("cmd/poll"), false, b"");
        std::thread::sleep(Duration::from_millis(100));
        world.polls() > 0
    });
}

/// The next message on each of these topics, as a client that comes now meets it.
fn kept(broker: &Broker, topics: &[String]) -> Vec<(String, bool, Vec<u8>)> {
    let (client, mut connection) = broker.client("operator");
    topics.iter().for_each(|topic| client.subscribe(topic, QoS::AtLeastOnce).unwrap());
    let mut found = Vec::new();
    for event in connection.iter() {
        let Event::Incoming(Incoming::Publish(message)) = event.unwrap() else { continue };
        found.push((message.topic, message.retain, message.payload.to_vec()));
        if found.len() == topics.len() {
            break;
        }
    }
    found.sort();
    found
}

#[test]
fn the_broker_keeps_who_is_there_and_an_alert_is_answered_by_the_fleet_alone() {
    keeps_and_answers("");
}

#[test]
fn a_broker_of_mqtt_5_keeps_who_is_there_and_an_alert_is_answered_by_the_fleet_alone() {
    keeps_and_answers("version = 5\n");
}

fn keeps_and_answers(mqtt: &str) {
    let Some(mut broker) = Broker::start("") else { return };
    Authority::new("broker").server_files(broker.folder.path());
    let mut world = world(&broker, mqtt);
    let folder = world.device.path("outbox");
    outbox::prepare(&folder).unwrap();
    let config = std::fs::read_to_string(world.device.path("agent.toml")).unwrap();
    let config = format!(
        "{config}{}[mqtt.home_assistant]\n[telemetry]\noutbox = '{}'\nlook_s = 1\n",
        password(world.device.folder.path(), &world.id),
        folder.display()
    );
    std::fs::write(world.device.path("agent.toml"), &config).unwrap();
    world.device.config = config;
    for user in [&world.id[..], "operator", "thief"] {
        broker.user(user, "secret");
    }
    let acl = broker.folder.path().join("acl");
    let rules = std::fs::read_to_string(&acl).unwrap();
    let rules = rules.replace(
        "topic readwrite stopline/#\n",
        "topic readwrite stopline/#\ntopic readwrite homeassistant/#\n",
    );
    std::fs::write(
        &acl,
        format!("{rules}pattern write homeassistant/+/stopline_%u/#\npattern read homeassistant/status\n"),
    )
    .unwrap();
    broker.up();
    let service = Service::start(&world.device);
    until("a connection", || service.said("ota.mqtt.connected") == 1);
    let topics = ["available", "birth", "state"].map(|end| world.topic(end));
    let mut found = Vec::new();
    until("the broker keeps all three", || {
        found = kept(&broker, &topics);
        found.iter().all(|(_, retained, _)| *retained)
    });
    assert_eq!(found[0].2, b"online");
    let birth: Message = versioned::read(&found[1].2).unwrap();
    assert!(matches!(birth.content(), Ok(Body::Birth(_))) && birth.device == world.id);
    let sensor = format!("homeassistant/binary_sensor/stopline_{}/fall/config", world.id);
    let discovered = kept(&broker, &[sensor]);
    let discovered: serde_json::Value = serde_json::from_slice(&discovered[0].2).unwrap();
    assert_eq!(discovered["state_topic"], world.topic("state"));

    // A fall: the fleet confirms it, and the loop's file goes.
    let message = outbox::Message {
        schema: 1,
        id: "fall-1-1".into(),
        device: "room 12".into(),
        subject: Subject::Fall,
        to: Vec::new(),
        made_wall: std::time::UNIX_EPOCH.into(),
        made_monotonic_ns: 1,
        persons_down: 1,
        cause: None,
        situation: None,
        armed: false,
    };
    let (client, mut connection) = broker.client("operator");
    client.subscribe(world.topic("event"), QoS::AtLeastOnce).unwrap();
    assert!(connection.iter().any(|event| matches!(event.unwrap(), Event::Incoming(Incoming::SubAck(_)))));
    let file = outbox::put(&folder, &message).unwrap();
    let published = connection.iter().find_map(|event| match event.unwrap() {
        Event::Incoming(Incoming::Publish(message)) => Some(message),
        _ => None,
    });
    let event: Message = versioned::read(&published.unwrap().payload).unwrap();
    assert!(file.exists(), "PUBACK is not the fleet's receipt");
    let receipt = format!(r#"{{"boot_id": "{}", "seq": {}}}"#, event.boot_id, event.seq);
    broker.publish("operator", &world.topic("cmd/receipt"), false, receipt.as_bytes());
    until("the loop's file is gone", || !file.exists());

    let answer = |by: &str| format!(r#"{{"schema": 1, "id": "fall-1-1", "by": "{by}"}}"#).into_bytes();
    let silenced = || outbox::take_acknowledgements(&folder).unwrap();
    // Another device may not answer, and what the broker kept is an old answer.
    broker.publish("thief", &world.topic("cmd/acknowledge"), false, &answer("thief"));
    broker.publish(
        "operator",
        &world.topic("cmd/acknowledge"),
        false,
        br#"{"schema": 1, "id": "fall-1-2", "by": "x"}"#,
    );
    until("the refusal", || service.said("alert.acknowledge.refused") == 1);
    assert!(silenced().is_empty(), "{}", service.log());
    broker.publish("operator", &world.topic("cmd/acknowledge"), true, &answer("n.mueller"));
    until("the answer", || service.said("alert.acknowledged") == 1);
    let taken = silenced();
    assert_eq!(taken[0].as_ref().unwrap().by, "n.mueller");
    service.kill();
    // The last will.
    until("offline", || kept(&broker, &topics[..1])[0].2 == b"offline");
    // Kept by the broker after all, the answer is an old one to a device that starts again.
    std::fs::remove_dir_all(world.device.path("home/alerts")).unwrap();
    outbox::put(&folder, &message).unwrap();
    let again = Service::start(&world.device);
    until("the retained answer", || again.said("retained=true") >= 1);
    assert_eq!(again.said("alert.acknowledged"), 0);
    broker.publish("operator", &world.topic("cmd/acknowledge"), true, b"");
}
