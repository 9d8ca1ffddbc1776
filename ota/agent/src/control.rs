//! The control socket: `HOME/control.sock`, by which `check-now` asks a running agent to poll at once. Whoever may open the
//! agent's folder may ask; nothing else can be asked for.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, PassedOver};
use crate::daemon::Event;
use crate::error::AgentError;
use crate::http::Cause;
use crate::status;

const ASK: &str = "check-now\n";
/// Bytes of a line, at most.
const LONGEST: u64 = 64 << 10;
/// How long one who asks may take to say so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where it lies.
pub fn path(home: &Path) -> PathBuf {
    home.join("control.sock")
}

/// Somebody waits at the socket for what comes of a poll.
#[derive(Debug)]
pub struct Asked {
    stream: UnixStream,
    _over: Sender<()>,
}

impl Asked {
    /// Tells them. It is written when this returns: what follows may end the process.
    pub fn answer(self, answer: &Value) {
        let line = format!("{answer}\n");
        if let Err(error) = (&self.stream).write_all(line.as_bytes()) {
            tracing::debug!("control: who asked has gone: {error}");
        }
    }
}

/// Listens until the process ends; each question becomes an event with a way back.
///
/// # Errors
/// The system's.
pub fn listen(home: &Path, events: Sender<Event>) -> io::Result<()> {
    let path = path(home);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    let serve = move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = hear(stream, &events) {
                tracing::debug!("control: {error}");
            }
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(serve).map(drop)
}

/// Whether an agent listens below `home`.
pub fn is_running(home: &Path) -> bool {
    UnixStream::connect(path(home)).is_ok()
}

/// What one who asked is told: where the agent is now, the pauses that the question ended, and why it failed if it did.
pub fn answer_of(agent: &Agent, asked: Result<Vec<PassedOver>, AgentError>) -> Value {
    let mut answer = status::of_agent(agent);
    match asked {
        Ok(passed_over) => answer["passed_over"] = json!(passed_over),
        Err(error) => {
            let (problem, exit) = (Cause::of(&error).to_string(), error.exit() as u8);
            answer["failed"] = json!({ "code": error.code(), "problem": problem, "exit": exit });
        }
    }
    answer
}

/// Asks a running agent to poll now, and waits for what came of it. `None`: no agent runs.
///
/// # Errors
/// The system's: the agent ended before it answered.
pub fn check_now(home: &Path) -> io::Result<Option<String>> {
    let Ok(mut stream) = UnixStream::connect(path(home)) else {
        return Ok(None);
    };
    stream.write_all(ASK.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the agent ended before it answered; ask again",
        ));
    }
    Ok(Some(answer.trim_end().to_owned()))
}

fn hear(stream: UnixStream, events: &Sender<Event>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&stream).take(LONGEST)).read_line(&mut line)?;
    let (over, is_over) = mpsc::channel();
    if line == ASK && events.send(Event::CheckNow(Asked { stream, _over: over })).is_ok() {
        // One at a time: nothing is ever sent, the other end goes when it has been answered.
        let _ = is_over.recv();
    }
    Ok(())
}
