//! Who did what; the chain is checked each time.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::time;
use crate::exit::Failure;
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Lines that are shown.
const MOST: usize = 200;

pub async fn page(State(server): State<Arc<Server>>, visitor: Visitor) -> Result<Markup, Problem> {
    let log = server.audit.clone();
    let read = tokio::task::spawn_blocking(move || (log.verify(), log.latest(MOST)));
    let (verified, latest) = read.await.map_err(Failure::failed)?;
    let latest = latest?;
    Ok(super::page(
        &visitor,
        "Audit",
        "Audit",
        html! {
            @match &verified {
                Ok(verified) => { p { (verified.entries) " lines, the chain holds. Head: " code { (verified.head) } } }
                Err(failure) => { p class="problem" role="alert" { "The chain does not hold: " (failure.message) } }
            }
            table class="cards" {
                thead { tr { th { "Number" } th { "When" } th { "Who" } th { "What" } th { "Detail" } } }
                tbody { @for entry in &latest { tr {
                    td data-label="Number" { (entry.number) }
                    td data-label="When" { (time(entry.at_s)) }
                    td data-label="Who" { (entry.who) }
                    td data-label="What" { (entry.what) }
                    td data-label="Detail" { code { (entry.detail) } }
                } } }
            }
        },
    ))
}
