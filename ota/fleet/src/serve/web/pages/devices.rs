//! All devices, and one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde_json::json;
use stopline_depot::message::{Birth, Event, State as Said};

use super::{badge, csrf, once_more, page, time};
use crate::exit::Failure;
use crate::serve::database::devices::{Device, Standing};
use crate::serve::database::messages::Stored;
use crate::serve::database::orders::Kept;
use crate::serve::database::people::Role;
use crate::serve::devices::Desk;
use crate::serve::orders;
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Seconds after which a device that says nothing is no longer shown as heard.
const HEARD_S: i64 = 15 * 60;

pub async fn list(State(server): State<Arc<Server>>, visitor: Visitor) -> Result<Markup, Problem> {
    let database = &server.database;
    let devices = database.devices().await?;
    let states = by_device(database.newest_of_each("state").await?);
    let births = by_device(database.newest_of_each("birth").await?);
    let events = by_device(database.newest_of_each("event").await?);
    let now_s = server.now_s();
    let heard = devices.iter().filter(|device| is_heard(device, now_s)).count();
    Ok(page(
        &visitor,
        "Devices",
        "Devices",
        html! {
            p { (devices.len()) @if devices.len() == 1 { " device, " } @else { " devices, " } (heard) " heard of in the last quarter of an hour." }
            @if devices.is_empty() { p { "None is enrolled yet. Make a token below, and enrol a device with it." } }
            @else {
                table class="cards" {
                    thead { tr { th { "Name" } th { "Heard" } th { "Standing" } th { "State" } th { "Models" } th { "Last event" } } }
                    tbody { @for device in &devices { tr {
                        td data-label="Name" { a href=(format!("/devices/{}", device.id)) { (device.name) } br; code { (short(&device.id)) } }
                        td data-label="Heard" { @if server.hub.is_online(&device.id) { "connected " } (online(device, now_s)) " " (time(device.seen_s)) }
                        td data-label="Standing" { (standing(device.standing)) }
                        td data-label="State" { (state(states.get(&device.id))) }
                        td data-label="Models" { (models(births.get(&device.id))) }
                        td data-label="Last event" { (event(events.get(&device.id))) }
                    } } }
                }
            }
            @if visitor.person.role >= Role::Operator {
                h2 { "A new device" }
                form method="post" action="/devices/token" class="row" {
                    (csrf(&visitor))
                    label { "Name" input name="name" required maxlength="80" autocomplete="off"; }
                    button { "Make a token" }
                }
            }
        },
    ))
}

pub async fn one(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Markup, Problem> {
    let audit = &server.audit;
    let desk = Desk { database: &server.database, audit, who: "", now: server.clock.now() };
    let device = desk.find(&id).await?;
    let messages =
        server.database.latest(&["birth", "state", "event", "drift"], Some(&device.id), 50).await?;
    let records = server.database.records(Some(&device.id), 10).await?;
    let asked = server.database.orders_of(&device.id, "diagnose", 5).await?;
    Ok(page(
        &visitor,
        "Devices",
        &device.name,
        html! {
            dl {
                dt { "Id" } dd { code { (device.id) } }
                dt { "Key" } dd { code { (device.key) } }
                dt { "Standing" } dd { (standing(device.standing)) " " (device.reason) " since " (time(device.changed_s)) }
                @if !device.replaces.is_empty() { dt { "Replaces" } dd { a href=(format!("/devices/{}", device.replaces)) { code { (device.replaces) } } } }
                dt { "Enrolled" } dd { (time(device.enrolled_s)) }
                dt { "Heard of" } dd { (online(&device, server.now_s())) " " (time(device.seen_s)) }
                dt { "Certificate until" } dd { (time(device.certificate_until_s)) }
            }
            @if visitor.person.role >= Role::Operator { (steps(&visitor, &device)) }
            (diagnoses(&visitor, &device, &asked, server.now_s()))
            h2 { "What it said" }
            @if messages.is_empty() { p { "Nothing yet." } }
            @for message in &messages {
                details { summary { (message.kind) " " (time(message.received_s)) } pre { (pretty(&message.body)) } }
            }
            h2 { "Newest records" }
            @if records.is_empty() { p { "None yet." } }
            ul { @for record in &records { li { code { (short(&record.digest)) } " class " (record.class) ", " (time(record.received_s)) } } }
        },
    ))
}

fn steps(visitor: &Visitor, device: &Device) -> Markup {
    let at = |word: &str| format!("/devices/{}/{word}", device.id);
    let active = device.standing == Standing::Active;
    let publisher = visitor.person.role >= Role::Publisher;
    html! {
        h2 { "Steps" }
        form method="post" action=(at("name")) class="row" {
            (csrf(visitor))
            label { "Name" input name="name" value=(device.name) required maxlength="80" autocomplete="off"; }
            button { "Rename" }
        }
        @if active {
            form method="post" action=(at("quarantine")) class="row" {
                (csrf(visitor))
                label { "Reason" input name="reason" required maxlength="200" autocomplete="off"; }
                button { "Quarantine" }
            }
        }
        @if publisher {
            @for (word, title, shown) in [
                ("release", "Let in again", device.standing == Standing::Quarantined),
                ("revoke", "Revoke for good", active || device.standing == Standing::Quarantined),
                ("retire", "Retire for good", active),
            ] {
                @if shown {
                    details { summary { (title) "…" }
                        form method="post" action=(at(word)) class="row" {
                            (csrf(visitor))
                            label { "Reason" input name="reason" required maxlength="200" autocomplete="off"; }
                            (once_more(visitor))
                            button class="grave" { (title) }
                        }
                    }
                }
            }
        }
    }
}

/// A bundle that the device brought, as a file. Who took it is written down: logs and configuration are in it.
pub async fn diagnosis(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Path((id, order)): Path<(String, String)>,
) -> Result<Response, Problem> {
    visitor.must_be(&server, Role::Operator, "devices.diagnosis")?;
    let gone = "It is not here: bundles lie for two weeks, at the server that took them in.";
    let none = || Problem::new(StatusCode::NOT_FOUND, gone);
    let asked = server.database.orders_of(&id, "diagnose", 100).await?;
    let asked = asked.into_iter().find(|asked| asked.id == order && asked.result == "done");
    let Kept { id: order, device: id, .. } = asked.ok_or_else(none)?;
    let (shared, wanted) = (server.clone(), order.clone());
    let read = tokio::task::spawn_blocking(move || shared.data.diagnosis(&wanted));
    let bundle = read.await.map_err(Failure::failed)??.ok_or_else(none)?;
    server.write_down(&visitor.who(), "devices.diagnosis", json!({"device": id, "order": order}))?;
    let name = format!("attachment; filename=\"diagnosis-{order}.json\"");
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)], bundle)
        .into_response())
}

/// What was asked of the device's inside, and a button that asks.
fn diagnoses(visitor: &Visitor, device: &Device, asked: &[Kept], now_s: i64) -> Markup {
    let may = visitor.person.role >= Role::Operator && device.standing == Standing::Active;
    html! {
        h2 { "Diagnosis" }
        @if asked.is_empty() { p { "Nobody has asked for a bundle of logs, versions and configuration." } }
        ul { @for order in asked {
            li { (orders::in_words(order, now_s)) ", asked by " (order.made_by)
                @if order.result == "done" && visitor.person.role >= Role::Operator {
                    ": " a href=(format!("/devices/{}/diagnoses/{}", device.id, order.id)) download { "download" }
                }
            }
        } }
        @if may {
            form method="post" action=(format!("/devices/{}/diagnose", device.id)) class="row" {
                (csrf(visitor))
                button { "Ask for a diagnosis" }
            }
        }
    }
}

fn by_device(messages: Vec<Stored>) -> BTreeMap<String, Stored> {
    messages.into_iter().map(|message| (message.device.clone(), message)).collect()
}

fn is_heard(device: &Device, now_s: i64) -> bool {
    device.standing == Standing::Active && now_s - device.seen_s <= HEARD_S
}

fn online(device: &Device, now_s: i64) -> Markup {
    if is_heard(device, now_s) { badge("good", "online") } else { badge("none", "quiet") }
}

fn standing(standing: Standing) -> Markup {
    let level = match standing {
        Standing::Active => "good",
        Standing::Retired | Standing::Replaced => "none",
        Standing::Quarantined | Standing::Revoked => "bad",
    };
    badge(level, standing.word())
}

fn state(message: Option<&Stored>) -> Markup {
    let said = message.and_then(|message| serde_json::from_str::<Said>(&message.body).ok());
    let Some(said) = said else { return html! { "not told" } };
    let level = match said.runtime.as_str() {
        "ready" | "active" => "good",
        "degraded" => "warn",
        "fail_safe" => "bad",
        _ => "none",
    };
    html! { (badge(level, &said.runtime)) @if let Some(cause) = &said.cause { " " (cause) } }
}

fn models(message: Option<&Stored>) -> Markup {
    let said = message.and_then(|message| serde_json::from_str::<Birth>(&message.body).ok());
    let Some(said) = said else { return html! { "not told" } };
    html! { @for model in &said.models {
        div { (model.model.as_deref().unwrap_or(&model.name)) " " (model.version.as_deref().unwrap_or("")) }
    } }
}

fn event(message: Option<&Stored>) -> Markup {
    let Some(message) = message else { return html! { "none" } };
    let said = serde_json::from_str::<Event>(&message.body).ok();
    html! { @if let Some(said) = said { (super::events::subject(&said)) " " } (time(message.received_s)) }
}

/// The beginning of an id.
pub fn short(id: &str) -> String {
    let beginning: String = id.chars().take(12).collect();
    format!("{beginning}…")
}

fn pretty(body: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(body).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_default()
}
