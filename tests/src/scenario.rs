//! The scenario suite: a car, a world and a detector, simulated around the real decision, commander and receiver.
//!
//! Walk: [`random`] → [`measured`] → [`plant`] → [`scene`] → [`sensor`] → [`drive`]. Nothing here decides anything: what
//! brakes is [`stopline_decide`] with its default settings.

pub mod drive;
pub mod falls;
pub mod measured;
pub mod persons;
pub mod plant;
pub mod quiet;
pub mod random;
pub mod report;
pub mod scene;
pub mod sensor;
pub mod setups;
pub mod signs;
pub mod tables;
