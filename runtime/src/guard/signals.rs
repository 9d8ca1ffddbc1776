//! Whether the vehicle and its driver are heard.

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::ego::{Ego, Reading};
use stopline_decide::time::Nanos;

use super::config::{GuardConfig, ms};
use super::confirm::Confirmed;

/// Which signals the configuration promises. A wall camera promises none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promised {
    /// Ego speed.
    pub speed: bool,
    /// Accelerator pedal.
    pub accelerator: bool,
    /// Steering wheel angle or rate.
    pub steering: bool,
}

/// Watches the signals. A reading is judged where it is received; here it counts at once.
pub struct SignalGuard {
    promised: Promised,
    speed: Confirmed,
    driver: Confirmed,
}

impl SignalGuard {
    /// By `config`.
    pub fn new(config: &GuardConfig, promised: Promised) -> Self {
        let at_once = Confirmed::new(Nanos::default(), ms(config.recover_ms));
        Self { promised, speed: at_once, driver: at_once }
    }

    /// What is wrong at `now`.
    pub fn tick(&mut self, ego: &Ego, now: Nanos) -> FaultSet {
        let Promised { speed, accelerator, steering } = self.promised;
        let deaf = |promised: bool, fresh: bool| promised && !fresh;
        let steered = fresh(ego.steering_angle) || fresh(ego.steering_rate);
        let driver = deaf(accelerator, fresh(ego.accelerator)) || deaf(steering, steered);
        let mut faults = FaultSet::default();
        if self.speed.update(now, deaf(speed, fresh(ego.speed))) {
            faults = faults.with(Cause::EgoSpeed);
        }
        if self.driver.update(now, driver) {
            faults = faults.with(Cause::DriverSignals);
        }
        faults
    }
}

fn fresh<T: Copy>(reading: Reading<T>) -> bool {
    reading.fresh().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_speed_counts_at_once_and_recovers_after_its_time() {
        let promised = Promised { speed: true, accelerator: true, steering: true };
        let mut guard = SignalGuard::new(&GuardConfig::default(), promised);
        let well = Ego {
            speed: Reading::Fresh(10.0),
            accelerator: Reading::Fresh(0.0),
            steering_rate: Reading::Fresh(0.0),
            ..Ego::default()
        };
        let at = Nanos::from_millis;
        assert!(guard.tick(&well, at(0)).is_empty());
        let stale = Ego { speed: Reading::Stale, ..well };
        assert_eq!(guard.tick(&stale, at(20)), FaultSet::default().with(Cause::EgoSpeed));
        assert!(!guard.tick(&well, at(40)).is_empty() && guard.tick(&well, at(240)).is_empty());
        let deaf = Ego { accelerator: Reading::Invalid, ..well };
        assert_eq!(guard.tick(&deaf, at(300)), FaultSet::default().with(Cause::DriverSignals));
    }

    #[test]
    fn a_camera_on_a_wall_misses_no_vehicle() {
        let mut guard = SignalGuard::new(&GuardConfig::default(), Promised::default());
        assert!(guard.tick(&Ego::default(), Nanos::default()).is_empty());
    }
}
