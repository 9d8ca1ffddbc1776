//! When a roll-out is paused: pure functions over what devices reported, comparing those who have the new model (canary)
//! with those who have not (control), per active hour.
//!
//! A share counts only devices that reported Trial under this roll-out. A device that stays silent after it is counted as
//! silent, never as well: a bricked one says nothing. A deferred one is neither. A rate is compared as the ratio of two
//! Poisson rates with its 95 % interval on the logarithm; where devices differ more among each other than chance explains,
//! the interval is widened by what they do differ (quasi-Poisson), so that one bad road does not stop a fleet.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::deployment::{Exposure, Outcome, Phase};
use crate::rollout::{ALL_BP, Gates};

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_964;
const HOUR_S: f64 = 3600.0;

/// An outcome and when it arrived, seconds since 1970 by the receiver's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When it arrived.
    pub at_s: i64,
    /// What the device said. Its signature was checked.
    pub outcome: Outcome,
}

/// Devices of one variant that reported under a roll-out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Reported Trial: the denominator of every share.
    pub trials: u64,
    /// Of these: Good.
    pub good: u64,
    /// Of these: Reverted.
    pub reverted: u64,
    /// Of these: not a word within the time after Trial.
    pub silent: u64,
    /// Last said Deferred, before any Trial.
    pub deferred: u64,
    /// Last said Rejected, before any Trial. Counts as failed where the model itself is the cause.
    pub rejected: u64,
}

/// What a group of devices did, one entry per device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    devices: Vec<Exposure>,
}

/// A ratio of canary to control with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Estimate.
    pub ratio: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One thing compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `crashes`, `overrides`, `alerts`, `events`, `disagreements`, `drifts` or `latency_p99`.
    pub what: String,
    /// Per active hour in the canary group; microseconds for latency.
    pub canary: f64,
    /// The same in the control group.
    pub control: f64,
    /// Canary to control.
    pub ratio: Ratio,
}

/// Why a roll-out is paused. The code is stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Finding {
    /// Too many reverted, or rejected for a fault of the model.
    Failed {
        /// Share found, basis points.
        found_bp: u16,
        /// Share allowed.
        allowed_bp: u16,
    },
    /// Too many silent.
    Silent {
        /// Share found, basis points.
        found_bp: u16,
        /// Share allowed.
        allowed_bp: u16,
    },
    /// Worse than control.
    Rate {
        /// What.
        comparison: Comparison,
        /// Ratio allowed.
        allowed: f64,
    },
}

/// What to do with a roll-out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Nothing speaks against the next stage.
    Advance,
    /// Not yet.
    Hold {
        /// What is missing.
        waits_for: Vec<String>,
    },
    /// Stop it.
    Pause {
        /// Why.
        findings: Vec<Finding>,
    },
}

/// What the gates saw and say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What to do.
    #[serde(flatten)]
    pub decision: Decision,
    /// Devices.
    pub counts: Counts,
    /// Active hours of the canary group.
    pub canary_hours: f64,
    /// Active hours of the control group.
    pub control_hours: f64,
    /// All that was compared; empty while exposure is too small.
    pub compared: Vec<Comparison>,
}

/// Counts the devices of `hardware` that reported under `rollout_id`, and gathers what both groups did: canary are those on
/// Trial or Good under this roll-out, control those that decide with another bundle of `model`. Each message counts once, by device,
/// boot and number; of what a device counted, its last word.
pub fn tally<'a>(
    received: impl IntoIterator<Item = &'a Received>,
    (model, rollout_id): (&str, &str),
    hardware: &str,
    now_s: i64,
    report_within_s: u64,
) -> (Counts, Group, Group) {
    let mut seen = BTreeSet::new();
    let mut canary: BTreeMap<&str, Story> = BTreeMap::new();
    let mut others: BTreeMap<&str, &Received> = BTreeMap::new();
    for one in received {
        let said = &one.outcome;
        let new = seen.insert((said.device.as_str(), said.boot_id.as_str(), said.seq));
        if !new || said.hardware != hardware {
            continue;
        }
        if said.rollout_id == rollout_id {
            canary.entry(&said.device).or_default().tell(one);
        } else if said.phase == Phase::Good
            && said.exposure.is_some()
            && said.model.as_ref().is_none_or(|of| of == model)
        {
            let last = others.entry(&said.device).or_insert(one);
            if last.at_s <= one.at_s {
                *last = one;
            }
        }
    }
    let mut counts = Counts::default();
    canary.values().for_each(|story| story.count(&mut counts, now_s, report_within_s));
    let exposed = canary.values().filter_map(|story| story.exposure.map(|(_, exposure)| exposure));
    // A device that has the new model speaks for it alone, whatever it counted before.
    let control = others.iter().filter(|(device, _)| !canary.get(*device).is_some_and(Story::has_tried));
    let control = control.filter_map(|(_, one)| one.outcome.exposure);
    (counts, exposed.collect(), control.collect())
}

/// What the gates say. `dwelt_s` is how long the stage has lasted, `dwell_s` how long it has to.
pub fn judge(
    gates: &Gates,
    counts: &Counts,
    (canary, control): (&Group, &Group),
    (dwelt_s, dwell_s): (u64, u64),
) -> Evaluation {
    let enough = counts.trials >= gates.min_reports;
    let mut findings = Vec::new();
    let shares =
        [(counts.reverted + counts.rejected, gates.max_failed_bp), (counts.silent, gates.max_silent_bp)];
    let of = [counts.trials + counts.rejected, counts.trials];
    for (index, ((part, allowed_bp), whole)) in shares.into_iter().zip(of).enumerate() {
        if above(part, whole, allowed_bp, enough) {
            let found_bp = share_bp(part, whole);
            findings.push(match index {
                0 => Finding::Failed { found_bp, allowed_bp },
                _ => Finding::Silent { found_bp, allowed_bp },
            });
        }
    }
    let (canary_hours, control_hours) = (canary.hours(), control.hours());
    let exposed = canary_hours >= gates.min_hours && control_hours >= gates.min_hours;
    let compared = if exposed { compare(canary, control) } else { Vec::new() };
    let worse = |one: &&Comparison| one.ratio.low > 1.0 && one.ratio.ratio > gates.max_ratio;
    findings.extend(
        compared
            .iter()
            .filter(worse)
            .map(|one| Finding::Rate { comparison: one.clone(), allowed: gates.max_ratio }),
    );
    let decision = if findings.is_empty() {
        let waits_for = waits_for(gates, counts, (canary_hours, control_hours), (dwelt_s, dwell_s));
        if waits_for.is_empty() { Decision::Advance } else { Decision::Hold { waits_for } }
    } else {
        Decision::Pause { findings }
    };
    Evaluation { decision, counts: *counts, canary_hours, control_hours, compared }
}

fn waits_for(
    gates: &Gates,
    counts: &Counts,
    (canary, control): (f64, f64),
    (dwelt_s, dwell_s): (u64, u64),
) -> Vec<String> {
    let mut waits = Vec::new();
    if counts.trials < gates.min_reports {
        waits.push(format!("reports of Trial: {} of {}", counts.trials, gates.min_reports));
    }
    for (who, hours) in [("canary", canary), ("control", control)] {
        if hours < gates.min_hours {
            waits.push(format!("active hours of {who}: {hours:.1} of {:.1}", gates.min_hours));
        }
    }
    if dwelt_s < dwell_s {
        waits.push(format!("the stage's time: {dwelt_s} s of {dwell_s} s"));
    }
    waits
}

/// What one device said under the roll-out.
#[derive(Default)]
struct Story {
    trial_at: Option<i64>,
    last: Option<(i64, Phase)>,
    exposure: Option<(i64, Exposure)>,
    model_at_fault: bool,
}

impl Story {
    fn tell(&mut self, one: &Received) {
        let (at, phase) = (one.at_s, one.outcome.phase);
        if phase == Phase::Trial {
            self.trial_at = Some(self.trial_at.map_or(at, |first| first.min(at)));
        }
        // Of messages of one second the further phase counts.
        if self.last.is_none_or(|(last, known)| (last, known) <= (at, phase)) {
            self.last = Some((at, phase));
        }
        let decided = matches!(phase, Phase::Trial | Phase::Good | Phase::Reverted);
        if let Some(exposure) = one.outcome.exposure.filter(|_| decided)
            && self.exposure.is_none_or(|(last, _)| last <= at)
        {
            self.exposure = Some((at, exposure));
        }
        self.model_at_fault |= phase == Phase::Rejected && one.outcome.cause.is_some_and(is_of_the_model);
    }

    fn has_tried(&self) -> bool {
        // A message lost on the way must not hide a Trial that has ended.
        let ended = |(_, phase): &(i64, Phase)| matches!(phase, Phase::Good | Phase::Reverted);
        self.trial_at.is_some() || self.last.as_ref().is_some_and(ended)
    }

    fn count(&self, counts: &mut Counts, now_s: i64, report_within_s: u64) {
        let Some((last_at, phase)) = self.last else { return };
        if !self.has_tried() {
            counts.deferred += u64::from(phase == Phase::Deferred);
            counts.rejected += u64::from(phase == Phase::Rejected && self.model_at_fault);
            return;
        }
        counts.trials += 1;
        counts.good += u64::from(phase == Phase::Good);
        counts.reverted += u64::from(phase == Phase::Reverted);
        let within = i64::try_from(report_within_s).unwrap_or(i64::MAX);
        let due = self.trial_at.is_some_and(|trial| trial.saturating_add(within) < now_s);
        counts.silent += u64::from(due && Some(last_at) == self.trial_at && phase == Phase::Trial);
    }
}

fn is_of_the_model(cause: crate::deployment::DeployCause) -> bool {
    use crate::deployment::DeployCause::{Bundle, Disagreement, Golden, Latency, Load, Memory};
    matches!(cause, Bundle | Disagreement | Golden | Latency | Load | Memory)
}

impl FromIterator<Exposure> for Group {
    fn from_iter<T: IntoIterator<Item = Exposure>>(exposures: T) -> Self {
        Self { devices: exposures.into_iter().filter(|exposure| exposure.active_s > 0).collect() }
    }
}

impl Group {
    /// Devices that were active.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Active hours of all.
    pub fn hours(&self) -> f64 {
        // The sum of no floats is -0.0, which would be printed so.
        0.0 + self.devices.iter().map(hours).sum::<f64>()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn hours(exposure: &Exposure) -> f64 {
    number(exposure.active_s) / HOUR_S
}

/// Whether a share is above what is allowed: by its estimate where enough have reported, before that only where the whole
/// 95 % interval (Wilson) lies above it.
fn above(part: u64, whole: u64, allowed_bp: u16, enough: bool) -> bool {
    if part == 0 || whole == 0 {
        return false;
    }
    let allowed = f64::from(allowed_bp) / f64::from(ALL_BP);
    let (n, share) = (number(whole), number(part) / number(whole));
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let low = (middle - spread) / (1.0 + Z * Z / n);
    low > allowed || (enough && share > allowed)
}

fn share_bp(part: u64, whole: u64) -> u16 {
    let bp = u128::from(part) * u128::from(ALL_BP) / u128::from(whole.max(1));
    u16::try_from(bp).unwrap_or(ALL_BP)
}

/// All that is compared per active hour, and latency.
fn compare(canary: &Group, control: &Group) -> Vec<Comparison> {
    let counted: [(&str, fn(&Exposure) -> u64); 6] = [
        ("crashes", |e| e.crashes),
        ("overrides", |e| e.overrides),
        ("alerts", |e| e.alerts),
        ("events", |e| e.events),
        ("disagreements", |e| e.disagreements),
        ("drifts", |e| e.drifts),
    ];
    let mut compared: Vec<_> =
        counted.into_iter().map(|(what, of)| compare_rates(what, canary, control, of)).collect();
    compared.extend(compare_latency(canary, control));
    compared
}

fn compare_rates(what: &str, canary: &Group, control: &Group, of: fn(&Exposure) -> u64) -> Comparison {
    let sum = |group: &Group| number(group.devices.iter().map(of).sum());
    let (x, y, s, t) = (sum(canary), sum(control), canary.hours(), control.hours());
    // One event more, shared out by hours: none among few hours is no proof of none, and says nothing of who is worse.
    let (x_more, y_more) = (x + s / (s + t), y + t / (s + t));
    let error = (dispersion(canary, of) / x_more + dispersion(control, of) / y_more).sqrt();
    let ratio = interval((x_more / s / (y_more / t)).ln(), error);
    Comparison { what: what.into(), canary: x / s, control: y / t, ratio }
}

/// How much more devices differ among each other than one common rate explains: Pearson's χ² per degree of freedom, at
/// least 1.
fn dispersion(group: &Group, of: fn(&Exposure) -> u64) -> f64 {
    let total: u64 = group.devices.iter().map(of).sum();
    let degrees = group.devices.len().saturating_sub(1);
    if total == 0 || degrees == 0 {
        return 1.0;
    }
    let rate = number(total) / group.hours();
    let term = |exposure: &Exposure| {
        let expected = rate * hours(exposure);
        (number(of(exposure)) - expected).powi(2) / expected
    };
    let chi: f64 = group.devices.iter().map(term).sum();
    (chi / number(u64::try_from(degrees).unwrap_or(u64::MAX))).max(1.0)
}

/// The 99th percentiles of devices: the ratio of their geometric means, by Welch.
fn compare_latency(canary: &Group, control: &Group) -> Option<Comparison> {
    let of = |group: &Group| -> Option<(f64, f64)> {
        let known = group.devices.iter().filter(|exposure| exposure.latency_p99_us > 0);
        let logs: Vec<f64> = known.map(|exposure| number(exposure.latency_p99_us).ln()).collect();
        let n = number(u64::try_from(logs.len()).ok()?);
        if logs.len() < 2 {
            return None;
        }
        let mean = logs.iter().sum::<f64>() / n;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Some((mean, variance / n))
    };
    let ((a, variance_a), (b, variance_b)) = (of(canary)?, of(control)?);
    let ratio = interval(a - b, (variance_a + variance_b).sqrt());
    Some(Comparison { what: "latency_p99".into(), canary: a.exp(), control: b.exp(), ratio })
}

fn interval(log: f64, error: f64) -> Ratio {
    Ratio { ratio: log.exp(), low: (log - Z * error).exp(), high: (log + Z * error).exp() }
}
