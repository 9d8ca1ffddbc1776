//! The health file: what the other threads have left where it can be read without waiting for them, put together once a
//! second, and put in place by a rename.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stopline_decide::cause::{FaultSet, State};
use stopline_depot::health::{
    ArmingHealth, CameraHealth, CommandHealth, DRIFTS, DriftHealth, Health, MachineHealth, ModelHealth,
    SCHEMA, StateHealth, StreamHealth, TRANSITIONS, TransitionHealth, VehicleHealth,
};
use stopline_depot::record::WallTime;
use stopline_sensors::clock::{Clock, Monotonic};

use super::act::ActuatorGauge;
use super::arming::Arming;
use super::drive::Drive;
use super::report::ModelSeat;
use super::slot::Slot;
use super::tick::Now;
use super::timing::Timings;
use crate::drift::Drifted;
use crate::intake::gauges::Gauges;

/// Where everything stands that the health file tells.
pub struct Overview {
    /// The device's name.
    pub name: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the process began.
    pub begun: Monotonic,
    /// Cameras, by name.
    pub cameras: Vec<(String, Arc<Gauges>)>,
    /// Models.
    pub models: Vec<Arc<ModelSeat>>,
    /// The newest period.
    pub now: Arc<Slot<Now>>,
    /// The vehicle's signals; none for a camera on a wall.
    pub vehicle: Option<Drive>,
    /// Whether commands are armed.
    pub arming: Arc<Arming>,
    /// What the actuators say.
    pub actuators: Arc<Vec<ActuatorGauge>>,
    /// What stages take.
    pub timings: Arc<Timings>,
    /// Whether memory is locked.
    pub memory: String,
    /// Whether threads have their real-time turns; filled by the actuator thread.
    pub scheduling: Arc<Slot<String>>,
    /// The newest transitions.
    pub transitions: VecDeque<TransitionHealth>,
    /// All of them.
    pub transitions_total: u64,
    /// What drifted, the newest.
    pub drift: VecDeque<DriftHealth>,
    /// Frames decided on by each camera at the last look, and when that was.
    pub decided: Vec<u64>,
    /// See [`Overview::decided`].
    pub looked: Monotonic,
}

impl Overview {
    /// Notes a transition; the oldest is forgotten.
    pub fn transition(
        &mut self,
        at: Monotonic,
        from: State,
        to: State,
        cause: Option<&str>,
    ) -> TransitionHealth {
        self.transitions_total += 1;
        let transition = TransitionHealth {
            number: self.transitions_total,
            wall: WallTime::from(self.clock.wall()),
            uptime_ms: millis(at.since(self.begun)),
            from: from.to_string(),
            to: to.to_string(),
            cause: cause.map(str::to_owned),
        };
        if self.transitions.len() == TRANSITIONS {
            self.transitions.pop_front();
        }
        self.transitions.push_back(transition.clone());
        transition
    }

    /// Notes a drift; the oldest is forgotten.
    pub fn drifted(&mut self, drifted: Drifted) {
        let Drifted { camera, model, identity, alarm } = drifted;
        let number = self.drift.back().map_or(1, |last| last.number + 1);
        if self.drift.len() == DRIFTS {
            self.drift.pop_front();
        }
        self.drift.push_back(DriftHealth { number, camera: camera.to_string(), model, identity, alarm });
    }

    /// Frames decided on, by all cameras together: what feeds the watchdog.
    pub fn decided_in_all(&self) -> u64 {
        self.cameras.iter().map(|(_, gauges)| gauges.decided.load(Ordering::Relaxed)).sum()
    }

    /// All of it; `stopped` in the last file of a process that ends in order.
    pub fn health(&mut self, stream: StreamHealth, stopped: bool) -> Health {
        let at = self.clock.monotonic();
        let now = self.now.newest().unwrap_or_default();
        let cameras = self.cameras(at, &now);
        Health {
            schema: SCHEMA,
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            written_wall: WallTime::from(self.clock.wall()),
            uptime_ms: millis(at.since(self.begun)),
            state: state(&now, at, stopped),
            faults: codes(now.faults.all()),
            arming: ArmingHealth { armed: self.arming.armed(), because: self.arming.because().to_owned() },
            cameras,
            models: self.models.iter().map(|seat| model(seat)).collect(),
            command: command(&now),
            actuators: self.actuators.iter().map(ActuatorGauge::health).collect(),
            stages: self.timings.health(),
            machine: MachineHealth {
                memory: self.memory.clone(),
                scheduling: self.scheduling.newest().unwrap_or_default(),
                resident_kib: resident_kib().unwrap_or_default(),
            },
            transitions: self.transitions.iter().cloned().collect(),
            transitions_total: self.transitions_total,
            drift: self.drift.iter().cloned().collect(),
            vehicle: self
                .vehicle
                .as_ref()
                .map(|vehicle| VehicleHealth { ignition: vehicle.newest(at).ignition.fresh() }),
            capture: None,
            stream,
        }
    }

    fn cameras(&mut self, at: Monotonic, now: &Now) -> Vec<CameraHealth> {
        let seconds = at.since(self.looked).as_secs_f32();
        self.looked = at;
        let named = self.cameras.iter().enumerate();
        named
            .map(|(number, (name, gauges))| {
                let decided = gauges.decided.load(Ordering::Relaxed);
                let before = std::mem::replace(&mut self.decided[number], decided);
                let faults = now.faults.cameras.get(number).map_or(FaultSet::default(), |of| of.faults);
                let looked = gauges.models.load(Ordering::Relaxed);
                let models = self.models.iter().enumerate().filter(|(at, _)| looked >> at & 1 == 1);
                #[allow(clippy::cast_precision_loss, reason = "frames of about a second")]
                let decided_fps =
                    if seconds > 0.0 { decided.saturating_sub(before) as f32 / seconds } else { 0.0 };
                CameraHealth {
                    decided_fps,
                    faults: codes(faults),
                    models: models.map(|(_, seat)| seat.name.clone()).collect(),
                    first_decision_ms: gauges.first_decided_at().map(|first| millis(first.since(self.begun))),
                    newest_ms: gauges.captured().map(|captured| millis(at.since(captured))),
                    ..camera(name, gauges)
                }
            })
            .collect()
    }
}

/// What the camera's own threads have counted.
fn camera(name: &str, gauges: &Gauges) -> CameraHealth {
    let counters = gauges.counters();
    let info = gauges.info.get();
    CameraHealth {
        name: name.to_owned(),
        kind: info.map_or(String::new(), |info| info.kind.to_owned()),
        size: info.map_or([0, 0], |info| [info.size.0, info.size.1]),
        nominal_fps: info.and_then(|info| info.period).map(|period| 1.0 / period.as_secs_f32()),
        delivered: counters.delivered,
        dropped: counters.dropped,
        replaced: gauges.replaced.load(Ordering::Relaxed),
        shed: gauges.shed.load(Ordering::Relaxed),
        still: gauges.still.load(Ordering::Relaxed),
        narrowed: gauges.narrowed.load(Ordering::Relaxed),
        left_out: gauges.left_out.load(Ordering::Relaxed),
        skipped: counters.skipped,
        lost: counters.lost,
        restored: counters.restored,
        decided: gauges.decided.load(Ordering::Relaxed),
        invalid: gauges.invalid.load(Ordering::Relaxed),
        power: info.and_then(|info| stopline_sensors::v4l2::power_of(info.device.as_deref()?)),
        ..CameraHealth::default()
    }
}

fn model(seat: &ModelSeat) -> ModelHealth {
    ModelHealth {
        name: seat.name.clone(),
        identity: seat.facts.newest().map(|facts| facts.identity.clone()),
        frames: seat.frames.load(Ordering::Relaxed),
        deployment: seat.rollout.newest(),
    }
}

fn state(now: &Now, at: Monotonic, stopped: bool) -> StateHealth {
    let name = if stopped { "stopped" } else { now.state.code() };
    let cause = now.state.cause().filter(|_| !stopped).map(|cause| cause.code().to_owned());
    StateHealth { name: name.to_owned(), cause, for_ms: millis(at.since(Monotonic::from_nanos(now.since.0))) }
}

fn command(now: &Now) -> CommandHealth {
    CommandHealth {
        row: now.command.row.code().to_owned(),
        valid: now.command.valid,
        deceleration: now.command.deceleration,
        hold: now.command.hold,
        made: now.made,
        longest_gap_us: now.longest_gap.0 / 1000,
    }
}

fn codes(faults: FaultSet) -> Vec<String> {
    faults.iter().map(|cause| cause.code().to_owned()).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Puts `health` in place: beside it, then renamed. Not synced: the folder lies in memory.
///
/// # Errors
/// The system's answer; then the old file stays.
pub fn write(path: &Path, health: &Health) -> std::io::Result<()> {
    let partial = path.with_extension("json.partial");
    let mut bytes = serde_json::to_vec(health)?;
    bytes.push(b'\n');
    let done = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    done
}

/// Resident memory of this process.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
