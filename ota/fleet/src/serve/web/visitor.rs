//! Who is at a page, and what they posted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Form, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

use super::{Problem, auth};
use crate::serve::database::people::{Person, Role};
use crate::serve::secret;
use crate::serve::server::Server;

/// Seconds for which a session lasts at most.
pub const SESSION_S: i64 = 12 * 3_600;
/// Seconds after which one that is not used ends.
const IDLE_S: i64 = 3_600;
/// Name of the cookie.
const COOKIE: &str = "stopline_session";
/// What a session is hashed for.
pub const SESSION: &str = "session";

/// Somebody who is logged in.
pub struct Visitor {
    /// Who.
    pub person: Person,
    /// What their forms carry.
    pub csrf: String,
    /// Digest of the session.
    pub session: String,
    /// Where from.
    pub address: String,
}

/// A form that somebody who is logged in posted from one of our pages.
pub struct Posted {
    /// Who.
    pub visitor: Visitor,
    /// What.
    pub fields: BTreeMap<String, String>,
}

/// Not logged in.
pub enum Turned {
    /// To the log-in.
    Away,
    /// With a reason.
    Down(Problem),
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::Away => Redirect::to("/login").into_response(),
            Self::Down(problem) => problem.into_response(),
        }
    }
}

impl<T: Into<Problem>> From<T> for Turned {
    fn from(problem: T) -> Self {
        Self::Down(problem.into())
    }
}

impl FromRequestParts<Arc<Server>> for Visitor {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Turned> {
        let Some(cookie) = cookie(&parts.headers) else { return Err(Turned::Away) };
        let session = secret::hash(SESSION, &cookie);
        let Some((person, made_s, seen_s)) = server.database.session(&session).await? else {
            return Err(Turned::Away);
        };
        let now_s = server.now_s();
        if now_s - made_s > SESSION_S || now_s - seen_s > IDLE_S {
            return Err(Turned::Away);
        }
        if now_s - seen_s > 60 {
            let mut writing = server.database.write().await?;
            writing.use_session(&session, now_s).await?;
            writing.commit().await?;
        }
        let csrf = secret::hash("csrf", &cookie);
        Ok(Self { person, csrf, session, address: address(parts) })
    }
}

impl FromRequest<Arc<Server>> for Posted {
    type Rejection = Turned;

    async fn from_request(request: Request, server: &Arc<Server>) -> Result<Self, Turned> {
        let (mut parts, body) = request.into_parts();
        let visitor = match Visitor::from_request_parts(&mut parts, server).await {
            Err(Turned::Away) => return Err(Problem::forbidden("Nobody is logged in here.").into()),
            other => other?,
        };
        let what = format!("{} {}", parts.method, parts.uri.path());
        let is_own = is_of_our_pages(server, &parts.headers);
        let form =
            Form::<BTreeMap<String, String>>::from_request(Request::from_parts(parts, body), server).await;
        let Form(fields) =
            form.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        let token = fields.get("csrf").map(String::as_str).unwrap_or_default();
        if !is_own || !secret::same(token, &visitor.csrf) {
            let words =
                "This form is not from one of this server's pages, or is too old. Load the page again.";
            return Err(visitor.refuse(server, &what, "forged or stale form", words).into());
        }
        Ok(Self { visitor, fields })
    }
}

impl Visitor {
    /// How the audit log names them.
    pub fn who(&self) -> String {
        format!("web:{}", self.person.name)
    }

    /// Writes down that something was refused.
    pub fn refuse(&self, server: &Server, what: &str, why: &str, words: &str) -> Problem {
        let detail = json!({"what": what, "why": why, "from": self.address, "role": self.person.role.word()});
        match server.write_down(&self.who(), "web.refused", detail) {
            Ok(()) => Problem::forbidden(words),
            Err(failure) => failure.into(),
        }
    }

    /// Whether they may.
    ///
    /// # Errors
    /// The page that says no; it is written down.
    pub fn must_be(&self, server: &Server, role: Role, what: &str) -> Result<(), Problem> {
        if self.person.role >= role {
            return Ok(());
        }
        let words = format!("This takes the role {}; yours is {}.", role.word(), self.person.role.word());
        Err(self.refuse(server, what, "role", &words))
    }
}

impl Posted {
    /// A field, empty where it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Password and code once more.
    ///
    /// # Errors
    /// The page that says no; it is written down.
    pub async fn is_really_they(&self, server: &Server, what: &str) -> Result<(), Problem> {
        let visitor = &self.visitor;
        let (name, now_s) = (&visitor.person.name, server.now_s());
        if !server.people.limits.begin(name, &visitor.address, now_s) {
            return Err(too_many());
        }
        let (password, code) = (self.field("password"), self.field("code"));
        if auth::is_who(server, Some(&visitor.person), password, code).await? {
            server.people.limits.succeeded(name, &visitor.address);
            return Ok(());
        }
        let words = "Password or code is wrong, or the code was used already: wait for the next one.";
        Err(visitor.refuse(server, what, "password or code", words))
    }
}

/// Too many failures.
pub fn too_many() -> Problem {
    let minutes = super::limits::SPAN_S / 60;
    let words = format!("Too many tries. Wait {minutes} minutes.");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, words)
}

/// Where a request comes from.
pub fn address(parts: &Parts) -> String {
    let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    from.map_or_else(|| "?".to_owned(), |ConnectInfo(from)| from.ip().to_string())
}

/// Whether a form comes from one of our own pages: browsers say so by themselves.
pub fn is_of_our_pages(server: &Server, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let scheme = if server.people.has_tls { "https://" } else { "http://" };
    let host = text(header::ORIGIN).and_then(|origin| origin.strip_prefix(scheme));
    let is_same_site =
        text(header::HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
    is_same_site && host.is_some_and(|host| server.people.hosts.iter().any(|ours| ours == host))
}

/// The cookie that begins a session, or with no secret ends it.
pub fn set_cookie(server: &Server, secret: Option<&str>) -> String {
    let secure = if server.people.has_tls { "; Secure" } else { "" };
    let (value, age) = secret.map_or(("", 0), |secret| (secret, SESSION_S));
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}
