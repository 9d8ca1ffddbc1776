//! The way of a model through the board: an operator's repository, the nightly timer, the agent in its sandbox, the loop that
//! judges, tries and takes over, without a hand.

use std::path::Path;

use stopline_depot::deployment::Phase;
use stopline_depot::disk::RealDisk;
use stopline_depot::slots::{self, Deny, Floor, StatePaths, StateReader, TrustPaths};
use stopline_tests::operator::{Desk, Server, plain};

use crate::rig::Found;
use crate::service::{CONFIG, LIVE, health, journal, property, run, wait};

/// The loop's configuration, by a model of the depot: the vehicle stands, its ignition is on, counts are small.
fn config() -> String {
    let depot = "[depot]\ndirectory = \"/var/lib/stopline-agent/depot\"\nstate = \"/var/lib/stopline/state\"\n\
                 trust = \"/etc/stopline/trust\"\nfactory = \"/usr/share/stopline/factory\"\nhardware = \"board\"\n\
                 [depot.selftest]\nruns = 3\n[depot.shadow]\nframes = 5\n\
                 [depot.trial]\nframes = 10\nactive_hours = 0.0\nignition_cycles = 0\n[vehicle]\n";
    LIVE.replace("onnx = \"/srv/scene/bright.onnx\"", "bundle = \"bright\"")
        .replace("[vehicle]\n", depot)
        .replace("speed = 8.0,", "speed = 0.0, ignition = true,")
}

/// The agent's configuration.
fn agent(url: &str) -> String {
    format!(
        "repository = {url:?}\nhardware = \"board\"\nmodels = [\"bright\"]\noutcomes_url = \"{url}/outcomes\"\n\
         [device]\nnetwork = \"ethernet\"\nsynchronised_file = \"/etc/stopline/trust/root.json\"\n"
    )
}

/// Every few seconds instead of once a night.
const OFTEN: &str =
    "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/20\nRandomizedDelaySec=0\nAccuracySec=1s\nPersistent=no\n";
const TIMER: &str = "stopline-agent-nightly.timer";

/// A model is released, the timer fetches it, the loop takes it over: nobody does anything in between.
pub fn takes_over() -> Found {
    let desk = Desk::new();
    desk.release("1.1.0", "");
    let server = Server::start(desk.path("repository"));
    trust(&desk)?;
    write("/etc/stopline/agent.toml", &agent(&server.url))?;
    write(CONFIG, &config())?;
    run("systemctl", &["stop", "stopline-agent"])?;
    run("systemctl", &["restart", "stopline"])?;
    wait("the factory's model", || (version()? == "1.0.0").then_some(()))?;
    std::fs::create_dir_all(format!("/etc/systemd/system/{TIMER}.d")).map_err(|error| error.to_string())?;
    write(&format!("/etc/systemd/system/{TIMER}.d/board.conf"), OFTEN)?;
    run("systemctl", &["daemon-reload"])?;
    run("systemctl", &["restart", TIMER])?;
    let state = StateReader::on(RealDisk, StatePaths::new("/var/lib/stopline/state"));
    let progress = || state.progress("bright").ok().flatten();
    let good = wait("word that the model of the night is good", || {
        progress().filter(|told| told.rollout_id == "r-1.1.0" && told.phase == Phase::Good).map(|_| ())
    });
    let seen = |error: String| {
        format!("{error}; progress {:?}; {}", progress(), journal("stopline-agent-nightly", "8"))
    };
    good.map_err(seen)?;
    wait("the new version", || (version()? == "1.1.0").then_some(()))?;
    wait("the outcome at home", || {
        server.phases().contains(&("r-1.1.0".to_owned(), "good".to_owned())).then_some(())
    })?;
    run("systemctl", &["stop", TIMER])?;
    let restarts = property("stopline", "NRestarts")?;
    Ok(format!(
        "1.0.0 of the factory, then 1.1.0 of the night; outcome told; {restarts} restarts of the loop so far"
    ))
}

/// What the board came with: the fleet's root, and a model of the factory.
fn trust(desk: &Desk) -> Result<(), String> {
    let trust = TrustPaths::new("/etc/stopline/trust");
    let factory = Path::new("/usr/share/stopline/factory/bright");
    let done = std::fs::copy(desk.path("repository/metadata/1.root.json"), trust.root())
        .and_then(|_| std::fs::create_dir_all(factory))
        .and_then(|()| std::fs::write(factory.join("bundle.tar"), plain("1.0.0")));
    done.map_err(|error| error.to_string())?;
    slots::write(&mut RealDisk, &trust.floor(), &Floor { schema: 1, ..Floor::default() })
        .and_then(|()| slots::write(&mut RealDisk, &trust.deny(), &Deny { schema: 1, ..Deny::default() }))
        .map_err(|error| error.to_string())
}

/// The version that decides.
fn version() -> Option<String> {
    let health = health()?;
    let decided = health.cameras.first()?.decided;
    let identity = health.models.first()?.identity.clone();
    identity.filter(|_| decided > 0).map(|identity| identity.version.to_string())
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}
