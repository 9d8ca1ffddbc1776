//! A data set is put together: which records, by what of them is clear. What comes out is a list, and the command that opens it
//! where the key is; nothing is opened here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use serde_json::json;
use stopline_depot::versioned::{self, Versioned as _};

use super::{bytes, time};
use crate::dataset::selection::{MOST, Selection};
use crate::serve::database::devices::Device;
use crate::serve::database::records::{Asked, Sealed};
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Records that are proposed where nobody says how many.
const PROPOSED: i64 = 1_000;
const DAY_S: i64 = 86_400;
/// How a day is written, for the browser.
const DAY: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}";

/// The form, as it came: fields by name, devices any number of times.
type Fields = Query<Vec<(String, String)>>;

/// What somebody asked for.
struct Wish {
    devices: BTreeSet<String>,
    from: String,
    to: String,
    asked: Asked,
}

impl Wish {
    fn read(fields: &[(String, String)]) -> Result<Self, Problem> {
        let of =
            |name: &str| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim());
        let devices = fields.iter().filter(|(field, value)| field == "device" && !value.is_empty());
        let (from, to) = (of("from").to_owned(), of("to").to_owned());
        let asked = Asked {
            from_s: day(&from)?.unwrap_or(0),
            to_s: day(&to)?.map_or(i64::MAX, |begin| begin + DAY_S),
            class: number(of("class"), 0, 9)?.unwrap_or(0),
            most: number(of("most"), 1, i64::try_from(MOST).unwrap_or(i64::MAX))?.unwrap_or(PROPOSED),
        };
        Ok(Self { devices: devices.map(|(_, value)| value.clone()).collect(), from, to, asked })
    }

    /// The records, the most valuable first.
    async fn records(&self, server: &Server) -> Result<Vec<Sealed>, Problem> {
        let now_s = server.now_s();
        if self.devices.is_empty() {
            return Ok(server.database.chosen("", &self.asked, now_s).await?);
        }
        let mut found = Vec::new();
        for device in &self.devices {
            found.extend(server.database.chosen(device, &self.asked, now_s).await?);
        }
        found.sort_by(|one, other| {
            let key = |record: &Sealed| (-record.class, -record.received_s, record.digest.clone());
            key(one).cmp(&key(other))
        });
        found.truncate(usize::try_from(self.asked.most).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The same wish, as a link carries it.
    fn query(&self) -> String {
        let mut query: Vec<String> = self.devices.iter().map(|id| format!("device={}", plain(id))).collect();
        query.extend([format!("from={}", plain(&self.from)), format!("to={}", plain(&self.to))]);
        query.extend([format!("class={}", self.asked.class), format!("most={}", self.asked.most)]);
        query.join("&")
    }
}

/// Ids and dates need no escaping; of anything else nothing is left.
fn plain(text: &str) -> String {
    text.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect()
}

/// The first second of a day (UTC).
fn day(text: &str) -> Result<Option<i64>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let date: Result<Date, _> = text.parse();
    let begin = date.and_then(|date| date.to_zoned(TimeZone::UTC)).map(|at| at.timestamp().as_second());
    begin.map(Some).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, format!("{text:?} is no day; 2026-11-22 would be one"))
    })
}

fn number(text: &str, least: i64, most: i64) -> Result<Option<i64>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, format!("{text:?}: {least} to {most} is expected"))
    })
}

pub async fn page(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Query(fields): Fields,
) -> Result<Markup, Problem> {
    let wish = Wish::read(&fields)?;
    let devices = server.database.devices().await?;
    let records = wish.records(&server).await?;
    let content = html! {
        p { "Which records are to be opened and labelled, or trained on. Only what is clear of them can be asked for here; pictures that \
            are alike, and classes, are balanced where the data set is opened." }
        (form(&wish, &devices))
        @if records.is_empty() { p { "No record is so." } } @else { (outcome(&wish, &devices, &records)) }
    };
    Ok(super::page(&visitor, "Datasets", "Datasets", content))
}

fn form(wish: &Wish, devices: &[Device]) -> Markup {
    html! {
        form method="get" action="/datasets" class="stack" {
            label { "Devices (none: all)"
                select name="device" multiple size=(devices.len().clamp(2, 8)) { @for device in devices {
                    option value=(device.id) selected[wish.devices.contains(&device.id)] { (device.name) }
                } } }
            div class="row" {
                label { "Came on this day (UTC) or later" input name="from" value=(wish.from) placeholder="2026-11-22" pattern=(DAY); }
                label { "On this day or before" input name="to" value=(wish.to) placeholder="2026-11-30" pattern=(DAY); }
                label { "Least class" input type="number" name="class" min="0" max="9" value=(wish.asked.class); }
                label { "At most" input type="number" name="most" min="1" max=(MOST) value=(wish.asked.most); }
            }
            button { "Look" }
        }
    }
}

fn outcome(wish: &Wish, devices: &[Device], records: &[Sealed]) -> Markup {
    let mut by_device: BTreeMap<&str, (i64, i64, i64)> = BTreeMap::new();
    for record in records {
        let (count, length, newest) = by_device.entry(&record.device).or_default();
        (*count, *length, *newest) = (*count + 1, *length + record.length, (*newest).max(record.received_s));
    }
    let total: i64 = records.iter().map(|record| record.length).sum();
    let by_class = |class: i64| records.iter().filter(|record| record.class == class).count();
    let classes: Vec<(i64, usize)> =
        (0..=9).rev().map(|class| (class, by_class(class))).filter(|(_, count)| *count > 0).collect();
    let name = |id: &str| {
        let known = devices.iter().find(|device| device.id == id);
        known.map_or_else(|| super::devices::short(id), |device| device.name.clone())
    };
    html! {
        h2 { (records.len()) " records, " (bytes(total)) }
        p { "By class: " @for (at, (class, count)) in classes.iter().enumerate() { @if at > 0 { ", " } (class) ": " (count) } }
        table {
            thead { tr { th { "Device" } th { "Records" } th { "Size" } th { "Newest" } } }
            tbody { @for (device, (count, length, newest)) in &by_device { tr {
                td { a href=(format!("/devices/{device}")) { (name(device)) } } td { (count) } td { (bytes(*length)) } td { (time(*newest)) }
            } } }
        }
        p { a id="selection" href=(format!("/datasets/selection.json?{}", wish.query())) download="selection.json" { "selection.json" }
            ", and where the key is that opens them:" }
        pre { code { "stopline-fleet dataset export STORE --identity capture.key --only selection.json -o to-label" } }
    }
}

/// The list.
pub async fn selection(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Query(fields): Fields,
) -> Result<Response, Problem> {
    let wish = Wish::read(&fields)?;
    let records = wish.records(&server).await?;
    let digests = records.iter().filter_map(|record| record.digest.parse().ok());
    let asked = &wish.asked;
    let selection = Selection {
        schema: Selection::SCHEMA,
        made_by: visitor.who(),
        made_s: server.now_s(),
        asked: json!({"devices": wish.devices, "from": wish.from, "to": wish.to, "class": asked.class, "most": asked.most}),
        records: digests.collect(),
    };
    let body = versioned::write(&selection).map_err(crate::exit::Failure::failed)?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"selection.json\""),
    ];
    Ok((headers, body).into_response())
}
