//! The thread that brings new models to their places: reads offers, lets the
//! [`Deployer`](crate::models::deployer::Deployer) decide, does what it says. What takes time (judging, self-test, shadow, loading) runs in threads and children of its own that stand back behind all others.

mod jobs;
mod model;
mod opening;
mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use stopline_decide::cause::Cause;
use stopline_decide::decision::Decision;
use stopline_decide::time::Nanos;
use stopline_depot::deployment::DeployCause;
use stopline_depot::disk::RealDisk;
use stopline_depot::slots::{self, Offer};
use stopline_sensors::clock::{Clock, Monotonic};

use super::drive::Drive;
use super::exchange::{Answer, Exchange, Onlooker, Shown};
use super::models::Depot;
use super::notes::Notes;
use super::report::ModelSeat;
use super::slot::Slot;
use super::tick::Now;
use crate::config::{Depot as DepotConfig, Model};
use crate::intake::gauges::Gauges;
use crate::models::parked::{Scene, parked};
use crate::models::store::{Store, boot_id};
use crate::models::vault::Vault;

pub use opening::{ended, open};

/// From one step to the next: how fast a model on trial is taken back.
const STEP: Duration = Duration::from_millis(100);
/// How often offers are read.
const OFFERS: Duration = Duration::from_secs(1);
/// How long a decision counts as what goes on now.
const FRESH: Nanos = Nanos::from_millis(1000);

/// A model's place in one inference thread, as this thread holds it.
pub struct Placed {
    /// The model's number in the configuration.
    pub number: usize,
    /// Cameras of the thread.
    pub cameras: Vec<usize>,
    /// Where another one is put.
    pub exchange: Arc<Exchange>,
    /// Where one that looks on is shown frames.
    pub onlooker: Arc<Onlooker>,
    answers: Receiver<Answer>,
    frames: Option<Receiver<Shown>>,
}

impl Placed {
    /// The place of model number `number`, which serves `cameras` of a thread.
    pub fn new(number: usize, cameras: Vec<usize>) -> Self {
        let (exchange, answers) = Exchange::new();
        let (onlooker, frames) = Onlooker::new();
        Self { number, cameras, exchange, onlooker, answers, frames: Some(frames) }
    }
}

/// A camera, as this thread sees it.
pub struct Camera {
    /// Its number in the configuration.
    pub number: usize,
    /// Its newest decision.
    pub decision: Arc<Slot<Decision>>,
    /// Its values.
    pub gauges: Arc<Gauges>,
}

/// What goes on.
pub struct World {
    /// Cameras by their numbers.
    pub cameras: Vec<Camera>,
    /// The vehicle's signals; none for a camera on a wall.
    pub vehicle: Option<Drive>,
    /// The newest period of the thread that acts.
    pub now: Arc<Slot<Now>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where is told what happens.
    pub notes: Notes,
    /// Cameras and models are open.
    pub opened: Arc<AtomicBool>,
    /// Where it is said that this process must end.
    pub restart: Arc<Slot<String>>,
    /// Set when the process ends.
    pub stop: Arc<AtomicBool>,
    /// Classes that `[[watch]]` names.
    pub watched: Vec<String>,
    /// A model that is at one frame for so long hangs, in milliseconds.
    pub stalled_after_ms: u64,
    /// What a frame may take where the manifest says nothing, in milliseconds.
    pub budget_ms: u64,
}

/// The thread.
pub struct Deploying {
    vault: Arc<Vault>,
    store: Arc<Store>,
    world: World,
    boot_id: String,
    max_age_s: u64,
    models: Vec<model::Deployed>,
}

impl Deploying {
    /// `None`: there is nothing to deploy, or nowhere to write what became of it.
    pub fn new(
        config: &DepotConfig,
        depot: &Depot,
        world: World,
        models: Vec<(usize, Model, Arc<ModelSeat>)>,
        mut places: Vec<Placed>,
    ) -> Option<Self> {
        let store = depot.store.clone()?;
        let mut deployed = Vec::new();
        for (number, model, seat) in models {
            let (own, rest) = places.into_iter().partition(|placed| placed.number == number);
            places = rest;
            if let Some(bundle) = model.bundle.clone() {
                deployed.push(model::Deployed::new(
                    config,
                    (&store, depot.crashed),
                    (bundle, model, seat),
                    own,
                ));
            }
        }
        let max_age_s = u64::from(config.max_activation_age_h) * 3600;
        let (vault, boot_id) = (Arc::clone(&depot.vault), boot_id());
        (!deployed.is_empty()).then_some(Self { vault, store, world, boot_id, max_age_s, models: deployed })
    }

    /// Runs until the process ends.
    pub fn run(mut self) {
        // Behind every thread that sees or acts. Threads that are started from here inherit it.
        let _ = rustix::process::nice(5);
        let mut next = Monotonic::default();
        while !self.world.stop.load(Ordering::Relaxed) {
            let now = self.world.clock.monotonic();
            let read = now >= next;
            if read {
                next = now.plus(OFFERS);
            }
            if self.world.opened.load(Ordering::Acquire) {
                self.step(now, read);
            }
            self.world.clock.sleep(STEP);
        }
        self.models.iter_mut().for_each(|model| model.keep(&self.store));
    }

    fn step(&mut self, now: Monotonic, read: bool) {
        let around = Around {
            now,
            boot_id: &self.boot_id,
            parked: self.world.parked(now).err(),
            surroundings: self.world.surroundings(),
            max_age_s: self.max_age_s,
        };
        for model in &mut self.models {
            if read {
                model.offered(offer(&self.vault, &model.bundle), &self.world.notes);
                model.look_at_floor(&self.vault);
            }
            model.step(&around, &self.world, &self.vault, &self.store);
        }
    }
}

/// What holds for all models in one step.
struct Around<'a> {
    now: Monotonic,
    boot_id: &'a str,
    parked: Option<&'static str>,
    surroundings: Option<DeployCause>,
    max_age_s: u64,
}

impl World {
    /// Whether what decides may be changed now.
    fn parked(&self, now: Monotonic) -> Result<(), &'static str> {
        let at = Nanos(now.as_nanos());
        let scene = |camera: &Camera| {
            let decided = camera.gauges.decided_at().map(|decided| Nanos(decided.as_nanos()));
            let fresh = decided.is_some_and(|decided| at.since(decided) <= FRESH);
            let newest = camera.decision.newest();
            newest.map_or_else(
                || Scene::of(&Decision::default(), false),
                |decision| Scene::of(&decision, fresh),
            )
        };
        let scenes: Vec<Scene> = self.cameras.iter().map(scene).collect();
        let ego = self.vehicle.as_ref().map(|vehicle| vehicle.newest(now));
        let command = self.now.newest().unwrap_or_default().command;
        if command.deceleration > 0.0 || command.hold {
            return Err("something is asked of the brake");
        }
        parked(ego.as_ref(), &scenes)
    }

    /// What is wrong beside the models.
    fn surroundings(&self) -> Option<DeployCause> {
        let faults = self.now.newest().unwrap_or_default().faults;
        if faults.global.has(Cause::Throttled) || faults.global.has(Cause::UnderVoltage) {
            return Some(DeployCause::Heat);
        }
        let of_models = [
            Cause::InferenceStalled,
            Cause::InferenceSlow,
            Cause::OutputInvalid,
            Cause::ModelMissing,
            Cause::StampUnbounded,
        ];
        let wrong = faults.cameras.iter().any(|camera| {
            let beside = of_models.into_iter().fold(camera.faults, stopline_decide::cause::FaultSet::without);
            !camera.functions.is_empty() && !beside.is_empty()
        });
        wrong.then_some(DeployCause::Surroundings)
    }
}

fn offer(vault: &Vault, model: &str) -> Result<Option<Offer>, String> {
    slots::read(&RealDisk, &vault.depot().offer(model)).map_err(|error| error.to_string())
}
