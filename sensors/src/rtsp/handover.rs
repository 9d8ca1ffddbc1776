//! Between the capture thread and whoever fetches: few frames, the newest kept, every drop counted.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::frame::Frame;
use crate::source::{Event, SourceError};

/// Frames that wait at most: one being fetched, and a newer one.
const FRAMES: usize = 2;
/// Reports of unusable frames that wait at most.
const SKIPPED: usize = 8;

/// What has happened and was not fetched yet. Bounded by [`FRAMES`], [`SKIPPED`], one `Lost` and one `Restored`.
#[derive(Default)]
pub(super) struct Handover {
    state: Mutex<State>,
    arrived: Condvar,
    stop: Notify,
}

#[derive(Default)]
struct State {
    /// Only `Frame`, `Skipped`, `Lost` and `Restored`.
    events: VecDeque<Event>,
    dropped: u64,
    failed: Option<SourceError>,
    over: bool,
}

impl Handover {
    pub fn frame(&self, frame: Frame) {
        self.push(Event::Frame(frame), FRAMES, |event| matches!(event, Event::Frame(_)));
    }

    pub fn skipped(&self, why: SourceError) {
        self.push(Event::Skipped(why), SKIPPED, |event| matches!(event, Event::Skipped(_)));
    }

    /// Counts frames the camera made and that never came.
    pub fn dropped(&self, frames: u64) {
        self.lock().dropped += frames;
    }

    /// The camera is gone. Where its last return was not fetched yet, the fetcher never learns of it.
    pub fn lost(&self, why: SourceError) {
        let mut state = self.lock();
        match state.events.iter().position(|event| matches!(event, Event::Restored)) {
            Some(unseen) => {
                let forgotten = state.events.drain(unseen..).skip(1).count();
                state.dropped += forgotten as u64;
            }
            None => state.events.push_back(Event::Lost(why)),
        }
        self.arrived.notify_one();
    }

    pub fn restored(&self) {
        self.lock().events.push_back(Event::Restored);
        self.arrived.notify_one();
    }

    /// Nothing will come any more, because of `why`.
    pub fn failed(&self, why: SourceError) {
        let mut state = self.lock();
        state.failed = Some(why);
        state.over = true;
        self.arrived.notify_one();
    }

    /// The next event within `timeout`, and how many frames were dropped up to it.
    pub fn next(&self, timeout: Duration, what: &str) -> (Result<Event, SourceError>, u64) {
        let quiet = |state: &mut State| state.events.is_empty() && !state.over;
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, quiet)
            .unwrap_or_else(PoisonError::into_inner);
        let event = match state.events.pop_front() {
            Some(event) => Ok(event),
            None if state.over => Err(state.failed.take().unwrap_or_else(|| stopped(what))),
            None => Ok(Event::Nothing),
        };
        (event, state.dropped)
    }

    /// Asks the capture thread to end.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    pub async fn stopped(&self) {
        self.stop.notified().await;
    }

    fn push(&self, event: Event, at_most: usize, same: fn(&Event) -> bool) {
        let mut state = self.lock();
        if state.events.iter().filter(|event| same(event)).count() >= at_most {
            let oldest = state.events.iter().position(same);
            oldest.map(|at| state.events.remove(at));
            state.dropped += 1;
        }
        state.events.push_back(event);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of a source that has failed before.
pub(super) fn stopped(what: &str) -> SourceError {
    let cause = Error::new(ErrorKind::NotConnected, "it stopped on an earlier error; open it again");
    SourceError::Io { what: what.to_owned(), action: "read", cause }
}
