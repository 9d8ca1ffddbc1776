//! Captured records to the fleet's server: claimed from the spool by value, packed into batches, sent from the byte that the
//! server names on, let go on the server's receipt and never before.
//!
//! | asked | answer | meaning |
//! |---|---|---|
//! | `GET v1/batches/ID` | 200 `{schema, offset, receipts?}` | how much of the batch the server has |
//! | `PATCH v1/batches/ID`, `Upload-Offset`, `Upload-Length`, bytes | 200, the same | what it has now; receipts once all of it is committed |
//! | | 409, the same | another offset counts |
//! | `POST v1/batches/ID/place`, `Upload-Length` | 200 `{schema, place}` or `{schema, state}` | a place in a store, or receipts for what lies there |
//!
//! The manifest of the batch under way lies in `HOME/upload.json`, so that the same bytes go on after a restart: they are
//! packed again from the records, which the spool holds. One thread does it ([`Uploader::run`]); a stalled link stops neither
//! updates nor alerts.

mod batches;
mod ends;
mod forgetting;
mod placing;
mod sending;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stopline_depot::disk::RealDisk;
use stopline_depot::eligible::{Hindrance, back_off_ms, may_fetch};
use stopline_depot::message::SpoolStats;
use stopline_depot::spool::{Claims, SpoolError};
use stopline_depot::versioned::VersionedError;

use crate::clock::{self, Clock};
use crate::config::Config;
use crate::fleet::{Line, Refusal};
use crate::identity::Identity;
use crate::orders::Forgetting;
use crate::report::word_of;
use crate::sequence::Sequence;
use crate::surroundings::Senses;

use batches::Draft;

/// Seconds that a server may make the agent wait, at most.
const LONGEST_RETRY_AFTER_S: u64 = 86_400;

/// Why nothing went on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server did not answer, or refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the server answered makes no sense.
    #[error("{url}: {problem}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What was found and what is expected.
        problem: String,
    },
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A batch cannot be packed.
    #[error(transparent)]
    Batch(#[from] stopline_depot::batch::BatchError),
    /// A file of the agent's own cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store that the server named did not take a batch.
    #[error("{store}: {problem}")]
    Store {
        /// Where it was put, without the signature.
        store: String,
        /// A stable word.
        code: &'static str,
        /// What was found, and what follows.
        problem: String,
        /// Seconds to wait, where the store says so.
        after_s: Option<u64>,
    },
    /// It may not go on now.
    #[error("records wait: {}", word_of(.0))]
    Hindered(Hindrance),
}

impl From<VersionedError> for UploadError {
    fn from(error: VersionedError) -> Self {
        Self::Batch(error.into())
    }
}

impl UploadError {
    /// A stable word for the log, the state and the figures.
    pub fn code(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.code().into(),
            Self::Answer { .. } => "answer".into(),
            Self::Spool(_) => "spool".into(),
            Self::Batch(_) => "batch".into(),
            Self::Io { .. } => "io".into(),
            Self::Store { code, .. } => (*code).into(),
            Self::Hindered(hindrance) => word_of(hindrance),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Refused(Refusal::Later { after_s, .. }) | Self::Store { after_s, .. } => {
                after_s.map(|s| s.min(LONGEST_RETRY_AFTER_S))
            }
            _ => None,
        }
    }
}

/// What others may know of it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<(SpoolStats, Option<String>)>>);

impl Progress {
    /// Records that wait, and how those ended that did.
    pub fn stats(&self) -> SpoolStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Why records wait, in a word; none while they go.
    pub fn waits(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn change(&self, change: impl FnOnce(&mut SpoolStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0);
    }

    fn set_waits(&self, why: Option<String>) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut inner.1, why.clone()) != why
    }
}

/// What it is made of.
#[derive(Debug)]
pub struct Parts {
    /// The whole configuration.
    pub config: Config,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The device.
    pub identity: Identity,
    /// Numbers of batches.
    pub sequence: Sequence,
    /// Network and budget.
    pub senses: Senses,
    /// The server.
    pub line: Line,
}

/// Uploads.
#[derive(Debug)]
pub struct Uploader {
    parts: Parts,
    claims: Claims<RealDisk>,
    progress: Progress,
    /// The batch under way.
    draft: Option<Draft>,
    ends: ends::Ends,
    stores: placing::Stores,
    failures: u32,
    /// Milliseconds since boot before which nothing is tried.
    not_before: u64,
    /// Bytes of a request now: fewer where the link stalls.
    chunk: usize,
    /// What is to be let go.
    forgetting: Option<Forgetting>,
}

impl Uploader {
    /// Opens the spool, takes up what was claimed and the batch that was under way; what others may know goes into
    /// `progress`.
    ///
    /// # Errors
    /// [`UploadError`], with the parts, to try again.
    pub fn open(parts: Parts, spool: &Path, progress: Progress) -> Result<Self, (Box<Parts>, UploadError)> {
        let claims = match Claims::open(RealDisk, spool, now(&*parts.clock)) {
            Ok(claims) => claims,
            Err(error) => return Err((Box::new(parts), error.into())),
        };
        let chunk = sending::most_chunk(&parts.config.upload);
        let draft = batches::take_up(&parts.config.home, &claims);
        let (ends, stores) = (ends::Ends::default(), placing::Stores::default());
        let (failures, not_before, forgetting) = (0, 0, None);
        Ok(Self { parts, claims, progress, draft, ends, stores, failures, not_before, chunk, forgetting })
    }

    /// Uploads until the sender of `stop` has gone.
    pub fn run(&mut self, stop: &Receiver<()>) {
        let look = Duration::from_secs(self.parts.config.upload.look_s.into());
        loop {
            self.step();
            match stop.recv_timeout(look) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One look at the spool: all that waits goes, unless something is in the way.
    pub fn step(&mut self) {
        self.forget_what_is_asked();
        if self.parts.clock.since_boot_ms() < self.not_before {
            return;
        }
        loop {
            match self.one() {
                Ok(true) => self.fare_well(),
                Ok(false) => {
                    self.fare_well();
                    break;
                }
                Err(error) => {
                    self.fail(&error);
                    break;
                }
            }
        }
        self.count_waiting();
    }

    /// Sends one batch; whether there was one.
    fn one(&mut self) -> Result<bool, UploadError> {
        self.ask_before_expiry()?;
        self.drop_expired()?;
        if self.draft.is_none() {
            self.draft = self.next_draft()?;
        }
        let Some(draft) = self.draft.take() else { return Ok(false) };
        let sent = self.send(&draft);
        match sent {
            Ok(receipts) => {
                self.take_receipts(&draft, &receipts)?;
                batches::forget(&self.parts.config.home)?;
                Ok(true)
            }
            Err(error) => self.refused(draft, error).map(|()| true),
        }
    }

    /// Whether `bytes` may go now.
    fn may_send(&self, bytes: u64) -> Result<(), UploadError> {
        let config = &self.parts.config;
        let now = self.parts.senses.look(&*self.parts.clock);
        may_fetch(&config.upload.window(), &config.allowance(), &now, bytes).map_err(UploadError::Hindered)
    }

    fn fare_well(&mut self) {
        self.failures = 0;
        if self.progress.set_waits(None) {
            tracing::info!(id = "upload.goes_on", "records go to the fleet again");
        }
    }

    /// A failure is told when it begins and when it becomes another.
    fn fail(&mut self, error: &UploadError) {
        let code = error.code();
        if self.progress.set_waits(Some(code.clone())) {
            tracing::warn!(id = "upload.waits", code, "{error}");
        } else {
            tracing::debug!(id = "upload.waits", code, "{error}");
        }
        let settings = &self.parts.config.upload;
        if matches!(error, UploadError::Hindered(_)) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let (first, most) = (settings.first_back_off_ms, settings.longest_back_off_ms);
        let pause = u64::from(back_off_ms(self.parts.identity.id(), "upload", self.failures, first, most));
        let pause = pause.max(error.retry_after_s().unwrap_or(0).saturating_mul(1_000));
        self.not_before = self.parts.clock.since_boot_ms().saturating_add(pause);
    }

    fn count_waiting(&self) {
        let waiting = self.claims.waiting().unwrap_or_default();
        let held = self.claims.held();
        let all = || waiting.iter().chain(&held);
        let bytes = all().fold(0_u64, |sum, one| sum.saturating_add(one.length));
        self.progress.change(|stats| {
            stats.waiting = u64::try_from(all().count()).unwrap_or(u64::MAX);
            stats.waiting_bytes = bytes;
        });
    }
}

/// Seconds since 1970 as the spool's ledger takes them: 0 while nobody vouches for the clock, and then nothing expires.
fn now(clock: &dyn Clock) -> u64 {
    clock::wall_s(clock).and_then(|now| u64::try_from(now).ok()).unwrap_or(0)
}
