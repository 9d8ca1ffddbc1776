//! From the command to the world: every period, also when nothing is asked for.
//!
//! In walk order: [`config`] (`[[actuator]]`), [`trigger`] (what of a command an actuator answers to), [`can`] (with
//! [`pack`](can::pack)), [`gpio`], [`run`], [`outbox`], [`log`] and the [`worker`] that the last three hand their work to,
//! [`thread`] (the loop). Here: the trait that all of them pass one suite as, and what can be wrong with them.
//!
//! Nothing here waits for the world: buses and lines are asked without blocking, programs and files are a worker's. Nothing
//! is allocated per period once an actuator runs (tests/promises/allocations.rs). What is not armed is not asked of the
//! world and is shown in the [`Outcome`].

pub mod can;
pub mod config;
pub mod gpio;
pub mod log;
pub mod outbox;
pub mod run;
pub mod thread;
pub mod trigger;
pub mod worker;

use std::sync::Arc;

use stopline_decide::cause::Cause;
use stopline_decide::command::Command;
use stopline_sensors::can::CanOpenError;
use stopline_sensors::can::frame::BusFrame;
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::dbc::DbcError;

use config::{ActuatorConfig, Kind};

/// One way to act: a bus, a line, a program, a file.
pub trait Actuator: Send {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// What it is.
    fn kind(&self) -> Kind;

    /// Acts on the period's command, without waiting and without allocating. Called every period.
    fn send(&mut self, now: Monotonic, command: &Command) -> Outcome;

    /// Lets go, after the last command: workers end, lines stay as the last command left them. May wait, bounded.
    fn close(&mut self);
}

/// What became of a period's command.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Whether something went out.
    pub sent: bool,
    /// What is wrong.
    pub fault: Option<Fault>,
    /// What went out, or would have.
    pub shown: Shown,
}

/// What goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Shown {
    /// Nothing in this period.
    #[default]
    Nothing,
    /// A frame. Where nothing is armed: the one that an armed command would have been.
    Frame(BusFrame),
    /// A line, and whether it is active.
    Line(bool),
    /// A program is started, a message or a line of a log written.
    Event,
}

/// What is wrong with an actuator, for logs, metrics and the health file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The interface is down, or the device is gone.
    Down,
    /// The controller has left the bus.
    BusOff,
    /// The controller is error passive.
    Passive,
    /// Nothing more can be queued.
    QueueFull,
    /// Its own frames have not been on the bus for two periods.
    NoEcho,
    /// Another node sends under its identifier.
    Intruder,
    /// The line does not follow.
    Stuck,
    /// The command is older than its limit: nothing is sent.
    OldCommand,
    /// The worker cannot keep up, or its work failed.
    Worker,
    /// Nobody fetches what lies in the outbox.
    Unread,
    /// Anything else, by the kernel's number.
    System(i32),
}

impl Fault {
    /// The text in logs, metrics and the health file.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::BusOff => "bus_off",
            Self::Passive => "error_passive",
            Self::QueueFull => "queue_full",
            Self::NoEcho => "no_echo",
            Self::Intruder => "intruder",
            Self::Stuck => "stuck",
            Self::OldCommand => "old_command",
            Self::Worker => "worker",
            Self::Unread => "unread",
            Self::System(_) => "system",
        }
    }

    /// What it is to the guard.
    pub const fn cause(self) -> Cause {
        match self {
            Self::Unread => Cause::Agent,
            _ => Cause::ActuatorFault,
        }
    }
}

/// Why an actuator cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The bus cannot be opened.
    #[error("actuator {name}: {source}")]
    Bus {
        /// The actuator.
        name: String,
        /// Why.
        source: CanOpenError,
    },
    /// The DBC file, or what is wanted of it.
    #[error("actuator {name}: {key}: {source}")]
    Dbc {
        /// The actuator.
        name: String,
        /// The key that names it.
        key: String,
        /// What is wrong.
        source: DbcError,
    },
    /// The frame cannot be made as configured.
    #[error("actuator {name}: {what}")]
    Frame {
        /// The actuator.
        name: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// The line cannot be driven.
    #[error("actuator {name}: line {line} of {chip}: {what}")]
    Line {
        /// The actuator.
        name: String,
        /// The chip's device.
        chip: String,
        /// The line's number.
        line: u32,
        /// Why.
        what: String,
    },
    /// A program, folder or file cannot be used.
    #[error("actuator {name}: {key} {path}: {source}")]
    Path {
        /// The actuator.
        name: String,
        /// The key.
        key: &'static str,
        /// Its value.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No thread can be started.
    #[error("actuator {name}: its thread cannot be started: {source}")]
    Thread {
        /// The actuator.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Opens the configured actuators, in order; paths are whole already. `device` is the name in messages to the outside.
///
/// # Errors
/// The first that cannot be had.
pub fn open(
    configs: &[ActuatorConfig],
    device: &str,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Box<dyn Actuator>>, ActError> {
    configs.iter().map(|config| open_one(config, device, clock)).collect()
}

fn open_one(
    config: &ActuatorConfig,
    device: &str,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Actuator>, ActError> {
    Ok(match config {
        ActuatorConfig::Can(config) => Box::new(can::CanActuator::open(config, Arc::clone(clock))?),
        ActuatorConfig::Gpio(config) => Box::new(gpio::GpioActuator::open(config)?),
        ActuatorConfig::Run(config) => Box::new(run::RunActuator::open(config, Arc::clone(clock))?),
        ActuatorConfig::Outbox(config) => {
            Box::new(outbox::OutboxActuator::open(config, device, Arc::clone(clock))?)
        }
        ActuatorConfig::Log(config) => Box::new(log::LogActuator::open(config, Arc::clone(clock))?),
    })
}
