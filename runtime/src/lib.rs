//! **Frame to brake.** Threads only; no async; no cloud. May import sensors, decide and depot.
//!
//! | stage | thread | queue bound | when late |
//! |---|---|---|---|
//! | [`prepare`]: frame → input tensor | inference | – | – |
//! | [`infer`]: input tensor → output tensors | inference | – | – |
//! | [`decode`]: output tensors → detections in source pixels | inference | – | – |
//! | [`act`]: command → buses, lines, programs, messages | actuator, fixed period | 1 frame on its way | missed periods are left out |
//!
//! [`signals`] brings in what the vehicle says of itself. [`detector`] runs the three first in a row for one model.
//! [`model`] reads an ONNX file and its manifest before that.
//! `intake`, `decide`, `guard` and `capture` have no code yet.

pub mod act;
pub mod calibrate;
pub mod commands;
pub mod config;
mod cpu;
pub mod daemon;
pub mod decode;
pub mod detection;
pub mod detector;
pub mod doctor;
pub mod draw;
pub mod eval;
pub mod exit;
pub mod guard;
pub mod infer;
pub mod intake;
pub mod log;
pub mod model;
pub mod observe;
pub mod output;
pub mod percentiles;
pub mod pipeline;
pub mod prepare;
pub mod report;
#[cfg(feature = "view")]
pub mod serve;
pub mod signals;
pub mod video;
#[cfg(feature = "view")]
pub mod view;
#[cfg(feature = "view")]
mod web;
