//! What of a command an actuator answers to.

use serde::{Deserialize, Serialize};
use stopline_decide::cause::Cause;
use stopline_decide::command::Command;
use stopline_decide::decision::WarnLevel;

/// When a line is active, a program is run, a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The command is valid: the dead-man signal of a loop that lives and knows what it asks for.
    Valid,
    /// Any deceleration is asked for.
    Brake,
    /// Hold at standstill.
    Hold,
    /// The parking brake is asked for.
    ParkingBrake,
    /// The autopilot's control is to be taken away.
    Disengage,
    /// The driver is told, however urgently.
    Inform,
    /// The driver is told to act now.
    Warn,
    /// A hold that nobody answered for, or that the vehicle rolls under.
    Escalate,
    /// Persons are down.
    Fall,
    /// Nobody watches for falls where somebody should.
    MonitoringLost,
    /// Anything is wrong.
    Fault,
    /// Nobody fetches what lies in the outbox.
    AgentLost,
}

impl Trigger {
    /// Whether it asks something of the vehicle: such a thing is done only when armed, whatever is configured.
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Valid | Self::Brake | Self::Hold | Self::ParkingBrake | Self::Disengage)
    }

    /// Whether it tells the driver: done unarmed only where that is configured. What is left tells the staff, and is done
    /// armed or not: there is nothing to brake beside a bed.
    pub const fn tells_the_driver(self) -> bool {
        matches!(self, Self::Inform | Self::Warn | Self::Escalate)
    }

    /// Whether `command` is such, armed or not.
    pub fn would(self, command: &Command) -> bool {
        match self {
            Self::Valid => command.valid,
            Self::Brake => command.deceleration > 0.0,
            Self::Hold => command.hold,
            Self::ParkingBrake => command.parking_brake,
            Self::Disengage => command.disengage,
            Self::Inform => command.warn.is_some(),
            Self::Warn => command.warn == Some(WarnLevel::Warn),
            Self::Escalate => command.escalate,
            Self::Fall => command.persons_down > 0,
            Self::MonitoringLost => command.monitoring_lost,
            Self::Fault => command.cause.is_some(),
            Self::AgentLost => command.cause == Some(Cause::Agent),
        }
    }

    /// Whether it is to be done: as [`Self::would`], and armed where it must be.
    pub fn is_on(self, command: &Command, while_unarmed: bool) -> bool {
        let may = command.armed || !self.is_request() && (while_unarmed || !self.tells_the_driver());
        // An invalid command asks for nothing, whatever its numbers say.
        let counts = command.valid || !self.is_request();
        may && counts && self.would(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Trigger; 12] = [
        Trigger::Valid,
        Trigger::Brake,
        Trigger::Hold,
        Trigger::ParkingBrake,
        Trigger::Disengage,
        Trigger::Inform,
        Trigger::Warn,
        Trigger::Escalate,
        Trigger::Fall,
        Trigger::MonitoringLost,
        Trigger::Fault,
        Trigger::AgentLost,
    ];

    fn everything() -> Command {
        Command {
            valid: true,
            armed: true,
            deceleration: 3.0,
            hold: true,
            parking_brake: true,
            disengage: true,
            warn: Some(WarnLevel::Warn),
            escalate: true,
            persons_down: 1,
            monitoring_lost: true,
            cause: Some(Cause::Agent),
            ..Command::default()
        }
    }

    #[test]
    fn what_is_not_armed_asks_nothing_of_the_vehicle_whatever_is_configured() {
        for trigger in ALL {
            assert!(trigger.is_on(&everything(), false), "{trigger:?}");
            assert!(!trigger.is_on(&Command::default(), true), "{trigger:?}");
            let unarmed = Command { armed: false, ..everything() };
            assert!(trigger.would(&unarmed));
            assert_eq!(trigger.is_on(&unarmed, true), !trigger.is_request(), "{trigger:?}");
            let staff = !trigger.is_request() && !trigger.tells_the_driver();
            assert_eq!(trigger.is_on(&unarmed, false), staff, "{trigger:?}");
            let invalid = Command { valid: false, ..everything() };
            assert_eq!(trigger.is_on(&invalid, false), !trigger.is_request(), "{trigger:?}");
        }
    }
}
