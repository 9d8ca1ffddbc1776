//! `POST v1/messages`: JSON lines, each for itself. What is not understood is put aside and has its receipt too, if it says
//! what it is: it must not come again and again.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use stopline_depot::message::{MAX_LINES_BYTES, Message, Receipt, Receipts, read_lines};
use stopline_depot::versioned::Versioned as _;

use super::{Asking, Refusal, unpacked};
use crate::serve::database::devices::Device;
use crate::serve::ingest;
use crate::serve::server::Server;

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
    let (mut receipts, mut alarm) = (Vec::new(), None);
    if read.is_empty() {
        return answer(&server, &device, receipts).await;
    }
    let mut writing = server.database.write().await?;
    for (message, text) in read.into_iter().zip(texts) {
        let message = message.map_err(|error| error.to_string());
        if let Ok(Message { device: named, .. }) = &message
            && *named != device.id
        {
            let words = format!("a message of device {named}; this is device {}", device.id);
            return Err(Refusal::new(StatusCode::FORBIDDEN, words));
        }
        match message.and_then(|message| ingest::check_message(&device, &message).map(|()| message)) {
            Ok(message) => {
                receipts.push(message.receipt());
                writing.add_message(&message, now_s).await?;
            }
            Err(problem) => {
                let what = ("message", problem.as_str());
                receipts.extend(ingest::put_aside(&mut writing, &device, what, text, now_s).await?);
                alarm = Some(problem);
            }
        }
    }
    writing.commit().await?;
    if let Some(problem) = alarm {
        server.alarms.raise(&server, &device.id, "message", &problem);
    }
    answer(&server, &device, receipts).await
}

async fn answer(server: &Server, device: &Device, receipts: Vec<Receipt>) -> Result<Json<Receipts>, Refusal> {
    let acknowledge = server.answers(&device.id).await?;
    let orders = server.database.open_orders(&device.id, server.now_s()).await?;
    Ok(Json(Receipts { schema: Receipts::SCHEMA, receipts, acknowledge, orders }))
}
