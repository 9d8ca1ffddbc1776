//! Whether cameras and models still give what they gave, watched aside: the publisher hands over each frame's record and the
//! figures of the picture, [`stopline_depot::drift`] judges, the publisher tells.
//!
//! A thread of its own, since what is remembered over a restart is written to a disk now and then, and the publisher feeds
//! systemd's watchdog. Records that find no room are left out. Nothing here is read by what decides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryIter, sync_channel};
use std::thread::JoinHandle;

use stopline_depot::drift::{Alarm, Drift, FrameStatistics, Memory};
use stopline_depot::record::{DecisionRecord, ModelIdentity};

use crate::config::DriftConfig;
use crate::daemon::report::ModelFacts;

/// Records that wait, at most.
const WAITING: usize = 64;
/// Things told that wait, at most.
const TOLD: usize = 64;
/// Pairs of camera and model that are watched, at most: about 220 KiB each.
const MOST: usize = 16;

/// A frame.
#[derive(Debug)]
pub struct Seen {
    /// Its camera.
    pub camera: Arc<str>,
    /// The model that its record names.
    pub model: Arc<ModelFacts>,
    /// What was found and decided.
    pub record: DecisionRecord,
    /// What a picture of the last second looked like.
    pub statistics: Option<FrameStatistics>,
}

/// What comes back.
#[derive(Debug)]
pub enum Told {
    /// Something is no longer as it was.
    Drifted(Box<Drifted>),
    /// The memory cannot be read or written: the past begins anew, or is lost with the process.
    Problem(String),
}

/// Something is no longer as it was.
#[derive(Debug)]
pub struct Drifted {
    /// At which camera.
    pub camera: Arc<str>,
    /// For which model, by its name in the configuration.
    pub model: String,
    /// Which one exactly.
    pub identity: ModelIdentity,
    /// What.
    pub alarm: Alarm,
}

/// The publisher's end.
#[derive(Debug)]
pub struct Watching {
    to: SyncSender<Box<Seen>>,
    from: Receiver<Told>,
    thread: JoinHandle<()>,
}

impl Watching {
    /// Starts the thread; `None` where drift is not watched.
    ///
    /// # Errors
    /// The system's answer.
    pub fn start(config: &DriftConfig) -> std::io::Result<Option<Self>> {
        if !config.enabled {
            return Ok(None);
        }
        let (to, seen) = sync_channel(WAITING);
        let (tell, from) = sync_channel(TOLD);
        let watch = Watch { config: config.clone(), tell, watched: BTreeMap::new() };
        let thread = std::thread::Builder::new().name("drift".to_owned()).spawn(move || {
            // The lowest share of the processor (setpriority(2) is a thread's own on Linux). Refused, it is as others are.
            let _ = rustix::process::setpriority_process(None, 19);
            watch.run(&seen);
        })?;
        Ok(Some(Self { to, from, thread }))
    }

    /// Hands a frame over, or leaves it out. Never waits.
    pub fn see(&self, seen: Seen) {
        // Full: one second in fifty is enough for a histogram of an hour.
        let _ = self.to.try_send(Box::new(seen));
    }

    /// What was told since the last call.
    pub fn told(&self) -> TryIter<'_, Told> {
        self.from.try_iter()
    }

    /// Lets what is known be written, and waits for that.
    pub fn end(self) {
        let Self { to, from, thread } = self;
        drop((to, from));
        // A panic of that thread has been reported by the panic hook; there is nothing left to lose here.
        let _ = thread.join();
    }
}

/// The thread's own values.
struct Watch {
    config: DriftConfig,
    tell: SyncSender<Told>,
    watched: BTreeMap<(Arc<str>, String), Watched>,
}

struct Watched {
    drift: Drift,
    /// Where it is remembered.
    file: Option<PathBuf>,
    /// The hour in which it was last written.
    saved: u64,
}

impl Watch {
    fn run(mut self, seen: &Receiver<Box<Seen>>) {
        for seen in seen {
            self.see(&seen);
        }
        let tell = self.tell.clone();
        self.watched.values_mut().for_each(|watched| watched.save(&tell));
    }

    fn see(&mut self, seen: &Seen) {
        // Another look finds another number of objects, whatever the camera shows.
        if seen.record.looked.is_some() {
            return;
        }
        let key = (Arc::clone(&seen.camera), seen.model.name.clone());
        if !self.watched.contains_key(&key) {
            if self.watched.len() >= MOST {
                return;
            }
            let watched = Watched::begin(&self.config, &key, &seen.model, &self.tell);
            self.watched.insert(key.clone(), watched);
        }
        let Some(watched) = self.watched.get_mut(&key) else { return };
        if let Some(alarm) = watched.drift.observe(&seen.record, seen.statistics.as_ref()) {
            let (camera, model) = key;
            let identity = seen.record.model.clone();
            // Full: the publisher has gone, and the process ends.
            let _ = self.tell.try_send(Told::Drifted(Box::new(Drifted { camera, model, identity, alarm })));
        }
        if watched.drift.hour() != watched.saved {
            watched.save(&self.tell);
        }
    }
}

impl Watched {
    fn begin(
        config: &DriftConfig,
        (camera, model): &(Arc<str>, String),
        facts: &ModelFacts,
        tell: &SyncSender<Told>,
    ) -> Self {
        let manifest = &facts.manifest;
        let mut drift = Drift::new(config.settings(), manifest.training.as_ref(), &manifest.labels);
        let file = config.memory.as_deref().map(|folder| file(folder, camera, model));
        match file.as_deref().map_or(Ok(None), Memory::read) {
            Ok(Some(memory)) => drift.restore(memory),
            Ok(None) => {}
            Err(problem) => {
                let _ = tell.try_send(Told::Problem(problem.to_string()));
            }
        }
        let saved = drift.hour();
        Self { drift, file, saved }
    }

    /// Writes what is known. A disk that takes nothing is told once an hour, and disturbs nothing.
    fn save(&mut self, tell: &SyncSender<Told>) {
        self.saved = self.drift.hour();
        let Some(file) = &self.file else { return };
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let problem = match made {
            Ok(()) => self.drift.memory().write(file).err().map(|problem| problem.to_string()),
            Err(error) => Some(format!("{}: {error}", file.display())),
        };
        if let Some(problem) = problem {
            let _ = tell.try_send(Told::Problem(format!("what drift knows is not kept: {problem}")));
        }
    }
}

/// `+` is in no name.
fn file(folder: &Path, camera: &str, model: &str) -> PathBuf {
    folder.join(format!("{camera}+{model}.json"))
}

#[cfg(test)]
mod tests;
