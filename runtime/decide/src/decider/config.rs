//! Settings of everything that is decided.

use heapless::Vec;

use crate::bounds::{OutOfBounds, Section};
use crate::camera::{Calibration, PathConfig};
use crate::fall::{FallConfig, MAX_REGIONS, Region};
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
    /// `[fall]`
    pub fall: FallConfig,
    /// Per camera, by its number: beds that this camera sees, beside those of `[fall]`, which hold for every camera.
    pub beds: [Vec<Region, MAX_REGIONS>; MAX_CAMERAS],
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
        Section("camera").holds_whole("count", whole(self.cameras.len()), 1, whole(MAX_CAMERAS))?;
        for calibration in self.cameras.iter().filter_map(|camera| camera.calibration) {
            calibration.check()?;
        }
        self.track.check()?;
        self.path.check()?;
        self.stop_sign.check()?;
        self.pedestrian.check()?;
        self.check_falls()?;
        self.watch.iter().try_for_each(WatchConfig::check)
    }

    /// `[fall]`, and with each camera's own beds.
    fn check_falls(&self) -> Result<(), OutOfBounds> {
        self.fall.check()?;
        for beds in &self.beds {
            let most = whole(MAX_REGIONS - self.fall.beds.len());
            Section("camera").holds_whole("beds", whole(beds.len()), 0, most)?;
            FallConfig { beds: beds.clone(), ..self.fall.clone() }.check()?;
        }
        Ok(())
    }
}

/// A count of something that there are few of.
fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
