//! Recorded video: MP4 and QuickTime with H.264 (feature `h264`), AVI with Motion JPEG, and YUV4MPEG2 without any
//! system library; every other format by `ffmpeg`, where it is on PATH.
//!
//! In walk order: [`ClipSource::open`] tells the format by its first bytes and takes a reader (`y4m`, `avi`, `mp4` with
//! `h264`, `ffmpeg`); [`ClipSource`] reads the pictures in the order they are shown, cuts to `from` and `to`, begins
//! again where it shall, and paces. Files are streamed; only an MP4's sample table is held.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::frame::{BufferPool, Frame, FrameMeta, Stamp};
use crate::source::{Counters, Event, FrameSource, SourceError, SourceInfo};

mod avi;
mod ffmpeg;
#[cfg(feature = "h264")]
mod h264;
mod kind;
mod mp4;
mod reader;
#[cfg(test)]
mod tests;
mod y4m;

pub(crate) use kind::is_recording;
use reader::{Picture, Read, Reader};

/// How a recording is played.
#[derive(Clone, Debug, Default)]
pub struct ClipOptions {
    /// What the frames name as their source; the file's name where `None`.
    pub name: Option<Arc<str>>,
    /// Paced by the recording's own times: frames come when they are due, and those for which the reader is late are
    /// dropped and counted, as a camera does. Otherwise every frame comes as soon as it is asked for.
    pub realtime: bool,
    /// Begins with the first frame shown at this position or later.
    pub from: Option<Duration>,
    /// Ends before the first frame shown at this position or later.
    pub to: Option<Duration>,
    /// Begins again at its end; sequence and capture time go on rising.
    pub looped: bool,
    /// The `ffmpeg` program for other formats; looked for on PATH where `None`.
    pub ffmpeg: Option<PathBuf>,
}

/// Frames of a recording.
pub struct ClipSource {
    info: SourceInfo,
    what: String,
    options: ClipOptions,
    reader: Box<dyn Reader>,
    clock: Arc<dyn Clock>,
    pool: BufferPool,
    counters: Counters,
    /// What was read ahead; pacing looks at the time of the frame after the next.
    ahead: VecDeque<Ahead>,
    timeline: Option<Timeline>,
    sequence: u64,
    /// Whether this pass through the recording gave a picture.
    gave: bool,
    first_problem: Option<String>,
    ended: bool,
}

/// Something read, with its place in the sequence and on the clock.
enum Ahead {
    Picture { picture: Picture, sequence: u64, due: Monotonic },
    Skipped(SourceError),
    End,
}

/// Where the recording's times lie on the monotonic clock.
#[derive(Clone, Copy)]
struct Timeline {
    /// When this pass began.
    begun: Monotonic,
    /// The position of its first frame.
    origin: Duration,
    /// When the latest frame was or will be due.
    latest: Monotonic,
    /// How long it is shown, as far as is known.
    step: Duration,
}

impl ClipSource {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// [`SourceError::Io`] where it cannot be read, [`SourceError::Malformed`] where its headers are damaged or it holds
    /// no video, [`SourceError::Unsupported`] where it needs `ffmpeg` and there is none, or `from` and `to` do not fit.
    pub fn open(path: &Path, options: ClipOptions, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let what = path.display().to_string();
        let mut reader = kind::reader(&what, path, options.ffmpeg.as_deref())?;
        let facts = reader.facts().clone();
        check_cut(&what, &options, facts.duration)?;
        if let Some(from) = options.from {
            reader.seek(from)?;
        }
        let file_name = || path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().as_ref().into();
        let whole = options.from.is_none() && options.to.is_none() && !options.looped;
        let info = SourceInfo {
            name: options.name.clone().unwrap_or_else(file_name),
            kind: "clip",
            live: false,
            size: facts.size,
            period: facts.period.filter(|period| !period.is_zero()),
            frames: facts.frames.filter(|_| whole),
            duration: facts.duration.filter(|_| !options.looped).map(|duration| {
                options
                    .to
                    .map_or(duration, |to| duration.min(to))
                    .saturating_sub(options.from.unwrap_or_default())
            }),
            device: None,
        };
        Ok(Self {
            info,
            what,
            options,
            reader,
            clock,
            pool: BufferPool::default(),
            counters: Counters::default(),
            ahead: VecDeque::new(),
            timeline: None,
            sequence: 0,
            gave: false,
            first_problem: None,
            ended: false,
        })
    }

    /// Reads until `count` entries are known, or the end.
    fn look_ahead(&mut self, count: usize) -> Result<(), SourceError> {
        while self.ahead.len() < count && !matches!(self.ahead.back(), Some(Ahead::End)) {
            match self.reader.read(&self.pool)? {
                Read::Picture(picture) if self.options.to.is_some_and(|to| picture.position >= to) => {
                    self.pass_over()?
                }
                Read::Picture(picture) => {
                    if picture.position >= self.options.from.unwrap_or_default() {
                        self.place(picture);
                    }
                }
                Read::Skipped(error) => {
                    self.sequence += 1;
                    self.first_problem.get_or_insert_with(|| error.to_string());
                    self.ahead.push_back(Ahead::Skipped(error));
                }
                Read::End => self.pass_over()?,
            }
        }
        Ok(())
    }

    /// Gives a picture its sequence number and its place on the clock.
    fn place(&mut self, picture: Picture) {
        self.gave = true;
        let position = picture.position;
        let timeline = self.timeline.get_or_insert_with(|| {
            let now = self.clock.monotonic();
            let step = self.info.period.unwrap_or(Duration::from_millis(40));
            Timeline { begun: now, origin: position, latest: now, step }
        });
        let due = timeline.begun.plus(position.saturating_sub(timeline.origin)).max(timeline.latest);
        if due > timeline.latest {
            timeline.step = due.since(timeline.latest);
        }
        timeline.latest = due;
        let sequence = self.sequence;
        self.sequence += 1;
        self.ahead.push_back(Ahead::Picture { picture, sequence, due });
    }

    /// One pass through the recording is over.
    fn pass_over(&mut self) -> Result<(), SourceError> {
        if !self.options.looped || !self.gave {
            self.ahead.push_back(Ahead::End);
            return Ok(());
        }
        let from = self.options.from.unwrap_or_default();
        self.reader.seek(from)?;
        self.gave = false;
        if let Some(timeline) = &mut self.timeline {
            // The last frame of a pass is shown as long as the one before it.
            timeline.begun = timeline.latest.plus(timeline.step);
            timeline.latest = timeline.begun;
            timeline.origin = from;
        }
        Ok(())
    }

    /// Waits until the next frame is due and drops those for which the caller is late; `false` where `timeout` ends
    /// first. What is late is judged by when the call began, so that a machine too slow to decode still shows frames.
    fn pace(&mut self, timeout: Duration) -> Result<bool, SourceError> {
        let began = self.clock.monotonic();
        loop {
            self.look_ahead(2)?;
            let Some(Ahead::Picture { due, .. }) = self.ahead.front() else { return Ok(true) };
            let due = *due;
            let now = self.clock.monotonic();
            if due > now {
                let wait = due.since(now);
                let left = timeout.saturating_sub(now.since(began));
                self.clock.sleep(wait.min(left));
                return Ok(wait <= left);
            }
            let late = matches!(self.ahead.get(1), Some(Ahead::Picture { due, .. }) if *due <= began);
            if !late || now.since(began) > timeout.max(self.info.no_frame_limit()) {
                return Ok(true);
            }
            self.ahead.pop_front();
            self.counters.dropped += 1;
        }
    }

    fn deliver(&mut self, picture: Picture, sequence: u64, due: Monotonic) -> Result<Event, SourceError> {
        let Picture { position, format, colour, size, buffer, copies } = picture;
        let meta = FrameMeta {
            source: Arc::clone(&self.info.name),
            sequence,
            captured: due,
            stamp: Stamp::Recording,
            wall: self.clock.wall(),
            position: Some(position),
            path: None,
            copies,
        };
        let frame = Frame::packed(meta, format, colour, size, buffer)
            .map_err(|cause| SourceError::Frame { what: self.what.clone(), cause })?;
        self.counters.delivered += 1;
        self.counters.copies += u64::from(copies);
        Ok(Event::Frame(frame))
    }

    /// The end, or an error where nothing at all could be read.
    fn end(&mut self) -> Result<Event, SourceError> {
        self.ended = true;
        match self.first_problem.take() {
            Some(problem) if self.counters.delivered + self.counters.dropped == 0 => {
                Err(SourceError::Malformed {
                    what: self.what.clone(),
                    problem: format!(
                        "no frame could be read, {} were skipped, first: {problem}",
                        self.counters.skipped
                    ),
                    advice: "the recording is damaged or was cut".to_owned(),
                })
            }
            _ => Ok(Event::End),
        }
    }
}

impl FrameSource for ClipSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, timeout: Duration) -> Result<Event, SourceError> {
        if self.ended {
            return Ok(Event::End);
        }
        let due = if self.options.realtime { self.pace(timeout) } else { self.look_ahead(1).map(|()| true) };
        match due {
            Ok(true) => {}
            Ok(false) => return Ok(Event::Nothing),
            Err(error) => {
                // What cannot mend itself is said once; nothing further can be read.
                self.ended = true;
                return Err(error);
            }
        }
        match self.ahead.pop_front() {
            Some(Ahead::Picture { picture, sequence, due }) => self.deliver(picture, sequence, due),
            Some(Ahead::Skipped(error)) => {
                self.counters.skipped += 1;
                Ok(Event::Skipped(error))
            }
            Some(Ahead::End) | None => self.end(),
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

fn check_cut(what: &str, options: &ClipOptions, duration: Option<Duration>) -> Result<(), SourceError> {
    let refused = |problem: String| SourceError::Unsupported {
        what: what.to_owned(),
        problem,
        advice: "choose a part that lies inside the recording".to_owned(),
    };
    let from = options.from.unwrap_or_default();
    if options.to.is_some_and(|to| to <= from) {
        return Err(refused(format!(
            "the part to play ends at {:?}, before it begins at {from:?}",
            options.to
        )));
    }
    match duration {
        Some(duration) if !from.is_zero() && from >= duration => {
            Err(refused(format!("the part to play begins at {from:?}, the recording is {duration:?} long")))
        }
        _ => Ok(()),
    }
}

/// Opens a file for reading and says how long it is. Only regular files: a pipe or a device could keep us waiting.
fn open_file(what: &str, path: &Path) -> Result<(File, u64), SourceError> {
    let io = |cause| SourceError::Io { what: what.to_owned(), action: "open", cause };
    let kind = std::fs::metadata(path).map_err(io)?;
    if !kind.is_file() {
        let found = if kind.is_dir() { "a folder" } else { "a pipe or device" };
        return Err(SourceError::Unsupported {
            what: what.to_owned(),
            problem: format!("expected a file, found {found}"),
            advice: "give the path of a recording".to_owned(),
        });
    }
    Ok((File::open(path).map_err(io)?, kind.len()))
}
