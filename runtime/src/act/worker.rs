//! A thread that does for an actuator what may take time: programs, files. Handed work through a bounded queue that the
//! actuator never waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work that waits at most, per worker.
const QUEUE: usize = 64;

/// What a worker does.
pub trait Job<T>: Send {
    /// One piece of work. `stop` says that the actuator is closing: whatever takes time ends then.
    fn work(&mut self, item: T, stop: &AtomicBool) -> Result<(), Failed>;

    /// Called when nothing was handed over for a while, at least every [`Job::pause`].
    fn idle(&mut self) -> Result<(), Failed> {
        Ok(())
    }

    /// How long to wait for work before [`Job::idle`].
    fn pause(&self) -> Duration {
        Duration::from_millis(500)
    }
}

/// Work that failed; what and why was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// The thread, and the queue to it.
pub struct Worker<T> {
    queue: Option<SyncSender<T>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Whether the last work or look failed.
    failing: AtomicBool,
    done: AtomicU64,
    refused: AtomicU64,
}

impl<T: Copy + Send + 'static> Worker<T> {
    /// Starts it under this name.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(name: &str, job: impl Job<T> + 'static) -> std::io::Result<Self> {
        let (queue, work) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        // The kernel keeps 15 letters of a thread's name.
        let name: String = format!("act-{name}").chars().take(15).collect();
        let thread = std::thread::Builder::new().name(name).spawn(move || run(&work, job, &inside))?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    /// Hands over a piece of work; `false`: the queue is full, or the worker is dead. Never waits.
    pub fn give(&self, item: T) -> bool {
        let given = match self.queue.as_ref().map(|queue| queue.try_send(item)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => false,
        };
        if !given {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        given
    }

    /// Whether what it did last failed.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Pieces of work done since the start.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Does what still waits, and ends. What takes time is cut short.
    pub fn close(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It ended by itself only by a panic, which the panic hook has told.
            let _ = thread.join();
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run<T: Copy>(work: &Receiver<T>, mut job: impl Job<T>, shared: &Shared) {
    loop {
        let outcome = match work.recv_timeout(job.pause()) {
            Ok(item) => {
                let outcome = job.work(item, &shared.stop);
                shared.done.fetch_add(1, Ordering::Relaxed);
                outcome
            }
            Err(RecvTimeoutError::Timeout) => job.idle(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        shared.failing.store(outcome.is_err(), Ordering::Relaxed);
    }
}
