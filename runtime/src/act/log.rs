//! Commands as lines of JSON in a file: what was asked for, armed or not. One line per change of what is asked for, or per
//! period.
//!
//! ```json
//! {"schema":1,"t_us":120000,"armed":false,"valid":true,"row":"braking","deceleration":2.5,"hold":false,
//!  "parking_brake":false,"warn":"warn","disengage":false,"escalate":false,"persons_down":0,"monitoring_lost":false,
//!  "cause":null,"situation":3,"object_age_us":31000,"decision_age_us":8000}
//! ```
//!
//! With `frame` each line also holds, as `frame`, what a bus would get of the command, were it armed: identifier and bytes as
//! `candump -L` writes them (`2A0#3C010000000000FFFF`), counter and checksum in place. The counter goes on with each line,
//! so that with `every_period` a receiver could check the file as it would the bus.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use stopline_decide::command::Command;
use stopline_decide::decision::WarnLevel;
use stopline_sensors::can::frame::BusFrame;
use stopline_sensors::clock::{Clock, Monotonic};

use super::can::pack::Packer;
use super::config::{Kind, LogConfig};
use super::worker::{Failed, Job, Worker};
use super::{ActError, Actuator, Fault, Outcome, Shown};

/// The schema of its lines.
pub const SCHEMA: u32 = 1;

/// Commands as lines of JSON in a file.
pub struct LogActuator {
    name: String,
    every_period: bool,
    before: Option<Command>,
    packer: Option<Packer>,
    worker: Worker<Entry>,
}

/// When, what, and the frame.
type Entry = (Monotonic, Command, Option<BusFrame>);

impl LogActuator {
    /// Opens the file and starts the thread that writes it.
    ///
    /// # Errors
    /// The file cannot be opened, the frame cannot be made as configured, or no thread can be started.
    pub fn open(config: &LogConfig, _clock: Arc<dyn Clock>) -> Result<Self, ActError> {
        let packer = config.frame.as_ref().map(|frame| Packer::new(&config.name, frame)).transpose()?;
        let path = |source| ActError::Path {
            name: config.name.clone(),
            key: "file",
            path: config.file.display().to_string(),
            source,
        };
        let file = append(&config.file).map_err(path)?;
        let length = file.metadata().map_err(path)?.len();
        let writer = Writer { path: config.file.clone(), file, length, most: config.most_mib << 20 };
        let worker = Worker::start(&config.name, writer)
            .map_err(|source| ActError::Thread { name: config.name.clone(), source })?;
        Ok(Self {
            name: config.name.clone(),
            every_period: config.every_period,
            before: None,
            packer,
            worker,
        })
    }

    /// Lines handled so far.
    pub fn written(&self) -> u64 {
        self.worker.done()
    }
}

impl Actuator for LogActuator {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Log
    }

    fn send(&mut self, now: Monotonic, command: &Command) -> Outcome {
        let same = |before: &Command| without_times(before) == without_times(command);
        let writes = self.every_period || !self.before.as_ref().is_some_and(same);
        let mut fault = self.worker.is_failing().then_some(Fault::Worker);
        if writes {
            let counter = self.packer.as_ref().map(Packer::counter);
            let frame =
                self.packer.as_mut().and_then(|packer| packer.frame(&Command { armed: true, ..*command }));
            if self.worker.give((now, *command, frame)) {
                self.before = Some(*command);
            } else {
                // What no line holds has not counted.
                if let (Some(packer), Some(counter)) = (&mut self.packer, counter) {
                    packer.take_back(counter);
                }
                fault = Some(Fault::Worker);
            }
        }
        Outcome { sent: writes, fault, shown: if writes { Shown::Event } else { Shown::Nothing } }
    }

    fn close(&mut self) {
        self.worker.close();
    }
}

/// What changes in every period is no change of what is asked for.
fn without_times(command: &Command) -> Command {
    Command { made: Default::default(), object_age: None, decision_age: None, ..*command }
}

/// A command as a line of the log, without its end.
pub fn line(at: Monotonic, command: &Command, frame: Option<&BusFrame>) -> String {
    let micros = |nanos: stopline_decide::time::Nanos| nanos.0 / 1_000;
    let warn = command.warn.map(|level| match level {
        WarnLevel::Inform => "inform",
        WarnLevel::Warn => "warn",
    });
    let mut line = json!({
        "schema": SCHEMA,
        "t_us": at.as_nanos() / 1_000,
        "armed": command.armed,
        "valid": command.valid,
        "row": command.row.code(),
        "deceleration": command.deceleration,
        "hold": command.hold,
        "parking_brake": command.parking_brake,
        "warn": warn,
        "disengage": command.disengage,
        "escalate": command.escalate,
        "persons_down": command.persons_down,
        "monitoring_lost": command.monitoring_lost,
        "cause": command.cause.map(|cause| cause.code()),
        "situation": command.situation,
        "object_age_us": command.object_age.map(micros),
        "decision_age_us": command.decision_age.map(micros),
    });
    if let Some(frame) = frame {
        line["frame"] = format!("{frame:?}").into();
    }
    line.to_string()
}

struct Writer {
    path: PathBuf,
    file: File,
    length: u64,
    most: u64,
}

impl Job<Entry> for Writer {
    fn work(&mut self, (at, command, frame): Entry, _stop: &AtomicBool) -> Result<(), Failed> {
        self.write(at, &command, frame.as_ref()).map_err(|error| {
            tracing::error!(file = %self.path.display(), %error, "the command log cannot be written");
            Failed
        })
    }
}

impl Writer {
    fn write(&mut self, at: Monotonic, command: &Command, frame: Option<&BusFrame>) -> io::Result<()> {
        let mut line = line(at, command, frame);
        line.push('\n');
        if self.length + line.len() as u64 > self.most {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            std::fs::rename(&self.path, older)?;
            self.file = append(&self.path)?;
            self.length = 0;
        }
        // In one call, so that a reader, and a file cut by a crash, has whole lines but for the last.
        self.file.write_all(line.as_bytes())?;
        self.length += line.len() as u64;
        Ok(())
    }
}

fn append(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
