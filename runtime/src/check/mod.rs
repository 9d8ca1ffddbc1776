//! **Whether a configuration can do what it is asked to**, from its numbers: nothing is opened but files.
//!
//! In walk order: [`config`] (what is asked for, and where the measurements lie), [`recall`] and [`reach`] (the
//! arithmetic, pure), [`measured`] (what `eval` and `bench` wrote), [`sight`] (camera, lens, models: what is seen how
//! soon), [`function`] (per function: the highest speed, or why there is none), [`wiring`] (files, signals, arming),
//! [`report`] and [`text`] (what comes of it).
//!
//! A speed that is not proven is not reached: every unknown refuses, and says how to make it known.

pub mod config;
pub mod function;
pub mod measured;
pub mod reach;
pub mod recall;
pub mod report;
pub mod sight;
pub mod text;
pub mod wiring;

use crate::config::Config;
use report::Report;

/// Holds `config`, which was read from the file `path`, against its own numbers.
pub fn check(config: &Config, path: &str) -> Report {
    let mut report = Report::new(path);
    wiring::check(config, &mut report);
    for at in 0..config.cameras.len() {
        let camera = function::camera(config, at);
        report.cameras.push(camera);
    }
    report.judge();
    report
}
