//! JPEG pictures, decoded to RGB.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::frame::{Buffer, BufferPool, Colour, MAX_SIDE, PixelFormat};
use crate::source::SourceError;

/// A decoded picture.
pub struct Decoded {
    /// How its pixels lie.
    pub format: PixelFormat,
    /// Without meaning for RGB.
    pub colour: Colour,
    /// Pixels across and down.
    pub size: (u32, u32),
    /// The pixels, without padding.
    pub buffer: Buffer,
}

/// Decodes one picture.
///
/// # Errors
/// [`SourceError::Malformed`] for bytes that are no whole JPEG.
pub fn decode(what: &str, bytes: &[u8], pool: &BufferPool) -> Result<Decoded, SourceError> {
    let malformed = |problem: String| SourceError::Malformed {
        what: what.to_owned(),
        problem,
        advice: "the picture is skipped".into(),
    };
    let options = DecoderOptions::new_safe()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|problem| malformed(format!("{problem:?}")))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| malformed("no size".into()))?;
    let needed = decoder.output_buffer_size().ok_or_else(|| malformed("no size".into()))?;
    let mut buffer = pool.take(needed);
    decoder.decode_into(buffer.bytes_mut()).map_err(|problem| malformed(format!("{problem:?}")))?;
    let side =
        |pixels: usize| u32::try_from(pixels).map_err(|_| malformed(format!("a side of {pixels} pixels")));
    Ok(Decoded {
        format: PixelFormat::Rgb,
        colour: Colour::default(),
        size: (side(width)?, side(height)?),
        buffer,
    })
}
