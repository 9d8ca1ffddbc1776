//! The fleet's server as records and messages meet it: over TLS that shows this device's certificate, and every answer of its
//! own says so in the header `Stopline`. What answers without it is somebody between: a captive portal, a proxy, a stranger.
//! Nothing is concluded from what such a one says.

use std::path::Path;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, RETRY_AFTER};
use stopline_depot::digest::Digest;
use tokio::runtime::Handle;

use crate::agent::without_redirects;
use crate::clock::Clock;
use crate::config::Download;
use crate::http::{Answer, Http, HttpError};
use crate::tls::Papers;

/// Every answer of the fleet's server has it.
pub const OURS: HeaderName = HeaderName::from_static("stopline");
/// In which boot this device lives: the server knows by it that a copy of it lives elsewhere.
const BOOT: HeaderName = HeaderName::from_static("stopline-boot");
/// Bytes of an answer, at most.
const LIMIT: u64 = 256 << 10;
/// Bodies from so many bytes on are packed, where the server takes it and a two-hundredth is saved.
const WORTH_PACKING: usize = 1_024;

/// What a question came to, where it was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody answered.
    #[error("{0}")]
    Network(#[from] HttpError),
    /// Somebody else answered: a captive portal, most likely.
    #[error(
        "{url}: status {status} without the fleet's header: a captive portal or a proxy answers in its place. Log in to the \
         network, or ask its owner to let this address through; until then everything waits"
    )]
    Stranger {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The server does not know who asks: 401.
    #[error(
        "{url}: the server asks for a log-in (401). Is this device's certificate there and good? `stopline-agent status`"
    )]
    LogIn {
        /// What was asked for.
        url: String,
    },
    /// The server knows who asks, and does not let it: 403.
    #[error("{url}: the server does not let this device in (403): {problem}")]
    Revoked {
        /// What was asked for.
        url: String,
        /// What the server says.
        problem: String,
    },
    /// The server does not understand it: 400, 422.
    #[error("{url}: the server does not understand it ({status}): {problem}")]
    NotUnderstood {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// What the server says.
        problem: String,
    },
    /// More than the server takes: 413.
    #[error("{url}: more than the server takes (413)")]
    TooBig {
        /// What was asked for.
        url: String,
    },
    /// Not now: 429, 5xx, and all that has no meaning here.
    #[error("{url}: status {status}")]
    Later {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// Seconds to wait, where the server says so.
        after_s: Option<u64>,
    },
}

impl Refusal {
    /// A stable word for the log, the state and the figures.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Network(HttpError::Stalled { .. }) => "stalled",
            Self::Network(_) => "network",
            Self::Stranger { .. } => "captive_portal",
            Self::LogIn { .. } => "log_in",
            Self::Revoked { .. } => "revoked",
            Self::NotUnderstood { .. } => "not_understood",
            Self::TooBig { .. } => "too_big",
            Self::Later { .. } => "server",
        }
    }
}

/// An answer of the fleet's server.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status: 200 to 299, or 409.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

/// A way to the fleet's server. What it shows and believes is read anew when it changes on disk.
#[derive(Debug)]
pub struct Line {
    base: String,
    settings: Download,
    papers: Papers,
    mark: Digest,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    http: Http,
    /// Whether the server says that it takes zstd (RFC 7694).
    packs: bool,
}

impl Line {
    /// To the server at `base`; connections live on `runtime`, on which the caller must not be.
    ///
    /// # Errors
    /// [`HttpError::Setup`].
    pub fn open(
        base: &str,
        settings: &Download,
        papers: Papers,
        runtime: Handle,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let settings = without_redirects(settings);
        let mark = papers.mark();
        let http = client(&settings, &papers, &runtime, &clock)?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { base, settings, papers, mark, runtime, clock, http, packs: false })
    }

    /// Asks for a path below the base. A body is packed where the server takes it and it pays.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Vec<u8>,
    ) -> Result<Reply, Refusal> {
        self.take_up();
        let url = format!("{}/{path}", self.base);
        let mut headers = headers.to_vec();
        headers.push((BOOT, crate::clock::boot_id()));
        let body = match self.packed(&body) {
            Some(packed) => {
                headers.push((CONTENT_ENCODING, "zstd".into()));
                packed
            }
            None => body,
        };
        let answer = self.http.ask(method, &url, &headers, body)?;
        let status = answer.status();
        let Some(header) = answer.header(&OURS) else { return Err(Refusal::Stranger { url, status }) };
        tracing::trace!("{url}: {status}, Stopline: {header}");
        self.packs = answer.header(&ACCEPT_ENCODING).is_some_and(|codings| codings.contains("zstd"));
        judge(url, answer)
    }

    /// A client of somebody else's server, over the same network: nothing of this device is shown to it. Believed are the system's
    /// authorities, or those of a file.
    ///
    /// # Errors
    /// [`HttpError::Setup`].
    pub fn to_stranger(&self, authorities: Option<&Path>) -> Result<Http, HttpError> {
        let tls = self.papers.stranger(authorities).map_err(|error| HttpError::Setup(error.to_string()))?;
        Http::new(&self.settings, tls, self.runtime.clone(), self.clock.clone())
    }

    /// Bytes that came and went since this was last asked, about.
    pub fn take_received(&self) -> u64 {
        self.http.take_received()
    }

    /// The device's papers.
    pub fn papers(&self) -> &Papers {
        &self.papers
    }

    fn packed(&self, body: &[u8]) -> Option<Vec<u8>> {
        if !self.packs || body.len() < WORTH_PACKING {
            return None;
        }
        let packed = zstd::bulk::compress(body, 3).ok()?;
        (packed.len() <= body.len() - body.len() / 200).then_some(packed)
    }

    fn take_up(&mut self) {
        let mark = self.papers.mark();
        if mark == self.mark {
            return;
        }
        match client(&self.settings, &self.papers, &self.runtime, &self.clock) {
            Ok(http) => (self.http, self.mark) = (http, mark),
            Err(error) => {
                tracing::warn!(id = "ota.certificate.unusable", "{error}; the old one stays in use");
            }
        }
    }
}

fn client(
    settings: &Download,
    papers: &Papers,
    runtime: &Handle,
    clock: &Arc<dyn Clock>,
) -> Result<Http, HttpError> {
    let tls = papers.client().map_err(|error| HttpError::Setup(error.to_string()))?;
    Http::new(settings, tls, runtime.clone(), clock.clone())
}

fn judge(url: String, answer: Answer) -> Result<Reply, Refusal> {
    let status = answer.status();
    let after_s = answer.header(&RETRY_AFTER).and_then(|text| text.trim().parse().ok());
    let body = |answer: Answer| answer.body(LIMIT);
    match status {
        200..=299 | 409 => Ok(Reply { status, body: body(answer)? }),
        401 => Err(Refusal::LogIn { url }),
        403 => Err(Refusal::Revoked { url, problem: problem(body(answer)) }),
        400 | 422 => Err(Refusal::NotUnderstood { url, status, problem: problem(body(answer)) }),
        413 => Err(Refusal::TooBig { url }),
        _ => Err(Refusal::Later { url, status, after_s }),
    }
}

/// What the server says went wrong, in a line.
fn problem(body: Result<Vec<u8>, HttpError>) -> String {
    let said = body.ok().and_then(|body| serde_json::from_slice::<serde_json::Value>(&body).ok());
    let said = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or("it does not say why");
    said.chars().filter(|c| !c.is_control()).take(200).collect()
}
