//! Pictures of the board from files, a recording or a camera; each that shows the whole board becomes a view.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use image::RgbImage;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::frame::Frame;
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::Event;

use crate::calibrate::board::{self, Board};
use crate::calibrate::intrinsics::View;
use crate::commands::source::WAIT;
use crate::draw;
use crate::exit::{Exit, Failure, OrExit};

/// Least time between two frames of a recording or camera that are looked at.
const EVERY: Duration = Duration::from_millis(500);
/// How far a corner must have moved since every earlier view, as a share of the picture's width, for a frame of a
/// recording or camera to be one more view.
const MOVED: f64 = 0.05;
/// Without a new view for this long a camera is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pictures without the board that are told one by one.
const TOLD: usize = 12;

/// What was gathered.
pub struct Views {
    /// The views.
    pub views: Vec<View>,
    /// Pixels of all of them.
    pub size: [u32; 2],
    /// Pictures that were looked at.
    pub looked_at: usize,
    /// Where drawings go, with each view's file.
    drawn: BTreeMap<usize, PathBuf>,
}

/// Gathers views.
pub struct Gatherer<'a> {
    board: &'a Board,
    most: usize,
    drawings: Option<&'a Path>,
    found: Views,
    told: usize,
}

impl<'a> Gatherer<'a> {
    pub fn new(board: &'a Board, most: usize, drawings: Option<&'a Path>) -> Self {
        let found = Views { views: Vec::new(), size: [0, 0], looked_at: 0, drawn: BTreeMap::new() };
        Self { board, most, drawings, found, told: 0 }
    }

    /// Looks at everything `spec` names.
    pub fn source(&mut self, spec: &str) -> Result<(), Failure> {
        let clock = Arc::new(SystemClock);
        let live_name = spec.starts_with("/dev/") || spec.contains("://");
        let exit = if live_name { Exit::Device } else { Exit::Input };
        let mut source =
            open(spec, &OpenOptions::default(), Arc::clone(&clock) as Arc<dyn Clock>).or_exit(exit)?;
        let (still, live) = (source.info().kind == "images", source.info().live);
        let mut next = Monotonic::from_nanos(0);
        let mut latest = clock.monotonic();
        while self.found.views.len() < self.most {
            match source.next(WAIT).or_exit(exit)? {
                Event::Frame(frame) if still => {
                    let path = frame.meta().path.as_ref().map(|path| path.display().to_string());
                    self.look(&path.unwrap_or_else(|| spec.to_owned()), &frame, false)?;
                }
                Event::Frame(frame) if frame.meta().captured >= next => {
                    next = frame.meta().captured.plus(EVERY);
                    let name = format!("{spec}#frame={}", frame.meta().sequence);
                    if self.look(&name, &frame, true)? {
                        latest = clock.monotonic();
                        eprintln!(
                            "stopline: view {} of {}: move the board",
                            self.found.views.len(),
                            self.most
                        );
                    }
                }
                Event::Skipped(why) => eprintln!("stopline: {why}"),
                Event::Lost(why) => eprintln!("stopline: lost: {why}"),
                Event::End => break,
                Event::Frame(_) | Event::Nothing | Event::Restored => {}
            }
            if live && clock.monotonic().since(latest) > PATIENCE {
                break;
            }
        }
        Ok(())
    }

    /// Everything gathered.
    pub fn finish(self) -> Views {
        self.found
    }

    /// Whether `frame` became a view. `moving`: only where the board stands elsewhere than before.
    fn look(&mut self, name: &str, frame: &Frame, moving: bool) -> Result<bool, Failure> {
        let picture = draw::rgb_image(frame).or_exit(Exit::Input)?;
        let size = [picture.width(), picture.height()];
        self.found.looked_at += 1;
        if self.found.size != [0, 0] && self.found.size != size {
            let [w, h] = self.found.size;
            let problem = anyhow!(
                "{name}: {}x{} pixels, the pictures before have {w}x{h}: a calibration holds for one size and crop; leave the \
                 others out",
                size[0],
                size[1]
            );
            return Err(Failure::new(Exit::Input, problem));
        }
        self.found.size = size;
        let seen = match board::find(&picture, self.board) {
            Ok(seen) => seen,
            Err(why) => {
                // A camera sees nothing most of the time.
                if !moving && self.told < TOLD {
                    eprintln!("stopline: {name}: {why}");
                    self.told += 1;
                }
                return Ok(false);
            }
        };
        if moving && !self.elsewhere(&seen) {
            return Ok(false);
        }
        self.draw(name, picture, &seen)?;
        self.found.views.push(View { name: name.to_owned(), seen });
        Ok(true)
    }

    fn elsewhere(&self, seen: &[[f64; 2]]) -> bool {
        let least = MOVED * f64::from(self.found.size[0]);
        let moved =
            |view: &View| view.seen.iter().zip(seen).any(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]) >= least);
        self.found.views.iter().all(moved)
    }

    fn draw(&mut self, name: &str, mut picture: RgbImage, seen: &[[f64; 2]]) -> Result<(), Failure> {
        let Some(folder) = self.drawings else { return Ok(()) };
        let number = self.found.views.len();
        let stem: String = Path::new(name)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
            .collect();
        let path = folder.join(format!("{number:03}-{stem}-corners.jpg"));
        crate::calibrate::draw::corners(&mut picture, self.board, seen);
        save(&picture, &path)?;
        self.found.drawn.insert(number, path);
        Ok(())
    }
}

/// Writes a JPEG.
pub fn save(picture: &RgbImage, path: &Path) -> Result<(), Failure> {
    picture.save(path).map_err(|cause| {
        Failure::new(
            Exit::Output,
            anyhow!("{}: cannot write: {cause}; make the folder first", path.display()),
        )
    })
}

/// One picture: a file, or one frame of a recording as CLIP#frame=N.
pub fn one_picture(spec: &str) -> Result<RgbImage, Failure> {
    let (file, wanted) = match spec.rsplit_once("#frame=") {
        Some((file, number)) if !Path::new(spec).exists() => {
            let number = number.parse::<u64>();
            (
                file,
                number.map_err(|_| {
                    Failure::new(Exit::Usage, anyhow!("{spec}: #frame= needs a number, from 0"))
                })?,
            )
        }
        _ => (spec, 0),
    };
    let mut source = open(file, &OpenOptions::default(), Arc::new(SystemClock)).or_exit(Exit::Input)?;
    loop {
        match source.next(WAIT).or_exit(Exit::Input)? {
            Event::Frame(frame) if frame.meta().sequence == wanted || source.info().live => {
                return draw::rgb_image(&frame).or_exit(Exit::Input);
            }
            Event::End => {
                return Err(Failure::new(Exit::Input, anyhow!("{spec}: no such picture")));
            }
            Event::Skipped(why) => eprintln!("stopline: {why}"),
            Event::Frame(_) | Event::Nothing | Event::Lost(_) | Event::Restored => {}
        }
    }
}
