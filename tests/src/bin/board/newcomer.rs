//! The README's "Put it on a board", followed word by word by somebody who has the bundled clip and model: its file, its
//! commands in their order, its expected lines.
//!
//! Not followed: the build, since the machine has no compiler. That line must be the one by which the host made what is here.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stopline_sensors::clock::{Clock, SystemClock};

use crate::rig::{Board, Found, ensure};
use crate::service::{CONFIG, PATIENCE, health, journal, property, run, wait};

/// Where the reader's files lie, and the README: `tests/board/service` puts them there.
const FOLDER: &str = "/srv/newcomer";
/// The command that the host ran in place of the machine.
const BUILD: &str = "cargo build --release && cross/package";
/// Causes by which a loop tells that frames or answers come too late.
const LATE: [&str; 3] = ["camera_lost", "inference_stalled", "inference_slow"];
/// What `stopline check` ends with where it refuses.
const REFUSED: i32 = 12;

pub fn checks(board: &mut Board) {
    // The machine passes the variable on, empty where it is not set.
    if std::env::var_os("STOPLINE_FULL").is_none_or(|value| value.is_empty()) {
        println!("BOARD newcomer: the README's section is followed with STOPLINE_FULL=1 only");
        return;
    }
    board.check("newcomer: the README's file runs on a recording, and says what the README says", tried);
    board.check("newcomer: the README's commands put the package into service", put_into_service);
}

/// The section of the README: its TOML block, and each console block as commands and what they print.
struct Section {
    file: String,
    tried: (String, Vec<String>),
    commands: Vec<String>,
}

impl Section {
    fn read() -> Result<Self, String> {
        let text =
            std::fs::read_to_string(format!("{FOLDER}/README.md")).map_err(|error| error.to_string())?;
        let section = text.split("\n## ").find(|part| part.starts_with("Put it on a board\n"));
        let section = section.ok_or("README.md has no section `Put it on a board`")?;
        let blocks = |kind: &str| -> Vec<String> {
            let fence = format!("```{kind}\n");
            section
                .split(&fence)
                .skip(1)
                .filter_map(|rest| rest.split("\n```").next())
                .map(str::to_owned)
                .collect()
        };
        let ([file], [first, second]) = (&blocks("toml")[..], &blocks("console")[..]) else {
            return Err("expected one TOML block and two of commands".to_owned());
        };
        let commands = |block: &str| -> Vec<String> {
            block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
        };
        let expected = first.lines().filter(|line| !line.starts_with("$ ")).map(str::to_owned).collect();
        let command = commands(first).into_iter().next().ok_or("the first block has no command")?;
        Ok(Self { file: file.clone(), tried: (command, expected), commands: commands(second) })
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/bash");
    shell.args(["-c", command]).current_dir(FOLDER).stdin(Stdio::null());
    shell
}

/// Starts the program as the README says, waits for its lines, and ends it as Ctrl-C does.
fn tried() -> Found {
    let section = Section::read()?;
    run("dpkg", &["--install", "/packages/stopline.deb"])?;
    std::fs::write(format!("{FOLDER}/stopline.toml"), &section.file).map_err(|error| error.to_string())?;
    let said = format!("{FOLDER}/said");
    let (command, expected) = &section.tried;
    let to = std::fs::File::create(&said).map_err(|error| error.to_string())?;
    let mut child =
        shell(&format!("exec {command}")).stderr(to).spawn().map_err(|error| error.to_string())?;
    // The reader's detector is the README's, ours is the bundled one: its name and version stand in the first line.
    let model = model()?;
    let wanted: Vec<String> =
        expected.iter().map(|line| line.replace("yolox_nano_416 0.1.0", &model)).collect();
    let begun = SystemClock.monotonic();
    let missing = loop {
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        let missing = wanted.iter().find(|line| !text.lines().any(|told| told.contains(line.as_str())));
        let late = SystemClock.monotonic().since(begun) > PATIENCE;
        if missing.is_none() || late || child.try_wait().map_err(|error| error.to_string())?.is_some() {
            break missing.map(|line| format!("{line:?} was not said, but {text}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let ended = child.wait().map_err(|error| error.to_string())?;
    ensure(missing.is_none(), || missing.clone().unwrap_or_default())?;
    ensure(ended.success(), || format!("Ctrl-C: {ended}"))?;
    let commands =
        std::fs::read_to_string(format!("{FOLDER}/commands.jsonl")).map_err(|error| error.to_string())?;
    ensure(commands.lines().count() > 0, || "no command was written".into())?;
    Ok(format!("{} lines as in the README, {} commands written", expected.len(), commands.lines().count()))
}

/// Name and version of the reader's detector, by its manifest.
fn model() -> Result<String, String> {
    let text =
        std::fs::read_to_string(format!("{FOLDER}/detector.toml")).map_err(|error| error.to_string())?;
    let manifest = stopline_depot::manifest::Manifest::from_toml(&text).map_err(|error| error.to_string())?;
    Ok(format!("{} {}", manifest.name, manifest.version))
}

fn put_into_service() -> Found {
    let section = Section::read()?;
    let [build, rest @ ..] = &section.commands[..] else { return Err("no commands".to_owned()) };
    ensure(build == BUILD, || format!("the first command is {build:?}, the host ran {BUILD:?}"))?;
    // As on a machine that never had it.
    run("dpkg", &["--purge", "stopline"])?;
    for command in rest {
        let done = shell(command).output().map_err(|error| error.to_string())?;
        let expected = if command.starts_with("stopline check") { REFUSED } else { 0 };
        ensure(done.status.code() == Some(expected), || {
            let said = [&done.stdout[..], &done.stderr[..]].concat();
            let said = String::from_utf8_lossy(&said);
            format!("{command}: {}, expected {expected}: {said}; {}", done.status, journal("stopline", "10"))
        })?;
    }
    let pid = property("stopline", "MainPID")?;
    let seen = wait("a loop that decides, from the README's file", || {
        let health = health().filter(|health| health.pid.to_string() == pid)?;
        let (decided, cause) = (health.cameras.first()?.decided, health.state.cause.unwrap_or_default());
        // An emulated processor is late, and the README's limits are those of a board: then the state must say just that.
        let right = cause.is_empty() && health.state.name == "active" || LATE.contains(&cause.as_str());
        (right && decided > 0)
            .then(|| format!("{} ({cause}), {decided} frames decided on", health.state.name))
    });
    let seen = seen.map_err(|error| format!("{error}; {}", journal("stopline", "10")))?;
    for unit in ["stopline", "stopline-agent"] {
        let (active, enabled) = (property(unit, "ActiveState")?, property(unit, "UnitFileState")?);
        ensure(active == "active" && enabled == "enabled", || {
            format!("{unit} is {active} and {enabled}; {}", journal(unit, "10"))
        })?;
    }
    ensure(Path::new("/var/lib/stopline/commands.jsonl").exists(), || {
        format!("{CONFIG}: no commands are written")
    })?;
    run("systemctl", &["disable", "--now", "stopline", "stopline-agent"])?;
    Ok(format!("{} commands, {seen}, both enabled", rest.len()))
}
