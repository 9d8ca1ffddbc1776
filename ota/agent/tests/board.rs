//! The program itself, as it runs on a board: memory, idle traffic, exit codes, the running daemon.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod link;
mod operator;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use stopline_depot::digest::Digest;

use link::Server;
use operator::{Device, Operator, noise, rollout};

const KIB: u64 = 1 << 10;
const MOST_ANON: u64 = 24 << 10;
const BUNDLE: usize = 100_000_000;

fn world(tar: &[u8]) -> (Server, Device, Digest) {
    // The program asks the machine's own clock.
    let mut operator = Operator::new(Timestamp::now());
    let digest = operator.release(1, tar);
    operator.rollout(&rollout("r-1", 1));
    let server = Server::start(operator.publish());
    let device = Device::new(&server.url, &operator);
    std::fs::write(
        device.path("agent.toml"),
        device
            .config
            .replace("chunk_bytes = 65536", "chunk_bytes = 4194304")
            .replace("stall_s = 2", "stall_s = 60"),
    )
    .unwrap();
    (server, device, digest)
}

fn agent(device: &Device, command: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_stopline-agent"));
    program.args(command).arg("--config").arg(device.path("agent.toml")).arg("--json");
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// The highest RssAnon seen until it ended, KiB.
fn watch(child: &mut Child) -> u64 {
    let (mut most, mut seen) = (0, 0);
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        if let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()) {
            most = most.max(kib);
            seen += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(seen > 20, "looked {seen} times only");
    most
}

#[test]
fn installing_a_bundle_of_100_mb_takes_at_most_24_mib_of_anonymous_memory() {
    let tar = noise(7, BUNDLE);
    let (_server, device, digest) = world(&tar);
    let mut child = agent(&device, &["check-now"]).spawn().unwrap();
    let most = watch(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(device.staged(&digest).as_deref() == Some(&tar[..]));
    println!("RssAnon at most {most} KiB while {BUNDLE} bytes were fetched and staged");
    assert!(most <= MOST_ANON, "{most} KiB");
}

#[test]
fn an_idle_poll_costs_at_most_1_kib_both_ways() {
    let (server, device, _) = world(&noise(1, 50_000));
    assert!(agent(&device, &["check-now"]).status().unwrap().success());
    let before = {
        let mut state = server.state.lock().unwrap();
        (state.all_bytes, state.requests) = (0, 0);
        state.all_bytes
    };
    assert!(agent(&device, &["check-now"]).status().unwrap().success());
    let state = server.state.lock().unwrap();
    println!("idle poll: {} requests, {} bytes both ways", state.requests, state.all_bytes - before);
    assert!(state.requests > 0 && state.all_bytes as u64 <= KIB, "{} bytes", state.all_bytes);
}

#[test]
fn each_end_has_its_exit_code() {
    let (server, device, _) = world(&noise(1, 50_000));
    let code = |command: &[&str]| agent(&device, command).status().unwrap().code();
    assert_eq!(code(&["status"]), Some(0));
    assert_eq!(code(&["identity"]), Some(0));
    assert_eq!(code(&["dance"]), Some(2));
    assert_eq!(code(&["install", "/nonexistent"]), Some(4));
    server.set_files(Default::default());
    let output = agent(&device, &["check-now"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["failed"]["exit"], 4, "{said}");
    assert!(!output.stderr.is_empty());
    std::fs::write(device.path("agent.toml"), "colour = 'red'").unwrap();
    let output = agent(&device, &["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("colour"));
}

/// Ends the daemon whatever the test meets.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_daemon_polls_when_asked_and_ends_in_order() {
    let (server, device, digest) = world(&noise(1, 50_000));
    let far = device.config.replace("start_within_s = 0", "start_within_s = 86400\nlook_s = 1");
    std::fs::write(device.path("agent.toml"), far).unwrap();
    let mut daemon =
        Daemon(agent(&device, &["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let socket = device.path("home/control.sock");
    for _ in 0..500 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.state.lock().unwrap().requests, 0, "not before its time");
    let install = agent(&device, &["install", "/nonexistent"]).status().unwrap();
    assert_eq!(install.code(), Some(7), "the running agent holds the depot");
    let output = agent(&device, &["check-now"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["models"]["stop-sign"]["deployment"]["phase"], "staged", "{status}");
    assert!(device.staged(&digest).is_some());
    assert_eq!(status["running"], true);
    // A failure of the running agent is a failure of who asked.
    server.set_files(Default::default());
    assert_eq!(agent(&device, &["check-now"]).status().unwrap().code(), Some(4));
    let pid = rustix::process::Pid::from_raw(i32::try_from(daemon.0.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
}

#[test]
fn the_status_says_who_it_is_what_it_may_and_what_decides() {
    let (_server, device, digest) = world(&noise(1, 50_000));
    let text = |command: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_stopline-agent"));
        let output = program.args(command).arg("--config").arg(device.path("agent.toml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let fresh = text(&["status"]);
    println!("{fresh}\n");
    for line in ["device      none", "agent       does not run", "deployment  none", "the factory's model"] {
        assert!(fresh.contains(line), "{line}:\n{fresh}");
    }
    text(&["check-now"]);
    device.trust(&[("stop-sign", 1)], &[]);
    let staged = text(&["status"]);
    println!("{staged}");
    let short = &digest.to_string()[..12];
    for line in [
        "clock       synchronised, 20".to_owned(),
        "certificate none: `stopline-agent enroll`".into(),
        "network     wifi; over mobile networks 0.0 MB today".into(),
        format!("deployment  staged: 1.1.0 ({short}) by r-1"),
        "floor       releases from 1 on (trust folder 1, highest seen 0)".into(),
        "outcomes    0 waiting".into(),
    ] {
        assert!(staged.contains(&line), "{line}:\n{staged}");
    }
    let json: serde_json::Value = serde_json::from_str(&text(&["status", "--json"])).unwrap();
    assert_eq!(json["models"]["stop-sign"]["floor"]["trust"], 1);
    assert_eq!(json["certificate"]["state"], "none");
    std::fs::remove_file(device.path("trust/deny.json")).unwrap();
    assert!(text(&["status"]).contains("deny.json"), "what stops every update is said");
}
