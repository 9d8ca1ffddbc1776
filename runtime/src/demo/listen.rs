//! Reads the daemon's stream in a thread of its own, as `stopline view` does.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use stopline_depot::stream::{Message, Messages};
use stopline_sensors::clock::{Clock, SystemClock};

/// Between two tries to reach a socket that is not there yet. Short: what is said before is not heard.
const AGAIN: Duration = Duration::from_millis(2);
/// Messages that may wait here: a second of frames and pictures. Beyond them the daemon keeps some, then lets us go.
const QUEUE: usize = 64;

/// A message, and the JPEG that belongs to a picture.
pub type Heard = (Message, Vec<u8>);

/// The thread, and what it heard.
pub struct Listener {
    /// Messages in order; closed when the daemon ends the stream.
    pub heard: Receiver<Heard>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Connects as soon as `socket` is there.
    pub fn start(socket: PathBuf) -> std::io::Result<Self> {
        let (to, heard) = sync_channel(QUEUE);
        let stop = Arc::<AtomicBool>::default();
        let thread = std::thread::Builder::new().name("listen".to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || listen(&socket, &to, &stop)
        })?;
        Ok(Self { heard, stop, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A full queue would hold the thread; nobody reads it any more.
        while self.heard.try_recv().is_ok() {}
        let (_, closed) = sync_channel(0);
        self.heard = closed;
        if let Some(thread) = self.thread.take() {
            // It ended by itself only by a panic, which was told.
            let _ = thread.join();
        }
    }
}

fn listen(socket: &Path, to: &SyncSender<Heard>, stop: &AtomicBool) {
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(_) if stop.load(Ordering::Relaxed) => return,
            Err(_) => SystemClock.sleep(AGAIN),
        }
    };
    // So that the end is noticed where the daemon hangs; a second without a word is no end.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut messages = Messages::new(BufReader::new(stream));
    let mut jpeg = Vec::new();
    while let Ok(Some(message)) = messages.next(&mut jpeg) {
        if stop.load(Ordering::Relaxed) || to.send((message, std::mem::take(&mut jpeg))).is_err() {
            return;
        }
    }
}
