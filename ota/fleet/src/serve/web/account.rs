//! Coming in: the invitation, the log-in, the log-out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};
use serde::Deserialize;
use serde_json::json;

use super::visitor::{Posted, SESSION, is_of_our_pages, set_cookie, too_many};
use super::{Problem, auth, pages};
use crate::exit::Result as Done;
use crate::serve::database::Database;
use crate::serve::database::people::{Invitation, Person, Role};
use crate::serve::secret;
use crate::serve::server::Server;

/// Seconds for which an invitation is good.
const INVITATION_S: i64 = 86_400;
/// What an invitation is hashed for.
const INVITATION: &str = "invitation";
type Shared = State<Arc<Server>>;

/// Invites somebody: the secret of their link, shown now and never again. Whoever has the name already gets a new password
/// by it.
///
/// # Errors
/// The database's; the system's.
pub async fn invite(database: &Database, name: &str, role: Role, by: &str, now_s: i64) -> Done<String> {
    let secret = secret::new()?;
    let invitation =
        Invitation { name: name.to_owned(), role, totp: auth::new_totp()?, expires_s: now_s + INVITATION_S };
    let mut writing = database.write().await?;
    writing.invite(&secret::hash(INVITATION, &secret), &invitation, by).await?;
    writing.commit().await?;
    Ok(secret)
}

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    invitation: String,
}

pub(super) async fn welcome_page(State(server): Shared, Query(link): Query<Link>) -> Result<Markup, Problem> {
    let invitation = invited(&server, &link.invitation).await?;
    Ok(form_of(&invitation, &link.invitation, None))
}

async fn invited(server: &Server, secret: &str) -> Result<Invitation, Problem> {
    let found = server.database.invitation(&secret::hash(INVITATION, secret)).await?;
    let good = found.filter(|invitation| invitation.expires_s >= server.now_s());
    good.ok_or_else(|| {
        Problem::forbidden(
            "This invitation is not known, was taken up, or is too old. A publisher invites anew on the page People, or \
             `stopline-fleet serve invite NAME --role ROLE` on the server.",
        )
    })
}

fn form_of(invitation: &Invitation, secret: &str, problem: Option<&str>) -> Markup {
    let uri = auth::uri(&invitation.name, &invitation.totp);
    pages::bare(
        "Welcome",
        html! {
            h1 { "Welcome, " (invitation.name) }
            p { "You come in as " strong { (invitation.role.word()) } ". Choose a password, and let an authenticator show codes for you." }
            @if let Some(problem) = problem { p class="problem" role="alert" { (problem) } }
            form method="post" action="/welcome" class="stack" {
                input type="hidden" name="invitation" value=(secret);
                label { "Password, " (auth::SHORTEST) " characters or more"
                    input type="password" name="password" autocomplete="new-password" required minlength=(auth::SHORTEST); }
                label { "The same once more"
                    input type="password" name="again" autocomplete="new-password" required minlength=(auth::SHORTEST); }
                @if let Some(picture) = picture(&uri) { figure { (picture) figcaption { "For the authenticator's camera" } } }
                p { "Secret for the authenticator (Base32, SHA-1, six digits, 30 seconds): " code id="totp" { (invitation.totp) }
                    " " a href=(uri) { "open in an authenticator" } }
                label { "The code that it shows now"
                    input name="code" inputmode="numeric" autocomplete="one-time-code" required pattern="[0-9 ]{6,7}"; }
                button { "Come in" }
            }
        },
    )
}

/// A QR code (ISO/IEC 18004) with its quiet zone of four modules, as one path. None where the text is too long for one.
fn picture(text: &str) -> Option<Markup> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let dark = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
    let path: String = dark
        .filter(|&(x, y)| code.get_module(x, y))
        .map(|(x, y)| format!("M{} {}h1v1h-1z", x + 4, y + 4))
        .collect();
    let side = code.size() + 8;
    Some(html! {
        svg class="qr" id="qr" viewBox=(format!("0 0 {side} {side}")) role="img" aria-label="QR code with the authenticator's secret" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

#[derive(Deserialize)]
pub(super) struct Welcome {
    #[serde(default)]
    invitation: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
    #[serde(default)]
    code: String,
}

pub(super) async fn welcome(
    State(server): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<Welcome>,
) -> Result<Response, Problem> {
    if !is_of_our_pages(&server, &headers) {
        return Err(Problem::forbidden("This form is not from this server's page."));
    }
    let (address, now_s) = (from.ip().to_string(), server.now_s());
    if !server.people.limits.begin("", &address, now_s) {
        return Err(too_many());
    }
    let invitation = invited(&server, &form.invitation).await?;
    let again = |problem: &str| {
        let page = form_of(&invitation, &form.invitation, Some(problem));
        Ok((StatusCode::BAD_REQUEST, page).into_response())
    };
    if form.password != form.again {
        return again("The two passwords differ.");
    }
    if form.password.chars().count() < auth::SHORTEST {
        return again("The password is too short.");
    }
    let Some(step) = auth::step_of(&invitation.totp, &form.code, now_s) else {
        return again("The code is wrong. Is the clock of the telephone right?");
    };
    let person = Person {
        name: invitation.name.clone(),
        role: invitation.role,
        password: auth::hash(&server, &form.password).await?,
        totp: invitation.totp.clone(),
        last_step: step,
        made_s: now_s,
    };
    let detail = json!({"role": person.role.word(), "from": address});
    server.write_down(&format!("web:{}", person.name), "people.welcome", detail)?;
    let mut writing = server.database.write().await?;
    writing.take_up(&secret::hash(INVITATION, &form.invitation), &person).await?;
    writing.commit().await?;
    server.people.limits.succeeded("", &address);
    begin(&server, &person).await
}

pub(super) async fn log_in_page() -> Markup {
    log_in_form(None)
}

fn log_in_form(problem: Option<&str>) -> Markup {
    pages::bare(
        "Log in",
        html! {
            h1 { "Log in" }
            @if let Some(problem) = problem { p class="problem" role="alert" { (problem) } }
            form method="post" action="/login" class="stack" {
                label { "Name" input name="name" autocomplete="username" required autofocus maxlength="80"; }
                label { "Password" input type="password" name="password" autocomplete="current-password" required; }
                label { "Code" input name="code" inputmode="numeric" autocomplete="one-time-code" required pattern="[0-9 ]{6,7}"; }
                button { "Log in" }
            }
        },
    )
}

#[derive(Deserialize)]
pub(super) struct LogIn {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
}

pub(super) async fn log_in(
    State(server): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<LogIn>,
) -> Result<Response, Problem> {
    if !is_of_our_pages(&server, &headers) {
        return Err(Problem::forbidden("This form is not from this server's page."));
    }
    let (name, address) = (form.name.trim(), from.ip().to_string());
    if !server.people.limits.begin(name, &address, server.now_s()) {
        tracing::warn!(id = "serve.log_in.too_many", from = address, "too many log-ins fail");
        return Err(too_many());
    }
    let person = server.database.person(name).await?;
    let detail = json!({"from": address});
    if !auth::is_who(&server, person.as_ref(), &form.password, &form.code).await? {
        let shown: String = name.chars().filter(|char| !char.is_control()).take(80).collect();
        server.write_down(&format!("web:{shown}"), "web.log_in_failed", detail)?;
        let words = "Name, password or code is wrong, or the code was used already: wait for the next one.";
        return Ok((StatusCode::UNAUTHORIZED, log_in_form(Some(words))).into_response());
    }
    let Some(person) = person else { return Err(Problem::forbidden("Nobody.")) };
    server.write_down(&format!("web:{}", person.name), "web.log_in", detail)?;
    server.people.limits.succeeded(name, &address);
    begin(&server, &person).await
}

/// A new session for each log-in: one that somebody else knew before is worth nothing.
async fn begin(server: &Server, person: &Person) -> Result<Response, Problem> {
    let secret = secret::new()?;
    let mut writing = server.database.write().await?;
    writing.begin_session(&secret::hash(SESSION, &secret), &person.name, server.now_s()).await?;
    writing.commit().await?;
    let cookie = [(header::SET_COOKIE, set_cookie(server, Some(&secret)))];
    Ok((cookie, Redirect::to("/devices")).into_response())
}

pub(super) async fn log_out(State(server): Shared, posted: Posted) -> Result<Response, Problem> {
    let visitor = &posted.visitor;
    server.write_down(&visitor.who(), "web.log_out", json!({}))?;
    let mut writing = server.database.write().await?;
    writing.end_session(&visitor.session).await?;
    writing.commit().await?;
    Ok(([(header::SET_COOKIE, set_cookie(&server, None))], Redirect::to("/login")).into_response())
}
