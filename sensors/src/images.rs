//! Still images as a source: one file, the pictures of a folder in natural order, or those a glob matches.
//!
//! JPEG by [`crate::jpeg`], PNG and BMP by the `image` crate; the content decides, not the name. Pictures stand upright
//! (EXIF orientation), transparency is dropped and 16-bit samples lose their lower byte, as OpenCV's `imread` does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::frame::{BufferPool, Frame, FrameMeta, Stamp};
use crate::source::{Counters, Event, FrameSource, SourceError, SourceInfo};

#[cfg(feature = "libjpeg")]
mod libjpeg;
mod list;
mod picture;
#[cfg(test)]
mod tests;

pub(crate) use list::is_glob;
pub use picture::{Picture, from_bytes, read, size_of};
pub(crate) use picture::{has_picture_name, is_picture};

/// How pictures are shown.
#[derive(Clone, Debug, Default)]
pub struct ImageOptions {
    /// What the frames name as their source; the file's or folder's name where `None`.
    pub name: Option<Arc<str>>,
    /// Begins again after the last.
    pub looped: bool,
}

/// Frames from pictures. Each carries its file's path; none has a position, since pictures have no times.
pub struct ImageSource {
    info: SourceInfo,
    files: Vec<Arc<Path>>,
    /// A single file: what is wrong with it is the source's error.
    single: bool,
    looped: bool,
    next: usize,
    /// Whether this pass through the files gave a picture.
    gave: bool,
    sequence: u64,
    clock: Arc<dyn Clock>,
    latest: Monotonic,
    pool: BufferPool,
    counters: Counters,
}

impl ImageSource {
    /// `spec` is a file, a folder (not those inside it), or a glob (`shots/**/*.png`).
    ///
    /// # Errors
    /// [`SourceError::Io`] where nothing is there or it cannot be read; [`SourceError::Unsupported`] where there is no
    /// picture in it; for a single file also what is wrong with it.
    pub fn open(spec: &Path, options: ImageOptions, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let (files, single) = list::files(spec)?;
        // Other pictures may differ from the first that can be read.
        let size = if single {
            picture::size(&files[0])?
        } else {
            files.iter().find_map(|file| picture::size(file).ok()).unwrap_or((1, 1))
        };
        let file_name = || spec.file_name().unwrap_or(spec.as_os_str()).to_string_lossy().as_ref().into();
        let info = SourceInfo {
            name: options.name.unwrap_or_else(file_name),
            kind: "images",
            live: false,
            size,
            period: None,
            frames: (!options.looped).then_some(files.len() as u64),
            duration: None,
            device: None,
        };
        Ok(Self {
            info,
            files: files.into_iter().map(PathBuf::into_boxed_path).map(Arc::from).collect(),
            single,
            looped: options.looped,
            next: 0,
            gave: false,
            sequence: 0,
            clock,
            latest: Monotonic::default(),
            pool: BufferPool::default(),
            counters: Counters::default(),
        })
    }

    fn frame(&mut self, file: &Arc<Path>, sequence: u64) -> Result<Frame, SourceError> {
        let picture = read(file, &self.pool)?;
        self.latest = self.latest.max(self.clock.monotonic());
        let meta = FrameMeta {
            source: Arc::clone(&self.info.name),
            sequence,
            captured: self.latest,
            stamp: Stamp::Recording,
            wall: self.clock.wall(),
            position: None,
            path: Some(Arc::clone(file)),
            copies: picture.copies,
        };
        self.counters.copies += u64::from(picture.copies);
        let picture::Picture { format, colour, size, buffer, .. } = picture;
        Frame::packed(meta, format, colour, size, buffer)
            .map_err(|cause| SourceError::Frame { what: file.display().to_string(), cause })
    }
}

impl FrameSource for ImageSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, _timeout: Duration) -> Result<Event, SourceError> {
        if self.next == self.files.len() && self.looped && self.gave {
            (self.next, self.gave) = (0, false);
        }
        let Some(file) = self.files.get(self.next).map(Arc::clone) else { return Ok(Event::End) };
        self.next += 1;
        self.sequence += 1;
        match self.frame(&file, self.sequence - 1) {
            Ok(frame) => {
                self.gave = true;
                self.counters.delivered += 1;
                Ok(Event::Frame(frame))
            }
            Err(error) if self.single => Err(error),
            Err(error) => {
                self.counters.skipped += 1;
                Ok(Event::Skipped(error))
            }
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
