//! See tests/README.md.

mod eval;
#[cfg(feature = "rtsp")]
mod rtsp;
