//! What a video node can do and is set to: formats, sizes, rates, controls, in Rust's types. The calls themselves are
//! made in `queue`.

use std::io;
use std::time::Duration;

use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::queue::{MAX_PLANES, Node, Planarity, read, zeroed};

/// A picture format as the driver granted it (`VIDIOC_S_FMT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Pixel format.
    pub fourcc: [u8; 4],
    /// Pixels across and down.
    pub size: (u32, u32),
    /// `enum v4l2_field`.
    pub field: u32,
    /// `enum v4l2_colorspace`.
    pub colorspace: u32,
    /// `enum v4l2_ycbcr_encoding`.
    pub encoding: u32,
    /// `enum v4l2_quantization`.
    pub quantization: u32,
    /// Memory planes.
    pub planes: usize,
    /// Bytes from row to row, per memory plane; 0 for compressed formats.
    pub strides: [u32; MAX_PLANES],
}

/// One entry of `VIDIOC_ENUM_FRAMESIZES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeOffer {
    /// Exactly this size.
    Exactly(u32, u32),
    /// Any size of a range, in steps.
    Range {
        /// Smallest, largest, step; across.
        width: (u32, u32, u32),
        /// Smallest, largest, step; down.
        height: (u32, u32, u32),
    },
}

/// Longest time a driver is asked for formats, sizes or controls: a driver that never ends its list must not hold us.
const MOST_ENTRIES: u32 = 1024;

impl Node {
    /// Driver, card and bus of the node, and what it can do (`device_caps`).
    pub fn capability(&self) -> io::Result<Capability> {
        let mut found: sys::v4l2_capability = zeroed();
        self.call(vidioc::VIDIOC_QUERYCAP, &mut found)?;
        let whole = found.capabilities & sys::V4L2_CAP_DEVICE_CAPS == 0;
        Ok(Capability {
            driver: text(&found.driver),
            card: text(&found.card),
            bus: text(&found.bus_info),
            caps: if whole { found.capabilities } else { found.device_caps },
        })
    }

    /// Chooses the input of a capture card.
    pub fn set_input(&self, input: u32) -> io::Result<()> {
        let mut input = i32::try_from(input).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.call(vidioc::VIDIOC_S_INPUT, &mut input)
    }

    /// All pixel formats the node offers.
    pub fn formats(&self, planarity: Planarity) -> io::Result<Vec<[u8; 4]>> {
        listed(|index| {
            let mut entry: sys::v4l2_fmtdesc = zeroed();
            (entry.index, entry.type_) = (index, planarity.buffer_type());
            self.call(vidioc::VIDIOC_ENUM_FMT, &mut entry)?;
            Ok(entry.pixelformat.to_le_bytes())
        })
    }

    /// The sizes of a format; empty where the driver does not say.
    pub fn sizes(&self, fourcc: [u8; 4]) -> io::Result<Vec<SizeOffer>> {
        listed(|index| {
            let mut entry: sys::v4l2_frmsizeenum = zeroed();
            (entry.index, entry.pixel_format) = (index, u32::from_le_bytes(fourcc));
            self.call(vidioc::VIDIOC_ENUM_FRAMESIZES, &mut entry)?;
            if entry.type_ == sys::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
                let size = read::exact_size(&entry);
                return Ok(SizeOffer::Exactly(size.width, size.height));
            }
            let range = read::size_range(&entry);
            Ok(SizeOffer::Range {
                width: (range.min_width, range.max_width, range.step_width),
                height: (range.min_height, range.max_height, range.step_height),
            })
        })
    }

    /// The shortest frame interval of a format at a size, in seconds per entry; empty where the driver does not say.
    pub fn intervals(&self, fourcc: [u8; 4], (width, height): (u32, u32)) -> io::Result<Vec<f64>> {
        listed(|index| {
            let mut entry: sys::v4l2_frmivalenum = zeroed();
            (entry.index, entry.pixel_format) = (index, u32::from_le_bytes(fourcc));
            (entry.width, entry.height) = (width, height);
            self.call(vidioc::VIDIOC_ENUM_FRAMEINTERVALS, &mut entry)?;
            let shortest = read::shortest_interval(&entry);
            Ok(f64::from(shortest.numerator) / f64::from(shortest.denominator.max(1)))
        })
    }

    /// Asks for a format; the driver answers with what it grants, which may be another.
    pub fn set_format(&self, planarity: Planarity, fourcc: [u8; 4], size: (u32, u32)) -> io::Result<Granted> {
        let mut format: sys::v4l2_format = zeroed();
        format.type_ = planarity.buffer_type();
        match planarity {
            Planarity::Single => {
                let mut pix: sys::v4l2_pix_format = zeroed();
                (pix.width, pix.height) = size;
                pix.pixelformat = u32::from_le_bytes(fourcc);
                pix.field = sys::v4l2_field_V4L2_FIELD_NONE;
                // Without it the kernel does not look at, or answer, encoding and quantization.
                pix.priv_ = sys::V4L2_PIX_FMT_PRIV_MAGIC;
                format.fmt.pix = pix;
            }
            Planarity::Multi => {
                let mut pix: sys::v4l2_pix_format_mplane = zeroed();
                (pix.width, pix.height) = size;
                pix.pixelformat = u32::from_le_bytes(fourcc);
                pix.field = sys::v4l2_field_V4L2_FIELD_NONE;
                format.fmt.pix_mp = pix;
            }
        }
        self.call(vidioc::VIDIOC_S_FMT, &mut format)?;
        Ok(granted(planarity, &format))
    }

    /// Asks for a frame interval in seconds, and reads back what the driver set; `None` where it does not say.
    pub fn set_interval(&self, planarity: Planarity, wanted: Option<f64>) -> io::Result<Option<Duration>> {
        let mut parm: sys::v4l2_streamparm = zeroed();
        parm.type_ = planarity.buffer_type();
        if let Err(error) = self.call(vidioc::VIDIOC_G_PARM, &mut parm) {
            return if is_end(&error) { Ok(None) } else { Err(error) };
        }
        let mut capture = read::capture(&parm);
        if let (Some(wanted), true) = (wanted, capture.capability & sys::V4L2_CAP_TIMEPERFRAME != 0) {
            (capture.timeperframe.numerator, capture.timeperframe.denominator) = fraction(wanted);
            parm.parm.capture = capture;
            self.call(vidioc::VIDIOC_S_PARM, &mut parm)?;
            capture = read::capture(&parm);
        }
        let v4l_fraction = capture.timeperframe;
        if v4l_fraction.numerator == 0 || v4l_fraction.denominator == 0 {
            return Ok(None);
        }
        let seconds = f64::from(v4l_fraction.numerator) / f64::from(v4l_fraction.denominator);
        Ok(Duration::try_from_secs_f64(seconds).ok().filter(|period| !period.is_zero()))
    }

    /// All controls, compound ones left out.
    pub fn controls(&self) -> io::Result<Vec<ControlEntry>> {
        let mut last = 0;
        listed(|_| {
            let mut entry: sys::v4l2_query_ext_ctrl = zeroed();
            entry.id = last | sys::V4L2_CTRL_FLAG_NEXT_CTRL;
            self.call(vidioc::VIDIOC_QUERY_EXT_CTRL, &mut entry)?;
            last = entry.id;
            Ok(ControlEntry {
                id: entry.id,
                kind: entry.type_,
                name: text(&entry.name.map(|letter| letter.to_ne_bytes()[0])),
                range: (entry.minimum, entry.maximum),
                step: entry.step,
                flags: entry.flags,
            })
        })
    }

    /// Name of a menu entry, or its value as text for an integer menu; `None` where the menu has no such entry.
    pub fn menu_entry(&self, id: u32, index: u32, integer: bool) -> Option<String> {
        let mut entry: sys::v4l2_querymenu = zeroed();
        (entry.id, entry.index) = (id, index);
        self.call(vidioc::VIDIOC_QUERYMENU, &mut entry).ok()?;
        if integer {
            return Some(read::menu_value(&entry).to_string());
        }
        Some(text(&read::menu_name(&entry)))
    }
}

/// `VIDIOC_QUERYCAP`, in Rust's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Kernel driver (`uvcvideo`).
    pub driver: String,
    /// Name of the device.
    pub card: String,
    /// Where it is connected (`usb-0000:00:14.0-1`).
    pub bus: String,
    /// `V4L2_CAP_*` of this node.
    pub caps: u32,
}

/// `VIDIOC_QUERY_EXT_CTRL`, in Rust's types.
#[derive(Clone, Debug)]
pub struct ControlEntry {
    /// `V4L2_CID_*`.
    pub id: u32,
    /// `V4L2_CTRL_TYPE_*`.
    pub kind: u32,
    /// The driver's name for it.
    pub name: String,
    /// Smallest and largest value.
    pub range: (i64, i64),
    /// Distance between values.
    pub step: u64,
    /// `V4L2_CTRL_FLAG_*`.
    pub flags: u32,
}

/// Entries of one of the kernel's numbered lists, up to its end.
fn listed<T>(mut entry: impl FnMut(u32) -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for index in 0..MOST_ENTRIES {
        match entry(index) {
            Ok(entry) => found.push(entry),
            Err(error) if is_end(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether the error ends a list (`EINVAL`) or says that the driver has no such list (`ENOTTY`, `ENODATA`).
fn is_end(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY | libc::ENODATA))
}

fn granted(planarity: Planarity, format: &sys::v4l2_format) -> Granted {
    let mut strides = [0; MAX_PLANES];
    match planarity {
        Planarity::Single => {
            let pix = read::single(format);
            strides[0] = pix.bytesperline;
            Granted {
                fourcc: pix.pixelformat.to_le_bytes(),
                size: (pix.width, pix.height),
                field: pix.field,
                colorspace: pix.colorspace,
                encoding: read::encoding(&pix),
                quantization: pix.quantization,
                planes: 1,
                strides,
            }
        }
        Planarity::Multi => {
            let pix = read::multi(format);
            for (stride, plane) in strides.iter_mut().zip(pix.plane_fmt) {
                *stride = plane.bytesperline;
            }
            Granted {
                fourcc: pix.pixelformat.to_le_bytes(),
                size: (pix.width, pix.height),
                field: pix.field,
                colorspace: pix.colorspace,
                encoding: read::encoding_multi(&pix).into(),
                quantization: pix.quantization.into(),
                planes: usize::from(pix.num_planes).clamp(1, MAX_PLANES),
                strides,
            }
        }
    }
}

/// A frame interval as the kernel wants it, to a tenth of a microsecond.
fn fraction(seconds: f64) -> (u32, u32) {
    let frames_per_1000_s = (1000.0 / seconds).round();
    if frames_per_1000_s.is_finite() && (1.0..=4.0e9).contains(&frames_per_1000_s) {
        // In range by the check; the cast drops nothing but the sign bit it does not have.
        return (1000, frames_per_1000_s as u32);
    }
    (1, 1)
}

/// Text up to the first NUL; foreign bytes that are no UTF-8 are replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
