//! Everything opened, every thread started; and everything ended again.
//!
//! `parts` opens what threads share, `seeing` starts capture and inference, `acting` the actuator thread, `telling`
//! everything that has no deadline.

mod acting;
mod parts;
mod seeing;
mod telling;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use stopline_sensors::clock::Clock;
use stopline_sensors::frame::Frame;
use stopline_sensors::signals::Vehicle;
use stopline_sensors::source::SourceError;
use tracing::Level;

use super::notes::Notes;
use super::priority::{Rank, keep_off, pin, schedule};
use super::publish::Hot;
use super::{deploying, notify, priority};
use crate::config::{Config, Run};
use crate::exit::{Exit, Failure, OrExit};
use crate::intake::mailbox::Mailbox;
use crate::models::store::Store;
use parts::{Parts, Stops};

/// How long threads that see, and those aside, have to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often is looked whether a thread has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// A thread that sees.
struct Seeing {
    name: String,
    /// The camera, where it is a capture thread, and whether that is a device.
    camera: Option<(String, bool)>,
    handle: JoinHandle<Result<(), SourceError>>,
}

/// All of it, running.
pub struct Running {
    /// Where is told what happens.
    pub notes: Notes,
    /// What may change.
    pub hot: Arc<Hot>,
    /// Priorities of the cameras, which may change.
    pub priorities: Vec<Arc<AtomicU8>>,
    stops: Stops,
    mailboxes: Vec<Arc<Mailbox<Frame>>>,
    seeing: Vec<Seeing>,
    acting: JoinHandle<()>,
    aside: Vec<JoinHandle<()>>,
    publisher: JoinHandle<()>,
    store: Option<Arc<Store>>,
    ready: Receiver<()>,
    /// Parts of the start that are not done yet.
    starting: usize,
    quiet: acting::Quiet,
    /// Its thread reads the bus as long as this is kept.
    vehicle: Option<Vehicle>,
    /// Held as long as the process lives.
    _lock: Option<File>,
}

impl Running {
    /// Opens everything and starts every thread. Cameras and models are opened by their own threads; until they have, the
    /// state is `init`.
    ///
    /// # Errors
    /// [`Failure`]: what is configured and cannot be had.
    pub fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let begun = clock.monotonic();
        let memory = priority::lock_memory(&config.run);
        let lock = lock_directory(&config.run)?;
        let (mut parts, channels) = Parts::open(config, clock)?;
        let capture = crate::capture::start::start(config, &parts.now, &parts.clock, &parts.notes)?;
        let (door, capture) = capture.unzip();
        parts.capture = door;
        if memory.starts_with("not") {
            parts.notes.log(Level::WARN, format!("memory is {memory}"));
        }
        let mut aside = telling::aside(config, &parts)?;
        aside.extend(capture.map(|start| start()).transpose()?);
        let hot = Arc::new(Hot::new(&config.run));
        let publisher = telling::publisher(config, &parts, channels.told, (begun, memory), &hot)?;
        let guard = parts.guard(config);
        aside.push(telling::polling(config, &parts, &guard)?);
        let acting = acting::start(config, &parts, guard, channels.watches, channels.actuators)?;
        let seeing::Eyes { threads: seeing, mailboxes, places } = seeing::start(config, &parts)?;
        let depot = parts.depot.clone();
        aside.extend(telling::deploying(config, &parts, places)?);
        Ok(Self {
            hot,
            priorities: parts.priorities.clone(),
            starting: seeing.len(),
            stops: parts.stops.clone(),
            quiet: acting::Quiet::new(config, &parts),
            vehicle: channels.vehicle,
            notes: parts.notes,
            mailboxes,
            seeing,
            acting,
            aside,
            publisher,
            store: depot.and_then(|depot| depot.store),
            ready: channels.ready,
            _lock: lock,
        })
    }

    /// Looks whether every thread still runs, and whether the start is done.
    ///
    /// # Errors
    /// [`Failure`]: nothing can go on. A camera that is gone for good ends the process only as the last one.
    pub fn look_after(&mut self) -> Result<(), Failure> {
        let ended = self.seeing.iter().position(|thread| thread.handle.is_finished());
        if let Some(at) = ended {
            let thread = self.seeing.swap_remove(at);
            self.lost(thread)?;
        }
        if self.acting.is_finished() {
            let problem = anyhow::anyhow!("the actuator thread ended; nothing is sent any more");
            return Err(Failure::new(Exit::Internal, problem));
        }
        if let Some(why) = self.stops.restart.newest() {
            let problem =
                anyhow::anyhow!("{why}; the process ends, so that another begins with the model before");
            return Err(Failure::new(Exit::Internal, problem));
        }
        while self.starting > 0 && self.ready.try_recv().is_ok() {
            self.starting -= 1;
            if self.starting == 0 {
                self.stops.opened.store(true, Ordering::Release);
                notify::ready();
                self.notes.log(Level::INFO, "ready: cameras and models are open");
            }
        }
        Ok(())
    }

    /// Whether it ends only to begin anew with another model.
    pub fn restarts(&self) -> bool {
        self.stops.restart.newest().is_some()
    }

    fn lost(&self, thread: Seeing) -> Result<(), Failure> {
        let Seeing { name, camera, handle } = thread;
        let error = match handle.join() {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => {
                let problem =
                    anyhow::anyhow!("thread {name} ended by a fault of its own; its message stands above");
                return Err(Failure::new(Exit::Internal, problem));
            }
        };
        let device = camera.as_ref().is_some_and(|(_, device)| *device);
        let others = self.seeing.iter().any(|thread| thread.camera.is_some());
        if !others || self.starting > 0 {
            return Err(Failure::new(if device { Exit::Device } else { Exit::Input }, error));
        }
        self.notes.event("camera_lost", format!("{name} is gone for good: {error}"));
        Ok(())
    }

    /// Ends everything, in order. `crashed`: by a fault of its own, which the next start must know.
    pub fn end(self, clock: &dyn Clock, crashed: bool) {
        notify::stopping();
        self.stops.ending.store(true, Ordering::Release);
        self.notes.log(Level::INFO, "ending: capture and inference stop, then the last command is sent");
        self.stops.seeing.store(true, Ordering::Release);
        self.mailboxes.iter().for_each(|mailbox| mailbox.close());
        self.quiet.wait(clock);
        self.stops.acting.store(true, Ordering::Release);
        wait_for(clock, || self.acting.is_finished());
        let seeing = &self.seeing;
        wait_for(clock, || seeing.iter().all(|thread| thread.handle.is_finished()));
        wait_for(clock, || self.aside.iter().all(JoinHandle::is_finished));
        if let Some(store) = &self.store {
            deploying::ended(store, crashed);
        }
        drop((self.vehicle, self.notes));
        // The publisher ends when nobody can tell it anything any more. A thread that hangs in a model or a driver still
        // could; then the last health file is missing, and the process ends all the same.
        wait_for(clock, || self.publisher.is_finished());
    }
}

/// Waits, bounded.
fn wait_for(clock: &dyn Clock, done: impl Fn() -> bool) {
    let until = clock.monotonic().plus(PATIENCE);
    while !done() && clock.monotonic() < until {
        clock.sleep(GLANCE);
    }
}

/// Makes the run directory and takes its lock. Two processes by one configuration would send two commands each period. A
/// directory that cannot be written is no reason not to brake: it is told, and there is neither lock nor health file.
fn lock_directory(run: &Run) -> Result<Option<File>, Failure> {
    let path = run.directory.join("lock");
    let made = std::fs::create_dir_all(&run.directory).and_then(|()| File::create(&path));
    let file = match made {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(
                "{}: the run directory cannot be used: {error}; the loop runs without it",
                path.display()
            );
            return Ok(None);
        }
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            let directory = run.directory.display();
            let problem = anyhow::anyhow!(
                "run.directory: {directory} is in use by another running stopline; end it, or give this one a directory \
                 of its own"
            );
            Err(Failure::new(Exit::Config, problem))
        }
        Err(error) => {
            tracing::warn!("{}: cannot be locked: {error}; the loop runs without a lock", path.display());
            Ok(None)
        }
        Ok(()) => Ok(Some(file)),
    }
}

/// Starts a thread by its name, on its core or off those of inference, with its real-time turn. What is refused is told.
fn spawn<T: Send + 'static>(
    name: &str,
    (run, rank, core): (&Run, Rank, Option<u16>),
    notes: &Notes,
    body: impl FnOnce(String) -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let (run, notes, named) = (run.clone(), notes.clone(), name.to_owned());
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let placed = if core.is_some() { pin(core) } else { keep_off(&run.inference_cpus) };
        if let Err(refusal) = placed {
            notes.log(Level::WARN, format!("thread {named}: {refusal}"));
        }
        let scheduling = schedule(&run, rank);
        if scheduling.starts_with("not") {
            notes.log(Level::WARN, format!("thread {named} is {scheduling}"));
        }
        drop(notes);
        body(scheduling)
    });
    started.or_exit(Exit::Internal)
}
