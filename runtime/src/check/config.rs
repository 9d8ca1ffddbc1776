//! `[check]`: what is asked of the configuration, and where the measurements lie that prove it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Misfit;

/// What is asked of the configuration, and where the measurements lie that prove it. The daemon does not read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckConfig {
    /// Up to which speed the vehicle must stop before a stop sign. Needed where a camera has that function.
    pub stop_sign_kmh: Option<f64>,
    /// Up to which speed it must stop before a person; default: `pedestrian.max_speed_kmh`.
    pub pedestrian_kmh: Option<f64>,
    /// Time to collision with which a person may first come into sight (from behind a parked car), in seconds. Without it
    /// only persons in plain sight are reckoned with.
    pub appears_s: Option<f64>,
    /// Share of approaches in which the object must be believed in time. Default 0.95.
    pub confidence: Option<f64>,
    /// Height of the lowest sign; default: `stop_sign.height_m`.
    pub sign_height_m: Option<f64>,
    /// Height of the smallest person; default: `pedestrian.height_m`.
    pub person_height_m: Option<f64>,
    /// Frames per second by camera, where neither `v4l2.fps` nor the source says.
    pub frame_rate: BTreeMap<String, f64>,
    /// By model: what `stopline eval --json FILE` measured.
    pub recall: BTreeMap<String, PathBuf>,
    /// By model: what `stopline bench --json` measured on the board it runs on.
    pub bench: BTreeMap<String, PathBuf>,
    /// By model: milliseconds from a frame to its detections, where nothing was measured. Told as declared.
    pub latency_ms: BTreeMap<String, f64>,
}

/// Default of [`CheckConfig::confidence`].
const CONFIDENCE: f64 = 0.95;

impl CheckConfig {
    /// Share of approaches.
    pub fn confidence(&self) -> f64 {
        self.confidence.unwrap_or(CONFIDENCE)
    }

    /// Takes relative paths from `folder`, where the configuration file lies.
    pub fn resolve(&mut self, folder: &Path) {
        for path in self.recall.values_mut().chain(self.bench.values_mut()) {
            *path = folder.join(&*path);
        }
    }

    /// Whether the values can be, for cameras and models of these names.
    ///
    /// # Errors
    /// The first key that cannot.
    pub fn check(&self, cameras: &[&str], models: &[&str]) -> Result<(), Misfit> {
        let numbers = [
            ("stop_sign_kmh", self.stop_sign_kmh, 1.0, 150.0),
            ("pedestrian_kmh", self.pedestrian_kmh, 1.0, 150.0),
            ("appears_s", self.appears_s, 0.1, 10.0),
            ("confidence", self.confidence, 0.5, 0.999),
            ("sign_height_m", self.sign_height_m, 0.2, 2.0),
            ("person_height_m", self.person_height_m, 0.5, 2.5),
        ];
        for (key, found, least, most) in numbers {
            within(key, found, least, most)?;
        }
        for (camera, rate) in &self.frame_rate {
            named("frame_rate", camera, cameras, "[[camera]]")?;
            within(&format!("frame_rate.{camera}"), Some(*rate), 1.0, 240.0)?;
        }
        for (model, latency) in &self.latency_ms {
            within(&format!("latency_ms.{model}"), Some(*latency), 0.1, 10_000.0)?;
        }
        let lists = [
            ("recall", self.recall.keys().collect::<Vec<_>>()),
            ("bench", self.bench.keys().collect()),
            ("latency_ms", self.latency_ms.keys().collect()),
        ];
        for (key, names) in lists {
            names.into_iter().try_for_each(|name| named(key, name, models, "[[model]]"))?;
        }
        Ok(())
    }
}

fn within(key: &str, found: Option<f64>, least: f64, most: f64) -> Result<(), Misfit> {
    match found {
        // Written so that what is no number is refused.
        Some(value) if !(value >= least && value <= most) => {
            Err(Misfit::new(&format!("check.{key}"), value, format!("{least} to {most}")))
        }
        _ => Ok(()),
    }
}

fn named(key: &str, name: &str, known: &[&str], section: &str) -> Result<(), Misfit> {
    if known.contains(&name) {
        return Ok(());
    }
    Err(Misfit::new(
        &format!("check.{key}.{name}"),
        "a name that is not there",
        format!("names of {section}: {known:?}"),
    ))
}
