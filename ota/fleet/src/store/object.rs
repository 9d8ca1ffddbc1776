//! S3, Google Cloud Storage, Azure: by conditional writes, which all three have.

mod signing;

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as ObjectPath;
use object_store::{
    Attribute, Attributes, Error as ObjectError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, UpdateVersion,
};
use stopline_depot::digest::Digest;
use tokio::runtime::{Builder, Runtime};

use self::signing::Signing;
use super::{Added, Content, SignedPut, Store, TIMESTAMP, Tag, checked};
use crate::exit::{Failure, Result};
use crate::files;

/// What a cache may keep for ever.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// What a cache must ask for again.
const NO_CACHE: &str = "no-cache";
/// Between the two versions of an object in a tag.
const BETWEEN: char = '\n';

/// An object store.
pub struct ObjectStorage {
    name: String,
    store: Arc<dyn ObjectStore>,
    signing: Option<Signing>,
    prefix: ObjectPath,
    runtime: Runtime,
}

impl ObjectStorage {
    /// Opens the store that `url` names; credentials and endpoint come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_ENDPOINT`, …).
    ///
    /// # Errors
    /// What is wrong with the URL or the environment.
    pub fn open(url: &str) -> Result<Self> {
        // The client for HTTP panics without one. Another part of this process may have chosen already; then that one holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{url}: {error}"));
        let parsed = url.parse().map_err(|error: url::ParseError| wrong(&error))?;
        let environment = std::env::vars().map(|(key, value)| (key.to_ascii_lowercase(), value));
        let known: Vec<(String, String)> = environment
            .filter(|(key, _)| ["aws_", "google_", "azure_"].iter().any(|vendor| key.starts_with(vendor)))
            .collect();
        let (store, signing, prefix) = signing::open(&parsed, &known).map_err(|error| wrong(&error))?;
        Ok(Self { signing, ..Self::of(url, store, prefix)? })
    }

    /// Over any object store, below `prefix`.
    ///
    /// # Errors
    /// The system's, if it gives no runtime.
    pub fn of(name: &str, store: Arc<dyn ObjectStore>, prefix: ObjectPath) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        Ok(Self { name: name.into(), store, signing: None, prefix, runtime })
    }

    fn at(&self, path: &str) -> Result<ObjectPath> {
        let relative = ObjectPath::parse(checked(path)?).map_err(Failure::refused)?;
        Ok(self.prefix.parts().chain(relative.parts()).collect())
    }

    fn failed(&self, path: &str, error: &ObjectError) -> Failure {
        Failure::failed(format!("{}/{path}: {error}", self.name))
    }

    fn put(&self, path: &str, bytes: Vec<u8>, mode: PutMode) -> Result<bool> {
        let at = self.at(path)?;
        let cache = if path == TIMESTAMP { NO_CACHE } else { IMMUTABLE };
        let attributes = Attributes::from_iter([(Attribute::CacheControl, cache)]);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        match self.runtime.block_on(self.store.put_opts(&at, PutPayload::from(bytes), options)) {
            Ok(_) => Ok(true),
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed(path, &error)),
        }
    }
}

impl Store for ObjectStorage {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Tag)>> {
        let at = self.at(path)?;
        let result = match self.runtime.block_on(self.store.get(&at)) {
            Ok(result) => result,
            Err(ObjectError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(path, &error)),
        };
        if result.meta.size > limit {
            let problem =
                format!("{}/{path}: {} bytes, at most {limit} are allowed", self.name, result.meta.size);
            return Err(Failure::refused(problem));
        }
        let (etag, version) = (result.meta.e_tag.clone(), result.meta.version.clone());
        let tag = format!("{}{BETWEEN}{}", etag.unwrap_or_default(), version.unwrap_or_default());
        let bytes = self.runtime.block_on(result.bytes()).map_err(|error| self.failed(path, &error))?;
        Ok(Some((bytes.to_vec(), Tag(tag))))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let at = self.at(folder)?;
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&at)));
        let listed = listed.map_err(|error| self.failed(folder, &error))?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    fn ages(&self, folder: &str) -> Result<Vec<(String, i64)>> {
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let at = self.at(&folder)?;
            let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&at)));
            let listed = listed.map_err(|error| self.failed(&folder, &error))?;
            let below = |path: &ObjectPath| path.filename().map(|name| format!("{folder}/{name}"));
            folders.extend(listed.common_prefixes.iter().filter_map(below));
            let ages = listed.objects.iter();
            found.extend(ages.filter_map(|one| Some((below(&one.location)?, one.last_modified.timestamp()))));
        }
        Ok(found)
    }

    fn sign_put(&self, path: &str, content: (&Digest, u64), valid: Duration) -> Result<Option<SignedPut>> {
        let at = self.at(path)?;
        let Some(signing) = &self.signing else { return Ok(None) };
        let signed = self.runtime.block_on(signing.put(&at, content, valid));
        signed.map(Some).map_err(|error| self.failed(path, &error))
    }

    fn add(&self, path: &str, content: Content<'_>) -> Result<Added> {
        let bytes = match content {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::File(from) => files::read(from, stopline_depot::bundle::MAX_UNPACKED)?,
        };
        if self.put(path, bytes.clone(), PutMode::Create)? {
            return Ok(Added::New);
        }
        let there = self.read(path, stopline_depot::bundle::MAX_UNPACKED)?;
        Ok(if there.is_some_and(|(there, _)| there == bytes) { Added::Same } else { Added::Other })
    }

    fn remove(&self, path: &str) -> Result<bool> {
        let at = self.at(path)?;
        // Deleting what is not there succeeds on most of them.
        match self.runtime.block_on(self.store.head(&at)) {
            Ok(_) => {}
            Err(ObjectError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.failed(path, &error)),
        }
        match self.runtime.block_on(self.store.delete(&at)) {
            Ok(()) => Ok(true),
            Err(ObjectError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    fn swap(&self, path: &str, seen: Option<&Tag>, bytes: &[u8]) -> Result<bool> {
        let mode = match seen {
            None => PutMode::Create,
            Some(Tag(tag)) => {
                let (e_tag, version) = tag.split_once(BETWEEN).unwrap_or((tag, ""));
                let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                PutMode::Update(UpdateVersion { e_tag: some(e_tag), version: some(version) })
            }
        };
        self.put(path, bytes.to_vec(), mode)
    }
}
