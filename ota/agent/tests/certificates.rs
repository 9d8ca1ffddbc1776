//! Who the device is, shown to real servers: enrolment by token and by hand, client certificates, renewal, authorities that
//! overlap.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod link;
mod needs;
mod operator;
mod program;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use stopline_agent::certificate::{self, Certificate};
use stopline_agent::clock::wall_s;
use stopline_agent::identity::Identity;
use stopline_depot::deployment::Phase;
use stopline_depot::digest::Digest;

use authority::{Authority, DAY, Fleet, Strangers, name_and_key, tls};
use link::Server;
use operator::{Device, HeldClock, Operator, noise, phase, rollout};

const TAR: usize = 50_000;

/// A repository behind HTTPS whose authority the device has pinned, and the fleet's server at the same address.
struct World {
    server: Server,
    device: Device,
    digest: Digest,
    fleet: Arc<Mutex<Fleet>>,
}

fn world(now: Timestamp, strangers: Strangers) -> World {
    let mut operator = Operator::new(now);
    operator.fresh_for = jiff::SignedDuration::from_hours(24 * 800);
    operator.expire("rollout", now.checked_add(operator.fresh_for).unwrap());
    let digest = operator.release(1, &noise(1, TAR));
    operator.rollout(&rollout("r-1", 1));
    let files = operator.publish();
    let clock = HeldClock::at(now);
    let authority = Authority::new("fleet");
    let config = tls(&authority, &[&authority], strangers, clock.clone());
    let server = Server::start_tls(files, config);
    let device = Device { clock: clock.clone(), ..Device::new(&server.url, &operator) };
    std::fs::write(device.path("authority.pem"), &authority.pem).unwrap();
    let device = with(device, &server.url);
    let fleet = Fleet::new(authority, clock);
    Fleet::serve(&fleet, &server);
    World { server, device, digest, fleet }
}

fn with(device: Device, url: &str) -> Device {
    let pinned = device.path("authority.pem").display().to_string();
    let config = format!(
        "{}[tls]\nauthorities_file = '{pinned}'\n[enrolment]\nurl = '{url}'\n",
        device.config.replace(&format!("outcomes_url = '{url}/outcomes'\n"), "")
    );
    std::fs::write(device.path("agent.toml"), &config).unwrap();
    Device { config, ..device }
}

impl World {
    fn home(&self) -> std::path::PathBuf {
        self.device.path("home")
    }

    fn own(&self) -> Option<Certificate> {
        Certificate::read(&self.home()).unwrap()
    }

    /// Puts a certificate of `authority` there, as `enroll` would, and lets the fleet know the device.
    fn enrolled_by(&self, authority: &Authority, from: i64, to: i64) {
        std::fs::create_dir_all(self.home()).unwrap();
        let identity = Identity::open(&self.home()).unwrap();
        let request = certificate::request(&identity).unwrap();
        let issued = authority.issue(&request, from, to).unwrap();
        Certificate::parse(issued.as_bytes()).unwrap().keep(&self.home(), None).unwrap();
    }

    fn enrolled(&self, from: i64, to: i64) {
        self.enrolled_by(&self.fleet.lock().unwrap().authority, from, to);
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        self.fleet.lock().unwrap().asked.clone()
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

#[test]
fn a_token_gets_a_certificate_and_the_certificate_opens_the_repository() {
    let world = world(Timestamp::now(), Strangers::In);
    let run = |command: &[&str]| program::run(&world.device, command);
    let (code, _, said) = run(&["enroll", "--token", "wrong"]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("token unknown or used") && said.contains("ask the fleet's operator"), "{said}");
    assert!(world.own().is_none());
    let (code, printed, said) = run(&["enroll", "--token", "first-token"]);
    assert_eq!(code, 0, "{said}");
    println!("{printed}");
    let identity = Identity::open(&world.home()).unwrap();
    assert!(printed.contains(identity.id()) && printed.contains("good until"), "{printed}");
    let own = world.own().unwrap();
    assert_eq!(name_and_key(&own.chain[0]), (identity.id().to_owned(), identity.public_key().to_vec()));
    let (code, _, said) = run(&["enroll", "--token", "first-token"]);
    assert_eq!(code, 8, "a token counts once: {said}");
    assert_eq!(world.own(), Some(own), "what was there stays");

    // The same repository behind a server that lets nobody in without a certificate.
    let fleet = world.fleet.lock().unwrap();
    let closed = tls(&fleet.authority, &[&fleet.authority], Strangers::Out, world.device.clock.clone());
    drop(fleet);
    let server = Server::start_tls(world.server.state.lock().unwrap().files.clone(), closed);
    std::fs::write(
        world.device.path("agent.toml"),
        world.device.config.replace(&world.server.url, &server.url),
    )
    .unwrap();
    let (code, printed, said) = run(&["check-now"]);
    assert_eq!(code, 0, "{printed}{said}");
    assert!(world.device.staged(&world.digest).is_some());
}

#[test]
fn an_enrolment_that_cannot_be_right_says_what_next_and_changes_nothing() {
    let world = world(Timestamp::now(), Strangers::In);
    let enroll = |change: &dyn Fn(&str) -> String| {
        std::fs::write(world.device.path("agent.toml"), change(&world.device.config)).unwrap();
        let (code, _, said) = program::run(&world.device, &["enroll", "--token", "first-token"]);
        println!("{code}: {said}");
        assert!(world.own().is_none());
        (code, said)
    };
    let pinned = format!("authorities_file = '{}'\n", world.device.path("authority.pem").display());
    let (code, said) = enroll(&|config| config.replace(&pinned, ""));
    assert!(code == 3 && said.contains("tls.authorities_file is not configured"), "{said}");
    let url = format!("[enrolment]\nurl = '{}'\n", world.server.url);
    let (code, said) = enroll(&|config| config.replace(&url, ""));
    assert!(code == 3 && said.contains("[enrolment] url"), "{said}");
    // A server whose authority is not the pinned one gets no token to see.
    let foreign = Authority::new("somebody else");
    std::fs::write(world.device.path("foreign.pem"), &foreign.pem).unwrap();
    let (code, said) = enroll(&|config| config.replace("authority.pem", "foreign.pem"));
    assert!(code == 8 && said.contains("UnknownIssuer") && world.asked().is_empty(), "{said}");
    world.fleet.lock().unwrap().confused = true;
    let (code, said) = enroll(&str::to_owned);
    assert!(code == 8 && said.contains("it is for the key"), "{said}");
    world.fleet.lock().unwrap().confused = false;
    world.fleet.lock().unwrap().tokens.insert("first-token".into());
    let identity = Identity::open(&world.home()).unwrap();
    world.fleet.lock().unwrap().keys.insert(identity.id().into(), vec![1; 32]);
    let (code, said) = enroll(&str::to_owned);
    assert!(code == 8 && said.contains("become a new device"), "{said}");
}

#[test]
fn a_request_and_a_certificate_can_be_carried_by_hand() {
    let world = world(Timestamp::now(), Strangers::In);
    let stick = tempfile::tempdir().unwrap();
    let at = |name: &str| stick.path().join(name).display().to_string();
    let (code, printed, said) = program::run(&world.device, &["enroll", "--csr", &at("request.pem")]);
    assert!(code == 0 && printed.contains("next: have it signed"), "{printed}{said}");
    let request = std::fs::read_to_string(stick.path().join("request.pem")).unwrap();
    let (from, to) = (Timestamp::now().as_second() - 60, Timestamp::now().as_second() + 365 * DAY);
    let issued = world.fleet.lock().unwrap().authority.issue(&request, from, to).unwrap();
    std::fs::write(stick.path().join("device.pem"), issued).unwrap();
    // Another board's certificate on the same stick.
    let other = tempfile::tempdir().unwrap();
    let other = certificate::request(&Identity::open(other.path()).unwrap()).unwrap();
    let other = world.fleet.lock().unwrap().authority.issue(&other, from, to).unwrap();
    std::fs::write(stick.path().join("other.pem"), other).unwrap();
    let (code, _, said) = program::run(&world.device, &["enroll", "--certificate", &at("other.pem")]);
    assert!(code == 8 && said.contains("enroll --csr") && world.own().is_none(), "{said}");
    let (code, _, said) = program::run(&world.device, &["enroll", "--certificate", &at("nothing.pem")]);
    assert!(code == 8 && said.contains("nothing.pem"), "{said}");
    let (code, _, said) = program::run(&world.device, &["enroll", "--certificate", &at("device.pem")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.own().unwrap().not_after, to);
    assert!(world.asked().is_empty(), "nobody was asked over the air");
    let (code, ..) = program::run(&world.device, &["enroll"]);
    assert_eq!(code, 2, "one of the three ways is to be named");
}

#[test]
fn a_certificate_is_asked_for_and_none_or_a_foreign_one_is_refused() {
    let world = world(now(), Strangers::Out);
    let second = now().as_second();
    let foreign = Authority::new("somebody else");
    let refusals = |expected: &str, alert: &str| {
        let mut agent = world.device.agent();
        // On a busy machine the other side's alert may come after the connection was given up, without its reason.
        needs::until(alert, || {
            let error = stopline_agent::http::Cause::of(&agent.poll().unwrap_err()).to_string();
            println!("{error}");
            let told = error.contains(alert);
            if !told {
                agent = world.device.agent();
            }
            told
        });
        let refused = || world.server.state.lock().unwrap().refused.last().cloned().unwrap_or_default();
        needs::until(expected, || refused().contains(expected));
        assert_eq!(phase(&agent), None);
    };
    refusals("peer sent no certificates", "CertificateRequired");
    world.enrolled_by(&foreign, second - DAY, second + 300 * DAY);
    refusals("UnknownIssuer", "alert");
    world.enrolled(second - DAY, second + 300 * DAY);
    let mut agent = world.device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
}

#[test]
fn it_is_renewed_at_two_thirds_of_its_life_over_its_own_connection() {
    let world = world(now(), Strangers::Out);
    let (from, to) = (now().as_second(), now().as_second() + 300 * DAY);
    world.enrolled(from, to);
    let mut agent = world.device.agent();
    agent.poll().unwrap();
    world.device.clock.pass(days(199));
    agent.poll().unwrap();
    assert!(world.asked().is_empty(), "not before its time");
    world.device.clock.pass(days(2));
    // A server that cannot now is no reason not to poll.
    world.server.state.lock().unwrap().answers = None;
    world.server.state.lock().unwrap().post_status = 503;
    agent.poll().unwrap();
    assert_eq!(world.own().unwrap().not_after, to);
    Fleet::serve(&world.fleet, &world.server);
    agent.poll().unwrap();
    let id = Identity::open(&world.home()).unwrap().id().to_owned();
    assert_eq!(world.asked(), [("/v1/renew".to_owned(), Some(id))]);
    let renewed = world.own().unwrap();
    let held = wall_s(&*world.device.clock).unwrap();
    assert!((renewed.not_after - (held + 365 * DAY)).abs() < 60);
    agent.poll().unwrap();
    assert_eq!(world.asked().len(), 1, "it is fresh again");
    // The old one would be refused by now: connections show the new one, in the same process.
    world.device.clock.pass(days(150));
    agent.poll().unwrap();
    let metrics = std::fs::read_to_string(world.device.path("metrics.prom")).unwrap();
    for line in ["renewals_total{result=\"refused\"} 1", "renewals_total{result=\"ok\"} 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

#[test]
fn an_expired_one_is_not_shown_and_may_only_be_renewed() {
    let world = world(now(), Strangers::In);
    let second = now().as_second();
    world.enrolled(second - 400 * DAY, second - 35 * DAY);
    let mut agent = world.device.agent();
    agent.poll().unwrap();
    assert_eq!(world.asked(), [("/v1/renew".to_owned(), None)], "TLS would have ended for the expired one");
    assert!(world.own().unwrap().not_after > second + 300 * DAY);
    // Of a device that the fleet has revoked it stays expired, and the device goes on without.
    let other = self::world(now(), Strangers::In);
    other.enrolled(second - 400 * DAY, second - 35 * DAY);
    let id = Identity::open(&other.home()).unwrap().id().to_owned();
    other.fleet.lock().unwrap().revoked.insert(id);
    let mut agent = other.device.agent();
    agent.poll().unwrap();
    assert!(other.own().unwrap().not_after < second);
    // Nor does another authority's expired one become ours.
    let third = self::world(now(), Strangers::In);
    third.enrolled_by(&Authority::new("somebody else"), second - 400 * DAY, second - 35 * DAY);
    third.device.agent().poll().unwrap();
    assert!(third.own().unwrap().not_after < second && third.asked().len() == 1);
}

#[test]
fn one_authority_takes_anothers_place_while_both_count() {
    let world = world(now(), Strangers::In);
    let second = now().as_second();
    world.enrolled(second - 300 * DAY, second + 65 * DAY);
    let next = Authority::new("fleet, second");
    let files = world.server.state.lock().unwrap().files.clone();
    let (overlap, moved) = {
        let mut fleet = world.fleet.lock().unwrap();
        let before = std::mem::replace(&mut fleet.authority, next);
        fleet.authorities = Some(format!("{}{}", before.pem, fleet.authority.pem));
        fleet.before.push(before);
        let (old, new, clock) = (&fleet.before[0], &fleet.authority, &world.device.clock);
        (
            tls(old, &[old, new], Strangers::Out, clock.clone()),
            tls(new, &[old, new], Strangers::Out, clock.clone()),
        )
    };
    let at = |server: &Server| {
        let config = world.device.config.replace(&world.server.url, &server.url);
        let config = stopline_agent::config::Config::parse(&config).unwrap();
        let clock = world.device.clock.clone();
        stopline_agent::agent::Agent::open(config, clock, world.device.runtime.handle().clone()).unwrap()
    };
    // The server is still known by the old authority, and lets in who has a certificate of either.
    let overlap = Server::start_tls(files.clone(), overlap);
    Fleet::serve(&world.fleet, &overlap);
    at(&overlap).poll().unwrap();
    assert_eq!(world.asked().len(), 1, "renewed by the new authority, over the old one's connection");
    assert!(world.own().unwrap().not_after > second + 300 * DAY);
    // It moves to the new authority; the configuration names the old one alone.
    let moved = Server::start_tls(files, moved);
    at(&moved).poll().unwrap();
}

#[test]
fn what_a_server_sends_never_keeps_the_agent_from_starting() {
    let world = world(now(), Strangers::In);
    let second = now().as_second();
    world.enrolled(second - DAY, second + DAY);
    for (file, bytes) in [
        ("authorities.pem", &b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"[..]),
        ("authorities.pem", b"\xff\xfe"),
        ("certificate.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("certificate.pem", b""),
    ] {
        std::fs::write(world.home().join(file), bytes).unwrap();
        world.device.agent().poll().unwrap();
    }
    for body in [&b"null"[..], b"{}", b"[", br#"{"schema": 2, "certificate": ""}"#, &[b' '; 2 << 20]] {
        world.enrolled(second - 2 * DAY, second + DAY / 2);
        let body = body.to_vec();
        world.server.state.lock().unwrap().answers = Some(Box::new(move |_, _, _| Some((200, body.clone()))));
        world.device.agent().poll().unwrap();
        assert!(world.own().unwrap().not_after < second + DAY);
    }
}
