//! Files of an older schema. Who starts by one gets it brought to the newest in memory: an old file never keeps the brake
//! service from starting. `stopline config migrate` rewrites it.

use std::borrow::Cow;
use std::path::Path;

use stopline_depot::migration::{Chain, MigrationError, Step, advice};

use super::{ConfigError, MOST_BYTES, Misfit, Place, SCHEMA};

/// From every schema that was ever in use to the newest.
pub const CHAIN: Chain = Chain {
    program: "stopline",
    newest: SCHEMA,
    unnamed: 0,
    // 0 named no schema; its keys are those of 1.
    steps: &[Step { from: 0, edit: |_| Vec::new() }],
    limit: MOST_BYTES,
};

/// The text as one of the newest schema, and what to call the file in messages: lines of a text that was brought there are
/// not those of the file. Says so where it had to be done.
pub(super) fn brought<'t>(text: &'t str, path: &Path) -> Result<(Cow<'t, str>, String), ConfigError> {
    let name = path.display().to_string();
    match CHAIN.bring(text) {
        Ok(None) => Ok((text.into(), name)),
        // Where and what is said better by who reads it next.
        Err(MigrationError::Toml(_) | MigrationError::Unknown { .. }) => Ok((text.into(), name)),
        Err(MigrationError::Newer { found, .. }) => {
            let expected =
                format!("{SCHEMA}, the newest that this program reads: {}", advice(CHAIN.program, &SCHEMA));
            Err(Place::new(text, name).misfit(Misfit::new("schema", found, expected)))
        }
        Err(error) => Err(Place::new(text, name).misfit(Misfit::new("schema", error, SCHEMA))),
        Ok(Some(migration)) => {
            tracing::warn!(
                id = "config.old",
                "{name}: an old configuration of schema {} is read as one of schema {} ({}); for good: stopline config migrate \
                 --config {name}",
                migration.from,
                migration.to,
                migration.changes.join(", ")
            );
            Ok((migration.text.into(), format!("{name} (as schema {})", migration.to)))
        }
    }
}
