//! What people do: each is checked (form, role, who it really is), written down, done.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde_json::json;
use stopline_depot::message::{Acknowledge, Change, Event};
use stopline_depot::rollout::Rollout;
use stopline_depot::versioned::Versioned as _;

use super::visitor::{Posted, Visitor};
use super::{Problem, account, pages};
use crate::exit::{Failure, Said};
use crate::published::Published;
use crate::rollouts::{self, Step};
use crate::serve::database::devices::Standing;
use crate::serve::database::people::Role;
use crate::serve::devices::Desk;
use crate::serve::mqtt::hub::Command;
use crate::serve::server::Server;

/// Share from which on a step takes two persons, basis points.
const TWO_PERSONS_BP: u16 = 5_000;
/// Seconds for which the first one's word holds.
const FIRST_WORD_S: i64 = 3_600;
type Shared = State<Arc<Server>>;

fn desk<'a>(server: &'a Server, who: &'a str) -> Desk<'a> {
    Desk { database: &server.database, audit: &server.audit, who, now: server.clock.now() }
}

/// A token for a new device, shown once.
pub(super) async fn token(State(server): Shared, posted: Posted) -> Result<Response, Problem> {
    let visitor = &posted.visitor;
    visitor.must_be(&server, Role::Operator, "devices.token")?;
    let who = visitor.who();
    let token = desk(&server, &who).token(posted.field("name"), 24, 1).await?;
    let page = pages::page(
        visitor,
        "Devices",
        "Token",
        html! {
            p { "For " strong { (posted.field("name")) } ", good for a day, for one device. It is shown now and never again." }
            pre { code { (token) } }
            p { "On the device: " code { "stopline-agent enroll --token -" } }
            p { a href="/devices" { "Back to the devices" } }
        },
    );
    Ok(page.into_response())
}

/// Another name.
pub(super) async fn rename(
    State(server): Shared,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    posted.visitor.must_be(&server, Role::Operator, "devices.name")?;
    let who = posted.visitor.who();
    let desk = desk(&server, &who);
    let device = desk.find(&id).await?;
    desk.rename(&device, posted.field("name")).await?;
    Ok(Redirect::to(&format!("/devices/{}", device.id)).into_response())
}

/// A diagnostic bundle is asked for.
pub(super) async fn diagnose(
    State(server): Shared,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    posted.visitor.must_be(&server, Role::Operator, "devices.diagnose")?;
    let who = posted.visitor.who();
    let desk = desk(&server, &who);
    let device = desk.find(&id).await?;
    let order = desk.diagnose(&device).await?;
    server.hub.tell(&device.id, &Command::Order(order.order()?));
    Ok(Redirect::to(&format!("/devices/{}", device.id)).into_response())
}

/// Another standing: an operator may stop a device, a publisher ends one for good or lets one in again.
pub(super) async fn stand(
    State(server): Shared,
    Path((id, word)): Path<(String, String)>,
    posted: Posted,
) -> Result<Response, Problem> {
    let (standing, role) = match word.as_str() {
        "quarantine" => (Standing::Quarantined, Role::Operator),
        "release" => (Standing::Active, Role::Publisher),
        "revoke" => (Standing::Revoked, Role::Publisher),
        "retire" => (Standing::Retired, Role::Publisher),
        _ => return Err(Problem::new(StatusCode::NOT_FOUND, "There is no such step.")),
    };
    let what = format!("devices.{word}");
    posted.visitor.must_be(&server, role, &what)?;
    if role == Role::Publisher {
        posted.is_really_they(&server, &what).await?;
    }
    let who = posted.visitor.who();
    let desk = desk(&server, &who);
    let device = desk.find(&id).await?;
    desk.stand(&device, standing, posted.field("reason")).await?;
    Ok(Redirect::to(&format!("/devices/{}", device.id)).into_response())
}

/// Somebody answers an event that is open.
pub(super) async fn acknowledge(State(server): Shared, posted: Posted) -> Result<Response, Problem> {
    let visitor = &posted.visitor;
    visitor.must_be(&server, Role::Operator, "events.acknowledge")?;
    let seq = posted.field("seq").parse().unwrap_or(-1);
    let found = server.database.message(posted.field("device"), posted.field("boot_id"), seq).await?;
    let event = found.filter(|event| event.kind == "event");
    let event = event.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "There is no such event."))?;
    let said: Event = serde_json::from_str(&event.body).map_err(Failure::failed)?;
    let of_device = server.database.latest(&["event"], Some(&event.device), 1_000).await?;
    let is_over = of_device
        .iter()
        .filter(|later| (&later.boot_id, later.received_s) >= (&event.boot_id, event.received_s))
        .filter_map(|later| serde_json::from_str::<Event>(&later.body).ok())
        .any(|later| later.id == said.id && later.change == Change::Over);
    if is_over {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "This event is over; there is nothing to acknowledge.",
        ));
    }
    let detail =
        json!({"device": event.device, "event": said.id, "boot_id": event.boot_id, "seq": event.seq});
    server.write_down(&visitor.who(), "events.acknowledge", detail)?;
    let mut writing = server.database.write().await?;
    let is_first = writing.acknowledge((&event, &said.id), &visitor.person.name, server.now_s()).await?;
    writing.commit().await?;
    if !is_first {
        return Err(Problem::new(StatusCode::CONFLICT, "Somebody acknowledged it already."));
    }
    let answer = Acknowledge { schema: Acknowledge::SCHEMA, id: said.id, by: visitor.person.name.clone() };
    server.hub.tell(&event.device, &Command::Acknowledge(answer));
    Ok(Redirect::to("/events").into_response())
}

/// Pause, advance, abort: the command line's own code, signed by the online keys, which are the only ones here.
pub(super) async fn steer(
    State(server): Shared,
    Path((model, word)): Path<(String, String)>,
    posted: Posted,
) -> Result<Response, Problem> {
    let (step, role) = match word.as_str() {
        "pause" => (Step::Pause, Role::Operator),
        "advance" => (Step::Advance, Role::Publisher),
        "abort" => (Step::Abort, Role::Publisher),
        _ => return Err(Problem::new(StatusCode::NOT_FOUND, "There is no such step.")),
    };
    let what = format!("rollout.{word}");
    let visitor = &posted.visitor;
    visitor.must_be(&server, role, &what)?;
    posted.is_really_they(&server, &what).await?;
    // One step at a time: what two persons agreed on is what is done.
    let _turn = server.people.steering.lock().await;
    let rollout = current(&server, &model).await?;
    let share = share(&rollout);
    if posted.field("rollout_id") != rollout.rollout_id || posted.field("percent_bp") != share.to_string() {
        let words = "The roll-out has changed since the page was loaded. Look again.";
        return Err(Problem::new(StatusCode::CONFLICT, words));
    }
    let after = rollouts::stepped(&rollout, step)?;
    let reaches = if step == Step::Abort { share } else { self::share(&after) };
    let detail =
        json!({"model": model, "rollout_id": rollout.rollout_id, "from_bp": share, "to_bp": reaches});
    if step != Step::Pause && reaches >= TWO_PERSONS_BP {
        let second = is_second(&server, visitor, &rollout.rollout_id, &word, reaches).await?;
        if !second {
            server.write_down(&visitor.who(), &format!("{what}.first_of_two"), detail)?;
            note_first(&server, visitor, &rollout.rollout_id, &word, reaches).await?;
            return Ok(Redirect::to("/registry").into_response());
        }
    }
    server.write_down(&visitor.who(), &what, detail)?;
    let (shared, named) = (server.clone(), model.clone());
    let done = tokio::task::spawn_blocking(move || shared.repository.step(&named, step)).await;
    match done.map_err(Failure::failed)? {
        Ok(said) => {
            server.hub.look_now();
            Ok(done_page(visitor, &what, &said).into_response())
        }
        Err(failure) => {
            let detail = json!({"model": model, "problem": failure.message});
            server.write_down(&visitor.who(), &format!("{what}.failed"), detail)?;
            Err(failure.into())
        }
    }
}

fn done_page(visitor: &Visitor, what: &str, said: &Said) -> maud::Markup {
    pages::page(
        visitor,
        "Registry",
        "Done",
        html! {
            p { strong { (what) } " is signed and published. Vehicles see it when they ask next." }
            pre { @for line in &said.words { (line) "\n" } }
            p { a href="/registry" { "Back to the registry" } }
        },
    )
}

/// The largest share of the variants, basis points.
pub(super) fn share(rollout: &Rollout) -> u16 {
    rollout.targets.values().map(|variant| variant.percent_bp).max().unwrap_or(0)
}

async fn current(server: &Arc<Server>, model: &str) -> Result<Rollout, Problem> {
    let (shared, model) = (server.clone(), model.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let store = shared.repository.store()?;
        let published = Published::read(&*store, &shared.repository.trusted_root()?)?;
        let published = published.ok_or_else(|| Failure::usage("nothing is published yet"))?;
        rollouts::read(&*store, &published, &model)?
            .ok_or_else(|| Failure::usage(format!("{model}: there is no roll-out")))
    });
    Ok(read.await.map_err(Failure::failed)??)
}

/// Whether another person has said the same within the hour.
async fn is_second(
    server: &Server,
    visitor: &Visitor,
    rollout_id: &str,
    step: &str,
    percent_bp: u16,
) -> Result<bool, Problem> {
    let first = server.database.approval(rollout_id, step, i64::from(percent_bp)).await?;
    Ok(first.is_some_and(|(who, at_s)| who != visitor.person.name && server.now_s() - at_s <= FIRST_WORD_S))
}

async fn note_first(
    server: &Server,
    visitor: &Visitor,
    rollout_id: &str,
    step: &str,
    percent_bp: u16,
) -> Result<(), Problem> {
    let mut writing = server.database.write().await?;
    let what = (rollout_id, step, i64::from(percent_bp));
    writing.approve(what, &visitor.person.name, server.now_s()).await?;
    Ok(writing.commit().await?)
}

/// A link for somebody new, or for somebody who lost password or codes.
pub(super) async fn invite_person(State(server): Shared, posted: Posted) -> Result<Response, Problem> {
    let visitor = &posted.visitor;
    visitor.must_be(&server, Role::Publisher, "people.invite")?;
    posted.is_really_they(&server, "people.invite").await?;
    let name = pages::people::checked_name(posted.field("name"))?;
    let role: Role = posted.field("role").parse().map_err(Failure::usage)?;
    server.write_down(&visitor.who(), "people.invite", json!({"name": name, "role": role.word()}))?;
    let secret = account::invite(&server.database, name, role, &visitor.who(), server.now_s()).await?;
    let page = pages::page(
        visitor,
        "People",
        "Invitation",
        html! {
            p { "For " strong { (name) } " as " (role.word()) ": this link counts once, within a day. It is shown now and never again." }
            pre { code { "/welcome?invitation=" (secret) } }
            p { a href="/people" { "Back to the people" } }
        },
    );
    Ok(page.into_response())
}

/// Somebody who is no longer to log in.
pub(super) async fn remove_person(State(server): Shared, posted: Posted) -> Result<Response, Problem> {
    let visitor = &posted.visitor;
    visitor.must_be(&server, Role::Publisher, "people.remove")?;
    posted.is_really_they(&server, "people.remove").await?;
    let name = posted.field("name");
    if name == visitor.person.name {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "Nobody removes themselves; another publisher does.",
        ));
    }
    server.write_down(&visitor.who(), "people.remove", json!({"name": name}))?;
    let mut writing = server.database.write().await?;
    writing.remove_person(name).await?;
    writing.commit().await?;
    Ok(Redirect::to("/people").into_response())
}
