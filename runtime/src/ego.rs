//! Vehicle signals, as they come in, to what the decision knows of the vehicle.
//!
//! Two types, because neither room imports the other: `stopline-sensors` receives and judges, `stopline-decide` runs also
//! where there is no such receiver.

use stopline_decide::ego::{Ego, Reading};
use stopline_sensors::clock::Monotonic;
use stopline_sensors::signals::{Quantity, Reading as Received, Readings, VehicleSignals};

/// What `readings` say of the vehicle and its driver.
pub fn ego_of(readings: &Readings) -> Ego {
    let number = |quantity| reading(readings.of(quantity), |value| value);
    let switch = |quantity| reading(readings.of(quantity), |value| value > 0.5);
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

/// The vehicle when a picture was taken.
pub fn ego_at(signals: &VehicleSignals, captured: Monotonic) -> Ego {
    ego_of(&signals.at(captured))
}

/// The newest that is known of the vehicle, for a command.
pub fn newest_ego(signals: &VehicleSignals, now: Monotonic) -> Ego {
    ego_of(&signals.newest(now))
}

fn reading<T>(received: Received, value: impl FnOnce(f32) -> T) -> Reading<T> {
    match received {
        Received::Fresh(number) => Reading::Fresh(value(number)),
        Received::Stale => Reading::Stale,
        Received::Invalid => Reading::Invalid,
        Received::Missing => Reading::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_arrives_at_its_own_place_and_only_fresh_ones_are_values() {
        let mut readings = Readings::default();
        for (at, quantity) in (1_u8..).zip(Quantity::ALL) {
            let value = if quantity.is_switch() { f32::from(at % 2) } else { f32::from(at) };
            readings = readings.with(quantity, Received::Fresh(value));
        }
        let ego = ego_of(&readings);
        let numbers = [
            ego.speed,
            ego.yaw_rate,
            ego.steering_angle,
            ego.steering_rate,
            ego.accelerator,
            ego.brake_pedal,
            ego.acceleration,
        ];
        assert_eq!(numbers.map(|reading| reading.fresh()), [1., 2., 3., 4., 5., 6., 7.].map(Some));
        let switches = [ego.ignition, ego.autopilot, ego.off_switch, ego.release];
        assert_eq!(switches.map(|reading| reading.fresh()), [Some(false), Some(true), Some(false), Some(true)]);
        let spoiled = readings.with(Quantity::Speed, Received::Invalid).with(Quantity::Ignition, Received::Stale);
        let ego = ego_of(&spoiled);
        assert_eq!((ego.speed, ego.ignition), (Reading::Invalid, Reading::Stale));
        assert_eq!(ego_of(&Readings::default()), Ego::default());
    }
}
