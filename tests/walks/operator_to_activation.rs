//! From the operator's hand to a model that decides, and back: the three programs as they are installed. Three holders in
//! three folders, a repository behind a web server, the agent, the runtime on a clip.

use std::path::{Path, PathBuf};
use std::process::Command;

use stopline_depot::deployment::{DeployCause, Phase};
use stopline_tests::daemon::Bench;
use stopline_tests::operator::{Desk, Server};
use stopline_tests::signed::Device;
use stopline_tests::{fake_clock, program};

use crate::models_over_the_air::{LONG, deciding, standing, start, wait_for_phase, wait_for_version};

/// The agent's configuration on the device of the bench.
fn agent_config(bench: &Bench, desk: &Desk, url: &str) -> PathBuf {
    std::fs::copy(desk.path("repository/metadata/1.root.json"), bench.path("trust/root.json")).unwrap();
    let at = |name: &str| bench.path(name).display().to_string();
    let text = format!(
        "repository = {url:?}\nhardware = \"board\"\nmodels = [\"bright\"]\nhome = {:?}\ndepot = {:?}\nstate = {:?}\n\
         trust = {:?}\noutcomes_url = \"{url}/outcomes\"\n[device]\nnetwork = \"ethernet\"\nsynchronised_file = {:?}\n\
         [download]\nstall_s = 5\nattempts = 2\nfirst_back_off_ms = 10\nlongest_back_off_ms = 100\n",
        at("home"),
        at("depot"),
        at("state"),
        at("trust"),
        at("trust/root.json"),
    );
    bench.write("agent.toml", text.as_bytes())
}

/// Runs the agent once; what it printed and said, and whether it ended well.
fn check_now(config: &Path) -> (bool, String) {
    let mut agent = Command::new(program("stopline-agent"));
    let output = agent.args(["check-now", "--json", "--config"]).arg(config).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    println!("$ stopline-agent check-now: {}\n{said}", output.status);
    (output.status.success(), said)
}

/// Polls until the roll-out's model is offered (what was deferred is tried again after a minute), then waits until it is
/// Good.
fn poll_until(
    config: &Path,
    daemon: &mut stopline_tests::daemon::Daemon<'_>,
    device: &Device,
    rollout: &str,
) {
    let staged = format!("\"rollout_id\":\"{rollout}\",\"model\":\"bright\"");
    for turn in 0.. {
        let (well, said) = check_now(config);
        assert!(well && turn < 40, "{said}");
        if said.contains(&staged) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(5));
    }
    daemon.wait(rollout, LONG, |_| {
        device.progress("bright").filter(|told| told.rollout_id == rollout && told.phase == Phase::Good)
    });
}

#[test]
fn from_three_key_holders_to_a_model_that_decides_and_back() {
    let desk = Desk::new();
    desk.release("1.1.0", "");
    let server = Server::start(desk.path("repository"));
    let (bench, device) = standing();
    let config = agent_config(&bench, &desk, &server.url);
    let mut daemon = start(&bench, &device, 20, 30);
    wait_for_version(&mut daemon, "1.0.0");

    poll_until(&config, &mut daemon, &device, "r-1.1.0");
    wait_for_version(&mut daemon, "1.1.0");

    // The next release, with one byte changed on its way: the old model goes on.
    desk.release("1.2.0", "--publish-a-model-nobody-compared-with-the-champion");
    let bundle = desk.published_bundle("1.2.0");
    let signed = std::fs::read(&bundle).unwrap();
    let mut tampered = signed.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    std::fs::write(&bundle, &tampered).unwrap();
    check_now(&config);
    assert!(device.progress("bright").is_none_or(|told| told.rollout_id == "r-1.1.0"), "nothing was offered");
    assert_eq!(deciding(&daemon).as_deref(), Some("1.1.0"));

    // Mended, it comes; aborted, the one before decides again.
    std::fs::write(&bundle, &signed).unwrap();
    poll_until(&config, &mut daemon, &device, "r-1.2.0");
    wait_for_version(&mut daemon, "1.2.0");
    desk.fleet("rollout abort bright --online online");
    assert!(check_now(&config).0);
    assert_eq!(wait_for_phase(&mut daemon, &device, Phase::Withdrawn), Some(DeployCause::Aborted));
    wait_for_version(&mut daemon, "1.1.0");

    // Everything was told, signed, in its order.
    assert!(check_now(&config).0);
    let told = server.phases();
    println!("{told:?}");
    for phase in ["offered", "staged", "good"] {
        assert!(
            told.contains(&("r-1.1.0".into(), phase.into())),
            "{phase} of r-1.1.0 was not told: {told:?}"
        );
    }
    assert!(told.contains(&("r-1.2.0".into(), "withdrawn".into())), "{told:?}");
}

/// What `served` leads to.
fn serve(desk: &Desk, folder: &Path) {
    let _ = std::fs::remove_file(desk.path("served"));
    std::os::unix::fs::symlink(folder, desk.path("served")).unwrap();
}

#[test]
fn what_must_not_be_taken_is_refused_with_its_message_and_the_model_goes_on() {
    let desk = Desk::new();
    desk.release("1.1.0", "");
    let repository = desk.path("repository");
    serve(&desk, &repository);
    let server = Server::start(desk.path("served"));
    let (bench, device) = standing();
    let config = agent_config(&bench, &desk, &server.url);
    let mut daemon = start(&bench, &device, 0, 5);
    wait_for_version(&mut daemon, "1.0.0");
    poll_until(&config, &mut daemon, &device, "r-1.1.0");
    wait_for_version(&mut daemon, "1.1.0");
    let before = desk.path("before");
    assert!(Command::new("cp").arg("-r").args([&repository, &before]).status().unwrap().success());

    // What nobody compared with the champion is not published.
    desk.sign("1.2.0");
    let (code, said) = desk.try_fleet("publish repository --online online");
    assert!(code != Some(0) && said.contains("a challenger is compared with it"), "{code:?} {said}");
    desk.publish("1.2.0", "--publish-a-model-nobody-compared-with-the-champion");
    poll_until(&config, &mut daemon, &device, "r-1.2.0");
    wait_for_version(&mut daemon, "1.2.0");

    let refused = |agent: &mut Command, words: &str| {
        let output = agent.args(["check-now", "--config"]).arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        println!("{words}: {said}");
        assert!(!output.status.success() && said.contains(words), "{words} is expected: {said}");
        assert_eq!(deciding(&daemon).as_deref(), Some("1.2.0"));
    };
    let agent = || Command::new(program("stopline-agent"));
    serve(&desk, &before);
    refused(&mut agent(), "rollback: timestamp metadata");

    // Another fleet's repository, whole and signed by its own three holders.
    let strangers = Desk::new();
    strangers.release("9.0.0", "");
    serve(&desk, &strangers.path("repository"));
    refused(&mut agent(), "valid signatures");

    serve(&desk, &repository);
    if let Some(library) = fake_clock() {
        let mut later = agent();
        later.env("LD_PRELOAD", library).env("FAKETIME", "+400d").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        refused(&mut later, "expired at");
    } else {
        stopline_tests::skip::<()>("no libfaketime: a clock of next year");
    }
    // None of this has left anything behind.
    assert!(check_now(&config).0);
    assert_eq!(deciding(&daemon).as_deref(), Some("1.2.0"));
}
