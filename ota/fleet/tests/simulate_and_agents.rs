//! `simulate` and the agent say the same: two hundred real agent processes live through the nights of a simulation, one
//! roll-out from 1 % over 50 % to all, with a cohort, an exclude list, a window, vehicles on the road and out of reach; in
//! each night the same devices must get it.
//!
//! An agent's clock is the machine's. What differs from vehicle to vehicle is its local time: each process is started in
//! the time zone in which it is the device's own minute of the night.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use stopline_depot::digest::Digest;
use stopline_depot::eligible::poll_second;
use stopline_depot::rollout::{Gates, Network, Stage, Window};
use stopline_fleet::rollouts::{self, Step};
use stopline_fleet::simulate::{self, Night, Plan};

use desk::{Desk, served};

const DEVICES: u32 = 200;
const MODEL: &str = "stop-sign";
const DAY_S: i64 = 86_400;
/// Agents that run at once.
const AT_ONCE: usize = 3;

/// The folders of all devices.
struct Fleet {
    folder: tempfile::TempDir,
    program: PathBuf,
    url: String,
    nowhere: String,
    ids: Vec<String>,
}

impl Fleet {
    fn new(desk: &Desk, url: String, ids: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = folder.path().join("trust");
        std::fs::create_dir_all(&trust).unwrap();
        std::fs::write(trust.join("root.json"), desk.root()).unwrap();
        std::fs::write(trust.join("floor.json"), r#"{"schema": 1, "models": {}}"#).unwrap();
        std::fs::write(trust.join("deny.json"), r#"{"schema": 1, "digests": []}"#).unwrap();
        for id in &ids {
            let home = folder.path().join(id);
            std::fs::create_dir_all(&home).unwrap();
            std::fs::write(home.join("device-id"), id).unwrap();
            let key = home.join("device.key");
            std::fs::write(&key, Digest::of(id.as_bytes()).to_string()).unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self { folder, program: desk::program::agent(), url, nowhere: served::nowhere(), ids }
    }

    /// One poll of one device, and what it says of itself afterwards.
    fn poll(&self, device: usize, weather: simulate::Weather, second: u32) -> Polled {
        let home = self.folder.path().join(&self.ids[device]);
        self.configure(&home, weather);
        let output = Command::new(&self.program)
            .args(["check-now", "--json", "--config"])
            .arg(home.join("agent.toml"))
            .env("TZ", zone_in_which_it_is(second))
            .env("STOPLINE_AGENT_LOG", "error")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => {
                let status: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!(status["device"], Value::from(self.ids[device].clone()));
                let deployment = &status["models"][MODEL]["deployment"];
                let word = |key: &str| deployment[key].as_str().unwrap_or_default().to_owned();
                Polled::Asked { phase: word("phase"), cause: word("cause") }
            }
            Some(4) if !weather.reachable => Polled::OutOfReach,
            other => panic!("{}: {other:?} {said}", self.ids[device]),
        }
    }

    fn configure(&self, home: &Path, weather: simulate::Weather) {
        let network = if weather.parked { "wifi" } else { "lte" };
        let repository = if weather.reachable { &self.url } else { &self.nowhere };
        let trust = self.folder.path().join("trust");
        let text = format!(
            "repository = {repository:?}\nhardware = 'board'\nmodels = ['{MODEL}']\nhome = {home:?}\ndepot = {depot:?}\n\
             state = {state:?}\ntrust = {trust:?}\n[download]\nattempts = 1\nfirst_back_off_ms = 1\n[device]\n\
             network = '{network}'\nparked_file = {parked:?}\nsynchronised_file = {trust:?}\n",
            depot = home.join("depot"),
            state = home.join("state"),
            parked = home.join("parked"),
        );
        std::fs::write(home.join("agent.toml"), text).unwrap();
        std::fs::write(home.join("parked"), if weather.parked { "1\n" } else { "0\n" }).unwrap();
    }

    /// A night: each device asks at its own second, a few at once.
    fn night(
        &self,
        plan: &Plan,
        devices: &[usize],
        night: u32,
        at: impl Fn(&str) -> u32 + Sync,
    ) -> Vec<Polled> {
        let next = AtomicUsize::new(0);
        let polled = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(device) = devices.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let one = self.poll(*device, plan.weather(*device, night), at(&self.ids[*device]));
                        polled.lock().unwrap().insert(*device, one);
                    }
                });
            }
        });
        polled.into_inner().unwrap().into_values().collect()
    }
}

/// What became of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Polled {
    Asked { phase: String, cause: String },
    OutOfReach,
}

/// A POSIX zone in which it is the beginning of the minute of `second` now: what takes less than a minute does not move it.
fn zone_in_which_it_is(second: u32) -> String {
    let minute = i64::from(second - second % 60);
    let ahead = (minute - Timestamp::now().as_second()).rem_euclid(DAY_S);
    // What POSIX names is how far the zone lies west of Greenwich.
    let west = if ahead > DAY_S / 2 { DAY_S - ahead } else { -ahead };
    let sign = if west < 0 { '-' } else { '+' };
    let west = west.abs();
    format!("<own>{sign}{:02}:{:02}:{:02}", west / 3_600, west / 60 % 60, west % 60)
}

fn start(window: &Window, plan: &Plan) -> rollouts::Start {
    rollouts::Start {
        stages: plan.stages.clone(),
        gates: plan.gates,
        window: window.clone(),
        cohorts: BTreeMap::from([("first".to_owned(), plan.cohort.clone())]),
        exclude: plan.exclude.clone(),
        ..desk::start(MODEL, "r-1")
    }
}

fn plan(window: Window) -> Plan {
    let ids = Plan::numbered(DEVICES);
    Plan {
        cohort: ids[..6].to_vec(),
        exclude: ids[190..].to_vec(),
        ids,
        nights: 10,
        parked_percent: 70,
        away_percent: 4,
        hours_a_day: 1.5,
        alerts_an_hour: 0.2,
        bundle_bytes: 1 << 20,
        stages: [100, 5_000, 10_000].map(|bp| Stage { bp, min_dwell_s: 0 }).to_vec(),
        gates: Gates { min_reports: 1, min_hours: 1.0, max_ratio: 100.0, ..Gates::default() },
        window,
        salt: String::new(),
        sample: DEVICES,
        name_them: true,
    }
}

/// The nights of a good model, as `simulate` tells them.
fn simulated(plan: &Plan) -> Vec<Night> {
    let said = simulate::run(plan).unwrap();
    let course = &said.json["courses"][0];
    assert_eq!(course["nature"], "good");
    serde_json::from_value(course["nights"].clone()).unwrap()
}

fn lives_through(window: Window, most_nights: usize) {
    let now = Timestamp::now;
    let desk = Desk::begun(now());
    desk.release(MODEL, "1.0.0", now()).unwrap();
    let mut plan = plan(window.clone());
    rollouts::start(&desk.store, &desk.root(), &desk.signers(), &start(&window, &plan), now()).unwrap();
    let rollout = || rollouts::read(&desk.store, &desk.published(), MODEL).unwrap().unwrap();
    plan.salt = rollout().salt;
    let fleet = Fleet::new(&desk, served::serve(desk.folder.path().join("repository")), plan.ids.clone());
    let devices: Vec<usize> = (0..plan.ids.len()).collect();

    let by_day = fleet.night(&plan, &devices[..20], 1, |_| 12 * 3_600);
    assert!(!by_day.iter().any(is_staged), "at noon nobody fetches: {by_day:?}");
    assert!(
        by_day.iter().any(|one| matches!(one, Polled::Asked { cause, .. } if cause == "window")),
        "{by_day:?}"
    );

    let own_second = |id: &str| poll_second(id, plan.window.local);
    let mut have = BTreeSet::new();
    let mut kinds = BTreeMap::<String, u32>::new();
    for night in simulated(&plan).iter().take(most_nights) {
        while rollout().targets["board"].percent_bp < night.percent_bp {
            desk.step(MODEL, Step::Advance, now()).unwrap();
        }
        let polled = fleet.night(&plan, &devices, night.night, own_second);
        let staged: BTreeSet<String> = polled
            .iter()
            .zip(&plan.ids)
            .filter(|(one, _)| is_staged(one))
            .map(|(_, id)| id.clone())
            .collect();
        let new: BTreeSet<String> = staged.difference(&have).cloned().collect();
        let expected: BTreeSet<String> = night.who.iter().cloned().collect();
        println!(
            "night {}: {} bp, {} agents got it, {} by the simulation",
            night.night,
            night.percent_bp,
            new.len(),
            expected.len()
        );
        assert_eq!(new, expected, "night {}", night.night);
        have.extend(new);
        polled.iter().for_each(|one| *kinds.entry(format!("{one:?}")).or_default() += 1);
    }
    println!("{DEVICES} agents, {} have it; polls by what they ended in: {kinds:#?}", have.len());
    assert_eq!(rollout().targets["board"].percent_bp, 10_000, "too few nights to come to all");
    assert!(have.len() > 100 && plan.exclude.iter().all(|id| !have.contains(id)), "{}", have.len());
    assert!(kinds.contains_key(&format!("{:?}", Polled::OutOfReach)), "nobody was out of reach");
}

fn is_staged(one: &Polled) -> bool {
    matches!(one, Polled::Asked { phase, .. } if phase == "staged")
}

#[test]
fn two_hundred_agents_update_in_the_nights_that_the_simulation_says() {
    let full = std::env::var_os("STOPLINE_FULL").is_some();
    let nights = if full { 10 } else { 3 };
    println!("nights: {nights} (full: 10)");
    let parked = Window { local: Some((60, 300)), parked: true, ..Window::default() };
    lives_through(parked, nights);
    if full {
        // On the road too, and over any network; then only over a network that is not paid by the byte.
        lives_through(Window { local: Some((1_380, 240)), ..Window::default() }, nights);
        let network = BTreeSet::from([Network::Wifi, Network::Ethernet]);
        lives_through(Window { local: Some((60, 300)), network, parked: false }, nights);
    }
}
