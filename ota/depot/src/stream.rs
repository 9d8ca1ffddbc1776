//! The stream: what the runtime tells those who look on, over a local socket (`RUN DIRECTORY/stream.sock`, AF_UNIX,
//! SOCK_STREAM; only the runtime's user and group may connect).
//!
//! The runtime writes, a reader only reads; nothing a reader sends is looked at. Each message is one line of JSON that
//! ends with `\n` and holds `type`; a [`Message::Picture`] is followed by exactly `jpeg_bytes` bytes of JPEG, with nothing
//! behind them. The first message is [`Message::Hello`]. Within a schema version message types and keys are added, never
//! changed: a reader leaves out types it does not know ([`Message::Unknown`]).
//!
//! The runtime never waits for a reader. What a reader has not fetched fills its socket's buffer and then at most
//! [`MOST_BEHIND`] bytes in the runtime; a reader that is further behind is dropped and may come again. At most
//! [`MOST_READERS`] are served; a further one is closed at once.

use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::record::{DecisionRecord, WallTime};

/// The schema this code writes.
pub const SCHEMA: u32 = 1;

/// Most readers at once.
pub const MOST_READERS: usize = 4;

/// Most bytes kept for one reader that does not fetch them.
pub const MOST_BEHIND: usize = 2 << 20;

/// Most bytes of a line.
pub const MOST_LINE: usize = 1 << 20;

/// Most bytes of a picture.
pub const MOST_PICTURE: usize = 4 << 20;

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// The first: who speaks.
    Hello {
        /// Version of this schema; 1.
        schema: u32,
        /// The device's name.
        name: String,
        /// Version of the runtime.
        version: String,
        /// Names of the cameras, in the configuration's order.
        cameras: Vec<String>,
    },
    /// One processed frame. Not every frame: what the writer had no room for is left out.
    Record(Box<DecisionRecord>),
    /// The newest picture of a camera, made smaller, at a low rate. Its JPEG follows the line.
    Picture(Picture),
    /// The health file's content, once a second.
    Health(Box<Health>),
    /// Something that people want to know of: a change of state, a situation that was confirmed.
    Event(Event),
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// What is known of a picture besides its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The camera's name.
    pub camera: String,
    /// The frame's number, as in its [`DecisionRecord`].
    pub frame: u64,
    /// Pixels across and down of this JPEG.
    pub size: [u32; 2],
    /// Pixels across and down of the source, which boxes refer to.
    pub image_size: [u32; 2],
    /// Bytes that follow the line.
    pub jpeg_bytes: usize,
}

/// Something that people want to know of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 1 in each process.
    pub number: u64,
    /// When: a label.
    pub wall: WallTime,
    /// A stable id: `state`, `armed`, `disarmed`, `reloaded`, `camera_lost`, `camera_restored`, `situation`.
    pub id: String,
    /// In words.
    pub text: String,
}

/// Why a stream ends.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection broke.
    #[error("the stream broke off: {0}")]
    Io(#[from] std::io::Error),
    /// What came is no message.
    #[error("no message of the stream: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A line or picture beyond the bounds.
    #[error("a {what} of more than {most} bytes in the stream")]
    Large {
        /// `line` or `picture`.
        what: &'static str,
        /// What it may have.
        most: usize,
    },
    /// A schema that this code does not know.
    #[error("a stream of schema {found}, expected {SCHEMA}; use the same version of both programs")]
    Schema {
        /// The writer's.
        found: u32,
    },
}

/// Reads messages one by one from `reader`.
pub struct Messages<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: BufRead> Messages<R> {
    /// The messages of a stream, from its beginning.
    pub fn new(reader: R) -> Self {
        Self { reader, line: Vec::new() }
    }

    /// The next message; of a picture its bytes are put into `jpeg`, which is emptied before. `None`: the writer ended.
    ///
    /// # Errors
    /// [`StreamError`]; the stream is of no use after it.
    pub fn next(&mut self, jpeg: &mut Vec<u8>) -> Result<Option<Message>, StreamError> {
        jpeg.clear();
        self.line.clear();
        let most = MOST_LINE as u64 + 1;
        self.reader.by_ref().take(most).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.len() > MOST_LINE {
            return Err(StreamError::Large { what: "line", most: MOST_LINE });
        }
        if self.line.last() != Some(&b'\n') {
            return Err(StreamError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let message: Message = serde_json::from_slice(&self.line)?;
        match &message {
            Message::Hello { schema, .. } if *schema != SCHEMA => Err(StreamError::Schema { found: *schema }),
            Message::Picture(picture) if picture.jpeg_bytes > MOST_PICTURE => {
                Err(StreamError::Large { what: "picture", most: MOST_PICTURE })
            }
            Message::Picture(picture) => {
                jpeg.resize(picture.jpeg_bytes, 0);
                self.reader.read_exact(jpeg)?;
                Ok(Some(message))
            }
            _ => Ok(Some(message)),
        }
    }
}

/// A message as bytes, `jpeg` behind a picture's line.
///
/// # Errors
/// Where a number cannot be written as JSON; none of ours.
pub fn encode(message: &Message, jpeg: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(jpeg);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Message {
        Message::Hello {
            schema: SCHEMA,
            name: "car".into(),
            version: "1".into(),
            cameras: vec!["front".into()],
        }
    }

    fn picture(jpeg_bytes: usize) -> Message {
        let camera = "front".into();
        Message::Picture(Picture { camera, frame: 3, size: [4, 3], image_size: [8, 6], jpeg_bytes })
    }

    #[test]
    fn a_picture_follows_its_line_and_the_next_message_follows_the_picture() {
        let mut bytes = encode(&hello(), &[]).expect("writes");
        bytes.extend(encode(&picture(5), b"\n{\"x\n").expect("writes"));
        bytes.extend(b"{\"type\":\"of_a_later_version\",\"and\":[1]}\n");
        let mut messages = Messages::new(&bytes[..]);
        let mut jpeg = vec![9];
        assert_eq!(messages.next(&mut jpeg).expect("reads"), Some(hello()));
        assert!(jpeg.is_empty());
        assert_eq!(messages.next(&mut jpeg).expect("reads"), Some(picture(5)));
        assert_eq!(jpeg, b"\n{\"x\n");
        assert_eq!(messages.next(&mut jpeg).expect("reads"), Some(Message::Unknown));
        assert_eq!(messages.next(&mut jpeg).expect("reads"), None);
    }

    #[test]
    fn what_is_cut_too_long_or_of_another_schema_ends_the_stream() {
        let read = |bytes: &[u8]| Messages::new(bytes).next(&mut Vec::new());
        assert!(matches!(read(b"{\"type\":\"hel"), Err(StreamError::Io(_))));
        assert!(matches!(read(&vec![b' '; MOST_LINE + 2]), Err(StreamError::Large { what: "line", .. })));
        assert!(matches!(
            read(&encode(&picture(MOST_PICTURE + 1), &[]).expect("writes")),
            Err(StreamError::Large { what: "picture", .. })
        ));
        assert!(matches!(read(&encode(&picture(5), b"abc").expect("writes")), Err(StreamError::Io(_))));
        let other = String::from_utf8(encode(&hello(), &[]).expect("writes")).expect("UTF-8");
        let other = other.replacen("\"schema\":1", "\"schema\":2", 1);
        assert!(matches!(read(other.as_bytes()), Err(StreamError::Schema { found: 2 })));
        assert!(matches!(read(b"no json\n"), Err(StreamError::Malformed(_))));
    }
}
