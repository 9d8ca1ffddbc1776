//! The state machine, and what each cause does to each function: data, not code.
//!
//! What is wrong comes in as [`Faults`]: of the whole runtime, and per camera. [`POLICY`] says what each cause does to
//! each [`Function`]; a camera's fault touches only the functions that this camera carries. [`Machine`] makes one
//! [`State`] of it, keeps a fault until it has been gone for its recovery time, and tells every change once.

use crate::cause::{Cause, FaultSet, State};
use crate::time::Nanos;

pub use crate::decider::{Function, Functions as FunctionSet, MAX_CAMERAS};

impl Function {
    /// Every function, in the order of the columns of [`POLICY`].
    pub const ALL: [Self; 4] = [Self::StopSign, Self::Pedestrian, Self::Fall, Self::Watch];

    /// The name in the configuration's `functions`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::StopSign => "stop_sign",
            Self::Pedestrian => "pedestrian",
            Self::Fall => "fall",
            Self::Watch => "watch",
        }
    }

    /// The function of a name as [`Function::code`] gives it.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.code() == code)
    }

    /// Whether it may ask for a brake.
    pub const fn brakes(self) -> bool {
        matches!(self, Self::StopSign | Self::Pedestrian)
    }
}

impl FunctionSet {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Those in it, in the order of [`Function::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Function> {
        Function::ALL.into_iter().filter(move |function| self.has(*function))
    }
}

/// What a cause does to a function, from nothing to everything. The order is the order of severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Does not touch it.
    #[default]
    None,
    /// It works on; the state tells of it.
    Told,
    /// Warnings stay, a brake in progress goes on; no new brake.
    NoNewBrake,
    /// Warnings stay; no new brake; a brake in progress is on its last value and runs out.
    Blind,
    /// It decides nothing; a brake in progress is on its last value and runs out; falls: monitoring is lost.
    Lost,
}

/// What one cause does, and how long it must be gone before it counts as gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The cause.
    pub cause: Cause,
    /// On stop sign, pedestrian, fall, watch.
    pub effects: [Effect; 4],
    /// Milliseconds without the fault until it is over.
    pub recovery_ms: u16,
}

/// One row per cause, by rising number.
///
/// Picture faults that make a picture say nothing or something untrue take the function away. Those under which a clear
/// detection is still one (defocus, a low sun, slowness) leave warnings and forbid only new brakes, or are only told.
/// `camera_moved` makes ranges wrong, and bed regions: no brake on such a range, no fall decided by such a region.
/// Heat and voltage are answered by shedding load before they touch a decision. An actuator that cannot be driven has
/// a receiver that times out: what is kept here runs out at the same time, so that recovery does not begin with a blow.
/// What may happen for a moment in mid-brake is over 300 ms after it: with the commander's blind time of 0.5 s, a brake
/// bridges a loss of up to 200 ms without giving way.
pub const POLICY: [Policy; Cause::COUNT] = {
    use Effect::{Blind, Lost, NoNewBrake, None, Told};
    [
        row(Cause::CameraLost, [Lost, Lost, Lost, Lost], 300),
        row(Cause::CameraFrozen, [Lost, Lost, Lost, Lost], 300),
        row(Cause::CameraBlack, [Lost, Lost, Lost, Lost], 300),
        row(Cause::CameraSaturated, [Lost, Lost, Lost, Lost], 300),
        row(Cause::CameraCovered, [Lost, Lost, Lost, Lost], 1000),
        row(Cause::CameraDefocused, [NoNewBrake, NoNewBrake, Told, Told], 2000),
        row(Cause::CameraBacklit, [Told, Told, Told, Told], 1000),
        row(Cause::CameraMoved, [NoNewBrake, NoNewBrake, Lost, Told], 5000),
        row(Cause::WrongResolution, [Lost, Lost, Lost, Lost], 300),
        row(Cause::FrameRateLow, [NoNewBrake, NoNewBrake, Lost, Told], 2000),
        row(Cause::InferenceStalled, [Lost, Lost, Lost, Lost], 300),
        row(Cause::InferenceSlow, [NoNewBrake, NoNewBrake, Told, Told], 1000),
        row(Cause::OutputInvalid, [Lost, Lost, Lost, Lost], 300),
        row(Cause::ModelMissing, [Lost, Lost, Lost, Lost], 300),
        row(Cause::ModelBelowFloor, [Told, Told, Told, Told], 500),
        row(Cause::ClockAnomaly, [Lost, Lost, Lost, Lost], 300),
        row(Cause::Throttled, [Told, Told, Told, Told], 5000),
        row(Cause::UnderVoltage, [Told, Told, Told, Told], 5000),
        row(Cause::ActuatorFault, [Blind, Blind, Told, Told], 300),
        row(Cause::EgoSpeed, [Blind, Blind, None, Told], 200),
        row(Cause::DriverSignals, [NoNewBrake, NoNewBrake, None, None], 200),
        row(Cause::Agent, [None, None, Told, Told], 1000),
        row(Cause::StampUnbounded, [NoNewBrake, NoNewBrake, None, None], 500),
    ]
};

const fn row(cause: Cause, effects: [Effect; 4], recovery_ms: u16) -> Policy {
    Policy { cause, effects, recovery_ms }
}

impl Cause {
    /// Its row of [`POLICY`].
    pub const fn policy(self) -> &'static Policy {
        &POLICY[self.index()]
    }

    /// What it does to `function`.
    pub const fn effect(self, function: Function) -> Effect {
        self.policy().effects[function as usize]
    }

    /// Whether it is a fault of one camera (its picture, its model's answers) rather than of the whole runtime. Such a
    /// cause may still be raised for the whole.
    pub const fn is_of_a_camera(self) -> bool {
        matches!(
            self,
            Self::CameraLost
                | Self::CameraFrozen
                | Self::CameraBlack
                | Self::CameraSaturated
                | Self::CameraCovered
                | Self::CameraDefocused
                | Self::CameraBacklit
                | Self::CameraMoved
                | Self::WrongResolution
                | Self::FrameRateLow
                | Self::InferenceStalled
                | Self::InferenceSlow
                | Self::OutputInvalid
                | Self::ModelMissing
                | Self::ClockAnomaly
                | Self::StampUnbounded
        )
    }
}

/// What is wrong now: of the whole runtime and per camera, with the functions each camera carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Faults of the whole runtime: they touch the functions of every camera.
    pub global: FaultSet,
    /// Per camera, by its number in the configuration. One that carries no function does not exist.
    pub cameras: [CameraFaults; MAX_CAMERAS],
}

/// What is wrong with one camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraFaults {
    /// What it is there for.
    pub functions: FunctionSet,
    /// What is wrong.
    pub faults: FaultSet,
}

impl Faults {
    /// No fault; camera `i` carries `functions[i]`. Cameras beyond [`MAX_CAMERAS`] are the configuration's to refuse
    /// and are left out.
    pub fn of_cameras(functions: &[FunctionSet]) -> Self {
        let mut faults = Self::default();
        for (camera, functions) in faults.cameras.iter_mut().zip(functions) {
            camera.functions = *functions;
        }
        faults
    }

    /// With `cause` present for the whole runtime.
    #[must_use]
    pub const fn with(mut self, cause: Cause) -> Self {
        self.global = self.global.with(cause);
        self
    }

    /// With `cause` present at `camera`; at a camera that cannot be, for the whole runtime.
    #[must_use]
    pub fn with_camera(mut self, camera: u8, cause: Cause) -> Self {
        match self.cameras.get_mut(usize::from(camera)) {
            Some(of_camera) => of_camera.faults = of_camera.faults.with(cause),
            None => self.global = self.global.with(cause),
        }
        self
    }

    /// Faults that touch `camera`: its own and those of the whole.
    pub fn at(&self, camera: u8) -> FaultSet {
        let own = self.cameras.get(usize::from(camera)).map_or(FaultSet::default(), |of| of.faults);
        self.global.union(own)
    }

    /// All that is wrong anywhere.
    pub fn all(&self) -> FaultSet {
        self.cameras.iter().fold(self.global, |all, camera| all.union(camera.faults))
    }

    /// What is wrong here or there; the functions are this one's.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.global = self.global.union(other.global);
        for (camera, others) in self.cameras.iter_mut().zip(&other.cameras) {
            camera.faults = camera.faults.union(others.faults);
        }
        self
    }

    /// The worst that touches `function` on `camera`, with the cause of the lowest number that does it.
    pub fn worst(&self, camera: u8, function: Function) -> (Effect, Option<Cause>) {
        worst_of(self.at(camera), function)
    }

    /// Cameras that carry a function, with what they carry.
    pub fn carried(&self) -> impl Iterator<Item = (u8, FunctionSet)> + '_ {
        let numbered = (0u8..).zip(&self.cameras);
        numbered
            .filter(|(_, camera)| !camera.functions.is_empty())
            .map(|(number, camera)| (number, camera.functions))
    }

    /// Whether nobody watches for falls where somebody should: a camera that carries [`Function::Fall`] has lost it.
    pub fn monitoring_lost(&self) -> bool {
        let watches = self.carried().filter(|(_, functions)| functions.has(Function::Fall));
        watches.into_iter().any(|(camera, _)| self.worst(camera, Function::Fall).0 == Effect::Lost)
    }
}

/// The worst effect of `faults` on `function`, with the cause of the lowest number that has it.
pub(crate) fn worst_of(faults: FaultSet, function: Function) -> (Effect, Option<Cause>) {
    let mut worst = (Effect::None, None);
    for cause in faults.iter() {
        let effect = cause.effect(function);
        if effect > worst.0 {
            worst = (effect, Some(cause));
        }
    }
    worst
}

/// How far the runtime has come, beside its faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Devices and models are open.
    pub opened: bool,
    /// There is something to decide: frames come, and the actuators are armed (or nothing is to be armed).
    pub deciding: bool,
}

/// One change of the state, told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it was seen.
    pub at: Nanos,
    /// Before.
    pub old: State,
    /// From now on.
    pub new: State,
    /// Why: the new state's cause, or, on the way back, the old one's that is over.
    pub cause: Option<Cause>,
}

/// What one step of the machine changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The state changed.
    pub transition: Option<Transition>,
    /// Faults that came, anywhere.
    pub raised: FaultSet,
    /// Faults that are over everywhere, their recovery time included.
    pub cleared: FaultSet,
}

/// The state machine. A fault counts at once; it is over when it has been gone for its [`Policy::recovery_ms`].
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    held: Faults,
    /// When each fault was last there: of the whole, then per camera.
    seen: [[Nanos; Cause::COUNT]; MAX_CAMERAS + 1],
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// In [`State::Init`], without faults.
    pub fn new() -> Self {
        Self {
            state: State::Init,
            held: Faults::default(),
            seen: [[Nanos::default(); Cause::COUNT]; MAX_CAMERAS + 1],
        }
    }

    /// The state since the last step.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The faults that count: those of the last step and those not yet gone long enough. This is what the commander
    /// gets.
    pub const fn faults(&self) -> &Faults {
        &self.held
    }

    /// One step at `now`, with what is wrong at this moment.
    pub fn step(&mut self, now: Nanos, present: &Faults, progress: Progress) -> Changes {
        let before = self.held.all();
        self.hold(now, present);
        let after = self.held.all();
        let old = self.state;
        self.state = state_of(&self.held, progress);
        let cause = self.state.cause().or(old.cause());
        let transition = (old != self.state).then_some(Transition { at: now, old, new: self.state, cause });
        Changes { transition, raised: after.minus(before), cleared: before.minus(after) }
    }

    fn hold(&mut self, now: Nanos, present: &Faults) {
        self.held.global = hold_set(now, self.held.global, present.global, &mut self.seen[0]);
        for (number, (camera, held)) in present.cameras.iter().zip(&mut self.held.cameras).enumerate() {
            held.functions = camera.functions;
            held.faults = hold_set(now, held.faults, camera.faults, &mut self.seen[number + 1]);
        }
    }
}

fn hold_set(now: Nanos, held: FaultSet, present: FaultSet, seen: &mut [Nanos; Cause::COUNT]) -> FaultSet {
    let mut kept = present;
    for cause in present.iter() {
        seen[cause.index()] = now;
    }
    for cause in held.minus(present).iter() {
        let recovery = Nanos::from_millis(u64::from(cause.policy().recovery_ms));
        if now.since(seen[cause.index()]) < recovery {
            kept = kept.with(cause);
        }
    }
    kept
}

/// Fail-safe when every function of every camera is lost; degraded when anything is touched.
fn state_of(faults: &Faults, progress: Progress) -> State {
    let mut touching = FaultSet::default();
    let mut taking = FaultSet::default();
    let mut all_lost = true;
    for (camera, function) in
        faults.carried().flat_map(|(camera, of)| of.iter().map(move |one| (camera, one)))
    {
        for cause in faults.at(camera).iter().filter(|cause| cause.effect(function) != Effect::None) {
            touching = touching.with(cause);
            if cause.effect(function) == Effect::Lost {
                taking = taking.with(cause);
            }
        }
        all_lost &= faults.worst(camera, function).0 == Effect::Lost;
    }
    match (taking.first(), touching.first()) {
        (Some(cause), _) if all_lost => State::FailSafe(cause),
        _ if !progress.opened => State::Init,
        (_, Some(cause)) => State::Degraded(cause),
        _ if progress.deciding => State::Active,
        _ => State::Ready,
    }
}

#[cfg(test)]
mod tests;
