//! Foreign JSON: bounded, and each error with the place it is at.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

use super::EvalError;

/// The largest file read. COCO's own training set is 450 MB.
const MAX_BYTES: u64 = 2 << 30;

/// Reads `path` as `T`; `expected` says in an error what the file should be.
pub(super) fn read<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, EvalError> {
    let bytes = read_bounded(path)?;
    serde_json::from_slice(&bytes).map_err(|cause| EvalError::Json {
        path: path.display().to_string(),
        cause,
        expected,
    })
}

/// The bytes of `path`, at most [`MAX_BYTES`].
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, EvalError> {
    use std::io::Read;
    let failed = |cause| EvalError::Read { path: path.display().to_string(), cause };
    let too_large = |bytes| EvalError::TooLarge { path: path.display().to_string(), bytes, limit: MAX_BYTES };
    let file = std::fs::File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    if meta.len() > MAX_BYTES {
        return Err(too_large(meta.len()));
    }
    let mut bytes = Vec::new();
    // A pipe has no length; it is cut off where it passes the limit.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// A list whose errors say which element they are in.
pub(super) struct Numbered<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Numbered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NumberedVisitor(PhantomData))
    }
}

struct NumberedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NumberedVisitor<T> {
    type Value = Numbered<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        loop {
            match list.next_element() {
                Ok(Some(element)) => elements.push(element),
                Ok(None) => return Ok(Numbered(elements)),
                Err(cause) => {
                    return Err(A::Error::custom(format_args!("element {}: {cause}", elements.len())));
                }
            }
        }
    }
}

/// 0, 1, `true` or `false`, as writers of COCO files variously put it.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Flag;
    impl Visitor<'_> for Flag {
        type Value = bool;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("0 or 1")
        }
        fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
            Ok(value != 0)
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
            Ok(value != 0)
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
            Ok(value != 0.0)
        }
        fn visit_unit<E: Error>(self) -> Result<bool, E> {
            Ok(false)
        }
    }
    deserializer.deserialize_any(Flag)
}
