//! A batch by way of an object store: the fleet's server gives a request for one place in the store, signed beforehand for just
//! this batch, and the device sends the bytes there without ever holding the store's credentials.
//!
//! `POST v1/batches/ID/place` is asked before and after: what lies at the place is taken in and answered with
//! [`Placing::state`], as if it had come by the server; where nothing lies there, a [`Place`] is answered. That the store took
//! the bytes ends no record: only a receipt does.

use serde::{Deserialize, Serialize};

use crate::batch::BatchState;
use crate::versioned::Versioned;

/// Seconds for which a place may be put to.
pub const VALID_S: u64 = 15 * 60;
/// Bytes of an address, at most.
const MAX_URL: usize = 8 << 10;
/// Headers of a request, at most.
const MAX_HEADERS: usize = 8;
/// Bytes of a header's value, at most.
const MAX_VALUE: usize = 256;
/// How names of headers begin that a store may ask for. No other can be set from afar: not the host, nothing of a log-in.
const OF_STORES: [&str; 3] = ["x-amz-", "x-goog-", "x-ms-"];

/// The answer to `POST v1/batches/ID/place`: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placing {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The batch is with the server: its receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BatchState>,
    /// Nothing of it is there: where it may be put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// One PUT of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Where, with the signature. Whoever reads it can put these bytes there until it expires: it belongs in no log.
    pub url: String,
    /// Headers that must be sent, name and value: the store refuses the request without them.
    pub headers: Vec<(String, String)>,
    /// When the store no longer takes it, seconds since 1970 by the server's clock.
    pub expires: u64,
}

impl Versioned for Placing {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "batch placing";
    const LIMIT: usize = BatchState::LIMIT + (32 << 10);

    fn check(&self) -> Result<(), String> {
        match (&self.state, &self.place) {
            (Some(state), None) => state.check(),
            (None, Some(place)) => place.check(),
            _ => Err("either state or place is expected".into()),
        }
    }
}

impl Place {
    fn check(&self) -> Result<(), String> {
        if !self.url.starts_with("https://") || self.url.len() > MAX_URL {
            return Err(format!("url: https:// and at most {MAX_URL} bytes are expected"));
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(format!("headers: {}; at most {MAX_HEADERS} are expected", self.headers.len()));
        }
        for (name, value) in &self.headers {
            let is_name =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte));
            if !is_name || !OF_STORES.iter().any(|prefix| name.starts_with(prefix)) {
                return Err(format!(
                    "headers: {name:?}; a name that begins with {} is expected",
                    OF_STORES.join(", ")
                ));
            }
            if value.len() > MAX_VALUE || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err(format!(
                    "headers: the value of {name}: at most {MAX_VALUE} printable bytes are expected"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned;

    fn place(url: &str, headers: &[(&str, &str)]) -> Placing {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Placing { schema: 1, state: None, place: Some(Place { url: url.into(), headers, expires: 1 }) }
    }

    #[test]
    fn a_place_is_an_https_address_with_headers_of_stores_alone() {
        let good = place(
            "https://s.example/b/x?sig=1",
            &[("x-amz-checksum-sha256", "AbC+/="), ("x-ms-blob-type", "BlockBlob")],
        );
        let bytes = versioned::write(&good).unwrap();
        assert_eq!(versioned::read::<Placing>(&bytes).unwrap(), good);
        let state = BatchState::at(5);
        for bad in [
            place("http://s.example/x", &[]),
            place("file:///etc/passwd", &[]),
            place(&format!("https://s.example/{}", "x".repeat(MAX_URL)), &[]),
            place("https://s.example/x", &[("host", "other.example")]),
            place("https://s.example/x", &[("authorization", "Basic x")]),
            place("https://s.example/x", &[("X-Amz-Date", "x")]),
            place("https://s.example/x", &[("x-amz-a\r\nhost", "x")]),
            place("https://s.example/x", &[("x-amz-a", "x\r\nhost: y")]),
            place("https://s.example/x", &[("x-amz-a", "x"); 9]),
            Placing { schema: 1, state: None, place: None },
            Placing { state: Some(state), ..good },
        ] {
            assert!(versioned::write(&bad).is_err(), "{bad:?}");
        }
    }
}
