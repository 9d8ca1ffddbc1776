//! Sealed records: what of them is clear. This server has no key that opens them.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::devices::short;
use super::{badge, bytes, time};
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Records that are shown.
const MOST: i64 = 200;

pub async fn page(State(server): State<Arc<Server>>, visitor: Visitor) -> Result<Markup, Problem> {
    let records = server.database.records(None, MOST).await?;
    let (count, total) = server.database.records_total().await?;
    let names = super::events::names(&server).await?;
    let now_s = server.now_s();
    Ok(super::page(
        &visitor,
        "Records",
        "Records",
        html! {
            p { (count) " records, " (bytes(total)) ". Picture, boxes and the reason for capture are sealed: they are opened where the \
                data set is made, with the key that this server does not have." }
            @if records.is_empty() { p { "None came yet." } }
            ul class="gallery" { @for record in &records { li {
                div class="sealed" role="img" aria-label="sealed picture" { "sealed" }
                dl {
                    dt { "Class" } dd { (record.class) " of 9" }
                    dt { "Size" } dd { (bytes(record.length)) }
                    dt { "Device" } dd { a href=(format!("/devices/{}", record.device)) { (names(&record.device)) } }
                    dt { "Reason" } dd { "unknown (sealed)" }
                    dt { "Came" } dd { (time(record.received_s)) }
                    dt { "Expires" } dd { (time(record.expires_s)) @if record.expires_s <= now_s { " " (badge("warn", "expired")) } }
                    dt { "Address" } dd { code { (short(&record.digest)) } }
                }
            } } }
        },
    ))
}
