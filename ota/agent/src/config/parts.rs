//! The tables of the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use stopline_depot::eligible::Allowance;
use stopline_depot::rollout::{Network, Window};
use stopline_depot::versioned::check_name;

use super::reporting::HomeAssistant;

pub(super) fn schema() -> u32 {
    super::SCHEMA
}

pub(super) fn home() -> PathBuf {
    "/var/lib/stopline-agent".into()
}

pub(super) fn depot() -> PathBuf {
    "/var/lib/stopline-agent/depot".into()
}

pub(super) fn state() -> PathBuf {
    "/var/lib/stopline/state".into()
}

pub(super) fn trust() -> PathBuf {
    "/etc/stopline/trust".into()
}

/// What the device tells of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Device {
    /// Name of its camera, for roll-outs whose unit is the camera; without one they take the device's id.
    pub camera: Option<String>,
    /// The runtime's health file, which tells its version; without one `min_runtime` is left to the runtime.
    pub health_file: Option<PathBuf>,
    /// A file whose first character is 1 while the vehicle is parked; without one it is never known to be.
    pub parked_file: Option<PathBuf>,
    /// A file with the battery's charge in percent, such as `/sys/class/power_supply/BAT0/capacity`.
    pub battery_file: Option<PathBuf>,
    /// There as long as the clock is synchronised; by default that of systemd-timesyncd. A board with another time service
    /// makes it after the first synchronisation.
    pub synchronised_file: Option<PathBuf>,
    /// A file whose first character is 1 while the mobile network is a foreign one; without one it never is.
    pub roaming_file: Option<PathBuf>,
    /// Kind of network, whatever its interface is.
    pub network: Option<Network>,
    /// Kinds by the interface's name, or its beginning and `*`; the longest that fits. Others go by their
    /// names: `eth`, `en` Ethernet, `wl` WLAN, anything else LTE.
    pub interfaces: BTreeMap<String, Network>,
    /// Who is asked whether an Ethernet or WLAN connection costs: one that does, or of which that is not known, counts as LTE.
    pub metered: Option<Metered>,
}

/// Who knows whether a connection costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metered {
    /// NetworkManager, over the system bus.
    NetworkManager,
}

impl Device {
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |name: &&String| {
            let begin = name.strip_suffix('*').unwrap_or(name);
            begin.is_empty() || begin.len() > 15 || begin.contains(['*', '/'])
        };
        match self.interfaces.keys().find(wrong) {
            Some(name) => Err(format!(
                "device.interfaces: {name:?}; the name of an interface, or its beginning and *, is expected"
            )),
            None => Ok(()),
        }
    }
}

/// When it asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    /// Local time from and to, minutes after midnight, in which the device's own second lies; none: the whole day.
    pub local: Option<(u16, u16)>,
    /// IANA name; none: the system's.
    pub time_zone: Option<String>,
    /// Seconds between two polls while a model is Armed, in Trial, or Good for less than 7 days.
    pub watch_s: u32,
    /// Seconds after a start within which it asks, spread by device; 0: at once.
    pub start_within_s: u32,
    /// Seconds between two looks at what the runtime has done.
    pub look_s: u32,
}

impl Default for Poll {
    fn default() -> Self {
        Self { local: Some((60, 300)), time_zone: None, watch_s: 3_600, start_within_s: 600, look_s: 10 }
    }
}

impl Poll {
    pub(super) fn check(&self) -> Result<(), String> {
        minutes("poll.local", self.local)?;
        within("poll.watch_s", self.watch_s, 1, 86_400)?;
        within("poll.start_within_s", self.start_within_s, 0, 86_400)?;
        within("poll.look_s", self.look_s, 1, 3_600)
    }
}

/// When it may fetch: narrows what roll-outs say, never widens it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnWindow {
    /// Local time from and to, minutes after midnight; from > to goes over midnight.
    pub local: Option<(u16, u16)>,
    /// Networks: `ethernet`, `wifi`, `lte`, `roaming`. Empty: any but roaming.
    pub network: std::collections::BTreeSet<Network>,
    /// Whether it must be parked.
    pub parked: bool,
    /// Least charge of the battery, percent.
    pub min_battery_percent: u8,
    /// Bytes over LTE and roaming in a day.
    pub mobile_day_bytes: Option<u64>,
    /// Bytes over LTE and roaming in a month.
    pub mobile_month_bytes: Option<u64>,
}

impl OwnWindow {
    pub(super) fn allowance(&self) -> Allowance {
        let window = Window { local: self.local, network: self.network.clone(), parked: self.parked };
        Allowance {
            window,
            min_battery_percent: self.min_battery_percent,
            mobile_day_bytes: self.mobile_day_bytes,
            mobile_month_bytes: self.mobile_month_bytes,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        minutes("window.local", self.local)?;
        within("window.min_battery_percent", u32::from(self.min_battery_percent), 0, 100)
    }
}

/// How it fetches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Download {
    /// Seconds until a connection stands.
    pub connect_s: u32,
    /// Seconds in which at least `least_bytes` must come, else the connection is given up.
    pub stall_s: u32,
    /// Bytes that must come in `stall_s`.
    pub least_bytes: u64,
    /// Bytes in a second, at most; 0: as fast as it comes.
    pub rate_bytes_per_s: u64,
    /// Failures in a row without a byte of progress, after which the deployment waits.
    pub attempts: u32,
    /// Milliseconds to wait after the first failure; they double.
    pub first_back_off_ms: u32,
    /// Milliseconds to wait, at most; also the longest `Retry-After` that is obeyed within one download.
    pub longest_back_off_ms: u32,
    /// Bytes after which what came is synced: what a power cut costs, at most.
    pub chunk_bytes: u64,
    /// Redirects in a row; from https:// to http:// none is followed.
    pub redirects: u8,
    /// `http://`, `https://`, with `user:password@` where it asks for one; none: directly.
    pub proxy: Option<String>,
}

impl Default for Download {
    fn default() -> Self {
        Self {
            connect_s: 20,
            stall_s: 60,
            least_bytes: 1_024,
            rate_bytes_per_s: 0,
            attempts: 8,
            first_back_off_ms: 1_000,
            longest_back_off_ms: 300_000,
            chunk_bytes: 1 << 20,
            redirects: 5,
            proxy: None,
        }
    }
}

impl Download {
    pub(super) fn check(&self) -> Result<(), String> {
        within("download.connect_s", self.connect_s, 1, 600)?;
        within("download.stall_s", self.stall_s, 1, 3_600)?;
        within("download.attempts", self.attempts, 1, 100)?;
        within("download.longest_back_off_ms", self.longest_back_off_ms, 1, 86_400_000)?;
        if !(64 << 10..=64 << 20).contains(&self.chunk_bytes) {
            return Err(format!(
                "download.chunk_bytes: {}; 65536 to 67108864 are expected",
                self.chunk_bytes
            ));
        }
        let least_rate = self.least_bytes.div_ceil(u64::from(self.stall_s));
        if (1..least_rate).contains(&self.rate_bytes_per_s) {
            return Err(format!(
                "download.rate_bytes_per_s: {}; at least {least_rate} are expected, or each download counts as stalled \
                 (least_bytes in stall_s)",
                self.rate_bytes_per_s
            ));
        }
        let proxy = self.proxy.as_deref().map_or(Ok(()), |url| reqwest::Url::parse(url).map(drop));
        proxy.map_err(|error| format!("download.proxy: {error}"))
    }
}

/// Whom it believes to be the server, and who it says it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates of the authorities that are believed, PEM; none: the system's.
    pub authorities_file: Option<PathBuf>,
    /// A certificate chain that something else provides and renews, PEM; none: the one that `enroll` got.
    pub certificate_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
}

/// A key in a token, by PKCS#11 (an HSM, a smart card, a secure element). It is ed25519: so is what a device signs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceKey {
    /// The vendor's PKCS#11 library.
    pub library: PathBuf,
    /// The token's label.
    pub token: String,
    /// The private key's label; the public key lies beside it under the same id.
    pub key: String,
    /// The user's PIN, in a file that nobody else may read.
    pub pin_file: PathBuf,
}

/// Who issues and renews this device's certificate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// `https://`: `v1/enroll` and `v1/renew` lie below it.
    pub url: Option<String>,
    /// A token that a factory's image carries, for a batch of boards: shown at the first polls, until there is a certificate,
    /// and then deleted. Nobody else may read it.
    pub token_file: Option<PathBuf>,
}

/// A broker that may tell it to ask now, and that hears of transitions. Nothing it says is believed beyond that.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// Host name.
    pub host: String,
    /// Port; 8883 with TLS.
    #[serde(default = "mqtt_port")]
    pub port: u16,
    /// Whether over TLS, by the table `[tls]`.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Version of the protocol: 4 is MQTT 3.1.1 (its number on the wire), 5 MQTT 5.
    #[serde(default)]
    pub version: MqttVersion,
    /// The fleet's name in topics: `stopline/FLEET/DEVICE/…`.
    pub fleet: String,
    /// User and the file with the password, where the broker asks for them.
    #[serde(default)]
    pub user: Option<String>,
    /// The file with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Seconds of silence after which either side asks whether the other is there: each question costs some 250 bytes on the
    /// wire; a mobile network's address translation forgets a connection after some minutes.
    #[serde(default = "keep_alive_s")]
    pub keep_alive_s: u16,
    /// Seconds between two hints that are followed, at least.
    #[serde(default = "hint_least_s")]
    pub hint_least_s: u32,
    /// Seconds within which a hint is followed, spread by device.
    #[serde(default = "hint_within_s")]
    pub hint_within_s: u32,
    /// Home Assistant finds the device by itself; for a broker of one's own, whose rules let the device write below `prefix`.
    #[serde(default)]
    pub home_assistant: Option<HomeAssistant>,
}

/// Version of the protocol, as the number that it has on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[default]
    Four,
    /// MQTT 5.
    Five,
}

impl TryFrom<u8> for MqttVersion {
    type Error = String;

    fn try_from(version: u8) -> Result<Self, String> {
        match version {
            4 => Ok(Self::Four),
            5 => Ok(Self::Five),
            _ => Err(format!("mqtt.version: {version}; 4 (MQTT 3.1.1) or 5 is expected")),
        }
    }
}

fn keep_alive_s() -> u16 {
    120
}

fn mqtt_port() -> u16 {
    8883
}

fn yes() -> bool {
    true
}

fn hint_least_s() -> u32 {
    600
}

fn hint_within_s() -> u32 {
    300
}

impl Mqtt {
    pub(super) fn check(&self) -> Result<(), String> {
        check_name("mqtt.fleet", &self.fleet)?;
        within("mqtt.keep_alive_s", self.keep_alive_s.into(), 5, 3_600)?;
        self.home_assistant.as_ref().map_or(Ok(()), HomeAssistant::check)?;
        within("mqtt.hint_within_s", self.hint_within_s, 0, 86_400)
    }
}

pub(super) fn within(key: &str, value: u32, least: u32, most: u32) -> Result<(), String> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("{key}: {value}; {least} to {most} are expected"))
}

pub(super) fn minutes(key: &str, local: Option<(u16, u16)>) -> Result<(), String> {
    match local {
        Some((from, to)) if from >= 1440 || to > 1440 || from == to => {
            Err(format!("{key}: {from} to {to}; two different minutes of a day are expected"))
        }
        _ => Ok(()),
    }
}
