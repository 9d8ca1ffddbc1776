//! Opens what pictures and recordings come from, and says what to use instead where it is something else.

use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};
use stopline_sensors::open::open;
use stopline_sensors::source::{FrameSource, SourceError};

pub use stopline_sensors::open::OpenOptions;

/// How long a call for the next frame may wait before it says that nothing came.
pub const WAIT: Duration = Duration::from_secs(1);

/// Still images: a file, folder or glob.
///
/// # Errors
/// [`SourceError`]; for a recording or a camera it says which command takes it.
pub fn open_still(spec: &str) -> Result<Box<dyn FrameSource>, SourceError> {
    let source = open(spec, &OpenOptions::default(), Arc::new(SystemClock))?;
    let advice = match (source.info().kind, source.info().live) {
        ("images", _) => return Ok(source),
        (_, true) => "detect takes pictures; save one first",
        _ => "use `stopline replay` for all of it, or add #frame=N for one frame, counted from 0",
    };
    Err(wrong_kind(spec, source.info().kind, advice))
}

/// A recording: a video file, or a folder or glob of pictures in order.
///
/// # Errors
/// [`SourceError`]; for a camera it says what to do instead.
pub fn open_recording(spec: &str, options: &OpenOptions) -> Result<Box<dyn FrameSource>, SourceError> {
    open_recording_by(spec, options, Arc::new(SystemClock))
}

/// As [`open_recording`], with time from `clock`.
///
/// # Errors
/// As [`open_recording`].
pub fn open_recording_by(
    spec: &str,
    options: &OpenOptions,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let source = open(spec, options, clock)?;
    // The test pattern has no end either.
    if source.info().live || source.info().kind == "pattern" {
        return Err(wrong_kind(
            spec,
            source.info().kind,
            "replay takes recordings, which end; record it to a file first",
        ));
    }
    Ok(source)
}

fn wrong_kind(spec: &str, kind: &str, advice: &str) -> SourceError {
    let what = match kind {
        "clip" => "a recording",
        "images" => "still images",
        "pattern" => "the test pattern",
        _ => "a live source",
    };
    SourceError::Unsupported {
        what: spec.to_owned(),
        problem: format!("is {what}"),
        advice: advice.to_owned(),
    }
}
