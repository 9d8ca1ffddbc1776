//! What devices say is taken in: the rules are the same whether it came by HTTPS or over MQTT, from the end point here or
//! from a broker of its own.
//!
//! Over MQTT many devices say little each; their messages share a transaction, and each has its answer after the commit.
//! What is not understood is put aside with an alarm, and has its receipt too: it must not come again and again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::message::{Message, Receipt};
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::versioned;
use tokio::sync::mpsc;

use super::database::Writing;
use super::database::devices::{Device, Standing};
use super::mqtt::topics::Part;
use super::server::Server;
use crate::exit::Result;

/// Messages in one transaction, at most.
const TOGETHER: usize = 256;
/// Messages that wait for one, at most; beyond them connections are read no further.
const WAITING: usize = 1_024;

/// Something that a device said, before anybody has looked at it.
pub struct Letter {
    /// The device, by its certificate.
    pub device: String,
    /// What it is to be: a message or an outcome.
    pub part: Part,
    /// Its content.
    pub bytes: Bytes,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is in the database.
    Committed(Receipt),
    /// It was put aside; with a receipt where it says what it is.
    PutAside(Option<Receipt>),
    /// The device is not let in.
    NotLetIn(&'static str),
    /// The database did not take it: it should come again.
    NotNow,
}

/// Hears what became of a letter, after the commit. It must not wait for anything.
pub type Done = Box<dyn FnOnce(Taken) + Send>;

/// Where letters go.
#[derive(Clone)]
pub struct Ingest {
    waiting: mpsc::Sender<(Letter, Done)>,
}

/// Letters that wait.
pub struct Waiting(mpsc::Receiver<(Letter, Done)>);

impl Ingest {
    /// Both ends.
    pub fn new() -> (Self, Waiting) {
        let (waiting, letters) = mpsc::channel(WAITING);
        (Self { waiting }, Waiting(letters))
    }

    /// Gives a letter; waits where many wait.
    pub async fn give(&self, letter: Letter, done: Done) {
        if let Err(mpsc::error::SendError((_, done))) = self.waiting.send((letter, done)).await {
            done(Taken::NotNow);
        }
    }
}

/// Takes letters in for as long as the server lives.
pub async fn work(server: Arc<Server>, mut waiting: Waiting) {
    let mut together = Vec::with_capacity(TOGETHER);
    while waiting.0.recv_many(&mut together, TOGETHER).await > 0 {
        let (letters, dones): (Vec<Letter>, Vec<Done>) = together.drain(..).unzip();
        let taken = take_all(&server, &letters).await;
        for (done, taken) in dones.into_iter().zip(taken) {
            done(taken);
        }
    }
}

/// One answer for each letter. What fails together is tried one by one: one letter that the database refuses must not hold
/// up the others.
async fn take_all(server: &Server, letters: &[Letter]) -> Vec<Taken> {
    match take(server, letters).await {
        Ok(taken) => taken,
        Err(failure) if letters.len() == 1 => {
            tracing::error!(id = "serve.ingest", device = letters[0].device, "{failure}");
            vec![Taken::NotNow]
        }
        Err(failure) => {
            tracing::warn!(
                id = "serve.ingest",
                "{} messages together: {failure}; one by one now",
                letters.len()
            );
            let mut all = Vec::with_capacity(letters.len());
            for letter in letters.chunks(1) {
                all.extend(take(server, letter).await.unwrap_or_else(|failure| {
                    tracing::error!(id = "serve.ingest", device = letter[0].device, "{failure}");
                    vec![Taken::NotNow]
                }));
            }
            all
        }
    }
}

async fn take(server: &Server, letters: &[Letter]) -> Result<Vec<Taken>> {
    let now_s = server.now_s();
    let mut known: HashMap<&str, Option<Device>> = HashMap::new();
    let mut writing = server.database.write().await?;
    let (mut taken, mut alarms) = (Vec::with_capacity(letters.len()), Vec::new());
    for letter in letters {
        if !known.contains_key(letter.device.as_str()) {
            let device = writing.device(&letter.device).await?;
            if let Some(device) = device.as_ref().filter(|device| device.standing == Standing::Active) {
                writing.seen(device, now_s).await?;
            }
            known.insert(&letter.device, device);
        }
        let device = match known.get(letter.device.as_str()).and_then(Option::as_ref) {
            Some(device) if device.standing == Standing::Active => device,
            Some(device) => {
                taken.push(Taken::NotLetIn(device.standing.word()));
                continue;
            }
            None => {
                taken.push(Taken::NotLetIn("not enrolled"));
                continue;
            }
        };
        taken.push(match read(device, letter.part, &letter.bytes) {
            Ok(Read::Message(message)) => {
                writing.add_message(&message, now_s).await?;
                Taken::Committed(message.receipt())
            }
            Ok(Read::Outcome(signed)) => {
                writing.add_outcome(&signed, now_s).await?;
                let outcome = signed.outcome;
                Taken::Committed(Receipt { boot_id: outcome.boot_id, seq: outcome.seq })
            }
            Err(problem) => {
                let receipt =
                    put_aside(&mut writing, device, (letter.part.word(), &problem), &letter.bytes, now_s)
                        .await?;
                alarms.push((device.id.clone(), problem));
                Taken::PutAside(receipt)
            }
        });
    }
    writing.commit().await?;
    for (device, problem) in alarms {
        server.alarms.raise(server, &device, "message", &problem);
    }
    Ok(taken)
}

#[derive(Debug)]
enum Read {
    Message(Box<Message>),
    Outcome(Box<SignedOutcome>),
}

/// Reads what a device said on one of its topics.
fn read(device: &Device, part: Part, bytes: &[u8]) -> Result<Read, String> {
    match part {
        Part::Available => {
            Err("available: it is told here whether a device is there, and nothing else".into())
        }
        Part::Says(kind) => {
            let message: Message = versioned::read(bytes).map_err(|error| error.to_string())?;
            check_message(device, &message)?;
            if message.kind != kind {
                return Err(format!("a {} on the topic of a {}", message.kind.topic(), kind.topic()));
            }
            Ok(Read::Message(Box::new(message)))
        }
        Part::Update => {
            let signed: SignedOutcome = versioned::read(bytes).map_err(|error| error.to_string())?;
            check_outcome(device, &signed)?;
            Ok(Read::Outcome(Box::new(signed)))
        }
    }
}

/// Whether a message may count as this device's.
///
/// # Errors
/// In words, why not.
pub fn check_message(device: &Device, message: &Message) -> Result<(), String> {
    if message.device != device.id {
        return Err(format!("a message of device {}; this is device {}", message.device, device.id));
    }
    check_seq(message.seq)
}

/// Whether an outcome may count as this device's: it names it, and is signed by the key under which it is enrolled.
///
/// # Errors
/// In words, why not.
pub fn check_outcome(device: &Device, signed: &SignedOutcome) -> Result<(), String> {
    if signed.outcome.device != device.id {
        return Err(format!("an outcome of device {}; this is device {}", signed.outcome.device, device.id));
    }
    let key = device.key.parse::<Digest>().ok();
    if !key.is_some_and(|key| signed.is_signed_by(key.as_bytes())) {
        return Err("it is not signed by the key under which this device is enrolled".into());
    }
    check_seq(signed.outcome.seq)
}

/// The database counts to 2^63 − 1.
fn check_seq(seq: u64) -> Result<(), String> {
    i64::try_from(seq).map(drop).map_err(|_| format!("seq: {seq}; at most {} is expected", i64::MAX))
}

/// Puts what was not understood aside; its receipt, if it says what it is and is the device's own.
///
/// # Errors
/// The database's.
pub async fn put_aside(
    writing: &mut Writing,
    device: &Device,
    (what, problem): (&str, &str),
    bytes: &[u8],
    now_s: i64,
) -> Result<Option<Receipt>> {
    #[derive(Deserialize)]
    struct Envelope {
        device: String,
        boot_id: String,
        seq: u64,
    }
    tracing::warn!(id = "serve.dead_letter", device = device.id, "{what} was not understood: {problem}");
    writing.put_aside(&device.id, (what, problem, &String::from_utf8_lossy(bytes)), now_s).await?;
    // An outcome has its envelope one level below.
    let outer = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
    let inner = outer.get("outcome").filter(|_| what == Part::Update.word()).unwrap_or(&outer);
    let envelope = Envelope::deserialize(inner).ok();
    let own = envelope.filter(|envelope| envelope.device == device.id);
    Ok(own.map(|envelope| Receipt { boot_id: envelope.boot_id, seq: envelope.seq }))
}

/// What somebody should look at, in the audit log: once in a while for each device and matter, with how often it was since.
#[derive(Debug, Default)]
pub struct Alarms {
    told: std::sync::Mutex<HashMap<(String, &'static str), Told>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Told {
    at_s: i64,
    since: u64,
}

/// Seconds between two lines of one device and matter.
const AGAIN_S: i64 = 600;
/// Devices and matters that are remembered, at most.
const MATTERS: usize = 10_000;

impl Alarms {
    /// Raises one. Says whether a line was written, so that what goes with it is bounded too.
    pub fn raise(&self, server: &Server, device: &str, matter: &'static str, words: &str) -> bool {
        let now_s = server.now_s();
        let Some(times) = self.is_due(device, matter, now_s) else { return false };
        tracing::error!(id = "serve.alarm", device, matter, "{words}");
        let detail = json!({"device": device, "matter": matter, "words": words, "times": times});
        if let Err(failure) = server.write_down("serve", "alarm", detail) {
            tracing::error!(id = "serve.audit", "{failure}");
        }
        true
    }

    /// How often it was since the last line, this time counted, if a line is due.
    fn is_due(&self, device: &str, matter: &'static str, now_s: i64) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.len() > MATTERS {
            told.retain(|_, told| now_s - told.at_s < AGAIN_S);
        }
        let is_full = told.len() > MATTERS;
        let key = (device.to_owned(), matter);
        if is_full && !told.contains_key(&key) {
            return None;
        }
        let entry = told.entry(key).or_default();
        entry.since += 1;
        if entry.at_s != 0 && now_s - entry.at_s < AGAIN_S {
            return None;
        }
        entry.at_s = now_s;
        Some(std::mem::take(&mut entry.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_told_once_in_a_while_with_how_often_it_was() {
        let alarms = Alarms::default();
        let due = |device: &str, at_s: i64| alarms.is_due(device, "topic", 1_000 + at_s);
        assert_eq!(due("a", 0), Some(1));
        assert_eq!((due("a", 1), due("a", 599)), (None, None));
        assert_eq!(due("b", 2), Some(1));
        assert_eq!(due("a", 600), Some(3));
    }

    #[test]
    fn the_alarms_of_very_many_devices_take_bounded_room() {
        let alarms = Alarms::default();
        for n in 0..MATTERS + 100 {
            alarms.is_due(&n.to_string(), "topic", 1_000);
        }
        assert!(alarms.told.lock().unwrap().len() <= MATTERS + 1);
        assert_eq!(alarms.is_due("late", "topic", 1_000), None);
        assert_eq!(alarms.is_due("late", "topic", 2_000), Some(1));
    }
}
