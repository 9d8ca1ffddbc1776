//! The devices' side. Who it is, the certificate says (its common name), never a body. Every answer has the header
//! `Stopline: 1` and, unless it is a file of the repository, JSON.
//!
//! ```text
//! POST  v1/enroll, v1/renew      who shows no certificate may come here, and nowhere else
//! GET   v1/batches/ID            how far it has come
//! PATCH v1/batches/ID            Upload-Offset, Upload-Length, bytes
//! POST  v1/batches/ID/place      Upload-Length: a place in the store, or receipts for what lies there
//! POST  v1/messages              JSON lines, plain or zstd
//! POST  v1/outcomes              one signed outcome
//! PUT   v1/diagnoses/ID          a diagnostic bundle that was asked for
//! POST  v1/answers               how another order ended
//! GET   repository/…             the repository's files
//! ```
//! A device says in the header `Stopline-Boot` in which boot it lives. One that a later boot has followed already shows that
//! two of the device live at once: it is quarantined, both of it.

pub mod batches;
pub mod enrolment;
mod files;
pub mod locks;
mod messages;
mod orders;
mod outcomes;
pub mod places;
mod taking;

use std::io::Read as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::json;
use stopline_depot::versioned;

use super::authority::Named;
use super::database::devices::{Device, Standing};
use super::server::Server;
use super::tls::Peer;
use crate::exit::{Exit, Failure};

/// Says that an answer is ours, and not a captive portal's.
const OURS: HeaderName = HeaderName::from_static("stopline");
/// In which boot a device lives.
const BOOT: &str = "stopline-boot";
/// Bytes that a sender's window may have, as a power of two: what unpacking takes.
const WINDOW_LOG: u32 = 23;
/// Bytes of a body, at most, where nothing else is said.
const BODY: usize = 1 << 20;

/// The devices' routes.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/enroll", post(enrolment::enroll))
        .route("/v1/renew", post(enrolment::renew))
        .route("/v1/batches/{id}", get(batches::state).patch(batches::receive))
        .route("/v1/batches/{id}/place", post(places::place))
        .route("/v1/messages", post(messages::receive))
        .route("/v1/outcomes", post(outcomes::receive))
        .route("/v1/diagnoses/{id}", put(orders::diagnosis))
        .route("/v1/answers", post(orders::answer))
        .route("/repository/{*path}", get(files::file))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "not by this method")
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(ours))
        .with_state(server)
}

async fn ours(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_text =
        response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
    // What the framework itself refuses, such as a body that is too long, is said in our form.
    if is_text && response.status().is_client_error() {
        response = Refusal::new(response.status(), "this request is refused as it is").into_response();
    }
    response.headers_mut().insert(OURS, HeaderValue::from_static("1"));
    // What a device may pack (RFC 7694).
    response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"));
    response
}

/// An answer that says no.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    words: String,
    retry_after_s: Option<u32>,
}

impl Refusal {
    /// With a status and words for a person.
    pub fn new(status: StatusCode, words: impl ToString) -> Self {
        Self { status, words: words.to_string(), retry_after_s: None }
    }

    /// Whether asking again would change nothing.
    pub(super) fn is_for_good(&self) -> bool {
        self.status.is_client_error()
    }

    fn later(status: StatusCode, words: impl ToString, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..Self::new(status, words) }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure.exit {
            Exit::Refused | Exit::Usage => Self::new(StatusCode::UNPROCESSABLE_ENTITY, failure.message),
            _ => {
                // The disk's or the database's words are for the operator, not for a device.
                tracing::error!(id = "serve.intake", "{failure}");
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "not now", 60)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": self.words}));
        match self.retry_after_s {
            Some(seconds) => (self.status, [("retry-after", seconds.to_string())], body).into_response(),
            None => (self.status, body).into_response(),
        }
    }
}

/// A body as it was before it was packed, of at most `limit` bytes.
fn unpacked(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(body),
        Some(b"zstd") => unpack(&body, limit).map(Bytes::from),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            let words = format!("Content-Encoding {other:?}; zstd or none is expected");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, words))
        }
    }
}

fn unpack(body: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let broken = |error: std::io::Error| Refusal::new(StatusCode::BAD_REQUEST, format!("zstd: {error}"));
    let mut decoder = zstd::Decoder::with_buffer(body).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG).map_err(broken)?;
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    decoder.take(most).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() > limit {
        let words = format!("more than {limit} bytes, unpacked");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, words));
    }
    Ok(bytes)
}

/// The device that asks: its certificate is good, its key the enrolled one, and it is let in.
pub struct Asking(pub Device);

impl FromRequestParts<Arc<Server>> for Asking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Refusal> {
        let no_one = || {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "no certificate was shown. Enrol: `stopline-agent enroll --token TOKEN`",
            )
        };
        let shown = parts.extensions.get::<Peer>().and_then(|peer| peer.0.clone()).ok_or_else(no_one)?;
        let named = Named::read(&shown).map_err(|failure| Refusal::new(StatusCode::UNAUTHORIZED, failure))?;
        let device = known(server, &named).await?;
        let boot = parts.headers.get(BOOT).map(|boot| boot.to_str().unwrap_or_default().to_owned());
        if let Some(boot) = boot {
            lives_in(server, &device, &boot).await?;
        }
        server.database.seen(&device, server.now_s()).await?;
        Ok(Self(device))
    }
}

/// The enrolled device that a certificate names, if it is let in.
pub(super) async fn known(server: &Server, named: &Named) -> Result<Device, Refusal> {
    let unknown = || Refusal::new(StatusCode::UNAUTHORIZED, "this device is not enrolled here");
    let device = server.database.device(&named.device).await?.ok_or_else(unknown)?;
    refuse_unless_active(&device)?;
    if device.key != key_text(&named.key) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "another key is enrolled under this id"));
    }
    Ok(device)
}

fn refuse_unless_active(device: &Device) -> Result<(), Refusal> {
    if device.standing == Standing::Active {
        return Ok(());
    }
    let words = format!("this device is {}", device.standing.word());
    Err(Refusal::new(StatusCode::FORBIDDEN, words))
}

async fn lives_in(server: &Server, device: &Device, boot_id: &str) -> Result<(), Refusal> {
    versioned::check_name("stopline-boot", boot_id)
        .map_err(|problem| Refusal::new(StatusCode::BAD_REQUEST, problem))?;
    if server.locks.is_in_boot(&device.id, boot_id) {
        return Ok(());
    }
    let mut writing = server.database.write().await?;
    if !writing.lives_in(&device.id, boot_id, server.now_s()).await? {
        writing.commit().await?;
        server.locks.note_boot(&device.id, boot_id);
        return Ok(());
    }
    drop(writing);
    quarantine_copy(server, device, boot_id).await?;
    Err(Refusal::new(StatusCode::FORBIDDEN, "this device is quarantined: two of it live at once"))
}

/// Two of a device live at once: nothing of it counts until a person has looked.
async fn quarantine_copy(server: &Server, device: &Device, boot_id: &str) -> Result<(), Failure> {
    let reason = format!("two of it live at once: boot {boot_id} speaks although a later one has begun");
    server.write_down("serve", "devices.quarantine", json!({"device": device.id, "reason": reason}))?;
    tracing::error!(id = "serve.copied_device", device = device.id, "{reason}");
    let mut writing = server.database.write().await?;
    writing.stand(&device.id, Standing::Quarantined, &reason, server.now_s()).await?;
    writing.commit().await
}

pub(super) fn key_text(key: &[u8; 32]) -> String {
    stopline_depot::digest::Digest::from_bytes(*key).to_string()
}
