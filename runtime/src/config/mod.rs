//! The one configuration file: read by `run`, `check`, `doctor`, `view` and `replay --config`.
//!
//! A [`Config`] exists only checked. Unknown keys are refused; every error names file, line, key, what was found, what is
//! expected, and the page of `runtime/CONFIGURATION.md` that explains the section. Each section's struct lives with its
//! owner: what deciding needs in `stopline-decide`, what a bus needs in [`crate::act`], and so on; here stand the sections
//! of the daemon itself, and the table of keys that may change while it runs ([`reload`]).

mod arm;
mod camera;
mod capture;
mod depot;
mod drift;
mod error;
mod migration;
mod model;
mod place;
pub mod reload;
mod run;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_decide::bounds::OutOfBounds;
use stopline_decide::camera::{Calibration, PathConfig};
use stopline_decide::commander::CommandConfig;
use stopline_decide::decider::{CameraConfig, DecideConfig, MAX_CAMERAS};
use stopline_decide::fall::{FallConfig, MAX_REGIONS};
use stopline_decide::pedestrian::PedestrianConfig;
use stopline_decide::stop_sign::StopSignConfig;
use stopline_decide::track::TrackConfig;
use stopline_decide::watch::MAX_WATCHES;
use stopline_depot::spool::Rule;

pub use arm::{Arm, ArmInput};
pub use camera::{Camera, Rtsp};
pub use capture::{Capture, CaptureRule, Region};
pub use depot::{Depot, ShadowLimits, TestLimits, TrialLimits};
pub use drift::DriftConfig;
pub use error::{ConfigError, Misfit};
pub use migration::CHAIN;
pub use model::{Engine, Light, Model, When};
pub use run::{LogLevel, Run};
pub use stopline_decide::decider::Function;
pub use watch::Watch;

use crate::act::config::{ActuatorConfig, may_arm};
use crate::check::config::CheckConfig;
pub use crate::guard::GuardConfig;
use crate::signals::{self, VehicleConfig};

use place::Place;

/// The schema this code reads.
pub const SCHEMA: u32 = 1;

/// Where each section is explained.
pub const PAGE: &str = "runtime/CONFIGURATION.md";

/// A configuration that a person wrote is far smaller.
const MOST_BYTES: u64 = 1 << 20;

/// Most models of one process.
const MOST_MODELS: usize = 16;

/// Most actuators of one process.
const MOST_ACTUATORS: usize = 16;

/// A checked configuration, with relative paths resolved against the file's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this schema; 1.
    pub schema: u32,
    /// `[run]`: the process itself.
    #[serde(default)]
    pub run: Run,
    /// `[[camera]]`: where frames come from. A camera's number in decisions is its place in this list.
    #[serde(rename = "camera", default)]
    pub cameras: Vec<Camera>,
    /// `[[model]]`: what looks at them.
    #[serde(rename = "model", default)]
    pub models: Vec<Model>,
    /// `[depot]`: where models over the air lie.
    #[serde(default)]
    pub depot: Option<Depot>,
    /// `[vehicle]`: what the vehicle says of itself and of its driver.
    #[serde(default)]
    pub vehicle: Option<VehicleConfig>,
    /// `[track]`: following objects from frame to frame.
    #[serde(default)]
    pub track: TrackConfig,
    /// `[path]`: where the vehicle goes.
    #[serde(default)]
    pub path: PathConfig,
    /// `[stop_sign]`: stopping before stop signs.
    #[serde(default)]
    pub stop_sign: StopSignConfig,
    /// `[pedestrian]`: persons in our path.
    #[serde(default)]
    pub pedestrian: PedestrianConfig,
    /// `[[watch]]`: other classes. A class's number in decisions is its place in this list.
    #[serde(default)]
    pub watch: Vec<Watch>,
    /// `[fall]`: persons who go down.
    #[serde(default)]
    pub fall: FallConfig,
    /// `[command]`: what may be asked of the brake.
    #[serde(default)]
    pub command: CommandConfig,
    /// `[guard]`: whether what comes in can be trusted.
    #[serde(default)]
    pub guard: GuardConfig,
    /// `[[actuator]]`: where commands go.
    #[serde(rename = "actuator", default)]
    pub actuators: Vec<ActuatorConfig>,
    /// `[arm]`: whether, and by whom, commands may be armed.
    #[serde(default)]
    pub arm: Arm,
    /// `[capture]`: which frames are kept for learning.
    #[serde(default)]
    pub capture: Capture,
    /// `[drift]`: whether cameras and models still give what they gave.
    #[serde(default)]
    pub drift: DriftConfig,
    /// `[check]`: what is asked of all this, for `stopline check`. The daemon does not read it.
    #[serde(default)]
    pub check: CheckConfig,
}

impl Config {
    /// Reads and checks the file `path`.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and page.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_toml(&read(path)?, path)
    }

    /// Reads and checks `text`, which stands in the file `path`: the name for messages, its folder for relative paths. One of
    /// an older schema is brought to the newest first, and that is logged.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let (text, name) = migration::brought(text, path)?;
        Self::of_newest(&text, name, path)
    }

    /// Of a text that has been brought to the newest schema; `name`: what messages call it.
    fn of_newest(text: &str, name: String, path: &Path) -> Result<Self, ConfigError> {
        let place = Place::new(text, name);
        let mut config: Self = toml::from_str(text).map_err(|error| place.toml(&error))?;
        config.check().map_err(|misfit| place.misfit(misfit))?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// What is decided, with the cameras' calibrations by their places; those beyond the list have none.
    ///
    /// # Errors
    /// More cameras or watched classes than a decider takes.
    pub fn decide(&self, calibrations: &[Option<Calibration>]) -> Result<DecideConfig, Misfit> {
        let mut decide = DecideConfig {
            track: self.track,
            path: self.path,
            stop_sign: self.stop_sign,
            pedestrian: self.pedestrian,
            fall: self.fall.clone(),
            brake_without_speed: self.command.brake_without_speed,
            ..DecideConfig::default()
        };
        for (at, camera) in self.cameras.iter().enumerate() {
            let calibration = calibrations.get(at).copied().flatten();
            let camera = CameraConfig { functions: camera.function_set(), calibration };
            let full = |_| Misfit::new("camera", self.cameras.len(), format!("at most {MAX_CAMERAS}"));
            decide.cameras.push(camera).map_err(full)?;
            let beds = &self.cameras[at].beds;
            let most =
                |()| Misfit::new(&format!("camera[{at}].beds"), beds.len(), format!("at most {MAX_REGIONS}"));
            decide.beds[at].extend_from_slice(beds).map_err(|_| most(()))?;
        }
        for watch in &self.watch {
            let full = |_| Misfit::new("watch", self.watch.len(), format!("at most {MAX_WATCHES}"));
            decide.watch.push(watch.decide()).map_err(full)?;
        }
        Ok(decide)
    }

    /// Everything that takes effect, defaults included, as TOML.
    pub fn effective(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be written as TOML: {error}\n"))
    }

    fn check(&self) -> Result<(), Misfit> {
        if self.schema != SCHEMA {
            return Err(Misfit::new("schema", self.schema, format!("{SCHEMA}, the only one so far")));
        }
        self.run.check()?;
        counted("camera", self.cameras.len(), 1, MAX_CAMERAS)?;
        counted("model", self.models.len(), 0, MOST_MODELS)?;
        named("camera", self.cameras.iter().map(|camera| camera.name.as_str()))?;
        named("model", self.models.iter().map(|model| model.name.as_str()))?;
        for (at, camera) in self.cameras.iter().enumerate() {
            camera.check().map_err(|misfit| misfit.within(&format!("camera[{at}]")))?;
        }
        let cameras: BTreeSet<&str> = self.cameras.iter().map(|camera| camera.name.as_str()).collect();
        for (at, model) in self.models.iter().enumerate() {
            model.check(&cameras).map_err(|misfit| misfit.within(&format!("model[{at}]")))?;
        }
        self.deposited()?;
        self.served()?;
        counted("watch", self.watch.len(), 0, MAX_WATCHES)?;
        named("watch", self.watch.iter().map(|watch| watch.name.as_str()))?;
        counted("actuator", self.actuators.len(), 0, MOST_ACTUATORS)?;
        self.decide(&[])?.check()?;
        self.command.check()?;
        if let Some(vehicle) = &self.vehicle {
            signals::check(vehicle).map_err(|misfit| misfit.within("vehicle"))?;
        }
        for (at, actuator) in self.actuators.iter().enumerate() {
            actuator.check().map_err(|misfit| misfit.within(&format!("actuator[{at}]")))?;
        }
        named("actuator", self.actuators.iter().map(ActuatorConfig::name))?;
        self.guard.check().map_err(|error| {
            let expected = format!("{} to {}", error.least, error.most);
            Misfit::new(&format!("guard.{}", error.key), error.found, expected)
        })?;
        self.capture.check(&cameras, &self.models)?;
        self.drift.check()?;
        let cameras: Vec<&str> = cameras.into_iter().collect();
        let models: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        self.check.check(&cameras, &models)?;
        let unsigned = self.models.iter().find(|model| model.bundle.is_none());
        self.arm.check(unsigned.map(|model| model.name.as_str()))?;
        if self.arm.armed { may_arm(&self.actuators) } else { Ok(()) }
    }

    /// A model over the air needs a depot, and is one model: two sections could want two bundles of it at once.
    fn deposited(&self) -> Result<(), Misfit> {
        self.depot.as_ref().map_or(Ok(()), Depot::check)?;
        let asked = self.capture.rules.iter().position(|rule| rule.rule == Rule::Campaign);
        if let Some(at) = asked.filter(|_| self.depot.is_none()) {
            let key = format!("capture.rule[{at}].rule");
            let expected = "a [depot] section: its `trust` judges what the agent brings";
            return Err(Misfit::new(&key, "\"campaign\" without [depot]", expected));
        }
        let mut seen = BTreeSet::new();
        for (at, model) in self.models.iter().enumerate() {
            let Some(bundle) = &model.bundle else { continue };
            let key = format!("model[{at}].bundle");
            if self.depot.is_none() {
                return Err(Misfit::new(&key, format!("{bundle:?} without [depot]"), "a [depot] section"));
            }
            if !seen.insert(bundle) {
                return Err(Misfit::new(&key, format!("{bundle:?} a second time"), "one [[model]] for each"));
            }
        }
        Ok(())
    }

    /// A camera that is to decide something needs a model that looks at it.
    fn served(&self) -> Result<(), Misfit> {
        for (at, camera) in self.cameras.iter().enumerate() {
            let seen = self.models.iter().any(|model| model.serves(&camera.name));
            if !camera.functions.is_empty() && !seen {
                let found = format!("{:?}, and no [[model]] for this camera", camera.functions);
                return Err(Misfit::new(
                    &format!("camera[{at}].functions"),
                    found,
                    "a [[model]] that names the camera, or none in its `cameras`",
                ));
            }
        }
        Ok(())
    }

    fn resolve(&mut self, folder: &Path) {
        self.cameras.iter_mut().for_each(|camera| camera.resolve(folder));
        self.models.iter_mut().for_each(|model| model.resolve(folder));
        self.check.resolve(folder);
        self.capture.resolve(folder);
        self.drift.resolve(folder);
        if let Some(depot) = &mut self.depot {
            depot.resolve(folder);
        }
        self.actuators.iter_mut().for_each(|actuator| actuator.resolve(folder));
        if let Some(vehicle) = &mut self.vehicle {
            vehicle.resolve(folder);
        }
    }
}

/// The text of the file `path`, bounded.
///
/// # Errors
/// [`ConfigError::Read`] and [`ConfigError::Large`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let refused = |cause| ConfigError::Read { path: path.display().to_string(), cause };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(refused)?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(refused)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(ConfigError::Large { path: path.display().to_string(), most: MOST_BYTES });
    }
    Ok(text)
}

/// `path` as seen from `folder`.
fn seen_from(folder: &Path, path: &mut PathBuf) {
    *path = folder.join(&*path);
}

impl From<OutOfBounds> for Misfit {
    fn from(bounds: OutOfBounds) -> Self {
        let OutOfBounds { section, key, found, least, most } = bounds;
        Self::new(&format!("{section}.{key}"), found, format!("{least} to {most}"))
    }
}

fn counted(key: &str, found: usize, least: usize, most: usize) -> Result<(), Misfit> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Misfit::new(key, format!("{found} [[{key}]] sections"), format!("{least} to {most}")))
}

/// Names label files, sockets and metrics, so they are held to what those can carry, and each is there once.
fn named<'a>(section: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Misfit> {
    let mut seen = BTreeSet::new();
    for (at, name) in names.enumerate() {
        let key = format!("{section}[{at}].name");
        if !is_name(name) {
            return Err(Misfit::new(&key, format!("{name:?}"), NAME));
        }
        if !seen.insert(name) {
            return Err(Misfit::new(&key, format!("{name:?} a second time"), "a name of its own"));
        }
    }
    Ok(())
}

const NAME: &str = "1 to 64 letters, digits, `-`, `_` or `.`";

fn is_name(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(sound)
}
