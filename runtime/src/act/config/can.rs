//! `kind = "can"`: a frame on a bus, and which signal of it carries which part of the command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stopline_decide::e2e::Protection;

use crate::config::Misfit;

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

impl CanConfig {
    /// The frame alone.
    pub fn frame(&self) -> FrameConfig {
        let Self { dbc, message, signals, constants, e2e, .. } = self.clone();
        FrameConfig { dbc, message, signals, constants, e2e }
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
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
    pub(super) fn check(&self) -> Result<(), Misfit> {
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

fn one() -> f64 {
    1.0
}
