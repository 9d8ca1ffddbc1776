//! Which records make the next batch, and how the one under way is found again after a restart.

use std::path::{Path, PathBuf};

use stopline_depot::batch::{self, BatchManifest, Entry, MAX_RECORDS};
use stopline_depot::digest::Digest;
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::spool::{Cause, Claimed, Claims, End, SpoolError};
use stopline_depot::versioned::{self, Versioned};

use super::{UploadError, Uploader, now};

/// A batch that is, or is to be, under way.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) manifest: BatchManifest,
    /// Whether an earlier process or try may have sent some of it.
    pub(super) begun: bool,
}

impl Uploader {
    /// Of a batch of which the server may have all, it is asked before anything of it expires: what the server keeps is
    /// delivered, whatever the clock says by now. At most one batch waits so, for as long as nobody answers.
    pub(super) fn ask_before_expiry(&mut self) -> Result<(), UploadError> {
        let now = now(&*self.parts.clock);
        let is_old = |entry: &Entry| now > 0 && entry.expires < now;
        let begun = self.draft.take_if(|draft| draft.begun && draft.manifest.records.iter().any(is_old));
        let Some(draft) = begun else { return Ok(()) };
        match self.finished(&draft) {
            Ok(Some(receipts)) => self.take_receipts(&draft, &receipts)?,
            // It never had all of it, so it has kept nothing of it.
            Ok(None) => {}
            Err(error) => return self.refused(draft, error),
        }
        forget(&self.parts.config.home)
    }

    /// Ends what is too old to be wanted. Only by a clock that somebody vouches for.
    pub(super) fn drop_expired(&mut self) -> Result<(), UploadError> {
        let now = now(&*self.parts.clock);
        let old = self.claims.held().into_iter().filter(|one| now > 0 && one.expires < now);
        let ends: Vec<(Digest, End)> = old.map(|one| (one.digest, End::Expired)).collect();
        if ends.is_empty() {
            return Ok(());
        }
        if let Some(draft) = &self.draft
            && draft
                .manifest
                .records
                .iter()
                .any(|entry| ends.iter().any(|(digest, _)| *digest == entry.digest))
        {
            // It can never be finished as it is; what the server has of it is of no use.
            self.draft = None;
            forget(&self.parts.config.home)?;
        }
        self.claims.end_all(&ends, now)?;
        self.progress.change(|stats| stats.expired += u64::try_from(ends.len()).unwrap_or(0));
        Ok(())
    }

    /// The next batch: what is held already first, then what the spool gives; none where nothing waits.
    pub(super) fn next_draft(&mut self) -> Result<Option<Draft>, UploadError> {
        let limit = self.ends.limit(self.parts.config.upload.batch_bytes);
        self.claim_up_to(limit)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let held = self.claims.held();
        let fresh: Vec<Claimed> =
            held.iter().copied().filter(|one| !self.ends.is_aside(&one.digest)).collect();
        let candidates = if fresh.is_empty() { self.ends.one_aside(&held) } else { fresh };
        let mut chosen: Vec<Claimed> = Vec::new();
        let mut bytes = batch::EMPTY;
        for one in candidates {
            bytes = bytes.saturating_add(batch::room(one.length));
            let full = bytes > limit || chosen.len() >= self.ends.most_records().min(MAX_RECORDS);
            if full && !chosen.is_empty() {
                break;
            }
            chosen.push(one);
        }
        if chosen.is_empty() { Ok(None) } else { self.draft_of(&chosen).map(Some) }
    }

    /// Claims what makes a batch full with what is held. What only waits can still be evicted for something better, so nothing
    /// is claimed that could not go now.
    fn claim_up_to(&mut self, limit: u32) -> Result<(), UploadError> {
        let held = self.claims.held();
        let fresh = held.iter().filter(|one| !self.ends.is_aside(&one.digest));
        let bytes = fresh.fold(0_u64, |sum, one| sum.saturating_add(one.length));
        let Some(rest) = u64::from(limit).checked_sub(bytes).filter(|rest| *rest > 0) else { return Ok(()) };
        if self.claims.waiting()?.is_empty() {
            return Ok(());
        }
        self.may_send(u64::try_from(batch::EMPTY).unwrap_or(0))?;
        self.claims.claim(rest)?;
        self.drop_expired()
    }

    fn draft_of(&self, chosen: &[Claimed]) -> Result<Draft, UploadError> {
        let (home, identity) = (&self.parts.config.home, &self.parts.identity);
        let io = |source| UploadError::Io { path: home.clone(), source };
        let of = |one: &Claimed| {
            let clear = (one.digest, one.length, u8::from(one.class), one.expires);
            Entry::signed(identity.id(), clear, |message| identity.sign(message).map_err(io))
        };
        let records = chosen.iter().map(of).collect::<Result<Vec<_>, UploadError>>()?;
        let manifest = BatchManifest {
            schema: BatchManifest::SCHEMA,
            device: identity.id().to_owned(),
            boot_id: self.parts.sequence.boot_id().to_owned(),
            seq: self.parts.sequence.next().map_err(io)?,
            records,
        };
        let bytes = versioned::write(&manifest).map_err(stopline_depot::batch::BatchError::from)?;
        let path = path(home);
        replace(&mut RealDisk, &path, &bytes).map_err(|source| UploadError::Io { path, source })?;
        Ok(Draft { manifest, begun: false })
    }

    /// The batch's bytes. A record that is no longer what it was ends here; the batch is then none any more.
    pub(super) fn pack(&mut self, draft: &Draft) -> Result<Vec<u8>, UploadError> {
        let packed =
            batch::pack(&draft.manifest, |entry| self.claims.read(&entry.digest).map_err(UploadError::Spool));
        if let Err(UploadError::Spool(SpoolError::Corrupt { digest, .. })) = &packed {
            let digest = *digest;
            tracing::warn!(id = "upload.corrupt", %digest, "a record is no longer what it was; it is dropped");
            self.claims.end(&digest, End::Rejected(Cause::Corrupt), now(&*self.parts.clock))?;
            self.progress.change(|stats| stats.rejected += 1);
            forget(&self.parts.config.home)?;
        }
        packed
    }
}

/// The batch that was under way, where all its records are still held.
pub(super) fn take_up(home: &Path, claims: &Claims<RealDisk>) -> Option<Draft> {
    let limit = u64::try_from(BatchManifest::LIMIT).unwrap_or(u64::MAX);
    let bytes = RealDisk.read(&path(home), limit).ok().flatten()?;
    let manifest: BatchManifest = versioned::read(&bytes).ok()?;
    let held = claims.held();
    let all = manifest.records.iter().all(|entry| held.iter().any(|one| one.digest == entry.digest));
    all.then_some(Draft { manifest, begun: true })
}

/// Nothing is under way.
pub(super) fn forget(home: &Path) -> Result<(), UploadError> {
    let path = path(home);
    RealDisk.remove(&path).map_err(|source| UploadError::Io { path, source })
}

fn path(home: &Path) -> PathBuf {
    home.join("upload.json")
}
