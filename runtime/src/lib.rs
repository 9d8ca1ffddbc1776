//! **Frame to brake.** Threads only; no async; no cloud. May import sensors, decide and depot.
//!
//! | stage | thread | period | deadline | queue bound | when late |
//! |---|---|---|---|---|---|
//! | [`intake::capture`]: camera → frame, and [`guard`]'s look at it | `capture-NAME`, one per camera | the camera's | no frame for max(2.5 periods, 100 ms) is a lost camera | 1 frame per camera, the newest ([`intake::mailbox`]) | the older frame is dropped and counted (`replaced`) |
//! | [`prepare`]: frame → input tensor | `infer-N` | when a frame waits | together 100 ms from frame to answer (`guard.stalled_after_ms`) | – | `inference_stalled`, by the actuator thread |
//! | [`infer`]: input tensor → output tensors | `infer-N` | | | – | |
//! | [`decode`]: output tensors → detections in source pixels | `infer-N` | | | – | |
//! | [`pipeline::Deciding`]: detections → decision | `infer-N` | | | 1 decision per camera, the newest ([`daemon::slot`]) | an older decision is no command (`command.max_decision_age_ms`) |
//! | [`pipeline::Acting`]: decisions, faults, signals → command | `actuate` | fixed, 20 ms (`run.command_period_ms`) | its period | – | missed periods are left out and told; a receiver times out after three |
//! | [`act`]: command → buses, lines, programs, messages | `actuate`, programs and files in workers | the same | its period | 1 frame on its way | an actuator fault |
//! | [`daemon::publish`]: log, health file, stream, systemd | `publish` | 1 s and as told | none | 256 notes, 4 frames among them | left out and counted; nobody waits |
//! | [`capture`]: frames worth learning from → spool | `capture` | as handed | none, idle scheduling | 64 reports, 4 pictures among them | left out and counted; nobody waits |
//! | [`drift`]: records → what is no longer as it was | `drift` | as handed | none, idle scheduling | 64 records | left out; nobody waits |
//! | [`daemon::deploying`]: offers → self-test, shadow, trial ([`models`]) | `deploy`, children of its own | 0.2 s | none | – | a model waits |
//! | [`daemon::polling`], [`daemon::control`], [`daemon::switch`]: heat and supply; arming | `poll`, `control`, `arm-input` | 1 s; when asked; 50 ms | none | – | – |
//!
//! [`daemon`] starts all of it. [`config`] is the one configuration file, [`signals`] what the vehicle says of itself.
//! [`models`] judges bundles and says when a new one may decide. `demo` plays recorded clips through all of it.
//! [`attention`] says how much of a frame is looked at. [`detector`] runs prepare, infer and decode in a row for one model; [`model`] reads an ONNX file and its manifest before
//! that; [`observe`] gives detections their part in decisions.

pub mod act;
pub mod attention;
pub mod calibrate;
pub mod capture;
pub mod check;
pub mod commands;
pub mod config;
mod cpu;
pub mod daemon;
pub mod decode;
#[cfg(feature = "demo")]
pub mod demo;
pub mod detection;
pub mod detector;
pub mod doctor;
pub mod draw;
pub mod drift;
pub mod eval;
pub mod exit;
pub mod guard;
pub mod infer;
pub mod intake;
pub mod log;
pub mod model;
pub mod models;
pub mod observe;
pub mod output;
pub mod percentiles;
pub mod pipeline;
pub mod prepare;
pub mod recorded;
pub mod report;
#[cfg(feature = "view")]
pub mod serve;
pub mod signals;
pub mod video;
#[cfg(feature = "view")]
pub mod view;
#[cfg(feature = "view")]
mod web;
