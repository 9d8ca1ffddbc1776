//! What the operator may set on devices from afar: a signed document (`campaigns/settings.json`, by the role `campaigns`), and
//! what of it concerns one device. Caps, windows, figures, addresses and how much is captured only: no key here arms, decides, redacts, encrypts or
//! keeps anything longer, and a key that is not here refuses the whole document.
//!
//! A device takes it within its own limits (`[remote]` of the agent's configuration), and goes back by itself where it then
//! does not reach home.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::capture::{self, CaptureLimit};
use crate::digest::Digest;
use crate::rollout::{Network, member};
use crate::spool::Rule;
use crate::versioned::{Versioned, check_name};

/// Where it lies in the repository.
pub const PATH: &str = "campaigns/settings.json";
/// Seconds within which a device must reach home under new settings, least and most.
pub const CONFIRM_S: (u32, u32) = (600, 7 * 86_400);
/// Bytes that a cap leaves at least: polls must go on, or nobody could raise it again.
pub const LEAST_CAP: u64 = 1 << 20;
/// Cohorts, at most.
const MOST_COHORTS: usize = 256;
/// Characters of an address, at most.
const LONGEST_URL: usize = 1_024;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Hides ids in lists ([`member`]).
    pub salt: String,
    /// Whom it is about; the first that a device belongs to counts.
    pub cohorts: Vec<Cohort>,
}

/// A group of devices, and what is set on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// Its name.
    pub name: String,
    /// Rises with every change, and where the same is to be tried again after devices went back.
    pub revision: u32,
    /// Hardware variants; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hardware: BTreeSet<String>,
    /// Devices, by [`member`]; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<BTreeSet<Digest>>,
    /// Seconds of being awake within which a device must have reached home; then it goes back.
    pub confirm_within_s: u32,
    /// What is set.
    pub settings: Settings,
}

/// What is set; what is left out stays as the device's own configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// When bundles are fetched, and what may go over mobile networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSettings>,
    /// When and how fast records are uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadSettings>,
    /// Seconds between two messages of figures; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats_s: Option<u32>,
    /// Where home is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    /// Fewer frames than the runtime's own configuration lets its rules take.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<Rule, CaptureLimit>,
}

/// `[window]` of the agent's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowSettings {
    /// Local time from and to, minutes after midnight; from > to goes over midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<(u16, u16)>,
    /// Networks, of which one must be there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub network: BTreeSet<Network>,
    /// Whether it must be parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<bool>,
    /// Least charge of the battery, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_battery_percent: Option<u8>,
    /// Bytes over LTE and roaming in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile_day_bytes: Option<u64>,
    /// Bytes over LTE and roaming in a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile_month_bytes: Option<u64>,
}

/// `[upload]` of the agent's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadSettings {
    /// Local time from and to, minutes after midnight; from > to goes over midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<(u16, u16)>,
    /// Networks, of which one must be there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub network: BTreeSet<Network>,
    /// Whether it must be parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<bool>,
    /// Bytes in a second, at most; 0: as fast as it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bytes_per_s: Option<u64>,
}

/// Addresses. Whom a device believes there is its own configuration's matter and stays: another address needs a certificate of
/// the authorities that it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Home {
    /// The repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The fleet's server; `https://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet_url: Option<String>,
    /// Where outcomes are posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes_url: Option<String>,
    /// The broker's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
}

impl Document {
    /// What concerns the device `id` with this hardware.
    pub fn of(&self, hardware: &str, id: &str) -> Option<&Cohort> {
        let member = member(&self.salt, id);
        self.cohorts.iter().find(|cohort| {
            let fits = cohort.hardware.is_empty() || cohort.hardware.contains(hardware);
            fits && cohort.members.as_ref().is_none_or(|members| members.contains(&member))
        })
    }
}

impl Versioned for Document {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "settings";
    const LIMIT: usize = 4 << 20;

    fn check(&self) -> Result<(), String> {
        if self.salt.is_empty() || self.salt.len() > 128 {
            return Err("salt: 1 to 128 bytes are expected".into());
        }
        if self.cohorts.len() > MOST_COHORTS {
            return Err(format!("cohorts: {}; at most {MOST_COHORTS} are expected", self.cohorts.len()));
        }
        let names: BTreeSet<&str> = self.cohorts.iter().map(|cohort| cohort.name.as_str()).collect();
        if names.len() < self.cohorts.len() {
            return Err("cohorts: a name stands there twice".into());
        }
        self.cohorts.iter().try_for_each(|cohort| {
            cohort.check().map_err(|problem| format!("cohorts.{}.{problem}", cohort.name))
        })
    }
}

impl Cohort {
    fn check(&self) -> Result<(), String> {
        check_name("name", &self.name)?;
        self.hardware.iter().try_for_each(|name| check_name("hardware", name))?;
        let (least, most) = CONFIRM_S;
        if !(least..=most).contains(&self.confirm_within_s) {
            let found = self.confirm_within_s;
            return Err(format!("confirm_within_s: {found}; {least} to {most} are expected"));
        }
        self.settings.check().map_err(|problem| format!("settings.{problem}"))
    }
}

impl Settings {
    /// What the types cannot say.
    ///
    /// # Errors
    /// Key, what was found and what is expected.
    pub fn check(&self) -> Result<(), String> {
        if let Some(window) = &self.window {
            minutes("window.local", window.local)?;
            if window.min_battery_percent.is_some_and(|percent| percent > 100) {
                return Err("window.min_battery_percent: 0 to 100 are expected".into());
            }
            let caps = [window.mobile_day_bytes, window.mobile_month_bytes];
            if caps.into_iter().flatten().any(|cap| cap < LEAST_CAP) {
                return Err(format!(
                    "window.mobile_day_bytes, window.mobile_month_bytes: at least {LEAST_CAP} are expected: polls must go on"
                ));
            }
        }
        minutes("upload.local", self.upload.as_ref().and_then(|upload| upload.local))?;
        if self.stats_s.is_some_and(|seconds| seconds > 86_400) {
            return Err("stats_s: 0 to 86400 are expected".into());
        }
        capture::check(&self.capture).map_err(|problem| format!("capture.{problem}"))?;
        self.home.as_ref().map_or(Ok(()), Home::check)
    }
}

impl Home {
    fn check(&self) -> Result<(), String> {
        let urls = [("repository", &self.repository), ("outcomes_url", &self.outcomes_url)];
        for (key, url) in urls.into_iter().chain([("fleet_url", &self.fleet_url)]) {
            let Some(url) = url else { continue };
            let web = url.starts_with("https://") || (key != "fleet_url" && url.starts_with("http://"));
            if !web || url.len() > LONGEST_URL {
                return Err(format!("home.{key}: {:?}; an https:// address is expected", shown(url)));
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        match &self.broker {
            Some(host) if host.is_empty() || host.len() > 253 || !host.chars().all(plain) => {
                Err(format!("home.broker: {:?}; a host name is expected", shown(host)))
            }
            _ => Ok(()),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn minutes(key: &str, local: Option<(u16, u16)>) -> Result<(), String> {
    match local {
        Some((from, to)) if from >= 1440 || to > 1440 || from == to => {
            Err(format!("{key}: {from} to {to}; two different minutes of a day are expected"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned;

    fn document(cohorts: Vec<Cohort>) -> Document {
        Document { schema: 1, salt: "salt".into(), cohorts }
    }

    fn cohort(name: &str) -> Cohort {
        Cohort {
            name: name.into(),
            revision: 1,
            hardware: BTreeSet::new(),
            members: None,
            confirm_within_s: 3_600,
            settings: Settings::default(),
        }
    }

    #[test]
    fn the_first_cohort_that_a_device_belongs_to_counts_and_no_id_stands_in_the_document() {
        let members = Some(BTreeSet::from([member("salt", "device-1")]));
        let some = Cohort { members, ..cohort("some") };
        let orins = Cohort { hardware: BTreeSet::from(["orin".to_owned()]), ..cohort("orins") };
        let document = document(vec![some, orins]);
        let name = |hardware, id| document.of(hardware, id).map(|cohort| cohort.name.as_str());
        assert_eq!(name("orin", "device-1"), Some("some"));
        assert_eq!(name("pi", "device-1"), Some("some"));
        assert_eq!(name("orin", "device-2"), Some("orins"));
        assert_eq!(name("pi", "device-2"), None);
        let text = String::from_utf8(versioned::write(&document).unwrap()).unwrap();
        assert!(!text.contains("device-1"));
        assert_eq!(versioned::read::<Document>(text.as_bytes()).unwrap(), document);
    }

    #[test]
    fn what_is_no_setting_or_makes_no_sense_refuses_the_document() {
        let with = |settings: &str| {
            let text = format!(
                r#"{{"schema":1,"salt":"s","cohorts":[{{"name":"a","revision":1,"confirm_within_s":3600,"settings":{settings}}}]}}"#
            );
            versioned::read::<Document>(text.as_bytes()).map(drop).map_err(|error| error.to_string())
        };
        with(r#"{"window":{"local":[60,300],"mobile_day_bytes":2000000},"stats_s":0}"#).unwrap();
        with(r#"{"capture":{"random":{"per_day":0},"campaign":{"bytes_per_day":5}}}"#).unwrap();
        for (settings, key) in [
            (r#"{"trust":"/x"}"#, "trust"),
            (r#"{"capture":{"redact":false}}"#, "redact"),
            (r#"{"capture":{"random":{"rate":1.0}}}"#, "rate"),
            (r#"{"capture":{"random":{"bytes_per_day":5}}}"#, "capture.random.bytes_per_day"),
            (r#"{"window":{"floor":0}}"#, "floor"),
            (r#"{"upload":{"spool":"/etc"}}"#, "spool"),
            (r#"{"window":{"local":[60,60]}}"#, "window.local"),
            (r#"{"window":{"mobile_day_bytes":0}}"#, "polls must go on"),
            (r#"{"window":{"min_battery_percent":101}}"#, "min_battery_percent"),
            (r#"{"stats_s":86401}"#, "stats_s"),
            (r#"{"home":{"fleet_url":"http://a"}}"#, "fleet_url"),
            (r#"{"home":{"repository":"file:///x"}}"#, "repository"),
            (r#"{"home":{"broker":"a b"}}"#, "broker"),
        ] {
            let problem = with(settings).unwrap_err();
            assert!(problem.contains(key), "{settings}: {problem}");
        }
        for wrong in [Cohort { confirm_within_s: 1, ..cohort("a") }, cohort("../a")] {
            assert!(versioned::write(&document(vec![wrong])).is_err());
        }
        assert!(versioned::write(&document(vec![cohort("a"), cohort("a")])).is_err());
    }
}
