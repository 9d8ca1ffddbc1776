//! Batches that devices put into the store themselves, by a request that was signed for them.
//!
//! ```text
//! STORE/incoming/DEVICE/BATCH  a batch, until the device has told of it and it is taken in; a day at most
//! ```
//! What lies there is a stranger's until it is held against its name: the store's rights say that somebody had the address, and
//! not who, or what was put.

use std::time::Duration;

use stopline_depot::digest::Digest;
use stopline_depot::placing::VALID_S;

use super::Records;
use crate::exit::{Exit, Failure, Result};
use crate::store::SignedPut;

/// The folder of what came and was not told of.
const INCOMING: &str = "incoming";

impl Records {
    /// Whether the store signs for others, and the address is one that devices put to.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a store that never can; anything else for one that cannot now.
    pub fn check_places(&self) -> Result<()> {
        let probe = Digest::of(b"");
        let Some(signed) = self.sign_place("probe", &probe, 1)? else {
            return Err(Failure::usage(format!(
                "--presigned: {} cannot sign for devices; an object store is expected: --store s3://BUCKET/PREFIX, gs://… or az://…",
                self.store.name()
            )));
        };
        if signed.url.starts_with("https://") {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "--presigned: {} is reached without TLS, and devices put to https:// alone; give the store a certificate, or leave \
             --presigned out",
            self.store.name()
        )))
    }

    /// A PUT of one batch into its device's own place; `None` where the store cannot sign. `device` is the certificate's name.
    ///
    /// # Errors
    /// The store's.
    pub fn sign_place(&self, device: &str, batch: &Digest, length: u64) -> Result<Option<SignedPut>> {
        self.store.sign_put(&path(device, batch), (batch, length), Duration::from_secs(VALID_S))
    }

    /// The batch, where it lies at its place, whole. Anything else that lies there is removed.
    ///
    /// # Errors
    /// The store's.
    pub fn arrived(&self, device: &str, batch: &Digest, length: u64) -> Result<Option<Vec<u8>>> {
        let found = match self.store.read(&path(device, batch), length) {
            Ok(None) => return Ok(None),
            Ok(Some((bytes, _))) if Digest::of(&bytes) == *batch => return Ok(Some(bytes)),
            Ok(Some((bytes, _))) => format!("{} other bytes", bytes.len()),
            Err(failure) if failure.exit == Exit::Refused => failure.message,
            Err(failure) => return Err(failure),
        };
        tracing::warn!(id = "serve.incoming", device, %batch, "what was put is not the batch, and is removed: {found}");
        self.let_go(device, batch)?;
        Ok(None)
    }

    /// Removes what lies at a batch's place.
    ///
    /// # Errors
    /// The store's.
    pub fn let_go(&self, device: &str, batch: &Digest) -> Result<()> {
        self.store.remove(&path(device, batch)).map(drop)
    }

    /// Removes what was put before a time and never told of; how many that were.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_incoming(&self, before_s: i64) -> Result<usize> {
        let old = self.store.ages(INCOMING)?.into_iter().filter(|(_, at_s)| *at_s < before_s);
        let mut gone = 0;
        for (path, _) in old {
            gone += usize::from(self.store.remove(&path)?);
        }
        Ok(gone)
    }
}

fn path(device: &str, batch: &Digest) -> String {
    format!("{INCOMING}/{device}/{batch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, Content};

    fn put(folder: &tempfile::TempDir, device: &str, batch: &Digest, bytes: &[u8]) {
        let store = store::open(folder.path().to_str().unwrap()).unwrap();
        store.add(&path(device, batch), Content::Bytes(bytes)).unwrap();
    }

    #[test]
    fn what_lies_at_a_place_is_the_batch_or_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().to_str().unwrap()).unwrap();
        let batch = Digest::of(b"batch");
        assert!(records.arrived("a", &batch, 5).unwrap().is_none());
        put(&folder, "a", &batch, b"batch");
        assert!(records.arrived("b", &batch, 5).unwrap().is_none(), "another device's place is another's");
        assert_eq!(records.arrived("a", &batch, 5).unwrap().unwrap(), b"batch");
        records.let_go("a", &batch).unwrap();
        // Other bytes, and more than was announced, which are not read.
        for bytes in [&b"other"[..], b"batch and more"] {
            put(&folder, "a", &batch, bytes);
            assert!(records.arrived("a", &batch, 5).unwrap().is_none());
            assert!(!folder.path().join(path("a", &batch)).exists());
        }
    }

    #[test]
    fn what_was_never_told_of_is_forgotten_and_what_is_new_stays() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(records.forget_incoming(i64::MAX).unwrap(), 0);
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        put(&folder, "a", &old, b"old");
        put(&folder, "b", &new, b"new");
        let written =
            std::fs::File::options().append(true).open(folder.path().join(path("a", &old))).unwrap();
        written.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
        assert_eq!(records.forget_incoming(2_000).unwrap(), 1);
        assert!(records.arrived("a", &old, 3).unwrap().is_none());
        assert!(records.arrived("b", &new, 3).unwrap().is_some());
    }

    #[test]
    fn a_folder_signs_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Records::open(folder.path().to_str().unwrap()).unwrap().check_places().unwrap_err();
        assert!(failure.exit == Exit::Usage && failure.message.contains("s3://"), "{failure}");
    }
}
