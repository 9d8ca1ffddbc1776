//! Annotated video out: MP4 with H.264, AVI with MJPEG, or bare MJPEG, by the file's name.

mod avi;
mod mjpeg;
#[cfg(feature = "h264")]
mod mp4;

use std::path::Path;
use std::time::Duration;

use image::RgbImage;

use crate::output::OutputError;

/// What can go wrong with a video file.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// A name that tells no format.
    #[error("{path}: no video format goes by this name; use .mp4 (H.264), .avi or .mjpeg (motion JPEG)")]
    Format {
        /// The file.
        path: String,
    },
    /// A format this build has not.
    #[error(
        "{path}: this stopline is built without H.264; use .avi or .mjpeg, or build with the cargo feature h264"
    )]
    NoH264 {
        /// The file.
        path: String,
    },
    /// The encoder refused.
    #[error("{path}: {codec} encoder: {problem}")]
    Encode {
        /// The file.
        path: String,
        /// `H.264`, `JPEG`.
        codec: &'static str,
        /// What it said.
        problem: String,
    },
    /// The file would outgrow its format or the memory it is gathered in.
    #[error("{path}: full at {limit_mib} MiB; {advice}")]
    Full {
        /// The file.
        path: String,
        /// The limit.
        limit_mib: u64,
        /// What to do.
        advice: &'static str,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A video being written.
pub trait VideoWriter {
    /// Appends a picture shown from `at` on, counted from the video's beginning. Pictures of another size than the first
    /// are fitted into it; one that comes not later than the one before is moved behind it.
    ///
    /// # Errors
    /// [`VideoError`]; after [`VideoError::Full`] the file can still be finished.
    fn write(&mut self, picture: &RgbImage, at: Duration) -> Result<(), VideoError>;

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// [`VideoError`]; then nothing is left behind.
    fn finish(self: Box<Self>) -> Result<(), VideoError>;
}

/// A writer for `path`. `period` is the nominal time from picture to picture.
///
/// # Errors
/// [`VideoError`] where the name tells no format, or the file cannot be made.
pub fn create(path: &Path, period: Duration) -> Result<Box<dyn VideoWriter>, VideoError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        #[cfg(feature = "h264")]
        "mp4" | "m4v" | "mov" => Ok(Box::new(mp4::Mp4::create(path, period)?)),
        #[cfg(not(feature = "h264"))]
        "mp4" | "m4v" | "mov" => Err(VideoError::NoH264 { path: path.display().to_string() }),
        "avi" => Ok(Box::new(avi::Avi::create(path, period)?)),
        "mjpeg" | "mjpg" => Ok(Box::new(mjpeg::Mjpeg::create(path)?)),
        _ => Err(VideoError::Format { path: path.display().to_string() }),
    }
}

/// JPEG quality of motion JPEG: letters stay sharp, a 720p picture takes about 120 kB.
const QUALITY: u8 = 85;

/// `picture` as a JPEG.
///
/// # Errors
/// The encoder's word for a picture too large for JPEG (a side above 65 535).
pub fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, String> {
    let side = |side: u32| u16::try_from(side).map_err(|_| format!("a side of {side} pixels is above 65535"));
    let (width, height) = (side(picture.width())?, side(picture.height())?);
    let mut bytes = Vec::with_capacity(picture.len() / 8);
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
    encoder
        .encode(picture, width, height, jpeg_encoder::ColorType::Rgb)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Fits every picture into the size of the first (made smaller where a format has a limit), on black.
#[derive(Default)]
struct Fit {
    size: Option<(u32, u32)>,
}

impl Fit {
    /// `picture` at the video's size, which the first call settles by `choose`.
    fn apply<'a>(
        &mut self,
        picture: &'a RgbImage,
        choose: impl FnOnce((u32, u32)) -> (u32, u32),
    ) -> std::borrow::Cow<'a, RgbImage> {
        use std::borrow::Cow;
        let size = *self.size.get_or_insert_with(|| choose(picture.dimensions()));
        if picture.dimensions() == size {
            return Cow::Borrowed(picture);
        }
        let (small, _) = crate::draw::shrink(picture, size.0, size.1);
        let mut canvas = RgbImage::new(size.0, size.1);
        let middle = |outer: u32, inner: u32| i64::from(outer.saturating_sub(inner) / 2);
        let at = (middle(size.0, small.width()), middle(size.1, small.height()));
        image::imageops::replace(&mut canvas, &small, at.0, at.1);
        Cow::Owned(canvas)
    }
}

#[cfg(test)]
mod tests;
