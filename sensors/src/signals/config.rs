//! The `[vehicle]` section of the configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{QUANTITIES, Quantity};

/// Where the signals come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A bus of this machine, by DBC file.
    Can,
    /// A recording: a signal track, or a `candump` log with its DBC file.
    Track,
    /// The same values at all times, for benches.
    Constant,
}

/// `[vehicle]`. `P` is how a counter and checksum are described, which the runtime knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VehicleConfig<P> {
    /// Where the signals come from.
    pub source: Source,
    /// `can`: the interface, for example `can0`.
    pub interface: Option<String>,
    /// `can`, and `track` for a `candump` log: the DBC file.
    pub dbc: Option<PathBuf>,
    /// `track`: the recording.
    pub file: Option<PathBuf>,
    /// `track`: added to the recording's times to have those of the clip.
    #[serde(default)]
    pub offset_us: i64,
    /// Which message and signal each quantity is.
    #[serde(default)]
    pub signals: BTreeMap<Quantity, SignalConfig>,
    /// Counter and checksum of each message that has them, by the message's name.
    #[serde(default = "BTreeMap::new")]
    pub e2e: BTreeMap<String, P>,
    /// `constant`: the values.
    #[serde(default)]
    pub constant: BTreeMap<Quantity, Constant>,
}

/// `[vehicle.signals.QUANTITY]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalConfig {
    /// The message, by name or `"0x123"`; may be left out where only one has the signal.
    pub message: Option<String>,
    /// The signal. Left out only beside a signal track, which has the quantities themselves.
    pub signal: Option<String>,
    /// The quantity is the signal's physical value × factor + offset: 0.2777778 from km/h to m/s.
    pub factor: Option<f64>,
    /// See `factor`.
    pub offset: Option<f64>,
    /// How long a value is fresh (200).
    pub max_age_ms: Option<u64>,
    /// Least and most possible value, where narrower than what a road vehicle can have.
    pub min: Option<f32>,
    /// See `min`.
    pub max: Option<f32>,
    /// Most possible change per second.
    pub max_rate: Option<f32>,
    /// Raw values by which the sender says that it has none.
    #[serde(default)]
    pub not_available: Vec<u64>,
    /// Switches: the raw values that mean on. Without it every value but 0 does.
    #[serde(default)]
    pub on: Vec<u64>,
}

/// A constant: a number, or `true` and `false` for a switch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Constant {
    /// A switch.
    Switch(bool),
    /// A number in the quantity's unit.
    Number(f32),
}

/// A value that a key cannot have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("[vehicle] {key} is {found}; expected {expected}")]
pub struct WrongKey {
    /// The key.
    pub key: String,
    /// Its value, or "missing".
    pub found: String,
    /// What it may be.
    pub expected: String,
}

/// How long a value is fresh, unless configured: two periods of the slowest usual sender (100 ms).
pub const MAX_AGE: Duration = Duration::from_millis(200);
const AGES_MS: std::ops::RangeInclusive<u64> = 10..=2_000;

impl<P> VehicleConfig<P> {
    /// Whether the keys fit each other and their values their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), WrongKey> {
        let source = |name: &str| format!("none beside source = \"{name}\"");
        let missing = |key: &str, expected: &str| Err(wrong(key, "missing", expected));
        match self.source {
            Source::Can => {
                self.refuse(self.file.is_some(), "file", &source("can"))?;
                self.refuse(!self.constant.is_empty(), "constant", &source("can"))?;
                match (&self.interface, &self.dbc) {
                    (None, _) => return missing("interface", "the bus, for example \"can0\""),
                    (_, None) => return missing("dbc", "the DBC file that describes it"),
                    _ => self.check_named()?,
                }
            }
            Source::Track => {
                self.refuse(self.interface.is_some(), "interface", &source("track"))?;
                self.refuse(!self.constant.is_empty(), "constant", &source("track"))?;
                if self.file.is_none() {
                    return missing("file", "the signal track or candump log");
                }
                if self.dbc.is_some() {
                    self.check_named()?;
                }
            }
            Source::Constant => {
                let others = self.interface.is_some() || self.dbc.is_some() || self.file.is_some();
                self.refuse(others, "interface, dbc or file", &source("constant"))?;
                self.refuse(!self.signals.is_empty(), "signals", &source("constant"))?;
            }
        }
        self.signals.iter().try_for_each(|(quantity, signal)| signal.check(*quantity))?;
        self.constant.iter().try_for_each(|(quantity, value)| value.check(*quantity))
    }

    /// Takes relative paths from `folder`, where the configuration file lies.
    pub fn resolve(&mut self, folder: &Path) {
        for path in [&mut self.dbc, &mut self.file].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// How long a value of `quantity` is fresh.
    pub fn max_age(&self, quantity: Quantity) -> Duration {
        let configured = self.signals.get(&quantity).and_then(|signal| signal.max_age_ms);
        configured.map_or(MAX_AGE, Duration::from_millis)
    }

    /// The configured constants.
    pub fn constants(&self) -> Vec<(Quantity, f32)> {
        self.constant.iter().map(|(quantity, value)| (*quantity, value.number())).collect()
    }

    /// Signals of a bus need names, and at least one.
    fn check_named(&self) -> Result<(), WrongKey> {
        if self.signals.is_empty() {
            return Err(wrong("signals", "missing", "at least [vehicle.signals.speed]"));
        }
        for (quantity, signal) in &self.signals {
            if signal.signal.is_none() {
                let key = format!("signals.{}.signal", quantity.name());
                return Err(wrong(&key, "missing", "the signal's name in the DBC file"));
            }
        }
        Ok(())
    }

    fn refuse(&self, present: bool, key: &str, expected: &str) -> Result<(), WrongKey> {
        if present { Err(wrong(key, "given", expected)) } else { Ok(()) }
    }
}

impl SignalConfig {
    fn check(&self, quantity: Quantity) -> Result<(), WrongKey> {
        let key = |key: &str| format!("signals.{}.{key}", quantity.name());
        if let Some(age) = self.max_age_ms.filter(|age| !AGES_MS.contains(age)) {
            return Err(wrong(&key("max_age_ms"), &age.to_string(), "10 to 2000"));
        }
        if let Some(factor) = self.factor.filter(|factor| !factor.is_finite() || *factor == 0.0) {
            return Err(wrong(&key("factor"), &factor.to_string(), "a number that is not 0"));
        }
        if let Some(offset) = self.offset.filter(|offset| !offset.is_finite()) {
            return Err(wrong(&key("offset"), &offset.to_string(), "a number"));
        }
        let (least, most) = quantity.possible();
        for (name, value) in [("min", self.min), ("max", self.max)] {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(wrong(&key(name), &value.to_string(), &format!("{least} to {most}")));
            }
        }
        if let Some(rate) = self.max_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return Err(wrong(&key("max_rate"), &rate.to_string(), "a number above 0"));
        }
        if !self.on.is_empty() && !quantity.is_switch() {
            return Err(wrong(&key("on"), "given", "none: it is a number, not a switch"));
        }
        Ok(())
    }
}

impl Constant {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as iterators hand it out")]
    fn check(&self, quantity: Quantity) -> Result<(), WrongKey> {
        let key = format!("constant.{}", quantity.name());
        match self {
            Self::Switch(on) if !quantity.is_switch() && quantity != Quantity::BrakePedal => {
                Err(wrong(&key, &on.to_string(), "a number"))
            }
            Self::Number(value) if quantity.is_switch() => {
                Err(wrong(&key, &value.to_string(), "true or false"))
            }
            Self::Number(value) => {
                let (least, most) = quantity.possible();
                let within = (least..=most).contains(value);
                let expected = format!("{least} to {most}");
                if within { Ok(()) } else { Err(wrong(&key, &value.to_string(), &expected)) }
            }
            Self::Switch(_) => Ok(()),
        }
    }

    fn number(self) -> f32 {
        match self {
            Self::Switch(on) => f32::from(u8::from(on)),
            Self::Number(value) => value,
        }
    }
}

fn wrong(key: &str, found: &str, expected: &str) -> WrongKey {
    WrongKey { key: key.into(), found: found.into(), expected: expected.into() }
}

const _: () = assert!(Quantity::ALL.len() == QUANTITIES);

#[cfg(test)]
mod tests;
