//! The package under a real systemd: installed, supervised, sandboxed, upgraded, purged. Runs as root in a machine of its own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stopline_decide::e2e::Check;
use stopline_decide::receiver::Link;
use stopline_depot::health::Health;
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_tests::daemon::scene;

use crate::peer::{Peer, fresh_bus};
use crate::rig::{Board, Found};
use crate::{metered, newcomer, nightly as night, operator, wall};

/// Emulated, and starting a model: everything is waited for so long.
pub const PATIENCE: Duration = Duration::from_secs(90);
const SCENE: &str = "/srv/scene";
pub const CONFIG: &str = "/etc/stopline/stopline.toml";
const VIVID: &str = "/sys/bus/platform/drivers/vivid";

/// What stands in `/etc/stopline/stopline.toml`: vivid's camera, a bus, commands that are not armed.
pub const LIVE: &str = r#"schema = 1
[[camera]]
name = "front"
source = "/dev/video0"
functions = ["pedestrian"]
guard = { timing_only = true, min_rate = 2.0 }
[camera.v4l2]
size = [320, 180]
fps = 10.0
[[model]]
name = "bright"
onnx = "/srv/scene/bright.onnx"
[vehicle]
source = "constant"
constant = { speed = 8.0, accelerator = 0.0, steering_angle = 0.0 }
[[actuator]]
kind = "can"
name = "brake"
interface = "vcan0"
send_idle = true
"#;

/// An emulated processor may be a hundred times slower than a board's: the order of things is held, their time is not.
const PROFILE: &str = "[Service]\nWatchdogSec=30\nTimeoutStartSec=300\n";

/// All checks, in the order in which a board meets them.
pub fn checks(board: &mut Board) {
    board.check("package: installs; nothing is started by it", installed);
    board.check("package: who owns what", owned);
    board.check("package: its files are those it has sums of", sums);
    board.check("exposure: each unit below its limit", exposure);
    board.check("service: starts and says that it is ready", started);
    if board.failed > 0 {
        // Nothing that follows could say more than this.
        return;
    }
    board.check("service: frames of the camera are decided on", decides);
    board.check("service: its commands are on the bus, counter and checksum right", on_the_bus);
    board.check("service: real time and locked memory are had", real_time);
    board.check("agent: starts, and makes its identity", agent);
    board.check("wall: the loop reaches its camera and bus, and no internet", || {
        wall::holds(
            "stopline",
            &[
                "can",
                "camera",
                "read_depot",
                "read_state",
                "write_state",
                "write_outbox",
                "write_spool",
                "write_waiting",
            ],
        )
    });
    board.check("wall: the agent reaches the internet, and no camera or bus", || {
        wall::holds(
            "stopline-agent",
            &[
                "inet",
                "inet6",
                "key",
                "read_depot",
                "read_state",
                "write_depot",
                "write_outbox",
                "write_waiting",
            ],
        )
    });
    board.check("network: what NetworkManager says of costs is what the agent goes by", metered::told);
    board.check("service: the camera goes and comes back", unplugged);
    board.check("watchdog: a loop that stands is restarted; the receiver has timed out before", stalled);
    board.check("service: kill -9 is followed by a start", killed);
    board.check("journal: a lost camera has fields, and help in the catalogue", explained);
    board.check("service: SIGHUP reads the configuration again", reloaded);
    board.check("nightly: a poll that reaches nobody says so; the timer waits for its hour", nightly);
    board.check("nightly: the timer fetches a signed model, and the loop takes it over", night::takes_over);
    board.check("fleet: the operator's package serves, and lets the board in", operator::serves);
    board.check("package: an upgrade leaves the loop running", upgraded);
    board.check("service: it ends in order", stopped);
    board.check("watchdog: systemd feeds that of the board", fed);
    board.check("package: a purge takes everything that is ours", purged);
    newcomer::checks(board);
}

/// Runs a program; its output, or what it said when it failed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let done =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(said);
    }
    Err(format!("{program} {arguments:?}: {}: {said}{}", done.status, String::from_utf8_lossy(&done.stderr)))
}

/// Asks again until there is an answer.
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    let begun = SystemClock.monotonic();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if SystemClock.monotonic().since(begun) > PATIENCE {
            let log = run("journalctl", &["--no-pager", "--lines=15", "--output=cat"]).unwrap_or_default();
            return Err(format!("no {what} within {PATIENCE:?}; the journal's last lines: {log}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One property of a unit.
pub fn property(unit: &str, name: &str) -> Result<String, String> {
    run("systemctl", &["show", unit, "--value", "--property", name]).map(|text| text.trim().to_owned())
}

pub fn journal(unit: &str, lines: &str) -> String {
    let lines = format!("--lines={lines}");
    run("journalctl", &["--no-pager", "--output=cat", &lines, "--unit", unit]).unwrap_or_else(|error| error)
}

fn main_pid() -> Result<String, String> {
    property("stopline", "MainPID")
}

pub fn health() -> Option<Health> {
    serde_json::from_slice(&std::fs::read("/run/stopline/health.json").ok()?).ok()
}

/// The daemon's state as this process wrote it; nothing of one before it.
fn state_of(pid: &str) -> Option<(String, Health)> {
    let health = health()?;
    (health.pid.to_string() == pid).then(|| (health.state.name.clone(), health))
}

fn installed() -> Found {
    run("dpkg", &["--install", "/packages/stopline.deb"])?;
    let active = property("stopline", "ActiveState")?;
    if active != "inactive" {
        return Err(format!("stopline is {active} before anybody asked for it"));
    }
    run("stopline", &["--version"]).map(|version| version.trim().to_owned())
}

fn owned() -> Found {
    let ids = |name: &str| run("id", &["-u", name]).map(|id| id.trim().to_owned());
    let (runtime, agent) = (ids("stopline")?, ids("stopline-agent")?);
    let table = [
        ("/var/lib/stopline", &runtime, 0o750),
        ("/var/lib/stopline/state", &runtime, 0o750),
        ("/var/lib/stopline/outbox", &runtime, 0o2770),
        ("/var/lib/stopline/spool", &runtime, 0o2750),
        ("/var/lib/stopline/spool/waiting", &runtime, 0o2770),
        ("/var/lib/stopline/spool/sending", &runtime, 0o2770),
        ("/var/lib/stopline/spool/ledger", &runtime, 0o2770),
        ("/var/lib/stopline-agent", &agent, 0o750),
        ("/var/lib/stopline-agent/depot", &agent, 0o750),
        ("/etc/stopline/trust", &"0".to_owned(), 0o755),
        ("/etc/stopline/stopline.toml", &"0".to_owned(), 0o644),
        ("/usr/bin/stopline", &"0".to_owned(), 0o755),
    ];
    for (path, owner, mode) in &table {
        let found = std::fs::metadata(path).map_err(|error| format!("{path}: {error}"))?;
        let (uid, bits) = (found.uid().to_string(), found.permissions().mode() & 0o7777);
        if uid != **owner || bits != *mode {
            return Err(format!("{path}: owner {uid} mode {bits:o}, expected {owner} and {mode:o}"));
        }
    }
    Ok(format!("{} paths", table.len()))
}

fn sums() -> Found {
    run("dpkg", &["--verify", "stopline"]).and_then(|wrong| match wrong.trim() {
        "" => Ok("none differs".to_owned()),
        wrong => Err(wrong.to_owned()),
    })
}

fn exposure() -> Found {
    let units = [
        ("stopline", "18"),
        ("stopline-agent", "15"),
        ("stopline-agent-nightly", "15"),
        ("stopline-view", "15"),
    ];
    let told: Result<Vec<_>, _> = units.into_iter().map(|(unit, limit)| exposed(unit, limit)).collect();
    Ok(told?.join(", "))
}

/// A unit's exposure, as systemd reckons it; refused above the limit, in tenths.
pub fn exposed(unit: &str, limit: &str) -> Found {
    let file = format!("/usr/lib/systemd/system/{unit}.service");
    let threshold = format!("--threshold={limit}");
    let said = run("systemd-analyze", &["security", "--offline=true", "--no-pager", &threshold, &file])?;
    let overall = said.lines().rev().find(|line| line.contains("Overall")).unwrap_or_default();
    let figure = overall.split_once(": ").map_or("", |(_, figure)| figure);
    Ok(format!("{unit} {}", figure.split(' ').next().unwrap_or_default()))
}

fn started() -> Found {
    std::fs::create_dir_all(SCENE).map_err(|error| error.to_string())?;
    scene(Path::new(SCENE)).map_err(|error| error.to_string())?;
    fresh_bus()?;
    std::fs::write(CONFIG, LIVE).map_err(|error| error.to_string())?;
    let dropped = "/etc/systemd/system/stopline.service.d";
    std::fs::create_dir_all(dropped)
        .and_then(|()| std::fs::write(format!("{dropped}/board.conf"), PROFILE))
        .map_err(|error| error.to_string())?;
    run("systemctl", &["daemon-reload"])?;
    run("systemctl", &["start", "stopline"])?;
    let (active, text) = (property("stopline", "ActiveState")?, property("stopline", "StatusText")?);
    if active != "active" || text.is_empty() {
        return Err(format!("state {active:?}, status {text:?}; {}", journal("stopline", "20")));
    }
    Ok(format!("{text}; watchdog after 30 s here, the processor being emulated"))
}

/// Waits for the state that decides, and for frames in it.
fn decides() -> Found {
    let pid = main_pid()?;
    let seen = wait("state active with decided frames", || {
        let (state, health) = state_of(&pid)?;
        let decided = health.cameras.first()?.decided;
        (state == "active" && decided > 20).then(|| format!("{decided} frames"))
    })?;
    match property("stopline", "NRestarts")?.as_str() {
        "0" => Ok(seen),
        restarts => Err(format!("{restarts} restarts")),
    }
}

fn on_the_bus() -> Found {
    let mut peer = Peer::new()?;
    let begun = SystemClock.monotonic();
    while peer.heard.len() < 50 && SystemClock.monotonic().since(begun) < PATIENCE {
        peer.step()?;
        std::thread::sleep(Duration::from_millis(5));
    }
    // The first frame that a receiver hears tells it the counter.
    let right = peer
        .heard
        .iter()
        .skip(1)
        .filter(|frame| matches!(frame.check, Check::Ok | Check::SomeLost(_)))
        .count();
    if peer.heard.len() < 50 || right + 1 < peer.heard.len() {
        let wrong =
            peer.heard.iter().skip(1).find(|frame| !matches!(frame.check, Check::Ok | Check::SomeLost(_)));
        return Err(format!("{} frames, {right} right, the first wrong one {wrong:?}", peer.heard.len()));
    }
    Ok(format!("{} frames, not armed", peer.heard.len()))
}

fn real_time() -> Found {
    let pid = main_pid()?;
    let locked = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    let locked =
        locked.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap_or_default().trim().to_owned();
    if locked.is_empty() || locked.starts_with("0 ") {
        return Err(format!("locked memory: {locked:?}"));
    }
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    // Field 41 of `stat` is the policy, counted behind the name: 1 is SCHED_FIFO (proc(5)).
    let fifo = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter(|stat| stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(38)) == Some("1"))
        .count();
    if fifo == 0 {
        return Err("no thread has SCHED_FIFO".to_owned());
    }
    Ok(format!("{locked} locked, {fifo} threads in real time"))
}

fn agent() -> Found {
    std::fs::write(
        "/etc/stopline/agent.toml",
        "repository = \"http://127.0.0.1:9/\"\nhardware = \"board\"\nmodels = [\"bright\"]\n",
    )
    .map_err(|error| error.to_string())?;
    run("systemctl", &["start", "stopline-agent"])?;
    wait("the device's key", || Path::new("/var/lib/stopline-agent/device.key").exists().then_some(()))?;
    std::thread::sleep(Duration::from_secs(3));
    match property("stopline-agent", "ActiveState")?.as_str() {
        "active" => Ok("active".to_owned()),
        other => Err(format!("{other}: {}", journal("stopline-agent", "10"))),
    }
}

fn unplugged() -> Found {
    let pid = main_pid()?;
    let put = |what: &str| {
        std::fs::write(format!("{VIVID}/{what}"), "vivid.0").map_err(|error| format!("{what}: {error}"))
    };
    put("unbind")?;
    let without = wait("state that names the lost camera", || {
        let (state, health) = state_of(&pid)?;
        let cause = health.state.cause?;
        (cause == "camera_lost").then(|| format!("{state} ({cause})"))
    })?;
    put("bind")?;
    wait("state active again", || (state_of(&pid)?.0 == "active").then_some(()))?;
    Ok(format!("{without}, then active"))
}

/// Restarts counted by systemd, once they are `count` and the loop decides again.
fn restarted(count: u32, before: &str) -> Result<String, String> {
    wait("restart", || {
        let pid = main_pid().ok()?;
        let restarts = property("stopline", "NRestarts").ok()?;
        let (state, _) = state_of(&pid)?;
        (restarts == count.to_string() && pid != before && state == "active").then_some(pid)
    })
}

fn signal(pid: &str, signal: Signal) -> Result<(), String> {
    let pid = pid.parse().ok().and_then(Pid::from_raw).ok_or_else(|| format!("no process: {pid:?}"))?;
    kill_process(pid, signal).map_err(|error| error.to_string())
}

fn stalled() -> Found {
    let mut peer = Peer::new()?;
    let pid = main_pid()?;
    peer.until(PATIENCE, |brakes| brakes.link == Link::Alive)?;
    signal(&pid, Signal::STOP)?;
    let silent = peer.until(PATIENCE, |brakes| brakes.link == Link::TimedOut)?;
    restarted(1, &pid)?;
    let why = journal("stopline", "all");
    if !why.contains("Watchdog timeout") {
        return Err(format!("restarted, but not by the watchdog: {why}"));
    }
    Ok(format!("timed out after {} ms, then restarted", silent.as_millis()))
}

fn killed() -> Found {
    let pid = main_pid()?;
    signal(&pid, Signal::KILL)?;
    restarted(2, &pid).map(|_| "decides again".to_owned())
}

/// What the checks before this one have done to the camera stands in the journal.
fn explained() -> Found {
    let id = "STOPLINE_ID=state.camera_lost";
    let json = run("journalctl", &["--no-pager", "--output=json", "--lines=1", id])?;
    let entry: serde_json::Value = serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))?;
    let priority = entry["PRIORITY"].as_str().unwrap_or_default();
    let message = entry["MESSAGE"].as_str().unwrap_or_default();
    if entry["_SYSTEMD_UNIT"] != "stopline.service" || priority != "4" || !message.contains("camera_lost") {
        return Err(format!("the journal holds {json}"));
    }
    let explained = run("journalctl", &["--no-pager", "--catalog", "--lines=1", id])?;
    if !explained.contains("The camera is silent") {
        return Err(format!("no help in {explained}"));
    }
    Ok(message.to_owned())
}

fn reloaded() -> Found {
    let pid = main_pid()?;
    run("systemctl", &["reload", "stopline"])?;
    let said = wait("word of the reload", || {
        journal("stopline", "all").lines().rev().find(|line| line.contains("reloaded")).map(str::to_owned)
    })?;
    if main_pid()? != pid {
        return Err("the process is another one".to_owned());
    }
    if said.contains('\u{1b}') {
        return Err(format!("colours for a terminal in the journal: {said:?}"));
    }
    Ok(said)
}

fn nightly() -> Found {
    run("systemctl", &["start", "stopline-agent-nightly.timer"])?;
    let next = property("stopline-agent-nightly.timer", "NextElapseUSecRealtime")?;
    if next.is_empty() {
        return Err("the timer has no next hour".to_owned());
    }
    let started = run("systemctl", &["start", "stopline-agent-nightly"]);
    // 4: the repository was not reached or not accepted (a failure); 6: deferred (none).
    match (property("stopline-agent-nightly", "ExecMainStatus")?.as_str(), started) {
        ("4", Err(_)) => Ok(format!("exit code 4; next {next}")),
        ("6", Ok(_)) => Ok(format!("exit code 6; next {next}")),
        (code, other) => {
            Err(format!("exit code {code}, {other:?}; {}", journal("stopline-agent-nightly", "10")))
        }
    }
}

fn upgraded() -> Found {
    let pid = main_pid()?;
    // As one that was written before schemas were.
    let before = std::fs::read_to_string(CONFIG).map_err(|error| error.to_string())?;
    let old = before.replacen("schema = 1\n", "", 1);
    std::fs::write(CONFIG, &old).map_err(|error| error.to_string())?;
    let said = run("dpkg", &["--install", "/packages/stopline.deb"])?;
    if main_pid()? != pid {
        return Err(format!("the process is another one: {said}"));
    }
    let kept = std::fs::read_to_string(CONFIG).map_err(|error| error.to_string())?;
    if !kept.contains("vcan0") {
        return Err("the configuration was overwritten".to_owned());
    }
    let aside = std::fs::read_to_string(format!("{CONFIG}.schema-0")).map_err(|error| error.to_string())?;
    if kept != format!("schema = 1\n{old}") || aside != old {
        return Err(format!("the old configuration was not migrated: {said}{kept}"));
    }
    said.lines().rev().find(|line| line.contains("next start")).map(str::to_owned).ok_or(said.clone())
}

fn stopped() -> Found {
    run("systemctl", &["stop", "stopline"])?;
    match property("stopline", "Result")?.as_str() {
        "success" => Ok("success".to_owned()),
        other => Err(other.to_owned()),
    }
}

/// By the package's own setting, as after the next start.
fn fed() -> Found {
    run("systemctl", &["daemon-reexec"])?;
    let of = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/class/watchdog/watchdog0/{name}"));
        text.map(|text| text.trim().to_owned()).map_err(|error| format!("watchdog0/{name}: {error}"))
    };
    wait("fed watchdog", || (of("state").ok()? == "active").then_some(())).map_err(|error| {
        let asked = run("systemctl", &["show", "--property=RuntimeWatchdogUSec,WatchdogDevice"]);
        format!(
            "{error}; state {:?}, systemd {asked:?}, {:?}",
            of("state"),
            run("dmesg", &[]).map(|text| text
                .lines()
                .filter(|line| line.contains("atchdog") || line.contains("6300"))
                .collect::<Vec<_>>()
                .join("; "))
        )
    })?;
    Ok(format!("{}, {} s", of("identity")?, of("timeout")?))
}

fn purged() -> Found {
    run("dpkg", &["--purge", "stopline"])?;
    for path in ["/var/lib/stopline", "/var/lib/stopline-agent", "/usr/bin/stopline", CONFIG] {
        if Path::new(path).exists() {
            return Err(format!("{path} is still there"));
        }
    }
    match property("stopline-agent", "ActiveState")?.as_str() {
        "active" => Err("the agent still runs".to_owned()),
        _ => Ok("nothing left".to_owned()),
    }
}
