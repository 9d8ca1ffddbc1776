//! What threads share, made before the first of them starts.

use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use stopline_decide::camera::Calibration;
use stopline_decide::decision::Decision;
use stopline_sensors::clock::Clock;
use stopline_sensors::signals::config::Source;
use stopline_sensors::signals::{Quantity, Vehicle, VehicleSignals};

use crate::act::{self, Actuator};
use crate::calibrate::file::CalibrationFile;
use crate::capture::door::Door;
use crate::config::{Camera, Config, Function};
use crate::daemon::acknowledge::Acknowledge;
use crate::daemon::act::ActuatorGauge;
use crate::daemon::arming::Arming;
use crate::daemon::deploying;
use crate::daemon::drive::Drive;
use crate::daemon::models::Depot;
use crate::daemon::notes::{self, Notes, Told};
use crate::daemon::priority::{Rank, schedule};
use crate::daemon::report::ModelSeat;
use crate::daemon::slot::Slot;
use crate::daemon::tick::Now;
use crate::daemon::timing::Timings;
use crate::exit::{Exit, Failure, OrExit};
use crate::guard::placed::Reference;
use crate::guard::{Guard, Promised, SignalGuard, Watch};
use crate::intake::gauges::Gauges;
use crate::pipeline::Deciding;
use crate::signals::{self, VehicleConfig};

/// Most watches, and reports of the start, on their way.
const SEATS: usize = 256;

/// A reference view is a few kilobytes.
const MOST_REFERENCE: u64 = 1 << 20;

/// Flags that end things.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// Capture and inference are to end, and what tells the outside aside.
    pub seeing: Arc<AtomicBool>,
    /// The actuator thread is to send its last command.
    pub acting: Arc<AtomicBool>,
    /// The process is ending.
    pub ending: Arc<AtomicBool>,
    /// Cameras and models are open, or have failed to be.
    pub opened: Arc<AtomicBool>,
    /// Why this process must end and another begin: a thread hangs in a model.
    pub restart: Arc<Slot<String>>,
}

/// One camera's shared values.
#[derive(Clone, Default)]
pub struct Shared {
    pub gauges: Arc<Gauges>,
    pub decision: Arc<Slot<Decision>>,
    pub picture_wanted: Arc<AtomicBool>,
    pub calibration: Option<Calibration>,
    pub references: Vec<Reference>,
}

/// What threads share.
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    pub notes: Notes,
    pub stops: Stops,
    pub watches: SyncSender<(usize, Watch)>,
    pub ready: SyncSender<()>,
    pub drive: Drive,
    pub arming: Arc<Arming>,
    pub deciding: Arc<Mutex<Deciding>>,
    pub cameras: Vec<Shared>,
    pub priorities: Vec<Arc<AtomicU8>>,
    pub models: Vec<Arc<ModelSeat>>,
    pub actuators: Arc<Vec<ActuatorGauge>>,
    pub timings: Arc<Timings>,
    pub now: Arc<Slot<Now>>,
    pub scheduling: Arc<Slot<String>>,
    pub shed: Arc<AtomicBool>,
    pub depot: Option<Depot>,
    pub capture: Option<Door>,
}

/// What one thread alone gets, or the process keeps.
pub struct Channels {
    pub told: Told,
    pub watches: Receiver<(usize, Watch)>,
    pub ready: Receiver<()>,
    pub vehicle: Option<Vehicle>,
    pub actuators: Vec<Box<dyn Actuator>>,
}

impl Parts {
    /// Opens the vehicle's bus and the actuators, reads the calibrations.
    ///
    /// # Errors
    /// [`Failure`]: what is configured and cannot be had.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<(Self, Channels), Failure> {
        let (notes, told) = notes::channel();
        let (watches, watched) = sync_channel(SEATS);
        let (ready, done) = sync_channel(SEATS);
        let cameras = config.cameras.iter().map(shared).collect::<Result<Vec<_>, _>>()?;
        let calibrations: Vec<_> = cameras.iter().map(|camera| camera.calibration).collect();
        let decide = config.decide(&calibrations).or_exit(Exit::Config)?;
        let deciding = Deciding::new(decide).or_exit(Exit::Config)?;
        let vehicle =
            config.vehicle.as_ref().map(|vehicle| open_vehicle(vehicle, config, &clock)).transpose()?;
        let recorded = config.vehicle.as_ref().is_some_and(|vehicle| vehicle.source == Source::Track);
        let signals = vehicle.as_ref().map_or_else(VehicleSignals::none, Vehicle::signals);
        let actuators = act::open(&config.actuators, &config.run.name, &clock).or_exit(Exit::Actuator)?;
        let gauge = |actuator: &dyn Actuator| ActuatorGauge {
            name: actuator.name().to_owned(),
            kind: actuator.kind().code(),
            fault: Slot::new(),
        };
        let seat = |name: &str| Arc::new(ModelSeat { name: name.to_owned(), ..ModelSeat::default() });
        let parts = Self {
            clock,
            notes,
            stops: Stops::default(),
            watches,
            ready,
            drive: Drive::new(signals, recorded),
            arming: Arc::new(Arming::new(config.arm.clone())),
            deciding: Arc::new(Mutex::new(deciding)),
            cameras,
            priorities: config
                .cameras
                .iter()
                .map(|camera| Arc::new(AtomicU8::new(camera.priority)))
                .collect(),
            models: config.models.iter().map(|model| seat(&model.name)).collect(),
            actuators: Arc::new(actuators.iter().map(|actuator| gauge(actuator.as_ref())).collect()),
            timings: Arc::default(),
            now: Arc::new(Slot::new()),
            scheduling: Arc::new(Slot::new()),
            shed: Arc::default(),
            depot: None,
            capture: None,
        };
        let depot = config.depot.as_ref().map(|depot| deploying::open(depot, &parts.notes));
        let parts = Self { depot, ..parts };
        Ok((parts, Channels { told, watches: watched, ready: done, vehicle, actuators }))
    }

    /// What silences falls.
    pub fn acknowledge(&self) -> Acknowledge {
        let decisions = self.cameras.iter().map(|camera| Arc::clone(&camera.decision)).collect();
        Acknowledge { deciding: Arc::clone(&self.deciding), decisions }
    }

    /// The guard, with every camera and nothing watched yet.
    pub fn guard(&self, config: &Config) -> Guard {
        let promised = config.vehicle.as_ref().map_or(Promised::default(), promised);
        let mut guard = Guard::new(SignalGuard::new(&config.guard, promised));
        config.cameras.iter().for_each(|camera| guard.camera(camera.function_set(), Vec::new()));
        guard
    }
}

fn open_vehicle(
    vehicle: &VehicleConfig,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vehicle, Failure> {
    let run = config.run.clone();
    // The thread that acts waits for this one's lock, so it must not be put off for less.
    let started = move || drop(schedule(&run, Rank::Act));
    signals::open(vehicle, Arc::clone(clock), started).or_exit(Exit::Actuator)
}

/// The signals that the configuration promises: their silence is a fault.
fn promised(vehicle: &VehicleConfig) -> Promised {
    // A track without `signals` has the quantities itself; which ones only it knows, and speed is what it is for.
    let track = vehicle.source == Source::Track && vehicle.signals.is_empty();
    let has = |quantity| vehicle.signals.contains_key(&quantity) || vehicle.constant.contains_key(&quantity);
    Promised {
        speed: track || has(Quantity::Speed),
        accelerator: has(Quantity::Accelerator),
        steering: has(Quantity::SteeringAngle) || has(Quantity::SteeringRate),
    }
}

fn shared(camera: &Camera) -> Result<Shared, Failure> {
    let calibration = match &camera.calibration {
        Some(path) => CalibrationFile::read(path).or_exit(Exit::Config)?.decide(),
        None => None,
    };
    if calibration.is_none() && camera.functions.contains(&Function::StopSign) {
        let problem = anyhow::anyhow!(
            "camera {}: stop_sign needs distances; give `calibration` a file with [mount] (`stopline calibrate`)",
            camera.name
        );
        return Err(Failure::new(Exit::Config, problem));
    }
    let references = camera.guard.references.iter().map(|path| reference(path)).collect::<Result<_, _>>()?;
    Ok(Shared { calibration, references, ..Shared::default() })
}

fn reference(path: &std::path::Path) -> Result<Reference, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST_REFERENCE).read_to_end(&mut bytes));
    let named = |problem: String| anyhow::anyhow!("guard.references: {}: {problem}", path.display());
    read.map_err(|error| named(error.to_string())).or_exit(Exit::Config)?;
    Reference::from_json(&bytes).map_err(|error| named(error.to_string())).or_exit(Exit::Config)
}
