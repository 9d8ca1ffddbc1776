//! A file over a bad link: fetched in pieces, gone on with where it stopped, given up when it stalls, checked whole.
//!
//! What came lies in `PARTIAL/NAME`, and beside it what of that is certainly on the medium. A cut connection costs nothing
//! that had come, a power cut at most one chunk. Nothing is believed before the digest is right.

mod attempt;
mod partial;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stopline_depot::deployment::DeployCause;
use stopline_depot::digest::Digest;
use stopline_depot::eligible::{Hindrance, back_off_ms};
use stopline_tuf::metadata::{TargetCheck, TargetFile};

use crate::clock::Clock;
use crate::config::Download;
use crate::http::{Http, HttpError};
use partial::Partial;

/// A file that does not become right is not begun more often than this.
const WHOLE_TRIES: u32 = 2;
/// Bytes that one download may cost: so many times its length, and [`SPARE`].
const MOST_TIMES: u64 = 3;
const SPARE: u64 = 4 << 20;

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Too many failures in a row without progress.
    #[error("{name}: {failures} attempts in a row brought nothing; the last: {last}. Tried again later")]
    GivenUp {
        /// The file.
        name: String,
        /// Attempts.
        failures: u32,
        /// The last one's failure.
        last: String,
    },
    /// The server asks for a longer pause than one download waits.
    #[error("{name}: the server asks to come back in {seconds} s")]
    Later {
        /// The file.
        name: String,
        /// Seconds.
        seconds: u64,
    },
    /// It may not be fetched any more.
    #[error("{name}: stopped after {bytes} bytes: {hindrance:?}; goes on from there")]
    Stopped {
        /// The file.
        name: String,
        /// Bytes that are there.
        bytes: u64,
        /// Why.
        hindrance: Hindrance,
    },
    /// What came is not what was signed, again and again.
    #[error("{name}: what came is not what was signed: {problem}")]
    Wrong {
        /// The file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// It would cost more than it is worth.
    #[error("{name}: {received} bytes came for a file of {length}; stopped until later")]
    TooDear {
        /// The file.
        name: String,
        /// Bytes that came.
        received: u64,
        /// Bytes it has.
        length: u64,
    },
    /// There is no room for it.
    #[error("{}: {needed} bytes are needed, {available} are free", folder.display())]
    Room {
        /// Where.
        folder: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The partial file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl DownloadError {
    /// The cause that a deployment waits or ends with.
    pub fn cause(&self) -> DeployCause {
        match self {
            Self::GivenUp { .. } | Self::Later { .. } | Self::TooDear { .. } => DeployCause::Network,
            Self::Stopped { hindrance, .. } => hindrance.cause(),
            // A server or a link that changes bytes says nothing of the bundle.
            Self::Wrong { .. } => DeployCause::Network,
            Self::Room { .. } | Self::Io { .. } => DeployCause::Space,
        }
    }

    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::GivenUp { .. } => "given_up",
            Self::Later { .. } => "later",
            Self::Stopped { .. } => "stopped",
            Self::Wrong { .. } => "wrong",
            Self::TooDear { .. } => "too_dear",
            Self::Room { .. } => "room",
            Self::Io { .. } => "io",
        }
    }
}

/// What one download cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests.
    pub requests: u32,
    /// Bytes of bodies that came.
    pub received: u64,
    /// Bytes of these that were thrown away.
    pub wasted: u64,
    /// Answers with the whole file to a question for the rest of it that were dropped since a range last came.
    pub whole_answers: u32,
}

/// Fetches files into a folder.
#[derive(Debug)]
pub struct Downloader<'a> {
    /// The client.
    pub http: &'a Http,
    /// How it fetches.
    pub settings: &'a Download,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The device: pauses differ by it.
    pub device: &'a str,
    /// Where partial files lie.
    pub folder: &'a Path,
}

/// A file that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its target path, for messages.
    pub name: &'a str,
    /// Its addresses, best first.
    pub urls: &'a [String],
    /// Length and digests.
    pub file: &'a TargetFile,
}

impl Downloader<'_> {
    /// Fetches `wanted`, from where an earlier attempt stopped. `may_go_on` is asked before each chunk with the bytes that are
    /// still to come.
    ///
    /// # Errors
    /// [`DownloadError`]; what came stays, but for [`DownloadError::Wrong`].
    pub fn fetch(
        &self,
        wanted: Wanted<'_>,
        may_go_on: &mut dyn FnMut(u64) -> Result<(), Hindrance>,
    ) -> Result<(PathBuf, Cost), DownloadError> {
        let mut cost = Cost::default();
        let mut partial = Partial::open(self.folder, &partial_name(&wanted), wanted.file.length)?;
        let mut tries = 0;
        loop {
            self.complete(wanted, &mut partial, may_go_on, &mut cost)?;
            match verify(partial.path(), wanted) {
                Ok(()) => return Ok((partial.path().to_owned(), cost)),
                Err(problem) => {
                    tracing::warn!(id = "ota.download.wrong", "{}: {problem}; fetched anew", wanted.name);
                    cost.wasted = cost.wasted.saturating_add(partial.length());
                    partial.restart()?;
                    tries += 1;
                    if tries == WHOLE_TRIES {
                        return Err(DownloadError::Wrong { name: wanted.name.to_owned(), problem });
                    }
                }
            }
        }
    }

    /// Attempts until all bytes are there.
    fn complete(
        &self,
        wanted: Wanted<'_>,
        partial: &mut Partial,
        may_go_on: &mut dyn FnMut(u64) -> Result<(), Hindrance>,
        cost: &mut Cost,
    ) -> Result<(), DownloadError> {
        let mut failures = 0;
        while partial.length() < wanted.file.length {
            let before = partial.length();
            let most = wanted.file.length.saturating_mul(MOST_TIMES).saturating_add(SPARE);
            if cost.received > most {
                let (name, length) = (wanted.name.to_owned(), wanted.file.length);
                return Err(DownloadError::TooDear { name, received: cost.received, length });
            }
            let Err(failure) = self.attempt(wanted, partial, may_go_on, cost)? else { continue };
            if partial.length() > before {
                failures = 0;
            }
            failures += 1;
            tracing::info!(
                id = "ota.download.failed",
                failures,
                at = partial.length(),
                "{}: {failure}",
                wanted.name
            );
            if failures >= self.settings.attempts {
                partial.sync()?;
                let (name, last) = (wanted.name.to_owned(), failure.to_string());
                return Err(DownloadError::GivenUp { name, failures, last });
            }
            self.clock.sleep(self.pause(wanted, &failure, failures)?);
        }
        partial.sync()
    }

    /// How long to wait after a failure: as long as the server asks for, or by back-off.
    fn pause(
        &self,
        wanted: Wanted<'_>,
        failure: &HttpError,
        failures: u32,
    ) -> Result<Duration, DownloadError> {
        let (first, most) = (self.settings.first_back_off_ms, self.settings.longest_back_off_ms);
        let own = u64::from(back_off_ms(self.device, wanted.name, failures, first, most));
        match failure {
            HttpError::Status { retry_after_s: Some(seconds), .. } => {
                let asked = seconds.saturating_mul(1_000);
                if asked > u64::from(most) {
                    return Err(DownloadError::Later { name: wanted.name.to_owned(), seconds: *seconds });
                }
                Ok(Duration::from_millis(asked.max(own)))
            }
            _ => Ok(Duration::from_millis(own)),
        }
    }
}

/// Takes away partial files of anything but `keep`.
///
/// # Errors
/// The system's.
pub fn sweep(folder: &Path, keep: &[Wanted<'_>]) -> std::io::Result<()> {
    let kept: Vec<String> = keep.iter().map(partial_name).collect();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let stem = name.to_str().map(|name| name.trim_end_matches(".json").to_owned());
        if !stem.is_some_and(|stem| kept.contains(&stem)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// One file per content: another release under the same path does not go on with the old one's bytes.
fn partial_name(wanted: &Wanted<'_>) -> String {
    let digests: Vec<&str> = wanted.file.hashes.digests().collect();
    Digest::of([wanted.name, &digests.join(" ")].join("\0").as_bytes()).to_string()
}

/// Length and every known digest, piece by piece.
pub(crate) fn verify(path: &Path, wanted: Wanted<'_>) -> Result<(), String> {
    let mut check = TargetCheck::new(wanted.name, wanted.file).map_err(|error| error.to_string())?;
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut piece).map_err(|error| error.to_string())?;
        if read == 0 {
            return check.finish().map_err(|error| error.to_string());
        }
        check.update(&piece[..read]).map_err(|error| error.to_string())?;
    }
}
