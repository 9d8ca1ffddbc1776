//! Vehicle signals as the decision takes them: `[vehicle]` of the configuration, counters and checksums checked by the
//! profiles of `stopline-decide`, readings turned into [`Ego`].

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stopline_decide::e2e::{Check, CheckConfig, Checker, Protection};
use stopline_decide::ego::{Ego, Reading};
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::dbc::Message;
use stopline_sensors::signals::route::{FrameCheck, Verdict};
use stopline_sensors::signals::{self, Quantity, Readings, SignalError, Vehicle};

use crate::config::Misfit;

/// `[vehicle]`.
pub type VehicleConfig = signals::config::VehicleConfig<Received>;

/// `[vehicle.e2e.MESSAGE]`: how a received message is protected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// Checksum, counter, data id.
    pub protection: Protection,
    /// How much loss is borne.
    #[serde(default)]
    pub check: CheckConfig,
}

/// Whether `[vehicle]` can work, keys and bounds; files and buses are looked at by [`open`].
///
/// # Errors
/// The first key that cannot.
pub fn check(config: &VehicleConfig) -> Result<(), Misfit> {
    config.check().map_err(|wrong| Misfit::new(&wrong.key, wrong.found, wrong.expected))
}

/// Opens what is configured; see [`Vehicle::open`].
///
/// # Errors
/// [`SignalError`].
pub fn open(
    config: &VehicleConfig,
    clock: Arc<dyn Clock>,
    started: impl FnOnce() + Send + 'static,
) -> Result<Vehicle, SignalError> {
    Vehicle::open(config, clock, &checker, started)
}

/// The check of one message.
fn checker(received: &Received, message: &Message) -> Result<Box<dyn FrameCheck>, String> {
    let checker = Checker::new(received.protection, received.check, message.size);
    let checker = checker.map_err(|error| error.to_string())?;
    Ok(Box::new(E2eCheck::new(checker, message.cycle)))
}

/// A profile's check as the room of signals asks for it.
pub struct E2eCheck {
    checker: Checker,
    /// The sender's period, where the DBC file states it.
    cycle: Option<Duration>,
    last: Option<Monotonic>,
}

impl E2eCheck {
    /// For a sender with this period; without one, a counter that has moved on in a silence is a wrong one.
    pub fn new(checker: Checker, cycle: Option<Duration>) -> Self {
        Self { checker, cycle, last: None }
    }

    /// Tells the check of each period in which nothing came.
    fn count_silence(&mut self, at: Monotonic) {
        let last = self.last.replace(at);
        if let (Some(last), Some(cycle)) = (last, self.cycle) {
            let periods = at.since(last).as_secs_f64() / cycle.as_secs_f64();
            // Half a period late is late, not lost. Beyond the counter's range no more can be told.
            let missed = (periods - 0.5).floor().clamp(0.0, 255.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            for _ in 0..missed as u8 {
                self.checker.nothing();
            }
        }
    }
}

impl FrameCheck for E2eCheck {
    fn check(&mut self, data: &[u8], at: Monotonic) -> Verdict {
        self.count_silence(at);
        match self.checker.check(data) {
            Check::Ok | Check::SomeLost(_) => Verdict::Accepted,
            // The same counter again, or not yet proven: nothing is known that was not known before.
            Check::Repeated | Check::Initial | Check::Sync | Check::NoNewData => Verdict::Repeated,
            Check::WrongSequence | Check::WrongCrc => Verdict::Refused,
        }
    }
}

/// Readings as the decision takes them.
pub fn ego(readings: &Readings) -> Ego {
    let number = |quantity| reading(readings, quantity, |value| value);
    let switch = |quantity| reading(readings, quantity, |value| value > 0.5);
    Ego {
        speed: number(Quantity::Speed),
        yaw_rate: number(Quantity::YawRate),
        steering_angle: number(Quantity::SteeringAngle),
        steering_rate: number(Quantity::SteeringRate),
        accelerator: number(Quantity::Accelerator),
        brake_pedal: number(Quantity::BrakePedal),
        acceleration: number(Quantity::Acceleration),
        ignition: switch(Quantity::Ignition),
        autopilot: switch(Quantity::Autopilot),
        off_switch: switch(Quantity::OffSwitch),
        release: switch(Quantity::Release),
    }
}

fn reading<T>(readings: &Readings, quantity: Quantity, turn: impl Fn(f32) -> T) -> Reading<T> {
    match readings.of(quantity) {
        signals::Reading::Fresh(value) => Reading::Fresh(turn(value)),
        signals::Reading::Stale => Reading::Stale,
        signals::Reading::Invalid => Reading::Invalid,
        signals::Reading::Missing => Reading::Missing,
    }
}

#[cfg(test)]
mod tests;
