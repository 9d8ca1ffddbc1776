//! What goes to the actuators, every period.

use crate::cause::Cause;
use crate::decision::WarnLevel;
use crate::time::Nanos;

/// What the vehicle is in, as the safe-command table's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Row {
    /// Nothing is asked for.
    #[default]
    Idle,
    /// The driver is told.
    Warning,
    /// Braking.
    Braking,
    /// Held at standstill.
    Holding,
    /// The driver has taken over.
    Overridden,
}

/// One period's command. What is not armed shows what would have been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Command {
    /// When it was made.
    pub made: Nanos,
    /// Whether the receiver may act on it; `false`: alive, but nothing is asked for and nothing may be kept.
    pub valid: bool,
    /// Whether the actuators are armed. Where not, nothing of this may be sent as valid: it shows what would have been.
    pub armed: bool,
    /// The table's row.
    pub row: Row,
    /// Deceleration in m/s², 0 or more.
    pub deceleration: f32,
    /// Hold at standstill.
    pub hold: bool,
    /// Ask for the parking brake.
    pub parking_brake: bool,
    /// Tell the driver.
    pub warn: Option<WarnLevel>,
    /// Take the autopilot's control away.
    pub disengage: bool,
    /// A hold that nobody answered for, or one that the vehicle rolls under: tell everybody who can be told.
    pub escalate: bool,
    /// Persons down: staff alert.
    pub persons_down: u8,
    /// Nobody watches for falls where somebody should: staff alert.
    pub monitoring_lost: bool,
    /// Age of the picture that the decision stands on; `None` before the first.
    pub object_age: Option<Nanos>,
    /// Age of the decision itself.
    pub decision_age: Option<Nanos>,
    /// What is wrong, where something is: what takes most from this command, else the lowest number.
    pub cause: Option<Cause>,
    /// The situation that is asked for.
    pub situation: Option<u32>,
}
