//! The thread that keeps pictures and writes them: the lowest priority, no deadline. Whatever fails here is counted, told
//! now and then, and costs a record.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use stopline_depot::spool::{Reason, Rule};
use stopline_sensors::clock::{Clock, Monotonic};
use stopline_sensors::frame::{Frame, PixelFormat};
use tracing::Level;

use super::campaigns::{Place, Unpaid};
use super::door::{Asked, Handed};
use super::redact::{self, TRACKS};
use super::ring::{Held, Ring};
use super::rules::{Moment, Story, draws, is_asked_for, is_near, wall};
use super::seal::Seal;
use super::shares::Shares;
use super::tally::Tally;
use super::writer::{Outside, Writer};
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
/// How long the thread goes on writing when the process ends; that waits for three seconds.
const LAST: Duration = Duration::from_secs(2);

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
    pub seal: Arc<Seal>,
    /// The newest period, for records.
    pub now: Arc<Slot<Now>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where is told what happens.
    pub notes: Notes,
    /// Counts.
    pub tally: Arc<Tally>,
    /// Where signed campaigns come from; `None`: from nowhere.
    pub campaigns: Option<Place>,
}

/// The thread's own values.
struct Running {
    worker: Worker,
    writer: Writer,
    looked: Option<Monotonic>,
    told: (Monotonic, String),
    ring: Ring,
    shares: Shares,
    /// Of each camera.
    stories: Vec<Story>,
    /// Events that still want pictures: camera, rule, the event, until when.
    rolling: Vec<(usize, usize, Moment, Monotonic)>,
}

impl Worker {
    /// Runs until the door is closed; what is due by then is written.
    pub fn run(self) {
        let began = self.clock.monotonic();
        let span = Duration::from_secs_f32(self.config.ring_s.clamp(1.0, 60.0)) + 2 * TRACKS;
        let writer = Writer::new(Outside {
            config: self.config.clone(),
            cameras: self.cameras.clone(),
            finder: self.finder.clone(),
            seal: Arc::clone(&self.seal),
            clock: Arc::clone(&self.clock),
            notes: self.notes.clone(),
            tally: Arc::clone(&self.tally),
            campaigns: self.campaigns.clone(),
        });
        let wall = seconds_since_1970(&*self.clock);
        let (shares, problem) = Shares::open(self.campaigns.as_ref(), &self.config.rules, began, wall);
        if let Some(problem) = problem {
            self.notes.log(Level::WARN, problem);
        }
        let running = Running {
            writer,
            looked: None,
            told: (began, String::new()),
            ring: Ring::new(span, self.config.ring_bytes),
            shares,
            stories: self.cameras.iter().map(|_| Story::default()).collect(),
            rolling: Vec::new(),
            worker: self,
        };
        running.run();
    }
}

impl Running {
    fn run(mut self) {
        self.look_for_limits(self.worker.clock.monotonic());
        self.writer.load();
        loop {
            match self.worker.handed.from.recv_timeout(WAIT) {
                Ok(report) => {
                    self.worker.handed.took(&report);
                    self.see(*report);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.answer();
            let now = self.worker.clock.monotonic();
            self.write_due(now);
            self.every_minute(now);
        }
        self.answer();
        self.write_rest();
        let (now, wall) = (self.worker.clock.monotonic(), seconds_since_1970(&*self.worker.clock));
        self.shares.close(now, wall);
        self.worker.notes.log(Level::INFO, format!("capture ends: {}", self.worker.tally));
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
                    self.roll(camera, at, now);
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
                        self.take_this(&report, at, Some(score), None);
                    }
                }
                Rule::Random => {
                    if draws(self.worker.config.seed, camera, report.meta.sequence, rule.rate) {
                        #[allow(clippy::cast_possible_truncation, reason = "a label")]
                        self.take_this(&report, at, Some(rule.rate as f32), None);
                    }
                }
                Rule::Campaign => {
                    let seed = self.worker.config.seed;
                    if let Some((name, score)) = self.writer.campaigns.wanted(&report, seed) {
                        self.take_this(&report, at, score, Some(name));
                    }
                }
                Rule::ShadowDisagreement | Rule::Drift | Rule::Bookmark => {}
            }
        }
    }

    /// Frames before and after what is told of, for one rule.
    fn roll(&mut self, camera: usize, at: usize, now: Monotonic) {
        let rule = &self.worker.config.rules[at];
        let before = u64::try_from(seconds(rule.pre_s).as_nanos()).unwrap_or(u64::MAX);
        let (wall, mut taken) = (seconds_since_1970(&*self.worker.clock), Vec::new());
        for (.., moment, until) in self.rolling.iter().filter(|(of, by, ..)| (*of, *by) == (camera, at)) {
            let from = Monotonic::from_nanos(moment.at.as_nanos().saturating_sub(before));
            let wanted = |held: &&mut Held| held.taken.is_none() && held.at >= from && held.at <= *until;
            for held in self.ring.of(camera).filter(wanted) {
                taken.push(take(
                    held,
                    (at, rule.rule),
                    moment,
                    None,
                    (&mut self.shares, wall),
                    &self.worker.tally,
                ));
            }
        }
        self.rolling.retain(|(of, by, _, until)| (*of, *by) != (camera, at) || *until >= now);
        taken.into_iter().for_each(|taken| self.tell(taken));
    }

    fn take_this(&mut self, report: &FrameReport, at: usize, value: Option<f32>, detail: Option<String>) {
        let group = format!("{}-frame-{}-{}", report.meta.source, wall(report), report.meta.sequence);
        let moment = Moment { at: report.meta.captured, group, value };
        let rule = self.worker.config.rules[at].rule;
        let sequence = report.meta.sequence;
        let held = self.ring.of(report.camera).find(|held| held.sequence == sequence && held.taken.is_none());
        let wall = seconds_since_1970(&*self.worker.clock);
        if let Some(held) = held {
            let of = (&mut self.shares, wall);
            let taken = take(held, (at, rule), &moment, detail, of, &self.worker.tally);
            self.tell(taken);
        }
    }

    fn take_nearest(&mut self, camera: usize, at: usize, moment: &Moment, detail: Option<String>) {
        let rule = self.worker.config.rules[at].rule;
        let held = self.ring.nearest(camera, moment.at, REACH).filter(|held| held.taken.is_none());
        let wall = seconds_since_1970(&*self.worker.clock);
        if let Some(held) = held {
            let of = (&mut self.shares, wall);
            let taken = take(held, (at, rule), moment, detail, of, &self.worker.tally);
            self.tell(taken);
        }
    }

    /// That a frame could not be written down as taken, once.
    fn tell(&mut self, taken: Result<(), String>) {
        if let Err(problem) = taken {
            self.writer.tell_once(problem);
        }
    }

    /// What was asked for since the last time.
    fn answer(&mut self) {
        for asked in self.worker.handed.asked() {
            self.asked(&asked);
        }
    }

    /// Somebody wants the picture of a moment.
    fn asked(&mut self, asked: &Asked) {
        let of = |rule: &CaptureRule| rule.rule == asked.rule && is_asked_for(rule.rule);
        let Some(at) = self.worker.config.rules.iter().position(of) else { return };
        for camera in 0..self.worker.cameras.len() {
            if asked.camera.is_none_or(|of| of == camera) {
                let seconds = seconds_since_1970(&*self.worker.clock);
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
        self.writer.remember(report.camera, report.meta.captured, boxes);
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
            self.writer.write(held);
        }
    }

    /// Writes what was taken by the end, as long as the process waits: the rest was never in the spool.
    fn write_rest(&mut self) {
        let until = self.worker.clock.monotonic().plus(LAST);
        while self.worker.clock.monotonic() < until
            && let Some(held) = self.ring.due(Monotonic::from_nanos(u64::MAX))
        {
            self.writer.write(held);
        }
    }

    fn every_minute(&mut self, now: Monotonic) {
        if self.looked.is_some_and(|looked| now.since(looked) < MINUTE) {
            return;
        }
        self.looked = Some(now);
        self.look_for_limits(now);
        self.writer.look_after();
        let counts = self.worker.tally.to_string();
        if now.since(self.told.0) >= TOLD_EVERY && counts != self.told.1 {
            self.worker.notes.log(Level::INFO, format!("capture: {counts}"));
            self.told = (now, counts);
        }
    }

    /// What is set from afar of rules' limits.
    fn look_for_limits(&mut self, now: Monotonic) {
        match self.shares.look(now, seconds_since_1970(&*self.worker.clock)) {
            Ok(None) => return,
            Ok(Some(news)) => self.worker.notes.log(Level::INFO, news),
            Err(problem) => self.worker.notes.log(Level::WARN, problem),
        }
        self.writer.campaigns.narrow(self.shares.set(Rule::Campaign));
    }
}

/// Marks a picture to be written, where the rule has something left of its limits; `Err`: why that could not be written down.
fn take(
    held: &mut Held,
    (at, rule): (usize, Rule),
    moment: &Moment,
    detail: Option<String>,
    (shares, wall): (&mut Shares, u64),
    tally: &Tally,
) -> Result<(), String> {
    match shares.take(at, held.at, wall) {
        Ok(()) => {}
        Err(Unpaid::Over) => {
            Tally::one(&tally.limited);
            return Ok(());
        }
        Err(Unpaid::Unwritten(problem)) => {
            Tally::one(&tally.refused);
            return Err(problem);
        }
    }
    let (after, before) = (held.at.since(moment.at), moment.at.since(held.at));
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let offset_ms = millis(after) - millis(before);
    held.taken =
        Some((at, Reason { rule, group: moment.group.clone(), detail, offset_ms, value: moment.value }));
    tally.took(rule);
    Ok(())
}

fn seconds_since_1970(clock: &dyn Clock) -> u64 {
    clock.wall().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
