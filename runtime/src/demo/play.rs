//! One clip, from the daemon's start to its end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::anyhow;
use stopline_decide::e2e::Tally;
use stopline_depot::outbox::{self, Subject};
use stopline_depot::record::DecisionRecord;
use stopline_depot::stream::Message;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::SourceInfo;

use super::bus::{Bus, request, spaced};
use super::keep::Keep;
use super::kit::{Clip, Kit};
use super::listen::Listener;
use super::process::Process;
use super::screen::Screen;
use super::setup::{self, Place};
use super::tell::{About, Line, Teller, Weight};
use crate::daemon::ending::Signals;
use crate::eval::events::Verdict;
use crate::exit::{Exit, Failure, OrExit};
use crate::percentiles::{Samples, millis_text};

/// How often the bus is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// The first record must come within this: a model is loaded before it.
const FIRST: Duration = Duration::from_secs(60);
/// Beyond the clip's own length the play has ended, whatever is missing.
const OVER: Duration = Duration::from_secs(3);

/// What every clip is played with.
pub struct Stage<'a> {
    /// What is played.
    pub kit: &'a Kit,
    /// Where everything is written.
    pub directory: &'a Path,
    /// The time.
    pub clock: &'a dyn Clock,
    /// When the demo began.
    pub begun: Monotonic,
    /// Whether it is to end.
    pub signals: &'a Signals,
}

/// What came of a clip.
#[derive(Debug)]
pub struct Played {
    /// Which.
    pub clip: &'static Clip,
    /// Frames decided on.
    pub frames: u64,
    /// Frames that came before the model was loaded.
    pub before: u64,
    /// Frames lost after that.
    pub dropped: u64,
    /// Picture to decision.
    pub latency: Samples,
    /// Frames that would have been on the bus, and what the reference receiver found.
    pub bus: (u64, Tally),
    /// Strongest deceleration that was asked for, in m/s².
    pub strongest: f32,
    /// Messages to the staff.
    pub alerts: u64,
    /// Events, and whether they were found.
    pub verdict: Verdict,
    /// From the demo's start to the first decision of this clip.
    pub first_decision: Option<Duration>,
}

/// Plays `clip`. `None`: a signal ended it before it was over.
///
/// # Errors
/// The daemon ended by itself or decided nothing, or a file cannot be read or written.
pub fn play(stage: &Stage<'_>, screen: &mut Screen, clip: &'static Clip) -> Result<Option<Played>, Failure> {
    let place = Place::new(stage.directory, clip).or_exit(Exit::Output)?;
    setup::write(&place, stage.directory, stage.kit, clip).or_exit(Exit::Output)?;
    let truth = stage.kit.truth(clip).or_exit(Exit::Input)?;
    let info = info(&stage.kit.recording(clip)).or_exit(Exit::Input)?;
    let manifest = stage.kit.manifest().or_exit(Exit::Model)?;
    let keep = Keep::new(&place, manifest).or_exit(Exit::Output)?;
    let bus = Bus::new(&place.bus).or_exit(Exit::Internal)?;
    let listener = Listener::start(setup::socket(stage.directory)).or_exit(Exit::Internal)?;
    let arguments =
        ["run".into(), "--with-parent".into(), "--config".into(), place.config.clone().into_os_string()];
    let daemon = Process::start("the daemon", &arguments, &place.log).or_exit(Exit::Internal)?;
    screen.begins(&info, &truth.note);
    let began = stage.clock.monotonic();
    let mut playing = Playing {
        stage,
        place: &place,
        info: &info,
        began,
        daemon,
        keep,
        bus,
        teller: Teller::default(),
        timeline: None,
        newest: None,
        ended: None,
        known: BTreeSet::new(),
        counts: Counts::default(),
    };
    playing.run(screen, &listener)?;
    let Playing { mut daemon, keep, bus, counts, .. } = playing;
    screen.live_ends();
    daemon.end();
    if stage.signals.ending() {
        return Ok(None);
    }
    if counts.frames == 0 {
        let problem =
            anyhow!("{}: the daemon decided on no frame; it said last:\n{}", clip.name, daemon.last_words());
        return Err(Failure::new(Exit::Internal, problem));
    }
    let took = stage.clock.monotonic().since(began);
    let verdict = keep
        .finish(&place, (clip, &info), (counts.dropped, took), &truth, stage.clock)
        .or_exit(Exit::Output)?;
    Ok(Some(Played {
        clip,
        frames: counts.frames,
        before: counts.before,
        dropped: counts.dropped,
        latency: counts.latency,
        bus: (bus.frames, bus.tally()),
        strongest: bus.strongest,
        alerts: counts.alerts,
        verdict,
        first_decision: counts.first_decision,
    }))
}

#[derive(Default)]
struct Counts {
    frames: u64,
    before: u64,
    dropped: u64,
    latency: Samples,
    alerts: u64,
    first_decision: Option<Duration>,
    /// Number of the newest frame.
    last: Option<u64>,
}

struct Playing<'a> {
    stage: &'a Stage<'a>,
    place: &'a Place,
    info: &'a SourceInfo,
    began: Monotonic,
    daemon: Process,
    keep: Keep,
    bus: Bus,
    teller: Teller,
    /// A capture time and its place in the clip.
    timeline: Option<(Monotonic, Duration)>,
    /// State and latency, as they are shown live.
    newest: Option<(Duration, String)>,
    /// When the daemon said that the recording is over.
    ended: Option<Monotonic>,
    /// Messages of the outbox that were told.
    known: BTreeSet<PathBuf>,
    counts: Counts,
}

impl Playing<'_> {
    /// Until the clip is over, or a signal.
    fn run(&mut self, screen: &Screen, listener: &Listener) -> Result<(), Failure> {
        while !self.is_over() && !self.stage.signals.ending() {
            match listener.heard.recv_timeout(GLANCE) {
                Ok((message, jpeg)) => self.hear(screen, message, &jpeg).or_exit(Exit::Output)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // The socket closes a moment before the process ends.
                    self.stage.clock.sleep(GLANCE);
                    return self.daemon_is_gone();
                }
            }
            self.look_at_the_bus(screen).or_exit(Exit::Input)?;
            self.look_at_the_outbox(screen);
            if self.daemon.ended().is_some() {
                return self.daemon_is_gone();
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let all = self.info.frames.zip(self.counts.last).is_some_and(|(frames, last)| last + 1 >= frames);
        let now = self.stage.clock.monotonic();
        let said = self.ended.is_some_and(|at| now.since(at) >= Duration::from_millis(500));
        let length = self.info.duration.unwrap_or_default();
        let late = match self.timeline {
            Some(_) => now.since(self.began) > FIRST + length + OVER,
            None => now.since(self.began) > FIRST,
        };
        all || said || late
    }

    fn daemon_is_gone(&mut self) -> Result<(), Failure> {
        let status = self.daemon.end().map_or_else(|| "?".to_owned(), |status| status.to_string());
        let problem = anyhow!(
            "the daemon ended by itself ({status}); it said last:\n{}\nall of it: {}",
            self.daemon.last_words(),
            self.place.log.display()
        );
        Err(Failure::new(Exit::Internal, problem))
    }

    fn hear(&mut self, screen: &Screen, message: Message, jpeg: &[u8]) -> anyhow::Result<()> {
        match message {
            Message::Record(record) => self.record(screen, &record)?,
            Message::Picture(picture) => self.keep.picture(&picture, jpeg),
            Message::Event(event) if event.id == "camera_lost" => {
                self.ended = Some(self.stage.clock.monotonic());
            }
            _ => {}
        }
        Ok(())
    }

    fn record(&mut self, screen: &Screen, record: &DecisionRecord) -> anyhow::Result<()> {
        let at = Duration::from_micros(record.position_us.unwrap_or_default());
        let captured = Monotonic::from_nanos(record.captured_ns);
        self.timeline = Some((captured, at));
        let counts = &mut self.counts;
        if counts.last.is_none() {
            counts.before = record.frame;
            counts.first_decision = Some(super::passed(self.stage.clock, self.stage.begun));
        }
        let expected = counts.last.map_or(record.frame, |last| last + 1);
        counts.dropped += record.frame.saturating_sub(expected);
        counts.last = Some(record.frame);
        counts.frames += 1;
        counts.latency.add(record.latency_us.total());
        self.keep.record(at, record)?;
        // What is told of it became known with the decision.
        let decided = at + Duration::from_micros(record.latency_us.total());
        for line in self.teller.record(at, record) {
            screen.line(decided, &line);
        }
        self.newest = Some((at, now(record)));
        Ok(())
    }

    fn look_at_the_bus(&mut self, screen: &Screen) -> anyhow::Result<()> {
        let frames = self.bus.news()?;
        for frame in &frames {
            // Before the first picture there is nothing to lay a time on; what is asked for then is nothing.
            let Some(at) = self.place_in_clip(frame.at) else { continue };
            if let Some(line) = self.teller.frame(frame) {
                screen.line(at, &line);
            }
        }
        if let (Some(frame), Some((at, now))) = (frames.last(), &self.newest) {
            let asked = frame.payload.as_ref().map_or_else(|| frame.check.code().to_owned(), request);
            screen.now(*at, now, &format!("bus {}   {asked}", spaced(&frame.text)));
        }
        Ok(())
    }

    fn place_in_clip(&self, at: Monotonic) -> Option<Duration> {
        let (captured, place) = self.timeline?;
        Some(place.saturating_sub(captured.since(at)) + at.since(captured))
    }

    /// Messages to the staff, as an agent would find them.
    fn look_at_the_outbox(&mut self, screen: &Screen) {
        let Ok(waiting) = outbox::waiting(&self.place.outbox) else { return };
        for path in waiting.into_iter().map(|waiting| waiting.path) {
            if !self.known.insert(path.clone()) {
                continue;
            }
            let Ok(message) = outbox::read(&path) else { continue };
            self.counts.alerts += 1;
            let subject = match message.subject {
                Subject::Fall => format!("fall, persons down: {}", message.persons_down),
                Subject::FallOver => "nobody is down any more".to_owned(),
                Subject::MonitoringLost => "nobody watches for falls".to_owned(),
                Subject::MonitoringRestored => "somebody watches for falls again".to_owned(),
                // The configuration asks for no other.
                other => format!("{other:?}"),
            };
            let line = Line {
                about: About::Alert,
                weight: Weight::Strong,
                text: format!("{subject} · to the outbox"),
            };
            let made = Monotonic::from_nanos(message.made_monotonic_ns);
            screen.line(self.place_in_clip(made).unwrap_or_default(), &line);
        }
    }
}

/// State, what is seen and latency, for the live line.
fn now(record: &DecisionRecord) -> String {
    let state = record.state.as_ref().map_or("?", |state| state.name.as_str());
    let situation = record.situations.iter().flatten().find(|situation| situation.phase != "ended");
    let decided = situation.map_or_else(String::new, |situation| {
        format!(" · {} {}", situation.kind.replace('_', " "), situation.phase)
    });
    let took = millis_text(record.latency_us.total());
    format!("{state} · {} seen{decided} · {took} ms", record.detections.len())
}

fn info(recording: &Path) -> anyhow::Result<SourceInfo> {
    let source = open(&recording.to_string_lossy(), &OpenOptions::default(), Arc::new(SystemClock))?;
    Ok(source.info().clone())
}
