//! The processes that the demo starts: this program again, with other arguments.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use stopline_sensors::clock::{Clock, SystemClock};

/// How long one has to end by itself: a brake in progress runs out first.
const PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(5);

/// Most that is shown of what a process said last.
const LINES: usize = 6;

/// A running one. Dropped, it is told to end and waited for.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts this program with `arguments`; what it says goes into `log`. In a process group of its own: Ctrl-C is this
    /// process's to pass on.
    pub fn start(name: &str, arguments: &[OsString], log: &Path) -> anyhow::Result<Self> {
        let said = File::create(log).with_context(|| format!("{}: cannot be written", log.display()))?;
        let program = std::env::current_exe().context("this program's own path is not to be had")?;
        let child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name}: {} cannot be started", program.display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Tells it to end, in order, and waits. Killed where it does not.
    pub fn end(&mut self) -> Option<ExitStatus> {
        let clock = SystemClock;
        if let Some(ended) = self.ended() {
            return Some(ended);
        }
        // Not yet waited for, so the number is still this child's.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = clock.monotonic().plus(PATIENCE);
        while clock.monotonic() < until {
            if let Some(ended) = self.ended() {
                return Some(ended);
            }
            clock.sleep(GLANCE);
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    /// What it said last.
    pub fn last_words(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
