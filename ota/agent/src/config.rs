//! The configuration file. An unknown key is refused; `agent.example.toml` beside this room's README holds every key with its
//! default.

mod parts;
mod power;
mod remote;
mod reporting;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Deserialize;
use stopline_depot::digest::Digest;
use stopline_depot::eligible::Allowance;
use stopline_depot::migration::{Chain, Migration, MigrationError};
use stopline_depot::versioned::check_name;

use crate::budget::{Caps, Purpose};

pub use parts::{Device, DeviceKey, Download, Enrolment, Metered, Mqtt, MqttVersion, Poll, Tls};
pub use power::Power;
pub use remote::Remote;
pub use reporting::{Budget, HomeAssistant, Notify, Telemetry, Upload};

/// The schema this code reads.
pub const SCHEMA: u32 = 1;

/// Bytes of the file, at most.
const LIMIT: u64 = 256 << 10;

/// From every schema that was ever in use to the newest. A file that names none is of schema 1, the first.
pub const CHAIN: Chain =
    Chain { program: "stopline-agent", newest: SCHEMA, unnamed: 1, steps: &[], limit: LIMIT };

/// What the agent is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this schema; 1, also where it is left out.
    #[serde(default = "parts::schema")]
    pub schema: u32,
    /// Where the repository is served: `metadata/` and `targets/` lie below it. `https://`; `http://` too, since nothing is
    /// believed for the way it came.
    pub repository: String,
    /// Hardware variant, as roll-outs name it.
    pub hardware: String,
    /// Models that this device runs.
    pub models: Vec<String>,
    /// The agent's own folder: identity, partial downloads, reports that wait.
    #[serde(default = "parts::home")]
    pub home: PathBuf,
    /// The token that holds the device's key; none: it lies in `home`.
    #[serde(default)]
    pub device_key: Option<DeviceKey>,
    /// The depot: slots and offers, which the runtime reads.
    #[serde(default = "parts::depot")]
    pub depot: PathBuf,
    /// The runtime's state: pointers, verdicts, progress. Only read.
    #[serde(default = "parts::state")]
    pub state: PathBuf,
    /// `root.json`, `floor.json`, `deny.json`. Only read.
    #[serde(default = "parts::trust")]
    pub trust: PathBuf,
    /// Prometheus text file (node_exporter's textfile collector); none: no metrics.
    #[serde(default)]
    pub metrics_file: Option<PathBuf>,
    /// Where signed outcomes are posted; none: they go by MQTT alone, or wait.
    #[serde(default)]
    pub outcomes_url: Option<String>,
    /// The fleet's server: records, messages and what they are answered lie below it, `v1/batches`, `v1/messages`; none:
    /// nothing is uploaded, and messages go by MQTT alone.
    #[serde(default)]
    pub fleet_url: Option<String>,
    /// What the device tells of itself.
    #[serde(default)]
    pub device: Device,
    /// When it asks.
    #[serde(default)]
    pub poll: Poll,
    /// When it may fetch: narrows what roll-outs say.
    #[serde(default)]
    pub window: parts::OwnWindow,
    /// What the board's supply allows.
    #[serde(default)]
    pub power: Power,
    /// How it fetches.
    #[serde(default)]
    pub download: Download,
    /// What may go over mobile networks, and how it is counted.
    #[serde(default)]
    pub budget: Budget,
    /// How captured records go to the fleet.
    #[serde(default)]
    pub upload: Upload,
    /// What the device says of itself.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Whom to tell of alerts, besides the fleet.
    #[serde(default)]
    pub notify: Vec<Notify>,
    /// Whom it believes to be the server, and who it says it is.
    #[serde(default)]
    pub tls: Tls,
    /// Who issues and renews this device's certificate.
    #[serde(default)]
    pub enrolment: Enrolment,
    /// A broker that may tell it to ask now.
    #[serde(default)]
    pub mqtt: Option<Mqtt>,
    /// How far the operator's signed settings may go; none: none are taken.
    #[serde(default)]
    pub remote: Option<Remote>,
    /// Which of them are in force, in words.
    #[serde(skip)]
    pub settings: Option<String>,
    /// SHA-256 of the file that it was read from.
    #[serde(skip)]
    pub source: Option<Digest>,
    /// The file that it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("configuration {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not as it should be.
    #[error("configuration {}: {problem}. Every key is in agent.example.toml", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Config {
    /// Reads and checks it. One of an older schema is brought to the newest first, and that is logged.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let io = |source| ConfigError::Io { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(io)?.len() > LIMIT {
            return Err(Self::wrong(path, format!("longer than {LIMIT} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        let (config, migration) = Self::of_any(&text).map_err(|problem| Self::wrong(path, problem))?;
        if let Some(migration) = migration {
            tracing::warn!(
                id = "config.old",
                "{path}: an old configuration of schema {} is read as one of schema {} ({}); for good: stopline-agent config \
                 migrate --config {path}",
                migration.from,
                migration.to,
                migration.changes.join(", "),
                path = path.display()
            );
        }
        Ok(Self { source: Some(Digest::of(text.as_bytes())), file: Some(path.to_owned()), ..config })
    }

    /// Reads and checks its text.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of_any(text).map(|(config, _)| config)
    }

    /// Of a text of any schema that is known, and what had to be changed.
    fn of_any(text: &str) -> Result<(Self, Option<Migration>), String> {
        let migration = match CHAIN.bring(text) {
            // Where it is no TOML, the reader of it says better.
            Err(MigrationError::Toml(_)) => None,
            migration => migration.map_err(|error| error.to_string())?,
        };
        let newest = migration.as_ref().map_or(text, |migration| &migration.text);
        let config: Self = toml::from_str(newest).map_err(|error| error.to_string())?;
        config.check()?;
        Ok((config, migration))
    }

    /// The zone that local times are in.
    ///
    /// # Errors
    /// A name that this system does not know.
    pub fn zone(&self) -> Result<TimeZone, String> {
        match &self.poll.time_zone {
            None => Ok(TimeZone::system()),
            Some(name) => TimeZone::get(name).map_err(|error| format!("poll.time_zone: {error}")),
        }
    }

    /// What the owner allows to fetch and to upload: what is reserved for alerts is not theirs.
    pub fn allowance(&self) -> Allowance {
        let caps = self.caps();
        let share = |cap: Option<u64>| cap.map(|cap| caps.share(Purpose::Bulk, cap));
        Allowance {
            mobile_day_bytes: share(caps.day),
            mobile_month_bytes: share(caps.month),
            ..self.window.allowance()
        }
    }

    /// What may go over mobile networks.
    pub fn caps(&self) -> Caps {
        Caps {
            day: self.window.mobile_day_bytes,
            month: self.window.mobile_month_bytes,
            reserve_percent: self.budget.reserve_percent,
        }
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn check(&self) -> Result<(), String> {
        is_web("repository", &self.repository)?;
        self.outcomes_url.as_deref().map_or(Ok(()), |url| is_web("outcomes_url", url))?;
        check_name("hardware", &self.hardware)?;
        if self.models.is_empty() || self.models.len() > stopline_depot::slots::MAX_MODELS {
            return Err(format!(
                "models: {} names; 1 to {} are expected",
                self.models.len(),
                stopline_depot::slots::MAX_MODELS
            ));
        }
        self.models.iter().try_for_each(|model| check_name("models", model))?;
        self.zone()?;
        self.device.check()?;
        self.poll.check()?;
        self.window.check()?;
        self.power.check()?;
        self.download.check()?;
        self.budget.check()?;
        self.upload.check()?;
        self.telemetry.check()?;
        self.check_fleet()?;
        self.remote.as_ref().map_or(Ok(()), Remote::check)?;
        self.notify.iter().try_for_each(Notify::check)?;
        self.enrolment.url.as_deref().map_or(Ok(()), |url| is_web("enrolment.url", url))?;
        if self.enrolment.url.as_deref().is_some_and(|url| !url.starts_with("https://")) {
            return Err("enrolment.url: https:// is expected: a token must not be read on its way".into());
        }
        self.mqtt.as_ref().map_or(Ok(()), Mqtt::check)
    }

    fn check_fleet(&self) -> Result<(), String> {
        if self.upload.spool.is_some() && self.fleet_url.is_none() {
            return Err(
                "upload.spool: fleet_url is expected beside it, or there is nowhere to upload to".into()
            );
        }
        match &self.fleet_url {
            Some(url) if !url.starts_with("https://") => Err(format!(
                "fleet_url: {url:?}; https:// is expected: a server must see the device's certificate to believe it"
            )),
            Some(url) => is_web("fleet_url", url),
            None => Ok(()),
        }
    }

    fn wrong(path: &Path, problem: String) -> ConfigError {
        ConfigError::Content { path: path.to_owned(), problem }
    }
}

fn is_web(key: &str, url: &str) -> Result<(), String> {
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("{key}: {url:?}: {error}"))?;
    let plain = parsed.query().is_none() && parsed.fragment().is_none();
    if ["http", "https"].contains(&parsed.scheme()) && plain {
        return Ok(());
    }
    Err(format!("{key}: {url:?}; an https:// or http:// address without ? and # is expected"))
}
