//! What a command ends with: one enum of exit codes, stable for scripts.

/// Exit codes of `stopline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// A fault of ours or of the machine (out of memory, a thread that died).
    Internal = 1,
    /// The command line is wrong; `--help` says how it goes.
    Usage = 2,
    /// A picture, recording or dataset cannot be read, or is not what it should be.
    Input = 3,
    /// A model or its manifest cannot be used.
    Model = 4,
    /// A camera or stream cannot be opened, or was lost for good.
    Device = 5,
    /// A result cannot be written.
    Output = 6,
    /// The configuration cannot be used, or another process runs by it.
    Config = 7,
    /// An actuator, the arming input or the vehicle's bus cannot be had.
    Actuator = 8,
    /// A second signal ended the daemon at once, without its last command.
    Forced = 9,
    /// The running daemon refused what it was told.
    Refused = 10,
    /// The records of a replay differ from their reference.
    Differs = 11,
    /// `doctor` or `check` found something that does not work; what, is printed.
    Unfit = 12,
    /// A model did not pass its self-test: golden vectors, latency or memory.
    SelfTest = 13,
    /// The demo did not find an event that is in a clip.
    Missed = 14,
}

/// Why a command failed, and what it exits with.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The whole chain of causes, logged once by `main`.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure of kind `exit`.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }
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
        self.map_err(|error| Failure::new(exit, error))
    }
}
