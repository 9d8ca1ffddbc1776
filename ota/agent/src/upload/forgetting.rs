//! Records that the operator wants forgotten: they end here, whether they wait, are claimed, or are part of the batch under way.
//! Capture goes on.

use std::collections::BTreeMap;

use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::order::{Forget, Meant};
use stopline_depot::spool::{Cause, Claimed, End, Event, entries};

use super::{UploadError, Uploader, batches, now};
use crate::orders::Forgetting;

impl Uploader {
    /// Lets go what is asked for by way of `forgetting`, at each step.
    pub fn forgets(&mut self, forgetting: Forgetting) {
        self.forgetting = Some(forgetting);
    }

    /// What cannot be let go now stays asked for, and is tried again.
    pub(super) fn forget_what_is_asked(&mut self) {
        let Some(forgetting) = self.forgetting.clone() else { return };
        while let Some((id, wanted)) = forgetting.next() {
            match self.forget(&wanted) {
                Ok((removed, unsure)) => forgetting.done(&id, removed, unsure),
                Err(error) => {
                    tracing::warn!(id = "upload.forget", order = id, "{error}; tried again");
                    forgetting.again(id, wanted);
                    return;
                }
            }
        }
    }

    /// How many went, and how many stayed since nobody knows when they were captured.
    fn forget(&mut self, wanted: &Forget) -> Result<(u64, u64), UploadError> {
        let (waiting, held) = (self.claims.waiting()?, self.claims.held());
        let dates = self.dates(wanted)?;
        let means = |one: &Claimed| wanted.means(&one.digest, dates.get(&one.digest).copied());
        let all = || waiting.iter().chain(&held);
        let unsure = all().filter(|one| means(one) == Meant::Unsure).count();
        let goes = |one: &&Claimed| means(one) == Meant::Yes;
        let claimed = self.claims.claim_those(waiting.iter().filter(goes).copied().collect())?;
        let ends: Vec<(Digest, End)> = claimed
            .iter()
            .chain(held.iter().filter(goes))
            .map(|one| (one.digest, End::Rejected(Cause::Forgotten)))
            .collect();
        let is_in = |draft: &batches::Draft| {
            draft.manifest.records.iter().any(|entry| ends.iter().any(|(digest, _)| *digest == entry.digest))
        };
        if self.draft.as_ref().is_some_and(is_in) {
            // What the server has of the batch can never be finished; the other records go with another.
            self.draft = None;
            batches::forget(&self.parts.config.home)?;
        }
        self.claims.end_all(&ends, now(&*self.parts.clock))?;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.progress.change(|stats| stats.rejected += count(ends.len()));
        self.count_waiting();
        tracing::info!(
            id = "upload.forgotten",
            records = ends.len(),
            unsure,
            "records are forgotten as the operator asks"
        );
        Ok((count(ends.len()), count(unsure)))
    }

    /// When records were captured, by the ledger; those are left out that were captured while no clock was set, or whose line is
    /// gone with an old ledger.
    fn dates(&self, wanted: &Forget) -> Result<BTreeMap<Digest, u64>, UploadError> {
        let Some(spool) =
            self.parts.config.upload.spool.as_ref().filter(|_| wanted.from.or(wanted.to).is_some())
        else {
            return Ok(BTreeMap::new());
        };
        let lines = entries(&RealDisk, spool)?;
        let dated = lines.iter().filter(|line| line.event == Event::Captured && line.at >= NO_CLOCK_BEFORE);
        Ok(dated.map(|line| (line.digest, line.at)).collect())
    }
}

/// Before this moment (1 January 2025) no clock was ever right.
const NO_CLOCK_BEFORE: u64 = 1_735_689_600;
