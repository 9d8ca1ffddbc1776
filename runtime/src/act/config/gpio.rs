//! `kind = "gpio"`: a line of a chip.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::within;
use crate::act::trigger::Trigger;
use crate::config::Misfit;

/// `kind = "gpio"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpioConfig {
    /// Its name.
    pub name: String,
    /// The chip's device, `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// The line's number on it.
    pub line: u32,
    /// How it says "on".
    pub mode: LineMode,
    /// When it says so.
    pub when: Trigger,
    /// The line is active when low.
    #[serde(default)]
    pub active_low: bool,
    /// The resistor on the board that holds the line where nobody drives it: what the receiver sees when this process, or
    /// the machine, is dead. A level line without one, or whose resistor makes it active, cannot arm.
    #[serde(default)]
    pub pull: Pull,
    /// Periods between two edges of a toggling line (1).
    #[serde(default = "one_period")]
    pub toggle_periods: u32,
    /// Read the line back, and call a line that does not follow a fault (`true`).
    #[serde(default = "yes")]
    pub readback: bool,
    /// Tell the driver also while unarmed.
    #[serde(default)]
    pub while_unarmed: bool,
}

/// How a line says "on".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineMode {
    /// It toggles; a line that stands still is off. A dead process is off.
    Toggle,
    /// It is active. A dead process leaves it as the chip's driver or the pull resistor has it.
    Level,
}

/// A pull resistor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// None that is documented.
    #[default]
    None,
    /// To the supply.
    Up,
    /// To ground.
    Down,
}

impl GpioConfig {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        within("toggle_periods", self.toggle_periods.into(), 1, 50)?;
        if self.while_unarmed && self.when.is_request() {
            return Err(Misfit::new(
                "while_unarmed",
                "true",
                "false: what asks for braking is done only when armed",
            ));
        }
        Ok(())
    }
}

fn one_period() -> u32 {
    1
}

fn yes() -> bool {
    true
}
