//! The people's side: pages rendered here, one style sheet, one small script, no inline script, nothing from elsewhere.
//!
//! Whoever is logged in has a session (a cookie that scripts cannot read, the same site's requests only); each form carries a
//! token of its session, and comes from our own pages by its `Origin`. What steers a roll-out asks for password and code again,
//! and from half of the fleet on for a second person. What is refused to somebody who is logged in is written down.

mod account;
mod actions;
mod auth;
mod limits;
mod pages;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::server::Server;
use crate::exit::{Exit, Failure};
use limits::Limits;

pub use account::invite;
pub use pages::people::checked_name;
pub use visitor::SESSION_S;

/// Bytes of a form, at most.
const FORM: usize = 32 << 10;

/// What the web needs of its own.
pub struct People {
    hosts: Vec<String>,
    has_tls: bool,
    limits: Limits,
    hashing: tokio::sync::Semaphore,
    steering: tokio::sync::Mutex<()>,
}

impl People {
    /// For a server of these names.
    pub fn new(names: &[String], at: SocketAddr, has_tls: bool) -> Self {
        let mut hosts: Vec<String> = names.to_vec();
        hosts.push(at.ip().to_string());
        let with_port = |name: &String| {
            let name = if name.contains(':') { format!("[{name}]") } else { name.clone() };
            [format!("{name}:{}", at.port()), name]
        };
        let hosts = hosts.iter().flat_map(with_port).collect();
        Self {
            hosts,
            has_tls,
            limits: Limits::default(),
            // Each takes 19 MiB.
            hashing: tokio::sync::Semaphore::new(2),
            steering: tokio::sync::Mutex::default(),
        }
    }
}

/// The people's routes.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/devices") }))
        .route("/login", get(account::log_in_page).post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/welcome", get(account::welcome_page).post(account::welcome))
        .route("/devices", get(pages::devices::list))
        .route("/devices/token", post(actions::token))
        .route("/devices/{id}", get(pages::devices::one))
        .route("/devices/{id}/name", post(actions::rename))
        .route("/devices/{id}/diagnose", post(actions::diagnose))
        .route("/devices/{id}/diagnoses/{order}", get(pages::devices::diagnosis))
        .route("/devices/{id}/{standing}", post(actions::stand))
        .route("/registry", get(pages::registry::page))
        .route("/rollouts/{model}/{step}", post(actions::steer))
        .route("/events", get(pages::events::page))
        .route("/events/acknowledge", post(actions::acknowledge))
        .route("/records", get(pages::records::page))
        .route("/datasets", get(pages::datasets::page))
        .route("/datasets/selection.json", get(pages::datasets::selection))
        .route("/health", get(pages::health::page))
        .route("/audit", get(pages::audit::page))
        .route("/people", get(pages::people::page))
        .route("/people/invite", post(actions::invite_person))
        .route("/people/remove", post(actions::remove_person))
        .route("/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route(
            "/script.js",
            get(|| async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT) }),
        )
        // Browsers ask by themselves; there is none.
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "There is no such page.") })
        .layer(DefaultBodyLimit::max(FORM))
        .layer(middleware::from_fn_with_state(server.clone(), guarded))
        .with_state(server)
}

const STYLE: &str = include_str!("web/style.css");
const SCRIPT: &str = include_str!("web/script.js");

/// Refuses names that are not ours (another's name that resolves to this machine), and sets what browsers are to hold to.
async fn guarded(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = host.or_else(|| Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned()));
    let is_ours = host.is_some_and(|host| server.people.hosts.contains(&host));
    let mut response = if is_ours {
        next.run(request).await
    } else {
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "This server is asked by a name that is not its own. Give it with --name.",
        )
        .into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if server.people.has_tls {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: under it browsers send `Origin: null` with our own forms, by which they are known (Fetch, 3.2).
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// An answer that says no, as a page.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    words: String,
}

impl Problem {
    fn new(status: StatusCode, words: impl ToString) -> Self {
        Self { status, words: words.to_string() }
    }

    fn forbidden(words: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, words)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure.exit {
            Exit::Refused => Self::new(StatusCode::FORBIDDEN, failure.message),
            Exit::Usage => Self::new(StatusCode::BAD_REQUEST, failure.message),
            Exit::Conflict => Self::new(StatusCode::CONFLICT, failure.message),
            _ => {
                tracing::error!(id = "serve.web", "{failure}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, failure.message)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let page = pages::bare(
            title,
            maud::html! {
                h1 { (title) }
                p class="problem" role="alert" { (self.words) }
                p { a href="/" { "Back to the fleet" } }
            },
        );
        (self.status, page).into_response()
    }
}
