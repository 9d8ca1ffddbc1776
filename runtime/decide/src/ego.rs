//! What the vehicle says of itself and of its driver.

/// A signal, judged: only [`Reading::Fresh`] is a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reading<T> {
    /// Received within its staleness limit, counter and checksum right.
    Fresh(T),
    /// Received before, but not within its limit.
    Stale,
    /// Its counter or checksum is wrong, or its value impossible.
    Invalid,
    /// Configured and never received, or not configured.
    #[default]
    Missing,
}

impl<T: Copy> Reading<T> {
    /// The value of a fresh reading.
    pub fn fresh(self) -> Option<T> {
        match self {
            Self::Fresh(value) => Some(value),
            _ => None,
        }
    }
}

/// All vehicle signals at one moment. For a decision they are interpolated to the frame's capture time; for a command
/// they are the newest ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ego {
    /// Metres per second, negative in reverse.
    pub speed: Reading<f32>,
    /// Radians per second, positive to the left.
    pub yaw_rate: Reading<f32>,
    /// Steering wheel angle in radians, positive to the left.
    pub steering_angle: Reading<f32>,
    /// Steering wheel rate in radians per second, positive to the left.
    pub steering_rate: Reading<f32>,
    /// Accelerator pedal, 0 released to 1 floored.
    pub accelerator: Reading<f32>,
    /// Brake pedal, 0 released to 1 fully pressed; a switch gives 0 or 1.
    pub brake_pedal: Reading<f32>,
    /// Longitudinal acceleration in m/s², positive forwards.
    pub acceleration: Reading<f32>,
    /// Ignition on.
    pub ignition: Reading<bool>,
    /// An autopilot or cruise control drives.
    pub autopilot: Reading<bool>,
    /// The driver's off switch.
    pub off_switch: Reading<bool>,
    /// The driver's button, lever or gear action that releases a standstill hold. Rising edges count.
    pub release: Reading<bool>,
}
