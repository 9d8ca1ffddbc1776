//! The capture thread of one camera: fetches frames, lets the guard look at them, and puts them into the mailbox.
//!
//! A device that is not there yet is tried again with back-off; what cannot mend itself ends the thread with its reason.
//! The thread logs nothing itself ([`Notes`]) and never waits for inference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_decide::time::Nanos;
use stopline_sensors::clock::Clock;
use stopline_sensors::frame::Frame;
use stopline_sensors::source::{Event, FrameSource, SourceError};
use tracing::Level;

use super::gauges::Gauges;
use super::mailbox::{Mailbox, Put};
use super::open;
use crate::config::Camera;
use crate::daemon::notes::Notes;
use crate::guard::statistics::statistics;
use crate::guard::{CameraGuard, Verdict};

/// How long a source may wait for a frame before the thread looks whether it is to end.
const WAIT: Duration = Duration::from_millis(100);

/// From one picture whose figures are kept, for drift, to the next.
const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// First and longest pause between two tries to open a device.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// One camera's capture thread.
pub struct Capture {
    /// What is configured.
    pub camera: Camera,
    /// Its number in the configuration.
    pub number: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where its values go.
    pub gauges: Arc<Gauges>,
    /// Where its frames go.
    pub mailbox: Arc<Mailbox<Frame>>,
    /// Makes the guard, once the source is known, and hands its watch to the thread that acts.
    pub seat: Box<dyn FnOnce(&dyn FrameSource) -> CameraGuard + Send>,
    /// Where is told what happens.
    pub notes: Notes,
    /// Set when the process ends.
    pub stop: Arc<AtomicBool>,
}

impl Capture {
    /// Opens the source once. `None`: it may come later; [`Capture::run`] goes on trying.
    ///
    /// # Errors
    /// What cannot mend itself.
    pub fn open(&self) -> Result<Option<Box<dyn FrameSource>>, SourceError> {
        match open::open(&self.camera, Arc::clone(&self.clock)) {
            Ok(source) => Ok(Some(source)),
            Err(error) if open::may_come(&self.camera, &error) => {
                self.notes
                    .event("camera_lost", format!("camera {} is not there yet: {error}", self.camera.name));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Runs until the process ends.
    ///
    /// # Errors
    /// What cannot mend itself: this camera gives no frames any more.
    pub fn run(self, source: Option<Box<dyn FrameSource>>) -> Result<(), SourceError> {
        let Some(mut source) = self.opened(source)? else { return Ok(()) };
        // The first one wins: a camera is opened once, and mends itself afterwards.
        let _ = self.gauges.info.set(source.info().clone());
        let Self { camera, number, clock, gauges, mailbox, seat, notes, stop } = self;
        let mut guard = seat(source.as_ref());
        let mut ended = false;
        let mut figures_due = clock.monotonic();
        while !stop.load(Ordering::Relaxed) {
            let event = source.next(WAIT);
            gauges.count(source.counters());
            match event? {
                Event::Frame(frame) => {
                    let now = clock.monotonic();
                    gauges.came(frame.meta().captured);
                    if guard.frame(&frame, Nanos(now.as_nanos())) != Verdict::Decide {
                        continue;
                    }
                    if now >= figures_due {
                        figures_due = now.plus(FIGURES_EVERY);
                        gauges.looked(statistics(guard.last_look(), &frame));
                    }
                    if mailbox.put(number, frame) == Put::Replaced {
                        gauges.replaced.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Event::Nothing => {}
                Event::Skipped(error) => notes.log(Level::DEBUG, format!("camera {}: {error}", camera.name)),
                Event::Lost(error) => {
                    notes.event("camera_lost", format!("camera {} is lost: {error}", camera.name))
                }
                Event::Restored => notes.event("camera_restored", format!("camera {} is back", camera.name)),
                Event::End if !ended => {
                    ended = true;
                    notes.event("camera_lost", format!("camera {}: the recording is over", camera.name));
                }
                Event::End => clock.sleep(WAIT),
            }
        }
        Ok(())
    }

    /// The source, waited for; `None` where the process ends before it comes.
    fn opened(
        &self,
        source: Option<Box<dyn FrameSource>>,
    ) -> Result<Option<Box<dyn FrameSource>>, SourceError> {
        if source.is_some() {
            return Ok(source);
        }
        let mut pause = PAUSES.0;
        while !self.stop.load(Ordering::Relaxed) {
            self.clock.sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
            match open::open(&self.camera, Arc::clone(&self.clock)) {
                Ok(source) => {
                    self.notes.event("camera_restored", format!("camera {} is there", self.camera.name));
                    return Ok(Some(source));
                }
                Err(error) if open::may_come(&self.camera, &error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
