//! `[[actuator]]` of the configuration file.

mod can;
mod gpio;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::trigger::Trigger;
use crate::config::Misfit;
pub use can::{CanConfig, Carrier, FrameConfig, Part, Scaled};
pub use gpio::{GpioConfig, LineMode, Pull};

/// One actuator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActuatorConfig {
    /// A periodic frame on a CAN bus.
    Can(CanConfig),
    /// A line of a GPIO chip.
    Gpio(GpioConfig),
    /// A program: a sound, a lamp, anything.
    Run(RunConfig),
    /// Messages for the agent to send: fall alerts, webhooks.
    Outbox(OutboxConfig),
    /// Lines of JSON in a file.
    Log(LogConfig),
}

/// What an actuator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A periodic frame on a CAN bus.
    Can,
    /// A line of a GPIO chip.
    Gpio,
    /// A program.
    Run,
    /// Messages for the agent.
    Outbox,
    /// Lines of JSON.
    Log,
}

impl Kind {
    /// As it is written in the configuration.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Can => "can",
            Self::Gpio => "gpio",
            Self::Run => "run",
            Self::Outbox => "outbox",
            Self::Log => "log",
        }
    }
}

/// `kind = "run"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Its name.
    pub name: String,
    /// The program, with its whole path. No shell.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// When it is run: at the beginning of this.
    pub when: Trigger,
    /// Run again this often while it lasts; 0: once.
    #[serde(default)]
    pub repeat_ms: u64,
    /// Killed with all it started after this time (5000).
    #[serde(default = "five_seconds")]
    pub timeout_ms: u64,
    /// Tell the driver also while unarmed.
    #[serde(default)]
    pub while_unarmed: bool,
}

/// `kind = "outbox"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxConfig {
    /// Its name.
    pub name: String,
    /// The folder that the agent reads.
    pub folder: PathBuf,
    /// What is told; each at its beginning, falls and lost monitoring also at their end.
    #[serde(default = "to_the_staff")]
    pub when: Vec<Trigger>,
    /// Whom, as the agent's configuration names them; empty: whoever is told by default.
    #[serde(default)]
    pub to: Vec<String>,
    /// A message that waits longer than this is a fault: nobody fetches (10).
    #[serde(default = "ten")]
    pub unread_s: u64,
    /// Tell of warnings to the driver also while unarmed.
    #[serde(default)]
    pub while_unarmed: bool,
}

/// `kind = "log"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Its name.
    pub name: String,
    /// The file; what it held before goes on.
    pub file: PathBuf,
    /// Write every period, not only changes.
    #[serde(default)]
    pub every_period: bool,
    /// Above this size the file becomes FILE.1 and begins anew (16).
    #[serde(default = "sixteen")]
    pub most_mib: u64,
    /// Write the frame too that a bus would get of the command, were it armed: a bus to look at where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<FrameConfig>,
}

impl ActuatorConfig {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Can(config) => &config.name,
            Self::Gpio(config) => &config.name,
            Self::Run(config) => &config.name,
            Self::Outbox(config) => &config.name,
            Self::Log(config) => &config.name,
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Can(_) => Kind::Can,
            Self::Gpio(_) => Kind::Gpio,
            Self::Run(_) => Kind::Run,
            Self::Outbox(_) => Kind::Outbox,
            Self::Log(_) => Kind::Log,
        }
    }

    /// Takes relative paths from `folder`, where the configuration file lies.
    pub fn resolve(&mut self, folder: &Path) {
        if let Self::Log(LogConfig { frame: Some(FrameConfig { dbc: Some(dbc), .. }), .. }) = self {
            *dbc = folder.join(&*dbc);
        }
        let path = match self {
            Self::Can(config) => config.dbc.as_mut(),
            Self::Gpio(config) => Some(&mut config.chip),
            Self::Run(config) => Some(&mut config.program),
            Self::Outbox(config) => Some(&mut config.folder),
            Self::Log(config) => Some(&mut config.file),
        };
        if let Some(path) = path {
            *path = folder.join(&*path);
        }
    }

    /// Whether it can work, keys and bounds; devices and files are looked at when it is opened.
    ///
    /// # Errors
    /// The first key that cannot.
    pub fn check(&self) -> Result<(), Misfit> {
        match self {
            Self::Can(config) => config.check(),
            Self::Gpio(config) => config.check(),
            Self::Run(config) => config.check(),
            Self::Outbox(config) => config.check(),
            Self::Log(config) => {
                config.frame.as_ref().map_or(Ok(()), FrameConfig::check)?;
                within("most_mib", config.most_mib, 1, 4_096)
            }
        }
    }

    /// What it is for arming.
    pub fn arming(&self) -> Arming {
        match self {
            // A receiver times out when the frames end.
            Self::Can(_) => Arming::Alone,
            Self::Gpio(config) if !config.when.is_request() => Arming::Apart,
            Self::Gpio(config) => match (config.mode, config.pull) {
                (LineMode::Toggle, _) => Arming::Alone,
                (LineMode::Level, Pull::Up) if config.active_low => Arming::BesideAnother,
                (LineMode::Level, Pull::Down) if !config.active_low => Arming::BesideAnother,
                (LineMode::Level, _) => Arming::Never,
            },
            Self::Run(_) | Self::Outbox(_) | Self::Log(_) => Arming::Apart,
        }
    }
}

/// What an actuator is for arming: what its receiver sees when this process is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arming {
    /// The receiver knows: it may arm alone.
    Alone,
    /// It falls to "off" only when the chip's driver lets go of the line: it may arm beside one that may alone.
    BesideAnother,
    /// It may stay "on": with it nothing may be armed.
    Never,
    /// It asks nothing of the vehicle.
    Apart,
}

/// Whether these actuators may be armed together.
///
/// # Errors
/// Why not, as a misfit of the key `actuator`.
pub fn may_arm(actuators: &[ActuatorConfig]) -> Result<(), Misfit> {
    let is = |wanted: Arming| actuators.iter().position(|actuator| actuator.arming() == wanted);
    if let Some(at) = is(Arming::Never) {
        let expected = "mode = \"toggle\", or the `pull` resistor that makes the line inactive when nobody drives it: \
                        a level line without one may stay on when this process is dead, and nothing may be armed";
        return Err(Misfit::new(
            &format!("actuator[{at}].pull"),
            "a level line that asks for braking",
            expected,
        ));
    }
    match (is(Arming::Alone), is(Arming::BesideAnother)) {
        (None, Some(at)) => Err(Misfit::new(
            &format!("actuator[{at}].mode"),
            "a level line alone",
            "a CAN frame or a toggling line beside it: a level line may not arm alone",
        )),
        _ => Ok(()),
    }
}

impl RunConfig {
    fn check(&self) -> Result<(), Misfit> {
        within("timeout_ms", self.timeout_ms, 50, 60_000)?;
        if self.repeat_ms != 0 {
            within("repeat_ms", self.repeat_ms, 100, 3_600_000)?;
        }
        if self.arguments.len() > 64 {
            return Err(Misfit::new("arguments", self.arguments.len(), "at most 64"));
        }
        if self.when.is_request() {
            let expected = "inform, warn, escalate, fall, monitoring_lost, fault or agent_lost: a program has no time-out \
                            that a brake could rely on";
            return Err(Misfit::new("when", format!("{:?}", self.when), expected));
        }
        Ok(())
    }
}

impl OutboxConfig {
    fn check(&self) -> Result<(), Misfit> {
        within("unread_s", self.unread_s, 1, 3_600)?;
        if self.when.is_empty() || self.when.len() > 12 {
            return Err(Misfit::new("when", format!("{} entries", self.when.len()), "1 to 12"));
        }
        let odd =
            [Trigger::Valid, Trigger::AgentLost, Trigger::Hold, Trigger::ParkingBrake, Trigger::Disengage];
        match self.when.iter().find(|trigger| odd.contains(trigger)) {
            Some(odd) => {
                let expected = "fall, monitoring_lost, inform, warn, brake, escalate or fault";
                Err(Misfit::new("when", format!("{odd:?}"), expected))
            }
            None => Ok(()),
        }
    }
}

fn within(key: &str, found: u64, least: u64, most: u64) -> Result<(), Misfit> {
    let expected = || format!("{least} to {most}");
    if (least..=most).contains(&found) { Ok(()) } else { Err(Misfit::new(key, found, expected())) }
}

fn five_seconds() -> u64 {
    5_000
}

fn ten() -> u64 {
    10
}

fn sixteen() -> u64 {
    16
}

fn to_the_staff() -> Vec<Trigger> {
    vec![Trigger::Fall, Trigger::MonitoringLost]
}

#[cfg(test)]
mod tests;
