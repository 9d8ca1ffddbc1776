//! Devices that come by MQTT: to the server's own end point, and to a Mosquitto that the server has set up. One device cannot
//! speak, hear or acknowledge as another; what has a receipt is in the database, whoever is killed meanwhile.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod books;
mod cluster;
mod house;
mod mosquitto;
mod needs;
mod station;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use books::nothing_is_lost_or_doubled;
use cluster::Cluster;
use house::{Device, House};
use mosquitto::{Mosquitto, free_port};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use serde_json::{Value, json};
use station::{Heard, Speech, Station, tls};
use stopline_depot::deployment::Phase;
use stopline_fleet::serve::database::Database;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

/// A server and where devices come to it.
struct World {
    house: House,
    port: u16,
    mosquitto: Option<Mosquitto>,
    /// Servers beside the first, which share its database, store and authority.
    more: Vec<House>,
    /// Their database, ended last.
    _cluster: Option<Cluster>,
}

impl World {
    fn own() -> Self {
        let house = House::with(&["--fleet-name", "north"]);
        Self { port: house.mqtt, house, mosquitto: None, more: Vec::new(), _cluster: None }
    }

    /// With Mosquitto as the server's own command sets it up.
    fn with_mosquitto() -> Option<Self> {
        if !Mosquitto::is_there() {
            return needs::skip("no mosquitto; tests/run installs it from Debian");
        }
        let port = free_port();
        // The first start makes the authority; the broker comes up meanwhile.
        let kept = tempfile::tempdir().unwrap();
        let crl = kept.path().join("mosquitto/revoked.crl").display().to_string();
        let broker = format!("mqtts://localhost:{port}");
        let arguments = ["--fleet-name", "north", "--broker", &broker, "--broker-crl", &crl];
        let house = House::kept_in(kept, &arguments, Vec::new());
        let mosquitto = Some(Mosquitto::of(&house, port, 1));
        Some(Self { house, port, mosquitto, more: Vec::new(), _cluster: None })
    }

    /// So many servers alike, one Mosquitto, one PostgreSQL, one store.
    fn with_servers(count: usize) -> Option<Self> {
        if !Mosquitto::is_there() {
            return needs::skip("no mosquitto; tests/run installs it from Debian");
        }
        let Some(cluster) = Cluster::start() else {
            return needs::skip("no PostgreSQL; tests/run installs it from Debian");
        };
        let port = free_port();
        let broker = format!("mqtts://localhost:{port}");
        let alike = ["--fleet-name", "north", "--broker", &broker, "--database", &cluster.url];
        let house = House::with(&[alike.as_slice(), &["--replica", "1"]].concat());
        let store = house.folder.join("store").display().to_string();
        let mosquitto = Some(Mosquitto::of(&house, port, count));
        let more = (2..=count).map(|replica| {
            let folder = house.folder.parent().unwrap().join(format!("fleet-{replica}"));
            same_authority(&house.folder, &folder);
            let own = ["--replica", &replica.to_string(), "--store", &store];
            House::at(&folder, &[alike.as_slice(), &own].concat())
        });
        let more = more.collect();
        Some(Self { house, port, mosquitto, more, _cluster: Some(cluster) })
    }

    /// A server by its number, from 0.
    fn server(&mut self, number: usize) -> &mut House {
        if number == 0 { &mut self.house } else { &mut self.more[number - 1] }
    }

    fn authorities(&self) -> PathBuf {
        self.house.folder.join("authorities.pem")
    }

    fn tls(&self, device: &Device) -> Arc<rustls::ClientConfig> {
        tls(&self.authorities(), Some((&device.certificate, &device.key.serialize_pem())))
    }

    /// A device's connection, once there is one; it hears its commands.
    async fn station<P: Speech>(&self, device: &Device) -> Station {
        let tls = self.tls(device);
        for _ in 0..600 {
            if let Some(station) = attempt::<P>(self.port, tls.clone(), &device.id).await {
                return station;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no connection for {}", device.id);
    }

    /// What of a device is in the database: boot, number.
    async fn stored(&self, device: &Device) -> BTreeSet<(String, i64)> {
        let database = database(&self.house).await;
        let all = database
            .latest(&["birth", "state", "event", "stats", "drift"], Some(&device.id), 1_000_000)
            .await;
        database.close().await;
        let all = all.unwrap();
        let once: BTreeSet<_> = all.iter().map(|one| (one.boot_id.clone(), one.seq)).collect();
        assert_eq!(once.len(), all.len(), "something of {} is there twice", device.id);
        once
    }
}

async fn database(house: &House) -> Database {
    let own = || format!("sqlite://{}", house.folder.join("stopline.db").display());
    Database::open(&house.database().map_or_else(own, str::to_owned)).await.unwrap()
}

/// A second server's folder: the same authority, and nothing else.
fn same_authority(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(to.join("authority")).unwrap();
    for file in std::fs::read_dir(from.join("authority")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join("authority").join(file.file_name())).unwrap();
    }
}

/// One attempt at a connection that hears its commands.
async fn attempt<P: Speech>(port: u16, tls: Arc<rustls::ClientConfig>, id: &str) -> Option<Station> {
    let mut station = Station::open(port, tls).await.ok()?;
    let will = topic(id, "available");
    let cmd = topic(id, "cmd/#");
    station.say(&[P::connect(id, Some(&will), None), P::subscribe(1, &cmd)]).await.ok()?;
    let (mut is_in, mut hears) = (false, false);
    while !(is_in && hears) {
        match station.next::<P>().await.ok()? {
            Heard::Let(0) => is_in = true,
            Heard::Granted(codes) if codes == [0] => hears = true,
            _ => {}
        }
    }
    Some(station)
}

fn topic(device: &str, part: &str) -> String {
    format!("stopline/north/{device}/{part}")
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn receipt(heard: &Heard, device: &Device) -> Option<(String, u64)> {
    let Heard::Message { topic: on, payload, .. } = heard else { return None };
    if *on != topic(&device.id, "cmd/receipt") {
        return None;
    }
    let said: Value = serde_json::from_slice(payload).unwrap();
    Some((said["boot_id"].as_str().unwrap().to_owned(), said["seq"].as_u64().unwrap()))
}

/// Says a message and waits for its receipt.
async fn told<P: Speech>(station: &mut Station, device: &Device, seq: u64) {
    let state = topic(&device.id, "state");
    station.say(&[P::publish(7, &state, &bytes(&device.state(seq)), true)]).await.unwrap();
    let own = |heard: &Heard| receipt(heard, device) == Some((device.boot_id.clone(), seq));
    station.until::<P>(&format!("the receipt of {seq}"), own).await;
}

/// The same attempts everywhere; `is_own`: the end point's refusals are told, Mosquitto grants any filter and sends nothing.
fn one_device_cannot_be_another(mut world: World) {
    let is_own = world.mosquitto.is_none();
    let (thief, victim) = (world.house.device("van-7"), world.house.device("van-8"));
    let foreign = House::new().device("van-8");
    block_on(async {
        let mut own = world.station::<v5::Packet>(&victim).await;
        own.say(&[v5::Packet::publish(5, &topic(&victim.id, "available"), b"online", true)]).await.unwrap();
        told::<v5::Packet>(&mut own, &victim, 1).await;

        let mut by = world.station::<v5::Packet>(&thief).await;
        told::<v5::Packet>(&mut by, &thief, 1).await;
        // Hears nothing of another.
        for (id, filter) in (10..).zip([
            topic(&victim.id, "cmd/#"),
            topic(&victim.id, "state"),
            topic("+", "cmd/receipt"),
            "stopline/north/#".into(),
            "#".into(),
        ]) {
            by.say(&[v5::Packet::subscribe(id, &filter)]).await.unwrap();
            let answer = by.until::<v5::Packet>(&filter, |heard| matches!(heard, Heard::Granted(_))).await;
            if is_own {
                assert_eq!(answer, Heard::Granted(vec![0x87]), "{filter}");
            }
        }
        told::<v5::Packet>(&mut own, &victim, 2).await;
        let heard = by.rest::<v5::Packet>().await;
        assert!(heard.iter().all(|(on, _)| on.starts_with(&topic(&thief.id, "cmd/"))), "{heard:?}");
        // Speaks on no topic of another, and gives no commands: neither receipts nor answers to alerts.
        let (state, forged) = (bytes(&victim.state(66)), json!({"boot_id": "boot-1", "seq": 67}));
        let answer = json!({"schema": 1, "id": "fall-1", "by": "mallory"});
        for (id, (on, payload)) in (20..).zip([
            (topic(&victim.id, "state"), state.clone()),
            (topic(&victim.id, "available"), b"offline".to_vec()),
            (topic(&victim.id, "update"), b"{}".to_vec()),
            (topic(&victim.id, "cmd/receipt"), bytes(&forged)),
            (topic(&victim.id, "cmd/acknowledge"), bytes(&answer)),
            (topic(&thief.id, "cmd/receipt"), bytes(&forged)),
            ("stopline/north".into(), b"x".to_vec()),
        ]) {
            by.say(&[v5::Packet::publish(id, &on, &payload, false)]).await.unwrap();
            by.until::<v5::Packet>(&on, |heard| *heard == Heard::Taken(id, 0x87)).await;
        }
        // Another's name in the body, on its own topic: put aside, and no receipt for anybody.
        by.say(&[v5::Packet::publish(40, &topic(&thief.id, "state"), &state, false)]).await.unwrap();
        by.until::<v5::Packet>("an answer", |heard| matches!(heard, Heard::Taken(40, _))).await;
        // An outcome in the victim's name, signed by the thief.
        let outcome = json!(thief.signed(victim.outcome(68, "r-1", Phase::Reverted)));
        by.say(&[v5::Packet::publish(41, &topic(&thief.id, "update"), &bytes(&outcome), false)])
            .await
            .unwrap();
        by.until::<v5::Packet>("an answer", |heard| matches!(heard, Heard::Taken(41, _))).await;
        let heard = [own.rest::<v5::Packet>().await, by.rest::<v5::Packet>().await].concat();
        assert!(
            heard.iter().all(|(_, payload)| !payload.windows(2).any(|two| two == b"66" || two == b"68")),
            "{heard:?}"
        );

        // Comes under another's client id: refused, or let in as itself; the victim's connection stays.
        let mut as_other = Station::open(world.port, world.tls(&thief)).await.unwrap();
        as_other.say(&[v5::Packet::connect(&victim.id, None, None)]).await.unwrap();
        let first = as_other.next::<v5::Packet>().await.unwrap();
        assert_eq!(first, Heard::Let(if is_own { 0x85 } else { 0 }));
        told::<v5::Packet>(&mut own, &victim, 3).await;
        if !is_own {
            let on = topic(&victim.id, "state");
            as_other.say(&[v5::Packet::publish(1, &on, &state, false)]).await.unwrap();
            as_other.until::<v5::Packet>("a refusal", |heard| *heard == Heard::Taken(1, 0x87)).await;
        }
        // Shows no certificate, or one of another authority.
        for shown in [tls(&world.authorities(), None), world.tls(&foreign)] {
            if let Ok(mut station) = Station::open(world.port, shown).await {
                let _ = station.say(&[v5::Packet::connect(&victim.id, None, Some(("admin", "admin")))]).await;
                let answer = station.next::<v5::Packet>().await;
                assert!(!matches!(answer, Ok(Heard::Let(0))), "{answer:?}");
            }
        }
        told::<v5::Packet>(&mut own, &victim, 4).await;

        let boot = |seqs: &[i64]| seqs.iter().map(|seq| ("boot-1".to_owned(), *seq)).collect::<BTreeSet<_>>();
        assert_eq!(world.stored(&victim).await, boot(&[1, 2, 3, 4]));
        assert_eq!(world.stored(&thief).await, boot(&[1]));
        assert!(database(&world.house).await.heard().await.unwrap().received.is_empty());
    });
    let alarms = world.house.audited("alarm");
    let matters: BTreeSet<&str> = alarms
        .iter()
        .filter(|line| line["detail"]["device"] == *thief.id)
        .map(|line| line["detail"]["matter"].as_str().unwrap())
        .collect();
    println!("alarms of the thief: {matters:?}");
    assert!(matters.contains("message"), "{alarms:?}");
    assert!(
        !is_own || matters.is_superset(&["mqtt.client_id", "mqtt.publish", "mqtt.subscribe"].into()),
        "{alarms:?}"
    );

    if is_own {
        refused_when_revoked(&world, &thief)
    } else {
        silenced_and_refused_when_revoked(&world, &thief)
    }
    drop(world.mosquitto.take());
}

/// At the end point a revoked device is refused at once.
fn refused_when_revoked(world: &World, thief: &Device) {
    world.house.well(&format!("devices revoke {} --reason stolen", thief.id));
    block_on(async {
        let mut station = Station::open(world.port, world.tls(thief)).await.unwrap();
        station.say(&[v5::Packet::connect(&thief.id, None, None)]).await.unwrap();
        assert_eq!(station.next::<v5::Packet>().await.unwrap(), Heard::Let(0x87));
    });
}

/// A Mosquitto keeps the connection that a revoked device has: what it says is not taken in. Once it has read the list again,
/// it lets that device in no more, and all others.
fn silenced_and_refused_when_revoked(world: &World, thief: &Device) {
    let mosquitto = world.mosquitto.as_ref().unwrap();
    let before = mosquitto.crl();
    let other = world.house.device("van-9");
    block_on(async {
        let mut held = world.station::<v5::Packet>(thief).await;
        world.house.well(&format!("devices revoke {} --reason stolen", thief.id));
        let state = topic(&thief.id, "state");
        held.say(&[v5::Packet::publish(1, &state, &bytes(&thief.state(2)), false)]).await.unwrap();
        held.until::<v5::Packet>("the broker's answer", |heard| matches!(heard, Heard::Taken(1, _))).await;
        assert!(held.rest::<v5::Packet>().await.is_empty());
        assert_eq!(world.stored(thief).await.len(), 1);
        drop(held);

        for _ in 0..600 {
            if mosquitto.crl() != before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_ne!(mosquitto.crl(), before, "the server keeps the list current");
        mosquitto.reads_again();
        let mut refused = false;
        for _ in 0..600 {
            refused = attempt::<v5::Packet>(world.port, world.tls(thief), &thief.id).await.is_none();
            if refused {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(refused, "a revoked device still connects");
        let mut own = world.station::<v5::Packet>(&other).await;
        told::<v5::Packet>(&mut own, &other, 1).await;
    });
}

#[test]
fn one_device_cannot_be_another_at_our_own_end_point() {
    one_device_cannot_be_another(World::own());
}

#[test]
fn one_device_cannot_be_another_at_mosquitto() {
    if let Some(world) = World::with_mosquitto() {
        one_device_cannot_be_another(world);
    }
}

#[test]
fn what_devices_say_is_kept_for_readers_and_what_nobody_understands_is_put_aside() {
    let mut world = World::own();
    let device = world.house.device("van-7");
    let password = world.house.well("serve reader wall")["password"].as_str().unwrap().to_owned();
    type P = v4::Packet;
    block_on(async {
        let mut station = world.station::<P>(&device).await;
        let on = |part: &str| topic(&device.id, part);
        station.say(&[P::publish(2, &on("available"), b"online", true)]).await.unwrap();
        told::<P>(&mut station, &device, 1).await;
        // Twice is once; an outcome is signed; both have their receipts.
        told::<P>(&mut station, &device, 1).await;
        let outcome = json!(device.signed(device.outcome(2, "r-1", Phase::Trial)));
        station.say(&[P::publish(3, &on("update"), &bytes(&outcome), false)]).await.unwrap();
        station
            .until::<P>("its receipt", |heard| receipt(heard, &device) == Some(("boot-1".into(), 2)))
            .await;
        // What is not understood has its receipt where it says what it is, and never counts.
        let event = bytes(&device.event(3, "fall-1", "new"));
        let poison = [
            (on("event"), bytes(&device.message(4, "event", json!({}))), Some(4)),
            (on("stats"), event.clone(), Some(3)),
            (on("event"), b"\xff\xfe".to_vec(), None),
            (on("event"), vec![b' '; 60_000], None),
            (
                on("event"),
                bytes(&device.message(u64::MAX, "state", json!({"runtime": "ready"}))),
                Some(u64::MAX),
            ),
        ];
        for (id, (topic, payload, seq)) in (10..).zip(poison) {
            station.say(&[P::publish(id, &topic, &payload, false)]).await.unwrap();
            let Some(seq) = seq else { continue };
            station
                .until::<P>("its receipt", |heard| receipt(heard, &device) == Some(("boot-1".into(), seq)))
                .await;
        }
        station.say(&[P::publish(20, &on("event"), &event, false)]).await.unwrap();
        station
            .until::<P>("its receipt", |heard| receipt(heard, &device) == Some(("boot-1".into(), 3)))
            .await;
        let letters = database(&world.house).await.dead_letters(100).await.unwrap();
        assert_eq!(letters.iter().filter(|letter| letter.device == device.id).count(), 5, "{letters:?}");

        // Somebody who reads: what is kept first, then what comes; commands never.
        let plain = tls(&world.authorities(), None);
        let mut reader = Station::open(world.port, plain.clone()).await.unwrap();
        reader.say(&[P::connect("wall", None, Some(("wall", &password)))]).await.unwrap();
        reader.until::<P>("the log-in", |heard| *heard == Heard::Let(0)).await;
        reader.say(&[P::subscribe(1, "#")]).await.unwrap();
        reader.until::<P>("a refusal", |heard| *heard == Heard::Granted(vec![0x80])).await;
        reader.say(&[P::subscribe(2, "stopline/north/#")]).await.unwrap();
        let mut kept = BTreeMap::new();
        while kept.len() < 2 {
            let heard =
                reader.until::<P>("what is kept", |heard| matches!(heard, Heard::Message { .. })).await;
            let Heard::Message { topic, payload, retain, .. } = heard else { unreachable!() };
            assert!(retain, "{topic}");
            kept.insert(topic, payload);
        }
        assert_eq!(kept[&on("available")], "online");
        let state: Value = serde_json::from_slice(&kept[&on("state")]).unwrap();
        assert_eq!(state, device.state(1));
        told::<P>(&mut station, &device, 5).await;
        let is_news = |heard: &Heard| matches!(heard, Heard::Message { topic, retain: false, .. } if *topic == on("state"));
        reader.until::<P>("the news", is_news).await;
        // A reader says nothing: acknowledged and dropped, as 3.1.1 has it.
        reader.say(&[P::publish(9, &on("cmd/poll"), b"", false)]).await.unwrap();
        reader.until::<P>("an answer", |heard| *heard == Heard::Taken(9, 0)).await;
        assert!(station.rest::<P>().await.is_empty());
        // The line is cut: the last will is told.
        drop(station);
        let is_gone = |heard: &Heard| matches!(heard, Heard::Message { topic, payload, .. } if *topic == on("available") && payload == "offline");
        reader.until::<P>("the last will", is_gone).await;
        // A wrong password, and none.
        for login in [Some(("wall", "guess")), Some(("nobody", password.as_str())), None] {
            let mut other = Station::open(world.port, plain.clone()).await.unwrap();
            other.say(&[P::connect("wall", None, login)]).await.unwrap();
            assert_eq!(other.next::<P>().await.unwrap(), Heard::Let(5), "{login:?}");
        }
    });
    // Kept from start to start: it is in the database.
    world.house.killed_and_started();
    block_on(async {
        let mut reader = Station::open(world.port, tls(&world.authorities(), None)).await.unwrap();
        let login = Some(("wall", password.as_str()));
        reader
            .say(&[P::connect("wall", None, login), P::subscribe(1, "stopline/north/+/state")])
            .await
            .unwrap();
        let heard = reader.until::<P>("what is kept", |heard| matches!(heard, Heard::Message { .. })).await;
        let Heard::Message { payload, .. } = heard else { unreachable!() };
        assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), device.state(5));
    });
}

#[test]
fn an_answer_and_a_hint_reach_a_device_that_is_connected() {
    let repository = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(repository.path().join("metadata")).unwrap();
    let stamp = repository.path().join("metadata/timestamp.json");
    std::fs::write(&stamp, "{}").unwrap();
    let place = repository.path().to_str().unwrap();
    let house = House::with(&["--fleet-name", "north", "--repository", place]);
    let world = World { port: house.mqtt, house, mosquitto: None, more: Vec::new(), _cluster: None };
    let device = world.house.device("wall-1");
    let person = house::Person::welcomed(&world.house, "nurse", &world.house.invitation());
    assert_eq!(device.say(&world.house, &[device.event(1, "fall-1", "new")]).0, 200);
    type P = v5::Packet;
    let (going, coming) = std::sync::mpsc::channel();
    let id = device.id.clone();
    let acknowledges = std::thread::spawn(move || {
        coming.recv().unwrap();
        let fields = [("device", id.as_str()), ("boot_id", "boot-1"), ("seq", "1")];
        let page = person.post("/events/acknowledge", &fields);
        assert_eq!(page.status, 303, "{}", page.text);
        std::fs::write(&stamp, "{\"version\": 2}").unwrap();
    });
    block_on(async {
        let mut station = world.station::<P>(&device).await;
        going.send(()).unwrap();
        let on = topic(&device.id, "cmd/acknowledge");
        let is_answer =
            |heard: &Heard| matches!(heard, Heard::Message { topic, retain: false, .. } if *topic == on);
        let Heard::Message { payload, .. } = station.until::<P>("the answer", is_answer).await else {
            unreachable!()
        };
        let said: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((said["id"].as_str(), said["by"].as_str()), (Some("fall-1"), Some("admin")));
        let on = topic(&device.id, "cmd/poll");
        let is_hint =
            |heard: &Heard| matches!(heard, Heard::Message { topic, retain: false, .. } if *topic == on);
        station.until::<P>("the hint", is_hint).await;
        // One that comes later hears of it when it says that it is there.
        let mut later = world.station::<P>(&device).await;
        later.say(&[P::publish(2, &topic(&device.id, "available"), b"online", true)]).await.unwrap();
        later.until::<P>("the answer", is_answer_again(&device)).await;
    });
    acknowledges.join().unwrap();
}

fn is_answer_again(device: &Device) -> impl FnMut(&Heard) -> bool + use<> {
    let on = topic(&device.id, "cmd/acknowledge");
    move |heard| matches!(heard, Heard::Message { topic, .. } if *topic == on)
}

#[test]
fn a_server_that_is_killed_under_load_loses_and_doubles_nothing() {
    nothing_is_lost_or_doubled(World::own(), |world, _| world.house.killed_and_started());
}

#[test]
fn a_server_and_a_mosquitto_that_are_killed_under_load_lose_and_double_nothing() {
    let Some(world) = World::with_mosquitto() else { return };
    nothing_is_lost_or_doubled(world, |world, n| match n % 2 {
        0 => world.house.killed_and_started(),
        _ => world.mosquitto.as_mut().unwrap().killed_and_started(),
    });
}

#[test]
fn three_servers_and_a_mosquitto_that_are_killed_under_load_lose_and_double_nothing() {
    let Some(world) = World::with_servers(3) else { return };
    nothing_is_lost_or_doubled(world, |world, n| {
        let broker = |world: &mut World| world.mosquitto.as_mut().unwrap().killed_and_started();
        match n % 4 {
            // One of them, and the others go on.
            0 => world.server(n / 4 % 3).killed_and_started(),
            1 => broker(world),
            // A server and the broker at once.
            2 => {
                world.server(1).kill();
                broker(world);
                world.server(1).start_again();
            }
            // All but one, for a while, whichever it is.
            _ => {
                let alone = n / 4 % 3;
                (0..3).filter(|number| *number != alone).for_each(|number| world.server(number).kill());
                std::thread::sleep(Duration::from_secs(1));
                (0..3)
                    .filter(|number| *number != alone)
                    .for_each(|number| world.server(number).start_again());
            }
        }
    });
}

#[test]
fn an_order_is_told_to_the_device_that_was_asked_when_it_connects_and_to_no_other() {
    let world = World::own();
    let (asked, other) = (world.house.device("van-7"), world.house.device("van-8"));
    let made = world.house.well("devices diagnose van-7");
    block_on(async {
        let online =
            |device: &Device| v5::Packet::publish(5, &topic(&device.id, "available"), b"online", true);
        let mut by = world.station::<v5::Packet>(&other).await;
        by.say(&[online(&other)]).await.unwrap();
        let state = topic(&other.id, "state");
        by.say(&[v5::Packet::publish(7, &state, &bytes(&other.state(1)), true)]).await.unwrap();
        let told =
            by.until::<v5::Packet>("its receipt", |heard| matches!(heard, Heard::Message { .. })).await;
        assert!(receipt(&told, &other).is_some(), "{told:?}");
        let mut own = world.station::<v5::Packet>(&asked).await;
        own.say(&[online(&asked)]).await.unwrap();
        let told = own.until::<v5::Packet>("the order", |heard| matches!(heard, Heard::Message { .. })).await;
        let Heard::Message { topic: on, payload, retain, .. } = told else { return };
        let order: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((on, retain), (topic(&asked.id, "cmd/diagnose"), false));
        assert_eq!((&order["id"], &order["what"]), (&made["order"]["id"], &json!("diagnose")));
    });
}
