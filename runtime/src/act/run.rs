//! A program that is run when something begins: a sound, a lamp, a script of the integrator's.
//!
//! One at a time, in a process group of its own, for a bounded time; then the whole group is killed. No shell, no input of
//! ours; what it prints goes where ours goes. It learns what it is about from its environment: `STOPLINE_WHEN`,
//! `STOPLINE_PERSONS_DOWN`, `STOPLINE_CAUSE`, `STOPLINE_ARMED`.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_decide::command::Command;
use stopline_sensors::clock::{Clock, Monotonic};

use super::config::{Kind, RunConfig};
use super::trigger::Trigger;
use super::worker::{Failed, Job, Worker};
use super::{ActError, Actuator, Fault, Outcome, Shown};

/// A program that is run when something begins.
pub struct RunActuator {
    name: String,
    when: Trigger,
    while_unarmed: bool,
    repeat: Duration,
    on: bool,
    begun: Monotonic,
    worker: Worker<Start>,
}

/// What the program is about.
#[derive(Clone, Copy)]
struct Start {
    persons_down: u8,
    cause: Option<&'static str>,
    armed: bool,
}

impl RunActuator {
    /// Looks at the program and starts the thread that will run it.
    ///
    /// # Errors
    /// The program is not there or may not be run, or no thread can be started.
    pub fn open(config: &RunConfig, clock: Arc<dyn Clock>) -> Result<Self, ActError> {
        runnable(&config.program).map_err(|source| ActError::Path {
            name: config.name.clone(),
            key: "program",
            path: config.program.display().to_string(),
            source,
        })?;
        let runner = Runner {
            name: config.name.clone(),
            program: config.program.clone(),
            arguments: config.arguments.clone(),
            when: config.when,
            timeout: Duration::from_millis(config.timeout_ms),
            clock,
        };
        let worker = Worker::start(&config.name, runner)
            .map_err(|source| ActError::Thread { name: config.name.clone(), source })?;
        Ok(Self {
            name: config.name.clone(),
            when: config.when,
            while_unarmed: config.while_unarmed,
            repeat: Duration::from_millis(config.repeat_ms),
            on: false,
            begun: Monotonic::default(),
            worker,
        })
    }

    /// How many runs have ended.
    pub fn ended(&self) -> u64 {
        self.worker.done()
    }
}

impl Actuator for RunActuator {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Run
    }

    fn send(&mut self, now: Monotonic, command: &Command) -> Outcome {
        let on = self.when.is_on(command, self.while_unarmed);
        let again = on && self.on && !self.repeat.is_zero() && now.since(self.begun) >= self.repeat;
        let starts = on && !self.on || again;
        self.on = on;
        let mut fault = self.worker.is_failing().then_some(Fault::Worker);
        if starts {
            self.begun = now;
            let cause = command.cause.map(|cause| cause.code());
            let start = Start { persons_down: command.persons_down, cause, armed: command.armed };
            if !self.worker.give(start) {
                fault = Some(Fault::Worker);
            }
        }
        let would = self.when.would(command);
        Outcome { sent: starts, fault, shown: if would { Shown::Event } else { Shown::Nothing } }
    }

    fn close(&mut self) {
        self.worker.close();
    }
}

/// A file that somebody may execute. Whether this process may is told when it is run.
fn runnable(program: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let about = std::fs::metadata(program)?;
    if about.is_file() && about.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a program: expected an executable file"))
}

struct Runner {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    when: Trigger,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);

impl Job<Start> for Runner {
    fn work(&mut self, start: Start, stop: &AtomicBool) -> Result<(), Failed> {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let program = self.program.display();
        match self.run(start, stop) {
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::Badly(status)) => {
                tracing::warn!(actuator = self.name, %program, %status, "the program failed");
                Err(Failed)
            }
            Ok(Ended::Killed) => {
                tracing::warn!(actuator = self.name, %program, timeout = ?self.timeout, "the program was killed");
                Err(Failed)
            }
            Err(error) => {
                tracing::warn!(actuator = self.name, %program, %error, "the program cannot be run");
                Err(Failed)
            }
        }
    }
}

enum Ended {
    Well,
    Badly(std::process::ExitStatus),
    Killed,
}

impl Runner {
    fn run(&self, start: Start, stop: &AtomicBool) -> io::Result<Ended> {
        let mut program = Program::new(&self.program);
        program
            .args(&self.arguments)
            .env(
                "STOPLINE_WHEN",
                serde_json::to_value(self.when)
                    .ok()
                    .as_ref()
                    .and_then(|when| when.as_str())
                    .unwrap_or_default(),
            )
            .env("STOPLINE_PERSONS_DOWN", start.persons_down.to_string())
            .env("STOPLINE_CAUSE", start.cause.unwrap_or_default())
            .env("STOPLINE_ARMED", if start.armed { "1" } else { "0" })
            .stdin(Stdio::null())
            .process_group(0);
        let mut child = program.spawn()?;
        let begun = self.clock.monotonic();
        loop {
            if let Some(status) = child.try_wait()? {
                // What it left behind in its group ends with it.
                kill_group(&child);
                return Ok(if status.success() { Ended::Well } else { Ended::Badly(status) });
            }
            if stop.load(Ordering::Relaxed) || self.clock.monotonic().since(begun) >= self.timeout {
                kill_group(&child);
                child.wait()?;
                return Ok(Ended::Killed);
            }
            self.clock.sleep(LOOK);
        }
    }
}

/// Kills the program's whole group. Its number is still the program's: it was not yet waited for, or nobody else can have
/// taken the number of a group that still has members; an empty group is no error.
fn kill_group(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
