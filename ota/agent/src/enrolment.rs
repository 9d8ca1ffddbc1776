//! How a device comes by its certificate, and keeps one: two requests to the fleet's server. README.md of this room writes the
//! other side down.
//!
//! ```text
//! POST URL/v1/enroll   {"schema": 1, "token": "…", "csr": "PEM"}          TLS, the server's authority pinned
//! POST URL/v1/renew    {"schema": 1, "csr": "PEM", "certificate": "PEM"}  TLS, with the certificate while it is good
//! 200                  {"schema": 1, "certificate": "PEM", "authorities": "PEM"}
//! 4xx                  {"error": "in words"}
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::certificate::{self, Certificate, CertificateError};
use crate::http::{Http, HttpError};
use crate::identity::Identity;

/// Bytes of an answer, at most: two bundles of certificates as JSON.
const ANSWER: u64 = 1 << 20;
/// Characters of a server's words that are shown.
const WORDS: usize = 300;

#[derive(Debug, Serialize)]
struct Enroll<'a> {
    schema: u32,
    token: &'a str,
    csr: String,
}

#[derive(Debug, Serialize)]
struct Renew {
    schema: u32,
    csr: String,
    certificate: String,
}

/// What the server issues. Keys that a later server adds are passed over.
#[derive(Debug, Deserialize)]
struct Issued {
    schema: u32,
    certificate: String,
    #[serde(default)]
    authorities: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    error: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// Nothing says where.
    #[error(
        "no [enrolment] url is configured. Set it to the fleet's server, or carry a request there: `stopline-agent enroll --csr \
         FILE`"
    )]
    NoServer,
    /// Nothing says who the server is.
    #[error(
        "tls.authorities_file is not configured: the token would go to whoever the system's authorities vouch for. Set it to \
         the fleet's authority"
    )]
    NotPinned,
    /// The server was not reached.
    #[error(
        "{0}. Is the server's certificate from an authority of tls.authorities_file, and the clock right?"
    )]
    Http(HttpError),
    /// The server says no.
    #[error("{url}: refused with status {status}{}. {next}", said(words))]
    Refused {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        words: String,
        /// What to do.
        next: &'static str,
    },
    /// What came is no use here.
    #[error("{url}: {problem}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate cannot be used or kept.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

// Not a cause below it: its words are in the message already.
impl From<HttpError> for EnrolmentError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl EnrolmentError {
    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoServer | Self::NotPinned => "not_configured",
            Self::Http(_) => "http",
            Self::Refused { .. } => "refused",
            Self::Answer { .. } => "answer",
            Self::Certificate(CertificateError::Foreign { .. }) => "foreign",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// Shows a token, gets a certificate and keeps it below `home`.
///
/// # Errors
/// [`EnrolmentError`]; what was there stays.
pub fn enroll(
    http: &Http,
    url: &str,
    home: &Path,
    identity: &Identity,
    token: &str,
) -> Result<Certificate, EnrolmentError> {
    let ask = Enroll { schema: 1, token, csr: certificate::request(identity)? };
    let url = below(url, "v1/enroll");
    let (new, authorities) = issued(http, &url, identity, serde_json::to_vec(&ask))?;
    new.keep(home, authorities.as_deref())?;
    Ok(new)
}

/// Gets a new certificate for the one that is there, and keeps it below `home`. The request is signed by the key that the old
/// one names, so that an expired one, which no TLS lets through, can still be renewed.
///
/// # Errors
/// [`EnrolmentError`]; what was there stays.
pub fn renew(
    http: &Http,
    url: &str,
    home: &Path,
    identity: &Identity,
    old: &Certificate,
) -> Result<Certificate, EnrolmentError> {
    let ask = Renew { schema: 1, csr: certificate::request(identity)?, certificate: old.pem() };
    let url = below(url, "v1/renew");
    let (new, authorities) = issued(http, &url, identity, serde_json::to_vec(&ask))?;
    if new.not_after <= old.not_after {
        return Err(EnrolmentError::Answer {
            url,
            problem: "the new certificate does not last longer".into(),
        });
    }
    new.keep(home, authorities.as_deref())?;
    Ok(new)
}

/// What the server issues, with the authorities it names: this device's, and readable.
fn issued(
    http: &Http,
    url: &str,
    identity: &Identity,
    ask: Result<Vec<u8>, serde_json::Error>,
) -> Result<(Certificate, Option<String>), EnrolmentError> {
    let broken = |problem: String| EnrolmentError::Answer { url: url.to_owned(), problem };
    let answer = http.post(url, ask.map_err(|error| broken(error.to_string()))?)?;
    let status = answer.status();
    let body = answer.body(ANSWER)?;
    if status != 200 {
        let said: Said = serde_json::from_slice(&body).unwrap_or_default();
        let words = said.error.chars().filter(|char| !char.is_control()).take(WORDS).collect();
        return Err(EnrolmentError::Refused { url: url.to_owned(), status, words, next: next(status) });
    }
    let issued: Issued = serde_json::from_slice(&body).map_err(|error| broken(error.to_string()))?;
    if issued.schema != 1 {
        return Err(broken(format!("schema {}; 1 is expected. Update stopline-agent", issued.schema)));
    }
    let certificate = Certificate::parse(issued.certificate.as_bytes())?;
    certificate.check_is_of(identity)?;
    let authorities = issued.authorities.as_deref();
    authorities.map(|pem| certificate::chain(pem.as_bytes())).transpose()?;
    Ok((certificate, issued.authorities))
}

fn below(url: &str, path: &str) -> String {
    format!("{}/{path}", url.trim_end_matches('/'))
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

fn next(status: u16) -> &'static str {
    match status {
        401 => "A token is for one device and for a short time: ask the fleet's operator for a new one",
        403 => "The fleet has revoked, retired or quarantined this device: its operator can have it replaced",
        404 | 405 => "Is [enrolment] url the fleet's server?",
        409 => {
            "Another key is known under this id, as after a copied image: delete device-id and device.key together to become a \
             new device, and enrol that one"
        }
        429 | 500..=599 => "Try again later",
        _ => "Agent and server may be of different ages: update the older one",
    }
}
