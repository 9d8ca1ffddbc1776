//! What a command ends with: one enum of exit codes, stable for scripts.

/// Exit codes of `stopline-agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// A fault of ours or of the machine.
    Internal = 1,
    /// The command line is wrong; `--help` says how it goes.
    Usage = 2,
    /// The configuration or the identity cannot be used.
    Config = 3,
    /// The repository could not be reached, or what it said was not accepted.
    Repository = 4,
    /// A bundle was refused: by signature, role, digest, hardware, floor, deny list or verdict.
    Refused = 5,
    /// Not now: window, network, room, or a pause after a failure.
    Deferred = 6,
    /// Another updater holds the depot, or no agent runs where one is needed.
    Busy = 7,
    /// The fleet issued no certificate, or not this device's.
    Enrolment = 8,
}

impl Exit {
    /// The one that a running agent names.
    pub fn of(number: &serde_json::Value) -> Self {
        let all =
            [Self::Config, Self::Repository, Self::Refused, Self::Deferred, Self::Busy, Self::Enrolment];
        let number = number.as_u64();
        all.into_iter().find(|exit| Some(*exit as u64) == number).unwrap_or(Self::Internal)
    }
}

/// Printed by `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 internal, 2 usage, 3 configuration or identity, 4 repository not reached or not \
accepted, 5 bundle refused, 6 deferred, 7 another updater holds the depot or no agent runs, 8 no certificate";

/// Why a command failed, and what it exits with.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The whole chain of causes, logged once by `main`.
    pub error: anyhow::Error,
}

/// Gives an error its exit code.
pub trait OrExit<T> {
    /// The value, or a [`Failure`] that ends with `exit`.
    ///
    /// # Errors
    /// The error, with its exit code.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}
