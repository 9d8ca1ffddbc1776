//! Where sealed records lie: a folder or an object store. Whoever makes a data set reads this alone.
//!
//! ```text
//! STORE/records/DIGEST.age     the ciphertext, as the device made it
//! STORE/records/DIGEST.json    what of it is clear, and who sent it
//! STORE/tombstones/DIGEST      it was forgotten: it is not taken in again
//! ```
//! What devices put there themselves lies in another folder until it is one of these ([`incoming`]).

pub mod incoming;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stopline_depot::batch::Entry;
use stopline_depot::digest::Digest;
use stopline_depot::versioned::{self, Versioned};

use super::data;
use crate::exit::{Failure, Result};
use crate::store::{self, Added, Content, Store};

/// Bytes of a tombstone, at most.
const TOMBSTONE: u64 = 64 << 10;
/// Bytes of a label, at most.
const LABEL: u64 = 16 << 10;

/// What lies beside a record: its line of the batch's manifest, and who sent it when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// SHA-256 of the ciphertext: the record's address.
    pub digest: Digest,
    /// Bytes of the ciphertext.
    pub length: u64,
    /// Value class, 0 to 9 = most valuable.
    pub class: u8,
    /// When it is to be gone, seconds since 1970.
    pub expires: u64,
    /// The device's ed25519 signature over `stopline_depot::batch::record_message`.
    pub signature: String,
    /// The device, by its certificate.
    pub device: String,
    /// Its boot.
    pub boot_id: String,
    /// The batch's number in the boot.
    pub seq: u64,
    /// When it arrived, seconds since 1970.
    pub received: i64,
}

impl Versioned for Label {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "record's label";
    const LIMIT: usize = LABEL as usize;

    fn check(&self) -> Result<(), String> {
        versioned::check_name("device", &self.device)?;
        versioned::check_name("boot_id", &self.boot_id)
    }
}

impl Label {
    /// Of a record in a batch.
    pub fn of(entry: &Entry, (device, boot_id, seq): (&str, &str, u64), received: i64) -> Self {
        Self {
            schema: Self::SCHEMA,
            digest: entry.digest,
            length: entry.length,
            class: entry.class,
            expires: entry.expires,
            signature: entry.signature.clone(),
            device: device.to_owned(),
            boot_id: boot_id.to_owned(),
            seq,
            received,
        }
    }
}

/// The store.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
}

impl Records {
    /// A folder (made when something is added), `file://…`, or `s3://…`, `gs://…`, `az://…`.
    ///
    /// # Errors
    /// What is wrong with the place.
    pub fn open(place: &str) -> Result<Self> {
        if !place.contains("://") {
            data::make(Path::new(place))?;
        }
        Ok(Self { store: Arc::from(store::open(place)?) })
    }

    /// Keeps a record and its label. Both are on the medium when this returns.
    ///
    /// # Errors
    /// The store's.
    pub fn put(&self, label: &Label, ciphertext: &[u8]) -> Result<()> {
        let digest = label.digest;
        let sealed = self.store.add(&format!("records/{digest}.age"), Content::Bytes(ciphertext))?;
        if sealed == Added::Other {
            return Err(Failure::failed(format!(
                "{}: records/{digest}.age is there with other bytes: the store is damaged",
                self.store.name()
            )));
        }
        // The label of a record that comes again, from a batch whose commit was cut off, is as good as the first.
        self.store.add(&format!("records/{digest}.json"), Content::Bytes(&versioned::write(label)?))?;
        Ok(())
    }

    /// Whether a record lies here.
    ///
    /// # Errors
    /// The store's.
    pub fn holds(&self, digest: &Digest) -> Result<bool> {
        Ok(self.store.open(&format!("records/{digest}.age"))?.is_some())
    }

    /// Whether a record was forgotten.
    ///
    /// # Errors
    /// The store's.
    pub fn is_forgotten(&self, digest: &Digest) -> Result<bool> {
        Ok(self.store.read(&format!("tombstones/{digest}"), TOMBSTONE)?.is_some())
    }

    /// The labels of all records that lie here.
    ///
    /// # Errors
    /// A label that cannot be read; the store's.
    pub fn labels(&self) -> Result<Vec<Label>> {
        let names = self.store.list("records")?;
        let labels = names.iter().filter(|name| name.ends_with(".json"));
        labels
            .map(|name| {
                let path = format!("records/{name}");
                let found = self.store.read(&path, LABEL)?;
                let (bytes, _) = found.ok_or_else(|| Failure::failed(format!("{path}: it is gone")))?;
                versioned::read(&bytes).map_err(|error| Failure::refused(format!("{path}: {error}")))
            })
            .collect()
    }

    /// All that were forgotten.
    ///
    /// # Errors
    /// The store's.
    pub fn forgotten(&self) -> Result<Vec<Digest>> {
        Ok(self.store.list("tombstones")?.iter().filter_map(|name| name.parse().ok()).collect())
    }
}
