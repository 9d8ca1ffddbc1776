//! Cameras by Video4Linux2: mapped kernel buffers, kernel time stamps, controls, and a camera that may go and come back.
//!
//! In walk order:
//! - [`config`]: what the configuration says of a camera.
//! - `find`: which node it is, now and after it was plugged again.
//! - [`formats`]: which of its formats is used; raw Bayer is refused here.
//! - `describe`: what a camera is and offers, without starting it.
//! - [`controls`]: exposure, gain and the others by name, read back.
//! - `node`: what a node can do, in Rust's types.
//! - `queue`: the calls and the mapped buffers; the crate's one file with unsafe code.
//! - `stream`: a camera that is set up; a buffer becomes a frame by one copy.
//! - `stamp`: kernel stamps checked, sequence numbers carried on.
//! - `source`: the states of a camera, behind [`crate::source::FrameSource`]; `reconnect`, `backoff`: getting it back.
//!
//! Terms and behaviour as in the kernel's Linux Media Infrastructure userspace API, part Video for Linux.

mod backoff;
pub mod config;
pub mod controls;
mod describe;
mod find;
pub mod formats;
mod node;
mod queue;
mod reconnect;
mod source;
mod stamp;
mod stream;

pub use config::V4l2Config;
pub use controls::{ControlPanel, ControlReport, ControlValue};
pub use describe::{Description, Offer, describe};
pub use find::power_of;
pub use formats::CameraFormat;
pub use source::V4l2Source;
