//! `stopline doctor`: looks at everything that the daemon needs, and says of each what is found and what to do. Changes
//! nothing: no line is driven, no frame is sent, no file of others is touched.
//!
//! In walk order: `cameras`, `models` (with the measured headroom), `bus`, `lines`, `places` (folders and disk space),
//! `machine` (clock, limits, heat, watchdog).

mod bus;
mod cameras;
mod lines;
mod machine;
mod models;
mod places;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use stopline_sensors::clock::Clock;

use crate::config::Config;
use places::Roots;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Fault,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `camera front`, `clock`.
    pub about: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do; left out where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// All of them, in the order they were made.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// The worst.
    pub fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    fn ok(&mut self, about: &str, found: impl Into<String>) {
        self.add(about, Level::Ok, found.into(), None);
    }

    fn warning(&mut self, about: &str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(about, Level::Warning, found.into(), Some(advice.into()));
    }

    fn fault(&mut self, about: &str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(about, Level::Fault, found.into(), Some(advice.into()));
    }

    fn add(&mut self, about: &str, level: Level, found: String, advice: Option<String>) {
        self.0.push(Finding { about: about.to_owned(), level, found, advice });
    }
}

/// Looks at everything that `config` names, and at the machine. Each camera is watched for `watch`; each model is run on
/// its newest frame for as long.
pub fn look(config: &Config, watch: Duration, clock: &Arc<dyn Clock>) -> Findings {
    let mut findings = Findings::default();
    let roots = Roots::default();
    let seen = cameras::look(config, watch, clock, &mut findings);
    models::look(config, &seen, watch, &**clock, &mut findings);
    bus::look(config, &roots, &mut findings);
    lines::look(config, &mut findings);
    places::look(config, &mut findings);
    machine::look(&roots, &mut findings);
    findings
}

#[cfg(test)]
mod tests;
