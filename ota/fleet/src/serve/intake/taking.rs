//! A batch that is whole, by whatever way it came: held against its name, judged record by record, stored, committed, and only
//! then answered with receipts.

use std::sync::Arc;

use axum::http::StatusCode;
use stopline_depot::batch::{Batch, BatchManifest, Entry, Receipt, Received, judge};
use stopline_depot::digest::Digest;

use super::Refusal;
use crate::exit::{Failure, Result as Done};
use crate::serve::database::devices::Device;
use crate::serve::database::records::Sealed;
use crate::serve::records::Label;
use crate::serve::server::Server;

/// Judges a whole batch, keeps what is to be kept, and commits. `read` gives its bytes, on a thread that may wait.
pub(super) async fn take_in(
    server: &Arc<Server>,
    device: &Device,
    id: &Digest,
    read: impl FnOnce() -> Done<Vec<u8>> + Send + 'static,
) -> Result<Vec<Receipt>, Refusal> {
    let now_s = server.now_s();
    let (shared, owner, wanted) = (server.clone(), device.clone(), *id);
    let kept = tokio::task::spawn_blocking(move || keep(&shared, &owner, &wanted, &read()?, now_s));
    let kept = kept.await.map_err(Failure::failed)??;
    let mut receipts = Vec::new();
    let mut writing = server.database.write().await?;
    for (entry, mut result) in kept.results {
        if result == Received::Stored {
            let sealed = sealed(&entry, &kept.manifest, &device.id, now_s)?;
            if !writing.add_record(&sealed).await? {
                result = Received::Known;
            }
        }
        receipts.push(Receipt { digest: entry.digest, result });
    }
    let length = i64::try_from(kept.length).map_err(Failure::failed)?;
    let written = serde_json::to_string(&receipts).map_err(Failure::failed)?;
    writing.add_batch((&device.id, &id.to_string()), length, &written, now_s).await?;
    writing.commit().await?;
    Ok(receipts)
}

struct Kept {
    manifest: BatchManifest,
    length: usize,
    results: Vec<(Entry, Received)>,
}

fn keep(server: &Server, device: &Device, id: &Digest, bytes: &[u8], now_s: i64) -> Result<Kept, Refusal> {
    let refuse = |words: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words);
    if Digest::of(bytes) != *id {
        return Err(refuse("its bytes are not those of its name; begin anew".into()));
    }
    let batch = Batch::read(bytes).map_err(|error| refuse(error.to_string()))?;
    let manifest = batch.manifest().clone();
    if manifest.device != device.id {
        let words = format!("a batch of device {}; this is device {}", manifest.device, device.id);
        return Err(Refusal::new(StatusCode::FORBIDDEN, words));
    }
    let key: Digest = device.key.parse().map_err(Failure::failed)?;
    let mut results = Vec::new();
    for (entry, content) in batch.records() {
        let result = if judge(&device.id, key.as_bytes(), entry, content).is_err() {
            Received::Bad
        } else if server.records.is_forgotten(&entry.digest)? || is_late(server, entry, now_s)? {
            Received::NotWanted
        } else {
            let whose = (device.id.as_str(), manifest.boot_id.as_str(), manifest.seq);
            server.records.put(&Label::of(entry, whose, now_s), content)?;
            Received::Stored
        };
        results.push((entry.clone(), result));
    }
    Ok(Kept { manifest, length: bytes.len(), results })
}

/// Nobody wants it any more. One that lies in the store already came in time: its commit was cut off.
fn is_late(server: &Server, entry: &Entry, now_s: i64) -> Result<bool, Refusal> {
    let expired = i64::try_from(entry.expires).is_ok_and(|expires| expires <= now_s);
    Ok(expired && !server.records.holds(&entry.digest)?)
}

fn sealed(entry: &Entry, manifest: &BatchManifest, device: &str, now_s: i64) -> Result<Sealed, Refusal> {
    let number = |value: u64| i64::try_from(value).map_err(Failure::refused);
    Ok(Sealed {
        digest: entry.digest.to_string(),
        device: device.to_owned(),
        boot_id: manifest.boot_id.clone(),
        seq: number(manifest.seq)?,
        length: number(entry.length)?,
        class: i64::from(entry.class),
        expires_s: number(entry.expires)?,
        received_s: now_s,
    })
}
