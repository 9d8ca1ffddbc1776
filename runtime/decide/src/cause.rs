//! What can be wrong, as codes that never change their meaning.

use core::fmt;

/// Why the state is not [`State::Active`] or [`State::Ready`]. The number is the code on the bus; the text of
/// [`Cause::code`] stands in logs, metrics and the health file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cause {
    /// No frame within the limit.
    CameraLost = 1,
    /// The same picture again and again.
    CameraFrozen = 2,
    /// Nothing but black.
    CameraBlack = 3,
    /// Nothing but white.
    CameraSaturated = 4,
    /// Something lies before the lens.
    CameraCovered = 5,
    /// Out of focus.
    CameraDefocused = 6,
    /// The sun or a lamp shines in.
    CameraBacklit = 7,
    /// The camera looks elsewhere than when it was calibrated.
    CameraMoved = 8,
    /// The picture has another size than the calibration.
    WrongResolution = 9,
    /// Frames come more slowly than the function needs.
    FrameRateLow = 10,
    /// No answer of the model within the limit.
    InferenceStalled = 11,
    /// Answers come later than the budget allows.
    InferenceSlow = 12,
    /// The model's numbers cannot be.
    OutputInvalid = 13,
    /// There is no model to load.
    ModelMissing = 14,
    /// The running model is below the security floor.
    ModelBelowFloor = 15,
    /// Capture times run backwards, jump ahead or come from the future.
    ClockAnomaly = 16,
    /// The machine is throttled for heat.
    Throttled = 17,
    /// The machine's supply is too low.
    UnderVoltage = 18,
    /// The bus or line cannot be driven: error frames, no echo, queue full.
    ActuatorFault = 19,
    /// Ego speed is stale, invalid or missing.
    EgoSpeed = 20,
    /// Accelerator or steering is stale, invalid or missing.
    DriverSignals = 21,
    /// Nobody fetches what lies in the outbox.
    Agent = 22,
    /// The capture's stamp has no declared latency bound, so the source may not arm a brake.
    StampUnbounded = 23,
}

/// Every cause with its code, in the order of the numbers. The one place where a code is written.
const CODES: [(Cause, &str); 23] = [
    (Cause::CameraLost, "camera_lost"),
    (Cause::CameraFrozen, "camera_frozen"),
    (Cause::CameraBlack, "camera_black"),
    (Cause::CameraSaturated, "camera_saturated"),
    (Cause::CameraCovered, "camera_covered"),
    (Cause::CameraDefocused, "camera_defocused"),
    (Cause::CameraBacklit, "camera_backlit"),
    (Cause::CameraMoved, "camera_moved"),
    (Cause::WrongResolution, "wrong_resolution"),
    (Cause::FrameRateLow, "frame_rate_low"),
    (Cause::InferenceStalled, "inference_stalled"),
    (Cause::InferenceSlow, "inference_slow"),
    (Cause::OutputInvalid, "output_invalid"),
    (Cause::ModelMissing, "model_missing"),
    (Cause::ModelBelowFloor, "model_below_floor"),
    (Cause::ClockAnomaly, "clock_anomaly"),
    (Cause::Throttled, "throttled"),
    (Cause::UnderVoltage, "under_voltage"),
    (Cause::ActuatorFault, "actuator_fault"),
    (Cause::EgoSpeed, "ego_speed"),
    (Cause::DriverSignals, "driver_signals"),
    (Cause::Agent, "agent"),
    (Cause::StampUnbounded, "stamp_unbounded"),
];

impl Cause {
    /// How many there are. Numbers run from 1 to this.
    pub const COUNT: usize = CODES.len();

    /// The text in logs, metrics, records and the health file. Never changes its meaning.
    pub const fn code(self) -> &'static str {
        CODES[self as usize - 1].1
    }

    /// The cause of a text as [`Cause::code`] gives it.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|cause| cause.code() == code)
    }

    /// The number on the bus, 1 or more; 0 there means none.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The cause of a number as [`Cause::number`] gives it; `None` for 0 and for numbers of a later version.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number as usize {
            index @ 1..=Self::COUNT => Some(CODES[index - 1].0),
            _ => None,
        }
    }

    /// All of them, by rising number.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        CODES.iter().map(|(cause, _)| *cause)
    }

    /// Where it stands in tables with one entry per cause.
    pub(crate) const fn index(self) -> usize {
        self as usize - 1
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self.code())
    }
}

/// What the whole runtime is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Starting: devices and models are being opened.
    #[default]
    Init,
    /// Everything works; nothing to decide yet (no frame, or not armed).
    Ready,
    /// Deciding.
    Active,
    /// Deciding with less: the cause with the lowest code.
    Degraded(Cause),
    /// Not deciding: the safe command is sent.
    FailSafe(Cause),
}

impl State {
    /// The text in logs, metrics and the health file, without the cause.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Degraded(_) => "degraded",
            Self::FailSafe(_) => "fail_safe",
        }
    }

    /// Why, where there is a cause.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Degraded(cause) | Self::FailSafe(cause) => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause() {
            Some(cause) => write!(to, "{}({cause})", self.code()),
            None => to.write_str(self.code()),
        }
    }
}

/// The faults that are present, one bit per [`Cause`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FaultSet(u32);

impl FaultSet {
    /// With `cause` present.
    #[must_use]
    pub const fn with(self, cause: Cause) -> Self {
        Self(self.0 | (1 << cause as u32))
    }

    /// Without `cause`.
    #[must_use]
    pub const fn without(self, cause: Cause) -> Self {
        Self(self.0 & !(1 << cause as u32))
    }

    /// Whether `cause` is present.
    pub const fn has(self, cause: Cause) -> bool {
        self.0 & (1 << cause as u32) != 0
    }

    /// Whether none is present.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is present in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is present here and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many are present.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The one with the lowest number.
    pub fn first(self) -> Option<Cause> {
        self.iter().next()
    }

    /// Those present, by rising number.
    pub fn iter(self) -> impl Iterator<Item = Cause> + Clone {
        Cause::all().filter(move |cause| self.has(*cause))
    }
}

impl FromIterator<Cause> for FaultSet {
    fn from_iter<I: IntoIterator<Item = Cause>>(causes: I) -> Self {
        causes.into_iter().fold(Self::default(), Self::with)
    }
}
