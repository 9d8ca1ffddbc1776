//! Network cameras: H.264 and MJPEG over RTSP 1.0 (RFC 2326), by retina.
//!
//! One capture thread per camera, with a current-thread async runtime inside, receives and decodes; a hand-over that
//! holds few frames and drops the oldest stands between it and [`RtspSource::next`]. In walk order:
//! - `config`: the address and how long to wait. No credentials in it, and none in anything printed.
//! - `login`: user name and password from a file of their own.
//! - `session`: one connection, from DESCRIBE to the stream of coded pictures.
//! - `pictures`: coded pictures become decoded ones, with the time they arrived at.
//! - `capture`: the thread: connect, receive, say what was lost, connect again.
//! - `handover`: what the thread has seen and nobody has fetched yet.
//!
//! The stamp of a frame is [`Stamp::Arrival`](crate::frame::Stamp::Arrival): the moment its last packet had come. A
//! camera's own delay (exposure, coding, network) lies before it and is not known here.

mod capture;
mod config;
mod handover;
mod login;
mod pictures;
mod session;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::source::{Counters, Event, FrameSource, SourceError, SourceInfo};
use capture::Capture;
use config::Address;
use handover::Handover;
use login::Login;

pub use config::{RtspConfig, Transport};

/// A network camera, open.
pub struct RtspSource {
    info: SourceInfo,
    counters: Counters,
    handover: Arc<Handover>,
    thread: Option<JoinHandle<()>>,
}

impl RtspSource {
    /// Connects, logs in, and waits for the first picture, at most [`RtspConfig::start_timeout_ms`].
    ///
    /// # Errors
    /// What is wrong with the configuration or its credentials file; what the server answered; [`SourceError::Silent`]
    /// where it answered nothing; [`SourceError::Unsupported`] for a coding that is not decoded here.
    pub fn open(config: &RtspConfig, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let address = Address::of(config)?;
        if let Some(file) = &config.credentials_file {
            Login::read(file)?;
        }
        let handover = Arc::new(Handover::default());
        let capture = Capture::new(config.clone(), address, clock, Arc::clone(&handover));
        let (opened, first) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("rtsp {}", config.name))
            .spawn(move || capture.run(opened))
            .map_err(|cause| SourceError::Io {
                what: config.name.clone(),
                action: "start a capture thread",
                cause,
            })?;
        // The thread answers within its own limits; a closed channel means it ended without an answer.
        let answer = first.recv().unwrap_or_else(|_| Err(handover::stopped(&config.name)));
        let mut source =
            Self { info: nothing_known(), counters: Counters::default(), handover, thread: Some(thread) };
        source.info = answer?;
        Ok(source)
    }
}

impl FrameSource for RtspSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, timeout: Duration) -> Result<Event, SourceError> {
        let (event, dropped) = self.handover.next(timeout, &self.info.name);
        self.counters.dropped = dropped;
        match &event {
            Ok(Event::Frame(frame)) => {
                self.counters.delivered += 1;
                self.counters.copies += u64::from(frame.meta().copies);
            }
            Ok(Event::Skipped(_)) => self.counters.skipped += 1,
            Ok(Event::Lost(_)) => self.counters.lost += 1,
            Ok(Event::Restored) => self.counters.restored += 1,
            Ok(Event::Nothing | Event::End) | Err(_) => {}
        }
        event
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Drop for RtspSource {
    fn drop(&mut self) {
        self.handover.stop();
        if let Some(thread) = self.thread.take() {
            // It ends within the time a TEARDOWN may take; a panic in it was already said.
            let _ = thread.join();
        }
    }
}

fn nothing_known() -> SourceInfo {
    SourceInfo {
        name: "".into(),
        kind: "rtsp",
        live: true,
        size: (1, 1),
        period: None,
        frames: None,
        duration: None,
        device: None,
    }
}

#[cfg(test)]
mod tests;
