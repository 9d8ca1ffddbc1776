//! See tests/README.md.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a test stops where it fails")]

mod act;
mod backends;
mod calibrate;
mod champion_and_challenger;
mod check;
#[cfg(feature = "h264")]
mod decide;
mod decoders;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "h264")]
mod detect;
mod documents;
mod eval;
#[cfg(feature = "view")]
mod frame_to_dataset;
mod image;
mod looking_on;
mod models_over_the_air;
mod old_configuration;
mod operator_to_activation;
mod paired;
#[cfg(feature = "h264")]
mod replay;
#[cfg(feature = "rtsp")]
mod rtsp;
mod scenarios;
#[cfg(feature = "h264")]
mod sources;
