//! Whether the ignition is on: a file of the integrator's, else what the runtime hears from the vehicle and writes into its
//! health file. What neither tells is unknown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stopline_depot::health::Health;

use crate::config::Config;
use crate::surroundings::first_line;

/// A health file, written once a second, that is older says only what was.
const FRESH: Duration = Duration::from_secs(10);

/// Where it is told.
#[derive(Debug, Clone)]
pub struct Ignition {
    file: Option<PathBuf>,
    health: Option<PathBuf>,
}

impl Ignition {
    /// By the configuration.
    pub fn of(config: &Config) -> Self {
        Self { file: config.power.ignition_file.clone(), health: config.device.health_file.clone() }
    }

    /// Now.
    pub fn look(&self) -> Option<bool> {
        let by_file = self.file.as_deref().and_then(first_line).map(|line| line.starts_with('1'));
        by_file.or_else(|| by_health(self.health.as_deref()?))
    }
}

fn by_health(path: &Path) -> Option<bool> {
    // Both times are of the machine's own clock, so it does not matter whether that is right.
    let age = match path.metadata().ok()?.modified().ok()?.elapsed() {
        Ok(age) => age,
        Err(ahead) => ahead.duration(),
    };
    if age > FRESH {
        return None;
    }
    Health::read(path).ok()?.vehicle?.ignition
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HEALTH: &str = r#"{"schema":1,"name":"car","version":"0.1.0","pid":7,"written_wall":"2026-02-28T23:59:59.000250Z",
        "uptime_ms":5,"state":{"name":"active","for_ms":3},"faults":[],"arming":{"armed":false,"because":"so"},
        "cameras":[],"models":[],"command":{"row":"idle","valid":false,"deceleration":0.0,"hold":false,"made":3,
        "longest_gap_us":20100},"actuators":[],"stages":[],"machine":{"memory":"off","scheduling":"off",
        "resident_kib":4000},"transitions":[],"transitions_total":0,"vehicle":VEHICLE,"stream":{"readers":0,"dropped":0}}"#;

    #[test]
    fn the_file_tells_or_a_fresh_health_file_or_nobody() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(home.path().join(name));
        let ignition = Ignition { file: path("ignition"), health: path("health.json") };
        assert_eq!(ignition.look(), None);
        let health = |vehicle: &str| {
            fs::write(home.path().join("health.json"), HEALTH.replace("VEHICLE", vehicle)).unwrap();
        };
        for (vehicle, said) in [
            (r#"{"ignition":true}"#, Some(true)),
            (r#"{"ignition":false}"#, Some(false)),
            ("{}", None),
            ("null", None),
        ] {
            health(vehicle);
            assert_eq!(ignition.look(), said, "{vehicle}");
        }
        health(r#"{"ignition":true}"#);
        fs::write(home.path().join("ignition"), "0\n").unwrap();
        assert_eq!(ignition.look(), Some(false), "the integrator's file counts first");
        fs::remove_file(home.path().join("ignition")).unwrap();
        let old = fs::File::open(home.path().join("health.json")).unwrap();
        let hour = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(3_600);
        old.set_modified(hour).unwrap();
        assert_eq!(ignition.look(), None, "what was is not what is");
    }
}
