//! The writer of the stream ([`stopline_depot::stream`]): a few readers on a local socket, none of which is waited for.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use stopline_depot::health::StreamHealth;
use stopline_depot::stream::{MOST_BEHIND, MOST_READERS, Message, encode};

/// The socket and its readers. Dropped, the socket's file is gone.
#[derive(Debug)]
pub struct Stream {
    listener: UnixListener,
    path: PathBuf,
    hello: Vec<u8>,
    readers: Vec<Reader>,
    dropped: u64,
}

#[derive(Debug)]
struct Reader {
    socket: UnixStream,
    /// What it has not fetched yet.
    behind: Vec<u8>,
}

impl Stream {
    /// Listens at `path`; what an ended process left there is taken away. User and group may connect.
    ///
    /// # Errors
    /// The system's answer.
    pub fn listen(path: &Path, hello: &Message) -> std::io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        listener.set_nonblocking(true)?;
        let hello = encode(hello, &[])?;
        Ok(Self { listener, path: path.to_owned(), hello, readers: Vec::new(), dropped: 0 })
    }

    /// Whether anybody reads.
    pub fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// For the health file.
    pub fn health(&self) -> StreamHealth {
        StreamHealth { readers: u32::try_from(self.readers.len()).unwrap_or(u32::MAX), dropped: self.dropped }
    }

    /// Takes in new readers and goes on with what those that are there have not fetched.
    pub fn serve(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            // One beyond the bound is closed at once by being dropped.
            if self.readers.len() < MOST_READERS && socket.set_nonblocking(true).is_ok() {
                self.readers.push(Reader { socket, behind: self.hello.clone() });
            }
        }
        self.write();
    }

    /// Hands `message` to every reader, and drops those that are too far behind.
    pub fn send(&mut self, message: &Message, jpeg: &[u8]) {
        if self.readers.is_empty() {
            return;
        }
        // None of our messages holds what JSON cannot.
        let Ok(bytes) = encode(message, jpeg) else { return };
        for reader in &mut self.readers {
            reader.behind.extend_from_slice(&bytes);
        }
        self.write();
    }

    fn write(&mut self) {
        let before = self.readers.len();
        let mut slow = 0;
        self.readers.retain_mut(|reader| {
            let open = reader.write();
            let keeps_up = reader.behind.len() <= MOST_BEHIND;
            slow += u64::from(open && !keeps_up);
            open && keeps_up
        });
        self.dropped += slow;
        if self.readers.len() < before {
            tracing::debug!("stream: {} readers left, {slow} of them dropped", self.readers.len());
        }
    }
}

impl Reader {
    /// Writes what the socket takes now. `false`: the reader is gone.
    fn write(&mut self) -> bool {
        let mut written = 0;
        let open = loop {
            match self.socket.write(&self.behind[written..]) {
                _ if written == self.behind.len() => break true,
                Ok(0) => break false,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        self.behind.drain(..written);
        open
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;
    use stopline_depot::stream::{Event, Messages, SCHEMA};

    fn event(number: u64, text: &str) -> Message {
        let wall = stopline_depot::record::WallTime::from(std::time::UNIX_EPOCH);
        Message::Event(Event { number, wall, id: "test".into(), text: text.into() })
    }

    fn stream(folder: &Path) -> Stream {
        let hello =
            Message::Hello { schema: SCHEMA, name: "car".into(), version: "1".into(), cameras: Vec::new() };
        Stream::listen(&folder.join("stream.sock"), &hello).expect("listens")
    }

    #[test]
    fn a_reader_hears_hello_and_what_comes_after_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut stream = stream(folder.path());
        stream.send(&event(1, "nobody hears"), &[]);
        let reader = UnixStream::connect(folder.path().join("stream.sock")).expect("connects");
        stream.serve();
        stream.send(&event(2, "heard"), &[]);
        let mut messages = Messages::new(BufReader::new(reader));
        let mut jpeg = Vec::new();
        assert!(matches!(messages.next(&mut jpeg), Ok(Some(Message::Hello { .. }))));
        assert_eq!(messages.next(&mut jpeg).expect("reads"), Some(event(2, "heard")));
        drop(stream);
        assert!(matches!(messages.next(&mut jpeg), Ok(None)), "the writer ended");
        assert!(!folder.path().join("stream.sock").exists());
    }

    #[test]
    fn a_reader_that_never_reads_is_dropped_and_the_others_stay() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut stream = stream(folder.path());
        let path = folder.path().join("stream.sock");
        let _lazy = UnixStream::connect(&path).expect("connects");
        let good = UnixStream::connect(&path).expect("connects");
        stream.serve();
        let mut messages = Messages::new(BufReader::new(good));
        let (mut jpeg, long) = (Vec::new(), "x".repeat(100_000));
        for number in 0..40 {
            stream.send(&event(number, &long), &[]);
            while stream.readers.last().is_some_and(|reader| !reader.behind.is_empty()) {
                messages.next(&mut jpeg).expect("reads");
                stream.serve();
            }
        }
        assert_eq!(stream.health(), StreamHealth { readers: 1, dropped: 1 });
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn readers_beyond_the_bound_are_closed_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut stream = stream(folder.path());
        let path = folder.path().join("stream.sock");
        let readers: Vec<_> =
            (0..MOST_READERS + 2).map(|_| UnixStream::connect(&path).expect("connects")).collect();
        stream.serve();
        assert_eq!(stream.health().readers as usize, MOST_READERS);
        let mut last = Messages::new(BufReader::new(readers.last().expect("one")));
        assert!(matches!(last.next(&mut Vec::new()), Ok(None)));
    }
}
