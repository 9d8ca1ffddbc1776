//! What the checks share: the cameras, waiting for events, and the tally.

use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};
use stopline_sensors::frame::Frame;
use stopline_sensors::source::{Event, FrameSource, SourceError};
use stopline_sensors::v4l2::{CameraFormat, ControlPanel, ControlValue, V4l2Config, V4l2Source};

/// vivid's first instance: single-planar.
pub const CAMERA: &str = "/dev/video0";
/// vivid's second instance: multi-planar.
pub const MULTI: &str = "/dev/video1";
/// The size used throughout; vivid's web camera input gives it at up to 60 frames a second.
pub const SIZE: (u32, u32) = (320, 180);

/// What a check found: a detail to print, or what is wrong.
pub type Found = Result<String, String>;

/// The tally.
#[derive(Default)]
pub struct Board {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl Board {
    /// Runs one check and prints its line.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Found) {
        let begun = SystemClock.monotonic();
        let found = check();
        let took = SystemClock.monotonic().since(begun).as_secs_f64();
        match found {
            Ok(detail) => {
                self.passed += 1;
                println!("OK   {name} ({detail}) {took:.1} s");
            }
            Err(wrong) => {
                self.failed += 1;
                println!("FAIL {name}: {wrong} {took:.1} s");
            }
        }
    }

    /// Says that a check could not run here.
    pub fn skip(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        println!("skipped: {name}: {reason}");
    }
}

/// A camera at 30 frames a second in one format.
pub fn config(device: &str, format: CameraFormat) -> V4l2Config {
    V4l2Config { size: Some(SIZE), fps: Some(30.0), formats: vec![format], ..V4l2Config::device(device) }
}

/// The same, in the format the faults are tried with.
pub fn plain(device: &str) -> V4l2Config {
    config(device, CameraFormat::Yuyv)
}

pub fn open(config: &V4l2Config) -> Result<V4l2Source, String> {
    V4l2Source::open("front", config.clone()).map_err(|error| error.to_string())
}

pub fn boxed(config: &V4l2Config) -> Result<Box<dyn FrameSource>, SourceError> {
    Ok(Box::new(V4l2Source::open("front", config.clone())?))
}

/// Sets a control of a camera, as another process would.
pub fn set(device: &str, control: &str, value: ControlValue) -> Result<(), String> {
    let panel = ControlPanel::open(device.as_ref()).map_err(|error| error.to_string())?;
    panel.set(control, &value).map(drop).map_err(|error| error.to_string())
}

/// Presses a button of a camera.
pub fn press(device: &str, control: &str) -> Result<(), String> {
    set(device, control, ControlValue::Switch(true))
}

/// The value of a control.
pub fn value(device: &str, control: &str) -> Result<i64, String> {
    let panel = ControlPanel::open(device.as_ref()).map_err(|error| error.to_string())?;
    panel.value(control).map_err(|error| error.to_string())
}

/// One call, held to its timeout.
pub fn next(source: &mut V4l2Source, timeout: Duration) -> Result<Event, String> {
    let begun = SystemClock.monotonic();
    let event = source.next(timeout).map_err(|error| format!("next failed: {error}"))?;
    let took = SystemClock.monotonic().since(begun);
    if took > timeout + Duration::from_millis(400) {
        return Err(format!("next({timeout:?}) took {took:?}"));
    }
    Ok(event)
}

/// The next `count` frames, nothing else allowed but waiting.
pub fn frames(source: &mut V4l2Source, count: usize) -> Result<Vec<Frame>, String> {
    let begun = SystemClock.monotonic();
    let mut frames = Vec::with_capacity(count);
    while frames.len() < count {
        match next(source, Duration::from_millis(100))? {
            Event::Frame(frame) => frames.push(frame),
            Event::Nothing => {}
            other => return Err(format!("expected a frame, found {other:?}; {:?}", source.counters())),
        }
        if SystemClock.monotonic().since(begun) > Duration::from_secs(10) {
            return Err(format!("{} of {count} frames in 10 s; {:?}", frames.len(), source.counters()));
        }
    }
    Ok(frames)
}

/// The first event for which `wanted` says yes, within `limit`; frames and waiting may come before it, nothing else.
pub fn until(
    source: &mut V4l2Source,
    limit: Duration,
    wanted: impl Fn(&Event) -> bool,
) -> Result<Event, String> {
    let begun = SystemClock.monotonic();
    while SystemClock.monotonic().since(begun) < limit {
        let event = next(source, Duration::from_millis(50))?;
        if wanted(&event) {
            return Ok(event);
        }
        if !matches!(event, Event::Frame(_) | Event::Nothing) {
            return Err(format!("unexpected {event:?}; {:?}", source.counters()));
        }
    }
    Err(format!("did not come within {limit:?}; {:?}", source.counters()))
}

pub fn lost(source: &mut V4l2Source, limit: Duration) -> Result<SourceError, String> {
    match until(source, limit, |event| matches!(event, Event::Lost(_)))
        .map_err(|wrong| format!("Lost {wrong}"))?
    {
        Event::Lost(error) => Ok(error),
        other => Err(format!("expected Lost, found {other:?}")),
    }
}

pub fn restored(source: &mut V4l2Source, limit: Duration) -> Result<(), String> {
    until(source, limit, |event| matches!(event, Event::Restored))
        .map(drop)
        .map_err(|wrong| format!("Restored {wrong}"))
}

/// Writes to a file of the kernel's.
pub fn tell_kernel(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

pub fn ensure(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}

pub fn pause(duration: Duration) {
    SystemClock.sleep(duration);
}
