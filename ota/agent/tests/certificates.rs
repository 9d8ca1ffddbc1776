//! Who the device is, shown to real servers: enrolment by token and by hand, client certificates, renewal, authorities that
//! overlap.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod link;
mod needs;
mod operator;
mod program;

#[cfg(feature = "pkcs11")]
use std::os::unix::fs::PermissionsExt as _;
#[cfg(feature = "pkcs11")]
use std::path::Path;
#[cfg(feature = "pkcs11")]
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use stopline_agent::certificate::{self, Certificate};
use stopline_agent::clock::wall_s;
use stopline_agent::identity::Identity;
use stopline_depot::deployment::Phase;
use stopline_depot::digest::Digest;
#[cfg(feature = "pkcs11")]
use stopline_depot::outcome::SignedOutcome;
#[cfg(feature = "pkcs11")]
use stopline_depot::versioned;

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

/// SoftHSM2 stands for a secure element: the key is made outside only because its tool has no way to make one.
#[cfg(feature = "pkcs11")]
fn token(folder: &Path, kind: &str) -> Option<&'static str> {
    const LIBRARIES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
    let has = |name: &str, version: &str| Command::new(name).arg(version).output().is_ok();
    let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    let Some(library) = library.filter(|_| has("softhsm2-util", "--version") && has("openssl", "version"))
    else {
        return needs::skip("no SoftHSM2, or no openssl to make a key");
    };
    let config = folder.join("softhsm2.conf");
    let tokens = folder.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(&config, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))
        .unwrap();
    let tool = |line: &str| {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        let output = command.args(words).current_dir(folder).env("SOFTHSM2_CONF", &config).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    tool("softhsm2-util --init-token --free --label board --so-pin 0000 --pin 1234");
    for (label, id) in [("device", "a0"), (kind, "a1")] {
        let kind = if label == "device" { "ED25519" } else { kind };
        tool(&format!("openssl genpkey -algorithm {kind} -out made.pem"));
        tool(&format!("softhsm2-util --import made.pem --token board --label {label} --id {id} --pin 1234"));
        // From here on only the token has it.
        std::fs::remove_file(folder.join("made.pem")).unwrap();
    }
    Some(library)
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_key_in_a_token_enrols_opens_the_repository_and_signs_what_the_device_says() {
    let world = world(Timestamp::now(), Strangers::In);
    let folder = world.device.path("");
    let Some(library) = token(&folder, "RSA") else { return };
    let pin = folder.join("pin");
    let write_pin = |text: &str, mode: u32| {
        std::fs::write(&pin, text).unwrap();
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let configure = |key: &str, url: &str| {
        let config = world.device.config.replace(&world.server.url, url);
        let pin = pin.display();
        let token = format!(
            "[device_key]\nlibrary = '{library}'\ntoken = 'board'\nkey = '{key}'\npin_file = '{pin}'\n"
        );
        std::fs::write(world.device.path("agent.toml"), format!("{config}{token}")).unwrap();
    };
    let run = |command: &[&str]| {
        let mut agent = program::agent(&world.device, command);
        let output = agent.env("SOFTHSM2_CONF", folder.join("softhsm2.conf")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let refused = |words: &str| {
        let (code, said) = run(&["enroll", "--token", "first-token"]);
        assert!(code == Some(3) && said.contains(words), "{code:?} {said}");
        assert!(world.own().is_none() && world.asked().is_empty());
    };
    write_pin("1234\n", 0o640);
    configure("device", &world.server.url);
    refused("chmod 600");
    write_pin("4321\n", 0o600);
    refused("device_key");
    write_pin("1234\n", 0o600);
    configure("nobody", &world.server.url);
    refused("nobody");
    configure("RSA", &world.server.url);
    refused("ed25519");
    configure("device", &world.server.url);
    std::fs::write(world.home().join("device.key"), "00").unwrap();
    refused("a device has one key");
    std::fs::remove_file(world.home().join("device.key")).unwrap();

    let (code, said) = run(&["enroll", "--token", "first-token"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!world.home().join("device.key").exists(), "the secret is nowhere but in the token");
    let (name, key) = name_and_key(&world.own().unwrap().chain[0]);
    // Behind a server that lets nobody in without a certificate: TLS is signed by the token.
    let fleet = world.fleet.lock().unwrap();
    let closed = tls(&fleet.authority, &[&fleet.authority], Strangers::Out, world.device.clock.clone());
    drop(fleet);
    let server = Server::start_tls(world.server.state.lock().unwrap().files.clone(), closed);
    configure("device", &server.url);
    let (code, said) = run(&["check-now"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(world.device.staged(&world.digest).is_some());
    let outcomes = std::fs::read_dir(world.home().join("outcomes")).unwrap();
    let outcomes: Vec<SignedOutcome> = outcomes
        .map(|entry| versioned::read(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    let key: [u8; 32] = key.try_into().unwrap();
    assert!(outcomes.len() >= 3, "{outcomes:?}");
    assert!(outcomes.iter().all(|one| one.is_signed_by(&key) && one.outcome.device == name), "{outcomes:?}");
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
