//! See tests/README.md.

mod eval;
mod decoders;
#[cfg(feature = "rtsp")]
mod rtsp;
