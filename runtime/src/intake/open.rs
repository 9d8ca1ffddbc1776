//! A configured camera to a source.

use std::sync::Arc;

use stopline_sensors::clock::Clock;
use stopline_sensors::open::{OpenOptions, open as open_spec};
use stopline_sensors::source::{FrameSource, SourceError};
use stopline_sensors::v4l2::{V4l2Config, V4l2Source};

use crate::config::Camera;

/// Opens the source of `camera`. Recordings are played at their own pace.
///
/// # Errors
/// [`SourceError`]; [`may_come`] says whether it is worth another try.
pub fn open(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    if let Some(serial) = camera.source.strip_prefix("serial:") {
        let config = V4l2Config { device: None, serial: Some(serial.to_owned()), ..v4l2(camera) };
        return Ok(Box::new(V4l2Source::open(&camera.name, config)?));
    }
    if camera.source.starts_with("/dev/") {
        let config = V4l2Config { device: Some(camera.source.clone()), serial: None, ..v4l2(camera) };
        return Ok(Box::new(V4l2Source::open(&camera.name, config)?));
    }
    if camera.is_network() {
        return network(camera, clock);
    }
    let options = OpenOptions {
        name: Some(camera.name.as_str().into()),
        realtime: true,
        looped: camera.looped,
        ..OpenOptions::default()
    };
    open_spec(&camera.source, &options, clock)
}

/// Whether the source may be there later: a camera that is not plugged in yet, or is busy. What cannot mend itself (no
/// permission, no format we read, a file that is none) is not tried again.
pub fn may_come(camera: &Camera, error: &SourceError) -> bool {
    let device =
        camera.is_network() || camera.source.starts_with("/dev/") || camera.source.starts_with("serial:");
    let passing = match error {
        SourceError::Io { cause, .. } => cause.kind() != std::io::ErrorKind::PermissionDenied,
        SourceError::Silent { .. } => true,
        _ => false,
    };
    device && passing
}

fn v4l2(camera: &Camera) -> V4l2Config {
    let config = camera.v4l2.clone().unwrap_or_else(|| V4l2Config::device(String::new()));
    V4l2Config { capture_offset_ms: camera.capture_offset_ms, ..config }
}

#[cfg(feature = "rtsp")]
fn network(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    use stopline_sensors::rtsp::{RtspConfig, RtspSource, Transport};

    let mut config = RtspConfig::new(&camera.name, &camera.source);
    if let Some(rtsp) = &camera.rtsp {
        config.transport = if rtsp.udp { Transport::Udp } else { Transport::Tcp };
        config.credentials_file = rtsp.credentials_file.clone();
        config.no_frame_limit_ms = rtsp.no_frame_limit_ms;
        config.start_timeout_ms = rtsp.start_timeout_ms.unwrap_or(config.start_timeout_ms);
        config.reconnect_after_ms = rtsp.reconnect_after_ms.unwrap_or(config.reconnect_after_ms);
    }
    Ok(Box::new(RtspSource::open(&config, clock)?))
}

/// Says so, by the door's own words.
#[cfg(not(feature = "rtsp"))]
fn network(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    open_spec(&camera.source, &OpenOptions::default(), clock)
}
