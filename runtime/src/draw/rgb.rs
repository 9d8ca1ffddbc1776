//! A frame of any pixel format as an RGB picture, for drawing. Models are fed by `prepare`, which does not come by here.

use std::borrow::Cow;

use image::RgbImage;
use image::imageops::FilterType;
use stopline_sensors::frame::{Frame, Matrix, PixelFormat, Plane, Range};
use yuv::{
    YuvBiPlanarImage, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImage, YuvRange,
    YuvStandardMatrix, uyvy422_to_rgb, yuv_nv12_to_rgb, yuv420_to_rgb, yuyv422_to_rgb,
};

/// A frame that cannot become an RGB picture.
#[derive(Debug, thiserror::Error)]
#[error("{format:?} frame of {width}x{height} pixels cannot become RGB: {problem}")]
pub struct RgbError {
    format: PixelFormat,
    width: u32,
    height: u32,
    problem: String,
}

/// The picture of `frame`.
///
/// # Errors
/// [`RgbError`] where the pixel library refuses the geometry.
pub fn rgb_image(frame: &Frame) -> Result<RgbImage, RgbError> {
    let (width, height) = (frame.width(), frame.height());
    let mut picture = RgbImage::new(width, height);
    let refuse = |problem: String| RgbError { format: frame.format(), width, height, problem };
    let done = match frame.format() {
        PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Grey => {
            copy_samples(frame, &mut picture);
            Ok(())
        }
        PixelFormat::Yuyv | PixelFormat::Uyvy => packed(frame, &mut picture),
        PixelFormat::Nv12 => nv12(frame, &mut picture),
        PixelFormat::I420 => i420(frame, &mut picture),
    };
    done.map_err(|problem| refuse(problem.to_string()))?;
    Ok(picture)
}

/// `picture`, made smaller so that it is at most `width` × `height`; and by which factor (1 where it fitted already).
pub fn shrink(picture: &RgbImage, width: u32, height: u32) -> (RgbImage, f32) {
    let (w, h) = picture.dimensions();
    if w <= width && h <= height {
        return (picture.clone(), 1.0);
    }
    let factor = (f64::from(width) / f64::from(w)).min(f64::from(height) / f64::from(h));
    let side = |full: u32| scaled_side(full, factor);
    let small = image::imageops::resize(picture, side(w), side(h), FilterType::Triangle);
    #[allow(clippy::cast_possible_truncation, reason = "a factor for drawing")]
    (small, factor as f32)
}

/// `factor` is at most 1.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scaled_side(full: u32, factor: f64) -> u32 {
    ((f64::from(full) * factor).round() as u32).max(1)
}

fn rows<'a>(plane: &Plane<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let row = plane.row;
    plane.bytes.chunks(plane.stride).map(move |bytes| &bytes[..row])
}

fn copy_samples(frame: &Frame, picture: &mut RgbImage) {
    let target = picture.chunks_exact_mut(frame.width() as usize * 3);
    for (to, from) in target.zip(rows(&frame.plane(0))) {
        match frame.format() {
            PixelFormat::Grey => to.chunks_exact_mut(3).zip(from).for_each(|(pixel, luma)| pixel.fill(*luma)),
            PixelFormat::Bgr => {
                to.copy_from_slice(from);
                to.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
            }
            _ => to.copy_from_slice(from),
        }
    }
}

fn colour(frame: &Frame) -> (YuvRange, YuvStandardMatrix) {
    let range = match frame.colour().range {
        Range::Limited => YuvRange::Limited,
        Range::Full => YuvRange::Full,
    };
    let matrix = match frame.colour().matrix {
        Matrix::Bt601 => YuvStandardMatrix::Bt601,
        Matrix::Bt709 => YuvStandardMatrix::Bt709,
        Matrix::Bt2020 => YuvStandardMatrix::Bt2020,
    };
    (range, matrix)
}

fn stride(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The plane with its last row padded like the others: the library refuses packed planes whose last row ends early, and
/// leaves the last rows of planar ones black.
fn whole<'a>(plane: &Plane<'a>) -> Cow<'a, [u8]> {
    let needed = plane.stride * plane.rows;
    if plane.bytes.len() == needed {
        return Cow::Borrowed(plane.bytes);
    }
    let mut bytes = plane.bytes.to_vec();
    bytes.resize(needed, 0);
    Cow::Owned(bytes)
}

fn packed(frame: &Frame, picture: &mut RgbImage) -> Result<(), YuvError> {
    let plane = frame.plane(0);
    let (width, height) = picture.dimensions();
    let image = YuvPackedImage { yuy: &whole(&plane), yuy_stride: stride(plane.stride), width, height };
    let (range, matrix) = colour(frame);
    let convert = if frame.format() == PixelFormat::Yuyv { yuyv422_to_rgb } else { uyvy422_to_rgb };
    convert(&image, picture, width * 3, range, matrix)
}

fn nv12(frame: &Frame, picture: &mut RgbImage) -> Result<(), YuvError> {
    let [y, uv] = [frame.plane(0), frame.plane(1)];
    let [y_bytes, uv_bytes] = [whole(&y), whole(&uv)];
    let (width, height) = picture.dimensions();
    let image = YuvBiPlanarImage {
        y_plane: &y_bytes,
        y_stride: stride(y.stride),
        uv_plane: &uv_bytes,
        uv_stride: stride(uv.stride),
        width,
        height,
    };
    let (range, matrix) = colour(frame);
    yuv_nv12_to_rgb(&image, picture, width * 3, range, matrix, YuvConversionMode::Balanced)
}

fn i420(frame: &Frame, picture: &mut RgbImage) -> Result<(), YuvError> {
    let [y, u, v] = [frame.plane(0), frame.plane(1), frame.plane(2)];
    let [y_bytes, u_bytes, v_bytes] = [whole(&y), whole(&u), whole(&v)];
    let (width, height) = picture.dimensions();
    let image = YuvPlanarImage {
        y_plane: &y_bytes,
        y_stride: stride(y.stride),
        u_plane: &u_bytes,
        u_stride: stride(u.stride),
        v_plane: &v_bytes,
        v_stride: stride(v.stride),
        width,
        height,
    };
    let (range, matrix) = colour(frame);
    yuv420_to_rgb(&image, picture, width * 3, range, matrix)
}
