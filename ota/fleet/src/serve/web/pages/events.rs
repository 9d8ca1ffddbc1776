//! Events, and who answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use stopline_depot::message::{Change, Event};

use super::{badge, csrf, time};
use crate::serve::database::people::Role;
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Events that are shown.
const MOST: i64 = 200;

pub async fn page_of(server: &Server, visitor: &Visitor) -> Result<Markup, Problem> {
    let events = server.database.latest(&["event"], None, MOST).await?;
    let drifts = server.database.latest(&["drift"], None, 20).await?;
    let letters = server.database.dead_letters(20).await?;
    let names = names(server).await?;
    let said: Vec<_> = events
        .iter()
        .filter_map(|stored| Some((stored, serde_json::from_str::<Event>(&stored.body).ok()?)))
        .collect();
    let over: BTreeSet<(&str, &str)> = said
        .iter()
        .filter(|(_, event)| event.change == Change::Over)
        .map(|(stored, event)| (stored.device.as_str(), event.id.as_str()))
        .collect();
    let may = visitor.person.role >= Role::Operator;
    Ok(super::page(
        visitor,
        "Events",
        "Events",
        html! {
            @if said.is_empty() { p { "Nothing happened yet that somebody should know." } }
            @else { table class="cards" {
                thead { tr { th { "When" } th { "Device" } th { "What" } th { "Answer" } } }
                tbody { @for (stored, event) in &said {
                    @let is_over = over.contains(&(stored.device.as_str(), event.id.as_str()));
                    tr {
                        td data-label="When" { (time(stored.received_s)) }
                        td data-label="Device" { a href=(format!("/devices/{}", stored.device)) { (names(&stored.device)) } }
                        td data-label="What" { (subject(event)) " " (change(event.change)) @if let Some(cause) = &event.cause { " " (cause) }
                            @if event.persons_down > 0 { " " (event.persons_down) " down" } }
                        td data-label="Answer" {
                            @if !stored.acknowledged_by.is_empty() { (stored.acknowledged_by) ", " (time(stored.acknowledged_s)) }
                            @else if let Some(by) = &event.by { (by) }
                            @else if is_over { "over" }
                            @else if may && event.change != Change::Over {
                                form method="post" action="/events/acknowledge" class="inline" {
                                    (csrf(visitor))
                                    input type="hidden" name="device" value=(stored.device);
                                    input type="hidden" name="boot_id" value=(stored.boot_id);
                                    input type="hidden" name="seq" value=(stored.seq);
                                    button { "Acknowledge" }
                                }
                            } @else { "open" }
                        }
                    }
                } }
            } }
            h2 { "Drift" }
            @if drifts.is_empty() { p { "No drift was told." } }
            @for drift in &drifts { details { summary { (names(&drift.device)) " " (time(drift.received_s)) } pre { (drift.body) } } }
            h2 { "Not understood" }
            @if letters.is_empty() { p { "Everything that came was understood." } }
            ul { @for letter in &letters { li {
                (badge("warn", &letter.what)) " " (names(&letter.device)) ": " (letter.problem) " " (time(letter.received_s))
            } } }
        },
    ))
}

pub async fn page(State(server): State<Arc<Server>>, visitor: Visitor) -> Result<Markup, Problem> {
    page_of(&server, &visitor).await
}

/// What people call devices.
pub async fn names(server: &Server) -> Result<impl Fn(&str) -> String + use<>, Problem> {
    let devices = server.database.devices().await?;
    let names: std::collections::BTreeMap<String, String> =
        devices.into_iter().map(|device| (device.id, device.name)).collect();
    Ok(move |id: &str| names.get(id).cloned().unwrap_or_else(|| super::devices::short(id)))
}

/// What an event is about.
pub fn subject(event: &Event) -> Markup {
    let word = serde_json::to_value(event.subject).ok();
    let word = word.as_ref().and_then(|word| word.as_str()).unwrap_or("event").replace('_', " ");
    let level = match word.as_str() {
        "fall" | "monitoring lost" | "escalation" | "fault" => "bad",
        "warning" | "brake" => "warn",
        _ => "good",
    };
    badge(level, &word)
}

fn change(change: Change) -> &'static str {
    match change {
        Change::New => "",
        Change::Escalated => "nobody answered in time",
        Change::Acknowledged => "acknowledged",
        Change::Over => "over",
    }
}
