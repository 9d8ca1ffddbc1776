//! The calibration file: one camera, one picture size, one place on the vehicle.
//!
//! TOML, so that a person can read it beside the camera. The reader refuses what does not fit the camera it is used
//! with: distances from a lens calibrated at another size or crop are wrong without looking wrong.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lens::{Lens, Model};
use super::mount::Mount;

/// Version of the format.
pub const SCHEMA: u32 = 1;
/// Longest file that is read.
const LONGEST: u64 = 256 * 1024;

/// A calibration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationFile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the camera is called.
    pub camera: String,
    /// Its serial number, where it has one; then it is valid for that camera only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Day it was made, YYYY-MM-DD.
    pub made: String,
    /// Where the lens is from: `board`, `parameters`, `opencv`.
    pub from: Origin,
    /// Width and height of the pictures it is valid for.
    pub picture: [u32; 2],
    /// x, y, width, height of the part of the sensor these pictures show, where the camera crops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[u32; 4]>,
    /// What was found too poor and written all the same. A vehicle should not brake by such a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poor: Vec<String>,
    /// The lens.
    pub lens: LensSection,
    /// Where the camera sits; without it there are no distances from the ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<MountSection>,
}

/// Where the lens data come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Pictures of a board.
    Board,
    /// Data of the lens, given by hand.
    Parameters,
    /// A file of OpenCV's.
    Opencv,
}

/// The lens, in pixels, as OpenCV counts them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LensSection {
    /// `brown-conrady` or `kannala-brandt`.
    pub model: Model,
    /// fx, fy.
    pub focal: [f64; 2],
    /// cx, cy; the centre of the first pixel is (0, 0).
    pub centre: [f64; 2],
    /// k1, k2, p1, p2, k3; or k1 to k4.
    pub distortion: Vec<f64>,
    /// How well it fits, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<LensFit>,
}

/// How well the lens fits its pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LensFit {
    /// Root mean square distance of corners in pixels.
    pub rms_px: f64,
    /// Standard deviations of fx, fy, cx, cy in pixels.
    pub deviations_px: [f64; 4],
    /// Share of the picture with corners, 0 to 1.
    pub covered: f64,
    /// Inner corners across and down, and the side of a square in metres.
    pub board: (usize, usize, f64),
    /// Each view and its own RMS in pixels.
    pub views: Vec<(String, f64)>,
}

/// Where the camera sits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountSection {
    /// Lens above the road, metres.
    pub height_m: f64,
    /// Positive where it looks down.
    pub pitch_deg: f64,
    /// Positive where its right side hangs lower.
    pub roll_deg: f64,
    /// Positive where it looks to the left.
    pub yaw_deg: f64,
    /// Standard deviation of the pitch: how it was measured, and how the vehicle's load changes it.
    pub pitch_sigma_deg: f64,
    /// From the lens forwards to the front of the vehicle, metres; negative where the lens lies before it.
    pub front_m: f64,
    /// From the vehicle's middle to the lens, metres, positive to the left.
    pub lateral_m: f64,
    /// How well it fits, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<MountFit>,
}

/// How well the place fits its marks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountFit {
    /// Root mean square distance of the marks in pixels.
    pub rms_px: f64,
    /// Number of marks; a board has one for each inner corner.
    pub marks: usize,
    /// Standard deviations of pitch, roll and yaw in degrees, from the marks.
    pub deviations_deg: [f64; 3],
    /// Standard deviation of the height in metres; 0 where it was measured with a tape.
    pub height_deviation_m: f64,
}

impl MountSection {
    /// The place for geometry.
    pub fn mount(&self) -> Mount {
        Mount {
            height: self.height_m,
            pitch: self.pitch_deg.to_radians(),
            roll: self.roll_deg.to_radians(),
            yaw: self.yaw_deg.to_radians(),
        }
    }
}

/// A calibration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Not readable.
    #[error("{path}: cannot read the calibration: {cause}; `stopline calibrate` makes one")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Too long to be one.
    #[error("{path}: {found} bytes, expected a calibration of at most {LONGEST}")]
    Long {
        /// The file.
        path: PathBuf,
        /// Bytes.
        found: u64,
    },
    /// Not in the format.
    #[error("{path}: not a calibration file: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What and where.
        problem: String,
    },
    /// Another version.
    #[error("{path}: schema {found}, expected {SCHEMA}; make it anew with `stopline calibrate`")]
    Schema {
        /// The file.
        path: PathBuf,
        /// The version.
        found: u32,
    },
    /// A value that cannot be.
    #[error("{path}: {key} = {found}: expected {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        expected: &'static str,
    },
}

/// What a camera shows, to be held against its calibration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Width and height of its pictures.
    pub picture: [u32; 2],
    /// The part of the sensor they show, where known: x, y, width, height.
    pub crop: Option<[u32; 4]>,
    /// Its serial number, where known.
    pub serial: Option<String>,
}

/// A calibration of something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another picture size.
    #[error(
        "camera {camera} gives pictures of {}x{}, its calibration is for {}x{}: set the camera to that size, or calibrate at \
         this one with `stopline calibrate lens`",
        shown[0], shown[1], calibrated[0], calibrated[1]
    )]
    Size {
        /// The camera.
        camera: String,
        /// What it shows.
        shown: [u32; 2],
        /// What it was calibrated with.
        calibrated: [u32; 2],
    },
    /// Another part of the sensor.
    #[error(
        "camera {camera} shows {} of its sensor, its calibration is for {}: set the camera to that crop, or calibrate with \
         this one",
        part(*shown), part(*calibrated)
    )]
    Crop {
        /// The camera.
        camera: String,
        /// What it shows; `None`: all of it.
        shown: Option<[u32; 4]>,
        /// What it was calibrated with.
        calibrated: Option<[u32; 4]>,
    },
    /// Another camera.
    #[error(
        "camera {camera} has serial {shown}, its calibration is for serial {calibrated}: two cameras of one kind differ; \
         calibrate this one"
    )]
    Serial {
        /// The camera.
        camera: String,
        /// Its serial.
        shown: String,
        /// The calibrated one's.
        calibrated: String,
    },
}

fn part(crop: Option<[u32; 4]>) -> String {
    crop.map_or("all".into(), |[x, y, width, height]| format!("{width}x{height} at {x},{y}"))
}

impl CalibrationFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`CalibrationError`].
    pub fn read(path: &Path) -> Result<Self, CalibrationError> {
        let read = |cause| CalibrationError::Read { path: path.to_owned(), cause };
        let found = std::fs::metadata(path).map_err(read)?.len();
        if found > LONGEST {
            return Err(CalibrationError::Long { path: path.to_owned(), found });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(read)?, path)
    }

    /// Reads a file's text; `path` is for messages.
    ///
    /// # Errors
    /// [`CalibrationError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, CalibrationError> {
        let file: Self = toml::from_str(text).map_err(|error| CalibrationError::Format {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        if file.schema != SCHEMA {
            return Err(CalibrationError::Schema { path: path.to_owned(), found: file.schema });
        }
        match file.impossible() {
            None => Ok(file),
            Some((key, found, expected)) => {
                Err(CalibrationError::Value { path: path.to_owned(), key, found, expected })
            }
        }
    }

    /// The file's text, with what a person should know above it.
    pub fn text(&self) -> String {
        let rounded = Self {
            lens: self.lens.rounded(),
            mount: self.mount.as_ref().map(MountSection::rounded),
            ..self.clone()
        };
        let body = toml::to_string(&rounded).expect("numbers, strings and lists have a form in TOML");
        format!(
            "# Made by `stopline calibrate`. Lengths of [lens] in pixels, the centre of the first pixel is (0, 0), as in OpenCV.\n\
             # [mount]: pitch is positive where the camera looks down, roll where its right side hangs lower, yaw where it\n\
             # looks to the left.\n{body}"
        )
    }

    /// The lens for geometry.
    pub fn lens(&self) -> Lens {
        let LensSection { model, focal, centre, ref distortion, .. } = self.lens;
        Lens { model, focal, centre, distortion: distortion.clone() }
    }

    /// Whether this is the calibration of what `shown` describes. A crop or serial that the camera does not tell is not
    /// held against it.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn fits(&self, camera: &str, shown: &Shown) -> Result<(), Mismatch> {
        let camera = || camera.to_owned();
        if shown.picture != self.picture {
            return Err(Mismatch::Size { camera: camera(), shown: shown.picture, calibrated: self.picture });
        }
        if shown.crop.is_some() && shown.crop != self.crop {
            return Err(Mismatch::Crop { camera: camera(), shown: shown.crop, calibrated: self.crop });
        }
        match (&shown.serial, &self.serial) {
            (Some(shown), Some(calibrated)) if shown != calibrated => Err(Mismatch::Serial {
                camera: camera(),
                shown: shown.clone(),
                calibrated: calibrated.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn impossible(&self) -> Option<(&'static str, String, &'static str)> {
        let lens = &self.lens;
        let within = |value: f64, least: f64, most: f64| value >= least && value <= most;
        if self.picture.iter().any(|side| !(16..=16_384).contains(side)) {
            return Some(("picture", format!("{:?}", self.picture), "sides of 16 to 16384 pixels"));
        }
        if lens.distortion.len() != lens.model.coefficients() {
            let expected = match lens.model {
                Model::BrownConrady => "5 coefficients: k1, k2, p1, p2, k3",
                Model::KannalaBrandt => "4 coefficients: k1, k2, k3, k4",
            };
            return Some(("lens.distortion", format!("{:?}", lens.distortion), expected));
        }
        if !lens.focal.iter().all(|focal| within(*focal, 10.0, 100_000.0)) {
            return Some(("lens.focal", format!("{:?}", lens.focal), "10 to 100000 pixels"));
        }
        if !lens.centre.iter().chain(&lens.distortion).all(|value| within(*value, -16_384.0, 32_768.0)) {
            return Some((
                "lens",
                format!("{:?} {:?}", lens.centre, lens.distortion),
                "a centre and coefficients that are numbers",
            ));
        }
        let mount = self.mount.as_ref()?;
        let angles = [mount.pitch_deg, mount.roll_deg, mount.yaw_deg];
        if !within(mount.height_m, 0.1, 20.0) {
            return Some(("mount.height_m", mount.height_m.to_string(), "0.1 to 20 metres"));
        }
        if !angles[..2].iter().all(|angle| within(*angle, -90.0, 90.0)) || !within(angles[2], -180.0, 180.0) {
            return Some((
                "mount",
                format!("{angles:?}"),
                "pitch and roll of -90 to 90, yaw of -180 to 180 degrees",
            ));
        }
        if !within(mount.pitch_sigma_deg, 0.01, 10.0) {
            return Some(("mount.pitch_sigma_deg", mount.pitch_sigma_deg.to_string(), "0.01 to 10 degrees"));
        }
        if !within(mount.front_m, -30.0, 30.0) || !within(mount.lateral_m, -5.0, 5.0) {
            let found = format!("{} and {}", mount.front_m, mount.lateral_m);
            return Some(("mount.front_m and mount.lateral_m", found, "-30 to 30 and -5 to 5 metres"));
        }
        None
    }
}

impl LensSection {
    fn rounded(&self) -> Self {
        let mut lens = self.clone();
        lens.focal.iter_mut().chain(&mut lens.centre).for_each(|value| *value = round(*value, 1e4));
        lens.distortion.iter_mut().for_each(|value| *value = round(*value, 1e8));
        if let Some(fit) = &mut lens.fit {
            fit.rms_px = round(fit.rms_px, 1e4);
            fit.covered = round(fit.covered, 1e3);
            fit.deviations_px.iter_mut().for_each(|value| *value = round(*value, 1e3));
            fit.views.iter_mut().for_each(|(_, rms)| *rms = round(*rms, 1e3));
        }
        lens
    }
}

impl MountSection {
    fn rounded(&self) -> Self {
        let mut mount = self.clone();
        for value in [
            &mut mount.height_m,
            &mut mount.pitch_deg,
            &mut mount.roll_deg,
            &mut mount.yaw_deg,
            &mut mount.pitch_sigma_deg,
            &mut mount.front_m,
            &mut mount.lateral_m,
        ] {
            *value = round(*value, 1e4);
        }
        if let Some(fit) = &mut mount.fit {
            fit.rms_px = round(fit.rms_px, 1e3);
            fit.height_deviation_m = round(fit.height_deviation_m, 1e4);
            fit.deviations_deg.iter_mut().for_each(|value| *value = round(*value, 1e4));
        }
        mount
    }
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests;
