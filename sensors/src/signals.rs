//! What the vehicle says of itself and of its driver, judged and at the time it is asked for.
//!
//! [`config`]: the `[vehicle]` section. [`history`]: samples, judgement, interpolation. [`route`]: bus frames to samples.
//! [`live`]: the thread that reads a bus. [`track`] and [`candump`]: recordings. Here: the quantities, and [`Vehicle`],
//! which opens what is configured.
//!
//! A counter or checksum is checked by a [`FrameCheck`] that comes from outside: the profiles lie with the decision, which
//! this room does not import.

pub mod candump;
pub mod config;
pub mod history;
pub mod live;
pub mod route;
pub mod track;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::can::CanOpenError;
use crate::clock::{Clock, Monotonic};
use crate::dbc::{Database, DbcError, Message};
use config::{Source, VehicleConfig, WrongKey};
use history::Histories;
use live::{BusState, LiveBus};
use route::{FrameCheck, Router};

/// How many quantities there are.
pub const QUANTITIES: usize = 11;

/// A quantity of the vehicle or its driver. Names and units are those of configuration and signal tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// m/s, negative in reverse.
    Speed,
    /// rad/s, positive to the left.
    YawRate,
    /// Of the steering wheel, rad, positive to the left.
    SteeringAngle,
    /// Of the steering wheel, rad/s, positive to the left.
    SteeringRate,
    /// 0 released to 1 floored.
    Accelerator,
    /// 0 released to 1 pressed; a switch gives 0 or 1.
    BrakePedal,
    /// Longitudinal, m/s², positive forwards.
    Acceleration,
    /// Switch: ignition on.
    Ignition,
    /// Switch: an autopilot or cruise control drives.
    Autopilot,
    /// Switch: the driver has switched the function off.
    OffSwitch,
    /// Switch: the driver's action that releases a standstill hold.
    Release,
}

impl Quantity {
    /// All of them, in order.
    pub const ALL: [Self; QUANTITIES] = [
        Self::Speed,
        Self::YawRate,
        Self::SteeringAngle,
        Self::SteeringRate,
        Self::Accelerator,
        Self::BrakePedal,
        Self::Acceleration,
        Self::Ignition,
        Self::Autopilot,
        Self::OffSwitch,
        Self::Release,
    ];

    /// As it is written in configuration and signal tracks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::YawRate => "yaw_rate",
            Self::SteeringAngle => "steering_angle",
            Self::SteeringRate => "steering_rate",
            Self::Accelerator => "accelerator",
            Self::BrakePedal => "brake_pedal",
            Self::Acceleration => "acceleration",
            Self::Ignition => "ignition",
            Self::Autopilot => "autopilot",
            Self::OffSwitch => "off_switch",
            Self::Release => "release",
        }
    }

    /// Whether it is on or off, and is never interpolated.
    pub const fn is_switch(self) -> bool {
        matches!(self, Self::Ignition | Self::Autopilot | Self::OffSwitch | Self::Release)
    }

    /// Least and most value that a road vehicle can have; what lies outside is a fault of the sensor or of the scale.
    pub const fn possible(self) -> (f32, f32) {
        match self {
            Self::Speed => (-20.0, 100.0),
            Self::YawRate => (-4.0, 4.0),
            Self::SteeringAngle => (-20.0, 20.0),
            Self::SteeringRate => (-40.0, 40.0),
            // A little beyond the ends: pedals are calibrated so.
            Self::Accelerator | Self::BrakePedal => (-0.05, 1.05),
            Self::Acceleration => (-25.0, 25.0),
            Self::Ignition | Self::Autopilot | Self::OffSwitch | Self::Release => (0.0, 1.0),
        }
    }

    /// Most change per second that is possible, where there is such a bound: the wheels of a braking car lose at most
    /// about 15 m/s each second, and a slipping one gains more; 60 leaves room for both and still catches a wrong byte.
    pub const fn possible_rate(self) -> Option<f32> {
        match self {
            Self::Speed => Some(60.0),
            Self::SteeringAngle => Some(60.0),
            _ => None,
        }
    }
}

/// A quantity at a moment, judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reading {
    /// A value within its staleness limit, counter and checksum right. Switches are 0 or 1.
    Fresh(f32),
    /// There were values, none within the limit.
    Stale,
    /// Counter or checksum wrong, or a value that cannot be.
    Invalid,
    /// Configured and never received, or not configured.
    #[default]
    Missing,
}

/// All quantities at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings([Reading; QUANTITIES]);

impl Readings {
    /// One of them.
    pub fn of(&self, quantity: Quantity) -> Reading {
        self.0[quantity as usize]
    }

    /// With one of them changed.
    #[must_use]
    pub fn with(mut self, quantity: Quantity, reading: Reading) -> Self {
        self.0[quantity as usize] = reading;
        self
    }
}

/// Why vehicle signals cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] WrongKey),
    /// The DBC file does not fit the configuration.
    #[error("[vehicle] {key}: {source}")]
    Dbc {
        /// The key that names it.
        key: String,
        /// What is wrong.
        source: DbcError,
    },
    /// The bus cannot be opened.
    #[error("[vehicle] interface: {0}")]
    Bus(#[from] CanOpenError),
    /// The counter or checksum of a message cannot be checked as configured.
    #[error("[vehicle.e2e.{message}]: {what}")]
    Check {
        /// The message.
        message: String,
        /// What is wrong.
        what: String,
    },
    /// A recording cannot be read.
    #[error("{}{}: {what}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Track {
        /// The file.
        path: PathBuf,
        /// Where in it, counted from 1.
        line: Option<usize>,
        /// What was found and what is expected.
        what: String,
    },
    /// No thread can be started.
    #[error("the thread that reads the bus cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Vehicle signals for whoever asks. Clones show the same.
///
/// Asking takes a lock for some microseconds, which the thread that reads the bus holds while it adds a frame: give that
/// thread a priority not below the asking one's.
#[derive(Clone)]
pub struct VehicleSignals(Arc<Mutex<Histories>>);

impl VehicleSignals {
    /// Nothing configured: everything is missing.
    pub fn none() -> Self {
        Self::of(Histories::default())
    }

    /// The same values at all times, for benches.
    pub fn constant(values: &[(Quantity, f32)]) -> Self {
        Self::of(Histories::constant(values))
    }

    pub(crate) fn of(histories: Histories) -> Self {
        Self(Arc::new(Mutex::new(histories)))
    }

    /// The values at `time`, for a picture taken then: between two samples interpolated, after the newest one held, as long
    /// as the sample before `time` was fresh then.
    pub fn at(&self, time: Monotonic) -> Readings {
        self.lock().at(time)
    }

    /// The newest values of all that were received up to `now`, for a command.
    pub fn newest(&self, now: Monotonic) -> Readings {
        self.lock().newest(now)
    }

    /// Frames refused since the start, for metrics: counter or checksum wrong, repeated, impossible values.
    pub fn refused(&self) -> Refused {
        self.lock().refused
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Histories> {
        // A panic elsewhere leaves whole samples behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was refused, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Frames with a wrong checksum or counter.
    pub checks: u64,
    /// Frames that came again with the same counter.
    pub repeated: u64,
    /// Values that cannot be, or that the sender marked as not available.
    pub values: u64,
}

/// Makes the check of one message from its configuration.
pub type CheckMaker<'a, P> = dyn Fn(&P, &Message) -> Result<Box<dyn FrameCheck>, String> + 'a;

/// The configured vehicle: signals, and the thread that reads them where there is one. Dropped, that thread ends.
pub struct Vehicle {
    signals: VehicleSignals,
    live: Option<LiveBus>,
}

impl Vehicle {
    /// Opens what is configured; its paths are whole already ([`VehicleConfig::resolve`]). `started` runs first in the
    /// reading thread (to set its priority).
    ///
    /// # Errors
    /// [`SignalError`]: wrong configuration, DBC file, recording, or no such bus. A bus that is down is no error: its
    /// signals are missing until it is up.
    pub fn open<P>(
        config: &VehicleConfig<P>,
        clock: Arc<dyn Clock>,
        checks: &CheckMaker<'_, P>,
        started: impl FnOnce() + Send + 'static,
    ) -> Result<Self, SignalError> {
        config.check()?;
        let router = || -> Result<Router, SignalError> {
            // `check` has seen to it that the key is there.
            let path = config.dbc.as_deref().unwrap_or(Path::new(""));
            let database =
                Database::read(path).map_err(|source| SignalError::Dbc { key: "dbc".into(), source })?;
            Router::new(config, &database, checks)
        };
        match config.source {
            Source::Constant => {
                Ok(Self { signals: VehicleSignals::of(Histories::constant(&config.constants())), live: None })
            }
            Source::Track => {
                let path = config.file.as_deref().unwrap_or(Path::new(""));
                let histories = if candump::is_one(path)? {
                    candump::read(path, router()?, config)?
                } else {
                    track::read(path, config)?
                };
                Ok(Self { signals: VehicleSignals::of(histories), live: None })
            }
            Source::Can => {
                let interface = config.interface.as_deref().unwrap_or_default();
                let live = LiveBus::start(interface, router()?, clock, started)?;
                Ok(Self { signals: live.signals(), live: Some(live) })
            }
        }
    }

    /// The signals.
    pub fn signals(&self) -> VehicleSignals {
        self.signals.clone()
    }

    /// How the bus is, where there is one.
    pub fn bus(&self) -> Option<BusState> {
        self.live.as_ref().map(LiveBus::state)
    }
}
