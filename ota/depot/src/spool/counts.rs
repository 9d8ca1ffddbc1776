//! How many records there were and what became of them.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{SpoolError, io};
use super::ledger::{Entry, Event, Read, Side, read_side};
use super::name::{Name, State};
use super::{Places, writer};
use crate::digest::Digest;
use crate::disk::Disk;

/// Sums of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    captured: u64,
    delivered: u64,
    evicted: u64,
    expired: u64,
    rejected: u64,
}

impl Totals {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.captured = self.captured.saturating_add(entry.at_once.into());
        let count = match entry.event {
            Event::Captured => &mut self.captured,
            Event::Delivered => &mut self.delivered,
            Event::Evicted => &mut self.evicted,
            Event::Expired => &mut self.expired,
            Event::Rejected => &mut self.rejected,
        };
        *count = count.saturating_add(1);
    }
}

/// Records since the spool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Put.
    pub captured: u64,
    /// Certainly at the other side.
    pub delivered: u64,
    /// Gone to make room.
    pub evicted: u64,
    /// Gone since nobody fetched them in time.
    pub expired: u64,
    /// Not taken by the other side.
    pub rejected: u64,
    /// Still here, being sent or not.
    pub waiting: u64,
    /// Bytes of those.
    pub waiting_bytes: u64,
}

impl Counts {
    /// Captured = delivered + evicted + expired + rejected + waiting. Always so while nobody is at work in the spool.
    pub fn is_balanced(&self) -> bool {
        let ends = [self.delivered, self.evicted, self.expired, self.rejected, self.waiting];
        self.captured == ends.into_iter().fold(0, u64::saturating_add)
    }
}

/// Counts what is and was in a spool. While a process is at work in it, a record on its way may be counted twice or not.
///
/// # Errors
/// [`SpoolError::Io`].
pub fn counts(disk: &impl Disk, folder: &Path) -> Result<Counts, SpoolError> {
    let places = Places::new(folder);
    let [runtime, agent] = both(disk, &places)?;
    let mut counts = Counts {
        captured: runtime.totals.captured,
        delivered: agent.totals.delivered,
        evicted: runtime.totals.evicted,
        expired: runtime.totals.expired.saturating_add(agent.totals.expired),
        rejected: agent.totals.rejected,
        ..Counts::default()
    };
    let (captured, mut seen) = (runtime.captured(), HashSet::<Digest>::new());
    for (folder, ended) in [(&places.sending, agent.ended()), (&places.waiting, runtime.ended())] {
        for file in disk.list(folder).map_err(io("list", folder))? {
            let Some((name, state)) = Name::parse(&file) else { continue };
            let is_here = match state {
                State::Whole => true,
                State::New => captured.contains(&name.digest),
                State::Ended(_) => !ended.contains(&name.digest),
            };
            if is_here && seen.insert(name.digest) {
                let length = writer::length(disk, &folder.join(file))?;
                counts.waiting += 1;
                counts.waiting_bytes = counts.waiting_bytes.saturating_add(length.unwrap_or(0));
            }
        }
    }
    Ok(counts)
}

/// The lines of both ledgers that are still there, the runtime's first; each in the order in which they were written.
///
/// # Errors
/// [`SpoolError::Io`].
pub fn entries(disk: &impl Disk, folder: &Path) -> Result<Vec<Entry>, SpoolError> {
    let read = both(disk, &Places::new(folder))?;
    Ok(read.into_iter().flat_map(|read| read.entries).collect())
}

fn both(disk: &impl Disk, places: &Places) -> Result<[Read; 2], SpoolError> {
    let read = |side| read_side(disk, &places.ledger, side).map_err(io("read", &places.ledger));
    let [runtime, agent] = Side::BOTH.map(read);
    Ok([runtime?, agent?])
}
