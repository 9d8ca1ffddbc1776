//! What a device says of itself, over MQTT or HTTPS alike: an envelope that makes each message one of a kind, and five kinds
//! of content. At least once on the wire, once in effect: (device, boot id, seq) is what ingest tells doubles by, and the
//! sender keeps a message until its receipt comes.
//!
//! Within a schema version keys are added to a content, never changed; a reader passes over those that it does not know. The
//! envelope is strict. Over HTTPS messages are JSON lines ([`lines`], [`read_lines`]): one that is refused costs the others
//! nothing.

mod content;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::order::{MOST_ORDERS, Order};
use crate::versioned::{self, Versioned, VersionedError, check_name};

pub use content::{
    Birth, BirthModel, CameraStats, Change, DiskStats, Event, LatencyStats, MobileStats, ModelState,
    SpoolStats, State, Stats, WaitingStats,
};

/// Messages in one request, at most.
pub const MAX_LINES: usize = 256;
/// Bytes of one request's messages, unpacked, at most.
pub const MAX_LINES_BYTES: usize = 1 << 20;

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The device, 32 hexadecimal digits. Whom the fleet believes it to be is the certificate's word, not this one.
    pub device: String,
    /// Its boot; with `seq` it makes a message one of a kind.
    pub boot_id: String,
    /// Rises by one for each message, outcome and batch in a boot.
    pub seq: u64,
    /// What `body` is.
    pub kind: Kind,
    /// As [`Body`] of this kind.
    pub body: Value,
}

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Who it is and what it runs: after a start, and when that changes.
    Birth,
    /// What it is in: when that changes.
    State,
    /// Something happened that somebody should know.
    Event,
    /// Figures, now and then.
    Stats,
    /// Its input is no longer what its model was trained on.
    Drift,
}

impl Kind {
    /// The last part of its MQTT topic.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::State => "state",
            Self::Event => "event",
            Self::Stats => "stats",
            Self::Drift => "drift",
        }
    }

    /// Whether a broker keeps the newest for those who come later.
    pub fn is_retained(self) -> bool {
        matches!(self, Self::Birth | Self::State)
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// See [`Kind::Birth`].
    Birth(Box<Birth>),
    /// See [`Kind::State`].
    State(Box<State>),
    /// See [`Kind::Event`].
    Event(Box<Event>),
    /// See [`Kind::Stats`].
    Stats(Box<Stats>),
    /// See [`Kind::Drift`]; as the runtime says it.
    Drift(Value),
}

impl Body {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Birth(_) => Kind::Birth,
            Self::State(_) => Kind::State,
            Self::Event(_) => Kind::Event,
            Self::Stats(_) => Kind::Stats,
            Self::Drift(_) => Kind::Drift,
        }
    }
}

impl Message {
    /// Puts one together.
    ///
    /// # Errors
    /// [`VersionedError::Refused`] for what could not be read again.
    pub fn new((device, boot_id, seq): (&str, &str, u64), body: &Body) -> Result<Self, VersionedError> {
        let value = match body {
            Body::Birth(body) => serde_json::to_value(body),
            Body::State(body) => serde_json::to_value(body),
            Body::Event(body) => serde_json::to_value(body),
            Body::Stats(body) => serde_json::to_value(body),
            Body::Drift(body) => Ok(body.clone()),
        };
        let refused = |problem: String| VersionedError::Refused { name: Self::NAME, problem };
        let message = Self {
            schema: Self::SCHEMA,
            device: device.to_owned(),
            boot_id: boot_id.to_owned(),
            seq,
            kind: body.kind(),
            body: value.map_err(|error| refused(error.to_string()))?,
        };
        message.check().map_err(refused)?;
        Ok(message)
    }

    /// What it says.
    ///
    /// # Errors
    /// What of the body is not of its kind.
    pub fn content(&self) -> Result<Body, String> {
        let wrong = |error: serde_json::Error| format!("body of {}: {error}", self.kind.topic());
        Ok(match self.kind {
            Kind::Birth => Body::Birth(Box::new(Birth::deserialize(&self.body).map_err(wrong)?)),
            Kind::State => Body::State(Box::new(State::deserialize(&self.body).map_err(wrong)?)),
            Kind::Event => Body::Event(Box::new(Event::deserialize(&self.body).map_err(wrong)?)),
            Kind::Stats => Body::Stats(Box::new(Stats::deserialize(&self.body).map_err(wrong)?)),
            Kind::Drift if self.body.is_object() => Body::Drift(self.body.clone()),
            Kind::Drift => return Err("body of drift: an object is expected".into()),
        })
    }

    /// What its receipt names.
    pub fn receipt(&self) -> Receipt {
        Receipt { boot_id: self.boot_id.clone(), seq: self.seq }
    }
}

impl Versioned for Message {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "message";
    const LIMIT: usize = 32 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("device", &self.device)?;
        check_name("boot_id", &self.boot_id)?;
        self.content().map(drop)
    }
}

/// The fleet has a message, an outcome or a batch: what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The boot.
    pub boot_id: String,
    /// Its number in it.
    pub seq: u64,
}

/// The answer to `POST v1/messages`: what is committed. What was refused for good is in it too, once the fleet has put it
/// aside: it must not come again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// What is committed.
    pub receipts: Vec<Receipt>,
    /// Answers to this device's open alerts, for one that has no broker: it asks with an empty request. They are named until
    /// the device's event of kind [`Change::Acknowledged`] or [`Change::Over`] has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledge: Vec<Acknowledge>,
    /// Orders that this device has not answered yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
}

impl Versioned for Receipts {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "receipts";
    const LIMIT: usize = 64 << 10;

    fn check(&self) -> Result<(), String> {
        if self.receipts.len() > MAX_LINES {
            return Err(format!("receipts: {}; at most {MAX_LINES} are expected", self.receipts.len()));
        }
        if self.acknowledge.len() > MAX_LINES {
            return Err(format!("acknowledge: {}; at most {MAX_LINES} are expected", self.acknowledge.len()));
        }
        if self.orders.len() > MOST_ORDERS {
            return Err(format!("orders: {}; at most {MOST_ORDERS} are expected", self.orders.len()));
        }
        self.orders.iter().try_for_each(Versioned::check)?;
        self.acknowledge.iter().try_for_each(Versioned::check)
    }
}

/// Somebody answers an alert: a message on `cmd/acknowledge`, never retained, or in [`Receipts`]. It names the event and the
/// person; whether the person may is the fleet's to know, whether the event is open is the device's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The event's id.
    pub id: String,
    /// The person, as the fleet knows them.
    pub by: String,
}

impl Versioned for Acknowledge {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "acknowledgement";
    const LIMIT: usize = 4 << 10;

    fn check(&self) -> Result<(), String> {
        for (key, text) in [("id", &self.id), ("by", &self.by)] {
            let printable = |c: char| !c.is_control();
            if text.trim().is_empty() || text.chars().count() > 128 || !text.chars().all(printable) {
                return Err(format!("{key}: 1 to 128 printable characters are expected"));
            }
        }
        Ok(())
    }
}

/// Messages as JSON lines.
///
/// # Errors
/// [`VersionedError::Refused`] for one that could not be read again, or for more than one request takes.
pub fn lines<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Result<Vec<u8>, VersionedError> {
    let refused = |problem: String| VersionedError::Refused { name: Message::NAME, problem };
    let mut bytes = Vec::new();
    for (count, message) in messages.into_iter().enumerate() {
        message.check().map_err(refused)?;
        serde_json::to_writer(&mut bytes, message).map_err(|error| refused(error.to_string()))?;
        bytes.push(b'\n');
        if count >= MAX_LINES || bytes.len() > MAX_LINES_BYTES {
            return Err(refused(format!("more than {MAX_LINES} messages or {MAX_LINES_BYTES} bytes")));
        }
    }
    Ok(bytes)
}

/// Reads JSON lines, each for itself. Empty lines are passed over.
///
/// # Errors
/// [`VersionedError::Refused`] for more than one request takes: nothing of it is read then.
pub fn read_lines(bytes: &[u8]) -> Result<Vec<Result<Message, VersionedError>>, VersionedError> {
    let lines = || bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if bytes.len() > MAX_LINES_BYTES || lines().nth(MAX_LINES).is_some() {
        let problem = format!("more than {MAX_LINES} messages or {MAX_LINES_BYTES} bytes");
        return Err(VersionedError::Refused { name: Message::NAME, problem });
    }
    Ok(lines().map(versioned::read).collect())
}
