//! One batch over a bad link: from the byte that the server names, request by request, until its receipts are there.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;
use stopline_depot::batch::{BatchState, Receipt};
use stopline_depot::digest::Digest;
use stopline_depot::versioned;

use super::batches::Draft;
use super::{UploadError, Uploader};
use crate::config::Upload;
use crate::fleet::{Refusal, Reply};
use crate::http::HttpError;

/// Bytes of a request over a link that stalls, at least.
const LEAST_CHUNK: usize = 16 << 10;
/// Answers in a row without a byte more at the server, at most.
const NO_PROGRESS: u32 = 3;
/// Bytes of a question and its answer, about.
pub(super) const HEADERS: u64 = 1_500;

impl Uploader {
    /// Sends a batch; the server's receipts.
    pub(super) fn send(&mut self, draft: &Draft) -> Result<Vec<Receipt>, UploadError> {
        let tar = self.pack(draft)?;
        let path = format!("v1/batches/{}", Digest::of(&tar));
        let bytes = u64::try_from(tar.len()).unwrap_or(u64::MAX);
        if !draft.begun {
            // What is begun goes on chunk by chunk: the caps are never exceeded by more than it.
            self.may_send(bytes.saturating_add(bytes / 20).saturating_add(HEADERS))?;
        }
        let mut state = self.ask(&path)?;
        if state.receipts.is_none()
            && state.offset == 0
            && let Some(placed) = self.by_store(&path, &tar)?
        {
            state = placed;
        }
        let mut stuck = 0;
        loop {
            if let Some(receipts) = state.receipts_of(&draft.manifest.records) {
                return Ok(receipts);
            }
            let from = usize::try_from(state.offset).ok().filter(|from| *from <= tar.len());
            let Some(from) = from else {
                return Err(wrong(
                    &path,
                    format!("offset {} of {} and no receipts", state.offset, tar.len()),
                ));
            };
            let chunk = tar.get(from..tar.len().min(from.saturating_add(self.chunk))).unwrap_or_default();
            self.may_send(u64::try_from(chunk.len()).unwrap_or(u64::MAX))?;
            let next = self.patch(&path, (from, tar.len()), chunk)?;
            let forward = next.receipts.is_some() || next.offset > state.offset;
            stuck = if forward { 0 } else { stuck + 1 };
            if stuck >= NO_PROGRESS {
                return Err(wrong(
                    &path,
                    format!("{NO_PROGRESS} answers with offset {} and no more", next.offset),
                ));
            }
            state = next;
        }
    }

    /// The receipts of a batch that the server has all of; none where it lacks some, which is not sent.
    pub(super) fn finished(&mut self, draft: &Draft) -> Result<Option<Vec<Receipt>>, UploadError> {
        let tar = self.pack(draft)?;
        let path = format!("v1/batches/{}", Digest::of(&tar));
        self.may_send(HEADERS)?;
        let state = self.ask(&path)?;
        let is_whole = usize::try_from(state.offset).is_ok_and(|offset| offset == tar.len());
        let receipts = state.receipts_of(&draft.manifest.records);
        if receipts.is_some() || !is_whole {
            return Ok(receipts);
        }
        // All of it came, and it was cut off before it could say so.
        let state = self.patch(&path, (tar.len(), tar.len()), &[])?;
        Ok(state.receipts_of(&draft.manifest.records))
    }

    fn ask(&mut self, path: &str) -> Result<BatchState, UploadError> {
        let asked = self.parts.line.ask(Method::GET, path, &[], Vec::new());
        let reply = self.spent(asked);
        match reply {
            Ok(reply) => state_of(path, &reply),
            // A server that knows nothing of it.
            Err(Refusal::Later { status: 404, .. }) => Ok(BatchState::at(0)),
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn patch(
        &mut self,
        path: &str,
        (from, of): (usize, usize),
        chunk: &[u8],
    ) -> Result<BatchState, UploadError> {
        let headers = [
            (HeaderName::from_static("upload-offset"), from.to_string()),
            (HeaderName::from_static("upload-length"), of.to_string()),
            (reqwest::header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        ];
        let began = self.parts.clock.since_boot_ms();
        let asked = self.parts.line.ask(Method::PATCH, path, &headers, chunk.to_vec());
        let reply = self.spent(asked);
        match &reply {
            Err(Refusal::Network(HttpError::Stalled { .. } | HttpError::Failed { .. })) => {
                self.chunk = (self.chunk / 2).max(LEAST_CHUNK);
            }
            _ => {
                self.chunk = self.chunk.saturating_mul(2).min(most_chunk(&self.parts.config.upload));
            }
        }
        self.pace(chunk.len(), began);
        state_of(path, &reply?)
    }

    pub(super) fn spent(&self, asked: Result<Reply, Refusal>) -> Result<Reply, Refusal> {
        self.parts.senses.spend(&*self.parts.clock, self.parts.line.take_received());
        asked
    }

    /// Waits until what was sent has taken as long as the rate asks for.
    pub(super) fn pace(&self, bytes: usize, began: u64) {
        let rate = self.parts.config.upload.rate_bytes_per_s;
        if rate == 0 {
            return;
        }
        let least = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000) / rate;
        let taken = self.parts.clock.since_boot_ms().saturating_sub(began);
        if let Some(pause) = least.checked_sub(taken) {
            self.parts.clock.sleep(Duration::from_millis(pause));
        }
    }
}

/// Bytes of a request, at most: of a slow rate two seconds, so that it is kept within few.
pub(super) fn most_chunk(settings: &Upload) -> usize {
    let configured = usize::try_from(settings.chunk_bytes).unwrap_or(usize::MAX);
    match settings.rate_bytes_per_s {
        0 => configured,
        rate => usize::try_from(rate.saturating_mul(2)).unwrap_or(usize::MAX).clamp(LEAST_CHUNK, configured),
    }
}

/// What a server says of a batch. Where it says that another offset counts, it may say more than that.
fn state_of(path: &str, reply: &Reply) -> Result<BatchState, UploadError> {
    #[derive(Deserialize)]
    struct At {
        offset: u64,
    }
    let problem = |problem: String| wrong(path, format!("status {}: {problem}", reply.status));
    if reply.status == 409 {
        let At { offset } =
            serde_json::from_slice(&reply.body).map_err(|error| problem(error.to_string()))?;
        return Ok(BatchState::at(offset));
    }
    versioned::read(&reply.body).map_err(|error| problem(error.to_string()))
}

pub(super) fn wrong(path: &str, problem: String) -> UploadError {
    UploadError::Answer { url: path.to_owned(), problem }
}
