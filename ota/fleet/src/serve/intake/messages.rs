//! `POST v1/messages`: JSON lines, each for itself. What is not understood is put aside and has its receipt too, if it says
//! what it is: it must not come again and again.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use stopline_depot::message::{MAX_LINES_BYTES, Receipt, Receipts, read_lines};
use stopline_depot::versioned::Versioned as _;

use super::{Asking, Refusal, unpacked};
use crate::serve::database::Writing;
use crate::serve::database::devices::Device;
use crate::serve::server::Server;

/// Seconds for which an answer to an alert is told.
const ANSWERS_S: i64 = 7 * 86_400;

pub(super) async fn receive(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Receipts>, Refusal> {
    let lines = unpacked(&headers, body, MAX_LINES_BYTES)?;
    let read = read_lines(&lines).map_err(|error| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error))?;
    let texts = lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let now_s = server.now_s();
    let mut receipts = Vec::new();
    if read.is_empty() {
        return answer(&server, &device, receipts).await;
    }
    let mut writing = server.database.write().await?;
    for (message, text) in read.into_iter().zip(texts) {
        match message {
            Ok(message) if message.device == device.id => {
                receipts.push(message.receipt());
                writing.add_message(&message, now_s).await?;
            }
            Ok(message) => {
                return Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    format!("a message of device {}; this is device {}", message.device, device.id),
                ));
            }
            Err(error) => {
                receipts.extend(put_aside(&mut writing, &device, &error.to_string(), text, now_s).await?)
            }
        }
    }
    writing.commit().await?;
    answer(&server, &device, receipts).await
}

async fn answer(server: &Server, device: &Device, receipts: Vec<Receipt>) -> Result<Json<Receipts>, Refusal> {
    let acknowledge = server.database.answers_for(&device.id, server.now_s() - ANSWERS_S).await?;
    Ok(Json(Receipts { schema: Receipts::SCHEMA, receipts, acknowledge }))
}

/// Puts a line aside; its receipt, if it says what it is and is the device's own.
async fn put_aside(
    writing: &mut Writing,
    device: &Device,
    problem: &str,
    text: &[u8],
    now_s: i64,
) -> Result<Option<Receipt>, Refusal> {
    #[derive(Deserialize)]
    struct Envelope {
        device: String,
        boot_id: String,
        seq: u64,
    }
    tracing::warn!(id = "serve.dead_letter", device = device.id, "a message was not understood: {problem}");
    writing.put_aside(&device.id, ("message", problem, &String::from_utf8_lossy(text)), now_s).await?;
    let envelope: Option<Envelope> = serde_json::from_slice(text).ok();
    let own = envelope.filter(|envelope| envelope.device == device.id);
    Ok(own.map(|envelope| Receipt { boot_id: envelope.boot_id, seq: envelope.seq }))
}
