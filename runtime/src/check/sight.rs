//! What a camera sees how soon: its pictures, its lens, the models that look at them, and the time all that takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stopline_decide::decider::Function;
use stopline_depot::bundle::Bundle;
use stopline_depot::digest::Digest;
use stopline_depot::manifest::Manifest;
use stopline_depot::slots::{StatePaths, StateReader};
use stopline_sensors::clock::SystemClock;
use stopline_sensors::open::{OpenOptions, open};

use super::measured;
use super::reach::Latency;
use super::report::Finding;
use crate::calibrate::file::{CalibrationFile, Origin, Shown};
use crate::config::{Camera, Config, Depot, Engine, Light, Model};
use crate::models::vault::Vault;
use crate::prepare::geometry::Geometry;

/// A camera as far as it is known without opening it.
pub struct Sight {
    /// Its pictures, where known.
    pub picture: Option<[u32; 2]>,
    /// Frames per second, where known.
    pub rate: Option<f64>,
    /// How it sees; only where it can be relied on.
    pub calibration: Option<CalibrationFile>,
    /// The models that look at its frames.
    pub models: Vec<Seer>,
    /// What was found on the way.
    pub findings: Vec<Finding>,
}

/// A model that looks at a camera's frames.
pub struct Seer {
    /// Its name in the configuration.
    pub name: String,
    /// When it looks: day, night, or always.
    pub light: Option<Light>,
    /// Its manifest.
    pub manifest: Manifest,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Longest time per frame in seconds, where known.
    pub time: Option<f64>,
}

impl Seer {
    /// Whether it looks by this light.
    pub fn looks_by(&self, light: Light) -> bool {
        self.light.is_none_or(|own| own == light)
    }

    /// Input pixels per pixel of a picture of `size`, down.
    pub fn scale(&self, size: [u32; 2]) -> f64 {
        let input = [self.manifest.input.width, self.manifest.input.height];
        f64::from(Geometry::fit(size, input, &self.manifest.input.resize).scale[1])
    }
}

/// Looks at camera number `at`.
pub fn of(config: &Config, at: usize) -> Sight {
    let camera = &config.cameras[at];
    let mut findings = Vec::new();
    let (picture, rate) = source(config, camera, &mut findings);
    let calibration = calibration(camera, picture, &mut findings);
    let serving = config.models.iter().filter(|model| model.serves(&camera.name));
    let models = serving.filter_map(|model| seer(config, model, picture, &mut findings)).collect();
    Sight { picture, rate, calibration, models, findings }
}

/// Picture size and frame rate, as the configuration or the recording says.
fn source(config: &Config, camera: &Camera, findings: &mut Vec<Finding>) -> (Option<[u32; 2]>, Option<f64>) {
    let about = "source".to_owned();
    let declared = config.check.frame_rate.get(&camera.name).copied();
    let device = camera.source.starts_with("/dev/") || camera.source.starts_with("serial:");
    if device {
        let v4l2 = camera.v4l2.as_ref();
        let picture = v4l2.and_then(|v4l2| v4l2.size).map(|(width, height)| [width, height]);
        if picture.is_none() && camera.calibration.is_some() {
            let advice = format!(
                "set camera.v4l2.size, so that {} always gives the pictures it was calibrated for",
                camera.name
            );
            findings.push(Finding::warning(&about, "its picture size is whatever the device offers", advice));
        }
        // A device that is asked for no rate is asked for 30.
        return (picture, declared.or_else(|| v4l2.and_then(|v4l2| v4l2.fps)).or(Some(30.0)));
    }
    if camera.is_network() {
        if declared.is_none() {
            let advice =
                format!("set check.frame_rate.{} to what the camera is configured to send", camera.name);
            findings.push(Finding::refused(
                &about,
                "its frame rate is not known: a stream does not say it",
                advice,
            ));
        }
        return (None, declared);
    }
    match open(&camera.source, &OpenOptions::default(), Arc::new(SystemClock)) {
        Ok(source) => {
            let info = source.info();
            let rate = info.period.map(|period| 1.0 / period.as_secs_f64()).filter(|rate| rate.is_finite());
            (Some([info.size.0, info.size.1]), declared.or(rate))
        }
        Err(error) => {
            findings.push(Finding::refused(&about, error.to_string(), "name a source that is there"));
            (None, declared)
        }
    }
}

fn calibration(
    camera: &Camera,
    picture: Option<[u32; 2]>,
    findings: &mut Vec<Finding>,
) -> Option<CalibrationFile> {
    let path = camera.calibration.as_ref()?;
    let about = "calibration".to_owned();
    let file = match CalibrationFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            findings.push(Finding::refused(about, error.to_string(), "make it with `stopline calibrate`"));
            return None;
        }
    };
    let serial = camera.source.strip_prefix("serial:").map(str::to_owned);
    let shown = Shown { picture: picture.unwrap_or(file.picture), crop: None, serial };
    if let Err(mismatch) = file.fits(&camera.name, &shown) {
        findings.push(Finding::refused(about, mismatch.to_string(), ""));
        return None;
    }
    if !file.poor.is_empty() {
        let text = format!("{}: written although it is poor: {}", path.display(), file.poor.join("; "));
        findings.push(Finding::refused(about, text, "calibrate anew; no brake by a poor calibration"));
        return None;
    }
    let angles = file.lens().field_of_view(file.picture);
    let angles = angles.map_or_else(|| "?".to_owned(), |[across, _]| format!("{across:.1} degrees across"));
    let [width, height] = file.picture;
    let text = format!("{}: {width}x{height}, {}, {angles}", path.display(), file.lens.model.name());
    findings.push(match file.from {
        Origin::Parameters => {
            let advice =
                "a data sheet's angle is easily 5 % off, and distances with it: `stopline calibrate lens`";
            Finding::warning(about, text + ", from given parameters, not measured", advice)
        }
        Origin::Board | Origin::Opencv => Finding::passed(about, text),
    });
    Some(file)
}

fn seer(
    config: &Config,
    model: &Model,
    picture: Option<[u32; 2]>,
    findings: &mut Vec<Finding>,
) -> Option<Seer> {
    let about = format!("model {}", model.name);
    let refuse = |text: String, advice: &str| Finding::refused(&about, text, advice);
    let (manifest, sha256) = match of_model(config, model) {
        Ok(found) => found,
        Err((problem, advice)) => {
            findings.push(refuse(problem, &advice));
            return None;
        }
    };
    let input = format!("input {}x{}", manifest.input.width, manifest.input.height);
    findings.push(Finding::passed(&about, format!("{} {}, {input}", manifest.name, manifest.version)));
    let time = time(config, model, &sha256, picture, findings);
    Some(Seer { name: model.name.clone(), light: model.when.light, manifest, sha256, time })
}

/// A model's manifest and the SHA-256 of its ONNX file; else what is wrong, and what to do.
fn of_model(config: &Config, model: &Model) -> Result<(Manifest, String), (String, String)> {
    if let (Some(bundle), Some(depot)) = (&model.bundle, &config.depot) {
        let advice = "`stopline doctor` tells why a bundle is not loaded".to_owned();
        return in_force(depot, bundle).map_err(|problem| (problem, advice));
    }
    let sha256 = measured::digest(&model.onnx).map_err(|cause| {
        (format!("{}: cannot read it: {cause}", model.onnx.display()), "name the ONNX file".to_owned())
    })?;
    let path = model.manifest.clone().unwrap_or_else(|| model.onnx.with_extension("toml"));
    let manifest = manifest(&path).map_err(|problem| {
        let advice =
            format!("write one with `stopline model manifest {}` and check it", model.onnx.display());
        (format!("{}: {problem}", path.display()), advice)
    })?;
    Ok((manifest, sha256))
}

/// Of the bundle that the daemon would load.
fn in_force(depot: &Depot, bundle: &str) -> Result<(Manifest, String), String> {
    let reader = StateReader::new(StatePaths::new(&depot.state));
    let pointers = reader.pointers().map_err(|error| error.to_string())?.of(bundle);
    let (found, passed) = Vault::new(depot, None).choose(bundle, &pointers, |_| Ok(()));
    let first = || passed.first().map_or_else(String::new, |passed| passed.error.to_string());
    let (held, ()) = found.ok_or_else(first)?;
    let read = Bundle::read(&held.bytes).map_err(|error| error.to_string())?;
    let sha256 = Digest::of(read.model).to_string();
    Ok((read.manifest, sha256))
}

fn manifest(path: &Path) -> Result<Manifest, String> {
    const MOST: u64 = 4 << 20;
    let length = std::fs::metadata(path).map_err(|cause| format!("cannot read the manifest: {cause}"))?.len();
    if length > MOST {
        return Err(format!("{length} bytes, expected a manifest of at most {MOST}"));
    }
    let bytes = std::fs::read(path).map_err(|cause| format!("cannot read the manifest: {cause}"))?;
    let parsed = if path.extension().is_some_and(|ending| ending == "json") {
        Manifest::from_json(&bytes)
    } else {
        Manifest::from_toml(&String::from_utf8_lossy(&bytes))
    };
    parsed.map_err(|error| error.to_string())
}

/// Longest time per frame: measured, else declared.
fn time(
    config: &Config,
    model: &Model,
    sha256: &str,
    picture: Option<[u32; 2]>,
    findings: &mut Vec<Finding>,
) -> Option<f64> {
    let about = format!("model {}: time", model.name);
    let declared = config.check.latency_ms.get(&model.name).copied();
    let Some(path) = config.check.bench.get(&model.name) else {
        let advice = bench_advice(model, picture);
        return match declared {
            Some(ms) => {
                findings.push(Finding::warning(
                    about,
                    format!("{ms} ms per frame, declared, not measured"),
                    advice,
                ));
                Some(ms / 1e3)
            }
            None => {
                findings.push(Finding::refused(about, "not known how long a frame takes", advice));
                None
            }
        };
    };
    let timing = match measured::timing(path, sha256) {
        Ok(timing) => timing,
        Err(error) => {
            findings.push(Finding::refused(about, error.to_string(), bench_advice(model, picture)));
            return None;
        }
    };
    let engine = match model.backend {
        Engine::Kernels => "kernels",
        Engine::Tract => "tract",
        Engine::Ort => "ort",
    };
    let text = format!(
        "{:.1} ms per frame, 99 % of {} frames ({})",
        timing.p99 * 1e3,
        timing.frames,
        path.display()
    );
    let same = timing.backend == engine && timing.threads == u64::from(model.threads);
    let size = picture.is_none_or(|picture| picture == timing.size);
    if !same || !size {
        let told = format!(
            "{text}, measured with {} on {} thread(s) and {}x{} pictures, configured are {engine}, {} and {}",
            timing.backend,
            timing.threads,
            timing.size[0],
            timing.size[1],
            model.threads,
            picture.map_or("unknown".to_owned(), |[width, height]| format!("{width}x{height}")),
        );
        findings.push(Finding::refused(about, told, bench_advice(model, picture)));
        return None;
    }
    findings.push(Finding::passed(about, text));
    Some(timing.p99)
}

fn bench_advice(model: &Model, picture: Option<[u32; 2]>) -> String {
    let [width, height] = picture.unwrap_or([1280, 720]);
    let onnx: PathBuf = model.onnx.file_name().map(PathBuf::from).unwrap_or_default();
    format!(
        "on the board: stopline bench --model {} --threads {} pattern:{width}x{height},nv12 --json > {}.bench.json, and \
         check.bench.{} = \"{}.bench.json\"",
        onnx.display(),
        model.threads,
        model.name,
        model.name,
        model.name
    )
}

/// Time from light to command for camera number `at`, where all of it is known. `own` is that camera.
pub fn latency(config: &Config, at: usize, own: &Sight) -> Option<(Latency, f64)> {
    let camera = &config.cameras[at];
    let period = 1.0 / own.rate?;
    let mut see = 0.0;
    // Cameras of one thread are served in turn: the longest wait is for one frame of each.
    for (other, neighbour) in config.cameras.iter().enumerate() {
        if other == at {
            see += cost(&own.models)?;
        } else if neighbour.thread == camera.thread {
            see += cost(&of(config, other).models)?;
        }
    }
    let looked_at = period.max(see);
    // What lies beside the corridor, or moves too little, is seen with the next look at all of the picture.
    let unseen = camera.attention.unseen_for(looked_at);
    let capture = camera.declared_latency_ms.map_or(f64::from(-camera.capture_offset_ms), f64::from) / 1e3;
    let latency = Latency {
        period: looked_at + unseen,
        capture,
        // A frame that comes while the one before is being looked at waits for it.
        wait: if see > period { period } else { 0.0 },
        see,
        // A period until the actuator loop sends it, and one more for the bus and the receiver's own.
        act: 2.0 * f64::from(config.run.command_period_ms) / 1e3,
    };
    Some((latency, 1.0 / looked_at))
}

/// Time of all models that look at a frame by day, or by night, whichever is longer.
fn cost(models: &[Seer]) -> Option<f64> {
    let by = |light: Light| {
        models.iter().filter(|model| model.looks_by(light)).map(|model| model.time).sum::<Option<f64>>()
    };
    Some(by(Light::Day)?.max(by(Light::Night)?))
}

/// The labels that play the part of `function` in a manifest.
pub fn labels(manifest: &Manifest, function: Function) -> Vec<String> {
    let roles: &[&str] = match function {
        Function::StopSign => &["stop_sign"],
        Function::Pedestrian => &["pedestrian", "person"],
        Function::Fall => &["pedestrian", "person", "fallen"],
        Function::Watch => return Vec::new(),
    };
    let mut all: Vec<String> =
        roles.iter().filter_map(|role| manifest.roles.get(*role)).flatten().cloned().collect();
    all.dedup();
    all
}
