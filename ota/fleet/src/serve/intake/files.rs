//! `GET repository/…`: the repository's files as any web server gives them out: whole, or from an offset on.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use tokio::sync::mpsc;

use super::{Asking, Refusal};
use crate::exit::Failure;
use crate::serve::server::Server;
use crate::store::{Source, TIMESTAMP};

/// Bytes that are read at once.
const PIECE: usize = 128 << 10;

pub(super) async fn file(
    State(server): State<Arc<Server>>,
    Asking(_): Asking,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let nothing = || Refusal::new(StatusCode::NOT_FOUND, "there is no such file in the repository");
    // Records of the registry and what publishers leave beside lie there too; devices have no business with them.
    let is_file = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(|char: char| char == '\\' || char.is_control())
    };
    let is_served = path.starts_with("metadata/") || path.starts_with("targets/");
    if !is_served || !path.split('/').all(is_file) {
        return Err(nothing());
    }
    let place = path.clone();
    let opened = tokio::task::spawn_blocking(move || server.repository.store()?.open(&place));
    let source = opened.await.map_err(Failure::failed)??.ok_or_else(nothing)?;
    let tag = format!("\"{}\"", source.tag);
    let is_same = |name| headers.get(name).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let cache = if path == TIMESTAMP { "no-cache" } else { "public, max-age=31536000, immutable" };
    let common = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, cache.to_owned())];
    if is_same(header::IF_NONE_MATCH) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let whole = source.length;
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let holds = headers.get(header::IF_RANGE).is_none() || is_same(header::IF_RANGE);
    let range = asked.filter(|_| holds).map(|range| parse(range, whole));
    let (status, from, to) = match range {
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(None) => {
            let words = [(header::CONTENT_RANGE, format!("bytes */{whole}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, words).into_response());
        }
        None => (StatusCode::OK, 0, whole),
    };
    let mut response = (status, common, body(source, from, to)).into_response();
    let mut set = |name, value: String| -> Result<(), Refusal> {
        response.headers_mut().insert(name, value.parse().map_err(Failure::failed)?);
        Ok(())
    };
    set(header::CONTENT_LENGTH, (to - from).to_string())?;
    set(header::ACCEPT_RANGES, "bytes".into())?;
    let kind = if path.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    set(header::CONTENT_TYPE, kind.into())?;
    if status == StatusCode::PARTIAL_CONTENT {
        set(header::CONTENT_RANGE, format!("bytes {from}-{}/{whole}", to - 1))?;
    }
    Ok(response)
}

/// `bytes=FROM-` or `bytes=FROM-TO`: from where and up to where (exclusive). Others are answered as not satisfiable.
fn parse(range: &str, whole: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let to = if to.is_empty() { whole } else { to.parse::<u64>().ok()?.checked_add(1)?.min(whole) };
    (from < to).then_some((from, to))
}

/// Reads on a thread of its own, at most two pieces ahead.
fn body(source: Source, from: u64, to: u64) -> Body {
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let mut reader = source.reader;
        let mut left = to - from;
        if let Err(error) = reader.seek(SeekFrom::Start(from)) {
            let _ = sender.blocking_send(Err(error));
            return;
        }
        while left > 0 {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            let read = reader.read(&mut piece).and_then(|read| match read {
                // Shorter than it was: better a cut than a lie.
                0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            });
            let sent = read.map(|read| {
                piece.truncate(read);
                left -= u64::try_from(read).unwrap_or(left);
                Bytes::from(piece)
            });
            let is_over = sent.is_err();
            // Nobody listens any more.
            if sender.blocking_send(sent).is_err() || is_over {
                return;
            }
        }
    });
    Body::from_stream(Pieces(receiver))
}

struct Pieces(mpsc::Receiver<std::io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_range_lies_within_the_file_or_is_refused() {
        assert_eq!(parse("bytes=0-", 10), Some((0, 10)));
        assert_eq!(parse("bytes=4-5", 10), Some((4, 6)));
        assert_eq!(parse("bytes=4-500", 10), Some((4, 10)));
        for wrong in [
            "bytes=10-",
            "bytes=5-4",
            "bytes=-5",
            "bytes=a-",
            "items=0-",
            "bytes=0-1,2-3",
            "bytes=18446744073709551615-",
        ] {
            assert_eq!(parse(wrong, 10), None, "{wrong}");
        }
        assert_eq!(parse("bytes=0-18446744073709551615", 10), None);
    }
}
