//! Roll-outs, real and simulated.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use stopline_depot::rollout::{Gates, Stage, Unit, Window};

use super::signers::with_signers;
use super::{hear, open, trusted_root};
use crate::cli::arguments::{RolloutCommand, RolloutStart, RolloutStep, Simulate};
use crate::exit::{Failure, Result, Said};
use crate::keys::Passphrase;
use crate::rollouts::{self, Start, Step};
use crate::store;
use crate::{files, simulate};

pub(super) fn rollout(command: &RolloutCommand, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match command {
        RolloutCommand::Start(args) => {
            let new = start(args)?;
            with_signers(&args.at, phrase, |store, root, signers| {
                rollouts::start(store, root, signers, &new, now)
            })
        }
        RolloutCommand::Advance(args) => step(args, Step::Advance, phrase, now),
        RolloutCommand::Pause(args) => step(args, Step::Pause, phrase, now),
        RolloutCommand::Abort(args) => step(args, Step::Abort, phrase, now),
        RolloutCommand::Status { model, place } => {
            let (store, published) = open(place)?;
            rollouts::status(&*store, &published, model.as_deref())
        }
        RolloutCommand::Gate { model, heard, act, at } => {
            let heard = hear(heard)?;
            if *act {
                return with_signers(at, phrase, |store, root, signers| {
                    rollouts::gate(store, root, &heard, model, Some(signers), now)
                });
            }
            let store = store::open(&at.place.repository)?;
            rollouts::gate(&*store, &trusted_root(&at.place)?, &heard, model, None, now)
        }
    }
}

fn step(args: &RolloutStep, step: Step, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    with_signers(&args.at, phrase, |store, root, signers| {
        rollouts::step(store, root, signers, &args.model, step, now)
    })
}

fn start(args: &RolloutStart) -> Result<Start> {
    let usual = Gates::default();
    let gates = Gates {
        min_reports: args.min_reports.unwrap_or(usual.min_reports),
        max_failed_bp: args.max_failed_bp.unwrap_or(usual.max_failed_bp),
        max_silent_bp: args.max_silent_bp.unwrap_or(usual.max_silent_bp),
        min_hours: args.min_hours.unwrap_or(usual.min_hours),
        max_ratio: args.max_ratio.unwrap_or(usual.max_ratio),
    };
    let local = args.window.as_deref().map(local_window).transpose()?;
    let cohorts = args.cohort.iter().map(|(name, path)| Ok((name.clone(), ids(Path::new(path))?)));
    Ok(Start {
        rollout_id: args.id.clone(),
        model: args.model.clone(),
        targets: args.target.iter().cloned().collect(),
        stages: stages(&args.stages.stages)?,
        gates,
        window: Window { local, parked: args.parked, ..Window::default() },
        cohorts: cohorts.collect::<Result<BTreeMap<_, _>>>()?,
        exclude: args.exclude.as_deref().map(ids).transpose()?.unwrap_or_default(),
        unit: if args.by_camera { Unit::Camera } else { Unit::Device },
        report_within_s: rollouts::REPORT_WITHIN_S,
    })
}

pub(super) fn simulate(args: &Simulate) -> Result<Said> {
    let named = args.ids.as_deref().map(ids).transpose()?;
    let plan = simulate::Plan {
        name_them: named.is_some(),
        ids: named.unwrap_or_else(|| simulate::Plan::numbered(args.devices)),
        nights: args.nights,
        parked_percent: args.parked,
        away_percent: args.away,
        hours_a_day: 1.5,
        alerts_an_hour: 0.2,
        bundle_bytes: args.bundle_bytes,
        stages: stages(&args.stages.stages)?,
        cohort: args.cohort.as_deref().map(ids).transpose()?.unwrap_or_default(),
        exclude: args.exclude.as_deref().map(ids).transpose()?.unwrap_or_default(),
        gates: Gates::default(),
        window: Window { local: Some(local_window(&args.window)?), parked: true, ..Window::default() },
        salt: args.salt.clone(),
        sample: 20_000,
    };
    simulate::run(&plan)
}

/// Ids, one a line; empty lines do not count.
fn ids(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(files::read(path, 1 << 30)?);
    let text = text.map_err(|_| Failure::usage(format!("{}: no text", path.display())))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn stages(texts: &[String]) -> Result<Vec<Stage>> {
    let stage = |text: &String| {
        let (bp, seconds) = text.split_once(':').unwrap_or((text, "0"));
        let parsed = bp.parse().ok().zip(seconds.parse().ok());
        let (bp, min_dwell_s) =
            parsed.ok_or_else(|| Failure::usage(format!("stage {text:?}; BP[:SECONDS] is expected")))?;
        Ok(Stage { bp, min_dwell_s })
    };
    texts.iter().map(stage).collect()
}

/// `01:00-05:00` as minutes of the day.
fn local_window(text: &str) -> Result<(u16, u16)> {
    let minute = |text: &str| -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then(|| hour * 60 + minute)
    };
    let parsed = text.split_once('-').and_then(|(from, to)| minute(from).zip(minute(to)));
    parsed.ok_or_else(|| Failure::usage(format!("window {text:?}; HH:MM-HH:MM is expected")))
}
