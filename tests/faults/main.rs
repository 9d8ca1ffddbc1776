//! See tests/README.md.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a test stops where it fails")]

mod bad_commands;
mod bad_datasets;
#[cfg(feature = "h264")]
mod bad_media;
mod chaos;
mod daemon;
#[cfg(feature = "h264")]
mod lens;
