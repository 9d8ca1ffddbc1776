//! From the repository into a slot: a delta where one is signed, smaller and starts from what lies here; else, and whenever
//! that does not work out, the full file.

use std::fs::File;
use std::path::{Path, PathBuf};

use stopline_depot::delta::Algorithm;
use stopline_depot::digest::Digest;
use stopline_depot::disk::{Disk as _, RealDisk};
use stopline_depot::rollout::Window;
use stopline_depot::slots::{Depot, DepotError, RESERVE, SlotState};

use super::Agent;
use crate::download::{self, DownloadError, Downloader, Wanted};
use crate::error::AgentError;
use crate::repository::{Candidate, Packed, WebTargets};

/// What a slot is filled from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// The packed bundle, checked whole.
    Full(&'a Path),
    /// A delta, checked whole, and the bundle that it starts from.
    Delta(&'a Path, Digest),
}

impl Agent {
    /// Fetches and stages `candidate`.
    pub(super) fn fetch_and_stage(
        &mut self,
        window: &Window,
        candidate: &Candidate,
    ) -> Result<(), AgentError> {
        let done = self.by_delta(window, candidate);
        let done = match done {
            Ok(true) => Ok(()),
            Ok(false) => self.in_full(window, candidate),
            // The link, the window or the disk: the full file would meet the same.
            Err(error @ (AgentError::Download(_) | AgentError::Http(_) | AgentError::Io { .. })) => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(id = "ota.delta.failed", "{error}; the full file is fetched");
                self.in_full(window, candidate)
            }
        };
        self.count_received();
        done?;
        download::sweep(&self.partial(), &[]).map_err(AgentError::io(self.partial()))
    }

    fn in_full(&mut self, window: &Window, candidate: &Candidate) -> Result<(), AgentError> {
        let path =
            self.fetch(window, &candidate.target, &candidate.packed, candidate.release.unpacked.length)?;
        stage(&mut self.depot, candidate, Source::Full(&path))
    }

    /// Whether a delta did it.
    fn by_delta(&mut self, window: &Window, candidate: &Candidate) -> Result<bool, AgentError> {
        let mut smallest = None;
        for (delta, packed) in &candidate.deltas {
            let known = delta.algorithm.parse::<Algorithm>().is_ok();
            let least =
                smallest.map_or(candidate.packed.file.length, |(_, packed): (_, &Packed)| packed.file.length);
            if known && packed.file.length < least && self.depot.slot_state(&delta.from)? == SlotState::Staged
            {
                smallest = Some((delta, packed));
            }
        }
        let Some((delta, packed)) = smallest else { return Ok(false) };
        let path = match self.fetch(window, &delta.path, packed, candidate.release.unpacked.length) {
            Err(AgentError::Download(DownloadError::Wrong { name, problem })) => {
                tracing::warn!(id = "ota.delta.failed", "{name}: {problem}; the full file is fetched");
                return Ok(false);
            }
            path => path?,
        };
        stage(&mut self.depot, candidate, Source::Delta(&path, delta.from))?;
        tracing::info!(id = "ota.delta.applied", from = %delta.from, "{}", candidate.target);
        Ok(true)
    }

    fn fetch(
        &self,
        window: &Window,
        name: &str,
        packed: &Packed,
        unpacked: u64,
    ) -> Result<PathBuf, AgentError> {
        self.check_room(packed.file.length.saturating_add(unpacked))?;
        let web = WebTargets { http: &self.http, base: &self.config.repository };
        let urls: Vec<String> = packed.places.iter().map(|place| web.url(place)).collect();
        let wanted = Wanted { name, urls: &urls, file: &packed.file };
        let folder = self.partial();
        download::sweep(&folder, &[wanted]).map_err(AgentError::io(&folder))?;
        let downloader = Downloader {
            http: &self.http,
            settings: &self.config.download,
            clock: &*self.clock,
            device: self.identity.id(),
            folder: &folder,
        };
        let mut may_go_on = |missing| {
            self.count_received();
            self.may_fetch(window, missing)
        };
        let (path, cost) = downloader.fetch(wanted, &mut may_go_on)?;
        tracing::info!(
            id = "ota.fetched",
            requests = cost.requests,
            received = cost.received,
            wasted = cost.wasted,
            "{name}"
        );
        Ok(path)
    }

    fn count_received(&self) {
        self.senses.spend(&*self.clock, self.http.take_received());
    }

    /// The packed file and the slot must both fit, with a reserve: found out before a byte is paid for.
    fn check_room(&self, bytes: u64) -> Result<(), AgentError> {
        let folder = self.config.home.clone();
        let needed = bytes.saturating_add(RESERVE);
        let available = RealDisk.available(&folder).map_err(AgentError::io(&folder))?;
        if available >= needed {
            return Ok(());
        }
        Err(DownloadError::Room { folder, needed, available }.into())
    }

    fn partial(&self) -> PathBuf {
        self.config.home.join("partial")
    }
}

/// Fills a slot from a file that was checked whole, with flat memory; it is read back there before it counts.
pub(super) fn stage(
    depot: &mut Depot<RealDisk>,
    candidate: &Candidate,
    source: Source<'_>,
) -> Result<(), AgentError> {
    let (Source::Full(path) | Source::Delta(path, _)) = source;
    let file = File::open(path).map_err(AgentError::io(path))?;
    let mut filling = depot.fill(candidate.release.clone(), &candidate.target, candidate.evidence.clone())?;
    let filled: Result<(), DepotError> = match source {
        Source::Full(_) => filling.unpack(file, candidate.packed.file.length),
        Source::Delta(_, from) => filling.apply(&from, file),
    };
    match filled {
        Ok(()) => Ok(filling.finish().map(drop)?),
        Err(error) => {
            // The first error matters more; what is left over goes at the next attempt.
            let _ = filling.abandon();
            Err(error.into())
        }
    }
}
