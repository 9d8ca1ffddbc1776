//! One PUT of bytes that are given piece by piece, by a caller that may wait, count or give up between two of them.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Answer, Cause, HEADERS, Http, HttpError};

/// A PUT under way. Dropped before [`Self::end`], it is cut off: the other side has nothing.
#[derive(Debug)]
pub struct Putting {
    http: Http,
    /// What is put to, for messages: without a query, which may be a secret.
    name: String,
    pieces: Option<mpsc::Sender<Bytes>>,
    task: JoinHandle<reqwest::Result<reqwest::Response>>,
}

impl Http {
    /// Begins to put `length` bytes to `url`.
    pub fn put(&self, url: &reqwest::Url, headers: &[(HeaderName, HeaderValue)], length: u64) -> Putting {
        let mut map: HeaderMap = headers.iter().cloned().collect();
        map.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let (pieces, coming) = mpsc::channel(1);
        let body = reqwest::Body::wrap(Coming { pieces: coming, left: length });
        let request = self.client.put(url.clone()).headers(map).body(body);
        self.received.fetch_add(HEADERS, Ordering::Relaxed);
        let task = self.runtime.spawn(request.send());
        Putting { http: self.clone(), name: plain(url), pieces: Some(pieces), task }
    }
}

/// An address without its query: what may be shown.
pub(crate) fn plain(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

impl Putting {
    /// Hands the next piece on; `false` where the other side takes no more, of which [`Self::end`] tells.
    ///
    /// # Errors
    /// [`HttpError::Stalled`].
    pub fn send(&mut self, piece: Bytes) -> Result<bool, HttpError> {
        let Some(pieces) = &self.pieces else { return Ok(false) };
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let stall = self.http.stall;
        let sent =
            self.http.runtime.block_on(async { tokio::time::timeout(stall, pieces.send(piece)).await });
        let went = sent.map_err(|_| self.http.stalled(&self.name))?.is_ok();
        if went {
            self.http.received.fetch_add(length, Ordering::Relaxed);
        }
        Ok(went)
    }

    /// The answer.
    ///
    /// # Errors
    /// [`HttpError::Failed`], [`HttpError::Stalled`].
    pub fn end(mut self) -> Result<Answer, HttpError> {
        self.pieces = None;
        let stall = self.http.stall;
        let failed = |source| HttpError::Failed { url: self.name.clone(), source };
        let task = &mut self.task;
        let waited = self.http.runtime.block_on(async { tokio::time::timeout(stall, task).await });
        let response = waited
            .map_err(|_| self.http.stalled(&self.name))?
            .map_err(|error| failed(Cause::of(&error)))?
            // Its own words would show the whole address.
            .map_err(|error| failed(Cause::of(&error.without_url())))?;
        let window = (self.http.clock.since_boot_ms(), 0);
        Ok(Answer { url: self.name.clone(), response, http: self.http.clone(), window })
    }
}

impl Drop for Putting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A body whose pieces come from another thread.
struct Coming {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
}

/// Whoever gave the pieces has given up.
#[derive(Debug, thiserror::Error)]
#[error("given up before all of it was sent")]
struct GivenUp;

impl Body for Coming {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        let Some(piece) = piece else { return Poll::Ready(Some(Err(GivenUp))) };
        self.left = self.left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
