//! **Tracks, situations, the decision, the actuator frame.** `no_std`, no allocation, no clock, no I/O: the same input
//! gives the same bytes on every target, also on a brake controller's microcontroller. Imports nothing of ours.
//!
//! Two halves, each a pure function of what it is given and its own state:
//!
//! - per processed frame: [`observe::Observation`]s and [`ego::Ego`] → tracks → situations → [`decision::Decision`];
//! - per actuator period: the newest [`decision::Decision`], [`ego::Ego`] and the [`state::Faults`] →
//!   [`command::Command`], by the safe-command table.
//!
//! Time is [`time::Nanos`] and always comes in as an argument.
#![no_std]

#[cfg(test)]
extern crate std;

mod arith;
#[cfg(test)]
mod bench;
pub mod bounds;
pub mod camera;
pub mod cause;
pub mod command;
pub mod commander;
pub mod confirm;
pub mod decider;
pub mod decision;
pub mod e2e;
pub mod ego;
pub mod fall;
pub mod frame;
pub mod observe;
pub mod pedestrian;
pub mod receiver;
mod scene;
pub mod state;
pub mod stop_sign;
pub mod table;
pub mod time;
pub mod track;
pub mod watch;
