//! `[[camera]]`: where frames come from, and what is decided on them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_decide::decider::{Function, Functions};
use stopline_decide::fall::Region;
use stopline_sensors::v4l2::V4l2Config;

use super::{Misfit, seen_from};
use crate::attention::AttentionConfig;
use crate::guard::{CameraOverrides, Placement};

/// Where frames come from, and what is decided on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Its name in records, health and metrics.
    pub name: String,
    /// `/dev/video0` or better `/dev/v4l/by-path/…`; `serial:NUMBER` of a USB camera; `rtsp://host/path`; a recording's
    /// path; `pattern:1280x720@30`.
    pub source: String,
    /// A recording begins again at its end. It is always played at its own pace.
    #[serde(rename = "loop", default)]
    pub looped: bool,
    /// Calibration file (`stopline calibrate`).
    #[serde(default)]
    pub calibration: Option<PathBuf>,
    /// What is decided on its frames; none: frames are looked at and recorded, nothing is decided.
    #[serde(default)]
    pub functions: Vec<Function>,
    /// Where several cameras share an inference thread, the one with the higher number goes first.
    #[serde(default)]
    pub priority: u8,
    /// The inference thread that serves it. Cameras with the same number share one.
    #[serde(default)]
    pub thread: u8,
    /// Core of its capture thread; not given: any.
    #[serde(default)]
    pub cpu: Option<u16>,
    /// Milliseconds to add to the time of hand-over (negative: the picture was taken before) where no capture time can be
    /// trusted; −10 000 to 0.
    #[serde(default)]
    pub capture_offset_ms: i32,
    /// Longest time from taking a picture to its hand-over, in milliseconds, where the time stamp is that of arrival. With
    /// it such a source may arm a brake; without it it may only alert.
    #[serde(default)]
    pub declared_latency_ms: Option<u32>,
    /// Where lying is not a fall in this camera's picture, beside `fall.beds`: polygons in shares of the picture.
    #[serde(default)]
    pub beds: Vec<Region>,
    /// What the guard must know of this camera.
    #[serde(default)]
    pub guard: CameraOverrides,
    /// Where less than every pixel of every frame is looked at.
    #[serde(default)]
    pub attention: AttentionConfig,
    /// Size, rate, formats and controls of a V4L2 camera; `device`, `serial` and `capture_offset_ms` stand above.
    #[serde(default)]
    pub v4l2: Option<V4l2Config>,
    /// Transport, log-in and limits of a network camera.
    #[serde(default)]
    pub rtsp: Option<Rtsp>,
}

/// Transport, log-in and limits of a network camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rtsp {
    /// Datagrams in place of one connection: what is lost stays lost.
    pub udp: bool,
    /// File with `user:password`, readable by owner and group only.
    pub credentials_file: Option<PathBuf>,
    /// Longest time from connecting to the first picture.
    pub start_timeout_ms: Option<u64>,
    /// Longest time without a picture before the camera counts as lost.
    pub no_frame_limit_ms: Option<u64>,
    /// Time without a picture after which the connection is made anew.
    pub reconnect_after_ms: Option<u64>,
}

/// Most inference threads.
const MOST_THREADS: u8 = 8;

impl Camera {
    /// What is decided on its frames.
    pub fn function_set(&self) -> Functions {
        self.functions.iter().copied().collect()
    }

    /// Whether it watches for falls.
    pub fn watches_falls(&self) -> bool {
        self.functions.contains(&Function::Fall)
    }

    /// Whether its source is a network camera.
    pub fn is_network(&self) -> bool {
        self.source.contains("://")
    }

    /// Whether its source is a recording, pictures or the test pattern, and not a device.
    pub fn is_recorded(&self) -> bool {
        !self.is_network() && !self.source.starts_with("/dev/") && !self.source.starts_with("serial:")
    }

    /// Whether `source` names a file or folder, and not a device, an address or a pattern.
    fn is_path(&self) -> bool {
        !self.is_network() && !self.source.starts_with("pattern:") && !self.source.starts_with("serial:")
    }

    pub(super) fn resolve(&mut self, folder: &Path) {
        if self.is_path() {
            self.source = folder.join(&self.source).to_string_lossy().into_owned();
        }
        if let Some(calibration) = &mut self.calibration {
            seen_from(folder, calibration);
        }
        self.guard.references.iter_mut().for_each(|reference| seen_from(folder, reference));
        if let Some(file) = self.rtsp.as_mut().and_then(|rtsp| rtsp.credentials_file.as_mut()) {
            seen_from(folder, file);
        }
    }

    /// Keys without the section's own.
    pub(super) fn check(&self) -> Result<(), Misfit> {
        if self.source.is_empty() {
            return Err(Misfit::new("source", "\"\"", "a device, an address, a recording or pattern:"));
        }
        if self.function_set().iter().count() != self.functions.len() {
            return Err(Misfit::new("functions", format!("{:?}", self.functions), "each function once"));
        }
        if self.thread >= MOST_THREADS {
            return Err(Misfit::new("thread", self.thread, format!("0 to {}", MOST_THREADS - 1)));
        }
        if !(-10_000..=0).contains(&self.capture_offset_ms) {
            let expected = "-10000 to 0: a picture is taken before it is handed over";
            return Err(Misfit::new("capture_offset_ms", self.capture_offset_ms, expected));
        }
        if self.declared_latency_ms.is_some_and(|bound| bound > 10_000) {
            let found = self.declared_latency_ms.unwrap_or_default();
            return Err(Misfit::new("declared_latency_ms", found, "0 to 10000"));
        }
        self.check_attention()?;
        self.check_kind()
    }

    fn check_attention(&self) -> Result<(), Misfit> {
        let drives = self.functions.iter().any(|of| matches!(of, Function::StopSign | Function::Pedestrian));
        let drives = drives || self.guard.placement == Some(Placement::Vehicle);
        let checked = self.attention.check(drives, self.watches_falls(), self.calibration.is_some());
        checked.map_err(|misfit| misfit.within("attention"))
    }

    /// What does not concern the kind of source is refused, not ignored.
    fn check_kind(&self) -> Result<(), Misfit> {
        let network = self.is_network();
        if self.rtsp.is_some() && !network {
            return Err(Misfit::new(
                "rtsp",
                format!("a section, with source {:?}", self.source),
                "none here",
            ));
        }
        let device = self.source.starts_with("/dev/") || self.source.starts_with("serial:");
        if self.v4l2.is_some() && !device {
            let found = format!("a section, with source {:?}", self.source);
            return Err(Misfit::new("v4l2", found, "a source /dev/… or serial:…, or no such section"));
        }
        if let Some(v4l2) = &self.v4l2 {
            let above = [("v4l2.device", v4l2.device.is_some()), ("v4l2.serial", v4l2.serial.is_some())];
            if let Some((key, _)) = above.into_iter().find(|(_, given)| *given) {
                return Err(Misfit::new(key, "a value", "none: `source` names the camera"));
            }
            if v4l2.capture_offset_ms != 0 {
                let expected = "none: `capture_offset_ms` of the camera";
                return Err(Misfit::new("v4l2.capture_offset_ms", v4l2.capture_offset_ms, expected));
            }
        }
        if self.looped && (network || device) {
            return Err(Misfit::new("loop", "true, with a camera", "false: only a recording has an end"));
        }
        Ok(())
    }
}
