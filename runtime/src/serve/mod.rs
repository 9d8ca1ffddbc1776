//! `stopline serve-api`: a picture in, detections out, over HTTP. A process of its own, with no camera and no actuator.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/detect[?score=0.3]`, body a JPEG, PNG or BMP | `{"model", "digest", "image_size", "detections": […], "took_ms"}`, boxes in pixels of the picture |
//! | `GET /v1/model` | what answers: name, version, digest, labels, roles, thresholds |
//! | `GET /v1/health` | `{"ok": true}` |
//!
//! Everything that comes in is bounded before it is held: bytes of the body, pixels of the picture (by its header), and
//! how many requests wait. Refusals are `{"error": {"code", "message"}}`.

mod detect;
mod refusal;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxhttp::model::{Body, Method, Request, StatusCode, header};
use serde_json::json;
use stopline_sensors::clock::Clock;

use crate::detector::Detector;
use crate::exit::{Exit, Failure, OrExit};
use crate::web::{self, Answer, json as as_json};
use detect::Worker;
use refusal::Refusal;

/// What is served, and where.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to answer.
    pub listen: SocketAddr,
    /// Names beside addresses that it may be asked by.
    pub hosts: Vec<String>,
    /// Most bytes of a picture.
    pub most_bytes: u64,
    /// Most pixels of a picture.
    pub most_pixels: u64,
    /// Most requests that wait for the model; further ones are told to come again.
    pub most_waiting: usize,
}

/// Answers until the process ends.
///
/// # Errors
/// Where the address cannot be had.
pub fn run(options: ServeOptions, detector: Detector, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let (listen, hosts) = (options.listen, options.hosts.clone());
    let name = format!("{} {}", detector.manifest().name, detector.manifest().version);
    let api = Api { worker: Worker::new(detector, clock), waiting: AtomicUsize::new(0), options };
    let server = web::serve(listen, hosts, move |request| api.answer(request))?;
    eprintln!("stopline: {name} answers at http://{listen}/v1/detect");
    server.join().or_exit(Exit::Internal)
}

struct Api {
    options: ServeOptions,
    worker: Worker,
    waiting: AtomicUsize,
}

impl Api {
    fn answer(&self, request: &mut Request<Body>) -> Answer {
        let path = request.uri().path().to_owned();
        let answered = match (path.as_str(), request.method()) {
            ("/v1/detect", &Method::POST) => self.detect(request),
            ("/v1/detect", _) => Err(Refusal::Method("POST")),
            ("/v1/model", &Method::GET) => Ok(as_json(StatusCode::OK, &self.worker.model())),
            ("/v1/health", &Method::GET) => Ok(as_json(StatusCode::OK, &json!({"ok": true}))),
            ("/v1/model" | "/v1/health", _) => Err(Refusal::Method("GET")),
            _ => Err(Refusal::Path),
        };
        answered.unwrap_or_else(Refusal::answer)
    }

    fn detect(&self, request: &mut Request<Body>) -> Result<Answer, Refusal> {
        // Counted before the body is read: what waits holds memory.
        let _place = Place::take(&self.waiting, self.options.most_waiting)?;
        let score = score(request.uri().query().unwrap_or_default())?;
        kind(request)?;
        let bytes = body(request, self.options.most_bytes)?;
        let found = self.worker.detect(&bytes, self.options.most_pixels, score)?;
        Ok(as_json(StatusCode::OK, &found))
    }
}

/// A place among those who wait; given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Result<Self, Refusal> {
        // The worker itself is one more.
        if waiting.fetch_add(1, Ordering::AcqRel) > most {
            waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::Busy);
        }
        Ok(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn score(query: &str) -> Result<Option<f32>, Refusal> {
    let mut score = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("score", value)) => {
                let value = value.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
                score = Some(value.ok_or_else(|| Refusal::Query(pair.to_owned()))?);
            }
            _ => return Err(Refusal::Query(pair.to_owned())),
        }
    }
    Ok(score)
}

/// The content decides what a picture is; a type that says it is none (a form, JSON) is a mistake worth telling.
fn kind(request: &Request<Body>) -> Result<(), Refusal> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    let named = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if named.starts_with("image/") || named == "application/octet-stream" {
        return Ok(());
    }
    Err(Refusal::Kind(named.to_owned()))
}

fn body(request: &mut Request<Body>, most: u64) -> Result<Vec<u8>, Refusal> {
    use std::io::Read as _;

    let body = request.body_mut();
    if body.len().is_some_and(|length| length > most) {
        return Err(Refusal::Large(most));
    }
    let mut bytes = Vec::new();
    body.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Refusal::Body(error.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(Refusal::Large(most));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(kind: Option<&str>, body: Body) -> Request<Body> {
        let builder = Request::builder().method(Method::POST).uri("/v1/detect");
        let builder = kind.iter().fold(builder, |builder, kind| builder.header(header::CONTENT_TYPE, *kind));
        builder.body(body).expect("a request")
    }

    #[test]
    fn a_threshold_is_a_number_from_0_to_1_and_nothing_else_is_asked() {
        assert_eq!(score("").expect("none"), None);
        assert_eq!(score("score=0.25").expect("one"), Some(0.25));
        for wrong in ["score=2", "score=NaN", "score", "Score=0.5", "score=0.5&iou=1"] {
            assert!(matches!(score(wrong), Err(Refusal::Query(_))), "{wrong}");
        }
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused_whether_it_says_its_length_or_not() {
        let told = body(&mut posted(None, Body::from(vec![0; 11])), 10);
        assert!(matches!(told, Err(Refusal::Large(10))));
        let endless = Body::from_read(std::io::repeat(7));
        assert!(matches!(body(&mut posted(None, endless), 10), Err(Refusal::Large(10))));
        assert_eq!(body(&mut posted(None, Body::from(vec![1; 10])), 10).expect("fits").len(), 10);
    }

    #[test]
    fn a_form_is_no_picture() {
        assert!(kind(&posted(Some("image/jpeg"), Body::empty())).is_ok());
        assert!(kind(&posted(None, Body::empty())).is_ok());
        let form = kind(&posted(Some("multipart/form-data; boundary=x"), Body::empty()));
        assert!(matches!(form, Err(Refusal::Kind(named)) if named == "multipart/form-data"));
    }

    #[test]
    fn only_so_many_wait_and_a_place_is_given_back() {
        let waiting = AtomicUsize::new(0);
        let places: Vec<_> = (0..3).map(|_| Place::take(&waiting, 2).expect("a place")).collect();
        assert!(matches!(Place::take(&waiting, 2), Err(Refusal::Busy)));
        drop(places);
        assert!(Place::take(&waiting, 2).is_ok());
    }
}
