//! Models: whether they load, and whether this machine runs them fast enough for the cameras they serve.

use std::time::Duration;

use stopline_sensors::clock::Clock;

use super::Findings;
use super::cameras::Watched;
use crate::config::{Config, Model};
use crate::detector::Detector;
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
    if !config.models.is_empty() {
        let advice = "whoever can write these files decides what brakes: keep them writable by root only";
        to.warning("keys", "models are read from plain files; no signature is checked", advice);
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
    let mut detector = match Detector::load(&model.options()) {
        Ok(detector) => detector,
        Err(error) => {
            return to.fault(&about, error.to_string(), "see the message; `stopline model inspect` helps");
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
