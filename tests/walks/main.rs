//! See tests/README.md.

mod decoders;
#[cfg(feature = "rtsp")]
mod rtsp;
