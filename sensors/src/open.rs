//! The one door to every source: a path, an address or `pattern:`, as a person writes it on a command line.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clip::{self, ClipOptions, ClipSource};
use crate::clock::Clock;
use crate::frame::PixelFormat;
use crate::images::{self, ImageOptions, ImageSource};
use crate::pattern::{PatternOptions, PatternSource};
use crate::source::{FrameSource, SourceError};

/// How a source is opened. What does not concern the kind of source is refused, not ignored.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// What the frames name as their source; from the path or address where `None`.
    pub name: Option<Arc<str>>,
    /// Paced by the recording's own times (recordings and the test pattern; a camera is always paced).
    pub realtime: bool,
    /// Begins there (recordings).
    pub from: Option<Duration>,
    /// Ends there (recordings).
    pub to: Option<Duration>,
    /// Begins again at the end (recordings and pictures).
    pub looped: bool,
    /// The `ffmpeg` program; looked for on PATH where `None`.
    pub ffmpeg: Option<PathBuf>,
}

/// Opens what `spec` names:
///
/// | `spec` | source |
/// |---|---|
/// | a recording's path | [`ClipSource`]; its content tells the format, its name never |
/// | a picture's path, a folder, a glob | [`ImageSource`] |
/// | `/dev/video0`, or any other character device | [`V4l2Source`](crate::v4l2::V4l2Source) |
/// | `rtsp://host/path` | a network camera (feature `rtsp`) |
/// | `pattern:`, `pattern:640x480@25,nv12` | [`PatternSource`]; size, rate and format may be left out |
///
/// # Errors
/// Those of the source, and [`SourceError::Unsupported`] for a `spec` of no known kind, or an option that does not
/// concern it.
pub fn open(
    spec: &str,
    options: &OpenOptions,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    if let Some(pattern) = spec.strip_prefix("pattern:") {
        return self::pattern(spec, pattern, options, clock);
    }
    if let Some((scheme, _)) = spec.split_once("://") {
        recorded_only(scheme, options)?;
        return stream(spec, scheme, options, clock);
    }
    let path = Path::new(spec);
    match content(spec, path)? {
        Content::Camera => {
            recorded_only(spec, options)?;
            camera(spec, options)
        }
        Content::Pictures => pictures(path, options, clock),
        Content::Recording => recording(path, options, clock),
    }
}

enum Content {
    Camera,
    Pictures,
    Recording,
}

/// What lies at a path: by its kind, then its first bytes. What is not there may be a glob.
fn content(spec: &str, path: &Path) -> Result<Content, SourceError> {
    let io = |cause| SourceError::Io { what: spec.to_owned(), action: "open", cause };
    let kind = match std::fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(_) if spec.starts_with("/dev/") => return Ok(Content::Camera), // it may come yet, and says so itself
        Err(_) if images::is_glob(path) => return Ok(Content::Pictures),
        Err(cause) => return Err(io(cause)),
    };
    if kind.is_dir() {
        return Ok(Content::Pictures);
    }
    if kind.is_char_device() {
        return Ok(Content::Camera);
    }
    if !kind.is_file() {
        return Err(SourceError::Unsupported {
            what: spec.to_owned(),
            problem: "expected a file, a folder or a camera, found a pipe, socket or disk".to_owned(),
            advice: "give the path of a recording, a picture or a camera".to_owned(),
        });
    }
    let mut head = Vec::new();
    File::open(path).map_err(io)?.take(16).read_to_end(&mut head).map_err(io)?;
    if clip::is_recording(&head) {
        return Ok(Content::Recording);
    }
    if images::is_picture(&head) || (!head.is_empty() && images::has_picture_name(path)) {
        return Ok(Content::Pictures);
    }
    Ok(Content::Recording)
}

fn recording(
    path: &Path,
    options: &OpenOptions,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let OpenOptions { name, realtime, from, to, looped, ffmpeg } = options.clone();
    let source = ClipSource::open(path, ClipOptions { name, realtime, from, to, looped, ffmpeg }, clock)?;
    Ok(Box::new(source))
}

fn pictures(
    path: &Path,
    options: &OpenOptions,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let what = path.display().to_string();
    refuse(
        &what,
        "pictures have no times",
        &[("from", options.from.is_some()), ("to", options.to.is_some())],
    )?;
    let source =
        ImageSource::open(path, ImageOptions { name: options.name.clone(), looped: options.looped }, clock)?;
    Ok(Box::new(source))
}

/// A network camera with everything by default; log-in and limits need a configuration file.
#[cfg(feature = "rtsp")]
fn stream(
    spec: &str,
    scheme: &str,
    options: &OpenOptions,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    use crate::rtsp::{RtspConfig, RtspSource};

    if !matches!(scheme, "rtsp" | "rtsps") {
        return Err(unknown_scheme(scheme));
    }
    let name = options.name.as_deref().unwrap_or("rtsp");
    Ok(Box::new(RtspSource::open(&RtspConfig::new(name, spec), clock)?))
}

#[cfg(not(feature = "rtsp"))]
fn stream(
    _spec: &str,
    scheme: &str,
    _options: &OpenOptions,
    _clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    Err(unknown_scheme(scheme))
}

/// A camera of this machine with everything by default; format and controls need a configuration file. Its stamps are
/// the kernel's, so the clock is the system's.
fn camera(spec: &str, options: &OpenOptions) -> Result<Box<dyn FrameSource>, SourceError> {
    use crate::v4l2::{V4l2Config, V4l2Source};

    let name = options.name.as_deref().unwrap_or(spec);
    Ok(Box::new(V4l2Source::open(name, V4l2Config::device(spec))?))
}

/// Never with the address itself, which may hold credentials.
fn unknown_scheme(scheme: &str) -> SourceError {
    let rtsp = if cfg!(feature = "rtsp") { "" } else { " (this build was made without the feature `rtsp`)" };
    SourceError::Unsupported {
        what: format!("{scheme}://…"),
        problem: format!("addresses of this kind are not read here{rtsp}"),
        advice: "rtsp:// is; for others, record with ffmpeg and give the file".to_owned(),
    }
}

/// `[WIDTHxHEIGHT][@RATE][,FORMAT]`.
fn pattern(
    spec: &str,
    words: &str,
    options: &OpenOptions,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let cut = [("from", options.from.is_some()), ("to", options.to.is_some()), ("loop", options.looped)];
    refuse(spec, "the test pattern has no beginning and no end", &cut)?;
    let wrong = || SourceError::Unsupported {
        what: spec.to_owned(),
        problem: "no size, rate and format of a test pattern".to_owned(),
        advice: "write pattern:1280x720@30,i420 (or yuyv, uyvy, nv12, grey, rgb, bgr), or leave parts out"
            .to_owned(),
    };
    let mut chosen = PatternOptions { realtime: options.realtime, ..PatternOptions::default() };
    if let Some(name) = &options.name {
        chosen.name = Arc::clone(name);
    }
    let (geometry, format) = words.split_once(',').unwrap_or((words, "i420"));
    let (size, rate) = geometry.split_once('@').unwrap_or((geometry, "30"));
    if !size.is_empty() {
        let (width, height) = size.split_once('x').ok_or_else(wrong)?;
        chosen.size = (width.parse().map_err(|_| wrong())?, height.parse().map_err(|_| wrong())?);
    }
    chosen.rate = rate.parse().map_err(|_| wrong())?;
    chosen.format = match format {
        "yuyv" => PixelFormat::Yuyv,
        "uyvy" => PixelFormat::Uyvy,
        "nv12" => PixelFormat::Nv12,
        "i420" => PixelFormat::I420,
        "grey" => PixelFormat::Grey,
        "rgb" => PixelFormat::Rgb,
        "bgr" => PixelFormat::Bgr,
        _ => return Err(wrong()),
    };
    Ok(Box::new(PatternSource::open(chosen, clock)?))
}

fn recorded_only(what: &str, options: &OpenOptions) -> Result<(), SourceError> {
    let cut = [("from", options.from.is_some()), ("to", options.to.is_some()), ("loop", options.looped)];
    refuse(what, "a camera has no beginning and no end", &cut)
}

fn refuse(what: &str, why: &str, options: &[(&str, bool)]) -> Result<(), SourceError> {
    match options.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(SourceError::Unsupported {
            what: what.to_owned(),
            problem: format!("`{name}` was given, but {why}"),
            advice: format!("leave `{name}` out"),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
