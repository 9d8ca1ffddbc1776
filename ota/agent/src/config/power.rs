//! What the board's supply allows.

use std::path::PathBuf;

use serde::Deserialize;

use super::parts::within;

/// Where the kernel shows batteries and chargers.
const SUPPLIES: &str = "/sys/class/power_supply";

/// What the board's supply allows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Power {
    /// The battery's folder: a name in `/sys/class/power_supply`, or a path; none: no battery is looked at.
    pub battery: Option<PathBuf>,
    /// Percent below which nothing is fetched or installed, unless it is charged; 0: any charge is enough.
    pub floor_percent: u8,
    /// Volts below which nothing is fetched or installed, unless it is charged; 0: any voltage is enough.
    pub floor_v: f64,
    /// A file whose first character is 1 while the ignition is on; none, or where it cannot be read: the runtime's health
    /// file tells.
    pub ignition_file: Option<PathBuf>,
    /// Longest time for which the board is held awake for a download or an installation with the ignition off, in seconds;
    /// 0: it never is.
    pub hold_up_s: u32,
    /// A program and its arguments that is told when the board should be awake for the nightly poll; empty: none.
    pub wake_hook: Vec<String>,
}

impl Power {
    /// The battery's folder.
    pub fn battery(&self) -> Option<PathBuf> {
        self.battery.as_ref().map(|battery| PathBuf::from(SUPPLIES).join(battery))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        within("power.floor_percent", u32::from(self.floor_percent), 0, 100)?;
        within("power.hold_up_s", self.hold_up_s, 0, 86_400)?;
        if !(0.0..=1_000.0).contains(&self.floor_v) {
            return Err(format!("power.floor_v: {}; 0 to 1000 volts are expected", self.floor_v));
        }
        if self.battery.is_none() && (self.floor_percent > 0 || self.floor_v > 0.0) {
            return Err(
                "power.battery: the battery that power.floor_percent and power.floor_v speak of is expected"
                    .into(),
            );
        }
        let named = |battery: &PathBuf| {
            battery.is_absolute() || battery.components().count() == 1 && !battery.starts_with("..")
        };
        if let Some(battery) = self.battery.as_ref().filter(|battery| !named(battery)) {
            return Err(format!(
                "power.battery: {}; a name in {SUPPLIES} or a whole path is expected",
                battery.display()
            ));
        }
        match self.wake_hook.first() {
            Some(program) if !program.starts_with('/') => {
                Err(format!("power.wake_hook: {program:?}; a program's whole path is expected first"))
            }
            _ => Ok(()),
        }
    }
}
