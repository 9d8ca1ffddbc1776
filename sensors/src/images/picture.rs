//! One picture file to pixels.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;

use image::codecs::{bmp::BmpDecoder, png::PngDecoder};
use image::{ColorType, ImageDecoder, ImageError, Limits};

use crate::frame::{Buffer, BufferPool, Colour, MAX_SIDE, PixelFormat};
use crate::jpeg::{self, MAX_PIXELS};
use crate::orientation::Orientation;
use crate::source::SourceError;

/// The largest picture file that is read.
const MAX_FILE: u64 = 512 << 20;

/// A decoded, upright picture without padding.
pub struct Picture {
    /// [`PixelFormat::Grey`] or [`PixelFormat::Rgb`].
    pub format: PixelFormat,
    /// Without meaning for the two formats.
    pub colour: Colour,
    /// Pixels across and down.
    pub size: (u32, u32),
    /// The pixels, row after row.
    pub buffer: Buffer,
    /// 0, or 1 where the picture had to be turned or its samples reduced.
    pub copies: u8,
}

/// Whether a file that begins with these bytes is a picture that is read here.
pub(crate) fn is_picture(head: &[u8]) -> bool {
    kind(head).is_some()
}

/// Whether a file in a folder is meant as a picture: by its content or, so that a damaged one is told, by its name.
pub(super) fn is_meant(file: &Path) -> bool {
    let there = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    there && (has_picture_name(file) || head(file).is_some_and(|head| is_picture(&head)))
}

/// Whether the file is named as a picture is.
pub(crate) fn has_picture_name(file: &Path) -> bool {
    let Some(extension) = file.extension() else { return false };
    ["jpg", "jpeg", "jpe", "png", "bmp"].iter().any(|name| extension.eq_ignore_ascii_case(name))
}

/// Reads the picture in `file`.
///
/// # Errors
/// [`SourceError::Io`] where it cannot be read; [`SourceError::Malformed`] and [`SourceError::Unsupported`] name the file
/// and what is wrong with it.
pub fn read(file: &Path, pool: &BufferPool) -> Result<Picture, SourceError> {
    let what = file.display().to_string();
    from_bytes(&what, &content(&what, file)?, pool)
}

/// Reads the picture that `bytes` are; `what` names them in messages.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(what: &str, bytes: &[u8], pool: &BufferPool) -> Result<Picture, SourceError> {
    match kind(bytes) {
        Some(Kind::Jpeg) => jpeg(what, bytes, pool),
        Some(Kind::Png) => decode(what, png(what, bytes)?, pool),
        Some(Kind::Bmp) => decode(what, bmp(what, bytes)?, pool),
        None => Err(unknown(what, bytes)),
    }
}

/// The upright size of the picture in `file`, from its headers.
pub(super) fn size(file: &Path) -> Result<(u32, u32), SourceError> {
    let what = file.display().to_string();
    size_of(&what, &content(&what, file)?)
}

/// The upright size (pixels across and down) of the picture that `bytes` are, from its headers: asked before anything is
/// allocated for its pixels.
///
/// # Errors
/// As [`read`].
pub fn size_of(what: &str, bytes: &[u8]) -> Result<(u32, u32), SourceError> {
    let sized = |mut decoder: Box<dyn ImageDecoder>| {
        let turn = orientation_of(decoder.as_mut());
        turn.size(decoder.dimensions())
    };
    match kind(bytes) {
        Some(Kind::Jpeg) => {
            let header = jpeg::header(what, bytes)?;
            Ok(jpeg_orientation(&header, bytes).size(header.size))
        }
        Some(Kind::Png) => png(what, bytes).map(|decoder| sized(Box::new(decoder))),
        Some(Kind::Bmp) => bmp(what, bytes).map(|decoder| sized(Box::new(decoder))),
        None => Err(unknown(what, bytes)),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Jpeg,
    Png,
    Bmp,
}

fn kind(head: &[u8]) -> Option<Kind> {
    if head.starts_with(&[0xff, 0xd8, 0xff]) {
        Some(Kind::Jpeg)
    } else if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(Kind::Png)
    } else {
        (head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4])).then_some(Kind::Bmp)
    }
}

fn head(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(16).read_to_end(&mut head).ok()?;
    Some(head)
}

/// Only regular files: a pipe could keep us waiting.
fn content(what: &str, file: &Path) -> Result<Vec<u8>, SourceError> {
    let io = |action| move |cause| SourceError::Io { what: what.to_owned(), action, cause };
    let metadata = std::fs::metadata(file).map_err(io("open"))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(SourceError::Unsupported {
            what: what.to_owned(),
            problem: format!("not a picture file of at most {MAX_FILE} bytes ({})", metadata.len()),
            advice: "give the path of a JPEG, PNG or BMP file".to_owned(),
        });
    }
    let mut bytes = Vec::new();
    File::open(file).map_err(io("open"))?.take(MAX_FILE).read_to_end(&mut bytes).map_err(io("read"))?;
    Ok(bytes)
}

fn jpeg(what: &str, bytes: &[u8], pool: &BufferPool) -> Result<Picture, SourceError> {
    let orientation = jpeg_orientation(&jpeg::header(what, bytes)?, bytes);
    let whole = jpeg::decode(what, bytes, pool)?;
    let jpeg::Decoded { format, colour, size, buffer } = with_libjpeg(what, bytes, whole, pool)?;
    if orientation.is_upright() {
        return Ok(Picture { format, colour, size, buffer, copies: 0 });
    }
    let pixel = if format == PixelFormat::Grey { 1 } else { 3 };
    let stored = (size.0 as usize, size.1 as usize);
    let mut upright = pool.take(buffer.len());
    orientation.place(&buffer, stored.0 * pixel, stored, pixel, upright.bytes_mut());
    Ok(Picture { format, colour, size: orientation.size(size), buffer: upright, copies: 1 })
}

/// The same picture with libjpeg's pixels, where it can read it.
#[cfg(feature = "libjpeg")]
fn with_libjpeg(
    what: &str,
    bytes: &[u8],
    mut whole: jpeg::Decoded,
    pool: &BufferPool,
) -> Result<jpeg::Decoded, SourceError> {
    let grey = whole.format == PixelFormat::Grey;
    if super::libjpeg::decode(bytes, whole.size, grey, whole.buffer.bytes_mut()) {
        return Ok(whole);
    }
    jpeg::decode(what, bytes, pool)
}

#[cfg(not(feature = "libjpeg"))]
fn with_libjpeg(
    _what: &str,
    _bytes: &[u8],
    whole: jpeg::Decoded,
    _pool: &BufferPool,
) -> Result<jpeg::Decoded, SourceError> {
    Ok(whole)
}

fn jpeg_orientation(header: &jpeg::Header, bytes: &[u8]) -> Orientation {
    let exif = header.exif.clone().and_then(|place| bytes.get(place));
    let value = exif.and_then(image::metadata::Orientation::from_exif_chunk);
    value.map(|value| Orientation::from_exif(u16::from(value.to_exif()))).unwrap_or_default()
}

fn orientation_of(decoder: &mut (impl ImageDecoder + ?Sized)) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    let value = exif.as_deref().and_then(image::metadata::Orientation::from_exif_chunk);
    value.map(|value| Orientation::from_exif(u16::from(value.to_exif()))).unwrap_or_default()
}

fn png<'a>(what: &str, bytes: &'a [u8]) -> Result<PngDecoder<Cursor<&'a [u8]>>, SourceError> {
    let decoder =
        PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(|error| damaged(what, &error))?;
    check(what, decoder.dimensions(), bytes.len() as u64, PNG_PIXELS_PER_BYTE)?;
    Ok(decoder)
}

fn bmp<'a>(what: &str, bytes: &'a [u8]) -> Result<BmpDecoder<Cursor<&'a [u8]>>, SourceError> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|error| damaged(what, &error))?;
    check(what, decoder.dimensions(), bytes.len() as u64, BMP_PIXELS_PER_BYTE)?;
    Ok(decoder)
}

/// Deflate makes at most 1032 bytes of one, and a byte holds eight pixels at one bit.
const PNG_PIXELS_PER_BYTE: u64 = 1032 * 8;
/// Run-length encoding makes 255 pixels of two bytes.
const BMP_PIXELS_PER_BYTE: u64 = 128;

/// Held before anything is allocated for the pixels.
fn check(what: &str, (width, height): (u32, u32), file: u64, per_byte: u64) -> Result<(), SourceError> {
    let pixels = u64::from(width) * u64::from(height);
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        let problem =
            format!("{width}x{height} pixels: each side must be 1 to {MAX_SIDE}, all at most {MAX_PIXELS}");
        return Err(malformed(what, problem));
    }
    if pixels > file.saturating_mul(per_byte) {
        return Err(malformed(
            what,
            format!("claims {width}x{height} pixels, which {file} bytes cannot hold"),
        ));
    }
    Ok(())
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 8);
    limits
}

fn decode(what: &str, mut decoder: impl ImageDecoder, pool: &BufferPool) -> Result<Picture, SourceError> {
    let (size, colours) = (decoder.dimensions(), decoder.color_type());
    let orientation = orientation_of(&mut decoder);
    let channels = usize::from(colours.channel_count());
    let (from, to) = (usize::from(colours.bytes_per_pixel()), if channels < 3 { 1 } else { 3 });
    if !matches!(from / channels, 1 | 2) || colours == ColorType::Rgb32F || colours == ColorType::Rgba32F {
        return Err(SourceError::Unsupported {
            what: what.to_owned(),
            problem: format!("samples of the kind {colours:?} are not read here"),
            advice: "convert it to 8 bits per sample".to_owned(),
        });
    }
    let format = if to == 1 { PixelFormat::Grey } else { PixelFormat::Rgb };
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut stored = pool.take(width * height * from);
    decoder.read_image(stored.bytes_mut()).map_err(|error| damaged(what, &error))?;
    let colour = Colour::default();
    if orientation.is_upright() && from == to {
        return Ok(Picture { format, colour, size, buffer: stored, copies: 0 });
    }
    let sample = from / channels;
    // Of two bytes, in the machine's order, the higher is kept.
    let kept = if sample == 2 && cfg!(target_endian = "little") { 1 } else { 0 };
    let mut upright = pool.take(width * height * to);
    orientation.convert(
        &stored,
        width * from,
        (width, height),
        (from, to),
        upright.bytes_mut(),
        |pixel, target| {
            for (channel, value) in target.iter_mut().enumerate() {
                *value = pixel[channel * sample + kept];
            }
        },
    );
    Ok(Picture { format, colour, size: orientation.size(size), buffer: upright, copies: 1 })
}

fn damaged(what: &str, error: &ImageError) -> SourceError {
    malformed(what, format!("damaged picture: {error}"))
}

fn malformed(what: &str, problem: String) -> SourceError {
    let advice = "the picture is left out; check the file".to_owned();
    SourceError::Malformed { what: what.to_owned(), problem, advice }
}

fn unknown(what: &str, bytes: &[u8]) -> SourceError {
    if bytes.is_empty() {
        return malformed(what, "the file is empty".to_owned());
    }
    SourceError::Unsupported {
        what: what.to_owned(),
        problem: format!(
            "begins with `{}`, which is no JPEG, PNG or BMP",
            bytes[..bytes.len().min(8)].escape_ascii()
        ),
        advice: "convert it to one of them".to_owned(),
    }
}
