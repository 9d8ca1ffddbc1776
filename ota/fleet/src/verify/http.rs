//! A server over HTTP(S), and what it says to caches: `timestamp.json` must be asked for anew each time, all else may be kept
//! for ever.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CACHE_CONTROL, ETAG};
use stopline_tuf::MetadataFile;
use stopline_tuf::fetch::{Fetch, FetchError, Fetched};

use super::Source;
use crate::exit::{Failure, Result};

/// A stalled server is given up after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server.
pub struct HttpSource {
    base: String,
    client: Client,
    complaints: RefCell<BTreeSet<String>>,
}

impl HttpSource {
    /// The repository whose `metadata/` lies below `base`.
    pub fn new(base: &str) -> Result<Self> {
        // Another part of this process may have chosen already; then that one holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).build().map_err(Failure::failed)?;
        Ok(Self { base: base.trim_end_matches('/').into(), client, complaints: RefCell::default() })
    }

    fn ask(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let url = format!("{}/{path}", self.base);
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{url}: {error}"));
        let response = self.client.get(&url).send().map_err(|error| failed(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(None),
            other => return Err(failed(&other)),
        }
        self.judge_caching(path, &response);
        let mut bytes = Vec::new();
        response.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        Ok(Some(bytes))
    }

    fn judge_caching(&self, path: &str, response: &Response) {
        let header = response.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let said = header.unwrap_or("").to_ascii_lowercase();
        let fresh = ["no-cache", "no-store", "max-age=0"].iter().any(|word| said.contains(word));
        let complain = |text: String| {
            self.complaints.borrow_mut().insert(text);
        };
        if path.ends_with("/timestamp.json") {
            if !fresh {
                complain(format!(
                    "{path}: Cache-Control: {said:?}; no-cache is expected, or caches serve an old one"
                ));
            }
            if !response.headers().contains_key(ETAG) {
                complain(format!("{path}: no ETag; with one an idle poll costs a few hundred bytes"));
            }
        } else if fresh {
            complain(format!("{path}: Cache-Control: {said:?}; it never changes and could be kept for ever"));
        }
        if response.headers().get("content-encoding").is_some() {
            complain(format!("{path}: it is compressed on the way; lengths are signed as stored"));
        }
    }
}

impl Fetch for HttpSource {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        match self.ask(&format!("metadata/{file}"), limit) {
            Ok(Some(bytes)) => Ok(Fetched::Found(bytes)),
            Ok(None) => Ok(Fetched::Missing),
            Err(failure) => Err(FetchError::new(file, failure.message)),
        }
    }
}

impl Source for HttpSource {
    fn target(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.ask(&format!("targets/{path}"), limit)
    }

    fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().iter().cloned().collect()
    }
}
