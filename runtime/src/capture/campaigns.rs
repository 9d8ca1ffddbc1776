//! What the operator asks for in signed campaigns. The agent brings them, this process judges them by its own root, and each is
//! clamped to the rule `campaign` of this device's own configuration. Without that rule none takes a frame.
//!
//! A campaign says which frames, how many and until when. What is made unrecognisable, to whom it is encrypted, how long it is kept and
//! which cameras are captured at all stay the configuration's matter. What was taken in a day is written down before a record is,
//! in the runtime's own state, so that a vehicle which starts ten times a day has one day's share.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use stopline_depot::campaign::{Brought, Campaign};
use stopline_depot::capture::CaptureLimit;
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::judging::Trust;
use stopline_depot::slots::{DepotPaths, StatePaths, TrustPaths};
use stopline_depot::spool::Rule;
use stopline_depot::versioned::{self, Versioned};

use super::rules::{draws, wall};
use super::writer::NO_CLOCK_BEFORE;
use crate::config::{Capture, CaptureRule, Depot};
use crate::daemon::report::{Found, FrameReport};
use crate::draw::label_of;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// Where campaigns come from, and by what they are judged.
#[derive(Clone, Debug)]
pub struct Place {
    depot: DepotPaths,
    state: StatePaths,
    trust: TrustPaths,
    hardware: String,
}

impl Place {
    /// As `[depot]` says.
    pub fn of(depot: &Depot) -> Self {
        Self {
            depot: DepotPaths::new(&depot.directory),
            state: StatePaths::new(&depot.state),
            trust: TrustPaths::new(&depot.trust),
            hardware: depot.hardware.clone(),
        }
    }

    /// What is set from afar of rules' limits.
    pub(super) fn capture_limits(&self) -> PathBuf {
        self.depot.capture_limits()
    }

    /// What rules have used of their limits.
    pub(super) fn capture(&self) -> PathBuf {
        self.state.capture()
    }
}

/// What campaigns took in a day: `STATE/campaigns.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spent {
    schema: u32,
    /// Days since 1970, UTC.
    day: u64,
    /// All of them together.
    all: Share,
    /// Each, by name.
    each: BTreeMap<String, Share>,
}

/// Frames and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    frames: u32,
    bytes: u64,
}

impl Share {
    fn more(self, bytes: u64) -> Self {
        Self { frames: self.frames.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }

    fn is_within(self, frames: u32, bytes: u64) -> bool {
        self.frames <= frames && self.bytes <= bytes
    }
}

impl Spent {
    fn on(day: u64) -> Self {
        Self { schema: Self::SCHEMA, day, all: Share::default(), each: BTreeMap::new() }
    }
}

impl Versioned for Spent {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "what campaigns took";
    const LIMIT: usize = 64 << 10;
}

/// The campaigns that stand.
#[derive(Debug)]
pub struct Standing {
    place: Option<Place>,
    rule: Option<CaptureRule>,
    /// The same as it is configured.
    own: Option<CaptureRule>,
    /// Length, time and number of the file that was read.
    mark: Option<(u64, SystemTime, u64)>,
    /// Clamped.
    campaigns: Vec<Campaign>,
    spent: Option<Spent>,
}

impl Standing {
    /// None yet. Without a rule of the kind there will be none.
    pub fn new(place: Option<Place>, config: &Capture) -> Self {
        let rule = config.rules.iter().find(|rule| rule.rule == Rule::Campaign).cloned();
        Self { place, own: rule.clone(), rule, mark: None, campaigns: Vec::new(), spent: None }
    }

    /// What is set from afar of the rule, or nothing any more: all campaigns together take no more than that.
    pub fn narrow(&mut self, set: Option<&CaptureLimit>) {
        self.rule = self.own.clone().map(|own| {
            let most = [own.per_minute, own.per_hour, own.per_day];
            let [per_minute, per_hour, per_day] = set.map_or(most, |set| set.narrowed(most));
            let bytes = set.and_then(|set| set.bytes_per_day).unwrap_or(u64::MAX);
            CaptureRule { per_minute, per_hour, per_day, bytes_per_day: own.bytes_per_day.min(bytes), ..own }
        });
    }

    /// Looks whether the agent has brought others. In words what has changed; `Err`: they are refused, and none stands.
    pub fn look(&mut self) -> Result<Option<String>, String> {
        let (Some(place), Some(rule)) = (&self.place, &self.rule) else { return Ok(None) };
        let path = place.depot.campaigns();
        let mark =
            std::fs::metadata(&path).ok().and_then(|of| Some((of.len(), of.modified().ok()?, of.ino())));
        if mark == self.mark {
            return Ok(None);
        }
        self.mark = mark;
        let brought = if mark.is_some() { judged(place, &path) } else { Ok(Vec::new()) };
        self.campaigns.clear();
        let all = brought?;
        self.campaigns = all.iter().filter_map(|campaign| clamped(campaign, rule)).collect();
        Ok(Some(in_words(&all, &self.campaigns)))
    }

    /// The campaign that wants this frame, and the score for which it does.
    pub fn wanted(&mut self, report: &FrameReport, seed: u64) -> Option<(String, Option<f32>)> {
        let (rule, now) = (self.rule.clone()?, wall(report));
        if self.campaigns.is_empty() || now < NO_CLOCK_BEFORE || !is_open(&rule, now) {
            return None;
        }
        let spent = self.spent(now / DAY_S).clone();
        let left = |campaign: &Campaign| {
            let share = spent.each.get(&campaign.name).copied().unwrap_or_default().more(1);
            share.is_within(campaign.frames_per_day, campaign.bytes_per_day)
                && spent.all.more(1).is_within(rule.per_day, rule.bytes_per_day)
        };
        let (camera, sequence) = (report.camera, report.meta.sequence);
        self.campaigns.iter().filter(|campaign| campaign.is_on(now) && left(campaign)).find_map(|campaign| {
            let score = seen(campaign, &report.found)?;
            draws(seed, camera, sequence, campaign.rate).then(|| (campaign.name.clone(), score))
        })
    }

    /// Takes a sealed record of so many bytes out of the day's share of a campaign, before it is written.
    ///
    /// # Errors
    /// Why it must not be written: nothing is left, the campaign is over, or this could not be written down.
    pub fn pay(&mut self, name: &str, bytes: u64, now: u64) -> Result<(), Unpaid> {
        let (Some(place), Some(rule)) = (&self.place, &self.rule) else { return Err(Unpaid::Over) };
        let (path, most) = (place.state.campaigns(), (rule.per_day, rule.bytes_per_day));
        let campaign = self.campaigns.iter().find(|campaign| campaign.name == name).cloned();
        let campaign = campaign.filter(|campaign| campaign.until > now).ok_or(Unpaid::Over)?;
        let mut spent = self.spent(now / DAY_S).clone();
        let share = spent.each.entry(name.to_owned()).or_default();
        *share = share.more(bytes);
        let within = share.is_within(campaign.frames_per_day, campaign.bytes_per_day);
        spent.all = spent.all.more(bytes);
        if !within || !spent.all.is_within(most.0, most.1) {
            return Err(Unpaid::Over);
        }
        let failed =
            |error: &dyn std::fmt::Display| Unpaid::Unwritten(format!("{}: {error}", path.display()));
        let text = versioned::write(&spent).map_err(|error| failed(&error))?;
        replace(&mut RealDisk, &path, &text).map_err(|error| failed(&error))?;
        self.spent = Some(spent);
        Ok(())
    }

    /// What was taken on this day. What cannot be read counts as all of it, until the day is over.
    fn spent(&mut self, day: u64) -> &Spent {
        let path = self.place.as_ref().map(|place| place.state.campaigns());
        let kept = self.spent.take().or_else(|| path.and_then(|path| read(&path, day)));
        self.spent.insert(kept.filter(|spent| spent.day == day).unwrap_or_else(|| Spent::on(day)))
    }
}

/// Why a record of a campaign is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpaid {
    /// Nothing of the day's share is left for it, or the campaign is over.
    Over,
    /// It could not be written down.
    Unwritten(String),
}

fn read(path: &Path, day: u64) -> Option<Spent> {
    let limit = u64::try_from(Spent::LIMIT).unwrap_or(u64::MAX);
    let all = || {
        let all = Share { frames: u32::MAX, bytes: u64::MAX };
        Some(Spent { all, ..Spent::on(day) })
    };
    match RealDisk.read(path, limit) {
        Ok(bytes) => bytes.map_or_else(|| None, |bytes| versioned::read(&bytes).ok().or_else(all)),
        Err(_) => all(),
    }
}

/// What the agent brought that concerns this device, judged.
fn judged(place: &Place, path: &Path) -> Result<Vec<Campaign>, String> {
    let limit = u64::try_from(Brought::LIMIT).unwrap_or(u64::MAX);
    let refused = |problem: String| format!("campaigns are refused, none takes frames: {problem}");
    let bytes = RealDisk.read(path, limit).map_err(|error| refused(error.to_string()))?;
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    let brought: Brought = versioned::read(&bytes).map_err(|error| refused(error.to_string()))?;
    let trust = Trust::read(&RealDisk, &place.trust, &place.state.root());
    let all =
        trust.and_then(|trust| trust.campaigns(&brought)).map_err(|error| refused(error.to_string()))?;
    Ok(all.of(&place.hardware, &brought.device).cloned().collect())
}

/// Within the limits of the device's own rule; `None` where it asks only for classes that may not be asked for here.
pub fn clamped(campaign: &Campaign, rule: &CaptureRule) -> Option<Campaign> {
    let may: BTreeSet<String> = rule.labels.iter().cloned().collect();
    let labels = match (may.is_empty(), campaign.labels.is_empty()) {
        (true, _) => campaign.labels.clone(),
        (false, true) => may,
        (false, false) => {
            let both: BTreeSet<String> = campaign.labels.intersection(&may).cloned().collect();
            if both.is_empty() {
                return None;
            }
            both
        }
    };
    let longest = u64::from(rule.longest_days).saturating_mul(DAY_S);
    Some(Campaign {
        labels,
        until: campaign.until.min(campaign.from.saturating_add(longest)),
        frames_per_day: campaign.frames_per_day.min(rule.per_day),
        bytes_per_day: campaign.bytes_per_day.min(rule.bytes_per_day),
        ..campaign.clone()
    })
}

/// Whether the device lets campaigns take frames at this hour.
fn is_open(rule: &CaptureRule, now: u64) -> bool {
    let hour = (now / 3_600) % 24;
    rule.hours_utc.is_none_or(|[from, to]| {
        let (from, to) = (u64::from(from), u64::from(to));
        if from < to { (from..to).contains(&hour) } else { hour >= from || hour < to }
    })
}

/// Whether a frame shows what is asked for, and with which score: the highest that fits. A campaign that names neither classes nor
/// scores wants every frame.
fn seen(campaign: &Campaign, found: &[Found]) -> Option<Option<f32>> {
    if campaign.labels.is_empty() && campaign.score.is_none() {
        return Some(None);
    }
    let valid = found.iter().filter(|of| of.invalid.is_none());
    let scores = valid.flat_map(|of| {
        let wanted = move |class| {
            campaign.labels.is_empty() || campaign.labels.contains(&label_of(&of.model.manifest, class))
        };
        of.detections.iter().filter(move |one| wanted(one.class)).map(|one| one.score)
    });
    let best = scores.filter(|score| campaign.wants_score(*score)).max_by(f32::total_cmp)?;
    Some(Some(best))
}

fn in_words(all: &[Campaign], clamped: &[Campaign]) -> String {
    if all.is_empty() {
        return "capture: no campaign asks this device for frames".to_owned();
    }
    let one = |campaign: &Campaign| {
        let Campaign { name, frames_per_day, bytes_per_day, until, .. } = campaign;
        format!(
            "{name} ({frames_per_day} frames and {bytes_per_day} bytes a day, until {until} seconds after 1970)"
        )
    };
    let refused = all.len() - clamped.len();
    let rest = if refused == 0 {
        String::new()
    } else {
        format!("; {refused} ask for classes that may not be asked for")
    };
    format!(
        "capture: campaigns that take frames: {}{rest}",
        clamped.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests;
