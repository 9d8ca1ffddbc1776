//! Starts what has no deadline: the publisher, the control socket, the arming input, slow polling.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use stopline_depot::stream::{Message, SCHEMA};
use stopline_sensors::clock::Monotonic;
use tracing::Level;

use super::parts::Parts;
use super::spawn;
use crate::act::config::ActuatorConfig;
use crate::capture::door::Door;
use crate::config::Config;
use crate::daemon::control::{self, Control};
use crate::daemon::deploying::{self, Deploying, Placed};
use crate::daemon::health::Overview;
use crate::daemon::notes::Told;
use crate::daemon::polling::Polling;
use crate::daemon::priority::Rank;
use crate::daemon::publish::{Hot, Publisher, PublisherState};
use crate::daemon::stream::Stream;
use crate::daemon::switch::Switch;
use crate::drift::Watching;
use crate::exit::{Exit, Failure, OrExit};
use crate::guard::Guard;

/// The control socket and the arming input. A socket that cannot be had is told; an input that cannot is an error, since
/// somebody relies on that switch.
pub(super) fn aside(config: &Config, parts: &Parts) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut threads = Vec::new();
    let plain = (&config.run, Rank::Plain, None);
    if let Some(path) = config.run.control_socket() {
        match control::listen(&path) {
            Ok(listener) => {
                let control = Control {
                    listener,
                    arming: Arc::clone(&parts.arming),
                    acknowledge: parts.acknowledge(),
                    store: parts.depot.as_ref().and_then(|depot| depot.store.clone()),
                    vehicle: parts.drive.clone(),
                    capture: parts.capture.clone(),
                    clock: Arc::clone(&parts.clock),
                    notes: parts.notes.clone(),
                    stop: Arc::clone(&parts.stops.seeing),
                };
                threads.push(spawn("control", plain, &parts.notes, move |_| control.run())?);
            }
            Err(error) => {
                let text =
                    format!("{}: no control socket: {error}; the loop runs without it", path.display());
                parts.notes.log(Level::WARN, text);
            }
        }
    }
    if let Some(input) = &config.arm.input {
        let (arming, clock) = (Arc::clone(&parts.arming), Arc::clone(&parts.clock));
        let switch = Switch::open(input, arming, clock, parts.notes.clone(), Arc::clone(&parts.stops.seeing));
        let switch = switch.or_exit(Exit::Actuator)?;
        threads.push(spawn("arm-input", plain, &parts.notes, move |_| switch.run())?);
    }
    Ok(threads)
}

/// Slow polling.
pub(super) fn polling(config: &Config, parts: &Parts, guard: &Guard) -> Result<JoinHandle<()>, Failure> {
    let outbox = |actuator: &ActuatorConfig| match actuator {
        ActuatorConfig::Outbox(outbox) => Some(outbox.folder.clone()),
        _ => None,
    };
    let polling = Polling {
        guard: config.guard.clone(),
        outboxes: config.actuators.iter().filter_map(outbox).collect(),
        teller: guard.slow_teller(),
        acknowledge: parts.acknowledge(),
        models: parts.models.clone(),
        notes: parts.notes.clone(),
        clock: Arc::clone(&parts.clock),
        stop: Arc::clone(&parts.stops.seeing),
    };
    spawn("poll", (&config.run, Rank::Plain, None), &parts.notes, move |_| polling.run())
}

/// The thread that brings new models to their places, where there is a depot.
pub(super) fn deploying(
    config: &Config,
    parts: &Parts,
    places: Vec<Placed>,
) -> Result<Option<JoinHandle<()>>, Failure> {
    let (Some(depot), Some(shared)) = (&config.depot, &parts.depot) else { return Ok(None) };
    let camera = |(at, shared): (usize, &super::parts::Shared)| deploying::Camera {
        number: at,
        decision: Arc::clone(&shared.decision),
        gauges: Arc::clone(&shared.gauges),
    };
    let world = deploying::World {
        cameras: parts.cameras.iter().enumerate().map(camera).collect(),
        vehicle: config.vehicle.is_some().then(|| parts.drive.clone()),
        now: Arc::clone(&parts.now),
        clock: Arc::clone(&parts.clock),
        notes: parts.notes.clone(),
        opened: Arc::clone(&parts.stops.opened),
        restart: Arc::clone(&parts.stops.restart),
        stop: Arc::clone(&parts.stops.seeing),
        watched: config.watch.iter().map(|watch| watch.name.clone()).collect(),
        stalled_after_ms: config.guard.stalled_after_ms.into(),
        budget_ms: config.guard.latency_budget_ms.into(),
    };
    let models = config.models.iter().zip(&parts.models).enumerate();
    let models = models.map(|(at, (model, seat))| (at, model.clone(), Arc::clone(seat))).collect();
    let deploying = Deploying::new(depot, shared, world, models, places);
    let Some(deploying) = deploying else { return Ok(None) };
    spawn("deploy", (&config.run, Rank::Plain, None), &parts.notes, move |_| deploying.run()).map(Some)
}

/// The publisher. A stream that cannot be had is told.
pub(super) fn publisher(
    config: &Config,
    parts: &Parts,
    told: Told,
    (begun, memory): (Monotonic, String),
    hot: &Arc<Hot>,
) -> Result<JoinHandle<()>, Failure> {
    let cameras: Vec<String> = config.cameras.iter().map(|camera| camera.name.clone()).collect();
    let hello = Message::Hello {
        schema: SCHEMA,
        name: config.run.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cameras: cameras.clone(),
    };
    let stream = config.run.stream_socket().and_then(|path| match Stream::listen(&path, &hello) {
        Ok(stream) => Some(stream),
        Err(error) => {
            let text = format!("{}: no stream: {error}; the loop runs without it", path.display());
            parts.notes.log(Level::WARN, text);
            None
        }
    });
    let gauges = parts.cameras.iter().map(|camera| Arc::clone(&camera.gauges));
    let overview = Overview {
        name: config.run.name.clone(),
        clock: Arc::clone(&parts.clock),
        begun,
        decided: vec![0; cameras.len()],
        cameras: cameras.into_iter().zip(gauges).collect(),
        models: parts.models.clone(),
        now: Arc::clone(&parts.now),
        vehicle: config.vehicle.is_some().then(|| parts.drive.clone()),
        arming: Arc::clone(&parts.arming),
        actuators: Arc::clone(&parts.actuators),
        timings: Arc::clone(&parts.timings),
        memory,
        scheduling: Arc::clone(&parts.scheduling),
        transitions: VecDeque::new(),
        transitions_total: 0,
        drift: VecDeque::new(),
        looked: begun,
    };
    let publisher = Publisher {
        told,
        overview,
        health_file: config.run.health_file(),
        stream,
        pictures: parts.cameras.iter().map(|camera| Arc::clone(&camera.picture_wanted)).collect(),
        hot: Arc::clone(hot),
        opened: Arc::clone(&parts.stops.opened),
        drift: Watching::start(&config.drift).or_exit(Exit::Internal)?,
        capture: parts.capture.as_ref().map(Door::asking),
        state: PublisherState::default(),
    };
    // Without the notes: their last clone gone is what ends it.
    let thread = std::thread::Builder::new().name("publish".to_owned());
    thread.spawn(move || publisher.run()).or_exit(Exit::Internal)
}
