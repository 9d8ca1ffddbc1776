//! The thread that keeps pictures and writes them: the lowest priority, no deadline. Whatever fails here is counted, told
//! now and then, and costs a record.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use image::RgbImage;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{
    CameraSettings, CaptureRecord, Picture, RECORD_SCHEMA, Reason, Redaction, RedactionMethod, Rule, Spool,
    prepare,
};
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::frame::{BufferPool, Frame, PixelFormat};
use tracing::Level;

use super::door::{Asked, Handed};
use super::limits::Limits;
use super::redact::{self, ENLARGED, FROM_SCORE, Finder, RedactError, TRACKS, fill, head_of_box, scaled};
use super::ring::{Held, Ring};
use super::rules::{Moment, Story, draws, is_asked_for, is_near, wall};
use super::seal::Seal;
use super::tally::Tally;
use crate::config::{Capture, CaptureRule};
use crate::daemon::notes::Notes;
use crate::daemon::record::record;
use crate::daemon::report::FrameReport;
use crate::daemon::slot::Slot;
use crate::daemon::tick::Now;
use crate::detector::DetectorOptions;
use crate::draw::{rgb_image, shrink};
use crate::observe::Roles;
use crate::video::jpeg;

/// How long the thread waits for a report.
const WAIT: Duration = Duration::from_millis(200);
/// Quality of pictures in memory: they are encoded once more.
const RING_QUALITY: u8 = 92;
/// A moment's picture may be so far from it.
const REACH: Duration = Duration::from_secs(2);
/// How often a spool that could not be opened is tried again, and what expired is looked for.
const MINUTE: Duration = Duration::from_secs(60);
/// How often the counts are told, where they have changed.
const TOLD_EVERY: Duration = Duration::from_secs(600);
/// Before this moment (1 January 2025) no clock was ever right: nothing expires by it.
const NO_CLOCK_BEFORE: u64 = 1_735_689_600;

/// What the thread is started with.
pub struct Worker {
    /// From the door.
    pub handed: Handed,
    /// What is configured.
    pub config: Capture,
    /// Cameras' names, by number.
    pub cameras: Vec<String>,
    /// The model that finds persons.
    pub finder: DetectorOptions,
    /// Encrypts.
    pub seal: Seal,
    /// The newest period, for records.
    pub now: Arc<Slot<Now>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where is told what happens.
    pub notes: Notes,
    /// Counts.
    pub tally: Arc<Tally>,
}

/// The thread's own values.
struct Running {
    worker: Worker,
    finder: Option<Finder>,
    spool: Option<Spool<RealDisk>>,
    looked: Option<Monotonic>,
    told: (Monotonic, String),
    ring: Ring,
    limits: Vec<Limits>,
    /// Of each camera.
    stories: Vec<Story>,
    /// Events that still want pictures: camera, rule, the event, until when.
    rolling: Vec<(usize, usize, Moment, Monotonic)>,
    /// Persons of the last seconds: camera, when, boxes in source pixels.
    persons: VecDeque<(usize, Monotonic, Vec<[f32; 4]>)>,
    pool: BufferPool,
    /// The problem that was told last, so that a full disk does not fill the log.
    problem: String,
}

impl Worker {
    /// Runs until the door is closed; what is due by then is written.
    pub fn run(self) {
        let began = self.clock.monotonic();
        let span = Duration::from_secs_f32(self.config.ring_s.clamp(1.0, 60.0)) + 2 * TRACKS;
        let running = Running {
            finder: None,
            spool: None,
            looked: None,
            told: (began, String::new()),
            ring: Ring::new(span, self.config.ring_bytes),
            limits: self.config.rules.iter().map(Limits::of).collect(),
            stories: self.cameras.iter().map(|_| Story::default()).collect(),
            rolling: Vec::new(),
            persons: VecDeque::new(),
            pool: BufferPool::default(),
            problem: String::new(),
            worker: self,
        };
        running.run();
    }
}

impl Running {
    fn run(mut self) {
        self.load();
        loop {
            match self.worker.handed.from.recv_timeout(WAIT) {
                Ok(report) => {
                    self.worker.handed.took(&report);
                    self.see(*report);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for asked in self.worker.handed.asked() {
                self.asked(&asked);
            }
            let now = self.worker.clock.monotonic();
            self.write_due(now);
            self.every_minute(now);
        }
        self.write_due(Monotonic::from_nanos(u64::MAX));
        self.worker.notes.log(Level::INFO, format!("capture ends: {}", self.worker.tally));
    }

    fn load(&mut self) {
        match Finder::load(&self.worker.finder) {
            Ok(finder) => self.finder = Some(finder),
            Err(error) => {
                let text = format!("capture: heads cannot be found, so nothing is written: {error}");
                self.worker.notes.event("capture_off", text);
            }
        }
    }

    /// One frame of a camera.
    fn see(&mut self, mut report: FrameReport) {
        let Some(story) = self.stories.get_mut(report.camera) else { return };
        let news = story.see(&report);
        self.remember_persons(&report);
        if let Some(frame) = report.picture.take() {
            self.hold(&report, &frame);
        }
        let (camera, now) = (report.camera, report.meta.captured);
        for at in 0..self.worker.config.rules.len() {
            let rule = self.worker.config.rules[at].clone();
            match rule.rule {
                Rule::Event => {
                    for event in &news.events {
                        let until = now.plus(seconds(rule.post_s));
                        self.rolling.push((camera, at, event.clone(), until));
                    }
                }
                Rule::Flicker => {
                    for (moment, lived) in &news.vanished {
                        if *lived < rule.shorter_than_s {
                            self.take_nearest(camera, at, moment, None);
                        }
                    }
                }
                Rule::NearThreshold => {
                    if let Some(score) = is_near(&rule, &report.found) {
                        self.take_this(&report, at, Some(score));
                    }
                }
                Rule::Random => {
                    if draws(self.worker.config.seed, camera, report.meta.sequence, rule.rate) {
                        #[allow(clippy::cast_possible_truncation, reason = "a label")]
                        self.take_this(&report, at, Some(rule.rate as f32));
                    }
                }
                Rule::ShadowDisagreement | Rule::Drift | Rule::Campaign | Rule::Bookmark => {}
            }
        }
        self.roll(camera, now);
    }

    /// Frames before and after what is told of.
    fn roll(&mut self, camera: usize, now: Monotonic) {
        let rolling = std::mem::take(&mut self.rolling);
        for (of, at, moment, until) in &rolling {
            if *of != camera {
                continue;
            }
            let rule = &self.worker.config.rules[*at];
            let from = Monotonic::from_nanos(
                moment
                    .at
                    .as_nanos()
                    .saturating_sub(u64::try_from(seconds(rule.pre_s).as_nanos()).unwrap_or(u64::MAX)),
            );
            let wanted = |held: &&mut Held| held.taken.is_none() && held.at >= from && held.at <= *until;
            for held in self.ring.of(camera).filter(wanted) {
                take(held, *at, rule.rule, moment, None, &mut self.limits[*at], &self.worker.tally);
            }
        }
        self.rolling = rolling.into_iter().filter(|(of, .., until)| *of != camera || *until >= now).collect();
    }

    fn take_this(&mut self, report: &FrameReport, at: usize, value: Option<f32>) {
        let group = format!("{}-frame-{}-{}", report.meta.source, wall(report), report.meta.sequence);
        let moment = Moment { at: report.meta.captured, group, value };
        let rule = self.worker.config.rules[at].rule;
        let sequence = report.meta.sequence;
        let held = self.ring.of(report.camera).find(|held| held.sequence == sequence && held.taken.is_none());
        if let Some(held) = held {
            take(held, at, rule, &moment, None, &mut self.limits[at], &self.worker.tally);
        }
    }

    fn take_nearest(&mut self, camera: usize, at: usize, moment: &Moment, detail: Option<String>) {
        let rule = self.worker.config.rules[at].rule;
        let held = self.ring.nearest(camera, moment.at, REACH).filter(|held| held.taken.is_none());
        if let Some(held) = held {
            take(held, at, rule, moment, detail, &mut self.limits[at], &self.worker.tally);
        }
    }

    /// Somebody wants the picture of a moment.
    fn asked(&mut self, asked: &Asked) {
        let of = |rule: &CaptureRule| rule.rule == asked.rule && is_asked_for(rule.rule);
        let Some(at) = self.worker.config.rules.iter().position(of) else { return };
        for camera in 0..self.worker.cameras.len() {
            if asked.camera.is_none_or(|of| of == camera) {
                let seconds =
                    self.worker.clock.wall().duration_since(std::time::UNIX_EPOCH).map_or(0, |s| s.as_secs());
                let group = format!("{}-{}-{seconds}", self.worker.cameras[camera], asked.rule.code());
                let moment = Moment { at: asked.at, group, value: None };
                self.take_nearest(camera, at, &moment, asked.detail.clone());
            }
        }
    }

    fn remember_persons(&mut self, report: &FrameReport) {
        let mut boxes = Vec::new();
        for found in &report.found {
            let roles = Roles::of(&found.model.manifest, &[]);
            let persons =
                found.detections.iter().filter(|one| roles.role(one.class).is_some_and(redact::is_person));
            boxes.extend(persons.map(|one| one.bbox));
        }
        if let Some(decided) = &report.decision {
            let tracks = decided.decision.tracks.iter().filter(|track| redact::is_person(track.role));
            boxes.extend(tracks.map(|track| track.bbox));
        }
        let now = report.meta.captured;
        if !boxes.is_empty() {
            self.persons.push_back((report.camera, now, boxes));
        }
        let kept = Duration::from_secs_f32(self.worker.config.ring_s.clamp(1.0, 60.0)) + 4 * TRACKS;
        while self.persons.front().is_some_and(|(_, at, _)| now.since(*at) > kept) {
            self.persons.pop_front();
        }
    }

    /// Compresses a frame into memory.
    fn hold(&mut self, report: &FrameReport, frame: &Frame) {
        let now = self.worker.now.newest().unwrap_or_default();
        let (Some(record), Ok(whole)) = (record(report, &now), rgb_image(frame)) else { return };
        let side = self.worker.config.ring_longest_side;
        let (small, scale) = shrink(&whole, side, side);
        let Ok(jpeg) = jpeg(&small, RING_QUALITY) else { return };
        let held = Held {
            camera: report.camera,
            sequence: report.meta.sequence,
            at: report.meta.captured,
            record,
            pixel_format: format_name(frame.format()),
            jpeg,
            scale,
            taken: None,
        };
        if !self.ring.push(held) {
            Tally::one(&self.worker.tally.crowded);
        }
    }

    /// Writes what is due: a second after it was taken.
    fn write_due(&mut self, now: Monotonic) {
        let until = Monotonic::from_nanos(
            now.as_nanos().saturating_sub(u64::try_from(TRACKS.as_nanos()).unwrap_or(u64::MAX)),
        );
        while let Some(held) = self.ring.due(until) {
            self.write(held);
        }
    }

    fn write(&mut self, held: Held) {
        let tally = Arc::clone(&self.worker.tally);
        match self.sealed(held) {
            Ok((sealed, rule, heads)) => {
                tally.heads.fetch_add(heads, std::sync::atomic::Ordering::Relaxed);
                match self.put(&sealed, &rule) {
                    Ok(()) => Tally::one(&tally.spooled),
                    Err(problem) => {
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
        let rule = self.worker.config.rules.get(rule).cloned().ok_or("a rule that is gone")?;
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
        let sealed = self.worker.seal.seal(&record, &jpeg).map_err(|error| error.to_string())?;
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
        let name = self.worker.cameras.get(camera);
        let of = self.worker.config.regions.iter().filter(|region| Some(&region.camera) == name);
        of.map(|region| std::array::from_fn(|at| region.bbox[at] * size[at])).collect()
    }

    fn put(&mut self, sealed: &[u8], rule: &CaptureRule) -> Result<(), String> {
        let now = self.wall_s();
        let expires = now.saturating_add(u64::from(self.worker.config.retention_days) * 86_400);
        let spool = self.spool.as_mut().ok_or("the spool is not open")?;
        spool.put(sealed, rule.class, expires, now).map(drop).map_err(|error| error.to_string())
    }

    fn every_minute(&mut self, now: Monotonic) {
        if self.looked.is_some_and(|looked| now.since(looked) < MINUTE) {
            return;
        }
        self.looked = Some(now);
        if self.spool.is_none() {
            self.open();
        }
        let wall = self.wall_s();
        if let Some(spool) = self.spool.as_mut().filter(|_| wall >= NO_CLOCK_BEFORE)
            && let Err(error) = spool.expire(wall)
        {
            self.tell_once(error.to_string());
        }
        let counts = self.worker.tally.to_string();
        if now.since(self.told.0) >= TOLD_EVERY && counts != self.told.1 {
            self.worker.notes.log(Level::INFO, format!("capture: {counts}"));
            self.told = (now, counts);
        }
    }

    fn open(&mut self) {
        let config = &self.worker.config;
        let limits = stopline_depot::spool::Limits {
            bytes: config.max_bytes,
            files: config.max_files,
            keep_free: config.keep_free_bytes,
        };
        let opened =
            prepare(&config.spool).and_then(|()| Spool::open(RealDisk, &config.spool, limits, self.wall_s()));
        match opened {
            Ok(spool) => self.spool = Some(spool),
            Err(error) => self.tell_once(error.to_string()),
        }
    }

    /// A problem, when it is another than the last.
    fn tell_once(&mut self, problem: String) {
        if problem != self.problem {
            let text = format!("capture: {problem}; the loop goes on, records are counted as lost");
            self.worker.notes.log(Level::WARN, text);
            self.problem = problem;
        }
    }

    fn wall_s(&self) -> u64 {
        self.worker.clock.wall().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// Marks a picture to be written, where the rule has something left of its limits.
fn take(
    held: &mut Held,
    at: usize,
    rule: Rule,
    moment: &Moment,
    detail: Option<String>,
    limits: &mut Limits,
    tally: &Tally,
) {
    if !limits.take(held.at) {
        Tally::one(&tally.limited);
        return;
    }
    let (after, before) = (held.at.since(moment.at), moment.at.since(held.at));
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let offset_ms = millis(after) - millis(before);
    held.taken =
        Some((at, Reason { rule, group: moment.group.clone(), detail, offset_ms, value: moment.value }));
    tally.took(rule);
}

fn seconds(of: f32) -> Duration {
    Duration::from_secs_f32(of.clamp(0.0, 3600.0))
}

fn format_name(format: PixelFormat) -> &'static str {
    match format {
        PixelFormat::Yuyv => "yuyv",
        PixelFormat::Uyvy => "uyvy",
        PixelFormat::Nv12 => "nv12",
        PixelFormat::I420 => "i420",
        PixelFormat::Grey => "grey",
        PixelFormat::Rgb => "rgb",
        PixelFormat::Bgr => "bgr",
    }
}
