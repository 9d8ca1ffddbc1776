//! DBC files: what the bytes on a bus mean. Read by `can-dbc`, packed and unpacked here.
//!
//! `layout`: where a signal's bits lie and how they become a number. `read`: from the file to [`Database`]. Here: the
//! database, its messages, values in and out.
//!
//! A file may hold nonsense in messages that nobody uses (signals beyond the frame, names given twice); it is refused only
//! where it is used.

pub mod layout;
mod read;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::can::frame::{BusId, MOST_BYTES};
use crate::nearest::hint;
use layout::Layout;

/// The longest file that is read, in bytes.
pub const LARGEST: u64 = 32 << 20;

/// What is wrong with a DBC file, or with how it is used.
#[derive(Debug, thiserror::Error)]
pub enum DbcError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than any DBC file.
    #[error("{}: {found} bytes; a DBC file has at most {LARGEST}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// It is not a DBC file.
    #[error("{file}: not a DBC file: {what}")]
    Grammar {
        /// The file, or "DBC text".
        file: String,
        /// Line, column and what was expected there.
        what: String,
    },
    /// There is no such message.
    #[error("there is no message {wanted}{near}")]
    NoMessage {
        /// Its name or number.
        wanted: String,
        /// The nearest names, as a sentence's end.
        near: String,
    },
    /// Two messages have this name.
    #[error(
        "message {name} is there {count} times (identifiers {ids}); give the identifier, as in \"0x123\""
    )]
    AmbiguousMessage {
        /// The name.
        name: String,
        /// How often.
        count: usize,
        /// Their identifiers.
        ids: String,
    },
    /// The message has no such signal.
    #[error("message {message} has no signal {wanted}{near}")]
    NoSignal {
        /// The message.
        message: String,
        /// The signal.
        wanted: String,
        /// The nearest names, as a sentence's end.
        near: String,
    },
    /// No message has such a signal.
    #[error("no message has a signal {wanted}{near}")]
    NoSuchSignal {
        /// The signal.
        wanted: String,
        /// The nearest names, as a sentence's end.
        near: String,
    },
    /// Several messages have a signal of this name.
    #[error("signal {signal} is in {messages}; name the message")]
    AmbiguousSignal {
        /// The signal.
        signal: String,
        /// The messages.
        messages: String,
    },
    /// A signal that is used cannot be as the file says.
    #[error("signal {signal} of message {message} ({bytes} bytes): {what}")]
    Impossible {
        /// The message.
        message: String,
        /// The signal.
        signal: String,
        /// The message's length.
        bytes: usize,
        /// What is wrong.
        what: String,
    },
    /// A value that the signal cannot carry.
    #[error("signal {signal} of message {message} cannot carry {value}; it carries {least} to {most}")]
    OutOfRange {
        /// The message.
        message: String,
        /// The signal.
        signal: String,
        /// The value.
        value: f64,
        /// The least it carries.
        least: f64,
        /// The most it carries.
        most: f64,
    },
}

/// The messages of a DBC file.
#[derive(Clone, Debug)]
pub struct Database {
    messages: Vec<Message>,
}

/// One message: a frame with an identifier, and the signals in it.
#[derive(Clone, Debug)]
pub struct Message {
    /// The frame's identifier.
    pub id: BusId,
    /// Its name in the file.
    pub name: String,
    /// Bytes of data, at most 64.
    pub size: usize,
    /// How often it is sent, where the file says (`GenMsgCycleTime`).
    pub cycle: Option<Duration>,
    signals: Vec<Signal>,
}

/// One signal of a message.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Its name in the file.
    pub name: String,
    /// Where its bits lie and how they become a number; or why they cannot.
    layout: Result<Layout, String>,
    /// Physical value = raw value × factor + offset.
    pub factor: f64,
    /// See `factor`.
    pub offset: f64,
    /// Least and most physical value, where the file gives them (`[0|0]` means none).
    pub range: Option<(f64, f64)>,
    /// The unit as the file writes it.
    pub unit: String,
    /// Only there when another signal of the message has one of these values.
    switched: Option<Switched>,
}

/// When a multiplexed signal is there.
#[derive(Clone, Debug)]
struct Switched {
    /// The selecting signal's number in the message.
    by: usize,
    /// Its raw values, both ends included.
    values: Vec<(u64, u64)>,
}

impl Database {
    /// Reads a file: UTF-8, or else bytes taken for Latin-1 (its names are ASCII either way).
    ///
    /// # Errors
    /// [`DbcError::Read`], [`DbcError::TooLarge`], [`DbcError::Grammar`].
    pub fn read(path: &Path) -> Result<Self, DbcError> {
        read::file(path)
    }

    /// From a file's text.
    ///
    /// # Errors
    /// [`DbcError::Grammar`].
    pub fn parse(text: &str) -> Result<Self, DbcError> {
        read::text(text, "DBC text")
    }

    /// Its messages, in the file's order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The message of this name, or with this identifier (`"0x123"`; above 0x7FF with 29 bits).
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn message(&self, wanted: &str) -> Result<&Message, DbcError> {
        let number = wanted.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let named = |message: &&Message| match number {
            Some(number) => message.id.word() & 0x1FFF_FFFF == number,
            None => message.name == wanted,
        };
        let found: Vec<&Message> = self.messages.iter().filter(named).collect();
        match found.as_slice() {
            [message] => Ok(message),
            [] => Err(DbcError::NoMessage {
                wanted: wanted.into(),
                near: hint(wanted, self.messages.iter().map(|message| message.name.as_str())),
            }),
            several => Err(DbcError::AmbiguousMessage {
                name: wanted.into(),
                count: several.len(),
                ids: several.iter().map(|message| format!("0x{}", message.id)).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The one message that has a signal of this name, and the signal's number in it.
    ///
    /// # Errors
    /// No message has one, or several have.
    pub fn message_with(&self, signal: &str) -> Result<(&Message, usize), DbcError> {
        let numbered = |message: &Message| message.signals.iter().position(|other| other.name == signal);
        let found: Vec<(&Message, usize)> =
            self.messages.iter().filter_map(|message| Some((message, numbered(message)?))).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => {
                let names = self
                    .messages
                    .iter()
                    .flat_map(|message| &message.signals)
                    .map(|other| other.name.as_str());
                Err(DbcError::NoSuchSignal { wanted: signal.into(), near: hint(signal, names) })
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(message, _)| message.name.as_str()).collect();
                Err(DbcError::AmbiguousSignal { signal: signal.into(), messages: names.join(", ") })
            }
        }
    }
}

impl Message {
    /// Its signals; their numbers are their places here.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// The number of the signal of this name, which can be read and written.
    ///
    /// # Errors
    /// There is none, it is there twice, or the file describes it wrongly.
    pub fn signal(&self, wanted: &str) -> Result<usize, DbcError> {
        let mut named = self.signals.iter().enumerate().filter(|(_, signal)| signal.name == wanted);
        let (number, signal) = named.next().ok_or_else(|| DbcError::NoSignal {
            message: self.name.clone(),
            wanted: wanted.into(),
            near: hint(wanted, self.signals.iter().map(|signal| signal.name.as_str())),
        })?;
        if named.next().is_some() {
            return Err(self.impossible(number, "it is there twice"));
        }
        signal.layout.as_ref().map_err(|what| self.impossible(number, what))?;
        if let Some(switched) = &signal.switched {
            let selector = &self.signals[switched.by];
            selector.layout.as_ref().map_err(|what| self.impossible(switched.by, what))?;
        }
        Ok(number)
    }

    /// The raw value of a signal in `data`, as its bits; `None`: the frame is too short for it, or it is multiplexed and
    /// not there now.
    pub fn raw(&self, number: usize, data: &[u8]) -> Option<u64> {
        let signal = self.signals.get(number)?;
        let mut switched = signal.switched.as_ref();
        while let Some(by) = switched {
            let selector = self.signals.get(by.by)?;
            let selected = selector.layout.as_ref().ok()?.bits(data)?;
            by.values.iter().find(|(least, most)| (*least..=*most).contains(&selected))?;
            // `read` refuses circles.
            switched = selector.switched.as_ref();
        }
        signal.layout.as_ref().ok()?.bits(data)
    }

    /// The physical value of a signal in `data`; `None` as for [`Self::raw`].
    pub fn value(&self, number: usize, data: &[u8]) -> Option<f64> {
        let raw = self.raw(number, data)?;
        let signal = &self.signals[number];
        Some(signal.layout.as_ref().ok()?.number(raw) * signal.factor + signal.offset)
    }

    /// Writes a physical value into `data`, rounded to the nearest raw value, the even one of two.
    ///
    /// # Errors
    /// [`DbcError::OutOfRange`]: the bits cannot hold it, or it is beyond the file's range; `data` is unchanged then.
    pub fn write(&self, number: usize, value: f64, data: &mut [u8]) -> Result<(), DbcError> {
        let Some((signal, layout)) = self.laid_out(number) else {
            return Err(
                self.impossible(number.min(self.signals.len().saturating_sub(1)), "it cannot be written")
            );
        };
        let (least, most) = signal.bounds();
        let bits = layout.from_number((value - signal.offset) / signal.factor);
        // A little more than the file's range is allowed: 0.1 is not a binary fraction.
        let slack = signal.factor.abs() * 1e-6;
        let within = value >= least - slack && value <= most + slack;
        match bits.filter(|_| within) {
            Some(bits) if layout.put(bits, data) => Ok(()),
            _ => Err(DbcError::OutOfRange {
                message: self.name.clone(),
                signal: signal.name.clone(),
                value,
                least,
                most,
            }),
        }
    }

    /// Writes a physical value, the nearest one that the signal can carry; whether it was bent. Allocates nothing. What is
    /// not a number is written as the least magnitude.
    pub fn write_clamped(&self, number: usize, value: f64, data: &mut [u8]) -> bool {
        let Some((signal, layout)) = self.laid_out(number) else { return true };
        let (least, most) = signal.bounds();
        let wanted = if value.is_nan() { 0.0 } else { value };
        let written = wanted.max(least).min(most);
        let bits = layout.from_number((written - signal.offset) / signal.factor);
        let put = bits.is_some_and(|bits| layout.put(bits, data));
        #[allow(clippy::float_cmp, reason = "whether it was changed at all")]
        let bent = written != value;
        !put || bent
    }

    /// Writes a raw value as it is. `false`: it does not fit, and nothing is written.
    pub fn write_raw(&self, number: usize, raw: u64, data: &mut [u8]) -> bool {
        self.laid_out(number).is_some_and(|(_, layout)| layout.holds(raw) && layout.put(raw, data))
    }

    /// Sets the selectors so that a multiplexed signal is there.
    ///
    /// # Errors
    /// The file gives it no selecting value, or `data` is too short.
    pub fn select(&self, number: usize, data: &mut [u8]) -> Result<(), DbcError> {
        let mut switched = self.signals.get(number).and_then(|signal| signal.switched.as_ref());
        while let Some(by) = switched {
            let value = by.values.first().map(|(least, _)| *least);
            if !value.is_some_and(|value| self.write_raw(by.by, value, data)) {
                return Err(self.impossible(number, "no value of its selector makes it appear"));
            }
            switched = self.signals[by.by].switched.as_ref();
        }
        Ok(())
    }

    /// Whether a signal is only there for some values of another one.
    pub fn is_multiplexed(&self, number: usize) -> bool {
        self.signals.get(number).is_some_and(|signal| signal.switched.is_some())
    }

    fn laid_out(&self, number: usize) -> Option<(&Signal, &Layout)> {
        let signal = self.signals.get(number)?;
        Some((signal, signal.layout.as_ref().ok()?))
    }

    fn impossible(&self, number: usize, what: &str) -> DbcError {
        DbcError::Impossible {
            message: self.name.clone(),
            signal: self.signals.get(number).map_or_else(String::new, |signal| signal.name.clone()),
            bytes: self.size,
            what: what.into(),
        }
    }
}

impl Signal {
    /// Where its bits lie.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref().ok()
    }

    /// Least and most physical value: the file's range where it gives one, cut to what the bits can hold.
    pub fn bounds(&self) -> (f64, f64) {
        let Ok(layout) = &self.layout else { return (0.0, 0.0) };
        let (least, most) = layout.numbers();
        let ends = [least * self.factor + self.offset, most * self.factor + self.offset];
        let (least, most) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        match self.range {
            // A range that the bits cannot reach at all is nonsense: the bits count.
            Some((from, to)) if from <= most && to >= least => (from.max(least), to.min(most)),
            _ => (least, most),
        }
    }
}

/// A message's data with every signal zero.
pub fn blank() -> [u8; MOST_BYTES] {
    [0; MOST_BYTES]
}

#[cfg(test)]
mod tests;
