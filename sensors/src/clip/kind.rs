//! Which reader a recording needs, told by its first bytes; the name of the file never matters.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use super::avi::Avi;
use super::ffmpeg::{self, Ffmpeg};
use super::reader::Reader;
use super::{mp4, open_file, y4m};
use crate::source::SourceError;

/// The kinds of file that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mp4,
    Avi,
    Y4m,
    Other,
}

impl Kind {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(y4m::MAGIC) {
            Self::Y4m
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ") {
            Self::Avi
        } else if head.get(4..8).is_some_and(|name| MP4_BOXES.contains(&name)) {
            Self::Mp4
        } else {
            Self::Other
        }
    }
}

/// The boxes an MP4 or QuickTime file may begin with.
const MP4_BOXES: [&[u8]; 7] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"];

/// Whether a file that begins with these bytes is a recording that is known without `ffmpeg`.
pub(crate) fn is_recording(head: &[u8]) -> bool {
    Kind::of(head) != Kind::Other
}

/// The reader for the file at `path`.
///
/// # Errors
/// What is wrong with the file, or that it needs `ffmpeg` and there is none.
pub(super) fn reader(
    what: &str,
    path: &Path,
    program: Option<&Path>,
) -> Result<Box<dyn Reader>, SourceError> {
    let (mut file, length) = open_file(what, path)?;
    let io = |cause| SourceError::Io { what: what.to_owned(), action: "read", cause };
    let mut head = Vec::new();
    (&mut file).take(12).read_to_end(&mut head).map_err(io)?;
    if head.is_empty() {
        return Err(SourceError::Malformed {
            what: what.to_owned(),
            problem: "the file is empty".to_owned(),
            advice: "record again, or give another file".to_owned(),
        });
    }
    std::io::Seek::rewind(&mut file).map_err(io)?;
    let own = match Kind::of(&head) {
        Kind::Y4m => y4m::Y4m::new(what, BufReader::with_capacity(1 << 16, file), Some(length))
            .map(|clip| Box::new(clip) as _),
        Kind::Avi => avi(what, file, length),
        Kind::Mp4 => mp4(what, file, length),
        Kind::Other => Err(other(what)),
    };
    match own {
        Err(SourceError::Unsupported { what, problem, .. }) => match ffmpeg::find(program) {
            Some(program) => Ok(Box::new(Ffmpeg::new(&what, program, path)?)),
            None => Err(SourceError::Unsupported { what, problem, advice: ffmpeg::ADVICE.to_owned() }),
        },
        own => own,
    }
}

fn avi(what: &str, file: File, length: u64) -> Result<Box<dyn Reader>, SourceError> {
    let clip = Avi::new(what, file, length)?;
    if clip.stream().is_mjpeg() {
        return Ok(Box::new(clip));
    }
    Err(needs_ffmpeg(what, &format!("AVI with the codec `{}`", clip.stream().codec.escape_ascii())))
}

fn mp4(what: &str, file: File, length: u64) -> Result<Box<dyn Reader>, SourceError> {
    let track = mp4::read(what, &file, length)?;
    match &track.codec {
        #[cfg(feature = "h264")]
        b"avc1" | b"avc3" => Ok(Box::new(super::h264::H264::new(what, file, length, track)?)),
        codec => Err(needs_ffmpeg(what, &format!("MP4 with the codec `{}`", codec.escape_ascii()))),
    }
}

fn other(what: &str) -> SourceError {
    needs_ffmpeg(what, "a file that is no MP4, AVI or YUV4MPEG2")
}

fn needs_ffmpeg(what: &str, kind: &str) -> SourceError {
    SourceError::Unsupported {
        what: what.to_owned(),
        problem: format!("{kind} is read by ffmpeg only, which is not on PATH"),
        advice: ffmpeg::ADVICE.to_owned(),
    }
}
