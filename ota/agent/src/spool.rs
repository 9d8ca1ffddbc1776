//! Signed outcomes that wait for the fleet's receipt, as small files. At least once on the wire, once in effect: (device,
//! boot id, seq) makes each one of a kind, and a file goes when the fleet has it, is refused for good, or 1000 newer ones
//! wait.
//!
//! ```text
//! HOME/outcomes/000000000012-BOOT-7.json
//! ```

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use stopline_depot::deployment::Outcome;
use stopline_depot::outcome::{SignedOutcome, message};
use stopline_depot::versioned::{self, Versioned};

use crate::http::Http;
use crate::identity::Identity;
use crate::queue::Queue;
use crate::sequence::Sequence;

/// Outcomes that wait, at most; the oldest goes first.
pub const MOST_WAITING: usize = 1_000;

/// The spool.
#[derive(Debug, Clone)]
pub struct Spool {
    queue: Queue,
    sequence: Sequence,
}

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The fleet has it.
    Delivered,
    /// The fleet will never take it.
    Rejected,
    /// Too many newer ones wait.
    Evicted,
}

impl Spool {
    /// Below `home`, numbered by `sequence`.
    ///
    /// # Errors
    /// The system's.
    pub fn open(home: &Path, sequence: Sequence) -> io::Result<Self> {
        Ok(Self { queue: Queue::open(home.join("outcomes"))?, sequence })
    }

    /// Signs an outcome and lets it wait; device, boot and seq are filled in here. Tells how many had to go.
    ///
    /// # Errors
    /// The system's, or [`ErrorKind::InvalidInput`] for an outcome that nobody could read.
    pub fn put(&self, identity: &Identity, outcome: Outcome) -> io::Result<usize> {
        let device = identity.id().to_owned();
        let outcome = Outcome {
            device,
            boot_id: self.sequence.boot_id().to_owned(),
            seq: self.sequence.next()?,
            ..outcome
        };
        let invalid = |error| io::Error::new(ErrorKind::InvalidInput, error);
        let signature = identity.sign(&message(&outcome).map_err(invalid)?)?;
        let seq = outcome.seq;
        let signed = SignedOutcome::new(outcome, &identity.public_key(), &signature);
        let bytes = versioned::write(&signed).map_err(invalid)?;
        let waiting = self.waiting()?;
        self.queue.put("", (self.sequence.boot_id(), seq), &bytes)?;
        let evicted = (waiting.len() + 1).saturating_sub(MOST_WAITING);
        waiting.iter().take(evicted).try_for_each(|path| self.remove(path))?;
        Ok(evicted)
    }

    /// Files that wait, oldest first.
    ///
    /// # Errors
    /// The system's.
    pub fn waiting(&self) -> io::Result<Vec<PathBuf>> {
        self.queue.waiting()
    }

    /// What a file says.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::InvalidData`].
    pub fn read(&self, path: &Path) -> io::Result<SignedOutcome> {
        let bytes = self.queue.read(path, SignedOutcome::LIMIT)?;
        versioned::read(&bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// The fleet has it: it goes. It need not be there.
    ///
    /// # Errors
    /// The system's.
    pub fn received(&self, boot_id: &str, seq: u64) -> io::Result<()> {
        self.queue.received(boot_id, seq).map(drop)
    }

    /// Posts what waits, oldest first, until one is not taken. Tells how each that went ended.
    ///
    /// # Errors
    /// The system's. A server that is not there is no error: everything waits on.
    pub fn post(&self, http: &Http, url: &str) -> io::Result<Vec<End>> {
        let mut ends = Vec::new();
        for path in self.waiting()? {
            let bytes = match self.read(&path) {
                Ok(signed) => versioned::write(&signed).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(id = "ota.outcome.unreadable", "{}: {error}", path.display());
                    self.remove(&path)?;
                    ends.push(End::Rejected);
                    continue;
                }
            };
            match http.post(url, bytes).map(|answer| answer.status()) {
                Ok(200..=299) => ends.push(End::Delivered),
                Ok(status @ (400 | 409 | 413 | 415 | 422)) => {
                    tracing::warn!(
                        id = "ota.outcome.rejected",
                        "{}: the fleet refuses it: {status}",
                        path.display()
                    );
                    ends.push(End::Rejected);
                }
                Ok(status) => {
                    tracing::debug!("{url}: status {status}; outcomes wait");
                    return Ok(ends);
                }
                Err(error) => {
                    tracing::debug!("{error}; outcomes wait");
                    return Ok(ends);
                }
            }
            self.remove(&path)?;
        }
        Ok(ends)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.queue.remove(path)
    }
}

#[cfg(test)]
mod tests {
    use stopline_depot::deployment::Phase;
    use stopline_depot::digest::Digest;

    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            schema: 1,
            device: String::new(),
            boot_id: String::new(),
            seq: 0,
            rollout_id: "r-1".into(),
            hardware: "orin".into(),
            model: None,
            digest: Digest::of(b"x"),
            phase: Phase::Staged,
            cause: None,
            exposure: None,
        }
    }

    #[test]
    fn each_outcome_is_one_of_a_kind_signed_and_goes_when_the_fleet_has_it() {
        let home = tempfile::tempdir().unwrap();
        let identity = Identity::open(home.path()).unwrap();
        let spool = Spool::open(home.path(), Sequence::open(home.path(), "boot-1".into())).unwrap();
        spool.put(&identity, outcome()).unwrap();
        spool.put(&identity, outcome()).unwrap();
        // A start in the same boot goes on counting, another boot begins anew.
        let spool = Spool::open(home.path(), Sequence::open(home.path(), "boot-1".into())).unwrap();
        spool.put(&identity, outcome()).unwrap();
        let other = Spool::open(home.path(), Sequence::open(home.path(), "boot-2".into())).unwrap();
        other.put(&identity, outcome()).unwrap();
        let all: Vec<SignedOutcome> =
            spool.waiting().unwrap().iter().map(|path| spool.read(path).unwrap()).collect();
        let ids: Vec<(String, u64)> =
            all.iter().map(|signed| (signed.outcome.boot_id.clone(), signed.outcome.seq)).collect();
        assert_eq!(
            ids,
            [("boot-1", 1), ("boot-1", 2), ("boot-1", 3), ("boot-2", 1)]
                .map(|(boot, seq)| (boot.to_owned(), seq))
        );
        assert!(all.iter().all(|signed| signed.is_signed_by(&identity.public_key())));
        let changed = SignedOutcome {
            outcome: Outcome { phase: Phase::Good, ..all[0].outcome.clone() },
            ..all[0].clone()
        };
        assert!(!changed.is_signed_by(&identity.public_key()));
        spool.received("boot-1", 1).unwrap();
        spool.received("boot-1", 1).unwrap();
        assert_eq!(spool.waiting().unwrap().len(), 3, "11 is not 1, and another boot's stays");
    }
}
