//! Getting a lost camera back, on a thread of its own: closing and opening a dying USB device can block for seconds in
//! the kernel, and the capture thread must come back within its timeout whatever happens.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use super::backoff::Backoff;
use crate::source::SourceError;

/// Tries until it succeeds or is dropped. Dropping does not wait for a try that is stuck in the kernel.
pub struct Reconnect<T> {
    opened: Receiver<T>,
    _stop: Sender<()>,
}

impl<T: Send + 'static> Reconnect<T> {
    /// Drops `old` first (a device often opens only once), then calls `open` with back-off between its failures.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        camera: String,
        old: Option<T>,
        mut open: impl FnMut() -> Result<T, SourceError> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (found, opened) = sync_channel(1);
        let (stop, stopped) = channel::<()>();
        let tries = move || {
            drop(old);
            let (mut backoff, mut said) = (Backoff::default(), String::new());
            while matches!(stopped.recv_timeout(backoff.next_wait()), Err(RecvTimeoutError::Timeout)) {
                match open() {
                    // Nobody there to take it: it is dropped, that is closed, with this thread.
                    Ok(new) => return drop(found.send(new)),
                    Err(error) => say_once(&camera, &error, &mut said),
                }
            }
        };
        std::thread::Builder::new().name("camera-reopen".into()).spawn(tries)?;
        Ok(Self { opened, _stop: stop })
    }

    /// The device, if it is back within `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<T> {
        self.opened.recv_timeout(timeout).ok()
    }
}

/// Logs a reason when it is another than the last.
fn say_once(camera: &str, error: &SourceError, said: &mut String) {
    let reason = error.to_string();
    if reason != *said {
        tracing::warn!(camera, %reason, "not back yet");
        *said = reason;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn failing() -> SourceError {
        SourceError::Malformed { what: "camera".into(), problem: "gone".into(), advice: "plug it in".into() }
    }

    #[test]
    fn a_device_that_comes_back_at_the_third_try_is_handed_over() {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        let open = move || if counted.fetch_add(1, Ordering::SeqCst) < 2 { Err(failing()) } else { Ok(42) };
        let reconnect = Reconnect::start("front".into(), None, open).unwrap();
        assert_eq!(reconnect.wait(Duration::ZERO), None, "it waits before its first try");
        assert_eq!(reconnect.wait(Duration::from_secs(10)), Some(42));
        assert_eq!(tries.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn the_old_device_is_closed_before_the_new_is_opened() {
        let old = Arc::new(());
        let seen = Arc::downgrade(&old);
        let open = move || if seen.strong_count() == 0 { Ok(Arc::new(())) } else { Err(failing()) };
        let reconnect = Reconnect::start("front".into(), Some(old), open).unwrap();
        assert!(reconnect.wait(Duration::from_secs(10)).is_some());
    }

    #[test]
    fn dropping_it_ends_the_tries() {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let open = move || {
            let _ = &inside;
            Err::<(), _>(failing())
        };
        drop(Reconnect::start("front".into(), None, open).unwrap());
        let clock = crate::clock::SystemClock;
        for _ in 0..1000 {
            if Arc::strong_count(&held) == 1 {
                return;
            }
            crate::clock::Clock::sleep(&clock, Duration::from_millis(5));
        }
        panic!("the thread still holds its closure");
    }
}
