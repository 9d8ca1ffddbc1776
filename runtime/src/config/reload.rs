//! What may change while the process runs, as one table.
//!
//! A reload is all or nothing: one changed key that is not in [`HOT`] refuses the whole file by that key's name, and what
//! runs goes on as it was.

use std::path::Path;

use toml::{Table, Value};

use super::migration::brought;
use super::{Config, ConfigError};

/// The keys that take effect without a restart, with section numbers left out. Nothing that arms, decides, or limits a
/// command is or may come among them.
pub const HOT: [&str; 4] =
    ["run.log", "run.stream_pictures_per_s", "run.stream_picture_width", "camera.priority"];

/// Why a reload was refused. What ran before goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new file cannot be used at all.
    #[error("not reloaded, what ran goes on: {0}")]
    Config(#[from] ConfigError),
    /// It changes keys that need a restart.
    #[error("not reloaded, what ran goes on: restart needed for {}", keys.join(", "))]
    Restart {
        /// Dotted paths of the keys.
        keys: Vec<String>,
    },
}

/// The configuration in force and its text, to hold a new one against.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What is in force.
    pub config: Config,
    table: Table,
}

impl InForce {
    /// The configuration that the process starts with.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_toml(&super::read(path)?, path)
    }

    /// The same, of a text that stands in the file `path`.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // Held against a newer form of the same file, an old one has not changed.
        let (text, name) = brought(text, path)?;
        let config = Config::of_newest(&text, name, path)?;
        // It was read once already, so it is TOML.
        let table = text.parse().unwrap_or_default();
        Ok(Self { config, table })
    }

    /// What the file `path` says now, if only hot keys differ; `changed` names those.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing is to be changed.
    pub fn reload(&self, path: &Path) -> Result<(Self, Vec<String>), ReloadError> {
        let new = Self::load(path)?;
        let mut changed = Vec::new();
        differ("", &Value::Table(self.table.clone()), &Value::Table(new.table.clone()), &mut changed);
        let cold: Vec<String> = changed.iter().filter(|key| !is_hot(key)).cloned().collect();
        if cold.is_empty() { Ok((new, changed)) } else { Err(ReloadError::Restart { keys: cold }) }
    }
}

/// Whether the key takes effect without a restart.
fn is_hot(key: &str) -> bool {
    let plain: String = key.split('[').enumerate().map(|(at, part)| after_number(at, part)).collect();
    HOT.contains(&plain.as_str())
}

/// `0].priority` → `.priority`.
fn after_number(at: usize, part: &str) -> &str {
    if at == 0 { part } else { part.split_once(']').map_or(part, |(_, rest)| rest) }
}

/// Appends the paths of all keys whose values differ.
fn differ(path: &str, old: &Value, new: &Value, into: &mut Vec<String>) {
    match (old, new) {
        (Value::Table(old), Value::Table(new)) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => differ(&path, old, new, into),
                    (Some(one), None) | (None, Some(one)) => all_of(&path, one, into),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                differ(&format!("{path}[{at}]"), old, new, into);
            }
        }
        (old, new) if old != new => into.push(path.to_owned()),
        _ => {}
    }
}

/// Appends every key of a section that is new or gone.
fn all_of(path: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            table.iter().for_each(|(key, value)| all_of(&format!("{path}.{key}"), value, into));
        }
        _ => into.push(path.to_owned()),
    }
}
