//! What a camera is and offers, without starting it: for people who look why it gives no frames.

use std::path::PathBuf;

use super::config::V4l2Config;
use super::find::{Identity, Roots, captures, node_of};
use super::formats::{CameraFormat, name};
use super::node::SizeOffer;
use super::queue::{Node, Planarity};
use crate::source::SourceError;
use v4l::v4l_sys as sys;

/// What a camera is and offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Its node.
    pub path: PathBuf,
    /// Its name.
    pub card: String,
    /// Its kernel driver.
    pub driver: String,
    /// Where it is connected.
    pub bus: String,
    /// Serial number of its USB device, where it has one.
    pub serial: Option<String>,
    /// Whether it gives pictures by mapped buffers; a node of metadata or an encoder does not.
    pub captures: bool,
    /// Its formats.
    pub formats: Vec<Offer>,
}

/// One of a camera's formats.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The kernel's code, `YUYV`.
    pub code: String,
    /// Whether it is read here.
    pub read: bool,
    /// Largest picture, pixels across and down, where the driver says.
    pub largest: Option<(u32, u32)>,
    /// Most frames per second at the largest picture, where the driver says.
    pub fps: Option<f64>,
}

/// Looks at the camera that `config` names. It is not set up and not started; another program may be using it.
///
/// # Errors
/// [`SourceError::Io`] where the node is not there, cannot be opened, or is no video device.
pub fn describe(config: &V4l2Config) -> Result<Description, SourceError> {
    let roots = Roots::default();
    let io = |what: String, action| move |cause| SourceError::Io { what, action, cause };
    let path = node_of(&config.address()?, &roots).map_err(io(config.named(), "find the camera"))?;
    let what = path.display().to_string();
    let node = Node::open(&path).map_err(io(what.clone(), "open"))?;
    let capability = node.capability().map_err(io(what.clone(), "ask for its capabilities"))?;
    let identity = Identity::of(&node, &capability, &roots);
    let captures = captures(&capability);
    let formats =
        if captures { offers(&node, &capability).map_err(io(what, "list its formats"))? } else { Vec::new() };
    Ok(Description {
        path,
        card: identity.card,
        driver: capability.driver,
        bus: identity.bus,
        serial: identity.serial,
        captures,
        formats,
    })
}

fn offers(node: &Node, capability: &super::node::Capability) -> std::io::Result<Vec<Offer>> {
    let multi = capability.caps & sys::V4L2_CAP_VIDEO_CAPTURE == 0;
    let codes = node.formats(if multi { Planarity::Multi } else { Planarity::Single })?;
    codes.into_iter().map(|code| offer(node, code)).collect()
}

fn offer(node: &Node, code: [u8; 4]) -> std::io::Result<Offer> {
    let sides = node.sizes(code)?.into_iter().map(|size| match size {
        SizeOffer::Exactly(width, height) => (width, height),
        SizeOffer::Range { width, height } => (width.1, height.1),
    });
    let largest = sides.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height));
    let intervals = largest.map(|size| node.intervals(code, size)).transpose()?.unwrap_or_default();
    let shortest = intervals.into_iter().filter(|seconds| *seconds > 0.0).fold(f64::INFINITY, f64::min);
    let read =
        CameraFormat::PREFERENCE.iter().any(|format| format.fourccs().iter().any(|known| **known == code));
    Ok(Offer { code: name(code), read, largest, fps: shortest.is_finite().then(|| 1.0 / shortest) })
}
