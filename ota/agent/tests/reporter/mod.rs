//! A device that reports to the lab: enrolled, with a spool that a test fills as the runtime would.
#![allow(dead_code)] // every test program uses another part of it

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use stopline_agent::budget::Meter;
use stopline_agent::certificate::{self, Certificate};
use stopline_agent::clock::{Clock, boot_id};
use stopline_agent::config::Config;
use stopline_agent::fleet::Line;
use stopline_agent::identity::Identity;
use stopline_agent::sequence::Sequence;
use stopline_agent::surroundings::Senses;
use stopline_agent::telemetry::hooks::Hooks;
use stopline_agent::telemetry::outbox::Outbox;
use stopline_agent::telemetry::{self, Telemetry};
use stopline_agent::tls::{Papers, TimeBound};
use stopline_agent::upload::{self, Progress, Uploader};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Class, Counts, Limits, Put, Spool, counts};

use crate::authority::{Authority, DAY, Strangers, tls};
use crate::lab::Lab;
use crate::operator::{Device, HeldClock, Operator, noise};

pub struct World {
    pub lab: Lab,
    pub device: Device,
    pub identity: Identity,
    pub spool: PathBuf,
}

/// At a moment, with more of the configuration: lines of the top, and tables.
pub fn world(now: Timestamp, top: &str, tables: &str) -> World {
    let clock = HeldClock::at(now);
    let authority = Authority::new("fleet");
    let lab = Lab::start(tls(&authority, &[&authority], Strangers::In, clock.clone()));
    let operator = Operator::new(now);
    let device = Device { clock, ..Device::new("http://127.0.0.1:1", &operator) };
    let spool = device.path("spool");
    std::fs::write(device.path("authority.pem"), &authority.pem).unwrap();
    let config = format!(
        "fleet_url = '{}'\n{top}{}{tables}\n[tls]\nauthorities_file = '{}'\n",
        lab.url,
        device
            .config
            .replace("outcomes_url", "# outcomes_url")
            .replace("start_within_s = 0", "start_within_s = 86400"),
        device.path("authority.pem").display()
    )
    // A busy machine is slow, and nothing more.
    .replace("stall_s = 2\n", "stall_s = 60\n")
    .replace("SPOOL", &spool.display().to_string())
    .replace("HERE", &device.folder.path().display().to_string());
    std::fs::write(device.path("agent.toml"), &config).unwrap();
    std::fs::create_dir_all(device.path("home")).unwrap();
    let identity = Identity::open(&device.path("home")).unwrap();
    let second = now.as_second();
    let request = certificate::request(&identity).unwrap();
    let issued = authority.issue(&request, second - DAY, second + 300 * DAY).unwrap();
    Certificate::parse(issued.as_bytes()).unwrap().keep(&device.path("home"), None).unwrap();
    std::fs::create_dir_all(&spool).unwrap();
    World { lab, device: Device { config, ..device }, identity, spool }
}

impl World {
    /// Puts records of these lengths into the spool, as the runtime would; each differs.
    pub fn capture(&self, seed: u64, lengths: &[usize]) -> Vec<Digest> {
        let records = lengths.iter().zip(seed..).map(|(length, seed)| noise(seed, *length));
        let records: Vec<Vec<u8>> = records.collect();
        records.iter().map(|record| self.put(record, 5, 4_000_000_000)).collect()
    }

    pub fn put(&self, record: &[u8], class: u8, expires: u64) -> Digest {
        let limits = Limits { bytes: 1 << 30, files: 10_000, keep_free: 0 };
        let mut spool = Spool::open(RealDisk, &self.spool, limits, 1_000).unwrap();
        let put = spool.put(record, Class::new(class).unwrap(), expires, 1_000).unwrap();
        let Put::Waiting(digest) = put else { panic!("{put:?}") };
        digest
    }

    pub fn counts(&self) -> Counts {
        counts(&RealDisk, &self.spool).unwrap()
    }

    pub fn config(&self) -> Config {
        Config::parse(&self.device.config).unwrap()
    }

    pub fn senses(&self) -> Senses {
        let config = self.config();
        let zone = config.zone().unwrap();
        let meter =
            Meter::open(&config.home, zone.clone(), config.budget.clone(), config.window.mobile_day_bytes);
        Senses::new(config.device.clone(), zone, meter)
    }

    pub fn line(&self) -> Line {
        let config = self.config();
        let clock: Arc<dyn Clock> = self.device.clock.clone();
        let papers = Papers::new(&config, &self.identity, clock.clone(), TimeBound::default());
        let handle = self.device.runtime.handle().clone();
        Line::open(config.fleet_url.as_deref().unwrap(), &config.download, papers, handle, clock).unwrap()
    }

    /// Messages that wait.
    pub fn kept(&self) -> Outbox {
        let home = self.device.path("home");
        Outbox::open(&home, &self.identity, Sequence::open(&home, boot_id())).unwrap()
    }

    /// The agent's telemetry, as a start finds it.
    pub fn telemetry(&self) -> Telemetry {
        let config = self.config();
        let papers = Papers::new(&config, &self.identity, self.device.clock.clone(), TimeBound::default());
        let handle = self.device.runtime.handle().clone();
        let hooks = Hooks::open(&config, &papers, handle, self.device.clock.clone()).unwrap();
        let parts = telemetry::Parts {
            config,
            clock: self.device.clock.clone(),
            identity: self.identity.clone(),
            senses: self.senses(),
            outbox: self.kept(),
            line: Some(self.line()),
            upload: Progress::default(),
        };
        Telemetry::open(parts, hooks).unwrap()
    }

    /// The agent's upload, as a start finds it.
    pub fn uploader(&self) -> (Uploader, Progress) {
        self.uploader_with(self.senses())
    }

    pub fn uploader_with(&self, senses: Senses) -> (Uploader, Progress) {
        let config = self.config();
        let sequence = Sequence::open(&config.home, boot_id());
        let clock = self.device.clock.clone();
        let parts = upload::Parts {
            config,
            clock,
            identity: self.identity.clone(),
            sequence,
            senses,
            line: self.line(),
        };
        let progress = Progress::default();
        let uploader =
            Uploader::open(parts, &self.spool, progress.clone()).map_err(|(_, error)| error).unwrap();
        (uploader, progress)
    }

    /// Steps, and lets time pass between them, until nothing waits.
    pub fn drain(&self, uploader: &mut Uploader, most_steps: usize) {
        for _ in 0..most_steps {
            uploader.step();
            if self.counts().waiting == 0 {
                return;
            }
            self.device.clock.pass(std::time::Duration::from_secs(1_000));
        }
        panic!("{most_steps} steps, and records wait: {:?}", self.counts());
    }
}
