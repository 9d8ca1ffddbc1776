//! The log to systemd's journal in its own protocol (systemd's "Native Journal Protocol"): the fields of an event become the
//! journal's fields, and an event's `id` its `MESSAGE_ID`, by which `journalctl --catalog` finds what to do.
//!
//! A line never waits: where the journal does not keep up it is dropped and counted, and the next one says how many. The loop
//! that brakes writes its log by this too.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::fstat;
use rustix::stdio::stderr;
use sha2::{Digest as _, Sha256};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// What is left of a text that a datagram does not take, in bytes.
const CUT: usize = 2048;
/// Before an entry of the catalogue's source: its name, where the journal's own format has a message id.
const ENTRY: &str = "-- ";

/// The journal, as a layer of `tracing`.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    identifier: &'static str,
    /// Lines that the journal did not take, since the last one that it did.
    lost: AtomicU64,
}

impl Journal {
    /// Where standard error is the journal's (`JOURNAL_STREAM`, systemd.exec(5)); `identifier` becomes `SYSLOG_IDENTIFIER`.
    pub fn connect(identifier: &'static str) -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = stream.split_once(':')?;
        let found = fstat(stderr()).ok()?;
        let is_it = device.parse() == Ok(found.st_dev) && inode.parse() == Ok(found.st_ino);
        is_it.then(|| Self::at(Path::new(SOCKET), identifier).ok()).flatten()
    }

    /// At another socket.
    ///
    /// # Errors
    /// The system's, where nobody listens there.
    pub fn at(socket: &Path, identifier: &'static str) -> io::Result<Self> {
        let own = UnixDatagram::unbound()?;
        own.connect(socket)?;
        own.set_nonblocking(true)?;
        Ok(Self { socket: own, identifier, lost: AtomicU64::new(0) })
    }

    fn send(&self, level: Level, told: &Told) {
        let before = self.lost.swap(0, Ordering::Relaxed);
        let sent = match self.socket.send(&self.datagram(level, told, before)) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                self.socket.send(&self.datagram(level, &told.cut(), before))
            }
            sent => sent,
        };
        // Who cannot write a log has nobody to tell. A journal that is restarted takes lines again.
        if sent.is_err() {
            self.lost.fetch_add(before + 1, Ordering::Relaxed);
        }
    }

    fn datagram(&self, level: Level, told: &Told, lost: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        put(&mut bytes, "MESSAGE", &told.text());
        put(&mut bytes, "PRIORITY", priority(level));
        put(&mut bytes, "SYSLOG_IDENTIFIER", self.identifier);
        if let Some(id) = &told.id {
            put(&mut bytes, "MESSAGE_ID", &message_id(id));
            put(&mut bytes, "STOPLINE_ID", id);
        }
        for (name, value) in &told.fields {
            put(&mut bytes, &format!("STOPLINE_{}", upper(name)), value);
        }
        if lost > 0 {
            put(&mut bytes, "STOPLINE_LOST_BEFORE", &lost.to_string());
        }
        bytes
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        self.send(*event.metadata().level(), &told);
    }
}

/// Whether lines on standard error may have colours: it is a terminal, and `NO_COLOR` (no-color.org) is unset or empty. In a file
/// or a pipe they would be noise.
pub fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The journal's id of an event's `id`: the first 128 bits of its SHA-256, in hexadecimal digits. The same in every version.
pub fn message_id(id: &str) -> String {
    let digest = Sha256::digest(format!("stopline/{id}"));
    digest.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // into a String: it cannot fail
        text
    })
}

/// The catalogue in the journal's format from its source, in which entries begin with their names.
pub fn catalogue(source: &str) -> String {
    let line = |line: &str| match line.strip_prefix(ENTRY) {
        Some(name) => format!("{ENTRY}{}\n", message_id(name.trim())),
        None => format!("{line}\n"),
    };
    source.lines().map(line).collect()
}

/// The names in a catalogue's source.
pub fn names(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.strip_prefix(ENTRY)).map(str::trim)
}

/// What an event says.
#[derive(Debug, Default)]
struct Told {
    message: String,
    id: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl Told {
    /// As a person reads it: the message, and the fields behind it.
    fn text(&self) -> String {
        self.fields.iter().fold(self.message.clone(), |mut text, (name, value)| {
            let _ = write!(text, " {name}={value}"); // into a String: it cannot fail
            text
        })
    }

    fn cut(&self) -> Self {
        let mut message = self.text();
        message.truncate(message.floor_char_boundary(CUT));
        message.push_str(" … cut");
        Self { message, id: self.id.clone(), fields: Vec::new() }
    }

    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "id" => self.id = Some(value),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

/// One field. A value of several lines has its length in front.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// syslog(3)'s.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// Names of the journal's fields are capitals, digits and underscores.
fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
