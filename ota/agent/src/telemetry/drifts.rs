//! Drift that the runtime has told in its health file, said to the fleet once.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::disk::{RealDisk, replace};
use stopline_depot::health::Health;
use stopline_depot::message::Body;

use super::{Parts, say};

/// Which of the runtime's drifts are said.
#[derive(Debug)]
pub struct Drifts {
    file: PathBuf,
    said: Said,
}

/// In `HOME/drift.json`. A runtime that began anew counts from one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Said {
    boot_id: String,
    pid: u32,
    number: u64,
}

impl Drifts {
    /// Goes on from what was said, below `home`. What cannot be read was never said: twice is better than never.
    pub fn open(home: &Path) -> Self {
        let file = home.join("drift.json");
        let said = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file, said: said.unwrap_or_default() }
    }

    /// Says what is new in `health`.
    pub fn step(&mut self, parts: &Parts, health: &Health, now: u64) {
        let boot_id = parts.outbox.boot_id();
        let same = self.said.boot_id == boot_id && self.said.pid == health.pid;
        let from = if same { self.said.number } else { 0 };
        let mut last = from;
        for drift in health.drift.iter().filter(|drift| drift.number > from) {
            let Ok(body) = serde_json::to_value(drift) else { continue };
            if say(&parts.outbox, &Body::Drift(body), now).is_none() {
                break;
            }
            tracing::warn!(
                id = "telemetry.drift",
                camera = drift.camera,
                model = drift.model,
                "{}",
                drift.alarm
            );
            last = drift.number;
        }
        if last == from {
            return;
        }
        self.said = Said { boot_id: boot_id.to_owned(), pid: health.pid, number: last };
        let kept = serde_json::to_vec(&self.said)
            .map_err(std::io::Error::other)
            .and_then(|bytes| replace(&mut RealDisk, &self.file, &bytes));
        if let Err(error) = kept {
            tracing::warn!(id = "telemetry.drift.forgotten", "{}: {error}", self.file.display());
        }
    }
}
