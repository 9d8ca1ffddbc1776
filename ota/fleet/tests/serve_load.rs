//! How much the server carries, with its own end point and SQLite, and with Mosquitto and PostgreSQL: devices with certificates, QoS 1, a message every ten seconds, a tenth of
//! them connecting anew each minute. Figures are printed as they were seen, what the simulated devices cost apart; what must
//! hold is that each message has its receipt and is in the database once. `STOPLINE_FULL=1`: 5,000 devices for a minute.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod cluster;
mod house;
mod mosquitto;
mod needs;
mod station;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use house::{Device, House};
use mosquitto::{Mosquitto, free_port};
use rumqttc::mqttbytes::v4;
use serde_json::{Value, json};
use station::{Heard, Speech as _, Station, tls};
use stopline_fleet::serve::authority::{Authority, Request};
use stopline_fleet::serve::database::Database;
use stopline_fleet::serve::database::devices::{Device as Enrolled, Standing};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What is simulated.
#[derive(Debug, Clone, Copy)]
struct Scene {
    devices: usize,
    lasts: Duration,
    every: Duration,
    /// Of a device's messages, one in so many is followed by a new connection.
    reconnects: u64,
}

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a device waits for a receipt before it connects anew.
const ANSWER: Duration = Duration::from_secs(20);

/// What one device saw.
#[derive(Default)]
struct Seen {
    said: u64,
    micros: Vec<u64>,
    connected: u64,
    failed: u64,
}

fn scene() -> Scene {
    if needs::full() {
        // A tenth of the devices each minute, at six messages a minute: one message in sixty.
        let every = Duration::from_secs(10);
        Scene { devices: 5_000, lasts: Duration::from_secs(60), every, reconnects: 60 }
    } else {
        Scene { devices: 50, lasts: Duration::from_secs(4), every: Duration::from_millis(500), reconnects: 6 }
    }
}

/// What carries.
struct World {
    house: House,
    port: u16,
    database: String,
    mosquitto: Option<Mosquitto>,
    /// Ended with it.
    _cluster: Option<Cluster>,
}

#[test]
fn devices_by_the_thousand_have_their_receipts() {
    raise_limit();
    let house = House::with(&["--fleet-name", "north"]);
    let database = format!("sqlite://{}", house.folder.join("stopline.db").display());
    carry(&World { port: house.mqtt, house, database, mosquitto: None, _cluster: None });
}

#[test]
fn devices_by_the_thousand_have_their_receipts_by_mosquitto_and_postgresql() {
    raise_limit();
    if !Mosquitto::is_there() {
        return needs::skip::<()>("no mosquitto; tests/run installs it from Debian").unwrap_or_default();
    }
    let Some(cluster) = Cluster::start() else {
        return needs::skip::<()>("no PostgreSQL; tests/run installs it from Debian").unwrap_or_default();
    };
    let (port, database) = (free_port(), cluster.url.clone());
    let broker = format!("mqtts://localhost:{port}");
    let house = House::with(&["--fleet-name", "north", "--broker", &broker, "--database", &database]);
    let mosquitto = Some(Mosquitto::of(&house, port, 1));
    carry(&World { house, port, database, mosquitto, _cluster: Some(cluster) });
}

fn carry(world: &World) {
    let (scene, house) = (scene(), &world.house);
    let mut fleet = enrolled(world, scene.devices + 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // All TLS handshakes at once are a stampede that no fleet makes.
    let door = Arc::new(Semaphore::new(100));
    // Mosquitto drops what is said before the server has subscribed: its start is not what is measured.
    let scout = fleet.pop().unwrap();
    runtime.block_on(is_heard(&scout, world.port, &door));
    let (before, begun) = ((cpu_s("self"), cpu_s(&house.pid().to_string())), monotonic());
    let all_in = Arc::new(tokio::sync::Barrier::new(scene.devices + 1));
    let work: Vec<_> = fleet
        .iter()
        .enumerate()
        .map(|(n, (device, tls))| {
            let what = (device.clone(), tls.clone(), world.port);
            runtime.spawn(lives(what, n, scene, door.clone(), all_in.clone()))
        })
        .collect();
    runtime.block_on(all_in.wait());
    let (connected, steady) = ((cpu_s("self"), cpu_s(&house.pid().to_string())), monotonic());
    let seen: Vec<Seen> = runtime.block_on(async {
        let mut seen = Vec::new();
        for one in work {
            seen.push(one.await.unwrap());
        }
        seen
    });
    let (after, ended) = ((cpu_s("self"), cpu_s(&house.pid().to_string())), monotonic());

    let mut micros: Vec<u64> = seen.iter().flat_map(|seen| seen.micros.iter().copied()).collect();
    micros.sort_unstable();
    let said: u64 = seen.iter().map(|seen| seen.said).sum();
    let again = seen.iter().map(|seen| seen.connected).sum::<u64>() - u64::try_from(scene.devices).unwrap();
    let failed: u64 = seen.iter().map(|seen| seen.failed).sum();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    let lasted = (ended - steady).as_secs_f64();
    println!(
        "{} devices connected in {:.1} s (CPU: server {:.1} s, simulator {:.1} s)",
        scene.devices,
        (steady - begun).as_secs_f64(),
        connected.1 - before.1,
        connected.0 - before.0
    );
    println!(
        "{said} messages in {lasted:.1} s = {:.0} per second; {again} connections anew, {failed} attempts failed",
        said as f64 / lasted
    );
    println!(
        "publish to receipt: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!(
        "server: {:.2} CPUs, {:.0} MiB resident; simulator: {:.2} CPUs; load average {}",
        (after.1 - connected.1) / lasted,
        resident_mib(house.pid()),
        (after.0 - connected.0) / lasted,
        std::fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    if let Some(mosquitto) = &world.mosquitto {
        let pid = mosquitto.pid();
        println!(
            "mosquitto: {:.1} s of CPU in all, {:.0} MiB resident",
            cpu_s(&pid.to_string()),
            resident_mib(pid)
        );
    }
    assert_eq!(u64::try_from(micros.len()).unwrap(), said, "each has its receipt");
    assert!(again > 0, "nobody connected anew");
    let stored = runtime.block_on(async {
        let database = open(&world.database).await;
        let all = database.latest(&["stats"], None, i64::MAX).await.unwrap();
        let mut by_device: BTreeMap<String, u64> = BTreeMap::new();
        all.into_iter().for_each(|one| *by_device.entry(one.device).or_default() += 1);
        by_device
    });
    for ((device, _), seen) in fleet.iter().zip(&seen) {
        assert_eq!(stored.get(&device.id).copied().unwrap_or(0), seen.said, "{}", device.id);
    }
}

type Tls = Arc<rustls::ClientConfig>;

/// One device, until its time is over.
async fn lives(
    (device, tls, port): (Arc<Device>, Tls, u16),
    n: usize,
    scene: Scene,
    door: Arc<Semaphore>,
    all_in: Arc<tokio::sync::Barrier>,
) -> Seen {
    let mut seen = Seen::default();
    let mut station = connected(&device, &tls, port, &door, &mut seen).await;
    all_in.wait().await;
    let begun = monotonic();
    // Spread evenly, as devices are that began at different times.
    let share = u32::try_from(n).unwrap() as f64 / scene.devices as f64;
    let mut next = begun + scene.every.mul_f64(share);
    while next < begun + scene.lasts {
        sleep(next.saturating_sub(monotonic())).await;
        next += scene.every;
        seen.said += 1;
        let said_at = monotonic();
        while !said(&mut station, &device, seen.said).await {
            // As an outbox does: said again until the receipt comes.
            station = connected(&device, &tls, port, &door, &mut seen).await;
        }
        seen.micros.push(u64::try_from((monotonic() - said_at).as_micros()).unwrap());
        if (seen.said + u64::try_from(n).unwrap()) % scene.reconnects == 0 {
            drop(station);
            station = connected(&device, &tls, port, &door, &mut seen).await;
        }
    }
    seen
}

/// Until the server hears what a device says.
async fn is_heard((device, tls): &(Arc<Device>, Tls), port: u16, door: &Semaphore) {
    let mut seen = Seen::default();
    for _ in 0..60 {
        let mut station = connected(device, tls, port, door, &mut seen).await;
        if timeout(Duration::from_secs(1), said(&mut station, device, 1)).await.unwrap_or(false) {
            return;
        }
    }
    panic!("the server hears nobody within a minute");
}

async fn connected(device: &Device, tls: &Tls, port: u16, door: &Semaphore, seen: &mut Seen) -> Station {
    loop {
        let _turn = door.acquire().await.unwrap();
        if let Ok(Some(station)) = timeout(PATIENCE, enters(device, tls.clone(), port)).await {
            seen.connected += 1;
            return station;
        }
        seen.failed += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn enters(device: &Device, tls: Tls, port: u16) -> Option<Station> {
    let mut station = Station::open(port, tls).await.ok()?;
    let (will, cmd) = (topic(device, "available"), topic(device, "cmd/#"));
    let greeting = [
        v4::Packet::connect(&device.id, Some(&will), None),
        v4::Packet::subscribe(1, &cmd),
        v4::Packet::publish(2, &will, b"online", true),
    ];
    station.say(&greeting).await.ok()?;
    let mut answers = 0;
    while answers < 3 {
        match station.next::<v4::Packet>().await.ok()? {
            Heard::Let(0) | Heard::Taken(2, _) => answers += 1,
            Heard::Granted(codes) if codes == [0] => answers += 1,
            other => panic!("{other:?}"),
        }
    }
    Some(station)
}

/// Says a message; whether its receipt came.
async fn said(station: &mut Station, device: &Device, seq: u64) -> bool {
    let stats = json!({"span_s": 10, "uptime_s": seq * 10, "cpu": 0.5, "memory_available_bytes": 120_000_000, "temperature_c": 61.5});
    let body = serde_json::to_vec(&device.message(seq, "stats", stats)).unwrap();
    if station.say(&[v4::Packet::publish(3, &topic(device, "stats"), &body, false)]).await.is_err() {
        return false;
    }
    let receipt = async {
        loop {
            match station.next::<v4::Packet>().await {
                Ok(Heard::Message { payload, id, .. }) => {
                    let _ = station.say(&[v4::Packet::acknowledge(id)]).await;
                    let said: Value = serde_json::from_slice(&payload).unwrap();
                    if said["seq"] == seq {
                        return true;
                    }
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    };
    timeout(ANSWER, receipt).await.unwrap_or(false)
}

fn topic(device: &Device, part: &str) -> String {
    format!("stopline/north/{}/{part}", device.id)
}

async fn open(url: &str) -> Database {
    Database::open(url).await.unwrap()
}

/// Devices as enrolment leaves them, without 5,000 tokens.
fn enrolled(world: &World, count: usize) -> Vec<(Arc<Device>, Tls)> {
    let authority = Authority::open(&world.house.folder.join("authority")).unwrap();
    let pinned = world.house.folder.join("authorities.pem");
    let now_s = jiff::Timestamp::now().as_second();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = open(&world.database).await;
        let mut writing = database.write().await.unwrap();
        let mut fleet = Vec::new();
        for n in 0..count {
            let mut device = Device::new(&format!("device-{n}"));
            let request = Request::read(&device.csr()).unwrap();
            let (certificate, certificate_until_s) = authority.issue(&request, now_s).unwrap();
            device.certificate = certificate;
            let key = stopline_depot::digest::Digest::from_bytes(device.public()).to_string();
            let enrolled = Enrolled {
                id: device.id.clone(),
                key,
                name: format!("device {n}"),
                standing: Standing::Active,
                reason: String::new(),
                replaces: String::new(),
                enrolled_s: now_s,
                changed_s: now_s,
                seen_s: now_s,
                certificate_until_s,
            };
            writing.put_device(&enrolled).await.unwrap();
            let tls = tls(&pinned, Some((&device.certificate, &device.key.serialize_pem())));
            fleet.push((Arc::new(device), tls));
        }
        writing.commit().await.unwrap();
        database.close().await;
        fleet
    })
}

/// As many open files as may be; the server inherits it.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Seconds of CPU that a process has used. Linux counts them in hundredths for whoever asks.
fn cpu_s(process: &str) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process).join("stat")).unwrap();
    // The name may hold blanks; what follows it does not. User and system time are fields 14 and 15 of proc(5).
    let after = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Since the system began.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}
