//! What was captured and what was not, for the log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use stopline_depot::health::CaptureHealth;
use stopline_depot::spool::Rule;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Pictures handed over.
    pub pictures: AtomicU64,
    /// Reports, with or without a picture, that found no room.
    pub dropped: AtomicU64,
    /// Wanted by a rule whose limits were used up.
    pub limited: AtomicU64,
    /// Pictures that no memory was left for.
    pub crowded: AtomicU64,
    /// Pictures that could not be made unrecognisable, and so were not written.
    pub unredacted: AtomicU64,
    /// Records that the spool did not take: full, read-only, broken.
    pub refused: AtomicU64,
    /// Records in the spool, or evicted at once.
    pub spooled: AtomicU64,
    /// Heads filled.
    pub heads: AtomicU64,
    /// Taken by each rule, in the order of [`Rule::ALL`].
    pub taken: [AtomicU64; Rule::ALL.len()],
}

impl Tally {
    /// One more.
    pub fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A rule took a frame.
    pub fn took(&self, rule: Rule) {
        if let Some(at) = Rule::ALL.iter().position(|known| *known == rule) {
            Self::one(&self.taken[at]);
        }
    }

    /// For the health file.
    pub fn health(&self) -> CaptureHealth {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CaptureHealth {
            spooled: read(&self.spooled),
            taken: Rule::ALL.iter().map(|rule| (rule.code().to_owned(), self.of(*rule))).collect(),
            dropped: read(&self.dropped),
            limited: read(&self.limited),
            unredacted: read(&self.unredacted),
            refused: read(&self.refused),
        }
    }

    /// Frames that a rule took.
    pub fn of(&self, rule: Rule) -> u64 {
        let at = Rule::ALL.iter().position(|known| *known == rule);
        at.map_or(0, |at| self.taken[at].load(Ordering::Relaxed))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "{} pictures seen, {} reports dropped, {} beyond limits, {} without memory, {} not redacted, {} refused by the \
             spool, {} spooled with {} heads filled;",
            read(&self.pictures),
            read(&self.dropped),
            read(&self.limited),
            read(&self.crowded),
            read(&self.unredacted),
            read(&self.refused),
            read(&self.spooled),
            read(&self.heads),
        )?;
        Rule::ALL.iter().try_for_each(|rule| write!(f, " {} {}", rule.code(), self.of(*rule)))
    }
}
