//! An agent beside a real repository on a real server: what it fetches, offers, refuses, and tells.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod link;
mod operator;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use stopline_agent::agent::OpenError;
use stopline_depot::deployment::{DeployCause, Phase, Verdict, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::rollout::{Rollout, State, Window};
use stopline_depot::slots::FACTORY;
use stopline_depot::versioned;
use stopline_tuf::time::Reading;

use link::Server;
use operator::{Device, MODEL, Operator, noise, phase, rollout, said};

const TAR: usize = 200_000;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A repository with one release, rolled out to all.
fn world() -> (Operator, Server, Device, Digest) {
    let mut operator = Operator::new(now());
    let digest = operator.release(1, &noise(1, TAR));
    operator.rollout(&rollout("r-1", 1));
    let server = Server::start(operator.publish());
    let device = Device::new(&server.url, &operator);
    (operator, server, device, digest)
}

#[test]
fn a_signed_model_is_fetched_staged_offered_and_told() {
    let (_operator, server, device, digest) = world();
    server.state.lock().unwrap().post_status = 503;
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
    assert_eq!(device.staged(&digest), Some(noise(1, TAR)));
    let offer = device.offer().unwrap();
    assert_eq!(
        (offer.digest, offer.state, offer.attended, offer.verified_at),
        (digest, State::Active, false, Some(now().as_second()))
    );
    assert_eq!(
        said(&agent),
        [(Phase::Offered, None), (Phase::Fetching, None), (Phase::Staged, None)],
        "they wait for the fleet"
    );
    server.state.lock().unwrap().post_status = 200;
    agent.send_outcomes();
    assert_eq!(said(&agent), []);
    let posted: Vec<SignedOutcome> =
        server.state.lock().unwrap().posted.iter().map(|body| versioned::read(body).unwrap()).collect();
    assert!(posted.len() >= 3 && posted.iter().all(|one| one.is_signed_by(&key(&device))));
    assert_eq!(posted.last().map(|one| (one.outcome.seq, one.outcome.phase)), Some((3, Phase::Staged)));
    let metrics = std::fs::read_to_string(device.path("metrics.prom")).unwrap();
    for phase in ["offered", "fetching", "staged"] {
        let line =
            format!("stopline_agent_transitions_total{{model=\"stop-sign\",phase=\"{phase}\",cause=\"\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    let asked = server.asked().len();
    agent.poll().unwrap();
    assert_eq!(server.asked().len(), asked, "what is here is not fetched again");
    assert_eq!(said(&agent), []);
}

/// Of a model that decides, new or not, the fleet hears what it did, or it could not be compared.
#[test]
fn what_a_model_does_in_service_is_told_signed_now_and_then() {
    let (_operator, server, device, new) = world();
    let factory = Digest::of(b"factory");
    let mut agent = device.agent();
    device.service(FACTORY, factory, 900, 1);
    agent.look();
    agent.look();
    device.service(FACTORY, factory, 900 + 14_399, 1);
    agent.look();
    device.service(FACTORY, factory, 900 + 14_400, 3);
    agent.look();
    agent.poll().unwrap();
    device.progress("r-1", new, Phase::Trial, None);
    device.service("r-1", new, 20_000, 8);
    agent.look();
    device.progress("r-1", new, Phase::Good, None);
    device.service("r-1", new, 40_000, 9);
    agent.look();
    let other = "returned";
    device.service(other, factory, 14_000, 0);
    drop(agent);
    device.agent().poll().unwrap();
    let exposed: Vec<_> = server
        .state
        .lock()
        .unwrap()
        .posted
        .iter()
        .map(|body| versioned::read::<SignedOutcome>(body).unwrap())
        .inspect(|one| assert!(one.is_signed_by(&key(&device))))
        .filter_map(|one| Some((one.outcome.exposure?, one.outcome)))
        .filter(|(exposure, _)| exposure.active_s != 60)
        .map(|(exposure, outcome)| (outcome.rollout_id, outcome.phase, exposure.active_s, exposure.alerts))
        .collect();
    let told = |rollout: &str, phase, active_s, alerts| (rollout.to_owned(), phase, active_s, alerts);
    assert_eq!(
        exposed,
        [
            told(FACTORY, Phase::Good, 900, 1),
            told(FACTORY, Phase::Good, 15_300, 3),
            told("r-1", Phase::Trial, 20_000, 8),
            told("r-1", Phase::Good, 40_000, 9),
            told(other, Phase::Good, 14_000, 0),
        ]
    );
    let metrics = std::fs::read_to_string(device.path("metrics.prom")).unwrap();
    assert!(metrics.contains("stopline_agent_exposures_total{model=\"stop-sign\"} 1"), "{metrics}");
}

fn key(device: &Device) -> [u8; 32] {
    stopline_agent::identity::Identity::open(&device.path("home")).unwrap().public_key()
}

#[test]
fn the_runtime_is_followed_to_good_and_an_abort_reaches_it_there() {
    let (mut operator, server, device, digest) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    for (seen, told) in [
        (Phase::Tested, vec![Phase::Tested]),
        (Phase::Armed, vec![Phase::Armed]),
        (Phase::Good, vec![Phase::Trial, Phase::Good]),
    ] {
        device.progress("r-1", digest, seen, None);
        agent.look();
        assert_eq!(phase(&agent), Some((seen, None)));
        let last: Vec<Phase> =
            said(&agent).iter().rev().take(told.len()).rev().map(|(phase, _)| *phase).collect();
        assert_eq!(last, told, "phases between two looks are told too");
    }
    assert_eq!(agent.watch_s(), Some(3_600), "a Good model is watched hourly");
    operator.rollout(&Rollout { state: State::Aborted, ..rollout("r-1", 1) });
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(device.offer().unwrap().state, State::Aborted);
    device.progress("r-1", digest, Phase::Withdrawn, Some(DeployCause::Aborted));
    agent.look();
    assert_eq!(phase(&agent), Some((Phase::Withdrawn, Some(DeployCause::Aborted))));
    assert!(device.offer().is_none() && agent.watch_s().is_none());
    assert!(device.staged(&digest).is_none(), "a slot that nothing speaks for is emptied");
}

#[test]
fn pause_holds_abort_withdraws_and_a_newer_roll_out_takes_the_place() {
    let (mut operator, server, device, first) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    operator.rollout(&Rollout { state: State::Paused, ..rollout("r-1", 1) });
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!((device.offer().unwrap().state, phase(&agent)), (State::Paused, Some((Phase::Staged, None))));

    let second = operator.release(2, &noise(2, TAR));
    operator.rollout(&rollout("r-2", 2));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert!(
        said(&agent).contains(&(Phase::Withdrawn, Some(DeployCause::Superseded))) || said(&agent).is_empty()
    );
    assert_eq!(device.offer().unwrap().digest, second);

    operator.rollout(&Rollout { state: State::Aborted, ..rollout("r-2", 2) });
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Withdrawn, Some(DeployCause::Aborted))));
    assert!(device.offer().is_none() && device.staged(&first).is_none() && device.staged(&second).is_none());
}

#[test]
fn a_share_of_nobody_and_a_paused_beginning_fetch_nothing() {
    let (mut operator, server, device, _) = world();
    let mut nobody = rollout("r-0", 1);
    nobody.targets.values_mut().for_each(|variant| variant.percent_bp = 0);
    for document in [nobody, Rollout { state: State::Paused, ..rollout("r-0b", 1) }] {
        operator.rollout(&document);
        server.set_files(operator.publish());
        let mut agent = device.agent();
        agent.poll().unwrap();
        assert_eq!(phase(&agent), None);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn what_must_not_run_is_refused_by_its_cause() {
    type Change = fn(&mut Operator, &Device, Digest);
    let cases: [(&str, Change, Option<(Phase, Option<DeployCause>)>); 7] = [
        (
            "floor",
            |_, device, _| device.trust(&[(MODEL, 2)], &[]),
            Some((Phase::Rejected, Some(DeployCause::Floor))),
        ),
        (
            "deny list",
            |_, device, digest| device.trust(&[], &[digest]),
            Some((Phase::Rejected, Some(DeployCause::Denied))),
        ),
        (
            "known bad",
            |_, device, digest| bad(device, digest),
            Some((Phase::Rejected, Some(DeployCause::KnownBad))),
        ),
        (
            "other hardware",
            |operator, _, _| {
                operator
                    .release_by("models", 1, &noise(1, TAR), |release| release.hardware = vec!["pi".into()]);
            },
            Some((Phase::Deferred, Some(DeployCause::Hardware))),
        ),
        (
            "not what was signed inside",
            |operator, _, _| wrong_inside(operator),
            Some((Phase::Rejected, Some(DeployCause::Content))),
        ),
        ("signed by the wrong role", |operator, _, _| wrong_role(operator), None),
        (
            "no trust folder",
            |_, device, _| std::fs::remove_file(device.path("trust/deny.json")).unwrap(),
            None,
        ),
    ];
    for (name, change, expected) in cases {
        let (mut operator, server, device, digest) = world();
        change(&mut operator, &device, digest);
        server.set_files(operator.publish());
        let mut agent = device.agent();
        let _ = agent.poll();
        assert_eq!(phase(&agent), expected, "{name}");
        assert!(device.offer().is_none(), "{name}: offered");
    }
}

fn bad(device: &Device, digest: Digest) {
    let verdict = Verdict {
        schema: 1,
        digest,
        verdict: VerdictState::Bad { cause: DeployCause::Crash },
        runtime: Version::new(1, 0, 0),
        deferred: 0,
    };
    std::fs::write(device.state().verdict(&digest), versioned::write(&verdict).unwrap()).unwrap();
}

/// The packed file is the one that is signed; what it unpacks to is not.
fn wrong_inside(operator: &mut Operator) {
    operator
        .release_by("models", 1, &noise(1, TAR), |release| release.unpacked.sha256 = Digest::of(b"another"));
}

/// A thief of the online key lists a model of their own under a new name.
fn wrong_role(operator: &mut Operator) {
    operator.release_by("rollout", 9, &noise(9, TAR), |_| ());
    operator.rollout(&rollout("r-9", 9));
}

#[test]
fn a_bad_bundle_that_is_forgiven_is_tried_once_more() {
    let (mut operator, server, device, digest) = world();
    bad(&device, digest);
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Rejected, Some(DeployCause::KnownBad))));
    let forgive = [digest].into();
    operator.rollout(&Rollout { forgive, ..rollout("r-1", 1) });
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
    assert!(device.offer().unwrap().forgiven);
}

#[test]
fn documents_of_a_newer_schema_wait_and_break_nothing() {
    let (mut operator, server, device, digest) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    operator.document(br#"{"schema": 2, "new_key": true}"#.to_vec());
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)), "what was begun stands");
    operator.rollout(&rollout("r-3", 3));
    operator.release_by("models", 3, &noise(3, TAR), |release| release.schema = 7);
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!((phase(&agent), device.offer().unwrap().digest), (Some((Phase::Staged, None)), digest));
    operator.release(3, &noise(3, TAR));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(agent.deployment(MODEL).unwrap().rollout_id, "r-3");
}

#[test]
fn a_lower_release_is_taken_where_the_roll_out_names_it_and_the_floor_allows() {
    let (mut operator, server, device, first) = world();
    let second = operator.release(2, &noise(2, TAR));
    operator.rollout(&rollout("r-2", 2));
    server.set_files(operator.publish());
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(device.offer().unwrap().digest, second);
    operator.rollout(&rollout("r-back", 1));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(device.offer().unwrap().digest, first);
}

/// TRUST: the floor is the highest that a signed release ever named, and whoever lists older ones again does not lower it.
#[test]
fn the_highest_floor_ever_seen_is_remembered_and_never_falls() {
    let (mut operator, server, device, first) = world();
    operator.release_by("models", 3, &noise(3, TAR), |release| release.security_floor = 2);
    // Shown to nobody yet: it is signed and seen, and that is enough.
    let mut nobody = rollout("r-3", 3);
    nobody.targets.values_mut().for_each(|variant| variant.percent_bp = 0);
    operator.rollout(&nobody);
    server.set_files(operator.publish());
    device.agent().poll().unwrap();
    operator.rollout(&rollout("r-back", 1));
    server.set_files(operator.publish());
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Rejected, Some(DeployCause::Floor))), "after a start too");
    assert!(device.offer().is_none() && device.staged(&first).is_none() && server.asked().is_empty());
    // A person with a stick does not get below it either.
    let stick = tempfile::tempdir().unwrap();
    let mut old = Operator::new(now());
    old.release(1, &noise(1, TAR));
    operator::stick(&old.publish(), stick.path());
    assert!(agent.install(stick.path()).is_err());
    // The highest counts: a later release that names a lower one changes nothing, and one above it is taken.
    let second = operator.release(2, &noise(2, TAR));
    operator.rollout(&rollout("r-2", 2));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(device.offer().unwrap().digest, second);
    let file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(device.path("home/floor.json")).unwrap()).unwrap();
    assert_eq!(file["models"][MODEL], 2);
    std::fs::write(device.path("home/floor.json"), "{").unwrap();
    drop(agent);
    let config = stopline_agent::config::Config::parse(&device.config).unwrap();
    let broken =
        stopline_agent::agent::Agent::open(config, device.clock.clone(), device.runtime.handle().clone());
    assert!(broken.is_err_and(|error| error.to_string().contains("floor.json")), "fails closed");
}

#[test]
fn who_asks_now_is_not_held_by_a_pause_after_a_failure_and_is_told_so() {
    let (_operator, server, device, digest) = world();
    server.fail([link::Fault::Status(429, Some(4_000))]);
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Network))));
    agent.poll().unwrap();
    assert_eq!(server.asked().len(), 1, "a poll of its own keeps to the pause");
    let passed = agent.check_now().unwrap();
    assert_eq!(passed.len(), 1);
    assert_eq!((&passed[0].model[..], passed[0].cause), (MODEL, Some(DeployCause::Network)));
    assert!(passed[0].seconds >= 3_900, "{passed:?}");
    assert_eq!((phase(&agent), device.staged(&digest).is_some()), (Some((Phase::Staged, None)), true));
    // After a start, when only the journal knows of the pause.
    let (_operator, server, device, digest) = world();
    server.fail([link::Fault::Status(429, Some(4_000))]);
    device.agent().poll().unwrap();
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(server.asked().len(), 1);
    assert_eq!(agent.check_now().unwrap().len(), 1);
    assert!(device.staged(&digest).is_some());
    assert_eq!(agent.check_now().unwrap(), [], "nothing is held any more");
}

#[test]
fn who_asks_now_does_not_open_a_window() {
    let (mut operator, server, device, _) = world();
    operator.rollout(&Rollout { window: Window { parked: true, ..Window::default() }, ..rollout("r-w", 1) });
    server.set_files(operator.publish());
    let mut agent = device.agent();
    agent.check_now().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Window))));
    assert!(server.asked().is_empty());
}

#[test]
fn under_one_name_a_roll_out_does_not_change_its_target() {
    let (mut operator, server, device, first) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    operator.release(2, &noise(2, TAR));
    operator.rollout(&rollout("r-1", 2));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!(device.offer().unwrap().digest, first);
    let metrics = std::fs::read_to_string(device.path("metrics.prom")).unwrap();
    assert!(metrics.contains("result=\"rollout_changed\""), "{metrics}");
}

#[test]
fn what_the_window_forbids_waits_and_goes_on_when_it_opens() {
    let (mut operator, server, device, _) = world();
    let window = Window { parked: true, ..Window::default() };
    operator.rollout(&Rollout { window, ..rollout("r-w", 1) });
    server.set_files(operator.publish());
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Window))));
    for _ in 0..5 {
        agent.look();
    }
    assert_eq!(agent.deployment(MODEL).unwrap().transitions, 1, "waiting is told once");
    assert!(server.asked().is_empty());
    std::fs::write(device.path("parked"), "1").unwrap();
    agent.look();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
}

#[test]
fn expired_metadata_stops_what_is_new_and_nothing_else() {
    let (mut operator, server, device, digest) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    device.clock.pass(Duration::from_secs(3 * 86_400));
    assert_eq!(agent.poll().unwrap_err().code(), "expired");
    assert_eq!((device.offer().unwrap().digest, phase(&agent)), (digest, Some((Phase::Staged, None))));
    device.progress("r-1", digest, Phase::Good, None);
    agent.look();
    assert_eq!(phase(&agent), Some((Phase::Good, None)), "a confirmation needs no fresh metadata");
    operator.now = now().checked_add(SignedDuration::from_hours(72)).unwrap();
    operator.expire("rollout", operator.now.checked_add(SignedDuration::from_hours(48)).unwrap());
    server.set_files(operator.publish());
    agent.poll().unwrap();
}

/// The board starts in 1970, a broken server sends it to 2038, then it is right: nobody has to come.
#[test]
fn no_clock_1970_2038_then_right_recovers_without_hands() {
    let (mut operator, server, device, digest) = world();
    let at = |text: &str| Reading::Synchronised(text.parse().unwrap());
    let mut agent = device.agent();
    device.clock.set(Reading::Unverified);
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)), "without a clock it fetches and stages");
    let offer = device.offer().unwrap();
    assert!(
        offer.verified_at.is_none() && offer.verified_since_boot.is_some(),
        "and says that no clock stands behind it"
    );
    device.clock.set(at("1970-01-01T00:00:10Z"));
    agent.poll().unwrap();
    device.clock.set(at("2038-01-19T03:14:07Z"));
    assert_eq!(agent.poll().unwrap_err().code(), "expired");
    drop(agent);
    device.clock.set(Reading::Synchronised(now()));
    let mut agent = device.agent();
    operator.release(2, &noise(2, TAR));
    operator.rollout(&rollout("r-2", 2));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    let offer = device.offer().unwrap();
    assert_ne!(offer.digest, digest);
    assert_eq!(offer.verified_at, Some(now().as_second()));
}

#[test]
fn two_updaters_do_not_share_a_depot() {
    let (_operator, _server, device, _) = world();
    let _agent = device.agent();
    let config = stopline_agent::config::Config::parse(&device.config).unwrap();
    let second =
        stopline_agent::agent::Agent::open(config, device.clock.clone(), device.runtime.handle().clone());
    assert!(matches!(second, Err(OpenError::Agent(error)) if error.code() == "held"));
}

#[test]
fn a_start_in_the_middle_goes_on() {
    let (_operator, server, device, digest) = world();
    server.fail([link::Fault::Status(429, Some(4_000))]);
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Network))));
    agent.look();
    assert_eq!(server.asked().len(), 1, "the server asked for a pause");
    drop(agent);
    let mut agent = device.agent();
    device.clock.pass(Duration::from_secs(8_000));
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
    assert!(device.staged(&digest).is_some());
}

#[test]
fn a_delta_is_taken_where_it_is_smaller_and_starts_from_what_is_here() {
    use stopline_depot::delta::{Algorithm, make};
    let (mut operator, server, device, first) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    device.progress("r-1", first, Phase::Good, None);
    agent.look();
    let mut tar = noise(1, TAR);
    tar[1_000..1_100].fill(7);
    let made = make(&noise(1, TAR), &tar, Algorithm::PatchFrom).unwrap();
    for (seq, bytes, by_delta) in [(2, made.clone(), true), (3, vec![1; 900], false)] {
        tar[0] = u8::try_from(seq).unwrap();
        let bytes = if by_delta { make(&noise(1, TAR), &tar, Algorithm::PatchFrom).unwrap() } else { bytes };
        let name = format!("{seq}.delta");
        let offered = operator::delta(first, &name, bytes.len() as u64);
        operator.release_by("models", seq, &tar, |release| release.deltas = vec![offered]);
        operator.delta_file(&name, &bytes);
        operator.rollout(&rollout(&format!("r-{seq}"), seq));
        server.set_files(operator.publish());
        server.fail([]);
        agent.poll().unwrap();
        assert_eq!(device.staged(&Digest::of(&tar)), Some(tar.clone()), "release {seq}");
        let full = server.asked().iter().any(|(path, ..)| path.ends_with(".slb"));
        assert_eq!(
            full, !by_delta,
            "release {seq}: a delta that does not hold costs a full file, and nothing else"
        );
        assert!(!by_delta || server.model_bytes() < 10_000, "{}", server.model_bytes());
    }
}

#[test]
fn a_stick_installs_what_is_signed_although_its_freshness_is_gone() {
    let (mut operator, _server, device, digest) = world();
    let stick = tempfile::tempdir().unwrap();
    operator::stick(&operator.publish(), stick.path());
    device.clock.pass(Duration::from_secs(60 * 86_400));
    let mut agent = device.agent();
    let installed = agent.install(stick.path()).unwrap();
    assert_eq!(installed.iter().map(|one| one.digest).collect::<Vec<_>>(), [digest]);
    let offer = device.offer().unwrap();
    assert!(offer.attended && offer.rollout_id == "usb" && offer.digest == digest);
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
}

#[test]
fn a_stick_is_refused_for_all_that_a_person_cannot_judge() {
    type Change = fn(&mut Operator, &Device, Digest);
    let cases: [(&str, Change, &str); 5] = [
        ("floor", |_, device, _| device.trust(&[(MODEL, 2)], &[]), "refused"),
        ("deny list", |_, device, digest| device.trust(&[], &[digest]), "refused"),
        (
            "hardware",
            |operator, _, _| {
                operator
                    .release_by("models", 1, &noise(1, TAR), |release| release.hardware = vec!["pi".into()]);
            },
            "refused",
        ),
        ("models expired", |operator, _, _| operator.expire("models", now()), "expired"),
        (
            "wrong role",
            |operator, _, _| {
                operator.release_by("rollout", 2, &noise(2, TAR), |_| ());
            },
            "wrong_role",
        ),
    ];
    for (name, change, code) in cases {
        let (mut operator, _server, device, digest) = world();
        change(&mut operator, &device, digest);
        let stick = tempfile::tempdir().unwrap();
        operator::stick(&operator.publish(), stick.path());
        device.clock.pass(Duration::from_secs(60));
        let error = device.agent().install(stick.path()).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(device.offer().is_none(), "{name}");
    }
}

#[test]
fn a_stick_that_is_damaged_at_its_end_touches_no_slot() {
    let (mut operator, _server, device, _) = world();
    let stick = tempfile::tempdir().unwrap();
    let mut files = operator.publish();
    let packed = files.iter_mut().find(|(path, _)| path.ends_with(".slb")).unwrap().1;
    *packed.last_mut().unwrap() ^= 1;
    operator::stick(&files, stick.path());
    let mut agent = device.agent();
    assert_eq!(agent.install(stick.path()).unwrap_err().code(), "refused");
    assert_eq!(phase(&agent), None);
    assert_eq!(std::fs::read_dir(device.path("depot/slots")).unwrap().count(), 0);
}

#[test]
fn a_stick_older_than_what_is_known_here_gives_what_is_still_listed() {
    let (mut operator, server, device, first) = world();
    let stick = tempfile::tempdir().unwrap();
    operator::stick(&operator.publish(), stick.path());
    operator.release(2, &noise(2, TAR));
    operator.rollout(&Rollout { state: State::Paused, ..rollout("r-2", 2) });
    server.set_files(operator.publish());
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), None);
    assert_eq!(agent.install(stick.path()).unwrap().first().map(|one| one.digest), Some(first));
}
