use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// A journal that keeps what it is sent.
struct Listener {
    socket: UnixDatagram,
    place: PathBuf,
    _folder: tempfile::TempDir,
}

impl Listener {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("socket");
        let socket = UnixDatagram::bind(&place).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, place, _folder: folder }
    }

    fn journal(&self) -> Journal {
        Journal::at(&self.place, "stopline").unwrap()
    }

    fn next(&self) -> Option<BTreeMap<String, String>> {
        let mut bytes = vec![0; 1 << 20];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(fields(&bytes[..length]))
    }
}

/// As the journal reads a datagram.
fn fields(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| matches!(byte, b'=' | b'\n')).unwrap();
        let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (from, length) = if bytes[end] == b'=' {
            (end + 1, bytes[end + 1..].iter().position(|byte| *byte == b'\n').unwrap())
        } else {
            (end + 9, u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap()) as usize)
        };
        fields.insert(name, String::from_utf8(bytes[from..from + length].to_vec()).unwrap());
        assert_eq!(bytes[from + length], b'\n');
        bytes = &bytes[from + length + 1..];
    }
    fields
}

#[test]
fn an_event_becomes_fields_and_its_id_a_message_id() {
    let listener = Listener::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(listener.journal()), || {
        tracing::warn!(id = "ota.poll.failed", code = 7, model = "stop-sign", "nobody answers");
        tracing::info!("two\nlines");
    });
    let first = listener.next().unwrap();
    let expected = [
        ("MESSAGE", "nobody answers code=7 model=stop-sign"),
        ("MESSAGE_ID", &message_id("ota.poll.failed")),
        ("PRIORITY", "4"),
        ("STOPLINE_CODE", "7"),
        ("STOPLINE_ID", "ota.poll.failed"),
        ("STOPLINE_MODEL", "stop-sign"),
        ("SYSLOG_IDENTIFIER", "stopline"),
    ];
    assert_eq!(first, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let second = listener.next().unwrap();
    assert_eq!((second["MESSAGE"].as_str(), second["PRIORITY"].as_str()), ("two\nlines", "6"));
    assert!(!second.contains_key("MESSAGE_ID"));
}

#[test]
fn a_journal_that_does_not_keep_up_costs_lines_and_no_time_and_the_count_is_told() {
    let listener = Listener::new();
    let mut lost = 0;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(listener.journal()), || {
        // Far more than a socket's queue takes; a line that waited would wait for ever.
        for number in 0..5000 {
            tracing::info!(number, "busy");
        }
        let taken = std::iter::from_fn(|| listener.next()).count();
        assert!((1..5000).contains(&taken), "{taken} were taken");
        tracing::info!("again");
        let next = listener.next().unwrap();
        lost = next["STOPLINE_LOST_BEFORE"].parse().unwrap();
        assert_eq!((next["MESSAGE"].as_str(), taken + lost), ("again", 5000));
        tracing::info!("and again");
    });
    assert!(lost > 0 && !listener.next().unwrap().contains_key("STOPLINE_LOST_BEFORE"));
}

#[test]
fn a_text_that_no_datagram_takes_is_cut_between_two_letters() {
    let listener = Listener::new();
    let long = "ä".repeat(2 << 20);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(listener.journal()), || {
        tracing::error!(id = "long", text = long, "");
    });
    let found = listener.next().unwrap();
    assert!(found["MESSAGE"].ends_with("… cut") && found["MESSAGE"].len() < CUT + 20);
    assert_eq!(found["MESSAGE_ID"], message_id("long"));
}

#[test]
fn a_catalogue_has_ids_where_its_source_has_names() {
    let source = "-- state.camera_lost\nSubject: The camera is silent\n\nText.\n";
    let made = catalogue(source);
    assert_eq!(
        made,
        format!("-- {}\nSubject: The camera is silent\n\nText.\n", message_id("state.camera_lost"))
    );
    assert_eq!(message_id("state.camera_lost").len(), 32);
    assert_eq!(names(source).collect::<Vec<_>>(), ["state.camera_lost"]);
}
