//! See tests/README.md.

mod decoders;
mod eval;
#[cfg(feature = "rtsp")]
mod rtsp;
#[cfg(feature = "h264")]
mod sources;
