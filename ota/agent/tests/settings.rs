//! Settings that the operator signs: taken from the repository, within the device's limits, good when home answers under them,
//! given up by the device itself when it does not.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod lab;
mod link;
mod needs;
mod operator;
mod program;
mod reporter;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use stopline_agent::agent::Agent;
use stopline_agent::status;
use stopline_depot::campaign::{self, Brought, Campaign, Campaigns};
use stopline_depot::capture::{CaptureLimit, CaptureLimits};
use stopline_depot::disk::RealDisk;
use stopline_depot::judging::Trust;
use stopline_depot::rollout::member;
use stopline_depot::settings::{Cohort, Document, Home, PATH, Settings, WindowSettings};
use stopline_depot::slots::{DepotPaths, TrustPaths};
use stopline_depot::spool::Rule;
use stopline_depot::versioned;
use stopline_tuf::metadata::TargetFile;

use lab::Fault;
use link::Server;
use needs::until;
use operator::{Device, Operator};
use program::Service;
use reporter::{World, world};

const REMOTE: &str = "[window]\nmobile_day_bytes = 9000000\n[remote]\nhosts = ['127.0.0.1']\n";

/// A device with both servers: the repository's and the fleet's.
struct Both {
    world: World,
    operator: Operator,
    server: Server,
}

fn both(now: Timestamp) -> Both {
    let world = world(now, "", REMOTE);
    // The same keys and the same root as the device was made with.
    let mut operator = Operator::new(now);
    let server = Server::start(operator.publish());
    let config = world.device.config.replace("http://127.0.0.1:1", &server.url);
    std::fs::write(world.device.path("agent.toml"), &config).unwrap();
    let world = World { device: Device { config, ..world.device }, ..world };
    Both { world, operator, server }
}

impl Both {
    /// What the operator signs, by `role`.
    fn set(&mut self, role: &str, revision: u32, settings: Settings) {
        let members = Some(BTreeSet::from([member("salt", self.world.identity.id())]));
        let mine = Cohort {
            name: "north".into(),
            revision,
            hardware: BTreeSet::new(),
            members,
            confirm_within_s: 7_200,
            settings,
        };
        let others =
            Cohort { name: "others".into(), members: None, settings: caps(7_000_000), ..mine.clone() };
        let document = Document { schema: 1, salt: "salt".into(), cohorts: vec![mine, others] };
        let bytes = versioned::write(&document).unwrap();
        self.operator.list(role, PATH, TargetFile::of(&bytes), bytes);
        self.publish();
    }

    fn publish(&mut self) {
        let files = self.operator.publish();
        self.server.state.lock().unwrap().files = files;
    }

    fn agent(&self) -> Agent {
        self.world.device.agent()
    }

    /// A poll, and a process that begins anew where it asks for that.
    fn poll(&self, agent: &mut Option<Agent>) {
        agent.as_mut().unwrap().poll().unwrap();
        self.anew(agent);
    }

    fn anew(&self, agent: &mut Option<Agent>) {
        if agent.as_ref().unwrap().settings().begins_anew() {
            drop(agent.take());
            *agent = Some(self.agent());
        }
    }
}

fn caps(day: u64) -> Settings {
    let window = WindowSettings { mobile_day_bytes: Some(day), ..WindowSettings::default() };
    Settings { window: Some(window), ..Settings::default() }
}

/// What is in force, and the daily cap.
fn in_force(agent: &Agent) -> (Option<String>, Value) {
    let status = status::of_agent(agent);
    (status["settings"].as_str().map(str::to_owned), status["network"]["mobile_day_most"].clone())
}

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

#[test]
fn what_is_signed_for_a_device_is_taken_within_its_limits_and_is_good_when_home_answers() {
    let mut both = both(noon());
    let mut agent = Some(both.agent());
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (None, 9_000_000.into()), "nothing is set yet");

    both.set("campaigns", 1, caps(4_000_000));
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (Some("north 1 on trial".into()), 4_000_000.into()));
    // The repository answers and the fleet's server does not: it is not home yet.
    both.world.lab.set(|lab| lab.always = Some(Fault::Portal));
    both.poll(&mut agent);
    assert!(agent.as_ref().unwrap().settings().is_on_trial());
    both.world.lab.set(|lab| lab.always = None);
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (Some("north 1".into()), 4_000_000.into()));

    // More than the device allows is cut to what it allows.
    both.set("campaigns", 2, caps(50_000_000));
    both.poll(&mut agent);
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (Some("north 2".into()), 9_000_000.into()));

    // Nothing is set any more: the device's own counts, without a trial.
    both.operator.unlist("campaigns", PATH);
    both.publish();
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (None, 9_000_000.into()));
}

#[test]
fn settings_that_do_not_reach_home_are_given_up_and_not_tried_again() {
    let mut both = both(noon());
    let mut agent = Some(both.agent());
    both.set("campaigns", 1, caps(4_000_000));
    both.poll(&mut agent);
    both.poll(&mut agent);
    assert!(!agent.as_ref().unwrap().settings().is_on_trial());

    let home = Home { fleet_url: Some("https://127.0.0.1:9".into()), ..Home::default() };
    let moved = Settings { home: Some(home), ..caps(3_000_000) };
    both.set("campaigns", 2, moved.clone());
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (Some("north 2 on trial".into()), 3_000_000.into()));
    for _ in 0..7 {
        both.world.device.clock.pass(Duration::from_secs(1_000));
        both.poll(&mut agent);
        assert!(agent.as_ref().unwrap().settings().is_on_trial(), "nobody is there");
    }
    both.world.device.clock.pass(Duration::from_secs(1_300));
    agent.as_mut().unwrap().look();
    both.anew(&mut agent);
    let back = (Some("north 1, after another failed".to_owned()), Value::from(4_000_000));
    assert_eq!(in_force(agent.as_ref().unwrap()), back);
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), back, "the same is not tried again");
    both.set("campaigns", 3, caps(5_000_000));
    both.poll(&mut agent);
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (Some("north 3".into()), 5_000_000.into()));
}

#[test]
fn what_another_role_signs_or_what_is_no_setting_changes_nothing_and_keeps_no_rollout_waiting() {
    let mut both = both(noon());
    let mut agent = Some(both.agent());
    both.set("targets", 1, caps(4_000_000));
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (None, 9_000_000.into()), "the role targets sets nothing");
    both.operator.unlist("targets", PATH);
    let trust = br#"{"schema":1,"salt":"s","cohorts":[{"name":"a","revision":1,"confirm_within_s":3600,
        "settings":{"trust":"/tmp"}}]}"#;
    both.operator.list("campaigns", PATH, TargetFile::of(trust), trust.to_vec());
    both.publish();
    let digest = both.operator.release(1, &operator::noise(1, 50_000));
    both.operator.rollout(&operator::rollout("r-1", 1));
    both.publish();
    both.poll(&mut agent);
    assert_eq!(in_force(agent.as_ref().unwrap()), (None, 9_000_000.into()));
    assert!(both.world.device.staged(&digest).is_some(), "the roll-out went on");
    // A device whose owner takes none.
    let config = both.world.device.config.replace("[remote]\n", "").replace("hosts = [", "# hosts = [");
    both.world.device.config = config;
    drop(agent.take());
    both.set("campaigns", 2, caps(4_000_000));
    let mut agent = both.agent();
    agent.poll().unwrap();
    assert_eq!(in_force(&agent), (None, 9_000_000.into()));
}

/// A campaign for this device and for no other.
fn campaign(id: &str) -> Campaign {
    Campaign {
        name: "night-signs".into(),
        hardware: BTreeSet::new(),
        members: Some(BTreeSet::from([member("salt", id)])),
        from: 1_790_000_000,
        until: 1_790_000_000 + 86_400,
        frames_per_day: 20,
        bytes_per_day: 2_000_000,
        labels: BTreeSet::from(["stop_sign".to_owned()]),
        score: None,
        hours_utc: None,
        rate: 1.0,
    }
}

#[test]
fn frames_that_the_operator_asks_for_are_brought_to_where_the_runtime_judges_them() {
    let mut both = both(noon());
    let id = both.world.identity.id().to_owned();
    let place = DepotPaths::new(both.world.device.path("depot")).campaigns();
    let ask = |both: &mut Both, role: &str, name: &str| {
        let campaigns = vec![Campaign { name: name.into(), ..campaign(&id) }];
        let document = Campaigns { schema: 1, salt: "salt".into(), campaigns };
        let bytes = versioned::write(&document).unwrap();
        both.operator.list(role, campaign::PATH, TargetFile::of(&bytes), bytes);
        both.publish();
    };
    // As the runtime reads it: by the root in the trust folder alone.
    let judged = |both: &Both| -> Result<Vec<String>, String> {
        let brought: Brought = versioned::read(&std::fs::read(&place).unwrap()).unwrap();
        assert_eq!(brought.device, id);
        let trust = TrustPaths::new(both.world.device.path("trust"));
        let trust = Trust::read(&RealDisk, &trust, &both.world.device.path("none")).unwrap();
        let all = trust.campaigns(&brought).map_err(|error| error.to_string())?;
        Ok(all.of("orin", &id).map(|campaign| campaign.name.clone()).collect())
    };
    let mut agent = both.agent();
    agent.poll().unwrap();
    assert!(!place.exists(), "nothing is asked");
    ask(&mut both, "targets", "by-others");
    agent.poll().unwrap();
    assert!(!place.exists(), "the role targets asks for nothing");
    both.operator.unlist("targets", campaign::PATH);
    ask(&mut both, "campaigns", "night-signs");
    agent.poll().unwrap();
    assert_eq!(judged(&both), Ok(vec!["night-signs".to_owned()]));
    // The root is rotated: the chain comes along, and what stands goes on standing.
    both.operator.rotate();
    ask(&mut both, "campaigns", "day-signs");
    agent.poll().unwrap();
    assert_eq!(judged(&both), Ok(vec!["day-signs".to_owned()]));
    // Between agent and runtime somebody asks for more.
    let mut forged: Brought = versioned::read(&std::fs::read(&place).unwrap()).unwrap();
    forged.document = forged.document.replace("\"frames_per_day\": 20", "\"frames_per_day\": 99");
    assert!(forged.document.contains("99"));
    std::fs::write(&place, versioned::write(&forged).unwrap()).unwrap();
    assert!(judged(&both).is_err());
    agent.poll().unwrap();
    assert_eq!(judged(&both), Ok(vec!["day-signs".to_owned()]), "it is brought again");
    both.operator.unlist("campaigns", campaign::PATH);
    both.publish();
    agent.poll().unwrap();
    assert!(!place.exists(), "withdrawn");
    drop(agent);
    // A device whose owner wants none.
    let config = both.world.device.config.replace("[remote]\n", "[remote]\ncampaigns = false\n");
    both.world.device.config = config;
    ask(&mut both, "campaigns", "night-signs");
    both.agent().poll().unwrap();
    assert!(!place.exists());
}

#[test]
fn capture_limits_are_told_to_the_runtime_while_they_are_in_force_and_taken_back_with_the_rest() {
    let mut both = both(noon());
    let place = DepotPaths::new(both.world.device.path("depot")).capture_limits();
    let told = || {
        let bytes = std::fs::read(&place).ok()?;
        let limits: CaptureLimits = versioned::read(&bytes).unwrap();
        Some((limits.set_by, limits.rules[&Rule::Random].per_day.unwrap()))
    };
    let random = |per_day: u32| Settings {
        capture: BTreeMap::from([(
            Rule::Random,
            CaptureLimit { per_day: Some(per_day), ..CaptureLimit::default() },
        )]),
        ..Settings::default()
    };
    let mut agent = Some(both.agent());
    both.set("campaigns", 1, random(20));
    both.poll(&mut agent);
    assert!(agent.as_ref().unwrap().settings().is_on_trial());
    assert_eq!(told(), Some(("north 1".into(), 20)), "on trial too");
    both.poll(&mut agent);
    assert!(!agent.as_ref().unwrap().settings().is_on_trial());

    // Others come with an address where nobody is: with the rest they are given up.
    let home = Home { fleet_url: Some("https://127.0.0.1:9".into()), ..Home::default() };
    both.set("campaigns", 2, Settings { home: Some(home), ..random(0) });
    both.poll(&mut agent);
    assert_eq!(told(), Some(("north 2".into(), 0)));
    both.poll(&mut agent);
    both.world.device.clock.pass(Duration::from_secs(7_300));
    agent.as_mut().unwrap().look();
    both.anew(&mut agent);
    assert_eq!(told(), Some(("north 1".into(), 20)), "what was good");
    // Somebody took it away or wrote something else there: it is brought again.
    std::fs::remove_file(&place).unwrap();
    agent.as_mut().unwrap().look();
    assert_eq!(told(), Some(("north 1".into(), 20)));

    both.set("campaigns", 3, caps(5_000_000));
    both.poll(&mut agent);
    assert_eq!(told(), None, "nothing of capture is set any more");
    both.set("campaigns", 4, random(5));
    both.poll(&mut agent);
    assert_eq!(told(), Some(("north 4".into(), 5)));
    // The owner takes no settings any more.
    drop(agent.take());
    let config = both.world.device.config.replace("[remote]\n", "").replace("hosts = [", "# hosts = [");
    both.world.device.config = config;
    drop(both.agent());
    assert_eq!(told(), None);
}

#[test]
fn the_running_program_begins_anew_with_them() {
    let mut both = both(Timestamp::now());
    both.set("campaigns", 1, caps(4_000_000));
    let service = Service::start(&both.world.device);
    let check = || {
        let (_, said, problem) = program::run(&both.world.device, &["check-now", "--json"]);
        serde_json::from_str::<Value>(&said).unwrap_or_else(|_| panic!("{said}{problem}"))
    };
    until("the control socket", || both.world.device.path("home/control.sock").exists());
    check();
    until("another beginning", || service.said("stopline-agent 0.") == 2);
    until("the settings", || check()["settings"] == "north 1");
    assert_eq!(check()["network"]["mobile_day_most"], 4_000_000);
    assert_eq!(service.said("begins anew"), 1, "{}", service.log());
}
