//! Files with a schema version: what a newer writer wrote is told apart from what is broken, so that an older reader
//! waits instead of failing.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A type that lies on disk or wire with its schema version in the key `schema`.
pub trait Versioned: Serialize + DeserializeOwned {
    /// Newest schema that this program reads, from 1.
    const SCHEMA: u32;
    /// What it is called in messages.
    const NAME: &'static str;
    /// Bytes, at most; longer ones are refused before they are parsed.
    const LIMIT: usize;

    /// What the types cannot say: limits, names, relations between fields.
    ///
    /// # Errors
    /// Key, what was found and what is expected.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum VersionedError {
    /// A newer program wrote it: not an error of the file. A deployment waits for a newer program.
    #[error(
        "{name}: schema {found}; this program reads up to {known}. Install a newer one; until then it waits"
    )]
    Newer {
        /// What it is called.
        name: &'static str,
        /// Its schema.
        found: u64,
        /// The newest that is read.
        known: u32,
    },
    /// It is broken, too long, or not what it should be.
    #[error("{name}: {problem}")]
    Refused {
        /// What it is called.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Reads JSON with a schema version.
///
/// # Errors
/// [`VersionedError`].
pub fn read<T: Versioned>(bytes: &[u8]) -> Result<T, VersionedError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u64,
    }
    let refused = |problem: String| VersionedError::Refused { name: T::NAME, problem };
    if bytes.len() > T::LIMIT {
        return Err(refused(format!("{} bytes, at most {} are allowed", bytes.len(), T::LIMIT)));
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
    match head.schema {
        0 => return Err(refused("schema 0; schemas count from 1".into())),
        found if found > u64::from(T::SCHEMA) => {
            return Err(VersionedError::Newer { name: T::NAME, found, known: T::SCHEMA });
        }
        _ => {}
    }
    let value: T = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
    value.check().map_err(refused)?;
    Ok(value)
}

/// Writes it, checked, with a line break at the end.
///
/// # Errors
/// [`VersionedError::Refused`] if it could not be read again.
pub fn write<T: Versioned>(value: &T) -> Result<Vec<u8>, VersionedError> {
    let refused = |problem: String| VersionedError::Refused { name: T::NAME, problem };
    value.check().map_err(refused)?;
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| refused(error.to_string()))?;
    bytes.push(b'\n');
    if bytes.len() > T::LIMIT {
        return Err(refused(format!("{} bytes, at most {} are allowed", bytes.len(), T::LIMIT)));
    }
    Ok(bytes)
}

/// Whether `name` may name a model, a roll-out, a hardware variant or a cohort, and so a file: 1 to 64 of a-z, 0-9, '-',
/// '_', '.', beginning with a letter or digit.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(key: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && name.len() <= 64 && name.chars().all(plain) && !name.ends_with(crate::disk::BESIDE) {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!(
        "{key}: {shown:?}; 1 to 64 of a-z, 0-9, '-', '_', '.' are expected, beginning with a letter or digit"
    ))
}
