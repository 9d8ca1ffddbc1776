//! Whether commands are armed: the configuration's key *and* a physical input or a command at standstill.
//!
//! Neither a reload nor anything from outside the machine comes by here. What armed is told each time it changes.

use std::sync::atomic::{AtomicU8, Ordering};

use stopline_decide::ego::Ego;

use crate::config::Arm;

/// Speed below which the vehicle stands, in m/s, for a command that arms.
pub const STANDSTILL: f32 = 0.15;

/// The switch. Written by the control socket and the reader of the input, read every period by the thread that acts.
#[derive(Debug)]
pub struct Arming {
    config: Arm,
    /// [`OFF`], [`BY_COMMAND`], [`BY_INPUT`].
    by: AtomicU8,
}

const OFF: u8 = 0;
const BY_COMMAND: u8 = 1;
const BY_INPUT: u8 = 2;

/// Why a command may not arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmRefusal {
    /// The configuration does not allow it.
    #[error("not armed: arm.armed is false in the configuration; change it and restart")]
    Key,
    /// Only the physical input may arm.
    #[error(
        "not armed: arm.command is false in the configuration; use the physical input, or change it and restart"
    )]
    Command,
    /// Ego speed is not known.
    #[error(
        "not armed: ego speed is not known, so the vehicle may be moving; see [vehicle] in the configuration"
    )]
    SpeedUnknown,
    /// The vehicle moves.
    #[error("not armed: the vehicle moves; arm at standstill")]
    Moving,
}

impl Arming {
    /// Not armed, whatever the configuration says: every start begins so.
    pub fn new(config: Arm) -> Self {
        Self { config, by: AtomicU8::new(OFF) }
    }

    /// Whether commands are armed now.
    pub fn armed(&self) -> bool {
        self.config.armed && self.by.load(Ordering::Acquire) != OFF
    }

    /// Whether the configuration allows arming at all.
    pub fn allowed(&self) -> bool {
        self.config.armed
    }

    /// Arms by a command, at standstill.
    ///
    /// # Errors
    /// [`ArmRefusal`].
    pub fn command(&self, ego: &Ego) -> Result<(), ArmRefusal> {
        if !self.config.armed {
            return Err(ArmRefusal::Key);
        }
        if !self.config.command {
            return Err(ArmRefusal::Command);
        }
        match ego.speed.fresh() {
            None => Err(ArmRefusal::SpeedUnknown),
            // Written so that what is no number is refused.
            Some(speed) if speed.is_nan() || speed.abs() > STANDSTILL => Err(ArmRefusal::Moving),
            Some(_) => {
                // An input that has armed stays the stronger one.
                let _ = self.by.compare_exchange(OFF, BY_COMMAND, Ordering::AcqRel, Ordering::Acquire);
                Ok(())
            }
        }
    }

    /// Disarms, whoever armed. A switch that is still on arms again only after it was off.
    pub fn disarm(&self) {
        self.by.store(OFF, Ordering::Release);
    }

    /// The physical input changed: on arms, off disarms, also what a command has armed. Whether anything changed.
    pub fn input(&self, active: bool) -> bool {
        if !self.config.armed {
            return false;
        }
        let by = if active { BY_INPUT } else { OFF };
        self.by.swap(by, Ordering::AcqRel) != by
    }

    /// What armed, or what is missing, in words.
    pub fn because(&self) -> &'static str {
        match (self.config.armed, self.by.load(Ordering::Acquire)) {
            (false, _) => "arm.armed is false in the configuration",
            (true, BY_COMMAND) => "by command at standstill",
            (true, BY_INPUT) => "by the physical input",
            (true, _) => "neither the physical input nor a command has armed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_decide::ego::Reading;

    fn at(speed: f32) -> Ego {
        Ego { speed: Reading::Fresh(speed), ..Ego::default() }
    }

    fn arming(armed: bool, command: bool) -> Arming {
        Arming::new(Arm { armed, command, ..Arm::default() })
    }

    #[test]
    fn every_start_begins_disarmed_and_a_command_arms_only_at_standstill() {
        let arming = arming(true, true);
        assert!(!arming.armed());
        assert_eq!(arming.command(&at(5.0)), Err(ArmRefusal::Moving));
        assert_eq!(arming.command(&at(f32::NAN)), Err(ArmRefusal::Moving));
        assert_eq!(arming.command(&Ego::default()), Err(ArmRefusal::SpeedUnknown));
        assert!(!arming.armed());
        arming.command(&at(-0.1)).expect("stands");
        assert!(arming.armed());
        arming.disarm();
        assert!(!arming.armed());
    }

    #[test]
    fn without_the_key_nothing_arms() {
        let keyless = arming(false, true);
        assert_eq!(keyless.command(&at(0.0)), Err(ArmRefusal::Key));
        assert!(!keyless.input(true) && !keyless.armed());
        assert_eq!(arming(true, false).command(&at(0.0)), Err(ArmRefusal::Command));
    }

    #[test]
    fn the_switch_disarms_at_once_also_what_a_command_armed() {
        let arming = arming(true, true);
        assert!(arming.input(true) && !arming.input(true) && arming.armed());
        assert_eq!(arming.because(), "by the physical input");
        arming.disarm();
        assert!(!arming.armed(), "a switch left on does not arm again by itself");
        arming.command(&at(0.0)).expect("stands");
        assert!(arming.input(false) && !arming.armed());
    }
}
