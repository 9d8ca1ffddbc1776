//! See tests/README.md.

#[cfg(feature = "rtsp")]
mod rtsp;
#[cfg(feature = "h264")]
mod sources;
