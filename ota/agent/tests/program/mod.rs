//! The program `stopline-agent`, as a board runs it.
#![allow(dead_code)] // every test program uses another part of it

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::operator::Device;

pub fn agent(device: &Device, command: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_stopline-agent"));
    program.args(command).arg("--config").arg(device.path("agent.toml"));
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// Runs it to its end: exit code, what it printed, what it said.
pub fn run(device: &Device, command: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = agent(device, command).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The running service; ends whatever the test meets.
pub struct Service {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Service {
    pub fn start(device: &Device) -> Self {
        let mut child = agent(device, &["run"])
            .env("NO_COLOR", "1")
            .env("STOPLINE_AGENT_LOG", "info,stopline_agent=debug")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (said, to) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                to.lock().unwrap().extend([line.as_str(), "\n"]);
            }
        });
        Self { child, log }
    }

    /// All that it said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// How often it said `word`.
    pub fn said(&self, word: &str) -> usize {
        self.log().matches(word).count()
    }

    /// As a power cut would: no signal that it could catch.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("what the agent said:\n{}", self.log());
        }
    }
}
