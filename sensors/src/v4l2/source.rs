//! A camera as a [`FrameSource`]: streaming, silent, away, back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::config::V4l2Config;
use super::controls::ControlReport;
use super::find::{self, Identity, Roots};
use super::queue::{Filled, Readiness};
use super::reconnect::Reconnect;
use super::stamp::{Sequencer, Stamper};
use super::stream::Stream;
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::frame::{BufferPool, Frame, FrameMeta, Stamp};
use crate::source::{Counters, Event, FrameSource, SourceError, SourceInfo};

/// How long a camera may take from the start of its stream to its first frame: a USB camera settles its exposure first.
const FIRST_FRAME_LIMIT: Duration = Duration::from_secs(3);

/// How long a silent camera is waited for before it is closed and opened anew, which cures a stuck stream.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// A camera.
pub struct V4l2Source {
    name: Arc<str>,
    config: V4l2Config,
    info: SourceInfo,
    identity: Identity,
    controls: Vec<ControlReport>,
    state: State,
    /// Lost was said, Restored not yet.
    lost: bool,
    /// Damaged buffers came since the last frame.
    only_damaged: bool,
    /// A frame that came while the camera was lost: handed out right after Restored.
    pending: Option<Frame>,
    counters: Counters,
    stamper: Stamper,
    sequencer: Sequencer,
    pool: BufferPool,
}

enum State {
    /// Buffers are queued. `due` is when the next frame must have come.
    Streaming { stream: Box<Stream>, due: Monotonic },
    /// Closed, and being looked for; `None` where the system gave no thread for it yet.
    Away(Option<Reconnect<Box<Stream>>>),
}

impl V4l2Source {
    /// Opens the camera, sets it up and starts it. `name` is the camera's in the configuration (`front`).
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] for a configuration, format, size or control that cannot be had, [`SourceError::Io`]
    /// for a camera that is not there or does not answer.
    pub fn open(name: &str, config: V4l2Config) -> Result<Self, SourceError> {
        config.check()?;
        let stream = Stream::open(&config, None, &Roots::default())?;
        let now = SystemClock.monotonic();
        let name: Arc<str> = name.into();
        let info = SourceInfo {
            name: Arc::clone(&name),
            kind: "v4l2",
            live: true,
            size: stream.setup.granted.size,
            period: stream.setup.period,
            frames: None,
            duration: None,
            device: find::device_of(stream.node.path(), &Roots::default()),
        };
        Ok(Self {
            name,
            info,
            identity: stream.identity.clone(),
            controls: stream.controls.clone(),
            state: State::Streaming { stream: Box::new(stream), due: now.plus(FIRST_FRAME_LIMIT) },
            lost: false,
            only_damaged: false,
            pending: None,
            counters: Counters::default(),
            stamper: Stamper::new(config.offset_before(), now),
            sequencer: Sequencer::default(),
            pool: BufferPool::default(),
            config,
        })
    }

    /// What became of the configured controls when they were last set.
    pub fn controls(&self) -> &[ControlReport] {
        &self.controls
    }

    /// How many kernel time stamps were not believed, because they lay in the future or before the stream's start.
    pub fn distrusted_stamps(&self) -> u64 {
        self.stamper.distrusted()
    }

    /// Waits for a buffer until `deadline`; `None` where the state changed and waiting goes on.
    fn streaming(&mut self, deadline: Monotonic) -> Option<Event> {
        let State::Streaming { stream, due } = &mut self.state else { return None };
        let (now, due) = (SystemClock.monotonic(), *due);
        // Damaged buffers are no frames: a camera that gives nothing else is as good as silent.
        if self.only_damaged && now >= due {
            return self.silence();
        }
        let until = if due > now { deadline.min(due) } else { now };
        match stream.node.wait(until.since(now)) {
            Ok(Readiness::Ready) => match stream.dequeue() {
                Ok(Some(filled)) => Some(self.take(&filled)),
                Ok(None) => None,
                Err(error) => self.lose(error),
            },
            Ok(Readiness::Broken) => {
                // Taking a buffer tells why: EIO for a queue in error, ENODEV for a device that has gone.
                let cause =
                    stream.dequeue().err().unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENODEV));
                self.lose(cause)
            }
            Ok(Readiness::Nothing) if SystemClock.monotonic() >= due => self.silence(),
            Ok(Readiness::Nothing) => None,
            Err(error) => self.lose(error),
        }
    }

    /// A dequeued buffer becomes what is handed out; the buffer goes back at once.
    fn take(&mut self, filled: &Filled) -> Event {
        let now = SystemClock.monotonic();
        let limit = self.info.no_frame_limit();
        let (sequence, missing) = self.sequencer.step(filled.sequence);
        self.counters.dropped += missing;
        let (captured, stamp) = self.stamper.stamp(filled.flags, filled.timestamp, now);
        let meta = self.meta(sequence, captured, stamp, now);
        let State::Streaming { stream, due } = &mut self.state else { return Event::Nothing };
        let made = match stream.damaged(filled) {
            Some(error) => Err(error),
            None => stream.frame(filled, meta, &self.pool),
        };
        // A driver that takes no buffer back is found broken by the next wait; the frame in hand is good.
        if let Err(error) = stream.give_back(filled.index) {
            tracing::warn!(camera = %self.name, %error, "the driver takes no buffers");
        }
        match made {
            Ok(frame) => {
                *due = now.plus(limit);
                self.only_damaged = false;
                self.hand_out(frame)
            }
            Err(error) => {
                self.counters.skipped += 1;
                self.only_damaged = true;
                Event::Skipped(error)
            }
        }
    }

    /// The frame, or Restored first if the camera was lost.
    fn hand_out(&mut self, frame: Frame) -> Event {
        if self.lost {
            self.lost = false;
            self.counters.restored += 1;
            self.pending = Some(frame);
            return Event::Restored;
        }
        self.counters.delivered += 1;
        self.counters.copies += u64::from(frame.meta().copies);
        Event::Frame(frame)
    }

    fn meta(&self, sequence: u64, captured: Monotonic, stamp: Stamp, now: Monotonic) -> FrameMeta {
        let wall = SystemClock.wall();
        FrameMeta {
            source: Arc::clone(&self.name),
            sequence,
            captured,
            stamp,
            wall: wall.checked_sub(now.since(captured)).unwrap_or(wall),
            position: None,
            path: None,
            copies: 0,
        }
    }

    /// No frame when one was due: said once; after a while the stream is started anew.
    fn silence(&mut self) -> Option<Event> {
        if self.lost {
            self.away();
            return None;
        }
        let limit = self.info.no_frame_limit();
        let State::Streaming { due, .. } = &mut self.state else { return None };
        let now = SystemClock.monotonic();
        let waited = limit + now.since(*due);
        *due = now.plus(RESTART_AFTER);
        Some(self.say_lost(SourceError::Silent { what: self.config.named(), waited, limit }))
    }

    /// The device is gone or its queue broken: it is closed and looked for.
    fn lose(&mut self, cause: io::Error) -> Option<Event> {
        self.away();
        let what = self.config.named();
        (!self.lost).then(|| self.say_lost(SourceError::Io { what, action: "read frames", cause }))
    }

    fn say_lost(&mut self, error: SourceError) -> Event {
        tracing::warn!(camera = %self.name, %error, "lost");
        self.lost = true;
        self.counters.lost += 1;
        Event::Lost(error)
    }

    fn away(&mut self) {
        let old = match std::mem::replace(&mut self.state, State::Away(None)) {
            State::Streaming { stream, .. } => Some(stream),
            State::Away(_) => None,
        };
        let (config, known) = (self.config.clone(), self.identity.clone());
        let open = move || Stream::open(&config, Some(&known), &Roots::default()).map(Box::new);
        match Reconnect::start(self.name.to_string(), old, open) {
            Ok(reconnect) => self.state = State::Away(Some(reconnect)),
            Err(error) => tracing::error!(camera = %self.name, %error, "no thread to look for the camera"),
        }
    }

    /// Waits for the camera to come back, until `deadline`.
    fn looking(&mut self, deadline: Monotonic) {
        let now = SystemClock.monotonic();
        let State::Away(reconnect) = &self.state else { return };
        let Some(reconnect) = reconnect else {
            SystemClock.sleep(deadline.since(now).min(Duration::from_millis(100)));
            return self.away();
        };
        let Some(stream) = reconnect.wait(deadline.since(now)) else { return };
        if stream.setup.granted.size != self.info.size {
            // Its readers were told another size; the same camera gives the same answer to the same question.
            tracing::warn!(camera = %self.name, found = ?stream.setup.granted.size, "came back with another size");
            return self.away();
        }
        let now = SystemClock.monotonic();
        self.controls.clone_from(&stream.controls);
        self.stamper.restart(now);
        self.sequencer.restart();
        self.only_damaged = false;
        self.state = State::Streaming { stream, due: now.plus(FIRST_FRAME_LIMIT) };
    }
}

impl FrameSource for V4l2Source {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, timeout: Duration) -> Result<Event, SourceError> {
        if let Some(frame) = self.pending.take() {
            return Ok(self.hand_out(frame));
        }
        let deadline = SystemClock.monotonic().plus(timeout);
        loop {
            match &self.state {
                State::Streaming { .. } => {
                    if let Some(event) = self.streaming(deadline) {
                        return Ok(event);
                    }
                }
                State::Away(_) => self.looking(deadline),
            }
            if SystemClock.monotonic() >= deadline {
                return Ok(Event::Nothing);
            }
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(device: &str) -> String {
        match V4l2Source::open("front", V4l2Config::device(device)) {
            Ok(_) => panic!("{device} was opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_camera_that_is_not_there_is_named_with_what_was_tried() {
        assert_eq!(
            refused("/dev/video-none"),
            "/dev/video-none: cannot open: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_file_that_is_no_camera_is_refused() {
        let said = refused("/dev/null");
        assert!(said.starts_with("/dev/null: cannot ask for its capabilities"), "{said}");
        assert!(refused("/dev/vid\0eo").contains("NUL byte"));
    }

    #[test]
    fn a_configuration_without_a_camera_is_refused_before_anything_is_opened() {
        let Err(error) = V4l2Source::open("front", V4l2Config::default()) else { panic!("it was opened") };
        assert!(error.to_string().contains("neither `device` nor `serial`"), "{error}");
    }
}
