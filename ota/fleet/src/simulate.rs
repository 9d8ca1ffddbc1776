//! `simulate`: a fleet of a million devices over some nights, in one process. Who takes part is asked of the roll-out's own
//! [`Rollout::part`], who may fetch of the agent's own [`may_fetch`](stopline_depot::eligible::may_fetch), and what happens
//! next of the publisher's own gates; only the weather is made up: who is parked where, who is away, how far they drive and
//! what their model does there.

mod nights;
mod random;
#[cfg(test)]
mod tests;
mod weather;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;
use stopline_depot::eligible::poll_second;
use stopline_depot::rollout::{ALL_BP, Gates, Rollout, Stage, State, Unit, Variant, Window, bucket, member};
use stopline_depot::versioned::Versioned as _;

use crate::exit::{Exit, Failure, Result, Said};
use nights::Nights;

pub use nights::Night;
pub use weather::Weather;

/// The one hardware variant that is simulated.
pub const HARDWARE: &str = "board";
/// Bins that the buckets are counted in.
const BINS: usize = 100;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Ids of the devices.
    pub ids: Vec<String>,
    /// Nights at most.
    pub nights: u32,
    /// Vehicles out of a hundred that are parked with a network in a given night.
    pub parked_percent: u32,
    /// Vehicles out of a hundred that are out of reach throughout.
    pub away_percent: u32,
    /// Hours that a vehicle is active a day, on average.
    pub hours_a_day: f64,
    /// Alerts an hour with the old model.
    pub alerts_an_hour: f64,
    /// Bytes of a bundle.
    pub bundle_bytes: u64,
    /// Shares to go through.
    pub stages: Vec<Stage>,
    /// Ids of devices that take part from the beginning.
    pub cohort: Vec<String>,
    /// Ids of devices that take no part.
    pub exclude: Vec<String>,
    /// Gates.
    pub gates: Gates,
    /// When vehicles may fetch.
    pub window: Window,
    /// The salt; the same gives the same fleet.
    pub salt: String,
    /// Devices of each group, at most, whose outcomes the gates are given.
    pub sample: u32,
    /// Whether the report names who got it in each night.
    pub name_them: bool,
}

impl Plan {
    /// So many devices with ids that follow from their number.
    pub fn numbered(devices: u32) -> Vec<String> {
        (0..u64::from(devices))
            .map(|n| format!("{:016x}{:016x}", random::mix(n, 1), random::mix(n, 2)))
            .collect()
    }

    /// Where the device of this number in [`Plan::ids`] is in a night, counted from 1.
    pub fn weather(&self, device: usize, night: u32) -> Weather {
        weather::weather(self, u64::try_from(device).unwrap_or(u64::MAX), night)
    }

    fn rollout(&self, state: State) -> Rollout {
        let hashed = |ids: &[String]| ids.iter().map(|id| member(&self.salt, id)).collect::<BTreeSet<_>>();
        let variant = Variant {
            target: "models/simulated/new.slb".into(),
            abort_to: Some("models/simulated/old.slb".into()),
            percent_bp: self.stages.first().map_or(ALL_BP, |stage| stage.bp),
            stages: self.stages.clone(),
            gates: self.gates,
        };
        Rollout {
            schema: Rollout::SCHEMA,
            rollout_id: "simulated".into(),
            model: "simulated".into(),
            targets: BTreeMap::from([(HARDWARE.to_owned(), variant)]),
            salt: self.salt.clone(),
            state,
            unit: Unit::Device,
            cohorts: BTreeMap::from([("first".to_owned(), hashed(&self.cohort))]),
            exclude: hashed(&self.exclude),
            forgive: BTreeSet::new(),
            window: self.window.clone(),
            report_within_s: 3 * 86_400,
        }
    }
}

/// What the new model is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// As good as the old one.
    Good,
    /// It crashes once in ten active hours.
    Crashing,
    /// It never crashes and alerts twice as often.
    SilentlyWorse,
}

/// How one roll-out went.
#[derive(Debug, Clone, Serialize)]
pub struct Course {
    /// What the model was like.
    pub nature: Nature,
    /// Night by night.
    pub nights: Vec<Night>,
    /// Why it was paused, if it was.
    pub paused: Option<String>,
    /// Share of all devices that ever had it, basis points, at the end.
    pub reached_bp: u16,
    /// Nights until all that can be reached had it.
    pub nights_to_all: Option<u32>,
    /// Seconds from signing an abort at noon, with half of the fleet on trial, to a device's next look; of those that can be
    /// reached: median and 99th percentile, and how many looked.
    pub abort_latency_s: Option<(u32, u32, u64)>,
}

/// How evenly devices are spread.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// Devices in the emptiest of a hundred bins.
    pub fewest: u32,
    /// In the fullest.
    pub most: u32,
    /// In each, if it were even.
    pub expected: f64,
    /// χ² with 99 degrees of freedom: 135 is passed by chance once in a hundred.
    pub chi_squared: f64,
    /// Requests in the busiest second of a night.
    pub most_a_second: u32,
}

/// Runs all three natures.
pub fn run(plan: &Plan) -> Result<Said> {
    if plan.ids.is_empty() || plan.stages.is_empty() {
        return Err(Failure::usage("devices and stages: at least one of each is expected"));
    }
    plan.rollout(State::Active).check().map_err(Failure::usage)?;
    let polls: Vec<u32> = plan.ids.iter().map(|id| poll_second(id, plan.window.local)).collect();
    let spread = spread(plan, &polls);
    let natures = [Nature::Good, Nature::Crashing, Nature::SilentlyWorse];
    let courses: Vec<Course> =
        natures.into_iter().map(|nature| Nights::new(plan, &polls, nature).run()).collect();
    let mut words = vec![
        format!("{} devices", plan.ids.len()),
        format!(
            "buckets: {} to {} in a hundred bins, {:.0} expected, chi squared {:.1} of 99; busiest second {} requests",
            spread.fewest, spread.most, spread.expected, spread.chi_squared, spread.most_a_second
        ),
    ];
    words.extend(courses.iter().flat_map(in_words));
    let caught = courses.iter().all(|course| (course.nature == Nature::Good) == course.paused.is_none());
    let exit = if caught { Exit::Done } else { Exit::Warning };
    if !caught {
        words.push("WARNING: the gates did not tell good and bad apart with so few devices or nights".into());
    }
    Ok(Said { words, json: json!({"devices": plan.ids.len(), "spread": spread, "courses": courses}), exit })
}

fn in_words(course: &Course) -> Vec<String> {
    let mut words = vec![format!("{:?}:", course.nature)];
    for night in &course.nights {
        words.push(format!(
            "  night {:>2}: {} bp, {} requests, {:.2} GB, {} got it, {} have it",
            night.night,
            night.percent_bp,
            night.requests,
            bytes_in_gb(night.bytes),
            night.updated,
            night.have_it
        ));
    }
    match (&course.paused, course.nights_to_all) {
        (Some(why), _) => words.push(format!("  PAUSED with {} bp of the fleet: {why}", course.reached_bp)),
        (None, Some(nights)) => words.push(format!("  all that can be reached had it after {nights} nights")),
        (None, None) => words.push(format!("  reached {} bp of the fleet", course.reached_bp)),
    }
    if let Some((median, most, devices)) = course.abort_latency_s {
        words.push(format!("  abort at noon: {devices} devices know after {median} s (p50), {most} s (p99)"));
    }
    words
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn bytes_in_gb(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn spread(plan: &Plan, polls: &[u32]) -> Spread {
    let mut bins = [0_u32; BINS];
    for id in &plan.ids {
        bins[usize::from(bucket(&plan.salt, id)) * BINS / usize::from(ALL_BP)] += 1;
    }
    let devices = u32::try_from(plan.ids.len()).unwrap_or(u32::MAX);
    let expected = f64::from(devices) / 100.0;
    let chi_squared = bins.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
    let mut seconds = vec![0_u32; 86_400];
    for second in polls {
        seconds[usize::try_from(*second).unwrap_or(0) % 86_400] += 1;
    }
    Spread {
        fewest: bins.iter().min().copied().unwrap_or(0),
        most: bins.iter().max().copied().unwrap_or(0),
        expected,
        chi_squared,
        most_a_second: seconds.iter().max().copied().unwrap_or(0),
    }
}
