//! See tests/README.md.

mod backends;
mod decoders;
mod eval;
#[cfg(feature = "rtsp")]
mod rtsp;
#[cfg(feature = "h264")]
mod sources;
