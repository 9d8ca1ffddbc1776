//! What each rule may still take: its limits, narrowed by what the operator set from afar, with the hour's and the day's use kept
//! over restarts, so that a vehicle which starts ten times a day has one day's share.
//!
//! ```text
//! DEPOT/capture-limits.json     what the agent says is set; only what narrows the own configuration is taken
//! STATE/capture.json            what was used, written ahead in steps
//! ```
//!
//! A step is an eighth of the hour's and a thirty-second of the day's share at most, so a rule is written down at most eight times
//! an hour. At an orderly end the exact figure is written; a kill or a power cut counts up to a step too many, never too few. What
//! was used of a minute is not kept. Without `[depot]` nothing is kept and nothing is set from afar.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use stopline_depot::capture::{CaptureLimit, CaptureLimits};
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::spool::Rule;
use stopline_depot::versioned::{self, Versioned};
use stopline_sensors::clock::Monotonic;

use super::campaigns::{Place, Unpaid};
use super::limits::{KeptSpan, Limits};
use super::writer::NO_CLOCK_BEFORE;
use crate::config::CaptureRule;

/// How long nothing is written after that has failed.
const PAUSE: Duration = Duration::from_secs(60);
/// Rules that are kept, at most.
const MOST_RULES: usize = 256;

/// What was used: `STATE/capture.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: u32,
    /// In the order of the configuration.
    rules: Vec<KeptRule>,
}

/// One rule's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRule {
    rule: Rule,
    hour: KeptSpan,
    day: KeptSpan,
}

impl Versioned for Kept {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "what capture rules took";
    const LIMIT: usize = 64 << 10;

    fn check(&self) -> Result<(), String> {
        if self.rules.len() > MOST_RULES {
            return Err(format!("rules: {}; at most {MOST_RULES} are expected", self.rules.len()));
        }
        Ok(())
    }
}

/// A rule, its limits, and how many frames of them are written down already.
#[derive(Debug)]
struct One {
    rule: Rule,
    limits: Limits,
    ahead: u32,
}

/// What all rules may still take.
#[derive(Debug)]
pub struct Shares {
    /// What is set from afar, and what is kept; none without `[depot]`.
    files: Option<(PathBuf, PathBuf)>,
    each: Vec<One>,
    set: BTreeMap<Rule, CaptureLimit>,
    /// Length, time and number of the file that was read.
    mark: Option<(u64, SystemTime, u64)>,
    /// Whether something changed since it was written.
    changed: bool,
    /// When writing may be tried again, and why it failed.
    failed: Option<(Monotonic, String)>,
}

impl Shares {
    /// Goes on from what an earlier process kept. In words what of it cannot be read: then nothing is left for a day.
    pub fn open(
        place: Option<&Place>,
        rules: &[CaptureRule],
        now: Monotonic,
        wall: u64,
    ) -> (Self, Option<String>) {
        let one = |rule: &CaptureRule| One { rule: rule.rule, limits: Limits::of(rule), ahead: 0 };
        let each = rules.iter().map(one).collect();
        let files = place.map(|place| (place.capture_limits(), place.capture()));
        let mut shares = Self { files, each, set: BTreeMap::new(), mark: None, changed: false, failed: None };
        let kept = shares.files.as_ref().map_or(Ok(None), |(_, path)| read(path));
        let problem = match kept {
            Ok(kept) => {
                shares.restore(kept.map_or_else(Vec::new, |kept| kept.rules), now, clock(wall));
                None
            }
            Err(problem) => {
                shares.each.iter_mut().for_each(|one| one.limits.exhaust(now));
                let text = format!("capture: {problem}; no rule takes a frame for a day");
                // Written at once, so that the day begins with this start and with no later one.
                Some(match shares.write(now, wall) {
                    Ok(()) => text,
                    Err(error) => format!("{text} ({error})"),
                })
            }
        };
        (shares, problem)
    }

    /// Rules of one kind are told apart by their order.
    fn restore(&mut self, mut kept: Vec<KeptRule>, now: Monotonic, wall: Option<u64>) {
        for one in &mut self.each {
            let Some(at) = kept.iter().position(|kept| kept.rule == one.rule) else { continue };
            let KeptRule { hour, day, .. } = kept.remove(at);
            one.limits.restore([hour, day], now, wall);
        }
    }

    /// Looks whether something else is set from afar. In words what has changed; `Err`: it is refused, and the configuration's
    /// own limits hold.
    pub fn look(&mut self, now: Monotonic, wall: u64) -> Result<Option<String>, String> {
        if let Some(wall) = clock(wall) {
            self.each.iter_mut().for_each(|one| one.limits.timed(now, wall));
        }
        let Some((path, _)) = self.files.clone() else { return Ok(None) };
        let mark =
            std::fs::metadata(&path).ok().and_then(|of| Some((of.len(), of.modified().ok()?, of.ino())));
        if mark == self.mark {
            return Ok(None);
        }
        self.mark = mark;
        let set = if mark.is_some() { set_at(&path) } else { Ok(None) };
        self.set =
            set.as_ref().ok().and_then(Option::as_ref).map_or_else(BTreeMap::new, |set| set.rules.clone());
        for one in &mut self.each {
            one.limits.narrow(self.set.get(&one.rule));
        }
        set.map(|set| Some(self.in_words(set.as_ref())))
    }

    /// What is set of a rule.
    pub fn set(&self, rule: Rule) -> Option<&CaptureLimit> {
        self.set.get(&rule)
    }

    /// Takes a frame out of the share of the rule with this number.
    ///
    /// # Errors
    /// Nothing is left of it, or it could not be written down.
    pub fn take(&mut self, at: usize, now: Monotonic, wall: u64) -> Result<(), Unpaid> {
        let kept = self.files.is_some();
        let one = self.each.get_mut(at).ok_or(Unpaid::Over)?;
        if one.limits.pass(now) {
            one.ahead = 0;
        }
        if !one.limits.is_left() {
            return Err(Unpaid::Over);
        }
        if kept && one.ahead == 0 {
            one.ahead = one.limits.step();
            if let Err(problem) = self.write(now, wall) {
                self.each[at].ahead = 0;
                return Err(Unpaid::Unwritten(problem));
            }
        }
        let one = &mut self.each[at];
        one.limits.spend();
        one.ahead = one.ahead.saturating_sub(1);
        self.changed = true;
        Ok(())
    }

    /// The process ends in order: what was written ahead and not used is given back. What cannot be written stays as it was.
    pub fn close(&mut self, now: Monotonic, wall: u64) {
        if self.files.is_some() && std::mem::take(&mut self.changed) {
            self.each.iter_mut().for_each(|one| one.ahead = 0);
            let _ = self.write(now, wall);
        }
    }

    fn write(&mut self, now: Monotonic, wall: u64) -> Result<(), String> {
        let Some((_, path)) = &self.files else { return Ok(()) };
        if let Some((until, problem)) = &self.failed
            && now < *until
        {
            return Err(problem.clone());
        }
        let kept = |one: &One| {
            let [hour, day] = one.limits.kept(one.ahead, now, clock(wall));
            KeptRule { rule: one.rule, hour, day }
        };
        let kept = Kept { schema: Kept::SCHEMA, rules: self.each.iter().map(kept).collect() };
        let written = versioned::write(&kept)
            .map_err(|error| error.to_string())
            .and_then(|bytes| replace(&mut RealDisk, path, &bytes).map_err(|error| error.to_string()))
            .map_err(|error| format!("{}: {error}", path.display()));
        self.failed = written.clone().err().map(|problem| (now.plus(PAUSE), problem));
        written
    }

    fn in_words(&self, set: Option<&CaptureLimits>) -> String {
        let Some(set) = set else { return "capture: the configuration's own limits hold".to_owned() };
        let narrowed = |one: &One| {
            let [minute, hour, day] = one.limits.most();
            format!("{} {minute} a minute, {hour} an hour, {day} a day", one.rule.code())
        };
        let rules = self.each.iter().filter(|one| self.set.contains_key(&one.rule));
        let rules: Vec<String> = rules.map(narrowed).collect();
        let rules = if rules.is_empty() { "no rule that is configured".to_owned() } else { rules.join("; ") };
        format!("capture: limits set from afar ({}): {rules}", set.set_by)
    }
}

/// Where the clock is set.
fn clock(wall: u64) -> Option<u64> {
    (wall >= NO_CLOCK_BEFORE).then_some(wall)
}

fn read(path: &Path) -> Result<Option<Kept>, String> {
    let limit = u64::try_from(Kept::LIMIT).unwrap_or(u64::MAX);
    let named = |problem: String| format!("{}: {problem}", path.display());
    let bytes = RealDisk.read(path, limit).map_err(|error| named(error.to_string()))?;
    bytes.map(|bytes| versioned::read(&bytes).map_err(|error| named(error.to_string()))).transpose()
}

fn set_at(path: &Path) -> Result<Option<CaptureLimits>, String> {
    let limit = u64::try_from(CaptureLimits::LIMIT).unwrap_or(u64::MAX);
    let refused = |problem: String| {
        format!("capture: limits from afar are refused, the configuration's own hold: {problem}")
    };
    let bytes = RealDisk.read(path, limit).map_err(|error| refused(error.to_string()))?;
    bytes.map(|bytes| versioned::read(&bytes).map_err(|error| refused(error.to_string()))).transpose()
}

#[cfg(test)]
mod tests;
