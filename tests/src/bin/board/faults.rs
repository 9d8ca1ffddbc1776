//! What goes wrong with a camera, made by vivid's fault injection and by unbinding its driver.

use std::collections::BTreeMap;
use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};
use stopline_sensors::frame::Stamp;
use stopline_sensors::source::{Event, FrameSource, SourceError};
use stopline_sensors::v4l2::{ControlPanel, ControlValue, V4l2Config};
use stopline_tests::source_suite::{Expect, conforms};

use crate::rig::{
    self, Board, CAMERA, Found, MULTI, SIZE, ensure, frames, lost, next, open, pause, plain, press, restored,
    set, until, value,
};

/// vivid's injected faults, each of which has its check here; only that of media requests has none, which no camera of ours
/// is asked with.
const INJECTED: [&str; 10] = [
    "disconnect",
    "inject_fatal_streaming_error",
    "inject_req_validate_error",
    ERROR_FLAG,
    "inject_vidioc_qbuf_error",
    "inject_vidioc_reqbufs_error",
    "inject_vidioc_streamon_error",
    DROPPED,
    "wrap_sequence_number",
    WRAP_STAMPS,
];

pub fn checks(board: &mut Board) {
    board.check("every fault that vivid can inject has its check", all_injected);
    for device in [CAMERA, MULTI] {
        board.check(&format!("silence and resume {device}"), || silence(device, Duration::from_millis(400)));
    }
    board
        .check("a long silence: the stream is started anew", || silence(CAMERA, Duration::from_millis(2600)));
    board.check("dropped buffers are counted", dropped);
    board.check("the sequence number wraps", wraps);
    board.check("stamps that are years ahead are not believed", stamps_wrap);
    board.check("a buffer with the error flag is skipped and counted", error_flag);
    board.check("nothing but damaged buffers is silence", only_damaged);
    board.check("VIDIOC_QBUF fails once", queueing_fails);
    board.check("VIDIOC_REQBUFS fails at the opening", || {
        opening_fails("inject_vidioc_reqbufs_error", "request buffers")
    });
    board.check("VIDIOC_STREAMON fails at the opening", || {
        opening_fails("inject_vidioc_streamon_error", "start streaming")
    });
    board.check("a fatal streaming error", || recovers("inject_fatal_streaming_error", libc::EIO));
    board.check("the driver says disconnected", || recovers("disconnect", libc::ENODEV));
    for device in [CAMERA, MULTI] {
        board.check(&format!("unplugged and plugged again {device}"), || replug(device));
    }
    board.check("unplugged and plugged again, five times", many_replugs);
    board.check("another camera in its place is not read", swapped);
    board.check("the suite still passes after all that", after_all);
}

/// vivid drops every buffer: it streams and nothing comes.
fn silence(device: &str, length: Duration) -> Found {
    let mut source = open(&plain(device))?;
    frames(&mut source, 5)?;
    let limit = source.info().no_frame_limit();
    set(device, DROPPED, ControlValue::Number(100))?;
    let begun = SystemClock.monotonic();
    let error = lost(&mut source, Duration::from_secs(2))?;
    let after = SystemClock.monotonic().since(begun);
    let SourceError::Silent { waited, limit: said, .. } = error else {
        return Err(format!("not silent: {error}"));
    };
    ensure(said == limit && waited >= limit, || {
        format!("waited {waited:?}, limit {said:?}, expected {limit:?}")
    })?;
    while SystemClock.monotonic().since(begun) < length {
        let event = next(&mut source, Duration::from_millis(40))?;
        ensure(matches!(event, Event::Nothing), || format!("while silent: {event:?}"))?;
    }
    set(device, DROPPED, ControlValue::Number(0))?;
    restored(&mut source, Duration::from_secs(6))?;
    frames(&mut source, 5)?;
    let counters = source.counters();
    ensure((counters.lost, counters.restored) == (1, 1), || format!("{counters:?}"))?;
    Ok(format!(
        "limit {} ms, said after {} ms; {} dropped",
        limit.as_millis(),
        after.as_millis(),
        counters.dropped
    ))
}

const DROPPED: &str = "percentage_of_dropped_buffers";

fn dropped() -> Found {
    set(CAMERA, DROPPED, ControlValue::Number(30))?;
    let result = (|| {
        let mut source = open(&V4l2Config { fps: Some(60.0), ..plain(CAMERA) })?;
        let frames = frames(&mut source, 40)?;
        let span = frames[39].meta().sequence - frames[0].meta().sequence + 1;
        let counters = source.counters();
        ensure(counters.dropped > 2 && span == 40 + counters.dropped, || {
            format!("span {span}, {counters:?}")
        })?;
        Ok(format!("{} dropped of {span}", counters.dropped))
    })();
    set(CAMERA, DROPPED, ControlValue::Number(0))?;
    result
}

/// vivid starts at 2³² − 128.
fn wraps() -> Found {
    set(CAMERA, "wrap_sequence_number", ControlValue::Switch(true))?;
    let config = V4l2Config { fps: Some(60.0), ..plain(CAMERA) };
    let report = conforms(&mut || rig::boxed(&config), &Expect::live("v4l2", SIZE, 140));
    set(CAMERA, "wrap_sequence_number", ControlValue::Switch(false))?;
    let report = report?;
    let dropped = report.counters.dropped;
    ensure(dropped < 1000, || format!("{dropped} dropped: the wrap was taken for a gap"))?;
    Ok(format!("sequences {:?}, {dropped} dropped", report.sequences))
}

fn error_flag() -> Found {
    let mut source = open(&plain(CAMERA))?;
    frames(&mut source, 3)?;
    press(CAMERA, ERROR_FLAG)?;
    let event = until(&mut source, Duration::from_secs(2), |event| matches!(event, Event::Skipped(_)))?;
    frames(&mut source, 5)?;
    let counters = source.counters();
    ensure(counters.skipped >= 1 && counters.lost == 0, || format!("{counters:?}"))?;
    Ok(format!("{event:?}"))
}

const WRAP_STAMPS: &str = "wrap_timestamp";

/// By the names of the controls: a newer vivid may have more.
fn all_injected() -> Found {
    let panel = ControlPanel::open(CAMERA.as_ref()).map_err(|error| error.to_string())?;
    let injects =
        |name: &&String| ["inject", "wrap", "disconnect", "dropped"].iter().any(|part| name.contains(part));
    let names = panel.names();
    let mut found: Vec<&str> = names.iter().filter(injects).map(String::as_str).collect();
    found.sort_unstable();
    ensure(found == INJECTED, || format!("vivid has {found:?}"))?;
    Ok(format!("{} controls", found.len()))
}

/// vivid lays its stamps so that they wrap in 16 s, at 63 bits: some 290 years from now.
fn stamps_wrap() -> Found {
    set(CAMERA, WRAP_STAMPS, ControlValue::Choice("64 Bit".into()))?;
    let result = (|| {
        let mut source = open(&plain(CAMERA))?;
        let frames = frames(&mut source, 10)?;
        let now = SystemClock.monotonic();
        let believed = frames.iter().filter(|frame| frame.meta().stamp != Stamp::Arrival).count();
        let ahead = frames.iter().filter(|frame| frame.meta().captured > now).count();
        let distrusted = source.distrusted_stamps();
        ensure(believed == 0 && ahead == 0 && distrusted >= 10, || {
            format!("{believed} believed, {ahead} in the future, {distrusted} counted")
        })?;
        Ok(format!("{distrusted} stamps not believed, time of arrival in their place"))
    })();
    set(CAMERA, WRAP_STAMPS, ControlValue::Choice("None".into()))?;
    result
}

const ERROR_FLAG: &str = "inject_v4l2_buf_flag_error";

/// The button is pressed again and again, so that hardly a good buffer comes: in time that is silence, said once.
fn only_damaged() -> Found {
    let mut source = open(&plain(CAMERA))?;
    frames(&mut source, 3)?;
    let panel = ControlPanel::open(CAMERA.as_ref()).map_err(|error| error.to_string())?;
    let begun = SystemClock.monotonic();
    let mut skipped = 0;
    loop {
        panel.set(ERROR_FLAG, &ControlValue::Switch(true)).map_err(|error| error.to_string())?;
        match next(&mut source, Duration::from_millis(5))? {
            Event::Skipped(_) => skipped += 1,
            Event::Lost(SourceError::Silent { .. }) => break,
            // On a busy machine a good buffer may be filled between two presses.
            Event::Frame(_) | Event::Nothing => {}
            other => return Err(format!("after {skipped} skipped: {other:?}")),
        }
        ensure(SystemClock.monotonic().since(begun) < Duration::from_secs(8), || {
            format!("{skipped} skipped and never Lost; {:?}", source.counters())
        })?;
    }
    ensure(skipped > 0, || "silent, but no damaged buffer was seen".into())?;
    // Closed, or the driver could not be opened anew.
    drop(panel);
    let (mut good, mut back) = (0, false);
    while good < 5 {
        match next(&mut source, Duration::from_secs(3))? {
            Event::Restored => back = true,
            Event::Frame(_) if back => good += 1,
            // Buffers flagged by the last presses.
            Event::Skipped(_) | Event::Nothing => {}
            other => return Err(format!("{other:?}, back: {back}")),
        }
        ensure(SystemClock.monotonic().since(begun) < Duration::from_secs(16), || {
            format!("{:?}", source.counters())
        })?;
    }
    Ok(format!("{skipped} skipped, then silent, then restored"))
}

/// The buffer that was refused is offered again: after as many frames as there are buffers none is missing.
fn queueing_fails() -> Found {
    let mut source = open(&V4l2Config { buffers: 2, ..plain(CAMERA) })?;
    for _ in 0..4 {
        frames(&mut source, 3)?;
        press(CAMERA, "inject_vidioc_qbuf_error")?;
    }
    frames(&mut source, 12)?;
    let counters = source.counters();
    ensure(counters.lost == 0 && counters.skipped == 0, || format!("{counters:?}"))?;
    Ok(format!("{counters:?}"))
}

fn opening_fails(control: &str, action: &str) -> Found {
    press(CAMERA, control)?;
    let said = match open(&plain(CAMERA)) {
        Ok(_) => return Err("it opened".into()),
        Err(said) => said,
    };
    ensure(said.contains(CAMERA) && said.contains(action), || said.clone())?;
    frames(&mut open(&plain(CAMERA))?, 3)?;
    Ok(said)
}

fn recovers(control: &str, expected: i32) -> Found {
    let mut source = open(&plain(CAMERA))?;
    frames(&mut source, 5)?;
    press(CAMERA, control)?;
    let error = lost(&mut source, Duration::from_secs(2))?;
    let SourceError::Io { cause, .. } = &error else {
        return Err(format!("not the system's error: {error}"));
    };
    ensure(cause.raw_os_error() == Some(expected), || format!("expected error {expected}, found {cause}"))?;
    let begun = SystemClock.monotonic();
    restored(&mut source, Duration::from_secs(6))?;
    let took = SystemClock.monotonic().since(begun);
    frames(&mut source, 10)?;
    let counters = source.counters();
    ensure((counters.lost, counters.restored) == (1, 1), || format!("{counters:?}"))?;
    Ok(format!("{error}; back after {} ms", took.as_millis()))
}

const DRIVER: &str = "/sys/bus/platform/drivers/vivid";

fn bind(bound: bool) -> Result<(), String> {
    rig::tell_kernel(&format!("{DRIVER}/{}", if bound { "bind" } else { "unbind" }), "vivid.0")
}

fn replug(device: &str) -> Found {
    let controls = BTreeMap::from([("brightness".to_owned(), ControlValue::Number(99))]);
    let mut source = open(&V4l2Config { controls, ..plain(device) })?;
    frames(&mut source, 5)?;
    bind(false)?;
    let error = lost(&mut source, Duration::from_secs(2))?;
    let begun = SystemClock.monotonic();
    while SystemClock.monotonic().since(begun) < Duration::from_millis(400) {
        let event = next(&mut source, Duration::from_millis(30))?;
        ensure(matches!(event, Event::Nothing), || format!("while unplugged: {event:?}"))?;
    }
    bind(true)?;
    restored(&mut source, Duration::from_secs(6))?;
    frames(&mut source, 10)?;
    let found = value(device, "brightness")?;
    ensure(found == 99, || {
        format!("brightness is {found} after the return, expected 99 (the default is 128)")
    })?;
    ensure(source.controls().iter().all(|report| report.taken()), || format!("{:?}", source.controls()))?;
    let counters = source.counters();
    ensure((counters.lost, counters.restored) == (1, 1), || format!("{counters:?}"))?;
    Ok(format!("{error}; {counters:?}"))
}

fn many_replugs() -> Found {
    let mut source = open(&plain(CAMERA))?;
    let mut last = 0;
    for round in 1..=5 {
        let frames = frames(&mut source, 2)?;
        let sequence = frames[0].meta().sequence;
        ensure(round == 1 || sequence > last, || format!("sequence {sequence} after {last}"))?;
        last = frames[1].meta().sequence;
        bind(false)?;
        lost(&mut source, Duration::from_secs(2))?;
        bind(true)?;
        restored(&mut source, Duration::from_secs(6))?;
    }
    frames(&mut source, 5)?;
    let counters = source.counters();
    ensure((counters.lost, counters.restored) == (5, 5), || format!("{counters:?}"))?;
    Ok(format!("{counters:?}"))
}

/// The configured path is a link that leads to the other camera when the first one has gone.
fn swapped() -> Found {
    const LINK: &str = "/tmp/camera";
    let point = |to: &str| {
        let _ = std::fs::remove_file(LINK);
        std::os::unix::fs::symlink(to, LINK).map_err(|error| error.to_string())
    };
    point(CAMERA)?;
    let mut source = open(&plain(LINK))?;
    frames(&mut source, 3)?;
    bind(false)?;
    lost(&mut source, Duration::from_secs(2))?;
    point(MULTI)?;
    bind(true)?;
    restored(&mut source, Duration::from_secs(6))?;
    frames(&mut source, 3)?;
    press(CAMERA, ERROR_FLAG)?;
    until(&mut source, Duration::from_secs(2), |event| matches!(event, Event::Skipped(_)))
        .map_err(|wrong| format!("a fault of the first camera is not seen: {wrong}"))?;
    Ok("found by what it is, not by the path".into())
}

fn after_all() -> Found {
    pause(Duration::from_millis(200));
    let config = plain(CAMERA);
    let report = conforms(&mut || rig::boxed(&config), &Expect::live("v4l2", SIZE, 30))?;
    ensure(report.counters.lost == 0 && report.counters.skipped == 0, || format!("{:?}", report.counters))?;
    Ok(format!("{:?}", report.counters))
}
