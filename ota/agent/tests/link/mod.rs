//! A web server on this machine that can behave as badly as a link: for each request of a model's file the next fault of a list.
//! With or without TLS; what is posted may be answered by a test.
#![allow(dead_code)] // every test program uses another part of it

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Answers a post to a path, with whom the connection is: a status and a body, or none for what every server does.
pub type Answers =
    Box<dyn FnMut(&str, &[u8], Option<&CertificateDer<'static>>) -> Option<(u16, Vec<u8>)> + Send>;

/// What goes wrong with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing more comes after so many bytes.
    Stall(usize),
    /// A byte now and then, for ever.
    Dribble,
    /// The byte at this place of the file is another.
    Corrupt(usize),
    /// A part that was asked for comes shorter, and says so.
    Short(usize),
    /// The whole file comes, whatever was asked for.
    Whole,
    /// The entity tag is another, so that the whole comes to a question that names the old one.
    OtherTag,
    /// It lies elsewhere.
    Redirect(String),
    /// Another status, and how long to wait.
    Status(u16, Option<u64>),
}

#[derive(Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    pub faults: VecDeque<Fault>,
    /// Path, `Range`, `If-Range` of each request of a model's file.
    pub asked: Vec<(String, Option<String>, Option<String>)>,
    /// Bytes of bodies of models' files.
    pub model_bytes: usize,
    /// All bytes both ways.
    pub all_bytes: usize,
    pub requests: usize,
    /// Bodies posted to `/outcomes`.
    pub posted: Vec<Vec<u8>>,
    /// What a post is answered with.
    pub post_status: u16,
    /// Who answers posts before that.
    pub answers: Option<Answers>,
    /// Connections on which no TLS came about, and why.
    pub refused: Vec<String>,
    /// The body of a model's file comes in so many bytes, so long apart.
    pub pace: Option<(usize, Duration)>,
    /// Whether ranges are unknown here: the whole file comes, whatever is asked for.
    pub no_ranges: bool,
}

pub struct Server {
    pub url: String,
    pub state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::start_with(files, None)
    }

    /// Over TLS.
    pub fn start_tls(files: BTreeMap<String, Vec<u8>>, tls: Arc<ServerConfig>) -> Self {
        Self::start_with(files, Some(tls))
    }

    fn start_with(files: BTreeMap<String, Vec<u8>>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { files, post_status: 200, ..State::default() }));
        let served = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let (state, tls) = (served.clone(), tls.clone());
                // A client that goes away ends its connection's thread.
                std::thread::spawn(move || match tls {
                    Some(tls) => drop(serve_tls(stream, tls, &state)),
                    None => drop(serve(stream, None, &state)),
                });
            }
        });
        Self { url, state }
    }

    pub fn set_files(&self, files: BTreeMap<String, Vec<u8>>) {
        self.state.lock().unwrap().files = files;
    }

    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut state = self.state.lock().unwrap();
        state.faults = faults.into_iter().collect();
        (state.model_bytes, state.asked) = (0, Vec::new());
    }

    pub fn model_bytes(&self) -> usize {
        self.state.lock().unwrap().model_bytes
    }

    pub fn asked(&self) -> Vec<(String, Option<String>, Option<String>)> {
        self.state.lock().unwrap().asked.clone()
    }
}

struct Question {
    method: String,
    path: String,
    range: Option<usize>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn serve_tls(mut stream: TcpStream, tls: Arc<ServerConfig>, state: &Mutex<State>) -> io::Result<()> {
    let mut connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut stream) {
            state.lock().unwrap().refused.push(error.to_string());
            // What the client has sent by now is read, or the alert that tells it why would be lost.
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            while stream.read(&mut [0; 1 << 10])? > 0 {}
            return Err(error);
        }
    }
    let peer = connection.peer_certificates().and_then(|chain| chain.first()).cloned();
    serve(StreamOwned::new(connection, stream), peer, state)
}

fn serve<S: Read + Write>(
    stream: S,
    peer: Option<CertificateDer<'static>>,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(question) = question(&mut reader, state)? {
        let stream = reader.get_mut();
        let is_model = question.path.starts_with("/targets/models/");
        let (fault, body) = {
            let mut state = state.lock().unwrap();
            state.requests += 1;
            if question.method == "POST" {
                let own = state
                    .answers
                    .as_mut()
                    .and_then(|answers| answers(&question.path, &question.body, peer.as_ref()));
                let (status, body) = own.unwrap_or_else(|| {
                    state.posted.push(question.body);
                    (state.post_status, Vec::new())
                });
                drop(state);
                reply(stream, status, &[], &body)?;
                continue;
            }
            if is_model {
                let header = |name: &str| question.headers.get(name).cloned();
                let asked = (question.path.clone(), header("range"), header("if-range"));
                state.asked.push(asked);
            }
            let fault = if is_model { state.faults.pop_front() } else { None };
            (fault, state.files.get(&question.path).cloned())
        };
        let Some(body) = body else {
            count(state, reply(stream, 404, &[], b"")?);
            continue;
        };
        if !answer(stream, state, &question, &body, fault, is_model)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the connection goes on.
fn answer(
    stream: &mut (impl Read + Write),
    state: &Mutex<State>,
    question: &Question,
    body: &[u8],
    fault: Option<Fault>,
    is_model: bool,
) -> io::Result<bool> {
    // A sum of the whole is no work for small files; a large one is told apart by its beginning and length.
    let sum = body
        .iter()
        .take(1 << 20)
        .fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let tag = format!("\"{sum:x}-{}\"", body.len());
    let tag = if fault == Some(Fault::OtherTag) { "\"other\"".to_owned() } else { tag };
    if question.headers.get("if-none-match") == Some(&tag) {
        count(state, reply(stream, 304, &[("ETag", &tag)], b"")?);
        return Ok(true);
    }
    match &fault {
        Some(Fault::Status(status, after)) => {
            let after = after.map(|seconds| seconds.to_string());
            let headers: Vec<_> = after.iter().map(|after| ("Retry-After", after.as_str())).collect();
            reply(stream, *status, &headers, b"")?;
            return Ok(true);
        }
        Some(Fault::Redirect(to)) => {
            reply(stream, 302, &[("Location", to)], b"")?;
            return Ok(true);
        }
        _ => {}
    }
    let named = question.headers.get("if-range");
    let (pace, no_ranges) = {
        let state = state.lock().unwrap();
        (state.pace.filter(|_| is_model), state.no_ranges)
    };
    let ranged = question.range.filter(|from| {
        *from < body.len()
            && !no_ranges
            && fault != Some(Fault::Whole)
            && named.is_none_or(|named| *named == tag)
    });
    let from = ranged.unwrap_or(0);
    let mut part = body[from..].to_vec();
    match &fault {
        Some(Fault::Corrupt(at)) if *at >= from => part[at - from] ^= 0x20,
        Some(Fault::Short(length)) if ranged.is_some() => part.truncate(*length),
        _ => {}
    }
    let length = part.len();
    let range = format!("bytes {from}-{}/{}", from + length.max(1) - 1, body.len());
    let mut headers = vec![("ETag", tag.as_str()), ("Accept-Ranges", "bytes")];
    if ranged.is_some() {
        headers.push(("Content-Range", &range));
    }
    let head = head(if ranged.is_some() { 206 } else { 200 }, &headers, length);
    stream.write_all(head.as_bytes())?;
    count(state, head.len());
    let sent = match fault {
        Some(Fault::Cut(after) | Fault::Stall(after)) => after.min(length),
        Some(Fault::Dribble) => 0,
        _ => length,
    };
    let (size, pause) = pace.unwrap_or((16 << 10, Duration::ZERO));
    for piece in part[..sent].chunks(size) {
        // Over a link a client that does not want the body has gone before much of it is on its way.
        std::thread::sleep(pause);
        stream.write_all(piece)?;
        stream.flush()?;
        let mut state = state.lock().unwrap();
        state.all_bytes += piece.len();
        state.model_bytes += if is_model { piece.len() } else { 0 };
    }
    stream.flush()?;
    match fault {
        Some(Fault::Cut(_)) => Ok(false),
        Some(Fault::Stall(_)) => {
            // Until the other side gives up.
            let _ = stream.read(&mut [0; 1]);
            Ok(false)
        }
        Some(Fault::Dribble) => {
            for byte in part {
                stream.write_all(&[byte])?;
                state.lock().unwrap().model_bytes += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(false)
        }
        _ => Ok(true),
    }
}

fn question(reader: &mut BufReader<impl Read>, state: &Mutex<State>) -> io::Result<Option<Question>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut bytes = first.len();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        bytes += reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    count(state, bytes + length);
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // As a proxy it is asked for whole addresses.
    let path = target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(0)..]);
    let range =
        headers.get("range").and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    Ok(Some(Question { method: method.into(), path: path.into(), range, headers, body }))
}

fn head(status: u16, headers: &[(&str, &str)], length: usize) -> String {
    let mut text = format!("HTTP/1.1 {status} x\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if status != 304 {
        text += &format!("Content-Length: {length}\r\n");
    }
    text + "\r\n"
}

fn reply(stream: &mut impl Write, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<usize> {
    let head = head(status, headers, body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    Ok(head.len() + body.len())
}

fn count(state: &Mutex<State>, bytes: usize) {
    state.lock().unwrap().all_bytes += bytes;
}
