//! What a device costs on a mobile network in a month: each thing it does is done once or a few times by the real agent over
//! TLS, the bytes are counted between it and the server, and headers of IP and TCP, acknowledgements and each connection's
//! begin and end are added as a mobile network carries them.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod lab;
mod link;
mod needs;
mod operator;
mod program;
mod reporter;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use stopline_agent::agent::Agent;
use stopline_agent::config::Config;
use stopline_depot::outbox;

use authority::{Authority, Strangers, tls};
use link::Server;
use needs::until;
use operator::{Device, Operator, noise, rollout};
use reporter::world;

/// A segment's payload over a mobile network, with time stamps in its header.
const SEGMENT: u64 = 1_360 - 12;
/// Headers of IPv4 and TCP with time stamps.
const HEADERS: u64 = 52;
/// Segments of a connection's begin and end: three and four.
const AROUND: u64 = 7 * 60;

/// Carries what goes between a client and a server, and counts it.
#[derive(Clone)]
struct Between {
    port: u16,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

impl Between {
    fn before(url: &str) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let zero = || Arc::new(AtomicU64::new(0));
        let port = listener.local_addr().unwrap().port();
        let this = Self { port, up: zero(), down: zero(), connections: zero(), open: zero() };
        let server: String = url.rsplit("//").next().unwrap().into();
        let own = url.replace(&server, &format!("127.0.0.1:{}", this.port));
        let counts = this.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&server).unwrap();
                counts.connections.fetch_add(1, Ordering::SeqCst);
                counts.open.fetch_add(2, Ordering::SeqCst);
                let (back, from) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                for (from, to, count) in [(client, server, &counts.up), (from, back, &counts.down)] {
                    let (count, open) = (count.clone(), counts.open.clone());
                    std::thread::spawn(move || {
                        carry(from, to, &count);
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        (this, own)
    }

    /// Bytes on the wire since the last call, once every connection has ended.
    fn wire(&self) -> u64 {
        until("the connections' end", || self.open.load(Ordering::SeqCst) == 0);
        let [up, down, connections] =
            [&self.up, &self.down, &self.connections].map(|count| count.swap(0, Ordering::SeqCst));
        assert!(up > 0 && down > 0 && connections > 0, "nothing was carried");
        let segments = |bytes: u64| bytes.div_ceil(SEGMENT);
        // Every second segment is acknowledged by one of its own.
        let acknowledgements = segments(up).div_ceil(2) + segments(down).div_ceil(2);
        up + down + (segments(up) + segments(down) + acknowledgements) * HEADERS + connections * AROUND
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut piece = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
        count.fetch_add(length as u64, Ordering::SeqCst);
    }
    // The other side may have gone before.
    let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}

/// Bytes of a poll that finds nothing, and of one that brings a bundle of `bundle` bytes that do not pack.
fn polls(bundle: usize) -> (u64, u64) {
    let authority = Authority::new("fleet");
    let mut operator = Operator::new(Timestamp::now());
    operator.release(1, &noise(1, bundle));
    operator.rollout(&rollout("r-1", 1));
    let device = Device::new("http://127.0.0.1:1", &operator);
    let config = tls(&authority, &[&authority], Strangers::In, device.clock.clone());
    let server = Server::start_tls(operator.publish(), config);
    let (between, url) = Between::before(&server.url);
    std::fs::write(device.path("authority.pem"), &authority.pem).unwrap();
    let config = format!(
        "{}[tls]\nauthorities_file = '{}'\n",
        device.config.replace("http://127.0.0.1:1", &url),
        device.path("authority.pem").display()
    );
    let poll = || {
        let config = Config::parse(&config).unwrap();
        let agent = Agent::open(config, device.clock.clone(), device.runtime.handle().clone());
        let mut agent = agent.unwrap();
        agent.poll().unwrap();
        drop(agent);
        between.wire()
    };
    let first = poll();
    // Outcomes of what it did go with the next one.
    poll();
    (poll(), first)
}

/// Bytes of birth and state at a start, and of a message of figures, each in a connection of its own.
fn telemetry() -> (u64, u64) {
    let mut world = world(Timestamp::now(), "", "[telemetry]\noutbox = 'HERE/outbox'\nstats_s = 60\n");
    outbox::prepare(&world.device.path("outbox")).unwrap();
    let (between, url) = Between::before(&world.lab.url);
    world.device.config = world.device.config.replace(&world.lab.url, &url);
    let step = || {
        let mut telemetry = world.telemetry();
        telemetry.step();
        drop(telemetry);
        between.wire()
    };
    let start = step();
    // A process that begins anew says what it is first: what is more than that are the figures.
    let mut telemetry = world.telemetry();
    telemetry.step();
    world.device.clock.pass(std::time::Duration::from_secs(61));
    let before = (between.up.load(Ordering::SeqCst), between.down.load(Ordering::SeqCst));
    telemetry.step();
    let after = (between.up.load(Ordering::SeqCst), between.down.load(Ordering::SeqCst));
    drop(telemetry);
    assert!(between.wire() > start);
    let carried = (after.0 - before.0) + (after.1 - before.1);
    assert!(carried > 0, "no figures");
    // Over 15 minutes the connection does not last: each has a handshake, about that of the start.
    (start, carried + start)
}

/// Bytes for `records` of `length` bytes that wait together.
fn uploads(records: usize, length: usize) -> u64 {
    let mut world = world(Timestamp::now(), "", "[upload]\nspool = 'SPOOL'\nlook_s = 1\n");
    let (between, url) = Between::before(&world.lab.url);
    world.device.config = world.device.config.replace(&world.lab.url, &url);
    world.lab.set(|lab| lab.packs = true);
    world.capture(1, &vec![length; records]);
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 20);
    drop(uploader);
    between.wire()
}

#[test]
fn what_a_device_costs_on_a_mobile_network_in_a_month() {
    const DAYS: u64 = 30;
    /// The bundled detector's bundle, about; a delta is smaller (ota/README.md).
    const BUNDLE: usize = 1_200_000;
    const RECORDS: (usize, usize) = (100, 60_000);
    let (idle, nightly) = polls(BUNDLE);
    let (start, figures) = telemetry();
    let uploads = uploads(RECORDS.0, RECORDS.1);
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "bytes on the wire, both ways, headers, acknowledgements and handshakes with certificates included:"
    );
    let rows = [
        ("a poll each night that finds nothing", idle, DAYS),
        ("a new model each night, 1.2 MB, whole", nightly, DAYS),
        ("birth and state, ten starts a day", start, 10 * DAYS),
        ("figures every 15 minutes, 8 hours a day", figures, 32 * DAYS),
        ("uploads, 100 records of 60 kB a day", uploads, DAYS),
    ];
    let mut sum = 0;
    for (what, each, times) in rows {
        println!("  {what:42} {each:>9} bytes, in a month {:8.2} MB", mb(each * times));
        sum += each * times;
    }
    println!("  {:42} {:>9}        in a month {:8.2} MB", "all of it", "", mb(sum));
    let payload = (RECORDS.0 * RECORDS.1) as f64;
    println!("  uploads per byte of records: {:.3}", uploads as f64 / payload);
    assert!(idle * DAYS < 1_000_000, "polls that find nothing: {idle} bytes each");
    assert!((nightly as f64) < 1.1 * BUNDLE as f64 + idle as f64, "a model of {BUNDLE} bytes: {nightly}");
    assert!(figures * 32 * DAYS < 20_000_000, "figures: {figures} bytes each");
    assert!((uploads as f64) < 1.1 * payload, "uploads: {uploads}");
}
