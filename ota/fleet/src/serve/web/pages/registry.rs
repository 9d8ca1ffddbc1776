//! Models, roll-outs with their stages and gates, and what expires when.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use stopline_depot::rollout::{Rollout, State as RolloutState};

use super::{badge, csrf, once_more, time};
use crate::exit::{Failure, Result, Said};
use crate::expiry::{self, Expiry, Level};
use crate::models::{Listed, listed};
use crate::outcomes::Heard;
use crate::published::Published;
use crate::rollouts;
use crate::serve::database::people::Role;
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::actions::share;
use crate::serve::web::visitor::Visitor;

/// One model's releases and roll-out.
struct Model {
    name: String,
    releases: Vec<Listed>,
    rollout: Option<(Rollout, Option<i64>)>,
    gates: Option<Said>,
}

struct Seen {
    models: Vec<Model>,
    expiries: Vec<Expiry>,
}

pub async fn page(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
) -> std::result::Result<Markup, Problem> {
    let heard = server.database.heard().await?;
    let shared = server.clone();
    let seen = tokio::task::spawn_blocking(move || look(&shared, &heard)).await.map_err(Failure::failed)?;
    let mut approvals = Vec::new();
    if let Ok(Some(seen)) = &seen {
        for (rollout, _) in seen.models.iter().filter_map(|model| model.rollout.as_ref()) {
            for step in ["advance", "abort"] {
                approvals.extend(waiting(&server, rollout, step).await?);
            }
        }
    }
    let can_sign = server.repository.can_sign();
    Ok(super::page(
        &visitor,
        "Registry",
        "Registry",
        html! {
            @match &seen {
                Err(failure) => { p class="problem" role="alert" { (failure.message) } }
                Ok(None) => { p { "Nothing is published yet. The operators' page tells how." } }
                Ok(Some(seen)) => {
                    @for words in &approvals { p class="notice" role="status" { (words) } }
                    @for model in &seen.models { (model_part(&visitor, model, can_sign)) }
                    @if seen.models.is_empty() { p { "No model is published yet." } }
                    (expiry_part(&seen.expiries))
                }
            }
        },
    ))
}

fn look(server: &Server, heard: &Heard) -> Result<Option<Seen>> {
    let store = server.repository.store()?;
    let Some(published) = Published::read(&*store, &server.repository.trusted_root()?)? else {
        return Ok(None);
    };
    let mut models = Vec::new();
    for (name, releases) in listed(&*store, &published)? {
        let rollout = rollouts::read(&*store, &published, &name)?;
        let since = rollouts::stage_since(&published, &name)?;
        let gates = rollout.is_some().then(|| server.repository.gate(&name, heard)).transpose()?;
        models.push(Model { releases, rollout: rollout.map(|rollout| (rollout, since)), gates, name });
    }
    Ok(Some(Seen { models, expiries: expiry::expiries(&published, server.clock.now()) }))
}

/// What waits for a second person, in words.
async fn waiting(
    server: &Server,
    rollout: &Rollout,
    step: &str,
) -> std::result::Result<Option<String>, Problem> {
    let reaches = match step {
        "advance" => match rollouts::stepped(rollout, rollouts::Step::Advance) {
            Ok(after) => share(&after),
            Err(_) => return Ok(None),
        },
        _ => share(rollout),
    };
    let first = server.database.approval(&rollout.rollout_id, step, i64::from(reaches)).await?;
    let first = first.filter(|(_, at_s)| server.now_s() - at_s <= 3_600);
    Ok(first.map(|(who, _)| {
        format!(
            "{who} wants to {step} {} ({reaches} of 10000). It takes another publisher, within the hour.",
            rollout.rollout_id
        )
    }))
}

fn model_part(visitor: &Visitor, model: &Model, can_sign: bool) -> Markup {
    html! {
        section {
            h2 { (model.name) }
            table class="cards" {
                thead { tr { th { "Release" } th { "Stage" } th { "Hardware" } th { "Bundle" } } }
                tbody { @for one in model.releases.iter().rev() { tr {
                    td data-label="Release" { (one.release.version) " (" (one.release.release_seq) ")" }
                    td data-label="Stage" { (one.stage.join(", ")) }
                    td data-label="Hardware" { (one.release.hardware.join(", ")) }
                    td data-label="Bundle" { code { (super::devices::short(&one.release.unpacked.sha256.to_string())) } }
                } } }
            }
            @match &model.rollout {
                None => { p { "No roll-out." } }
                Some((rollout, since)) => {
                    h3 { (rollout.rollout_id) " " (state(rollout.state)) @if let Some(since) = since { " this stage since " (time(*since)) } }
                    @for (hardware, variant) in &rollout.targets {
                        p { strong { (hardware) } ": " (variant.target) }
                        ol class="stages" { @for stage in &variant.stages {
                            li class=[(stage.bp <= variant.percent_bp).then_some("reached")] aria-current=[(stage.bp == variant.percent_bp).then_some("step")] {
                                (percent(stage.bp))
                            }
                        } }
                    }
                    @if let Some(gates) = &model.gates { h4 { "Gates" } pre { @for line in gates.words.iter().skip(1 + rollout.targets.len()) { (line) "\n" } } }
                    (buttons(visitor, &model.name, rollout, can_sign))
                }
            }
        }
    }
}

fn buttons(visitor: &Visitor, model: &str, rollout: &Rollout, can_sign: bool) -> Markup {
    let role = visitor.person.role;
    if role < Role::Operator {
        return html! {};
    }
    if !can_sign {
        return html! { p { "This server has no online keys; steer it with " code { "stopline-fleet rollout" } "." } };
    }
    let steps = [
        ("pause", "Pause", rollout.state == RolloutState::Active),
        ("advance", "Advance", role >= Role::Publisher && rollout.state != RolloutState::Aborted),
        ("abort", "Abort", role >= Role::Publisher && rollout.state != RolloutState::Aborted),
    ];
    html! { @for (word, title, shown) in steps { @if shown {
        details { summary { (title) "…" }
            form method="post" action=(format!("/rollouts/{model}/{word}")) class="row" {
                (csrf(visitor))
                input type="hidden" name="rollout_id" value=(rollout.rollout_id);
                input type="hidden" name="percent_bp" value=(share(rollout));
                (once_more(visitor))
                button class=[(word == "abort").then_some("grave")] { (title) " " (model) }
            }
        }
    } } }
}

fn state(state: RolloutState) -> Markup {
    let level = match state {
        RolloutState::Active => "good",
        RolloutState::Paused => "warn",
        RolloutState::Aborted => "bad",
    };
    badge(level, rollouts::state_name(state))
}

fn percent(bp: u16) -> String {
    if bp.is_multiple_of(100) { format!("{} %", bp / 100) } else { format!("{}.{:02} %", bp / 100, bp % 100) }
}

fn expiry_part(expiries: &[Expiry]) -> Markup {
    html! {
        h2 { "What expires when" }
        table class="cards" {
            thead { tr { th { "Role" } th { "Version" } th { "Expires" } th { "" } } }
            tbody { @for one in expiries { tr {
                td data-label="Role" { (one.role.to_string()) }
                td data-label="Version" { (one.version) }
                td data-label="Expires" { (time(one.expires.as_second())) }
                td data-label="Stands" { (match one.level {
                    Level::Good => badge("good", "good"),
                    Level::Warning => badge("warn", "a third is left"),
                    Level::Alarm => badge("bad", "a fifth or less is left"),
                }) }
            } } }
        }
    }
}
