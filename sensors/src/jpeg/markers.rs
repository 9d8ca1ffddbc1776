//! The marker segments of a JPEG picture (T.81, annex B), walked without decoding anything.

use super::{ADVICE, MAX_PIXELS};
use crate::frame::MAX_SIDE;
use crate::source::SourceError;

/// What the marker segments say of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Pixels across and down.
    pub(crate) size: (u32, u32),
    /// Colour components: 1 is grey.
    pub(crate) components: u8,
    /// Whether several scans refine the picture.
    pub(crate) progressive: bool,
    /// Whether Huffman tables come before the first scan.
    pub(crate) huffman_tables: bool,
    /// Where the end-of-image marker stands.
    pub(crate) end: usize,
    /// The EXIF block's TIFF bytes, where there is one.
    pub(crate) exif: Option<std::ops::Range<usize>>,
}

/// Walks the segments from start-of-image to end-of-image.
///
/// # Errors
/// [`SourceError::Malformed`] where a segment is missing, cut or impossible, or the size cannot be held by so few bytes;
/// [`SourceError::Unsupported`] for lossless, hierarchical and arithmetic-coded pictures and other than 8-bit samples.
pub(crate) fn header(what: &str, bytes: &[u8]) -> Result<Header, SourceError> {
    let malformed = |problem: String| SourceError::Malformed {
        what: what.to_owned(),
        problem,
        advice: ADVICE.to_owned(),
    };
    if bytes.len() < 4 || bytes[..2] != [0xff, SOI] {
        let found = bytes.iter().take(2).map(|byte| format!("{byte:02x}")).collect::<String>();
        return Err(malformed(format!("a JPEG begins with the bytes ffd8, found `{found}`")));
    }
    let mut walk = Walk { bytes, at: 2 };
    let mut frame = None;
    let mut exif = None;
    let mut huffman_tables = false;
    let mut scans = 0;
    loop {
        let Some((marker, at)) = walk.marker(scans > 0) else {
            return Err(malformed(format!("JPEG ends in mid-picture, after {} bytes", bytes.len())));
        };
        if marker == EOI {
            let Some((size, components, progressive)) = frame.filter(|_| scans > 0) else {
                return Err(malformed(format!("JPEG without picture data, ends at byte {at}")));
            };
            return Ok(Header { size, components, progressive, huffman_tables, end: at, exif });
        }
        if matches!(marker, 0x01 | 0xd0..=0xd7) {
            continue; // stand-alone markers
        }
        let Some(body) = walk.segment() else {
            let problem = format!("JPEG ends in mid-picture: its segment ff{marker:02x} at byte {at} is cut");
            return Err(malformed(problem));
        };
        match marker {
            SOI => return Err(malformed(format!("second start of image at byte {at}"))),
            SOS if frame.is_none() => return Err(malformed("scan before the frame header".to_owned())),
            SOS => scans += 1,
            APP1 if exif.is_none() && bytes[body.clone()].starts_with(b"Exif\0\0") => {
                exif = Some(body.start + 6..body.end);
            }
            DHT => huffman_tables |= scans == 0,
            JPG | DAC => {}
            0xc0..=0xcf if frame.is_some() => {
                return Err(malformed(format!("second frame header at byte {at}")));
            }
            0xc0..=0xcf => frame = Some(frame_header(what, marker, &bytes[body], bytes.len())?),
            _ => {}
        }
        if marker == DAC {
            return Err(unsupported(what, "arithmetic-coded JPEG"));
        }
    }
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DHT: u8 = 0xc4;
const JPG: u8 = 0xc8;
const DAC: u8 = 0xcc;
const APP1: u8 = 0xe1;

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// The next marker and where it stands. Between a scan's header and the next marker lie entropy-coded bytes, in
    /// which ff is followed by 00; elsewhere stray bytes are passed over as decoders do.
    fn marker(&mut self, in_scan: bool) -> Option<(u8, usize)> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            let found = rest.iter().position(|byte| *byte == 0xff)?;
            self.at += found + 1;
            let next = *self.bytes.get(self.at)?;
            match next {
                0xff => {}
                0x00 => self.at += 1,
                0xd0..=0xd7 if in_scan => self.at += 1,
                marker => {
                    self.at += 1;
                    return Some((marker, self.at - 2));
                }
            }
        }
    }

    /// The body of the segment whose marker was just read.
    fn segment(&mut self) -> Option<std::ops::Range<usize>> {
        let length = self.bytes.get(self.at..self.at + 2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = self.at + 2..self.at + length;
        if length < 2 || body.end > self.bytes.len() {
            return None;
        }
        self.at = body.end;
        Some(body)
    }
}

/// Size, components and whether progressive, from a start-of-frame segment.
fn frame_header(
    what: &str,
    marker: u8,
    body: &[u8],
    file: usize,
) -> Result<((u32, u32), u8, bool), SourceError> {
    let progressive = match marker {
        0xc0 | 0xc1 => false,
        0xc2 => true,
        0xc3 => return Err(unsupported(what, "lossless JPEG")),
        0xc9..=0xcf => return Err(unsupported(what, "arithmetic-coded JPEG")),
        _ => return Err(unsupported(what, "hierarchical JPEG")),
    };
    let malformed = |problem: String| SourceError::Malformed {
        what: what.to_owned(),
        problem,
        advice: ADVICE.to_owned(),
    };
    let [precision, h1, h0, w1, w0, components, ..] = *body else {
        return Err(malformed(format!("frame header of {} bytes, at least 6 are needed", body.len())));
    };
    if precision != 8 {
        return Err(unsupported(what, &format!("JPEG with {precision} bits per sample")));
    }
    let (width, height) = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    let pixels = u64::from(width) * u64::from(height);
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(malformed(format!(
            "JPEG of {width}x{height} pixels: each side must be 1 to {MAX_SIDE}, and all together at most {MAX_PIXELS}"
        )));
    }
    if pixels > (file as u64).saturating_mul(MAX_PIXELS_PER_BYTE) {
        return Err(malformed(format!(
            "claims {width}x{height} pixels, which {file} bytes of JPEG cannot hold"
        )));
    }
    if !matches!(components, 1 | 3 | 4) {
        return Err(unsupported(what, &format!("JPEG with {components} colour components")));
    }
    Ok(((width, height), components, progressive))
}

/// A block of 64 pixels takes at least one bit (its DC difference): 512 pixels a byte, and twice that for safety.
const MAX_PIXELS_PER_BYTE: u64 = 1024;

fn unsupported(what: &str, kind: &str) -> SourceError {
    SourceError::Unsupported {
        what: what.to_owned(),
        problem: format!("{kind} is not read here"),
        advice: "convert it to baseline JPEG or PNG".to_owned(),
    }
}
