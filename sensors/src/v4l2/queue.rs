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
    /// `enum v4l2_buf_type`.
    pub const fn buffer_type(self) -> u32 {
        match self {
            Self::Single => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
            Self::Multi => sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        }
    }
}

/// Most memory planes a buffer can have (`VIDEO_MAX_PLANES`).
pub const MAX_PLANES: usize = 8;

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
        self.call_any(request, &mut list)
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

    /// One ioctl whose argument holds no pointer.
    pub fn call<T: Alone>(&self, request: Request, argument: &mut T) -> io::Result<()> {
        self.call_any(request, argument)
    }

    /// One ioctl, again where a signal interrupted it. Pointers inside the argument must lead to live arrays of the
    /// stated length.
    fn call_any<T: Plain>(&self, request: Request, argument: &mut T) -> io::Result<()> {
        let stated = usize::try_from((request >> 16) & 0x3fff).unwrap_or_default();
        assert_eq!(stated, size_of::<T>(), "the request number states the size of its argument");
        loop {
            // SAFETY: the kernel reads and writes exactly the bytes the request number states, which are those of
            // `argument` (asserted); pointers inside it lead to live arrays: only this file passes such arguments.
            // Needed because v4l has no safe form of these calls.
            let done = unsafe { v4l2::ioctl(self.handle.fd(), request, std::ptr::from_mut(argument).cast()) };
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

type Request = vidioc::_IOC_TYPE;

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
    #[allow(clippy::useless_conversion, reason = "the kernel's time has 32 bit on 32-bit machines")]
    pub fn dequeue(&self) -> io::Result<Option<Filled>> {
        let mut planes: [sys::v4l2_plane; MAX_PLANES] = zeroed();
        let mut buffer = self.describe(0, &mut planes);
        match self.node.call_any(vidioc::VIDIOC_DQBUF, &mut buffer) {
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
        self.node.call_any(vidioc::VIDIOC_QBUF, &mut buffer)
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
        self.node.call_any(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
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

    #[allow(clippy::unnecessary_fallible_conversions, reason = "off_t has 32 bit on 32-bit machines")]
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

fn buffers_of(planarity: Planarity, count: u32) -> sys::v4l2_requestbuffers {
    let mut request: sys::v4l2_requestbuffers = zeroed();
    (request.count, request.type_) = (count, planarity.buffer_type());
    request.memory = sys::v4l2_memory_V4L2_MEMORY_MMAP;
    request
}

fn extent(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// An empty structure of the kernel's.
pub fn zeroed<T: Plain>() -> T {
    // SAFETY: `Plain` is given only to structures of integers, unions of them, and pointers that may be null.
    // Needed because the bindings' unions and reserved fields have no other constructor.
    unsafe { std::mem::zeroed() }
}

/// Structures for which all bytes zero are a value.
pub trait Plain: Copy {}

/// Structures without pointers, or (`v4l2_format`) whose member with pointers belongs to types never asked for here.
pub trait Alone: Plain {}

macro_rules! given {
    ($which:ident: $($name:ident)+) => { $(impl $which for sys::$name {})+ };
}
given!(Plain: v4l2_capability v4l2_fmtdesc v4l2_frmsizeenum v4l2_frmivalenum v4l2_format v4l2_pix_format
    v4l2_pix_format_mplane v4l2_streamparm v4l2_query_ext_ctrl v4l2_querymenu v4l2_ext_control v4l2_ext_controls
    v4l2_requestbuffers v4l2_buffer v4l2_plane);
given!(Alone: v4l2_capability v4l2_fmtdesc v4l2_frmsizeenum v4l2_frmivalenum v4l2_format v4l2_streamparm
    v4l2_query_ext_ctrl v4l2_querymenu v4l2_requestbuffers);
impl Plain for [sys::v4l2_plane; MAX_PLANES] {}
impl Plain for i32 {}
impl Alone for i32 {}

/// Members of the kernel's unions. Each is made of integers, valid for every bit pattern, whichever member was written.
pub mod read {
    use super::sys;

    macro_rules! members {
        ($($(#[$doc:meta])* $name:ident: $of:ident . $($field:ident).+ -> $to:ty;)+) => {$(
            $(#[$doc])*
            pub fn $name(of: &sys::$of) -> $to {
                // SAFETY: integers and arrays of integers, for which every bit pattern is a value; the structure is
                // initialised whole. Needed because the kernel's structure is a union.
                unsafe { of.$($field).+ }
            }
        )+};
    }
    members! {
        /// Of an entry of type `DISCRETE`.
        exact_size: v4l2_frmsizeenum.__bindgen_anon_1.discrete -> sys::v4l2_frmsize_discrete;
        /// Of any other entry.
        size_range: v4l2_frmsizeenum.__bindgen_anon_1.stepwise -> sys::v4l2_frmsize_stepwise;
        /// Of an entry of type `DISCRETE`, and the first of a range: both begin with the shortest.
        shortest_interval: v4l2_frmivalenum.__bindgen_anon_1.discrete -> sys::v4l2_fract;
        /// Of a capture stream.
        capture: v4l2_streamparm.parm.capture -> sys::v4l2_captureparm;
        /// Of a menu's entry.
        menu_name: v4l2_querymenu.__bindgen_anon_1.name -> [u8; 32];
        /// Of an integer menu's entry.
        menu_value: v4l2_querymenu.__bindgen_anon_1.value -> i64;
        /// Of the single-planar type.
        single: v4l2_format.fmt.pix -> sys::v4l2_pix_format;
        /// Of the multi-planar type.
        multi: v4l2_format.fmt.pix_mp -> sys::v4l2_pix_format_mplane;
        /// `enum v4l2_ycbcr_encoding`.
        encoding: v4l2_pix_format.__bindgen_anon_1.ycbcr_enc -> u32;
        /// `enum v4l2_ycbcr_encoding`.
        encoding_multi: v4l2_pix_format_mplane.__bindgen_anon_1.ycbcr_enc -> u8;
    }
}
