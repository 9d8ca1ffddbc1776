//! Board, server and broker of one run, and what is done to them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Counts, Limits, counts};
use stopline_tests::daemon::now;
use stopline_tests::{fake_clock, program};

use super::Fault;
use super::disks::Disk;
use super::producer::{Producer, Records};
use super::programs::{Link, Service, free_port, log};

/// How long what is to happen may take on a busy machine; a server that was full asks for a minute.
const LONG: Duration = Duration::from_secs(240);
/// How long a fault and the pause before it last, about, and how long a server that was full is left alone.
const FAULT_S: f64 = 1.9;
const PATIENCE_S: f64 = 62.0;
/// Records in the spool, at most: fewer than come while nothing goes.
const FILES: u32 = 40;

pub(super) struct Board {
    seed: u64,
    agent: Service,
    serve: Service,
    broker: Option<Service>,
    /// Where what the agent says of the broker begins that counts.
    broker_since: usize,
    link: Link,
    clock: Option<PathBuf>,
    jump: &'static str,
    recipient: String,
    disks: Option<[Disk; 2]>,
    // After those that live in it.
    folder: tempfile::TempDir,
}

impl Board {
    /// Everything runs; `None` where the server cannot be had.
    pub(super) fn new(seed: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // Enough that only a fault fills them.
        let disks = Disk::mount(&at("board"), 32).zip(Disk::mount(&at("fleet"), 64)).map(<[Disk; 2]>::from);
        for part in ["spool", "trust"] {
            std::fs::create_dir_all(at("board").join(part)).unwrap();
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let serve = serve(folder.path().to_owned(), address);
        let broker = mosquitto(folder.path());
        let link = Link::to(address);
        let clock = fake_clock();
        let port = broker.as_ref().map(|(port, _)| *port);
        std::fs::write(at("agent.toml"), agent_config(folder.path(), &link, port)).unwrap();
        std::fs::write(at("clock"), "+0\n").unwrap();
        let agent = agent(folder.path().to_owned(), clock.clone());
        let mut board = Self {
            seed,
            agent,
            serve,
            broker: broker.map(|(_, service)| service),
            broker_since: 0,
            link,
            clock,
            jump: "+0",
            recipient: String::new(),
            disks,
            folder,
        };
        board.begin_anew();
        Some(board)
    }

    /// Everything that a board and an operator do once.
    fn begin_anew(&mut self) {
        self.serve_up();
        if let Some(broker) = &mut self.broker {
            broker.up();
        }
        self.recipient = self.fleet("key capture capture.key")["recipient"].as_str().unwrap().to_owned();
        let token =
            self.fleet("devices token --name board-1 --data fleet")["token"].as_str().unwrap().to_owned();
        let mut enrol = Command::new(program("stopline-agent"));
        enrol.args(["enroll", "--token", &token, "--config"]).arg(self.path("agent.toml"));
        let enrolled = enrol.output().unwrap();
        assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        self.agent.up();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn has_own_disks(&self) -> bool {
        self.disks.is_some()
    }

    pub(super) fn clock_can_jump(&self) -> bool {
        self.clock.is_some()
    }

    pub(super) fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// What the next jump of the clock is.
    pub(super) fn set_jump(&mut self, jump: &'static str) {
        self.jump = jump;
    }

    /// Captures so many records while so many faults happen; some of them are forgotten before they arrive.
    pub(super) fn produce(&self, records: usize, faults: &[Fault]) -> Producer {
        let records = Records::new(self.seed, records, &self.recipient);
        let forgotten: String = records.some(6).iter().map(|digest| format!(" --record {digest}")).collect();
        self.fleet(&format!("forget fleet/store --data fleet{forgotten}"));
        let limits = Limits { bytes: 8 << 20, files: FILES, keep_free: 64 << 10 };
        let patience = |fault: &Fault| if *fault == Fault::ServerFull { PATIENCE_S } else { 0.0 };
        let lasts = faults.iter().map(|fault| FAULT_S + patience(fault)).sum();
        let lasts = Duration::from_secs_f64(lasts);
        Producer::start(records, self.path("board/spool"), limits, lasts)
    }

    /// Lets time pass, and looks after the programs.
    pub(super) fn go_on(&mut self, time: Duration) {
        let until = now().plus(time);
        while now() < until {
            self.look_after();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until something more is delivered.
    pub(super) fn until_uploading(&mut self) {
        let (before, until) = (self.counts().delivered, now().plus(LONG));
        while self.counts().delivered == before {
            self.go_on(Duration::from_millis(100));
            assert!(
                now() < until,
                "nothing goes on: {:?}\n{}",
                self.counts(),
                last_lines(&self.said("agent.log"))
            );
        }
    }

    fn look_after(&mut self) {
        self.agent.look_after();
        self.serve.look_after();
        if let Some(broker) = &mut self.broker {
            broker.look_after();
        }
    }

    pub(super) fn begin(&mut self, fault: Fault) {
        match (fault, &self.disks) {
            (Fault::LinkCut, _) => self.link.set_away(true),
            (Fault::ServeKilled, _) => self.serve.kill(),
            (Fault::AgentKilled, _) => self.agent.kill(),
            (Fault::ClockJump, _) => std::fs::write(self.path("clock"), self.jump).unwrap(),
            (Fault::BrokerKilled, _) => self.broker.as_mut().unwrap().kill(),
            (Fault::BoardFull, Some([board, _])) => board.fill(),
            (Fault::ServerFull, Some([_, server])) => server.fill(),
            (Fault::BoardFull | Fault::ServerFull, None) => unreachable!("not scheduled"),
        }
    }

    pub(super) fn end(&mut self, fault: Fault) {
        match (fault, &self.disks) {
            (Fault::LinkCut, _) => self.link.set_away(false),
            (Fault::ServeKilled, _) => self.serve.up(),
            (Fault::AgentKilled, _) => self.agent.up(),
            (Fault::ClockJump, _) => std::fs::write(self.path("clock"), "+0\n").unwrap(),
            (Fault::BrokerKilled, _) => {
                self.broker_since = self.said("agent.log").len();
                self.broker.as_mut().unwrap().up();
            }
            (Fault::BoardFull, Some([board, _])) => board.empty(),
            (Fault::ServerFull, Some([_, server])) => server.empty(),
            (Fault::BoardFull | Fault::ServerFull, None) => unreachable!("not scheduled"),
        }
    }

    /// Until nothing waits any more, and the agent has found the broker again.
    pub(super) fn drain(&mut self) {
        let until = now().plus(LONG);
        let heard = |board: &Self| {
            let said = board.said("agent.log");
            board.broker.is_none() || said[board.broker_since..].contains("127.0.0.1: connected")
        };
        while self.counts().waiting > 0 || !heard(self) {
            self.look_after();
            assert!(
                now() < until,
                "{:?}, broker {}: not within {LONG:?}; the agent said:\n{}\nthe server said:\n{}",
                self.counts(),
                heard(self),
                last_lines(&self.said("agent.log")),
                last_lines(&self.said("serve.log"))
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// All of it ends in order.
    pub(super) fn stop(&mut self) {
        self.agent.stop();
        self.serve.stop();
        let ended: Vec<_> = self.agent.ended.iter().chain(&self.serve.ended).collect();
        println!("seed {}: ended by themselves, and were started again: {ended:?}", self.seed);
        let crashed = ended.iter().any(|(line, _)| line.contains("signal"));
        assert!(!crashed && !self.said("agent.log").contains("panicked"), "{ended:?}");
        assert!(!self.said("serve.log").contains("panicked"), "{}", self.said("serve.log"));
        assert!([&self.agent, &self.serve].iter().all(|service| !service.is_up()));
    }

    pub(super) fn counts(&self) -> Counts {
        counts(&RealDisk, &self.path("board/spool")).unwrap()
    }

    fn said(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Runs `stopline-fleet` as an operator types it; what it answers.
    pub(super) fn fleet(&self, line: &str) -> Value {
        let output = Command::new(program("stopline-fleet"))
            .args(line.split_whitespace())
            .arg("--json")
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Started, and until it listens.
    fn serve_up(&mut self) {
        self.serve.up();
        let until = now().plus(LONG);
        while !self.said("serve.out").contains("devices") {
            self.serve.look_after();
            assert!(now() < until, "the server does not begin: {}", self.said("serve.log"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(folder: PathBuf, address: SocketAddr) -> Service {
    Service::new("serve", move || {
        let mut command = Command::new(program("stopline-fleet"));
        command
            .args([
                "serve",
                "--json",
                "--devices",
                &address.to_string(),
                "--mqtt",
                "none",
                "--operators",
                "127.0.0.1:0",
                "--data",
                "fleet",
            ])
            .env("STOPLINE_FLEET_LOG", "warn")
            .current_dir(&folder)
            .stdout(log(&folder.join("serve.out")))
            .stderr(log(&folder.join("serve.log")));
        command
    })
}

fn agent(folder: PathBuf, clock: Option<PathBuf>) -> Service {
    Service::new("agent", move || {
        let mut command = Command::new(program("stopline-agent"));
        command
            .args(["run", "--config"])
            .arg(folder.join("agent.toml"))
            .env("STOPLINE_AGENT_LOG", "info")
            .env("NO_COLOR", "1")
            .stderr(log(&folder.join("agent.log")));
        if let Some(library) = &clock {
            // The wall clock alone, read anew each time.
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"))
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    })
}

/// A broker for anybody on this machine, and its port.
fn mosquitto(folder: &Path) -> Option<(u16, Service)> {
    Command::new("mosquitto").arg("-h").output().ok()?;
    let port = free_port();
    let config = folder.join("mosquitto.conf");
    std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let said = folder.join("mosquitto.log");
    let service = Service::new("mosquitto", move || {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(log(&said));
        command
    });
    Some((port, service))
}

fn agent_config(folder: &Path, link: &Link, broker: Option<u16>) -> String {
    let broker = broker.map_or_else(String::new, |port| {
        format!("[mqtt]\nhost = '127.0.0.1'\nport = {port}\ntls = false\nfleet = 'north'\n")
    });
    AGENT.replace("HERE", folder.to_str().unwrap()).replace("SERVER", &format!("https://{}", link.address))
        + &broker
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

const AGENT: &str = "
repository = 'SERVER/repository'
hardware = 'board'
models = ['stop-sign']
home = 'HERE/board/agent'
depot = 'HERE/board/depot'
state = 'HERE/board/state'
trust = 'HERE/board/trust'
fleet_url = 'SERVER'
[device]
network = 'ethernet'
synchronised_file = 'HERE/board/trust'
[poll]
start_within_s = 86400
[upload]
spool = 'HERE/board/spool'
batch_bytes = 65536
chunk_bytes = 16384
rate_bytes_per_s = 60000
look_s = 1
first_back_off_ms = 100
longest_back_off_ms = 1000
[telemetry]
stats_s = 1
[tls]
authorities_file = 'HERE/fleet/authorities.pem'
[enrolment]
url = 'SERVER'
";
