//! What a deciding replay decides by: a configuration file, or the command line alone.

use std::path::Path;

use anyhow::{Context, anyhow};
use stopline_decide::commander::CommandConfig;
use stopline_decide::decider::DecideConfig;
use stopline_decide::observe::Role;
use stopline_decide::time::Nanos;
use stopline_sensors::clock::SystemClock;
use stopline_sensors::signals::config::Source;
use stopline_sensors::signals::{Vehicle, VehicleSignals};
use stopline_sensors::source::SourceInfo;

use super::Args;
use crate::calibrate::file::CalibrationFile;
use crate::config::Config;
use crate::exit::{Exit, Failure, OrExit};
use crate::guard::placed::Reference;
use crate::guard::{CameraFacts, Promised};
use crate::pipeline::virtual_time::Pace;
use crate::signals;

/// Everything a [`Judge`](super::judge::Judge) needs.
pub struct Plan {
    /// The configuration, reduced to one camera.
    pub config: Config,
    pub decide: DecideConfig,
    pub facts: CameraFacts,
    pub promised: Promised,
    pub signals: VehicleSignals,
    pub pace: Pace,
    /// Keeps the recorded signals open.
    _vehicle: Option<Vehicle>,
}

impl Plan {
    /// `roles` are those that the models' classes play; `info` is the recording.
    pub fn new(args: &Args, config: Config, info: Option<&SourceInfo>) -> Result<Self, Failure> {
        let camera = config.cameras.first();
        let calibration = match camera.and_then(|camera| camera.calibration.as_ref()) {
            Some(path) => CalibrationFile::read(path).or_exit(Exit::Config)?.decide(),
            None => None,
        };
        let decide = config
            .decide(&[calibration])
            .map_err(|misfit| anyhow!("{}: found {}, expected {}", misfit.key, misfit.found, misfit.expected))
            .or_exit(Exit::Config)?;
        let mut facts = CameraFacts::default();
        if let (Some(camera), Some(info)) = (camera, info) {
            let falls = camera.functions.contains(&stopline_decide::decider::Function::Fall);
            facts = CameraFacts::of(info, &camera.guard, falls);
            facts.references =
                camera.guard.references.iter().map(|path| reference(path)).collect::<Result<_, _>>()?;
        }
        facts.size = calibration.map(|calibration| calibration.size);
        // Recorded pictures carry the recording's own times.
        facts.latency_declared = true;
        let vehicle = open_signals(&config)?;
        let signals = vehicle.as_ref().map_or_else(VehicleSignals::none, Vehicle::signals);
        let promised = Promised { speed: config.vehicle.is_some(), ..Promised::default() };
        let pace = Pace { latency: Nanos::from_millis(args.latency.into()), ..Pace::default() };
        Ok(Self { config, decide, facts, promised, signals, pace, _vehicle: vehicle })
    }

    /// `[command]`, with a decision's age fit for the recording's frame rate.
    pub fn command(&self) -> CommandConfig {
        match self.facts.period {
            Some(period) => self.config.command.with_frame_period(period),
            None => self.config.command,
        }
    }

    /// Names of watched classes, in their order.
    pub fn watched(config: &Config) -> Vec<&str> {
        config.watch.iter().map(|watch| watch.name.as_str()).collect()
    }
}

/// The configuration of the command line: `--config` reduced to one camera, or one made of `--functions`; with
/// `--calibration` and `--signals` put in their places.
pub fn config(args: &Args, roles: impl Iterator<Item = Role>) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => one_camera(Config::load(path).or_exit(Exit::Config)?, args.camera.as_deref(), path)?,
        None => from_functions(args, roles)?,
    };
    if let (Some(path), Some(camera)) = (&args.calibration, config.cameras.first_mut()) {
        camera.calibration = Some(path.clone());
    }
    if let Some(track) = &args.signals {
        let text = format!("source = \"track\"\nfile = {}", toml::Value::from(track.display().to_string()));
        config.vehicle = Some(toml::from_str(&text).context("--signals").or_exit(Exit::Internal)?);
    }
    Ok(config)
}

/// Whether a command line without a configuration decides: then there must be something to decide by.
pub fn decides(args: &Args) -> bool {
    args.config.is_some()
        || args.signals.is_some()
        || args.calibration.is_some()
        || !args.functions.is_empty()
}

fn one_camera(mut config: Config, wanted: Option<&str>, path: &Path) -> Result<Config, Failure> {
    let names: Vec<String> = config.cameras.iter().map(|camera| camera.name.clone()).collect();
    let at = match wanted {
        Some(name) => names.iter().position(|known| known == name),
        None => (names.len() == 1).then_some(0),
    };
    let Some(at) = at else {
        let problem = match wanted {
            Some(name) => format!("no camera {name:?}"),
            None => format!("{} cameras", names.len()),
        };
        let told = anyhow!("{}: {problem}; say which with --camera: {}", path.display(), names.join(", "));
        return Err(Failure::new(Exit::Usage, told));
    };
    let camera = config.cameras.swap_remove(at);
    config.models.retain(|model| model.serves(&camera.name));
    config.cameras = vec![camera];
    Ok(config)
}

fn from_functions(args: &Args, roles: impl Iterator<Item = Role>) -> Result<Config, Failure> {
    let mut functions: Vec<&str> = args.functions.iter().map(String::as_str).collect();
    if functions.is_empty() {
        functions = roles.filter_map(usual_function).collect();
        functions.sort_unstable();
        functions.dedup();
    }
    let text = format!(
        "schema = 1\n[[camera]]\nname = \"replay\"\nsource = \"replay\"\nfunctions = {functions:?}\n\
         [[model]]\nname = \"replay\"\nonnx = \"replay\"\n"
    );
    Config::from_toml(&text, Path::new("--functions")).or_exit(Exit::Usage)
}

/// A fall is looked for on demand only: before a driving camera it means nothing.
fn usual_function(role: Role) -> Option<&'static str> {
    match role {
        Role::StopSign => Some("stop_sign"),
        Role::Person => Some("pedestrian"),
        Role::PersonDown | Role::Watched(_) => None,
    }
}

fn open_signals(config: &Config) -> Result<Option<Vehicle>, Failure> {
    let Some(vehicle) = &config.vehicle else { return Ok(None) };
    if vehicle.source == Source::Can {
        tracing::warn!("[vehicle] is a bus, and a replay has none: give the recorded signals with --signals");
        return Ok(None);
    }
    signals::open(vehicle, std::sync::Arc::new(SystemClock), || {}).map(Some).or_exit(Exit::Input)
}

fn reference(path: &Path) -> Result<Reference, Failure> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string()).or_exit(Exit::Config)?;
    Reference::from_json(&bytes).with_context(|| path.display().to_string()).or_exit(Exit::Config)
}
