//! The control socket: what somebody on this machine may tell the running daemon (`stopline arm`, `stopline acknowledge`,
//! `stopline model reopen`). Only the process's own
//! user, and root, may connect.
//!
//! One line in, one line of JSON out, then the connection is closed. A client that says nothing is left after a second.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::umask;
use serde::{Deserialize, Serialize};
use stopline_decide::time::Nanos;
use stopline_depot::digest::Digest;
use stopline_depot::spool::Rule;
use stopline_sensors::clock::Clock;
use tracing::Level;

use super::acknowledge::Acknowledge;
use super::arming::Arming;
use super::drive::Drive;
use super::notes::Notes;
use crate::capture::door::{Asked, Door};
use crate::models::store::Store;

/// How long a client has for its line and for fetching the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest line: `reopen` and a digest.
const LINE: u64 = 96;

/// How long the thread waits before it looks whether it is to end.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub done: bool,
    /// What became of it, in words.
    pub text: String,
}

/// What the daemon can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Arm, at standstill.
    Arm,
    /// Disarm.
    Disarm,
    /// Silence the open fall alerts.
    Acknowledge,
    /// Keep the picture of this moment, of every camera.
    Bookmark,
    /// Take back what is known of a bundle, so that it is tried again.
    Reopen(Digest),
}

impl Order {
    /// The line.
    pub fn line(self) -> String {
        match self {
            Self::Arm => "arm".to_owned(),
            Self::Disarm => "disarm".to_owned(),
            Self::Acknowledge => "acknowledge".to_owned(),
            Self::Bookmark => "bookmark".to_owned(),
            Self::Reopen(digest) => format!("reopen {digest}"),
        }
    }

    fn read(line: &str) -> Option<Self> {
        match line.trim().split_once(' ') {
            Some(("reopen", digest)) => digest.parse().ok().map(Self::Reopen),
            Some(_) => None,
            None => {
                let plain = [Self::Arm, Self::Disarm, Self::Acknowledge, Self::Bookmark];
                plain.into_iter().find(|order| order.line() == line.trim())
            }
        }
    }
}

/// Listens at `path`, which only this user may connect to; what an ended process left there is taken away. To be called
/// before other threads make files: for a moment the mask of new files' rights is another.
///
/// # Errors
/// The system's answer.
pub fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    // So that there is no moment in which somebody else may connect.
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    listener
}

/// The thread that answers.
pub struct Control {
    /// From [`listen`].
    pub listener: UnixListener,
    /// What it switches.
    pub arming: Arc<Arming>,
    /// Silences falls.
    pub acknowledge: Acknowledge,
    /// What is known of bundles; none where there are no models over the air.
    pub store: Option<Arc<Store>>,
    /// Whether the vehicle stands.
    pub vehicle: Drive,
    /// Where bookmarks go; none where nothing is captured.
    pub capture: Option<Door>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where is told what was done.
    pub notes: Notes,
    /// Set when the process ends.
    pub stop: Arc<AtomicBool>,
}

impl Control {
    /// Runs until the process ends.
    pub fn run(self) {
        while !self.stop.load(Ordering::Relaxed) {
            let mut ready = [PollFd::new(&self.listener, PollFlags::IN)];
            if poll(&mut ready, Some(&WAIT)).unwrap_or(0) == 0 {
                continue;
            }
            if let Ok((client, _)) = self.listener.accept()
                && let Err(error) = self.answer(&client)
            {
                self.notes.log(Level::DEBUG, format!("control socket: {error}"));
            }
        }
    }

    fn answer(&self, client: &UnixStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(client.take(LINE)).read_line(&mut line)?;
        let answer = match Order::read(&line) {
            Some(order) => self.obey(order),
            None => Answer {
                done: false,
                text: "expected `arm`, `disarm`, `acknowledge`, `bookmark` or `reopen DIGEST`".to_owned(),
            },
        };
        let mut bytes = serde_json::to_vec(&answer)?;
        bytes.push(b'\n');
        let mut client = client;
        client.write_all(&bytes)
    }

    fn obey(&self, order: Order) -> Answer {
        match order {
            Order::Arm => match self.arming.command(&self.vehicle.newest(self.clock.monotonic())) {
                Ok(()) => self.done("armed", "armed by command at standstill"),
                Err(refusal) => {
                    self.notes.event("refused", refusal.to_string());
                    Answer { done: false, text: refusal.to_string() }
                }
            },
            Order::Disarm => {
                self.arming.disarm();
                self.done("disarmed", "disarmed by command")
            }
            Order::Acknowledge => {
                let silenced = self.acknowledge.all(Nanos(self.clock.monotonic().as_nanos()));
                self.done("acknowledged", &format!("acknowledged by command: {silenced} open falls"))
            }
            Order::Bookmark => self.bookmark(),
            Order::Reopen(digest) => self.reopen(&digest),
        }
    }

    fn bookmark(&self) -> Answer {
        let at = self.clock.monotonic();
        let asked = Asked { rule: Rule::Bookmark, camera: None, at, detail: None };
        let refused = |text: &str| Answer { done: false, text: text.to_owned() };
        match &self.capture {
            None => refused("nothing is captured: capture.enabled is false"),
            Some(door) if !door.has_rule(Rule::Bookmark) => {
                refused("no [[capture.rule]] in the configuration has rule = \"bookmark\"")
            }
            Some(door) if door.ask(asked) => {
                self.done("bookmarked", "this moment is kept, within the rule's limits")
            }
            Some(_) => refused("too much is asked for already; try again in a second"),
        }
    }

    /// A bundle only: what it may do, and whether it was signed, is judged as for every other.
    fn reopen(&self, digest: &Digest) -> Answer {
        let before = self.store.as_ref().and_then(|store| store.reopen(digest));
        match before {
            Some(before) => {
                let text = format!("bundle {digest} is open again by command; it was {before:?}");
                self.done("model_reopened", &text)
            }
            None => Answer { done: false, text: format!("bundle {digest}: nothing is known of it here") },
        }
    }

    fn done(&self, id: &'static str, text: &str) -> Answer {
        self.notes.event(id, text);
        Answer { done: true, text: text.to_owned() }
    }
}

/// Why the daemon could not be told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// Nobody listens, or not for us.
    #[error("{path}: cannot reach a running stopline: {cause}; is it running, and are you its user or root?")]
    Reach {
        /// The socket.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// The answer is none.
    #[error("{path}: no answer that can be read: {problem}")]
    Answer {
        /// The socket.
        path: String,
        /// What was wrong.
        problem: String,
    },
}

/// Tells the daemon that listens at `path`.
///
/// # Errors
/// [`TellError`]; a refusal is an [`Answer`].
pub fn tell(path: &Path, order: Order) -> Result<Answer, TellError> {
    let reach = |cause| TellError::Reach { path: path.display().to_string(), cause };
    let mut socket = UnixStream::connect(path).map_err(reach)?;
    socket.set_read_timeout(Some(PATIENCE * 2)).map_err(reach)?;
    socket.write_all(format!("{}\n", order.line()).as_bytes()).map_err(reach)?;
    let mut line = String::new();
    BufReader::new(socket.take(4096)).read_line(&mut line).map_err(reach)?;
    let problem = |error: serde_json::Error| TellError::Answer {
        path: path.display().to_string(),
        problem: error.to_string(),
    };
    serde_json::from_str(&line).map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arm;
    use crate::daemon::notes;
    use crate::pipeline::Deciding;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Mutex;
    use stopline_decide::decider::{CameraConfig, DecideConfig};
    use stopline_sensors::clock::HeldClock;
    use stopline_sensors::signals::{Quantity, VehicleSignals};

    /// No cameras, so no falls.
    fn nobody() -> Acknowledge {
        let config = DecideConfig {
            cameras: [CameraConfig::default()].into_iter().collect(),
            ..DecideConfig::default()
        };
        let deciding = Deciding::new(config).expect("defaults are within their bounds");
        Acknowledge { deciding: Arc::new(Mutex::new(deciding)), decisions: Vec::new() }
    }

    fn with_control(speed: f32, test: impl FnOnce(&Path, &Arming)) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("control.sock");
        let (arming, stop) =
            (Arc::new(Arming::new(Arm { armed: true, command: true, ..Arm::default() })), Arc::default());
        let (notes, _told) = notes::channel();
        let control = Control {
            listener: listen(&path).expect("listens"),
            arming: Arc::clone(&arming),
            acknowledge: nobody(),
            store: None,
            vehicle: Drive::new(VehicleSignals::constant(&[(Quantity::Speed, speed)]), false),
            capture: None,
            clock: Arc::new(HeldClock::default()),
            notes,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::spawn(move || control.run());
        test(&path, &arming);
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("no panic");
    }

    #[test]
    fn a_standing_vehicle_is_armed_and_disarmed_by_its_owner() {
        with_control(0.0, |path, arming| {
            assert_eq!(path.metadata().expect("is there").permissions().mode() & 0o777, 0o600);
            assert!(tell(path, Order::Arm).expect("answers").done && arming.armed());
            assert!(tell(path, Order::Disarm).expect("answers").done && !arming.armed());
            let nothing = tell(path, Order::Bookmark).expect("answers");
            assert!(!nothing.done && nothing.text.contains("capture.enabled"), "{nothing:?}");
            let unknown = tell(path, Order::Reopen(Digest::of(b"new"))).expect("answers");
            assert!(!unknown.done && unknown.text.contains("nothing is known of it"), "{unknown:?}");
            let answer = tell(path, Order::Acknowledge).expect("answers");
            assert_eq!((answer.done, answer.text.as_str()), (true, "acknowledged by command: 0 open falls"));
        });
    }

    #[test]
    fn a_moving_vehicle_is_not_armed_and_garbage_is_answered() {
        with_control(8.0, |path, arming| {
            let answer = tell(path, Order::Arm).expect("answers");
            assert!(!answer.done && answer.text.contains("standstill") && !arming.armed(), "{answer:?}");
            let mut socket = UnixStream::connect(path).expect("connects");
            socket.write_all(&[b'x'; 200]).expect("writes");
            let mut said = String::new();
            // The rest of what was written may still lie unread when the answer comes.
            let _ = socket.read_to_string(&mut said);
            assert!(said.contains("expected `arm`") || said.is_empty(), "{said}");
            assert!(tell(path, Order::Disarm).expect("answers").done, "the next one is served");
        });
        let nobody = tell(Path::new("/nowhere/control.sock"), Order::Arm).expect_err("nobody").to_string();
        assert!(nobody.contains("cannot reach a running stopline"), "{nobody}");
    }
}
