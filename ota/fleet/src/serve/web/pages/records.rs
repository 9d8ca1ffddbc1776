//! Records: what of them is clear, and for operators what is in them, where this server was given a key that opens them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::record::RecordedSituation;
use stopline_depot::spool::Reason;

use super::devices::short;
use super::{badge, bytes, time};
use crate::dataset::annotation::Annotation;
use crate::exit::Failure;
use crate::serve::database::people::Role;
use crate::serve::database::records::Sealed;
use crate::serve::gallery::{Gallery, Opened};
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Records on a page, sealed.
const MOST: i64 = 200;
/// Records on a page that are opened for it.
const OPENED: i64 = 24;

/// Where a page begins.
#[derive(Deserialize)]
pub struct From {
    #[serde(default)]
    from: i64,
}

/// What stands where a record's picture is.
enum Shown {
    /// Nobody here can, or may, open it.
    Sealed,
    /// It was forgotten, or its time has passed: nothing of it is shown.
    Gone(&'static str),
    /// It cannot be opened.
    Closed(String),
    Open(Box<Opened>),
}

pub async fn page(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Query(From { from }): Query<From>,
) -> Result<Markup, Problem> {
    let from = from.max(0);
    let opens = server.gallery.is_some() && visitor.person.role >= Role::Operator;
    let most = if opens { OPENED } else { MOST };
    let mut records = server.database.records_from(from, most + 1).await?;
    let there_are_older = records.len() > usize::try_from(most).unwrap_or(usize::MAX);
    records.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let (count, total) = server.database.records_total().await?;
    let names = super::events::names(&server).await?;
    let shown = if opens { open(&server, &visitor, &records).await? } else { Vec::new() };
    let now_s = server.now_s();
    Ok(super::page(
        &visitor,
        "Records",
        "Records",
        html! {
            p { (count) " records, " (bytes(total)) ". " (explained(server.gallery.is_some(), opens)) }
            @if records.is_empty() { p { "None came yet." } }
            ul class="gallery" { @for (at, record) in records.iter().enumerate() { li {
                @let shown = shown.get(at).unwrap_or(&Shown::Sealed);
                (picture_of(record, shown))
                dl {
                    dt { "Class" } dd { (record.class) " of 9" }
                    dt { "Size" } dd { (bytes(record.length)) }
                    dt { "Device" } dd { a href=(format!("/devices/{}", record.device)) { (names(&record.device)) } }
                    (said_by(shown))
                    dt { "Came" } dd { (time(record.received_s)) }
                    dt { "Expires" } dd { (time(record.expires_s)) @if record.expires_s <= now_s { " " (badge("warn", "expired")) } }
                    dt { "Address" } dd { code { (short(&record.digest)) } }
                }
            } } }
            nav class="pages" aria-label="More records" {
                @if from > 0 { a href=(format!("/records?from={}", (from - most).max(0))) { "Newer" } }
                @if there_are_older { a href=(format!("/records?from={}", from + most)) { "Older" } }
            }
        },
    ))
}

/// A record's picture, small.
pub async fn picture(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let nothing = || Problem::new(StatusCode::NOT_FOUND, "There is no such picture.");
    visitor.must_be(&server, Role::Operator, "GET /records/…/picture")?;
    let gallery = server.gallery.as_ref().ok_or_else(nothing)?;
    let digest: Digest = digest.parse().map_err(|_| nothing())?;
    let record = server.database.record(&digest.to_string()).await?.ok_or_else(nothing)?;
    if is_gone(&server, &record, &digest).await?.is_some() {
        return Err(nothing());
    }
    note(&server, gallery, &visitor, &digest)?;
    let turn = gallery.decoding.acquire().await.map_err(Failure::failed)?;
    let shared = server.clone();
    let decoded = tokio::task::spawn_blocking(move || {
        shared.gallery.as_ref().map(|gallery| gallery.picture(&shared.records, &digest)).transpose()
    });
    let decoded = decoded.await.map_err(Failure::failed)??.ok_or_else(nothing)?;
    drop(turn);
    let jpeg = decoded.map_err(|problem| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, problem))?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
}

/// Opens what is on a page, one after another; each is written down before.
async fn open(server: &Arc<Server>, visitor: &Visitor, records: &[Sealed]) -> Result<Vec<Shown>, Problem> {
    let Some(gallery) = &server.gallery else { return Ok(Vec::new()) };
    let mut shown = Vec::new();
    for record in records {
        let digest: Digest = record.digest.parse().map_err(Failure::failed)?;
        if let Some(gone) = is_gone(server, record, &digest).await? {
            shown.push(Shown::Gone(gone));
            continue;
        }
        note(server, gallery, visitor, &digest)?;
        let shared = server.clone();
        let opened = tokio::task::spawn_blocking(move || {
            shared.gallery.as_ref().map(|gallery| gallery.read(&shared.records, &digest)).transpose()
        });
        shown.push(match opened.await.map_err(Failure::failed)?? {
            None => Shown::Sealed,
            Some(Ok(opened)) => Shown::Open(Box::new(opened)),
            Some(Err(problem)) => Shown::Closed(problem),
        });
    }
    Ok(shown)
}

/// Why nothing of a record is shown, if so. The tombstone counts from the moment that it is there, before the row is gone.
async fn is_gone(
    server: &Arc<Server>,
    record: &Sealed,
    digest: &Digest,
) -> Result<Option<&'static str>, Problem> {
    if record.expires_s <= server.now_s() {
        return Ok(Some("expired"));
    }
    let (records, digest) = (server.records.clone(), *digest);
    let forgotten = tokio::task::spawn_blocking(move || records.is_forgotten(&digest));
    Ok(forgotten.await.map_err(Failure::failed)??.then_some("forgotten"))
}

fn note(server: &Server, gallery: &Gallery, visitor: &Visitor, digest: &Digest) -> Result<(), Problem> {
    let who = visitor.who();
    let write = || server.write_down(&who, "records.open", json!({"record": digest}));
    Ok(gallery.write_down(&who, digest, server.now_s(), write)?)
}

fn explained(is_here: bool, opens: bool) -> &'static str {
    match (is_here, opens) {
        (true, true) => {
            "This server has a key that opens them. Who opens which is written down; nothing of them is kept in clear."
        }
        (true, false) => "They are opened for operators and publishers alone.",
        _ => {
            "Picture, boxes and the reason for capture are sealed: they are opened where the data set is made, with the key that \
             this server does not have."
        }
    }
}

fn picture_of(record: &Sealed, shown: &Shown) -> Markup {
    let opened = match shown {
        Shown::Open(opened) => opened,
        Shown::Sealed => {
            return html! { div class="sealed" role="img" aria-label="sealed picture" { "sealed" } };
        }
        Shown::Gone(why) => {
            return html! { div class="sealed" role="img" aria-label=(format!("{why} picture")) { (why) } };
        }
        Shown::Closed(problem) => return html! { p class="problem" { (problem) } },
    };
    let [width, height] = opened.size;
    // As large on every screen, whatever the picture's own pixels.
    let letters = width.max(320) / 20;
    html! {
        div class="frame" {
            img src=(format!("/records/{}/picture", record.digest)) width=(width) height=(height) loading="lazy"
                alt=(format!("Captured picture. {}", in_words(&opened.boxes)));
            svg viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" aria-hidden="true" {
                @for found in &opened.boxes {
                    @let [x, y, w, h] = found.bbox;
                    rect x=(number(x)) y=(number(y)) width=(number(w)) height=(number(h)) {}
                    // From the side that is nearer to the middle of the picture, so that words are not cut off at its edge.
                    @let is_right = x + w / 2.0 > f64::from(width) / 2.0;
                    text x=(number(if is_right { x + w } else { x })) y=(number(beside(y, letters)))
                        text-anchor=(if is_right { "end" } else { "start" }) font-size=(letters) {
                        (found.label) " " (score(found))
                    }
                }
            }
        }
    }
}

/// Where a box's words stand: above it, or within it at the picture's upper edge.
fn beside(y: f64, letters: u32) -> f64 {
    let letters = f64::from(letters);
    if y > letters { y - letters / 4.0 } else { y + letters }
}

fn number(value: f64) -> String {
    value.to_string()
}

/// What a record says of itself, in lines of a list.
fn said_by(shown: &Shown) -> Markup {
    match shown {
        Shown::Open(opened) => html! {
            dt { "Reason" } dd { (reason(&opened.reason)) }
            dt { "Boxes" } dd { (in_words(&opened.boxes)) }
            dt { "Situation" } dd {
                @if opened.situations.is_empty() { "none" }
                @for situation in &opened.situations { div { (situation_in_words(situation)) } }
            }
            dt { "Taken" } dd { (time(opened.taken_s)) }
        },
        Shown::Sealed | Shown::Closed(_) => html! { dt { "Reason" } dd { "unknown (sealed)" } },
        Shown::Gone(_) => html! {},
    }
}

fn score(found: &Annotation) -> String {
    found.score.map(|score| format!("{score:.2}")).unwrap_or_default()
}

fn in_words(boxes: &[Annotation]) -> String {
    if boxes.is_empty() {
        return "none".into();
    }
    let all = boxes.iter().map(|found| format!("{} {}", found.label, score(found)).trim_end().to_owned());
    all.collect::<Vec<_>>().join(", ")
}

/// The rule, what it has to say, and where in what it is about the frame lies.
fn reason(reason: &Reason) -> String {
    let mut words = reason.rule.code().replace('_', " ");
    if let Some(detail) = &reason.detail {
        words.push_str(&format!(": {detail}"));
    }
    if reason.offset_ms != 0 {
        let when = if reason.offset_ms < 0 { "before" } else { "after" };
        let ms = reason.offset_ms.unsigned_abs();
        words.push_str(&format!(", {}.{} s {when} it", ms / 1_000, ms % 1_000 / 100));
    }
    words
}

fn situation_in_words(situation: &RecordedSituation) -> String {
    let mut words = format!("{}: {}", situation.kind.replace('_', " "), situation.phase);
    if let Some(metres) = situation.distance_m {
        words.push_str(&format!(", {metres:.1} m"));
    }
    if let Some(seconds) = situation.ttc_s {
        words.push_str(&format!(", {seconds:.1} s left"));
    }
    words
}
