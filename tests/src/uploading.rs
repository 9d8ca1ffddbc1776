//! The way of captured frames with the programs as they are installed: the operator's server, and an agent that it let in.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::operator::Desk;
use crate::program;

/// Why nothing here can be handled: it is a test's own preparation.
const WORKS: &str = "what a test prepares works";

/// A program that ends with the test.
pub struct Running(pub Child);

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect(WORKS);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A repository that is signed and published, for whoever asks.
pub fn published() -> Desk {
    let desk = Desk::new();
    for holder in ["anna", "cleo"] {
        desk.fleet(&format!("sign --key {holder}/{holder}.pem"));
    }
    desk.fleet("publish repository --online online");
    desk
}

/// What `stopline-fleet LINE --json` says.
pub fn json(desk: &Desk, line: &str) -> Value {
    let said = desk.fleet(&format!("{line} --json"));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{line}: {error}: {said}"))
}

/// The operator's server with its data in `fleet`, on addresses of its own choice; the devices' one.
pub fn serve(desk: &Desk) -> (Running, SocketAddr) {
    let any = "127.0.0.1:0";
    let mut child = Command::new(program("stopline-fleet"))
        .args(["serve", "--json", "--devices", any, "--operators", any, "--mqtt", any, "--data"])
        .arg(desk.path("fleet"))
        .env("STOPLINE_FLEET_LOG", "error")
        .current_dir(desk.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .expect(WORKS);
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect(WORKS)).read_line(&mut line).expect(WORKS);
    let server = Running(child);
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let address = said["devices"].as_str().and_then(|at| at.parse().ok());
    (server, address.unwrap_or_else(|| panic!("no address in {line}")))
}

/// An agent that is enrolled by a token and runs, on the board in the folder `board`; it says what it does to `agent.log`.
///
/// `config` is its configuration, where HERE stands for the board's folder, SERVER for the address to which it is to go, and
/// AUTHORITIES for the file of the server's authority.
pub fn agent(desk: &Desk, server: SocketAddr, config: &str) -> Running {
    let trust = desk.path("board/trust");
    std::fs::create_dir_all(&trust).expect(WORKS);
    std::fs::copy(desk.path("repository/metadata/1.root.json"), trust.join("root.json")).expect(WORKS);
    std::fs::write(trust.join("floor.json"), r#"{"schema": 1, "models": {}}"#).expect(WORKS);
    std::fs::write(trust.join("deny.json"), r#"{"schema": 1, "digests": []}"#).expect(WORKS);
    let file = desk.path("agent.toml");
    let text = config
        .replace("HERE", &desk.path("board").display().to_string())
        .replace("SERVER", &format!("https://{server}"))
        .replace("AUTHORITIES", &desk.path("fleet/authorities.pem").display().to_string());
    std::fs::write(&file, text).expect(WORKS);
    let token = json(desk, "devices token --name board-1 --data fleet")["token"].clone();
    let agent = || {
        let mut command = Command::new(program("stopline-agent"));
        command.env("STOPLINE_AGENT_LOG", "debug");
        command
    };
    let token = token.as_str().expect("a token");
    let enrolled = agent().args(["enroll", "--token", token, "--config"]).arg(&file).output().expect(WORKS);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let log = std::fs::File::create(desk.path("agent.log")).expect(WORKS);
    Running(agent().args(["run", "--config"]).arg(&file).stderr(log).spawn().expect(WORKS))
}

/// Its configuration, but what a test says of `[upload]`, which comes last.
pub const AGENT: &str = r#"repository = "SERVER/repository"
hardware = "board"
models = ["stop-sign"]
home = "HERE/agent"
depot = "HERE/depot"
state = "HERE/state"
trust = "HERE/trust"
fleet_url = "SERVER"
[device]
network = "ethernet"
synchronised_file = "HERE/trust"
[poll]
start_within_s = 0
[tls]
authorities_file = "AUTHORITIES"
[enrolment]
url = "SERVER"
[upload]
spool = "HERE/spool"
look_s = 1
first_back_off_ms = 200
longest_back_off_ms = 1000
"#;
