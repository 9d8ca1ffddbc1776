//! A board that lay in a box for two years: what it needs to get today's model is network and time, and nobody's hands.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod link;
mod needs;
mod operator;
mod program;

use jiff::{SignedDuration, Timestamp};
use stopline_agent::certificate::{self, Certificate};
use stopline_agent::identity::Identity;
use stopline_depot::digest::Digest;
use stopline_depot::rollout::Rollout;

use authority::{Authority, DAY, Fleet, Strangers, tls_from};
use link::Server;
use needs::until;
use operator::{Device, HeldClock, Operator, noise, rollout};
use program::Service;

const TAR: usize = 100_000;
const ROTATIONS: u64 = 5;

/// What the board has on it when it is put into the box: a model, metadata, a certificate for a year.
fn boxed(then: Timestamp, operator: &mut Operator, authority: &Authority) -> (Device, Digest) {
    // No clock is believed that is before the agent's release, so the old metadata lasts until a day after that.
    let until = stopline_agent::clock::not_before().checked_add(SignedDuration::from_hours(24)).unwrap();
    operator.fresh_for = until.duration_since(then);
    operator.expire("rollout", until);
    let first = operator.release(1, &noise(1, TAR));
    operator.rollout(&rollout("r-1", 1));
    let server = Server::start(operator.publish());
    let device = Device { clock: HeldClock::at(then), ..Device::new(&server.url, operator) };
    device.agent().poll().unwrap();
    assert!(device.staged(&first).is_some());
    let home = device.path("home");
    let request = certificate::request(&Identity::open(&home).unwrap()).unwrap();
    let second = then.as_second();
    let issued = authority.issue(&request, second, second + 365 * DAY).unwrap();
    Certificate::parse(issued.as_bytes()).unwrap().keep(&home, None).unwrap();
    (device, first)
}

#[test]
fn two_years_later_it_reaches_todays_model_unaided() {
    let now = Timestamp::now();
    let then = now.checked_sub(SignedDuration::from_hours(24 * 730)).unwrap();
    let mut operator = Operator::new(then);
    let old = Authority::new("fleet, two years ago");
    let (device, first) = boxed(then, &mut operator, &old);

    // Meanwhile: keys changed, the authority too, a new model every now and then.
    for _ in 0..ROTATIONS {
        operator.rotate();
    }
    operator.now = now;
    operator.fresh_for = SignedDuration::from_hours(48);
    let day = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
    for (role, days) in [("rollout", 7), ("models", 90), ("targets", 365)] {
        operator.expire(role, day(days));
    }
    let today = operator.release(7, &noise(7, TAR));
    operator.rollout(&Rollout { salt: "today".into(), ..rollout("r-7", 7) });
    let clock = HeldClock::at(now);
    let new = Authority::new("fleet, today");
    // Its server's own certificate is a day old: without time it is not believed.
    let yesterday = now.as_second() - DAY;
    let closed = tls_from(yesterday, &old, &[&old, &new], Strangers::Out, clock.clone());
    let open = tls_from(yesterday, &old, &[&old, &new], Strangers::In, clock.clone());
    let repository = Server::start_tls(operator.publish(), closed);
    let enrolment = Server::start_tls(Default::default(), open);
    let pinned = device.path("authority.pem");
    std::fs::write(&pinned, &old.pem).unwrap();
    let fleet = Fleet::new(new, clock);
    fleet.lock().unwrap().before.push(old);
    Fleet::serve(&fleet, &enrolment);

    let time = device.path("synchronised");
    let before =
        device.config.lines().find_map(|line| line.strip_prefix("repository = ")).unwrap().trim_matches('\'');
    let config = device
        .config
        .replace(before, &repository.url)
        .replace(&format!("outcomes_url = '{}/outcomes'\n", repository.url), "")
        .replace("start_within_s = 0", "start_within_s = 0\nlook_s = 1")
        .replace(&device.path("trust/root.json").display().to_string(), &time.display().to_string());
    let config = format!(
        "{config}[tls]\nauthorities_file = '{}'\n[enrolment]\nurl = '{}'\n",
        pinned.display(),
        enrolment.url
    );
    std::fs::write(device.path("agent.toml"), config).unwrap();

    // It starts, and its clock says 1970: nobody vouches for it.
    let service = Service::start(&device);
    until("a poll without time", || service.said("ota.poll.failed") >= 1);
    assert!(device.staged(&first).is_some() && device.staged(&today).is_none());
    let (code, printed, _) = program::run(&device, &["status"]);
    assert_eq!(code, 0);
    println!("{printed}\n");
    assert!(printed.contains("nobody vouches for it") && printed.contains("expired on"), "{printed}");
    std::fs::write(&time, "").unwrap();
    until("today's model", || device.offer().is_some_and(|offer| offer.digest == today));
    println!("{}", service.log());
    assert_eq!(service.said("ota.certificate.renewed"), 1);
    assert!(device.staged(&today).is_some());
    let own = Certificate::read(&device.path("home")).unwrap().unwrap();
    assert!(own.not_after > now.as_second() + 300 * DAY);
    assert_eq!(
        fleet.lock().unwrap().asked.last(),
        Some(&("/v1/renew".to_owned(), None)),
        "an expired one is not shown"
    );
    let root: serde_json::Value =
        serde_json::from_slice(&std::fs::read(device.path("depot/metadata/root.json")).unwrap()).unwrap();
    assert_eq!(root["signed"]["version"], 1 + ROTATIONS);
    let (_, printed, _) = program::run(&device, &["status"]);
    println!("{printed}");
    assert!(printed.contains("renewed from") && printed.contains("agent       runs"), "{printed}");
}
