//! A roll-out: which model, to whom, how fast. The target `rollout/MODEL.json`, signed by the role `rollout`; static, so
//! that any web server serves any number of vehicles, and each decides for itself whether it takes part.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::versioned::{Versioned, check_name};

/// A share of all vehicles in basis points: hundredths of a percent.
pub const ALL_BP: u16 = 10_000;

/// A roll-out. Under one `rollout_id`, targets, salt and `abort_to` never change and no percentage falls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Its name; outcomes are counted under it.
    pub rollout_id: String,
    /// The model it is about.
    pub model: String,
    /// What each hardware variant gets. A variant that is not named takes no part.
    pub targets: BTreeMap<String, Variant>,
    /// Sorts vehicles into buckets, anew for each roll-out, so that it is not always the same ones who go first.
    pub salt: String,
    /// Whether it goes on.
    pub state: State,
    /// What a bucket is.
    #[serde(default)]
    pub unit: Unit,
    /// Groups that take part from the beginning, by name: [`member`] of each id, never ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cohorts: BTreeMap<String, BTreeSet<Digest>>,
    /// Who takes no part, by [`member`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exclude: BTreeSet<Digest>,
    /// Bundles that were Bad and may be tried once more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forgive: BTreeSet<Digest>,
    /// When a vehicle may fetch; it may narrow this, never widen it.
    #[serde(default)]
    pub window: Window,
    /// Seconds after Trial within which a vehicle has to report; one that does not is silent.
    pub report_within_s: u64,
}

/// What one hardware variant gets, and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Target path of the bundle, `models/MODEL/…`.
    pub target: String,
    /// Target path of the bundle to return to when it is aborted; none: each vehicle's previous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_to: Option<String>,
    /// Share of vehicles that take part now, 0 to 10 000.
    pub percent_bp: u16,
    /// Shares to go through, rising, the last of them usually 10 000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// When it is paused.
    #[serde(default)]
    pub gates: Gates,
}

/// A step of a roll-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Share of vehicles, basis points.
    pub bp: u16,
    /// Seconds that it lasts at least.
    #[serde(default)]
    pub min_dwell_s: u64,
}

/// When a roll-out is paused. Shares count vehicles that reported Trial under this roll-out only; rates compare them with
/// the control group per active hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// Vehicles that must have reported before the next stage.
    pub min_reports: u64,
    /// Share of reverted ones above which it is paused, basis points.
    pub max_failed_bp: u16,
    /// Share of silent ones above which it is paused, basis points.
    pub max_silent_bp: u16,
    /// Active hours that both groups need before rates are compared.
    pub min_hours: f64,
    /// Ratio of canary to control (alerts, events, overrides, disagreement, p99 latency) above which it is paused, where the
    /// whole 95 % interval lies above 1 and the estimate above this.
    pub max_ratio: f64,
}

impl Default for Gates {
    fn default() -> Self {
        Self { min_reports: 20, max_failed_bp: 100, max_silent_bp: 500, min_hours: 50.0, max_ratio: 1.25 }
    }
}

/// Whether a roll-out goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Vehicles whose bucket is below the share take it.
    Active,
    /// Nobody begins; who has it in Trial stays.
    Paused,
    /// Who has it goes back, to `abort_to` or the previous one.
    Aborted,
}

/// What a bucket is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The device: all its cameras change together.
    #[default]
    Device,
    /// Each camera.
    Camera,
}

/// When a vehicle may fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Window {
    /// Local time from and to, minutes after midnight; from > to goes over midnight. None: always.
    pub local: Option<(u16, u16)>,
    /// Networks, of which one must be there. Empty: any but roaming.
    pub network: BTreeSet<Network>,
    /// Whether it must be parked.
    pub parked: bool,
}

/// Kinds of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Wired.
    Ethernet,
    /// WLAN.
    Wifi,
    /// Mobile, at home.
    Lte,
    /// Mobile, abroad.
    Roaming,
}

/// Whether and why a device takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It does, as a member of this cohort.
    Cohort(String),
    /// It does: its bucket is below the share.
    Bucket {
        /// Its bucket.
        bp: u16,
        /// The share.
        percent_bp: u16,
    },
    /// Not yet: its bucket is not below the share.
    NotYet {
        /// Its bucket.
        bp: u16,
        /// The share.
        percent_bp: u16,
    },
    /// It is on the exclude list.
    Excluded,
    /// Its hardware variant is not named.
    NoVariant,
}

impl Part {
    /// Whether it takes part.
    pub fn takes_part(&self) -> bool {
        matches!(self, Self::Cohort(_) | Self::Bucket { .. })
    }
}

/// The bucket of `id` in basis points: x is the big-endian number in the first 8 bytes of SHA-256("rollout/v1" ‖ 0 ‖ salt ‖
/// 0 ‖ id), and the bucket x · 10 000 / 2⁶⁴.
pub fn bucket(salt: &str, id: &str) -> u16 {
    let mut hash = Sha256::new();
    for part in ["rollout/v1", "\0", salt, "\0", id] {
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let scaled = (u128::from(u64::from_be_bytes(first)) * u128::from(ALL_BP)) >> 64;
    u16::try_from(scaled).expect("a number below 2⁶⁴ times 10 000, over 2⁶⁴, is below 10 000")
}

/// How lists name `id`: SHA-256(salt ‖ id).
pub fn member(salt: &str, id: &str) -> Digest {
    Digest::of([salt, id].concat().as_bytes())
}

impl Rollout {
    /// Whether the device or camera `id` with this hardware takes part, whatever the state. Raising the share never drops
    /// anyone.
    pub fn part(&self, hardware: &str, id: &str) -> Part {
        let Some(variant) = self.targets.get(hardware) else { return Part::NoVariant };
        let member = member(&self.salt, id);
        if self.exclude.contains(&member) {
            return Part::Excluded;
        }
        if let Some((name, _)) = self.cohorts.iter().find(|(_, members)| members.contains(&member)) {
            return Part::Cohort(name.clone());
        }
        let (bp, percent_bp) = (bucket(&self.salt, id), variant.percent_bp);
        if bp < percent_bp { Part::Bucket { bp, percent_bp } } else { Part::NotYet { bp, percent_bp } }
    }

    /// Whether `next` may follow under the same `rollout_id`.
    ///
    /// # Errors
    /// What may not change.
    pub fn may_become(&self, next: &Self) -> Result<(), String> {
        if self.rollout_id != next.rollout_id {
            return Ok(());
        }
        let fixed = |rollout: &Self| {
            let targets = rollout.targets.iter();
            let targets: BTreeMap<_, _> =
                targets.map(|(name, v)| (name.clone(), (v.target.clone(), v.abort_to.clone()))).collect();
            (rollout.model.clone(), rollout.salt.clone(), rollout.unit, targets)
        };
        if fixed(self) != fixed(next) {
            return Err(format!(
                "{}: model, targets, abort_to, salt and unit never change under one rollout_id; start a new roll-out",
                self.rollout_id
            ));
        }
        if self.state == State::Aborted && next.state != State::Aborted {
            return Err(format!("{}: it was aborted; start a new roll-out", self.rollout_id));
        }
        for (name, variant) in &self.targets {
            let percent = next.targets.get(name).map_or(0, |variant| variant.percent_bp);
            if percent < variant.percent_bp {
                return Err(format!(
                    "{}: percent_bp of {name} would fall from {} to {percent}; pause or abort it instead",
                    self.rollout_id, variant.percent_bp
                ));
            }
        }
        Ok(())
    }
}

impl Versioned for Rollout {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "roll-out";
    const LIMIT: usize = 4 << 20;

    fn check(&self) -> Result<(), String> {
        check_name("rollout_id", &self.rollout_id)?;
        check_name("model", &self.model)?;
        if self.salt.is_empty() || self.salt.len() > 128 || self.salt.contains('\0') {
            return Err("salt: 1 to 128 bytes without zeros are expected".into());
        }
        if self.targets.is_empty() {
            return Err("targets: at least one hardware variant is expected".into());
        }
        let within = |name: &str, local: Option<(u16, u16)>| match local {
            Some((from, to)) if from >= 1440 || to > 1440 || from == to => {
                Err(format!("{name}: {from} to {to}; minutes of a day are expected"))
            }
            _ => Ok(()),
        };
        within("window.local", self.window.local)?;
        self.cohorts.keys().try_for_each(|name| check_name("cohorts", name))?;
        self.targets.iter().try_for_each(|(name, variant)| {
            check_name("targets", name)?;
            variant.check(&self.model).map_err(|problem| format!("targets.{name}.{problem}"))
        })
    }
}

impl Variant {
    fn check(&self, model: &str) -> Result<(), String> {
        let folder = format!("models/{model}/");
        for (key, path) in [("target", Some(&self.target)), ("abort_to", self.abort_to.as_ref())] {
            if path.is_some_and(|path| !path.starts_with(&folder)) {
                return Err(format!("{key}: {path:?}; a path below {folder} is expected"));
            }
        }
        if self.percent_bp > ALL_BP || self.stages.iter().any(|stage| stage.bp > ALL_BP) {
            return Err(format!("percent_bp, stages: at most {ALL_BP} is expected"));
        }
        if !self.stages.is_sorted_by(|a, b| a.bp < b.bp) {
            return Err("stages: rising shares are expected".into());
        }
        let gates = &self.gates;
        if !(gates.max_ratio >= 1.0 && gates.max_ratio.is_finite() && gates.min_hours >= 0.0) {
            return Err(format!("gates.max_ratio: {}; at least 1 is expected", gates.max_ratio));
        }
        Ok(())
    }
}
