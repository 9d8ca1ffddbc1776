//! What the loop's threads tell the publisher: through a bounded channel that is never waited for. A log or a socket that
//! blocks must not block a thread that sees or acts, so those threads log nothing themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use stopline_decide::cause::{Cause, State};
use stopline_sensors::clock::Monotonic;
use tracing::Level;

use super::report::FrameReport;

/// Most notes that wait for the publisher.
const BOUND: usize = 256;

/// Most frames among them: each may hold a picture.
const FRAMES: u64 = 4;

/// Something to tell.
#[derive(Debug)]
pub enum Note {
    /// A line for the log.
    Log(Level, String),
    /// The state changed.
    Transition {
        /// When.
        at: Monotonic,
        /// The state before.
        from: State,
        /// The state since.
        to: State,
        /// Why.
        cause: Option<Cause>,
    },
    /// Something people want to know of; `id` is stable.
    Event {
        /// Stable name.
        id: &'static str,
        /// In words.
        text: String,
    },
    /// A processed frame.
    Frame(Box<FrameReport>),
}

/// Where the loop's threads put their notes.
#[derive(Clone, Debug)]
pub struct Notes {
    to: SyncSender<Note>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Frames in the channel.
    frames: AtomicU64,
    /// Notes other than frames that found no room.
    lost: AtomicU64,
}

/// The publisher's end.
#[derive(Debug)]
pub struct Told {
    /// Notes in order.
    pub from: Receiver<Note>,
    counts: Arc<Counts>,
}

/// A channel of notes.
pub fn channel() -> (Notes, Told) {
    let (to, from) = sync_channel(BOUND);
    let counts = Arc::<Counts>::default();
    (Notes { to, counts: Arc::clone(&counts) }, Told { from, counts })
}

impl Notes {
    /// A line for the log.
    pub fn log(&self, level: Level, text: impl Into<String>) {
        self.tell(Note::Log(level, text.into()));
    }

    /// Something people want to know of; it is logged too.
    pub fn event(&self, id: &'static str, text: impl Into<String>) {
        self.tell(Note::Event { id, text: text.into() });
    }

    /// Tells, or counts what found no room. Never waits.
    pub fn tell(&self, note: Note) {
        if let Err(TrySendError::Full(_)) = self.to.try_send(note) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a frame would find room now; where not, it need not be made ready.
    pub fn has_room_for_a_frame(&self) -> bool {
        self.counts.frames.load(Ordering::Relaxed) < FRAMES
    }

    /// Tells of a frame, or leaves it out where the publisher is behind.
    pub fn frame(&self, report: Box<FrameReport>) {
        self.counts.frames.fetch_add(1, Ordering::Relaxed);
        if self.to.try_send(Note::Frame(report)).is_err() {
            self.counts.frames.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Told {
    /// A frame was taken out.
    pub fn frame_done(&self) {
        self.counts.frames.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that found no room since the last call.
    pub fn lost(&self) -> u64 {
        self.counts.lost.swap(0, Ordering::Relaxed)
    }
}
