//! Models: whether they load, and whether this machine runs them fast enough for the cameras they serve.

use std::time::Duration;

use stopline_depot::bundle::Bundle;
use stopline_depot::slots::{StatePaths, StateReader};
use stopline_sensors::clock::Clock;

use super::Findings;
use super::cameras::Watched;
use crate::config::{Config, Model};
use crate::detector::{Detector, LoadError};
use crate::models::vault::{Held, Place, Vault};
use crate::percentiles::{Samples, micros, millis_text};

/// Runs before measuring.
const WARM_UP: usize = 3;
/// Most runs.
const MOST: usize = 200;
/// Above this share of the frame period there is no room for heat and neighbours.
const COMFORTABLE: f64 = 0.7;

/// Looks at every model.
pub fn look(
    config: &Config,
    seen: &[Option<Watched>],
    watch: Duration,
    clock: &dyn Clock,
    to: &mut Findings,
) {
    if config.models.is_empty() {
        to.warning("models", "none is configured: nothing is decided", "add a [[model]] section");
    }
    for model in &config.models {
        one(config, model, seen, watch, clock, to);
    }
    let plain: Vec<&str> = config
        .models
        .iter()
        .filter(|model| model.bundle.is_none())
        .map(|model| model.name.as_str())
        .collect();
    if !plain.is_empty() {
        let advice = "whoever can write these files decides what brakes: keep them writable by root only";
        let told = format!("read from plain files, no signature is checked: {}", plain.join(", "));
        to.warning("keys", told, advice);
    }
}

fn one(
    config: &Config,
    model: &Model,
    seen: &[Option<Watched>],
    watch: Duration,
    clock: &dyn Clock,
    to: &mut Findings,
) {
    let about = format!("model {}", model.name);
    let loaded = match &model.bundle {
        Some(bundle) => over_the_air(config, model, bundle, to),
        None => Detector::load(&model.options()).map_err(|error| error.to_string()),
    };
    let mut detector = match loaded {
        Ok(detector) => detector,
        Err(problem) => {
            return to.fault(&about, problem, "see the message; `stopline model inspect` helps");
        }
    };
    let manifest = detector.manifest();
    to.ok(&about, format!("{} {}, {}", manifest.name, manifest.version, &detector.digest()[..12]));
    for warning in detector.warnings() {
        to.warning(&about, warning.clone(), "see runtime/README.md, \"Infer\"");
    }
    for (camera, watched) in config.cameras.iter().zip(seen) {
        let Some(watched) = watched.as_ref().filter(|_| model.serves(&camera.name)) else { continue };
        headroom(&mut detector, watched, watch, clock, &format!("{about} on {}", camera.name), to);
    }
}

/// The bundle that would decide, judged as the daemon judges it; those that were passed over are told.
fn over_the_air(config: &Config, model: &Model, bundle: &str, to: &mut Findings) -> Result<Detector, String> {
    let depot = config.depot.as_ref().ok_or("no [depot]")?;
    let keys = format!("keys of {}", model.name);
    let vault = Vault::new(depot, None);
    if let Err(refusal) = vault.trust() {
        to.fault(&keys, refusal.to_string(), "install root.json, floor.json and deny.json in depot.trust");
    }
    let reader = StateReader::new(StatePaths::new(&depot.state));
    let pointers = reader.pointers().map_err(|error| error.to_string())?.of(bundle);
    let load = |held: &Held| {
        let read = Bundle::read(&held.bytes).map_err(|error| LoadError::Read {
            path: bundle.to_owned(),
            cause: std::io::Error::other(error),
        })?;
        Detector::of_bundle(&read, &model.options())
    };
    let (found, passed) = vault.choose(bundle, &pointers, load);
    for passed in passed {
        let told = format!("bundle {} is not loaded: {}", passed.place, passed.error);
        to.fault(&keys, told, "the daemon passes it over too");
    }
    let (held, detector) = found.ok_or("no bundle of it may be loaded")?;
    match held.place {
        Place::Factory => to.ok(&keys, "bundle factory: it came with the device".to_owned()),
        Place::Slot(_) if held.below_floor => {
            to.warning(&keys, format!("bundle {} is below the security floor", held.place), "update it");
        }
        Place::Slot(_) => to.ok(&keys, format!("bundle {}: signed by the role `models`", held.place)),
    }
    Ok(detector)
}

/// Runs the model on the camera's newest frame and compares with the time between two.
fn headroom(
    detector: &mut Detector,
    watched: &Watched,
    watch: Duration,
    clock: &dyn Clock,
    about: &str,
    to: &mut Findings,
) {
    let mut found = Vec::new();
    let mut times = Samples::default();
    let began = clock.monotonic();
    for run in 0..WARM_UP + MOST {
        found.clear();
        match detector.detect(&watched.newest, &mut found) {
            Ok(took) if run >= WARM_UP => times.add(micros(took.total())),
            Ok(_) => {}
            Err(error) => {
                return to.fault(about, error.to_string(), "the model does not run on this camera's frames");
            }
        }
        if run > WARM_UP && clock.monotonic().since(began) >= watch {
            break;
        }
    }
    let taken = times.percentiles();
    let told = format!("{} ms a frame (p99 {} ms)", millis_text(taken.p50), millis_text(taken.p99));
    let Some(period) = watched.period else { return to.ok(about, told) };
    let share = Duration::from_micros(taken.p99).as_secs_f64() / period.as_secs_f64();
    let told =
        format!("{told}: {:.0} % of the {:.1} ms between frames", share * 100.0, period.as_secs_f64() * 1e3);
    if share > 1.0 {
        to.fault(
            about,
            told,
            "frames would be left out: a smaller model or input, another engine, or a slower camera",
        );
    } else if share > COMFORTABLE {
        to.warning(
            about,
            told,
            "no room for heat and neighbours: a smaller model or input, or a core of its own",
        );
    } else {
        to.ok(about, told);
    }
}
