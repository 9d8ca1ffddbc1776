//! Bundled recordings as a camera hands them over: YUYV, NV12 and JPEG, a file per frame.
//!
//! Made before the machine starts (`board film FOLDER`): decoding in an emulated processor would take longer than the checks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stopline::eval::events::{TrueEvent, Truth};
use stopline_sensors::clip::{ClipOptions, ClipSource};
use stopline_sensors::clock::SystemClock;
use stopline_sensors::frame::{Frame, PixelFormat};
use stopline_sensors::source::{Event, FrameSource};

/// In the machine: the films, and the recordings' own files.
const FILMS: &str = "/film";
pub const CLIPS: &str = "/demo/clips";
/// Pixels across and down of the recordings.
pub const SIZE: (u32, u32) = (960, 540);
/// Frames a second of the recordings.
pub const RATE: u32 = 15;

/// A part of a bundled recording.
#[derive(Debug)]
pub struct Reel {
    /// Of the recording.
    pub name: &'static str,
    from: Duration,
    to: Duration,
    /// Up to here the pictures may be shown to and fro while the daemon starts: nothing has happened yet.
    still_until: Duration,
    forms: &'static [Form],
}

/// From the empty road to the brake. The person comes into sight at 2.857 s.
pub const CROSSING: Reel = Reel {
    name: "pedestrian",
    from: Duration::from_millis(2400),
    to: Duration::from_millis(5100),
    still_until: Duration::from_millis(2800),
    forms: &Form::ALL,
};

/// From somebody who walks to some seconds on the ground. The fall begins at 3.4 s.
pub const FALL: Reel = Reel {
    name: "fall",
    from: Duration::ZERO,
    to: Duration::from_millis(6600),
    still_until: Duration::from_millis(2000),
    forms: &[Form::Mjpeg],
};

impl Reel {
    /// Where frame `number` of the film lies in the recording, in seconds.
    pub fn position(&self, number: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let since = number as f64 / f64::from(RATE);
        self.from.as_secs_f64() + since
    }

    /// What happens in the recording.
    pub fn truth(&self) -> Result<TrueEvent, String> {
        let path = format!("{CLIPS}/{}.truth.json", self.name);
        let json = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
        let truth = Truth::from_json(&json).map_err(|error| error.to_string())?;
        truth.events.into_iter().next().ok_or(format!("{path}: no event"))
    }
}

/// How a camera hands its pictures over.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    Yuyv,
    Nv12,
    Mjpeg,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Yuyv, Self::Nv12, Self::Mjpeg];

    /// The kernel's code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
            Self::Mjpeg => "MJPG",
        }
    }

    fn bytes(self, frame: &Frame) -> Result<Vec<u8>, String> {
        match self {
            Self::Yuyv => Ok(yuyv(frame)),
            Self::Nv12 => Ok(nv12(frame)),
            Self::Mjpeg => jpeg(frame),
        }
    }
}

/// Writes the films into folders below `folder`, on the machine that starts this one.
pub fn make(folder: Option<String>) -> Result<String, String> {
    let folder = folder.ok_or("board film FOLDER")?;
    let made = [&CROSSING, &FALL].map(|reel| make_one(reel, &Path::new(&folder).join(reel.name)));
    made.into_iter().collect::<Result<Vec<_>, _>>().map(|made| made.join("; "))
}

fn make_one(reel: &Reel, folder: &Path) -> Result<String, String> {
    let recording = Path::new("runtime/demo/clips").join(format!("{}.mp4", reel.name));
    let options = ClipOptions { from: Some(reel.from), to: Some(reel.to), ..ClipOptions::default() };
    let mut source =
        ClipSource::open(&recording, options, Arc::new(SystemClock)).map_err(|error| error.to_string())?;
    for form in reel.forms {
        std::fs::create_dir_all(folder.join(form.code())).map_err(|error| error.to_string())?;
    }
    let mut number = 0;
    loop {
        let frame = match source.next(Duration::from_secs(1)).map_err(|error| error.to_string())? {
            Event::Frame(frame) => frame,
            Event::Nothing => continue,
            Event::End => break,
            other => return Err(format!("{}: {other:?}", recording.display())),
        };
        if (frame.width(), frame.height(), frame.format()) != (SIZE.0, SIZE.1, PixelFormat::I420) {
            return Err(format!("{}x{} {:?}", frame.width(), frame.height(), frame.format()));
        }
        for form in reel.forms {
            let path = folder.join(form.code()).join(format!("{number:03}"));
            std::fs::write(&path, form.bytes(&frame)?)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        number += 1;
    }
    Ok(format!("{number} frames of {}", recording.display()))
}

fn luma(frame: &Frame, y: usize) -> &[u8] {
    let plane = frame.plane(0);
    &plane.bytes[y * plane.stride..][..SIZE.0 as usize]
}

/// A row of chroma; `plane` 1 is blue, 2 red.
fn chroma(frame: &Frame, plane: usize, y: usize) -> &[u8] {
    let plane = frame.plane(plane);
    &plane.bytes[y / 2 * plane.stride..][..SIZE.0 as usize / 2]
}

fn yuyv(frame: &Frame) -> Vec<u8> {
    let row = |y| {
        let pairs = luma(frame, y).chunks_exact(2).zip(chroma(frame, 1, y)).zip(chroma(frame, 2, y));
        pairs.flat_map(|((luma, &blue), &red)| [luma[0], blue, luma[1], red])
    };
    (0..SIZE.1 as usize).flat_map(row).collect()
}

fn nv12(frame: &Frame) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..SIZE.1 as usize).flat_map(|y| luma(frame, y).iter().copied()).collect();
    for y in (0..SIZE.1 as usize).step_by(2) {
        let pairs = chroma(frame, 1, y).iter().zip(chroma(frame, 2, y));
        bytes.extend(pairs.flat_map(|(&blue, &red)| [blue, red]));
    }
    bytes
}

/// JPEG's samples have the full range, the recording's have not.
fn jpeg(frame: &Frame) -> Result<Vec<u8>, String> {
    let full = |sample: u8, least: f32, span: f32, middle: f32| {
        ((f32::from(sample) - least) * 255.0 / span + middle).round().clamp(0.0, 255.0) as u8
    };
    let mut samples = Vec::with_capacity((SIZE.0 * SIZE.1 * 3) as usize);
    for y in 0..SIZE.1 as usize {
        let (blue, red) = (chroma(frame, 1, y), chroma(frame, 2, y));
        for (x, &luma) in luma(frame, y).iter().enumerate() {
            samples.push(full(luma, 16.0, 219.0, 0.0));
            samples.extend([blue[x / 2], red[x / 2]].map(|sample| full(sample, 128.0, 224.0, 128.0)));
        }
    }
    let mut bytes = Vec::new();
    let (width, height) =
        (u16::try_from(SIZE.0).unwrap_or_default(), u16::try_from(SIZE.1).unwrap_or_default());
    jpeg_encoder::Encoder::new(&mut bytes, 90)
        .encode(&samples, width, height, jpeg_encoder::ColorType::Ycbcr)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The film, in the machine.
pub struct Film {
    /// What is shown.
    pub reel: &'static Reel,
    /// The frames as they are written to the camera.
    pub frames: Vec<Vec<u8>>,
    /// How many of the first may be shown to and fro.
    pub still: usize,
}

impl Film {
    pub fn read(reel: &'static Reel, form: Form) -> Result<Self, String> {
        let folder = Path::new(FILMS).join(reel.name).join(form.code());
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| std::fs::read(path).map_err(|error| error.to_string());
        let frames = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let still = ((reel.still_until - reel.from).as_millis() * u128::from(RATE) / 1000) as usize;
        match frames.len() > still + RATE as usize {
            true => Ok(Self { reel, frames, still }),
            false => Err(format!("{}: {} frames", folder.display(), frames.len())),
        }
    }
}
