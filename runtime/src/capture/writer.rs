//! What is written: persons are looked for once more, heads and regions filled, side-car and picture sealed and put into the
//! spool.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use image::RgbImage;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{
    CameraSettings, CaptureRecord, Limits, Picture, RECORD_SCHEMA, Redaction, RedactionMethod, Rule, Spool,
    prepare,
};
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::frame::BufferPool;
use tracing::Level;

use super::campaigns::{Place, Standing, Unpaid};
use super::redact::{ENLARGED, FROM_SCORE, Finder, RedactError, TRACKS, fill, head_of_box, scaled};
use super::ring::Held;
use super::seal::Seal;
use super::tally::Tally;
use crate::config::{Capture, CaptureRule};
use crate::daemon::notes::Notes;
use crate::detector::DetectorOptions;
use crate::draw::shrink;
use crate::video::jpeg;

/// Before this moment (1 January 2025) no clock was ever right: nothing expires by it.
pub(super) const NO_CLOCK_BEFORE: u64 = 1_735_689_600;

/// What it is given.
pub struct Outside {
    /// What is configured.
    pub config: Capture,
    /// Cameras' names, by number.
    pub cameras: Vec<String>,
    /// The model that finds persons.
    pub finder: DetectorOptions,
    /// Encrypts.
    pub seal: Arc<Seal>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where is told what happens.
    pub notes: Notes,
    /// Counts.
    pub tally: Arc<Tally>,
    /// Where campaigns come from; `None`: from nowhere.
    pub campaigns: Option<Place>,
}

/// Writes pictures that were taken.
pub struct Writer {
    outside: Outside,
    /// Signed campaigns, and what they took.
    pub campaigns: Standing,
    finder: Option<Finder>,
    spool: Option<Spool<RealDisk>>,
    /// Persons of the last seconds: camera, when, boxes in source pixels.
    persons: VecDeque<(usize, Monotonic, Vec<[f32; 4]>)>,
    pool: BufferPool,
    /// The problem that was told last, so that a full disk does not fill the log.
    problem: String,
}

impl Writer {
    /// Without model and spool.
    pub fn new(outside: Outside) -> Self {
        let (persons, pool) = (VecDeque::new(), BufferPool::default());
        let campaigns = Standing::new(outside.campaigns.clone(), &outside.config);
        Self { outside, campaigns, finder: None, spool: None, persons, pool, problem: String::new() }
    }

    /// Loads the model. Without it nothing is ever written.
    pub fn load(&mut self) {
        match Finder::load(&self.outside.finder) {
            Ok(finder) => self.finder = Some(finder),
            Err(error) => {
                let text = format!("capture: heads cannot be found, so nothing is written: {error}");
                self.outside.notes.event("capture_off", text);
            }
        }
    }

    /// Persons who were seen or followed in a frame, in source pixels.
    pub fn remember(&mut self, camera: usize, at: Monotonic, boxes: Vec<[f32; 4]>) {
        if !boxes.is_empty() {
            self.persons.push_back((camera, at, boxes));
        }
        let kept =
            std::time::Duration::from_secs_f32(self.outside.config.ring_s.clamp(1.0, 60.0)) + 4 * TRACKS;
        while self.persons.front().is_some_and(|(_, seen, _)| at.since(*seen) > kept) {
            self.persons.pop_front();
        }
    }

    /// Opens the spool where that has not been possible yet, and ends what expired.
    pub fn look_after(&mut self) {
        if self.spool.is_none() {
            self.open();
        }
        match self.campaigns.look() {
            Ok(Some(news)) => self.outside.notes.log(Level::INFO, news),
            Ok(None) => {}
            Err(problem) => self.outside.notes.log(Level::WARN, problem),
        }
        let wall = self.wall_s();
        if let Some(spool) = self.spool.as_mut().filter(|_| wall >= NO_CLOCK_BEFORE)
            && let Err(error) = spool.expire(wall)
        {
            self.tell_once(error.to_string());
        }
    }

    /// Writes a picture that was taken, or counts why not.
    pub fn write(&mut self, held: Held) {
        let tally = Arc::clone(&self.outside.tally);
        let by = held.taken.as_ref().map(|(_, reason)| reason).filter(|by| by.rule == Rule::Campaign);
        let campaign = by.and_then(|by| by.detail.clone());
        match self.sealed(held) {
            Ok((sealed, rule, heads)) => {
                tally.heads.fetch_add(heads, Ordering::Relaxed);
                match self.paid(campaign, &sealed).and_then(|()| self.put(&sealed, &rule)) {
                    Ok(()) => Tally::one(&tally.spooled),
                    Err(Unpaid::Over) => Tally::one(&tally.limited),
                    Err(Unpaid::Unwritten(problem)) => {
                        Tally::one(&tally.refused);
                        self.tell_once(problem);
                    }
                }
            }
            Err(problem) => {
                Tally::one(&tally.unredacted);
                self.tell_once(problem);
            }
        }
    }

    /// The sealed record of a picture, the rule that took it, and how many heads were filled.
    fn sealed(&mut self, held: Held) -> Result<(Vec<u8>, CaptureRule, u64), String> {
        let Held { camera, at, record, pixel_format, jpeg: bytes, scale, taken, .. } = held;
        let (rule, reason) = taken.ok_or("a picture that nobody took")?;
        let rule = self.outside.config.rules.get(rule).cloned().ok_or("a rule that is gone")?;
        let mut picture = self.decode(&bytes)?;
        let finder = self.finder.as_mut().ok_or("no model to find heads with")?;
        let mut heads = finder.heads(&picture).map_err(|error: RedactError| error.to_string())?;
        let near = |(of, when, _): &&(usize, Monotonic, Vec<[f32; 4]>)| {
            *of == camera && when.since(at) <= TRACKS && at.since(*when) <= TRACKS
        };
        for (.., boxes) in self.persons.iter().filter(near) {
            heads.extend(scaled(boxes, scale).into_iter().map(head_of_box));
        }
        let regions = self.regions(camera, picture.dimensions());
        fill(&mut picture, &heads);
        fill(&mut picture, &regions);
        let (picture, _) = shrink(&picture, rule.longest_side, rule.longest_side);
        let jpeg = jpeg(&picture, rule.quality)?;
        let count = heads.len() as u64;
        let back = |boxes: &[[f32; 4]]| scaled(boxes, 1.0 / scale);
        let record = CaptureRecord {
            schema: RECORD_SCHEMA,
            decision: record,
            reason,
            redaction: Redaction {
                method: RedactionMethod::Fill,
                from_score: FROM_SCORE,
                enlarged: ENLARGED,
                tracks_s: TRACKS.as_secs_f32(),
                heads: back(&heads),
                regions: back(&regions),
            },
            picture: Picture { width: picture.width(), height: picture.height(), quality: rule.quality },
            camera: CameraSettings { pixel_format: pixel_format.to_owned(), settings: Vec::new() },
        };
        let sealed = self.outside.seal.seal(&record, &jpeg).map_err(|error| error.to_string())?;
        Ok((sealed, rule, count))
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, String> {
        let decoded = stopline_sensors::jpeg::decode("a picture in memory", bytes, &self.pool)
            .map_err(|error| error.to_string())?;
        RgbImage::from_raw(decoded.size.0, decoded.size.1, decoded.buffer.to_vec())
            .ok_or_else(|| "a picture in memory is not RGB".to_owned())
    }

    fn regions(&self, camera: usize, (width, height): (u32, u32)) -> Vec<[f32; 4]> {
        #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
        let size = [width as f32, height as f32, width as f32, height as f32];
        let name = self.outside.cameras.get(camera);
        let of = self.outside.config.regions.iter().filter(|region| Some(&region.camera) == name);
        of.map(|region| std::array::from_fn(|at| region.bbox[at] * size[at])).collect()
    }

    /// Takes a campaign's record out of its day's share.
    fn paid(&mut self, campaign: Option<String>, sealed: &[u8]) -> Result<(), Unpaid> {
        let now = self.wall_s();
        campaign.map_or(Ok(()), |name| self.campaigns.pay(&name, sealed.len() as u64, now))
    }

    fn put(&mut self, sealed: &[u8], rule: &CaptureRule) -> Result<(), Unpaid> {
        let now = self.wall_s();
        let expires = now.saturating_add(u64::from(self.outside.config.retention_days) * 86_400);
        let failed = |problem: String| Unpaid::Unwritten(problem);
        let spool = self.spool.as_mut().ok_or_else(|| failed("the spool is not open".to_owned()))?;
        spool.put(sealed, rule.class, expires, now).map(drop).map_err(|error| failed(error.to_string()))
    }

    fn open(&mut self) {
        let config = &self.outside.config;
        let limits =
            Limits { bytes: config.max_bytes, files: config.max_files, keep_free: config.keep_free_bytes };
        let opened =
            prepare(&config.spool).and_then(|()| Spool::open(RealDisk, &config.spool, limits, self.wall_s()));
        match opened {
            Ok(spool) => self.spool = Some(spool),
            Err(error) => self.tell_once(error.to_string()),
        }
    }

    /// A problem, when it is another than the last.
    pub fn tell_once(&mut self, problem: String) {
        if problem != self.problem {
            let text = format!("capture: {problem}; the loop goes on, records are counted as lost");
            self.outside.notes.log(Level::WARN, text);
            self.problem = problem;
        }
    }

    fn wall_s(&self) -> u64 {
        self.outside.clock.wall().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
