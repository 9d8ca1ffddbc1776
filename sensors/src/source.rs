//! The door every frame comes through: one trait for cameras, streams, recordings and images.
//!
//! A source never hangs: [`FrameSource::next`] comes back within the time it is given, whatever the device does. A live
//! source that loses its device says so once, tries again with back-off, and says when it is back.

use std::time::Duration;

use crate::frame::Frame;

/// Where frames come from. Driven by one thread, its capture thread.
pub trait FrameSource: Send {
    /// What the source is.
    fn info(&self) -> &SourceInfo;

    /// The next thing that happens, waiting at most `timeout` (plus one scheduling delay; a recording that is not paced
    /// may take as long as decoding one frame needs).
    ///
    /// # Errors
    /// Only what cannot mend itself: a format nobody can read, permission denied. A device that went away is an
    /// [`Event::Lost`], one unreadable frame an [`Event::Skipped`].
    fn next(&mut self, timeout: Duration) -> Result<Event, SourceError>;

    /// What was counted since the source was opened.
    fn counters(&self) -> Counters;
}

/// What a source is, known once it is open.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// The configured name, or the file's.
    pub name: std::sync::Arc<str>,
    /// `v4l2`, `rtsp`, `clip`, `images`, `pattern`.
    pub kind: &'static str,
    /// A device in real time (`true`) or a recording (`false`).
    pub live: bool,
    /// Pixels across and down of an upright frame; still images may differ from one to the next.
    pub size: (u32, u32),
    /// Nominal time from frame to frame, where the device or the recording says.
    pub period: Option<Duration>,
    /// How many frames there will be, where known.
    pub frames: Option<u64>,
    /// How long the recording is, where known.
    pub duration: Option<Duration>,
    /// The camera's folder in sysfs, where it is a device of this machine.
    pub device: Option<std::path::PathBuf>,
}

impl SourceInfo {
    /// How long a live source may stay silent before it counts as without frames: max(2.5 periods, 100 ms).
    pub fn no_frame_limit(&self) -> Duration {
        self.period.map_or(Self::LEAST_LIMIT, |period| period.mul_f64(2.5).max(Self::LEAST_LIMIT))
    }

    const LEAST_LIMIT: Duration = Duration::from_millis(100);
}

/// What [`FrameSource::next`] comes back with.
#[derive(Debug)]
pub enum Event {
    /// A picture.
    Frame(Frame),
    /// Nothing came within the given time; the source is still there.
    Nothing,
    /// One frame could not be used (cut JPEG, error flag from the driver). Counted; the source goes on.
    Skipped(SourceError),
    /// The device went away, or was silent beyond [`SourceInfo::no_frame_limit`]. Said once; the source tries again.
    Lost(SourceError),
    /// The device is back; the next frame follows.
    Restored,
    /// The recording is over; said again at every further call.
    End,
}

/// Running counts of a source. Never reset, also not by a reconnect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames handed out.
    pub delivered: u64,
    /// Frames the device made and nobody got: gaps in the kernel's sequence, or packets lost on the way.
    pub dropped: u64,
    /// Frames that came and could not be used.
    pub skipped: u64,
    /// Times the device was lost.
    pub lost: u64,
    /// Times it came back.
    pub restored: u64,
    /// Pixel copies made between kernel or decoder and the frames handed out.
    pub copies: u64,
}

/// What can be wrong with a source. Says what, where, expected and found, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or device could not be opened or read.
    #[error("{what}: cannot {action}: {cause}")]
    Io {
        /// File, device or address (never with credentials).
        what: String,
        /// What was tried (`open`, `read`, `map buffers`).
        action: &'static str,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// The bytes are not what they should be.
    #[error("{what}: {problem}; {advice}")]
    Malformed {
        /// File, device or address, with the place in it where known.
        what: String,
        /// What was expected and what was found.
        problem: String,
        /// What to do next.
        advice: String,
    },
    /// Understood, but not supported here.
    #[error("{what}: {problem}; {advice}")]
    Unsupported {
        /// File, device or address.
        what: String,
        /// What is not supported.
        problem: String,
        /// What to do next.
        advice: String,
    },
    /// No frame within the limit.
    #[error("{what}: no frame for {} ms (limit {} ms)", waited.as_millis(), limit.as_millis())]
    Silent {
        /// Device or address.
        what: String,
        /// How long nothing came.
        waited: Duration,
        /// The limit that was passed.
        limit: Duration,
    },
    /// A frame's geometry does not fit its bytes.
    #[error("{what}: {cause}")]
    Frame {
        /// File, device or address.
        what: String,
        /// What does not fit.
        cause: crate::frame::FrameError,
    },
}
