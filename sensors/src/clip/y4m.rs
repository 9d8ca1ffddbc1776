//! YUV4MPEG2 (`.y4m`): a line of parameters, then frames of raw planes, each behind a line `FRAME`.
//!
//! Format: the `yuv4mpeg(5)` manual page of mjpegtools. 4:2:0 (all chroma sitings), 4:2:2, 4:4:4 and mono with 8 bits;
//! 4:2:2 becomes YUYV and 4:4:4 RGB, since frames have no planar form of them.

use std::io::{BufRead, Seek, SeekFrom};
use std::time::Duration;

use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix};

use super::reader::{Facts, Picture, Read, Reader, duration};
use crate::frame::{BufferPool, Colour, Frame, MAX_SIDE, Matrix, PixelFormat, Range};
use crate::source::SourceError;

/// The first bytes of every such file.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";
/// The longest header line read before the file is refused.
const MAX_LINE: u64 = 1024;

/// What the header line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) size: (u32, u32),
    /// Frames per second as a fraction; 25:1 where the file does not say.
    pub(super) rate: (u64, u64),
    chroma: Chroma,
    pub(super) colour: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    Half,
    HalfAcross,
    Full,
    Mono,
}

/// Reads frames from a file, or from a pipe where [`Y4m::seek`] is not called.
pub(super) struct Y4m<R> {
    what: String,
    input: R,
    header: Header,
    facts: Facts,
    first_frame: u64,
    index: u64,
    ended: bool,
    scratch: Vec<u8>,
}

impl<R: BufRead> Y4m<R> {
    /// Reads the header line. `length` is the file's, where it has one.
    ///
    /// # Errors
    /// [`SourceError::Malformed`] and [`SourceError::Unsupported`] name the parameter.
    pub(super) fn new(what: &str, mut input: R, length: Option<u64>) -> Result<Self, SourceError> {
        let line = read_line(what, &mut input)?;
        let header = parse_header(what, &line)?;
        let first_frame = line.len() as u64 + 1;
        let (rate, per) = header.rate;
        let frame = header.frame_bytes() as u64 + b"FRAME\n".len() as u64;
        let frames = length.map(|length| length.saturating_sub(first_frame) / frame);
        let facts = Facts {
            size: header.size,
            period: Some(duration(i128::from(per), rate)),
            frames,
            duration: frames.map(|frames| duration(i128::from(frames) * i128::from(per), rate)),
        };
        let what = what.to_owned();
        Ok(Self { what, input, header, facts, first_frame, index: 0, ended: false, scratch: Vec::new() })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn facts_of_header(&self) -> Facts {
        self.facts.clone()
    }

    /// The next picture, or the end.
    pub(super) fn next_picture(&mut self, pool: &BufferPool) -> Result<Read, SourceError> {
        if self.ended || !self.frame_line()? {
            self.ended = true;
            return Ok(Read::End);
        }
        let bytes = self.header.frame_bytes();
        let position = self.position(self.index);
        self.index += 1;
        let direct = matches!(self.header.chroma, Chroma::Half | Chroma::Mono);
        let mut buffer = pool.take(if direct { bytes } else { self.header.converted_bytes() });
        let target = if direct {
            buffer.bytes_mut()
        } else {
            self.scratch.resize(bytes, 0);
            &mut self.scratch[..]
        };
        if let Err(cause) = self.input.read_exact(target) {
            self.ended = true;
            if cause.kind() == std::io::ErrorKind::UnexpectedEof {
                return Ok(Read::Skipped(SourceError::Malformed {
                    what: format!("{}, frame {}", self.what, self.index - 1),
                    problem: format!("ends before the frame's {bytes} bytes do"),
                    advice: "the recording was cut; the frames before are used".to_owned(),
                }));
            }
            return Err(SourceError::Io { what: self.what.clone(), action: "read", cause });
        }
        let format = match self.header.chroma {
            Chroma::Half => PixelFormat::I420,
            Chroma::Mono => PixelFormat::Grey,
            Chroma::HalfAcross => {
                interleave(&self.scratch, self.header.size, buffer.bytes_mut());
                PixelFormat::Yuyv
            }
            Chroma::Full => {
                self.to_rgb(buffer.bytes_mut())?;
                PixelFormat::Rgb
            }
        };
        let (colour, size) = (self.header.colour, self.header.size);
        Ok(Read::Picture(Picture { position, format, colour, size, buffer, copies: u8::from(!direct) }))
    }

    fn position(&self, index: u64) -> Duration {
        let (rate, per) = self.header.rate;
        duration(i128::from(index) * i128::from(per), rate)
    }

    /// Reads the line before a frame; `false` at the end of the file.
    fn frame_line(&mut self) -> Result<bool, SourceError> {
        let io = |cause| SourceError::Io { what: self.what.clone(), action: "read", cause };
        if self.input.fill_buf().map_err(io)?.is_empty() {
            return Ok(false);
        }
        let line = read_line(&self.what, &mut self.input)?;
        if line == b"FRAME" || line.starts_with(b"FRAME ") {
            return Ok(true);
        }
        Err(SourceError::Malformed {
            what: format!("{}, frame {}", self.what, self.index),
            problem: format!("expected `FRAME`, found `{}`", shown(&line)),
            advice: "the file is damaged from here on; --to can end the replay before".to_owned(),
        })
    }

    fn to_rgb(&self, rgb: &mut [u8]) -> Result<(), SourceError> {
        let (width, height) = self.header.size;
        let plane = width as usize * height as usize;
        let image = YuvPlanarImage {
            y_plane: &self.scratch[..plane],
            y_stride: width,
            u_plane: &self.scratch[plane..2 * plane],
            u_stride: width,
            v_plane: &self.scratch[2 * plane..],
            v_stride: width,
            width,
            height,
        };
        let range = match self.header.colour.range {
            Range::Limited => YuvRange::Limited,
            Range::Full => YuvRange::Full,
        };
        yuv::yuv444_to_rgb(&image, rgb, width * 3, range, YuvStandardMatrix::Bt601).map_err(|error| {
            SourceError::Malformed {
                what: self.what.clone(),
                problem: format!("4:4:4 frame cannot be converted: {error}"),
                advice: "convert the file to 4:2:0".to_owned(),
            }
        })
    }
}

impl<R: BufRead + Seek + Send> Reader for Y4m<R> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&mut self, pool: &BufferPool) -> Result<Read, SourceError> {
        self.next_picture(pool)
    }

    fn seek(&mut self, position: Duration) -> Result<(), SourceError> {
        let io = |what: &str, cause| SourceError::Io { what: what.to_owned(), action: "seek", cause };
        self.input.seek(SeekFrom::Start(self.first_frame)).map_err(|cause| io(&self.what, cause))?;
        (self.index, self.ended) = (0, false);
        // A frame's line may carry parameters, so that frames differ in length: each is stepped over.
        while self.position(self.index + 1) <= position && self.frame_line()? {
            let bytes = i64::try_from(self.header.frame_bytes()).unwrap_or(i64::MAX);
            self.input.seek_relative(bytes).map_err(|cause| io(&self.what, cause))?;
            self.index += 1;
        }
        Ok(())
    }
}

impl Header {
    /// Bytes of one frame in the file.
    fn frame_bytes(&self) -> usize {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        match self.chroma {
            Chroma::Mono => width * height,
            Chroma::Half => width * height + 2 * width.div_ceil(2) * height.div_ceil(2),
            Chroma::HalfAcross => width * height + 2 * width.div_ceil(2) * height,
            Chroma::Full => 3 * width * height,
        }
    }

    /// Bytes of one frame as handed out, for the two kinds that are converted.
    fn converted_bytes(&self) -> usize {
        let format = if self.chroma == Chroma::Full { PixelFormat::Rgb } else { PixelFormat::Yuyv };
        Frame::packed_layout(format, self.size.0, self.size.1).1
    }
}

fn interleave(planes: &[u8], (width, height): (u32, u32), yuyv: &mut [u8]) {
    let (width, height, half) = (width as usize, height as usize, (width as usize).div_ceil(2));
    let (luma, chroma) = planes.split_at(width * height);
    let (u, v) = chroma.split_at(half * height);
    for (y, row) in yuyv.chunks_exact_mut(half * 4).take(height).enumerate() {
        let (luma, u, v) = (&luma[y * width..][..width], &u[y * half..][..half], &v[y * half..][..half]);
        for (x, pair) in row.chunks_exact_mut(4).enumerate() {
            pair.copy_from_slice(&[luma[2 * x], u[x], luma[(2 * x + 1).min(width - 1)], v[x]]);
        }
    }
}

/// A line without its end, at most [`MAX_LINE`] bytes long.
fn read_line(what: &str, input: &mut impl BufRead) -> Result<Vec<u8>, SourceError> {
    let mut line = Vec::new();
    std::io::Read::take(&mut *input, MAX_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|cause| SourceError::Io { what: what.to_owned(), action: "read", cause })?;
    if line.pop() != Some(b'\n') {
        return Err(malformed(what, format!("a header line is cut, or longer than {MAX_LINE} bytes")));
    }
    Ok(line)
}

fn parse_header(what: &str, line: &[u8]) -> Result<Header, SourceError> {
    let text =
        std::str::from_utf8(line).map_err(|_| malformed(what, "header line is not text".to_owned()))?;
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    if words.next() != Some("YUV4MPEG2") {
        return Err(malformed(what, format!("expected `YUV4MPEG2`, found `{}`", shown(line))));
    }
    let (mut width, mut height) = (0, 0);
    let mut rate = (25, 1);
    let mut chroma = Chroma::Half;
    let mut colour = Colour { matrix: Matrix::Bt601, range: Range::Limited };
    for word in words {
        let (tag, value) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        match tag {
            "W" => width = number(what, word, value)?,
            "H" => height = number(what, word, value)?,
            "F" => rate = fraction(what, word, value)?,
            "C" => chroma = sampling(what, value)?,
            "X" if value == "COLORRANGE=FULL" => colour.range = Range::Full,
            _ => {} // interlacing, pixel aspect and comments change no sample
        }
    }
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(malformed(what, format!("{width}x{height} pixels: each side must be 1 to {MAX_SIDE}")));
    }
    if u64::from(width) * u64::from(height) > crate::jpeg::MAX_PIXELS {
        return Err(malformed(
            what,
            format!("{width}x{height} pixels: at most {} are read", crate::jpeg::MAX_PIXELS),
        ));
    }
    Ok(Header { size: (width, height), rate, chroma, colour })
}

fn sampling(what: &str, value: &str) -> Result<Chroma, SourceError> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Chroma::Half),
        "422" => Ok(Chroma::HalfAcross),
        "444" => Ok(Chroma::Full),
        "mono" => Ok(Chroma::Mono),
        other => Err(SourceError::Unsupported {
            what: what.to_owned(),
            problem: format!("Y4M chroma `C{}` is not read here", shown(other.as_bytes())),
            advice: "C420 (all sitings), C422, C444 and Cmono are; `ffmpeg -pix_fmt yuv420p` converts"
                .to_owned(),
        }),
    }
}

fn number(what: &str, word: &str, value: &str) -> Result<u32, SourceError> {
    value.parse().map_err(|_| malformed(what, format!("`{}` is no size", shown(word.as_bytes()))))
}

fn fraction(what: &str, word: &str, value: &str) -> Result<(u64, u64), SourceError> {
    let parts =
        value.split_once(':').and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
    match parts {
        Some((0, _) | (_, 0)) => Ok((25, 1)), // "unknown", by the manual page
        Some((rate, per)) => Ok((u64::from(rate), u64::from(per))),
        None => Err(malformed(what, format!("`{}` is no frame rate", shown(word.as_bytes())))),
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(40)].escape_ascii().to_string()
}

fn malformed(what: &str, problem: String) -> SourceError {
    SourceError::Malformed {
        what: what.to_owned(),
        problem,
        advice: "check that the file is a whole YUV4MPEG2 recording".to_owned(),
    }
}
