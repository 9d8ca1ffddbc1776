//! See tests/README.md.

mod backends;
mod decoders;
#[cfg(feature = "h264")]
mod detect;
mod eval;
#[cfg(feature = "h264")]
mod replay;
#[cfg(feature = "rtsp")]
mod rtsp;
#[cfg(feature = "h264")]
mod sources;
