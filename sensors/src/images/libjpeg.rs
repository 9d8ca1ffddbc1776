//! The pixels of a JPEG picture by libjpeg's own arithmetic: its integer inverse cosine transform and its interpolation of
//! chroma, which is what training and evaluation tools (OpenCV, Pillow, torchvision) hand to a model.
//!
//! Only pictures that [`crate::jpeg::decode`] has found whole come here, so what is read is well-formed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg::Decompress;

/// Writes the pixels of the picture in `bytes`, `size` pixels across and down, to `out`: red, green and blue, or luma
/// alone where `grey`. `false`, and `out` undefined, where libjpeg does not read it as such.
pub(super) fn decode(bytes: &[u8], size: (u32, u32), grey: bool, out: &mut [u8]) -> bool {
    // The library tells a fatal error by unwinding.
    catch_unwind(AssertUnwindSafe(|| read(bytes, size, grey, out).is_ok_and(|whole| whole))).unwrap_or(false)
}

fn read(bytes: &[u8], size: (u32, u32), grey: bool, out: &mut [u8]) -> std::io::Result<bool> {
    let picture = Decompress::new_mem(bytes)?;
    let mut lines = if grey { picture.grayscale()? } else { picture.rgb()? };
    let found = (lines.width(), lines.height());
    if found != (size.0 as usize, size.1 as usize) || lines.min_flat_buffer_size() != out.len() {
        return Ok(false);
    }
    let filled = lines.read_scanlines_into::<u8>(out)?.len();
    lines.finish()?;
    Ok(filled == out.len())
}
