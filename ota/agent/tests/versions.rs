//! An agent among programs of tomorrow: documents of a newer schema in the repository, from the runtime, and from a newer
//! agent that was taken back. Each waits, nothing is lost, and what comes afterwards goes on.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod link;
mod operator;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use stopline_agent::agent::{Agent, OpenError};
use stopline_agent::config::Config;
use stopline_depot::deployment::{DeployCause, Phase, Verdict, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::slots::{DepotPaths, ModelPointers, Pointers};
use stopline_depot::versioned;

use link::Server;
use operator::{Device, HARDWARE, MODEL, Operator, noise, phase, rollout};

const TAR: usize = 100_000;

fn world() -> (Operator, Server, Device, Digest) {
    let mut operator = Operator::new("2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap());
    let digest = operator.release(1, &noise(1, TAR));
    operator.rollout(&rollout("r-1", 1));
    let server = Server::start(operator.publish());
    let device = Device::new(&server.url, &operator);
    (operator, server, device, digest)
}

/// The same document with the schema of tomorrow and a key of tomorrow.
fn tomorrow(bytes: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    value["schema"] = 2.into();
    value["of_tomorrow"] = json!({"more": true});
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn a_roll_out_or_release_of_tomorrow_waits_and_todays_deployment_stays() {
    let (mut operator, server, device, first) = world();
    let mut agent = device.agent();
    agent.poll().unwrap();
    let stands = |agent: &Agent, device: &Device| {
        assert_eq!(phase(agent), Some((Phase::Staged, None)));
        assert_eq!(device.offer().unwrap().digest, first);
        assert!(device.staged(&first).is_some());
    };

    operator.document(tomorrow(&versioned::write(&rollout("r-2", 1)).unwrap()));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    stands(&agent, &device);
    assert!(metrics(&device).contains("newer_schema"), "{}", metrics(&device));

    operator.release_by("models", 2, &noise(2, TAR), |release| release.schema = 2);
    operator.rollout(&rollout("r-3", 2));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    stands(&agent, &device);

    let third = operator.release(3, &noise(3, TAR));
    operator.rollout(&rollout("r-4", 3));
    server.set_files(operator.publish());
    agent.poll().unwrap();
    assert_eq!((phase(&agent), device.offer().unwrap().digest), (Some((Phase::Staged, None)), third));
}

fn metrics(device: &Device) -> String {
    std::fs::read_to_string(device.path("metrics.prom")).unwrap()
}

/// What a document of tomorrow keeps the agent from.
#[derive(Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing new begins until today's is there again.
    Waits,
    /// It does without.
    GoesOn,
}

/// A document that this device holds, with what today's says.
fn documents(device: &Device, digest: Digest) -> Vec<(&'static str, PathBuf, Vec<u8>, Effect)> {
    let (state, trust) = (device.state(), |name: &str| device.path("trust").join(name));
    let of_model = ModelPointers { current: Some(digest), ..ModelPointers::default() };
    let pointers = Pointers { schema: 1, models: [(MODEL.to_owned(), of_model)].into() };
    let verdict = Verdict {
        schema: 1,
        digest,
        verdict: VerdictState::Tested,
        runtime: "0.1.0".parse().unwrap(),
        deferred: 0,
    };
    let read = |path: &Path| std::fs::read(path).unwrap();
    device.progress("r-1", digest, Phase::Tested, None);
    let (progress, floor, deny) = (state.progress(MODEL), trust("floor.json"), trust("deny.json"));
    vec![
        ("progress", progress.clone(), read(&progress), Effect::GoesOn),
        ("pointers", state.pointers(), versioned::write(&pointers).unwrap(), Effect::Waits),
        ("verdict", state.verdict(&digest), versioned::write(&verdict).unwrap(), Effect::Waits),
        ("floor", floor.clone(), read(&floor), Effect::Waits),
        ("deny list", deny.clone(), read(&deny), Effect::Waits),
        ("health", device.path("health.json"), br#"{"schema": 1}"#.to_vec(), Effect::GoesOn),
    ]
}

#[test]
fn a_runtime_or_an_image_of_tomorrow_makes_the_agent_wait_and_todays_makes_it_go_on() {
    println!("document of tomorrow  what the agent does");
    for index in 0..6 {
        let (mut operator, server, mut device, first) = world();
        let health = format!("[device]\nhealth_file = {:?}", device.path("health.json"));
        device.config = device.config.replace("[device]", &health);
        let mut agent = device.agent();
        agent.poll().unwrap();
        let second = operator.release(2, &noise(2, TAR));
        let (name, path, today, effect) =
            documents(&device, if index == 2 { second } else { first }).swap_remove(index);
        operator.rollout(&rollout("r-2", 2));
        server.set_files(operator.publish());
        std::fs::write(&path, tomorrow(&today)).unwrap();
        let polled = agent.poll();
        let offered = device.offer().map(|offer| offer.digest);
        println!(
            "{name:<21} {effect:?}: {polled:?}, offers {}",
            if offered == Some(first) { "the first" } else { "the second" }
        );
        let goes_on = offered == Some(second);
        assert_eq!(goes_on, effect == Effect::GoesOn, "{name}");
        assert!(device.staged(&first).is_some(), "{name}: what was here is lost");
        assert_eq!(std::fs::read(&path).unwrap(), tomorrow(&today), "{name}: written over");

        std::fs::write(&path, &today).unwrap();
        // What was put off is tried again after its pause.
        for _ in 0..20 {
            device.clock.pass(std::time::Duration::from_secs(3_600));
            let _ = agent.poll();
        }
        assert_eq!(device.offer().map(|offer| offer.digest), Some(second), "{name}: today's again");
    }
}

#[test]
fn an_agent_that_was_taken_back_finds_what_the_newer_one_left_and_changes_nothing() {
    let (_operator, _server, device, digest) = world();
    device.agent().poll().unwrap();
    let paths = DepotPaths::new(device.path("depot"));
    for path in [paths.journal(), paths.slot_record(&digest), paths.offer(MODEL)] {
        let today = std::fs::read(&path).unwrap();
        std::fs::write(&path, tomorrow(&today)).unwrap();
        let config = Config::parse(&device.config).unwrap();
        match Agent::open(config, device.clock.clone(), device.runtime.handle().clone()) {
            Err(OpenError::Agent(error)) => {
                assert_eq!((error.cause(), path.clone()), (DeployCause::Schema, paths.journal()), "{error}");
            }
            Err(error) => panic!("{error}"),
            Ok(mut agent) => drop(agent.poll()),
        }
        assert_eq!(std::fs::read(&path).unwrap(), tomorrow(&today), "{}", path.display());
        std::fs::write(&path, today).unwrap();
        assert!(device.staged(&digest).is_some());
    }
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
    assert_eq!(device.offer().map(|offer| (offer.digest, HARDWARE)), Some((digest, "orin")));
}

#[test]
fn a_configuration_of_tomorrow_is_refused_with_what_to_do_and_todays_is_left_alone() {
    let (_operator, _server, device, _) = world();
    let path = device.path("agent.toml");
    let migrate = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_stopline-agent"));
        let done = program.args(["config", "migrate", "--config"]).arg(&path).args(more).output().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "written for nothing");
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (done.status.code(), said)
    };
    for text in [device.config.clone(), format!("schema = 1 # the first\n{}", device.config)] {
        for more in [[].as_slice(), &["--dry-run"]] {
            let (code, said) = migrate(&text, more);
            assert_eq!(code, Some(0), "{said}");
            assert!(said.ends_with("schema 1 is the newest; nothing to change\n"), "{said}");
        }
    }
    let (code, said) = migrate(&format!("schema = 2\nof_tomorrow = 1\n{}", device.config), &[]);
    assert_eq!(code, Some(3), "{said}");
    for words in ["found 2, expected at most 1", "install the newer stopline-agent", ".schema-1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
