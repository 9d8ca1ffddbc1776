//! What `stopline view` and `stopline serve-api` answer with, and whom they answer. Both are processes of their own: the
//! daemon that brakes serves nothing.
//!
//! Only requests whose `Host` is an address, `localhost`, or a name given on the command line are answered: otherwise a
//! page somewhere on the web could make a browser of this network read the pictures (DNS rebinding).

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use oxhttp::model::{Body, Request, Response, StatusCode, header};
use oxhttp::{ListeningServer, Server};
use serde_json::json;

use crate::exit::{Exit, Failure};

/// Longest time one read or write of a connection may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Most connections at once; a further one waits.
const MOST_CONNECTIONS: usize = 32;

/// An answer.
pub type Answer = Response<Body>;

/// Serves on `address` until the process ends. `answer` is called for every request of an allowed host.
///
/// # Errors
/// [`Exit::Output`] where the address cannot be had.
pub fn serve(
    address: SocketAddr,
    hosts: Vec<String>,
    answer: impl Fn(&mut Request<Body>) -> Answer + Send + Sync + 'static,
) -> Result<ListeningServer, Failure> {
    // The server's own refusal does not name the address.
    let refused = |cause: std::io::Error| {
        let problem = anyhow::anyhow!("{address}: cannot listen: {cause}; give another --listen");
        Failure::new(Exit::Output, problem)
    };
    drop(TcpListener::bind(address).map_err(refused)?);
    if !address.ip().is_loopback() {
        tracing::warn!(
            "{address} can be reached from other machines: there is no log-in here; use a tunnel or a proxy with one"
        );
    }
    let guarded = move |request: &mut Request<Body>| {
        if allowed(host(request), &hosts) {
            answer(request)
        } else {
            refuse(
                StatusCode::MISDIRECTED_REQUEST,
                "host",
                "this name is not served here; use the address, or give the name as --host",
            )
        }
    };
    Server::new(guarded)
        .bind(address)
        .with_global_timeout(TIMEOUT)
        .with_max_concurrent_connections(MOST_CONNECTIONS)
        .spawn()
        .map_err(refused)
}

/// `body` of a content type that never changes meaning: pages must not be guessed at.
pub fn content(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let fixed = header::HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, fixed(kind));
    headers.insert(header::CACHE_CONTROL, fixed("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        fixed(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    answer
}

/// A value as JSON.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    content(status, "application/json", format!("{value}\n"))
}

/// A refusal: `{"error": {"code", "message"}}`.
pub fn refuse(status: StatusCode, code: &str, message: impl std::fmt::Display) -> Answer {
    json(status, &json!({"error": {"code": code, "message": message.to_string()}}))
}

/// The request's host without its port.
fn host(request: &Request<Body>) -> &str {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host =
        named.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default();
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn allowed(host: &str, names: &[String]) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok()
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str) -> Request<Body> {
        Request::builder().uri("/").header(header::HOST, host).body(Body::empty()).expect("a request")
    }

    #[test]
    fn addresses_and_given_names_are_served_and_names_from_the_web_are_not() {
        let names = ["board.local".to_owned()];
        for (sent, answered) in [
            ("127.0.0.1:8460", true),
            ("localhost:8460", true),
            ("[::1]:8460", true),
            ("192.168.1.9", true),
            ("Board.Local:8460", true),
            ("rebound.example:8460", false),
            ("localhost.example", false),
            ("", false),
        ] {
            assert_eq!(allowed(host(&asked(sent)), &names), answered, "{sent}");
        }
    }
}
