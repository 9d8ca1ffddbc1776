//! Who asks for what.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/view.css`, `/view.js` | the page |
//! | `/state.json` | everything the page shows |
//! | `/picture/CAMERA.jpg` | the newest picture of a camera, without boxes |
//! | `/metrics` | Prometheus (OpenMetrics text) |

use oxhttp::model::{Body, Method, Request, StatusCode, header};

use super::metrics;
use super::seen::Seen;
use crate::web::{Answer, content, json, refuse};

/// The answer to one request.
pub fn answer(seen: &Seen, request: &Request<Body>) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "method", "only looked at: GET");
        answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let found = StatusCode::OK;
    match request.uri().path() {
        "/" => content(found, "text/html; charset=utf-8", include_str!("page/view.html")),
        "/view.css" => content(found, "text/css; charset=utf-8", include_str!("page/view.css")),
        "/view.js" => content(found, "text/javascript; charset=utf-8", include_str!("page/view.js")),
        "/state.json" => json(found, &seen.as_json()),
        "/metrics" => metrics_text(seen),
        path => picture(seen, path),
    }
}

fn picture(seen: &Seen, path: &str) -> Answer {
    let camera = path.strip_prefix("/picture/").and_then(|name| name.strip_suffix(".jpg"));
    match camera.and_then(|camera| seen.picture(camera)) {
        Some(jpeg) => content(StatusCode::OK, "image/jpeg", jpeg.to_vec()),
        None if camera.is_some() => refuse(StatusCode::NOT_FOUND, "picture", "no picture of this camera yet"),
        None => {
            refuse(StatusCode::NOT_FOUND, "path", "there is /, /state.json, /picture/CAMERA.jpg, /metrics")
        }
    }
}

fn metrics_text(seen: &Seen) -> Answer {
    let (connected, health) = seen.health();
    match metrics::text(connected, health) {
        Ok(text) => {
            content(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "metrics", error),
    }
}
