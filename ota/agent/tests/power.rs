//! A vehicle's supply: the battery's floor, a board that is held awake for a bounded time, a hook that wakes it, and a poll
//! that is caught up at ignition. The kernel's folders and `systemd-inhibit` are stood in for.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod link;
mod needs;
mod operator;
mod program;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use stopline_depot::deployment::{DeployCause, Phase};
use stopline_depot::digest::Digest;

use link::Server;
use needs::until;
use operator::{Device, Operator, noise, phase, rollout, stick};
use program::{Service, agent};

const TAR: usize = 600_000;

/// A device with a battery of `percent`, and a server that is slow enough to look on: some two seconds for the bundle.
struct World {
    server: Server,
    device: Device,
    digest: Digest,
    files: BTreeMap<String, Vec<u8>>,
}

impl World {
    fn new(power: &str) -> Self {
        // The program asks the machine's own clock.
        let mut operator = Operator::new(Timestamp::now());
        let digest = operator.release(1, &noise(1, TAR));
        operator.rollout(&rollout("r-1", 1));
        let files = operator.publish();
        let server = Server::start(files.clone());
        server.state.lock().unwrap().pace = Some((16 << 10, Duration::from_millis(50)));
        let mut device = Device::new(&server.url, &operator);
        device.config = device.config.replace("start_within_s = 0", "start_within_s = 0\nlook_s = 1")
            + &power.replace("HERE", device.folder.path().to_str().unwrap());
        std::fs::write(device.path("agent.toml"), device.config.replace("stall_s = 2", "stall_s = 60"))
            .unwrap();
        let world = Self { server, device, digest, files };
        world.write("sys/BAT0/type", "Battery");
        world.write("sys/BAT0/voltage_now", "12000000");
        world.write("sys/BAT0/status", "Discharging");
        world.write("sys/AC/type", "Mains");
        world.write("sys/AC/online", "0");
        world.charge(80);
        world
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.device.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    }

    fn charge(&self, percent: u8) {
        self.write("sys/BAT0/capacity", &percent.to_string());
    }

    fn length(&self) -> usize {
        self.files.iter().find(|(path, _)| path.ends_with(".slb")).unwrap().1.len()
    }

    /// A `systemd-inhibit` that notes how it was called and its process, and lives until its input ends or it is killed; a
    /// PATH in which it comes first.
    fn inhibitor(&self, script: &str) -> String {
        let program = self.device.path("bin/systemd-inhibit");
        let here = self.device.folder.path().display();
        self.write("bin/systemd-inhibit", &format!("#!/bin/sh\ncd {here}\n{script}"));
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:{}", self.device.path("bin").display(), std::env::var("PATH").unwrap())
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.device.path(name)).unwrap_or_default()
    }

    /// Whether a process that the stand-in noted is there still.
    fn holds(&self) -> bool {
        let pids = self.text("pids");
        pids.lines().any(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            !status.is_empty() && !status.contains("State:\tZ")
        })
    }

    fn check_now(&self, path: &str) -> Command {
        let mut program = agent(&self.device, &["check-now"]);
        program.env("PATH", path).env("NO_COLOR", "1");
        program
    }
}

const LIVES: &str = "echo \"$@\" >>calls; echo $$ >>pids; cat >/dev/null; echo ended >>calls";
const FLOOR: &str = "[power]\nbattery = 'HERE/sys/BAT0'\nfloor_percent = 30\nfloor_v = 11.5\n";
const HELD: &str = "[power]\nignition_file = 'HERE/ignition'\nhold_up_s = 600\n";

#[test]
fn below_the_floor_nothing_begins_and_charged_it_goes_on() {
    let world = World::new(FLOOR);
    let mut agent = world.device.agent();
    for low in ["capacity", "voltage_now", "gone"] {
        match low {
            "capacity" => world.charge(29),
            "voltage_now" => world.write("sys/BAT0/voltage_now", "11400000"),
            _ => std::fs::remove_file(world.device.path("sys/BAT0/capacity")).unwrap(),
        }
        agent.poll().unwrap();
        assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Power))), "{low}");
        world.charge(80);
        if low != "voltage_now" {
            continue;
        }
        world.write("sys/BAT0/voltage_now", "12000000");
    }
    assert_eq!(world.server.model_bytes(), 0, "not a byte of it was paid for");
    assert!(world.device.offer().is_none());
    // The mains, at a battery that is still low.
    world.charge(3);
    world.write("sys/AC/online", "1");
    agent.look();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
    assert_eq!(world.device.staged(&world.digest), Some(noise(1, TAR)));
    assert_eq!(world.server.model_bytes(), world.length());
}

#[test]
fn a_download_stops_at_the_floor_and_goes_on_where_it_stopped() {
    let world = World::new(FLOOR);
    let mut agent = world.device.agent();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until("a third of it", || world.server.model_bytes() > world.length() / 3);
            world.charge(12);
        });
        agent.poll().unwrap();
    });
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Power))));
    // The server finds that nobody listens any more by its next piece, or the one after.
    let mut there = 0;
    until("the server's end", || {
        let before = std::mem::replace(&mut there, world.server.model_bytes());
        std::thread::sleep(Duration::from_millis(500));
        before == there
    });
    assert!(there > world.length() / 3 && there < world.length(), "{there} of {}", world.length());
    agent.look();
    assert_eq!(world.server.model_bytes(), there, "nothing comes while it is low");
    let parts = std::fs::read_dir(world.device.path("home/partial")).unwrap().flatten();
    // Beside it lies the tag by which the server knows the file.
    let kept = parts.map(|part| part.metadata().unwrap().len()).max().unwrap();
    let kept = usize::try_from(kept).unwrap();
    assert!(kept > 0 && kept <= there, "{kept} of {there}");
    world.write("sys/BAT0/status", "Charging");
    agent.look();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
    // What was under way when it stopped hangs on how busy the machine is, and comes a second time; what it had, does not.
    let rest = world.server.model_bytes() - there;
    println!(
        "stopped after {there} of {} bytes, of which {kept} were kept; then {rest} came",
        world.length()
    );
    assert_eq!(rest, world.length() - kept);
}

#[test]
fn a_stick_waits_for_the_battery_too() {
    let world = World::new(FLOOR);
    stick(&world.files, &world.device.path("stick"));
    world.charge(10);
    let folder = world.device.path("stick");
    let install = || program::run(&world.device, &["install", folder.to_str().unwrap()]);
    let (code, _, said) = install();
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("10 %, below power.floor_percent = 30"), "{said}");
    assert!(world.device.offer().is_none() && world.device.staged(&world.digest).is_none());
    let (_, shown, _) = program::run(&world.device, &["status"]);
    assert!(
        shown.contains("power       battery 10 %, 12.00 V; ignition not known; the battery: 10 %"),
        "{shown}"
    );
    world.charge(30);
    let (code, _, said) = install();
    assert_eq!(code, 0, "{said}");
    assert!(world.device.offer().is_some());
}

#[test]
fn the_board_is_held_while_a_model_comes_and_let_go_afterwards() {
    let world = World::new(HELD);
    world.write("ignition", "0");
    let path = world.inhibitor(LIVES);
    let mut child = world.check_now(&path).spawn().unwrap();
    until("a hold", || world.holds());
    assert!(child.wait().unwrap().success());
    assert!(!world.holds(), "the board is held after the work");
    assert!(world.device.staged(&world.digest).is_some());
    let calls = world.text("calls");
    assert_eq!(calls.lines().filter(|line| line.contains("--what")).count(), 1, "{calls}");
    for word in
        ["--what=sleep:shutdown", "--mode=delay", "--who=stopline-agent", "a bundle of stop-sign", " cat"]
    {
        assert!(calls.contains(word), "{word}: {calls}");
    }
    // A poll that finds nothing to fetch holds nothing.
    assert!(world.check_now(&path).status().unwrap().success());
    assert_eq!(world.text("calls"), calls);
}

#[test]
fn with_the_ignition_off_it_is_held_so_long_and_no_longer_and_on_it_has_no_limit() {
    let world = World::new(&HELD.replace("600", "1"));
    // Some seven seconds.
    world.server.state.lock().unwrap().pace = Some((4 << 10, Duration::from_millis(50)));
    world.write("ignition", "1");
    let path = world.inhibitor(LIVES);
    let mut child = world.check_now(&path).spawn().unwrap();
    until("a hold", || world.holds());
    // Longer than the limit, while it is on.
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(world.holds() && child.try_wait().unwrap().is_none());
    world.write("ignition", "0");
    until("the end of the hold", || !world.holds());
    assert!(child.try_wait().unwrap().is_none(), "it was let go in the middle of the work, which goes on");
    assert!(child.wait().unwrap().success());
    assert!(world.device.staged(&world.digest).is_some());
}

#[test]
fn by_default_nothing_is_held() {
    let world = World::new("");
    let path = world.inhibitor(LIVES);
    assert!(world.check_now(&path).status().unwrap().success());
    assert_eq!(world.text("calls"), "");
}

#[test]
fn killed_it_holds_nothing() {
    let world = World::new(HELD);
    let path = world.inhibitor(LIVES);
    let mut child = world.check_now(&path).spawn().unwrap();
    until("a hold", || world.holds());
    child.kill().unwrap();
    child.wait().unwrap();
    until("the end of the hold", || !world.holds());
    assert!(world.text("calls").ends_with("ended\n"), "its input ended, as after a power cut of the process");
}

#[test]
fn where_nothing_can_be_held_it_is_said_once_and_the_work_goes_on() {
    for script in [Some("echo 'Failed to inhibit: Access denied' >&2; exit 1"), None] {
        let world = World::new(HELD);
        let path = match script {
            Some(script) => world.inhibitor(script),
            None => world.device.path("nowhere").display().to_string(),
        };
        let done = world.check_now(&path).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        assert_eq!(said.matches("the board may sleep in the middle of a download").count(), 1, "{said}");
        assert!(script.is_none() || said.contains("Access denied"), "{said}");
        assert!(world.device.staged(&world.digest).is_some());
    }
}

#[test]
fn with_the_ignition_off_and_nothing_to_do_the_hook_is_told_the_night() {
    let world = World::new(
        "[power]\nignition_file = 'HERE/ignition'\nwake_hook = ['/bin/sh', 'HERE/hook', '--at']\n",
    );
    world.write("hook", &format!("echo \"$@\" >>{}", world.device.path("told").display()));
    world.write("ignition", "1");
    let _service = Service::start(&world.device);
    until("the model", || world.device.offer().is_some());
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(world.text("told"), "", "the ignition is on");
    world.write("ignition", "0");
    until("the hook", || world.text("told").ends_with('\n'));
    let told = world.text("told");
    let words: Vec<&str> = told.split_whitespace().collect();
    let at: i64 = words[2].parse().unwrap();
    assert_eq!((words[0], words[1].parse::<Timestamp>().unwrap().as_second()), ("--at", at));
    let ahead = at - Timestamp::now().as_second();
    // The device's own second of the night: 1:00 to 5:00, in UTC here.
    assert!((-5..=86_400).contains(&ahead) && (3_600..18_000).contains(&(at % 86_400)), "{told}");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(world.text("told"), told, "told twice");
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn a_night_that_is_caught_up_at_ignition_fetches_and_never_activates() {
    let world = World::new(HELD);
    world.write("ignition", "1");
    // What the nightly unit runs; missed nights are caught up at the next start.
    let unit = include_str!("../../../systemd/stopline-agent-nightly.service");
    assert!(unit.contains("ExecStart=/usr/bin/stopline-agent check-now "));
    assert!(include_str!("../../../systemd/stopline-agent-nightly.timer").contains("\nPersistent=yes\n"));
    let before = files(&world.device.path("state"));
    let path = world.inhibitor(LIVES);
    assert!(world.check_now(&path).status().unwrap().success());
    // It is offered; what decides is named in the runtime's own state, which is as it was.
    assert_eq!(world.device.offer().map(|offer| offer.digest), Some(world.digest));
    assert_eq!(files(&world.device.path("state")), before);
    assert!(!world.device.state().pointers().exists());
    let agent = world.device.agent();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)));
}
