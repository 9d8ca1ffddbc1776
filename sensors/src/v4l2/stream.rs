//! A camera that is open, set up and streaming; and how one of its buffers becomes a frame, by one copy.

use std::path::PathBuf;
use std::time::Duration;

use v4l::v4l_sys as sys;

use super::config::V4l2Config;
use super::controls::{ControlPanel, ControlReport};
use super::find::{self, Identity, Roots};
use super::formats::{self, CameraFormat, Choice, Wants};
use super::node::{Capability, Granted};
use super::queue::{Filled, Node, Planarity, Queue};
use crate::frame::{BufferPool, Frame, FrameMeta, MAX_SIDE, PixelFormat};
use crate::source::SourceError;

/// A streaming camera.
pub struct Stream {
    /// What it is, for finding it again.
    pub identity: Identity,
    /// What it was set to.
    pub setup: Setup,
    /// What became of the configured controls.
    pub controls: Vec<ControlReport>,
    /// The node, for waiting.
    pub node: Node,
    queue: Queue,
    /// Buffers the driver did not take back; offered again.
    refused: Vec<u32>,
    jpeg: Vec<u8>,
}

/// What a camera was set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// The format read.
    pub format: CameraFormat,
    /// Everything the driver granted.
    pub granted: Granted,
    /// Time from frame to frame.
    pub period: Option<Duration>,
}

impl Stream {
    /// Finds the camera, sets it up and starts it. `known`: only this camera will do.
    ///
    /// # Errors
    /// What cannot be had: the node, a format, a size, a control, the buffers.
    pub fn open(config: &V4l2Config, known: Option<&Identity>, roots: &Roots) -> Result<Self, SourceError> {
        let path = locate(config, known, roots)?;
        let what = path.display().to_string();
        let io = |action| {
            let what = what.clone();
            move |cause| SourceError::Io { what, action, cause }
        };
        let node = Node::open(&path).map_err(io("open"))?;
        let capability = node.capability().map_err(io("ask for its capabilities"))?;
        let identity = Identity::of(&node, &capability, roots);
        if let Some(known) = known.filter(|known| !known.same(&identity)) {
            return Err(another(&what, known, &identity));
        }
        let planarity = planarity(&what, &capability)?;
        if let Some(input) = config.input {
            node.set_input(input).map_err(io("choose its input"))?;
        }
        let setup = set_up(&what, &node, &capability, planarity, config)?;
        let controls = ControlPanel::of(what.clone(), &node)?.apply(&config.controls)?;
        let planes = setup.granted.planes;
        let queue = Queue::start(&node, planarity, planes, config.buffers)
            .map_err(|(action, cause)| SourceError::Io { what: what.clone(), action, cause })?;
        tracing::info!(camera = what, card = identity.card, format = %String::from(setup.format),
            width = setup.granted.size.0, height = setup.granted.size.1, period = ?setup.period,
            buffers = queue.buffers(), "streaming");
        Ok(Self { identity, setup, controls, node, queue, refused: Vec::new(), jpeg: Vec::new() })
    }

    /// The oldest filled buffer; `None` where none is ready.
    ///
    /// # Errors
    /// The system's, where the device or its queue is broken.
    pub fn dequeue(&mut self) -> std::io::Result<Option<Filled>> {
        let refused = std::mem::take(&mut self.refused);
        for index in refused {
            self.give_back(index)?;
        }
        self.queue.dequeue()
    }

    /// Gives a buffer back to the driver. One it refuses for now is offered again before the next is taken.
    ///
    /// # Errors
    /// Where the driver refuses all its buffers: nothing can come any more.
    pub fn give_back(&mut self, index: u32) -> std::io::Result<()> {
        let Err(error) = self.queue.requeue(index) else { return Ok(()) };
        self.refused.push(index);
        tracing::warn!(camera = %self.node.path().display(), index, %error, "the driver refused a buffer");
        if error.raw_os_error() == Some(libc::EINVAL) && self.refused.len() < self.queue.buffers() {
            return Ok(());
        }
        Err(error)
    }

    /// What is wrong with a buffer that its driver flagged as damaged.
    pub fn damaged(&self, filled: &Filled) -> Option<SourceError> {
        let flagged = filled.flags & sys::V4L2_BUF_FLAG_ERROR != 0;
        flagged.then(|| SourceError::Malformed {
            what: format!("{} frame {}", self.node.path().display(), filled.sequence),
            problem: "the driver says its data are damaged".to_owned(),
            advice: "the frame is left out; if this repeats, check cable, USB bandwidth and power".to_owned(),
        })
    }

    /// Copies a buffer's pixels into a frame: once, straight from the mapping, padding left behind. MJPEG is decoded
    /// into the frame instead, from a copy of the compressed bytes: a decoder reads them byte by byte, which mapped
    /// memory without cache makes slow.
    ///
    /// # Errors
    /// Where the buffer holds less than a picture, or a damaged JPEG.
    pub fn frame(
        &mut self,
        filled: &Filled,
        mut meta: FrameMeta,
        pool: &BufferPool,
    ) -> Result<Frame, SourceError> {
        let what = format!("{} frame {}", self.node.path().display(), filled.sequence);
        let Some(format) = self.setup.format.pixels() else { return self.decoded(&what, filled, meta, pool) };
        let (width, height) = self.setup.granted.size;
        let (layout, length) = Frame::packed_layout(format, width, height);
        let mut buffer = pool.take(length);
        for (plane, to) in layout.iter().enumerate() {
            let place = place(&self.setup.granted, format, plane, filled);
            place.check(&what)?;
            let (row, rows) = (place.row, place.rows);
            let to = &mut buffer.bytes_mut()[to.offset..][..row * rows];
            let copied = if place.stride == row {
                self.queue.copy(filled, place.memory, place.from, to)
            } else {
                to.chunks_exact_mut(row)
                    .enumerate()
                    .all(|(y, to)| self.queue.copy(filled, place.memory, place.from + y * place.stride, to))
            };
            if !copied {
                return Err(short(&what, place.needed(), "less"));
            }
        }
        meta.copies = 1;
        let colour = formats::colour(&self.setup.granted);
        Frame::packed(meta, format, colour, (width, height), buffer)
            .map_err(|cause| SourceError::Frame { what, cause })
    }

    fn decoded(
        &mut self,
        what: &str,
        filled: &Filled,
        mut meta: FrameMeta,
        pool: &BufferPool,
    ) -> Result<Frame, SourceError> {
        let (from, end) = filled.bytes[0];
        let length = end.saturating_sub(from);
        if length > MOST_JPEG_BYTES {
            return Err(short(what, MOST_JPEG_BYTES, "more"));
        }
        self.jpeg.resize(length, 0);
        if length == 0 || !self.queue.copy(filled, 0, from, &mut self.jpeg) {
            return Err(short(what, length.max(1), "less"));
        }
        let picture = crate::jpeg::decode(what, &self.jpeg, pool)?;
        let (width, height) = self.setup.granted.size;
        if picture.size != (width, height) {
            return Err(SourceError::Malformed {
                what: what.to_owned(),
                problem: format!(
                    "a JPEG of {}x{}, expected {width}x{height}",
                    picture.size.0, picture.size.1
                ),
                advice: "the frame is left out".to_owned(),
            });
        }
        meta.copies = 0;
        Frame::packed(meta, picture.format, picture.colour, picture.size, picture.buffer)
            .map_err(|cause| SourceError::Frame { what: what.to_owned(), cause })
    }
}

/// The most compressed bytes a frame may have: above what an 8K JPEG of best quality needs.
const MOST_JPEG_BYTES: usize = 64 << 20;

/// Where the rows of one picture plane lie in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Memory plane.
    memory: usize,
    /// First byte.
    from: usize,
    /// Bytes from row to row.
    stride: usize,
    /// Bytes of meaning in a row.
    row: usize,
    /// Rows.
    rows: usize,
    /// Bytes the driver says it wrote into the memory plane.
    written: usize,
}

impl Place {
    /// Bytes the memory plane must hold.
    fn needed(&self) -> usize {
        self.from + self.stride * (self.rows - 1) + self.row
    }

    fn check(&self, what: &str) -> Result<(), SourceError> {
        if self.needed() <= self.written {
            Ok(())
        } else {
            Err(short(what, self.needed(), &self.written.to_string()))
        }
    }
}

/// Where picture plane `plane` lies. `NM12` has each in its own memory; in `NV12` chroma follows luma, with the same
/// stride.
fn place(granted: &Granted, format: PixelFormat, plane: usize, filled: &Filled) -> Place {
    let (row, rows) = format.plane_size(plane, granted.size.0, granted.size.1);
    let own_memory = granted.planes > plane;
    let memory = if own_memory { plane } else { 0 };
    let stated = usize::try_from(granted.strides[memory]).unwrap_or(usize::MAX);
    // A driver that leaves it out (0), or states less than a row, packs its rows.
    let stride = stated.max(row);
    let luma_rows = usize::try_from(granted.size.1).unwrap_or(usize::MAX);
    let before = if own_memory { 0 } else { stride.saturating_mul(luma_rows) };
    let (offset, written) = filled.bytes[memory];
    Place { memory, from: offset.saturating_add(before), stride, row, rows, written }
}

fn short(what: &str, needed: usize, found: &str) -> SourceError {
    SourceError::Malformed {
        what: what.to_owned(),
        problem: format!("expected {needed} bytes, found {found}"),
        advice: "the frame is left out; if this repeats, check cable and USB bandwidth".to_owned(),
    }
}

/// The node of the configured camera: where the configuration says, else wherever the camera known from before is now.
fn locate(config: &V4l2Config, known: Option<&Identity>, roots: &Roots) -> Result<PathBuf, SourceError> {
    let address = config.address()?;
    let found = find::node_of(&address, roots);
    if let (Ok(path), Some(known)) = (&found, known) {
        let there = Node::open(path).and_then(|node| Ok((node.capability()?, node)));
        let same = there.is_ok_and(|(capability, node)| Identity::of(&node, &capability, roots).same(known));
        if !same && let Some(moved) = find::nodes_like(known, roots).into_iter().next() {
            return Ok(moved);
        }
    }
    found.map_err(|cause| SourceError::Io { what: config.named(), action: "find", cause })
}

fn another(what: &str, known: &Identity, found: &Identity) -> SourceError {
    SourceError::Unsupported {
        what: what.to_owned(),
        problem: format!(
            "another camera is there: expected {} at {} (serial {:?}), found {} at {} (serial {:?})",
            known.card, known.bus, known.serial, found.card, found.bus, found.serial
        ),
        advice: "plug the cameras as they were, or start again with a new configuration".to_owned(),
    }
}

fn planarity(what: &str, capability: &Capability) -> Result<Planarity, SourceError> {
    if !find::captures(capability) {
        return Err(SourceError::Unsupported {
            what: what.to_owned(),
            problem: format!(
                "{} gives no video by streaming (capabilities {:#010x})",
                capability.card, capability.caps
            ),
            advice: "name the capture node of the camera; v4l2-ctl --list-devices shows all".to_owned(),
        });
    }
    let multi = capability.caps & sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0;
    Ok(if multi { Planarity::Multi } else { Planarity::Single })
}

/// Chooses format, size and rate, sets them, and checks what the driver granted.
fn set_up(
    what: &str,
    node: &Node,
    capability: &Capability,
    planarity: Planarity,
    config: &V4l2Config,
) -> Result<Setup, SourceError> {
    let io = |action| move |cause| SourceError::Io { what: what.to_owned(), action, cause };
    let wants = config.wants();
    let choice = choose(what, node, capability, planarity, &wants)?;
    let granted = node.set_format(planarity, choice.fourcc, choice.size).map_err(io("set its format"))?;
    check_granted(what, &choice, &granted)?;
    let asked = (1.0 / wants.fps).max(choice.fastest.map_or(0.0, |fastest| 1.0 / fastest));
    let period = node.set_interval(planarity, Some(asked)).map_err(io("set its frame rate"))?;
    if let (Some(fps), Some(period)) = (config.fps, period)
        && (period.as_secs_f64() * fps - 1.0).abs() > 0.05
    {
        tracing::warn!(camera = what, asked = fps, found = 1.0 / period.as_secs_f64(), "another frame rate");
    }
    let period = period.or_else(|| config.fps.and_then(|fps| Duration::try_from_secs_f64(1.0 / fps).ok()));
    Ok(Setup { format: choice.format, granted, period })
}

fn choose(
    what: &str,
    node: &Node,
    capability: &Capability,
    planarity: Planarity,
    wants: &Wants,
) -> Result<Choice, SourceError> {
    let io = |action| move |cause| SourceError::Io { what: what.to_owned(), action, cause };
    let codes = node.formats(planarity).map_err(io("list its formats"))?;
    let offers = formats::wanted(&codes, &wants.formats);
    if offers.is_empty() {
        return Err(formats::refusal(what, &capability.driver, &codes, &wants.formats));
    }
    let mut choices = Vec::new();
    let mut sizes_seen = Vec::new();
    for (format, fourcc) in offers {
        let sizes = node.sizes(fourcc).map_err(io("list its sizes"))?;
        if let Some(size) = formats::fit(&sizes, wants.size) {
            let intervals = node.intervals(fourcc, size).map_err(io("list its frame rates"))?;
            let shortest = intervals.into_iter().filter(|seconds| *seconds > 0.0).reduce(f64::min);
            choices.push(Choice { format, fourcc, size, fastest: shortest.map(|seconds| 1.0 / seconds) });
        }
        sizes_seen.extend(sizes);
    }
    formats::choose(&choices, wants.fps).ok_or_else(|| formats::no_such_size(what, wants.size, &sizes_seen))
}

fn check_granted(what: &str, choice: &Choice, granted: &Granted) -> Result<(), SourceError> {
    let unsupported = |problem: String, advice: &str| {
        Err(SourceError::Unsupported { what: what.to_owned(), problem, advice: advice.to_owned() })
    };
    let progressive = [
        sys::v4l2_field_V4L2_FIELD_ANY,
        sys::v4l2_field_V4L2_FIELD_NONE,
        sys::v4l2_field_V4L2_FIELD_INTERLACED,
    ];
    let (width, height) = granted.size;
    if granted.fourcc != choice.fourcc || granted.size != choice.size {
        let (asked, found) = (formats::name(choice.fourcc), formats::name(granted.fourcc));
        return unsupported(
            format!(
                "it gives {found} {width}x{height}, expected {asked} {}x{}",
                choice.size.0, choice.size.1
            ),
            "ask for a size and format that v4l2-ctl --list-formats-ext shows",
        );
    }
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return unsupported(format!("{width}x{height} pixels"), "ask for a smaller size");
    }
    if !progressive.contains(&granted.field) {
        return unsupported(
            format!("it gives single fields (V4L2_FIELD {}), expected whole frames", granted.field),
            "choose a progressive mode or another input of the capture card",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::queue::MAX_PLANES;

    fn granted(fourcc: &[u8; 4], size: (u32, u32), planes: usize, strides: &[u32]) -> Granted {
        let mut all = [0; MAX_PLANES];
        all[..strides.len()].copy_from_slice(strides);
        let (field, colorspace, encoding, quantization) = (1, 8, 0, 0);
        Granted { fourcc: *fourcc, size, field, colorspace, encoding, quantization, planes, strides: all }
    }

    fn filled(bytes: &[(usize, usize)]) -> Filled {
        let mut all = [(0, 0); MAX_PLANES];
        all[..bytes.len()].copy_from_slice(bytes);
        Filled { index: 0, flags: 0, sequence: 0, timestamp: (0, 0), bytes: all }
    }

    #[test]
    fn chroma_of_nv12_follows_luma_with_the_drivers_stride() {
        let granted = granted(b"NV12", (640, 360), 1, &[704]);
        let filled = filled(&[(0, 704 * 540)]);
        let chroma = place(&granted, PixelFormat::Nv12, 1, &filled);
        assert_eq!((chroma.memory, chroma.from, chroma.stride), (0, 704 * 360, 704));
        assert_eq!((chroma.row, chroma.rows), (640, 180));
        assert!(chroma.check("camera").is_ok());
    }

    #[test]
    fn chroma_of_nm12_has_its_own_memory_stride_and_offset() {
        let granted = granted(b"NM12", (640, 360), 2, &[640, 768]);
        let filled = filled(&[(0, 640 * 360), (128, 128 + 768 * 180)]);
        let chroma = place(&granted, PixelFormat::Nv12, 1, &filled);
        assert_eq!(
            (chroma.memory, chroma.from, chroma.stride, chroma.written),
            (1, 128, 768, 128 + 768 * 180)
        );
    }

    #[test]
    fn a_driver_that_leaves_the_stride_out_packs_its_rows() {
        let granted = granted(b"GREY", (33, 5), 1, &[0]);
        let luma = place(&granted, PixelFormat::Grey, 0, &filled(&[(0, 33 * 5)]));
        assert_eq!((luma.stride, luma.needed()), (33, 165));
        assert!(luma.check("camera").is_ok());
    }

    #[test]
    fn a_buffer_with_less_than_a_picture_is_refused_with_both_numbers() {
        let granted = granted(b"YUYV", (640, 480), 1, &[1280]);
        let luma = place(&granted, PixelFormat::Yuyv, 0, &filled(&[(0, 614_399)]));
        let said = luma.check("/dev/video0 frame 7").unwrap_err().to_string();
        assert!(said.contains("/dev/video0 frame 7: expected 614400 bytes, found 614399"), "{said}");
    }

    #[test]
    fn single_fields_and_another_size_than_asked_are_refused() {
        let choice = Choice { format: CameraFormat::Yuyv, fourcc: *b"YUYV", size: (720, 576), fastest: None };
        let mut given = granted(b"YUYV", (720, 576), 1, &[1440]);
        assert!(check_granted("/dev/video0", &choice, &given).is_ok());
        given.field = sys::v4l2_field_V4L2_FIELD_ALTERNATE;
        let said = check_granted("/dev/video0", &choice, &given).unwrap_err().to_string();
        assert!(said.contains("single fields"), "{said}");
        given.size = (704, 576);
        let said = check_granted("/dev/video0", &choice, &given).unwrap_err().to_string();
        assert!(said.contains("it gives YUYV 704x576, expected YUYV 720x576"), "{said}");
    }
}
