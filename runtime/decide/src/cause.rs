//! What can be wrong, as codes that never change their meaning.

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
}
