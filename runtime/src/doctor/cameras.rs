//! Cameras: whether they are there, may be opened, offer a format that is read, and give frames.

use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::frame::{Frame, Stamp};
use stopline_sensors::source::{Event, FrameSource, SourceError};
use stopline_sensors::v4l2::{self, V4l2Config};

use super::Findings;
use crate::calibrate::file::{CalibrationFile, Shown};
use crate::config::{Camera, Config};
use crate::intake::open::open;

/// How long the first frame may take: a network camera waits for a key frame.
const FIRST_FRAME: Duration = Duration::from_secs(6);
/// How long one call may wait.
const STEP: Duration = Duration::from_millis(100);

/// What a camera gave.
pub struct Watched {
    /// Its newest frame.
    pub newest: Frame,
    /// Time from frame to frame: nominal, else as measured.
    pub period: Option<Duration>,
}

/// By camera of the configuration, what it gave.
pub fn look(
    config: &Config,
    watch: Duration,
    clock: &Arc<dyn Clock>,
    to: &mut Findings,
) -> Vec<Option<Watched>> {
    if config.cameras.is_empty() {
        to.fault("cameras", "none is configured", "add a [[camera]] section");
    }
    config.cameras.iter().map(|camera| one(camera, watch, clock, to)).collect()
}

fn one(camera: &Camera, watch: Duration, clock: &Arc<dyn Clock>, to: &mut Findings) -> Option<Watched> {
    let about = format!("camera {}", camera.name);
    offers(camera, &about, to);
    let mut source = match open(camera, Arc::clone(clock)) {
        Ok(source) => source,
        Err(error) => {
            to.fault(&about, error.to_string(), advice(&error));
            return None;
        }
    };
    let watched = frames(source.as_mut(), watch, &**clock, &about, to)?;
    calibration(camera, &watched.newest, &about, to);
    Some(watched)
}

/// What a V4L2 camera offers.
fn offers(camera: &Camera, about: &str, to: &mut Findings) {
    let config = if let Some(serial) = camera.source.strip_prefix("serial:") {
        V4l2Config { device: None, serial: Some(serial.to_owned()), ..V4l2Config::device("") }
    } else if camera.source.starts_with("/dev/") {
        V4l2Config::device(&camera.source)
    } else {
        return;
    };
    // What is wrong with opening it is told when it is opened.
    let Ok(told) = v4l2::describe(&config) else { return };
    let offered = told.formats.iter().map(|offer| {
        let size = offer.largest.map(|(width, height)| format!(" to {width}x{height}")).unwrap_or_default();
        let rate = offer.fps.map(|fps| format!(" at {fps:.0}/s")).unwrap_or_default();
        format!("{}{size}{rate}{}", offer.code, if offer.read { "" } else { " (not read here)" })
    });
    let offered: Vec<_> = offered.collect();
    let found = format!("{} ({}, {}): {}", told.card, told.driver, told.bus, offered.join(", "));
    if told.formats.iter().any(|offer| offer.read) {
        to.ok(about, found);
    } else {
        to.fault(about, found, "no format that is read here: use the board's ISP, or another of its nodes");
    }
}

fn frames(
    source: &mut dyn FrameSource,
    watch: Duration,
    clock: &dyn Clock,
    about: &str,
    to: &mut Findings,
) -> Option<Watched> {
    let began = clock.monotonic();
    let mut newest: Option<Frame> = None;
    let mut times: Vec<Monotonic> = Vec::new();
    let mut trouble = None;
    loop {
        let limit = if times.is_empty() { FIRST_FRAME } else { watch };
        let since = times.first().copied().unwrap_or(began);
        if clock.monotonic().since(since) >= limit {
            break;
        }
        match source.next(STEP) {
            Ok(Event::Frame(frame)) => {
                times.push(frame.meta().captured);
                newest = Some(frame);
            }
            Ok(Event::End) => break,
            Ok(Event::Lost(error) | Event::Skipped(error)) | Err(error) => {
                trouble = Some(error);
                if newest.is_none() && clock.monotonic().since(began) >= FIRST_FRAME {
                    break;
                }
            }
            Ok(Event::Nothing | Event::Restored) => {}
        }
    }
    let Some(newest) = newest else {
        let found = trouble.map_or_else(|| "no frame within 6 s".to_owned(), |error| error.to_string());
        to.fault(about, found, "check cable, power and what else uses the camera (fuser -v /dev/video*)");
        return None;
    };
    let period = tell(source, &newest, &times, about, to);
    Some(Watched { newest, period })
}

fn tell(
    source: &dyn FrameSource,
    newest: &Frame,
    times: &[Monotonic],
    about: &str,
    to: &mut Findings,
) -> Option<Duration> {
    let span = times.last()?.since(*times.first()?);
    let gaps = u32::try_from(times.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let measured = (gaps > 0).then(|| span / gaps).filter(|period| !period.is_zero());
    let nominal = source.info().period;
    let counters = source.counters();
    let rate = |period: Duration| format!("{:.1}/s", 1.0 / period.as_secs_f64());
    let mut found = format!("{}x{} {:?}", newest.width(), newest.height(), newest.format());
    if let Some(measured) = measured {
        found += &format!(", {}", rate(measured));
    }
    if let Some(nominal) = nominal {
        found += &format!(" (nominal {})", rate(nominal));
    }
    found +=
        &format!(", {} frames, {} dropped, {} unusable", times.len(), counters.dropped, counters.skipped);
    match (measured, nominal) {
        (Some(measured), Some(nominal)) if measured > nominal.mul_f64(1.2) => {
            let advice = "frames come more slowly than the camera says: more light or a fixed exposure, a free USB bus";
            to.warning(about, found, advice);
        }
        _ => to.ok(about, found),
    }
    stamps(newest, about, to);
    nominal.or(measured)
}

fn stamps(newest: &Frame, about: &str, to: &mut Findings) {
    match newest.meta().stamp {
        Stamp::KernelStartOfExposure | Stamp::KernelEndOfFrame => {
            to.ok(about, "capture times are the kernel's");
        }
        Stamp::Recording => {
            to.warning(about, "a recording, not a camera", "good for a bench; name a device for a vehicle")
        }
        Stamp::Arrival => to.warning(
            about,
            "capture times are those of arrival: how old a picture is cannot be known",
            "set capture_offset_ms, and declared_latency_ms if it is to arm a brake",
        ),
    }
}

fn calibration(camera: &Camera, newest: &Frame, about: &str, to: &mut Findings) {
    let Some(path) = &camera.calibration else {
        if !camera.functions.is_empty() {
            let advice = "`stopline calibrate` makes one; without it nothing is known of distances";
            to.warning(about, "no calibration", advice);
        }
        return;
    };
    let shown = Shown { picture: [newest.width(), newest.height()], ..Shown::default() };
    match CalibrationFile::read(path) {
        Err(error) => to.fault(about, error.to_string(), "make it with `stopline calibrate`"),
        Ok(calibration) => match calibration.fits(&camera.name, &shown) {
            Err(error) => to.fault(about, error.to_string(), "calibrate at the size it runs with"),
            Ok(()) => to.ok(about, format!("calibration {} fits its pictures", path.display())),
        },
    }
}

fn advice(error: &SourceError) -> &'static str {
    let SourceError::Io { cause, .. } = error else { return "see the message" };
    match cause.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "put this user into the group `video`, or give the unit DeviceAllow="
        }
        std::io::ErrorKind::NotFound => "is it plugged in? `ls /dev/v4l/by-path` shows what is there",
        std::io::ErrorKind::ResourceBusy => "another program uses it: the daemon itself, if it runs",
        _ => "see the kernel's log (dmesg)",
    }
}
