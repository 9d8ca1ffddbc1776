//! What becomes of records by what the server says: each receipt ends one, each refusal means something else, and none but a
//! receipt means "uploaded".

use std::collections::BTreeSet;

use stopline_depot::batch::{MAX_RECORDS, Receipt, Received};
use stopline_depot::digest::Digest;
use stopline_depot::spool::{Cause, Claimed, End};

use super::batches::{self, Draft};
use super::{UploadError, Uploader, now};
use crate::fleet::Refusal;

/// Bytes of a batch that is made smaller, at least.
const LEAST: u32 = 64 << 10;

/// What refusals have taught.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Bytes of a batch, where the server takes fewer than configured.
    limit: Option<u32>,
    /// Records of a batch, while the one is looked for that the server does not understand.
    most_records: Option<usize>,
    /// Records that the server did not understand alone. The server may be the one that is wrong: they wait until it has
    /// understood others.
    aside: BTreeSet<Digest>,
    /// It has understood a batch since the last was put aside.
    understood: bool,
}

impl Ends {
    pub(super) fn limit(&self, configured: u32) -> u32 {
        self.limit.map_or(configured, |limit| limit.min(configured))
    }

    pub(super) fn most_records(&self) -> usize {
        self.most_records.unwrap_or(MAX_RECORDS)
    }

    pub(super) fn is_aside(&self, digest: &Digest) -> bool {
        self.aside.contains(digest)
    }

    /// One that was put aside, to be tried again alone.
    pub(super) fn one_aside(&self, held: &[Claimed]) -> Vec<Claimed> {
        held.iter().find(|one| self.is_aside(&one.digest)).copied().into_iter().collect()
    }
}

impl Uploader {
    /// Ends the records that have a receipt; the others stay and go with another batch.
    pub(super) fn take_receipts(&mut self, draft: &Draft, receipts: &[Receipt]) -> Result<(), UploadError> {
        let of = |digest: &Digest| receipts.iter().find(|receipt| receipt.digest == *digest);
        let mut ends = Vec::new();
        for entry in &draft.manifest.records {
            let Some(receipt) = of(&entry.digest) else {
                tracing::warn!(id = "upload.no_receipt", digest = %entry.digest, "the server names no receipt; it goes again");
                continue;
            };
            ends.push((entry.digest, end(receipt.result)));
            if !receipt.result.is_delivered() {
                let result = crate::report::word_of(&receipt.result);
                tracing::warn!(id = "upload.rejected", digest = %entry.digest, result, "the fleet does not keep a record");
            }
        }
        self.claims.end_all(&ends, now(&*self.parts.clock))?;
        self.ends.understood = true;
        self.ends.most_records =
            self.ends.most_records.map(|most| most.saturating_mul(2)).filter(|most| *most < MAX_RECORDS);
        self.ends.aside.retain(|aside| !ends.iter().any(|(digest, _)| digest == aside));
        let delivered = ends.iter().filter(|(_, end)| matches!(end, End::Delivered)).count();
        self.progress.change(|stats| {
            stats.delivered += u64::try_from(delivered).unwrap_or(0);
            stats.rejected += u64::try_from(ends.len() - delivered).unwrap_or(0);
        });
        tracing::info!(
            id = "upload.batch",
            records = draft.manifest.records.len(),
            delivered,
            "a batch is with the fleet"
        );
        Ok(())
    }

    /// What a refusal means for the batch. An error is what makes the upload wait.
    pub(super) fn refused(&mut self, draft: Draft, error: UploadError) -> Result<(), UploadError> {
        let records = &draft.manifest.records;
        match &error {
            UploadError::Refused(Refusal::TooBig { .. }) if records.len() > 1 => {
                let bytes = records.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.length));
                let half = u32::try_from(bytes / 2).unwrap_or(u32::MAX);
                self.ends.limit = Some(half.max(LEAST));
                self.ends.most_records = Some(records.len().div_ceil(2));
                batches::forget(&self.parts.config.home)
            }
            UploadError::Refused(Refusal::TooBig { .. }) => self.reject(&draft, Cause::TooBig),
            UploadError::Refused(Refusal::NotUnderstood { .. }) if records.len() > 1 => {
                self.ends.most_records = Some(records.len().div_ceil(2));
                batches::forget(&self.parts.config.home)
            }
            UploadError::Refused(Refusal::NotUnderstood { .. }) => self.not_understood(&draft, error),
            // The batch is none any more: what is left of it goes with another.
            UploadError::Spool(_) | UploadError::Batch(_) | UploadError::Answer { .. } => {
                batches::forget(&self.parts.config.home)?;
                Err(error)
            }
            _ => {
                self.draft = Some(Draft { begun: true, ..draft });
                Err(error)
            }
        }
    }

    fn not_understood(&mut self, draft: &Draft, error: UploadError) -> Result<(), UploadError> {
        let Some(entry) = draft.manifest.records.first() else { return Ok(()) };
        if self.ends.is_aside(&entry.digest) && self.ends.understood {
            return self.reject(draft, Cause::Bad);
        }
        // Alone, and the server has not shown since that it understands anything: it may be the server.
        let again = !self.ends.aside.insert(entry.digest);
        self.ends.understood = false;
        batches::forget(&self.parts.config.home)?;
        tracing::warn!(id = "upload.not_understood", digest = %entry.digest, "{error}; it waits until others are understood");
        let others = self.claims.held().iter().any(|one| !self.ends.is_aside(&one.digest))
            || !self.claims.waiting()?.is_empty();
        if again || !others { Err(error) } else { Ok(()) }
    }

    fn reject(&mut self, draft: &Draft, cause: Cause) -> Result<(), UploadError> {
        let ends: Vec<(Digest, End)> =
            draft.manifest.records.iter().map(|entry| (entry.digest, End::Rejected(cause))).collect();
        self.claims.end_all(&ends, now(&*self.parts.clock))?;
        self.ends.aside.retain(|aside| !ends.iter().any(|(digest, _)| digest == aside));
        self.progress.change(|stats| stats.rejected += u64::try_from(ends.len()).unwrap_or(0));
        tracing::warn!(
            id = "upload.rejected",
            records = ends.len(),
            result = cause.code(),
            "the fleet does not keep a record"
        );
        batches::forget(&self.parts.config.home)
    }
}

fn end(result: Received) -> End {
    match result {
        Received::Stored | Received::Known => End::Delivered,
        Received::NotWanted => End::Rejected(Cause::NotWanted),
        Received::TooBig => End::Rejected(Cause::TooBig),
        Received::Bad => End::Rejected(Cause::Bad),
    }
}
