//! The inference thread's side: what it hands over, and what that may cost it. One look at the clock of the frame, one hash,
//! one look at the scores; then `try_send`. What finds no room is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use stopline_depot::spool::Rule;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::FrameMeta;

use super::rules::{draws, is_near};
use super::tally::Tally;
use crate::config::{Capture, CaptureRule, Config};
use crate::daemon::report::{Found, FrameReport};

/// Reports that wait, at most.
const REPORTS: usize = 64;
/// Pictures among them, at most: each is a frame of the camera's.
const PICTURES: u64 = 4;
/// Things asked for that wait, at most.
const ASKED: usize = 16;

/// Somebody, or something outside the inference thread, wants the picture of a moment.
#[derive(Clone, Debug)]
pub struct Asked {
    /// By which rule.
    pub rule: Rule,
    /// Of which camera; `None`: of all.
    pub camera: Option<usize>,
    /// When.
    pub at: Monotonic,
    /// Who, or what.
    pub detail: Option<String>,
}

/// The inference threads' end, and that of whoever asks.
#[derive(Clone, Debug)]
pub struct Door {
    to: SyncSender<Box<FrameReport>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cameras: Vec<Option<Eye>>,
    names: Vec<String>,
    rules: Vec<Rule>,
    rates: Vec<f64>,
    seed: u64,
    near: Vec<CaptureRule>,
    every_ns: u64,
    waiting: AtomicU64,
    asked: Mutex<Vec<Asked>>,
    tally: Arc<Tally>,
}

/// One camera.
#[derive(Debug, Default)]
struct Eye {
    /// Nanoseconds of the monotonic clock from which on the next picture for the ring is due.
    next: AtomicU64,
}

/// The worker's end.
#[derive(Debug)]
pub struct Handed {
    /// Reports in order.
    pub from: Receiver<Box<FrameReport>>,
    shared: Arc<Shared>,
}

/// A door for what is configured.
pub fn door(config: &Config, tally: &Arc<Tally>) -> (Door, Handed) {
    let (to, from) = sync_channel(REPORTS);
    let capture: &Capture = &config.capture;
    let of = |rule: Rule| capture.rules.iter().filter(move |one| one.rule == rule);
    let shared = Arc::new(Shared {
        cameras: config.cameras.iter().map(|camera| capture.takes(camera).then(Eye::default)).collect(),
        names: config.cameras.iter().map(|camera| camera.name.clone()).collect(),
        rules: capture.rules.iter().map(|rule| rule.rule).collect(),
        rates: of(Rule::Random).map(|rule| rule.rate).collect(),
        seed: capture.seed,
        near: of(Rule::NearThreshold).cloned().collect(),
        every_ns: u64::from(capture.ring_every_ms) * 1_000_000,
        waiting: AtomicU64::new(0),
        asked: Mutex::default(),
        tally: Arc::clone(tally),
    });
    (Door { to, shared: Arc::clone(&shared) }, Handed { from, shared })
}

impl Door {
    /// Whether this camera's frames are of any interest.
    pub fn is_open(&self, camera: usize) -> bool {
        self.shared.cameras.get(camera).is_some_and(Option::is_some)
    }

    /// Whether the picture of this frame is wanted, and there is room for it. The draw comes first, and looks at nothing but
    /// camera and number: what `random` takes does not depend on what is in it.
    pub fn wants(&self, camera: usize, meta: &FrameMeta, found: &[Found]) -> bool {
        let Some(Some(eye)) = self.shared.cameras.get(camera) else { return false };
        let drawn =
            self.shared.rates.iter().any(|rate| draws(self.shared.seed, camera, meta.sequence, *rate));
        let now = meta.captured.as_nanos();
        let due = now >= eye.next.load(Ordering::Relaxed);
        let near = || self.shared.near.iter().any(|rule| is_near(rule, found).is_some());
        if !(drawn || due || near()) {
            return false;
        }
        if self.shared.waiting.load(Ordering::Relaxed) >= PICTURES {
            Tally::one(&self.shared.tally.dropped);
            return false;
        }
        if due {
            eye.next.store(now.saturating_add(self.shared.every_ns), Ordering::Relaxed);
        }
        true
    }

    /// Hands a report over, or counts it. Never waits.
    pub fn hand(&self, report: Box<FrameReport>) {
        let picture = u64::from(report.picture.is_some());
        self.shared.waiting.fetch_add(picture, Ordering::Relaxed);
        if self.to.try_send(report).is_err() {
            self.shared.waiting.fetch_sub(picture, Ordering::Relaxed);
            Tally::one(&self.shared.tally.dropped);
        }
    }

    /// Whether a rule of this kind is configured.
    pub fn has_rule(&self, rule: Rule) -> bool {
        self.asking().has_rule(rule)
    }

    /// A model in shadow saw something else on this frame.
    pub fn disagreed(&self, meta: &FrameMeta) {
        let camera = self.shared.names.iter().position(|name| **name == *meta.source);
        if camera.is_some_and(|camera| self.is_open(camera)) && self.has_rule(Rule::ShadowDisagreement) {
            let asked = Asked { rule: Rule::ShadowDisagreement, camera, at: meta.captured, detail: None };
            if !self.ask(asked) {
                Tally::one(&self.shared.tally.dropped);
            }
        }
    }

    /// Asks for the picture of a moment; `false` where too much is asked for already.
    pub fn ask(&self, asked: Asked) -> bool {
        self.asking().ask(asked)
    }

    /// The end of who only asks, and looks at the counts: it keeps the worker from nothing.
    pub fn asking(&self) -> Asking {
        Asking(Arc::clone(&self.shared))
    }
}

/// The end of who only asks.
#[derive(Clone, Debug)]
pub struct Asking(Arc<Shared>);

impl Asking {
    /// As [`Door::ask`].
    pub fn ask(&self, asked: Asked) -> bool {
        let mut all = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let room = all.len() < ASKED;
        if room {
            all.push(asked);
        }
        room
    }

    /// Whether a rule of this kind is configured.
    pub fn has_rule(&self, rule: Rule) -> bool {
        self.0.rules.contains(&rule)
    }

    /// What was captured and what was not.
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }
}

impl Handed {
    /// A report was taken out.
    pub fn took(&self, report: &FrameReport) {
        if report.picture.is_some() {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            Tally::one(&self.shared.tally.pictures);
        }
    }

    /// What was asked for since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
