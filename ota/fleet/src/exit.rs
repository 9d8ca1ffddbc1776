//! How the program ends.

/// Exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed: a file, a network, a bug.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Refused: a signature, a rule or a record does not hold.
    Refused = 3,
    /// Somebody else published in between, or what is to be published exists already with other content.
    Conflict = 4,
    /// Something expires soon (`status`), or the gates hold a stage (`rollout gate`).
    Warning = 5,
    /// Something has expired or is about to (`status`), or the gates paused a roll-out (`rollout gate`).
    Alarm = 6,
}

/// For `--help`.
pub const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 usage; 3 refused (a signature, rule or record does not \
hold); 4 conflict with what is published; 5 warning (expires soon, stage held); 6 alarm (expired, gates paused).";

/// A failure with the code it ends the program with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What, where, expected and found, and what to do next.
    pub message: String,
}

impl Failure {
    /// A failure to do what was asked.
    pub fn failed(message: impl ToString) -> Self {
        Self { exit: Exit::Failure, message: message.to_string() }
    }

    /// Something does not hold.
    pub fn refused(message: impl ToString) -> Self {
        Self { exit: Exit::Refused, message: message.to_string() }
    }

    /// Somebody else was there first.
    pub fn conflict(message: impl ToString) -> Self {
        Self { exit: Exit::Conflict, message: message.to_string() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl ToString) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// The same with what it happened to in front.
    #[must_use]
    pub fn of(self, what: impl std::fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl From<stopline_tuf::Error> for Failure {
    fn from(error: stopline_tuf::Error) -> Self {
        let mut message = format!("{error} [{}]", error.code());
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            message.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        Self::refused(message)
    }
}

impl From<stopline_depot::versioned::VersionedError> for Failure {
    fn from(error: stopline_depot::versioned::VersionedError) -> Self {
        Self::refused(error)
    }
}

/// What a command did: in words for a person, and for a machine.
#[derive(Debug, Clone)]
pub struct Said {
    /// One line each.
    pub words: Vec<String>,
    /// The same as JSON.
    pub json: serde_json::Value,
    /// How the program ends although nothing failed.
    pub exit: Exit,
}

impl Said {
    /// Done.
    pub fn new(words: Vec<String>, json: serde_json::Value) -> Self {
        Self { words, json, exit: Exit::Done }
    }
}

/// What commands return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;
