//! `PUT v1/diagnoses/ID`: a diagnostic bundle that was asked for, and `POST v1/answers`: how another order ended. Only the device
//! that was asked can answer, and its first answer counts.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use stopline_depot::order::{Answer, Done};
use stopline_depot::versioned::{self, Versioned as _};

use super::{Asking, Refusal, unpacked};
use crate::exit::Failure;
use crate::serve::orders::LARGEST;
use crate::serve::server::Server;

pub(super) async fn diagnosis(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut writing = server.database.write().await?;
    let order = writing.order_to(&device.id, &id).await?.filter(|order| order.kind == "diagnose");
    let order = order.ok_or_else(nobody_asked)?;
    let now_s = server.now_s();
    match order.standing(now_s) {
        "asked" => {}
        "over" => return Err(nobody_asked()),
        // It is here, or the device has said that it does not come.
        _ => return Ok(taken()),
    }
    let bytes = unpacked(&headers, body, LARGEST)?;
    let is_bundle = serde_json::from_slice::<Value>(&bytes).is_ok_and(|bundle| bundle["schema"] == 1);
    if !is_bundle {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a diagnostic bundle of schema 1 is expected",
        ));
    }
    // First the file: what the database names is there.
    let (shared, of) = (server.clone(), id.clone());
    let kept = tokio::task::spawn_blocking(move || shared.data.keep_diagnosis(&of, &bytes));
    kept.await.map_err(Failure::failed)??;
    let answer = Answer { schema: Answer::SCHEMA, id, result: Done::Done, removed: 0, unsure: 0 };
    writing.answer_order(&device.id, &answer, now_s).await?;
    writing.commit().await?;
    Ok(taken())
}

pub(super) async fn answer(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let bytes = unpacked(&headers, body, Answer::LIMIT)?;
    let answer: Answer =
        versioned::read(&bytes).map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let mut writing = server.database.write().await?;
    let order = writing.order_to(&device.id, &answer.id).await?.ok_or_else(nobody_asked)?;
    if order.kind == "diagnose" && answer.result == Done::Done {
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "a diagnosis is answered by its bundle"));
    }
    writing.answer_order(&device.id, &answer, server.now_s()).await?;
    writing.commit().await?;
    Ok(taken())
}

fn taken() -> Json<Value> {
    Json(json!({"schema": 1}))
}

fn nobody_asked() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "nobody asked this device for it")
}
