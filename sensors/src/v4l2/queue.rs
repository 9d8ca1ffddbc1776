//! The kernel's side of a camera: ioctls, polling and the mapped buffer queue, behind safe methods.
//!
//! `v4l` gives the device handle, the structures and the request numbers. The queue is our own, because that crate's
//! stream lends its buffers only until the next call, answers `EINVAL` when a buffer is queued again after a time-out,
//! and knows no multi-planar devices; its listing of controls panics on control types and names it does not know.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use v4l::device::Handle;
use v4l::v4l_sys as sys;
use v4l::v4l2::{self, vidioc};

/// Single- or multi-planar capture: the two buffer types a camera may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planarity {
    /// `V4L2_BUF_TYPE_VIDEO_CAPTURE`.
    Single,
    /// `V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE`.
    Multi,
}

impl Planarity {
    const fn buffer_type(self) -> u32 {
        match self {
            Self::Single => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
            Self::Multi => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        }
    }
}

/// Most memory planes a buffer can have (`VIDEO_MAX_PLANES`).
pub const MAX_PLANES: usize = 8;

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

/// An open video node.
#[derive(Clone)]
pub struct Node {
    handle: Arc<Handle>,
    path: PathBuf,
}

impl Node {
    /// Opens a node without blocking; a child process does not inherit it.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path contains a NUL byte"));
        }
        let node = Self { handle: v4l::Device::with_path(path)?.handle(), path: path.to_owned() };
        rustix::io::fcntl_setfd(node.fd(), rustix::io::FdFlags::CLOEXEC)?;
        Ok(node)
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

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
                // SAFETY: both members are plain integers, valid for every bit pattern; the type says which is meant.
                // Needed because the kernel's structure is a union.
                let size = unsafe { entry.__bindgen_anon_1.discrete };
                return Ok(SizeOffer::Exactly(size.width, size.height));
            }
            // SAFETY: as above.
            let range = unsafe { entry.__bindgen_anon_1.stepwise };
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
            let shortest = if entry.type_ == sys::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
                // SAFETY: both members are plain integers; the type says which is meant. A union of the kernel's.
                unsafe { entry.__bindgen_anon_1.discrete }
            } else {
                // SAFETY: as above.
                unsafe { entry.__bindgen_anon_1.stepwise.min }
            };
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
        // SAFETY: the capture member is plain integers, and the member that belongs to a capture type. A union.
        let mut capture = unsafe { parm.parm.capture };
        if let (Some(wanted), true) = (wanted, capture.capability & sys::V4L2_CAP_TIMEPERFRAME != 0) {
            (capture.timeperframe.numerator, capture.timeperframe.denominator) = fraction(wanted);
            parm.parm.capture = capture;
            self.call(vidioc::VIDIOC_S_PARM, &mut parm)?;
            // SAFETY: as above.
            capture = unsafe { parm.parm.capture };
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
            // SAFETY: plain integers, valid for every bit pattern; the control's type says which is meant. A union.
            return Some(unsafe { entry.__bindgen_anon_1.value }.to_string());
        }
        // SAFETY: as above, bytes this time.
        Some(text(&unsafe { entry.__bindgen_anon_1.name }))
    }

    /// Value of an integer, boolean, menu or bit mask control.
    pub fn control(&self, id: u32, wide: bool) -> io::Result<i64> {
        let mut entry: sys::v4l2_ext_control = zeroed();
        entry.id = id;
        self.controls_call(vidioc::VIDIOC_G_EXT_CTRLS, &mut entry)?;
        let value = entry.__bindgen_anon_1;
        // SAFETY: integers, valid for every bit pattern; `wide` says which the control's type means. A union.
        Ok(unsafe { if wide { value.value64 } else { i64::from(value.value) } })
    }

    /// Sets such a control; also presses a button.
    pub fn set_control(&self, id: u32, value: i64, wide: bool) -> io::Result<()> {
        let mut entry: sys::v4l2_ext_control = zeroed();
        entry.id = id;
        if wide {
            entry.__bindgen_anon_1.value64 = value;
        } else {
            entry.__bindgen_anon_1.value = i32::try_from(value).map_err(|_| io::ErrorKind::InvalidInput)?;
        }
        self.controls_call(vidioc::VIDIOC_S_EXT_CTRLS, &mut entry)
    }

    fn controls_call(&self, request: Request, entry: &mut sys::v4l2_ext_control) -> io::Result<()> {
        let mut list: sys::v4l2_ext_controls = zeroed();
        (list.count, list.controls) = (1, std::ptr::from_mut(entry));
        self.call(request, &mut list)
    }

    /// Waits until a buffer is ready, the queue is broken, or `timeout` has passed.
    pub fn wait(&self, timeout: Duration) -> io::Result<Readiness> {
        let limit = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut polled = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let found = polled[0].revents();
        Ok(if found.contains(PollFlags::IN) {
            Readiness::Ready
        } else if found.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            Readiness::Broken
        } else {
            Readiness::Nothing
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the handle owns the descriptor, closes it only when dropped, and outlives the borrow. Needed because
        // `v4l` hands out a bare number.
        unsafe { BorrowedFd::borrow_raw(self.handle.fd()) }
    }

    /// One ioctl, again where a signal interrupted it.
    fn call<T: Copy>(&self, request: Request, argument: &mut T) -> io::Result<()> {
        let stated = usize::try_from((request >> 16) & 0x3fff).unwrap_or_default();
        assert_eq!(stated, size_of::<T>(), "the request number states the size of its argument");
        loop {
            // SAFETY: the kernel reads and writes exactly the bytes the request number states, which are those of
            // `argument` (asserted). Pointers inside it (planes, controls) are set by our callers to live arrays of
            // the stated length. Needed because v4l has no safe form of these calls.
            let done = unsafe { v4l2::ioctl(self.handle.fd(), request, std::ptr::from_mut(argument).cast()) };
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

type Request = vidioc::_IOC_TYPE;

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

/// What waiting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A buffer can be dequeued.
    Ready,
    /// Time is up.
    Nothing,
    /// The device is gone, or its queue is in error.
    Broken,
}

/// A filled buffer, ours until [`Queue::requeue`].
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Which buffer.
    pub index: u32,
    /// `V4L2_BUF_FLAG_*`.
    pub flags: u32,
    /// The driver's running number.
    pub sequence: u32,
    /// Seconds and microseconds, on the clock that `flags` name.
    pub timestamp: (i64, i64),
    /// Where the bytes of each memory plane begin and end.
    pub bytes: [(usize, usize); MAX_PLANES],
}

/// Mapped buffers, streaming. Stops and unmaps when dropped.
pub struct Queue {
    node: Node,
    planarity: Planarity,
    planes: usize,
    buffers: Vec<Vec<Mapping>>,
}

impl Queue {
    /// Requests `count` buffers (the driver may give more or fewer), maps and queues them, and starts the stream.
    pub fn start(
        node: &Node,
        planarity: Planarity,
        planes: usize,
        count: u32,
    ) -> Result<Self, (&'static str, io::Error)> {
        let planes = planes.clamp(1, MAX_PLANES);
        let mut request = buffers_of(planarity, count);
        node.call(vidioc::VIDIOC_REQBUFS, &mut request).map_err(|error| ("request buffers", error))?;
        let mut queue = Self { node: node.clone(), planarity, planes, buffers: Vec::new() };
        for index in 0..request.count.min(sys::VIDEO_MAX_FRAME) {
            let mapped = queue.map(index).map_err(|error| ("map buffers", error))?;
            queue.buffers.push(mapped);
        }
        if queue.buffers.len() < 2 {
            let error = io::Error::new(io::ErrorKind::OutOfMemory, "the driver gave fewer than two buffers");
            return Err(("request buffers", error));
        }
        for index in 0..request.count.min(sys::VIDEO_MAX_FRAME) {
            queue.requeue(index).map_err(|error| ("queue buffers", error))?;
        }
        let mut kind = i32::try_from(planarity.buffer_type()).unwrap_or_default();
        node.call(vidioc::VIDIOC_STREAMON, &mut kind).map_err(|error| ("start streaming", error))?;
        Ok(queue)
    }

    /// How many buffers there are.
    pub fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// The oldest filled buffer; `None` where none is ready.
    pub fn dequeue(&self) -> io::Result<Option<Filled>> {
        let mut planes: [sys::v4l2_plane; MAX_PLANES] = zeroed();
        let mut buffer = self.describe(0, &mut planes);
        match self.node.call(vidioc::VIDIOC_DQBUF, &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            done => done?,
        }
        let mut bytes = [(0, 0); MAX_PLANES];
        match self.planarity {
            Planarity::Single => bytes[0] = (0, extent(buffer.bytesused)),
            Planarity::Multi => {
                for (bytes, plane) in bytes.iter_mut().zip(&planes[..self.planes]) {
                    *bytes = (extent(plane.data_offset), extent(plane.bytesused));
                }
            }
        }
        Ok(Some(Filled {
            index: buffer.index,
            flags: buffer.flags,
            sequence: buffer.sequence,
            timestamp: (buffer.timestamp.tv_sec.into(), buffer.timestamp.tv_usec.into()),
            bytes,
        }))
    }

    /// Gives a buffer back to the driver.
    pub fn requeue(&self, index: u32) -> io::Result<()> {
        let mut planes: [sys::v4l2_plane; MAX_PLANES] = zeroed();
        let mut buffer = self.describe(index, &mut planes);
        self.node.call(vidioc::VIDIOC_QBUF, &mut buffer)
    }

    /// Copies `to.len()` bytes of a filled buffer, from byte `from` of its memory plane `plane`.
    ///
    /// False where the plane does not hold them.
    pub fn copy(&self, filled: &Filled, plane: usize, from: usize, to: &mut [u8]) -> bool {
        let index = usize::try_from(filled.index).unwrap_or(usize::MAX);
        let Some(mapping) = self.buffers.get(index).and_then(|planes| planes.get(plane)) else {
            return false;
        };
        if from.checked_add(to.len()).is_none_or(|end| end > mapping.length) {
            return false;
        }
        // SAFETY: the source lies inside the mapping (checked above), which lives as long as `self`; the destination
        // is a slice of the same length that cannot overlap kernel memory. The driver does not write a dequeued
        // buffer. A raw copy, not a slice of the mapping, so that no reference to memory shared with a device exists.
        unsafe { std::ptr::copy_nonoverlapping(mapping.start.add(from), to.as_mut_ptr(), to.len()) };
        true
    }

    fn map(&self, index: u32) -> io::Result<Vec<Mapping>> {
        let mut planes: [sys::v4l2_plane; MAX_PLANES] = zeroed();
        let mut buffer = self.describe(index, &mut planes);
        self.node.call(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
        if self.planarity == Planarity::Single {
            // SAFETY: an integer, and the member that belongs to mapped single-planar buffers. A union.
            return Ok(vec![self.map_plane(buffer.length, unsafe { buffer.m.offset })?]);
        }
        planes[..self.planes]
            .iter()
            // SAFETY: an integer, and the member that belongs to mapped planes. A union.
            .map(|plane| self.map_plane(plane.length, unsafe { plane.m.mem_offset }))
            .collect()
    }

    fn map_plane(&self, length: u32, offset: u32) -> io::Result<Mapping> {
        let length = extent(length);
        let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: a new mapping at an address the kernel chooses; length and offset are those QUERYBUF gave for this
        // descriptor. Needed because mapped buffers are the point of the queue.
        let start = unsafe {
            let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            v4l2::mmap(std::ptr::null_mut(), length, prot, flags, self.node.handle.fd(), offset)?
        };
        Ok(Mapping { start: start.cast(), length })
    }

    /// The structure that names buffer `index`; points to `planes`, which must outlive its use.
    fn describe(&self, index: u32, planes: &mut [sys::v4l2_plane; MAX_PLANES]) -> sys::v4l2_buffer {
        let mut buffer: sys::v4l2_buffer = zeroed();
        (buffer.index, buffer.type_) = (index, self.planarity.buffer_type());
        buffer.memory = sys::v4l2_memory_V4L2_MEMORY_MMAP;
        if self.planarity == Planarity::Multi {
            buffer.m.planes = planes.as_mut_ptr();
            buffer.length = u32::try_from(self.planes).unwrap_or_default();
        }
        buffer
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut kind = i32::try_from(self.planarity.buffer_type()).unwrap_or_default();
        // A device that is gone refuses both; its memory is freed by the unmapping and the closing.
        let _ = self.node.call(vidioc::VIDIOC_STREAMOFF, &mut kind);
        self.buffers.clear();
        let _ = self.node.call(vidioc::VIDIOC_REQBUFS, &mut buffers_of(self.planarity, 0));
    }
}

/// One mapped memory plane of one buffer.
struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: the mapping is owned by its queue alone and not tied to the thread that made it. Needed because a source
// moves to its capture thread after it was opened.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `map_plane` with this length, unmapped once, and never reached again: copies are made
        // through `&Queue`, which owns it. The kernel keeps the memory itself until the device lets go.
        let _ = unsafe { v4l2::munmap(self.start.cast(), self.length) };
    }
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

fn buffers_of(planarity: Planarity, count: u32) -> sys::v4l2_requestbuffers {
    let mut request: sys::v4l2_requestbuffers = zeroed();
    (request.count, request.type_) = (count, planarity.buffer_type());
    request.memory = sys::v4l2_memory_V4L2_MEMORY_MMAP;
    request
}

fn granted(planarity: Planarity, format: &sys::v4l2_format) -> Granted {
    let mut strides = [0; MAX_PLANES];
    match planarity {
        Planarity::Single => {
            // SAFETY: plain integers, and the member that belongs to the single-planar type. A union.
            let pix = unsafe { format.fmt.pix };
            strides[0] = pix.bytesperline;
            Granted {
                fourcc: pix.pixelformat.to_le_bytes(),
                size: (pix.width, pix.height),
                field: pix.field,
                colorspace: pix.colorspace,
                // SAFETY: an integer under either name. A union.
                encoding: unsafe { pix.__bindgen_anon_1.ycbcr_enc },
                quantization: pix.quantization,
                planes: 1,
                strides,
            }
        }
        Planarity::Multi => {
            // SAFETY: plain integers, and the member that belongs to the multi-planar type. A union.
            let pix = unsafe { format.fmt.pix_mp };
            for (stride, plane) in strides.iter_mut().zip(pix.plane_fmt) {
                *stride = plane.bytesperline;
            }
            Granted {
                fourcc: pix.pixelformat.to_le_bytes(),
                size: (pix.width, pix.height),
                field: pix.field,
                colorspace: pix.colorspace,
                // SAFETY: an integer under either name. A union.
                encoding: unsafe { pix.__bindgen_anon_1.ycbcr_enc }.into(),
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

fn extent(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Text up to the first NUL; foreign bytes that are no UTF-8 are replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// An empty structure of the kernel's.
fn zeroed<T: Plain>() -> T {
    // SAFETY: `Plain` is given only to structures of integers, unions of them, and pointers that may be null.
    // Needed because the bindings' unions and reserved fields have no other constructor.
    unsafe { std::mem::zeroed() }
}

/// Structures for which all bytes zero are a value.
trait Plain: Copy {}

macro_rules! plain {
    ($($name:ident)+) => { $(impl Plain for sys::$name {})+ };
}
plain!(v4l2_capability v4l2_fmtdesc v4l2_frmsizeenum v4l2_frmivalenum v4l2_format v4l2_pix_format
    v4l2_pix_format_mplane v4l2_streamparm v4l2_query_ext_ctrl v4l2_querymenu v4l2_ext_control v4l2_ext_controls
    v4l2_requestbuffers v4l2_buffer v4l2_plane);
impl Plain for [sys::v4l2_plane; MAX_PLANES] {}
