//! What can be wrong with a configuration.

use std::fmt::Display;

/// A value that cannot work: which key, what stands there, what may stand there. [`ConfigError::Value`] adds the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: found {found}, expected {expected}")]
pub struct Misfit {
    /// Dotted path of the key, with the number of a section counted from 0: `camera[0].priority`.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
}

impl Misfit {
    /// `found` stands at `key`, where `expected` is.
    pub fn new(key: &str, found: impl Display, expected: impl Display) -> Self {
        Self { key: key.to_owned(), found: found.to_string(), expected: expected.to_string() }
    }

    /// The same, with its key seen from one section further out.
    #[must_use]
    pub fn within(mut self, section: &str) -> Self {
        self.key = format!("{section}.{}", self.key);
        self
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot read the configuration: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{path}: expected a configuration of at most {most} bytes, found more")]
    Large {
        /// The file.
        path: String,
        /// What it may have.
        most: u64,
    },
    /// Not TOML, a key that is unknown or missing, or a value of the wrong kind.
    #[error("{path}:{line}:{column}: {problem}; see {page}")]
    Toml {
        /// The file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the reader of TOML says.
        problem: String,
        /// Page and heading that explain the section.
        page: String,
    },
    /// A value that cannot work.
    #[error("{path}:{line}: {key}: found {found}, expected {expected}; see {page}")]
    Value {
        /// The file.
        path: String,
        /// Line of the key, or of its section where the key is left out.
        line: usize,
        /// Dotted path of the key.
        key: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
        /// Page and heading that explain the section.
        page: String,
    },
}
