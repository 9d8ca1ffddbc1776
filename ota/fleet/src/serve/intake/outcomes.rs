//! `POST v1/outcomes`: one signed outcome. It counts only if the device that asks is the one that it names, and signed by the
//! key under which that one is enrolled.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::versioned;

use super::{Asking, Refusal};
use crate::serve::ingest;
use crate::serve::server::Server;

pub(super) async fn receive(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let signed: SignedOutcome =
        versioned::read(&body).map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    if let Err(words) = ingest::check_outcome(&device, &signed) {
        tracing::warn!(id = "serve.outcome.refused", device = device.id, "{words}");
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    let mut writing = server.database.write().await?;
    let is_new = writing.add_outcome(&signed, server.now_s()).await?;
    writing.commit().await?;
    let outcome = &signed.outcome;
    Ok(Json(json!({"schema": 1, "boot_id": outcome.boot_id, "seq": outcome.seq, "known": !is_new})))
}
