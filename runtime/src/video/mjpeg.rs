//! Bare MJPEG: JPEG after JPEG and nothing else. No times, no size limit; VLC, mpv and ffmpeg read it.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use image::RgbImage;

use super::{Fit, QUALITY, VideoError, VideoWriter, jpeg};
use crate::output::OutputFile;

pub struct Mjpeg {
    file: OutputFile,
    fit: Fit,
}

impl Mjpeg {
    pub fn create(path: &Path) -> Result<Self, VideoError> {
        Ok(Self { file: OutputFile::create(path)?, fit: Fit::default() })
    }
}

impl VideoWriter for Mjpeg {
    fn write(&mut self, picture: &RgbImage, _: Duration) -> Result<(), VideoError> {
        let refuse = |problem| VideoError::Encode {
            path: self.file.path().display().to_string(),
            codec: "JPEG",
            problem,
        };
        let bytes = jpeg(&self.fit.apply(picture, |size| size), QUALITY).map_err(refuse)?;
        let done = self.file.write_all(&bytes);
        Ok(self.file.named(done)?)
    }

    fn finish(self: Box<Self>) -> Result<(), VideoError> {
        Ok(self.file.commit()?)
    }
}
