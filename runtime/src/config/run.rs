//! `[run]`: the process itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Misfit, NAME, is_name};

/// The process itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// The device's name in the health file, records and messages.
    pub name: String,
    /// Where the health file and the sockets live: a folder in memory (systemd's `RuntimeDirectory=`).
    pub directory: PathBuf,
    /// File name of the stream's socket in `directory`; empty: no stream.
    pub stream: String,
    /// Pictures a second in the stream, while somebody reads it; 0: none.
    pub stream_pictures_per_s: f32,
    /// Pixels across of a picture in the stream; narrower pictures stay as they are.
    pub stream_picture_width: u32,
    /// File name of the control socket in `directory` (`stopline arm`); empty: none.
    pub control: String,
    /// From one command to the next, in milliseconds; 5 to 50. Receivers time out after three periods.
    pub command_period_ms: u32,
    /// Keep all memory in RAM (`mlockall`), where permitted.
    pub lock_memory: bool,
    /// SCHED_FIFO priority of the actuator thread and of the one that reads the vehicle's bus, where permitted; capture has
    /// one less, inference none. 2 to 98; 0: all threads share the processor as others do.
    pub realtime_priority: u8,
    /// Core of the actuator and guard threads; not given: any.
    pub cpu: Option<u16>,
    /// Core of each inference thread, by its number; not given: any. The other threads keep off these cores, where there are
    /// others, unless `cpu` of theirs says so.
    pub inference_cpus: Vec<u16>,
    /// Mean luma (0 to 255) below which a picture counts as night; it counts as day again from `day_above` on.
    pub night_below: f32,
    /// Mean luma above which a picture counts as day.
    pub day_above: f32,
    /// What the log holds; `STOPLINE_LOG` and `-v` override.
    pub log: LogLevel,
}

/// How much the log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what stops the process.
    Error,
    /// What somebody should look at.
    Warn,
    /// Transitions and counts.
    #[default]
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// `error`, `warn`, `info`, `debug`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            name: "stopline".to_owned(),
            directory: PathBuf::from("/run/stopline"),
            stream: "stream.sock".to_owned(),
            stream_pictures_per_s: 2.0,
            stream_picture_width: 640,
            control: "control.sock".to_owned(),
            command_period_ms: 20,
            lock_memory: true,
            realtime_priority: 50,
            cpu: None,
            inference_cpus: Vec::new(),
            night_below: 45.0,
            day_above: 60.0,
            log: LogLevel::Info,
        }
    }
}

impl Run {
    /// The health file.
    pub fn health_file(&self) -> PathBuf {
        self.directory.join("health.json")
    }

    /// The stream's socket, where there is to be one.
    pub fn stream_socket(&self) -> Option<PathBuf> {
        (!self.stream.is_empty()).then(|| self.directory.join(&self.stream))
    }

    /// The control socket, where there is to be one.
    pub fn control_socket(&self) -> Option<PathBuf> {
        (!self.control.is_empty()).then(|| self.directory.join(&self.control))
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        if !is_name(&self.name) {
            return Err(Misfit::new("run.name", format!("{:?}", self.name), NAME));
        }
        if !self.directory.is_absolute() {
            return Err(Misfit::new("run.directory", self.directory.display(), "an absolute path"));
        }
        for (key, name) in [("run.stream", &self.stream), ("run.control", &self.control)] {
            if !name.is_empty() && (!is_name(name) || name == "health.json") {
                return Err(Misfit::new(key, format!("{name:?}"), "a file name in run.directory, or \"\""));
            }
        }
        if !self.stream.is_empty() && self.stream == self.control {
            return Err(Misfit::new(
                "run.control",
                format!("{:?}", self.control),
                "another name than run.stream's",
            ));
        }
        if !(0.0..=30.0).contains(&self.stream_pictures_per_s) {
            return Err(Misfit::new("run.stream_pictures_per_s", self.stream_pictures_per_s, "0 to 30"));
        }
        if !(64..=1920).contains(&self.stream_picture_width) {
            return Err(Misfit::new(
                "run.stream_picture_width",
                self.stream_picture_width,
                "64 to 1920 pixels",
            ));
        }
        if !(5..=50).contains(&self.command_period_ms) {
            return Err(Misfit::new("run.command_period_ms", self.command_period_ms, "5 to 50"));
        }
        if self.realtime_priority != 0 && !(2..=98).contains(&self.realtime_priority) {
            return Err(Misfit::new("run.realtime_priority", self.realtime_priority, "0, or 2 to 98"));
        }
        let ordered = 0.0 <= self.night_below && self.night_below < self.day_above && self.day_above <= 255.0;
        if !ordered {
            let found = format!("{} with run.day_above {}", self.night_below, self.day_above);
            return Err(Misfit::new("run.night_below", found, "0 ≤ night_below < day_above ≤ 255"));
        }
        Ok(())
    }
}
