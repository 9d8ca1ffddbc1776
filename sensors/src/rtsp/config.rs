//! A network camera's configuration, and its address in a form that may be printed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::source::SourceError;

/// A network camera. Unknown keys are refused.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RtspConfig {
    /// The source's name, as it appears in frames and records (`front`).
    pub name: String,
    /// `rtsp://host[:port]/path`, without user name and password.
    pub url: String,
    /// How the packets come.
    #[serde(default)]
    pub transport: Transport,
    /// File with `user:password` in one line, or the user name in the first line and the password in the second;
    /// nobody but its owner and group may be allowed to read it.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// Longest time from connecting to the first picture, in milliseconds. A camera that sends key frames rarely may
    /// need more than its key frame interval.
    #[serde(default = "default_start_timeout")]
    pub start_timeout_ms: u64,
    /// Longest time without a picture before the camera counts as lost, in milliseconds; by default
    /// [`SourceInfo::no_frame_limit`](crate::source::SourceInfo::no_frame_limit).
    #[serde(default)]
    pub no_frame_limit_ms: Option<u64>,
    /// Time without a picture after which the connection is given up and made anew, in milliseconds.
    #[serde(default = "default_reconnect_after")]
    pub reconnect_after_ms: u64,
}

/// How the packets of a stream come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Inside the RTSP connection: nothing is lost, but a bad network delays.
    #[default]
    Tcp,
    /// As datagrams: what is lost or out of order stays lost.
    Udp,
}

impl RtspConfig {
    /// A configuration of name and address, all else by default.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            transport: Transport::Tcp,
            credentials_file: None,
            start_timeout_ms: default_start_timeout(),
            no_frame_limit_ms: None,
            reconnect_after_ms: default_reconnect_after(),
        }
    }

    pub(super) fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }

    pub(super) fn reconnect_after(&self) -> Duration {
        Duration::from_millis(self.reconnect_after_ms)
    }
}

/// Without the address as written: it may hold credentials that `Address::of` is about to refuse.
impl fmt::Debug for RtspConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtspConfig")
            .field("name", &self.name)
            .field(
                "url",
                &Url::parse(&self.url).map_or_else(|_| "(no address)".into(), |url| printable(&url)),
            )
            .field("transport", &self.transport)
            .field("credentials_file", &self.credentials_file)
            .field("start_timeout_ms", &self.start_timeout_ms)
            .field("no_frame_limit_ms", &self.no_frame_limit_ms)
            .field("reconnect_after_ms", &self.reconnect_after_ms)
            .finish()
    }
}

/// A checked address.
#[derive(Clone)]
pub(super) struct Address {
    /// For the client only: path and query may hold what must not be printed.
    pub url: Url,
    /// For people.
    pub shown: String,
}

impl Address {
    /// # Errors
    /// Not an RTSP address; TLS; credentials in it. None repeats the address as written.
    pub fn of(config: &RtspConfig) -> Result<Self, SourceError> {
        let malformed = |what: String, problem: String, advice: &str| SourceError::Malformed {
            what,
            problem,
            advice: advice.to_owned(),
        };
        let name = || format!("source {:?}", config.name);
        let url = Url::parse(&config.url)
            .map_err(|why| malformed(name(), format!("url: {why}"), "write rtsp://host[:port]/path"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed(
                name(),
                "url holds a user name or password, which end up in logs and process lists".into(),
                "put them in a file that only this program may read and name it as credentials_file",
            ));
        }
        let shown = printable(&url);
        match url.scheme() {
            "rtsp" if url.host().is_some() => Ok(Self { url, shown }),
            "rtsp" => Err(malformed(name(), "url names no host".into(), "write rtsp://host[:port]/path")),
            "rtsps" => Err(SourceError::Unsupported {
                what: shown,
                problem: "RTSP over TLS (rtsps) is not supported".into(),
                advice:
                    "carry rtsp:// over TCP through a tunnel (WireGuard, stunnel) or on a network of its own"
                        .into(),
            }),
            other => {
                Err(malformed(name(), format!("url is of kind {other:?}"), "write rtsp://host[:port]/path"))
            }
        }
    }
}

/// Scheme, host, port, and the path unless it carries settings: some cameras take `user=…&password=…` in path or query.
fn printable(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let plain = |path: &str| !path.contains(['=', '&', '@', ';']);
    let path = Some(url.path()).filter(|path| plain(path)).unwrap_or("/…");
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{path}{query}", url.scheme())
}

const fn default_start_timeout() -> u64 {
    10_000
}

const fn default_reconnect_after() -> u64 {
    2_000
}
