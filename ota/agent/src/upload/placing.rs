//! A batch by way of an object store: the server gives one pre-signed PUT, the bytes go there, and the server is asked again.
//! What the store answers ends nothing: only the server's receipts do, which it gives once it has read the batch itself.
//!
//! A server must not be able to send a device's bytes anywhere: the place counts only below one of `upload.stores`. A store that
//! fails twice in a row is passed over for a while, and batches go by the server, which resumes within one.

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use stopline_depot::batch::{BatchState, MAX_BATCH};
use stopline_depot::placing::{Place, Placing};
use stopline_depot::versioned;

use super::sending::{HEADERS, most_chunk, wrong};
use super::{UploadError, Uploader};
use crate::fleet::Refusal;
use crate::http::{Answer, Http, HttpError, plain};

/// Bytes between two looks at what hinders, at most.
const PIECE: usize = 64 << 10;
/// Places asked for in a row: one that the store says has expired is asked for anew.
const PLACES: u32 = 3;
/// Failures in a row after which batches go by the server.
const FAILURES: u32 = 2;
/// Milliseconds for which a store that fails is passed over.
const PASSED_OVER_MS: u64 = 15 * 60_000;
/// Milliseconds for which a server that gives no place, or none that is named here, is not asked for one.
const NONE_MS: u64 = 60 * 60_000;

/// What is known of stores.
#[derive(Debug, Default)]
pub(super) struct Stores {
    http: Option<Http>,
    failures: u32,
    /// Milliseconds since boot before which no place is asked for.
    not_before: u64,
}

impl Uploader {
    /// Sends a batch by way of the store; the server's word that it is committed. None where it goes by the server.
    pub(super) fn by_store(&mut self, path: &str, tar: &[u8]) -> Result<Option<BatchState>, UploadError> {
        let is_early = self.parts.clock.since_boot_ms() < self.stores.not_before;
        if self.parts.config.upload.stores.is_empty() || tar.len() > MAX_BATCH || is_early {
            return Ok(None);
        }
        let sent = self.put_and_ask(path, tar);
        match &sent {
            Ok(_) => self.stores.failures = 0,
            Err(UploadError::Store { .. }) => {
                self.stores.failures += 1;
                if self.stores.failures >= FAILURES {
                    self.stores.failures = 0;
                    self.pass_over(PASSED_OVER_MS);
                }
            }
            Err(_) => {}
        }
        sent
    }

    fn put_and_ask(&mut self, path: &str, tar: &[u8]) -> Result<Option<BatchState>, UploadError> {
        let mut answered: Option<(String, u16)> = None;
        for _ in 0..PLACES {
            let Some(placing) = self.ask_place(path, tar.len())? else { return Ok(None) };
            let place = match (placing.state, placing.place) {
                (Some(state), _) => {
                    let whole = state.receipts.is_some().then_some(state);
                    return whole.map(Some).ok_or_else(|| wrong(path, "a state without receipts".into()));
                }
                (None, Some(place)) => place,
                (None, None) => return Ok(None),
            };
            if let Some((store, status @ 200..=299)) = answered {
                let problem = format!(
                    "status {status}, and the server finds nothing of it there: a captive portal or a proxy answers in the \
                     store's place. Log in to the network, or ask its owner to let this address through"
                );
                return Err(UploadError::Store { store, code: "captive_portal", problem, after_s: None });
            }
            let Some(url) = self.named(&place) else { return Ok(None) };
            answered = Some((plain(&url), self.put(&url, &place, tar)?));
        }
        let (store, status) = answered.unwrap_or_default();
        let problem =
            format!("status {status} to {PLACES} requests that were just signed; is its clock right?");
        Err(UploadError::Store { store, code: "store", problem, after_s: None })
    }

    /// What the server says of a batch's place; none where it gives none.
    fn ask_place(&mut self, path: &str, length: usize) -> Result<Option<Placing>, UploadError> {
        let path = format!("{path}/place");
        let headers = [(HeaderName::from_static("upload-length"), length.to_string())];
        self.may_send(HEADERS)?;
        let asked = self.parts.line.ask(Method::POST, &path, &headers, Vec::new());
        match self.spent(asked) {
            Ok(reply) => match versioned::read::<Placing>(&reply.body) {
                Ok(placing) => Ok(Some(placing)),
                Err(error) => {
                    tracing::debug!("{path}: status {}: {error}; the batch goes by the server", reply.status);
                    self.pass_over(NONE_MS);
                    Ok(None)
                }
            },
            // One that knows of no places, or has none to give.
            Err(Refusal::Later { status: 404 | 405 | 501, .. }) => {
                self.pass_over(NONE_MS);
                Ok(None)
            }
            Err(Refusal::Later { status: 429, .. } | Refusal::TooBig { .. }) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// The place's address, where it lies below one of this device's own stores.
    fn named(&mut self, place: &Place) -> Option<Url> {
        let url = Url::parse(&place.url).ok()?;
        let mut stores = self.parts.config.upload.stores.iter().filter_map(|store| Url::parse(store).ok());
        if stores.any(|store| is_below(&store, &url)) {
            return Some(url);
        }
        let store = url.origin().ascii_serialization();
        tracing::warn!(
            id = "upload.store_not_named",
            store,
            "the server names a store that upload.stores does not; batches go by the server"
        );
        self.pass_over(NONE_MS);
        None
    }

    /// Puts the batch there; the status that was answered.
    fn put(&mut self, url: &Url, place: &Place, tar: &[u8]) -> Result<u16, UploadError> {
        self.may_send(u64::try_from(tar.len()).unwrap_or(u64::MAX))?;
        let http = self.store_client()?;
        let counted = || self.parts.senses.look(&*self.parts.clock).mobile.day_bytes;
        let before = counted();
        let answer = self.put_pieces(&http, url, place, tar);
        // Each look counted what the connection had carried by then. What it took with it when it was cut is made up for.
        let missed = http.take_received().saturating_sub(counted().saturating_sub(before));
        self.parts.senses.spend(&*self.parts.clock, missed);
        let answer = answer?;
        let status = answer.status();
        match status {
            // Said again, with receipts or without, by the server; what has expired is asked for anew.
            200..=299 | 401 | 403 => Ok(status),
            _ => {
                let after_s = answer.header(&RETRY_AFTER).and_then(|text| text.trim().parse().ok());
                let problem = format!("status {status}; the batch is put again, or goes by the server");
                Err(UploadError::Store { store: plain(url), code: "store", problem, after_s })
            }
        }
    }

    /// Piece by piece, within budget, windows and rate.
    fn put_pieces(&self, http: &Http, url: &Url, place: &Place, tar: &[u8]) -> Result<Answer, UploadError> {
        let headers: Vec<(HeaderName, HeaderValue)> = place
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
            .collect();
        let failed = |error: HttpError| {
            let code = if matches!(error, HttpError::Stalled { .. }) { "stalled" } else { "store_network" };
            UploadError::Store { store: plain(url), code, problem: error.to_string(), after_s: None }
        };
        let mut putting = http.put(url, &headers, u64::try_from(tar.len()).unwrap_or(u64::MAX));
        let most = most_chunk(&self.parts.config.upload).min(PIECE);
        for piece in tar.chunks(most) {
            // Dropped where it may not go on: the store keeps nothing of a body that ends early.
            self.may_send(u64::try_from(piece.len()).unwrap_or(u64::MAX))?;
            let began = self.parts.clock.since_boot_ms();
            if !putting.send(Bytes::copy_from_slice(piece)).map_err(failed)? {
                break;
            }
            self.pace(piece.len(), began);
        }
        putting.end().map_err(failed)
    }

    fn store_client(&mut self) -> Result<Http, UploadError> {
        if let Some(http) = &self.stores.http {
            return Ok(http.clone());
        }
        let authorities = self.parts.config.upload.store_authorities_file.as_deref();
        let http = self.parts.line.to_stranger(authorities).map_err(|error| UploadError::Store {
            store: "upload.store_authorities_file".into(),
            code: "store",
            problem: error.to_string(),
            after_s: None,
        })?;
        Ok(self.stores.http.insert(http).clone())
    }

    fn pass_over(&mut self, for_ms: u64) {
        self.stores.not_before = self.parts.clock.since_boot_ms().saturating_add(for_ms);
    }
}

/// Whether `url` lies below `store`: the same scheme, host and port, and a path that goes on from the store's at a slash. Dots in
/// paths are resolved by then.
fn is_below(store: &Url, url: &Url) -> bool {
    let is_plain = url.username().is_empty() && url.password().is_none();
    let base = store.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(base);
    is_plain
        && store.origin() == url.origin()
        && rest.is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_below_a_store_or_it_is_none() {
        let store = |text: &str| Url::parse(text).unwrap();
        let bucket = store("https://s.example/bucket/");
        let below = |url: &str| is_below(&bucket, &store(url));
        assert!(below("https://s.example/bucket/incoming/a/b?X-Amz-Signature=1"));
        assert!(below("https://s.example:443/bucket/x"));
        for other in [
            "http://s.example/bucket/x",
            "https://s.example:8443/bucket/x",
            "https://s.example.evil.example/bucket/x",
            "https://evil.example/bucket/x",
            "https://s.example@evil.example/bucket/x",
            "https://me:secret@s.example/bucket/x",
            "https://s.example/bucket-of-another/x",
            "https://s.example/bucket/../other/x",
            "https://s.example/bucket/%2e%2e/other/x",
            "https://s.example/bucket\\..\\other\\x",
            "https://s.example/bucket/",
            "https://s.example/bucket",
            "https://s.example/?x=/bucket/",
        ] {
            assert!(!below(other), "{other}");
        }
        assert!(is_below(&store("https://s.example"), &store("https://s.example/x")));
    }
}
