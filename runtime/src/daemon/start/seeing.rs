//! Starts capture and inference.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stopline_decide::time::Nanos;
use stopline_sensors::frame::Frame;
use stopline_sensors::source::FrameSource;
use tracing::Level;

use super::parts::Parts;
use super::{Seeing, spawn};
use crate::attention::Attention;
use crate::config::{Camera, Config, Model};
use crate::cpu;
use crate::daemon::deploying::Placed;
use crate::daemon::exchange::Exchange;
use crate::daemon::light::LightMeter;
use crate::daemon::looking::{Eye, Looker, Looking};
use crate::daemon::models;
use crate::daemon::news::Situations;
use crate::daemon::notes::Notes;
use crate::daemon::priority::Rank;
use crate::daemon::report::ModelSeat;
use crate::exit::Failure;
use crate::guard::{CameraFacts, CameraGuard};
use crate::intake::capture::Capture;
use crate::intake::gauges::Gauges;
use crate::intake::mailbox::Mailbox;

/// What sees.
#[derive(Default)]
pub(super) struct Eyes {
    pub threads: Vec<Seeing>,
    /// Between them.
    pub mailboxes: Vec<Arc<Mailbox<Frame>>>,
    /// Places of models over the air, one for each model and inference thread.
    pub places: Vec<Placed>,
}

/// The threads, the mailboxes between them, and the places in which models can be exchanged.
pub(super) fn start(config: &Config, parts: &Parts) -> Result<Eyes, Failure> {
    let Eyes { mut threads, mut mailboxes, mut places } = Eyes::default();
    let numbers: BTreeSet<u8> = config.cameras.iter().map(|camera| camera.thread).collect();
    for number in numbers {
        let cameras: Vec<usize> =
            (0..config.cameras.len()).filter(|at| config.cameras[*at].thread == number).collect();
        let priorities = cameras.iter().map(|camera| (*camera, Arc::clone(&parts.priorities[*camera])));
        let mailbox = Arc::new(Mailbox::new(priorities));
        let (thread, of_thread) = inference(config, parts, number, &cameras, &mailbox)?;
        threads.push(thread);
        places.extend(of_thread);
        for camera in cameras {
            threads.push(capture(config, parts, camera, &mailbox)?);
        }
        mailboxes.push(mailbox);
    }
    Ok(Eyes { threads, mailboxes, places })
}

/// Loads the models of an inference thread in that thread, then lets it look.
struct Loading {
    /// Models with their numbers and the cameras of this thread that they serve.
    models: Vec<(usize, Model, Arc<ModelSeat>, Vec<usize>, Option<Arc<Exchange>>)>,
    /// Cameras of this thread.
    cameras: Vec<(usize, Camera, Arc<Gauges>)>,
    watched: Vec<String>,
    depot: Option<models::Depot>,
    notes: Notes,
}

fn inference(
    config: &Config,
    parts: &Parts,
    number: u8,
    cameras: &[usize],
    mailbox: &Arc<Mailbox<Frame>>,
) -> Result<(Seeing, Vec<Placed>), Failure> {
    let served = |model: &Model| -> Vec<usize> {
        cameras.iter().copied().filter(|camera| model.serves(&config.cameras[*camera].name)).collect()
    };
    let mut places: Vec<Placed> = Vec::new();
    let of_thread = |(at, model): (usize, &Model)| {
        let cameras = served(model);
        let over_the_air = model.bundle.is_some() && !cameras.is_empty();
        let exchange = over_the_air.then(|| {
            let placed = Placed::new(at, cameras.clone());
            let exchange = Arc::clone(&placed.exchange);
            places.push(placed);
            exchange
        });
        (!cameras.is_empty()).then(|| (at, model.clone(), Arc::clone(&parts.models[at]), cameras, exchange))
    };
    let seen = |camera: &usize| {
        (*camera, config.cameras[*camera].clone(), Arc::clone(&parts.cameras[*camera].gauges))
    };
    let loading = Loading {
        models: config.models.iter().enumerate().filter_map(of_thread).collect(),
        cameras: cameras.iter().map(seen).collect(),
        watched: config.watch.iter().map(|watch| watch.name.clone()).collect(),
        depot: parts.depot.clone(),
        notes: parts.notes.clone(),
    };
    places.iter().for_each(|placed| placed.onlooker.keeps_at(parts.capture.as_ref()));
    let onlookers = places.iter().map(|placed| (placed.number, Arc::clone(&placed.onlooker))).collect();
    let eye = |camera: &usize| {
        let shared = &parts.cameras[*camera];
        Eye {
            camera: *camera,
            gauges: Arc::clone(&shared.gauges),
            decision: Arc::clone(&shared.decision),
            light: LightMeter::new(&config.run),
            picture_wanted: Arc::clone(&shared.picture_wanted),
            guards: Vec::new(),
            attention: Attention::new(config.cameras[*camera].attention, config.path, shared.calibration),
            answered: Vec::new(),
            situations: Situations::default(),
        }
    };
    let looking = Looking {
        mailbox: Arc::clone(mailbox),
        eyes: cameras.iter().map(eye).collect(),
        models: Vec::new(),
        deciding: Arc::clone(&parts.deciding),
        vehicle: parts.drive.clone(),
        guard: config.guard.clone(),
        seats: parts.watches.clone(),
        clock: Arc::clone(&parts.clock),
        timings: Arc::clone(&parts.timings),
        notes: parts.notes.clone(),
        shed: Arc::clone(&parts.shed),
        onlookers,
        capture: parts.capture.clone(),
        priorities: parts.priorities.clone(),
        stop: Arc::clone(&parts.stops.seeing),
    };
    let name = format!("infer-{number}");
    let core = config.run.inference_cpus.get(usize::from(number)).copied();
    let ready = parts.ready.clone();
    let handle = spawn(&name, (&config.run, Rank::Plain, core), &parts.notes, move |_| {
        let models = loading.load();
        cpu::give_back_memory();
        // The other end is there as long as the process is.
        let _ = ready.try_send(());
        Looking { models, ..looking }.run();
        Ok(())
    })?;
    Ok((Seeing { name, camera: None, handle }, places))
}

impl Loading {
    fn load(self) -> Vec<Looker> {
        let watched: Vec<&str> = self.watched.iter().map(String::as_str).collect();
        let mut lookers = Vec::new();
        for (number, model, seat, cameras, exchange) in self.models {
            let wanted =
                models::Wanted { number, model: &model, cameras, watched: &watched, seat: &seat, exchange };
            let Some(looker) = models::load(wanted, self.depot.as_ref(), &self.notes) else { continue };
            for warning in looker.detector.warnings() {
                self.notes.log(Level::WARN, format!("model {}: {warning}", model.name));
            }
            let identity = &looker.facts.identity;
            let text = format!("model {}: {} {} is loaded", model.name, identity.name, identity.version);
            self.notes.log(Level::INFO, text);
            lookers.push(looker);
        }
        for (number, camera, gauges) in &self.cameras {
            let unserved = models::unserved(*number, camera, &lookers);
            if !unserved.is_empty() {
                let functions: Vec<&str> = unserved.iter().map(|function| function.code()).collect();
                let text = format!(
                    "camera {}: no model whose roles serve {}; see `roles` in the manifests",
                    camera.name,
                    functions.join(", ")
                );
                self.notes.log(Level::ERROR, text);
                gauges.unserved.store(true, Ordering::Release);
            }
        }
        lookers
    }
}

fn capture(
    config: &Config,
    parts: &Parts,
    number: usize,
    mailbox: &Arc<Mailbox<Frame>>,
) -> Result<Seeing, Failure> {
    let camera = config.cameras[number].clone();
    let shared = &parts.cameras[number];
    let facts = CameraFacts {
        size: shared.calibration.map(|calibration| calibration.size),
        latency_declared: camera.declared_latency_ms.is_some(),
        references: shared.references.clone(),
        ..CameraFacts::default()
    };
    let capture = Capture {
        number,
        clock: Arc::clone(&parts.clock),
        gauges: Arc::clone(&shared.gauges),
        mailbox: Arc::clone(mailbox),
        seat: seat(config, parts, number, facts),
        notes: parts.notes.clone(),
        stop: Arc::clone(&parts.stops.seeing),
        camera,
    };
    let (name, core) = (format!("capture-{}", capture.camera.name), capture.camera.cpu);
    let (camera, device) = (capture.camera.name.clone(), !capture.camera.is_recorded());
    let ready = parts.ready.clone();
    let handle = spawn(&name, (&config.run, Rank::Capture, core), &parts.notes, move |_| {
        let source = capture.open()?;
        let _ = ready.try_send(());
        capture.run(source)
    })?;
    Ok(Seeing { name, camera: Some((camera, device)), handle })
}

/// Makes the camera's guard once its source is known, and hands its watch to the thread that acts.
fn seat(
    config: &Config,
    parts: &Parts,
    number: usize,
    known: CameraFacts,
) -> Box<dyn FnOnce(&dyn FrameSource) -> CameraGuard + Send> {
    let (guard, camera) = (config.guard.clone(), config.cameras[number].clone());
    let (watches, clock, notes) = (parts.watches.clone(), Arc::clone(&parts.clock), parts.notes.clone());
    Box::new(move |source| {
        let facts = CameraFacts {
            size: known.size,
            latency_declared: known.latency_declared,
            references: known.references,
            ..CameraFacts::of(source.info(), &camera.guard, camera.watches_falls())
        };
        let guard = CameraGuard::new(&guard, facts, Nanos(clock.monotonic().as_nanos()));
        if watches.try_send((number, guard.watch())).is_err() {
            notes.log(Level::ERROR, "the watch of a camera found no room; its silence would not be noticed");
        }
        guard
    })
}
