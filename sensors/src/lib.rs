//! **Frames, vehicle signals and time come in.** Imports nothing of ours; everything else may import it.
//!
//! In walk order:
//! - [`clock`]: monotonic and wall time, the only place either is read.
//! - [`frame`]: one picture, its geometry checked, its copies counted.
//! - [`source`]: the trait behind which every camera, stream, recording and image stands.
//! - [`v4l2`]: cameras of the Linux kernel, which may go and come back.
//! - [`jpeg`]: a whole picture or an error, for still images and MJPEG cameras and recordings.
//!
//! Not here: what a picture shows (runtime), and the ego speed from CAN, which has no code yet.

pub mod clock;
pub mod frame;
#[cfg(feature = "h264")]
pub mod h264;
pub mod jpeg;
pub mod source;
pub mod v4l2;
