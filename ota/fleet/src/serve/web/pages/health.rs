//! Figures of each device over time, as small charts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::time;
use crate::serve::database::messages::Stored;
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// Messages of figures that a chart is drawn from.
const MOST: i64 = 300;
/// Charts of one device, at most.
const CHARTS: usize = 60;
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

#[derive(Deserialize)]
pub struct Which {
    #[serde(default)]
    device: String,
}

pub async fn page(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
    Query(which): Query<Which>,
) -> Result<Markup, Problem> {
    let devices = server.database.devices().await?;
    let chosen = devices.iter().find(|device| device.id == which.device).or_else(|| devices.first());
    let figures = match chosen {
        Some(device) => server.database.latest(&["stats"], Some(&device.id), MOST).await?,
        None => Vec::new(),
    };
    let series = series(&figures);
    Ok(super::page(
        &visitor,
        "Health",
        "Health",
        html! {
            form method="get" action="/health" class="row" {
                label { "Device" select name="device" { @for device in &devices {
                    option value=(device.id) selected[chosen.is_some_and(|chosen| chosen.id == device.id)] { (device.name) }
                } } }
                button { "Show" }
            }
            @match (figures.last(), figures.first()) {
                (Some(first), Some(last)) => { p { (figures.len()) " messages, from " (time(first.received_s)) " to " (time(last.received_s)) "." } }
                _ => { p { "It has told no figures yet." } }
            }
            div class="charts" { @for (name, points) in series.iter().take(CHARTS) { (chart(name, points)) } }
        },
    ))
}

/// Each figure by its path in the message, oldest first.
fn series(figures: &[Stored]) -> BTreeMap<String, Vec<(i64, f64)>> {
    let mut series = BTreeMap::new();
    for message in figures.iter().rev() {
        if let Ok(value) = serde_json::from_str::<Value>(&message.body) {
            gather("", &value, message.received_s, &mut series);
        }
    }
    // What never changes is no chart.
    series.retain(|_, points: &mut Vec<(i64, f64)>| points.len() > 1);
    series
}

fn gather(path: &str, value: &Value, at_s: i64, series: &mut BTreeMap<String, Vec<(i64, f64)>>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
                gather(&path, value, at_s, series);
            }
        }
        Value::Number(number) if series.len() < 500 || series.contains_key(path) => {
            if let Some(number) = number.as_f64() {
                series.entry(path.to_owned()).or_default().push((at_s, number));
            }
        }
        Value::Bool(flag) => {
            series.entry(path.to_owned()).or_default().push((at_s, f64::from(u8::from(*flag))))
        }
        _ => {}
    }
}

fn chart(name: &str, points: &[(i64, f64)]) -> Markup {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for (_, value) in points {
        (least, most) = (least.min(*value), most.max(*value));
    }
    let span = if most > least { most - least } else { 1.0 };
    let last = points.last().map_or(0.0, |(_, value)| *value);
    let steps = points.len().saturating_sub(1).max(1);
    #[expect(clippy::cast_precision_loss, reason = "an index of at most 300, and pixels")]
    let drawn = points.iter().enumerate().map(|(index, (_, value))| {
        let x = WIDTH * index as f64 / steps as f64;
        let y = HEIGHT - 4.0 - (HEIGHT - 8.0) * (value - least) / span;
        format!("{x:.1},{y:.1}")
    });
    let line = drawn.collect::<Vec<_>>().join(" ");
    let words = format!("{name}: now {}, from {} to {}", figure(last), figure(least), figure(most));
    html! { figure {
        figcaption { (name.replace('_', " ")) strong { (figure(last)) } }
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(words) preserveAspectRatio="none" {
            polyline points=(line) {}
        }
        small { (figure(least)) " to " (figure(most)) }
    } }
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 {
        format!("{value:.0}")
    } else if value.abs() >= 1e6 {
        format!("{value:.3e}")
    } else {
        format!("{value:.2}")
    }
}
