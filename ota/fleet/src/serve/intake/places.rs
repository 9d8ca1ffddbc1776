//! `POST v1/batches/ID/place`, `Upload-Length`: a batch by way of the store. What lies at the device's place is taken in and
//! answered with receipts; where nothing does, one PUT is signed for just this batch. So the same question begins, ends and
//! repeats an upload, and an answer that was lost is asked for again.
//!
//! The place is `incoming/DEVICE/BATCH`: the device by its certificate, the batch by its digest, nothing by the device's words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path as PathPart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use stopline_depot::batch::{BatchState, MAX_BATCH};
use stopline_depot::digest::Digest;
use stopline_depot::placing::{Place, Placing, VALID_S};
use stopline_depot::versioned::{self, Versioned as _};

use super::batches::{UNFINISHED, committed, number, part, read_id};
use super::{Asking, Refusal, taking};
use crate::exit::Failure;
use crate::serve::database::devices::Device;
use crate::serve::server::Server;

/// Seconds that a device waits where it has too many places open.
const LATER_S: u32 = 60;

/// Places that were given out and not come back to, by device. In memory: a server that begins anew gives out as many again.
#[derive(Debug, Default)]
pub struct Places {
    is_on: bool,
    open: Mutex<HashMap<String, Vec<(Digest, u64)>>>,
}

impl Places {
    /// Gives places out, or none.
    pub fn new(is_on: bool) -> Self {
        Self { is_on, open: Mutex::default() }
    }

    /// Notes a place that is open until `expires`; `false` where the device has [`UNFINISHED`] others open.
    fn open(&self, device: &str, batch: &Digest, (now, expires): (u64, u64)) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, places| {
            places.retain(|(_, expires)| *expires > now);
            !places.is_empty()
        });
        let places = open.entry(device.to_owned()).or_default();
        places.retain(|(known, _)| known != batch);
        if places.len() >= UNFINISHED {
            return false;
        }
        places.push((*batch, expires));
        true
    }

    fn close(&self, device: &str, batch: &Digest) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = open.get_mut(device) {
            places.retain(|(known, _)| known != batch);
        }
    }
}

pub(super) async fn place(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id = read_id(&id)?;
    if !server.places.is_on {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "this server gives out no places in its store"));
    }
    let length = number(&headers, "upload-length")?;
    if length == 0 || usize::try_from(length).map_or(true, |length| length > MAX_BATCH) {
        let words = format!("{length} bytes; 1 to {MAX_BATCH} go by way of the store");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, words));
    }
    if let Some(done) = committed(&server, &device, &id).await? {
        return answer(Some(done), None);
    }
    let Some(alone) = server.locks.uploads_of(&device.id) else {
        let words = "another upload of this device goes on";
        return Err(Refusal::later(StatusCode::SERVICE_UNAVAILABLE, words, 1));
    };
    // In a task of its own: a connection that ends must not leave a commit behind that nobody waits for.
    let placed = tokio::spawn(async move {
        let placed = take_or_give(&server, &device, &id, length).await;
        drop(alone);
        placed
    });
    placed.await.map_err(Failure::failed)?
}

async fn take_or_give(
    server: &Arc<Server>,
    device: &Device,
    id: &Digest,
    length: u64,
) -> Result<Response, Refusal> {
    if let Some(done) = committed(server, device, id).await? {
        return answer(Some(done), None);
    }
    let (records, owner, batch) = (server.records.clone(), device.id.clone(), *id);
    let arrived = tokio::task::spawn_blocking(move || records.arrived(&owner, &batch, length));
    if let Some(bytes) = arrived.await.map_err(Failure::failed)?? {
        return take(server, device, id, bytes).await;
    }
    give(server, device, id, length).await
}

/// Takes in what lies there, by the same rules as what the server got itself.
async fn take(
    server: &Arc<Server>,
    device: &Device,
    id: &Digest,
    bytes: Vec<u8>,
) -> Result<Response, Refusal> {
    let offset = u64::try_from(bytes.len()).map_err(Failure::failed)?;
    let taken = taking::take_in(server, device, id, move || Ok(bytes)).await;
    // What the database refused now is taken in later; what is refused for good is of no use here.
    if taken.as_ref().err().is_none_or(Refusal::is_for_good) {
        server.places.close(&device.id, id);
        crate::files::remove(&part(server, device, id))?;
        let (records, owner, batch) = (server.records.clone(), device.id.clone(), *id);
        let gone = tokio::task::spawn_blocking(move || records.let_go(&owner, &batch));
        if let Err(failure) = gone.await.map_err(Failure::failed)? {
            tracing::warn!(
                id = "serve.incoming",
                device = device.id,
                "{failure}; it is removed within a day"
            );
        }
    }
    answer(Some(BatchState::committed(offset, taken?)), None)
}

async fn give(server: &Arc<Server>, device: &Device, id: &Digest, length: u64) -> Result<Response, Refusal> {
    let now = u64::try_from(server.now_s()).map_err(Failure::failed)?;
    let expires = now.saturating_add(VALID_S);
    if !server.places.open(&device.id, id, (now, expires)) {
        let words = format!("{UNFINISHED} places of this device are open");
        return Err(Refusal::later(StatusCode::TOO_MANY_REQUESTS, words, LATER_S));
    }
    let (records, owner, batch) = (server.records.clone(), device.id.clone(), *id);
    let signed = tokio::task::spawn_blocking(move || records.sign_place(&owner, &batch, length));
    let signed = signed.await.map_err(Failure::failed)??;
    let signed = signed.ok_or_else(|| Failure::failed("the store does not sign any more"))?;
    answer(None, Some(Place { url: signed.url, headers: signed.headers, expires }))
}

fn answer(state: Option<BatchState>, place: Option<Place>) -> Result<Response, Refusal> {
    let body = versioned::write(&Placing { schema: Placing::SCHEMA, state, place });
    // The server's own words: what is wrong with them is no fault of the device's.
    let body = body.map_err(Failure::failed)?;
    Ok(([("content-type", "application/json"), ("cache-control", "no-store")], body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_few_places_open_and_takes_none_of_anothers() {
        let places = Places::new(true);
        let batch = |n: u8| Digest::of(&[n]);
        for n in 0..4 {
            assert!(places.open("a", &batch(n), (0, 900)));
        }
        assert!(!places.open("a", &batch(4), (1, 901)));
        assert!(places.open("a", &batch(3), (1, 901)), "the same again is the same place");
        assert!(places.open("b", &batch(4), (1, 901)));
        places.close("a", &batch(0));
        assert!(places.open("a", &batch(4), (1, 901)));
        assert!(!places.open("a", &batch(5), (899, 1_799)));
        assert!(places.open("a", &batch(5), (900, 1_800)), "two have expired");
    }
}
