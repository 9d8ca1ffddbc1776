//! Captured records on their way to the fleet: many in one tar, so that a mobile link carries few headers, each signed by the
//! device; and what the fleet answers for each.
//!
//! ```text
//! batch.json      the manifest: device, boot, seq, and of each record digest, length, value class, expiry, signature
//! DIGEST          one file per record, in the manifest's order: the ciphertext as it was spooled
//! ```
//! A batch is named by the SHA-256 of its bytes, so a server that is asked for the name says how much of *these* bytes it
//! has. [`Batch::read`] accepts exactly what [`pack`] writes and allocates for the manifest only; whether
//! a record is what it says is judged one by one ([`Batch::records`], [`judge`]): a bad one costs the others nothing.

use serde::{Deserialize, Serialize};
use stopline_tuf::json::canonical;
use stopline_tuf::key::Key;

use crate::archive::{self, BLOCK, Malformed, Reader};
use crate::digest::Digest;
use crate::hex;
use crate::versioned::{self, Versioned, VersionedError, check_name};

/// Bytes of a batch, at most, unless its one record alone is larger.
pub const MAX_BATCH: usize = 4 << 20;
/// Bytes of a record, at most.
pub const MAX_RECORD: u64 = 16 << 20;
/// Bytes of a batch that holds one record, at most: what a server must take.
pub const MAX_BYTES: usize = (16 << 20) + 4 * BLOCK + END;
/// Records of a batch, at most.
pub const MAX_RECORDS: usize = 1_024;
/// The highest value class: the most valuable.
pub const MAX_CLASS: u8 = 9;

const MANIFEST: &str = "batch.json";

/// What a batch holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchManifest {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The device, 32 hexadecimal digits. Whom the server believes it to be is the certificate's word, not this one.
    pub device: String,
    /// Its boot; with `seq` it makes a batch one of a kind.
    pub boot_id: String,
    /// Rises by one for each message and batch in a boot.
    pub seq: u64,
    /// The records, in the order of the files that follow.
    pub records: Vec<Entry>,
}

/// What stays clear of a sealed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// SHA-256 of the ciphertext: the record's address.
    pub digest: Digest,
    /// Bytes of the ciphertext.
    pub length: u64,
    /// Value class, 0 to 9 = most valuable.
    pub class: u8,
    /// When it is no longer wanted, seconds since 1970.
    pub expires: u64,
    /// The device's ed25519 signature over [`record_message`], 128 hexadecimal digits.
    pub signature: String,
}

impl Entry {
    /// Signs: `sign` is the device's key over [`record_message`].
    ///
    /// # Errors
    /// [`VersionedError::Refused`] for what could not be read again; what kept the key from signing.
    pub fn signed<E: From<VersionedError>>(
        device: &str,
        (digest, length, class, expires): (Digest, u64, u8, u64),
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<Self, E> {
        let unsigned = Self { digest, length, class, expires, signature: String::new() };
        let signature = hex::digits(&sign(&record_message(device, &unsigned)?)?);
        Ok(Self { signature, ..unsigned })
    }

    /// Whether `key`, which the fleet knows of `device`, signed it.
    pub fn is_signed_by(&self, device: &str, key: &[u8; 32]) -> bool {
        match (hex::bytes(&self.signature), record_message(device, self)) {
            (Some(signature), Ok(message)) => Key::ed25519(key).verifies(&message, &signature),
            _ => false,
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.length == 0 || self.length > MAX_RECORD {
            return Err(format!(
                "length: {} of {}; 1 to {MAX_RECORD} are expected",
                self.length, self.digest
            ));
        }
        if self.class > MAX_CLASS {
            return Err(format!("class: {} of {}; 0 to {MAX_CLASS} are expected", self.class, self.digest));
        }
        if self.expires > i64::MAX.unsigned_abs() {
            return Err(format!("expires: {} of {} is no time", self.expires, self.digest));
        }
        Ok(())
    }
}

/// The bytes that are signed of a record: `stopline/record/v1`, a zero, and `{class, device, digest, expires, length}` as
/// canonical JSON.
///
/// # Errors
/// [`VersionedError::Refused`] for what could not be read again.
pub fn record_message(device: &str, entry: &Entry) -> Result<Vec<u8>, VersionedError> {
    let refused = |problem: String| VersionedError::Refused { name: BatchManifest::NAME, problem };
    check_name("device", device).and_then(|()| entry.check()).map_err(refused)?;
    let value = serde_json::json!({
        "class": entry.class, "device": device, "digest": entry.digest, "expires": entry.expires,
        "length": entry.length,
    });
    let body = canonical(&value).ok_or_else(|| refused("a number with a fraction".into()))?;
    Ok([&b"stopline/record/v1\0"[..], &body].concat())
}

impl Versioned for BatchManifest {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "batch manifest";
    const LIMIT: usize = 512 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("device", &self.device)?;
        check_name("boot_id", &self.boot_id)?;
        if self.records.is_empty() || self.records.len() > MAX_RECORDS {
            let found = self.records.len();
            return Err(format!("records: {found}; 1 to {MAX_RECORDS} are expected"));
        }
        let mut digests = std::collections::BTreeSet::new();
        for entry in &self.records {
            entry.check()?;
            if hex::bytes(&entry.signature).is_none_or(|bytes| bytes.len() != 64) {
                return Err(format!(
                    "signature of {}: 64 bytes in lower-case hexadecimal digits are expected",
                    entry.digest
                ));
            }
            if !digests.insert(entry.digest) {
                return Err(format!("records: {} stands twice", entry.digest));
            }
        }
        Ok(())
    }
}

/// Why a batch cannot be packed or read.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The archive is not of the one form.
    #[error("batch, byte {at}: {problem}")]
    Form {
        /// Offset in the tar.
        at: usize,
        /// What was found and what is expected.
        problem: String,
    },
    /// Its manifest is refused, or of a newer schema.
    #[error("batch, {0}")]
    Manifest(#[from] VersionedError),
    /// It is longer than a batch may be.
    #[error("batch: {found} bytes; at most {limit} are allowed")]
    TooLong {
        /// Bytes.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// What is given does not fit the manifest.
    #[error("batch: {0}")]
    Content(String),
}

impl From<Malformed> for BatchError {
    fn from(malformed: Malformed) -> Self {
        Self::Form { at: malformed.at, problem: malformed.problem }
    }
}

/// Bytes that a record of this length adds to a batch, its line in the manifest included, at most.
pub fn room(length: u64) -> usize {
    usize::try_from(length).map_or(usize::MAX, |length| file_room(length).saturating_add(ENTRY))
}

/// Bytes of a batch without records, at most.
pub const EMPTY: usize = 2 * BLOCK + END + 512;

/// Bytes of an entry in the manifest, at most: digest 64, signature 128, length and expiry 20 each, keys and signs.
const ENTRY: usize = 320;

/// Bytes at the end of a tar.
const END: usize = 2 * BLOCK;

/// Bytes that a file of this length takes in a tar.
fn file_room(length: usize) -> usize {
    BLOCK.saturating_add(length.checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX))
}

/// Packs a batch: the same bytes from the same records. `content` gives each record of the manifest, in its order, so that no
/// more than one lies in memory beside the batch.
///
/// # Errors
/// [`BatchError`], or what `content` says.
pub fn pack<E: From<BatchError>>(
    manifest: &BatchManifest,
    mut content: impl FnMut(&Entry) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let refused = |problem: String| BatchError::Content(problem);
    // Checked and bounded as the reader does it; compact on the wire, where each byte costs.
    versioned::write(manifest).map_err(BatchError::from)?;
    let head = serde_json::to_vec(manifest).map_err(|error| refused(error.to_string()))?;
    let length = manifest.records.iter().fold(file_room(head.len()) + END, |sum, entry| {
        sum.saturating_add(usize::try_from(entry.length).map_or(usize::MAX, file_room))
    });
    within_limit(length, manifest.records.len())?;
    let mut tar = Vec::with_capacity(length);
    let failed = |error: std::io::Error| BatchError::Content(error.to_string());
    archive::write_file(&mut tar, MANIFEST, &head).map_err(failed)?;
    for entry in &manifest.records {
        let content = content(entry)?;
        if u64::try_from(content.len()).ok() != Some(entry.length) {
            let problem = format!("{} has {} bytes, not {}", entry.digest, content.len(), entry.length);
            return Err(refused(problem).into());
        }
        archive::write_file(&mut tar, &entry.digest.to_string(), &content).map_err(failed)?;
    }
    archive::write_end(&mut tar).map_err(failed)?;
    Ok(tar)
}

/// A batch as it was read; the records are pieces of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    manifest: BatchManifest,
    contents: Vec<&'a [u8]>,
}

impl<'a> Batch<'a> {
    /// Reads one from memory. That each record is what its digest and signature say is not yet known: [`judge`].
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn read(tar: &'a [u8]) -> Result<Self, BatchError> {
        if tar.len() > MAX_BYTES {
            return Err(BatchError::TooLong { found: tar.len(), limit: MAX_BYTES });
        }
        let mut reader = Reader::new(tar);
        let manifest: BatchManifest = versioned::read(reader.required(MANIFEST)?)?;
        within_limit(tar.len(), manifest.records.len())?;
        let mut contents = Vec::with_capacity(manifest.records.len());
        for entry in &manifest.records {
            let content = reader.required(&entry.digest.to_string())?;
            if u64::try_from(content.len()).ok() != Some(entry.length) {
                let problem = format!("{} has {} bytes, not {}", entry.digest, content.len(), entry.length);
                return Err(reader.wrong(problem).into());
            }
            contents.push(content);
        }
        reader.end()?;
        Ok(Self { manifest, contents })
    }

    /// Its manifest.
    pub fn manifest(&self) -> &BatchManifest {
        &self.manifest
    }

    /// What it says of each record, and the record's bytes.
    pub fn records(&self) -> impl Iterator<Item = (&Entry, &'a [u8])> {
        self.manifest.records.iter().zip(self.contents.iter().copied())
    }
}

/// Why a record is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Its bytes are not those of its digest.
    #[error("its bytes are not those of its digest")]
    Digest,
    /// The device's key did not sign it.
    #[error("the device's key did not sign it")]
    Signature,
}

/// Whether a record is what it says: its bytes are those of its digest, and `key`, which the fleet knows of `device`, signed
/// it.
///
/// # Errors
/// [`BadRecord`].
pub fn judge(device: &str, key: &[u8; 32], entry: &Entry, content: &[u8]) -> Result<(), BadRecord> {
    if Digest::of(content) != entry.digest || u64::try_from(content.len()).ok() != Some(entry.length) {
        return Err(BadRecord::Digest);
    }
    if entry.is_signed_by(device, key) { Ok(()) } else { Err(BadRecord::Signature) }
}

/// How far a batch has come: the answer to `GET` and `PATCH v1/batches/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchState {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Bytes that the server has of it, from the first on.
    pub offset: u64,
    /// What became of each record, once all of it is committed. Only then does the device let a record go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<Vec<Receipt>>,
    /// What became of the records of the batch that `receipts` does not name: of many small ones each digest would cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Received>,
}

impl BatchState {
    /// So far it has come.
    pub fn at(offset: u64) -> Self {
        Self { schema: Self::SCHEMA, offset, receipts: None, rest: None }
    }

    /// It is committed: `receipts` has one for each of its records.
    pub fn committed(offset: u64, mut receipts: Vec<Receipt>) -> Self {
        let stored = receipts.iter().filter(|receipt| receipt.result == Received::Stored).count();
        let rest = (stored > FEW).then_some(Received::Stored);
        receipts.retain(|receipt| Some(receipt.result) != rest);
        Self { receipts: Some(receipts), rest, ..Self::at(offset) }
    }

    /// The receipts of the batch with these records; `None` while it is not committed. A record may have none.
    pub fn receipts_of(&self, records: &[Entry]) -> Option<Vec<Receipt>> {
        let named = self.receipts.as_ref()?;
        let of = |entry: &Entry| {
            let own = named.iter().find(|receipt| receipt.digest == entry.digest).copied();
            own.or_else(|| Some(Receipt { digest: entry.digest, result: self.rest? }))
        };
        Some(records.iter().filter_map(of).collect())
    }
}

/// Records that are named each, although all of them are stored.
const FEW: usize = 8;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Which one.
    pub digest: Digest,
    /// What became of it.
    pub result: Received,
}

/// What the fleet did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// It is kept, committed.
    Stored,
    /// It was kept already.
    Known,
    /// It is not wanted: forgotten, expired, a campaign that ended.
    NotWanted,
    /// It is longer than this server keeps.
    TooBig,
    /// Its digest or signature is wrong.
    Bad,
}

impl Received {
    /// Whether the fleet has the record.
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::Stored | Self::Known)
    }
}

impl Versioned for BatchState {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "batch state";
    const LIMIT: usize = 256 << 10;

    fn check(&self) -> Result<(), String> {
        let receipts = self.receipts.as_ref().map_or(0, Vec::len);
        if receipts > MAX_RECORDS {
            return Err(format!("receipts: {receipts}; at most {MAX_RECORDS} are expected"));
        }
        if self.rest.is_some() && self.receipts.is_none() {
            return Err("rest: `receipts` is expected beside it".into());
        }
        if usize::try_from(self.offset).map_or(true, |offset| offset > MAX_BYTES) {
            return Err(format!("offset: {}; at most {MAX_BYTES} are expected", self.offset));
        }
        Ok(())
    }
}

fn within_limit(found: usize, records: usize) -> Result<(), BatchError> {
    let limit = if records > 1 { MAX_BATCH } else { MAX_BYTES };
    if found > limit { Err(BatchError::TooLong { found, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
