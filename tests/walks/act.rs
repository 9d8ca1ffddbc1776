//! Programs, messages and logs as actuators: the suite, and what goes wrong with each. Buses and lines are on the virtual
//! board.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stopline::act::config::{ActuatorConfig, Kind};
use stopline::act::{Actuator, Fault, Outcome};
use stopline_decide::cause::Cause;
use stopline_decide::command::{Command, Row};
use stopline_decide::decision::WarnLevel;
use stopline_decide::time::Nanos;
use stopline_depot::outbox::{self, Subject};
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_tests::actuator_suite::{Bench, PERIOD, conforms};

fn open(text: &str) -> Result<Box<dyn Actuator>, String> {
    let config: ActuatorConfig = toml::from_str(text).map_err(|error| error.to_string())?;
    config.check().map_err(|misfit| format!("{misfit:?}"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut opened = stopline::act::open(&[config], "test", &clock).map_err(|error| error.to_string())?;
    opened.pop().ok_or_else(|| "nothing was opened".into())
}

fn send(actuator: &mut Box<dyn Actuator>, command: &Command) -> Outcome {
    let now = SystemClock.monotonic();
    actuator.send(now, &Command { made: Nanos(now.as_nanos()), ..*command })
}

/// Sends each period until `wanted`, at most ten seconds.
fn until(actuator: &mut Box<dyn Actuator>, command: &Command, wanted: impl Fn(&Outcome) -> bool) -> Duration {
    let begun = SystemClock.monotonic();
    loop {
        let outcome = send(actuator, command);
        let passed = SystemClock.monotonic().since(begun);
        if wanted(&outcome) {
            return passed;
        }
        assert!(passed < Duration::from_secs(10), "{outcome:?}");
        SystemClock.sleep(PERIOD);
    }
}

fn wait_for(what: &str, wanted: impl Fn() -> bool) {
    let begun = SystemClock.monotonic();
    while !wanted() {
        assert!(SystemClock.monotonic().since(begun) < Duration::from_secs(10), "{what} did not come");
        SystemClock.sleep(Duration::from_millis(10));
    }
}

fn warning() -> Command {
    Command { armed: true, valid: true, row: Row::Warning, warn: Some(WarnLevel::Warn), ..Command::default() }
}

fn down(persons: u8) -> Command {
    Command { valid: true, persons_down: persons, ..Command::default() }
}

/// A shell script in `folder`.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("script");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run(program: &Path, rest: &str) -> Result<Box<dyn Actuator>, String> {
    open(&format!("kind = \"run\"\nname = \"buzzer\"\nprogram = {program:?}\nwhen = \"warn\"\n{rest}"))
}

/// Something that grows at the other end: lines of a file, files of a folder.
struct Grows<'a> {
    kind: Kind,
    text: String,
    asks: Command,
    acts_unarmed: bool,
    count: &'a dyn Fn() -> usize,
    before: usize,
}

impl Bench for Grows<'_> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn open(&mut self) -> Result<Box<dyn Actuator>, String> {
        open(&self.text)
    }

    fn asks(&self) -> Command {
        self.asks
    }

    fn look(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn was_asked(&mut self, patience: Duration) -> Result<bool, String> {
        let begun = SystemClock.monotonic();
        loop {
            let now = (self.count)();
            if now > self.before || SystemClock.monotonic().since(begun) >= patience {
                return Ok(std::mem::replace(&mut self.before, now) < now);
            }
            SystemClock.sleep(Duration::from_millis(5));
        }
    }

    fn acts_unarmed(&self) -> bool {
        self.acts_unarmed
    }
}

#[test]
fn a_program_passes_the_actuator_suite() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let program =
        script(folder.path(), &format!("echo $STOPLINE_WHEN $STOPLINE_ARMED $1 >>{}", runs.display()));
    let lines = || fs::read_to_string(&runs).map_or(0, |text| text.lines().count());
    let text = format!(
        "kind = \"run\"\nname = \"buzzer\"\nprogram = {program:?}\narguments = [\"a b; c\"]\nwhen = \"warn\"\n"
    );
    let mut bench =
        Grows { kind: Kind::Run, text, asks: warning(), acts_unarmed: false, count: &lines, before: 0 };
    println!("{}", conforms(&mut bench).unwrap());
    let first = fs::read_to_string(&runs).unwrap();
    assert_eq!(first.lines().next(), Some("warn 1 a b; c"), "arguments reach it whole, by no shell");
}

#[test]
fn an_outbox_passes_the_actuator_suite() {
    let folder = tempfile::tempdir().unwrap();
    let falls = || {
        let waiting = outbox::waiting(folder.path()).unwrap_or_default();
        let read = waiting.iter().filter_map(|waiting| outbox::read(&waiting.path).ok());
        read.filter(|message| message.subject == Subject::Fall).count()
    };
    let text = format!("kind = \"outbox\"\nname = \"staff\"\nfolder = {:?}\nunread_s = 60\n", folder.path());
    let mut bench =
        Grows { kind: Kind::Outbox, text, asks: down(1), acts_unarmed: true, count: &falls, before: 0 };
    println!("{}", conforms(&mut bench).unwrap());
}

#[test]
fn a_log_passes_the_actuator_suite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("commands.jsonl");
    let braking = || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        // The last line may be half written.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["deceleration"].as_f64() > Some(0.0)).count()
    };
    let text = format!("kind = \"log\"\nname = \"log\"\nfile = {file:?}\n");
    let asks = Command { valid: true, row: Row::Braking, deceleration: 2.5, ..Command::default() };
    let mut bench = Grows { kind: Kind::Log, text, asks, acts_unarmed: true, count: &braking, before: 0 };
    println!("{}", conforms(&mut bench).unwrap());
    let text = fs::read_to_string(&file).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["schema"], &line["row"], &line["armed"]),
        (&1.into(), &"braking".into(), &false.into())
    );
}

#[test]
fn a_program_that_hangs_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let program = script(folder.path(), &format!("sleep 1000 &\necho $$ $! >>{}\nwait", pids.display()));
    let mut buzzer = run(&program, "timeout_ms = 300\n").unwrap();
    send(&mut buzzer, &warning());
    until(&mut buzzer, &warning(), |outcome| outcome.fault == Some(Fault::Worker));
    let text = fs::read_to_string(&pids).unwrap();
    let pids: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(pids.len(), 2, "it ran once: {text:?}");
    for pid in pids {
        // Gone, or a zombie of whoever adopted it.
        let gone = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'))
        };
        wait_for("the end of the program", gone);
    }
}

#[test]
fn closing_ends_a_running_program_and_one_at_a_time_runs() {
    let folder = tempfile::tempdir().unwrap();
    let begun = folder.path().join("begun");
    let program = script(folder.path(), &format!("echo x >>{}\nexec sleep 1000", begun.display()));
    let mut buzzer = run(&program, "timeout_ms = 60000\nrepeat_ms = 100\n").unwrap();
    until(&mut buzzer, &warning(), |_| begun.exists());
    let mut full = false;
    for _ in 0..30 {
        full |= send(&mut buzzer, &warning()).fault.is_some();
        SystemClock.sleep(PERIOD);
    }
    assert_eq!(fs::read_to_string(&begun).unwrap().lines().count(), 1);
    let at = SystemClock.monotonic();
    buzzer.close();
    let took = SystemClock.monotonic().since(at);
    assert!(took < Duration::from_secs(5), "{took:?}, {full}");
    assert_eq!(fs::read_to_string(&begun).unwrap().lines().count(), 1, "what waited is not begun any more");
}

#[test]
fn a_program_that_is_none_or_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(&folder.path().join("none"), "").err().unwrap();
    assert!(said.contains("actuator buzzer: program") && said.contains("none"), "{said}");
    let said = run(folder.path(), "").err().unwrap();
    assert!(said.contains("not a program"), "{said}");
    let program = script(folder.path(), "exit 3");
    let mut buzzer = run(&program, "").unwrap();
    until(&mut buzzer, &warning(), |outcome| outcome.fault == Some(Fault::Worker));
}

#[test]
fn an_outbox_that_nobody_reads_is_a_fault_of_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "kind = \"outbox\"\nname = \"staff\"\nfolder = {:?}\nunread_s = 1\nto = [\"nurses\"]\n",
        folder.path().join("outbox")
    );
    let mut staff = open(&text).unwrap();
    send(&mut staff, &down(1));
    until(&mut staff, &down(1), |outcome| outcome.fault == Some(Fault::Unread));
    assert_eq!(Fault::Unread.cause(), Cause::Agent);
    let waiting = outbox::waiting(&folder.path().join("outbox")).unwrap();
    assert_eq!(waiting.len(), 1);
    let message = outbox::read(&waiting[0].path).unwrap();
    assert_eq!((message.device.as_str(), message.to.as_slice()), ("test", &["nurses".to_owned()][..]));
    // A second person is a message of its own; that they are up again, too.
    send(&mut staff, &down(2));
    send(&mut staff, &down(0));
    wait_for("three messages", || outbox::waiting(&folder.path().join("outbox")).unwrap().len() == 3);
    let subjects: Vec<Subject> = outbox::waiting(&folder.path().join("outbox"))
        .unwrap()
        .iter()
        .map(|waiting| outbox::read(&waiting.path).unwrap().subject)
        .collect();
    assert_eq!(subjects, [Subject::Fall, Subject::Fall, Subject::FallOver]);
    // Somebody fetches them at last.
    for waiting in outbox::waiting(&folder.path().join("outbox")).unwrap() {
        fs::remove_file(waiting.path).unwrap();
    }
    until(&mut staff, &down(0), |outcome| outcome.fault.is_none());
}

#[test]
fn an_outbox_that_cannot_be_written_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox");
    let text = format!("kind = \"outbox\"\nname = \"staff\"\nfolder = {path:?}\n");
    let mut staff = open(&text).unwrap();
    fs::remove_dir_all(&path).unwrap();
    send(&mut staff, &down(1));
    until(&mut staff, &down(1), |outcome| outcome.fault == Some(Fault::Worker));
}

#[test]
fn a_log_begins_anew_when_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("commands.jsonl");
    fs::write(&file, "x".repeat((1 << 20) - 10)).unwrap();
    let text = format!("kind = \"log\"\nname = \"log\"\nfile = {file:?}\nmost_mib = 1\n");
    let mut log = open(&text).unwrap();
    send(&mut log, &warning());
    wait_for("the older file", || folder.path().join("commands.jsonl.1").exists());
    log.close();
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 1);
    assert!(lines.contains("\"warn\":\"warn\""), "{lines}");
}
