//! Starts the worker, where something is to be captured.

use std::sync::Arc;
use std::thread::JoinHandle;

use stopline_sensors::clock::Clock;

use super::door::Door;
use crate::config::Config;
use crate::daemon::notes::Notes;
use crate::daemon::slot::Slot;
use crate::daemon::tick::Now;
use crate::exit::Failure;

/// Starts the thread.
pub type Start = Box<dyn FnOnce() -> Result<JoinHandle<()>, Failure>>;

/// The door, and what starts its thread; `None` where nothing is captured. Two steps, since whoever asks needs the door
/// before, and a thread that makes files must start after [`crate::daemon::control::listen`].
///
/// # Errors
/// [`Failure`]: keys that are none, or no model.
#[cfg(feature = "capture")]
pub fn start(
    config: &Config,
    now: &Arc<Slot<Now>>,
    clock: &Arc<dyn Clock>,
    notes: &Notes,
) -> Result<Option<(Door, Start)>, Failure> {
    use super::tally::Tally;
    use super::worker::Worker;
    use crate::daemon::priority::keep_off;
    use crate::exit::{Exit, OrExit as _};

    let capture = &config.capture;
    if !capture.enabled || !config.cameras.iter().any(|camera| capture.takes(camera)) {
        return Ok(None);
    }
    let failed = |problem: String| Failure::new(Exit::Config, anyhow::anyhow!(problem));
    let wanted = |model: &&crate::config::Model| {
        model.bundle.is_none() && (capture.redact_with.is_empty() || model.name == capture.redact_with)
    };
    let finder = config.models.iter().find(wanted).map(crate::config::Model::options);
    let finder = finder.ok_or_else(|| failed("capture.redact_with: no [[model]] with `onnx`".to_owned()))?;
    let tally = Arc::new(Tally::default());
    let (door, handed) = super::door::door(config, &tally);
    let worker = Worker {
        handed,
        config: capture.clone(),
        cameras: config.cameras.iter().map(|camera| camera.name.clone()).collect(),
        finder,
        seal: Arc::new(super::seal::Seal::new(&capture.recipients).map_err(failed)?),
        now: Arc::clone(now),
        clock: Arc::clone(clock),
        notes: notes.clone(),
        tally,
        campaigns: config.depot.as_ref().map(super::campaigns::Place::of),
    };
    let (inference, told) = (config.run.inference_cpus.clone(), notes.clone());
    let start = move || {
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(move || {
            // The lowest share of the processor (setpriority(2) is a thread's own on Linux). Refused, it is as others are.
            let _ = rustix::process::setpriority_process(None, 19);
            if let Err(refusal) = keep_off(&inference) {
                told.log(tracing::Level::WARN, format!("thread capture: {refusal}"));
            }
            worker.run();
        });
        thread.or_exit(Exit::Internal)
    };
    Ok(Some((door, Box::new(start))))
}

/// Nothing is captured by a build without the feature; the configuration has refused it.
///
/// # Errors
/// None.
#[cfg(not(feature = "capture"))]
pub fn start(
    _config: &Config,
    _now: &Arc<Slot<Now>>,
    _clock: &Arc<dyn Clock>,
    _notes: &Notes,
) -> Result<Option<(Door, Start)>, Failure> {
    Ok(None)
}
