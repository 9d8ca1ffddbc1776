//! See tests/README.md.

#[cfg(feature = "rtsp")]
mod rtsp;
