//! The publisher: everything that is told to the outside. Log, health file, stream, systemd. It has no deadline, runs
//! without real-time priority, and nobody waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use stopline_decide::cause::{Cause, State};
use stopline_depot::health::StreamHealth;
use stopline_depot::record::WallTime;
use stopline_depot::spool::Rule;
use stopline_depot::stream::{Event, Message, Picture};
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::Frame;
use tracing::Level;

use super::health::{self, Overview};
use super::notes::{Note, Told};
use super::notify;
use super::record::record;
use super::report::FrameReport;
use super::stream::Stream;
use crate::capture::door::{Asked, Asking};
use crate::capture::tally::Tally;
use crate::config::Run;
use crate::draw::{rgb_image, shrink};
use crate::drift::{Drifted, Seen, Told as Drift, Watching};
use crate::video::jpeg;

/// How often the health file is written, and the watchdog fed.
const SECOND: Duration = Duration::from_secs(1);

/// How often readers of the stream are looked after where nothing else happens.
const SERVE: Duration = Duration::from_millis(50);

/// Quality of the stream's pictures: to look at, not to learn from.
const QUALITY: u8 = 75;

/// What may change while the process runs.
#[derive(Debug)]
pub struct Hot {
    /// Milliseconds from one picture to the next; 0: none.
    pictures_ms: AtomicU32,
    /// Pixels across.
    width: AtomicU32,
}

impl Hot {
    /// As configured.
    pub fn new(run: &Run) -> Self {
        let hot = Self { pictures_ms: AtomicU32::new(0), width: AtomicU32::new(0) };
        hot.set(run);
        hot
    }

    /// As newly configured.
    pub fn set(&self, run: &Run) {
        let rate = run.stream_pictures_per_s;
        // Rates are 0 to 30, so a period is at most some years; beyond, the cast keeps the largest number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let period = if rate > 0.0 { (1000.0 / rate) as u32 } else { 0 };
        self.pictures_ms.store(period, Ordering::Relaxed);
        self.width.store(run.stream_picture_width, Ordering::Relaxed);
    }
}

/// The publisher.
pub struct Publisher {
    /// What is told by the other threads.
    pub told: Told,
    /// Where everything stands.
    pub overview: Overview,
    /// Where the health file lies.
    pub health_file: PathBuf,
    /// The stream, where there is one.
    pub stream: Option<Stream>,
    /// By camera: set when a picture of it is wanted.
    pub pictures: Vec<Arc<AtomicBool>>,
    /// What may change.
    pub hot: Arc<Hot>,
    /// Set once the process is ready; only then systemd's watchdog runs.
    pub opened: Arc<AtomicBool>,
    /// Watches for drift, where that is configured.
    pub drift: Option<Watching>,
    /// Where pictures of a drift are asked for.
    pub capture: Option<Asking>,
    /// Running values of the publisher itself.
    pub state: PublisherState,
}

/// Running values of the publisher itself.
#[derive(Debug, Default)]
pub struct PublisherState {
    next_health: Monotonic,
    next_picture: Monotonic,
    /// Frames decided on when the watchdog was last fed.
    fed: u64,
    events: u64,
    /// Whether the last health file could be written.
    unwritten: bool,
}

impl Publisher {
    /// Runs until every other thread has let go of its end of the channel, then writes the last health file.
    pub fn run(mut self) {
        loop {
            match self.told.from.recv_timeout(SERVE) {
                Ok(note) => self.note(note),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(stream) = &mut self.stream {
                stream.serve();
            }
            self.ask_for_pictures();
            let now = self.overview.clock.monotonic();
            if now >= self.state.next_health {
                self.state.next_health = now.plus(SECOND);
                self.second();
            }
        }
        if let Some(drift) = self.drift.take() {
            drift.end();
        }
        self.write_health(true);
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Log(level, text) => log(level, None, &text),
            Note::Event { id, text } => {
                let level = if matches!(id, "camera_lost" | "refused") { Level::WARN } else { Level::INFO };
                log(level, Some(id), &text);
                self.event(id, text);
            }
            Note::Transition { at, from, to, cause } => self.transition(at, from, to, cause),
            Note::Frame(report) => {
                self.told.frame_done();
                self.frame(*report);
            }
        }
    }

    /// A change of state: once in the log, in the health file, to systemd, and in the stream.
    fn transition(&mut self, at: Monotonic, from: State, to: State, cause: Option<Cause>) {
        self.overview.transition(at, from, to, cause.map(Cause::code));
        let because = match (to.cause(), cause) {
            (None, Some(over)) => format!(" ({over} is over)"),
            _ => String::new(),
        };
        let text = format!("state {to}, was {from}{because}");
        let level = if to.cause().is_some() { Level::WARN } else { Level::INFO };
        let id = to.cause().map(|cause| format!("state.{}", cause.code()));
        log(level, Some(id.as_deref().unwrap_or("state")), &text);
        notify::status(&text);
        self.event("state", text);
        self.write_health(false);
    }

    fn event(&mut self, id: &str, text: String) {
        self.state.events += 1;
        let wall = WallTime::from(self.overview.clock.wall());
        let event = Event { number: self.state.events, wall, id: id.to_owned(), text };
        if let Some(stream) = &mut self.stream {
            stream.send(&Message::Event(event), &[]);
        }
    }

    fn frame(&mut self, report: FrameReport) {
        let readers = self.stream.as_ref().is_some_and(Stream::has_readers);
        if !readers && self.drift.is_none() {
            return;
        }
        let now = self.overview.now.newest().unwrap_or_default();
        let Some((name, gauges)) = self.overview.cameras.get(report.camera) else { return };
        let Some(record) = record(&report, &now) else { return };
        // A copy only where somebody reads: most boards have no reader most of the time.
        let shown = readers.then(|| Message::Record(Box::new(record.clone())));
        if let (Some(drift), Some(found)) = (&self.drift, report.found.first()) {
            let (model, statistics) = (Arc::clone(&found.model), gauges.statistics());
            drift.see(Seen { camera: name.as_str().into(), model, record, statistics });
        }
        let (Some(stream), Some(shown)) = (&mut self.stream, shown) else { return };
        stream.send(&shown, &[]);
        if let Some(frame) = &report.picture {
            match picture(frame, name, self.hot.width.load(Ordering::Relaxed)) {
                Ok((message, jpeg)) => stream.send(&message, &jpeg),
                Err(problem) => tracing::debug!("no picture for the stream: {problem}"),
            }
        }
    }

    /// Wants a picture of every camera when it is time and somebody reads.
    fn ask_for_pictures(&mut self) {
        let period = self.hot.pictures_ms.load(Ordering::Relaxed);
        let read = self.stream.as_ref().is_some_and(Stream::has_readers);
        let now = self.overview.clock.monotonic();
        if period == 0 || !read || now < self.state.next_picture {
            return;
        }
        self.state.next_picture = now.plus(Duration::from_millis(period.into()));
        self.pictures.iter().for_each(|wanted| wanted.store(true, Ordering::Relaxed));
    }

    /// What drifted is told as an event, stands in the health file, and asks for a picture.
    fn drifted(&mut self) {
        let Some(drift) = &self.drift else { return };
        for told in drift.told().collect::<Vec<_>>() {
            match told {
                Drift::Problem(text) => log(Level::WARN, None, &text),
                Drift::Drifted(drifted) => {
                    let Drifted { camera, model, alarm, .. } = &*drifted;
                    let text = format!("camera {camera}, model {model}: {alarm}");
                    log(Level::WARN, Some("drift"), &text);
                    self.event("drift", text);
                    self.ask_for_a_picture_of(&drifted);
                    let seat = self.overview.models.iter().find(|seat| seat.name == drifted.model);
                    seat.into_iter().for_each(|seat| seat.pace.drifted());
                    self.overview.drifted(*drifted);
                }
            }
        }
    }

    fn ask_for_a_picture_of(&self, drifted: &Drifted) {
        let Some(capture) = self.capture.as_ref().filter(|capture| capture.has_rule(Rule::Drift)) else {
            return;
        };
        let camera = self.overview.cameras.iter().position(|(name, _)| **name == *drifted.camera);
        let (at, detail) = (self.overview.clock.monotonic(), Some(drifted.alarm.signal.to_string()));
        if !capture.ask(Asked { rule: Rule::Drift, camera, at, detail }) {
            Tally::one(&capture.tally().dropped);
        }
    }

    fn second(&mut self) {
        self.drifted();
        let lost = self.told.lost();
        if lost > 0 {
            log(Level::WARN, None, &format!("{lost} notes found no room: log and events have a gap"));
        }
        let decided = self.overview.decided_in_all();
        if decided > self.state.fed && self.opened.load(Ordering::Acquire) {
            self.state.fed = decided;
            notify::alive();
        }
        self.write_health(false);
    }

    fn write_health(&mut self, stopped: bool) {
        let stream = self.stream.as_ref().map_or(StreamHealth::default(), Stream::health);
        let mut health = self.overview.health(stream, stopped);
        health.capture = self.capture.as_ref().map(|capture| capture.tally().health());
        let written = health::write(&self.health_file, &health);
        if let Err(error) = &written
            && !self.state.unwritten
        {
            let path = self.health_file.display();
            log(
                Level::WARN,
                None,
                &format!("{path}: the health file cannot be written: {error}; the loop goes on"),
            );
        }
        self.state.unwritten = written.is_err();
        if let Some(stream) = &mut self.stream {
            stream.send(&Message::Health(Box::new(health)), &[]);
        }
    }
}

fn picture(frame: &Frame, camera: &str, width: u32) -> Result<(Message, Vec<u8>), String> {
    let whole = rgb_image(frame).map_err(|error| error.to_string())?;
    let (small, _) = shrink(&whole, width, u32::MAX);
    let size = [small.width(), small.height()];
    let jpeg = jpeg(&small, QUALITY)?;
    let picture = Picture {
        camera: camera.to_owned(),
        frame: frame.meta().sequence,
        size,
        image_size: [frame.width(), frame.height()],
        jpeg_bytes: jpeg.len(),
    };
    Ok((Message::Picture(picture), jpeg))
}

/// `tracing`'s level is part of the call's place, so there is one call for each. `id`: of the journal's catalogue.
fn log(level: Level, id: Option<&str>, text: &str) {
    let id = id.and_then(crate::log::id);
    match level {
        Level::ERROR => tracing::error!(id, "{text}"),
        Level::WARN => tracing::warn!(id, "{text}"),
        Level::INFO => tracing::info!(id, "{text}"),
        _ => tracing::debug!("{text}"),
    }
}
