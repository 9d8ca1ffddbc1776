//! What is encrypted: `record.json` and `picture.jpg` in one archive of which every byte has one meaning.

use std::io;

use super::record::{CaptureRecord, RECORD_SCHEMA};
use crate::archive::{self, Malformed, Reader};

/// Bytes of an opened record, at most.
pub const MAX_PLAIN: usize = 16 << 20;
/// Bytes of `record.json`, at most.
const MAX_JSON: usize = 1 << 20;
const RECORD: &str = "record.json";
const PICTURE: &str = "picture.jpg";
/// How a JPEG begins (ITU-T T.81, B.1.1.3: SOI, and the first byte of the next marker).
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// What is wrong with an opened record. Whoever has the recipients' public key can make one: its content is foreign, also
/// where the signature of a device is right.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// The archive is not of the one form.
    #[error("captured record, byte {at}: {problem}")]
    Form {
        /// Offset.
        at: usize,
        /// What was found and what is expected.
        problem: String,
    },
    /// Longer than any.
    #[error("captured record: {found} bytes, expected at most {limit}")]
    TooBig {
        /// Bytes.
        found: usize,
        /// Allowed.
        limit: usize,
    },
    /// `record.json` is no side-car.
    #[error("captured record, record.json: {0}")]
    Json(#[from] serde_json::Error),
    /// Another schema.
    #[error(
        "captured record, record.json: schema {found}; expected {RECORD_SCHEMA}: a newer stopline-fleet reads it"
    )]
    Schema {
        /// Its number.
        found: u32,
    },
    /// `picture.jpg` is no JPEG.
    #[error("captured record, picture.jpg: does not begin as a JPEG does")]
    NoJpeg,
    /// Writing failed.
    #[error("captured record: {0}")]
    Io(#[from] io::Error),
}

impl From<Malformed> for PlainError {
    fn from(malformed: Malformed) -> Self {
        Self::Form { at: malformed.at, problem: malformed.problem }
    }
}

/// Puts a side-car and its picture together.
///
/// # Errors
/// [`PlainError::TooBig`], [`PlainError::NoJpeg`].
pub fn plain(record: &CaptureRecord, jpeg: &[u8]) -> Result<Vec<u8>, PlainError> {
    if !jpeg.starts_with(&JPEG) {
        return Err(PlainError::NoJpeg);
    }
    let json = serde_json::to_vec(record)?;
    let found = json.len().saturating_add(jpeg.len());
    let limit = MAX_PLAIN - 4 * archive::BLOCK - 2 * archive::BLOCK;
    if json.len() > MAX_JSON || found > limit {
        return Err(PlainError::TooBig { found, limit });
    }
    let mut bytes = Vec::with_capacity(found + 8 * archive::BLOCK);
    archive::write_file(&mut bytes, RECORD, &json)?;
    archive::write_file(&mut bytes, PICTURE, jpeg)?;
    archive::write_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes apart what was decrypted; the picture is a piece of it, and still to be judged by whoever decodes it.
///
/// # Errors
/// [`PlainError`].
pub fn open_plain(bytes: &[u8]) -> Result<(CaptureRecord, &[u8]), PlainError> {
    if bytes.len() > MAX_PLAIN {
        return Err(PlainError::TooBig { found: bytes.len(), limit: MAX_PLAIN });
    }
    let mut reader = Reader::new(bytes);
    let (json, jpeg) = (reader.required(RECORD)?, reader.required(PICTURE)?);
    reader.end()?;
    if json.len() > MAX_JSON {
        return Err(PlainError::TooBig { found: json.len(), limit: MAX_JSON });
    }
    #[derive(serde::Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let Versioned { schema: found } = serde_json::from_slice(json)?;
    if found != RECORD_SCHEMA {
        return Err(PlainError::Schema { found });
    }
    if !jpeg.starts_with(&JPEG) {
        return Err(PlainError::NoJpeg);
    }
    Ok((serde_json::from_slice(json)?, jpeg))
}
