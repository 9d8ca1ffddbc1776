//! Where a repository is published: a folder or an object store, behind one trait.
//!
//! A published file is immutable, with one exception: `metadata/timestamp.json`, which is replaced only by whoever has seen
//! the one it replaces (compare-and-swap). So two publishers at once lose nothing and mix nothing: one of them starts anew.

mod local;
#[cfg(feature = "store")]
mod object;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use stopline_depot::digest::Digest;

pub use local::LocalStore;
#[cfg(feature = "store")]
pub use object::ObjectStorage;

use crate::exit::{Failure, Result};

/// The one file that is replaced.
pub const TIMESTAMP: &str = "metadata/timestamp.json";

/// What stood there when it was read: to replace just that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub(crate) String);

/// What a new file holds.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Those of this file.
    File(&'a Path),
}

/// A file to read piece by piece.
pub struct Source {
    /// Its bytes.
    pub reader: Box<dyn ReadSeek>,
    /// How many.
    pub length: u64,
    /// Changes when the content does.
    pub tag: String,
}

/// What can be read from any offset on.
pub trait ReadSeek: std::io::Read + std::io::Seek + Send {}
impl<T: std::io::Read + std::io::Seek + Send> ReadSeek for T {}

/// What came of adding a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    New,
    /// It was there, with the same content.
    Same,
    /// One of that name is there with other content; nothing was changed.
    Other,
}

/// A request that was signed here, for somebody who holds none of the store's credentials. Who reads it can make it.
pub struct SignedPut {
    /// Where, with the signature.
    pub url: String,
    /// Headers that must be sent with it.
    pub headers: Vec<(String, String)>,
}

/// Where a repository is published. Paths are relative, of parts that are encoded already.
pub trait Store: Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Reads a file of at most `limit` bytes; `None` if it is not there.
    ///
    /// # Errors
    /// What kept it from knowing.
    fn read(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Tag)>>;

    /// Opens a file of whatever length a target may have; `None` if it is not there.
    ///
    /// # Errors
    /// What kept it from knowing.
    fn open(&self, path: &str) -> Result<Option<Source>> {
        let found = self.read(path, stopline_depot::bundle::MAX_UNPACKED)?;
        Ok(found.map(|(bytes, _)| Source {
            length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            tag: Digest::of(&bytes).to_string(),
            reader: Box::new(std::io::Cursor::new(bytes)),
        }))
    }

    /// Names of files right in `folder`, sorted.
    ///
    /// # Errors
    /// What kept it from knowing.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Files anywhere below `folder`, and when each was written: seconds since 1970 by the store's clock.
    ///
    /// # Errors
    /// What kept it from knowing.
    fn ages(&self, folder: &str) -> Result<Vec<(String, i64)>>;

    /// Signs one PUT of a file of this digest and length, good for a while; `None` where the store cannot. How much of it the
    /// signature binds is the store's matter: what lies there afterwards is not yet known to be what was signed for.
    ///
    /// # Errors
    /// What kept it from signing.
    fn sign_put(&self, path: &str, _content: (&Digest, u64), _valid: Duration) -> Result<Option<SignedPut>> {
        checked(path).map(|_| None)
    }

    /// Adds a file that is never changed again.
    ///
    /// # Errors
    /// What kept it from being there.
    fn add(&self, path: &str, content: Content<'_>) -> Result<Added>;

    /// Removes a file for good, as `forget` does with what nobody may keep; whether it was there. Published files are never removed
    /// by it.
    ///
    /// # Errors
    /// What kept it from being gone.
    fn remove(&self, path: &str) -> Result<bool>;

    /// Replaces a file that is as it was when `seen` was read (`None`: not there). Says whether it did.
    ///
    /// # Errors
    /// What kept it; then it is not known whether it did.
    fn swap(&self, path: &str, seen: Option<&Tag>, bytes: &[u8]) -> Result<bool>;
}

/// Opens a store: a folder, `file:///…`, or with the feature `store` `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, whose
/// credentials come from the environment as the vendors' own tools read them.
pub fn open(place: &str) -> Result<Box<dyn Store>> {
    if let Some(path) = place.strip_prefix("file://") {
        return Ok(Box::new(LocalStore::new(path)));
    }
    if !place.contains("://") {
        return Ok(Box::new(LocalStore::new(place)));
    }
    #[cfg(feature = "store")]
    return Ok(Box::new(ObjectStorage::open(place)?));
    #[cfg(not(feature = "store"))]
    Err(Failure::usage(format!(
        "{place}: this program was built without object stores; give a folder, or build it with the feature `store`"
    )))
}

fn checked(path: &str) -> Result<&str> {
    let plain = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if plain { Ok(path) } else { Err(Failure::refused(format!("{path:?} is no path in a repository"))) }
}
