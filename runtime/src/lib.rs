//! **Frame to brake.** Threads only; no async; no cloud. May import sensors, decide and depot.
//!
//! | stage | thread | queue bound | when late |
//! |---|---|---|---|
//! | [`prepare`]: frame → input tensor | inference | – | – |
//! | [`infer`]: input tensor → output tensors | inference | – | – |
//! | [`decode`]: output tensors → detections in source pixels | inference | – | – |
//!
//! [`detector`] runs the three in a row for one model. [`model`] reads an ONNX file and its manifest before that.
//! `intake`, `decide`, `act`, `guard` and `capture` have no code yet.

pub mod commands;
pub mod config;
mod cpu;
pub mod decode;
pub mod detection;
pub mod detector;
pub mod draw;
pub mod eval;
pub mod exit;
pub mod infer;
pub mod intake;
pub mod model;
pub mod output;
pub mod percentiles;
pub mod prepare;
pub mod report;
pub mod video;
