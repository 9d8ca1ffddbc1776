//! The highest `security_floor` that a release of each model ever named here, signed by the role `models`. It is remembered and
//! never falls: whoever serves older metadata, or lists the old release again, does not lower it. The agent alone writes it;
//! the trust folder's floor, which nobody writes here, counts beside it.
//!
//! ```text
//! HOME/floor.json    [`Floor`]
//! ```

use std::path::{Path, PathBuf};

use stopline_depot::disk::RealDisk;
use stopline_depot::slots::{Floor, read, write};

use crate::error::AgentError;

/// Where it lies.
pub fn path(home: &Path) -> PathBuf {
    home.join("floor.json")
}

/// What was seen.
#[derive(Debug)]
pub(super) struct SeenFloor {
    path: PathBuf,
    seen: Floor,
}

impl SeenFloor {
    /// Below `home`. One that cannot be read is an error: without it older releases would be taken again.
    pub(super) fn open(home: &Path) -> Result<Self, AgentError> {
        let path = path(home);
        let seen = read(&RealDisk, &path)?.unwrap_or(Floor { schema: 1, ..Floor::default() });
        Ok(Self { path, seen })
    }

    /// Of a model; 0 where none was named.
    pub(super) fn of(&self, model: &str) -> u64 {
        self.seen.models.get(model).copied().unwrap_or(0)
    }

    /// Remembers `floor` if it is the highest; it lies on the medium before it counts.
    pub(super) fn raise(&mut self, model: &str, floor: u64) -> Result<(), AgentError> {
        if floor <= self.of(model) {
            return Ok(());
        }
        let mut raised = self.seen.clone();
        raised.models.insert(model.to_owned(), floor);
        write(&mut RealDisk, &self.path, &raised)?;
        self.seen = raised;
        tracing::info!(
            id = "ota.floor.raised",
            model,
            floor,
            "older releases of {model} are not taken any more"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_floor_is_remembered_across_starts_and_never_falls() {
        let home = tempfile::tempdir().unwrap();
        let mut floor = SeenFloor::open(home.path()).unwrap();
        assert_eq!(floor.of("m"), 0);
        floor.raise("m", 7).unwrap();
        floor.raise("m", 3).unwrap();
        floor.raise("other", 1).unwrap();
        let floor = SeenFloor::open(home.path()).unwrap();
        assert_eq!((floor.of("m"), floor.of("other"), floor.of("third")), (7, 1, 0));
    }

    #[test]
    fn a_floor_that_cannot_be_read_stops_what_is_new() {
        let home = tempfile::tempdir().unwrap();
        for bytes in [&b"{"[..], b"", br#"{"schema": 9}"#] {
            std::fs::write(path(home.path()), bytes).unwrap();
            let error = SeenFloor::open(home.path()).unwrap_err();
            assert!(error.to_string().contains("floor"), "{error}");
        }
    }
}
