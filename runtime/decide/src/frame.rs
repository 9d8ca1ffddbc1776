//! The default brake command frame: eight bytes, described by `stopline.dbc`, protected by E2E Profile 1.
//!
//! All signals are unsigned and in Intel order:
//!
//! | signal | bit | bits | meaning |
//! |---|---|---|---|
//! | Crc | 0 | 8 | E2E Profile 1 |
//! | Counter | 8 | 4 | 0 to 14 |
//! | (none) | 12 | 4 | 0; Profile 1's data-id nibble where that mode is chosen |
//! | Deceleration | 16 | 10 | × 0.02 m/s² |
//! | Valid | 26 | 1 | the receiver may act on it |
//! | Hold | 27 | 1 | hold at standstill |
//! | ParkingBrake | 28 | 1 | engage it |
//! | Disengage | 29 | 1 | the autopilot hands over |
//! | Warn | 30 | 2 | 0 none, 1 inform, 2 warn |
//! | Row | 32 | 3 | the safe-command table's row |
//! | MonitoringLost | 35 | 1 | nobody watches for falls |
//! | PersonsDown | 36 | 4 | 15 means 15 or more |
//! | Cause | 40 | 8 | the cause's number, 0 none |
//! | ObjectAge | 48 | 8 | × 5 ms; 254 that or more, 255 none |
//! | DecisionAge | 56 | 8 | the same |

use crate::cause::Cause;
use crate::command::{Command, Row};
use crate::decision::WarnLevel;
use crate::time::Nanos;

/// The frame's description for tools and for the sender on a bus.
pub const DBC: &str = include_str!("../stopline.dbc");
/// The message's name in [`DBC`].
pub const MESSAGE: &str = "STOPLINE_BRAKE";
/// The message's identifier in [`DBC`] (11 bits).
pub const ID: u16 = 0x2A0;
/// Bytes.
pub const LENGTH: usize = 8;
/// How often it is sent, in milliseconds.
pub const PERIOD_MS: u64 = 20;

const DECELERATION_STEPS: f32 = 50.0;
const MOST_STEPS: u16 = 1023;
const AGE_STEP: u64 = 5_000_000;
const NO_AGE: u8 = 255;

/// What the frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Payload {
    /// The receiver may act on it.
    pub valid: bool,
    /// In m/s², 0 to 20.46 in steps of 0.02.
    pub deceleration: f32,
    /// Hold at standstill.
    pub hold: bool,
    /// Engage the parking brake.
    pub parking_brake: bool,
    /// The autopilot hands over.
    pub disengage: bool,
    /// Tell the driver.
    pub warn: Option<WarnLevel>,
    /// The safe-command table's row.
    pub row: Row,
    /// Nobody watches for falls where somebody should.
    pub monitoring_lost: bool,
    /// 0 to 15; 15 means that or more.
    pub persons_down: u8,
    /// What is wrong.
    pub cause: Option<Cause>,
    /// Age of the picture, in steps of 5 ms up to 1.27 s.
    pub object_age: Option<Nanos>,
    /// Age of the decision, likewise.
    pub decision_age: Option<Nanos>,
}

/// What the frame may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The signal.
    pub signal: &'static str,
    /// Its value.
    pub value: u8,
}

impl core::fmt::Display for Unknown {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(to, "{} is {}; expected a value that {MESSAGE} names", self.signal, self.value)
    }
}

impl core::error::Error for Unknown {}

impl From<&Command> for Payload {
    /// What of a command goes onto the bus. What is not armed is not valid there and asks for nothing.
    fn from(command: &Command) -> Self {
        let armed = command.armed;
        Self {
            valid: command.valid && armed,
            deceleration: if armed { command.deceleration } else { 0.0 },
            hold: command.hold && armed,
            parking_brake: command.parking_brake && armed,
            disengage: command.disengage && armed,
            warn: command.warn.filter(|_| armed),
            row: if armed { command.row } else { Row::Idle },
            monitoring_lost: command.monitoring_lost,
            persons_down: command.persons_down,
            cause: command.cause,
            object_age: command.object_age,
            decision_age: command.decision_age,
        }
    }
}

impl Payload {
    /// The frame's bytes, checksum and counter still 0. Deceleration is rounded down: never more is sent than asked.
    pub fn pack(&self) -> [u8; LENGTH] {
        let bit = u16::from;
        let word = steps(self.deceleration)
            | bit(self.valid) << 10
            | bit(self.hold) << 11
            | bit(self.parking_brake) << 12
            | bit(self.disengage) << 13
            | u16::from(warn_number(self.warn)) << 14;
        let [low, high] = word.to_le_bytes();
        let state = self.row.number() | u8::from(self.monitoring_lost) << 3 | self.persons_down.min(15) << 4;
        let cause = self.cause.map_or(0, Cause::number);
        [0, 0, low, high, state, cause, age(self.object_age), age(self.decision_age)]
    }

    /// Reads a frame whose protection was found right.
    pub fn unpack(frame: &[u8; LENGTH]) -> Result<Self, Unknown> {
        let word = u16::from_le_bytes([frame[2], frame[3]]);
        let bit = |place: u16| word >> place & 1 == 1;
        let warn = match word >> 14 {
            0 => None,
            1 => Some(WarnLevel::Inform),
            2 => Some(WarnLevel::Warn),
            _ => return Err(Unknown { signal: "Warn", value: 3 }),
        };
        let row = frame[4] & 0b111;
        let cause = match frame[5] {
            0 => None,
            number => Some(Cause::from_number(number).ok_or(Unknown { signal: "Cause", value: number })?),
        };
        Ok(Self {
            valid: bit(10),
            deceleration: f32::from(word & MOST_STEPS) / DECELERATION_STEPS,
            hold: bit(11),
            parking_brake: bit(12),
            disengage: bit(13),
            warn,
            row: Row::from_number(row).ok_or(Unknown { signal: "Row", value: row })?,
            monitoring_lost: frame[4] & 0b1000 != 0,
            persons_down: frame[4] >> 4,
            cause,
            object_age: age_of(frame[6]),
            decision_age: age_of(frame[7]),
        })
    }
}

/// Whole steps of deceleration; what is no number is none. The small sum undoes the rounding of products such as 0.06 × 50.
fn steps(deceleration: f32) -> u16 {
    let steps = libm::floorf(deceleration * DECELERATION_STEPS + 1e-3);
    if steps >= 0.0 { steps.min(f32::from(MOST_STEPS)) as u16 } else { 0 }
}

const fn warn_number(warn: Option<WarnLevel>) -> u8 {
    match warn {
        None => 0,
        Some(WarnLevel::Inform) => 1,
        Some(WarnLevel::Warn) => 2,
    }
}

fn age(age: Option<Nanos>) -> u8 {
    age.map_or(NO_AGE, |age| (age.0 / AGE_STEP).min(u64::from(NO_AGE - 1)) as u8)
}

fn age_of(byte: u8) -> Option<Nanos> {
    (byte != NO_AGE).then(|| Nanos(u64::from(byte) * AGE_STEP))
}

#[cfg(test)]
mod tests;
