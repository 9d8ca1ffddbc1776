//! HTTP for a caller that waits: one request at a time, bounded in length, given up when it stalls.

mod putting;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::config::Download;

pub use putting::Putting;
pub(crate) use putting::plain;

/// Bytes of a request line and headers and of those that come back, about: they count towards the budget.
const HEADERS: u64 = 400;

/// A client of HTTP servers.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    stall: Duration,
    least_bytes: u64,
    received: Arc<AtomicU64>,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection failed, or an answer that is none came.
    #[error("{url}: {source}")]
    Failed {
        /// What was asked for.
        url: String,
        /// The cause in words, with the causes below it.
        source: Cause,
    },
    /// Too few bytes came for too long.
    #[error("{url}: fewer than {least_bytes} bytes in {seconds} s; given up")]
    Stalled {
        /// What was asked for.
        url: String,
        /// Bytes that were to come.
        least_bytes: u64,
        /// Seconds.
        seconds: u64,
    },
    /// The server's answer is no use here.
    #[error("{url}: status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// Seconds after which it may be asked again, where the server says so.
        retry_after_s: Option<u64>,
    },
    /// More than was allowed.
    #[error("{url}: more than the {limit} bytes allowed")]
    TooLong {
        /// What was asked for.
        url: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// No client can be made.
    #[error("http: {0}")]
    Setup(String),
}

/// A chain of causes in one line.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    /// An error with the causes below it, those left out that are in its own words already.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut below = error.source();
        while let Some(cause) = below {
            let words = cause.to_string();
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            below = cause.source();
        }
        Self(text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// An answer whose body comes piece by piece.
pub struct Answer {
    url: String,
    response: reqwest::Response,
    http: Http,
    window: (u64, u64),
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A client; its connections live on `runtime`, on which the caller itself must not be.
    ///
    /// # Errors
    /// [`HttpError::Setup`].
    pub fn new(
        download: &Download,
        tls: rustls::ClientConfig,
        runtime: Handle,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let setup = |error: reqwest::Error| HttpError::Setup(Cause::of(&error).to_string());
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(Duration::from_secs(download.connect_s.into()))
            .redirect(redirects(usize::from(download.redirects)))
            .referer(false)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("stopline-agent/", env!("CARGO_PKG_VERSION")));
        builder = match &download.proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).map_err(setup)?),
            // The configuration alone says whether there is one, not the environment.
            None => builder.no_proxy(),
        };
        let client = builder.build().map_err(setup)?;
        let stall = Duration::from_secs(download.stall_s.into());
        let received = Arc::new(AtomicU64::new(0));
        Ok(Self { client, runtime, clock, stall, least_bytes: download.least_bytes, received })
    }

    /// Bytes that came and went since this was last asked, about.
    pub fn take_received(&self) -> u64 {
        self.received.swap(0, Ordering::Relaxed)
    }

    /// Asks for `url` with these headers; returns when the answer's headers are there.
    ///
    /// # Errors
    /// [`HttpError::Failed`], [`HttpError::Stalled`].
    pub fn get(&self, url: &str, headers: &[(HeaderName, String)]) -> Result<Answer, HttpError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.insert(name, value);
            }
        }
        self.send(url, self.client.get(url).headers(map))
    }

    /// Posts JSON; returns when the answer's headers are there.
    ///
    /// # Errors
    /// [`HttpError::Failed`], [`HttpError::Stalled`].
    pub fn post(&self, url: &str, body: Vec<u8>) -> Result<Answer, HttpError> {
        let request =
            self.client.post(url).header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        self.send(url, request)
    }

    /// Asks with a method, headers and a body; returns when the answer's headers are there. Redirects are the client's.
    ///
    /// # Errors
    /// [`HttpError::Failed`], [`HttpError::Stalled`].
    pub fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(HeaderName, String)],
        body: Vec<u8>,
    ) -> Result<Answer, HttpError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.insert(name, value);
            }
        }
        self.received.fetch_add(u64::try_from(body.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let request = self.client.request(method, url).headers(map);
        self.send(url, if body.is_empty() { request } else { request.body(body) })
    }

    fn send(&self, url: &str, request: reqwest::RequestBuilder) -> Result<Answer, HttpError> {
        let _within = self.runtime.enter();
        self.received.fetch_add(HEADERS, Ordering::Relaxed);
        let sent = self.runtime.block_on(async { tokio::time::timeout(self.stall, request.send()).await });
        let response = sent.map_err(|_| self.stalled(url))?.map_err(|error| failed(url, &error))?;
        let window = (self.clock.since_boot_ms(), 0);
        Ok(Answer { url: url.to_owned(), response, http: self.clone(), window })
    }

    fn stalled(&self, url: &str) -> HttpError {
        HttpError::Stalled {
            url: url.to_owned(),
            least_bytes: self.least_bytes,
            seconds: self.stall.as_secs(),
        }
    }
}

impl Answer {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header, where it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// An answer that is no use here, as an error.
    pub fn refused(&self) -> HttpError {
        let retry_after_s =
            self.header(&reqwest::header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        HttpError::Status { url: self.url.clone(), status: self.status(), retry_after_s }
    }

    /// The next bytes of the body; none at its end.
    ///
    /// # Errors
    /// [`HttpError::Failed`] for a body that ends too early, [`HttpError::Stalled`].
    pub fn piece(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, HttpError> {
        let http = &self.http;
        let waited =
            http.runtime.block_on(async { tokio::time::timeout(http.stall, self.response.chunk()).await });
        let piece =
            waited.map_err(|_| http.stalled(&self.url))?.map_err(|error| failed(&self.url, &error))?;
        let bytes = piece.as_ref().map_or(0, |piece| u64::try_from(piece.len()).unwrap_or(u64::MAX));
        http.received.fetch_add(bytes, Ordering::Relaxed);
        let (began, so_far) = self.window;
        let now = http.clock.since_boot_ms();
        self.window = (began, so_far.saturating_add(bytes));
        if now.saturating_sub(began) >= u64::try_from(http.stall.as_millis()).unwrap_or(u64::MAX) {
            // One byte now and then keeps a connection open for ever and brings nothing.
            if self.window.1 < http.least_bytes && piece.is_some() {
                return Err(http.stalled(&self.url));
            }
            self.window = (now, 0);
        }
        Ok(piece)
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`HttpError::TooLong`] beyond `limit`, and as [`Self::piece`].
    pub fn body(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece()? {
            body.extend_from_slice(piece.as_ref());
            if u64::try_from(body.len()).is_ok_and(|length| length > limit) {
                return Err(HttpError::TooLong { url: self.url, limit });
            }
        }
        Ok(body)
    }
}

/// Where none is followed, the answer that asks for one is the answer.
fn redirects(most: usize) -> Policy {
    if most == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt| {
        let from = attempt.previous().last().map(|url| url.scheme().to_owned());
        if attempt.previous().len() > most {
            return attempt.error(format!("more than {most} redirects"));
        }
        if from.as_deref() == Some("https") && attempt.url().scheme() != "https" {
            return attempt.error("a redirect from https to a connection that anybody can read");
        }
        attempt.follow()
    })
}

fn failed(url: &str, error: &reqwest::Error) -> HttpError {
    HttpError::Failed { url: url.to_owned(), source: Cause::of(error) }
}
