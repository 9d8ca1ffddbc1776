//! Who is connected, what is kept for those who come later, and commands to devices. There are no messages from one device to
//! another: what a device says goes to the database and to readers, commands come from the server alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use stopline_depot::message::{Acknowledge, Kind, Message, Receipt};
use stopline_depot::order::Order;
use stopline_depot::versioned::Versioned as _;
use tokio::sync::{Notify, mpsc, watch};

use super::outside::Voice;
use super::topics::{Part, Topics, matches};
use super::wire::End;
use crate::exit::Result;
use crate::serve::database::Database;
use crate::serve::ingest::Taken;

/// Things that wait to be sent on one connection, at most; who is slower is let go.
const WAITING: usize = 1_024;
/// Filters of one reader, at most.
pub const FILTERS: usize = 16;
/// Readers at once, at most.
const READERS: usize = 256;

/// What a device is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Something was published.
    Poll,
    /// It is committed.
    Receipt(Receipt),
    /// Somebody answers an alert.
    Acknowledge(Acknowledge),
    /// It is to do something once.
    Order(Order),
}

impl Command {
    /// The last part of its topic.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Receipt(_) => "receipt",
            Self::Acknowledge(_) => "acknowledge",
            Self::Order(order) => order.what.word(),
        }
    }

    /// Its content.
    pub fn bytes(&self) -> Bytes {
        let bytes = match self {
            Self::Poll => return Bytes::new(),
            Self::Receipt(receipt) => serde_json::to_vec(receipt),
            Self::Acknowledge(answer) => serde_json::to_vec(answer),
            Self::Order(order) => serde_json::to_vec(order),
        };
        // Texts and numbers alone: this does not fail.
        bytes.map(Bytes::from).unwrap_or_default()
    }
}

/// What a session is to send.
#[derive(Debug)]
pub enum Out {
    /// A message.
    Deliver(Delivery),
    /// What became of a message of its client; `id` where that waits for an acknowledgement.
    Done {
        /// The packet.
        id: Option<u16>,
        /// What became of it.
        taken: Taken,
    },
}

/// A message to a client.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its content.
    pub payload: Bytes,
    /// Whether it is one that was kept.
    pub kept: bool,
}

/// The way to one session.
#[derive(Clone)]
pub struct Line {
    out: mpsc::Sender<Out>,
    end: watch::Sender<Option<End>>,
}

impl Line {
    /// Sends; ends the session where it does not keep up.
    pub fn send(&self, out: Out) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.out.try_send(out) {
            self.end(End::Slow);
        }
    }

    /// Ends the session.
    pub fn end(&self, end: End) {
        self.end.send_if_modified(|now| now.is_none() && now.replace(end).is_none());
    }
}

/// The session's side.
pub struct Ears {
    /// What it is to send.
    pub out: mpsc::Receiver<Out>,
    /// Why it is to end.
    pub end: watch::Receiver<Option<End>>,
    /// Its own line.
    pub line: Line,
    /// Its number.
    pub number: u64,
}

struct Known {
    number: u64,
    line: Line,
    until_s: i64,
}

struct Reader {
    line: Line,
    filters: Vec<String>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    devices: HashMap<String, Known>,
    readers: BTreeMap<u64, Reader>,
    kept: BTreeMap<String, Bytes>,
    online: HashSet<String>,
}

/// All of it.
pub struct Hub {
    topics: Topics,
    inside: Mutex<Inside>,
    voice: OnceLock<Voice>,
    published: Notify,
}

impl Hub {
    /// Of a fleet, with nobody connected.
    pub fn new(topics: Topics) -> Self {
        Self { topics, inside: Mutex::default(), voice: OnceLock::new(), published: Notify::new() }
    }

    /// The fleet's topics.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Commands go by way of a broker from now on.
    pub fn speak_by(&self, voice: Voice) {
        // Set once, at the start.
        let _ = self.voice.set(voice);
    }

    /// Reads what is kept from the database: the newest birth and state of each device.
    ///
    /// # Errors
    /// The database's.
    pub async fn prime(&self, database: &Database) -> Result<()> {
        for kind in [Kind::Birth, Kind::State] {
            for stored in database.newest_of_each(kind.topic()).await? {
                let message = Message {
                    schema: Message::SCHEMA,
                    boot_id: stored.boot_id,
                    seq: u64::try_from(stored.seq).unwrap_or(0),
                    kind,
                    body: serde_json::from_str(&stored.body).unwrap_or_default(),
                    device: stored.device,
                };
                let topic = self.topics.topic(&message.device, Part::Says(kind));
                let bytes = serde_json::to_vec(&message).unwrap_or_default();
                self.inside().kept.insert(topic, bytes.into());
            }
        }
        Ok(())
    }

    /// A device has connected; an earlier connection of it ends.
    pub fn join(&self, device: &str, until_s: i64) -> Ears {
        let mut inside = self.inside();
        let ears = inside.ears();
        let known = Known { number: ears.number, line: ears.line.clone(), until_s };
        if let Some(earlier) = inside.devices.insert(device.to_owned(), known) {
            earlier.line.end(End::TakenOver);
        }
        ears
    }

    /// A device's connection has ended. `false` where the device has another one already.
    pub fn leave(&self, device: &str, number: u64) -> bool {
        let mut inside = self.inside();
        if inside.devices.get(device).is_none_or(|known| known.number != number) {
            return false;
        }
        inside.devices.remove(device);
        inside.online.remove(device);
        true
    }

    /// A reader has connected, if there is room.
    pub fn join_reader(&self) -> Option<Ears> {
        let mut inside = self.inside();
        if inside.readers.len() >= READERS {
            return None;
        }
        let ears = inside.ears();
        inside.readers.insert(ears.number, Reader { line: ears.line.clone(), filters: Vec::new() });
        Some(ears)
    }

    /// A reader has gone.
    pub fn leave_reader(&self, number: u64) {
        self.inside().readers.remove(&number);
    }

    /// A reader wants to hear; what is kept is sent to it. `false` where it has too many filters.
    pub fn subscribe(&self, number: u64, filter: &str) -> bool {
        let inside = &mut *self.inside();
        let Some(reader) = inside.readers.get_mut(&number) else { return false };
        if !reader.filters.iter().any(|known| known == filter) {
            if reader.filters.len() >= FILTERS {
                return false;
            }
            reader.filters.push(filter.to_owned());
        }
        true
    }

    /// What is kept and a filter means, from a topic on; a part at a time, as the reader takes it.
    pub fn kept(&self, filter: &str, after: Option<&str>, most: usize) -> Vec<Delivery> {
        let inside = self.inside();
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rest = inside.kept.range::<str, _>((from, std::ops::Bound::Unbounded));
        rest.filter(|(topic, _)| matches(filter, topic))
            .take(most)
            .map(|(topic, payload)| Delivery {
                topic: topic.as_str().into(),
                payload: payload.clone(),
                kept: true,
            })
            .collect()
    }

    /// A reader wants to hear no longer.
    pub fn unsubscribe(&self, number: u64, filter: &str) {
        if let Some(reader) = self.inside().readers.get_mut(&number) {
            reader.filters.retain(|known| known != filter);
        }
    }

    /// What a device said, and what is committed of it, goes to the readers.
    pub fn spread(&self, device: &str, part: Part, payload: &Bytes, keep: bool) {
        let topic = self.topics.topic(device, part);
        let mut inside = self.inside();
        if keep && part.is_kept() {
            inside.kept.insert(topic.clone(), payload.clone());
        }
        let heard = |reader: &&Reader| reader.filters.iter().any(|filter| matches(filter, &topic));
        let delivery = Delivery { topic: topic.as_str().into(), payload: payload.clone(), kept: false };
        for reader in inside.readers.values().filter(heard) {
            reader.line.send(Out::Deliver(delivery.clone()));
        }
    }

    /// A device says whether it is there.
    pub fn is_there(&self, device: &str, payload: &Bytes, keep: bool) {
        let is_online = payload == ONLINE;
        {
            let mut inside = self.inside();
            if is_online {
                inside.online.insert(device.to_owned());
            } else {
                inside.online.remove(device);
            }
        }
        self.spread(device, Part::Available, payload, keep);
    }

    /// Whether a device said that it is there, and is not known to have gone.
    pub fn is_online(&self, device: &str) -> bool {
        self.inside().online.contains(device)
    }

    /// Tells a device something, if it can be reached now.
    pub fn tell(&self, device: &str, command: &Command) {
        if let Some(voice) = self.voice.get() {
            voice.say(self.topics.command(device, command.word()), command.bytes());
            return;
        }
        let line = self.inside().devices.get(device).map(|known| known.line.clone());
        if let Some(line) = line {
            let topic = self.topics.command(device, command.word()).into();
            line.send(Out::Deliver(Delivery { topic, payload: command.bytes(), kept: false }));
        }
    }

    /// Devices that are connected here.
    pub fn connected(&self) -> Vec<String> {
        self.inside().devices.keys().cloned().collect()
    }

    /// Whether devices come by way of a broker.
    pub fn is_outside(&self) -> bool {
        self.voice.get().is_some()
    }

    /// Ends the connections of devices that are let in no more, and of certificates that are too old.
    pub fn end_those(&self, is_let_in: impl Fn(&str) -> bool, now_s: i64) {
        for (device, known) in &self.inside().devices {
            if now_s > known.until_s || !is_let_in(device) {
                known.line.end(End::NotLetIn);
            }
        }
    }

    /// Ends all connections.
    pub fn end_all(&self) {
        let inside = self.inside();
        let lines = inside.devices.values().map(|known| &known.line);
        lines
            .chain(inside.readers.values().map(|reader| &reader.line))
            .for_each(|line| line.end(End::Stopping));
    }

    /// Something may have been published: looks at once.
    pub fn look_now(&self) {
        self.published.notify_one();
    }

    /// Waits until somebody asks to look.
    pub async fn asked_to_look(&self) {
        self.published.notified().await;
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn ears(&mut self) -> Ears {
        self.next += 1;
        let (out, outs) = mpsc::channel(WAITING);
        let (end, ends) = watch::channel(None);
        Ears { out: outs, end: ends, line: Line { out, end }, number: self.next }
    }
}

/// What a device says that is there, and one that is not.
pub const ONLINE: &[u8] = b"online";
/// See [`ONLINE`].
pub const OFFLINE: &[u8] = b"offline";

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";

    fn hub() -> Hub {
        Hub::new(Topics::of("north").unwrap())
    }

    #[test]
    fn a_device_that_connects_anew_ends_its_earlier_connection_and_no_will_follows() {
        let hub = hub();
        let (first, second) = (hub.join(A, 9), hub.join(A, 9));
        assert_eq!(*first.end.borrow(), Some(End::TakenOver));
        hub.is_there(A, &Bytes::from_static(ONLINE), true);
        assert!(!hub.leave(A, first.number), "its will would say that the device is gone");
        assert!(hub.is_online(A));
        assert!(hub.leave(A, second.number) && !hub.is_online(A));
    }

    #[test]
    fn who_does_not_take_what_it_asked_for_is_let_go() {
        let hub = hub();
        let mut ears = hub.join_reader().unwrap();
        assert!(hub.subscribe(ears.number, "stopline/north/+/stats"));
        for _ in 0..=WAITING {
            hub.spread(A, Part::Says(Kind::Stats), &Bytes::from_static(b"{}"), true);
        }
        assert_eq!(*ears.end.borrow(), Some(End::Slow));
        assert!(ears.out.try_recv().is_ok());
        assert!(hub.kept("#", None, 9).is_empty(), "figures are not kept");
    }

    #[test]
    fn what_is_kept_is_read_part_by_part() {
        let hub = hub();
        for n in 0..5 {
            let device = format!("{n:032x}");
            hub.spread(&device, Part::Says(Kind::State), &Bytes::from_static(b"{}"), true);
            hub.is_there(&device, &Bytes::from_static(ONLINE), false);
        }
        let first = hub.kept("stopline/north/+/state", None, 3);
        let rest = hub.kept("stopline/north/+/state", Some(&first[2].topic), 3);
        assert_eq!((first.len(), rest.len()), (3, 2));
    }

    #[test]
    fn a_certificate_that_ends_and_a_device_that_is_revoked_lose_their_connection() {
        let hub = hub();
        let (old, gone, good) = (hub.join("a", 5), hub.join("b", 99), hub.join("c", 99));
        hub.end_those(|device| device != "b", 10);
        let ends = [old, gone, good].map(|ears| *ears.end.borrow());
        assert_eq!(ends, [Some(End::NotLetIn), Some(End::NotLetIn), None]);
    }
}
