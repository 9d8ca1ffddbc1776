//! Settings of everything that is decided.

use heapless::Vec;

use crate::bounds::{OutOfBounds, Section};
use crate::camera::{Calibration, PathConfig};
use crate::pedestrian::PedestrianConfig;
use crate::stop_sign::StopSignConfig;
use crate::track::TrackConfig;
use crate::watch::{MAX_WATCHES, WatchConfig};

/// Most cameras that one decider follows.
pub const MAX_CAMERAS: usize = 4;

/// What a camera is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Function {
    /// Stop signs ahead of the vehicle.
    StopSign,
    /// Persons in or about to enter the vehicle's path.
    Pedestrian,
    /// Persons who fall, before a fixed camera.
    Fall,
    /// Classes by configuration.
    Watch,
}

/// A set of [`Function`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Functions(u8);

impl Functions {
    /// With `function`.
    #[must_use]
    pub const fn with(self, function: Function) -> Self {
        Self(self.0 | (1 << function as u8))
    }

    /// Whether `function` is in it.
    pub const fn has(self, function: Function) -> bool {
        self.0 & (1 << function as u8) != 0
    }
}

impl FromIterator<Function> for Functions {
    fn from_iter<I: IntoIterator<Item = Function>>(functions: I) -> Self {
        functions.into_iter().fold(Self::default(), Self::with)
    }
}

/// One camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CameraConfig {
    /// What it is for.
    pub functions: Functions,
    /// How it sees. Without it, and with pictures of another size, nothing has a distance: no stop sign is served, and a
    /// person leads to a warning by growth at most.
    pub calibration: Option<Calibration>,
}

/// Everything that is decided, with all cameras. Sections of the configuration file carry the same names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecideConfig {
    /// The cameras, in the order of their numbers.
    pub cameras: Vec<CameraConfig, MAX_CAMERAS>,
    /// `[track]`
    pub track: TrackConfig,
    /// `[path]`
    pub path: PathConfig,
    /// `[stop_sign]`
    pub stop_sign: StopSignConfig,
    /// `[pedestrian]`
    pub pedestrian: PedestrianConfig,
    /// `[[watch]]`
    pub watch: Vec<WatchConfig, MAX_WATCHES>,
    /// The commander's key of the same name in `[command]`: whether a brake for a person may begin by growth alone while
    /// the ego speed is not fresh. Default false.
    pub brake_without_speed: bool,
}

impl DecideConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let most = u32::try_from(MAX_CAMERAS).unwrap_or(u32::MAX);
        let count = u32::try_from(self.cameras.len()).unwrap_or(u32::MAX);
        Section("camera").holds_whole("count", count, 1, most)?;
        for calibration in self.cameras.iter().filter_map(|camera| camera.calibration) {
            calibration.check()?;
        }
        self.track.check()?;
        self.path.check()?;
        self.stop_sign.check()?;
        self.pedestrian.check()?;
        self.watch.iter().try_for_each(WatchConfig::check)
    }
}
