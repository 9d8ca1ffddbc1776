//! The outbox: what the loop wants said outside, as small files that the agent sends and takes away; and the
//! acknowledgements that come back the same way.
//!
//! ```text
//! OUTBOX/00000012345678901234-fall-1.json     waits to be sent
//! OUTBOX/acknowledged/ID.json                 somebody answered
//! ```
//!
//! A file is written beside its name, synced and renamed: a reader meets a whole one or none. Names sort by age. The agent
//! takes a file away when the other side has confirmed it; the loop takes an acknowledgement away when it has read it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::WallTime;

/// The schema this code writes.
pub const SCHEMA: u32 = 1;
/// A message is far smaller.
const LARGEST: u64 = 64 << 10;
/// Messages that may wait; beyond them none is added.
pub const MOST_WAITING: usize = 1_000;
/// The folder of acknowledgements in the outbox.
pub const ACKNOWLEDGED: &str = "acknowledged";

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Persons are down.
    Fall,
    /// Nobody is down any more.
    FallOver,
    /// Nobody watches for falls where somebody should.
    MonitoringLost,
    /// Somebody watches again.
    MonitoringRestored,
    /// The driver is told.
    Warning,
    /// Braking.
    Brake,
    /// A hold that nobody answered for.
    Escalation,
    /// Something is wrong: its cause.
    Fault,
    /// Nothing is wrong any more.
    FaultOver,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Version of this schema; 1.
    pub schema: u32,
    /// Unique on this device: what an acknowledgement names.
    pub id: String,
    /// The device's name, as configured.
    pub device: String,
    /// What is to be said.
    pub subject: Subject,
    /// Whom to tell, as the agent's configuration names them; empty: whoever is told by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// When it was made: a label.
    pub made_wall: WallTime,
    /// When it was made, nanoseconds of the monotonic clock of this boot.
    pub made_monotonic_ns: u64,
    /// Persons down.
    pub persons_down: u8,
    /// The cause's code, where something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The situation's number, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situation: Option<u32>,
    /// Whether commands were armed.
    pub armed: bool,
}

/// Somebody answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// Version of this schema; 1.
    pub schema: u32,
    /// The message's id.
    pub id: String,
    /// Who answered, as the agent knows it.
    pub by: String,
    /// When: a label.
    pub at_wall: WallTime,
}

/// Why the outbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// A file or the folder cannot be read or written.
    #[error("outbox {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// So many messages wait that nobody can be fetching them.
    #[error("outbox {}: {found} messages wait; expected at most {MOST_WAITING}: is the agent running?", path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// How many.
        found: usize,
    },
    /// A file holds something else.
    #[error("outbox {}: {what}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its file.
    pub path: PathBuf,
    /// When it was made, as its name says: nanoseconds of the monotonic clock.
    pub made_monotonic_ns: u64,
}

/// Makes the outbox where it is missing.
///
/// # Errors
/// [`OutboxError::Io`].
pub fn prepare(folder: &Path) -> Result<(), OutboxError> {
    let acknowledged = folder.join(ACKNOWLEDGED);
    fs::create_dir_all(&acknowledged).map_err(io_error(&acknowledged))
}

/// Puts a message into the outbox; its file.
///
/// # Errors
/// [`OutboxError`]; nothing is left behind then.
pub fn put(folder: &Path, message: &Message) -> Result<PathBuf, OutboxError> {
    let waiting = waiting(folder)?.len();
    if waiting >= MOST_WAITING {
        return Err(OutboxError::Full { path: folder.into(), found: waiting });
    }
    let name = format!("{:020}-{}.json", message.made_monotonic_ns, safe(&message.id));
    write(folder, &name, message)
}

/// Answers a message.
///
/// # Errors
/// [`OutboxError`].
pub fn acknowledge(folder: &Path, acknowledgement: &Acknowledgement) -> Result<PathBuf, OutboxError> {
    write(&folder.join(ACKNOWLEDGED), &format!("{}.json", safe(&acknowledgement.id)), acknowledgement)
}

/// The messages that wait, oldest first.
///
/// # Errors
/// [`OutboxError::Io`].
pub fn waiting(folder: &Path) -> Result<Vec<Waiting>, OutboxError> {
    let waiting = |path: PathBuf| {
        let made_monotonic_ns = path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()?;
        Some(Waiting { path, made_monotonic_ns })
    };
    Ok(files(folder)?.into_iter().filter_map(waiting).collect())
}

/// Reads a message that waits.
///
/// # Errors
/// [`OutboxError`].
pub fn read(path: &Path) -> Result<Message, OutboxError> {
    let message: Message = read_json(path)?;
    of_schema(path, message.schema).map(|()| message)
}

/// The acknowledgements that came, oldest name first, each taken away. One that cannot be read is taken away too and told
/// as an error: it would be met again and again.
///
/// # Errors
/// The folder cannot be read.
pub fn take_acknowledgements(
    folder: &Path,
) -> Result<Vec<Result<Acknowledgement, OutboxError>>, OutboxError> {
    let read = |path: PathBuf| {
        let read = read_json::<Acknowledgement>(&path);
        fs::remove_file(&path).map_err(io_error(&path))?;
        let acknowledgement = read?;
        of_schema(&path, acknowledgement.schema).map(|()| acknowledgement)
    };
    Ok(files(&folder.join(ACKNOWLEDGED))?.into_iter().take(MOST_WAITING).map(read).collect())
}

/// Whole files of the folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, OutboxError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        let path = entry.map_err(io_error(folder))?.path();
        // Names that begin with a dot are being written.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".json") && !name.starts_with('.') {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn write(folder: &Path, name: &str, content: &impl Serialize) -> Result<PathBuf, OutboxError> {
    let (path, beside) = (folder.join(name), folder.join(format!(".{name}")));
    let done = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        serde_json::to_writer(&mut file, content)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(folder)?.sync_all()
    };
    match done() {
        Ok(()) => Ok(path),
        Err(source) => {
            // What cannot be removed is overwritten by the next message of this name, and never read.
            let _ = fs::remove_file(&beside);
            Err(OutboxError::Io { path, source })
        }
    }
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, OutboxError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io_error(path))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    if bytes.len() as u64 > LARGEST {
        return Err(OutboxError::Content { path: path.into(), what: format!("more than {LARGEST} bytes") });
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| OutboxError::Content { path: path.into(), what: error.to_string() })
}

fn of_schema(path: &Path, found: u32) -> Result<(), OutboxError> {
    let what = format!("schema {found}; expected {SCHEMA}");
    if found == SCHEMA { Ok(()) } else { Err(OutboxError::Content { path: path.into(), what }) }
}

/// An id as part of a file name.
fn safe(id: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    id.chars().take(64).map(letter).collect()
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OutboxError {
    let path = path.to_path_buf();
    move |source| OutboxError::Io { path, source }
}

#[cfg(test)]
mod tests;
