//! The fleet's server as the agent meets it: batches and messages over TLS that asks for the device's certificate, on a link
//! and behind a portal that behave as badly as a test wants. What it keeps is what it has told the device of.
#![allow(dead_code)] // every test program uses another part of it

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use stopline_agent::budget::sockets::{Carried, carried};
use stopline_depot::batch::{Batch, BatchState, Receipt, Received, judge};
use stopline_depot::digest::Digest;
use stopline_depot::message::{self, Acknowledge, Message, Receipts, read_lines};
use stopline_depot::placing::{Place, Placing};
use stopline_depot::versioned;

use crate::authority::name_and_key;

/// What goes wrong with one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing does.
    Nothing,
    /// The connection ends after so many bytes of the question's body; what came is kept.
    Cut(usize),
    /// The server has lost the last so many bytes of what came of the batch.
    Forget(usize),
    /// All of it is done, and the connection ends before the answer.
    NoAnswer,
    /// A status of the server's own, and how long to wait.
    Status(u16, Option<u64>),
    /// A captive portal answers: its log-in page.
    Portal,
    /// A captive portal sends elsewhere.
    PortalRedirect,
}

#[derive(Default)]
pub struct State {
    /// What came of each batch that is not whole.
    pub parts: BTreeMap<String, Vec<u8>>,
    /// Receipts of whole ones.
    pub done: BTreeMap<String, Vec<Receipt>>,
    /// Records that are kept.
    pub records: BTreeMap<Digest, Vec<u8>>,
    pub faults: VecDeque<Fault>,
    /// Every question meets this, while it is set.
    pub always: Option<Fault>,
    pub not_wanted: BTreeSet<Digest>,
    /// Batches with this record are not understood.
    pub poison: BTreeSet<Digest>,
    /// Bytes of a batch, at most.
    pub most_bytes: Option<usize>,
    pub packs: bool,
    /// Whether the link is there.
    pub away: bool,
    /// Method and path of each question, with the offset of a PATCH.
    pub asked: Vec<(String, String, Option<usize>)>,
    /// Bytes of bodies of PATCH questions as they came.
    pub patch_bytes: usize,
    /// Requests with such a message are refused.
    pub not_understood: Vec<message::Kind>,
    pub seqs: BTreeSet<(String, u64)>,
    pub messages: Vec<Message>,
    /// What waits for the device.
    pub acknowledge: Vec<Acknowledge>,
    pub orders: Vec<stopline_depot::order::Order>,
    /// Diagnostic bundles that came, by order, and other answers.
    pub diagnoses: Vec<(String, Vec<u8>)>,
    pub answers: Vec<stopline_depot::order::Answer>,
    /// Posted elsewhere: a web hook's calls, and what they are answered.
    pub hooks: Vec<(BTreeMap<String, String>, serde_json::Value)>,
    pub hook_status: Option<u16>,
    /// What each connection that has ended carried.
    pub carried: Vec<Carried>,
    /// Where batches may be put; none: this server gives no places.
    pub store: Option<String>,
    /// What lies in the store, by path.
    pub put: BTreeMap<String, Vec<u8>>,
    /// Bytes of bodies of PUT questions as they came.
    pub put_bytes: usize,
    /// Headers of each PUT, and whether TLS showed a certificate.
    pub puts: Vec<(BTreeMap<String, String>, bool)>,
    /// Headers that a place asks for.
    pub place_headers: Vec<(String, String)>,
    /// The store says yes and keeps nothing.
    pub store_lies: bool,
}

pub struct Lab {
    pub url: String,
    pub state: Arc<Mutex<State>>,
}

impl Lab {
    pub fn start(tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                if served.lock().unwrap().away {
                    continue;
                }
                let (state, tls) = (served.clone(), tls.clone());
                // A client that goes away ends its connection's thread.
                std::thread::spawn(move || drop(serve(stream, tls, &state)));
            }
        });
        Self { url, state }
    }

    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }
}

struct Question {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    whole: bool,
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

fn serve(mut stream: TcpStream, tls: Arc<ServerConfig>, state: &Mutex<State>) -> io::Result<()> {
    let mut connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let peer = connection.peer_certificates().and_then(|chain| chain.first()).cloned();
    let peer = peer.map(|peer| name_and_key(&peer));
    let counter = stream.try_clone()?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let done = questions(&mut reader, peer, state);
    // Before it closes: what it carried both ways, as the kernel counted it.
    state.lock().unwrap().carried.push(carried(&counter).unwrap_or_default());
    done
}

fn questions(
    reader: &mut BufReader<Tls>,
    peer: Option<(String, Vec<u8>)>,
    state: &Mutex<State>,
) -> io::Result<()> {
    loop {
        let fault = |state: &mut State| state.always.clone().or_else(|| state.faults.pop_front());
        let Some(question) = question(reader, || fault(&mut state.lock().unwrap()))? else { return Ok(()) };
        let (question, fault) = question;
        let mut state = state.lock().unwrap();
        if state.away {
            return Ok(());
        }
        let offset = question.headers.get("upload-offset").and_then(|text| text.parse().ok());
        state.asked.push((question.method.clone(), question.path.clone(), offset));
        let packs = state.packs;
        let (status, after, body) = match &fault {
            Some(Fault::Status(status, after)) => {
                (*status, *after, br#"{"error": "as the test wants"}"#.to_vec())
            }
            Some(Fault::Portal) => {
                drop(state);
                let page = "<html>Welcome to the hotel. Please log in.</html>";
                write!(reader.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len())?;
                reader.get_mut().flush()?;
                continue;
            }
            Some(Fault::PortalRedirect) => {
                drop(state);
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 302 F\r\nLocation: https://portal.example/\r\nContent-Length: 0\r\n\r\n"
                )?;
                reader.get_mut().flush()?;
                continue;
            }
            _ => {
                if let Some(Fault::Forget(lost)) = fault {
                    state.parts.values_mut().for_each(|part| part.truncate(part.len().saturating_sub(lost)));
                }
                let (status, body) = answer(&mut state, &question, peer.as_ref());
                (status, None, body)
            }
        };
        drop(state);
        if !question.whole || fault == Some(Fault::NoAnswer) {
            return Ok(());
        }
        let stream = reader.get_mut();
        let after = after.map(|after| format!("Retry-After: {after}\r\n")).unwrap_or_default();
        let packs = if packs { "Accept-Encoding: zstd\r\n" } else { "" };
        let is_ours = !["/hook", "/bucket"].iter().any(|other| question.path.starts_with(other));
        let ours = if !is_ours { "" } else { "Stopline: 1\r\n" };
        write!(stream, "HTTP/1.1 {status} x\r\n{ours}{packs}{after}Content-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(&body)?;
        stream.flush()?;
    }
}

fn answer(state: &mut State, question: &Question, peer: Option<&(String, Vec<u8>)>) -> (u16, Vec<u8>) {
    if question.path.starts_with("/hook") {
        let body = serde_json::from_slice(&question.body).unwrap();
        state.hooks.push((question.headers.clone(), body));
        return (state.hook_status.unwrap_or(200), Vec::new());
    }
    if question.path.starts_with("/bucket") {
        return stored(state, question, peer.is_some());
    }
    let Some((device, key)) = peer else { return (401, b"{}".to_vec()) };
    let key: [u8; 32] = key.as_slice().try_into().unwrap();
    if question.path == "/v1/messages" {
        return messages(state, question, device);
    }
    if let Some(id) = question.path.strip_prefix("/v1/diagnoses/") {
        state.diagnoses.push((id.to_owned(), plain(question, 1 << 20)));
        return (200, br#"{"schema":1}"#.to_vec());
    }
    if question.path == "/v1/answers" {
        state.answers.push(versioned::read(&plain(question, 4 << 10)).unwrap());
        return (200, br#"{"schema":1}"#.to_vec());
    }
    let Some(id) = question.path.strip_prefix("/v1/batches/") else { return (404, b"{}".to_vec()) };
    if let Some(id) = id.strip_suffix("/place") {
        return placed(state, question, id, device, &key);
    }
    if question.method == "PATCH"
        && let Some(refused) = patch(state, question, id, device, &key)
    {
        return refused;
    }
    let offset = state.parts.get(id).map_or(0, Vec::len) as u64;
    let done = state.done.get(id).cloned();
    let answer =
        done.map_or_else(|| BatchState::at(offset), |receipts| BatchState::committed(offset, receipts));
    (200, versioned::write(&answer).unwrap())
}

/// Takes in a piece; what is answered where it is not taken.
fn patch(
    state: &mut State,
    question: &Question,
    id: &str,
    device: &str,
    key: &[u8; 32],
) -> Option<(u16, Vec<u8>)> {
    let number = |name: &str| question.headers.get(name).and_then(|text| text.parse::<usize>().ok()).unwrap();
    let (offset, length) = (number("upload-offset"), number("upload-length"));
    if state.most_bytes.is_some_and(|most| length > most) {
        return Some((413, b"{}".to_vec()));
    }
    state.patch_bytes += question.body.len();
    let part = state.parts.entry(id.to_owned()).or_default();
    if part.len() != offset {
        let at = serde_json::json!({"schema": 1, "offset": part.len(), "error": "go on from this offset"});
        return Some((409, at.to_string().into_bytes()));
    }
    match question.headers.get("content-encoding").map(String::as_str) {
        None => part.extend(&question.body),
        Some("zstd") if question.whole => {
            part.extend(zstd::bulk::decompress(&question.body, 8 << 20).unwrap())
        }
        Some(_) => {}
    }
    if part.len() < length {
        return None;
    }
    let tar = part.clone();
    take_in(state, id, device, key, &tar)
}

/// A batch that is whole; what is answered where it is not taken.
fn take_in(state: &mut State, id: &str, device: &str, key: &[u8; 32], tar: &[u8]) -> Option<(u16, Vec<u8>)> {
    assert_eq!(Digest::of(tar).to_string(), id, "the bytes are those of the name");
    let batch = Batch::read(tar).unwrap();
    assert_eq!(batch.manifest().device, device, "the device is the certificate's");
    if batch.records().any(|(entry, _)| state.poison.contains(&entry.digest)) {
        state.parts.remove(id);
        return Some((422, br#"{"error": "a record that this server cannot read"}"#.to_vec()));
    }
    let take = |state: &mut State, (entry, content): (&stopline_depot::batch::Entry, &[u8])| {
        let result = if judge(device, key, entry, content).is_err() {
            Received::Bad
        } else if state.not_wanted.contains(&entry.digest) {
            Received::NotWanted
        } else if state.records.insert(entry.digest, content.to_vec()).is_some() {
            Received::Known
        } else {
            Received::Stored
        };
        Receipt { digest: entry.digest, result }
    };
    let receipts = batch.records().map(|record| take(state, record)).collect();
    state.done.insert(id.to_owned(), receipts);
    None
}

/// The store: takes what is put, and knows nobody.
fn stored(state: &mut State, question: &Question, peer: bool) -> (u16, Vec<u8>) {
    state.put_bytes += question.body.len();
    state.puts.push((question.headers.clone(), peer));
    let (path, query) = question.path.split_once('?').unwrap_or((&question.path, ""));
    if question.method != "PUT" || query != "signature=47" {
        return (403, b"<Error><Code>AccessDenied</Code></Error>".to_vec());
    }
    if question.whole && !state.store_lies {
        state.put.insert(path.to_owned(), question.body.clone());
    }
    (200, Vec::new())
}

/// A place for a batch, or its receipts where it lies there.
fn placed(state: &mut State, question: &Question, id: &str, device: &str, key: &[u8; 32]) -> (u16, Vec<u8>) {
    let Some(store) = state.store.clone() else {
        return (404, br#"{"error": "there is nothing here"}"#.to_vec());
    };
    let length: usize = question.headers["upload-length"].parse().unwrap();
    let path = format!("/bucket/incoming/{device}/{id}");
    let (mut done, mut place) = (state.done.get(id).cloned(), None);
    if done.is_none()
        && let Some(tar) = state.put.remove(&path)
    {
        assert_eq!(tar.len(), length);
        if let Some(refused) = take_in(state, id, device, key, &tar) {
            return refused;
        }
        done = state.done.get(id).cloned();
    }
    if done.is_none() {
        let url = format!("{store}{path}?signature=47");
        place = Some(Place { url, headers: state.place_headers.clone(), expires: 4_000_000_000 });
    }
    let state = done.map(|done| BatchState::committed(length as u64, done));
    // Not checked here: what a server may say that is no place is the device's to refuse.
    (200, serde_json::to_vec(&Placing { schema: 1, state, place }).unwrap())
}

fn messages(state: &mut State, question: &Question, device: &str) -> (u16, Vec<u8>) {
    let body = plain(question, message::MAX_LINES_BYTES);
    let all: Vec<Message> = read_lines(&body).unwrap().into_iter().map(Result::unwrap).collect();
    if all.iter().any(|message| state.not_understood.contains(&message.kind)) {
        return (422, br#"{"error": "a kind that this server does not know"}"#.to_vec());
    }
    let mut receipts = Vec::new();
    for message in read_lines(&body).unwrap() {
        let message = message.unwrap();
        assert_eq!(message.device, device);
        receipts.push(message.receipt());
        if state.seqs.insert((message.boot_id.clone(), message.seq)) {
            state.messages.push(message);
        }
    }
    let (acknowledge, orders) = (state.acknowledge.clone(), state.orders.clone());
    let answer = Receipts { schema: 1, receipts, acknowledge, orders };
    (200, versioned::write(&answer).unwrap())
}

/// A body as it was before it was packed.
fn plain(question: &Question, most: usize) -> Vec<u8> {
    match question.headers.get("content-encoding").map(String::as_str) {
        Some("zstd") => zstd::bulk::decompress(&question.body, most).unwrap(),
        _ => question.body.clone(),
    }
}

/// A question, as far as the link lets it come.
fn question(
    reader: &mut BufReader<Tls>,
    mut fault: impl FnMut() -> Option<Fault>,
) -> io::Result<Option<(Question, Option<Fault>)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let fault = fault();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let read = match &fault {
        Some(Fault::Cut(after)) => length.min(*after),
        _ => length,
    };
    let mut body = vec![0; read];
    reader.read_exact(&mut body)?;
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let whole = !matches!(fault, Some(Fault::Cut(_)));
    Ok(Some((Question { method: method.into(), path: path.into(), headers, body, whole }, fault)))
}
