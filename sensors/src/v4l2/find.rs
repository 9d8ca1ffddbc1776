//! Which video node a camera is: by path, by the name under `/dev/v4l/by-id` or `by-path`, or by serial number.
//!
//! Node numbers change from boot to boot and from plug to plug. After a loss the camera is looked for by what it *is*
//! (serial, bus), so that the rear camera is never read as the front one because it now has its number.

use std::io;
use std::path::{Path, PathBuf};

use v4l::v4l_sys as sys;

use super::node::Capability;
use super::queue::Node;

/// How the configuration names a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A path, or a bare name under `/dev/v4l`.
    Device(String),
    /// The serial number of its USB device.
    Serial(String),
}

/// Where the system keeps its device nodes and their description; other folders in tests.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/dev`.
    pub dev: PathBuf,
    /// `/sys/class/video4linux`.
    pub class: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { dev: "/dev".into(), class: "/sys/class/video4linux".into() }
    }
}

/// What a camera is, whatever its node's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Serial number of its USB device, where it has one.
    pub serial: Option<String>,
    /// Where it is connected, as the driver says (`usb-0000:00:14.0-1`).
    pub bus: String,
    /// Its name.
    pub card: String,
}

impl Identity {
    /// Of an open node.
    pub fn of(node: &Node, capability: &Capability, roots: &Roots) -> Self {
        let real = std::fs::canonicalize(node.path()).unwrap_or_else(|_| node.path().to_owned());
        let serial = real.file_name().and_then(|name| serial_of(&roots.class.join(name)));
        Self { serial, bus: capability.bus.clone(), card: capability.card.clone() }
    }

    /// Whether `other` is the same camera: the same serial number, or without one the same place and name.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.serial, &other.serial) {
            (Some(ours), Some(theirs)) => ours == theirs && self.card == other.card,
            (None, None) => self.bus == other.bus && self.card == other.card,
            _ => false,
        }
    }
}

/// The node an address means now.
///
/// # Errors
/// `NotFound`, saying what was looked for and which cameras are there.
pub fn node_of(address: &Address, roots: &Roots) -> io::Result<PathBuf> {
    match address {
        Address::Device(device) if device.starts_with('/') => Ok(PathBuf::from(device)),
        Address::Device(name) => by_name(name, roots),
        Address::Serial(serial) => by_serial(serial, roots),
    }
}

/// All capture nodes that can be opened and are `identity`.
pub fn nodes_like(identity: &Identity, roots: &Roots) -> Vec<PathBuf> {
    let nodes = video_nodes(roots).into_iter().map(|name| roots.dev.join(name));
    nodes
        .filter(|path| {
            let Ok(node) = Node::open(path) else { return false };
            let Ok(capability) = node.capability() else { return false };
            captures(&capability) && Identity::of(&node, &capability, roots).same(identity)
        })
        .collect()
}

/// Whether the node gives pictures (and not metadata, or takes them).
pub fn captures(capability: &Capability) -> bool {
    capability.caps & (sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0
        && capability.caps & sys::V4L2_CAP_STREAMING != 0
}

fn by_name(name: &str, roots: &Roots) -> io::Result<PathBuf> {
    let plain = !name.is_empty() && !name.contains('/') && name != "..";
    let places = ["v4l/by-id", "v4l/by-path", "."].map(|folder| roots.dev.join(folder).join(name));
    places.into_iter().find(|path| plain && path.exists()).ok_or_else(|| {
        missing(
            &format!(
                "no camera named `{name}` under {0}/v4l/by-id, {0}/v4l/by-path or {0}",
                roots.dev.display()
            ),
            roots,
        )
    })
}

/// The first capture node (index 0) of the device with that serial number.
fn by_serial(serial: &str, roots: &Roots) -> io::Result<PathBuf> {
    let mut found: Vec<(u32, String)> = video_nodes(roots)
        .into_iter()
        .filter(|name| serial_of(&roots.class.join(name)).as_deref() == Some(serial))
        .map(|name| (index_of(&roots.class.join(&name)), name))
        .collect();
    found.sort();
    match found.as_slice() {
        [] => Err(missing(&format!("no camera with serial number `{serial}`"), roots)),
        [first, others @ ..] if others.iter().any(|other| other.0 == first.0) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "two cameras say serial number `{serial}` ({} and {}); name one by `device`",
                first.1, others[0].1
            ),
        )),
        [first, ..] => Ok(roots.dev.join(&first.1)),
    }
}

fn missing(what: &str, roots: &Roots) -> io::Error {
    let there: Vec<String> = video_nodes(roots)
        .into_iter()
        .map(|name| {
            let card = std::fs::read_to_string(roots.class.join(&name).join("name")).unwrap_or_default();
            let serial = serial_of(&roots.class.join(&name)).map(|serial| format!(", serial {serial}"));
            format!("{name} ({}{})", card.trim(), serial.unwrap_or_default())
        })
        .collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    io::Error::new(io::ErrorKind::NotFound, format!("{what}; cameras here: {there}"))
}

/// Names of the video nodes, in the order of their numbers.
fn video_nodes(roots: &Roots) -> Vec<String> {
    let entries = std::fs::read_dir(&roots.class).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.strip_prefix("video").is_some_and(|number| number.parse::<u32>().is_ok()))
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
}

/// How many folders above a video node the USB device lies at most (node, interface, device).
const LEVELS_TO_DEVICE: usize = 4;

/// The serial number of the device a class entry belongs to.
fn serial_of(entry: &Path) -> Option<String> {
    let device = std::fs::canonicalize(entry.join("device")).ok()?;
    let text = std::fs::read_to_string(usb_of(&device)?.join("serial")).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The USB device that a device in sysfs is a part of: above it lie hubs and the host controller, which are others.
fn usb_of(device: &Path) -> Option<&Path> {
    device.ancestors().take(LEVELS_TO_DEVICE).find(|folder| folder.join("idVendor").exists())
}

/// The folder in sysfs of what a node belongs to: the USB device, or the device that the driver names. It stays the same where
/// the camera comes back in the same place.
pub fn device_of(node: &Path, roots: &Roots) -> Option<PathBuf> {
    let real = std::fs::canonicalize(node).ok()?;
    let device = std::fs::canonicalize(roots.class.join(real.file_name()?).join("device")).ok()?;
    Some(usb_of(&device).map_or_else(|| device.clone(), Path::to_owned))
}

/// Whether a device is powered, in the kernel's words (`power/runtime_status`: `active`, `suspended`, …); `None` where it is
/// gone, or the kernel does not manage its power.
pub fn power_of(device: &Path) -> Option<String> {
    let text = std::fs::read_to_string(device.join("power/runtime_status")).ok()?;
    let text = text.trim();
    (!text.is_empty() && text != "unsupported").then(|| text.to_owned())
}

fn index_of(entry: &Path) -> u32 {
    std::fs::read_to_string(entry.join("index"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_power_is_that_of_the_usb_device_or_of_the_driver_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let roots = Roots { dev: at("dev"), class: at("class") };
        for (node, device, status) in
            [("video0", "usb1/1-1/1-1:1.0", "usb1/1-1"), ("video1", "platform/isp", "platform/isp")]
        {
            fs::create_dir_all(at(device)).unwrap();
            fs::create_dir_all(at(status).join("power")).unwrap();
            fs::create_dir_all(roots.class.join(node)).unwrap();
            fs::create_dir_all(&roots.dev).unwrap();
            fs::write(roots.dev.join(node), "").unwrap();
            symlink(at(device), roots.class.join(node).join("device")).unwrap();
            fs::write(at(status).join("power/runtime_status"), "active\n").unwrap();
        }
        fs::write(at("usb1/1-1/idVendor"), "046d\n").unwrap();
        fs::write(at("platform/isp/power/runtime_status"), "unsupported\n").unwrap();
        let power = |node: &str| power_of(&device_of(&roots.dev.join(node), &roots).unwrap());
        assert_eq!((power("video0").as_deref(), power("video1")), (Some("active"), None));
        assert_eq!(device_of(&roots.dev.join("video2"), &roots), None);
        fs::write(at("usb1/1-1/power/runtime_status"), "suspended\n").unwrap();
        assert_eq!(power("video0").as_deref(), Some("suspended"));
        fs::remove_dir_all(at("usb1")).unwrap();
        assert_eq!(power_of(&at("usb1/1-1")), None, "unplugged");
    }

    use super::*;

    /// Two USB cameras with two nodes each (picture and metadata), the second without serial number.
    fn bus() -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots { dev: folder.path().join("dev"), class: folder.path().join("class") };
        fs::create_dir_all(roots.dev.join("v4l/by-id")).unwrap();
        fs::create_dir_all(&roots.class).unwrap();
        for (port, serial, nodes) in [("1-1", Some("A1B2\n"), [2, 3]), ("1-2", None, [0, 1])] {
            let usb = folder.path().join("devices").join(port);
            fs::create_dir_all(usb.join("interface")).unwrap();
            fs::write(usb.join("idVendor"), "046d\n").unwrap();
            if let Some(serial) = serial {
                fs::write(usb.join("serial"), serial).unwrap();
            }
            for (index, node) in nodes.iter().enumerate() {
                let entry = roots.class.join(format!("video{node}"));
                fs::create_dir_all(&entry).unwrap();
                symlink(usb.join("interface"), entry.join("device")).unwrap();
                fs::write(entry.join("index"), format!("{index}\n")).unwrap();
                fs::write(entry.join("name"), format!("Camera {port}\n")).unwrap();
                fs::write(roots.dev.join(format!("video{node}")), "").unwrap();
            }
        }
        // The host controller has a serial number too, which is no camera's.
        fs::write(folder.path().join("devices/serial"), "0000:00:14.0\n").unwrap();
        symlink("../../video2", roots.dev.join("v4l/by-id/usb-Camera_A1B2-video-index0")).unwrap();
        (folder, roots)
    }

    #[test]
    fn a_camera_is_found_by_its_serial_number_and_its_first_node_is_taken() {
        let (_folder, roots) = bus();
        let found = node_of(&Address::Serial("A1B2".into()), &roots).unwrap();
        assert_eq!(found, roots.dev.join("video2"));
    }

    #[test]
    fn a_serial_number_nobody_has_is_refused_with_the_cameras_that_are_there() {
        let (_folder, roots) = bus();
        for absent in ["XYZ", "0000:00:14.0"] {
            let error = node_of(&Address::Serial(absent.into()), &roots).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            let said = error.to_string();
            assert!(said.contains(absent) && said.contains("video2 (Camera 1-1, serial A1B2)"), "{said}");
            assert!(said.contains("video0 (Camera 1-2)"), "{said}");
        }
    }

    #[test]
    fn two_cameras_with_one_serial_number_are_not_guessed_between() {
        let (folder, roots) = bus();
        fs::write(folder.path().join("devices/1-2/serial"), "A1B2").unwrap();
        let said = node_of(&Address::Serial("A1B2".into()), &roots).unwrap_err().to_string();
        assert!(said.contains("two cameras say serial number `A1B2`"), "{said}");
    }

    #[test]
    fn a_name_is_looked_for_under_by_id_and_a_path_is_taken_as_it_is() {
        let (_folder, roots) = bus();
        let name = "usb-Camera_A1B2-video-index0";
        let found = node_of(&Address::Device(name.into()), &roots).unwrap();
        assert_eq!(found, roots.dev.join("v4l/by-id").join(name));
        assert_eq!(node_of(&Address::Device("video3".into()), &roots).unwrap(), roots.dev.join("./video3"));
        assert_eq!(
            node_of(&Address::Device("/dev/video9".into()), &roots).unwrap(),
            Path::new("/dev/video9")
        );
        assert!(node_of(&Address::Device("../class".into()), &roots).is_err());
        assert!(node_of(&Address::Device(String::new()), &roots).is_err());
    }

    #[test]
    fn without_any_camera_the_error_says_so() {
        let roots = Roots { dev: "/nonexistent".into(), class: "/nonexistent".into() };
        let said = node_of(&Address::Serial("A".into()), &roots).unwrap_err().to_string();
        assert!(said.ends_with("cameras here: none"), "{said}");
    }

    #[test]
    fn another_camera_in_the_same_place_is_not_the_same() {
        let camera = |serial: Option<&str>, bus: &str| Identity {
            serial: serial.map(str::to_owned),
            bus: bus.to_owned(),
            card: "Camera".to_owned(),
        };
        assert!(camera(Some("A"), "usb-1").same(&camera(Some("A"), "usb-2")), "moved to another socket");
        assert!(!camera(Some("A"), "usb-1").same(&camera(Some("B"), "usb-1")));
        assert!(camera(None, "usb-1").same(&camera(None, "usb-1")));
        assert!(!camera(None, "usb-1").same(&camera(None, "usb-2")));
        assert!(!camera(Some("A"), "usb-1").same(&camera(None, "usb-1")));
    }
}
