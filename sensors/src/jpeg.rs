//! JPEG pictures, from still images, MJPEG cameras and MJPEG recordings: a whole picture or an error, never half of one.
//!
//! Standard: ITU-T T.81. Frames without Huffman tables, as many USB cameras send, take the tables of its annex K.3.
//! The pixels come from `zune-jpeg`. It fills the rest of a picture with grey where the data end too early; so the
//! marker segments are walked here first, and the end-of-image marker is taken off the data, which makes the decoder
//! run out, and say so, where it would otherwise invent.
//!
//! Not here: EXIF orientation (`images`), lossless, arithmetic-coded and hierarchical JPEG (refused by name).

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::frame::{Buffer, BufferPool, Colour, MAX_SIDE, Matrix, PixelFormat, Range};
use crate::source::SourceError;

mod huffman;
mod markers;
#[cfg(test)]
mod tests;

pub(crate) use markers::{Header, header};

/// The most pixels a compressed picture may have (8K × 4K × 4): 400 MB as RGB. Held before anything is allocated.
pub(crate) const MAX_PIXELS: u64 = 1 << 27;

/// A decoded picture without padding; [`crate::frame::Frame::packed`] makes a frame of it.
pub struct Decoded {
    /// [`PixelFormat::Grey`] for a picture of one component, else [`PixelFormat::Rgb`].
    pub format: PixelFormat,
    /// Full-range BT.601, as JFIF has it; without meaning for the two formats.
    pub colour: Colour,
    /// Pixels across and down.
    pub size: (u32, u32),
    /// The pixels, row after row.
    pub buffer: Buffer,
}

/// Decodes one JPEG picture; `what` names the file or device, and the place in it, for errors.
///
/// # Errors
/// [`SourceError::Malformed`] where the bytes are no JPEG, end before the picture does, are damaged, or claim a size
/// that they cannot hold; [`SourceError::Unsupported`] for the kinds of JPEG that are not read here.
pub fn decode(what: &str, bytes: &[u8], pool: &BufferPool) -> Result<Decoded, SourceError> {
    let header = header(what, bytes)?;
    let format = if header.components == 1 { PixelFormat::Grey } else { PixelFormat::Rgb };
    let colours = if header.components == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(colours);
    let damaged = |problem: String| SourceError::Malformed {
        what: what.to_owned(),
        problem: format!("damaged JPEG: {problem}"),
        advice: ADVICE.to_owned(),
    };
    let data = decodable(bytes, &header);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&data[..]), options);
    decoder.decode_headers().map_err(|error| damaged(format!("{error:?}")))?;
    let (width, height) = header.size;
    let pixel = if format == PixelFormat::Grey { 1 } else { 3 };
    let expected = width as usize * height as usize * pixel;
    match decoder.output_buffer_size() {
        Some(size) if size == expected => {}
        other => return Err(damaged(format!("{other:?} bytes of pixels where {expected} were expected"))),
    }
    let mut buffer = pool.take(expected);
    decoder.decode_into(buffer.bytes_mut()).map_err(|error| damaged(format!("{error:?}")))?;
    let colour = Colour { matrix: Matrix::Bt601, range: Range::Full };
    Ok(Decoded { format, colour, size: header.size, buffer })
}

const ADVICE: &str = "the picture is left out; check the file, or the cable and the bandwidth of the camera";

/// The picture's bytes as the decoder gets them: with Huffman tables, and such that a sequential decoder which needs
/// more data than there are runs out of them.
///
/// With the end-of-image marker in place it would go on with zero bits, and give half a picture. The decoder reads up
/// to eight bytes ahead, so as many follow here; what they could stand in for is less than one block of 16 × 16.
/// Progressive pictures keep their marker: the decoder needs it to know that no further scan follows.
fn decodable(bytes: &[u8], header: &Header) -> Vec<u8> {
    const READ_AHEAD: [u8; 8] = [0; 8];
    let tables = if header.huffman_tables { Vec::new() } else { huffman::standard_segment() };
    let (start, rest) = bytes[..header.end].split_at(2);
    let end: &[u8] = if header.progressive { &[0xff, 0xd9] } else { &READ_AHEAD };
    [start, &tables, rest, end].concat()
}
