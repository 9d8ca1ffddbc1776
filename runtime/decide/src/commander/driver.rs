//! What the driver does: taking over, releasing a hold. Only fresh signals count, and of buttons and pedals only what
//! changes.

use crate::arith::{larger, magnitude, smaller};
use crate::ego::{Ego, Reading};
use crate::time::Nanos;

use super::config::CommandConfig;

/// Follows pedals, wheel and buttons from period to period.
#[derive(Clone, Debug, Default)]
pub(super) struct Driver {
    /// The least accelerator seen since [`Driver::watch_from_here`]: a foot that stays is no kick-down.
    least_accelerator: Option<f32>,
    /// The button's last reading, for its edge.
    release: Reading<bool>,
    /// The wheel's last fresh angle, for a rate where the vehicle sends none.
    angle: Option<(Nanos, f32)>,
}

/// What the driver did in this period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acts {
    /// Pressed the accelerator down since the last [`Driver::watch_from_here`].
    pub kick_down: bool,
    /// Turned the wheel faster than a lane is held.
    pub steers: bool,
    /// The off switch is on.
    pub off: bool,
    /// Pressed the release.
    pub releases: bool,
    /// Presses the brake.
    pub brakes: bool,
    /// Accelerator, wheel or off switch cannot be trusted: the driver could not be seen taking over.
    pub unseen: bool,
}

impl Acts {
    /// Whether the driver has taken over from a brake.
    pub fn overrides(self) -> bool {
        self.kick_down || self.steers || self.off
    }
}

/// Brake pedal from which on the driver brakes: a switch gives 1, a worn sensor a little.
const PEDAL: f32 = 0.05;
/// Longest time between two wheel angles that a rate is made of.
const LONGEST_ANGLE_GAP: Nanos = Nanos::from_millis(200);
/// Shortest: below it the resolution of the angle looks like a rate.
const SHORTEST_ANGLE_GAP: Nanos = Nanos::from_millis(5);

impl Driver {
    /// From now on, only a rise above what the foot does now is a kick-down.
    pub fn watch_from_here(&mut self, ego: &Ego) {
        self.least_accelerator = ego.accelerator.fresh();
    }

    /// What the driver does in this period. Call it once per period.
    pub fn see(&mut self, now: Nanos, ego: &Ego, config: &CommandConfig) -> Acts {
        let accelerator = ego.accelerator.fresh().filter(|value| value.is_finite());
        let rate = self.rate(now, ego);
        let releases = self.release == Reading::Fresh(false) && ego.release == Reading::Fresh(true);
        self.release = ego.release;
        Acts {
            kick_down: self.kicks_down(accelerator, config.kick_down),
            steers: rate.is_some_and(|rate| magnitude(rate) > config.steering_rate),
            off: ego.off_switch == Reading::Fresh(true),
            releases,
            brakes: ego.brake_pedal.fresh().is_some_and(|pedal| pedal > PEDAL),
            unseen: accelerator.is_none()
                || rate.is_none()
                || matches!(ego.off_switch, Reading::Stale | Reading::Invalid),
        }
    }

    fn kicks_down(&mut self, accelerator: Option<f32>, rise: f32) -> bool {
        let Some(value) = accelerator else { return false };
        let least = smaller(self.least_accelerator.unwrap_or(value), value);
        self.least_accelerator = Some(least);
        value - least >= rise
    }

    /// The wheel's rate: as sent, else from two angles.
    fn rate(&mut self, now: Nanos, ego: &Ego) -> Option<f32> {
        if let Some(rate) = ego.steering_rate.fresh().filter(|rate| rate.is_finite()) {
            return Some(rate);
        }
        let angle = ego.steering_angle.fresh().filter(|angle| angle.is_finite());
        let Some(angle) = angle else {
            self.angle = None;
            return None;
        };
        let Some((then, before)) = self.angle else {
            self.angle = Some((now, angle));
            return None;
        };
        let gap = now.since(then);
        if gap >= SHORTEST_ANGLE_GAP {
            self.angle = Some((now, angle));
        }
        let seconds = larger(gap.seconds(), SHORTEST_ANGLE_GAP.seconds());
        (gap <= LONGEST_ANGLE_GAP).then(|| (angle - before) / seconds)
    }
}
