//! How a device comes by its certificate, and keeps one: the server's half of what `ota/agent/README.md` writes down.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, key_text, known, refuse_unless_active};
use crate::exit::Failure;
use crate::serve::authority::{Named, Request};
use crate::serve::database::devices::{Device, Standing};
use crate::serve::secret;
use crate::serve::server::Server;
use crate::serve::tls::Peer;

/// What a token is hashed for.
pub const TOKEN: &str = "enrolment-token";

/// `POST v1/enroll`.
#[derive(Deserialize)]
pub(super) struct Enroll {
    schema: u32,
    token: String,
    csr: String,
}

/// `POST v1/renew`.
#[derive(Deserialize)]
pub(super) struct Renew {
    schema: u32,
    csr: String,
    certificate: String,
}

pub(super) async fn enroll(
    State(server): State<Arc<Server>>,
    body: Result<Json<Enroll>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(Enroll { schema, token, csr }) = body.map_err(not_understood)?;
    let request = read(schema, &csr)?;
    let now_s = server.now_s();
    let hash = secret::hash(TOKEN, &token);
    let mut writing = server.database.write().await?;
    let refuse = |status, words: &str| Err(Refusal::new(status, words));
    let Some(token) = writing.token(&hash).await? else {
        return refuse(StatusCode::UNAUTHORIZED, "the token is not known here");
    };
    if token.expires_s < now_s {
        return refuse(StatusCode::UNAUTHORIZED, "the token has expired");
    }
    let key = key_text(&request.key);
    let there = writing.device(&request.device).await?;
    if let Some(there) = &there {
        refuse_unless_active(there)?;
        if there.key != key {
            return refuse(StatusCode::CONFLICT, "another key is enrolled under this id");
        }
    }
    if writing.holder_of(&key).await?.is_some_and(|holder| holder != request.device) {
        return refuse(StatusCode::CONFLICT, "this key is enrolled under another id");
    }
    // A device that it let in may ask again: the answer may not have arrived. It keeps its name, and is not counted twice.
    let name = if writing.has_let_in(&hash, &request.device).await? {
        there.map_or_else(|| token.name.clone(), |there| there.name)
    } else {
        let Some(number) = writing.use_token(&hash, &request.device, now_s).await? else {
            return refuse(StatusCode::UNAUTHORIZED, "the token was used");
        };
        token.name_of(number)
    };
    let (certificate, until_s) = server.authority.issue(&request, now_s)?;
    server.write_down(
        &format!("device:{}", request.device),
        "devices.enroll",
        json!({"name": name, "key": key, "until_s": until_s}),
    )?;
    let device = Device {
        id: request.device.clone(),
        key,
        name,
        standing: Standing::Active,
        reason: String::new(),
        replaces: String::new(),
        enrolled_s: now_s,
        changed_s: now_s,
        seen_s: now_s,
        certificate_until_s: until_s,
    };
    writing.put_device(&device).await?;
    writing.commit().await?;
    Ok(issued(&server, &certificate))
}

pub(super) async fn renew(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<Renew>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(Renew { schema, csr, certificate }) = body.map_err(not_understood)?;
    let request = read(schema, &csr)?;
    let forbidden = |words: &dyn std::fmt::Display| Refusal::new(StatusCode::FORBIDDEN, words);
    let old = CertificateDer::from_pem_slice(certificate.as_bytes());
    let old = old.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("certificate: {error}")))?;
    let named = server.authority.has_issued(&old).map_err(|failure| forbidden(&failure))?;
    if named.device != request.device || named.key != request.key {
        return Err(forbidden(&"the certificate is another device's, or another key's"));
    }
    let device = known(&server, &named).await?;
    let now_s = server.now_s();
    // While it is good, the connection itself shows it: then the key is proven twice, and a captured request is worth less.
    if now_s <= named.not_after_s && !shows(&peer, &named) {
        return Err(forbidden(&"the certificate is good, and the connection does not show it"));
    }
    let (new, until_s) = server.authority.issue(&request, now_s)?;
    server.write_down(&format!("device:{}", device.id), "devices.renew", json!({"until_s": until_s}))?;
    let mut writing = server.database.write().await?;
    writing.put_device(&Device { certificate_until_s: until_s, seen_s: now_s, ..device }).await?;
    writing.commit().await?;
    Ok(issued(&server, &new))
}

fn shows(peer: &Peer, named: &Named) -> bool {
    let shown = peer.0.as_ref().and_then(|shown| Named::read(shown).ok());
    shown.is_some_and(|shown| shown.device == named.device && shown.key == named.key)
}

fn read(schema: u32, csr: &str) -> Result<Request, Refusal> {
    let not_understood = |problem: String| Refusal::new(StatusCode::BAD_REQUEST, problem);
    if schema != 1 {
        return Err(not_understood(format!("schema {schema}; 1 is expected. Update stopline-fleet")));
    }
    Request::read(csr).map_err(|failure: Failure| not_understood(failure.message))
}

fn issued(server: &Server, certificate: &str) -> Json<Value> {
    Json(json!({"schema": 1, "certificate": certificate, "authorities": server.authority.pem()}))
}

fn not_understood(rejection: axum::extract::rejection::JsonRejection) -> Refusal {
    let status = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, rejection.body_text())
}
