//! One conformance suite for every kind of [`FrameSource`]: cameras, streams, recordings, images, the test pattern.
//!
//! [`conforms`] opens the source several times and holds it to what `stopline_sensors::source` and `::frame` promise:
//! it never hangs, sequences rise, capture stamps never go back, geometry is what was announced, pixels are copied at
//! most once, counters add up, the end is final, and a source can be dropped at any moment.
//!
//! It does not judge what is in the picture, and it injects no faults: those tests belong to each kind.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::frame::{Frame, MAX_SIDE, PixelFormat, Stamp};
use stopline_sensors::source::{Counters, Event, FrameSource, SourceError, SourceInfo};

/// How the suite opens the source; called several times, each time after the last one was dropped.
pub type Open<'a> = &'a mut dyn FnMut() -> Result<Box<dyn FrameSource>, SourceError>;

/// What the caller knows of the source.
#[derive(Clone, Debug)]
pub struct Expect {
    /// [`SourceInfo::kind`].
    pub kind: &'static str,
    /// [`SourceInfo::live`].
    pub live: bool,
    /// Pixels across and down; `None` where they differ from frame to frame (a folder of images).
    pub size: Option<(u32, u32)>,
    /// A recording: frames delivered before its end, exactly. A live source: how many frames to take.
    pub frames: u64,
    /// A recording: frames that cannot be used, exactly. A live source: not looked at.
    pub skipped: u64,
    /// Formats a frame may have; empty for any.
    pub formats: Vec<PixelFormat>,
    /// What a call may take beyond its timeout: scheduling, and for a recording decoding one frame.
    pub slack: Duration,
    /// How long the source may take from its opening to its first frame.
    pub start_limit: Duration,
}

impl Expect {
    /// A recording (not paced) of `kind` with exactly `frames` usable frames.
    pub fn recording(kind: &'static str, size: Option<(u32, u32)>, frames: u64) -> Self {
        let slack = Duration::from_secs(3);
        Self {
            kind,
            live: false,
            size,
            frames,
            skipped: 0,
            formats: Vec::new(),
            slack,
            start_limit: Duration::from_secs(10),
        }
    }

    /// A live source of `kind`, of which `frames` frames are taken.
    pub fn live(kind: &'static str, size: (u32, u32), frames: u64) -> Self {
        let slack = Duration::from_millis(400);
        let start_limit = Duration::from_secs(10);
        Self {
            kind,
            live: true,
            size: Some(size),
            frames,
            skipped: 0,
            formats: Vec::new(),
            slack,
            start_limit,
        }
    }
}

/// What the main pass saw, to be printed or compared further.
#[derive(Clone, Debug)]
pub struct Report {
    /// The source's own description.
    pub info: SourceInfo,
    /// Counters after the last event.
    pub counters: Counters,
    /// Sequence of the first and the last frame; `None` where there was no frame.
    pub sequences: Option<(u64, u64)>,
    /// What capture times stood on.
    pub stamps: Vec<Stamp>,
    /// Format of the first frame.
    pub format: Option<PixelFormat>,
    /// The longest any call took beyond the timeout it was given.
    pub longest_overrun: Duration,
    /// From the first frame's capture stamp to the last's.
    pub span: Duration,
    /// Capture stamp to hand-over, worst case; live sources only.
    pub worst_age: Duration,
}

/// Holds a source to the contract of [`FrameSource`].
///
/// # Errors
/// The first promise broken, in words, with the numbers seen.
pub fn conforms(open: Open<'_>, expect: &Expect) -> Result<Report, String> {
    let mut pass = Pass::start(open, expect)?;
    pass.run()?;
    let report = pass.finish()?;
    if expect.frames > 0 {
        can_be_dropped_in_mid_stream(open, expect)?;
        if !expect.live {
            says_the_same_again(open, expect)?;
        }
    }
    Ok(report)
}

/// Timeouts the calls are given in turn: none, shorter than a period, longer than one.
const TIMEOUTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(3), Duration::from_millis(500), Duration::from_millis(20)];

/// One reading of the source from its opening to its end (or, live, to enough frames).
struct Pass<'a> {
    source: Box<dyn FrameSource>,
    expect: &'a Expect,
    opened: Monotonic,
    info: SourceInfo,
    seen: Counters,
    first: Option<(Frame, u64)>,
    at_first: Counters,
    last: Option<Last>,
    gaps: u64,
    stamps: Vec<Stamp>,
    longest_overrun: Duration,
    worst_age: Duration,
    lost: bool,
    ended: bool,
}

/// What is kept of the frame before.
#[derive(Clone, Copy)]
struct Last {
    sequence: u64,
    captured: Monotonic,
    position: Option<Duration>,
}

impl<'a> Pass<'a> {
    fn start(open: Open<'_>, expect: &'a Expect) -> Result<Self, String> {
        let opened = SystemClock.monotonic();
        let source = open().map_err(|error| format!("cannot be opened: {error}"))?;
        let info = source.info().clone();
        check_info(&info, expect)?;
        let fresh = source.counters();
        holds(fresh == Counters::default(), || {
            format!("counters before the first call are not zero: {fresh:?}")
        })?;
        Ok(Self {
            source,
            expect,
            opened,
            info,
            seen: Counters::default(),
            first: None,
            at_first: Counters::default(),
            last: None,
            gaps: 0,
            stamps: Vec::new(),
            longest_overrun: Duration::ZERO,
            worst_age: Duration::ZERO,
            lost: false,
            ended: false,
        })
    }

    fn run(&mut self) -> Result<(), String> {
        let mut calls = 0_usize;
        while !self.enough() {
            let event = self.call(TIMEOUTS[calls % TIMEOUTS.len()])?;
            calls += 1;
            self.take(event)?;
            self.counters_agree()?;
            self.in_time()?;
        }
        if self.ended {
            self.end_is_final()?;
        }
        Ok(())
    }

    fn enough(&self) -> bool {
        self.ended || (self.expect.live && self.seen.delivered >= self.expect.frames)
    }

    /// Calls `next` and holds it to its timeout.
    fn call(&mut self, timeout: Duration) -> Result<Event, String> {
        let before = SystemClock.monotonic();
        let event = self.source.next(timeout).map_err(|error| format!("next failed: {error}"))?;
        let took = SystemClock.monotonic().since(before);
        let overrun = took.saturating_sub(timeout);
        self.longest_overrun = self.longest_overrun.max(overrun);
        holds(overrun <= self.expect.slack, || {
            format!("next({timeout:?}) came back after {took:?}; slack is {:?}", self.expect.slack)
        })?;
        if matches!(event, Event::Nothing) {
            // Two milliseconds: the kernel may wake a waiter a little early by another clock's tick.
            holds(took + Duration::from_millis(2) >= timeout, || {
                format!("next({timeout:?}) said Nothing after {took:?} already")
            })?;
        }
        Ok(event)
    }

    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Frame(frame) => self.frame(frame),
            Event::Nothing => Ok(()),
            Event::Skipped(error) => {
                self.seen.skipped += 1;
                says_something(&error)
            }
            Event::Lost(error) => {
                self.seen.lost += 1;
                holds(self.expect.live, || format!("a recording said Lost: {error}"))?;
                holds(!self.lost, || format!("Lost was said twice without Restored between: {error}"))?;
                self.lost = true;
                says_something(&error)
            }
            Event::Restored => {
                self.seen.restored += 1;
                holds(self.lost, || "Restored was said without Lost before".to_owned())?;
                self.lost = false;
                Ok(())
            }
            Event::End => {
                holds(!self.expect.live, || "a live source said End".to_owned())?;
                self.ended = true;
                Ok(())
            }
        }
    }

    fn frame(&mut self, frame: Frame) -> Result<(), String> {
        holds(!self.lost, || format!("{frame:?} came after Lost and before Restored"))?;
        self.seen.delivered += 1;
        self.seen.copies += u64::from(frame.meta().copies);
        check_frame(&frame, &self.info, self.expect)?;
        self.check_order(&frame)?;
        self.check_age(&frame)?;
        let meta = frame.meta();
        if !self.stamps.contains(&meta.stamp) {
            self.stamps.push(meta.stamp);
        }
        self.last = Some(Last { sequence: meta.sequence, captured: meta.captured, position: meta.position });
        if self.first.is_none() {
            self.at_first = self.source.counters();
            let digest = digest(&frame);
            self.first = Some((frame, digest));
        }
        Ok(())
    }

    fn check_order(&mut self, frame: &Frame) -> Result<(), String> {
        let (meta, Some(last)) = (frame.meta(), self.last) else { return Ok(()) };
        holds(meta.sequence > last.sequence, || {
            format!("sequence {} follows {}: it must rise", meta.sequence, last.sequence)
        })?;
        self.gaps += meta.sequence - last.sequence - 1;
        holds(meta.captured >= last.captured, || {
            format!(
                "capture stamp went back by {:?} at sequence {}",
                last.captured.since(meta.captured),
                meta.sequence
            )
        })?;
        holds(meta.position >= last.position, || {
            format!("position went back from {:?} to {:?}", last.position, meta.position)
        })
    }

    /// A live frame was taken before now, and not long ago.
    fn check_age(&mut self, frame: &Frame) -> Result<(), String> {
        let (meta, now) = (frame.meta(), SystemClock.monotonic());
        if !self.expect.live {
            return Ok(());
        }
        holds(meta.captured <= now, || format!("captured {:?} in the future", meta.captured.since(now)))?;
        let age = now.since(meta.captured);
        self.worst_age = self.worst_age.max(age);
        holds(age < Duration::from_secs(5), || format!("captured {age:?} ago: stamped by another clock?"))
    }

    fn counters_agree(&self) -> Result<(), String> {
        let (said, seen) = (self.source.counters(), self.seen);
        let pairs = [
            ("delivered", said.delivered, seen.delivered),
            ("skipped", said.skipped, seen.skipped),
            ("lost", said.lost, seen.lost),
            ("restored", said.restored, seen.restored),
        ];
        for (what, said, seen) in pairs {
            holds(said == seen, || format!("counters say {said} {what}, {seen} were seen"))?;
        }
        holds(said.copies >= seen.copies && said.copies <= said.delivered + said.skipped, || {
            format!("counters say {} copies, the frames {}", said.copies, seen.copies)
        })?;
        // A gap is a frame the device made and nobody got: it is accounted for as dropped or as skipped.
        let accounted =
            (said.dropped + said.skipped).saturating_sub(self.at_first.dropped + self.at_first.skipped);
        holds(self.gaps <= accounted, || {
            format!(
                "{} sequence numbers are missing, {accounted} were counted as dropped or skipped",
                self.gaps
            )
        })
    }

    fn in_time(&self) -> Result<(), String> {
        let since_opening = SystemClock.monotonic().since(self.opened);
        holds(self.first.is_some() || self.ended || since_opening <= self.expect.start_limit, || {
            format!("no frame {since_opening:?} after opening; counters {:?}", self.source.counters())
        })?;
        // A live source at one frame a second is the slowest the suite waits for.
        let frames = u32::try_from(self.expect.frames).unwrap_or(u32::MAX);
        let limit = self.expect.start_limit + Duration::from_secs(1).saturating_mul(frames);
        holds(!self.expect.live || since_opening <= limit, || {
            format!("{} of {} frames in {since_opening:?}", self.seen.delivered, self.expect.frames)
        })
    }

    fn end_is_final(&mut self) -> Result<(), String> {
        for timeout in TIMEOUTS {
            let event = self.call(timeout)?;
            holds(matches!(event, Event::End), || format!("after End came {event:?}"))?;
            self.counters_agree()?;
        }
        let (frames, skipped) = (self.seen.delivered, self.seen.skipped);
        holds(frames == self.expect.frames, || format!("{frames} frames, {} expected", self.expect.frames))?;
        holds(skipped == self.expect.skipped, || {
            format!("{skipped} skipped, {} expected", self.expect.skipped)
        })
    }

    fn finish(self) -> Result<Report, String> {
        if let Some((frame, before)) = &self.first {
            holds(digest(frame) == *before, || "a frame held while others came has changed".to_owned())?;
        }
        let counters = self.source.counters();
        let first = self.first.as_ref().map(|(frame, _)| frame);
        let ends = first.zip(self.last);
        Ok(Report {
            info: self.info,
            counters,
            sequences: ends.map(|(first, last)| (first.meta().sequence, last.sequence)),
            stamps: self.stamps,
            format: first.map(Frame::format),
            longest_overrun: self.longest_overrun,
            span: ends.map(|(first, last)| last.captured.since(first.meta().captured)).unwrap_or_default(),
            worst_age: self.worst_age,
        })
    }
}

fn check_info(info: &SourceInfo, expect: &Expect) -> Result<(), String> {
    holds(!info.name.is_empty(), || "the source has no name".to_owned())?;
    holds(info.kind == expect.kind, || format!("kind is {}, expected {}", info.kind, expect.kind))?;
    holds(info.live == expect.live, || format!("live is {}, expected {}", info.live, expect.live))?;
    let (width, height) = info.size;
    holds((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height), || {
        format!("size {width}x{height}: each side must be 1 to {MAX_SIDE}")
    })?;
    holds(expect.size.is_none_or(|size| size == info.size), || {
        format!("size is {:?}, expected {:?}", info.size, expect.size)
    })?;
    holds(info.period.is_none_or(|period| !period.is_zero()), || "a period of zero".to_owned())?;
    holds(!info.live || (info.frames.is_none() && info.duration.is_none()), || {
        format!("a live source knows its end: {:?} frames, {:?}", info.frames, info.duration)
    })
}

fn check_frame(frame: &Frame, info: &SourceInfo, expect: &Expect) -> Result<(), String> {
    let (meta, size) = (frame.meta(), (frame.width(), frame.height()));
    holds(meta.source == info.name, || format!("{frame:?} names another source than {}", info.name))?;
    holds(meta.copies <= 1, || {
        format!("{frame:?} was copied {} times; at most once is allowed", meta.copies)
    })?;
    holds(expect.size.is_none() || size == info.size, || {
        format!("{frame:?} is {size:?}, {:?} was announced", info.size)
    })?;
    holds(expect.formats.is_empty() || expect.formats.contains(&frame.format()), || {
        format!("{frame:?} is {:?}, expected one of {:?}", frame.format(), expect.formats)
    })?;
    let recorded = meta.stamp == Stamp::Recording;
    holds(recorded != expect.live, || {
        format!("{frame:?} of a source with live={}: {:?}", expect.live, meta.stamp)
    })?;
    holds(!expect.live || meta.position.is_none(), || format!("{frame:?} is live and has a position"))?;
    for plane in 0..frame.format().planes() {
        let plane = frame.plane(plane);
        holds(
            plane.stride >= plane.row && plane.bytes.len() == plane.stride * (plane.rows - 1) + plane.row,
            || format!("{frame:?}: {} bytes for {} rows of {}", plane.bytes.len(), plane.rows, plane.stride),
        )?;
    }
    Ok(())
}

/// Drops the source after a few frames: at once, without harm to frames still held, and it can be opened again.
fn can_be_dropped_in_mid_stream(open: Open<'_>, expect: &Expect) -> Result<(), String> {
    for round in 1..=2 {
        let mut source = open().map_err(|error| format!("cannot be opened again ({round}): {error}"))?;
        let held = next_frame(source.as_mut(), expect)?.ok_or("no frame before the end")?;
        let before = digest(&held);
        let dropping = SystemClock.monotonic();
        drop(source);
        let took = SystemClock.monotonic().since(dropping);
        holds(took < Duration::from_secs(1), || format!("dropping the source took {took:?}"))?;
        holds(digest(&held) == before, || "a frame changed when its source was dropped".to_owned())?;
    }
    Ok(())
}

/// A recording gives the same pictures whenever it is opened.
fn says_the_same_again(open: Open<'_>, expect: &Expect) -> Result<(), String> {
    let mut read = || {
        let mut source = open().map_err(|error| format!("cannot be opened again: {error}"))?;
        let mut digests = Vec::new();
        while digests.len() < 5 {
            match next_frame(source.as_mut(), expect)? {
                Some(frame) => digests.push((frame.meta().sequence, frame.meta().position, digest(&frame))),
                None => break,
            }
        }
        Ok::<_, String>(digests)
    };
    let (once, again) = (read()?, read()?);
    holds(once == again, || format!("read twice, it gave {once:?} and then {again:?}"))
}

/// The next frame, whatever else is said before it; `None` at the end.
fn next_frame(source: &mut dyn FrameSource, expect: &Expect) -> Result<Option<Frame>, String> {
    let started = SystemClock.monotonic();
    while SystemClock.monotonic().since(started) < expect.start_limit {
        match source.next(Duration::from_millis(200)).map_err(|error| format!("next failed: {error}"))? {
            Event::Frame(frame) => return Ok(Some(frame)),
            Event::End => return Ok(None),
            _ => {}
        }
    }
    Err(format!("no frame within {:?}; counters {:?}", expect.start_limit, source.counters()))
}

fn digest(frame: &Frame) -> u64 {
    let mut hasher = DefaultHasher::new();
    for plane in 0..frame.format().planes() {
        let plane = frame.plane(plane);
        for row in plane.bytes.chunks(plane.stride) {
            hasher.write(&row[..plane.row.min(row.len())]);
        }
    }
    hasher.finish()
}

fn says_something(error: &SourceError) -> Result<(), String> {
    holds(error.to_string().len() > 10, || format!("an error that says nothing: {error:?}"))
}

fn holds(promise: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if promise { Ok(()) } else { Err(broken()) }
}

#[cfg(test)]
mod tests;
