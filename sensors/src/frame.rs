//! One picture and what is known of it: pixel format, stride, capture time, sequence, source.
//!
//! A frame owns its bytes. They come from a [`BufferPool`] and go back to it when the frame is dropped, so a running
//! source allocates nothing. Between capture and prepare the pixels are copied at most once, and the frame counts it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::clock::Monotonic;

/// How the pixels of a [`Frame`] lie in memory. All 8 bits per sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Packed 4:2:2, bytes Y0 U Y1 V; width even. One plane.
    Yuyv,
    /// Packed 4:2:2, bytes U Y0 V Y1; width even. One plane.
    Uyvy,
    /// 4:2:0: a Y plane, then a plane of interleaved U V pairs of half the height (rounded up).
    Nv12,
    /// 4:2:0: a Y plane, a U plane and a V plane, chroma of half the size (rounded up).
    I420,
    /// Luma only, full range. One plane.
    Grey,
    /// Bytes R G B. One plane.
    Rgb,
    /// Bytes B G R. One plane.
    Bgr,
}

impl PixelFormat {
    /// How many planes a frame of this format has.
    pub const fn planes(self) -> usize {
        match self {
            Self::Nv12 => 2,
            Self::I420 => 3,
            _ => 1,
        }
    }

    /// The bytes of meaning in a row of plane `plane`, and how many rows it has, for a picture of `width` × `height`.
    pub const fn plane_size(self, plane: usize, width: u32, height: u32) -> (usize, usize) {
        let (w, h) = (width as usize, height as usize);
        match (self, plane) {
            (Self::Yuyv | Self::Uyvy, _) => (w.div_ceil(2) * 4, h),
            (Self::Rgb | Self::Bgr, _) => (w * 3, h),
            (Self::Grey, _) | (_, 0) => (w, h),
            (Self::Nv12, _) => (w.div_ceil(2) * 2, h.div_ceil(2)),
            (Self::I420, _) => (w.div_ceil(2), h.div_ceil(2)),
        }
    }

    /// Whether the samples are luma and chroma, so that [`Colour`] matters.
    pub const fn is_yuv(self) -> bool {
        matches!(self, Self::Yuyv | Self::Uyvy | Self::Nv12 | Self::I420)
    }
}

/// How luma and chroma become red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colour {
    /// The conversion matrix.
    pub matrix: Matrix,
    /// What the sample values span.
    pub range: Range,
}

/// Conversion matrix of a YUV picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601; also what is meant when a stream or camera does not say, as OpenCV does.
    #[default]
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
}

/// Sample range of a YUV picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16–235, chroma 16–240.
    #[default]
    Limited,
    /// 0–255, as JPEG has it.
    Full,
}

/// Where the bytes of one plane lie in the frame's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneLayout {
    /// First byte.
    pub offset: usize,
    /// Bytes from one row to the next; at least the row's bytes of meaning.
    pub stride: usize,
}

/// Whose clock stamped a frame, and what the stamp marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The kernel, on the monotonic clock, at the start of exposure.
    KernelStartOfExposure,
    /// The kernel, on the monotonic clock, when the last byte had arrived.
    KernelEndOfFrame,
    /// We, when the frame was handed over: kernel or camera gave no stamp to trust.
    Arrival,
    /// The recording's own timeline, laid on the monotonic clock where the replay began.
    Recording,
}

/// What is known of a frame besides its pixels.
#[derive(Clone, Debug)]
pub struct FrameMeta {
    /// The source's name, as configured (`front`, `clip.mp4`).
    pub source: Arc<str>,
    /// Rises by one per frame the source made, delivered or not: a gap is a drop.
    pub sequence: u64,
    /// When the picture was taken; every latency is measured from here.
    pub captured: Monotonic,
    /// What `captured` stands on.
    pub stamp: Stamp,
    /// Wall time of the same moment: a label.
    pub wall: SystemTime,
    /// Position in a recording, from its first frame; `None` for a live source.
    pub position: Option<std::time::Duration>,
    /// File the picture came from (still images), for reports.
    pub path: Option<Arc<std::path::Path>>,
    /// How often the pixels were copied since the kernel or the decoder wrote them; at most 1.
    pub copies: u8,
}

/// Geometry of a frame that does not fit its bytes.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Width or height is zero, or above [`MAX_SIDE`].
    #[error("frame of {width}x{height} pixels: each side must be 1 to {MAX_SIDE}")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The format has another number of planes.
    #[error("{format:?} has {expected} plane(s), {found} given")]
    Planes {
        /// The format.
        format: PixelFormat,
        /// Planes it has.
        expected: usize,
        /// Planes given.
        found: usize,
    },
    /// A row's bytes of meaning do not fit its stride.
    #[error("plane {plane} of {format:?}: stride {stride} is shorter than a row of {row} bytes")]
    Stride {
        /// The format.
        format: PixelFormat,
        /// Which plane.
        plane: usize,
        /// Given bytes from row to row.
        stride: usize,
        /// Bytes a row needs.
        row: usize,
    },
    /// The buffer ends before the plane does.
    #[error(
        "plane {plane} of a {width}x{height} {format:?} frame needs {needed} bytes, the buffer has {found}"
    )]
    Short {
        /// The format.
        format: PixelFormat,
        /// Which plane.
        plane: usize,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes the buffer would need.
        needed: usize,
        /// Bytes it has.
        found: usize,
    },
}

/// The longest side a picture may have: four times 8K. Foreign headers are held to it before anything is allocated.
pub const MAX_SIDE: u32 = 32_768;

/// One picture. Immutable; its geometry has been checked against its bytes.
pub struct Frame {
    meta: FrameMeta,
    format: PixelFormat,
    colour: Colour,
    width: u32,
    height: u32,
    planes: [PlaneLayout; 3],
    buffer: Buffer,
}

/// A plane's rows. Row `y` is `bytes[y * stride..][..row]`.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// From the first row's first byte to the last row's last byte of meaning.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes of meaning in a row.
    pub row: usize,
    /// Rows.
    pub rows: usize,
}

impl Frame {
    /// A frame over `buffer`, refused unless every plane lies inside it.
    ///
    /// # Errors
    /// [`FrameError`] names the plane, what it needs and what is there.
    pub fn new(
        meta: FrameMeta,
        format: PixelFormat,
        colour: Colour,
        (width, height): (u32, u32),
        planes: &[PlaneLayout],
        buffer: Buffer,
    ) -> Result<Self, FrameError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FrameError::Size { width, height });
        }
        if planes.len() != format.planes() {
            return Err(FrameError::Planes { format, expected: format.planes(), found: planes.len() });
        }
        for (plane, layout) in planes.iter().enumerate() {
            let (row, rows) = format.plane_size(plane, width, height);
            if layout.stride < row {
                return Err(FrameError::Stride { format, plane, stride: layout.stride, row });
            }
            let needed =
                layout.stride.saturating_mul(rows - 1).saturating_add(row).saturating_add(layout.offset);
            if needed > buffer.len() {
                return Err(FrameError::Short { format, plane, width, height, needed, found: buffer.len() });
            }
        }
        let mut kept = [PlaneLayout { offset: 0, stride: 0 }; 3];
        kept[..planes.len()].copy_from_slice(planes);
        Ok(Self { meta, format, colour, width, height, planes: kept, buffer })
    }

    /// Where the planes of a frame without padding lie, and how many bytes they take together.
    pub fn packed_layout(format: PixelFormat, width: u32, height: u32) -> (Vec<PlaneLayout>, usize) {
        let mut offset = 0;
        let planes = (0..format.planes())
            .map(|plane| {
                let (stride, rows) = format.plane_size(plane, width, height);
                let layout = PlaneLayout { offset, stride };
                offset += stride * rows;
                layout
            })
            .collect();
        (planes, offset)
    }

    /// A frame whose planes follow each other without padding.
    ///
    /// # Errors
    /// [`FrameError::Short`] where `buffer` is too small for the size, [`FrameError::Size`] for an impossible one.
    pub fn packed(
        meta: FrameMeta,
        format: PixelFormat,
        colour: Colour,
        (width, height): (u32, u32),
        buffer: Buffer,
    ) -> Result<Self, FrameError> {
        let (planes, _) = Self::packed_layout(format, width.min(MAX_SIDE), height.min(MAX_SIDE));
        Self::new(meta, format, colour, (width, height), &planes, buffer)
    }

    /// What is known of the frame besides its pixels.
    pub fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    /// How the pixels lie in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// How luma and chroma become RGB; without meaning for RGB and grey frames.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Plane number `plane`; panics if the format has fewer ([`PixelFormat::planes`]).
    pub fn plane(&self, plane: usize) -> Plane<'_> {
        assert!(plane < self.format.planes(), "{:?} has no plane {plane}", self.format);
        let (row, rows) = self.format.plane_size(plane, self.width, self.height);
        let PlaneLayout { offset, stride } = self.planes[plane];
        Plane { bytes: &self.buffer[offset..][..stride * (rows - 1) + row], stride, row, rows }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Frame({}#{} {}x{} {:?})",
            self.meta.source, self.meta.sequence, self.width, self.height, self.format
        )
    }
}

/// Bytes of a frame, given back to their pool when dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    home: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl Buffer {
    /// The bytes, to be filled before the frame is made.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut free = home.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < BufferPool::KEPT {
                free.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

/// Recycles frame buffers, so that a running source does not allocate.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// Buffers kept for re-use: capture, mailbox, inference and drawing hold one each, and one is spare.
    const KEPT: usize = 5;

    /// A buffer of `len` bytes whose content is whatever was there before.
    pub fn take(&self, len: usize) -> Buffer {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        bytes.resize(len, 0);
        Buffer { bytes, home: Some(Arc::clone(&self.0)) }
    }
}
