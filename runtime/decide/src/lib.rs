//! **Tracks, situations, the decision, the actuator frame.** `no_std`, no allocation, no clock, no I/O: the same input
//! gives the same bytes on every target, also on a brake controller's microcontroller. Imports nothing of ours.
//!
//! No code yet.
#![no_std]
