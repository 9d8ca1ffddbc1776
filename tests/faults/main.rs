//! See tests/README.md.

mod bad_commands;
mod bad_datasets;
#[cfg(feature = "h264")]
mod bad_media;
