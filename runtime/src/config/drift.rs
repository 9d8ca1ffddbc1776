//! `[drift]`: whether cameras and models still give what they gave.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::drift::Settings;

use super::{Misfit, seen_from};

/// How drift is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftConfig {
    /// Whether it is.
    pub enabled: bool,
    /// Folder in which the past two weeks outlast a restart; none: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<PathBuf>,
    /// False alarms in 30 days of a camera that runs day and night, all signals together, at most; 0.001 to 100.
    pub false_alarms_per_month: f64,
    /// A population stability index below this is of no interest, however certain it is; 0.01 to 10.
    pub least_psi: f64,
    /// Likewise against the training reference, from which every place differs somewhat; 0.01 to 10.
    pub least_psi_training: f64,
    /// From one frame that is counted to the next, in milliseconds; 100 to 60,000.
    pub every_ms: u32,
    /// Entries that an hour must have to be compared; 10 to 100,000.
    pub least_entries: u32,
}

impl Default for DriftConfig {
    fn default() -> Self {
        let Settings { false_alarms_per_month, least_psi, least_psi_training, every_ms, least_entries } =
            Settings::default();
        Self {
            enabled: true,
            memory: None,
            false_alarms_per_month,
            least_psi,
            least_psi_training,
            every_ms: u32::try_from(every_ms).unwrap_or(u32::MAX),
            least_entries,
        }
    }
}

impl DriftConfig {
    /// The same for who judges.
    pub fn settings(&self) -> Settings {
        Settings {
            false_alarms_per_month: self.false_alarms_per_month,
            least_psi: self.least_psi,
            least_psi_training: self.least_psi_training,
            every_ms: self.every_ms.into(),
            least_entries: self.least_entries,
        }
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        let within = |key: &str, found: f64, least: f64, most: f64| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(Misfit::new(&format!("drift.{key}"), found, format!("{least} to {most}")))
        };
        within("false_alarms_per_month", self.false_alarms_per_month, 0.001, 100.0)?;
        within("least_psi", self.least_psi, 0.01, 10.0)?;
        within("least_psi_training", self.least_psi_training, 0.01, 10.0)?;
        within("every_ms", self.every_ms.into(), 100.0, 60_000.0)?;
        within("least_entries", self.least_entries.into(), 10.0, 100_000.0)
    }

    pub(super) fn resolve(&mut self, folder: &Path) {
        if let Some(memory) = &mut self.memory {
            seen_from(folder, memory);
        }
    }
}
