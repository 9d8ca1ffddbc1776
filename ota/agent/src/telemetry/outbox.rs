//! Messages that wait for the fleet's receipt: on disk, numbered, bounded, counted.
//!
//! `HOME/messages/000000000012-event-BOOT-7.json`. Where too many wait figures go first, then states, births and drift, each
//! the oldest first. Events never go for others; where a thousand of them wait no more is taken, and what the loop put into
//! its own outbox stays there.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stopline_depot::message::{Body, Kind, Message, Receipt, WaitingStats};
use stopline_depot::versioned::{self, Versioned};
use tokio::sync::watch;

use super::Last;
use crate::identity::Identity;
use crate::queue::{Queue, label_of};
use crate::sequence::Sequence;

/// Messages that wait, at most.
pub const MOST_WAITING: usize = 1_000;
/// What goes first, first.
const WORTH: [Kind; 5] = [Kind::Stats, Kind::State, Kind::Birth, Kind::Drift, Kind::Event];

/// The outbox; clones share it.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: Queue,
    device: String,
    sequence: Sequence,
    shared: Arc<Mutex<Shared>>,
    /// Rises with each message that is put: wakes who publishes.
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    last: Last,
    dropped: u64,
    /// When each was put, milliseconds since boot; what an earlier process put waits longest.
    put_at: BTreeMap<(String, u64), u64>,
}

/// How long a message may wait for a receipt that comes another way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// Milliseconds since boot.
    pub now: u64,
    /// An event, milliseconds.
    pub event_ms: u64,
    /// Anything else, milliseconds.
    pub other_ms: u64,
}

impl Outbox {
    /// Below `home`.
    ///
    /// # Errors
    /// The system's.
    pub fn open(home: &Path, identity: &Identity, sequence: Sequence) -> io::Result<Self> {
        let queue = Queue::open(home.join("messages"))?;
        let (device, shared, (news, _)) = (identity.id().to_owned(), Arc::default(), watch::channel(0));
        Ok(Self { queue, device, sequence, shared, news })
    }

    /// This boot, as messages name it.
    pub fn boot_id(&self) -> &str {
        self.sequence.boot_id()
    }

    /// Puts a message; what its receipt will name.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::InvalidInput`] for what nobody could read; [`ErrorKind::QuotaExceeded`] where too many
    /// events wait.
    pub fn put(&self, body: &Body, now: u64) -> io::Result<Receipt> {
        self.make_room()?;
        let invalid = |error| io::Error::new(ErrorKind::InvalidInput, error);
        let message = Message::new((&self.device, self.sequence.boot_id(), self.sequence.next()?), body);
        let message = message.map_err(invalid)?;
        let bytes = versioned::write(&message).map_err(invalid)?;
        self.queue.put(message.kind.topic(), (&message.boot_id, message.seq), &bytes)?;
        let mut shared = self.shared();
        shared.last.keep(&message);
        shared.put_at.insert((message.boot_id.clone(), message.seq), now);
        drop(shared);
        self.news.send_modify(|count| *count = count.wrapping_add(1));
        Ok(message.receipt())
    }

    /// Messages that wait and have waited long enough, events first, then oldest first.
    pub fn waiting(&self, patience: Patience) -> Vec<Message> {
        let mut paths = self.paths();
        paths.sort_by_key(|path| kind_of(path) != Some(Kind::Event));
        let long_enough = |message: &Message| {
            let at = self.shared().put_at.get(&(message.boot_id.clone(), message.seq)).copied();
            let waited = patience.now.saturating_sub(at.unwrap_or(0));
            waited >= if message.kind == Kind::Event { patience.event_ms } else { patience.other_ms }
        };
        let most = stopline_depot::message::MAX_LINES;
        paths.iter().filter_map(|path| self.read(path)).filter(long_enough).take(most).collect()
    }

    /// Files that wait, oldest first.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.queue.waiting().unwrap_or_default()
    }

    /// A message that waits; one that cannot be read goes, and is told.
    pub fn read(&self, path: &Path) -> Option<Message> {
        let problem = match self.queue.read(path, Message::LIMIT) {
            Ok(bytes) => match versioned::read(&bytes) {
                Ok(message) => return Some(message),
                Err(error) => error.to_string(),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        tracing::warn!(id = "telemetry.unreadable", "{}: {problem}", path.display());
        self.shared().dropped += 1;
        // What cannot be removed is met again, and told again.
        let _ = self.queue.remove(path);
        None
    }

    /// The fleet has it.
    pub fn received(&self, receipt: &Receipt) {
        self.shared().put_at.remove(&(receipt.boot_id.clone(), receipt.seq));
        if let Err(error) = self.queue.received(&receipt.boot_id, receipt.seq) {
            tracing::warn!("receipt: {error}");
        }
    }

    /// The fleet will never take it: it goes unheard, and is counted.
    pub fn refused(&self, receipt: &Receipt) {
        tracing::warn!(
            id = "telemetry.refused",
            seq = receipt.seq,
            "the fleet does not understand a message; it is dropped"
        );
        self.shared().dropped += 1;
        self.received(receipt);
    }

    /// Whether the fleet has not got it yet.
    pub fn holds(&self, receipt: &Receipt) -> bool {
        let end = format!("-{}-{}.json", receipt.boot_id, receipt.seq);
        self.paths().iter().any(|path| path.to_str().is_some_and(|path| path.ends_with(&end)))
    }

    /// What was said last of the kinds that a broker keeps.
    pub fn last(&self) -> Last {
        self.shared().last.clone()
    }

    /// Rises with each message that is put.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// That wait, and that went unheard.
    pub fn stats(&self) -> WaitingStats {
        let waiting = u64::try_from(self.paths().len()).unwrap_or(u64::MAX);
        WaitingStats { waiting, dropped: self.shared().dropped }
    }

    fn make_room(&self) -> io::Result<()> {
        let paths = self.paths();
        let Some(beyond) = (paths.len() + 1).checked_sub(MOST_WAITING).filter(|beyond| *beyond > 0) else {
            return Ok(());
        };
        let rank = |path: &PathBuf| {
            kind_of(path).and_then(|kind| WORTH.iter().position(|other| *other == kind)).unwrap_or(0)
        };
        let mut least: Vec<&PathBuf> =
            paths.iter().filter(|path| kind_of(path) != Some(Kind::Event)).collect();
        least.sort_by_key(|path| rank(path));
        if least.len() < beyond {
            let problem = format!("{} events wait; no more than {MOST_WAITING} are kept", paths.len());
            return Err(io::Error::new(ErrorKind::QuotaExceeded, problem));
        }
        for path in least.into_iter().take(beyond) {
            self.queue.remove(path)?;
            self.shared().dropped += 1;
        }
        Ok(())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kind that a file's name tells.
pub fn kind_of(path: &Path) -> Option<Kind> {
    let label = label_of(path, &WORTH.map(Kind::topic));
    WORTH.into_iter().find(|kind| kind.topic() == label)
}
