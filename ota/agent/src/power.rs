//! What a vehicle's supply allows: [`battery`] (a floor below which nothing begins), [`ignition`], [`hold`] (the board stays
//! awake while something is fetched, for a bounded time), [`wake`] (when it should be awake next). A download can be ended at
//! any byte, so each of these only decides when; nothing here keeps a board on at any price.

pub mod battery;
pub mod hold;
pub mod ignition;
pub mod wake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::{self, Config};
use battery::Charge;
use hold::Hold;
use ignition::Ignition;
use wake::Wake;

/// The board's supply.
#[derive(Debug)]
pub struct Power {
    config: config::Power,
    ignition: Ignition,
    hold: Hold,
    wake: Wake,
    /// Whether it was told that the battery is low.
    told: AtomicBool,
}

impl Power {
    /// By the configuration.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let ignition = Ignition::of(config);
        Self {
            hold: Hold::new(config.power.hold_up_s, ignition.clone(), clock),
            wake: Wake::new(config.power.wake_hook.clone()),
            ignition,
            config: config.power.clone(),
            told: AtomicBool::new(false),
        }
    }

    /// Why nothing is fetched or installed now, in words; none: it may be. Told once, and again after it was over.
    pub fn low(&self) -> Option<String> {
        let low = low(&self.config);
        let told = self.told.swap(low.is_some(), Ordering::Relaxed);
        if let Some(words) = low.as_ref().filter(|_| !told) {
            tracing::warn!(id = "power.low", "{words}; nothing is fetched or installed until it is charged");
        }
        low
    }

    /// Something is fetched or installed: the board is held awake for it, as far as that is allowed.
    pub fn begin(&mut self, what: &str) {
        self.hold.begin(what);
    }

    /// Nothing goes on any more. `next`: seconds since 1970 at which the board should be awake, where that is known; it is
    /// told before the board is let go.
    pub fn rest(&mut self, next: Option<i64>) {
        if self.config.hold_up_s == 0 && self.config.wake_hook.is_empty() {
            return;
        }
        let ignition = self.ignition.look();
        self.hold.look(ignition);
        match (ignition, next) {
            (Some(false), Some(next)) => self.wake.tell(next),
            (Some(true), _) => self.wake.forget(),
            _ => {}
        }
        self.hold.end();
    }
}

/// What is to be said of it now, by a configuration.
pub fn status(config: &Config) -> Value {
    json!({
        "ignition": Ignition::of(config).look(),
        "battery": config.power.battery().map(|folder| Charge::look(&folder)),
        "low": low(&config.power),
    })
}

fn low(config: &config::Power) -> Option<String> {
    if config.floor_percent == 0 && config.floor_v <= 0.0 {
        return None;
    }
    Charge::look(&config.battery()?).below(config.floor_percent, config.floor_v)
}
