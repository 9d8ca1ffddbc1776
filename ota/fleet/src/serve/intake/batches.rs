//! `v1/batches/ID`: sealed records, many in one tar, resumed by offset. What is on its way lies in `uploads/DEVICE/ID.part`; a
//! batch that is whole is taken in (`taking.rs`), and only then answered with receipts.
//!
//! The offset that is answered is on the medium. Of one device at most [`UNFINISHED`] batches are on their way, so that one
//! that goes wrong fills no disk.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path as PathPart, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde_json::json;
use stopline_depot::batch::{BatchState, MAX_BYTES, Receipt};
use stopline_depot::digest::Digest;
use stopline_depot::disk::folder_of;

use super::{Asking, Refusal, taking, unpacked};
use crate::exit::{Failure, Result as Done};
use crate::serve::data;
use crate::serve::database::devices::Device;
use crate::serve::server::Server;

/// Batches of one device on their way, at most.
pub const UNFINISHED: usize = 4;
/// Seconds after which a batch that nobody went on with is let go.
const ABANDONED_S: i64 = 7 * 86_400;
/// Between two syncs of what arrives.
const SYNC_BYTES: u64 = 1 << 20;

/// `GET`: how far it has come.
pub(super) async fn state(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    PathPart(id): PathPart<String>,
) -> Result<Json<BatchState>, Refusal> {
    let id = read_id(&id)?;
    if let Some(done) = committed(&server, &device, &id).await? {
        return Ok(Json(done));
    }
    let offset = length_of(&part(&server, &device, &id))?;
    Ok(Json(BatchState::at(offset)))
}

/// `PATCH`: more of it.
pub(super) async fn receive(
    State(server): State<Arc<Server>>,
    Asking(device): Asking,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let id = read_id(&id)?;
    let (at, length) = (number(&headers, "upload-offset")?, number(&headers, "upload-length")?);
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    if length > most {
        let words = format!("{length} bytes; a batch has at most {most}");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, words));
    }
    let body = plain(&headers, body).await?;
    let Some(alone) = server.locks.uploads_of(&device.id) else {
        let words = "another upload of this device goes on";
        return Err(Refusal::later(StatusCode::SERVICE_UNAVAILABLE, words, 1));
    };
    // In a task of its own: a connection that ends must not leave a write behind that nobody waits for.
    let taken = tokio::spawn(async move {
        let taken = take(&server, &device, &id, (at, length), body).await;
        drop(alone);
        taken
    });
    taken.await.map_err(Failure::failed)?
}

/// A packed body is taken in whole, and unpacked; offsets are those of the batch's own bytes.
async fn plain(headers: &HeaderMap, body: Body) -> Result<Body, Refusal> {
    if headers.get(header::CONTENT_ENCODING).is_none() {
        return Ok(body);
    }
    let too_long = |error: axum::Error| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error);
    let packed = axum::body::to_bytes(body, MAX_BYTES).await.map_err(too_long)?;
    unpacked(headers, packed, MAX_BYTES).map(Body::from)
}

async fn take(
    server: &Arc<Server>,
    device: &Device,
    id: &Digest,
    (at, length): (u64, u64),
    body: Body,
) -> Result<Response, Refusal> {
    if let Some(done) = committed(server, device, id).await? {
        return Ok(Json(done).into_response());
    }
    let path = part(server, device, id);
    let known = length_of(&path)?;
    if known != at {
        let body = json!({"schema": 1, "offset": known, "error": "go on from this offset"});
        return Ok((StatusCode::CONFLICT, Json(body)).into_response());
    }
    make_room(&path)?;
    let offset = append(&path, at, length, body).await?;
    if offset < length {
        return Ok(Json(BatchState::at(offset)).into_response());
    }
    let receipts = finish(server, device, id, &path).await?;
    Ok(Json(BatchState::committed(offset, receipts)).into_response())
}

/// Removes what nobody went on with.
///
/// # Errors
/// The system's.
pub fn remove_old(uploads: &Path, now_s: i64) -> Done<()> {
    for device in crate::files::names(uploads)? {
        for name in crate::files::names(&uploads.join(&device))? {
            let path = uploads.join(&device).join(name);
            let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = written.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let at_s = age.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(now_s);
            if now_s - at_s > ABANDONED_S {
                crate::files::remove(&path)?;
            }
        }
    }
    Ok(())
}

/// What was answered when it was committed.
pub(super) async fn committed(
    server: &Server,
    device: &Device,
    id: &Digest,
) -> Result<Option<BatchState>, Refusal> {
    let Some((length, receipts)) = server.database.batch(&device.id, &id.to_string()).await? else {
        return Ok(None);
    };
    let receipts = serde_json::from_str(&receipts).map_err(Failure::failed)?;
    let offset = u64::try_from(length).map_err(Failure::failed)?;
    Ok(Some(BatchState::committed(offset, receipts)))
}

/// Writes what arrives at the end of the part, at most up to `length`. What arrived before a cut stays.
async fn append(path: &Path, at: u64, length: u64, body: Body) -> Result<u64, Refusal> {
    let io = |error: std::io::Error| Refusal::from(Failure::failed(format!("{}: {error}", path.display())));
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    let mut file = tokio::fs::File::from_std(file);
    let (mut offset, mut unsynced) = (at, 0_u64);
    let mut body = std::pin::pin!(body.into_data_stream());
    let mut too_long = false;
    // A cut ends it like an end does: what is here is here.
    while let Some(Ok(piece)) = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if offset.saturating_add(bytes) > length {
            too_long = true;
            break;
        }
        tokio::io::AsyncWriteExt::write_all(&mut file, &piece).await.map_err(io)?;
        (offset, unsynced) = (offset + bytes, unsynced + bytes);
        if unsynced >= SYNC_BYTES {
            file.sync_data().await.map_err(io)?;
            unsynced = 0;
        }
    }
    file.sync_all().await.map_err(io)?;
    sync_folder(path).map_err(io)?;
    if too_long {
        crate::files::remove(path)?;
        let words = format!("more than the {length} bytes that Upload-Length names; begin anew");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, words));
    }
    Ok(offset)
}

/// Takes a whole batch in.
async fn finish(
    server: &Arc<Server>,
    device: &Device,
    id: &Digest,
    path: &Path,
) -> Result<Vec<Receipt>, Refusal> {
    let file = path.to_owned();
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let taken = taking::take_in(server, device, id, move || crate::files::read(&file, most)).await;
    // What is refused for good begins anew; what the disk refused is tried again.
    if taken.as_ref().err().is_none_or(Refusal::is_for_good) {
        crate::files::remove(path)?;
    }
    taken
}

/// The device's folder, with room for one more batch: of too many the one that waited longest goes.
fn make_room(path: &Path) -> Result<(), Refusal> {
    let folder = folder_of(path);
    data::make(folder)?;
    if path.exists() {
        return Ok(());
    }
    let mut there: Vec<(std::time::SystemTime, PathBuf)> = crate::files::names(folder)?
        .into_iter()
        .map(|name| folder.join(name))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    there.sort();
    for (_, oldest) in there.iter().take((there.len() + 1).saturating_sub(UNFINISHED)) {
        crate::files::remove(oldest)?;
    }
    Ok(())
}

pub(super) fn part(server: &Server, device: &Device, id: &Digest) -> PathBuf {
    server.data.uploads().join(&device.id).join(format!("{id}.part"))
}

fn length_of(path: &Path) -> Result<u64, Refusal> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Failure::failed(format!("{}: {error}", path.display())).into()),
    }
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The name is a digest or it is nothing: no name from outside becomes a path.
pub(super) fn read_id(id: &str) -> Result<Digest, Refusal> {
    id.parse().map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "a batch is named by its SHA-256, 64 lower-case hexadecimal digits",
        )
    })
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Result<u64, Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value.ok_or_else(|| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("{name}: a number of bytes is expected"))
    })
}
