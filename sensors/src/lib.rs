//! **Frames, vehicle signals and time come in.** Imports nothing of ours; everything else may import it.
//!
//! In walk order:
//! - [`clock`]: monotonic and wall time, the only place either is read.
//! - [`frame`]: one picture, its geometry checked, its copies counted.
//! - [`source`]: the trait behind which every camera, stream, recording and image stands.
//! - [`open`]: the one door to every source, by a path or an address.
//! - [`v4l2`]: cameras of this machine.
//! - [`rtsp`]: network cameras.
//! - [`clip`]: recorded video, paced or as fast as it decodes.
//! - [`images`]: still images: a file, a folder, a glob.
//! - [`pattern`]: a test pattern whose content can be read back.
//! - [`h264`]: what recordings and network cameras are decoded by.
//! - [`jpeg`]: a whole picture or an error, for still images and MJPEG cameras and recordings.
//! - [`orientation`]: how a picture is turned to stand upright.
//! - [`can`]: a bus of this machine, received and sent on.
//! - [`dbc`]: what the bytes on a bus mean.
//! - [`signals`]: speed, pedals, steering and switches: judged, and at the time they are asked for.
//! - [`nearest`]: which known names a mistyped one may have meant.
//!
//! Not here: what a picture shows, and what follows from it (runtime).

pub mod can;
pub mod clip;
pub mod clock;
pub mod dbc;
pub mod frame;
#[cfg(feature = "h264")]
pub mod h264;
pub mod images;
pub mod jpeg;
pub mod nearest;
pub mod open;
pub mod orientation;
pub mod pattern;
#[cfg(feature = "rtsp")]
pub mod rtsp;
pub mod signals;
pub mod source;
pub mod v4l2;
