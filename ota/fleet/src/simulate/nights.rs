//! Night after night: who asks, who fetches, who drives with what, and what the gates make of it.

use serde::{Deserialize, Serialize};
use stopline_depot::deployment::{DeployCause, Exposure, Outcome, Phase};
use stopline_depot::digest::Digest;
use stopline_depot::eligible::{Allowance, may_fetch};
use stopline_depot::gates::{Decision, Received, judge, tally};
use stopline_depot::rollout::{ALL_BP, Rollout, State};

use super::random::{happens, mix, poisson, uniform};
use super::weather::is_away;
use super::{Course, HARDWARE, Nature, Plan};
use crate::rollouts::{Step, stepped};

/// Bytes of a poll that finds nothing new: a conditional request and its answer of 304, without TLS.
const IDLE_POLL: u64 = 500;
/// Bytes of metadata after a change: timestamp, snapshot, rollout, models, the roll-out.
const CHANGED_POLL: u64 = 12_000;
/// Active hours of Trial before Good.
const TRIAL_HOURS: f64 = 2.0;
const DAY_S: u32 = 86_400;
const HOUR_S: u32 = 3_600;

/// One night.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Night {
    /// From 1.
    pub night: u32,
    /// Share that takes part.
    pub percent_bp: u16,
    /// Requests for metadata and bundles.
    pub requests: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Devices that got it.
    pub updated: u64,
    /// Devices that have it or had it.
    pub have_it: u64,
    /// Who got it, where names are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<String>,
}

/// A device's part in it.
#[derive(Clone, Copy, Default)]
struct Device {
    /// Night in which it got the new model, from 1; 0: it has not.
    since: u32,
    /// Active hours with it.
    hours: f32,
    /// Active hours with the old one since the roll-out began.
    old_hours: f32,
    alerts: u32,
    old_alerts: u32,
    crashed: bool,
}

/// The whole fleet, with one model.
pub struct Nights<'a> {
    plan: &'a Plan,
    polls: &'a [u32],
    nature: Nature,
    rollout: Rollout,
    devices: Vec<Device>,
    /// Second at which the stage began.
    stage_since: u64,
    /// Second at which the roll-out's file last changed.
    changed_in: u32,
    paused: Option<String>,
}

impl<'a> Nights<'a> {
    /// Before the first night.
    pub fn new(plan: &'a Plan, polls: &'a [u32], nature: Nature) -> Self {
        Self {
            plan,
            polls,
            nature,
            rollout: plan.rollout(State::Active),
            devices: vec![Device::default(); plan.ids.len()],
            stage_since: 0,
            changed_in: 1,
            paused: None,
        }
    }

    /// All nights.
    pub fn run(mut self) -> Course {
        let mut nights = Vec::new();
        let (mut abort_latency_s, mut nights_to_all) = (None, None);
        for night in 1..=self.plan.nights {
            nights.push(self.night(night));
            self.day(night);
            if abort_latency_s.is_none() && self.percent_bp() >= ALL_BP / 2 && self.have_it() > 0 {
                abort_latency_s = self.abort_latency(night);
            }
            self.gates(night);
            if self.paused.is_some() {
                break;
            }
            if self.percent_bp() == ALL_BP && self.all_reached() {
                nights_to_all = Some(night);
                break;
            }
        }
        let have = self.have_it() * u64::from(ALL_BP) / u64::try_from(self.devices.len()).unwrap_or(1).max(1);
        Course {
            nature: self.nature,
            nights,
            paused: self.paused,
            reached_bp: u16::try_from(have).unwrap_or(ALL_BP),
            nights_to_all,
            abort_latency_s,
        }
    }

    fn percent_bp(&self) -> u16 {
        self.rollout.targets[HARDWARE].percent_bp
    }

    fn have_it(&self) -> u64 {
        u64::try_from(self.devices.iter().filter(|device| device.since > 0).count()).unwrap_or(u64::MAX)
    }

    fn all_reached(&self) -> bool {
        let mut all = (0_u64..).zip(&self.devices).zip(&self.plan.ids);
        all.all(|((index, device), id)| {
            let left_out = || !self.rollout.part(HARDWARE, id).takes_part();
            device.since > 0 || is_away(self.plan, index) || left_out()
        })
    }

    /// Who asks in the night, and who fetches.
    fn night(&mut self, night: u32) -> Night {
        let (mut requests, mut bytes, mut updated, mut who) = (0, 0, 0, Vec::new());
        for at in 0..self.devices.len() {
            let weather = self.plan.weather(at, night);
            if !weather.reachable {
                continue;
            }
            requests += 1;
            bytes += if self.changed_in == night { CHANGED_POLL } else { IDLE_POLL };
            if self.devices[at].since > 0 || self.rollout.state != State::Active {
                continue;
            }
            if !self.rollout.part(HARDWARE, &self.plan.ids[at]).takes_part() {
                continue;
            }
            let now = weather.surroundings(self.polls[at]);
            if may_fetch(&self.rollout.window, &Allowance::default(), &now, self.plan.bundle_bytes).is_ok() {
                self.devices[at].since = night;
                (requests, bytes, updated) = (requests + 1, bytes + self.plan.bundle_bytes, updated + 1);
                if self.plan.name_them {
                    who.push(self.plan.ids[at].clone());
                }
            }
        }
        Night { night, percent_bp: self.percent_bp(), requests, bytes, updated, have_it: self.have_it(), who }
    }

    /// Who drives how far with what.
    fn day(&mut self, night: u32) {
        let plan = self.plan;
        for (index, device) in (0_u64..).zip(&mut self.devices) {
            let day = u64::from(night) << 8 | 2;
            // Some drive twice as much as others.
            let hours = plan.hours_a_day * (0.5 + uniform(index, day));
            let has_new = device.since > 0 && !device.crashed;
            let factor = if has_new && self.nature == Nature::SilentlyWorse { 2.0 } else { 1.0 };
            let alerts = poisson(index, day | 4, hours * plan.alerts_an_hour * factor);
            let alerts = u32::try_from(alerts).unwrap_or(u32::MAX);
            if has_new {
                device.hours += narrow(hours);
                device.alerts += alerts;
                let per_hour = if self.nature == Nature::Crashing { 0.1 } else { 0.0 };
                device.crashed |= per_hour > 0.0 && poisson(index, day | 8, hours * per_hour) > 0;
            } else {
                device.old_hours += narrow(hours);
                device.old_alerts += alerts;
            }
        }
    }

    /// What the publisher does at noon after a night and a day.
    fn gates(&mut self, night: u32) {
        let now_s = u64::from(night) * u64::from(DAY_S);
        let received = self.outcomes(now_s);
        let now = i64::try_from(now_s).unwrap_or(i64::MAX);
        let (counts, canary, control) = tally(
            &received,
            (&self.rollout.model, &self.rollout.rollout_id),
            HARDWARE,
            now,
            self.rollout.report_within_s,
        );
        let variant = &self.rollout.targets[HARDWARE];
        let stage = variant.stages.iter().find(|stage| stage.bp == variant.percent_bp);
        let dwell = (now_s - self.stage_since, stage.map_or(0, |stage| stage.min_dwell_s));
        // At the last stage nobody is left to compare with, so what was seen before decides.
        let step = match judge(&variant.gates, &counts, (&canary, &control), dwell).decision {
            Decision::Pause { findings } => {
                let findings: Vec<String> = findings.iter().map(crate::rollouts::in_a_sentence).collect();
                self.paused = Some(findings.join("; "));
                Step::Pause
            }
            Decision::Advance if self.percent_bp() < ALL_BP => Step::Advance,
            _ => return,
        };
        if let Ok(next) = stepped(&self.rollout, step) {
            (self.rollout, self.stage_since, self.changed_in) = (next, now_s, night + 1);
        }
    }

    /// What a sample of both groups reported.
    fn outcomes(&self, now_s: u64) -> Vec<Received> {
        let have = self.have_it();
        let others = u64::try_from(self.devices.len()).unwrap_or(u64::MAX) - have;
        let one_in = |group: u64| group.div_ceil(u64::from(self.plan.sample.max(1))).max(1);
        let (canary, control) = (one_in(have), one_in(others));
        let mut received = Vec::new();
        for (at, device) in self.devices.iter().enumerate() {
            let index = u64::try_from(at).unwrap_or(u64::MAX);
            let sampled = mix(index, 99).is_multiple_of(if device.since > 0 { canary } else { control });
            if sampled && !is_away(self.plan, index) {
                report(&self.plan.ids[at], device, now_s, &mut received);
            }
        }
        received
    }

    /// An abort signed at noon of this day: who has the new model asks every hour while it can be reached.
    fn abort_latency(&self, night: u32) -> Option<(u32, u32, u64)> {
        let mut seconds = Vec::new();
        for (at, device) in self.devices.iter().enumerate().filter(|(_, device)| device.since > 0) {
            let index = u64::try_from(at).unwrap_or(u64::MAX);
            if is_away(self.plan, index) || device.crashed {
                continue;
            }
            let offset = self.polls[at] % HOUR_S;
            let reached = |hour: &u32| {
                let occasion = u64::from(night) << 16 | u64::from(*hour) << 3 | 3;
                // By day every third hour somewhere with a network, at night as in the nights above.
                let percent = if (*hour + 12) % 24 < 6 { self.plan.parked_percent } else { 33 };
                happens(index, occasion, percent)
            };
            if let Some(hour) = (0..24 * 14).find(reached) {
                seconds.push(hour * HOUR_S + offset);
            }
        }
        seconds.sort_unstable();
        let last = seconds.len().checked_sub(1)?;
        let count = u64::try_from(seconds.len()).ok()?;
        Some((seconds[last / 2], seconds[last - last / 100], count))
    }
}

fn report(id: &str, device: &Device, now_s: u64, into: &mut Vec<Received>) {
    let exposure = |hours: f32, alerts: u32, crashes: u64| Exposure {
        active_s: seconds(hours),
        frames: seconds(hours) * 30,
        alerts: alerts.into(),
        crashes,
        latency_p99_us: 40_000,
        ..Exposure::default()
    };
    let mut say = |at: u64, seq, rollout_id: &str, phase, cause, exposure| {
        let outcome = Outcome {
            schema: 1,
            device: id.into(),
            boot_id: "simulated".into(),
            seq,
            rollout_id: rollout_id.into(),
            hardware: HARDWARE.into(),
            model: None,
            digest: Digest::from_bytes([u8::from(rollout_id == "simulated"); 32]),
            phase,
            cause,
            exposure: Some(exposure),
        };
        into.push(Received { at_s: i64::try_from(at).unwrap_or(i64::MAX), outcome });
    };
    if device.since == 0 {
        return say(now_s, 1, "before", Phase::Good, None, exposure(device.old_hours, device.old_alerts, 0));
    }
    let got = u64::from(device.since) * u64::from(DAY_S);
    say(got, 2, "simulated", Phase::Trial, None, Exposure::default());
    let done = exposure(device.hours, device.alerts, device.crashed.into());
    if device.crashed {
        say(now_s, 3, "simulated", Phase::Reverted, Some(DeployCause::Crash), done);
    } else if f64::from(device.hours) >= TRIAL_HOURS {
        say(now_s, 3, "simulated", Phase::Good, None, done);
    } else {
        say(now_s, 3, "simulated", Phase::Trial, None, done);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "hours of some nights")]
fn narrow(hours: f64) -> f32 {
    hours as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "hours of some nights, not negative"
)]
fn seconds(hours: f32) -> u64 {
    (hours * 3600.0) as u64
}
