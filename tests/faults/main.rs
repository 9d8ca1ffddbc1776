//! See tests/README.md.

#[cfg(feature = "h264")]
mod bad_media;
