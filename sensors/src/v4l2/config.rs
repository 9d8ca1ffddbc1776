//! What the configuration says of a camera.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::controls::ControlValue;
use super::find::Address;
use super::formats::{CameraFormat, Wants};
use crate::frame::MAX_SIDE;
use crate::source::SourceError;

/// A camera, as configured. Unknown keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct V4l2Config {
    /// Path of its node (`/dev/video0`, better `/dev/v4l/by-path/…`), or a bare name under `/dev/v4l/by-id`, `by-path`.
    pub device: Option<String>,
    /// Serial number of its USB device, instead of `device`.
    pub serial: Option<String>,
    /// Input of a capture card (`v4l2-ctl --list-inputs`).
    pub input: Option<u32>,
    /// Exact pixels across and down; default: the largest offered up to 1280×720.
    pub size: Option<(u32, u32)>,
    /// Frames per second; default 30. The nearest the camera has is used.
    pub fps: Option<f64>,
    /// Formats in order of preference, by their kernel codes; default [`CameraFormat::PREFERENCE`].
    pub formats: Vec<CameraFormat>,
    /// Controls by name, set when the camera is opened and again whenever it comes back.
    pub controls: BTreeMap<String, ControlValue>,
    /// Milliseconds to add to the time of hand-over (negative: the picture was taken before) where the kernel gives no
    /// capture time to trust; −10 000 to 0.
    pub capture_offset_ms: i32,
    /// Kernel buffers; 2 to 32, default 4.
    #[serde(default = "default_buffers")]
    pub buffers: u32,
}

fn default_buffers() -> u32 {
    4
}

/// Frames per second aimed at where none are configured.
const DEFAULT_FPS: f64 = 30.0;

impl V4l2Config {
    /// A camera by path or name, everything else as it comes.
    pub fn device(device: impl Into<String>) -> Self {
        Self { device: Some(device.into()), buffers: default_buffers(), ..Self::default() }
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] naming the key, its value and what it may be.
    pub fn check(&self) -> Result<(), SourceError> {
        self.address()?;
        if let Some((width, height)) = self.size
            && !((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height))
        {
            return Err(self.wrong(format!("size is {width}x{height}"), "each side must be 1 to 32768"));
        }
        if let Some(fps) = self.fps
            && !(0.1..=1000.0).contains(&fps)
        {
            return Err(self.wrong(format!("fps is {fps}"), "it must be 0.1 to 1000"));
        }
        if !(-10_000..=0).contains(&self.capture_offset_ms) {
            let problem = format!("capture_offset_ms is {}", self.capture_offset_ms);
            return Err(
                self.wrong(problem, "it must be -10000 to 0: a picture is taken before it is handed over")
            );
        }
        if !(2..=32).contains(&self.buffers) {
            return Err(self.wrong(format!("buffers is {}", self.buffers), "it must be 2 to 32"));
        }
        Ok(())
    }

    /// How the camera is named.
    pub(super) fn address(&self) -> Result<Address, SourceError> {
        match (&self.device, &self.serial) {
            (Some(device), None) => Ok(Address::Device(device.clone())),
            (None, Some(serial)) => Ok(Address::Serial(serial.clone())),
            (None, None) => {
                Err(self.wrong("neither `device` nor `serial` is given".into(), "give one of them"))
            }
            (Some(_), Some(_)) => {
                Err(self.wrong("both `device` and `serial` are given".into(), "give one of them"))
            }
        }
    }

    /// The camera's name for messages.
    pub(super) fn named(&self) -> String {
        match (&self.device, &self.serial) {
            (Some(device), _) => device.clone(),
            (None, Some(serial)) => format!("camera with serial number {serial}"),
            (None, None) => "camera".to_owned(),
        }
    }

    pub(super) fn wants(&self) -> Wants {
        let formats =
            if self.formats.is_empty() { CameraFormat::PREFERENCE.to_vec() } else { self.formats.clone() };
        Wants { formats, size: self.size, fps: self.fps.unwrap_or(DEFAULT_FPS) }
    }

    /// How long before its hand-over a picture was taken.
    pub(super) fn offset_before(&self) -> Duration {
        Duration::from_millis(self.capture_offset_ms.unsigned_abs().into())
    }

    fn wrong(&self, problem: String, advice: &str) -> SourceError {
        SourceError::Unsupported { what: self.named(), problem, advice: advice.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<V4l2Config, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_whole_camera_is_read() {
        let config = read(
            r#"{"serial": "A1B2", "size": [1280, 720], "fps": 30, "formats": ["NV12", "MJPG"], "capture_offset_ms": -40,
                "controls": {"exposure_auto": false, "exposure": 156, "power_line": "50 Hz"}}"#,
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(config.address().unwrap(), Address::Serial("A1B2".into()));
        assert_eq!(config.offset_before(), Duration::from_millis(40));
        assert_eq!(config.buffers, 4);
        assert_eq!(config.wants().formats, [CameraFormat::Nv12, CameraFormat::Mjpeg]);
        assert_eq!(config.controls["exposure"], ControlValue::Number(156));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let said = read(r#"{"device": "/dev/video0", "colour": true}"#).unwrap_err().to_string();
        assert!(said.contains("unknown field `colour`"), "{said}");
    }

    #[test]
    fn values_that_cannot_be_meant_are_refused_with_the_key() {
        let cases = [
            (r#"{}"#, "neither `device` nor `serial`"),
            (r#"{"device": "a", "serial": "b"}"#, "both `device` and `serial`"),
            (r#"{"device": "a", "size": [0, 720]}"#, "size is 0x720"),
            (r#"{"device": "a", "fps": 0}"#, "fps is 0"),
            (r#"{"device": "a", "capture_offset_ms": 5}"#, "capture_offset_ms is 5"),
            (r#"{"device": "a", "buffers": 1}"#, "buffers is 1"),
        ];
        for (text, words) in cases {
            let said = read(text).unwrap().check().unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        assert!(read(r#"{"device": "a", "fps": null}"#).unwrap().check().is_ok());
    }
}
