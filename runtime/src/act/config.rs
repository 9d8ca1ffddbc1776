//! `[[actuator]]` of the configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_decide::e2e::Protection;

use super::trigger::Trigger;
use crate::config::Misfit;

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

/// `kind = "can"`. Without `dbc` the frame is the one that `stopline-decide` describes (`STOPLINE_BRAKE`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanConfig {
    /// Its name.
    pub name: String,
    /// The bus, `can0`.
    pub interface: String,
    /// The DBC file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbc: Option<PathBuf>,
    /// The message, by name or `"0x123"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which signal carries which part of the command.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<Part, Carrier>,
    /// Signals that always have the same physical value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constants: BTreeMap<String, f64>,
    /// Counter and checksum; Profile 1 unless configured.
    #[serde(default)]
    pub e2e: Protection,
    /// Send frames that ask for nothing (not valid, deceleration 0) while unarmed; else the bus hears nothing until armed.
    #[serde(default)]
    pub send_idle: bool,
}

/// A frame that carries the command, apart from the bus it goes to. Its keys mean what they mean in [`CanConfig`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameConfig {
    /// See [`CanConfig::dbc`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbc: Option<PathBuf>,
    /// See [`CanConfig::message`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// See [`CanConfig::signals`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<Part, Carrier>,
    /// See [`CanConfig::constants`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constants: BTreeMap<String, f64>,
    /// See [`CanConfig::e2e`].
    #[serde(default)]
    pub e2e: Protection,
}

/// A part of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// 1: the receiver may act on the frame.
    Valid,
    /// m/s², 0 or more.
    Deceleration,
    /// 1: hold at standstill.
    Hold,
    /// 1: engage the parking brake.
    ParkingBrake,
    /// 1: the autopilot hands over.
    Disengage,
    /// 0 none, 1 inform, 2 warn.
    Warn,
    /// 1: a hold that nobody answered for.
    Escalate,
    /// 0 idle, 1 warning, 2 braking, 3 holding, 4 overridden.
    Row,
    /// 1: nobody watches for falls.
    MonitoringLost,
    /// Persons down.
    PersonsDown,
    /// The cause's number, 0 none.
    Cause,
    /// Milliseconds; the signal's largest value: none yet.
    ObjectAgeMs,
    /// Milliseconds; the signal's largest value: none yet.
    DecisionAgeMs,
}

/// The signal that carries a part: its name, or a name and a scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Carrier {
    /// The physical value is the part's.
    Plain(String),
    /// The physical value is the part's × factor + offset: factor -1 where the bus wants acceleration.
    Scaled(Scaled),
}

/// A signal and a scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaled {
    /// The signal.
    pub signal: String,
    /// See [`Carrier::Scaled`].
    #[serde(default = "one")]
    pub factor: f64,
    /// See [`Carrier::Scaled`].
    #[serde(default)]
    pub offset: f64,
}

impl Carrier {
    /// Signal, factor, offset.
    pub fn parts(&self) -> (&str, f64, f64) {
        match self {
            Self::Plain(signal) => (signal, 1.0, 0.0),
            Self::Scaled(scaled) => (&scaled.signal, scaled.factor, scaled.offset),
        }
    }
}

/// `kind = "gpio"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpioConfig {
    /// Its name.
    pub name: String,
    /// The chip's device, `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// The line's number on it.
    pub line: u32,
    /// How it says "on".
    pub mode: LineMode,
    /// When it says so.
    pub when: Trigger,
    /// The line is active when low.
    #[serde(default)]
    pub active_low: bool,
    /// The resistor on the board that holds the line where nobody drives it: what the receiver sees when this process, or
    /// the machine, is dead. A level line without one, or whose resistor makes it active, cannot arm.
    #[serde(default)]
    pub pull: Pull,
    /// Periods between two edges of a toggling line (1).
    #[serde(default = "one_period")]
    pub toggle_periods: u32,
    /// Read the line back, and call a line that does not follow a fault (`true`).
    #[serde(default = "yes")]
    pub readback: bool,
    /// Tell the driver also while unarmed.
    #[serde(default)]
    pub while_unarmed: bool,
}

/// How a line says "on".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineMode {
    /// It toggles; a line that stands still is off. A dead process is off.
    Toggle,
    /// It is active. A dead process leaves it as the chip's driver or the pull resistor has it.
    Level,
}

/// A pull resistor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// None that is documented.
    #[default]
    None,
    /// To the supply.
    Up,
    /// To ground.
    Down,
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

impl CanConfig {
    /// The frame alone.
    pub fn frame(&self) -> FrameConfig {
        let Self { dbc, message, signals, constants, e2e, .. } = self.clone();
        FrameConfig { dbc, message, signals, constants, e2e }
    }

    fn check(&self) -> Result<(), Misfit> {
        if self.interface.is_empty() || self.interface.len() > 15 {
            return Err(Misfit::new(
                "interface",
                format!("{:?}", self.interface),
                "a bus, for example \"can0\"",
            ));
        }
        self.frame().check()
    }
}

impl FrameConfig {
    fn check(&self) -> Result<(), Misfit> {
        if self.dbc.is_none() {
            let own = [("message", self.message.is_some()), ("signals", !self.signals.is_empty())];
            if let Some((key, _)) = own.into_iter().find(|(_, given)| *given) {
                return Err(Misfit::new(key, "given without dbc", "none, or the DBC file that describes it"));
            }
            return Ok(());
        }
        if self.message.is_none() {
            return Err(Misfit::new(
                "message",
                "missing",
                "the message of the DBC file that carries the command",
            ));
        }
        if self.signals.is_empty() {
            return Err(Misfit::new(
                "signals",
                "missing",
                "which signal carries which part: { deceleration = \"…\" }",
            ));
        }
        let asks = [Part::Deceleration, Part::Hold, Part::ParkingBrake];
        let asks = asks.iter().find(|part| self.signals.contains_key(part));
        if let Some(asks) = asks.filter(|_| !self.signals.contains_key(&Part::Valid)) {
            let expected = "the signal that tells the receiver whether it may act on the frame";
            return Err(Misfit::new("signals.valid", format!("missing beside {}", asks.name()), expected));
        }
        for (part, carrier) in &self.signals {
            let (_, factor, offset) = carrier.parts();
            if !factor.is_finite() || factor == 0.0 || !offset.is_finite() {
                let key = format!("signals.{}.factor", part.name());
                return Err(Misfit::new(&key, factor, "a number that is not 0"));
            }
        }
        Ok(())
    }
}

impl Part {
    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deceleration => "deceleration",
            Self::Hold => "hold",
            Self::ParkingBrake => "parking_brake",
            Self::Disengage => "disengage",
            Self::Warn => "warn",
            Self::Escalate => "escalate",
            Self::Row => "row",
            Self::MonitoringLost => "monitoring_lost",
            Self::PersonsDown => "persons_down",
            Self::Cause => "cause",
            Self::ObjectAgeMs => "object_age_ms",
            Self::DecisionAgeMs => "decision_age_ms",
        }
    }
}

impl GpioConfig {
    fn check(&self) -> Result<(), Misfit> {
        within("toggle_periods", self.toggle_periods.into(), 1, 50)?;
        if self.while_unarmed && self.when.is_request() {
            return Err(Misfit::new(
                "while_unarmed",
                "true",
                "false: what asks for braking is done only when armed",
            ));
        }
        Ok(())
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

fn one() -> f64 {
    1.0
}

fn one_period() -> u32 {
    1
}

fn yes() -> bool {
    true
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
