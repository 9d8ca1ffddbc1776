//! Why a request gets no detections.

use oxhttp::model::{StatusCode, header};
use stopline_sensors::source::SourceError;

use crate::detector::DetectError;
use crate::web::{Answer, refuse};

/// Why a request gets no detections.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is POST /v1/detect, GET /v1/model, GET /v1/health")]
    Path,
    #[error("{0} is the only method here")]
    Method(&'static str),
    #[error("{0:?}: expected score=NUMBER with a number from 0 to 1")]
    Query(String),
    #[error("a body of type {0:?}: expected the picture itself, image/jpeg, image/png or image/bmp")]
    Kind(String),
    #[error(
        "a picture of more than {0} bytes; make it smaller, or start serve-api with a larger --max-bytes"
    )]
    Large(u64),
    #[error(
        "a picture of {pixels} pixels, at most {most} are taken; make it smaller, or start serve-api with a larger --max-pixels"
    )]
    Pixels { pixels: u64, most: u64 },
    #[error("the body could not be read: {0}")]
    Body(String),
    #[error("{0}")]
    Picture(#[from] SourceError),
    #[error("the model gave no numbers for this picture: {0}")]
    Invalid(DetectError),
    #[error("too many requests wait; come again")]
    Busy,
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// As an HTTP answer.
    pub fn answer(self) -> Answer {
        let (status, code) = match &self {
            Self::Path => (StatusCode::NOT_FOUND, "path"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query"),
            Self::Kind(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "type"),
            Self::Large(_) | Self::Pixels { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "size"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "body"),
            Self::Picture(SourceError::Unsupported { .. }) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "picture"),
            Self::Picture(_) => (StatusCode::BAD_REQUEST, "picture"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let mut answer = refuse(status, code, &self);
        let fixed = header::HeaderValue::from_static;
        match self {
            Self::Method(allowed) => drop(answer.headers_mut().insert(header::ALLOW, fixed(allowed))),
            Self::Busy => drop(answer.headers_mut().insert(header::RETRY_AFTER, fixed("1"))),
            _ => {}
        }
        answer
    }
}
