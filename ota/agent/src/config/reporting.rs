//! The tables of what goes back to the fleet: records, figures, alerts, and what they may cost.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use stopline_depot::outbox::Subject;
use stopline_depot::rollout::{Network, Window};
use stopline_depot::versioned::check_name;

use super::parts::{minutes, within};

/// How bytes over mobile networks are counted and shared; the caps themselves are `window.mobile_day_bytes` and
/// `window.mobile_month_bytes`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Day of the month on which the operator's billing month begins.
    pub billing_day: u8,
    /// Percent of each cap that is reserved for alerts; polls and figures may use half of it.
    pub reserve_percent: u8,
    /// The mobile interface, where its name does not begin with `ww`, `ppp` or `rmnet`. Where there is none, this program's
    /// own connections are counted.
    pub interface: Option<String>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { billing_day: 1, reserve_percent: 20, interface: None }
    }
}

impl Budget {
    pub(super) fn check(&self) -> Result<(), String> {
        within("budget.billing_day", self.billing_day.into(), 1, 31)?;
        within("budget.reserve_percent", self.reserve_percent.into(), 0, 90)?;
        match &self.interface {
            // As the kernel has it: a name, never a path.
            Some(name) if name.is_empty() || name.len() > 15 || name.contains(['/', '.', ' ']) => {
                Err(format!("budget.interface: {name:?}; the name of a network interface is expected"))
            }
            _ => Ok(()),
        }
    }
}

/// How captured records go to the fleet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upload {
    /// The spool that the runtime writes; none: nothing is uploaded.
    pub spool: Option<PathBuf>,
    /// Object stores that batches may be put to where the server gives a place in one: `https://HOST/` and as much of the path
    /// as all places share. Empty: everything goes by the server.
    pub stores: Vec<String>,
    /// Certificates of the authorities that those stores are believed by, PEM; none: the system's.
    pub store_authorities_file: Option<PathBuf>,
    /// Bytes of a batch, at most; a record that alone is longer goes alone.
    pub batch_bytes: u32,
    /// Bytes of one request.
    pub chunk_bytes: u32,
    /// Bytes in a second, at most; 0: as fast as it goes.
    pub rate_bytes_per_s: u64,
    /// Seconds between two looks at the spool.
    pub look_s: u32,
    /// Local time from and to, minutes after midnight; from > to goes over midnight.
    pub local: Option<(u16, u16)>,
    /// Networks: `ethernet`, `wifi`, `lte`, `roaming`. Empty: any but roaming.
    pub network: BTreeSet<Network>,
    /// Whether it must be parked.
    pub parked: bool,
    /// Milliseconds to wait after the first failure; they double.
    pub first_back_off_ms: u32,
    /// Milliseconds to wait, at most, but for a `Retry-After`.
    pub longest_back_off_ms: u32,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            spool: None,
            stores: Vec::new(),
            store_authorities_file: None,
            batch_bytes: 4 << 20,
            chunk_bytes: 512 << 10,
            rate_bytes_per_s: 0,
            look_s: 10,
            local: None,
            network: BTreeSet::new(),
            parked: false,
            first_back_off_ms: 5_000,
            longest_back_off_ms: 900_000,
        }
    }
}

impl Upload {
    /// When and over which networks.
    pub fn window(&self) -> Window {
        Window { local: self.local, network: self.network.clone(), parked: self.parked }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        within("upload.batch_bytes", self.batch_bytes, 64 << 10, 4 << 20)?;
        within("upload.chunk_bytes", self.chunk_bytes, 16 << 10, 4 << 20)?;
        within("upload.look_s", self.look_s, 1, 3_600)?;
        within("upload.first_back_off_ms", self.first_back_off_ms, 1, 3_600_000)?;
        within("upload.longest_back_off_ms", self.longest_back_off_ms, 1, 86_400_000)?;
        self.stores.iter().try_for_each(|store| is_store(store))?;
        minutes("upload.local", self.local)
    }
}

fn is_store(store: &str) -> Result<(), String> {
    super::is_web("upload.stores", store)?;
    if store.starts_with("https://") && !store.contains('@') {
        return Ok(());
    }
    Err(format!(
        "upload.stores: {store:?}; https:// is expected, and no user: what is put there is signed beforehand"
    ))
}

/// What the device says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Whether it says anything: `birth`, `state`, `stats` and events go to `fleet_url`, to the broker, or both.
    pub on: bool,
    /// The outbox of the runtime: fall alerts and what else it wants said; none: there is none.
    pub outbox: Option<PathBuf>,
    /// Seconds between two messages of figures; 0: none.
    pub stats_s: u32,
    /// Active seconds after which what the deciding model did is told again, signed as outcomes are; 0: never. Roll-outs
    /// compare by it.
    pub exposure_s: u32,
    /// Seconds between two looks at health file and outbox.
    pub look_s: u32,
    /// What somebody must acknowledge.
    pub acknowledge: BTreeSet<Subject>,
    /// Seconds after which an alert that nobody acknowledged is escalated, and again so often.
    pub escalate_s: u32,
    /// Certificates of the authorities that web hooks are believed by, PEM; none: the system's.
    pub hook_authorities_file: Option<PathBuf>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            on: true,
            outbox: None,
            stats_s: 900,
            exposure_s: 14_400,
            look_s: 2,
            acknowledge: BTreeSet::from([Subject::Fall, Subject::MonitoringLost, Subject::Escalation]),
            escalate_s: 120,
            hook_authorities_file: None,
        }
    }
}

impl Telemetry {
    pub(super) fn check(&self) -> Result<(), String> {
        within("telemetry.stats_s", self.stats_s, 0, 86_400)?;
        within("telemetry.exposure_s", self.exposure_s, 0, 30 * 86_400)?;
        within("telemetry.look_s", self.look_s, 1, 60)?;
        within("telemetry.escalate_s", self.escalate_s, 1, 86_400)
    }
}

/// A web hook: whom to tell of alerts, besides the fleet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Its name: alerts that name somebody in `to` go to those alone; the others to all.
    pub name: String,
    /// `https://`: the alert is posted there as JSON.
    pub url: String,
    /// Escalations after which it is told for the first time; 0: at once.
    #[serde(default)]
    pub from_step: u32,
}

impl Notify {
    pub(super) fn check(&self) -> Result<(), String> {
        check_name("notify.name", &self.name)?;
        super::is_web("notify.url", &self.url)
    }
}

/// Home Assistant finds the device by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HomeAssistant {
    /// First part of its discovery topics.
    pub prefix: String,
    /// Who acknowledges, where somebody presses its button.
    pub by: String,
}

impl Default for HomeAssistant {
    fn default() -> Self {
        Self { prefix: "homeassistant".into(), by: "home-assistant".into() }
    }
}

impl HomeAssistant {
    pub(super) fn check(&self) -> Result<(), String> {
        check_name("mqtt.home_assistant.prefix", &self.prefix)?;
        check_name("mqtt.home_assistant.by", &self.by)
    }
}
