//! What can go wrong between the repository and a slot, and what a deployment makes of it.

use stopline_depot::deployment::DeployCause;
use stopline_depot::slots::DepotError;
use stopline_depot::versioned::VersionedError;

use crate::download::DownloadError;
use crate::exit::Exit;
use crate::http::HttpError;

/// Why an update did not go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Metadata was not accepted, or could not be had.
    #[error("metadata: {0}")]
    Metadata(#[from] stopline_tuf::Error),
    /// A request came to nothing.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A file did not come whole.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A signed document is of a newer schema, or wrong.
    #[error("{path}: {source}")]
    Document {
        /// Target path.
        path: String,
        /// What is wrong.
        source: VersionedError,
    },
    /// What is signed may not be used here.
    #[error("{path}: {problem}")]
    Refused {
        /// Target path.
        path: String,
        /// The cause.
        cause: DeployCause,
        /// What was found and what is expected.
        problem: String,
    },
    /// The depot refuses.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// The bytes over mobile networks of a day or month are used up, but for those reserved for alerts.
    #[error(
        "the budget for mobile networks is used up (window.mobile_day_bytes, window.mobile_month_bytes); asked again when a day \
         or month begins, or over another network"
    )]
    Budget,
    /// A file of the agent's own cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl AgentError {
    /// Tells which file a call failed on.
    pub fn io(path: impl Into<std::path::PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// The cause that a deployment waits or ends with.
    pub fn cause(&self) -> DeployCause {
        match self {
            Self::Metadata(error) => match error.code() {
                "fetch" | "missing" => DeployCause::Network,
                "store" => DeployCause::Space,
                "expired" => DeployCause::Expired,
                _ => DeployCause::Signature,
            },
            Self::Http(_) | Self::Budget => DeployCause::Network,
            Self::Download(error) => error.cause(),
            Self::Document { source: VersionedError::Newer { .. }, .. } => DeployCause::Schema,
            Self::Document { .. } => DeployCause::Bundle,
            Self::Refused { cause, .. } => *cause,
            Self::Depot(error) => error.cause(),
            Self::Io { .. } => DeployCause::Space,
        }
    }

    /// What a command that it ends exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Metadata(_) | Self::Http(_) | Self::Budget => Exit::Repository,
            error if waits(error.cause()) => Exit::Deferred,
            _ => Exit::Refused,
        }
    }

    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Metadata(error) => error.code(),
            Self::Http(HttpError::Stalled { .. }) => "stalled",
            Self::Http(_) => "http",
            Self::Budget => "budget",
            Self::Download(error) => error.code(),
            Self::Document { source: VersionedError::Newer { .. }, .. } => "newer_schema",
            Self::Document { .. } => "document",
            Self::Refused { .. } => "refused",
            Self::Depot(error) if error.is_full() => "full",
            Self::Depot(DepotError::Held { .. }) => "held",
            Self::Depot(_) => "depot",
            Self::Io { .. } => "io",
        }
    }
}

/// Whether `cause` lets a deployment wait; the others end it.
pub fn waits(cause: DeployCause) -> bool {
    matches!(
        cause,
        DeployCause::Network
            | DeployCause::Space
            | DeployCause::Heat
            | DeployCause::MinRuntime
            | DeployCause::Window
            | DeployCause::Hardware
            | DeployCause::Schema
            | DeployCause::Clock
            | DeployCause::Surroundings
            | DeployCause::Power
    )
}
