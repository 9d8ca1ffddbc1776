//! Another model takes a model's place in an inference thread, between two frames; and frames for a new one that looks on.
//! The inference thread never waits here: it looks whether something lies ready, and goes on if not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use stopline_sensors::frame::Frame;

use super::report::ModelFacts;
use crate::capture::door::Door;
use crate::detection::Detection;
use crate::detector::Detector;
use crate::observe::Roles;

/// A loaded model with all that a seat needs.
pub struct Seated {
    /// Prepare, infer, decode.
    pub detector: Detector,
    /// Which part its classes play.
    pub roles: Roles,
    /// Who it is.
    pub facts: Arc<ModelFacts>,
}

/// What an inference thread answered.
pub struct Answer {
    /// The one that has no place now: the old one, or the new one that could not answer.
    pub out: Box<Seated>,
    /// Why the new one could not answer.
    pub problem: Option<String>,
}

/// A model's place in one inference thread.
pub struct Exchange {
    ready: AtomicBool,
    next: Mutex<Option<Box<Seated>>>,
    answers: SyncSender<Answer>,
}

impl Exchange {
    /// A place, and where its answers come.
    pub fn new() -> (Arc<Self>, Receiver<Answer>) {
        let (answers, from) = sync_channel(4);
        (Arc::new(Self { ready: AtomicBool::new(false), next: Mutex::new(None), answers }), from)
    }

    /// Puts a model there that is to take the place with the next frame.
    pub fn offer(&self, next: Box<Seated>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        self.ready.store(true, Ordering::Release);
    }

    /// Takes it away again, if the thread has not taken it yet.
    pub fn withdraw(&self) -> Option<Box<Seated>> {
        self.ready.store(false, Ordering::Release);
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether something waits to take the place.
    pub fn is_waiting(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// For the inference thread: what waits to take the place.
    pub fn waiting(&self) -> Option<Box<Seated>> {
        if !self.ready.load(Ordering::Acquire) {
            return None;
        }
        let next = match self.next.try_lock() {
            Ok(mut next) => next.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            // It is just being put there or taken away: with the next frame.
            Err(TryLockError::WouldBlock) => return None,
        };
        self.ready.store(false, Ordering::Release);
        next
    }

    /// For the inference thread: what became of it.
    pub fn answer(&self, out: Box<Seated>, problem: Option<String>) {
        // Four fit, one at a time is on its way; where nobody listens any more the process is ending.
        let _ = self.answers.try_send(Answer { out, problem });
    }
}

/// A frame for one that looks on, and what the active model found in it.
pub struct Shown {
    /// The frame.
    pub frame: Frame,
    /// What the active model found.
    pub found: Vec<Detection>,
}

/// Where a new model that looks on gets frames: one at a time, and none while it is at one.
pub struct Onlooker {
    wants: AtomicBool,
    to: SyncSender<Shown>,
    /// Where frames on which the two disagree are worth keeping.
    capture: OnceLock<Door>,
}

impl Onlooker {
    /// One that looks on at nothing yet, and where its frames come.
    pub fn new() -> (Arc<Self>, Receiver<Shown>) {
        let (to, from) = sync_channel(1);
        (Arc::new(Self { wants: AtomicBool::new(false), to, capture: OnceLock::new() }), from)
    }

    /// Frames on which the two disagree are asked for there from now on.
    pub fn keeps_at(&self, door: Option<&Door>) {
        if let Some(door) = door {
            // A second one would be the same.
            let _ = self.capture.set(door.clone());
        }
    }

    /// The two disagreed on this frame.
    pub fn disagreed(&self, frame: &Frame) {
        if let Some(door) = self.capture.get() {
            door.disagreed(frame.meta());
        }
    }

    /// It has time for a frame.
    pub fn want(&self, wants: bool) {
        self.wants.store(wants, Ordering::Release);
    }

    /// For the inference thread: whether it has time for a frame.
    pub fn has_time(&self) -> bool {
        self.wants.load(Ordering::Acquire)
    }

    /// For the inference thread: shows it a frame. Never waits.
    pub fn show(&self, frame: Frame, found: Vec<Detection>) {
        self.want(false);
        match self.to.try_send(Shown { frame, found }) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}
